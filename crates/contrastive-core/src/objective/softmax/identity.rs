//! Windows of one recording belong together: COMET's trial and patient levels.

use crate::error::ObjectiveError;
use crate::objective::{check_types, computed, zero_or_nan};
use crate::temperature::Temperature;
use burn::tensor::{Tensor, TensorData};

/// The identity contrast of two passes u, w `[B, T, D]` over the same windows with an id each (COMET, Wang et al. 2023, trial and
/// patient levels):
///
/// ```text
/// S_ij = cos(flat(u'_i), flat(w'_j)) / tau         u': each feature's time profile has length 1
/// rows     mean over pairs i != j of one id of  log sum_k exp S_ik - S_ij
/// columns  mean over the same pairs of          log sum_k exp S_kj - S_ij          loss = (rows + columns) / 2
/// ```
///
/// The own window (the diagonal) is a candidate and never a positive; other windows of the same id stay in the denominator, each positive
/// having a term of its own. Without any pair the loss is 0. [`one_sided`](Self::one_sided) is the released code's form: rows
/// take the pairs i < j only, columns i > j; both forms have the same expectation over the order of a batch.
///
/// B x B similarities are kept; the inner products over `D T` numbers are the cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IdentityContrast {
    scale: f64,
    one_sided: bool,
    own_positive: bool,
}

impl IdentityContrast {
    /// At this temperature (paper: 0.1), symmetric.
    ///
    /// # Errors
    /// As [`Temperature::fixed`].
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Temperature::fixed(temperature)?;
        Ok(Self { scale: 1.0 / temperature, one_sided: false, own_positive: false })
    }

    /// Rows of the pairs i < j, columns of the pairs i > j.
    pub fn one_sided(mut self, one_sided: bool) -> Self {
        self.one_sided = one_sided;
        self
    }

    /// The own window a positive too: with an id for each window this is InfoNCE in both directions.
    pub fn with_own_positive(mut self, own_positive: bool) -> Self {
        self.own_positive = own_positive;
        self
    }

    /// Number of ordered pairs of different windows with one id: what the positives of a batch rest on.
    pub fn positive_pairs(ids: &[u32]) -> usize {
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        sorted.chunk_by(|a, b| a == b).map(|run| run.len() * (run.len() - 1)).sum()
    }

    /// S `[B, B]`, differentiable.
    ///
    /// # Panics
    /// When the shapes differ or are empty.
    pub fn similarities(&self, u: Tensor<3>, w: Tensor<3>) -> Tensor<2> {
        let [b, t, d] = u.dims();
        assert_eq!(w.dims(), [b, t, d], "the shapes of the two passes");
        check_types(&[("the first pass", u.dtype()), ("the second pass", w.dtype())]);
        assert!(b * t * d > 0, "passes of shape [{b}, {t}, {d}]");
        let flat = |x: Tensor<3>| {
            let x = computed(x);
            // |x| of each profile; a profile of zeros stays
            let length = (x.clone() * x.clone()).sum_dim(1).clamp_min(1e-24).sqrt();
            let profiles: Tensor<2> = (x / length).reshape([b, t * d]);
            let length = (profiles.clone() * profiles.clone()).sum_dim(1).clamp_min(1e-24).sqrt();
            profiles / length
        };
        flat(u).matmul(flat(w).transpose()) * self.scale
    }

    /// The value `[1]`, differentiable. Ids are compared for equality only.
    ///
    /// # Panics
    /// As [`similarities`](Self::similarities), and when there is not one id for each window.
    pub fn loss(&self, u: Tensor<3>, w: Tensor<3>, ids: &[u32]) -> Tensor<1> {
        let b = u.dims()[0];
        assert_eq!(ids.len(), b, "ids for {b} windows");
        check_types(&[("the first pass", u.dtype()), ("the second pass", w.dtype())]);
        // target weights of the terms -S_ij + log-denominator of row (column)
        let weights = |chosen: &dyn Fn(usize, usize) -> bool| {
            let mut weights = vec![0f64; b * b];
            for i in 0..b {
                for j in 0..b {
                    let positive = ids[i] == ids[j] && (i != j || self.own_positive) && (i == j || chosen(i, j));
                    weights[i * b + j] = f64::from(u8::from(positive));
                }
            }
            let pairs: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|v| *v /= pairs.max(1.0));
            (weights, pairs)
        };
        let (rows, count) = weights(&|i, j| !self.one_sided || i < j);
        let (columns, _) = weights(&|i, j| !self.one_sided || i > j);
        if count == 0.0 {
            // tracked, with a gradient of 0
            let zero = zero_or_nan(&u);
            return (u.clone() - u.detach()).sum() * 0.0 + zero;
        }
        let s = self.similarities(u, w);
        let (device, dtype) = (s.device(), s.dtype());
        let constant = |values: Vec<f64>| {
            let plain = Tensor::<2>::from_data(
                TensorData::new(values, [b, b]).convert_dtype(dtype),
                (&device.clone().inner(), dtype),
            );
            if s.is_autodiff() { Tensor::from_inner(plain) } else { plain }
        };
        let total = |s: Tensor<2>, weights: Vec<f64>| {
            let weights = constant(weights);
            let highest = s.clone().detach().max_dim(1);
            let denominators = (s.clone() - highest.clone()).exp().sum_dim(1).log() + highest;
            ((denominators - s) * weights).sum()
        };
        let transposed: Vec<f64> = (0..b * b).map(|at| columns[at % b * b + at / b]).collect();
        (total(s.clone(), rows) + total(s.clone().transpose(), transposed)) * 0.5
    }
}
