//! Settings that nothing can be built from.

use std::fmt::Display;
use thiserror::Error;

/// A setting outside of what is allowed.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{of}: {name} {value}: it must be {allowed}")]
pub struct SettingError {
    /// What is built.
    pub of: &'static str,
    /// The setting.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What it may be.
    pub allowed: String,
}

/// Checks settings of what is named.
pub(crate) struct Check(pub &'static str);

impl Check {
    pub fn that(
        &self,
        fine: bool,
        name: &'static str,
        value: impl Display,
        allowed: impl Into<String>,
    ) -> Result<(), SettingError> {
        match fine {
            true => Ok(()),
            false => Err(SettingError { of: self.0, name, value: value.to_string(), allowed: allowed.into() }),
        }
    }

    pub fn width(&self, name: &'static str, value: usize) -> Result<(), SettingError> {
        self.that(value > 0, name, value, "1 or more")
    }

    pub fn share(&self, name: &'static str, value: f64) -> Result<(), SettingError> {
        self.that((0.0..1.0).contains(&value), name, value, "in [0, 1)")
    }

    pub fn positive(&self, name: &'static str, value: f64) -> Result<(), SettingError> {
        self.that(value.is_finite() && value > 0.0, name, value, "a finite number above 0")
    }

    pub fn finite(&self, name: &'static str, value: f64) -> Result<(), SettingError> {
        self.that(value.is_finite(), name, value, "finite")
    }
}
