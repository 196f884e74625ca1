//! Losses that several methods share.

use super::training::Candidates;
use crate::user_item::data::TripleBatch;
use crate::user_item::encoder::UserItemGraph;
use burn::tensor::Tensor;
use contrastive_core::attach::attach;
use contrastive_core::linear::gather_rows;
use contrastive_core::objective::{Inputs, PairObjective, Reduction, bpr};
use contrastive_core::pairs::{Exclusions, Pairs};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::sync::Arc;

/// BPR of a batch on the embeddings `[I + J, d]`, and the embeddings' rows it used, `[3b, d]`.
pub(crate) fn ranking_loss(graph: &UserItemGraph, embeddings: &Tensor<2>, batch: &TripleBatch<'_>) -> Tensor<1> {
    let b = batch.users.len();
    let rows = gather_rows(embeddings.clone(), &graph.batch_nodes(batch));
    let d = rows.dims()[1];
    let part = |k: usize| rows.clone().slice([k * b..(k + 1) * b, 0..d]);
    bpr(part(0), part(1), part(2))
}

/// `weight / 2b` times the sum of squares of the batch's rows of the table (LightGCN: layer 0 only).
pub(crate) fn batch_penalty(
    graph: &UserItemGraph,
    table: &Tensor<2>,
    batch: &TripleBatch<'_>,
    weight: f64,
) -> Tensor<1> {
    let rows = gather_rows(table.clone(), &graph.batch_nodes(batch));
    (rows.clone() * rows).sum() * (0.5 * weight / batch.users.len() as f64)
}

/// `weight` times the sum of squares of the whole table (LightGCL), with its gradient `2 weight x` ready.
pub(crate) fn table_penalty(table: &Tensor<2>, weight: f64) -> Tensor<1> {
    let x = table.clone().inner();
    let value = (x.clone() * x.clone()).sum() * weight;
    attach(value, table, x * (2.0 * weight))
}

/// The different nodes of a list, in order of first appearance, and the share of each in the list.
fn distinct(nodes: impl Iterator<Item = u32>) -> (Vec<u32>, Vec<f64>) {
    let mut place = HashMap::new();
    let (mut different, mut counts) = (Vec::new(), Vec::new());
    let mut total = 0usize;
    for node in nodes {
        total += 1;
        let at = *place.entry(node).or_insert(different.len());
        if at == different.len() {
            different.push(node);
            counts.push(0.0);
        }
        counts[at] += 1.0;
    }
    counts.iter_mut().for_each(|c: &mut f64| *c /= total as f64);
    (different, counts)
}

/// Some users, or some items, of one view, and all of the other view.
pub(crate) struct Side {
    nodes: Vec<u32>,
    weights: Vec<f64>,
    anchors: Tensor<2>,
    table: Tensor<2>,
}

impl Side {
    /// From a list with repetitions, the table `[all, d]` of the other view, and the rows of nodes in the one view.
    pub fn new(listed: impl Iterator<Item = u32>, table: Tensor<2>, anchors: impl FnOnce(&[u32]) -> Tensor<2>) -> Self {
        let (nodes, weights) = distinct(listed);
        Self { anchors: anchors(&nodes), nodes, weights, table }
    }
}

/// The sum over users and items of what it costs that each finds itself among all of its side ([`side_info_nce`]).
pub(crate) fn cross_view_info_nce(
    objective: &PairObjective,
    sides: [Side; 2],
    candidates: Candidates,
    rng: &mut ChaCha8Rng,
) -> Tensor<1> {
    let [users, items] = sides.map(|Side { nodes, weights, anchors, table }| {
        side_info_nce(objective, anchors, &table, nodes, weights, candidates.sample().map(|size| (size, &mut *rng)))
    });
    users + items
}

/// Each of `nodes` finds itself among the rows of `table`, where anchor rows are given beside: `weights` are those of the
/// anchors. With `sample`, the candidates are that many rows drawn from the table, standing for the rest with the weight
/// `(rows - 1) / sample`, beside the anchor's own row; a draw of the own row is not compared.
fn side_info_nce(
    objective: &PairObjective,
    anchors: Tensor<2>,
    table: &Tensor<2>,
    nodes: Vec<u32>,
    weights: Vec<f64>,
    sample: Option<(usize, &mut ChaCha8Rng)>,
) -> Tensor<1> {
    let objective = objective.clone().with_reduction(Reduction::Weighted(Arc::new(weights)));
    let rows = table.dims()[0];
    match sample {
        Some((size, rng)) if size < rows => {
            let drawn = draw(size, rows, rng);
            let own = gather_rows(table.clone(), &nodes);
            let candidates = gather_rows(table.clone(), &drawn);
            let log_weight = ((rows - 1) as f64 / size as f64).ln();
            let bias = Tensor::from_data(
                burn::tensor::TensorData::new(vec![log_weight; size], [size]),
                (&anchors.device().inner(), anchors.dtype()),
            );
            let ids = |v: &[u32]| v.iter().map(|&x| i64::from(x)).collect::<Vec<_>>();
            let objective =
                objective.with_pairs(Pairs::Beside).with_exclusions(Exclusions::same_ids(&ids(&nodes), &ids(&drawn)));
            objective.loss(&Inputs::new(anchors, candidates).with_paired(own).with_bias(bias))
        }
        _ => objective.with_pairs(Pairs::one_each(nodes)).loss(&Inputs::new(anchors, table.clone())),
    }
}

/// `size` different rows of `rows`, ascending (Floyd's sampling).
fn draw(size: usize, rows: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    use rand::RngExt;
    let mut chosen = std::collections::BTreeSet::new();
    for j in rows - size..rows {
        let t = rng.random_range(0..=j) as u32;
        if !chosen.insert(t) {
            chosen.insert(j as u32);
        }
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn distinct_nodes_carry_their_share() {
        let (nodes, shares) = distinct([4, 2, 4, 4].into_iter());
        assert_eq!((nodes, shares), (vec![4, 2], vec![0.75, 0.25]));
    }

    #[test]
    fn draws_are_different_rows_and_follow_the_seed() {
        let rng = || ChaCha8Rng::seed_from_u64(3);
        let a = draw(40, 50, &mut rng());
        assert_eq!(a, draw(40, 50, &mut rng()));
        assert!(a.windows(2).all(|w| w[0] < w[1]) && a.len() == 40 && a[39] < 50);
        assert_eq!(draw(50, 50, &mut rng()).len(), 50);
    }
}
