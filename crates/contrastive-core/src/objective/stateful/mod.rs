//! Objectives that remember: a denominator over the whole training set, or over a whole distribution, is estimated by a
//! moving average beside the network, so that small batches follow the gradient of the large problem.
//!
//! [`SogClr`] keeps one denominator for each training sample, [`ISogClr`] one temperature as well, [`Meco`] the single
//! normaliser of an energy model. Their losses change their state; the state is stored and taken up again with a run.

mod average;
mod contrast;
mod global;
mod isogclr;
mod meco;
mod samples;
mod sogclr;
mod temperatures;

pub use average::AverageWeight;
pub use global::{Estimate, Remembered, Views};
pub use isogclr::ISogClr;
pub use meco::{BinaryNce, Meco, MecoError, MecoStep, Observation};
pub use samples::SampleError;
pub use sogclr::{GlobalContrast, IndividualTemperatures, SharedTemperature, SogClr};
pub use temperatures::TemperatureRule;
