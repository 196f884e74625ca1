//! Batches larger than memory: the exact gradient of a big batch, one chunk at a time.
//!
//! An objective over a batch needs all representations at once, but not all activations of the encoder. A [`GradientCache`]
//! (Gao et al. 2021) encodes the batch in chunks and keeps the representations alone, takes the exact gradient of the objective at
//! them, then encodes chunk by chunk again and pushes each chunk's gradient through its tape. Values and gradients are
//! those of one big batch; the price is a second forward pass, the memory that of one chunk, the representations and their
//! gradients.
//!
//! Encoders that act by chance (dropout, augmentation) must do the same thing twice. A [`Chunk`] carries a seed, the same one in both
//! passes: whatever is drawn must be drawn from it. Burn's dropout draws from the device's generator, so an encoder with
//! dropout starts with `device.seed(chunk.seed)`; on the CPU backend that generator is one for the whole process, and
//! nothing else may draw from it meanwhile. A second pass that differs from the first is an error, not a wrong gradient.
//!
//! The first pass needs no tape ([`Chunk::taped`]): an encoder that can do without (see [`untaped`]) saves a pass. A tape that is
//! there all the same is consumed at once by a backward pass of its own, since Burn keeps it in memory until then.
//!
//! ```
//! use burn::nn::{Linear, LinearConfig};
//! use burn::optim::{GradientsAccumulator, GradientsParams};
//! use burn::tensor::{Device, Distribution, Tensor};
//! use contrastive_core::error::ObjectiveError;
//! use contrastive_core::gradient_cache::{Chunk, GradientCache, Tower, untaped};
//! use contrastive_core::objective::InfoNce;
//!
//! let device = Device::default().autodiff();
//! let encoder: Linear = LinearConfig::new(8, 4).init(&device);
//! let rows = Tensor::<2>::random([10, 8], Distribution::Default, &device);
//! let plain = untaped(&encoder);
//! let encode = |chunk: &Chunk| {
//!     let encoder = if chunk.taped { &encoder } else { &plain };
//!     encoder.forward(rows.clone().slice([chunk.rows.clone()]))
//! };
//! let objective = InfoNce::new(0.1)?;
//!
//! let mut accumulator = GradientsAccumulator::new();
//! let loss = GradientCache::new(4)?.backward(
//!     &[Tower::new(10, &encode), Tower::new(10, &encode)],
//!     |z| Ok::<_, ObjectiveError>(objective.loss(z[0].clone(), z[1].clone())),
//!     |gradients| accumulator.accumulate(&encoder, GradientsParams::from_grads(gradients, &encoder)),
//! ).unwrap();
//! let gradients = accumulator.grads(); // for the optimiser's step
//! assert_eq!((loss.dims(), gradients.len()), ([1], 2));
//! # Ok::<(), ObjectiveError>(())
//! ```

use crate::attach::attach;
use crate::error::ObjectiveError;
use crate::modules::each_float;
use burn::module::Module;
use burn::tensor::{Gradients, Tensor};
use std::fmt;
use std::ops::Range;
use thiserror::Error;

/// A piece of the batch on its way through an encoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Which tower, in the order they are given in.
    pub tower: usize,
    /// Which rows of the tower's batch.
    pub rows: Range<usize>,
    /// Where everything random in this chunk must come from: the same in both passes, different for every chunk and tower.
    pub seed: u64,
    /// Does this pass need the tape of the encoder's parameters? The first does not.
    pub taped: bool,
}

/// One encoder with its batch, or one view of it. Several towers may share an encoder.
#[derive(Clone, Copy)]
pub struct Tower<'a> {
    rows: usize,
    encode: &'a dyn Fn(&Chunk) -> Tensor<2>,
}

impl<'a> Tower<'a> {
    /// `encode` makes the representations `[k, d]` of the k rows of a chunk, out of `rows` rows in all. In the taped pass its
    /// result carries the tape of the encoder's parameters; without one, the encoder is taken for frozen and gets no gradient.
    pub fn new(rows: usize, encode: &'a dyn Fn(&Chunk) -> Tensor<2>) -> Self {
        Self { rows, encode }
    }
}

impl fmt::Debug for Tower<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tower").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// Why there is no gradient.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum CacheError<E> {
    /// The objective failed.
    #[error(transparent)]
    Objective(E),
    /// An encoder gave other representations the second time: it draws random numbers that do not come from the chunk's seed,
    /// or keeps a state.
    #[error(
        "the encoder of tower {tower} does not repeat itself: rows {rows:?} differ by {difference:e} between the passes; \
         all it draws must come from the chunk's seed"
    )]
    Replay {
        /// Which tower.
        tower: usize,
        /// Which rows.
        rows: Range<usize>,
        /// The largest difference, relative to the largest number.
        difference: f64,
    },
}

/// The size of chunks, and the seed that all chunks' seeds come from.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientCache {
    chunk: usize,
    seed: u64,
    tolerance: f64,
}

impl GradientCache {
    /// Chunks of at most `chunk` rows; seed 0.
    ///
    /// # Errors
    /// When `chunk` is 0.
    pub fn new(chunk: usize) -> Result<Self, ObjectiveError> {
        match chunk {
            0 => Err(ObjectiveError::NotPositive { name: "rows of a chunk", value: 0.0 }),
            _ => Ok(Self { chunk, seed: 0, tolerance: 1e-4 }),
        }
    }

    /// Where the chunks' seeds come from; another one for every step.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How much the passes may differ, relative to a chunk's largest number: 1e-4 unless given. (The CPU backends repeat
    /// themselves exactly; a GPU may sum in another order.)
    ///
    /// # Errors
    /// When it is negative, infinite or NaN.
    pub fn with_tolerance(mut self, tolerance: f64) -> Result<Self, ObjectiveError> {
        self.tolerance = crate::error::not_negative("tolerance between the passes", tolerance)?;
        Ok(self)
    }

    fn chunks(&self, tower: usize, rows: usize, taped: bool) -> impl Iterator<Item = Chunk> {
        let (size, seed) = (self.chunk, self.seed);
        (0..rows).step_by(size).map(move |start| {
            // SplitMix64 of the seed, tower and place
            let mut z = seed ^ ((tower as u64) << 48) ^ start as u64;
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            Chunk { tower, rows: start..(start + size).min(rows), seed: z ^ (z >> 31), taped }
        })
    }

    /// The value `[1]` of the objective of all towers' representations, and the gradients of everything behind it.
    ///
    /// `objective` gets the representations of each tower, `[rows, d]`, and returns the loss `[1]` with its tape: whatever its
    /// own parameters are (a temperature), they may carry gradients, too. `receive` gets the gradients in parts, which are to be
    /// added up: those of the objective's parameters first, then those of each chunk's encoder
    /// (`burn::optim::GradientsAccumulator` adds up).
    ///
    /// # Errors
    /// When the objective fails, or an encoder does not repeat itself.
    ///
    /// # Panics
    /// When a tower has no rows, or an encoder returns another number of rows than its chunk has.
    pub fn backward<E>(
        &self,
        towers: &[Tower<'_>],
        objective: impl FnOnce(&[Tensor<2>]) -> Result<Tensor<1>, E>,
        mut receive: impl FnMut(Gradients),
    ) -> Result<Tensor<1>, CacheError<E>> {
        let representations: Vec<Vec<Tensor<2>>> = towers
            .iter()
            .enumerate()
            .map(|(t, tower)| {
                assert!(tower.rows > 0, "tower {t} has no rows");
                self.chunks(t, tower.rows, false).map(|chunk| consumed(encoded(tower, &chunk))).collect()
            })
            .collect();
        let leaf = |parts: &Vec<Tensor<2>>| Tensor::from_inner(Tensor::cat(parts.clone(), 0)).require_grad();
        let leaves: Vec<Tensor<2>> = representations.iter().map(leaf).collect();
        let loss = objective(&leaves).map_err(CacheError::Objective)?;
        let value = loss.clone().inner();
        let mut gradients = loss.backward();
        let taken: Vec<_> = leaves.iter().map(|leaf| leaf.grad_remove(&mut gradients)).collect();
        drop(leaves);
        receive(gradients);

        let known = representations.into_iter().zip(taken).enumerate();
        for (t, (parts, gradient)) in known {
            // representations that the objective does not look at
            let Some(gradient) = gradient else { continue };
            for (chunk, first) in self.chunks(t, towers[t].rows, true).zip(parts) {
                let again = encoded(&towers[t], &chunk);
                let difference = difference(&first, again.clone().inner());
                if difference.is_nan() || difference > self.tolerance {
                    return Err(CacheError::Replay { tower: t, rows: chunk.rows, difference });
                }
                if !again.is_tracked() {
                    continue;
                }
                let part = gradient.clone().slice([chunk.rows.clone()]);
                let nothing = Tensor::<1>::zeros([1], (&part.device(), part.dtype()));
                receive(attach(nothing, &again, part).backward());
            }
        }
        Ok(value)
    }
}

fn encoded(tower: &Tower<'_>, chunk: &Chunk) -> Tensor<2> {
    let z = (tower.encode)(chunk);
    let [rows, d] = z.dims();
    assert_eq!(
        rows,
        chunk.rows.len(),
        "tower {}: rows of {chunk:?} and of its representations [{rows}, {d}]",
        chunk.tower
    );
    z
}

/// A copy of a module for the pass without a tape: its parameters carry no gradient, and dropout acts as in training (which
/// it does not in `valid`).
///
/// Not `module.clone().no_grad()`: of parameters that are not initialised yet, that would change the module itself.
pub fn untaped<M: Module>(module: &M) -> M {
    // a parameter is initialised when it is looked at
    each_float(module, |_| {});
    module.clone().no_grad()
}

/// The numbers alone; a tape is consumed, because it would stay in memory until the next backward pass.
fn consumed(z: Tensor<2>) -> Tensor<2> {
    let plain = z.clone().inner();
    if z.is_tracked() {
        drop(z.sum().backward());
    }
    plain
}

/// The largest difference, relative to the largest number.
fn difference(a: &Tensor<2>, b: Tensor<2>) -> f64 {
    let largest = |x: Tensor<2>| x.abs().max().into_data().iter::<f64>().next().unwrap_or(0.0);
    let gap = largest(a.clone() - b);
    if gap == 0.0 { 0.0 } else { gap / largest(a.clone()).max(f64::MIN_POSITIVE) }
}
