//! SwAV: queues, crops, prototypes that are held, and sizes that make no sense.

use crate::common::*;
use crate::spec_checks::{gradient, tight};
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::tensor::Tensor;
use contrastive_core::head::Prototypes;
use contrastive_core::memory::MemoryError;
use contrastive_core::objective::*;

const B: usize = 4;
const K: usize = 3;
const D: usize = 5;

fn swav() -> SwAv {
    SwAv::new(0.2, Sinkhorn::new(0.2, 3).unwrap()).unwrap()
}

fn prototypes() -> Prototypes {
    Prototypes::from_rows(rows(9, [K, D]))
}

fn queues(capacity: usize) -> SwAvQueues {
    SwAvQueues::new(2, capacity, B, D, (&device(), wide())).unwrap()
}

/// Loss of two crops of features, with queues where they count.
fn loss(prototypes: &Prototypes, features: &[Tensor<2>], queues: &SwAvQueues) -> Tensor<1> {
    let scores: Vec<Tensor<2>> = features.iter().map(|z| prototypes.scores(z.clone())).collect();
    match queues.scores(prototypes) {
        Some(queued) => swav().loss_with_queues(&scores, &[], &queued),
        None => swav().loss(&scores, &[]),
    }
}

/// By hand: the codes of a batch among itself and a queue.
fn codes_among(scores: &[Tensor<2>], queued: &[Tensor<2>]) -> Vec<Tensor<2>> {
    let codes = |(own, queue): (&Tensor<2>, &Tensor<2>)| {
        let all = Tensor::cat(vec![own.clone().inner(), queue.clone()], 0);
        Sinkhorn::new(0.2, 3).unwrap().codes(all).slice([0..B, 0..K])
    };
    scores.iter().zip(queued).map(codes).collect()
}

#[test]
fn queues_count_once_they_are_full() {
    let (prototypes, features) = (prototypes(), [rows(1, [B, D]), rows(2, [B, D])]);
    let mut queues = queues(2 * B);
    let alone = one(loss(&prototypes, &features, &queues));
    queues.push(&[rows(3, [B, D]), rows(4, [B, D])]);
    assert!(queues.scores(&prototypes).is_none(), "half full");
    assert_eq!(one(loss(&prototypes, &features, &queues)), alone);
    queues.push(&[rows(5, [B, D]), rows(6, [B, D])]);
    let queued = queues.scores(&prototypes).unwrap();
    let with = one(loss(&prototypes, &features, &queues));
    assert!((with - alone).abs() > 1e-4, "{with} and {alone}");
    // newest first, scored by the present prototypes, without a gradient
    for (crop, seeds) in [[5, 3], [6, 4]].iter().enumerate() {
        let newest = |seed: &u64| {
            let scores = values(&prototypes.scores(rows(*seed, [B, D])));
            scores.chunks(K).rev().flatten().copied().collect::<Vec<_>>()
        };
        let expected: Vec<f64> = seeds.iter().flat_map(newest).collect();
        close("newest first", &values(&queued[crop]), &expected, tight(), 0.0);
        assert!(!queued[crop].is_tracked() && !queued[crop].is_autodiff());
    }
    let others = Prototypes::from_rows(rows(19, [K, D]));
    let moved = queues.scores(&others).unwrap();
    assert!(values(&moved[0]).iter().zip(values(&queued[0])).any(|(a, b)| (a - b).abs() > 1e-3));
    let scores = features.clone().map(|z| prototypes.scores(z));
    let codes = codes_among(&scores, &queued);
    let term = |q: usize, s: usize| one(soft_cross_entropy(codes[q].clone(), scores[s].clone(), 0.2).unwrap());
    near("by hand", with, 0.5 * (term(0, 1) + term(1, 0)), tight());
    // the oldest rows go
    queues.push(&[rows(7, [B, D]), rows(8, [B, D])]);
    let held = values(&queues.queues()[0].rows().unwrap());
    assert!(values(&rows(7, [B, D])).iter().all(|x| held.iter().any(|h| (h - x).abs() < 1e-6)));
    assert!(!values(&rows(3, [B, D])).iter().all(|x| held.iter().any(|h| (h - x).abs() < 1e-6)));
}

#[test]
fn stored_queues_go_on() {
    let (mut whole, mut resumed) = (queues(2 * B), queues(2 * B));
    whole.push(&[rows(3, [B, D]), rows(4, [B, D])]);
    let state = whole.state();
    assert_eq!(state.len(), 4);
    resumed.push(&[rows(13, [B, D]), rows(14, [B, D])]);
    resumed.load_state(&state).unwrap();
    for queues in [&mut whole, &mut resumed] {
        queues.push(&[rows(5, [B, D]), rows(6, [B, D])]);
    }
    let all = |queues: &SwAvQueues| queues.scores(&prototypes()).unwrap().iter().flat_map(values).collect::<Vec<_>>();
    assert_eq!(all(&whole), all(&resumed));
    let mut broken = state.clone();
    broken.remove("1.rows");
    says(resumed.load_state(&broken).unwrap_err(), "rows is missing");
    assert_eq!(all(&whole), all(&resumed), "an error leaves the queues alone");
}

#[test]
fn held_prototypes_leave_the_features_their_gradient() {
    let prototypes = prototypes();
    let run = |held: bool| {
        let features = [rows(1, [B, D]), rows(2, [B, D])];
        let score = |z: &Tensor<2>| match held {
            true => prototypes.fixed_scores(z.clone()),
            false => prototypes.scores(z.clone()),
        };
        let gradients = swav().loss(&features.clone().map(|z| score(&z)), &[]).backward();
        let of = |z: &Tensor<2>| values(&z.grad(&gradients).unwrap());
        (features.iter().flat_map(of).collect::<Vec<_>>(), prototypes.rows.val().grad(&gradients).is_some())
    };
    let ((free, moved), (held, stays)) = (run(false), run(true));
    assert!(moved && !stays);
    close("features", &held, &free, tight(), 0.0);
    // nothing reaches what is in a queue
    let mut queues = queues(B);
    let stored = [rows(3, [B, D]), rows(4, [B, D])];
    queues.push(&stored);
    let gradients = loss(&prototypes, &[rows(1, [B, D]), rows(2, [B, D])], &queues).backward();
    assert!(stored.iter().all(|z| z.grad(&gradients).is_none()));
}

#[test]
fn every_crop_predicts_the_codes_of_the_others() {
    let scores: Vec<Tensor<2>> = (1..5).map(|seed| rows(seed, [B, K])).collect();
    let codes = |a: usize| Sinkhorn::new(0.2, 3).unwrap().codes(scores[a].clone());
    let term = |q: usize, s: usize| one(soft_cross_entropy(codes(q), scores[s].clone(), 0.2).unwrap());
    let two = one(swav().loss(&scores[..2], &[]));
    near("two crops", two, 0.5 * (term(0, 1) + term(1, 0)), tight());
    // more crops that give no codes: each term weighs 1 / (V - 1)
    for small in 1..3 {
        let others: f64 = (2..2 + small).map(|s| term(0, s) + term(1, s)).sum();
        let got = one(swav().loss(&scores[..2], &scores[2..2 + small]));
        near("more crops", got, (2.0 * two + others) / (2.0 * (small + 1) as f64), tight());
    }
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let sizes = SwAvSizes { large: 2, small: 6, rows: 8, prototypes: 3, queue: 0 };
    assert!(sizes.validate().is_ok() && sizes.warning().is_none());
    says(SwAvSizes { prototypes: 1, ..sizes }.validate().unwrap_err(), "prototypes 1: it must lie in 2 and more");
    says(SwAvSizes { large: 0, ..sizes }.validate().unwrap_err(), "large crops 0");
    says(SwAvSizes { large: 1, small: 0, ..sizes }.validate().unwrap_err(), "crops 1: it must lie in 2 and more");
    says(SwAvSizes { rows: 0, ..sizes }.validate().unwrap_err(), "rows of a crop 0");
    let crowded = SwAvSizes { prototypes: 20, queue: 8, ..sizes };
    assert!(crowded.validate().is_ok());
    assert!(crowded.warning().unwrap().contains("20 prototypes are shared evenly by 16 rows"));
    let new = |large, capacity, batch, width| SwAvQueues::new(large, capacity, batch, width, &device()).unwrap_err();
    assert_eq!(new(2, 10, 4, 5), MemoryError::Batches { capacity: 10, batch: 4 });
    says(new(2, 10, 4, 5), "a queue of 10 rows and batches of 4: its size must be a multiple of theirs");
    assert_eq!(new(2, 8, 0, 5), MemoryError::Batches { capacity: 8, batch: 0 });
    assert_eq!(new(2, 0, 4, 5), MemoryError::Size { capacity: 0, width: 5 });
    says(queues(2 * B).with_dataset_size(7).unwrap_err(), "a queue of 8 rows for a data set of 7 samples");
    assert!(queues(2 * B).with_dataset_size(8).is_ok());
    // NaN is no loss
    let bad = constant(vec![f64::NAN; B * K], [B, K]);
    assert!(one(swav().loss(&[bad, rows(1, [B, K])], &[])).is_nan());
    let bad = rows(1, [B, K]) * f64::INFINITY;
    assert!(!one(swav().loss(&[bad, rows(1, [B, K])], &[])).is_finite());
}

#[test]
#[should_panic(expected = "prototypes 1: it must lie in 2 and more")]
fn one_prototype_is_refused() {
    swav().loss(&[rows(1, [B, 1]), rows(2, [B, 1])], &[]);
}

#[test]
#[should_panic(expected = "crops 1: it must lie in 2 and more")]
fn one_crop_is_refused() {
    swav().loss(&[rows(1, [B, K])], &[]);
}

#[test]
#[should_panic(expected = "scores [4, 3] and a queue of scores [6, 2]")]
fn queues_of_other_prototypes_are_refused() {
    let scores = [rows(1, [B, K]), rows(2, [B, K])];
    swav().loss_with_queues(&scores, &[], &[rows(3, [6, 2]), rows(4, [6, 2])]);
}

#[test]
#[should_panic(expected = "rows [4, 6] for a queue [8, 5]")]
fn features_of_another_width_are_refused() {
    queues(2 * B).push(&[rows(1, [B, 6]), rows(2, [B, 6])]);
}

#[test]
fn gradients_of_codes_with_a_queue_are_those_of_the_predictions() {
    let (prototypes, mut queues) = (prototypes(), queues(B));
    queues.push(&[rows(3, [B, D]), rows(4, [B, D])]);
    let queued = queues.scores(&prototypes).unwrap();
    let features = [rows(1, [B, D]), rows(2, [B, D])];
    let got = gradient(loss(&prototypes, &features, &queues), &features[0]);
    let codes = codes_among(&features.clone().map(|z| prototypes.scores(z)), &queued);
    let held = |x: &[Tensor<2>]| {
        let term =
            |q: usize, s: usize| soft_cross_entropy(codes[q].clone(), prototypes.scores(x[s].clone()), 0.2).unwrap();
        (term(0, 1) + term(1, 0)) * 0.5
    };
    differences("codes held", &[[B, D]; 2], |x| held(x));
    let fresh = [rows(1, [B, D]), rows(2, [B, D])];
    close("held", &got, &gradient(held(&fresh), &fresh[0]), tight(), 0.0);
}
