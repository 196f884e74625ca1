//! Triangles and complete graphs of four nodes on every edge.

use rayon::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

/// Edges directed from the node of the lower degree (of equal ones: number) to the other, so that no node has more than
/// `sqrt(2 m)` of them.
struct Oriented<'a> {
    indptr: &'a [usize],
    indices: &'a [u32],
    /// Where the edges that leave a node start.
    starts: Vec<usize>,
    /// Their targets, ascending.
    targets: Vec<u32>,
}

/// For every entry of a symmetric adjacency without a diagonal: the number of triangles on the edge, and of complete graphs of
/// four nodes.
///
/// Each triangle and each complete graph is found once, at the node that comes first in the order: `O(m a)` and `O(m a^2)`
/// steps for arboricity a. Threads add integers, so that the result does not depend on their number.
pub(super) fn on_edges(indptr: &[usize], indices: &[u32]) -> (Vec<u64>, Vec<u64>) {
    let nodes = indptr.len() - 1;
    let degree = |node: u32| indptr[node as usize + 1] - indptr[node as usize];
    let before = |a: u32, b: u32| (degree(a), a) < (degree(b), b);
    let (mut starts, mut targets) = (vec![0], Vec::with_capacity(indices.len() / 2));
    for node in 0..nodes {
        targets.extend(indices[indptr[node]..indptr[node + 1]].iter().filter(|&&to| before(node as u32, to)));
        starts.push(targets.len());
    }
    let graph = Oriented { indptr, indices, starts, targets };
    let counters = || (0..graph.targets.len()).map(|_| AtomicU64::new(0)).collect::<Vec<_>>();
    let (triangles, fours) = (counters(), counters());
    (0..nodes).into_par_iter().for_each_init(
        || (vec![usize::MAX; nodes], vec![usize::MAX; nodes]),
        |(own, common), node| graph.visit(node, own, common, &triangles, &fours),
    );
    (graph.by_entry(&triangles), graph.by_entry(&fours))
}

impl Oriented<'_> {
    fn out(&self, node: u32) -> std::ops::Range<usize> {
        self.starts[node as usize]..self.starts[node as usize + 1]
    }

    /// Counts everything whose first node is `u`. `own[w]` is the edge from `u` to `w`, `common[w]` that from `v` to `w` where both
    /// lead there.
    fn visit(&self, u: usize, own: &mut [usize], common: &mut [usize], triangles: &[AtomicU64], fours: &[AtomicU64]) {
        let add = |counters: &[AtomicU64], edge: usize| {
            counters[edge].fetch_add(1, Ordering::Relaxed);
        };
        let edges = self.out(u as u32);
        edges.clone().for_each(|edge| own[self.targets[edge] as usize] = edge);
        let mut shared = Vec::new();
        for uv in edges.clone() {
            shared.clear();
            for vw in self.out(self.targets[uv]) {
                let w = self.targets[vw];
                let uw = own[w as usize];
                if uw != usize::MAX {
                    [uv, uw, vw].into_iter().for_each(|edge| add(triangles, edge));
                    common[w as usize] = vw;
                    shared.push(w);
                }
            }
            for &w in &shared {
                for wx in self.out(w) {
                    let x = self.targets[wx] as usize;
                    if common[x] != usize::MAX {
                        let all = [uv, own[w as usize], own[x], common[w as usize], common[x], wx];
                        all.into_iter().for_each(|edge| add(fours, edge));
                    }
                }
            }
            shared.iter().for_each(|&w| common[w as usize] = usize::MAX);
        }
        edges.for_each(|edge| own[self.targets[edge] as usize] = usize::MAX);
    }

    /// From directed edges to the entries of both directions.
    fn by_entry(&self, counters: &[AtomicU64]) -> Vec<u64> {
        let nodes = self.starts.len() - 1;
        let count = |from: u32, to: u32| {
            let range = self.out(from);
            let at = self.targets[range.clone()].binary_search(&to).ok()?;
            Some(counters[range.start + at].load(Ordering::Relaxed))
        };
        let entry = |node: u32, to: u32| count(node, to).or_else(|| count(to, node)).expect("one direction is there");
        let row = |node: usize| {
            self.indices[self.indptr[node]..self.indptr[node + 1]].iter().map(move |&to| (node as u32, to))
        };
        (0..nodes).flat_map(row).map(|(node, to)| entry(node, to)).collect()
    }
}
