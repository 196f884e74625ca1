//! The softmax family with a leading group axis: many small problems of one kind, `[G, n, d]`.
//!
//! Rows are compared within their group only. The value is a weighted sum of the groups' values, by default their mean. On the CPU
//! backend the groups are shared out among the threads and each goes through the engine; elsewhere small groups are
//! multiplied in batches, and large ones go through the engine one by one. Either way memory is linear in the rows, beside a
//! block: neither the `G n x G m` matrix nor the `G x n x m` tensor of all groups exists.

mod batch;

use crate::attach::attach_gradients;
use crate::host::{is_native, like};
use crate::objective::{
    Denominator, Direction, Evaluation, Inputs, PairObjective, Placement, Reduction, Wanted, check_types, computed_in,
};
use crate::pairs::Pairs;
use crate::similarity::{Compared, Similarity};
use burn::tensor::Tensor;
use rayon::prelude::*;
use std::sync::Arc;

/// Elements of a block of similarities.
const BLOCK_ELEMENTS: usize = 1 << 22;

/// The tensors that are compared, group by group.
#[derive(Clone, Debug)]
pub struct GroupedInputs {
    anchors: Tensor<3>,
    candidates: Option<Tensor<3>>,
    paired: Option<Tensor<3>>,
    scale: Option<Tensor<1>>,
}

impl GroupedInputs {
    /// Anchors `[G, n, d]` among the candidates `[G, m, d]` of their group.
    pub fn new(anchors: Tensor<3>, candidates: Tensor<3>) -> Self {
        Self { anchors, candidates: Some(candidates), paired: None, scale: None }
    }

    /// Rows `[G, n, d]` compared with the other rows of their group.
    pub fn self_contrast(table: Tensor<3>) -> Self {
        Self { anchors: table, candidates: None, paired: None, scale: None }
    }

    /// `[G, n, d]`: the own positive of each anchor, which is not a candidate; with [`Pairs::Beside`].
    pub fn with_paired(mut self, positives: Tensor<3>) -> Self {
        self.paired = Some(positives);
        self
    }

    /// `[1]`: the inverse temperature of all groups; with [`Temperature::Input`](crate::temperature::Temperature::Input).
    pub fn with_scale(mut self, scale: Tensor<1>) -> Self {
        self.scale = Some(scale);
        self
    }

    /// `[G, n, m, d]`.
    fn dims(&self) -> [usize; 4] {
        let [groups, n, d] = self.anchors.dims();
        let m = self.candidates.as_ref().map_or(n, |c| {
            let [g, m, e] = c.dims();
            assert_eq!(
                [groups, d],
                [g, e],
                "groups and widths of anchors [{groups}, {n}, {d}] and candidates [{g}, {m}, {e}]"
            );
            m
        });
        assert!(groups > 0 && n > 0 && m > 0 && d > 0, "groups of anchors [{groups}, {n}, {d}] and {m} candidates");
        if let Some(paired) = &self.paired {
            assert_eq!(paired.dims(), [groups, n, d], "the shapes of paired positives and anchors");
        }
        let type_of = |t: &Option<Tensor<3>>| t.as_ref().unwrap_or(&self.anchors).dtype();
        let (candidates, paired) = (type_of(&self.candidates), type_of(&self.paired));
        check_types(&[("anchors", self.anchors.dtype()), ("candidates", candidates), ("paired positives", paired)]);
        if let Some(scale) = &self.scale {
            assert_eq!(scale.dims(), [1], "the shape of the groups' scale");
        }
        [groups, n, m, d]
    }
}

/// Value and gradients, plain tensors outside autodiff.
#[derive(Clone, Debug)]
pub struct GroupedEvaluation {
    /// `[1]`.
    pub value: Tensor<1>,
    /// `[G]`: each group's value, before the weights.
    pub groups: Tensor<1>,
    /// `[G, n]`: each anchor's value, before the reduction.
    pub rows: Tensor<2>,
    /// `[G, n, d]`; of tables compared with themselves, the whole gradient. `None` where it was not wanted, as below.
    pub anchors: Option<Tensor<3>>,
    /// `[G, m, d]`.
    pub candidates: Option<Tensor<3>>,
    /// `[G, n, d]`.
    pub paired: Option<Tensor<3>>,
    /// `[1]`.
    pub scale: Option<Tensor<1>>,
}

/// A [`PairObjective`] in every group.
#[derive(Clone, Debug)]
pub struct Grouped {
    objective: PairObjective,
    pairs: Option<Arc<Vec<Pairs>>>,
    weights: Option<Arc<Vec<f64>>>,
}

/// What the groups gave, one after the other.
struct Parts {
    groups: Vec<Tensor<1>>,
    rows: Vec<Tensor<1>>,
    anchors: Vec<Tensor<2>>,
    candidates: Vec<Tensor<2>>,
    paired: Vec<Tensor<2>>,
    scale: Vec<Tensor<1>>,
}

impl Grouped {
    /// This objective in every group; the value is the mean over groups.
    ///
    /// # Panics
    /// When its similarity is the negative squared distance: groups are compared by cosines or inner products.
    pub fn new(objective: PairObjective) -> Self {
        let distance = objective.similarity == Similarity::NegativeSquaredDistance;
        assert!(!distance, "groups are compared by cosines or inner products, not by {:?}", objective.similarity);
        Self { objective, pairs: None, weights: None }
    }

    /// Other pairs in every group, instead of the objective's own.
    pub fn with_pairs(mut self, pairs: Vec<Pairs>) -> Self {
        self.pairs = Some(Arc::new(pairs));
        self
    }

    /// The value is the sum of the groups' values times these weights.
    pub fn with_weights(mut self, weights: Vec<f64>) -> Self {
        self.weights = Some(Arc::new(weights));
        self
    }

    /// The objective of group g, of rows that are already as they are compared.
    fn of_group(&self, g: usize) -> PairObjective {
        let objective = self.objective.clone().with_similarity(Similarity::Dot);
        match &self.pairs {
            Some(pairs) => objective.with_pairs(pairs[g].clone()),
            None => objective,
        }
    }

    /// The value `[1]`, attached to every input that carries a gradient.
    ///
    /// # Panics
    /// As [`evaluate`](Self::evaluate).
    pub fn loss(&self, inputs: &GroupedInputs) -> Tensor<1> {
        let tracked = |t: &Option<Tensor<3>>| t.as_ref().is_some_and(Tensor::is_tracked);
        let anchors = inputs.anchors.is_tracked()
            || tracked(&inputs.paired)
            || inputs.scale.as_ref().is_some_and(Tensor::is_tracked);
        let result = self.evaluate(inputs, Wanted { anchors, candidates: tracked(&inputs.candidates) });
        let parts = [
            (Some(&inputs.anchors), result.anchors),
            (inputs.candidates.as_ref(), result.candidates),
            (inputs.paired.as_ref(), result.paired),
        ];
        let parts = parts.into_iter().filter_map(|(input, gradient)| Some((input?, gradient)));
        let value = attach_gradients(result.value, parts);
        attach_gradients(value, inputs.scale.iter().map(|scale| (scale, result.scale.clone())))
    }

    /// Value and gradients of the inputs, eagerly: 6 G n m d flops (value alone 2). f16 and bf16 are computed in f32.
    ///
    /// # Panics
    /// When shapes, pairs, exclusions or weights do not fit, there are not as many pairs or weights as groups, or the choices
    /// contradict each other ([`PairObjective::validate`]).
    pub fn evaluate(&self, inputs: &GroupedInputs, wanted: Wanted) -> GroupedEvaluation {
        let [groups, n, m, d] = inputs.dims();
        let itself = inputs.candidates.is_none();
        if let Some(pairs) = &self.pairs {
            assert_eq!(pairs.len(), groups, "pairs and groups");
        }
        if let Some(weights) = &self.weights {
            assert_eq!(weights.len(), groups, "weights and groups");
        }
        // of a table with itself both sides are one input; both directions need both
        let both = self.objective.direction == Direction::Both;
        let any = wanted.anchors || wanted.candidates;
        let engine = match itself || both {
            true => Wanted { anchors: any, candidates: any },
            false => wanted,
        };
        let dtype = computed_in(inputs.anchors.dtype());
        let compared = |x: &Tensor<3>| {
            let [_, rows, _] = x.dims();
            Compared::new(self.objective.similarity, x.clone().inner().cast(dtype).reshape([groups * rows, d]))
        };
        let anchors = compared(&inputs.anchors);
        let candidates = inputs.candidates.as_ref().map(compared);
        let paired = inputs.paired.as_ref().map(compared);
        let scale = inputs.scale.clone().map(|scale| scale.inner().cast(dtype));
        let share = |g: usize| self.weights.as_ref().map_or(1.0 / groups as f64, |w| w[g]);

        let native = is_native(&anchors.rows);
        let parts = match !native && self.fits_a_batch(n, m) {
            true => {
                self.by_batches(groups, &anchors, candidates.as_ref(), paired.as_ref(), scale.as_ref(), itself, &share)
            }
            false => {
                let slice =
                    |side: &Compared, g: usize, rows: usize| side.rows.clone().slice([g * rows..(g + 1) * rows, 0..d]);
                let one = |g: usize| {
                    let own = slice(&anchors, g, n);
                    let mut group = match &candidates {
                        Some(candidates) => Inputs::new(own, slice(candidates, g, m)),
                        None => Inputs::self_contrast(own),
                    };
                    group.paired = paired.as_ref().map(|paired| slice(paired, g, n));
                    group.scale = scale.clone();
                    self.of_group(g).evaluate(&group, engine)
                };
                let each: Vec<Evaluation> = match native {
                    true => (0..groups).into_par_iter().map(one).collect(),
                    false => (0..groups).map(one).collect(),
                };
                Parts::of(each, &share)
            }
        };
        parts.joined([groups, n, m, d], [&Some(anchors), &candidates, &paired], itself, &share, wanted)
    }
}

impl Parts {
    fn of(each: Vec<Evaluation>, share: &impl Fn(usize) -> f64) -> Self {
        let mut parts = Self::none();
        for (g, evaluation) in each.into_iter().enumerate() {
            parts.groups.push(evaluation.value);
            parts.rows.push(evaluation.rows);
            let gradients = evaluation.gradients;
            let sides = [&mut parts.anchors, &mut parts.candidates, &mut parts.paired];
            for (side, gradient) in sides.into_iter().zip([gradients.anchors, gradients.candidates, gradients.paired]) {
                side.extend(gradient.map(|gradient| gradient * share(g)));
            }
            parts.scale.extend(gradients.scale.map(|gradient| gradient * share(g)));
        }
        parts
    }

    fn none() -> Self {
        Self {
            groups: Vec::new(),
            rows: Vec::new(),
            anchors: Vec::new(),
            candidates: Vec::new(),
            paired: Vec::new(),
            scale: Vec::new(),
        }
    }

    fn joined(
        self,
        [groups, n, m, d]: [usize; 4],
        sides: [&Option<Compared>; 3],
        itself: bool,
        share: &impl Fn(usize) -> f64,
        wanted: Wanted,
    ) -> GroupedEvaluation {
        let values = Tensor::cat(self.groups, 0);
        let weights = like((0..groups).map(share).collect(), [groups], &values);
        let gradient = |parts: Vec<Tensor<2>>, side: &Option<Compared>, rows: usize, wanted: bool| {
            let side = side.as_ref().filter(|_| wanted && !parts.is_empty())?;
            Some(side.backward(Tensor::cat(parts, 0)).reshape([groups, rows, d]))
        };
        let any = wanted.anchors || wanted.candidates;
        GroupedEvaluation {
            value: (values.clone() * weights).sum(),
            groups: values,
            rows: Tensor::cat(self.rows, 0).reshape([groups, n]),
            anchors: gradient(self.anchors, sides[0], n, if itself { any } else { wanted.anchors }),
            candidates: gradient(self.candidates, sides[1], m, wanted.candidates),
            paired: gradient(self.paired, sides[2], n, wanted.anchors),
            scale: self.scale.into_iter().filter(|_| wanted.anchors).reduce(|a, b| a + b),
        }
    }
}
