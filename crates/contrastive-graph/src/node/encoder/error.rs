//! What can be wrong with the settings of an encoder.

use thiserror::Error;

/// A setting that no encoder can be built from, or an input that does not fit.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("{encoder}: {setting} is {value}; allowed is {allowed}")]
#[non_exhaustive]
pub struct EncoderError {
    /// The encoder.
    pub encoder: &'static str,
    /// Name of the setting.
    pub setting: &'static str,
    /// The value given.
    pub value: String,
    /// What is allowed.
    pub allowed: String,
}

/// Checks settings of one encoder.
pub(super) struct Check(pub &'static str);

impl Check {
    pub(super) fn that(
        &self,
        fine: bool,
        setting: &'static str,
        value: impl ToString,
        allowed: impl ToString,
    ) -> Result<(), EncoderError> {
        let (value, allowed) = (value.to_string(), allowed.to_string());
        if fine { Ok(()) } else { Err(EncoderError { encoder: self.0, setting, value, allowed }) }
    }

    pub(super) fn width(&self, setting: &'static str, value: usize) -> Result<(), EncoderError> {
        self.that(value > 0, setting, value, "1 or more")
    }

    pub(super) fn widths(&self, input: usize, output: usize) -> Result<(), EncoderError> {
        self.width("input", input)?;
        self.width("output", output)
    }

    pub(super) fn dropout(&self, setting: &'static str, value: f64) -> Result<(), EncoderError> {
        self.that((0.0..1.0).contains(&value), setting, value, "0 to 1, 1 excluded")
    }

    pub(super) fn finite(&self, setting: &'static str, value: f64) -> Result<(), EncoderError> {
        self.that(value.is_finite(), setting, value, "a finite number")
    }
}
