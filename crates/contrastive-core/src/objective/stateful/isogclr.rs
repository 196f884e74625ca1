//! iSogCLR: SogCLR with a temperature for each sample.

use super::average::AverageWeight;
use super::global::{Global, Views};
use super::samples::SampleError;
use super::sogclr::{GlobalContrast, IndividualTemperatures};
use super::temperatures::{TemperatureRule, Temperatures};

/// iSogCLR (Qiu et al. 2023): as [`SogClr`](super::SogClr), and every sample learns its temperature by the
/// [`TemperatureRule`]. A temperature is used from the sample's next visit on; the two views of a sample share it, two modalities
/// have one each.
///
/// With the rate 0 this is SogCLR at the starting temperature.
pub type ISogClr = GlobalContrast<IndividualTemperatures>;

impl ISogClr {
    /// For a training set of `samples`, with gamma 0.8.
    ///
    /// # Errors
    /// When there are no samples.
    pub fn new(samples: usize, rule: TemperatureRule, views: Views) -> Result<Self, SampleError> {
        let share = AverageWeight::constant(0.8)?;
        Ok(Self::of(Global::new(samples, views, share, Temperatures::each(samples, rule))?))
    }

    /// A sample's temperature (of its second modality, if `second` and there are two).
    ///
    /// # Panics
    /// When there is no such sample.
    pub fn temperature(&self, second: bool, sample: usize) -> f64 {
        self.global.temperature(second, sample)
    }
}
