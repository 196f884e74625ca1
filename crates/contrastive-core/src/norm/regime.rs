//! The learning rate and the length of training that belong to a batch size.

use super::NormError;

/// How a regime that was found for small batches becomes that of large ones (Hoffer et al. 2017, sections 4 and 5).
///
/// ```text
/// learning rate  lr_0 sqrt(B / B_0)             so that the covariance of a step, ~ lr^2 / B, is the same
/// epochs, drops  times ceil(B / B_0)            so that every phase has as many updates
/// ```
///
/// The second buys accuracy, not speed; with noisy labels it overtrains, and wants early stopping beside it.
///
/// ```
/// use contrastive_core::norm::Regime;
///
/// let large = Regime::new(128, 0.1, 100)?.with_drops(vec![50, 80])?.for_batch(512)?;
/// assert_eq!((large.rate(), large.epochs(), large.drops()), (0.2, 400, &[200, 320][..]));
/// # Ok::<(), contrastive_core::norm::NormError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Regime {
    batch: usize,
    rate: f64,
    epochs: usize,
    drops: Vec<usize>,
}

impl Regime {
    /// Batch size, learning rate and epochs, without drops of the rate.
    ///
    /// # Errors
    /// When the batch or the number of epochs is 0, or the rate not a finite number above 0.
    pub fn new(batch: usize, rate: f64, epochs: usize) -> Result<Self, NormError> {
        if batch == 0 {
            return Err(NormError::Zero("batch size"));
        }
        if epochs == 0 {
            return Err(NormError::Zero("number of epochs"));
        }
        if !(rate.is_finite() && rate > 0.0) {
            return Err(NormError::Outside { name: "learning rate", value: rate, allowed: "(0, infinity)" });
        }
        Ok(Self { batch, rate, epochs, drops: Vec::new() })
    }

    /// The epochs at whose start the rate drops.
    ///
    /// # Errors
    /// When they do not ascend, or one is not below the number of epochs.
    pub fn with_drops(mut self, drops: Vec<usize>) -> Result<Self, NormError> {
        let wrong =
            |value: usize, allowed| NormError::Outside { name: "epoch of a drop", value: value as f64, allowed };
        if let Some(pair) = drops.windows(2).find(|w| w[0] >= w[1]) {
            return Err(wrong(pair[1], "ascending order"));
        }
        if let Some(last) = drops.last().filter(|d| **d >= self.epochs) {
            return Err(wrong(*last, "the epochs of training"));
        }
        self.drops = drops;
        Ok(self)
    }

    /// The regime of another batch size; of a smaller one the length stays and the rate falls.
    ///
    /// # Errors
    /// When the batch is 0.
    pub fn for_batch(&self, batch: usize) -> Result<Self, NormError> {
        let longer = batch.div_ceil(self.batch);
        let scaled = Self::new(batch, self.rate * scaled(self.batch, batch), self.epochs * longer.max(1))?;
        Ok(Self { drops: self.drops.iter().map(|d| d * longer).collect(), ..scaled })
    }

    /// The learning rate of another batch size alone, the length as it is.
    ///
    /// # Errors
    /// When the batch is 0.
    pub fn with_scaled_rate(&self, batch: usize) -> Result<Self, NormError> {
        let scaled = Self::new(batch, self.rate * scaled(self.batch, batch), self.epochs)?;
        Ok(Self { drops: self.drops.clone(), ..scaled })
    }

    /// Rows of a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The learning rate of the first phase.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The learning rate of an epoch, after `factor` at every drop that has come (paper: 0.1).
    pub fn rate_at(&self, epoch: usize, factor: f64) -> f64 {
        self.drops.iter().filter(|d| **d <= epoch).fold(self.rate, |rate, _| rate * factor)
    }

    /// Epochs of training.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// The epochs at whose start the rate drops.
    pub fn drops(&self) -> &[usize] {
        &self.drops
    }

    /// Updates of training on so many samples, the last batch of an epoch left out if it is not full.
    pub fn updates(&self, samples: usize) -> usize {
        self.epochs * (samples / self.batch)
    }
}

/// `sqrt(to / from)`.
fn scaled(from: usize, to: usize) -> f64 {
    (to as f64 / from as f64).sqrt()
}
