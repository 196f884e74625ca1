//! Weighted negatives and the prototypical term against their definitions, and the identities of the papers.

use crate::common::*;
use burn::module::Param;
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_core::objective::{
    ClusteredNegatives, Concentration, LearnedNegatives, PrototypicalTerm, WeightNetwork, concentrations,
};
use contrastive_core::objective::{Denominator, InfoNce, Inputs, PairObjective};
use contrastive_graph::parts::unit_rows;
use ndarray::{Array2, array};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn wide() -> DType {
    if has_f64() { DType::F64 } else { DType::F32 }
}

fn rows(n: usize, d: usize, seed: u64) -> Tensor<2> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    tracked((0..n * d).map(|_| rng.random_range(-1.0..1.0)).collect(), [n, d], wide())
}

fn one(x: Tensor<1>) -> f64 {
    values(&x)[0]
}

fn network(d: usize, h: usize, seed: u64, b2: f64) -> WeightNetwork {
    let parts = [rows(d, h, seed), rows(1, h, seed + 1), rows(1, h, seed + 2), tracked(vec![b2], [1, 1], wide())];
    let [w1, b1, w2, b2] = parts.map(|x| Param::from_tensor(x.detach()));
    WeightNetwork { w1, b1, w2, b2 }
}

/// Values and the gradients of both tables.
fn both(loss: Tensor<1>, leaves: [&Tensor<2>; 2]) -> (f64, Vec<f64>) {
    let tape = loss.backward();
    (one(loss), leaves.iter().flat_map(|leaf| values(&leaf.grad(&tape).unwrap())).collect())
}

fn bound() -> f64 {
    if has_f64() { 1e-10 } else { 2e-4 }
}

/// Check 3: streaming equals dense, value and gradients; the weights are never written out.
#[test]
fn clustered_negatives_are_their_definition() {
    let (n, mut rng) = (23, ChaCha8Rng::seed_from_u64(5));
    for clusterings in [vec![3], vec![2, 7], vec![5, 5, 23]] {
        let labels: Vec<Vec<u32>> =
            clusterings.iter().map(|&k| (0..n).map(|_| rng.random_range(0..k)).collect()).collect();
        let (u, v) = (rows(n, 6, 1), rows(n, 6, 2));
        let objective = ClusteredNegatives::new(0.4).unwrap();
        let (dense, wanted) = both(objective.dense(&u, &v, &labels), [&u, &v]);
        let (found, gradients) = both(objective.loss(&u, &v, &labels).unwrap() * 1.0, [&u, &v]);
        close("value", &[found], &[dense], bound(), bound());
        close("gradients", &gradients, &wanted, bound(), bound());
    }
}

/// Check 1: with every row a cluster of its own in each of T clusterings it is InfoNCE without the positive, plus log T.
#[test]
fn clusters_of_single_rows_are_decoupled_info_nce() {
    let (u, v) = (rows(9, 4, 1), rows(9, 4, 2));
    let plain = PairObjective::new(0.4).unwrap().with_denominator(Denominator::NegativesOnly);
    let plain = one(plain.loss(&Inputs::new(u.clone(), v.clone())));
    let alone: Vec<u32> = (0..9).collect();
    for t in 1..4 {
        let found = one(ClusteredNegatives::new(0.4).unwrap().loss(&u, &v, &vec![alone.clone(); t]).unwrap());
        close("log T", &[found], &[plain + (t as f64).ln()], bound(), bound());
    }
}

/// Check 2: a row without negatives is an error that names it.
#[test]
fn rows_without_negatives_are_named() {
    let (u, v) = (rows(4, 4, 1), rows(4, 4, 2));
    let objective = ClusteredNegatives::new(0.4).unwrap();
    let message = |labels: &[Vec<u32>]| objective.loss(&u, &v, labels).unwrap_err().to_string();
    assert!(message(&[vec![0; 4]]).contains("no negatives for row 0"));
    assert!(objective.loss(&u, &v, &[vec![0; 4], vec![0, 0, 0, 1]]).is_ok());
    assert!(message(&[]).contains("no clusterings"));
    assert!(message(&[vec![0; 3]]).contains("3 rows"));
    assert!(ClusteredNegatives::new(0.0).is_err());
}

/// Check 4: the network on tables equals the network on every pair, value and all gradients, whatever the blocks.
#[test]
fn learned_negatives_are_their_definition() {
    let (n, d, h) = (19, 6, 3);
    for divided in [true, false] {
        let (v, u, net) = (rows(n, d, 1), rows(n, d, 2), network(d, h, 3, 0.2));
        let objective = LearnedNegatives::new(0.6).unwrap();
        let objective = if divided { objective } else { objective.raw() };
        let leaves = [&net.w1, &net.b1, &net.w2, &net.b2].map(Param::val);
        let all = |loss: Tensor<1>| {
            let tape = loss.backward();
            let of = |x: &Tensor<2>| x.grad(&tape).map_or(Vec::new(), |g| values(&g));
            (one(loss), [&v, &u].into_iter().chain(&leaves).flat_map(of).collect::<Vec<f64>>())
        };
        let (dense, wanted) = all(objective.dense(&v, &u, &net));
        assert_eq!(wanted.len(), 2 * n * d + d * h + 2 * h + 1);
        for block in [1, 7, 64] {
            let (found, gradients) = all(objective.clone().with_block(block).loss(&v, &u, &net));
            close("value", &[found], &[dense], bound(), bound());
            close("gradients", &gradients, &wanted, bound(), bound());
        }
    }
}

/// Check 4: equal weights c are InfoNCE plus log c, and InfoNCE where they are divided by their mean. Check 5: the raw form falls without end
/// with b2, the divided one does not.
#[test]
fn equal_weights_are_info_nce_and_the_raw_form_has_no_floor() {
    let (v, u) = (rows(8, 5, 1), rows(8, 5, 2));
    let plain = one(InfoNce::new(0.6).unwrap().loss(v.clone(), u.clone()));
    let flat = |b2: f64| {
        let mut net = network(5, 3, 3, b2);
        net.w2 = Param::from_tensor(Tensor::zeros([1, 3], (&Device::default().autodiff(), wide())));
        net
    };
    let (divided, raw) = (LearnedNegatives::new(0.6).unwrap(), LearnedNegatives::new(0.6).unwrap().raw());
    let level = (1.0 / (1.0 + 0.4f64.exp())).ln();
    close("raw", &[one(raw.loss(&v, &u, &flat(-0.4)))], &[plain + level], bound(), bound());
    close("divided", &[one(divided.loss(&v, &u, &flat(-0.4)))], &[plain], bound(), bound());
    let at = |objective: &LearnedNegatives, b2: f64| one(objective.loss(&v, &u, &network(5, 3, 3, b2)));
    assert!(at(&raw, -5.0) < at(&raw, 0.0) - 3.0 && at(&raw, -10.0) < at(&raw, -5.0) - 4.0);
    assert!([0.0, -5.0, -20.0].iter().all(|b2| at(&divided, *b2) > -2.0 / 0.6));
}

/// The term by its definition, and its gradient by differences.
#[test]
fn the_prototypical_term_is_its_definition() {
    let (n, k, labels) = (7, 3, [0u32, 2, 1, 1, 0, 2, 2]);
    let centroids = unit_rows(rows(k, 4, 2)).detach();
    let phi = [0.3, 0.5, 0.4];
    let u = unit_rows(rows(n, 4, 1)).detach().require_grad();
    let term = PrototypicalTerm::new(&centroids.clone().inner(), &phi, &labels).unwrap();
    let by_hand = |u: &[f64]| {
        let c = values(&centroids);
        let s = |i: usize, j: usize| (0..4).map(|q| u[4 * i + q] * c[4 * j + q]).sum::<f64>() / phi[j];
        let row = |i: usize| {
            let sum: f64 = (0..k).map(|j| s(i, j).exp()).sum();
            (n as f64 / k as f64 * sum).ln() - s(i, labels[i] as usize)
        };
        (0..n).map(row).sum::<f64>() / n as f64
    };
    let (flat, loss) = (values(&u), term.loss(u.clone()));
    close("value", &[one(loss.clone())], &[by_hand(&flat)], bound(), bound());
    let gradient = values(&u.grad(&loss.backward()).unwrap());
    for at in [0, 5, 27] {
        let moved = |h: f64| {
            let mut x = flat.clone();
            x[at] += h;
            by_hand(&x)
        };
        let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        close("slope", &[gradient[at]], &[slope], if has_f64() { 1e-8 } else { 1e-3 }, 1e-3);
    }
    assert!(PrototypicalTerm::new(&centroids, &[0.1, 0.0, 0.2], &labels).is_err());
    assert!(PrototypicalTerm::new(&centroids, &[0.1, 0.2], &labels).is_err());
    assert!(PrototypicalTerm::new(&centroids, &phi, &[3]).unwrap_err().to_string().contains("cluster 3"));
}

/// Concentrations: a hand-made case, both measures, and their limits.
#[test]
fn concentrations_follow_their_definition() {
    // clusters of 2, 2 and 1 rows in the plane
    let rows = array![[1.0f32, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]];
    let half = 1.0 / 10f32.sqrt();
    let centroids = array![[3.0 * half, half], [half, 3.0 * half], [-1.0, 0.0]];
    let labels = [0, 0, 1, 1, 2];
    let phi = concentrations(rows.view(), centroids.view(), &labels, 0.4, Concentration::Distance);
    // the two clusters mirror each other, and the single row takes the largest: all equal
    assert!(phi.iter().all(|phi| (phi - 0.4).abs() < 1e-6), "{phi:?}");
    let mut wider = rows.clone();
    wider.row_mut(3).assign(&array![1.0, 0.0]);
    let by = |measure| concentrations(wider.view(), centroids.view(), &labels, 0.4, measure);
    let (distance, similarity) = (by(Concentration::Distance), by(Concentration::Similarity));
    assert!((distance.iter().sum::<f64>() / 3.0 - 0.4).abs() < 1e-9);
    // the looser cluster is warmer by distance, colder by similarity
    assert!(distance[1] > distance[0] && similarity[1] < similarity[0], "{distance:?} {similarity:?}");
    // opposite rows have no root
    let opposite = array![[1.0f32, 0.0], [-1.0, 0.0]];
    let one = array![[1.0f32, 0.0]];
    assert!(concentrations(opposite.view(), one.view(), &[0, 0], 0.4, Concentration::Similarity)[0].is_finite());
    let same: Array2<f32> = array![[1.0, 0.0], [1.0, 0.0]];
    assert_eq!(concentrations(same.view(), one.view(), &[0, 0], 0.4, Concentration::Distance), [0.4]);
}

/// The same result from any number of threads.
#[test]
fn learned_negatives_do_not_depend_on_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let v = Tensor::<2>::from_data(
                TensorData::new((0..900).map(|k| (k as f32).sin()).collect(), [150, 6]),
                &Device::default().autodiff(),
            );
            let v = v.require_grad();
            let net = WeightNetwork::new(6, 4, &mut ChaCha8Rng::seed_from_u64(1), &Device::default().autodiff());
            let loss = LearnedNegatives::new(0.5).unwrap().loss(&v, &v.clone().flip([0]), &net);
            let tape = loss.backward();
            (values(&loss), values(&v.grad(&tape).unwrap()), values(&net.w1.val().grad(&tape).unwrap()))
        })
    };
    assert_eq!(run(1), run(3));
}
