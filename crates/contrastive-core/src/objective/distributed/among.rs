//! Compositions of the softmax family, the same for one process and for ranks.

use super::{DistributedError, Ranks};
use crate::objective::{Evaluation, Inputs, LogSums, PairObjective, Wanted};
use crate::similarity::{Sides, Similarity};
use burn::tensor::Tensor;

/// The rows that are compared: those of this process, or those of all ranks. In one process nothing fails.
#[derive(Clone, Copy)]
pub(crate) struct Among<'a>(Option<Ranks<'a>>);

/// This rank's rows among those of all ranks.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// The number of its first row.
    pub first: usize,
    /// Rows of all ranks.
    pub all: usize,
    /// Does any rank set its flag?
    pub any: bool,
}

impl<'a> Among<'a> {
    /// This process.
    pub const HERE: Among<'static> = Among(None);

    /// All ranks.
    pub fn all(ranks: &Ranks<'a>) -> Self {
        Self(Some(*ranks))
    }

    /// As [`Ranks::place`].
    pub fn place(self, rows: usize, flag: bool, same: &[(&'static str, f64)]) -> Result<Place, DistributedError> {
        self.0.map_or(Ok(Place { first: 0, all: rows, any: flag }), |ranks| ranks.place(rows, flag, same))
    }

    /// The sum over ranks.
    pub fn total(self, mine: f64) -> Result<f64, DistributedError> {
        self.0.map_or(Ok(mine), |ranks| ranks.total(mine))
    }

    /// Rows as they are compared.
    pub fn sides(
        self,
        similarity: Similarity,
        anchors: Tensor<2>,
        candidates: Tensor<2>,
    ) -> Result<Sides, DistributedError> {
        match self.0 {
            Some(ranks) => ranks.sides(similarity, anchors, Some(candidates), None),
            None => Ok(Sides::new(similarity, anchors, Some(candidates), None)),
        }
    }

    pub fn evaluate(
        self,
        objective: &PairObjective,
        inputs: &Inputs,
        wanted: Wanted,
    ) -> Result<Evaluation, DistributedError> {
        match self.0 {
            Some(ranks) => objective.distributed_evaluate(&ranks, inputs, wanted),
            None => Ok(objective.evaluate(inputs, wanted)),
        }
    }

    pub fn values(self, sums: &LogSums, inputs: &Inputs) -> Result<Vec<f64>, DistributedError> {
        match self.0 {
            Some(ranks) => sums.distributed_values(&ranks, inputs),
            None => Ok(sums.values(inputs)),
        }
    }

    pub fn weighted(
        self,
        sums: &LogSums,
        inputs: &Inputs,
        weights: Vec<f64>,
        wanted: Wanted,
    ) -> Result<Evaluation, DistributedError> {
        match self.0 {
            Some(ranks) => sums.distributed_weighted(&ranks, inputs, weights, wanted),
            None => Ok(sums.weighted(inputs, weights, wanted)),
        }
    }
}
