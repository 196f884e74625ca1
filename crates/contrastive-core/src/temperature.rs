//! How sharply similarities are compared.

use crate::error::ObjectiveError;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};

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
    /// When it is zero, negative, infinite or NaN.
    pub fn fixed(value: f64) -> Result<Self, ObjectiveError> {
        if value.is_finite() && value > 0.0 { Ok(Self::Fixed(value)) } else { Err(ObjectiveError::Temperature(value)) }
    }
}

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
    /// When either is zero, negative, infinite or NaN.
    pub fn new(temperature: f64, max_scale: f64, device: &Device) -> Result<Self, ObjectiveError> {
        Temperature::fixed(temperature)?;
        crate::error::positive("largest logit scale", max_scale)?;
        let log = Tensor::from_data([-temperature.ln() as f32], device);
        Ok(Self { log_scale: Param::from_tensor(log), max_log: max_scale.ln() })
    }

    /// `[1]`: the inverse temperature `exp(min(log_scale, ln max_scale))`; hand it to
    /// [`Inputs::with_scale`](crate::objective::Inputs::with_scale).
    pub fn scale(&self) -> Tensor<1> {
        self.log_scale.val().clamp_max(self.max_log).exp()
    }
}
