//! Batch norm over rows.

use crate::SettingError;
use crate::error::Check;
use crate::init;
use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::{Tensor, TensorCreationOptions, module};

/// Batch norm of rows (Ioffe and Szegedy 2015): each column to mean 0 and variance 1 over the rows of the batch, times a gain, plus a bias.
/// Epsilon 1e-5. In evaluation (off autodiff, or frozen) the running statistics take the place of the batch's:
///
/// ```text
/// running <- 0.9 running + 0.1 statistic of the batch            (the variance with n - 1, as PyTorch keeps it)
/// ```
#[derive(Module, Debug)]
pub struct RowNorm {
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
}

/// Added to variances.
const EPSILON: f64 = 1e-5;
/// Share of a batch in the running statistics.
const MOMENTUM: f64 = 0.1;

impl RowNorm {
    /// Gains 1, biases 0, running means 0 and variances 1.
    ///
    /// # Errors
    /// When there are no channels.
    pub fn new(channels: usize, on: impl Into<TensorCreationOptions>) -> Result<Self, SettingError> {
        Check::new("row norm").count("channels", channels)?;
        let on = on.into();
        let running = |value: f64| init::constant(value, [channels], on.clone()).val().detach();
        Ok(Self {
            gain: init::constant(1.0, [channels], on.clone()),
            bias: init::constant(0.0, [channels], on.clone()),
            training: Param::from_bool(true),
            running_mean: RunningState::new(running(0.0)),
            running_variance: RunningState::new(running(1.0)),
        })
    }

    /// # Shapes
    /// - x: `[.., C]`, all axes but the last are rows
    /// - output: the same
    ///
    /// # Panics
    /// When the last axis is not C, or, in training, there is a single row.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (shape, [channels]) = (x.dims(), self.gain.val().dims());
        assert_eq!(shape[D - 1], channels, "row norm of {channels} channels for rows {shape:?}");
        let count: usize = shape[..D - 1].iter().product();
        let rows: Tensor<2> = x.reshape([count, channels]);
        let device = rows.device();
        let (gain, bias) = (self.gain.val(), self.bias.val());
        if !(device.is_autodiff() && self.training.is_enabled()) {
            let [mean, variance] =
                [&self.running_mean, &self.running_variance].map(|state| state.value().to_device(&device));
            return module::batch_norm(rows, gain, bias, mean, variance, EPSILON).reshape(shape);
        }
        assert!(count > 1, "row norm of a single row in training");
        let made = module::batch_norm_train(rows, gain, bias, EPSILON);
        let unbiased = count as f64 / (count - 1) as f64;
        for (state, batch) in
            [(&self.running_mean, made.mean.detach()), (&self.running_variance, made.variance.detach() * unbiased)]
        {
            let old = state.value_sync().to_device(&device);
            state.update((old * (1.0 - MOMENTUM) + batch * MOMENTUM).detach());
        }
        made.output.reshape(shape)
    }
}
