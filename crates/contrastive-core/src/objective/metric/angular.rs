//! Angular loss.

use crate::attach::attach_gradients;
use crate::error::ObjectiveError;
use crate::objective::engine::log_sums::row_products;
use crate::objective::engine::metric_rows::labelled;
use crate::objective::{Inputs, PairObjective, Reduction, computed, row_blocks};
use crate::pairs::{Exclusions, PairLists, Pairs};
use crate::similarity::{Similarity, unit_rows};
use burn::tensor::{Int, Tensor, TensorData};
use std::collections::BTreeMap;

/// Positive pairs that are evaluated together.
const PAIRS: usize = 4096;

/// Angular loss (Wang et al. 2017, equations 6 and 8) of unit rows under labels: for each positive pair (a, p),
///
/// ```text
/// log(1 + sum_n e^{f_apn})         f_apn = 4 tan^2(alpha) (x_a + x_p) . x_n - 2 (1 + tan^2(alpha)) x_a . x_p
/// ```
///
/// over all rows n of other labels; the mean over positive pairs, 0 without any. It bounds the angle at the negative of the triangle of
/// the three.
///
/// Pairs are evaluated 4096 at a time, each such block as one softmax over all rows: 6 P n d flops for P unordered pairs, memory linear in
/// the rows.
#[derive(Clone, Copy, Debug)]
pub struct Angular {
    /// The square of the tangent of alpha.
    square: f64,
}

impl Angular {
    /// The angle alpha in radians (the paper uses 36 to 55 degrees; PyTorch Metric Learning's default is 40, 0.698).
    ///
    /// # Errors
    /// When it is not above 0 and below a quarter turn.
    pub fn new(alpha: f64) -> Result<Self, ObjectiveError> {
        if !(alpha > 0.0 && alpha < std::f64::consts::FRAC_PI_2) {
            return Err(ObjectiveError::Outside { name: "alpha", value: alpha, allowed: "0 to pi / 2, both excluded" });
        }
        Ok(Self { square: alpha.tan().powi(2) })
    }

    /// Rows `[n, d]` with a label each, compared by direction. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no rows, or rows and labels differ in number.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        let [n, d] = rows.dims();
        assert!(n > 0 && d > 0, "rows [{n}, {d}]");
        labelled(&rows, labels);
        let classes = classes(labels);
        let blocks = blocks(&classes);
        let pairs: usize = blocks.iter().map(Block::pairs).sum();
        if pairs == 0 {
            // 0, or NaN
            let value = (rows.clone().inner() * 0.0).sum();
            return attach_gradients(value, [(&rows, Some(rows.clone().inner().zeros_like()))]);
        }
        let weights = vec![1.0 / pairs as f64; blocks.len()];
        row_blocks(&[], &[unit_rows(computed(rows))], &weights, 1, |at, _, tables| {
            self.sum(&tables[0], labels, &blocks[at]).reshape([1, 1])
        })
    }

    /// The sum over a block of pairs: InfoNCE with one more coordinate, 1 for anchors, 0 for candidates, the positive's logit for the
    /// positive.
    fn sum(&self, x: &Tensor<2>, labels: &[i64], block: &Block) -> Tensor<1> {
        let [first, second] = block.rows().map(|places| {
            let k = places.len();
            let places = Tensor::<1, Int>::from_data(TensorData::new(places, [k]), &x.device());
            x.clone().select(0, places)
        });
        let own = row_products(&first, &second) * (2.0 * (1.0 + self.square));
        let nothing = x.clone().slice([0..labels.len(), 0..1]).zeros_like();
        let anchors = Tensor::cat(vec![(first.clone() + second) * (4.0 * self.square), own.ones_like()], 1);
        let paired = Tensor::cat(vec![first.zeros_like(), own], 1);
        let inputs = Inputs::new(anchors, Tensor::cat(vec![x.clone(), nothing], 1)).with_paired(paired);
        let same = PairLists::classes(&vec![block.label; block.pairs()], labels);
        let objective = PairObjective::new(1.0).expect("a temperature").with_similarity(Similarity::Dot);
        objective
            .with_pairs(Pairs::Beside)
            .with_exclusions(Exclusions::lists(same))
            .with_reduction(Reduction::Sum)
            .loss(&inputs)
    }
}

/// The rows of each label; none where there is a single label, for want of negatives.
fn classes(labels: &[i64]) -> BTreeMap<i64, Vec<i32>> {
    let mut classes: BTreeMap<i64, Vec<i32>> = BTreeMap::new();
    for (i, label) in labels.iter().enumerate() {
        classes.entry(*label).or_default().push(i as i32);
    }
    if classes.len() > 1 { classes } else { BTreeMap::new() }
}

/// All positive pairs, about [`PAIRS`] in a block.
fn blocks(classes: &BTreeMap<i64, Vec<i32>>) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    for (&label, rows) in classes {
        let mut rows = &rows[..];
        while rows.len() > 1 {
            let firsts = (PAIRS / (rows.len() - 1)).clamp(1, rows.len() - 1);
            blocks.push(Block { label, rows, firsts });
            rows = &rows[firsts..];
        }
    }
    blocks
}

/// The pairs of some rows of a class with the rows of the class after them.
struct Block<'a> {
    label: i64,
    /// Of the class, from the first of these rows on.
    rows: &'a [i32],
    firsts: usize,
}

impl Block<'_> {
    fn pairs(&self) -> usize {
        (0..self.firsts).map(|k| self.rows.len() - 1 - k).sum()
    }

    /// First and second rows of the pairs.
    fn rows(&self) -> [Vec<i32>; 2] {
        let pairs = || (0..self.firsts).flat_map(|k| self.rows[k + 1..].iter().map(move |p| (self.rows[k], *p)));
        [pairs().map(|p| p.0).collect(), pairs().map(|p| p.1).collect()]
    }
}
