//! Settings: how they are checked, and how a configuration becomes a training.

use crate::error::TrainError;
use crate::method::Method;
use crate::options::FitOptions;
use crate::training::{Trained, Training};
use burn::tensor::Device;
use serde::Serialize;
use thiserror::Error;

/// A setting outside of its range.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{owner}: {setting} is {value}; allowed is {allowed}")]
pub struct SettingError {
    /// Whose setting it is: the name of a method or of a part.
    pub owner: String,
    /// Name of the setting.
    pub setting: String,
    /// The value given.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

/// Checks the settings of one method or part.
///
/// ```
/// use contrastive_train::Check;
///
/// let check = Check::new("MoCo");
/// assert!(check.positive("temperature", 0.07).is_ok());
/// let error = check.positive("temperature", 0.0).unwrap_err();
/// assert_eq!(error.to_string(), "MoCo: temperature is 0; allowed is a finite number above 0");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    owner: String,
}

impl Check {
    /// Checks of the settings of `owner`, whose name goes into the messages.
    pub fn new(owner: impl Into<String>) -> Self {
        Self { owner: owner.into() }
    }

    /// `good`, or else the error.
    ///
    /// # Errors
    /// [`SettingError`] unless `good`.
    pub fn that(
        &self,
        good: bool,
        setting: impl Into<String>,
        value: impl ToString,
        allowed: impl Into<String>,
    ) -> Result<(), SettingError> {
        match good {
            true => Ok(()),
            false => Err(SettingError {
                owner: self.owner.clone(),
                setting: setting.into(),
                value: value.to_string(),
                allowed: allowed.into(),
            }),
        }
    }

    /// A finite number above 0.
    ///
    /// # Errors
    /// [`SettingError`] when it is another.
    pub fn positive(&self, setting: &str, value: f64) -> Result<(), SettingError> {
        self.that(value.is_finite() && value > 0.0, setting, value, "a finite number above 0")
    }

    /// A finite number of at least 0.
    ///
    /// # Errors
    /// [`SettingError`] when it is another.
    pub fn weight(&self, setting: &str, value: f64) -> Result<(), SettingError> {
        self.that(value.is_finite() && value >= 0.0, setting, value, "a finite number of at least 0")
    }

    /// A number of at least 1.
    ///
    /// # Errors
    /// [`SettingError`] when it is 0.
    pub fn count(&self, setting: &str, value: usize) -> Result<(), SettingError> {
        self.that(value > 0, setting, value, "1 or more")
    }

    /// At least 0 and below 1.
    ///
    /// # Errors
    /// [`SettingError`] when it is another.
    pub fn share(&self, setting: &str, value: f64) -> Result<(), SettingError> {
        self.that((0.0..1.0).contains(&value), setting, value, "0 to 1, 1 excluded")
    }

    /// At least 0 and at most 1.
    ///
    /// # Errors
    /// [`SettingError`] when it is another.
    pub fn probability(&self, setting: &str, value: f64) -> Result<(), SettingError> {
        self.that((0.0..=1.0).contains(&value), setting, value, "0 to 1")
    }

    /// Every value is at least 0 and at most 1.
    ///
    /// # Errors
    /// [`SettingError`] with the first that is not.
    pub fn probabilities(&self, setting: &str, values: &[f64]) -> Result<(), SettingError> {
        values.iter().try_for_each(|&value| self.probability(setting, value))
    }

    /// Widths of layers: one or more, none of them 0.
    ///
    /// # Errors
    /// [`SettingError`] when there are none, or one is 0.
    pub fn widths(&self, widths: &[usize]) -> Result<(), SettingError> {
        self.count("number of widths", widths.len())?;
        widths.iter().try_for_each(|width| self.count("width", *width))
    }
}

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
