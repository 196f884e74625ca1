//! What can be wrong with a world, settings or data.

use contrastive_core::error::ObjectiveError;
use contrastive_core::linear::BonusError;
use contrastive_eval::EvalError;
use contrastive_train::{Check, SettingError, TrainError};

/// Why a study could not be set up or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RlError {
    /// A setting outside of its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// A table of a world that does not have the shape the others imply.
    #[error("{what} of step {step} has the shape {found:?}: expected {expected:?}")]
    Shape {
        /// Which table.
        what: &'static str,
        /// The step, counted from 0.
        step: usize,
        /// Its shape.
        found: [usize; 2],
        /// The expected shape.
        expected: [usize; 2],
    },
    /// Numbers that are no probability distribution.
    #[error("{what}, row {row}: {problem}; its entries must be at least 0 and sum to 1")]
    Law {
        /// Which table.
        what: String,
        /// Which row.
        row: usize,
        /// What is wrong.
        problem: String,
    },
    /// A reward outside `[0, 1]`.
    #[error("the reward of step {step}, state {state}, action {action} is {value}: allowed is 0 to 1")]
    Reward {
        /// The step, counted from 0.
        step: usize,
        /// The state.
        state: usize,
        /// The action.
        action: usize,
        /// The reward.
        value: f64,
    },
    /// A noise law with a state that it never draws: the density ratio has no meaning there.
    #[error("the noise law gives state {state} the probability {value}: it must be above 0 everywhere")]
    Noise {
        /// The state.
        state: usize,
        /// Its probability.
        value: f64,
    },
    /// A policy or an agent made for a world of other sizes.
    #[error("a policy of {found} for a world of {expected} (steps, states, actions)")]
    OtherWorld {
        /// Sizes of the policy.
        found: String,
        /// Sizes of the world.
        expected: String,
    },
    /// Videos or observations that cannot be used.
    #[error("{0}")]
    Data(String),
    /// The elliptical bonus.
    #[error(transparent)]
    Bonus(#[from] BonusError),
    /// An objective's setting.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// An evaluation.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// The training loop.
    #[error(transparent)]
    Train(#[from] TrainError),
}

pub(crate) fn setting(
    of: &'static str,
    name: &'static str,
    value: impl ToString,
    good: bool,
    allowed: impl Into<String>,
) -> Result<(), RlError> {
    Ok(Check::new(of).that(good, name, value, allowed)?)
}

/// Are these the probabilities of a law?
pub(crate) fn law(what: impl FnOnce() -> String, row: usize, values: impl Iterator<Item = f64>) -> Result<(), RlError> {
    let mut sum = 0.0;
    for (at, p) in values.enumerate() {
        if !(p >= 0.0 && p.is_finite()) {
            return Err(RlError::Law { what: what(), row, problem: format!("entry {at} is {p}") });
        }
        sum += p;
    }
    match (sum - 1.0f64).abs() <= 1e-9 {
        true => Ok(()),
        false => Err(RlError::Law { what: what(), row, problem: format!("the sum is {sum}") }),
    }
}
