//! The softmax family: one engine behind InfoNCE, NT-Xent, SupCon, CLIP, DCL and what lies between them.
//!
//! Row i (an anchor), positives p with target weights `t_ip`, candidates j:
//!
//! ```text
//! s_ij = sim(a_i, c_j) / tau + bias_j
//! Outside: l_i = sum_p t_ip (log D_ip - s_ip)       Inside: l_i = log D_i - log sum_p t_ip e^{s_ip}
//! D: WithPositives  sum over all candidates          NegativesOnly  sum over the candidates that are no positives
//!    OwnPositive    e^{s_ip} + sum over the negatives, a denominator for each positive
//! ```
//!
//! A [`PairObjective`] is an eager function: [`evaluate`](PairObjective::evaluate) gives the value and the gradients of its
//! inputs without a tape and without the anchors x candidates matrix; [`loss`](PairObjective::loss) hangs the same numbers
//! into autodiff; [`dense`](PairObjective::dense) is the same formula in plain tensor operations, the readable definition
//! and the oracle of the tests.

mod bilinear;
mod bpr;
mod choices;
mod cross_batch;
mod debiased;
mod dense;
mod grace;
mod inputs;
mod log_sums;
mod metric;
mod moco;
mod nearest;
mod nnclr;
pub(crate) mod ops;
pub(crate) mod over_ranks;
mod pair_contrastive;
mod portable;
mod presets;
mod proxies;
mod ranking;
mod ressl;
mod rowwise;
pub(crate) mod spec;
mod unpaired;

pub use bilinear::BilinearInfoNce;
pub use bpr::{bpr, bpr_from_scores, embedding_penalty};
pub use choices::{Direction, PositiveWeights, Reduction};
pub use contrastive_kernels::softmax::{Denominator, Placement, Wanted};
pub use cross_batch::CrossBatch;
pub use debiased::DebiasedInfoNce;
pub use grace::Grace;
pub use inputs::{Evaluation, Gradients, Inputs};
pub use log_sums::LogSums;
pub use metric::{Circle, LiftedStructure, MultiSimilarity, SigLip};
pub use moco::Moco;
pub use nearest::nearest_rows;
pub use nnclr::NnClr;
pub use pair_contrastive::PairContrastive;
pub use presets::{Clip, Dcl, InfoNce, NtXent, SupCon};
pub use proxies::{ClassMargin, Nca};
pub use ranking::MultipleNegativesRanking;
pub use ressl::ReSsl;
pub use unpaired::*;

use crate::attach::attach;
use crate::error::{ObjectiveError, not_negative, positive};
use crate::pairs::{Exclusions, PairLists, Pairs};
use crate::similarity::{Compared, Similarity};
use crate::temperature::Temperature;
use burn::backend::Dispatch;
use burn::tensor::{DType, Tensor};
use ops::PairOps;
use spec::{BothSpec, Spec, Targets};
use std::sync::Arc;

/// An objective of the softmax family: a point in the space of choices. Start from a preset or from [`PairObjective::new`].
#[derive(Clone, Debug)]
pub struct PairObjective {
    similarity: Similarity,
    temperature: Temperature,
    pairs: Pairs,
    exclusions: Exclusions,
    direction: Direction,
    denominator: Denominator,
    placement: Placement,
    weights: PositiveWeights,
    denominator_weights: Option<Arc<Vec<f64>>>,
    reduction: Reduction,
    offset: f64,
    clamp: Option<f64>,
    portable: bool,
}

impl PairObjective {
    /// InfoNCE of cosines at a fixed temperature: the diagonal holds the positives, everything else is a negative.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN.
    pub fn new(temperature: f64) -> Result<Self, ObjectiveError> {
        Ok(Self::with_input_scale().temperature(Temperature::fixed(temperature)?))
    }

    /// The same with the inverse temperature as an input (see [`Inputs::with_scale`]).
    pub fn with_input_scale() -> Self {
        Self {
            similarity: Similarity::Cosine,
            temperature: Temperature::Input,
            pairs: Pairs::Diagonal,
            exclusions: Exclusions::none(),
            direction: Direction::Forward,
            denominator: Denominator::WithPositives,
            placement: Placement::Outside,
            weights: PositiveWeights::Mean,
            denominator_weights: None,
            reduction: Reduction::Mean,
            offset: 0.0,
            clamp: None,
            portable: false,
        }
    }

    fn temperature(mut self, temperature: Temperature) -> Self {
        self.temperature = temperature;
        self
    }

    /// How alike two rows are.
    pub fn similarity(mut self, similarity: Similarity) -> Self {
        self.similarity = similarity;
        self
    }

    /// Who belongs to whom.
    pub fn pairs(mut self, pairs: Pairs) -> Self {
        self.pairs = pairs;
        self
    }

    /// Who is never compared.
    pub fn exclusions(mut self, exclusions: Exclusions) -> Self {
        self.exclusions = exclusions;
        self
    }

    /// One direction or both.
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// What the denominators hold.
    pub fn denominator(mut self, denominator: Denominator) -> Self {
        self.denominator = denominator;
        self
    }

    /// Where the sum over positives stands.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Target weights of the positives.
    pub fn positive_weights(mut self, weights: PositiveWeights) -> Self {
        self.weights = weights;
        self
    }

    /// The factor of each anchor's log-denominator; without it, the sum of its target weights (DCLW: 1).
    pub fn denominator_weights(mut self, weights: Arc<Vec<f64>>) -> Self {
        self.denominator_weights = Some(weights);
        self
    }

    /// How the rows' values become one.
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// A constant added to every denominator (LightGCL: 1e-8).
    ///
    /// # Errors
    /// When it is negative, infinite or NaN.
    pub fn denominator_offset(mut self, offset: f64) -> Result<Self, ObjectiveError> {
        self.offset = not_negative("denominator offset", offset)?;
        Ok(self)
    }

    /// Positive logits count as clamped to `[-limit, limit]` and have no gradient of their own outside (LightGCL: 5).
    ///
    /// # Errors
    /// When the limit is not a finite number above 0.
    pub fn positive_clamp(mut self, limit: f64) -> Result<Self, ObjectiveError> {
        self.clamp = Some(positive("clamp of the positive logits", limit)?);
        Ok(self)
    }

    /// Uses the body of backend operations even where a native kernel exists.
    pub fn portable(mut self, portable: bool) -> Self {
        self.portable = portable;
        self
    }

    /// Checks that the choices fit each other.
    ///
    /// # Errors
    /// When the sum inside the logarithm meets a denominator for each positive or a clamp, or an offset meets a denominator
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
            (inside && self.denominator_weights.is_some(), "denominator weights need the sum outside the logarithm"),
            (own && self.offset > 0.0, "a denominator offset needs one denominator for each anchor"),
            (own && self.denominator_weights.is_some(), "denominator weights need one denominator for each anchor"),
            (
                self.direction == Direction::Both
                    && (self.pairs == Pairs::Beside
                        || matches!(self.weights, PositiveWeights::PerAnchor(_))
                        || matches!(self.reduction, Reduction::Weighted(_))
                        || self.denominator_weights.is_some()
                        || self.exclusions.is_lists()
                        || self.exclusions.offset.is_some_and(|o| o > 0)),
                "both directions need choices that hold for anchors and candidates alike",
            ),
        ];
        match contradictions.into_iter().find(|(wrong, _)| *wrong) {
            Some((_, what)) => Err(ObjectiveError::Contradiction(what)),
            None => Ok(()),
        }
    }

    /// Weights of the rows' values; `share` is 1, or 1/2 for one of two directions.
    fn row_weights(&self, spec: &Spec, n: usize, share: f64) -> Vec<f64> {
        match &self.reduction {
            Reduction::Mean => vec![share / n as f64; n],
            Reduction::Sum => vec![1.0; n],
            Reduction::Weighted(w) => {
                assert_eq!(w.len(), n, "row weights and anchors");
                w.to_vec()
            }
            Reduction::MeanWithPositives | Reduction::MeanOverPairs => {
                let over_pairs = self.reduction == Reduction::MeanOverPairs;
                let count = |i| spec.positives_of(i).take(if over_pairs { usize::MAX } else { 1 }).count();
                let total = if spec.paired { n } else { (0..n).map(count).sum() };
                vec![share / total.max(1) as f64; n]
            }
        }
    }

    /// One direction, resolved.
    fn spec(&self, n: usize, m: usize, itself: bool, biased: bool, wanted: Wanted) -> Spec {
        self.validate().unwrap_or_else(|e| panic!("{e}"));
        let positives = self.pairs.resolve(n, m);
        let excluded = self.exclusions.resolve(n, m, positives.as_ref());
        let targets = match &self.weights {
            PositiveWeights::Mean => Targets::Mean,
            PositiveWeights::Sum => Targets::One,
            PositiveWeights::PerAnchor(t) => {
                assert_eq!(t.len(), n, "positive weights and anchors");
                Targets::PerRow(t.to_vec())
            }
            PositiveWeights::Listed => match positives.as_ref().and_then(|p| p.weights.clone()) {
                Some(weights) => Targets::Each(weights),
                None => Targets::One,
            },
        };
        if let Some(a) = &self.denominator_weights {
            assert_eq!(a.len(), n, "denominator weights and anchors");
        }
        let mut spec = Spec {
            paired: positives.is_none(),
            positives,
            excluded,
            self_offset: self.exclusions.offset.or(itself.then_some(0)),
            targets,
            denominator: self.denominator,
            placement: self.placement,
            row_weights: Vec::new(),
            denominator_weights: self.denominator_weights.as_ref().map(|a| a.to_vec()),
            offset: self.offset,
            clamp: self.clamp,
            biased,
            wanted,
            portable: self.portable,
        };
        spec.row_weights = self.row_weights(&spec, n, if self.direction == Direction::Both { 0.5 } else { 1.0 });
        spec
    }

    /// The reverse direction of `spec`.
    fn reversed(&self, spec: &Spec, n: usize, m: usize) -> Spec {
        let transposed =
            |lists: &PairLists| if self.pairs.symmetric() && n == m { lists.clone() } else { lists.transpose(m) };
        let positives = spec.positives.as_ref().map(transposed);
        let targets = match (&spec.targets, positives.as_ref().and_then(|p| p.weights.clone())) {
            (Targets::Each(_), Some(weights)) => Targets::Each(weights),
            (other, _) => other.clone(),
        };
        let mut reversed = Spec { positives, targets, ..spec.clone() };
        reversed.row_weights = self.row_weights(&reversed, m, 0.5);
        reversed
    }

    /// Is the both-directions kernel able to do this?
    fn both_spec(&self, spec: &Spec, n: usize, m: usize, itself: bool, scales: usize) -> Option<BothSpec> {
        let both = self.direction == Direction::Both;
        let plain = scales == 1
            && !spec.biased
            && !spec.portable
            && spec.excluded.is_none()
            && spec.clamp.is_none()
            && spec.offset == 0.0
            && spec.denominator_weights.is_none()
            && matches!(spec.targets, Targets::Mean | Targets::One)
            && spec.placement == Placement::Outside
            && spec.denominator != Denominator::OwnPositive
            && spec.wanted != Wanted { anchors: true, candidates: false }
            && spec.wanted != Wanted { anchors: false, candidates: true };
        let fits = plain
            && match itself {
                true => self.pairs.symmetric() && !both && spec.self_offset == Some(0),
                false => both && spec.self_offset.is_none(),
            };
        let positives = spec.positives.clone().filter(|_| fits)?;
        let reversed = both.then(|| self.reversed(spec, n, m));
        Some(BothSpec {
            positives,
            column_positives: reversed.as_ref().and_then(|r| r.positives.clone()),
            mean: matches!(spec.targets, Targets::Mean),
            denominator: spec.denominator,
            row_weights: spec.row_weights.clone(),
            column_weights: reversed.map_or_else(Vec::new, |r| r.row_weights),
            gradients: spec.wanted != Wanted::VALUE,
        })
    }

    /// The inverse temperature, plain.
    fn scale(&self, inputs: &Inputs, like: &Tensor<2>) -> Tensor<1> {
        match (self.temperature, &inputs.scale) {
            (Temperature::Fixed(t), None) => Tensor::from_data([1.0 / t], (&like.device(), like.dtype())),
            (Temperature::Input, Some(scale)) => scale.clone().inner(),
            (Temperature::Fixed(t), Some(_)) => panic!("a fixed temperature, {t}, and a scale among the inputs"),
            (Temperature::Input, None) => panic!("the inverse temperature is an input, but the inputs have none"),
        }
    }

    /// Value and gradients of the inputs, eagerly: 6 n m d flops (value alone 2), memory linear in n + m.
    ///
    /// Inputs may be of any float type; f16 and bf16 are computed in f32.
    ///
    /// # Panics
    /// When shapes, pairs, exclusions or weights do not fit each other, or the choices contradict
    /// (see [`validate`](Self::validate)).
    pub fn evaluate(&self, inputs: &Inputs, wanted: Wanted) -> Evaluation {
        let (n, m, itself) = inputs.check(&self.pairs, &self.temperature);
        let plain = inputs.plain();
        let spec = self.spec(n, m, itself, plain.bias.is_some(), wanted);
        let both = self.direction == Direction::Both;
        assert!(!both || (plain.bias.is_none() && !itself), "both directions have no bias and need two tables");
        let compared = |x: Tensor<2>| Compared::new(self.similarity, x);
        let like = plain.anchors.clone();
        let (device, dtype) = (like.device(), like.dtype());
        let scale = self.scale(&plain, &like);
        let anchors = compared(plain.anchors);
        let candidates = plain.candidates.map(compared);
        let paired = plain.paired.map(compared);
        let a = anchors.rows.clone();
        let c = candidates.as_ref().map_or_else(|| a.clone(), |c| c.rows.clone());
        let scales = scale.dims()[0];

        if let Some(spec) = self.both_spec(&spec, n, m, itself, scales) {
            let (value, rows, columns, da, dc, ds) = Dispatch::pair_softmax_both(
                a.into_dispatch(),
                c.into_dispatch(),
                scale.into_dispatch(),
                Arc::new(spec),
            );
            let mut gradients = Gradients::default();
            if wanted != Wanted::VALUE {
                gradients.anchors = Some(anchors.backward(Tensor::from_dispatch(da)));
                gradients.candidates = candidates.as_ref().map(|c| c.backward(Tensor::from_dispatch(dc)));
                gradients.scale = Some(Tensor::from_dispatch(ds));
            }
            let columns = (!itself).then(|| Tensor::from_dispatch(columns));
            return Evaluation {
                value: Tensor::from_dispatch(value),
                rows: Tensor::from_dispatch(rows),
                columns,
                gradients,
            };
        }

        let one = |dims: usize| {
            Tensor::<1>::from_data([0.0], (&device, dtype)).reshape(burn::tensor::Shape::from(vec![1; dims]))
        };
        let run = |a: &Tensor<2>, c: &Tensor<2>, spec: Spec| {
            let p = paired.as_ref().map_or_else(|| one(2), |p| p.rows.clone());
            let bias = plain.bias.clone().unwrap_or_else(|| Tensor::from_data([0.0], (&device, dtype)));
            let (value, rows, da, dc, dp, ds, db) = Dispatch::pair_softmax(
                a.clone().into_dispatch(),
                c.clone().into_dispatch(),
                p.into_dispatch(),
                scale.clone().into_dispatch(),
                bias.into_dispatch(),
                Arc::new(spec),
            );
            let two = Tensor::<2>::from_dispatch;
            let single = Tensor::<1>::from_dispatch;
            (single(value), single(rows), two(da), two(dc), two(dp), single(ds), single(db))
        };
        let reversed = both.then(|| self.reversed(&spec, n, m));
        let (mut value, rows, mut da, mut dc, dp, mut ds, db) = run(&a, &c, spec);
        let mut columns = None;
        if let Some(spec) = reversed {
            assert_eq!(scales, 1, "both directions have one temperature");
            let (v, r, more_dc, more_da, _, more_ds, _) = run(&c, &a, spec);
            value = value + v;
            columns = Some(r);
            if wanted != Wanted::VALUE {
                (da, dc, ds) = (da + more_da, dc + more_dc, ds + more_ds);
            }
        }
        let mut gradients = Gradients::default();
        if wanted.anchors {
            let da = if itself && wanted.candidates { da + dc.clone() } else { da };
            gradients.anchors = Some(anchors.backward(da));
            gradients.paired = paired.as_ref().map(|p| p.backward(dp));
            gradients.scale = Some(ds);
        }
        if wanted.candidates {
            gradients.candidates = candidates.as_ref().map(|c| c.backward(dc));
        }
        if wanted != Wanted::VALUE {
            gradients.bias = plain.bias.as_ref().map(|_| db);
        }
        Evaluation { value, rows, columns, gradients }
    }

    /// The value `[1]`, attached to every input that carries a gradient.
    ///
    /// # Panics
    /// As [`evaluate`](Self::evaluate).
    pub fn loss(&self, inputs: &Inputs) -> Tensor<1> {
        attached(inputs, self.evaluate(inputs, self.wanted_by(inputs)))
    }

    /// What the inputs that carry a gradient need.
    fn wanted_by(&self, inputs: &Inputs) -> Wanted {
        let tracked = |t: &Option<Tensor<2>>| t.as_ref().is_some_and(Tensor::is_tracked);
        let single = |t: &Option<Tensor<1>>| t.as_ref().is_some_and(Tensor::is_tracked);
        let itself = inputs.candidates.is_none();
        let both = self.direction == Direction::Both;
        let anchors = inputs.anchors.is_tracked() || tracked(&inputs.paired) || single(&inputs.scale);
        let candidates = tracked(&inputs.candidates);
        Wanted {
            anchors: anchors || (both && candidates),
            candidates: candidates || (anchors && (itself || both)) || (single(&inputs.bias) && !anchors),
        }
    }
}

/// The value of an evaluation, attached to every input that carries a gradient.
fn attached(inputs: &Inputs, result: Evaluation) -> Tensor<1> {
    let mut value = if inputs.anchors.is_autodiff() { Tensor::from_inner(result.value) } else { result.value };
    let g = result.gradients;
    let pairs = [
        (Some(&inputs.anchors), g.anchors),
        (inputs.candidates.as_ref(), g.candidates),
        (inputs.paired.as_ref(), g.paired),
    ];
    for (input, gradient) in pairs {
        if let (Some(input), Some(gradient)) = (input, gradient) {
            value = attach(value, input, gradient);
        }
    }
    for (input, gradient) in [(&inputs.scale, g.scale), (&inputs.bias, g.bias)] {
        if let (Some(input), Some(gradient)) = (input, gradient) {
            value = attach(value, input, gradient);
        }
    }
    value
}

/// f16 and bf16 are computed in f32.
pub(crate) fn computed_in(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}
