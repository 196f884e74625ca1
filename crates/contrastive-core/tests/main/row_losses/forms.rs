//! Every form of an objective against the others, and finite differences.

use crate::common::*;
use crate::unpaired::support::*;
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::objective::*;
use contrastive_core::pairs::Pairs;
use contrastive_core::similarity::Similarity;

pub type Form<'a> = &'a dyn Fn(&[Tensor<2>]) -> Tensor<1>;

/// Value and gradients of all forms at the same random rows.
pub fn agree(what: &str, shapes: &[[usize; 2]], seed: u64, forms: &[Form]) {
    let tight = if has_f64() { 1e-10 } else { 2e-4 };
    let results: Vec<(Vec<f64>, Vec<f64>)> = forms
        .iter()
        .map(|form| {
            let leaves: Vec<Tensor<2>> =
                shapes.iter().enumerate().map(|(k, shape)| rows(seed * 100 + k as u64, *shape)).collect();
            let value = form(&leaves);
            // any upstream factor
            let gradients = (value.clone() * -1.5).backward();
            let zeros = |x: &Tensor<2>| vec![0.0; x.dims().iter().product()];
            let of = |x: &Tensor<2>| x.grad(&gradients).map_or_else(|| zeros(x), |g| values(&g));
            (values(&value), leaves.iter().flat_map(of).collect())
        })
        .collect();
    for (k, (value, gradient)) in results.iter().enumerate().skip(1) {
        close(&format!("{what}, form {k}"), value, &results[0].0, tight, tight);
        close(&format!("gradient of {what}, form {k}"), gradient, &results[0].1, tight, tight);
    }
}

fn labels(n: usize, classes: i64) -> Vec<i64> {
    (0..n as i64).map(|i| (i * i + 3 * i) % classes).collect()
}

#[test]
fn classes_with_rows_of_their_own() {
    for (n, d, c) in [(1, 2, 1), (9, 3, 5), (40, 6, 4), (70, 4, 90)] {
        let y: Vec<i64> = (0..n as i64).map(|i| (i * i) % c as i64).collect();
        let y = y.as_slice();
        macro_rules! compare {
            ($objective:expr) => {{
                let objective = $objective.unwrap();
                let of = |x: &[Tensor<2>]| (x[0].clone(), x[1].clone());
                agree(
                    stringify!($objective),
                    &[[n, d], [c, d]],
                    3,
                    &[&|x| objective.dense(of(x).0, y, of(x).1), &|x| objective.loss(of(x).0, y, of(x).1), &|x| {
                        contrastive_core::testing::portably(|| objective.loss(of(x).0, y, of(x).1))
                    }],
                );
            }};
        }
        compare!(ProxyAnchor::new(0.1, 8.0));
        compare!(ClassMargin::cosface(0.2, 8.0));
        compare!(ClassMargin::arcface(0.3, 8.0));
    }
    let anchor = ProxyAnchor::new(0.1, 8.0).unwrap();
    differences("Proxy-Anchor", &[[9, 3], [4, 3]], |x| {
        anchor.loss(x[0].clone(), &[0, 1, 2, 2, 1, 0, 0, 2, 1], x[1].clone())
    });
}

#[test]
fn jensen_shannon_of_any_pairs() {
    let y = labels(11, 3);
    let (nodes, graphs) = (labels(11, 4), vec![0, 1, 2, 3]);
    let cases = [
        (Pairs::Diagonal, [[11, 3], [13, 3]], Similarity::Dot),
        (Pairs::labels_between(&nodes, &graphs), [[11, 3], [4, 3]], Similarity::Cosine),
        (Pairs::Diagonal, [[1, 3], [1, 3]], Similarity::Dot),
    ];
    for (pairs, shapes, similarity) in cases {
        let objective = JensenShannon::new().with_pairs(pairs.clone()).with_similarity(similarity);
        let inputs = |x: &[Tensor<2>]| Inputs::new(x[0].clone(), x[1].clone());
        let forms: [Form; 3] = [&|x| objective.dense(&inputs(x)), &|x| objective.loss(&inputs(x)), &|x| {
            contrastive_core::testing::portably(|| objective.loss(&inputs(x)))
        }];
        agree(&format!("Jensen-Shannon of {pairs:?}"), &shapes, 7, &forms);
        differences("Jensen-Shannon", &shapes, |x| objective.loss(&inputs(x)));
    }
    let within = JensenShannon::default().with_pairs(Pairs::labels(&y)).with_similarity(Similarity::Cosine);
    let inputs = |x: &[Tensor<2>]| Inputs::self_contrast(x[0].clone());
    agree(
        "within",
        &[[11, 3]],
        8,
        &[&|x| within.dense(&inputs(x)), &|x| within.loss(&inputs(x)), &|x| {
            contrastive_core::testing::portably(|| within.loss(&inputs(x)))
        }],
    );
    differences("Jensen-Shannon within", &[[11, 3]], |x| within.loss(&inputs(x)));
}

/// The definition in loops: the mean over each side.
#[test]
fn jensen_shannon_is_two_means() {
    let (a, b) = (normal(1, 10), normal(2, 10));
    let softplus = |x: f64| x.exp().ln_1p();
    let (mut near, mut far) = (0.0, 0.0);
    for (i, j) in (0..25).map(|at| (at / 5, at % 5)) {
        let s = a[2 * i] * b[2 * j] + a[2 * i + 1] * b[2 * j + 1];
        if i == j { near += softplus(-s) / 5.0 } else { far += softplus(s) / 20.0 }
    }
    let (a, b) = (tracked(a, [5, 2], wide()), tracked(b, [5, 2], wide()));
    let got = one(JensenShannon::new().loss(&Inputs::new(a, b)));
    close("value", &[got], &[near + far - 2.0 * 2f64.ln()], if has_f64() { 1e-12 } else { 1e-5 }, 0.0);
}

#[test]
fn gradients_of_rows_under_labels() {
    let y = labels(13, 4);
    let y = y.as_slice();
    let tuplet = TupletMargin::new(0.1, 8.0).unwrap();
    differences("tuplet margin", &[[13, 3]], |x| tuplet.loss(x[0].clone(), y));
    let variance = IntraPairVariance::new(0.01, 0.2).unwrap();
    differences("intra-pair variance", &[[13, 3]], |x| variance.loss(x[0].clone(), y));
    // a distance in the middle of a bin has no derivative; random rows have none there
    let precision = FastAp::new(7).unwrap();
    differences("FastAP", &[[13, 3]], |x| precision.loss(x[0].clone(), y));
    for triplet in
        [HardTriplet::new(0.4).unwrap(), HardTriplet::soft(), HardTriplet::new(0.4).unwrap().with_semi_hard_negatives()]
    {
        differences("hard triplets", &[[13, 3]], |x| triplet.loss(x[0].clone(), y));
    }
}

#[test]
fn n_pairs_is_infonce_with_a_penalty() {
    let softplus = |x: f64| x.exp().ln_1p();
    let two = NPairs::new(0.0).unwrap();
    let (a, p) = (rows(1, [2, 3]), rows(2, [2, 3]));
    let (x, y) = (values(&a), values(&p));
    let dot = |i: usize, j: usize| (0..3).map(|c| x[3 * i + c] * y[3 * j + c]).sum::<f64>();
    let want = (softplus(dot(0, 1) - dot(0, 0)) + softplus(dot(1, 0) - dot(1, 1))) / 2.0;
    close("two pairs", &[one(two.loss(a, p))], &[want], 1e-5, 0.0);
    let short = NPairs::new(0.02).unwrap();
    let penalised = |x: &[Tensor<2>]| {
        let squares = (x[0].clone() * x[0].clone() + x[1].clone() * x[1].clone()).sum();
        two.objective().dense(&Inputs::new(x[0].clone(), x[1].clone())) + squares * (0.02 / 4.0 / 6.0)
    };
    agree("with a penalty", &[[6, 4]; 2], 9, &[&penalised, &|x| short.loss(x[0].clone(), x[1].clone())]);
}

/// `evaluate` is `loss` without a tape.
#[test]
fn values_alone_have_no_gradients() {
    let (x, y) = (rows(4, [12, 3]), labels(12, 3));
    let tuplet = TupletMargin::new(0.1, 8.0).unwrap();
    let both = tuplet.evaluate(&x, &y, true);
    assert!(tuplet.evaluate(&x, &y, false).gradients.anchors.is_none());
    let loss = tuplet.loss(x.clone(), &y);
    assert_eq!(values(&loss), values(&both.value));
    assert_eq!(values(&x.grad(&loss.backward()).unwrap()), values(&both.gradients.anchors.unwrap()));
    let plain = x.clone().inner();
    assert_eq!(values(&tuplet.loss(plain, &y)), values(&both.value));
    let alone = JensenShannon::new().evaluate(&Inputs::new(x.clone(), x), Wanted::VALUE).gradients;
    assert!(alone.anchors.is_none() && alone.candidates.is_none());
}

/// f16 is computed in f32.
#[test]
fn half_precision_inputs() {
    if on_ndarray() {
        return;
    }
    let y = labels(12, 3);
    let exact = values(&rows(4, [12, 3]));
    let data = TensorData::new(exact, [12, 3]).convert_dtype(DType::F16);
    let halves = Tensor::<2>::from_data(data, (&device(), DType::F16));
    let singles = halves.clone().cast(DType::F32);
    let of = |x: &Tensor<2>| values(&FastAp::new(10).unwrap().loss(x.clone(), &y));
    assert_eq!(of(&halves), of(&singles));
}

/// One class, only classes of one row, one row: 0 where there is nothing to compare; equal rows and rows of zeros are finite.
#[test]
fn degenerate_batches() {
    type Loss = Box<dyn Fn(Tensor<2>, &[i64]) -> Tensor<1>>;
    let losses: Vec<(&str, Loss)> = vec![
        ("tuplet margin", Box::new(|x, y| TupletMargin::new(0.1, 8.0).unwrap().loss(x, y))),
        ("FastAP", Box::new(|x, y| FastAp::new(10).unwrap().loss(x, y))),
        ("variance", Box::new(|x, y| IntraPairVariance::new(0.01, 0.01).unwrap().loss(x, y))),
        ("hard triplets", Box::new(|x, y| HardTriplet::new(0.2).unwrap().loss(x, y))),
        ("semi-hard triplets", Box::new(|x, y| HardTriplet::new(0.2).unwrap().with_semi_hard_negatives().loss(x, y))),
        ("soft triplets", Box::new(|x, y| HardTriplet::soft().loss(x, y))),
    ];
    for (name, loss) in &losses {
        for y in [[0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 1, 1]] {
            for data in [normal(5, 12), vec![0.0; 12], [0.3, -0.2, 0.5].repeat(4)] {
                let x = tracked(data, [4, 3], wide());
                let value = loss(x.clone(), &y);
                assert!(one(value.clone()).is_finite(), "{name} of {y:?}");
                let gradient = x.grad(&value.backward());
                let gradient = gradient.map_or_else(Vec::new, |g| values(&g));
                assert!(gradient.iter().all(|g| g.is_finite()), "gradient of {name} of {y:?}: {gradient:?}");
            }
        }
        assert_eq!(one(loss(rows(1, [1, 3]), &[7])), 0.0, "{name} of one row");
        let mut bad = normal(3, 12);
        bad[4] = f64::NAN;
        assert!(one(loss(tracked(bad, [4, 3], wide()), &[0, 0, 1, 1])).is_nan(), "{name} of NaN");
    }
    let alone = |y: &[i64; 4], k: usize| one(losses[k].1(rows(5, [4, 3]), y));
    assert_eq!([alone(&[0; 4], 0), alone(&[0, 1, 2, 3], 0), alone(&[0, 1, 2, 3], 1)], [0.0; 3]);
    // a ranking of positives alone is perfect
    close("one class", &[alone(&[0; 4], 1)], &[0.0], 1e-6, 0.0);
}

#[test]
#[should_panic(expected = "labels and rows")]
fn labels_must_match_rows() {
    FastAp::new(10).unwrap().loss(rows(1, [4, 3]), &[1, 2]);
}

/// 65,536 rows against as many in memory linear in them; a matrix of similarities alone would be 16 GiB.
#[test]
#[ignore = "minutes: 64k rows; alone, as it reads the peak memory of the process: --ignored 64k_rows --nocapture"]
fn linear_memory_at_64k_rows() {
    let n = 1 << 16;
    let table = |seed: u64| {
        let data = TensorData::new(normal(seed, n * 16), [n, 16]).convert_dtype(DType::F32);
        Tensor::<2>::from_data(data, (&device().autodiff(), DType::F32)).require_grad()
    };
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
    };
    let (a, b, y) = (table(1), table(2), labels(n, 500));
    type Loss<'a> = (&'a str, Box<dyn Fn() -> Tensor<1> + 'a>);
    let losses: Vec<Loss> = vec![
        ("CACR", Box::new(|| Cacr::new(1.0, 2.0).unwrap().loss(&[a.clone(), b.clone()]))),
        ("tuplet margin", Box::new(|| TupletMargin::new(0.1, 64.0).unwrap().loss(a.clone(), &y))),
        ("FastAP", Box::new(|| FastAp::new(10).unwrap().loss(a.clone(), &y))),
        ("multi-similarity", Box::new(|| MultiSimilarity::new(2.0, 50.0, 0.5).unwrap().loss(a.clone(), &y))),
    ];
    for (name, loss) in losses {
        let (before, start) = (peak(), std::time::Instant::now());
        let value = loss();
        let gradients = value.clone().backward();
        assert!(values(&a.grad(&gradients).unwrap()).iter().all(|g| g.is_finite()));
        let extra = peak() - before;
        println!("{name}: {:.1} s, {extra} MiB more at the peak, value {}", start.elapsed().as_secs_f64(), one(value));
        assert!(extra < 256, "{name} took {extra} MiB");
    }
}
