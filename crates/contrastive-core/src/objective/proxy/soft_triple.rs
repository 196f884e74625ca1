//! SoftTriple.

use super::centers::{CenterLoss, SoftAssignment, checked};
use crate::error::{ObjectiveError, not_negative, positive};
use crate::objective::computed;
use crate::similarity::unit_rows;
use burn::tensor::{Tensor, TensorData};
use contrastive_kernels::rowwise::{CenterPool, CenterSoftmax, MarginSoftmax, TargetMargin};

/// SoftTriple (Qian et al. 2019, equations 6 and 7) of unit rows and K centres `w` of each class:
///
/// ```text
/// S_ic = sum_k q_ick x_i . w_ck         q_ick = softmax over k of x_i . w_ck / gamma
/// -log( e^{lambda (S_iy - margin)} / (e^{lambda (S_iy - margin)} + sum_{c != y} e^{lambda S_ic}) )
/// ```
///
/// The paper adds a [`regularizer`](CenterLoss::regularizer) of the centres.
pub type SoftTriple = CenterLoss<SoftAssignment>;

impl SoftTriple {
    /// The paper's values are lambda 20, gamma 0.1, a margin of 0.01, and 10 centres of a class.
    ///
    /// # Errors
    /// When lambda or gamma is not above 0, the margin negative, one of them not finite, or a class has no centre.
    pub fn new(lambda: f64, gamma: f64, margin: f64, centers: usize) -> Result<Self, ObjectiveError> {
        let margin = TargetMargin::Cosine(not_negative("margin", margin)?);
        let softmax = MarginSoftmax { scale: positive("lambda", lambda)?, margin };
        let pool = CenterPool::Soft(1.0 / positive("gamma", gamma)?);
        Ok(Self::of(CenterSoftmax { softmax, centers: checked(centers)?, pool }))
    }

    /// Half the mean distance of two centres `[c K, d]` of a class, scaled to length 1 (equation 8 over c K (K - 1)); added to the loss
    /// with a weight (0.2), it lets centres merge that are not needed. `[1]`, 0 where a class has a single centre. Centres at the same
    /// place do not pull each other. Memory c K^2.
    ///
    /// # Panics
    /// When the centres are not K for each class.
    pub fn regularizer(&self, centers: Tensor<2>) -> Tensor<1> {
        let ([m, d], each) = (centers.dims(), self.function.centers);
        assert!(m > 0 && m.is_multiple_of(each), "centres [{m}, {d}] of classes of {each} each");
        let centers = computed(centers);
        let (device, dtype) = (centers.device(), centers.dtype());
        let x = unit_rows(centers).reshape([m / each, each, d]);
        let upper: Vec<f64> = (0..each * each).map(|at| f64::from(at / each < at % each)).collect();
        let upper = Tensor::<3>::from_data(TensorData::new(upper, [1, each, each]), (&device, dtype));
        let least = if dtype == burn::tensor::DType::F64 { 1e-14 } else { 1e-6 };
        let squares = x.clone().matmul(x.swap_dims(1, 2)) * -2.0 + 2.0;
        let pairs = (m * each.saturating_sub(1)).max(1);
        (squares.clamp_min(least).sqrt() * upper).sum() * (1.0 / pairs as f64)
    }
}
