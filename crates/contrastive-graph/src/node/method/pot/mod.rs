//! POT (Zhang et al., NeurIPS 2023): training that bounds, for every node and all views within a budget of dropped edges, how much nearer it is to
//! its positive than to the mean of its negatives, and pushes the bound up.
//!
//! [`Pot`] goes around any [`TwoViewMethod`](super::TwoViewMethod) whose encoder is two graph convolutions with ReLU, leaky ReLU or PReLU;
//! [`Bounds`] and [`Scored`] stand alone, to measure an encoder that was trained otherwise.
//!
//! ```text
//! zb = rows of Z2 of length 1     w_i = N/(N-1) zb_i - sum_j zb_j / (N-1)     f_i = Z1_i . w_i: what is bounded from below
//! q_i = min(max(d_i - 1, 0), round(sum of the drop probabilities of its d_i edges)): its budget
//! A^U_ij = 1 / sqrt((d_i + 1 - q_i)(d_j + 1 - q_j))     A^L_ij = 0, A^L_ii = 1 / (d_i + 1): the entries of the operator of any such view
//! L = mean_i softplus(-score_i), over both roles;     in all (1 - kappa) L_host + kappa L
//! ```

mod bounds;
mod method;
mod relaxation;
mod score;

pub use bounds::{Bounds, EdgeBudget, Interval};
pub use method::{Pot, PotConfig};
pub use relaxation::Relaxed;
pub use score::{Compactness, Network, Score, Scored, directions};

use crate::MethodError;
use thiserror::Error;

/// Why no bound holds.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("pot: {what} is {found}; allowed: {allowed}")]
pub struct PotError {
    /// What does not fit.
    pub what: &'static str,
    /// What was found.
    pub found: String,
    /// What is allowed.
    pub allowed: &'static str,
}

/// Refuses what does not hold.
fn hold(fine: bool, what: &'static str, found: impl ToString, allowed: &'static str) -> Result<(), MethodError> {
    if fine { Ok(()) } else { Err(PotError { what, found: found.to_string(), allowed }.into()) }
}
