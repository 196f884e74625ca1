//! Objectives over the rows of all ranks.
//!
//! Each rank describes its own rows; the objective is that of their union. Keys are sent as unit rows if the similarity is the
//! cosine, so that lengths are taken once, and their gradients come back to the rank that owns them.

mod among;
mod id;
mod keys;
mod links;
mod moments;
mod pair;
mod relation;
mod ring;
mod sigmoid;
mod uniformity;

use crate::distributed::{CommunicationError, Communicator, Floats};
use crate::error::ObjectiveError;
use crate::similarity::{Sides, Similarity, mean_row};
use burn::tensor::{Device, Tensor};
use thiserror::Error;

pub(super) use among::{Among, Place};
pub(super) use id::ObjectiveId;

/// How the keys of all ranks reach the anchors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exchange {
    /// Every rank gathers all keys: one evaluation, memory for the keys of all ranks and their gradients.
    #[default]
    AllGather,
    /// Keys are passed round a ring, and their gradients with them: memory for the rows of one rank. The softmax family goes
    /// round twice, for the denominators and for the gradients (8 instead of 6 n m d flops), and keeps `world` log-sums for
    /// each anchor between the two.
    Ring,
}

/// A group of ranks, and how keys are exchanged between them.
#[derive(Clone, Copy)]
pub struct Ranks<'a> {
    communicator: &'a dyn Communicator,
    exchange: Exchange,
}

/// Why an objective over ranks has no value.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum DistributedError {
    /// A rank is gone, or brings buffers that do not fit.
    #[error(transparent)]
    Communication(#[from] CommunicationError),
    /// The choices contradict each other, or have no meaning over ranks.
    #[error(transparent)]
    Objective(#[from] ObjectiveError),
    /// Ranks call with something that must be the same everywhere, and is not.
    #[error("{what}: {there} on rank {rank}, {first} on rank 0; it must be the same on all ranks")]
    Disagreement {
        /// What differs.
        what: &'static str,
        /// The first rank that differs from rank 0.
        rank: usize,
        /// Its value.
        there: f64,
        /// The value on rank 0.
        first: f64,
    },
    /// Too few rows in all ranks together.
    #[error("{what} of {rows} rows on {world} ranks: at least {least}")]
    TooFew {
        /// The objective.
        what: &'static str,
        /// Rows of all ranks.
        rows: usize,
        /// Number of ranks.
        world: usize,
        /// Rows that are needed.
        least: usize,
    },
}

impl<'a> Ranks<'a> {
    /// Keys are exchanged as `exchange` says.
    pub fn new(communicator: &'a dyn Communicator, exchange: Exchange) -> Self {
        Self { communicator, exchange }
    }

    /// Every rank gathers all keys.
    pub fn all_gather(communicator: &'a dyn Communicator) -> Self {
        Self::new(communicator, Exchange::AllGather)
    }

    /// Keys are passed round a ring.
    pub fn ring(communicator: &'a dyn Communicator) -> Self {
        Self::new(communicator, Exchange::Ring)
    }

    /// The group.
    pub fn communicator(&self) -> &'a dyn Communicator {
        self.communicator
    }

    fn rank(&self) -> usize {
        self.communicator.rank()
    }

    fn world(&self) -> usize {
        self.communicator.world()
    }

    /// Checks that all ranks mean the same, before a rank waits for a message that is not sent; all ranks' `counts`, by rank.
    fn agree<const K: usize>(
        &self,
        counts: [usize; K],
        same: &[(&'static str, f64)],
    ) -> Result<Vec<[usize; K]>, DistributedError> {
        let exchange =
            [("exchange of keys (0 all-gather, 1 ring)", f64::from(u8::from(self.exchange == Exchange::Ring)))];
        let same = || exchange.iter().chain(same);
        let mine = counts.iter().map(|&c| c as f64).chain(same().map(|s| s.1)).collect();
        let all = self.communicator.all_gather(Floats::F64(mine))?;
        let all: Vec<Vec<f64>> = all.into_iter().map(Floats::into_f64).collect();
        for (rank, there) in all.iter().enumerate() {
            let numbers = ("number of inputs and choices", there.len() as f64, all[0].len() as f64);
            let each = same().enumerate().map(|(k, s)| (s.0, there.get(K + k), all[0].get(K + k)));
            let each = each.map(|(what, a, b)| (what, a.copied().unwrap_or(f64::NAN), b.copied().unwrap_or(f64::NAN)));
            if let Some((what, there, first)) =
                std::iter::once(numbers).chain(each).find(|(_, a, b)| a != b && !(a.is_nan() && b.is_nan()))
            {
                return Err(DistributedError::Disagreement { what, rank, there, first });
            }
        }
        Ok(all.iter().map(|one| std::array::from_fn(|k| one[k] as usize)).collect())
    }

    /// Where this rank's `rows` stand among those of all ranks, which mean the same, and whether any of them sets its `flag`.
    pub(super) fn place(
        &self,
        rows: usize,
        flag: bool,
        same: &[(&'static str, f64)],
    ) -> Result<Place, DistributedError> {
        let counts = self.agree([rows, usize::from(flag)], same)?;
        let starts = starts(counts.iter().map(|c| c[0]));
        Ok(Place { first: starts[self.rank()], all: starts[starts.len() - 1], any: counts.iter().any(|c| c[1] > 0) })
    }

    /// The sum over ranks.
    pub(super) fn total(&self, mine: f64) -> Result<f64, DistributedError> {
        Ok(self.communicator.all_reduce(Floats::F64(vec![mine]))?.into_f64()[0])
    }

    /// The logarithm of the sum of `e^value` over the values of all ranks.
    pub(super) fn log_sum(&self, values: &[f64]) -> Result<f64, DistributedError> {
        let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::NEG_INFINITY, f64::max);
        let top = largest(&mut values.iter().copied());
        let mine = Floats::F64(vec![top, values.iter().map(|v| (v - top).exp()).sum()]);
        let parts: Vec<_> = self.communicator.all_gather(mine)?.into_iter().map(Floats::into_f64).collect();
        let top = largest(&mut parts.iter().map(|p| p[0]));
        Ok(top + parts.iter().map(|p| p[1] * (p[0] - top).exp()).sum::<f64>().ln())
    }

    /// Rows as they are compared, distances measured from the mean of all ranks' candidates.
    fn sides(
        &self,
        similarity: Similarity,
        anchors: Tensor<2>,
        candidates: Option<Tensor<2>>,
        paired: Option<Tensor<2>>,
    ) -> Result<Sides, DistributedError> {
        Sides::measured(similarity, anchors, candidates, paired, |candidates| {
            let m = candidates.dims()[0] as f64;
            self.sum(mean_row(candidates) * (m / self.total(m)?))
        })
    }

    /// The sum over ranks of a tensor.
    fn sum<const D: usize>(&self, mine: Tensor<D>) -> Result<Tensor<D>, DistributedError> {
        let (shape, device): (_, Device) = (mine.dims(), mine.device());
        Ok(self.communicator.all_reduce(Floats::of(mine))?.tensor(shape, &device))
    }

    /// `[1]`: the sum over ranks of each rank's loss `[1]`, with the gradient of this rank's: for any objective that is a sum
    /// of parts that need one rank's rows alone.
    ///
    /// # Errors
    /// When a rank is gone.
    ///
    /// # Panics
    /// When the loss is not a single number.
    pub fn sum_of_losses(&self, mine: Tensor<1>) -> Result<Tensor<1>, DistributedError> {
        let plain = mine.clone().inner();
        assert_eq!(plain.dims(), [1], "the shape of a loss");
        let total = self.sum(plain.clone())?.cast(plain.dtype());
        if !mine.is_autodiff() {
            return Ok(total);
        }
        // the difference is 0, and has the gradient
        Ok(Tensor::from_inner(total) + (mine.clone() - mine.detach()))
    }
}

/// Where each rank's rows start among all, and, at the end, how many there are.
fn starts(counts: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut starts = vec![0];
    starts.extend(counts.scan(0, |at, n| {
        *at += n;
        Some(*at)
    }));
    starts
}
