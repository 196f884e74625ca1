//! What a softmax contrastive loss does to its negatives (Wang and Liu 2021): how the gradient is shared out among them by hardness,
//! and what becomes of the features. For tuning a temperature, and for watching a run.
//!
//! With similarities s of an anchor, its positive p and its negatives k, the loss `-log(e^{s_p / tau} / (e^{s_p / tau} + sum_k e^{s_k /
//! tau}))` has the gradient `P_k / tau` in a negative and minus their sum in the positive. A negative's share of it,
//!
//! ```text
//! r_k = e^{s_k / tau} / sum_l e^{s_l / tau}        entropy H(r), non-decreasing in tau: dH / dtau = Var_r(s) / tau^3
//! ```
//!
//! does not depend on the positive: a small temperature punishes the hardest negatives alone, a large one all alike. Features become
//! uniform under the first, tolerant of rows that belong together under the second.
//!
//! Everything here works on blocks of rows: no n x m matrix.

use crate::objective::{Inputs, Uniformity, computed_in};
use crate::pairs::{Exclusions, Pairs};
use crate::similarity::{Compared, Similarity};
use crate::temperature::Temperature;
use burn::tensor::Tensor;
use rayon::prelude::*;
use thiserror::Error;

/// What can be wrong with what is to be analysed.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum BehaviourError {
    /// A setting out of range.
    #[error(transparent)]
    Setting(#[from] crate::error::ObjectiveError),
    /// An anchor without negatives.
    #[error("anchor {0} has no negatives")]
    NoNegatives(usize),
    /// An anchor without a positive.
    #[error("anchor {0} has no positive")]
    NoPositive(usize),
    /// Numbers that differ.
    #[error("{labels} labels for {rows} rows")]
    Labels {
        /// Labels.
        labels: usize,
        /// Rows.
        rows: usize,
    },
    /// No two rows with the same label.
    #[error("no pairs: no two of {0} rows have the same label")]
    NoPairs(usize),
    /// A row that does not lie on the sphere.
    #[error("row {row} has length {length}: it must be 1, to 1e-3")]
    NotUnit {
        /// Which.
        row: usize,
        /// Its length.
        length: f64,
    },
    /// Similarities that are NaN or infinite.
    #[error("the similarities of anchor {0} are not finite")]
    NotFinite(usize),
    /// Too few rows.
    #[error("{rows} rows: it needs at least {least}")]
    Few {
        /// Rows.
        rows: usize,
        /// Least rows.
        least: usize,
    },
}

/// Loss and gradient of one anchor, by the closed form: the oracle of softmax objectives.
#[derive(Clone, Debug, PartialEq)]
pub struct RowGradient {
    /// The loss.
    pub loss: f64,
    /// Its derivative by the similarity of the positive: minus the sum of `negatives`.
    pub positive: f64,
    /// Its derivatives by the similarities of the negatives.
    pub negatives: Vec<f64>,
}

/// Loss and gradient of an anchor with these similarities.
///
/// # Errors
/// When the temperature is zero, negative, infinite or NaN, a similarity not finite, or there are no negatives.
pub fn row_gradient(positive: f64, negatives: &[f64], temperature: f64) -> Result<RowGradient, BehaviourError> {
    let shares = penalties(negatives, temperature)?;
    if !positive.is_finite() {
        return Err(BehaviourError::NotFinite(0));
    }
    let all = log_sum_exp(negatives, temperature);
    let gap = all - positive / temperature;
    // the softmax's mass of the negatives
    let mass = if gap >= 0.0 { 1.0 / (1.0 + (-gap).exp()) } else { gap.exp() / (1.0 + gap.exp()) };
    Ok(RowGradient {
        loss: gap.max(0.0) + (-gap.abs()).exp().ln_1p(),
        positive: -mass / temperature,
        negatives: shares.iter().map(|r| r * mass / temperature).collect(),
    })
}

/// `r`: each negative's share of the gradient; the shares add up to 1.
///
/// # Errors
/// When the temperature is zero, negative, infinite or NaN, a similarity not finite, or there are no negatives.
pub fn penalties(negatives: &[f64], temperature: f64) -> Result<Vec<f64>, BehaviourError> {
    Temperature::fixed(temperature)?;
    if negatives.is_empty() {
        return Err(BehaviourError::NoNegatives(0));
    }
    if negatives.iter().any(|s| !s.is_finite()) {
        return Err(BehaviourError::NotFinite(0));
    }
    let all = log_sum_exp(negatives, temperature);
    Ok(negatives.iter().map(|s| (s / temperature - all).exp()).collect())
}

/// `-sum r log r`; `e^H` is the number of negatives that share the gradient.
pub fn entropy(penalties: &[f64]) -> f64 {
    -penalties.iter().filter(|r| **r > 0.0).map(|r| r * r.ln()).sum::<f64>()
}

/// `dH / dtau = Var_r(s) / tau^3`, never negative.
///
/// # Errors
/// As [`penalties`].
pub fn entropy_slope(negatives: &[f64], temperature: f64) -> Result<f64, BehaviourError> {
    let shares = penalties(negatives, temperature)?;
    let mean: f64 = shares.iter().zip(negatives).map(|(r, s)| r * s).sum();
    let variance: f64 = shares.iter().zip(negatives).map(|(r, s)| r * (s - mean) * (s - mean)).sum();
    Ok(variance / temperature.powi(3))
}

/// How the gradient is shared out by hardness.
#[derive(Clone, Debug, PartialEq)]
pub struct Hardness {
    /// Of each asked-for fraction: the share of the gradient that goes to that fraction of an anchor's hardest negatives (at least one),
    /// the mean over anchors.
    pub shares: Vec<f64>,
    /// `H(r)` of each anchor.
    pub entropies: Vec<f64>,
    /// The mean over anchors of `e^H`: negatives that share the gradient.
    pub effective_negatives: f64,
    /// The mean over anchors of `sum_k P_k`, the strength of the pull on the positive, times tau.
    pub pull: f64,
    /// The mean loss.
    pub loss: f64,
}

/// The gradient by hardness, of cosines, over all anchors; an anchor's first positive counts, its other positives are not negatives.
/// 2 n m d flops and a sort of each row.
///
/// # Errors
/// When the temperature or a fraction is out of range, an anchor has no positive or no negatives, or rows are not finite.
///
/// # Panics
/// When shapes, pairs and exclusions do not fit.
pub fn hardness(
    inputs: &Inputs,
    pairs: &Pairs,
    exclusions: &Exclusions,
    temperature: f64,
    fractions: &[f64],
) -> Result<Hardness, BehaviourError> {
    if let Some(value) = fractions.iter().copied().find(|f| !(*f > 0.0 && *f <= 1.0)) {
        let name = "fraction of the negatives";
        return Err(crate::error::ObjectiveError::Outside { name, value, allowed: "(0, 1]" }.into());
    }
    let rows = each_anchor(inputs, pairs, exclusions, |i, positive, negatives| {
        negatives.sort_unstable_by(|a, b| b.total_cmp(a));
        let gradient = row_gradient(positive, negatives, temperature).map_err(|e| at(e, i))?;
        let shares = penalties(negatives, temperature).map_err(|e| at(e, i))?;
        let part = |f: &f64| {
            let count = ((f * shares.len() as f64).floor() as usize).max(1);
            shares[..count].iter().sum::<f64>()
        };
        let by_fraction: Vec<f64> = fractions.iter().map(part).collect();
        Ok((by_fraction, entropy(&shares), -gradient.positive * temperature, gradient.loss))
    })?;
    let share = 1.0 / rows.len() as f64;
    Ok(Hardness {
        shares: (0..fractions.len()).map(|k| rows.iter().map(|r| r.0[k]).sum::<f64>() * share).collect(),
        effective_negatives: rows.iter().map(|r| r.1.exp()).sum::<f64>() * share,
        entropies: rows.iter().map(|r| r.1).collect(),
        pull: rows.iter().map(|r| r.2).sum::<f64>() * share,
        loss: rows.iter().map(|r| r.3).sum::<f64>() * share,
    })
}

/// The mean over anchors of the positive's cosine less the mean of the `hardest` largest of the negatives (paper: 10): above 0 where
/// rows differ from their neighbours.
///
/// # Errors
/// When `hardest` is 0, an anchor has no positive or no negatives, or rows are not finite.
///
/// # Panics
/// When shapes, pairs and exclusions do not fit.
pub fn local_separation(
    inputs: &Inputs,
    pairs: &Pairs,
    exclusions: &Exclusions,
    hardest: usize,
) -> Result<f64, BehaviourError> {
    crate::error::positive("number of hardest negatives", hardest as f64)?;
    let rows = each_anchor(inputs, pairs, exclusions, |_, positive, negatives| {
        let count = hardest.min(negatives.len());
        negatives.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        Ok(positive - negatives[..count].iter().sum::<f64>() / count as f64)
    })?;
    Ok(rows.iter().sum::<f64>() / rows.len() as f64)
}

/// How similar rows of the same class are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// The mean inner product over pairs of different rows with equal labels.
    pub conditional: f64,
    /// The same, but the sum divided by the number of all pairs of different rows (the paper's expectation of the product with the
    /// indicator).
    pub joint: f64,
}

/// Tolerance of unit rows `[n, d]` with a label each, from the sums of classes: n d flops.
///
/// # Errors
/// When labels and rows differ in number, no two rows share a label, or a row is not of length 1 (to 1e-3).
pub fn tolerance(rows: &Tensor<2>, labels: &[i64]) -> Result<Tolerance, BehaviourError> {
    let [n, d] = rows.dims();
    if labels.len() != n {
        return Err(BehaviourError::Labels { labels: labels.len(), rows: n });
    }
    let values = unit_values(rows)?;
    let mut classes = std::collections::BTreeMap::<i64, (usize, Vec<f64>, f64)>::new();
    for (row, label) in values.chunks(d.max(1)).zip(labels) {
        let (count, sum, squares) = classes.entry(*label).or_insert_with(|| (0, vec![0.0; d], 0.0));
        *count += 1;
        sum.iter_mut().zip(row).for_each(|(s, x)| *s += x);
        *squares += row.iter().map(|x| x * x).sum::<f64>();
    }
    // |sum of a class|^2 holds every pair twice and every row with itself
    let products: f64 =
        classes.values().map(|(_, sum, squares)| sum.iter().map(|x| x * x).sum::<f64>() - squares).sum();
    let pairs: usize = classes.values().map(|(count, _, _)| count * (count - 1)).sum();
    if pairs == 0 {
        return Err(BehaviourError::NoPairs(n));
    }
    Ok(Tolerance { conditional: products / pairs as f64, joint: products / (n as f64 * (n as f64 - 1.0)) })
}

/// `log mean_{x != y} e^{-t |x - y|^2}` of unit rows `[n, d]` (paper: t = 2): lower is more uniform, 0 when all rows are equal. 2 n^2 d
/// flops; a sample of 4,096 rows tells enough. Compare only rows of the same number and width.
///
/// # Errors
/// When there are fewer than two rows, one is not of length 1 (to 1e-3), or t is not a finite number above 0.
pub fn uniformity(rows: &Tensor<2>, t: f64) -> Result<f64, BehaviourError> {
    let kernel = Uniformity::new(t)?;
    let n = rows.dims()[0];
    if n < 2 {
        return Err(BehaviourError::Few { rows: n, least: 2 });
    }
    unit_values(rows)?;
    Ok(kernel.loss(rows.clone().inner()).into_data().iter::<f64>().next().expect("a value"))
}

/// `mean_i |x_i - y_i|^2` of unit rows `[n, d]` and their partners.
///
/// # Errors
/// When there are no rows, or one is not of length 1 (to 1e-3).
///
/// # Panics
/// When the shapes differ.
pub fn alignment(x: &Tensor<2>, y: &Tensor<2>) -> Result<f64, BehaviourError> {
    assert_eq!(x.dims(), y.dims(), "the shapes of rows and partners");
    let n = x.dims()[0];
    if n == 0 {
        return Err(BehaviourError::Few { rows: 0, least: 1 });
    }
    let (x, y) = (unit_values(x)?, unit_values(y)?);
    Ok(x.iter().zip(&y).map(|(x, y)| (x - y) * (x - y)).sum::<f64>() / n as f64)
}

/// `log sum e^{s / tau}`.
fn log_sum_exp(similarities: &[f64], temperature: f64) -> f64 {
    let top = similarities.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top / temperature + similarities.iter().map(|s| ((s - top) / temperature).exp()).sum::<f64>().ln()
}

/// The numbers of rows that must have length 1.
fn unit_values(rows: &Tensor<2>) -> Result<Vec<f64>, BehaviourError> {
    let d = rows.dims()[1];
    let values: Vec<f64> = rows.clone().inner().into_data().iter::<f64>().collect();
    for (row, x) in values.chunks(d.max(1)).enumerate() {
        let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
        if length.is_nan() || (length - 1.0).abs() > 1e-3 {
            return Err(BehaviourError::NotUnit { row, length });
        }
    }
    Ok(values)
}

/// The error of a row as that of an anchor.
fn at(error: BehaviourError, anchor: usize) -> BehaviourError {
    match error {
        BehaviourError::NoNegatives(_) => BehaviourError::NoNegatives(anchor),
        BehaviourError::NotFinite(_) => BehaviourError::NotFinite(anchor),
        other => other,
    }
}

/// Elements of a block of similarities.
const BLOCK_ELEMENTS: usize = 1 << 21;

/// What a function makes of each anchor's number, its positive's cosine and its negatives'.
fn each_anchor<R: Send>(
    inputs: &Inputs,
    pairs: &Pairs,
    exclusions: &Exclusions,
    f: impl Fn(usize, f64, &mut Vec<f64>) -> Result<R, BehaviourError> + Sync,
) -> Result<Vec<R>, BehaviourError> {
    assert!(inputs.has_rows_alone(), "cosines have neither scale nor bias nor terms of pairs");
    let (n, m, itself) = inputs.check(pairs, &Temperature::Fixed(1.0));
    let positives = pairs.resolve(n, m).unwrap_or_else(|| panic!("positives beside {m} candidates have no similarity"));
    let excluded = exclusions.resolve(n, m, Some(&positives));
    let own = exclusions.offset.or(itself.then_some(0));
    let unit = |x: &Tensor<2>| Compared::new(Similarity::Cosine, x.clone().inner().cast(computed_in(x.dtype()))).rows;
    let a = unit(&inputs.anchors);
    let columns = inputs.candidates.as_ref().map_or_else(|| a.clone(), unit).transpose();
    let block = (BLOCK_ELEMENTS / m).clamp(1, n);
    let mut all = Vec::with_capacity(n);
    for from in (0..n).step_by(block) {
        let rows = a.clone().narrow(0, from, block.min(n - from));
        let similarities: Vec<f64> = rows.matmul(columns.clone()).into_data().iter::<f64>().collect();
        let part = similarities.par_chunks(m).enumerate().map(|(k, row)| {
            let i = from + k;
            let left_out = |j: usize| {
                own.is_some_and(|o| i + o == j)
                    || excluded.as_ref().is_some_and(|e| e.of(i).binary_search(&(j as u32)).is_ok())
            };
            let is_positive = |j: &usize| positives.of(i).binary_search(&(*j as u32)).is_ok();
            if row.iter().any(|s| !s.is_finite()) {
                return Err(BehaviourError::NotFinite(i));
            }
            let first = positives.of(i).iter().map(|j| *j as usize).find(|j| !left_out(*j));
            let positive = row[first.ok_or(BehaviourError::NoPositive(i))?];
            let negatives = (0..m).filter(|j| !is_positive(j) && !left_out(*j));
            let mut negatives: Vec<f64> = negatives.map(|j| row[j]).collect();
            if negatives.is_empty() {
                return Err(BehaviourError::NoNegatives(i));
            }
            f(i, positive, &mut negatives)
        });
        all.extend(part.collect::<Result<Vec<R>, _>>()?);
    }
    Ok(all)
}
