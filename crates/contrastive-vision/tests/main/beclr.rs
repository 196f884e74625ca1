//! BECLR end to end: memories, start, resume, gradients, masks; and OpTA on saved features.

use crate::methods::resumes_on;
use crate::{device, frame, golden, images};
use contrastive_core::memory::DyCeConfig;
use contrastive_core::objective::Pairing;
use contrastive_core::opta::OpTa;
use contrastive_data::Limits;
use contrastive_data::image::{ImageSet, omniglot};
use contrastive_train::MethodConfig;
use contrastive_train::testing::settings_are_refused;
use contrastive_vision::data::digits;
use contrastive_vision::evaluate::{ByMeans, FewShotTask, Protocol};
use contrastive_vision::method::*;
use ndarray::Array2;

/// A memory of 40 rows is full in the third step of 16 rows each; an epoch has six.
fn settings() -> BeclrConfig {
    BeclrConfig::new(DyCeConfig { restarts: 2, ..DyCeConfig::new(40, 4, 3) }).from_epoch(1, 1)
}

#[test]
fn beclr_resumes_bit_for_bit() {
    resumes_on(&images(), settings(), 9);
    resumes_on(&images(), settings().with_pairing(Pairing::RowToRow), 8);
    resumes_on(&images(), settings().without_memory().with_mask(MASK), 3);
    let momentum = DyCeConfig { momentum: 0.5, restarts: 1, ..DyCeConfig::new(40, 4, 3) };
    resumes_on(&images(), BeclrConfig { memory: Some(momentum), ..settings() }.with_mask(MASK), 8);
}

const MASK: BlockMask = BlockMask { side: 4, share: 0.3, spread: 0.1 };

/// Neighbours take part once the memory is full and the epoch has come; then the loss is another.
#[test]
fn neighbours_wait_for_memory_and_epoch() {
    let images = images();
    let losses = |settings: BeclrConfig, steps: usize| -> (Vec<f64>, Vec<f64>) {
        let mut training = frame().train(settings).build(&images, 7, &device()).unwrap();
        (0..steps)
            .map(|_| {
                let loss = training.train_step().unwrap()[0].1;
                (loss, training.method().method().observed()["neighbours"])
            })
            .unzip()
    };
    let (none, _) = losses(settings().without_memory(), 8);
    let (early, counts) = losses(settings(), 8);
    assert_eq!(none[..3], early[..3], "until the memory is full");
    assert_ne!(none[3], early[3]);
    assert_eq!(counts, [0.0, 0.0, 0.0, 3.0, 3.0, 3.0, 3.0, 3.0]);
    let (late, counts) = losses(settings().from_epoch(2, 1), 8);
    assert_eq!(none[..6], late[..6], "until the second epoch");
    assert_eq!(counts[5..], [0.0, 3.0, 3.0]);
    let (other, _) = losses(settings().with_pairing(Pairing::RowToRow), 8);
    assert_eq!(none[..3], other[..3]);
    assert!(other[3] != early[3] && other[3] != none[3]);
    // each of them remembers
    let mut training = frame().train(settings().with_pairing(Pairing::RowToRow)).build(&images, 7, &device()).unwrap();
    (0..4).for_each(|_| drop(training.train_step().unwrap()));
    for name in ["teacher", "projections", "predictions"] {
        let memory = training.method().method().memory(name).unwrap();
        assert!(memory.len() == 40 && memory.is_ready() && memory.sizes().iter().sum::<usize>() == 40, "{name}");
    }
    assert_eq!(training.method().method().observed()["clusters in use"] as usize, 4);
}

/// A mask changes what the student sees, and the share of it is the share asked for.
#[test]
fn masks_hide_blocks() {
    let images = images();
    let loss = |settings: BeclrConfig| {
        frame().train(settings).build(&images, 7, &device()).unwrap().train_step().unwrap()[0].1
    };
    let plain = loss(settings());
    assert_ne!(plain, loss(settings().with_mask(MASK)));
    assert_eq!(plain, loss(settings().with_mask(BlockMask { side: 4, share: 0.0, spread: 0.0 })));
}

#[test]
fn settings_of_beclr_out_of_range() {
    let with = |memory: DyCeConfig| frame().train(BeclrConfig { memory: Some(memory), ..settings() });
    settings_are_refused([
        (with(DyCeConfig::new(40, 41, 3)), "prototypes of a memory in clusters is 41"),
        (with(DyCeConfig::new(40, 4, 40)), "neighbours of a memory in clusters is 40"),
        (with(DyCeConfig { epsilon: -1.0, ..DyCeConfig::new(40, 4, 3) }), "epsilon"),
        (frame().train(BeclrConfig { temperature: 0.0, ..settings() }), "temperature 0"),
        (frame().train(BeclrConfig { repulsion: -1.0, ..settings() }), "weight of the repulsion"),
        (frame().train(BeclrConfig { momentum: 2.0, ..settings() }), "momentum 2"),
        (frame().train(settings().from_epoch(0, 1)), "from_epoch is 0"),
        (frame().train(settings().from_epoch(1, 0)), "recluster is 0"),
        (frame().train(settings().with_mask(BlockMask { share: 0.95, spread: 0.1, side: 4 })), "share of a mask"),
        (frame().train(settings().with_mask(BlockMask { side: 0, ..MASK })), "side of a mask is 0"),
    ]);
}

/// Five groups around directions, 30 rows each.
fn groups(apart: f32) -> (Array2<f32>, Vec<u32>) {
    let labels: Vec<u32> = (0..150).map(|row| row / 30).collect();
    let noise = |k: usize| ((k as f32 * 12.9898).sin() * 43758.547).fract();
    let x = Array2::from_shape_fn((150, 12), |(i, j)| {
        noise(i * 12 + j) + if labels[i] as usize == j { apart } else { 0.0 }
    });
    (x, labels)
}

#[test]
fn episodes_of_saved_features() {
    let (x, labels) = groups(2.0);
    let task = FewShotTask::new(1);
    let plain = task.evaluate(x.view(), &labels, None).unwrap();
    let moved = task.evaluate(x.view(), &labels, Some(&OpTa::one_shot())).unwrap();
    assert!(moved.mean > plain.mean + 0.02, "{} and {}", moved.mean, plain.mean);
    assert_eq!(moved, task.evaluate(x.view(), &labels, Some(&OpTa::one_shot())).unwrap());
    assert_eq!(plain, task.evaluate(x.view(), &labels, Some(&OpTa::one_shot().with_passes(0))).unwrap());
    let logistic = FewShotTask { by: ByMeans::Logistic, ..task };
    let logistic = logistic.evaluate(x.view(), &labels, Some(&OpTa::one_shot())).unwrap();
    assert!((logistic.mean - moved.mean).abs() < 0.02, "{} and {}", logistic.mean, moved.mean);
    let uneven = task.with_queries(1, 29).evaluate(x.view(), &labels, Some(&OpTa::one_shot())).unwrap();
    assert!(uneven.mean > 0.2 && uneven.mean < 1.0 && uneven != moved);
    let (far, labels) = groups(50.0);
    assert_eq!(task.evaluate(far.view(), &labels, Some(&OpTa::one_shot())).unwrap().mean, 1.0);
    for wrong in [task.with_queries(0, 3), task.with_queries(4, 3)] {
        assert!(wrong.evaluate(x.view(), &labels, None).unwrap_err().to_string().contains("queries a class"));
    }
    assert!(task.with_queries(30, 30).evaluate(x.view(), &labels, None).is_err(), "31 rows of each class");
    assert!(task.evaluate(x.view(), &labels[1..], None).is_err());
    let mut broken = x.clone();
    broken.fill(f32::NAN);
    assert!(task.evaluate(broken.view(), &labels, Some(&OpTa::one_shot())).is_err());
}

/// Check 8, of pixels: at least 4 points more with one labelled row a class, no fewer with five. The pilot on digits: 74.3 to 84.6, and
/// 89.7 to 91.6.
#[test]
fn golden_data_opta_of_pixels() {
    let Some(root) = golden::shared() else { return };
    let (Some(numbers), Some(letters)) = (
        golden::present(root.join("data/optdigits")),
        golden::present(root.join("data/omniglot/images_background_small1")),
    ) else {
        return;
    };
    let [_, test] = digits(&numbers).unwrap();
    let letters = omniglot(&letters, Some(28), &Limits::default()).unwrap();
    for set in [&test, &letters] {
        let (x, labels) = (set.rows(), set.labelled().1);
        let gain = |shots: usize| {
            let task = FewShotTask::new(shots);
            let of = |moved: Option<&OpTa>| 100.0 * task.evaluate(x.view(), &labels, moved).unwrap().mean;
            let (plain, moved) = (of(None), of(Some(&OpTa::for_shots(shots))));
            println!("{}, {shots}-shot: {plain:.1} to {moved:.1}", set.name());
            moved - plain
        };
        assert!(gain(1) >= 4.0 && gain(5) >= 0.0);
    }
}

/// A slice of the F28 row: a few steps with each pairing, and the episodes are there.
#[test]
fn beclr_trains_in_a_protocol() {
    let set: ImageSet = images();
    let protocol = Protocol { train: set.clone(), test: set, ..protocol() };
    for settings in [settings(), settings().with_pairing(Pairing::RowToRow), settings().without_memory()] {
        let name = settings.name();
        let (_, run) = protocol.run_watched(settings, 1, &device()).unwrap();
        let x = contrastive_vision::encoder::embed(run.trained_model().encoder(), &protocol.test, &device()).unwrap();
        let task = FewShotTask { ways: 3, count: 20, ..FewShotTask::new(1) }.with_queries(2, 2);
        let found = task.evaluate(x.view(), &protocol.test.labelled().1, Some(&OpTa::one_shot())).unwrap();
        assert!(found.mean > 0.2, "{name}: {}", found.mean);
    }
}

fn protocol() -> Protocol {
    let set = images();
    let mut protocol = Protocol::c32([set.clone(), set]);
    protocol.measures.neighbours = 5;
    protocol.frame = frame().with_budget(contrastive_train::Budget::Steps(8));
    protocol.measures.draws = 1;
    protocol
}
