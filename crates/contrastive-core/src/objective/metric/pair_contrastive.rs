//! The contrastive loss of pairs: positives pulled up to a margin, negatives pushed beyond another.

use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, not_negative};
use crate::host::numbers;
use crate::objective::engine::rowwise::{Comparison, Evaluated};
use crate::objective::{Evaluation, Gradients, Inputs, Wanted};
use crate::pairs::{Exclusions, Pairs};
use crate::similarity::{Compared, Similarity};
use crate::temperature::Temperature;
use burn::tensor::Tensor;
use contrastive_kernels::rowwise::{Margins, Measure};

/// The contrastive loss of pairs (Hadsell et al. 2006, equation 4, with hinges that are not squared), of rows scaled to
/// length 1:
///
/// ```text
/// similarities  [m+ - s]_+ for a positive pair, [s - m-]_+ for a negative one        s = cos(a_i, c_j)
/// distances     [d - m+]_+ for a positive pair, [m- - d]_+ for a negative one        d = |u_i - u_j| = sqrt(2 - 2 s)
/// ```
///
/// The value is the mean over the positive pairs that cost something plus the mean over the negative pairs that do (PyTorch
/// Metric Learning's reading; 0 where none does). Two passes, the first of which counts: 8 n m d flops, memory linear in anchors
/// and candidates.
#[derive(Clone, Debug)]
pub struct PairContrastive {
    measure: Measure,
    positive: f64,
    negative: f64,
    weights: [f64; 2],
    pairs: Pairs,
    exclusions: Exclusions,
}

impl PairContrastive {
    /// Of cosines: positives below `positive` and negatives above `negative` cost (XBM: 1 and 0.5).
    ///
    /// # Errors
    /// When a margin is infinite or NaN.
    pub fn of_similarities(positive: f64, negative: f64) -> Result<Self, ObjectiveError> {
        Self::new(Measure::Similarity, positive, negative)
    }

    /// Of Euclidean distances between unit rows: positives beyond `positive` and negatives within `negative` cost (usual: 0
    /// and 1). Distances come from cosines, so in f32 those below 0.001 are not resolved; such pairs have no gradient.
    ///
    /// # Errors
    /// When a margin is infinite or NaN.
    pub fn of_distances(positive: f64, negative: f64) -> Result<Self, ObjectiveError> {
        Self::new(Measure::Distance, positive, negative)
    }

    fn new(measure: Measure, positive: f64, negative: f64) -> Result<Self, ObjectiveError> {
        if !(positive.is_finite() && negative.is_finite()) {
            return Err(ObjectiveError::Contradiction("the margins of positives and negatives must be finite"));
        }
        Ok(Self {
            measure,
            positive,
            negative,
            weights: [1.0; 2],
            pairs: Pairs::Diagonal,
            exclusions: Exclusions::none(),
        })
    }

    /// What the means of positives and of negatives are multiplied with; 1 and 1 unless given.
    ///
    /// # Errors
    /// When one is negative, infinite or NaN.
    pub fn with_weights(mut self, positive: f64, negative: f64) -> Result<Self, ObjectiveError> {
        self.weights = [not_negative("weight of positives", positive)?, not_negative("weight of negatives", negative)?];
        Ok(self)
    }

    /// Which pairs are positive; the diagonal unless given. Own positives (`Inputs::with_paired`) are not supported.
    pub fn with_pairs(mut self, pairs: Pairs) -> Self {
        self.pairs = pairs;
        self
    }

    /// Who is never compared.
    pub fn with_exclusions(mut self, exclusions: Exclusions) -> Self {
        self.exclusions = exclusions;
        self
    }

    /// The value `[1]`, attached to anchors and candidates where they carry a gradient.
    ///
    /// # Panics
    /// As [`evaluate`](Self::evaluate).
    pub fn loss(&self, inputs: &Inputs) -> Tensor<1> {
        let candidates = inputs.candidates.as_ref().is_some_and(Tensor::is_tracked);
        let result = self.evaluate(inputs, Wanted { anchors: inputs.anchors.is_tracked(), candidates });
        let g = result.gradients;
        let other = inputs.candidates.as_ref().unwrap_or(&inputs.anchors);
        attach_gradients(result.value, [(&inputs.anchors, g.anchors), (other, g.candidates)])
    }

    /// Value, each anchor's part of it, and gradients (of a table compared with itself, the whole as that of the anchors).
    ///
    /// # Panics
    /// When shapes, pairs and exclusions do not fit, or the inputs have a scale, a bias or paired positives.
    pub fn evaluate(&self, inputs: &Inputs, wanted: Wanted) -> Evaluation {
        assert!(inputs.has_rows_alone(), "pair distances have neither scale nor bias nor terms of pairs");
        let (n, m, itself) = inputs.check(&self.pairs, &Temperature::Fixed(1.0));
        let positives = self.pairs.resolve(n, m).expect("positives among the candidates");
        let excluded = self.exclusions.resolve(n, m, Some(&positives));
        let own = self.exclusions.offset.or(itself.then_some(0));
        // a table against itself: its gradient has both parts
        let any = itself && (wanted.anchors || wanted.candidates);
        let wanted = Wanted { anchors: wanted.anchors || any, candidates: wanted.candidates || any };
        let plain = inputs.plain();
        let anchors = Compared::new(Similarity::Cosine, plain.anchors);
        let other = plain.candidates.map(|c| Compared::new(Similarity::Cosine, c));
        let (a, c) = (&anchors.rows, other.as_ref().map_or(&anchors.rows, |c| &c.rows));
        let comparison = Comparison { positives, excluded, own };
        let function =
            Margins { measure: self.measure, positive: self.positive, negative: self.negative, weights: self.weights };
        let out = mean_beyond(&comparison, function, [a, c], wanted);

        let mut gradients = Gradients::default();
        match &other {
            None if any => gradients.anchors = Some(anchors.backward(out.anchors + out.candidates)),
            None => {}
            Some(other) => {
                gradients.anchors = wanted.anchors.then(|| anchors.backward(out.anchors));
                gradients.candidates = wanted.candidates.then(|| other.backward(out.candidates));
            }
        }
        Evaluation { value: numbers(&[out.value], a), rows: numbers(&out.rows, a), columns: None, gradients }
    }
}

/// The mean over the positive pairs that cost something and that over the negative ones, each times its weight.
pub(crate) fn mean_beyond(
    comparison: &Comparison,
    function: Margins,
    [a, c]: [&Tensor<2>; 2],
    wanted: Wanted,
) -> Evaluated {
    // the first pass counts the pairs that cost something
    let counts = comparison.evaluate(&function, a, c, Wanted::VALUE).sums;
    let [near, far] = function.weights;
    let weights = [near / counts[1].max(1.0), far / counts[3].max(1.0)];
    comparison.evaluate(&Margins { weights, ..function }, a, c, wanted)
}
