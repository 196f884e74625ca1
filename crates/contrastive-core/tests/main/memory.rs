//! The queue against a list of what it should hold, across interruptions; averaged copies against their closed form.

use crate::common::*;
use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_core::memory::{Ema, MemoryError, Queue, update_target};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows that can be told apart: row number r is `[r, -r]`.
fn numbered(from: usize, count: usize) -> Tensor<2> {
    let values = (from..from + count).flat_map(|r| [r as f64, -(r as f64)]).collect();
    tracked(values, [count, 2], DType::F32)
}

/// The row numbers in a queue, in its order.
fn content(queue: &Queue) -> Vec<i64> {
    let Some(rows) = queue.rows() else { return Vec::new() };
    assert!(!rows.is_tracked());
    let all = values(&rows);
    all.chunks(2)
        .map(|r| {
            assert_eq!(r[0], -r[1]);
            r[0] as i64
        })
        .collect()
}

#[test]
fn a_queue_holds_the_newest_rows() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..20 {
        let capacity = rng.random_range(1..12usize);
        let mut queue = Queue::labelled(capacity, 2, &device()).unwrap();
        let mut arrived = 0;
        for _ in 0..12 {
            let count = rng.random_range(1..16usize);
            let labels: Vec<i64> = (arrived..arrived + count).map(|r| 10 * r as i64).collect();
            queue.push_labelled(numbered(arrived, count), &labels);
            arrived += count;
            let held = arrived.min(capacity);
            assert_eq!([queue.len(), queue.capacity(), queue.width()], [held, capacity, 2]);
            assert_eq!(queue.is_full(), held == capacity);
            let rows = content(&queue);
            let by_age: Vec<i64> = queue.newest(held).iter().map(|&place| rows[place as usize]).collect();
            assert_eq!(by_age, (arrived - held..arrived).map(|r| r as i64).collect::<Vec<_>>());
            let labels: Vec<i64> = rows.iter().map(|r| 10 * r).collect();
            assert_eq!(queue.labels().unwrap(), labels);
        }
    }
}

#[test]
fn a_stored_queue_goes_on_as_if_nothing_had_happened() {
    for (capacity, batches) in [(7, vec![]), (7, vec![3]), (7, vec![3, 4]), (7, vec![3, 3, 3]), (2, vec![5])] {
        let fresh = || Queue::labelled(capacity, 2, (&device(), DType::F32)).unwrap();
        let (mut whole, mut arrived) = (fresh(), 0);
        let push = |queue: &mut Queue, from: usize, count: usize| {
            let labels: Vec<i64> = (from..from + count).map(|r| r as i64).collect();
            queue.push_labelled(numbered(from, count), &labels);
        };
        for count in batches {
            push(&mut whole, arrived, count);
            arrived += count;
        }
        let mut resumed = fresh();
        push(&mut resumed, 100, 1);
        resumed.load_state(&whole.state()).unwrap();
        for count in [0, 2, 4] {
            if count > 0 {
                push(&mut whole, arrived, count);
                push(&mut resumed, arrived, count);
                arrived += count;
            }
            assert_eq!(content(&resumed), content(&whole));
            assert_eq!(resumed.labels(), whole.labels());
            assert_eq!(resumed.newest(resumed.len()), whole.newest(whole.len()));
        }
    }
}

#[test]
fn bad_queues_and_states_are_refused() {
    assert_eq!(Queue::new(0, 2, &device()).unwrap_err(), MemoryError::Size { capacity: 0, width: 2 });
    assert_eq!(Queue::labelled(2, 0, &device()).unwrap_err(), MemoryError::Size { capacity: 2, width: 0 });
    let plain = |capacity, width| Queue::new(capacity, width, (&device(), DType::F32)).unwrap();
    let mut stored = plain(4, 2);
    stored.push(numbered(0, 3));
    let state = stored.state();
    let refused = |mut queue: Queue, change: &dyn Fn(&mut std::collections::BTreeMap<String, TensorData>)| {
        let mut state = state.clone();
        change(&mut state);
        let before = content(&queue);
        let error = queue.load_state(&state).unwrap_err().to_string();
        assert_eq!(content(&queue), before, "an error leaves the queue alone");
        error
    };
    let set = |name: &'static str, data: TensorData| {
        move |s: &mut std::collections::BTreeMap<String, TensorData>| {
            s.insert(name.into(), data.clone());
        }
    };
    assert!(refused(plain(5, 2), &|_| ()).contains("a queue of 4 rows, this one has 5"));
    assert!(refused(plain(4, 3), &|_| ()).contains("[3, 2]"));
    assert!(
        refused(plain(4, 2), &|s| {
            s.remove("rows");
        })
        .contains("rows is missing")
    );
    assert!(
        refused(plain(4, 2), &|s| {
            s.remove("ring");
        })
        .contains("ring is missing")
    );
    assert!(refused(plain(4, 2), &set("ring", TensorData::new(vec![4i64], [1]))).contains("1 numbers"));
    assert!(refused(plain(4, 2), &set("ring", TensorData::new(vec![4i64, 2], [2]))).contains("next place 2"));
    assert!(refused(plain(4, 2), &set("ring", TensorData::new(vec![4i64, -1], [2]))).contains("next place -1"));
    assert!(refused(plain(4, 2), &set("rows", TensorData::new(vec![0f32; 10], [5, 2]))).contains("[5, 2]"));
    assert!(refused(plain(4, 2), &set("rows", TensorData::new(vec![0f32; 6], [6]))).contains("[6]"));
    assert!(refused(plain(4, 2), &set("rows", TensorData::new(vec![0i64; 6], [3, 2]))).contains("I64"));
    assert!(refused(plain(4, 2), &set("labels", TensorData::new(vec![0i64; 3], [3]))).contains("this queue has none"));
    let labelled = || Queue::labelled(4, 2, (&device(), DType::F32)).unwrap();
    assert!(refused(labelled(), &|_| ()).contains("labels are missing"));
    assert!(refused(labelled(), &set("labels", TensorData::new(vec![0i64; 2], [2]))).contains("2 labels for 3 rows"));
}

#[test]
#[should_panic(expected = "rows [1, 3] for a queue [4, 2]")]
fn rows_of_another_width_are_refused() {
    Queue::new(4, 2, &device()).unwrap().push(Tensor::zeros([1, 3], &device()));
}

#[derive(Module, Debug)]
struct Network {
    layers: Vec<Linear>,
    norm: BatchNorm,
}

fn network(device: &Device, width: usize) -> Network {
    Network {
        layers: vec![
            LinearConfig::new(3, width).init(device),
            LinearConfig::new(width, 2).with_bias(false).init(device),
        ],
        norm: BatchNormConfig::new(2).init(device),
    }
}

/// All numbers of a network.
fn weights(network: &Network) -> Vec<f64> {
    let mut all = Vec::new();
    for layer in &network.layers {
        all.extend(values(&layer.weight.val()));
        all.extend(layer.bias.iter().flat_map(|b| values(&b.val())));
    }
    all.extend(values(&network.norm.running_mean.value()));
    all
}

#[test]
fn a_copy_follows_by_the_closed_form() {
    let device = device().autodiff();
    let (online, start) = (network(&device, 4), network(&device, 4));
    // running statistics that differ from the target's
    let online = {
        online.norm.forward::<2>(Tensor::from_data([[1.0, 2.0], [3.0, 7.0]], &device));
        online.norm.running_mean.value_sync();
        online
    };
    let (x, y) = (weights(&online), weights(&start));
    assert!(x.iter().zip(&y).any(|(x, y)| (x - y).abs() > 0.05));
    let mut target = start.clone().valid();
    let momentum = 0.9f64;
    for _ in 0..5 {
        target = update_target(&online, target, momentum);
    }
    let share = momentum.powi(5);
    let expected: Vec<f64> = x.iter().zip(&y).map(|(x, y)| share * y + (1.0 - share) * x).collect();
    close("five steps", &weights(&target), &expected, 1e-6, 1e-6);
    close("online is left alone", &weights(&online), &x, 0.0, 0.0);
    close("momentum 0 copies", &weights(&update_target(&online, target.clone(), 0.0)), &x, 0.0, 0.0);
    let before = weights(&target);
    close("momentum 1 stays", &weights(&update_target(&online, target.clone(), 1.0)), &before, 0.0, 0.0);
    assert!(!target.layers[0].weight.val().is_tracked());

    // a target with gradients stays one
    let tracked = update_target(&online, start.clone(), 0.5);
    assert!(tracked.layers[0].weight.val().is_require_grad());
    assert_eq!(tracked.layers[0].weight.id, start.layers[0].weight.id);
    let frozen = update_target(&online, start.no_grad(), 0.5);
    assert!(!frozen.layers[0].weight.val().is_tracked());
}

#[test]
#[should_panic(expected = "the shapes of an online tensor and of its target")]
fn a_copy_of_another_shape_is_refused() {
    update_target(&network(&device(), 4), network(&device(), 5), 0.9);
}

#[test]
#[should_panic(expected = "the target has more tensors")]
fn a_copy_with_more_layers_is_refused() {
    let mut larger = network(&device(), 4);
    larger.layers.push(LinearConfig::new(2, 2).init(&device()));
    update_target(&network(&device(), 4).layers, larger.layers, 0.9);
}

#[test]
fn the_momentum_follows_its_schedule() {
    let constant = Ema::constant(0.99).unwrap();
    assert_eq!([constant.momentum(0), constant.momentum(1000)], [0.99, 0.99]);
    let cosine = Ema::cosine(0.996, 100).unwrap();
    let expected = [0.996, 1.0 - 0.004 * (1.0 + 0.5f64.sqrt()) / 2.0, 0.998, 1.0, 1.0];
    close("cosine", &[0, 25, 50, 100, 200].map(|k| cosine.momentum(k)), &expected, 1e-15, 0.0);
    let device = device();
    let (online, target) = (network(&device, 4), network(&device, 4));
    let expected = weights(&update_target(&online, target.clone(), cosine.momentum(25)));
    // running statistics are shared among clones of a module, so the second copy starts from its own
    let stepped = cosine.update(&online, target, 25);
    let tables = expected.len() - 2;
    close("a step", &weights(&stepped)[..tables], &expected[..tables], 0.0, 0.0);
    for wrong in [-0.1, 1.1, f64::NAN] {
        assert!(Ema::constant(wrong).unwrap_err().to_string().contains("between 0"));
    }
    assert_eq!(Ema::cosine(0.9, 0).unwrap_err(), MemoryError::Steps);
}
