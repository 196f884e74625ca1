//! Stochastic gradient descent, alone and with a trust ratio for each tensor.

use super::{Optimiser, Rule};
use crate::error::TrainError;
use crate::trainee::{State, take_tensor};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Settings of stochastic gradient descent, as `torch.optim.SGD` has them:
///
/// ```text
/// g <- g + weight_decay p
/// v <- momentum v + (1 - dampening) g          (the first step: v <- g)
/// p <- p - rate v                              (Nesterov: p - rate (g + momentum v))
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SgdConfig {
    /// In [0, 1); 0 for none.
    pub momentum: f64,
    /// In [0, 1]; 0 with Nesterov's momentum.
    pub dampening: f64,
    /// Nesterov's momentum.
    pub nesterov: bool,
    /// 0 or more.
    pub weight_decay: f64,
}

/// Settings of a trust ratio: how long a tensor's step is, compared with the tensor.
///
/// ```text
/// a = coefficient |p| / (|g| + weight_decay |p| + epsilon)          where neither |p| nor |g| is 0
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrustRatio {
    /// Above 0.
    pub coefficient: f64,
    /// 0 or more.
    pub epsilon: f64,
    /// How it enters the step.
    pub form: TrustForm,
}

/// How a trust ratio enters the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustForm {
    /// LARS (You, Gitman and Ginsburg 2017; as lightly has it): `g <- a (g + weight_decay p)`, and no ratio where nothing decays.
    Lars,
    /// LARC as NVIDIA's apex scales: the same, also where nothing decays.
    LarcScale,
    /// LARC as it clips: `a` becomes `min(a / rate, 1)`, so that the ratio only ever shortens a step.
    LarcClip,
}

/// The optimiser of one tensor.
#[derive(Debug)]
pub(super) struct Sgd {
    config: SgdConfig,
    trust: Option<TrustRatio>,
    velocity: Option<Tensor<1>>,
    /// Loaded, and not yet on a device.
    loaded: Option<TensorData>,
}

impl Sgd {
    pub(super) fn new(config: SgdConfig, trust: Option<TrustRatio>) -> Self {
        Self { config, trust, velocity: None, loaded: None }
    }
}

/// The Euclidean length of a flat tensor.
pub(crate) fn length(x: &Tensor<1>) -> f64 {
    square_sum(x).sqrt()
}

/// The sum of squares of a flat tensor.
pub(crate) fn square_sum(x: &Tensor<1>) -> f64 {
    (x.clone() * x.clone()).sum().into_data().iter::<f64>().next().unwrap_or(0.0)
}

impl TrustRatio {
    /// The factor on gradient and decay.
    fn factor(&self, p: &Tensor<1>, g: &Tensor<1>, rule: &Rule) -> f64 {
        let none = self.form == TrustForm::Lars && rule.weight_decay == 0.0;
        if none || !rule.trust_ratio {
            return 1.0;
        }
        let (p, g) = (length(p), length(g));
        if p == 0.0 || g == 0.0 {
            return 1.0;
        }
        let ratio = self.coefficient * p / (g + rule.weight_decay * p + self.epsilon);
        match self.form {
            TrustForm::LarcClip => (ratio / rule.rate).min(1.0),
            _ => ratio,
        }
    }
}

impl Optimiser for Sgd {
    fn step(&mut self, parameters: Tensor<1>, gradient: Tensor<1>, rule: &Rule) -> Tensor<1> {
        let SgdConfig { momentum, dampening, nesterov, .. } = self.config;
        let factor = self.trust.map_or(1.0, |trust| trust.factor(&parameters, &gradient, rule));
        let mut gradient = match rule.weight_decay {
            0.0 => gradient,
            decay => gradient + parameters.clone() * decay,
        };
        if factor != 1.0 {
            gradient = gradient * factor;
        }
        if momentum == 0.0 {
            return parameters - gradient * rule.rate;
        }
        let kind = (&parameters.device(), parameters.dtype());
        let before = self.velocity.take().or_else(|| Some(Tensor::from_data(self.loaded.take()?, kind)));
        let velocity = match before {
            None => gradient.clone(),
            Some(velocity) => velocity * momentum + gradient.clone() * (1.0 - dampening),
        };
        self.velocity = Some(velocity.clone());
        let step = if nesterov { gradient + velocity * momentum } else { velocity };
        parameters - step * rule.rate
    }

    fn save(&self, prefix: &str, state: &mut State) {
        let velocity = self.velocity.as_ref().map(|v| v.clone().into_data()).or_else(|| self.loaded.clone());
        if let Some(velocity) = velocity {
            state.insert(format!("{prefix}.velocity"), velocity);
        }
    }

    fn load(&mut self, prefix: &str, state: &mut State, n: usize) -> Result<(), TrainError> {
        let name = format!("{prefix}.velocity");
        self.velocity = None;
        // there is none before the first step
        self.loaded = state.contains_key(&name).then(|| take_tensor(state, &name, &[n])).transpose()?;
        Ok(())
    }
}
