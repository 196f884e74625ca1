//! Ghost batch normalisation.

use super::NormError;
use burn::config::Config;
use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::{Tensor, TensorCreationOptions};

/// Settings of [`GhostBatchNorm`].
#[derive(Config, Debug)]
pub struct GhostBatchNormConfig {
    /// Channels C.
    pub channels: usize,
    /// Rows of a ghost (paper: 128; 16 to 256).
    #[config(default = 128)]
    pub ghost: usize,
    /// Added to variances.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// The share of a ghost's statistics in the running ones.
    #[config(default = 0.1)]
    pub momentum: f64,
    /// May the last ghost of a batch be smaller? Otherwise a batch must be a whole number of ghosts.
    #[config(default = false)]
    pub ragged: bool,
}

/// Batch normalisation in small virtual batches (Hoffer et al. 2017, algorithm 1). The batch is split, in order, into ghosts of g
/// rows; over each ghost's rows and positions
///
/// ```text
/// y = gain (x - mean) / sqrt(variance + epsilon) + bias                         (variance: biased; gradients flow through both)
/// running <- (1 - momentum) running + momentum statistic     once a ghost, in order                 (variance: unbiased)
/// ```
///
/// Without autodiff, or frozen, it is batch normalisation with the running statistics. The k ghosts of a batch update them k times;
/// with g the batch size this is ordinary batch normalisation (Burn's own keeps the biased variance as its running one).
///
/// Data-parallel training already has statistics of its own on each device: choose one of the two. Of two views alike, put the
/// views of a sample into different ghosts.
#[derive(Module, Debug)]
pub struct GhostBatchNorm {
    /// `[C]`.
    pub gain: Param<Tensor<1>>,
    /// `[C]`.
    pub bias: Param<Tensor<1>>,
    /// Does the layer take part in training? Freezing a module turns this off.
    pub training: Param<Flag>,
    /// `[C]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// `[C]`.
    pub running_variance: RunningState<Tensor<1>>,
    ghost: usize,
    epsilon: f64,
    momentum: f64,
    ragged: bool,
}

impl GhostBatchNormConfig {
    /// Are the settings in range?
    ///
    /// # Errors
    /// When there are no channels or no rows in a ghost, epsilon is not a finite number above 0, or the momentum is not in `[0, 1]`.
    pub fn validate(&self) -> Result<(), NormError> {
        if self.channels == 0 {
            return Err(NormError::Zero("number of channels"));
        }
        if self.ghost == 0 {
            return Err(NormError::Zero("number of rows of a ghost"));
        }
        if !(self.epsilon.is_finite() && self.epsilon > 0.0) {
            return Err(NormError::Outside { name: "epsilon", value: self.epsilon, allowed: "(0, infinity)" });
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(NormError::Outside { name: "momentum", value: self.momentum, allowed: "[0, 1]" });
        }
        Ok(())
    }

    /// Gains 1, biases 0, running means 0 and variances 1, on a device, of its float type unless one is given.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, on: impl Into<TensorCreationOptions>) -> Result<GhostBatchNorm, NormError> {
        self.validate()?;
        let zeros = Tensor::<1>::zeros([self.channels], on);
        let ones = zeros.ones_like();
        Ok(GhostBatchNorm {
            gain: Param::from_tensor(ones.clone()),
            bias: Param::from_tensor(zeros.clone()),
            training: Param::from_bool(true),
            running_mean: RunningState::new(zeros),
            running_variance: RunningState::new(ones),
            ghost: self.ghost,
            epsilon: self.epsilon,
            momentum: self.momentum,
            ragged: self.ragged,
        })
    }
}

impl GhostBatchNorm {
    /// The rows of each ghost of a batch, in order: can the batch be split?
    ///
    /// # Errors
    /// When it is not a whole number of ghosts and ragged ones are not allowed, or a ghost has a single value a channel.
    pub fn ghosts(&self, batch: usize, positions: usize) -> Result<Vec<usize>, NormError> {
        let rest = batch % self.ghost;
        if rest > 0 && !self.ragged {
            return Err(NormError::Ragged { batch, ghost: self.ghost });
        }
        let mut ghosts = vec![self.ghost; batch / self.ghost];
        ghosts.extend((rest > 0).then_some(rest));
        match ghosts.iter().find(|rows| *rows * positions < 2) {
            Some(rows) => Err(NormError::Lonely { rows: *rows, positions }),
            None => Ok(ghosts),
        }
    }

    /// `[B, C]` or `[B, C, ...]` to the same shape.
    ///
    /// # Panics
    /// When the second axis is not C, or, in training (on an autodiff device, not frozen), the batch cannot be split (see
    /// [`ghosts`](Self::ghosts)).
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let shape = x.dims();
        let [channels] = self.gain.val().dims();
        assert!(D >= 2 && shape[1] == channels, "ghost batch norm of {channels} channels for rows {shape:?}");
        let (batch, positions) = (shape[0], shape[2..].iter().product());
        let rows: Tensor<3> = x.reshape([batch, channels, positions]);
        let training = rows.device().is_autodiff() && self.training.is_enabled();
        let normal = if training { self.train(rows) } else { self.evaluate(rows) };
        let wide = |p: &Param<Tensor<1>>| p.val().reshape([1, channels, 1]);
        (normal * wide(&self.gain) + wide(&self.bias)).reshape(shape)
    }

    fn evaluate(&self, rows: Tensor<3>) -> Tensor<3> {
        let device = rows.device();
        let wide = |s: &RunningState<Tensor<1>>| {
            let value = s.value().to_device(&device);
            let channels = value.dims()[0];
            value.reshape([1, channels, 1])
        };
        (rows - wide(&self.running_mean)) / (wide(&self.running_variance) + self.epsilon).sqrt()
    }

    fn train(&self, rows: Tensor<3>) -> Tensor<3> {
        let [batch, channels, positions] = rows.dims();
        let ghosts = self.ghosts(batch, positions).unwrap_or_else(|e| panic!("{e}"));
        let full = batch / self.ghost * self.ghost;
        let mut parts = Vec::new();
        let mut seen = Vec::new();
        for (start, count, size) in [(0, full / self.ghost, self.ghost), (full, 1, batch - full)] {
            if count * size == 0 {
                continue;
            }
            // [k, g, C, S], statistics over g and S
            let part = rows.clone().narrow(0, start, count * size).reshape([count, size, channels, positions]);
            let share = 1.0 / (size * positions) as f64;
            let mean = part.clone().sum_dim(1).sum_dim(3) * share;
            let centred = part - mean.clone();
            let variance = (centred.clone() * centred.clone()).sum_dim(1).sum_dim(3) * share;
            let inverse = (variance.clone() + self.epsilon).sqrt().recip();
            parts.push((centred * inverse).reshape([count * size, channels, positions]));
            let unbiased = 1.0 / (1.0 - share);
            seen.push((
                mean.detach().reshape([count, channels]),
                (variance.detach() * unbiased).reshape([count, channels]),
            ));
        }
        let (means, variances): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
        self.follow(&self.running_mean, Tensor::cat(means, 0), ghosts.len());
        self.follow(&self.running_variance, Tensor::cat(variances, 0), ghosts.len());
        Tensor::cat(parts, 0)
    }

    /// One update for each of k statistics `[k, C]`, in order, at once.
    fn follow(&self, running: &RunningState<Tensor<1>>, statistics: Tensor<2>, k: usize) {
        let device = statistics.device();
        let keep = 1.0 - self.momentum;
        let weights: Vec<f64> = (0..k).map(|i| self.momentum * keep.powi((k - 1 - i) as i32)).collect();
        let weights =
            Tensor::<2>::from_data(burn::tensor::TensorData::new(weights, [k, 1]), (&device, statistics.dtype()));
        let channels = statistics.dims()[1];
        let new = (statistics * weights).sum_dim(0).reshape([channels]);
        let old = running.value_sync().to_device(&device);
        running.update((old * keep.powi(k as i32) + new).detach());
    }
}
