//! The keys of pairs that are not joined, row by row.

use super::counts::OrbitCounts;
use super::edges::Graphlets;
use super::orbit::Orbit;
use rayon::prelude::*;
use std::ops::Range;

/// Sums over the paths from one node to others, and which nodes they reach.
struct Scratch {
    /// P: paths of two edges.
    paths: Vec<i64>,
    /// Q: edges among common neighbours.
    inside: Vec<i64>,
    /// `A T`, `A S` or `S A`, or the `P A` of three hops: what the key needs.
    sum: Vec<i64>,
    seen: Vec<bool>,
    far: Vec<bool>,
    reached: Vec<u32>,
    neighbour: Vec<bool>,
    second: Vec<bool>,
}

impl Scratch {
    fn new(nodes: usize) -> Self {
        let (zeros, no) = (vec![0; nodes], vec![false; nodes]);
        Self {
            paths: zeros.clone(),
            inside: zeros.clone(),
            sum: zeros,
            seen: no.clone(),
            far: no.clone(),
            reached: Vec::new(),
            neighbour: no.clone(),
            second: no,
        }
    }
}

impl Graphlets {
    /// A block of the rows of a key, `[rows.len(), nodes]`: what the memory for a whole matrix does not allow at once. For the transpose
    /// of a key with two orbits this makes the whole matrix first.
    ///
    /// # Panics
    /// When the rows end beyond the nodes.
    pub fn orbit_rows(&self, key: Orbit, rows: Range<usize>) -> OrbitCounts {
        let nodes = self.num_nodes();
        assert!(rows.end <= nodes, "rows {rows:?} of {nodes}");
        if key.is_edge() {
            let values = self.on_entries(key);
            let row = |node| {
                let entries = self.row(node).filter(|&at| values[at] > 0);
                entries.map(|at| (self.indices[at], values[at])).collect()
            };
            return OrbitCounts::from_rows(nodes, rows.map(row));
        }
        if key != key.ascending() {
            let whole = self.orbit(key);
            let row = |node| {
                let (columns, counts) = whole.row(node);
                columns.iter().copied().zip(counts.iter().copied()).collect()
            };
            return OrbitCounts::from_rows(nodes, rows.map(row));
        }
        let made: Vec<Vec<(u32, u64)>> = rows
            .into_par_iter()
            .map_init(|| Scratch::new(nodes), |scratch, node| self.distant_row(key, node, scratch))
            .collect();
        OrbitCounts::from_rows(nodes, made)
    }

    fn distant_row(&self, key: Orbit, node: usize, scratch: &mut Scratch) -> Vec<(u32, u64)> {
        let (from, to) = key.orbits();
        self.row(node).for_each(|at| scratch.neighbour[self.indices[at] as usize] = true);
        for near in self.row(node) {
            let ends = self.ends(near);
            for at in self.row(self.indices[near] as usize) {
                let x = self.indices[at] as usize;
                if x == node || scratch.neighbour[x] {
                    continue;
                }
                if !std::mem::replace(&mut scratch.seen[x], true) {
                    scratch.reached.push(x as u32);
                }
                scratch.paths[x] += 1;
                match (from, to) {
                    (9, 10) | (4, 4) => scratch.sum[x] += self.triangles[at],
                    (4, 5) => scratch.sum[x] += self.ends(at),
                    (6, 6) => scratch.sum[x] += ends - self.triangles[at],
                    _ => {}
                }
            }
        }
        if !matches!((from, to), (1, 1)) {
            self.count_inside(node, scratch);
        }
        if key.hops() == 3 {
            return self.third_hop(node, scratch);
        }
        let value = |x: usize| {
            let (p, q, sum) = (scratch.paths[x], scratch.inside[x], scratch.sum[x]);
            let cycle = p * (p - 1) / 2 - q;
            match (from, to) {
                (1, 1) => p,
                (12, 12) => q,
                (8, 8) => cycle,
                (9, 10) => sum - 2 * q,
                (4, 5) => sum - 2 * cycle,
                // S A - P - (A T - 2 Q), with S A - A T in the sum
                _ => sum - p + 2 * q,
            }
        };
        scratch.reached.sort_unstable();
        let row = scratch.reached.iter().map(|&x| (x, value(x as usize)));
        let row = row.inspect(|entry| debug_assert!(entry.1 >= 0, "a count of {}", entry.1));
        let row = row.filter(|entry| entry.1 > 0).map(|(x, count)| (x, count as u64)).collect();
        self.clear(node, scratch);
        row
    }

    /// Q: for every edge among the neighbours, one for each further common neighbour of its ends.
    fn count_inside(&self, node: usize, scratch: &mut Scratch) {
        for near in self.row(node) {
            let k = self.indices[near];
            if self.triangles[near] == 0 {
                continue;
            }
            self.row(k as usize).for_each(|at| scratch.second[self.indices[at] as usize] = true);
            for at in self.row(k as usize) {
                let l = self.indices[at];
                if l > k && scratch.neighbour[l as usize] {
                    for last in self.row(l as usize) {
                        let x = self.indices[last] as usize;
                        if scratch.second[x] && x != node && !scratch.neighbour[x] {
                            scratch.inside[x] += 1;
                        }
                    }
                }
            }
            self.row(k as usize).for_each(|at| scratch.second[self.indices[at] as usize] = false);
        }
    }

    /// Ends of paths of four nodes: `N (P A) - G`.
    fn third_hop(&self, node: usize, scratch: &mut Scratch) -> Vec<(u32, u64)> {
        let mut ends = Vec::new();
        let (mut sums, mut far) = (std::mem::take(&mut scratch.sum), std::mem::take(&mut scratch.far));
        // G = A T - 2 Q of the second hop comes off; what the third hop adds is at least that
        for &x in &scratch.reached {
            let x = x as usize;
            sums[x] = 2 * scratch.inside[x] - sums[x];
            if !std::mem::replace(&mut far[x], true) {
                ends.push(x as u32);
            }
        }
        for &k in &scratch.reached {
            for at in self.row(k as usize) {
                let x = self.indices[at] as usize;
                if x != node && !scratch.neighbour[x] {
                    if !std::mem::replace(&mut far[x], true) {
                        ends.push(x as u32);
                    }
                    sums[x] += scratch.paths[k as usize];
                }
            }
        }
        ends.sort_unstable();
        let mut row = Vec::new();
        for x in ends {
            let count = std::mem::take(&mut sums[x as usize]);
            debug_assert!(count >= 0, "a count of {count}");
            far[x as usize] = false;
            if count > 0 {
                row.push((x, count as u64));
            }
        }
        (scratch.sum, scratch.far) = (sums, far);
        self.clear(node, scratch);
        row
    }

    fn clear(&self, node: usize, scratch: &mut Scratch) {
        self.row(node).for_each(|at| scratch.neighbour[self.indices[at] as usize] = false);
        for x in scratch.reached.drain(..) {
            let x = x as usize;
            (scratch.paths[x], scratch.inside[x], scratch.sum[x], scratch.seen[x]) = (0, 0, 0, false);
        }
    }
}
