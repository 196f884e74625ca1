//! How settings of methods, layers and parts are checked, and the error that names the one out of its range.

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
/// use contrastive_core::settings::Check;
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

    /// A finite number.
    ///
    /// # Errors
    /// [`SettingError`] when it is infinite or NaN.
    pub fn finite(&self, setting: &str, value: f64) -> Result<(), SettingError> {
        self.that(value.is_finite(), setting, value, "a finite number")
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
