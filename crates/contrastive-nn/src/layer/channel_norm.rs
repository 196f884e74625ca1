//! Norms of channels, which lie last.

use super::image_ops::{ChannelKind, ImageOps, lifted};
use crate::error::Check;
use crate::native::is_native;
use crate::{SettingError, init};
use burn::backend::Dispatch;
use burn::config::Config;
use burn::module::{Flag, Module, Param, RunningState};
use burn::tensor::{Tensor, TensorCreationOptions, TensorData, activation};
use contrastive_core::norm::NormError;
use std::sync::Arc;

/// Settings of [`BatchNorm`].
#[derive(Config, Debug, PartialEq)]
pub struct BatchNormConfig {
    /// Channels.
    pub channels: usize,
    /// Samples of a ghost; the whole batch is one without.
    pub ghost: Option<usize>,
    /// May the last ghost of a batch be smaller? Otherwise a batch must be a whole number of ghosts.
    #[config(default = false)]
    pub ragged: bool,
    /// Added to variances.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// The share of a batch's (or a ghost's) statistics in the running ones.
    #[config(default = 0.1)]
    pub momentum: f64,
}

impl BatchNormConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// When there are no channels or no samples in a ghost, epsilon is not a finite number above 0, or the momentum not in `[0, 1]`.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("batch norm");
        check.count("channels", self.channels)?;
        check.count("ghost", self.ghost.unwrap_or(1))?;
        check.positive("epsilon", self.epsilon)?;
        check.that((0.0..=1.0).contains(&self.momentum), "momentum", self.momentum, "in [0, 1]")
    }

    /// Gains 1, biases 0, running means 0 and variances 1.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, on: impl Into<TensorCreationOptions>) -> Result<BatchNorm, SettingError> {
        self.validate()?;
        let on = on.into();
        let zeros = Tensor::<1>::zeros([self.channels], on.clone());
        Ok(BatchNorm {
            weight: init::constant(1.0, [self.channels], on.clone()),
            bias: init::constant(0.0, [self.channels], on),
            training: Param::from_bool(true),
            running_mean: RunningState::new(zeros.clone()),
            running_variance: RunningState::new(zeros.ones_like()),
            ghost: self.ghost,
            ragged: self.ragged,
            epsilon: self.epsilon,
            momentum: self.momentum,
        })
    }
}

/// Batch normalisation of channels that lie last (Ioffe and Szegedy, 2015), over the whole batch or over ghosts of it (Hoffer et al.
/// 2017, algorithm 1): [`GhostBatchNorm`](contrastive_core::norm::GhostBatchNorm) for the layout of convolutions.
///
/// ```text
/// y = weight (x - mean) / sqrt(variance + epsilon) + bias                       (variance: biased; gradients flow through both)
/// running <- (1 - momentum) running + momentum statistic     once a ghost, in order                 (variance: unbiased)
/// ```
///
/// In training (on an autodiff device, not frozen) with the statistics of the batch, else with the running ones.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// The gain, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// `[channels]`.
    pub bias: Param<Tensor<1>>,
    /// Does the layer take part in training? Freezing a module turns this off.
    pub training: Param<Flag>,
    /// `[channels]`.
    pub running_mean: RunningState<Tensor<1>>,
    /// `[channels]`.
    pub running_variance: RunningState<Tensor<1>>,
    #[module(skip)]
    ghost: Option<usize>,
    #[module(skip)]
    ragged: bool,
    #[module(skip)]
    epsilon: f64,
    #[module(skip)]
    momentum: f64,
}

impl BatchNorm {
    /// The samples of each ghost of a batch, in order: can the batch be split?
    ///
    /// # Errors
    /// When it is no whole number of ghosts and ragged ones are not allowed, or a ghost has a single value a channel.
    pub fn ghosts(&self, batch: usize, positions: usize) -> Result<Vec<usize>, NormError> {
        let ghost = self.ghost.unwrap_or(batch).max(1);
        let rest = batch % ghost;
        if rest > 0 && !self.ragged {
            return Err(NormError::Ragged { batch, ghost });
        }
        let mut ghosts = vec![ghost; batch / ghost];
        ghosts.extend((rest > 0).then_some(rest));
        match ghosts.iter().find(|rows| *rows * positions < 2) {
            Some(&rows) => Err(NormError::Lonely { rows, positions }),
            None => Ok(ghosts),
        }
    }

    /// # Shapes
    /// - x, output: `[batch, .., channels]`
    ///
    /// # Panics
    /// When the last axis is another number of channels, or, in training, the batch cannot be split (see [`ghosts`](Self::ghosts)).
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.normal(x, false)
    }

    /// The larger of 0 and [`forward`](Self::forward), in one pass.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_relu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.normal(x, true)
    }

    fn normal<const D: usize>(&self, x: Tensor<D>, relu: bool) -> Tensor<D> {
        let shape = x.dims();
        let [channels] = self.weight.val().dims();
        assert!(D >= 2 && shape[D - 1] == channels, "batch norm of {channels} channels for images {shape:?}");
        let (batch, positions) = (shape[0], shape[1..D - 1].iter().product());
        let rows: Tensor<2> = x.reshape([batch * positions, channels]);
        let training = rows.is_autodiff() && self.training.is_enabled();
        if is_native(&rows) {
            return self.native(rows, training.then_some((batch, positions)), relu).reshape(shape);
        }
        let normal = if training { self.train(rows, batch, positions) } else { self.evaluate(rows) };
        let wide = |p: &Param<Tensor<1>>| p.val().reshape([1, channels]);
        let out = normal * wide(&self.weight) + wide(&self.bias);
        let out = if relu { activation::relu(out) } else { out };
        out.reshape(shape)
    }

    /// The same in the kernels; in training, of a batch of so many samples and positions.
    fn native(&self, rows: Tensor<2>, training: Option<(usize, usize)>, relu: bool) -> Tensor<2> {
        let [count, channels] = rows.dims();
        let ghosts = match training {
            Some((batch, positions)) => {
                let ghosts = self.ghosts(batch, positions).unwrap_or_else(|e| panic!("{e}"));
                ghosts.into_iter().map(|samples| samples * positions).collect()
            }
            None => vec![count],
        };
        let kind = ChannelKind { ghosts, of_rows: training.is_some(), epsilon: self.epsilon, relu };
        let kind = Arc::new(kind);
        let moments: Tensor<3> = match training {
            Some(_) => {
                let x = rows.clone().inner().into_dispatch();
                let moments: Tensor<3> = Tensor::from_dispatch(Dispatch::image_moments(kind.clone(), x));
                let k = kind.ghosts.len();
                let of = |what: usize| Tensor::from_inner(moments.clone().narrow(1, what, 1).reshape([k, channels]));
                let unbiased: Vec<f64> = kind.ghosts.iter().map(|&n| n as f64 / (n as f64 - 1.0)).collect();
                let unbiased = TensorData::new(unbiased, [k, 1]).convert_dtype(rows.dtype());
                let unbiased = Tensor::<2>::from_data(unbiased, (&rows.device(), rows.dtype()));
                self.follow(&self.running_mean, of(0));
                self.follow(&self.running_variance, of(1) * unbiased);
                moments
            }
            None => {
                let plain = |state: &RunningState<Tensor<1>>| {
                    let value = state.value();
                    if value.is_autodiff() { value.inner() } else { value }
                };
                let both = vec![plain(&self.running_mean), plain(&self.running_variance)];
                Tensor::cat(both, 0).reshape([1, 2, channels])
            }
        };
        let (gain, bias) = (self.weight.val(), self.bias.val());
        let autodiff = rows.is_autodiff() || gain.is_autodiff() || bias.is_autodiff();
        let (rows, moments) = (lifted(rows, autodiff), lifted(moments, autodiff));
        let (gain, bias) = (lifted(gain, autodiff), lifted(bias, autodiff));
        let (rows, moments) = (rows.into_dispatch(), moments.into_dispatch());
        Tensor::from_dispatch(Dispatch::image_norm(kind, rows, moments, gain.into_dispatch(), bias.into_dispatch()))
    }

    fn evaluate(&self, rows: Tensor<2>) -> Tensor<2> {
        let device = rows.device();
        let wide = |state: &RunningState<Tensor<1>>| state.value().to_device(&device).unsqueeze::<2>();
        (rows - wide(&self.running_mean)) / (wide(&self.running_variance) + self.epsilon).sqrt()
    }

    fn train(&self, rows: Tensor<2>, batch: usize, positions: usize) -> Tensor<2> {
        let [_, channels] = rows.dims();
        let ghosts = self.ghosts(batch, positions).unwrap_or_else(|e| panic!("{e}"));
        let ghost = ghosts.first().copied().unwrap_or(1);
        let full = batch / ghost * ghost;
        let (mut parts, mut means, mut variances) = (Vec::new(), Vec::new(), Vec::new());
        for (start, count, size) in [(0, full / ghost, ghost), (full, 1, batch - full)] {
            if count * size == 0 {
                continue;
            }
            let part = rows.clone().narrow(0, start * positions, count * size * positions);
            let part: Tensor<3> = part.reshape([count, size * positions, channels]);
            let mean = part.clone().mean_dim(1);
            let centred = part - mean.clone();
            let variance = (centred.clone() * centred.clone()).mean_dim(1);
            let inverse = (variance.clone() + self.epsilon).sqrt().recip();
            parts.push((centred * inverse).reshape([count * size * positions, channels]));
            let unbiased = 1.0 / (1.0 - 1.0 / (size * positions) as f64);
            means.push(mean.detach().reshape([count, channels]));
            variances.push((variance.detach() * unbiased).reshape([count, channels]));
        }
        self.follow(&self.running_mean, Tensor::cat(means, 0));
        self.follow(&self.running_variance, Tensor::cat(variances, 0));
        Tensor::cat(parts, 0)
    }

    /// One update for each of the statistics `[ghosts, channels]`, in order, at once.
    fn follow(&self, running: &RunningState<Tensor<1>>, statistics: Tensor<2>) {
        let [k, channels] = statistics.dims();
        let (device, keep) = (statistics.device(), 1.0 - self.momentum);
        let weights: Vec<f64> = (0..k).map(|i| self.momentum * keep.powi((k - 1 - i) as i32)).collect();
        let weights = Tensor::<2>::from_data(TensorData::new(weights, [k, 1]), (&device, statistics.dtype()));
        let new = (statistics * weights).sum_dim(0).reshape([channels]);
        let old = running.value_sync().to_device(&device);
        running.update((old * keep.powi(k as i32) + new).detach());
        // what is saved or read next is this value, in whatever thread
        drop(running.value_sync());
    }
}

/// Settings of [`GroupNorm`].
#[derive(Config, Debug, PartialEq)]
pub struct GroupNormConfig {
    /// Groups of channels, a divisor of their number: with one it is layer norm of an image, with as many as channels instance norm.
    pub groups: usize,
    /// Channels.
    pub channels: usize,
    /// Added to variances.
    #[config(default = 1e-5)]
    pub epsilon: f64,
}

impl GroupNormConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// When a number is 0, the groups do not divide the channels, or epsilon is not a finite number above 0.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("group norm");
        check.count("channels", self.channels)?;
        check.count("groups", self.groups)?;
        let allowed = format!("a divisor of {} channels", self.channels);
        check.that(self.channels.is_multiple_of(self.groups), "groups", self.groups, allowed)?;
        check.positive("epsilon", self.epsilon)
    }

    /// Gains 1, biases 0.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, on: impl Into<TensorCreationOptions>) -> Result<GroupNorm, SettingError> {
        self.validate()?;
        let on = on.into();
        let weight = init::constant(1.0, [self.channels], on.clone());
        let bias = init::constant(0.0, [self.channels], on);
        Ok(GroupNorm { weight, bias, groups: self.groups, epsilon: self.epsilon })
    }
}

/// Group normalisation of channels that lie last (Wu and He, 2018): each sample's groups of channels are brought to mean 0 and
/// variance 1 (biased) over all their positions, then `weight x + bias` channel by channel. Needs no batch and no running statistics.
#[derive(Module, Debug)]
pub struct GroupNorm {
    /// The gain, `[channels]`.
    pub weight: Param<Tensor<1>>,
    /// `[channels]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    groups: usize,
    #[module(skip)]
    epsilon: f64,
}

impl GroupNorm {
    /// # Shapes
    /// - x, output: `[batch, .., channels]`
    ///
    /// # Panics
    /// When the last axis is another number of channels.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        let (shape, groups) = (x.dims(), self.groups);
        let [channels] = self.weight.val().dims();
        assert!(D >= 2 && shape[D - 1] == channels, "group norm of {channels} channels for images {shape:?}");
        let (batch, positions) = (shape[0], shape[1..D - 1].iter().product());
        let x: Tensor<4> = x.reshape([batch, positions, groups, channels / groups]);
        let centred = x.clone() - x.mean_dim(1).mean_dim(3);
        let variance = (centred.clone() * centred.clone()).mean_dim(1).mean_dim(3);
        let normal = centred * (variance + self.epsilon).sqrt().recip();
        let wide = |p: &Param<Tensor<1>>| p.val().reshape([1, 1, channels]);
        let normal: Tensor<3> = normal.reshape([batch, positions, channels]);
        (normal * wide(&self.weight) + wide(&self.bias)).reshape(shape)
    }
}

/// Which norm follows a convolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ChannelNormKind {
    /// Over the batch.
    #[default]
    Batch,
    /// Over ghosts of so many samples; the batch is a whole number of them.
    Ghost(usize),
    /// Over so many groups of channels of each sample.
    Group(usize),
    /// None: the convolution has a bias instead.
    None,
}

impl ChannelNormKind {
    /// Is there none?
    pub fn is_none(self) -> bool {
        self == Self::None
    }

    /// The norm of so many channels.
    ///
    /// # Errors
    /// When there are no channels, a ghost has no samples, or the groups do not divide the channels.
    pub fn init(self, channels: usize, on: impl Into<TensorCreationOptions>) -> Result<ChannelNorm, SettingError> {
        let batch = |ghost| BatchNormConfig::new(channels).with_ghost(ghost);
        Ok(match self {
            Self::Batch => ChannelNorm { batch: Some(batch(None).init(on)?), group: None },
            Self::Ghost(ghost) => ChannelNorm { batch: Some(batch(Some(ghost)).init(on)?), group: None },
            Self::Group(groups) => {
                ChannelNorm { batch: None, group: Some(GroupNormConfig::new(groups, channels).init(on)?) }
            }
            Self::None => ChannelNorm { batch: None, group: None },
        })
    }
}

/// A norm that was chosen; nothing where none was.
#[derive(Module, Debug)]
pub struct ChannelNorm {
    /// Over batch or ghosts.
    pub batch: Option<BatchNorm>,
    /// Over groups of channels.
    pub group: Option<GroupNorm>,
}

impl ChannelNorm {
    /// # Shapes
    /// - x, output: `[batch, .., channels]`
    ///
    /// # Panics
    /// As the chosen norm.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match (&self.batch, &self.group) {
            (Some(norm), _) => norm.forward(x),
            (None, Some(norm)) => norm.forward(x),
            (None, None) => x,
        }
    }

    /// The larger of 0 and [`forward`](Self::forward).
    ///
    /// # Panics
    /// As the chosen norm.
    pub fn forward_relu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match &self.batch {
            Some(norm) => norm.forward_relu(x),
            None => activation::relu(self.forward(x)),
        }
    }
}
