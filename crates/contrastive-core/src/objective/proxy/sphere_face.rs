//! SphereFace, and softmax over classes with a logit of the right class's own.

use super::classes::classes;
use crate::error::{ObjectiveError, positive};
use crate::host::{column, to_f64};
use crate::objective::engine::log_sums::row_products;
use crate::objective::{Inputs, PairObjective, check_types, computed};
use crate::pairs::{Exclusions, PairLists, Pairs};
use crate::similarity::{Similarity, unit_rows};
use burn::tensor::{Int, Tensor, TensorData};

/// SphereFace (Liu et al. 2017, equations 4 to 7): cross-entropy of `scale |x_i| cos(theta_ic)` with one weight row for each class, of which
/// only the direction counts, where the right class has `psi(theta)` in place of the cosine:
///
/// ```text
/// psi(theta) = (-1)^k cos(m theta) - 2 k      for theta in [k pi / m, (k + 1) pi / m]
/// ```
///
/// Rows keep their lengths; a row of zeros is as far from all classes. Memory linear in rows and classes.
#[derive(Clone, Copy, Debug)]
pub struct SphereFace {
    margin: MultipleAngle,
    scale: f64,
}

impl SphereFace {
    /// The angle's factor m (4) and the scale (1).
    ///
    /// # Errors
    /// When m is 0 or above 16, or the scale no finite number above 0.
    pub fn new(margin: usize, scale: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { margin: MultipleAngle::new(margin)?, scale: positive("scale", scale)? })
    }

    /// Rows `[n, d]`, their class numbers, and a weight row for each class, `[c, d]`. The mean over rows, `[1]`.
    ///
    /// # Panics
    /// When there are no rows, rows and labels differ in number, widths differ, or a label is not a class.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64], weights: Tensor<2>) -> Tensor<1> {
        self.margin.loss(rows, labels, unit_rows(computed(weights)), self.scale)
    }
}

/// `[n, d]`: of each row `[n, d]` the weights of its class, among `[c, d]`.
///
/// # Panics
/// When there are no rows, rows and labels differ in number, widths differ, or a label is not a class.
pub(crate) fn own_weights(rows: &Tensor<2>, labels: &[i64], weights: &Tensor<2>) -> Tensor<2> {
    let ([n, d], [c, e]) = (rows.dims(), weights.dims());
    assert!(n > 0 && c > 0, "rows [{n}, {d}] of {c} classes");
    assert_eq!((labels.len(), d), (n, e), "labels and width of rows [{n}, {d}] and weights [{c}, {e}]");
    classes(labels, c);
    let places: Vec<i32> = labels.iter().map(|&l| l as i32).collect();
    weights.clone().select(0, Tensor::<1, Int>::from_data(TensorData::new(places, [n]), &weights.device()))
}

/// A margin that multiplies the angle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MultipleAngle(usize);

impl MultipleAngle {
    pub fn new(factor: usize) -> Result<Self, ObjectiveError> {
        match factor {
            1..=16 => Ok(Self(factor)),
            _ => Err(ObjectiveError::Outside { name: "margin", value: factor as f64, allowed: "1 to 16" }),
        }
    }

    /// The mean cross-entropy of `scale x_i . w_c`, where the right class has `psi` in place of the cosine.
    ///
    /// # Panics
    /// When the shapes do not fit, or a label is not a class.
    pub fn loss(self, rows: Tensor<2>, labels: &[i64], weights: Tensor<2>, scale: f64) -> Tensor<1> {
        check_types(&[("rows", rows.dtype()), ("weights", weights.dtype())]);
        let [rows, weights] = [rows, weights].map(computed);
        let own = own_weights(&rows, labels, &weights);
        let rows = rows * scale;
        let target = self.target(&rows, &own);
        cross_entropy(rows, labels, weights, target)
    }

    /// `[n, 1]`: `|x| |w| psi` of rows and the weights beside them.
    fn target(self, rows: &Tensor<2>, weights: &Tensor<2>) -> Tensor<2> {
        let length = |x: &Tensor<2>| row_products(x, x).clamp_min(1e-24).sqrt();
        let lengths = length(rows) * length(weights);
        let cosines = row_products(rows, weights) / lengths.clone();
        // cos(m theta) by its recurrence in m
        let (mut before, mut now) = (cosines.ones_like(), cosines.clone());
        for _ in 1..self.0 {
            (before, now) = (now.clone(), now * cosines.clone() * 2.0 - before);
        }
        let part = |s: f64| {
            let k = (s.clamp(-1.0, 1.0).acos() * self.0 as f64 / std::f64::consts::PI) as usize;
            k.min(self.0 - 1)
        };
        let parts: Vec<usize> = to_f64(cosines.detach()).into_iter().map(part).collect();
        let signs: Vec<f64> = parts.iter().map(|k| if k.is_multiple_of(2) { 1.0 } else { -1.0 }).collect();
        let steps: Vec<f64> = parts.iter().map(|k| 2.0 * *k as f64).collect();
        let (signs, steps) = (column(&signs, &now), column(&steps, &now));
        (now * signs - steps) * lengths
    }
}

/// The mean over rows of `log(e^{t_i} + sum_{c != y_i} e^{x_i . w_c}) - t_i` with targets `t` `[n, 1]`: InfoNCE of rows that have one
/// more coordinate, 1 for anchors, 0 for weights, the target for positives.
fn cross_entropy(rows: Tensor<2>, labels: &[i64], weights: Tensor<2>, target: Tensor<2>) -> Tensor<1> {
    let c = weights.dims()[0];
    let (nothing, one) = (column(&vec![0.0; c], &weights), target.ones_like());
    let paired = Tensor::cat(vec![rows.zeros_like(), target], 1);
    let inputs = Inputs::new(Tensor::cat(vec![rows, one], 1), Tensor::cat(vec![weights, nothing], 1));
    let targets = PairLists::one_each(labels.iter().map(|&l| l as u32).collect());
    let objective =
        PairObjective::new(1.0).expect("a temperature").with_similarity(Similarity::Dot).with_pairs(Pairs::Beside);
    objective.with_exclusions(Exclusions::lists(targets)).loss(&inputs.with_paired(paired))
}
