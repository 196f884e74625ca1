//! SogCLR: InfoNCE over the whole training set from small batches.

use super::average::AverageWeight;
use super::global::{Estimate, Global, Remembered, Views};
use super::samples::SampleError;
use super::temperatures::Temperatures;
use crate::temperature::Temperature;
use burn::tensor::{Tensor, TensorData};
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// An objective over the whole training set from small batches, with a state for each sample: [`SogClr`] and [`ISogClr`](super::ISogClr), of which `T` says
/// whose temperatures there are.
#[derive(Clone, Debug)]
pub struct GlobalContrast<T> {
    pub(super) global: Global,
    temperatures: PhantomData<T>,
}

/// One temperature for all samples.
#[derive(Clone, Copy, Debug)]
pub struct SharedTemperature;

/// A temperature for each sample, which learns.
#[derive(Clone, Copy, Debug)]
pub struct IndividualTemperatures;

impl<T> GlobalContrast<T> {
    pub(super) fn of(global: Global) -> Self {
        Self { global, temperatures: PhantomData }
    }

    /// How much a new batch counts in the moving averages, constant or on a schedule over epochs.
    pub fn with_average(mut self, share: AverageWeight) -> Self {
        self.global.share = share;
        self
    }

    /// What the moving averages are of.
    pub fn with_remembered(mut self, remembered: Remembered) -> Self {
        self.global.remembered = remembered;
        self
    }

    /// Tells the schedule of the averages which epoch begins, counted from 0.
    pub fn begin_epoch(&mut self, epoch: usize) {
        self.global.epoch = epoch;
    }

    /// Two tables `[n, d]` of the same n samples, and their numbers in the training set. The value `[1]` is a surrogate:
    /// its gradient is the estimate, its value means nothing ([`evaluate`](Self::evaluate) says what to watch). The
    /// state moves on with every call, whether or not the rows carry gradients.
    ///
    /// # Errors
    /// When there are fewer than two samples, one is listed twice or is not in the training set, or a row is
    /// not finite. The state is then as it was.
    ///
    /// # Panics
    /// When the shapes of the tables differ.
    pub fn loss(&mut self, first: Tensor<2>, second: Tensor<2>, index: &[usize]) -> Result<Tensor<1>, SampleError> {
        self.global.loss(first, second, index)
    }

    /// The same step with both gradients and the numbers to watch, outside autodiff.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(
        &mut self,
        first: &Tensor<2>,
        second: &Tensor<2>,
        index: &[usize],
    ) -> Result<Estimate, SampleError> {
        self.global.step(first, second, index)
    }

    /// The logarithm of a sample's denominator `mean_j e^{h_ij / tau_i}` (of its second modality, if `second` and there
    /// are two); `None` before its first visit.
    ///
    /// # Panics
    /// When there is no such sample.
    pub fn log_denominator(&self, second: bool, sample: usize) -> Option<f64> {
        self.global.log_denominator(second, sample)
    }

    /// Everything a run needs to go on, by name: `epoch [1]`, and for the samples (with two modalities for each of them, as
    /// `first.` and `second.`) `log_denominators [N]`, `seen [N]` and, if they have temperatures of their own,
    /// `temperatures [N]` and `momenta [N]`.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        self.global.state()
    }

    /// Takes over what [`state`](Self::state) gave. Nothing changes after an error.
    ///
    /// # Errors
    /// When a part is missing, of another number of samples, or not finite.
    pub fn load_state(&mut self, state: &BTreeMap<String, TensorData>) -> Result<(), SampleError> {
        self.global.load_state(state)
    }
}

/// SogCLR (Yuan et al. 2022): the gradient of
///
/// ```text
/// F = mean_i tau log mean_{j in all negatives of i} e^{h_ij / tau}        h_ij = cos(a_i, c_j) - cos(a_i, positive_i)
/// ```
///
/// over the whole training set, from small batches: each sample keeps a moving average s of its denominator,
///
/// ```text
/// s_i <- (1 - gamma) s_i + gamma mean_{j in batch} e^{h_ij / tau}     gradient: mean_i mean_{j in batch} (e^{h_ij / tau} / s_i) d h_ij
/// ```
///
/// (at a sample's first visit gamma is 1). With gamma = 1 this is tau times the gradient of decoupled InfoNCE. Averages are kept
/// as logarithms. Rows are compared by direction. With two views alike, the value sums over both and is a mean over
/// samples; of two modalities it sums both directions.
///
/// One evaluation of the engine gives every row's log-denominator, the mean of its similarities (the derivative by the
/// inverse temperature) and the anchors' gradient; a second one the candidates'. No n x n matrix.
pub type SogClr = GlobalContrast<SharedTemperature>;

impl SogClr {
    /// For a training set of `samples`, at this temperature (0.1 for images), with gamma 0.9.
    ///
    /// # Errors
    /// When there are no samples, or the temperature is zero, negative, infinite or NaN.
    pub fn new(samples: usize, temperature: f64, views: Views) -> Result<Self, SampleError> {
        Temperature::fixed(temperature)?;
        let share = AverageWeight::constant(0.9)?;
        Ok(Self::of(Global::new(samples, views, share, Temperatures::Fixed(temperature))?))
    }
}
