//! The baselines' invariances, momentum copies with statistics of their own, and queues of a data set.

use crate::common::*;
use crate::spec_checks::{gradient, reordered, tight};
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_core::head::{MlpHead, MlpHeadConfig};
use contrastive_core::memory::{Ema, Queue, update_target, update_target_parameters};
use contrastive_core::objective::*;
use contrastive_core::similarity::unit_rows;
use contrastive_core::synthesis::{FeatureTransform, HallucinatorConfig};

fn queue_of(rows: Tensor<2>) -> Queue {
    let [m, d] = rows.dims();
    let mut queue = Queue::new(m, d, (&device(), wide())).unwrap();
    queue.push(rows);
    queue
}

#[test]
fn neither_order_nor_length_counts() {
    let (n, d, order) = (6, 4, [4, 2, 0, 5, 1, 3]);
    let (a, b, stored) = (rows(1, [n, d]), rows(2, [n, d]), rows(3, [9, d]));
    let z = [rows(4, [n, d]), rows(5, [n, d])];
    let (nt_xent, moco) = (NtXent::new(0.2).unwrap(), Moco::new(0.2).unwrap());
    let symmetric = |a: &Tensor<2>, b: &Tensor<2>| one(nt_xent.loss(a.clone(), b.clone()));
    let queued = |a: &Tensor<2>, b: &Tensor<2>, u: &Tensor<2>| one(moco.loss_among(a.clone(), b.clone(), u.clone()));
    let siamese = |a: &Tensor<2>, b: &Tensor<2>, z: &[Tensor<2>; 2]| {
        one(simsiam(a.clone(), b.clone(), z[0].clone(), z[1].clone()))
    };
    let (x, y, u) = (reordered(&a, &order), reordered(&b, &order), reordered(&stored, &[8, 1, 2, 0, 4, 3, 7, 6, 5]));
    let lengths = constant((1..=n).map(|i| i as f64 * 0.7).collect(), [n, 1]);
    let (long_a, long_b) = (a.clone() * lengths.clone(), b.clone() * lengths.clone() * 3.0);
    let expected = symmetric(&a, &b);
    for (what, got) in
        [("swapped", symmetric(&b, &a)), ("order", symmetric(&x, &y)), ("length", symmetric(&long_a, &long_b))]
    {
        near(what, got, expected, tight());
    }
    let expected = queued(&a, &b, &stored);
    for (what, got) in [("order", queued(&x, &y, &u)), ("length", queued(&long_a, &long_b, &(stored.clone() * 5.0)))] {
        near(what, got, expected, tight());
    }
    let expected = siamese(&a, &b, &z);
    let moved = z.clone().map(|z| reordered(&z, &order));
    near("order", siamese(&x, &y, &moved), expected, tight());
    let swapped = [z[1].clone(), z[0].clone()];
    near("swapped", siamese(&b, &a, &swapped), expected, tight());
    near("length", siamese(&long_a, &long_b, &z.map(|z| z * lengths.clone())), expected, tight());
}

#[test]
fn gradients_of_the_baselines_reach_what_they_should() {
    let shape = [6, 4];
    let (nt_xent, moco) = (NtXent::new(0.3).unwrap(), Moco::new(0.3).unwrap());
    differences("NT-Xent", &[shape; 2], |x| nt_xent.loss(x[0].clone(), x[1].clone()));
    // keys that are tracked have a gradient; rows that went into the queue have none
    let stored = rows(6, [9, 4]);
    let queue = queue_of(stored.clone());
    differences("MoCo", &[shape; 2], |x| moco.loss(x[0].clone(), x[1].clone(), &queue));
    let gradients = moco.loss(rows(1, shape), rows(5, shape), &queue).backward();
    assert!(stored.grad(&gradients).is_none());
    let [p0, p1, z0, z1] = [1, 2, 3, 4].map(|seed| rows(seed, shape));
    let gradients = simsiam(p0.clone(), p1.clone(), z0.clone(), z1.clone()).backward();
    assert!(p0.grad(&gradients).is_some() && p1.grad(&gradients).is_some());
    assert!(z0.grad(&gradients).is_none() && z1.grad(&gradients).is_none());
}

fn head(seed: u64) -> MlpHead {
    MlpHeadConfig::simsiam_projector(4, 6).init(seed, (&device().autodiff(), wide())).unwrap()
}

fn weights(head: &MlpHead) -> Vec<f64> {
    head.maps.iter().flat_map(|map| values(&map.weight.val())).collect()
}

fn statistics(head: &MlpHead) -> Vec<f64> {
    head.norms.iter().flatten().flat_map(|norm| values(&norm.running_mean.value_sync())).collect()
}

/// The loss gives keys the gradient they ask for; that they ask for none is the momentum copy's doing. Its parameters have no gradient, and
/// the online network's is the one beside keys that are mere numbers.
#[test]
fn a_step_of_moco_moves_the_online_network_alone() {
    let (online, moco) = (head(1), Moco::new(0.3).unwrap());
    let copy = update_target_parameters(&online, head(2).no_grad(), 0.9);
    let [a, b] = [3, 4].map(|seed| constant(normal(seed, 28), [7, 4]));
    let queue = queue_of(copy.forward(constant(normal(5, 36), [9, 4])));
    let step = |keys: Tensor<2>| moco.loss(online.forward(a.clone()), keys, &queue).backward();
    let slopes = |network: &MlpHead, all: &burn::tensor::Gradients| -> Vec<Option<Vec<f64>>> {
        network.maps.iter().map(|map| map.weight.val().grad(all).map(|g| values(&g))).collect()
    };
    let keys = copy.forward(b.clone());
    let all = step(keys.clone());
    assert!(slopes(&copy, &all).iter().all(Option::is_none), "the copy is moved");
    let beside_numbers = step(constant(values(&keys), keys.dims()));
    for (got, want) in slopes(&online, &all).into_iter().zip(slopes(&online, &beside_numbers)) {
        let [got, want] = [got, want].map(|slopes| slopes.expect("a gradient of the online network"));
        close("online", &got, &want, tight(), tight());
        assert!(want.iter().any(|g| g.abs() > 1e-5));
    }
    // a key network that is trained would move
    let trained = head(2);
    let all = step(trained.forward(b));
    assert!(slopes(&trained, &all).iter().all(Option::is_some));
}

#[test]
fn a_key_network_keeps_its_own_statistics() {
    let (online, key) = (head(1), head(2));
    // both have seen something, and not the same
    online.forward(rows(3, [9, 4]));
    key.forward(rows(4, [9, 4]) * 2.0 + 1.0);
    let (before, own) = (weights(&key), statistics(&key));
    assert!(own.iter().zip(statistics(&online)).any(|(a, b)| (a - b).abs() > 1e-3));
    let momentum = 0.9;
    let mixed: Vec<f64> =
        before.iter().zip(weights(&online)).map(|(t, o)| momentum * t + (1.0 - momentum) * o).collect();
    let moved = update_target_parameters(&online, key.no_grad(), momentum);
    close("m t + (1 - m) o", &weights(&moved), &mixed, 1e-7, 0.0);
    close("statistics", &statistics(&moved), &own, 0.0, 0.0);
    assert!(moved.maps.iter().all(|map| !map.weight.val().is_require_grad()));
    let still = update_target_parameters(&online, moved, 1.0);
    close("momentum 1 stays", &weights(&still), &mixed, 1e-12, 0.0);
    let copied = update_target_parameters(&online, still, 0.0);
    close("momentum 0 copies", &weights(&copied), &weights(&online), 0.0, 0.0);
    close("statistics", &statistics(&copied), &own, 0.0, 0.0);
    // and goes on by its own batches
    copied.forward(rows(5, [9, 4]));
    assert!(statistics(&copied).iter().zip(&own).any(|(a, b)| (a - b).abs() > 1e-3));
    // PixPro's schedule: from 0.99 to 1
    let schedule = Ema::cosine(0.99, 50).unwrap();
    close("ends", &[schedule.momentum(0), schedule.momentum(50)], &[0.99, 1.0], 1e-15, 0.0);
    let last = schedule.update_parameters(&head(7), copied, 50);
    close("at the end it stays", &weights(&last), &weights(&online), 0.0, 0.0);
}

/// The statistics of the last batch, which Burn keeps beside the running ones until they are asked for, are followed too.
#[test]
fn a_copy_takes_the_last_batch_into_account() {
    let (online, target) = (head(1), head(2));
    online.forward(rows(3, [9, 4]));
    target.forward(rows(4, [9, 4]));
    let copy = update_target(&online, target, 0.0);
    close("statistics", &statistics(&copy), &statistics(&online), 0.0, 0.0);
    assert!(statistics(&copy).iter().any(|m| m.abs() > 1e-3));
}

#[test]
#[should_panic(expected = "nothing of the online network is trained")]
fn a_network_that_is_not_trained_is_not_followed() {
    update_target_parameters(&head(1).valid(), head(2).valid(), 0.9);
}

#[test]
fn queues_are_no_larger_than_their_data() {
    let queue = |capacity| Queue::new(capacity, 4, &device()).unwrap();
    says(queue(11).with_dataset_size(10).unwrap_err(), "a queue of 11 rows for a data set of 10 samples");
    assert_eq!(queue(10).with_dataset_size(10).unwrap().capacity(), 10);
}

/// What is stored are the keys as they came, once each, whatever the loss made of them.
#[test]
fn syntheses_leave_the_queue_alone() {
    let (mut plain, mut transformed, mut doubled) =
        (queue_of(rows(3, [8, 4])), queue_of(rows(3, [8, 4])), queue_of(rows(3, [8, 4])));
    let ft = FeatureTransform::new(0.2).unwrap();
    let hallucinator = HallucinatorConfig::new(4).init(1, (&device().autodiff(), wide())).unwrap();
    let moco = Moco::new(0.2).unwrap();
    for step in 0..5 {
        let [q, k] = [10, 20].map(|seed| unit_rows(rows(seed + step as u64, [3, 4])));
        ft.loss(q.clone(), k.clone().detach(), transformed.rows().unwrap(), step, 7).unwrap();
        hallucinator.moco_loss(&moco, q, k.clone(), &doubled, 0.05);
        for queue in [&mut plain, &mut transformed, &mut doubled] {
            queue.push(k.clone());
        }
        let stored = |queue: &Queue| values(&queue.rows().unwrap());
        assert_eq!(stored(&transformed), stored(&plain), "step {step}");
        assert_eq!(stored(&doubled), stored(&plain), "step {step}");
        let own = values(&k);
        let newest: Vec<f64> =
            plain.newest(3).iter().flat_map(|p| stored(&plain)[*p as usize * 4..][..4].to_vec()).collect();
        assert_eq!(newest, own);
    }
}

/// `b = 0` gives a row of the queue once more: its exponential counts twice.
#[test]
fn a_negative_that_comes_twice() {
    use contrastive_core::synthesis::{JoinedInfoNce, Mixtures, Negatives};
    let [q, k] = [unit_rows(rows(1, [1, 4])), unit_rows(rows(2, [1, 4]).detach())];
    let u = constant(units(normal(3, 20), 4), [5, 4]);
    let twice = Mixtures { partners: vec![2], query_shares: vec![0.0], ..Mixtures::default() };
    let make = |range| twice.rows(range, 1, &q.clone().inner(), &u.clone().inner());
    let kinds = [
        Negatives::Shared { anchors: q.clone(), candidates: u.clone(), exclusions: Default::default() },
        Negatives::Made { anchors: q.clone(), each: 1, rows: &make },
    ];
    let positives = (q.clone() * k.clone()).sum();
    let got = one(JoinedInfoNce::new(0.2).unwrap().loss(positives.clone(), &kinds));
    let e = |s: f64| (s / 0.2).exp();
    let (own, others) = (values(&positives)[0], values(&q.matmul(u.transpose())));
    let sum = e(own) + others.iter().map(|s| e(*s)).sum::<f64>() + e(others[2]);
    near("counted twice", got, sum.ln() - own / 0.2, tight());
}

#[test]
fn a_gradient_along_a_row_of_cosines_is_zero() {
    let (n, d) = (6, 5);
    let ranking = MultipleNegativesRanking::new(0.05).unwrap();
    let (a, b) = (rows(1, [n, d]), rows(2, [n, d]));
    let slopes = gradient(ranking.loss(a.clone(), b.clone()), &a);
    let along: Vec<f64> = slopes.chunks(d).zip(values(&a).chunks(d)).map(|(g, x)| dot(g, x)).collect();
    close("along the row", &along, &vec![0.0; n], tight(), 0.0);
}
