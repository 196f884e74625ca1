//! How sharply similarities are compared.

use crate::error::ObjectiveError;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// Divides every similarity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Temperature {
    /// One constant.
    Fixed(f64),
    /// The inverse temperature is an input of the objective, with a gradient: one value, or one for each anchor
    /// (see [`Inputs::with_scale`](crate::objective::Inputs::with_scale)).
    Input,
}

impl Temperature {
    /// A constant temperature.
    ///
    /// # Errors
    /// When it is not between 1e-9 and 1e9.
    pub fn fixed(value: f64) -> Result<Self, ObjectiveError> {
        let allowed = (1e-9..=1e9).contains(&value);
        if allowed { Ok(Self::Fixed(value)) } else { Err(ObjectiveError::Temperature(value)) }
    }
}

/// The logarithm of the smallest inverse temperature.
const LEAST_LOG: f64 = -20.723_265_836_946_41;

/// A learned inverse temperature, kept as its logarithm and clamped from above (CLIP, section 2.5: start 1 / 0.07, at
/// most 100).
#[derive(Module, Debug)]
pub struct LogitScale {
    /// `[1]`: the logarithm of the inverse temperature.
    pub log_scale: Param<Tensor<1>>,
    max_log: f64,
}

impl LogitScale {
    /// Starts at `1 / temperature`; the scale never exceeds `max_scale`.
    ///
    /// # Errors
    /// When the temperature or the largest scale is not between 1e-9 and 1e9.
    pub fn new(temperature: f64, max_scale: f64, device: &Device) -> Result<Self, ObjectiveError> {
        Temperature::fixed(temperature)?;
        if !(1e-9..=1e9).contains(&max_scale) {
            let (name, allowed) = ("largest logit scale", "1e-9 to 1e9");
            return Err(ObjectiveError::Outside { name, value: max_scale, allowed });
        }
        let log = Tensor::from_data([-temperature.ln() as f32], device);
        Ok(Self { log_scale: Param::from_tensor(log), max_log: max_scale.ln() })
    }

    /// `[1]`: the inverse temperature `exp(min(log_scale, ln max_scale))`, at least 1e-9; hand it to
    /// [`Inputs::with_scale`](crate::objective::Inputs::with_scale).
    pub fn scale(&self) -> Tensor<1> {
        self.log_scale.val().clamp(LEAST_LOG, self.max_log).exp()
    }
}

/// A temperature that changes with training, step by step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum TemperatureSchedule {
    /// One constant.
    Constant(f64),
    /// From the first to the last value in equal steps; the last ever after.
    Linear {
        /// At step 0.
        from: f64,
        /// From step `steps` on.
        to: f64,
        /// How many steps that takes.
        steps: usize,
    },
    /// `min + (max - min) (1 + cos(2 pi t / period)) / 2` (Kukleva et al. 2023, equation 2): large temperatures, which serve the
    /// frequent classes, and small ones, which serve the rare, in turn.
    Cosine {
        /// The smallest temperature (paper: 0.1).
        min: f64,
        /// The largest (paper: 1.0).
        max: f64,
        /// Steps from one maximum to the next.
        period: usize,
    },
}

impl TemperatureSchedule {
    /// Checks the numbers.
    ///
    /// # Errors
    /// When a temperature is zero, negative, infinite or NaN, or a number of steps is 0.
    pub fn validate(&self) -> Result<(), ObjectiveError> {
        let (temperatures, steps) = match *self {
            Self::Constant(t) => ([t, t], 1),
            Self::Linear { from, to, steps } => ([from, to], steps),
            Self::Cosine { min, max, period } => ([min, max], period),
        };
        for t in temperatures {
            Temperature::fixed(t)?;
        }
        if steps == 0 {
            return Err(ObjectiveError::NotPositive { name: "steps of a temperature schedule", value: 0.0 });
        }
        Ok(())
    }

    /// The temperature of step `t`, counted from 0; [`scale`](Self::scale) is its inverse as an input.
    pub fn at(&self, t: usize) -> f64 {
        match *self {
            Self::Constant(temperature) => temperature,
            Self::Linear { from, to, steps } => from + (to - from) * (t as f64 / steps.max(1) as f64).min(1.0),
            Self::Cosine { min, max, period } => {
                let phase = t as f64 / period.max(1) as f64 * std::f64::consts::TAU;
                min + (max - min) * (1.0 + phase.cos()) * 0.5
            }
        }
    }

    /// `[1]`: the inverse temperature of step `t`; hand it to
    /// [`Inputs::with_scale`](crate::objective::Inputs::with_scale).
    pub fn scale(&self, t: usize, like: &Tensor<2>) -> Tensor<1> {
        Tensor::from_data([1.0 / self.at(t)], (&like.device(), like.dtype()))
    }
}
