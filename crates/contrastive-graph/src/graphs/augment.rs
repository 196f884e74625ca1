//! Copies of a small graph that differ from it by a known number of edges.

use super::data::SmallGraph;
use crate::draw::{below, keep_exactly, share_of, unit};
use rand_chacha::ChaCha8Rng;

/// How edits are made and counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum EditCount {
    /// A deleted pair is not added again, and each deleted and each added pair counts: replacing r pairs is 2 r edits.
    #[default]
    Exact,
    /// As the released code for molecules: a deleted pair may be added again, and replacing r pairs counts as r.
    Official,
}

/// A perturbed copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewired {
    /// The copy.
    pub graph: SmallGraph,
    /// Pairs that were replaced: as many as asked for, or as the region has links or free pairs.
    pub replaced: usize,
    /// The edits that [`EditCount`] counts.
    pub edits: usize,
}

/// The nodes within `hops` links of a node, ascending.
///
/// # Panics
/// When there is no such node.
pub fn ball(graph: &SmallGraph, centre: u32, hops: usize) -> Vec<u32> {
    let mut near = vec![Vec::new(); graph.labels.len()];
    for &(a, b) in &graph.edges {
        near[a as usize].push(b);
        near[b as usize].push(a);
    }
    let mut seen = vec![false; near.len()];
    seen[centre as usize] = true;
    let (mut all, mut border) = (vec![centre], vec![centre]);
    for _ in 0..hops {
        let mut next = Vec::new();
        for node in border {
            for &other in &near[node as usize] {
                if !std::mem::replace(&mut seen[other as usize], true) {
                    next.push(other);
                }
            }
        }
        all.extend_from_slice(&next);
        border = next;
    }
    all.sort_unstable();
    all
}

/// Number of links among some nodes, which ascend.
pub fn links_within(graph: &SmallGraph, region: &[u32]) -> usize {
    let within = |node: &u32| region.binary_search(node).is_ok();
    graph.edges.iter().filter(|(a, b)| within(a) && within(b)).count()
}

/// The pair of this rank among `(0, 1), (0, 2), ..., (1, 2), ...` of `size` nodes.
fn pair(rank: u64, size: u64) -> (u64, u64) {
    // pairs before row a: a (2 size - a - 1) / 2
    let before = |a: u64| a * (2 * size - a - 1) / 2;
    let (mut low, mut high) = (0, size - 1);
    while low + 1 < high {
        let middle = u64::midpoint(low, high);
        if before(middle) <= rank { low = middle } else { high = middle }
    }
    (low, low + 1 + rank - before(low))
}

/// Deletes `replace` random links among the nodes of `region`, which ascend, and links as many random pairs there that were not
/// linked, so that the graph stays simple and its number of links the same. Fewer where there are fewer links or free pairs: a clique has none.
/// New links get a label drawn from `label_shares`, probabilities by label.
///
/// Free pairs are drawn by their rank and never listed: the time is in proportion to the links of the graph.
///
/// # Panics
/// When the region names a node beyond the graph.
pub fn rewire(
    graph: &SmallGraph,
    region: &[u32],
    replace: usize,
    label_shares: &[f64],
    count: EditCount,
    rng: &mut ChaCha8Rng,
) -> Rewired {
    assert!(region.last().is_none_or(|&last| (last as usize) < graph.labels.len()), "a region beyond the graph");
    let size = region.len() as u64;
    let rank_of = |&(a, b): &(u32, u32)| -> Option<u64> {
        let (a, b) = (region.binary_search(&a).ok()? as u64, region.binary_search(&b).ok()? as u64);
        Some(a * (2 * size - a - 1) / 2 + b - a - 1)
    };
    let inside: Vec<(usize, u64)> =
        graph.edges.iter().enumerate().filter_map(|(at, edge)| Some((at, rank_of(edge)?))).collect();
    let pairs = size * size.saturating_sub(1) / 2;
    let free = pairs as usize - inside.len();
    let replaced = replace.min(inside.len()).min(free);
    let deleted = keep_exactly(rng, inside.len(), replaced);
    // ranks that are taken, ascending: links before the deletion, or after it
    let allowed_again = |deleted: bool| deleted && count == EditCount::Official;
    let mut taken: Vec<u64> =
        inside.iter().zip(&deleted).filter(|(_, deleted)| !allowed_again(**deleted)).map(|(link, _)| link.1).collect();
    let mut gone = vec![false; graph.edges.len()];
    inside.iter().zip(&deleted).for_each(|(link, &deleted)| gone[link.0] = deleted);
    let kept = graph.edges.iter().zip(&graph.edge_labels).zip(&gone).filter(|(_, gone)| !**gone);
    let mut links: Vec<((u32, u32), u32)> = kept.map(|((edge, label), _)| (*edge, *label)).collect();
    for _ in 0..replaced {
        let nth = u64::from(below(rng, (pairs - taken.len() as u64).min(u64::from(u32::MAX)) as u32));
        // the nth rank that is not taken: `taken[at] - at` free ranks lie before taken rank `at`
        let (mut low, mut high) = (0, taken.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if taken[middle] - middle as u64 > nth { high = middle } else { low = middle + 1 }
        }
        let rank = nth + low as u64;
        taken.insert(low, rank);
        let (a, b) = pair(rank, size);
        links.push(((region[a as usize], region[b as usize]), draw_label(label_shares, rng)));
    }
    links.sort_unstable();
    let edits = if count == EditCount::Exact { 2 * replaced } else { replaced };
    let (edges, edge_labels) = links.into_iter().unzip();
    Rewired { graph: SmallGraph { labels: graph.labels.clone(), edges, edge_labels }, replaced, edits }
}

fn draw_label(shares: &[f64], rng: &mut ChaCha8Rng) -> u32 {
    if shares.len() < 2 {
        return 0;
    }
    let mut left = unit(rng) * shares.iter().sum::<f64>();
    for (label, share) in (0u32..).zip(shares) {
        if left < *share {
            return label;
        }
        left -= share;
    }
    shares.iter().rposition(|share| *share > 0.0).unwrap_or(0) as u32
}

/// Sets the labels of this share of the nodes of a region, rounded down, to `token`.
///
/// # Panics
/// When the region names a node beyond the graph.
pub fn mask_labels(graph: &mut SmallGraph, region: &[u32], share: f64, token: u32, rng: &mut ChaCha8Rng) {
    let masked = keep_exactly(rng, region.len(), share_of(region.len(), share));
    region.iter().zip(masked).filter(|(_, masked)| *masked).for_each(|(&node, _)| graph.labels[node as usize] = token);
}
