//! What every method owes: resume bit for bit, gradients that are derivatives, settings that are refused; and what each does.

use crate::{device, frame, images, views};
use contrastive_core::memory::Ema;
use contrastive_data::augment::Views;
use contrastive_data::image::{ImageSet, shapes};
use contrastive_nn::layer::ChannelNormKind;
use contrastive_train::testing::{gradients_are_derivatives, resumes_bit_for_bit, settings_are_refused};
use contrastive_train::{FitOptions, MethodConfig};
use contrastive_vision::encoder::EncoderConfig;
use contrastive_vision::method::*;

pub fn resumes<S: Settings>(settings: S) {
    resumes_on(&images(), settings, 8);
}

pub fn resumes_on<S: Settings>(images: &ImageSet, settings: S, steps: usize) {
    let frame = frame();
    resumes_bit_for_bit(&|| frame.train(settings.clone()).build(images, 7, &device()).unwrap(), steps);
}

#[test]
fn every_method_resumes_bit_for_bit() {
    resumes(SimClrConfig::new(0.5));
    resumes(DclConfig::new(0.2).with_weights(0.5));
    resumes(SimSiamConfig::new(4));
    resumes(ByolConfig::new(8));
    resumes(BarlowTwinsConfig::default());
    resumes(VicRegConfig::default());
    resumes(NnClrConfig { temperature: 0.2, queue: 20, predictor: 8 });
    resumes(ReSslConfig { student: 0.1, teacher: 0.04, queue: 20, momentum: 0.9 });
    resumes(DinoConfig::new(12));
    resumes(SupervisedConfig::default());
}

#[test]
fn moco_and_swav_resume_within_an_epoch() {
    resumes(MocoConfig::new(20));
    resumes(MocoConfig::new(20).symmetric());
    // full after two steps of the second epoch; two steps with prototypes that stand still
    resumes(SwAvConfig::new(10).with_queue(16, 2).with_frozen(2));
}

/// The same by the run folder: stopped within an epoch, and taken up again.
#[test]
fn a_run_that_is_stopped_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (images, config) = (images(), frame().train(MocoConfig::new(24)));
    let options = |steps: usize| FitOptions::new(&device()).seed(5).progress(false).steps(steps);
    let whole = config.fit(&images, &options(10)).unwrap();
    config.fit(&images, &options(4).run_dir(folder.path())).unwrap();
    let rest = config.fit(&images, &options(10).run_dir(folder.path()).resume(true)).unwrap();
    let rows = |model: &Projected| contrastive_vision::encoder::embed(model.encoder(), &images, &device()).unwrap();
    assert_eq!(rows(&whole.model), rows(&rest.model));
    for file in ["metrics.jsonl", "report.json", "model.safetensors", "embeddings/images.npy"] {
        assert!(folder.path().join(file).is_file(), "{file}");
    }
    // other images are refused
    let other = config.fit(&shapes(48, 12, 4), &options(12).run_dir(folder.path()).resume(true)).unwrap_err();
    assert!(other.to_string().contains("digest"), "{other}");
}

/// A perceptron, with the head's batch norms, in f64. A rectifier whose kink lies within the difference spoils one start, a wrong
/// gradient all of them.
#[test]
fn gradients_of_losses_are_derivatives() {
    fn check<S: Settings>(settings: S) {
        let images = images();
        let mut frame = frame();
        frame.encoder = EncoderConfig::mlp(&[9]);
        let name = settings.name().to_string();
        let config = VisionConfig { double: true, ..frame.train(settings) };
        let sound = |seed: u64| {
            let check = || gradients_are_derivatives(&|| config.build(&images, seed, &device()).unwrap(), 1e-5);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_ok()
        };
        let starts = [7, 8, 9, 10].map(sound);
        println!("{name}: {starts:?}");
        assert!(starts.into_iter().any(|sound| sound), "{name}: no start of four");
    }
    check(SimClrConfig::new(0.5));
    check(DclConfig::new(0.5));
    check(BarlowTwinsConfig::default());
    check(VicRegConfig::default());
    check(MocoConfig::new(20));
    check(ByolConfig::new(8));
}

#[test]
fn settings_out_of_range_are_refused() {
    let frame = frame;
    settings_are_refused([
        (frame().train(SimClrConfig::new(0.0)), "temperature 0"),
        (frame().with_batch(1).train(SimClrConfig::new(0.5)), "batch_size is 1; allowed is 2 and more"),
        (frame().with_rate(-1.0).train(SimClrConfig::new(0.5)), "learning_rate"),
    ]);
    let mut one = frame();
    one.views.each.truncate(1);
    settings_are_refused([(one.train(SimClrConfig::new(0.5)), "number of views is 1; allowed is 2 and more")]);
    let mut ghosts = frame();
    ghosts.encoder = ghosts.encoder.with_norm(ChannelNormKind::Ghost(3));
    settings_are_refused([(
        ghosts.train(SimClrConfig::new(0.5)),
        "ghost is 3; allowed is 2 and more, a divisor of the batch of 8",
    )]);
    settings_are_refused([(frame().train(DclConfig::new(0.1).with_weights(0.0)), "sigma")]);
    settings_are_refused([(frame().train(MocoConfig { momentum: 1.5, ..MocoConfig::new(9) }), "momentum 1.5")]);
    settings_are_refused([(frame().train(SimSiamConfig::new(0)), "predictor is 0")]);
    settings_are_refused([
        (frame().train(SwAvConfig::new(1)), "prototypes"),
        (frame().train(SwAvConfig::new(9).with_queue(9, 1)), "queue is 9; allowed is a multiple of the batch of 8"),
        (frame().train(SwAvConfig { large: 3, ..SwAvConfig::new(9) }), "large is 3; allowed is 1 to the 2 views"),
        (frame().train(SwAvConfig { large: 0, ..SwAvConfig::new(9) }), "large is 0"),
        (frame().train(SwAvConfig { epsilon: 0.0, ..SwAvConfig::new(9) }), "psilon"),
        (frame().train(SwAvConfig { iterations: 0, ..SwAvConfig::new(9) }), "iterations"),
    ]);
    assert!(SwAvConfig::new(30).warning(8).unwrap().contains("30 prototypes"));
    assert_eq!(SwAvConfig::new(8).warning(8), None);
    // what only the data can tell
    let images = images();
    let queue = frame().train(MocoConfig::new(49)).build(&images, 1, &device()).unwrap_err().to_string();
    assert!(queue.contains("49 rows for a data set of 48"), "{queue}");
    let batch = frame().with_batch(49).train(SimClrConfig::new(0.5)).build(&images, 1, &device()).unwrap_err();
    assert!(batch.to_string().contains("a batch of 49 images of 48"), "{batch}");
    // a perceptron is made for one size of view
    let mut crops = frame();
    crops.encoder = EncoderConfig::mlp(&[10, 7]);
    assert!(crops.train(SwAvConfig::new(8)).build(&images, 1, &device()).is_ok());
    crops.views = Views::multi_crop([views(12), views(8)], [2, 1]);
    let small = crops.train(SwAvConfig::new(8)).build(&images, 1, &device()).unwrap_err().to_string();
    assert!(small.contains("perceptron: size of a view is 8 x 8; allowed is 12 x 12"), "{small}");
}

/// Multi-crop: small crops predict, and give no codes; the queue changes the loss once it is full (oracle: the core's objective does
/// the same with and without; here that the method hands the right rows over).
#[test]
fn swav_takes_crops_of_two_sizes_and_waits_for_its_queue() {
    let images = images();
    let mut frame = frame();
    frame.views = Views::multi_crop([views(12), views(8)], [2, 3]);
    let losses = |settings: SwAvConfig, steps: usize| -> Vec<f64> {
        let mut training = frame.train(settings).build(&images, 7, &device()).unwrap();
        (0..steps).map(|_| training.train_step().unwrap()[0].1).collect()
    };
    let plain = losses(SwAvConfig::new(10), 5);
    let queued = losses(SwAvConfig::new(10).with_queue(16, 1), 5);
    assert_eq!(plain[..2], queued[..2], "nothing changes until the queue is full");
    assert_ne!(plain[2], queued[2]);
    let later = losses(SwAvConfig::new(10).with_queue(16, 2), 5);
    assert_eq!(plain, later, "a queue of the second epoch");
    // frozen prototypes do not move, and are unit rows otherwise
    let mut training = frame.train(SwAvConfig::new(10).with_frozen(2)).build(&images, 7, &device()).unwrap();
    let rows = |training: &VisionTraining<SwAvConfig>| -> Vec<f32> {
        training.trained_model().prototypes.rows.val().into_data().iter::<f32>().collect()
    };
    let start = rows(&training);
    training.train_step().unwrap();
    let moved = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(moved(&start, &rows(&training)) < 1e-6);
    (0..3).for_each(|_| drop(training.train_step().unwrap()));
    let after = rows(&training);
    assert!(moved(&start, &after) > 1e-4);
    for row in after.chunks(5) {
        assert!((row.iter().map(|x| x * x).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    assert!(training.method().method().prototypes_in_use() > 1);
}

/// A momentum copy of momentum 1 stands still but for its own statistics; of 0 it is the network.
#[test]
fn momentum_copies_follow() {
    let images = images();
    let training = frame().train(SimClrConfig::new(0.5)).build(&images, 7, &device()).unwrap();
    let other = frame().train(SimClrConfig::new(0.5)).build(&images, 8, &device()).unwrap();
    let state = |copy: &Momentum| {
        let mut state = contrastive_train::State::new();
        copy.save(&mut state);
        state.into_iter().filter(|(name, _)| name.contains("weight")).collect::<Vec<_>>()
    };
    let start = |momentum| Momentum::of(other.model(), Ema::constant(momentum).unwrap());
    let (mut still, mut equal) = (start(1.0), start(0.0));
    let before = state(&still);
    still.follow(training.model(), 0);
    equal.follow(training.model(), 0);
    assert_eq!(state(&still), before);
    let same = state(&Momentum::of(training.model(), Ema::constant(0.5).unwrap()));
    assert_eq!(state(&equal), same);
    assert_ne!(before, same);
}

/// With ghost norms, shuffled keys come from other statistics than in order; without, shuffling changes nothing (to rounding).
#[test]
fn shuffled_keys_matter_with_ghosts_alone() {
    let images = images();
    let loss = |norm: ChannelNormKind, shuffle: bool| {
        let mut frame = frame();
        frame.encoder = frame.encoder.with_norm(norm);
        let config = MocoConfig { shuffle, ..MocoConfig::new(16) };
        let mut training = frame.train(config).build(&images, 7, &device()).unwrap();
        training.train_step().unwrap()[0].1
    };
    let whole = (loss(ChannelNormKind::Batch, true) - loss(ChannelNormKind::Batch, false)).abs();
    let ghosts = (loss(ChannelNormKind::Ghost(4), true) - loss(ChannelNormKind::Ghost(4), false)).abs();
    assert!(whole < 1e-4 && ghosts > 1e-3, "{whole} and {ghosts}");
}
