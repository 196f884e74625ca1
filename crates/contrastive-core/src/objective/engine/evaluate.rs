//! Value and gradients, and their way into autodiff.

use super::blocks::{self, Blocked};
use super::log_sums::mean_above_zero;
use super::ops::PairOps;
use super::spec::Spec;
use crate::attach::attach_gradients;
use crate::host::is_native;
use crate::objective::{Direction, Evaluation, Gradients, Inputs, PairObjective, Reduction, Wanted, in_range};
use crate::similarity::Sides;
use crate::temperature::Temperature;
use burn::backend::Dispatch;
use burn::tensor::Tensor;
use std::sync::Arc;

impl PairObjective {
    /// The inverse temperature, plain.
    pub(crate) fn scale(&self, inputs: &Inputs, like: &Tensor<2>) -> Tensor<1> {
        match (self.temperature, &inputs.scale) {
            (Temperature::Fixed(t), None) => Tensor::from_data([1.0 / t], (&like.device(), like.dtype())),
            (Temperature::Input, Some(scale)) => {
                let scale = scale.clone().inner();
                if is_native(like) && inputs.pair_terms.is_empty() {
                    // the kernels refuse what cannot be
                    return scale;
                }
                let outside = scale.clone().lower_elem(1e-9).bool_or(scale.clone().greater_elem(2e9));
                scale.mask_fill(outside, f64::NAN)
            }
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
        if self.leaves_anchors_free(inputs) {
            return self.evaluate_distances(&inputs.plain(), wanted);
        }
        let known = (self.reduction == Reduction::MeanNonZero).then(|| {
            let each = self.clone().with_reduction(Reduction::Sum).evaluate(inputs, Wanted::VALUE);
            [mean_above_zero(&each.rows), each.columns.as_ref().map_or_else(Vec::new, mean_above_zero)]
        });
        let known = known.as_ref();
        let plain = inputs.plain();
        let spec = self.spec([n, m], itself, plain.bias.is_some(), wanted, known);
        let both = self.direction == Direction::Both;
        assert!(!both || (plain.bias.is_none() && !itself), "both directions have no bias and need two tables");
        let scale = self.scale(&plain, &plain.anchors);
        let scales = scale.dims()[0];
        let Sides { anchors, candidates, paired } =
            Sides::new(self.similarity, plain.anchors, plain.candidates, plain.paired);
        let a = anchors.rows.clone();
        let c = candidates.as_ref().map_or_else(|| a.clone(), |c| c.rows.clone());
        let terms = plain.pair_terms;
        // the kernels see it themselves
        let scale = if is_native(&a) { scale } else { scale * in_range(&a, &c) };

        let shorter = terms.is_empty() && (!itself || candidates.is_none());
        if let Some(spec) = self.both_spec(&spec, [n, m], itself, scales, known).filter(|_| shorter) {
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
            let (value, rows) = (Tensor::from_dispatch(value), Tensor::from_dispatch(rows));
            return Evaluation { value, rows, columns, gradients };
        }

        let run = |a: &Tensor<2>, c: &Tensor<2>, spec: Spec, reverse: bool| {
            let tables = blocks::Tables {
                anchors: a.clone(),
                candidates: c.clone(),
                paired: paired.as_ref().map(|p| p.rows.clone()),
                scale: scale.clone(),
                bias: plain.bias.clone(),
            };
            match (terms.is_empty(), reverse) {
                (true, _) => on_engine(tables, spec),
                (false, false) => blocks::evaluate(tables, &terms, &spec),
                (false, true) => {
                    let back = blocks::evaluate(tables, &terms.transposed(), &spec);
                    Blocked { terms: terms.restored(back.terms), ..back }
                }
            }
        };
        let reversed = both.then(|| self.reversed(&spec, [n, m], known));
        let mut total = run(&a, &c, spec, false);
        let mut columns = None;
        if let Some(spec) = reversed {
            assert_eq!(scales, 1, "both directions have one temperature");
            let back = run(&c, &a, spec, true);
            total.value = total.value + back.value;
            columns = Some(back.rows);
            if wanted != Wanted::VALUE {
                total.anchors = total.anchors + back.candidates;
                total.candidates = total.candidates + back.anchors;
                total.scale = total.scale + back.scale;
                let sums = total.terms.into_iter().zip(back.terms).map(|(x, y)| x + y);
                total.terms = sums.collect();
            }
        }
        let mut gradients = Gradients::default();
        if wanted.anchors {
            gradients.anchors = Some(match &candidates {
                Some(c) if itself && wanted.candidates => {
                    anchors.backward(total.anchors) + c.backward(total.candidates.clone())
                }
                None if wanted.candidates => anchors.backward(total.anchors + total.candidates.clone()),
                _ => anchors.backward(total.anchors),
            });
            gradients.paired = paired.as_ref().map(|p| p.backward(total.paired));
            gradients.scale = Some(total.scale);
            gradients.pair_terms = total.terms;
        }
        if wanted.candidates && !itself {
            gradients.candidates = candidates.as_ref().map(|c| c.backward(total.candidates));
        }
        if wanted != Wanted::VALUE {
            gradients.bias = plain.bias.as_ref().map(|_| total.bias);
        }
        Evaluation { value: total.value, rows: total.rows, columns, gradients }
    }

    /// The value `[1]`, attached to every input that carries a gradient.
    ///
    /// # Panics
    /// As [`evaluate`](Self::evaluate).
    pub fn loss(&self, inputs: &Inputs) -> Tensor<1> {
        self.evaluate(inputs, self.wanted_by(inputs)).attach_to(inputs)
    }

    /// What the inputs that carry a gradient need.
    pub(crate) fn wanted_by(&self, inputs: &Inputs) -> Wanted {
        let tracked = |t: &Option<Tensor<2>>| t.as_ref().is_some_and(Tensor::is_tracked);
        let single = |t: &Option<Tensor<1>>| t.as_ref().is_some_and(Tensor::is_tracked);
        let itself = inputs.candidates.is_none();
        let both = self.direction == Direction::Both;
        let terms = inputs.pair_terms.tensors().into_iter().any(Tensor::is_tracked);
        let anchors = inputs.anchors.is_tracked() || tracked(&inputs.paired) || single(&inputs.scale) || terms;
        let candidates = tracked(&inputs.candidates);
        Wanted {
            anchors: anchors || (both && candidates),
            candidates: candidates || (anchors && (itself || both)) || (single(&inputs.bias) && !anchors),
        }
    }
}

impl Evaluation {
    /// The value `[1]`, attached to every input that carries a gradient: how a loss is made of an evaluation.
    ///
    /// # Panics
    /// When a gradient and its input differ in shape.
    pub fn attach_to(self, inputs: &Inputs) -> Tensor<1> {
        let g = self.gradients;
        let rows = [
            (Some(&inputs.anchors), g.anchors),
            (inputs.candidates.as_ref(), g.candidates),
            (inputs.paired.as_ref(), g.paired),
        ];
        let rows = rows.into_iter().filter_map(|(input, gradient)| Some((input?, gradient)));
        let terms = inputs.pair_terms.tensors().into_iter().zip(g.pair_terms.into_iter().map(Some));
        let value = attach_gradients(self.value, rows.chain(terms));
        let columns = [(&inputs.scale, g.scale), (&inputs.bias, g.bias)];
        attach_gradients(value, columns.into_iter().filter_map(|(input, gradient)| Some((input.as_ref()?, gradient))))
    }
}

/// One direction on the engine's kernels, or their portable body.
fn on_engine(tables: blocks::Tables, spec: Spec) -> Blocked {
    let (device, dtype) = (tables.anchors.device(), tables.anchors.dtype());
    let nothing = Tensor::<1>::from_data([0.0], (&device, dtype));
    let paired = tables.paired.unwrap_or_else(|| nothing.clone().reshape([1, 1]));
    let (value, rows, da, dc, dp, ds, db) = Dispatch::pair_softmax(
        tables.anchors.into_dispatch(),
        tables.candidates.into_dispatch(),
        paired.into_dispatch(),
        tables.scale.into_dispatch(),
        tables.bias.unwrap_or(nothing).into_dispatch(),
        Arc::new(spec),
    );
    let two = Tensor::<2>::from_dispatch;
    let single = Tensor::<1>::from_dispatch;
    Blocked {
        value: single(value),
        rows: single(rows),
        anchors: two(da),
        candidates: two(dc),
        paired: two(dp),
        scale: single(ds),
        bias: single(db),
        terms: Vec::new(),
    }
}
