//! The losses that users of PyTorch Metric Learning look for: against values of that library, against their definitions in loops,
//! against finite differences, and against each other where one is a case of another.

mod classes;
mod definitions;
mod identities;
mod reference;

use crate::common::{has_f64, tracked, values};
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::*;

/// A loss of tables of one width: rows, and what else it needs.
pub type Form = Box<dyn Fn(&[Tensor<2>]) -> Tensor<1>>;

/// A form of a closure.
pub fn form(f: impl Fn(&[Tensor<2>]) -> Tensor<1> + 'static) -> Form {
    Box::new(f)
}

/// A loss as it comes, and with the body of tensor operations.
macro_rules! both {
    ($objective:expr, |$o:ident, $x:ident| $loss:expr) => {{
        let [native, portable] = [$objective, $objective];
        vec![
            form(move |$x| {
                let $o = &native;
                $loss
            }),
            form(move |$x| {
                let $o = &portable;
                contrastive_core::testing::portably(|| $loss)
            }),
        ]
    }};
}
pub(crate) use both;

/// n rows of width d.
pub fn waves(n: usize, d: usize, step: f64, shift: f64) -> Vec<f64> {
    (0..n * d).map(|k| (step * k as f64 + shift).sin()).collect()
}

/// Value and gradients in one type.
pub fn evaluated(tables: &[Vec<f64>], width: usize, dtype: DType, f: &Form) -> (f64, Vec<Vec<f64>>) {
    let leaves: Vec<_> = tables.iter().map(|t| tracked(t.clone(), [t.len() / width, width], dtype)).collect();
    let value = f(&leaves);
    let tape = value.clone().backward();
    let of = |x: &Tensor<2>| x.grad(&tape).map_or(vec![0.0; x.dims()[0] * width], |g| values(&g));
    (values(&value)[0], leaves.iter().map(of).collect())
}

/// The types of the device.
pub fn types() -> Vec<DType> {
    if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] }
}

/// The first column of a table of `n` rows.
pub fn first_column(x: &Tensor<2>) -> Tensor<1> {
    let n = x.dims()[0];
    x.clone().slice([0..n, 0..1]).reshape([n])
}

#[test]
fn settings_that_cannot_be_are_errors() {
    fn fails<T, E: std::fmt::Display>(result: Result<T, E>, words: &str) {
        let message = result.map(|_| ()).map_err(|e| e.to_string()).unwrap_err();
        assert!(message.contains(words), "{message}");
    }
    for alpha in [0.0, -0.1, 1.6, f64::NAN] {
        fails(Angular::new(alpha), &format!("alpha {alpha}"));
    }
    fails(LiftedStructuredEmbedding::new(-1.0), "margin -1");
    fails(LiftedStructuredEmbedding::new(1.0).unwrap().with_positive_margin(f64::NAN), "margin of positives NaN");
    fails(MarginBased::new(f64::INFINITY), "margin inf");
    fails(MarginBased::new(0.2).unwrap().with_penalty(-0.5), "penalty -0.5");
    fails(SoftTriple::new(0.0, 0.1, 0.01, 2), "lambda 0");
    fails(SoftTriple::new(20.0, 0.0, 0.01, 2), "gamma 0");
    fails(SoftTriple::new(20.0, 0.1, -0.01, 2), "margin -0.01");
    fails(SoftTriple::new(20.0, 0.1, 0.01, 0), "centres of a class 0");
    fails(SubCenterArcFace::new(0.5, 64.0, 0), "centres of a class 0");
    fails(SubCenterArcFace::new(-0.5, 64.0, 3), "margin -0.5");
    fails(SphereFace::new(0, 1.0), "margin 0");
    fails(SphereFace::new(17, 1.0), "1 to 16");
    fails(LargeMarginSoftmax::new(4, f64::NAN), "scale NaN");
    fails(RankedList::new(-0.4, 10.0), "margin -0.4");
    fails(RankedList::new(0.4, f64::NAN), "temperature of negatives NaN");
    fails(RankedList::new(0.4, 10.0).unwrap().with_alpha(-1.0), "alpha -1");
    fails(RankedList::new(0.4, 10.0).unwrap().with_imbalance(1.5), "imbalance 1.5");
    fails(RankedList::new(0.4, 10.0).unwrap().with_positive_temperature(-1.0), "temperature of positives -1");
    fails(SmoothAp::new(0.0), "temperature 0");
    fails(Pnp::new(f64::NAN), "temperature NaN");
    fails(Pnp::new(0.1).unwrap().with_power_cost(0.0), "alpha 0");
    fails(Pnp::new(0.1).unwrap().with_bounded_cost(-2.0), "b -2");
    fails(Histogram::new(0), "bins 0");
    fails(SignalToNoise::new(0.0, -1.0), "margin of negatives -1");
    fails(DynamicSoftMargin::new(0, 0.1), "bins 0");
    fails(DynamicSoftMargin::new(10, 1.5), "momentum 1.5");
    let contrastive = PairContrastive::of_similarities(0.9, 0.5).unwrap();
    fails(contrastive.with_weights(1.0, f64::NAN), "weight of negatives NaN");
}

#[test]
fn labels_and_shapes_that_do_not_fit_panic() {
    let rows = |n: usize, d: usize| tracked(waves(n, d, 1.7, 0.4), [n, d], DType::F32);
    let panics = |words: &str, f: &dyn Fn() -> Tensor<1>| {
        let message = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).map(|_| ()).unwrap_err();
        let message = message.downcast_ref::<String>().expect("a message").clone();
        assert!(message.contains(words), "{message:?} does not say {words:?}");
    };
    let labels = [0, 1, 2];
    let sub_centers = SubCenterArcFace::new(0.5, 8.0, 2).unwrap();
    panics("centres [5, 4] of classes of 2", &|| sub_centers.loss(rows(3, 4), &labels, rows(5, 4)));
    panics("for 2 classes", &|| sub_centers.loss(rows(3, 4), &labels, rows(4, 4)));
    panics("centres [6, 5]", &|| sub_centers.loss(rows(3, 4), &labels, rows(6, 5)));
    panics("for 2 classes", &|| SphereFace::new(4, 1.0).unwrap().loss(rows(3, 4), &labels, rows(2, 4)));
    panics("weights [3, 5]", &|| LargeMarginSoftmax::new(4, 1.0).unwrap().loss(rows(3, 4), &labels, rows(3, 5)));
    panics("for 2 classes", &|| P2sGrad::new().loss(rows(3, 4), &labels, rows(2, 4)));
    let margin = MarginBased::new(0.2).unwrap();
    panics("label 2 for the betas of 2 classes", &|| margin.loss(rows(3, 4), &labels, first_column(&rows(2, 4))));
    let mut dynamic = DynamicSoftMargin::new(10, 0.1).unwrap();
    let bad = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| dynamic.loss(rows(3, 4), rows(3, 5))));
    assert!(bad.is_err());
}
