//! Dense == streaming to 1e-10 in f64: value and every gradient, over random shapes and all choices of the family; the
//! native kernels, the portable body, and the plain tensor form must be one function. Finite differences agree with them.

mod blocks;
mod identities;

use crate::common::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use contrastive_core::similarity::Similarity;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// One comparison: an objective and its raw inputs.
struct Case {
    name: String,
    objective: PairObjective,
    n: usize,
    m: usize,
    d: usize,
    anchors: Vec<f64>,
    candidates: Option<Vec<f64>>,
    paired: Option<Vec<f64>>,
    scale: Option<Vec<f64>>,
    bias: Option<Vec<f64>>,
    terms: Option<Terms>,
}

/// An inverse temperature for each pair of classes, and a log-weight for each pair: a matrix, or a product of rank 2.
#[derive(Clone)]
struct Terms {
    table: Vec<f64>,
    classes: [Vec<u32>; 2],
    left: Vec<f64>,
    right: Option<Vec<f64>>,
}

/// Tracked tensors of a case, in the order anchors, candidates, paired, scale, bias.
struct Leaves {
    inputs: Inputs,
    two: Vec<Tensor<2>>,
    one: Vec<Tensor<1>>,
}

impl Case {
    fn leaves(&self, dtype: DType) -> Leaves {
        let (n, m, d) = (self.n, self.m, self.d);
        let anchors = tracked(self.anchors.clone(), [n, d], dtype);
        let (mut two, mut one) = (vec![anchors.clone()], Vec::new());
        let mut inputs = match &self.candidates {
            Some(c) => {
                two.push(tracked(c.clone(), [m, d], dtype));
                Inputs::new(anchors, two[1].clone())
            }
            None => Inputs::self_contrast(anchors),
        };
        if let Some(p) = &self.paired {
            two.push(tracked(p.clone(), [n, d], dtype));
            inputs = inputs.with_paired(two[two.len() - 1].clone());
        }
        if let Some(s) = &self.scale {
            one.push(tracked(s.clone(), [s.len()], dtype));
            inputs = inputs.with_scale(one[0].clone());
        }
        if let Some(b) = &self.bias {
            one.push(tracked(b.clone(), [m], dtype));
            inputs = inputs.with_bias(one[one.len() - 1].clone());
        }
        if let Some(terms) = &self.terms {
            let [anchors, candidates] = terms.classes.clone();
            let table = tracked(terms.table.clone(), [2, 3], dtype);
            let first = two.len();
            two.push(table.clone());
            inputs = inputs.with_pair_scale(PairTerm::classes(table, anchors, candidates));
            two.push(tracked(terms.left.clone(), [n, terms.left.len() / n], dtype));
            inputs = inputs.with_pair_bias(match &terms.right {
                None => PairTerm::matrix(two[first + 1].clone()),
                Some(right) => {
                    two.push(tracked(right.clone(), [m, 2], dtype));
                    let shrunk = |x: Tensor<2>| x.tanh() * 0.5;
                    PairTerm::product(two[first + 1].clone(), two[first + 2].clone(), shrunk)
                }
            });
        }
        Leaves { inputs, two, one }
    }

    /// Value, and the gradients of all inputs one after the other.
    fn run(&self, dtype: DType, form: impl Fn(&PairObjective, &Inputs) -> Tensor<1>) -> (f64, Vec<Vec<f64>>) {
        let leaves = self.leaves(dtype);
        // an upstream factor other than 1
        let value = form(&self.objective, &leaves.inputs);
        let gradients = (value.clone() * 1.5).backward();
        let zero = |k: usize| vec![0.0; k];
        let two = leaves
            .two
            .iter()
            .map(|t| t.grad(&gradients).map_or_else(|| zero(t.dims().iter().product()), |g| values(&g)));
        let one = leaves.one.iter().map(|t| t.grad(&gradients).map_or_else(|| zero(t.dims()[0]), |g| values(&g)));
        (values(&value)[0], two.chain(one).collect())
    }
}

fn normal(rng: &mut ChaCha8Rng, len: usize, spread: f64) -> Vec<f64> {
    // the sum of uniforms is near enough to normal here
    (0..len).map(|_| spread * ((0..6).map(|_| rng.random::<f64>()).sum::<f64>() - 3.0)).collect()
}

fn lists(rng: &mut ChaCha8Rng, n: usize, m: usize, share: f64, weighted: bool) -> PairLists {
    let (mut offsets, mut columns) = (vec![0], Vec::new());
    for _ in 0..n {
        columns.extend((0..m as u32).filter(|_| rng.random::<f64>() < share));
        offsets.push(columns.len());
    }
    let weights = weighted.then(|| (0..columns.len()).map(|_| rng.random::<f64>() + 0.1).collect());
    PairLists::new(offsets, columns, weights).unwrap()
}

fn cases(seed: u64) -> Vec<Case> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut all = Vec::new();
    let denominators = [Denominator::WithPositives, Denominator::NegativesOnly, Denominator::OwnPositive];
    for round in 0..128 {
        let denominator = denominators[round % 3];
        let inside = denominator != Denominator::OwnPositive && rng.random::<f64>() < 0.3;
        let itself = round % 4 == 1;
        let beside = round % 4 == 2 && !inside;
        let both = round % 4 == 3 && round % 8 < 7;
        let mut n = rng.random_range(1..40usize);
        if itself {
            n = 2 * n.max(2);
        }
        let m = if itself || both { n } else { rng.random_range(n..90) };
        let d = rng.random_range(1..20);
        let temperature = [0.005, 0.07, 0.5, 1.0][rng.random_range(0..4)];
        let similarity = match rng.random_range(0..10) {
            0..3 => Similarity::Dot,
            3..5 => Similarity::NegativeSquaredDistance,
            _ => Similarity::Cosine,
        };
        let input_scale = rng.random::<f64>() < 0.4;
        let mut objective =
            if input_scale { PairObjective::with_input_scale() } else { PairObjective::new(temperature).unwrap() };
        objective = objective.with_denominator(denominator);
        objective = objective.with_similarity(similarity);
        let labels: Vec<i64> = (0..n).map(|_| rng.random_range(0..n.div_ceil(3)) as i64).collect();
        let pairs = if beside {
            Pairs::Beside
        } else if itself {
            match rng.random_range(0..4) {
                0 => Pairs::TwoViews,
                1 => Pairs::Views(2),
                2 => Pairs::Band(2),
                _ => Pairs::labels(&labels),
            }
        } else if both {
            match rng.random_range(0..3) {
                0 => Pairs::Diagonal,
                1 => Pairs::Band(1),
                _ => Pairs::labels(&labels),
            }
        } else {
            match rng.random_range(0..3) {
                0 => Pairs::Diagonal,
                1 => Pairs::Lists(Arc::new(lists(&mut rng, n, m, 0.2, true))),
                _ => Pairs::labels_between(
                    &labels,
                    &(0..m).map(|_| rng.random_range(0..n.div_ceil(3)) as i64).collect::<Vec<_>>(),
                ),
            }
        };
        let listed = matches!(pairs, Pairs::Lists(_));
        objective = objective.with_pairs(pairs);
        objective = objective.with_placement(if inside { Placement::Inside } else { Placement::Outside });
        objective = match rng.random_range(0..4) {
            _ if listed => objective.with_positive_weights(PositiveWeights::Listed),
            0 => objective.with_positive_weights(PositiveWeights::Sum),
            1 if !both => objective.with_positive_weights(PositiveWeights::PerAnchor(Arc::new(
                (0..n).map(|_| rng.random::<f64>() + 0.2).collect(),
            ))),
            _ => objective,
        };
        objective = match rng.random_range(0..6) {
            4 => objective.with_reduction(Reduction::MeanNonZero),
            0 => objective.with_reduction(Reduction::Sum),
            1 => objective.with_reduction(Reduction::MeanWithPositives),
            2 => objective.with_reduction(Reduction::MeanOverPairs),
            3 if !both => {
                objective.with_reduction(Reduction::Weighted(Arc::new((0..n).map(|_| rng.random::<f64>()).collect())))
            }
            _ => objective,
        };
        if !both {
            let empty = PairLists::new(vec![0; n + 1], Vec::new(), None).unwrap();
            objective = match rng.random_range(0..6) {
                0 => objective.with_exclusions(Exclusions::own_row(m.saturating_sub(n) / 2)),
                1 => objective.with_exclusions(Exclusions::lists(lists(&mut rng, n, m, 0.3, false))),
                2 => objective.with_exclusions(Exclusions::lists(lists(&mut rng, n, m, 1.0, false))),
                3 => objective.with_exclusions(Exclusions::lists(empty)),
                4 if n == m => objective.with_exclusions(Exclusions::same_ids(&labels, &labels)),
                _ => objective,
            };
        }
        if denominator != Denominator::OwnPositive && !both {
            if rng.random::<f64>() < 0.25 {
                objective = objective.with_denominator_offset(1e-8).unwrap();
            }
            if rng.random::<f64>() < 0.2 && !inside {
                objective =
                    objective.with_denominator_weights(Arc::new((0..n).map(|_| rng.random::<f64>() + 0.5).collect()));
            }
        }
        if !inside && rng.random::<f64>() < 0.25 {
            objective = objective.with_positive_clamp(2.5).unwrap();
        }
        if both {
            objective = objective.with_direction(Direction::Both);
            match rng.random_range(0..3) {
                0 => objective = objective.with_direction_weights(0.8, 0.3).unwrap(),
                1 => objective = objective.with_exclusions(Exclusions::lists(lists(&mut rng, n, m, 0.3, false))),
                _ => {}
            }
        }
        let spread = if similarity != Similarity::Cosine && temperature < 0.05 { 0.2 } else { 0.7 };
        let terms = (rng.random::<f64>() < 0.25).then(|| {
            let product = rng.random::<bool>();
            Terms {
                table: (0..6).map(|_| 0.5 + rng.random::<f64>()).collect(),
                classes: [(n, 2), (m, 3)].map(|(count, k)| (0..count).map(|_| rng.random_range(0..k)).collect()),
                left: normal(&mut rng, n * if product { 2 } else { m }, 0.5),
                right: product.then(|| normal(&mut rng, m * 2, 0.5)),
            }
        });
        let scales = if both || rng.random() { 1 } else { n };
        let biased = !both && !itself && rng.random::<f64>() < 0.3;
        all.push(Case {
            name: {
                let mut choices = format!("{objective:?}");
                choices.truncate(160);
                format!("round {round}: {choices} {denominator:?} inside {inside} both {both} n {n} m {m} d {d}")
            },
            objective,
            n,
            m,
            d,
            anchors: normal(&mut rng, n * d, spread),
            candidates: (!itself).then(|| normal(&mut rng, m * d, spread)),
            paired: beside.then(|| normal(&mut rng, n * d, spread)),
            scale: input_scale.then(|| (0..scales).map(|_| (0.5 + rng.random::<f64>()) / temperature).collect()),
            bias: biased.then(|| normal(&mut rng, m, 0.5)),
            terms,
        });
    }
    all
}

fn largest(parts: &[Vec<f64>]) -> f64 {
    parts.iter().flatten().fold(1.0, |m: f64, x| m.max(x.abs()))
}

fn compare(dtype: DType, tolerance: f64) {
    for case in cases(7) {
        let (value, gradients) = case.run(dtype, |o, i| o.dense(i));
        assert!(value.is_finite() && gradients.iter().flatten().all(|g| g.is_finite()), "{}", case.name);
        for portable in [false, true] {
            let _bodies = contrastive_core::testing::portable(portable);
            let (v, g) = case.run(dtype, |o, i| o.loss(i));
            let what = format!("{} portable {portable}", case.name);
            close(&format!("{what} value"), &[v], &[value], tolerance * largest(&gradients), tolerance);
            for (k, (g, e)) in g.iter().zip(&gradients).enumerate() {
                // rounding grows with the largest logit: gradients are compared relative to the largest of their kind
                close(&format!("{what} gradient {k}"), g, e, tolerance * largest(std::slice::from_ref(e)), tolerance);
            }
        }
    }
}

#[test]
fn dense_is_streaming_f64() {
    if has_f64() {
        compare(DType::F64, 1e-10);
    }
}

#[test]
fn dense_is_streaming_f32() {
    compare(DType::F32, 2e-3);
}

#[test]
fn finite_differences_agree() {
    if !has_f64() {
        return;
    }
    // steep objectives have steep third derivatives: those with a temperature of 0.07 and above
    for case in cases(11).into_iter().filter(|c| !c.name.contains("Fixed(0.005)")).step_by(3) {
        if case.scale.as_ref().is_some_and(|s| s[0] > 60.0) {
            continue;
        }
        let (_, gradients) = case.run(DType::F64, |o, i| o.loss(i));
        let value =
            |case: &Case| values(&case.objective.evaluate(&case.leaves(DType::F64).inputs, Wanted::VALUE).value)[0];
        let step = 1e-6;
        for at in (0..case.n * case.d).step_by(7) {
            let mut moved = [1.0, -1.0].map(|sign| {
                let mut anchors = case.anchors.clone();
                anchors[at] += sign * step;
                value(&Case {
                    name: String::new(),
                    objective: case.objective.clone(),
                    anchors,
                    candidates: case.candidates.clone(),
                    paired: case.paired.clone(),
                    scale: case.scale.clone(),
                    bias: case.bias.clone(),
                    terms: case.terms.clone(),
                    ..case
                })
            });
            moved[0] = 1.5 * (moved[0] - moved[1]) / (2.0 * step);
            let g = gradients[0][at];
            assert!(
                (moved[0] - g).abs() < 2e-5 * (1.0 + largest(&gradients)),
                "{}: {} instead of {g}",
                case.name,
                moved[0]
            );
        }
    }
}
