//! Objectives of column moments over ranks. Moments are sums over rows: ranks add them up, and know all they need for the
//! gradients of their rows.

use super::{DistributedError, ObjectiveId, Ranks, starts};
use crate::attach::attach_gradients;
use crate::host::{numbers, to_f64};
use crate::objective::{BarlowTwins, Variance, VicReg, check_types, computed_in};
use burn::tensor::{DType, Tensor};

/// This rank's rows of two views without the columns' means, which are those of all ranks.
struct Views {
    a: Tensor<2>,
    b: Tensor<2>,
    /// Rows of all ranks.
    all: usize,
}

impl Views {
    fn new(
        ranks: &Ranks<'_>,
        objective: ObjectiveId,
        least: usize,
        [a, b]: [&Tensor<2>; 2],
    ) -> Result<Self, DistributedError> {
        let [n, d] = a.dims();
        assert_eq!([n, d], b.dims(), "the shapes of two views");
        check_types(&[("the first view", a.dtype()), ("the second view", b.dtype())]);
        assert!(d > 0, "views [{n}, {d}] without columns");
        let dtype = computed_in(a.dtype());
        let precise = f64::from(u8::from(dtype == DType::F64));
        let same = [objective.to_agree(), ("width of the rows", d as f64), ("f64 rather than f32", precise)];
        let all = starts(ranks.agree([n], &same)?.into_iter().map(|c| c[0])).pop().expect("a total");
        if all < least {
            return Err(DistributedError::TooFew { what: objective.name(), rows: all, world: ranks.world(), least });
        }
        let plain = |x: &Tensor<2>| x.clone().inner().cast(dtype);
        let (a, b) = (plain(a), plain(b));
        let means = Tensor::cat(vec![a.clone().sum_dim(0), b.clone().sum_dim(0)], 1);
        let means = ranks.sum(means)? * (1.0 / all as f64);
        let (first, second) = (means.clone().slice([0..1, 0..d]), means.slice([0..1, d..2 * d]));
        Ok(Self { a: a - first, b: b - second, all })
    }
}

/// Without the diagonal, `[d, d]`, and the diagonal, `[1, d]`.
fn apart(square: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let d = square.dims()[0];
    let eye = Tensor::<2>::eye(d, &square.device()).cast(square.dtype());
    let diagonal = (square.clone() * eye.clone()).sum_dim(0);
    (square * (eye * -1.0 + 1.0), diagonal)
}

fn squares(x: &Tensor<2>) -> f64 {
    to_f64((x.clone() * x.clone()).sum())[0]
}

impl BarlowTwins {
    /// The loss of the rows of all ranks together: statistics and cross-correlation are those of all. Each rank brings its own
    /// rows `[n, d]` of both views; the value is `[1]`. The d x d matrix is summed over ranks.
    ///
    /// # Errors
    /// When a rank is gone, ranks disagree about widths or types, or there are no rows.
    ///
    /// # Panics
    /// When this rank's shapes differ.
    pub fn distributed_loss(
        &self,
        ranks: &Ranks<'_>,
        a: Tensor<2>,
        b: Tensor<2>,
    ) -> Result<Tensor<1>, DistributedError> {
        let Views { a: x, b: y, all } = Views::new(ranks, ObjectiveId::BarlowTwins, 1, [&a, &b])?;
        let share = 1.0 / all as f64;
        let squares_of = |x: &Tensor<2>| (x.clone() * x.clone()).sum_dim(0);
        let d = x.dims()[1];
        let variances = ranks.sum(Tensor::cat(vec![squares_of(&x), squares_of(&y)], 1))? * share;
        let lengths = (variances + self.epsilon).sqrt();
        let (p, q) = (lengths.clone().slice([0..1, 0..d]), lengths.slice([0..1, d..2 * d]));
        let (x, y) = (x / p.clone(), y / q.clone());
        let correlation = ranks.sum(x.clone().transpose().matmul(y.clone()))? * share;
        let (off, diagonal) = apart(correlation.clone());
        let miss = diagonal * -1.0 + 1.0;
        let value = (squares(&miss) + self.lambda * squares(&off)) * self.scale;
        let value = numbers(&[value], &x);
        if !a.is_tracked() && !b.is_tracked() {
            return Ok(attach_gradients(value, [(&a, None), (&b, None)]));
        }
        let (device, dtype) = (x.device(), x.dtype());
        let eye = Tensor::<2>::eye(d, &device).cast(dtype);
        // d value / d C
        let slope = (off * (2.0 * self.lambda) - eye * miss * 2.0) * self.scale;
        let pull = slope.clone() * correlation;
        // of the standardised rows first; what their columns have in common with the rows themselves is lost to the variance
        let first = y.clone().matmul(slope.clone().transpose()) - x.clone() * pull.clone().sum_dim(1).transpose();
        let second = x.matmul(slope) - y * pull.sum_dim(0);
        Ok(attach_gradients(value, [(&a, Some(first * share / p)), (&b, Some(second * share / q))]))
    }
}

impl VicReg {
    /// The loss of the rows of all ranks together: variances and covariances are those of all. Each rank brings its own rows
    /// `[n, d]` of both views; the value is `[1]`. The d x d matrices are summed over ranks.
    ///
    /// # Errors
    /// When a rank is gone, ranks disagree about widths or types, or there are fewer than two rows.
    ///
    /// # Panics
    /// When this rank's shapes differ.
    pub fn distributed_loss(
        &self,
        ranks: &Ranks<'_>,
        a: Tensor<2>,
        b: Tensor<2>,
    ) -> Result<Tensor<1>, DistributedError> {
        let Views { a: x, b: y, all } = Views::new(ranks, ObjectiveId::VicReg, 2, [&a, &b])?;
        let (d, dtype) = (x.dims()[1], x.dtype());
        let plain = |x: &Tensor<2>| x.clone().inner().cast(dtype);
        let gap = plain(&a) - plain(&b);
        let share = 1.0 / (all - 1) as f64;
        let pairs = self.invariance / (all * d) as f64;
        let form = if self.form == Variance::Mean { 0.5 } else { 1.0 };
        let mut value = ranks.total(squares(&gap))? * pairs;
        let mut gradients = Vec::new();
        for (rows, sign) in [(x.clone(), 1.0), (y, -1.0)] {
            let covariance = ranks.sum(rows.clone().transpose().matmul(rows.clone()))? * share;
            let (off, variances) = apart(covariance);
            let deviations = (variances + self.epsilon).sqrt();
            let short = (deviations.clone() * -1.0 + 1.0).clamp_min(0.0);
            let (spread, mixed) = (form * self.variance / d as f64, self.covariance / d as f64);
            value += to_f64(short.clone().sum())[0] * spread + squares(&off) * mixed;
            let below = short.zeros_like().mask_fill(short.greater_elem(0.0), spread * share);
            let pulled = rows.clone().matmul(off * (4.0 * mixed * share)) - rows * (below / deviations);
            gradients.push(Some(pulled + gap.clone() * (2.0 * pairs * sign)));
        }
        Ok(attach_gradients(numbers(&[value], &x), [&a, &b].into_iter().zip(gradients)))
    }
}
