//! FT: positive pairs are pushed apart, negatives are mixed.

use super::joined::{JoinedInfoNce, Negatives, products};
use super::random::{beta, generator};
use super::score_trace::ScoreTrace;
use super::{SynthesisError, places};
use crate::error::{ObjectiveError, positive};
use crate::host::to_f64;
use crate::objective::check_types;
use crate::pairs::Exclusions;
use crate::similarity::unit_rows;
use burn::tensor::{Tensor, TensorData};
use rand::seq::SliceRandom;

/// How many extrapolations are drawn at a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Granularity {
    /// One for the whole batch (the released code's command line).
    #[default]
    Batch,
    /// One for each pair.
    Sample,
    /// One for each dimension.
    Dimension,
}

/// Which queries are compared with the negatives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NegativesUse {
    /// The extrapolated ones (released code).
    #[default]
    Extrapolated,
    /// The raw ones (the paper's equation).
    Raw,
}

/// Feature transformation for contrast against a queue (FT; Zhu et al. 2021):
///
/// ```text
/// q^ = lambda q + (1 - lambda) k        k^ = lambda k + (1 - lambda) q        lambda = 1 + Beta(a+, a+), in (1, 2)
/// Q^_u = mu Q_u + (1 - mu) Q_pi(u)                                            mu = Beta(a-, a-), pi a permutation
/// loss = mean_i  log(e^{q^.k^ / T} + sum_u e^{q^.Q^_u / T}) - q^.k^ / T
/// ```
///
/// Inner products; q^, k^ and Q^ are not brought back to length 1, on purpose. The gradient of q flows through q^ and through k^; keys
/// are usually constants. The stored queue stays as it is, and takes in k, never k^.
#[derive(Clone, Debug)]
pub struct FeatureTransform {
    objective: JoinedInfoNce,
    temperature: f64,
    extrapolation: Option<f64>,
    interpolation: Option<f64>,
    granularity: Granularity,
    negatives: NegativesUse,
    normalise: bool,
    start: usize,
}

/// What a step drew.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureDraw {
    /// lambda: one number, or one for each pair or dimension.
    pub extrapolation: Vec<f64>,
    /// Which of them.
    pub granularity: Granularity,
    /// mu.
    pub interpolation: f64,
    /// pi: the row that row u of the queue is mixed with; empty where nothing is mixed.
    pub permutation: Vec<u32>,
}

/// `q^ . k^` of unit rows with the inner product s: `s + 2 lambda (1 - lambda) (1 - s)`, at most s for lambda of at least 1.
pub fn extrapolated_score(s: f64, lambda: f64) -> f64 {
    s + 2.0 * lambda * (1.0 - lambda) * (1.0 - s)
}

/// Lengths further from 1 than this are none of unit rows.
const TOLERANCE: f64 = 1e-3;

impl FeatureTransform {
    /// At this temperature, with the paper's draws: a+ = 2, a- = 1.6.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self {
            objective: JoinedInfoNce::new(temperature)?,
            temperature,
            extrapolation: Some(2.0),
            interpolation: Some(1.6),
            granularity: Granularity::Batch,
            negatives: NegativesUse::Extrapolated,
            normalise: false,
            start: 0,
        })
    }

    /// Another a+; `None` leaves pairs as they are.
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn with_extrapolation(mut self, a: Option<f64>) -> Result<Self, ObjectiveError> {
        self.extrapolation = a.map(|a| positive("a of the extrapolation's Beta", a)).transpose()?;
        Ok(self)
    }

    /// Another a-; `None` leaves the queue as it is.
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn with_interpolation(mut self, a: Option<f64>) -> Result<Self, ObjectiveError> {
        self.interpolation = a.map(|a| positive("a of the interpolation's Beta", a)).transpose()?;
        Ok(self)
    }

    /// How many extrapolations are drawn.
    pub fn with_granularity(mut self, granularity: Granularity) -> Self {
        self.granularity = granularity;
        self
    }

    /// Which queries are compared with the negatives.
    pub fn with_negatives(mut self, negatives: NegativesUse) -> Self {
        self.negatives = negatives;
        self
    }

    /// Brings transformed rows back to length 1, which undoes most of the effect.
    pub fn with_normalisation(mut self) -> Self {
        self.normalise = true;
        self
    }

    /// Plain MoCo before this step.
    pub fn with_start(mut self, step: usize) -> Self {
        self.start = step;
        self
    }

    /// The draws of a step for n pairs of width d and m rows of a queue.
    ///
    /// # Errors
    /// When rows of the queue are to be mixed, and there are fewer than two.
    pub fn draw(&self, [n, d]: [usize; 2], m: usize, step: usize, seed: u64) -> Result<FeatureDraw, SynthesisError> {
        let mut rng = generator(seed, step);
        let active = step >= self.start;
        let count = match self.granularity {
            Granularity::Batch => 1,
            Granularity::Sample => n,
            Granularity::Dimension => d,
        };
        let mut draw = FeatureDraw {
            extrapolation: vec![1.0; count],
            granularity: self.granularity,
            interpolation: 1.0,
            permutation: Vec::new(),
        };
        if let Some(a) = self.extrapolation.filter(|_| active) {
            draw.extrapolation.iter_mut().for_each(|lambda| *lambda += beta(&mut rng, a));
        }
        if let Some(a) = self.interpolation.filter(|_| active) {
            if m < 2 {
                return Err(SynthesisError::Rows { what: "rows of a queue to be mixed", rows: m, least: 2 });
            }
            draw.interpolation = beta(&mut rng, a);
            draw.permutation = (0..m as u32).collect();
            draw.permutation.shuffle(&mut rng);
        }
        Ok(draw)
    }

    /// Unit queries and keys `[n, d]` against unit rows `[m, d]` of a queue, at a step: the value `[1]`, and the scores it saw.
    ///
    /// # Errors
    /// When a query or key does not have length 1, or the queue is too small to be mixed.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn loss(
        &self,
        queries: Tensor<2>,
        keys: Tensor<2>,
        queue: Tensor<2>,
        step: usize,
        seed: u64,
    ) -> Result<(Tensor<1>, ScoreTrace), SynthesisError> {
        let draw = self.draw(queries.dims(), queue.dims()[0], step, seed)?;
        self.loss_of(queries, keys, queue, &draw)
    }

    /// The same with given draws.
    ///
    /// # Errors
    /// When a query or key does not have length 1.
    ///
    /// # Panics
    /// When the shapes or the draws do not fit.
    pub fn loss_of(
        &self,
        queries: Tensor<2>,
        keys: Tensor<2>,
        queue: Tensor<2>,
        draw: &FeatureDraw,
    ) -> Result<(Tensor<1>, ScoreTrace), SynthesisError> {
        check_types(&[("queries", queries.dtype()), ("keys", keys.dtype()), ("the queue", queue.dtype())]);
        unit_length("queries", &queries)?;
        unit_length("keys", &keys)?;
        let back = |x: Tensor<2>| if self.normalise { unit_rows(x) } else { x };
        let (far_queries, far_keys) = draw.extrapolate(queries.clone(), keys);
        let (far_queries, far_keys) = (back(far_queries), back(far_keys));
        let candidates = back(draw.interpolate(queue));
        let anchors = match self.negatives {
            NegativesUse::Extrapolated => far_queries.clone(),
            NegativesUse::Raw => queries,
        };
        let trace = ScoreTrace::record(&anchors, &far_queries, &far_keys, &candidates, self.temperature);
        let exclusions = Exclusions::none();
        let negatives = Negatives::Shared { anchors, candidates: candidates.detach(), exclusions };
        Ok((self.objective.loss(products(&far_queries, &far_keys), &[negatives]), trace))
    }
}

impl FeatureDraw {
    /// Queries and keys `[n, d]`, pushed apart: `(q^, k^)`, differentiable in both; their sum stays that of q and k.
    ///
    /// # Panics
    /// When the shapes differ, or the draws are not as many as pairs or dimensions.
    pub fn extrapolate(&self, queries: Tensor<2>, keys: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let [n, d] = queries.dims();
        assert_eq!([n, d], keys.dims(), "the shapes of queries and keys");
        let shape = match self.granularity {
            Granularity::Batch => [1, 1],
            Granularity::Sample => [n, 1],
            Granularity::Dimension => [1, d],
        };
        let count = self.extrapolation.len();
        assert_eq!(count, shape[0] * shape[1], "extrapolations of rows [{n}, {d}] by {:?}", self.granularity);
        // q^ - q = k - k^ = (lambda - 1) (q - k)
        let beyond: Vec<f64> = self.extrapolation.iter().map(|lambda| lambda - 1.0).collect();
        let beyond = Tensor::<2>::from_data(TensorData::new(beyond, shape), (&queries.device(), queries.dtype()));
        let push = (queries.clone() - keys.clone()) * beyond;
        (queries + push.clone(), keys - push)
    }

    /// Rows `[m, d]` of a queue, mixed; the rows themselves are left alone.
    ///
    /// # Panics
    /// When the permutation is of another number of rows.
    pub fn interpolate(&self, queue: Tensor<2>) -> Tensor<2> {
        if self.permutation.is_empty() {
            return queue;
        }
        assert_eq!(self.permutation.len(), queue.dims()[0], "a permutation, and rows of the queue");
        let other = queue.clone().select(0, places(&self.permutation, &queue));
        queue * self.interpolation + other * (1.0 - self.interpolation)
    }
}

fn unit_length(what: &'static str, rows: &Tensor<2>) -> Result<(), SynthesisError> {
    let plain = rows.clone().inner();
    let lengths = to_f64((plain.clone() * plain).sum_dim(1).sqrt());
    // NaN is not a length of 1 either
    match lengths.iter().position(|length| length.is_nan() || (length - 1.0).abs() > TOLERANCE) {
        Some(row) => Err(SynthesisError::NotUnit { what, row, length: lengths[row] }),
        None => Ok(()),
    }
}
