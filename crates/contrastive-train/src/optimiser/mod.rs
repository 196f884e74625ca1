//! How parameters are moved along their gradients.

mod adam;
mod average;
mod clip;
mod group;
mod sgd;

pub use adam::{Adam, AdamConfig, AdamOps};
pub use average::{Averaging, WeightAverage};
pub use clip::{Clipping, gradient_norm};
pub use group::{Group, Select};
pub use sgd::{SgdConfig, TrustForm, TrustRatio};

use crate::config::{Check, SettingError};
use crate::error::TrainError;
use crate::trainee::State;
use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// The optimiser of one tensor of parameters, which it sees flat and outside of autodiff.
pub trait Optimiser: Debug + Send {
    /// One step; returns the new parameters. The parameters are handed over, so that their buffer can be overwritten.
    ///
    /// # Shapes
    /// - parameters, gradient, result: `[n]`
    fn step(&mut self, parameters: Tensor<1>, gradient: Tensor<1>, rule: &Rule) -> Tensor<1>;

    /// Adds its buffers to a state, under names that begin with `prefix`.
    fn save(&self, prefix: &str, state: &mut State);

    /// Takes over what [`save`](Self::save) wrote for `n` parameters, removing it from the state.
    ///
    /// # Errors
    /// [`TrainError::State`] when something is missing or does not fit.
    fn load(&mut self, prefix: &str, state: &mut State, n: usize) -> Result<(), TrainError>;
}

/// What holds for one tensor in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// The learning rate.
    pub rate: f64,
    /// The weight decay, coupled or decoupled as the optimiser has it.
    pub weight_decay: f64,
    /// Whether an optimiser with a trust ratio (LARS, LARC) uses it here.
    pub trust_ratio: bool,
}

/// Which optimiser, and its settings; the learning rate is that of the training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OptimiserConfig {
    /// Adam (Kingma and Ba 2015), decay coupled: added to the gradient.
    Adam {
        /// Decay of the first moment, in [0, 1).
        beta_1: f64,
        /// Decay of the second moment, in [0, 1).
        beta_2: f64,
        /// Added to the root of the second moment; above 0.
        epsilon: f64,
        /// This times the parameter is added to the gradient; 0 or more.
        weight_decay: f64,
    },
    /// Adam with decoupled decay (Loshchilov and Hutter, ICLR 2019): parameters shrink by the share `rate * weight_decay` before
    /// the step.
    AdamW {
        /// Decay of the first moment, in [0, 1).
        beta_1: f64,
        /// Decay of the second moment, in [0, 1).
        beta_2: f64,
        /// Added to the root of the second moment; above 0.
        epsilon: f64,
        /// The decay; 0 or more.
        weight_decay: f64,
    },
    /// Stochastic gradient descent.
    Sgd(SgdConfig),
    /// Stochastic gradient descent with a trust ratio for each tensor: LARS, LARC.
    Layerwise {
        /// The descent.
        sgd: SgdConfig,
        /// The trust ratio.
        trust: TrustRatio,
    },
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        Self::adam()
    }
}

impl OptimiserConfig {
    /// Adam without decay, (0.9, 0.999), epsilon 1e-8.
    pub const fn adam() -> Self {
        Self::Adam { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
    }

    /// AdamW, (0.9, 0.999), epsilon 1e-8.
    pub const fn adam_w(weight_decay: f64) -> Self {
        Self::AdamW { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay }
    }

    /// Stochastic gradient descent without dampening.
    pub const fn sgd(momentum: f64, weight_decay: f64) -> Self {
        Self::Sgd(SgdConfig { momentum, dampening: 0.0, nesterov: false, weight_decay })
    }

    /// LARS with momentum 0.9, trust coefficient 0.001, epsilon 1e-8.
    pub const fn lars(weight_decay: f64) -> Self {
        Self::layerwise(weight_decay, TrustForm::Lars)
    }

    /// LARC with momentum 0.9, trust coefficient 0.001, epsilon 1e-8; it clips unless told to scale.
    pub const fn larc(weight_decay: f64) -> Self {
        Self::layerwise(weight_decay, TrustForm::LarcClip)
    }

    const fn layerwise(weight_decay: f64, form: TrustForm) -> Self {
        let sgd = SgdConfig { momentum: 0.9, dampening: 0.0, nesterov: false, weight_decay };
        Self::Layerwise { sgd, trust: TrustRatio { coefficient: 0.001, epsilon: 1e-8, form } }
    }

    /// The same optimiser with this decay.
    #[must_use]
    pub fn with_weight_decay(mut self, decay: f64) -> Self {
        match &mut self {
            Self::Adam { weight_decay, .. } | Self::AdamW { weight_decay, .. } => *weight_decay = decay,
            Self::Sgd(sgd) | Self::Layerwise { sgd, .. } => sgd.weight_decay = decay,
        }
        self
    }

    /// The decay.
    pub fn weight_decay(&self) -> f64 {
        match self {
            Self::Adam { weight_decay, .. } | Self::AdamW { weight_decay, .. } => *weight_decay,
            Self::Sgd(sgd) | Self::Layerwise { sgd, .. } => sgd.weight_decay,
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`SettingError`] naming the first one outside of its range.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("optimiser");
        check.weight("weight_decay", self.weight_decay())?;
        match self {
            Self::Adam { beta_1, beta_2, epsilon, .. } | Self::AdamW { beta_1, beta_2, epsilon, .. } => {
                check.share("beta_1", *beta_1)?;
                check.share("beta_2", *beta_2)?;
                check.positive("epsilon", *epsilon)
            }
            Self::Sgd(sgd) | Self::Layerwise { sgd, .. } => {
                check.share("momentum", sgd.momentum)?;
                check.probability("dampening", sgd.dampening)?;
                let nesterov = !sgd.nesterov || (sgd.momentum > 0.0 && sgd.dampening == 0.0);
                check.that(nesterov, "nesterov", true, "only with momentum and without dampening")?;
                let Self::Layerwise { trust, .. } = self else { return Ok(()) };
                check.positive("trust coefficient", trust.coefficient)?;
                check.weight("epsilon", trust.epsilon)
            }
        }
    }

    /// An optimiser for one tensor.
    ///
    /// # Panics
    /// When the settings are not valid.
    pub fn init(&self) -> Box<dyn Optimiser> {
        match *self {
            Self::Adam { beta_1, beta_2, epsilon, .. } => Box::new(adam::Coupled(adam::of(beta_1, beta_2, epsilon))),
            Self::AdamW { beta_1, beta_2, epsilon, .. } => Box::new(adam::Decoupled(adam::of(beta_1, beta_2, epsilon))),
            Self::Sgd(config) => Box::new(sgd::Sgd::new(config, None)),
            Self::Layerwise { sgd, trust } => Box::new(sgd::Sgd::new(sgd, Some(trust))),
        }
    }
}
