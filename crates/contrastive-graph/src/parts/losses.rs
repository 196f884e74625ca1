//! Losses that several methods share.

use crate::user_item::data::TripleBatch;
use crate::user_item::encoder::UserItemGraph;
use burn::config::Config;
use burn::tensor::Tensor;
use contrastive_core::attach::attach;
use contrastive_core::linear::gather_rows;
use contrastive_core::objective::{Inputs, PairObjective, Reduction, bpr};
use contrastive_core::pairs::{Exclusions, Pairs};
use contrastive_train::{Check, SettingError};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;
use std::sync::Arc;

/// Among whom an anchor finds itself.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Candidates {
    /// All nodes of its side (SGL, LightGCL).
    All,
    /// Its own row and this many others, drawn for each batch, weighted to stand for all.
    Sampled {
        /// How many.
        count: usize,
    },
    /// The different nodes of its side in the batch (SimGCL, XSimGCL).
    Batch,
}

impl Candidates {
    /// Checks the count.
    ///
    /// # Errors
    /// When it is 0.
    pub fn validate(self, check: &Check) -> Result<(), SettingError> {
        match self {
            Self::All | Self::Batch => Ok(()),
            Self::Sampled { count } => check.count("candidates", count),
        }
    }
}

/// BPR of a batch (Rendle et al. 2009), the mean over its triples.
///
/// # Shapes
/// - embeddings: `[I + J, d]`, users, then items
///
/// # Panics
/// When the embeddings are not those of the graph, or a node of the batch is not in it.
pub fn ranking_loss(graph: &UserItemGraph, embeddings: &Tensor<2>, batch: &TripleBatch<'_>) -> Tensor<1> {
    let b = batch.users.len();
    let rows = gather_rows(embeddings.clone(), &graph.batch_nodes(batch));
    let d = rows.dims()[1];
    let part = |k: usize| rows.clone().slice([k * b..(k + 1) * b, 0..d]);
    bpr(part(0), part(1), part(2))
}

/// `weight / 2b` times the sum of squares of the batch's rows of the table `[I + J, d]`, a node as often as the batch of b triples names
/// it (LightGCN: layer 0 only).
///
/// # Panics
/// As [`ranking_loss`].
pub fn batch_penalty(graph: &UserItemGraph, table: &Tensor<2>, batch: &TripleBatch<'_>, weight: f64) -> Tensor<1> {
    let rows = gather_rows(table.clone(), &graph.batch_nodes(batch));
    (rows.clone() * rows).sum() * (0.5 * weight / batch.users.len() as f64)
}

/// `weight` times the sum of squares of the whole table (LightGCL), with its gradient `2 weight x` ready.
pub fn table_penalty(table: &Tensor<2>, weight: f64) -> Tensor<1> {
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
#[derive(Clone, Debug)]
pub struct Side {
    nodes: Vec<u32>,
    weights: Vec<f64>,
    anchors: Tensor<2>,
    table: Tensor<2>,
}

impl Side {
    /// Each different node of a list once, weighted with its share in the list: the same value as with a term for each mention.
    ///
    /// # Shapes
    /// - table: `[all of the side, d]`, the other view; `anchors`, given the different nodes: a row for each, `[k, d]`, of the one view
    pub fn new(listed: impl Iterator<Item = u32>, table: Tensor<2>, anchors: impl FnOnce(&[u32]) -> Tensor<2>) -> Self {
        let (nodes, weights) = distinct(listed);
        Self { anchors: anchors(&nodes), nodes, weights, table }
    }

    /// Users and items of two views `[I + J, d]`, the anchors and those among whom they find themselves.
    ///
    /// # Panics
    /// When the views are not those of the graph, or there is no such node.
    pub fn both(graph: &UserItemGraph, [anchors, table]: [&Tensor<2>; 2], users: &[u32], items: &[u32]) -> [Self; 2] {
        let (of_users, of_items) = graph.split(table.clone());
        let rows = |first: u32, side: &[u32]| {
            let nodes: Vec<u32> = side.iter().map(|node| node + first).collect();
            gather_rows(anchors.clone(), &nodes)
        };
        [
            Self::new(users.iter().copied(), of_users, |side| rows(0, side)),
            Self::new(items.iter().copied(), of_items, |side| rows(graph.users as u32, side)),
        ]
    }

    /// The different nodes with equal weights, however often each is listed (SimGCL, XSimGCL).
    pub fn equally_weighted(mut self) -> Self {
        let share = 1.0 / self.nodes.len() as f64;
        self.weights.fill(share);
        self
    }
}

/// The sum over users and items of what it costs that each anchor finds itself among the candidates of its side: the mean over
/// anchors of an InfoNCE whose positive is the same node in the other view.
///
/// With [`Candidates::Sampled`], the candidates are that many rows drawn from the table, standing for the rest with the weight
/// `(rows - 1) / count`, beside the anchor's own row; a draw of the own row is not compared. Only then `rng` is used.
pub fn cross_view_info_nce(
    objective: &PairObjective,
    sides: [Side; 2],
    candidates: Candidates,
    rng: &mut ChaCha8Rng,
) -> Tensor<1> {
    if candidates == Candidates::Batch {
        return batch_info_nce(objective, sides);
    }
    let [users, items] = sides.map(|side| side_info_nce(objective, side, candidates, rng));
    users + items
}

/// [`cross_view_info_nce`] among the different nodes of the batch ([`Candidates::Batch`]), which draws nothing.
pub fn batch_info_nce(objective: &PairObjective, sides: [Side; 2]) -> Tensor<1> {
    let [users, items] = sides.map(|Side { nodes, weights, anchors, table }| {
        let objective =
            objective.clone().with_reduction(Reduction::Weighted(Arc::new(weights))).with_pairs(Pairs::Diagonal);
        objective.loss(&Inputs::new(anchors, gather_rows(table, &nodes)))
    });
    users + items
}

fn side_info_nce(objective: &PairObjective, side: Side, candidates: Candidates, rng: &mut ChaCha8Rng) -> Tensor<1> {
    let Side { nodes, weights, anchors, table } = side;
    let objective = objective.clone().with_reduction(Reduction::Weighted(Arc::new(weights)));
    let rows = table.dims()[0];
    match candidates {
        Candidates::Sampled { count } if count < rows => {
            let drawn = draw(count, rows, rng);
            let own = gather_rows(table.clone(), &nodes);
            let candidates = gather_rows(table, &drawn);
            let log_weight = ((rows - 1) as f64 / count as f64).ln();
            let bias = Tensor::from_data(
                burn::tensor::TensorData::new(vec![log_weight; count], [count]),
                (&anchors.device().inner(), anchors.dtype()),
            );
            let ids = |v: &[u32]| v.iter().map(|&x| i64::from(x)).collect::<Vec<_>>();
            let objective =
                objective.with_pairs(Pairs::Beside).with_exclusions(Exclusions::same_ids(&ids(&nodes), &ids(&drawn)));
            objective.loss(&Inputs::new(anchors, candidates).with_paired(own).with_bias(bias))
        }
        _ => objective.with_pairs(Pairs::one_each(nodes)).loss(&Inputs::new(anchors, table)),
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
    use crate::parts::{Noise, to_array};
    use rand::SeedableRng;

    #[test]
    fn distinct_nodes_carry_their_share() {
        let (nodes, shares) = distinct([4, 2, 4, 4].into_iter());
        assert_eq!((nodes, shares), (vec![4, 2], vec![0.75, 0.25]));
    }

    fn table(rows: usize, seed: u64) -> Tensor<2> {
        Noise::seeded(seed).uniform_like(&Tensor::zeros([rows, 4], &burn::tensor::Device::default()))
    }

    fn number(loss: Tensor<1>) -> f64 {
        loss.into_data().iter::<f64>().next().unwrap()
    }

    /// A batch of all nodes has all of them as candidates; of fewer, the value is InfoNCE of those rows written out.
    #[test]
    fn the_batch_as_candidates_is_info_nce_of_its_different_nodes() {
        let objective = PairObjective::new(0.2).unwrap();
        let graph = UserItemGraph::new(&crate::user_item::data::Interactions::from_pairs(5, 4, [(0, 0)]).unwrap());
        let (one, other) = (table(9, 1), table(9, 2));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut loss = |users: &[u32], items: &[u32], candidates| {
            let sides = Side::both(&graph, [&one, &other], users, items).map(Side::equally_weighted);
            number(cross_view_info_nce(&objective, sides, candidates, &mut rng))
        };
        let (users, items) = ([3, 0, 1, 2, 4, 4], [0, 1, 3, 2]);
        let (batch, all) = (loss(&users, &items, Candidates::Batch), loss(&users, &items, Candidates::All));
        assert!((batch - all).abs() < 1e-5, "{batch} {all}");
        // users 3 and 0, of which 3 is named twice, and one item, which finds itself alone
        let found = loss(&[3, 0, 3], &[2], Candidates::Batch);
        let (a, b) = (to_array(&one), to_array(&other));
        let cosine = |i: usize, j: usize| {
            let (x, y) = (a.row(i), b.row(j));
            f64::from(x.dot(&y) / (x.dot(&x) * y.dot(&y)).sqrt()) / 0.2
        };
        let term = |i: usize, j: usize| (cosine(i, i).exp() + cosine(i, j).exp()).ln() - cosine(i, i);
        let expected = 0.5 * (term(3, 0) + term(0, 3));
        assert!((found - expected).abs() < 1e-4, "{found} {expected}");
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
