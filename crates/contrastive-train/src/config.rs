//! Settings: how they are checked, and how a configuration becomes a training.

use crate::error::TrainError;
use crate::method::Method;
use crate::options::FitOptions;
use crate::training::{Trained, Training};
use burn::tensor::Device;
use serde::Serialize;

pub use contrastive_core::settings::{Check, SettingError};

/// The settings of a method, and how they become a training. Settings that every training has are a
/// [`TrainingConfig`](crate::TrainingConfig) within them.
pub trait MethodConfig: Serialize {
    /// What they configure.
    type Method: Method;
    /// What it is trained on.
    type Data: ?Sized;
    /// The domain's error, which wraps those of settings and of the run.
    type Error: From<SettingError> + From<TrainError>;

    /// Checks every setting that can be checked without the data.
    ///
    /// # Errors
    /// With the name and the allowed range of the first setting that is out of it.
    fn validate(&self) -> Result<(), Self::Error>;

    /// A training that can be stepped by hand, with parameters drawn from `seed`. Equal seeds give equal runs.
    ///
    /// # Errors
    /// When a setting is out of its range, by itself or for this data, or the data lacks what the method needs.
    fn build(&self, data: &Self::Data, seed: u64, device: &Device) -> Result<Training<Self::Method>, Self::Error>;

    /// Trains with the seed and on the device of `options`, with progress, checkpoints and a run folder.
    ///
    /// # Errors
    /// As [`build`](Self::build), and when the run cannot go on.
    fn fit(&self, data: &Self::Data, options: &FitOptions) -> Result<Trained<Self::Method>, Self::Error> {
        Ok(self.build(data, options.seed_value(), options.device())?.fit(options)?)
    }
}
