//! Two crops of time series that share a part.

use super::{SamplerError, generator, not_zero};
use burn::tensor::Tensor;
use rand::RngExt;
use std::ops::Range;

/// Two crops of every series of a batch which share the same time steps in different contexts (TS2Vec, Yue et al. 2022, section 3.2):
/// one draw of the crops for the batch, and a shift for each series.
///
/// ```text
/// first    [early, right)  its last `shared` steps are shared       early <= left < right <= late
/// second   [left, late)    its first `shared` steps                 shared = right - left
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlappingCrops {
    early: usize,
    left: usize,
    right: usize,
    late: usize,
    /// For each series how much later its crops begin.
    shifts: Vec<isize>,
}

impl OverlappingCrops {
    /// For `batch` series of `length` time steps, drawn uniformly one after the other: how much is shared, `2^(unit + 1)` steps (TS2Vec's
    /// unit: the first scale of the temporal contrast) to all; where that lies; how far the crops reach beyond it; the shifts. The same
    /// seed and step always give the same crops.
    ///
    /// # Errors
    /// When the series are shorter than `2^(unit + 1)`, or there are none.
    pub fn draw(length: usize, unit: usize, batch: usize, step: usize, seed: u64) -> Result<Self, SamplerError> {
        not_zero(&[("series of a batch", batch)])?;
        let scales = u32::try_from(unit).ok().and_then(|unit| unit.checked_add(1));
        let needed = scales.and_then(|scales| 1usize.checked_shl(scales)).unwrap_or(usize::MAX);
        if length < needed {
            return Err(SamplerError::Short { length, needed });
        }
        let mut rng = generator(seed, step);
        let shared = rng.random_range(needed..=length);
        let left = rng.random_range(0..=length - shared);
        let right = left + shared;
        let early = rng.random_range(0..=left);
        let late = rng.random_range(right..=length);
        let shifts = (0..batch).map(|_| rng.random_range(0..=early + length - late) as isize - early as isize);
        Ok(Self { early, left, right, late, shifts: shifts.collect() })
    }

    /// Time steps that both crops have.
    pub fn shared(&self) -> usize {
        self.right - self.left
    }

    /// The first crops of series `[B, T, F]`: `[B, t, F]`.
    ///
    /// # Panics
    /// When the series are not those the crops were drawn for, by number or length.
    pub fn first(&self, series: Tensor<3>) -> Tensor<3> {
        self.cut(series, self.early..self.right)
    }

    /// The second crops of series `[B, T, F]`: `[B, t, F]`.
    ///
    /// # Panics
    /// As [`first`](Self::first).
    pub fn second(&self, series: Tensor<3>) -> Tensor<3> {
        self.cut(series, self.left..self.late)
    }

    /// The shared steps `[B, shared, D]` of what an encoder made of both crops, step by step.
    ///
    /// # Panics
    /// When the shapes are not those of the crops.
    pub fn common(&self, first: Tensor<3>, second: Tensor<3>) -> [Tensor<3>; 2] {
        let ([b, s, d], [c, t, e]) = (first.dims(), second.dims());
        let (long, wide) = (self.right - self.early, self.late - self.left);
        assert_eq!([b, s, c, t], [self.shifts.len(), long, self.shifts.len(), wide], "series and steps of both crops");
        let shared = self.shared();
        [first.slice([0..b, s - shared..s, 0..d]), second.slice([0..c, 0..shared, 0..e])]
    }

    fn cut(&self, series: Tensor<3>, part: Range<usize>) -> Tensor<3> {
        let [b, t, f] = series.dims();
        assert_eq!(b, self.shifts.len(), "series and series the crops were drawn for");
        let crop = |(i, shift): (usize, &isize)| {
            let from = part.start.checked_add_signed(*shift).expect("a shift within the series");
            assert!(from + part.len() <= t, "a crop up to step {} of {t}", from + part.len());
            series.clone().slice([i..i + 1, from..from + part.len(), 0..f])
        };
        Tensor::cat(self.shifts.iter().enumerate().map(crop).collect(), 0)
    }
}
