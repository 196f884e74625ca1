//! Real and generated samples in exact shares.

use super::{SamplerError, generator, not_zero};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// How the copies of real samples lie in an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Copies {
    /// In passes: every real sample once, in random order, then every one once more. Copies meet in a batch only where two passes meet.
    #[default]
    Passes,
    /// All shuffled together, as physical copies are: a batch of B holds about `B (B - 1) / 2 share^2 / real` pairs of copies.
    Shuffled,
}

/// Batches of `replicate` copies of every real sample and one of every generated one (AdaInf, Wang et al. 2024): positions in the data set,
/// real ones before generated ones. A batch of an epoch is a function of seed, epoch and its number alone, so that a run can be resumed
/// anywhere: [`epoch`](Self::epoch) gives the same list again.
///
/// First the source of each draw is drawn, the shares of an epoch being exact, then the sample within the source without replacement: in
/// an epoch each real sample comes `replicate` times and each generated one once, but for what does not fill the last batch.
///
/// ```
/// use contrastive_core::sampler::MixedSource;
///
/// let source = MixedSource::new(50_000, 1_000_000, 10, 256, 7)?;
/// assert!((source.share() - 1.0 / 3.0).abs() < 1e-12 && source.draws() == 1_500_000);
/// # Ok::<(), contrastive_core::sampler::SamplerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MixedSource {
    real: usize,
    generated: usize,
    replicate: usize,
    batch: usize,
    copies: Copies,
    seed: u64,
}

impl MixedSource {
    /// Of so many real and generated samples, the real ones `replicate` times, in batches.
    ///
    /// # Errors
    /// When the batch is empty, there are no real samples although they are to be drawn, nothing is to be drawn, or an epoch has fewer
    /// draws than a batch.
    pub fn new(real: usize, generated: usize, replicate: usize, batch: usize, seed: u64) -> Result<Self, SamplerError> {
        not_zero(&[("samples of a batch", batch)])?;
        if real == 0 && replicate > 0 {
            return Err(SamplerError::NoReal { replicate });
        }
        let source = Self { real, generated, replicate, batch, copies: Copies::Passes, seed };
        let available = source.draws();
        if available < batch {
            return Err(SamplerError::TooFew { what: "draws of an epoch", available, needed: batch });
        }
        Ok(source)
    }

    /// With copies in another order.
    pub fn with_copies(mut self, copies: Copies) -> Self {
        self.copies = copies;
        self
    }

    /// The share of draws that are real: `m N_r / (m N_r + N_g)`.
    pub fn share(&self) -> f64 {
        (self.replicate * self.real) as f64 / self.draws() as f64
    }

    /// The copies of each real sample for which this share of draws is real, `share N_g / ((1 - share) N_r)`; infinite for a share of 1.
    pub fn copies_for(share: f64, real: usize, generated: usize) -> f64 {
        share * generated as f64 / ((1.0 - share) * real as f64)
    }

    /// Draws of an epoch: `m N_r + N_g`.
    pub fn draws(&self) -> usize {
        self.replicate * self.real + self.generated
    }

    /// Samples of a batch.
    pub fn batch_size(&self) -> usize {
        self.batch
    }

    /// Batches of an epoch; what does not fill the last one is left out.
    pub fn batches(&self) -> usize {
        self.draws() / self.batch
    }

    /// Whether a position is that of a real sample.
    pub fn is_real(&self, position: usize) -> bool {
        position < self.real
    }

    /// What is allowed but seldom meant.
    pub fn warning(&self) -> Option<String> {
        (self.replicate == 0).then(|| {
            format!("0 copies of {} real samples: all draws are of the {} generated ones", self.real, self.generated)
        })
    }

    /// All draws of an epoch in their order.
    pub fn order(&self, epoch: usize) -> Vec<usize> {
        let mut rng = generator(self.seed, epoch);
        let mut real: Vec<usize> = Vec::with_capacity(self.replicate * self.real);
        for _ in 0..self.replicate {
            let from = real.len();
            real.extend(0..self.real);
            if self.copies == Copies::Passes {
                real[from..].shuffle(&mut rng);
            }
        }
        if self.copies == Copies::Shuffled {
            real.shuffle(&mut rng);
        }
        let mut generated: Vec<usize> = (self.real..self.real + self.generated).collect();
        generated.shuffle(&mut rng);
        let mut sources: Vec<bool> = std::iter::repeat_n(true, real.len()).collect();
        sources.resize(self.draws(), false);
        sources.shuffle(&mut rng);
        let (mut real, mut generated) = (real.into_iter(), generated.into_iter());
        let draw = |from_real: bool| if from_real { real.next() } else { generated.next() };
        sources.into_iter().filter_map(draw).collect()
    }

    /// The batches of an epoch, positions in the data set.
    pub fn epoch(&self, epoch: usize) -> Vec<Vec<usize>> {
        self.order(epoch).chunks_exact(self.batch).map(<[usize]>::to_vec).collect()
    }
}
