//! ICSRec: masks of false negatives, cluster contrasts, k-means from epoch to epoch.

use crate::common::*;
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::cluster::KMeans;
use contrastive_core::objective::NtXent;
use contrastive_core::similarity::Similarity;
use contrastive_seqrec::method::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn icsrec(mask: bool) -> IcsRec {
    let config = IcsRecConfig::new().with_base(small_base(0.0)).with_clusters(6).with_mask_false_negatives(mask);
    config.parts(&small_split(), 3, &device()).unwrap().0
}

fn rows(seed: u64, n: usize) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n * 8).map(|_| rng.random::<f64>() * 2.0 - 1.0).collect()
}

fn leaf(values: &[f64]) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [values.len() / 8, 8]);
    Tensor::from_data(data, (&device().autodiff(), DType::F64)).require_grad()
}

/// Oracle: the masked loss in loops; row i of the first view has partner i of the second.
fn definition(first: &[f64], second: &[f64], ids: &[u32]) -> f64 {
    let n = ids.len();
    let all: Vec<&[f64]> = first.chunks(8).chain(second.chunks(8)).collect();
    let dot = |i: usize, j: usize| all[i].iter().zip(all[j]).map(|(a, b)| a * b).sum::<f64>();
    let each = (0..2 * n).map(|i| {
        let partner = (i + n) % (2 * n);
        let others = (0..2 * n).filter(|j| ids[j % n] != ids[i % n]).map(|j| dot(i, j).exp()).sum::<f64>();
        (dot(i, partner).exp() + others).ln() - dot(i, partner)
    });
    each.sum::<f64>() / (2 * n) as f64
}

#[test]
fn targets_mask_false_negatives() {
    let (a, b) = (rows(1, 6), rows(2, 6));
    let (masked, plain) = (icsrec(true), icsrec(false));
    let of = |method: &IcsRec, ids: &[u32]| value(&method.coarse(leaf(&a), leaf(&b), ids));
    for ids in [[1, 2, 3, 1, 2, 1], [1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 2]] {
        close("masked", &[of(&masked, &ids)], &[definition(&a, &b, &ids)], 1e-12);
        assert!(of(&masked, &ids) <= of(&plain, &ids) + 1e-12);
    }
    // distinct targets: plain NT-Xent
    let nt_xent = NtXent::new(1.0).unwrap().with_similarity(Similarity::Dot).loss(leaf(&a), leaf(&b));
    close("distinct", &[of(&masked, &[1, 2, 3, 4, 5, 6])], &[value(&nt_xent)], 1e-12);
    // equal targets: nothing to be told from
    let (x, y) = (leaf(&a), leaf(&b));
    let loss = masked.coarse(x.clone(), y.clone(), &[4; 6]);
    assert_eq!(value(&loss), 0.0);
    let gradients = loss.backward();
    for leaf in [x, y] {
        assert!(leaf.grad(&gradients).is_none_or(|g| values(&g).iter().all(|v| *v == 0.0)));
    }
}

#[test]
fn the_order_of_the_batch_does_not_matter_and_a_row_twice_is_no_negative() {
    let (a, b) = (rows(1, 5), rows(2, 5));
    let method = icsrec(true);
    let ids = [1, 2, 3, 1, 2];
    let order = [3, 0, 4, 2, 1];
    let turned = |x: &[f64]| order.iter().flat_map(|i| x[i * 8..][..8].to_vec()).collect::<Vec<f64>>();
    let there: Vec<u32> = order.iter().map(|i| ids[*i]).collect();
    let here = value(&method.coarse(leaf(&a), leaf(&b), &ids));
    close("turned", &[value(&method.coarse(leaf(&turned(&a)), leaf(&turned(&b)), &there))], &[here], 1e-12);
    // row 4 once more: of samples 0 and 2 (targets 1, 3) the denominators get its rows; those with target 2 do not
    let twice = |x: &[f64]| [x, &x[32..40]].concat();
    let more = [1, 2, 3, 1, 2, 2];
    let with = value(&method.coarse(leaf(&twice(&a)), leaf(&twice(&b)), &more));
    close("twice", &[with], &[definition(&twice(&a), &twice(&b), &more)], 1e-12);
    // the terms of the row itself and of its double are equal, and what they were
    let own = |x: &[f64], y: &[f64], ids: &[u32], i: usize| {
        let n = ids.len();
        let one: Vec<f64> = (0..8).map(|k| x[i * 8 + k]).collect();
        let dot = |v: &[f64]| one.iter().zip(v).map(|(a, b)| a * b).sum::<f64>();
        let p = dot(&y[i * 8..][..8]).exp();
        let others =
            (0..n).filter(|j| ids[*j] != ids[i]).map(|j| dot(&x[j * 8..][..8]).exp() + dot(&y[j * 8..][..8]).exp());
        ((p + others.sum::<f64>()) / p).ln()
    };
    let (before, after) = (own(&a, &b, &ids, 4), own(&twice(&a), &twice(&b), &more, 5));
    close("its own term", &[after], &[before], 1e-12);
}

#[test]
fn clusters_pull_with_constant_centres() {
    let a = rows(5, 7);
    let method = icsrec(true);
    let centres = rows(6, 3);
    let intents = |c: &[f64]| {
        let data = TensorData::new(c.to_vec(), [3, 8]);
        Intents::from_centres(Tensor::from_data(data, (&device(), DType::F64)))
    };
    let found = intents(&centres);
    let x = leaf(&a);
    let loss = method.fine(&found, x.clone()).unwrap();
    let (ids, directions) = found.of(&x).unwrap();
    // the nearest raw centre, at length 1
    for (i, id) in ids.iter().enumerate() {
        let distance = |c: usize| (0..8).map(|k| (a[i * 8 + k] - centres[c * 8 + k]).powi(2)).sum::<f64>();
        assert!((0..3).all(|c| distance(*id as usize) <= distance(c)));
        let own = &centres[*id as usize * 8..][..8];
        let length = own.iter().map(|v| v * v).sum::<f64>().sqrt();
        let unit: Vec<f64> = own.iter().map(|v| v / length).collect();
        close("direction", &values(&directions)[i * 8..][..8], &unit, 1e-12);
    }
    close("fine", &[value(&loss)], &[definition(&a, &values(&directions), &ids)], 1e-12);
    assert!(!directions.is_autodiff());
    // with the ids held fixed, the gradient is a finite difference
    let gradient = values(&x.grad(&loss.backward()).unwrap());
    for at in [0, 13, 30, 55] {
        let shifted = |by: f64| {
            let mut moved = a.clone();
            moved[at] += by;
            definition(&moved, &values(&directions), &ids)
        };
        close("difference", &[gradient[at]], &[(shifted(1e-6) - shifted(-1e-6)) / 2e-6], 1e-7);
    }
}

#[test]
fn clusters_start_where_the_last_ones_ended() {
    let data = TensorData::new(rows(8, 300), [300, 8]);
    let x = Tensor::<2>::from_data(data, (&device(), DType::F64));
    let settings = KMeans { iterations: 5, restarts: 3, tolerance: 0.0, ..KMeans::new(9, 4) };
    let first = Intents::find(&x, &settings, None, None).unwrap();
    let again = Intents::find(&x, &settings, None, None).unwrap();
    assert_eq!(values(first.centres()), values(again.centres()));
    let mut before = first;
    for _ in 0..6 {
        let next = Intents::find(&x, &settings, None, Some(&before)).unwrap();
        assert!(next.inertia() <= before.inertia() + 1e-9);
        before = next;
    }
    assert!(Intents::find(&x, &KMeans::new(301, 1), None, None).is_err());
}
