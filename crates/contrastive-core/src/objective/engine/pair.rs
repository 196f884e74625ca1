//! The choices of an objective of the softmax family.

use crate::error::{ObjectiveError, not_negative, positive};
use crate::objective::{Denominator, Direction, Placement, PositiveWeights, Reduction};
use crate::pairs::{Exclusions, Pairs};
use crate::similarity::Similarity;
use crate::temperature::Temperature;
use std::sync::Arc;

/// An objective of the softmax family: a point in the space of choices. Start from a preset or from [`PairObjective::new`].
#[derive(Clone, Debug)]
pub struct PairObjective {
    pub(crate) similarity: Similarity,
    pub(crate) temperature: Temperature,
    pub(crate) pairs: Pairs,
    pub(crate) exclusions: Exclusions,
    pub(crate) direction: Direction,
    /// Factors of the two directions' values, if chosen.
    pub(crate) shares: Option<[f64; 2]>,
    pub(crate) denominator: Denominator,
    pub(crate) placement: Placement,
    pub(crate) weights: PositiveWeights,
    pub(crate) denominator_weights: Option<Arc<Vec<f64>>>,
    pub(crate) reduction: Reduction,
    pub(crate) offset: f64,
    pub(crate) clamp: Option<f64>,
}

impl PairObjective {
    /// InfoNCE of cosines at a fixed temperature: the diagonal holds the positives, everything else is a negative.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self::with_input_scale().temperature(Temperature::fixed(temperature)?))
    }

    /// The same with the inverse temperature as an input (see [`Inputs::with_scale`](crate::objective::Inputs::with_scale)).
    pub fn with_input_scale() -> Self {
        Self {
            similarity: Similarity::Cosine,
            temperature: Temperature::Input,
            pairs: Pairs::Diagonal,
            exclusions: Exclusions::none(),
            direction: Direction::Forward,
            shares: None,
            denominator: Denominator::WithPositives,
            placement: Placement::Outside,
            weights: PositiveWeights::Mean,
            denominator_weights: None,
            reduction: Reduction::Mean,
            offset: 0.0,
            clamp: None,
        }
    }

    fn temperature(mut self, temperature: Temperature) -> Self {
        self.temperature = temperature;
        self
    }

    /// How alike two rows are.
    pub fn with_similarity(mut self, similarity: Similarity) -> Self {
        self.similarity = similarity;
        self
    }

    /// Which pairs are positive.
    pub fn with_pairs(mut self, pairs: Pairs) -> Self {
        self.pairs = pairs;
        self
    }

    /// Who is never compared.
    pub fn with_exclusions(mut self, exclusions: Exclusions) -> Self {
        self.exclusions = exclusions;
        self
    }

    /// One direction or both.
    pub fn with_direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// Both directions, with these factors of anchors among candidates and of candidates among anchors (each direction reduced by
    /// itself), instead of 1/2 each, or 1 each for sums.
    ///
    /// # Errors
    /// When a factor is negative, infinite or NaN.
    pub fn with_direction_weights(mut self, forward: f64, backward: f64) -> Result<Self, ObjectiveError> {
        self.direction = Direction::Both;
        self.shares =
            Some([not_negative("weight of a direction", forward)?, not_negative("weight of a direction", backward)?]);
        Ok(self)
    }

    /// What the denominators hold.
    pub fn with_denominator(mut self, denominator: Denominator) -> Self {
        self.denominator = denominator;
        self
    }

    /// Where the sum over positives stands.
    pub fn with_placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Target weights of the positives.
    pub fn with_positive_weights(mut self, weights: PositiveWeights) -> Self {
        self.weights = weights;
        self
    }

    /// The factor of each anchor's log-denominator; without it, the sum of its target weights (DCLW: 1).
    pub fn with_denominator_weights(mut self, weights: Arc<Vec<f64>>) -> Self {
        self.denominator_weights = Some(weights);
        self
    }

    /// How the rows' values become one.
    pub fn with_reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// A constant added to every denominator (LightGCL: 1e-8).
    ///
    /// # Errors
    /// When it is negative, infinite or NaN.
    pub fn with_denominator_offset(mut self, offset: f64) -> Result<Self, ObjectiveError> {
        self.offset = not_negative("denominator offset", offset)?;
        Ok(self)
    }

    /// Positive logits count as clamped to `[-limit, limit]` and have no gradient of their own outside (LightGCL: 5).
    ///
    /// # Errors
    /// When the limit is not a finite number above 0.
    pub fn with_positive_clamp(mut self, limit: f64) -> Result<Self, ObjectiveError> {
        self.clamp = Some(positive("clamp of the positive logits", limit)?);
        Ok(self)
    }

    /// Checks that the choices fit each other.
    ///
    /// # Errors
    /// When the sum inside the logarithm meets a denominator for each positive, a clamp or negative weights, or an offset meets a denominator
    /// for each positive, or both directions are wanted of a comparison that has no transpose.
    pub fn validate(&self) -> Result<(), ObjectiveError> {
        let inside = self.placement == Placement::Inside;
        let own = self.denominator == Denominator::OwnPositive;
        let contradictions = [
            (inside && own, "a denominator for each positive has no sum inside the logarithm"),
            (inside && self.clamp.is_some(), "a clamp of the positive logits needs the sum outside the logarithm"),
            (
                inside && self.pairs == Pairs::Beside && matches!(self.weights, PositiveWeights::PerAnchor(_)),
                "weights of paired positives need the sum outside the logarithm",
            ),
            (
                inside && matches!(&self.weights, PositiveWeights::PerAnchor(t) if t.iter().any(|t| *t < 0.0)),
                "negative weights of positives need the sum outside the logarithm",
            ),
            (inside && self.denominator_weights.is_some(), "denominator weights need the sum outside the logarithm"),
            (own && self.offset > 0.0, "a denominator offset needs one denominator for each anchor"),
            (own && self.denominator_weights.is_some(), "denominator weights need one denominator for each anchor"),
            (
                self.direction == Direction::Both
                    && (self.pairs == Pairs::Beside
                        || matches!(self.weights, PositiveWeights::PerAnchor(_))
                        || matches!(self.reduction, Reduction::Weighted(_))
                        || self.denominator_weights.is_some()
                        || self.exclusions.offset.is_some_and(|o| o > 0)),
                "both directions need choices that hold for anchors and candidates alike",
            ),
        ];
        match contradictions.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, what)) => Err(ObjectiveError::Contradiction(what)),
            None => Ok(()),
        }
    }
}
