//! What can be wrong with the choices of an objective.

use thiserror::Error;

/// A choice that no objective can be built from.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ObjectiveError {
    /// A temperature that is not between 1e-9 and 1e9.
    #[error("temperature {0}: it must be a number from 1e-9 to 1e9 (published values lie between 0.005 and 1)")]
    Temperature(f64),
    /// A number that must be finite and not negative.
    #[error("{name} {value}: it must be a finite number of at least 0")]
    Negative {
        /// What the number is.
        name: &'static str,
        /// The number.
        value: f64,
    },
    /// A number that must be finite and above zero.
    #[error("{name} {value}: it must be a finite number above 0")]
    NotPositive {
        /// What the number is.
        name: &'static str,
        /// The number.
        value: f64,
    },
    /// A number outside the interval it may come from.
    #[error("{name} {value}: it must lie in {allowed}")]
    Outside {
        /// What the number is.
        name: &'static str,
        /// The number.
        value: f64,
        /// The interval.
        allowed: &'static str,
    },
    /// Lists of pairs whose parts do not fit.
    #[error("pair lists: {0}")]
    Pairs(String),
    /// Choices that contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
}

/// `value` if it is finite and at least zero.
pub(crate) fn not_negative(name: &'static str, value: f64) -> Result<f64, ObjectiveError> {
    if value.is_finite() && value >= 0.0 { Ok(value) } else { Err(ObjectiveError::Negative { name, value }) }
}

/// `value` if it is finite and above zero.
pub(crate) fn positive(name: &'static str, value: f64) -> Result<f64, ObjectiveError> {
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(ObjectiveError::NotPositive { name, value }) }
}
