//! Image and text: label smoothing, SwALIP's assignments, BarLIP and SiamLIP, the scale that is clamped; CCRK's floor.

use crate::common::digits::step;
use crate::common::*;
use crate::spec_checks::{gradient, reordered, tight};
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::module::Param;
use burn::optim::SgdConfig;
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::*;
use contrastive_core::pairs::Exclusions;
use contrastive_core::similarity::unit_rows;
use contrastive_core::temperature::LogitScale;

fn scores(a: &Tensor<2>, b: &Tensor<2>) -> Tensor<2> {
    unit_rows(a.clone()).matmul(unit_rows(b.clone()).transpose())
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|at| f64::from(u8::from(at / n == at % n))).collect()
}

#[test]
fn without_local_views_it_is_clip() {
    let (a, b) = (rows(1, [6, 4]), rows(2, [6, 4]));
    let scale = tracked(vec![1.0 / 0.07], [1], wide());
    let learned = Clip::with_logit_scale().loss_with_scale(a.clone(), b.clone(), scale.clone());
    near("fixed", one(learned.clone()), one(Clip::new(0.07).unwrap().loss(a.clone(), b.clone())), 1e-6);
    assert!(gradient(learned, &scale)[0].abs() > 1e-6);
}

/// A target that keeps `1 - eps (1 - 1/n)`: the contrast and the mean over all candidates of `-log softmax`, mixed.
#[test]
fn smoothed_labels_mix_the_contrast_with_the_uniform() {
    let (n, t, eps) = (7, 0.1, 0.1);
    let (a, b) = (rows(1, [n, 4]), rows(2, [n, 4]));
    let smooth = |a: &Tensor<2>, b: &Tensor<2>| {
        let targets = identity(n).iter().map(|own| (1.0 - eps) * own + eps / n as f64).collect();
        soft_cross_entropy(plain(targets, [n, n]), scores(a, b), t).unwrap()
    };
    let contrast = one(InfoNce::new(t).unwrap().loss(a.clone(), b.clone()));
    // mean over all logits of log D - s, without the matrix
    let sums = LogSums::new(t).unwrap().values(&Inputs::new(a.clone(), b.clone()));
    let logits = one(scores(&a, &b).mean()) / t;
    let uniform = sums.iter().sum::<f64>() / n as f64 - logits;
    near("mixed", one(smooth(&a, &b)), (1.0 - eps) * contrast + eps * uniform, 1e-6);
    differences("smoothed", &[[n, 4]; 2], |x| smooth(&x[0], &x[1]));
}

#[test]
fn assignments_of_the_other_modality() {
    let (n, t) = (6, 0.2);
    let (a, b) = (rows(1, [n, 4]), rows(2, [n, 4]));
    let own = soft_cross_entropy(plain(identity(n), [n, n]), scores(&a, &b), t).unwrap();
    near("identity codes", one(own), one(InfoNce::new(t).unwrap().loss(a, b)), 1e-6);
    // each best by a different margin: the codes sharpen to the permutation
    let order = [3, 1, 4, 0, 5, 2];
    let value = |i: usize, j: usize| {
        if order[i] == j { 0.9 - 0.02 * i as f64 } else { 0.3 * ((i * 7 + j * 3) % 5) as f64 / 5.0 }
    };
    let s = plain((0..n * n).map(|at| value(at / n, at % n)).collect(), [n, n]);
    let wanted: Vec<f64> = (0..n * n).map(|at| f64::from(u8::from(order[at / n] == at % n))).collect();
    let off = |eps: f64| {
        let codes = values(&Sinkhorn::new(eps, 200).unwrap().with_log_domain().codes(s.clone()));
        codes.iter().zip(&wanted).map(|(q, w)| (q - w).abs()).fold(0.0, f64::max)
    };
    let worst = [0.5, 0.1, 0.01].map(off);
    assert!(worst[0] > worst[1] && worst[1] > worst[2] && worst[2] < 1e-6, "{worst:?}");
}

#[test]
fn masses_of_prototypes_even_out() {
    let table = [1.0, 0.9, 0.1, 1.0, 0.2, 0.1, 0.9, 0.8, 0.3, 1.0, 0.1, 0.2, 0.95, 0.3, 0.2, 0.9, 0.7, 0.1];
    let scores = |shift: f64| {
        let moved = table.iter().enumerate().map(|(at, s)| if at % 3 == 1 { s + shift } else { *s });
        plain(moved.collect(), [6, 3])
    };
    let codes = |shift: f64, iterations: usize| Sinkhorn::new(0.25, iterations).unwrap().codes(scores(shift));
    let masses = |codes: &Tensor<2>| values(&codes.clone().sum_dim(0));
    for iterations in [1, 2, 3, 10, 500] {
        close("samples", &values(&codes(0.0, iterations).sum_dim(1)), &[1.0; 6], 1e-6, 0.0);
    }
    let (early, late) = (codes(0.0, 3), codes(0.0, 500));
    assert!(masses(&early).iter().all(|m| (m - 2.0).abs() < 0.5), "{:?}", masses(&early));
    assert!(masses(&late).iter().all(|m| (m - 2.0).abs() < 1e-5), "{:?}", masses(&late));
    close("after 3", &values(&early)[..3], &[0.2066, 0.6574, 0.1361], 6e-5, 0.0);
    close("limit", &values(&late)[..3], &[0.2036, 0.6621, 0.1343], 6e-5, 0.0);
    close("a prototype that all prefer", &values(&codes(0.7, 500)), &values(&late), 1e-5, 0.0);
}

#[test]
fn correlations_and_cosines_of_two_modalities() {
    let (n, d) = (40, 4);
    let barlow = BarlowTwins::new(5e-3).unwrap().with_scale(0.025).unwrap().with_epsilon(1e-12).unwrap();
    // white rows beside themselves: the correlation is the identity
    let white = Whitening::new(WhiteningForm::Zca, 0.0).unwrap().whiten(rows(1, [n, d])).unwrap();
    near("identity", one(barlow.loss(white.clone(), white.clone())), 0.0, tight());
    let mixed = white.clone() + white.clone().slice([0..n, 0..1]) * 0.5;
    assert!(one(barlow.loss(white.clone(), mixed)) > 1e-4);
    let order: Vec<usize> = (0..n).map(|i| (i * 7 + 3) % n).collect();
    let (a, b) = (rows(2, [n, d]), rows(3, [n, d]));
    let expected = one(barlow.loss(a.clone(), b.clone()));
    near("order", one(barlow.loss(reordered(&a, &order), reordered(&b, &order))), expected, tight());
    // SiamLIP's distance of a prediction and a target that stands still: between 0 and 4
    let distance = |p: &Tensor<2>, v: &Tensor<2>| negative_cosine(p.clone(), v.clone()) * 2.0 + 2.0;
    near("alike", one(distance(&a, &(a.clone() * 3.0))), 0.0, tight());
    near("opposite", one(distance(&a, &(a.clone() * -0.5))), 4.0, tight());
    assert!(b.grad(&distance(&a, &b).backward()).is_none());
}

#[test]
fn scales_stay_below_their_bound() {
    let mut scale = LogitScale::new(0.07, 100.0, &device().autodiff()).unwrap();
    near("start", values(&scale.scale())[0], 1.0 / 0.07, 1e-5);
    for log in [4.0f64, 4.6, 4.7, 20.0] {
        scale.log_scale = Param::from_tensor(Tensor::from_data([log as f32], &device().autodiff()).require_grad());
        near("clamped", values(&scale.scale())[0], log.exp().min(100.0), 1e-3);
    }
}

/// The slope by the logarithm of the scale, a parameter in f32, is the difference of the loss of rows in either type.
#[test]
fn a_learned_scale_has_its_slope_for_rows_of_any_type() {
    let shape = [6, 4];
    let tables = [normal(1, 24), normal(2, 24)];
    type Loss<'a> = &'a dyn Fn([Tensor<2>; 2], Tensor<1>) -> Tensor<1>;
    let losses: [(&str, Loss); 2] = [
        ("CLIP", &|[a, b], scale| Clip::with_logit_scale().loss_with_scale(a, b, scale)),
        ("SigLIP", &|[a, b], scale| SigLip::new().loss(a, b, scale, constant(vec![-2.0], [1]))),
    ];
    let types = if has_f64() { vec![DType::F64, DType::F32] } else { vec![DType::F32] };
    let (h, tolerance) = if has_f64() { (1e-4, 1e-4) } else { (2e-2, 5e-3) };
    for (name, loss) in losses {
        for temperature in [0.07, 0.5, 2.0] {
            let scale = LogitScale::new(temperature, 100.0, &device().autodiff()).unwrap();
            let log = values(&scale.log_scale.val())[0];
            let at = |log: f64| {
                let rows = tables.clone().map(|x| tracked(x, shape, wide()));
                one(loss(rows, constant(vec![log.exp()], [1])))
            };
            let expected = (at(log + h) - at(log - h)) / (2.0 * h);
            assert!(expected.abs() > 1e-3, "{name} at {temperature}: {expected}");
            for dtype in &types {
                let what = format!("{name} at {temperature} in {dtype:?}");
                let rows = tables.clone().map(|x| tracked(x, shape, *dtype));
                let all = loss(rows.clone(), scale.scale()).backward();
                let slope = scale.log_scale.val().grad(&all).expect("a gradient of the logarithm");
                assert_eq!(slope.dtype(), scale.log_scale.val().dtype(), "{what}");
                near(&what, one(slope), expected, tolerance);
                let of_rows = rows.map(|x| x.grad(&all).expect("a gradient of the rows").dtype());
                assert_eq!(of_rows, [*dtype; 2], "{what}");
            }
        }
    }
}

/// Pairs that fit, among others that nearly do, ask for an ever larger scale: it learns its way to its bound, and stays there.
#[test]
fn a_scale_grows_to_its_bound_and_stays() {
    let angles = (0..6).flat_map(|i| [(0.35 * f64::from(i)).cos(), (0.35 * f64::from(i)).sin()]);
    let x = constant(angles.collect(), [6, 2]);
    let loss = |scale: &LogitScale| Clip::with_logit_scale().loss_with_scale(x.clone(), x.clone(), scale.scale());
    let mut scale = LogitScale::new(0.1, 20.0, &device().autodiff()).unwrap();
    let mut optimiser = SgdConfig::new().init();
    let (mut scales, mut logs) = (Vec::new(), Vec::new());
    for _ in 0..60 {
        let value = loss(&scale);
        scale = step(scale, &mut optimiser, 0.5, value);
        scales.push(one(scale.scale()));
        logs.push(one(scale.log_scale.val()));
    }
    assert!(scales[0] > 10.0 && scales[0] < 20.0, "{scales:?}");
    assert!(scales.windows(2).all(|s| s[0] <= s[1]), "{scales:?}");
    close("at its bound", &scales[40..], &[20.0; 20], 1e-4, 0.0);
    assert!(logs[40..].iter().all(|log| *log == logs[40]), "{logs:?}");
    // beyond the bound there is no slope, up or down
    for texts in [x.clone(), x.clone() * -1.0] {
        let value = Clip::with_logit_scale().loss_with_scale(x.clone(), texts, scale.scale());
        let slope = scale.log_scale.val().grad(&value.backward());
        assert!(slope.is_none_or(|slope| one(slope) == 0.0));
    }
}

#[test]
fn the_floor_of_one_to_k() {
    // anchors far apart, each with K copies of itself: all mass is on the positives
    let (n, k, d) = (4, 3, 4);
    let anchors = constant(identity(n), [n, d]);
    let copies: Tensor<3> = anchors.clone().reshape([n, 1, d]).expand([n, k, d]);
    let parts = OneToK::new(0.02).unwrap().parts(anchors, copies, None, None).unwrap();
    near("log K", one(parts.anchors_to_versions), (k as f64).ln(), 1e-6);
    near("nothing to tell apart", one(parts.versions_to_anchors), 0.0, 1e-6);
    assert!(OneToK::new(0.0).is_err());
}

#[test]
#[should_panic(expected = "anchors [3, 4] and versions [2, 2, 4]")]
fn versions_of_other_instances_are_refused() {
    let versions: Tensor<3> = rows(2, [4, 4]).reshape([2, 2, 4]);
    let _ = OneToK::new(0.1).unwrap().loss(rows(1, [3, 4]), versions, None, None);
}

#[test]
fn zero_vectors_of_one_to_k_are_finite() {
    let versions = |x: &Tensor<2>| -> Tensor<3> { x.clone().reshape([3, 2, 4]) };
    let (a, t) = (constant(vec![0.0; 12], [3, 4]), rows(2, [6, 4]));
    let loss = OneToK::new(0.1).unwrap().loss(a, versions(&t), None, None).unwrap();
    assert!(one(loss.clone()).is_finite() && gradient(loss, &t).iter().all(|g| g.is_finite()));
}

/// Sentences that come twice are each other's false negatives; ids mask them.
#[test]
fn duplicates_cost_log_two_unless_masked() {
    let same = constant([0.6, 0.8].repeat(2), [2, 2]);
    let objective = InfoNce::new(0.05).unwrap();
    near("log 2", one(objective.loss(same.clone(), same.clone())), 2f64.ln(), 1e-6);
    let masked = PairObjective::new(0.05).unwrap().with_exclusions(Exclusions::same_ids(&[7, 7], &[7, 7]));
    near("masked", one(masked.loss(&Inputs::new(same.clone(), same))), 0.0, 1e-6);
}
