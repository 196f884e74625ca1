//! Whitening as a layer, with statistics that outlive the batch.

use super::{HeadError, at_least};
use crate::objective::{Whitening, WhiteningError};
use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::{Tensor, TensorCreationOptions, TensorData};
use nalgebra::DMatrix;

/// A [`Whitening`] (ZCA or Cholesky, in groups of columns) with running statistics: in training, rows are whitened with the
/// batch's own mean and covariance, exactly differentiable, and these follow into the running ones as in a batch norm,
/// `running <- (1 - momentum) running + momentum batch`; in evaluation, rows are whitened with the running ones, so that one
/// row is enough and rows do not depend on each other.
///
/// It trains on autodiff devices unless it is frozen, and starts at mean 0 and covariance 1.
#[derive(Module, Debug)]
pub struct WhiteningLayer {
    /// Whether batches are whitened with their own statistics.
    pub training: Param<Flag>,
    /// `[d]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// `[groups, d / groups, d / groups]`, without epsilon.
    pub running_covariance: RunningState<Tensor<3>>,
    #[module(skip)]
    whitening: Whitening,
    momentum: f64,
}

impl WhiteningLayer {
    /// Of columns in the groups of `whitening`. The momentum is the share of the batch: 0.1 is Burn's for batch norms; W-MSE's
    /// released code has 0.01.
    ///
    /// # Errors
    /// When there is no column, the columns do not fall into the groups, or the momentum is not in `[0, 1]`.
    pub fn new(
        width: usize,
        whitening: Whitening,
        momentum: f64,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<Self, HeadError> {
        at_least(&[("columns", width, 1)])?;
        let groups = whitening.groups();
        if !width.is_multiple_of(groups) {
            return Err(HeadError::Groups { columns: width, groups });
        }
        if !(0.0..=1.0).contains(&momentum) {
            return Err(HeadError::Outside { name: "momentum of the statistics", value: momentum, allowed: "[0, 1]" });
        }
        let (on, w) = (on.into(), width / groups);
        let identity: Vec<f64> = (0..groups * w * w).map(|k| f64::from(k % w == k / w % w)).collect();
        let covariance = Tensor::from_data(TensorData::new(identity, [groups, w, w]), on.clone());
        Ok(Self {
            training: Param::from_bool(true),
            running_mean: RunningState::new(Tensor::zeros([width], on)),
            running_covariance: RunningState::new(covariance),
            whitening,
            momentum,
        })
    }

    /// Rows `[n, d]` to whitened rows `[n, d]`.
    ///
    /// # Errors
    /// When a covariance has no inverse.
    ///
    /// # Panics
    /// When the width differs, or, in training, when there are fewer than two rows.
    pub fn forward(&self, x: Tensor<2>) -> Result<Tensor<2>, WhiteningError> {
        let ([n, d], [groups, w, _]) = (x.dims(), self.running_covariance.value_sync().dims());
        assert_eq!(d, groups * w, "rows [{n}, {d}] for a whitening layer of {} columns", groups * w);
        match x.device().is_autodiff() && self.training.is_enabled() {
            true => self.train_batch(x),
            false => self.by_running(x),
        }
    }

    fn train_batch(&self, x: Tensor<2>) -> Result<Tensor<2>, WhiteningError> {
        let ([n, d], groups) = (x.dims(), self.whitening.groups());
        let w = d / groups;
        let white = self.whitening.whiten(x.clone())?;
        let x = x.detach();
        let mean: Tensor<2> = x.clone().sum_dim(0) * (1.0 / n as f64);
        let gap = (x - mean.clone()).reshape([n, groups, w]).swap_dims(0, 1);
        let covariance = gap.clone().swap_dims(1, 2).matmul(gap) * self.whitening.share(n);
        let follow = |old: Tensor<3>, new: Tensor<3>| old * (1.0 - self.momentum) + new * self.momentum;
        let old = self.running_mean.value_sync().reshape([1, 1, d]);
        self.running_mean.update(follow(old, mean.reshape([1, 1, d])).reshape([d]).detach());
        self.running_covariance.update(follow(self.running_covariance.value_sync(), covariance).detach());
        Ok(white)
    }

    fn by_running(&self, x: Tensor<2>) -> Result<Tensor<2>, WhiteningError> {
        let ([n, d], groups) = (x.dims(), self.whitening.groups());
        let w = d / groups;
        let covariance: Vec<f64> = self.running_covariance.value_sync().into_data().iter::<f64>().collect();
        let mut roots = Vec::with_capacity(groups * w * w);
        for (group, c) in covariance.chunks(w * w).enumerate() {
            if c.iter().any(|v| !v.is_finite()) {
                return Err(WhiteningError::NotFinite { rows: n, columns: w, group });
            }
            let root = self.whitening.root(&DMatrix::from_row_slice(w, w, c), group, n, x.dtype())?.root;
            roots.extend_from_slice(root.transpose().as_slice());
        }
        let roots = Tensor::<3>::from_data(TensorData::new(roots, [groups, w, w]), (&x.device(), x.dtype()));
        let mean = self.running_mean.value_sync().to_device(&x.device()).reshape([1, d]);
        let gap = (x - mean).reshape([n, groups, w]).swap_dims(0, 1);
        Ok(gap.matmul(roots).swap_dims(0, 1).reshape([n, d]))
    }
}
