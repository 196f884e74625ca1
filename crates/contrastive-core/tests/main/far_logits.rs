//! Finite rows of any size up to 1e18: value and gradients are those of the definition in f64, or all of them NaN.

use crate::common::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::*;
use contrastive_core::pairs::Pairs;
use contrastive_core::similarity::Similarity;

const N: usize = 70;
const D: usize = 4;
const TEMPERATURE: f64 = 0.07;
/// Where largest entries multiply to this, an inner product may be as large as the mark of a pair that is not compared.
const BEYOND: f64 = 4e29;

/// Small whole numbers times a power of 2: their inner products are exact in both types, equal or far apart.
fn whole(seed: usize, size: f64) -> Vec<f64> {
    (0..N * D).map(|k| (((k * 7919 + seed * 104_729) % 1009 % 7) as f64 - 3.0) * size).collect()
}

struct Result {
    value: f64,
    gradients: Vec<f64>,
}

fn result(value: Tensor<1>, leaves: &[&Tensor<2>]) -> Result {
    let tape = value.clone().backward();
    let gradients = leaves.iter().flat_map(|x| values(&x.grad(&tape).expect("a gradient"))).collect();
    Result { value: values(&value)[0], gradients }
}

fn largest(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// InfoNCE in loops: the mean over rows, candidate i being the positive of anchor i.
fn definition(a: &[f64], c: &[f64]) -> Result {
    let scale = 1.0 / TEMPERATURE;
    let mut result = Result { value: 0.0, gradients: vec![0.0; 2 * N * D] };
    for i in 0..N {
        let logit = |j: usize| scale * (0..D).map(|t| a[i * D + t] * c[j * D + t]).sum::<f64>();
        let logits: Vec<f64> = (0..N).map(logit).collect();
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|l| (l - top).exp()).sum();
        result.value += (top - logits[i] + sum.ln()) / N as f64;
        for j in 0..N {
            let slope = ((logits[j] - top).exp() / sum - f64::from(u8::from(i == j))) * scale / N as f64;
            for t in 0..D {
                result.gradients[i * D + t] += slope * c[j * D + t];
                result.gradients[(N + j) * D + t] += slope * a[i * D + t];
            }
        }
    }
    result
}

fn agree(what: &str, got: &Result, want: &Result, dtype: DType, logit: f64) {
    let (of_logit, of_gradient) = if dtype == DType::F64 { (2e-15, 1e-9) } else { (1e-6, 1e-3) };
    let off = (got.value - want.value).abs();
    assert!(off <= of_logit * logit + of_gradient * want.value.abs(), "{what}: {} for {}", got.value, want.value);
    let size = largest(&want.gradients);
    for (at, (g, w)) in got.gradients.iter().zip(&want.gradients).enumerate() {
        assert!((g - w).abs() <= of_gradient * size, "{what}: gradient {g:e} for {w:e} at {at}, the largest {size:e}");
    }
}

type Form = (&'static str, fn(&PairObjective, &Inputs) -> Tensor<1>);

const FORMS: [Form; 3] = [
    ("native", |objective, inputs| objective.loss(inputs)),
    ("portable", |objective, inputs| contrastive_core::testing::portably(|| objective.loss(inputs))),
    ("dense", |objective, inputs| objective.dense(inputs)),
];

fn types() -> Vec<DType> {
    if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] }
}

#[test]
fn any_finite_size_gives_the_definition_or_nan() {
    let labels: Vec<i64> = (0..N as i64).map(|i| i % 9).collect();
    let one = || PairObjective::new(TEMPERATURE).unwrap().with_similarity(Similarity::Dot);
    let objectives = [
        ("InfoNCE", false, one()),
        ("of negatives", false, one().with_denominator(Denominator::NegativesOnly)),
        ("both directions", false, one().with_direction(Direction::Both)),
        ("itself", true, one().with_pairs(Pairs::labels(&labels))),
        ("inside", true, one().with_pairs(Pairs::labels(&labels)).with_placement(Placement::Inside)),
        ("own", true, one().with_pairs(Pairs::labels(&labels)).with_denominator(Denominator::OwnPositive)),
    ];
    for power in [0, 3, 6, 10, 13, 14, 18, 27, 40, 50, 60] {
        let size = 2f64.powi(power);
        let tables = [whole(1, size), whole(2, size)];
        let logit = 9.0 * D as f64 * size * size / TEMPERATURE;
        let beyond = largest(&tables[0]) * largest(&tables[1]) * D as f64 >= BEYOND;
        for (name, itself, objective) in &objectives {
            let run = |form: &Form, dtype: DType| {
                let leaves = tables.clone().map(|x| tracked(x, [N, D], dtype));
                match itself {
                    true => result(form.1(objective, &Inputs::self_contrast(leaves[0].clone())), &[&leaves[0]]),
                    false => {
                        let inputs = Inputs::new(leaves[0].clone(), leaves[1].clone());
                        result(form.1(objective, &inputs), &[&leaves[0], &leaves[1]])
                    }
                }
            };
            let wide = types()[0];
            let want = match *name {
                "InfoNCE" => definition(&tables[0], &tables[1]),
                _ => run(&FORMS[2], wide),
            };
            if want.gradients.iter().any(|g| !g.is_finite()) {
                // beyond what the tensor form itself can hold: no oracle
                continue;
            }
            for (form, dtype) in FORMS.iter().flat_map(|form| types().into_iter().map(move |dtype| (form, dtype))) {
                let what = format!("{name}, {}, {dtype:?}, size 2^{power}", form.0);
                let got = run(form, dtype);
                if beyond {
                    assert!(got.value.is_nan() && got.gradients.iter().all(|g| g.is_nan()), "{what}: {}", got.value);
                    continue;
                }
                if *name == "own" {
                    // denominators of each positive's own round more (parts in a thousand in f32, in a billion in f64), but give no NaN
                    let finite = got.value.is_finite() && got.gradients.iter().all(|g| g.is_finite());
                    assert!(finite || !want.value.is_finite(), "{what}: {}", got.value);
                    continue;
                }
                agree(&what, &got, &want, dtype, logit);
            }
        }
    }
}

/// What was reported: -inf, or NaN gradients beside a finite value.
#[test]
fn neighbouring_rows_of_12_thousand() {
    for dtype in types() {
        let leaves = [[12327.0, 12328.0], [12327.0, 12326.0]].map(|x| tracked(x.to_vec(), [2, 1], dtype));
        let objective = PairObjective::new(TEMPERATURE).unwrap().with_similarity(Similarity::Dot);
        for form in &FORMS {
            let got = result(form.1(&objective, &Inputs::new(leaves[0].clone(), leaves[1].clone())), &[&leaves[0]]);
            // row 0 costs nothing; row 1 is 12328 behind, over the temperature, and its slope is one candidate against the next
            let want = 12328.0 / TEMPERATURE / 2.0;
            assert!((got.value - want).abs() < 2e-3 * want, "{}, {dtype:?}: {}", form.0, got.value);
            let slope = 1.0 / TEMPERATURE / 2.0;
            let gradients = &got.gradients;
            assert!(
                gradients[0].abs() < 1e-3 && (gradients[1] - slope).abs() < 1e-3 * slope,
                "{}: {gradients:?}",
                form.0
            );
        }
    }
}

/// A padding row's NaN is in neither value nor gradients.
#[test]
fn padding_holds_anything() {
    let rows = |seed: usize| whole(seed, 0.25)[..3 * D].to_vec();
    let run = |bad: f64| {
        let leaves = [1, 2, 3].map(|seed| {
            let mut x = rows(seed);
            x[D..2 * D].fill(bad);
            tracked(x, [3, D], DType::F32)
        });
        let [states, positives, negatives] = leaves.clone();
        result(sampled_bce(states, positives, negatives, &[true, false, true]), &leaves.each_ref()[..])
    };
    let (plain, nan) = (run(1.0), run(f64::NAN));
    assert_eq!((plain.value, plain.gradients), (nan.value, nan.gradients));
}

#[test]
fn no_more_hard_negatives_than_candidates() {
    let inputs = Inputs::new(tracked(whole(1, 1.0), [N, D], DType::F32), tracked(whole(2, 1.0), [N, D], DType::F32));
    let pairs = Pairs::Diagonal;
    let few = hardest_negatives(&inputs, &pairs, Similarity::Dot, N);
    let many = hardest_negatives(&inputs, &pairs, Similarity::Dot, usize::MAX);
    assert_eq!((few.k, &few.indices), (many.k, &many.indices));
    assert_eq!(hardest_positives(&inputs, &pairs, Similarity::Dot, usize::MAX).row(3).0, [3]);
    assert_eq!(negatives_below(&inputs, &pairs, Similarity::Dot, &[0.0; N], usize::MAX).k, N);
}

#[test]
#[should_panic(expected = "the element types of anchors and candidates")]
fn anchors_and_candidates_are_of_one_type() {
    let [single, double] = [DType::F32, DType::F64].map(|dtype| tracked(whole(1, 1.0), [N, D], dtype));
    let _ = InfoNce::new(TEMPERATURE).unwrap().loss(single, double);
}
