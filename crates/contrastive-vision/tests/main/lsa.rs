//! LSA: the checks of its specification by number.

use crate::{device, images, views};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use contrastive_core::objective::InfoNce;
use contrastive_core::similarity::unit_rows;
use contrastive_data::augment::Mix;
use contrastive_data::image::{ImageSet, Images, shapes};
use contrastive_train::testing::{gradients_are_derivatives, resumes_bit_for_bit, settings_are_refused};
use contrastive_train::{Budget, Method, MethodConfig, State, Step, Training, TrainingConfig, Weighted};
use contrastive_vision::encoder::{EncoderConfig, embed};
use contrastive_vision::robustness::lsa::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn config(epochs: usize) -> LsaConfig {
    let training = TrainingConfig::new(Budget::Epochs(epochs), 8, 1e-2);
    let views = LsaViews { weak: views(12), strong: views(12), noisy: views(12) };
    let config = LsaConfig::new(EncoderConfig::mlp(&[10, 6]), views, training).with_features(Features::Stage(0));
    LsaConfig { projector: 5, ..config }
}

fn data() -> NoisyImages {
    NoisyImages::spoilt(&images(), &shapes(48, 16, 9), [0.25, 0.125], 3).unwrap().with_test(shapes(24, 12, 8))
}

fn step() -> Step {
    Step { epoch: 1, in_epoch: 0, global: 0, steps: 6, batch: 0, sub_step: 0, seed: 5, rank: 0, world: 1 }
}

/// The losses of the first batch, with another mixing where one is given.
fn losses(config: &LsaConfig, data: &NoisyImages, mix: Option<Mix>) -> (Weighted, LsaBatch, LsaModel) {
    let mut training = config.build(data, 7, &device()).unwrap();
    let model = training.model().clone();
    let method = training.method_mut();
    method.begin_epoch(1, ChaCha8Rng::seed_from_u64(1)).unwrap();
    let mut batch = method.batch(step()).unwrap();
    batch.mix = mix.unwrap_or(batch.mix);
    (method.losses(&model, &batch, step()).unwrap(), batch, model)
}

fn number(loss: &Tensor<1>) -> f64 {
    loss.clone().into_data().iter::<f64>().next().unwrap()
}

/// Check 1: cross-entropy and the contrast of labels, written out; a share of 1 is no mixing, bit by bit.
#[test]
fn without_flags_and_mixing_it_is_cross_entropy_and_a_contrast_of_labels() {
    let (data, plain) = (data(), LsaConfig { mixup: None, ..config(1) });
    let (found, batch, model) = losses(&plain, &data, None);
    let (network, n) = (&model.networks[0], batch.images.images.len());
    let labels: Vec<usize> = batch.images.labels.iter().map(|label| *label as usize).collect();
    let log = |scores: Tensor<2>| -> Vec<f64> { log_softmax(scores, 1).into_data().iter::<f64>().collect() };
    let chances = log(network.scores(batch.images.view(0)));
    let classes = chances.len() / n;
    let entropy = -labels.iter().enumerate().map(|(row, label)| chances[row * classes + label]).sum::<f64>() / n as f64;
    assert!((number(&found[0].1) - entropy).abs() < 1e-5, "{} and {entropy}", number(&found[0].1));
    let project = |view| unit_rows(network.projector.forward(network.encoder.forward(view)));
    let similar = project(batch.images.view(0)).matmul(project(batch.images.view(2)).transpose()) / 0.2;
    let rows = log(similar);
    let row = |i: usize| {
        let same: Vec<usize> = (0..n).filter(|j| labels[*j] == labels[i]).collect();
        -same.iter().map(|j| rows[i * n + j]).sum::<f64>() / same.len() as f64
    };
    let contrast = (0..n).map(row).sum::<f64>() / n as f64;
    assert_eq!(found[1].0, "contrast");
    assert!((number(&found[1].1) - contrast).abs() < 1e-5, "{} and {contrast}", number(&found[1].1));

    let whole = Mix { share: 1.0, partners: (0..n).rev().collect() };
    let (mixed, ..) = losses(&config(1), &data, Some(whole));
    let bits = |losses: &Weighted| losses.iter().map(|(_, loss)| number(loss).to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&found), bits(&mixed));
    // and half of it is another loss
    let half = Mix { share: 0.5, partners: (0..n).rev().collect() };
    assert_ne!(bits(&found), bits(&losses(&config(1), &data, Some(half)).0));
}

/// Check 4.
#[test]
fn detectors_take_turns() {
    let turns = |config: &LsaConfig| (0..4).map(|epoch| config.detector(epoch)).collect::<Vec<_>>();
    let (linear, loss) = (Detector::Linear, Detector::Loss);
    assert_eq!(turns(&config(1)), [linear, loss, linear, loss]);
    assert_eq!(turns(&config(1).with_detectors(&[loss])), [loss; 4]);
    // the oracle flags what is known, nothing flags nothing, and the first epoch of the others has no flags
    let data = data();
    let after = |detectors: &[Detector], epochs: usize| {
        let mut training = config(9).with_detectors(detectors).build(&data, 7, &device()).unwrap();
        (0..epochs * 6 + 1).for_each(|_| drop(training.train_step().unwrap()));
        training.method().flags()
    };
    let truth: Vec<bool> = data.truth.as_ref().unwrap().iter().map(|truth| *truth != Truth::Clean).collect();
    assert_eq!(truth.iter().filter(|noisy| **noisy).count(), 18);
    assert_eq!((after(&[Detector::Oracle], 0), after(&[Detector::Oracle], 2)), (truth.clone(), truth));
    assert_eq!(after(&[Detector::Nothing], 2), [false; 48]);
    assert_eq!(after(&[linear, loss], 0), [false; 48]);
    assert!(after(&[linear], 1).contains(&true));
    assert_ne!(after(&[linear], 2), after(&[loss], 2));
}

fn run(config: &LsaConfig, data: &NoisyImages, steps: usize) -> Training<Lsa> {
    let mut training = config.build(data, 7, &device()).unwrap();
    (0..steps).for_each(|_| drop(training.train_step().unwrap()));
    training
}

/// Check 5: weights lie in 0 to 1, are 1 for clean samples; when they sum to 0, the term is left out.
#[test]
fn weights_are_shares() {
    let (data, config) = (data(), config(9));
    let training = run(&config, &data, 20);
    let (flags, weights) = (training.method().flags(), training.method().weights());
    assert!(flags.contains(&true) && weights.iter().any(|weight| *weight < 1.0));
    for (noisy, weight) in flags.iter().zip(&weights) {
        assert!((0.0..=1.0).contains(weight) && (*noisy || *weight == 1.0));
    }
    let guesses = training.method().guesses(0);
    assert!(guesses.chunks(6).all(|row| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5));
    let tracking = training.method().tracking();
    assert!((0.0..=1.0).contains(&tracking.loss_auc) && tracking.flagged > 0.0, "{tracking:?}");

    let mut fresh = config.build(&data, 7, &device()).unwrap();
    let mut state: State = fresh.method().state();
    state.insert("0.noisy".into(), TensorData::new(vec![1u8; 48], [48]));
    state.insert("0.weights".into(), TensorData::new(vec![0f32; 48], [48]));
    fresh.method_mut().load_state(state).unwrap();
    let found = fresh.train_step().unwrap();
    assert_eq!(found.iter().find(|loss| loss.0 == "classes").unwrap().1, 0.0);
    assert!(found.iter().all(|loss| loss.1.is_finite()));
}

/// Check 6: derivatives, mixed labels included; without equal labels the contrast is InfoNCE.
#[test]
fn contrast_of_different_labels_is_info_nce() {
    let data = data();
    let double = LsaConfig { double: true, balance: 0.5, networks: 2, ..config(1) };
    let sound = |seed: u64| {
        let check = || gradients_are_derivatives(&|| double.build(&data, seed, &device()).unwrap(), 1e-5);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_ok()
    };
    assert!([7, 8, 9, 10].into_iter().any(sound), "no start of four");

    let set = shapes(8, 12, 4);
    let pixels = (0..8).flat_map(|image| set.bytes(image)).copied().collect();
    let (shape, white, ids) = (set.shape(), set.white(), set.ids().to_vec());
    let classes = (0..8).map(|class| class.to_string()).collect();
    let name = "eight".to_string();
    let each = Images { name, shape, white, pixels, labels: (0..8).collect(), classes, ids, notes: Vec::new() };
    let each = NoisyImages::new(ImageSet::new(each).unwrap());
    let plain = LsaConfig { mixup: None, ..config(1) };
    let (found, batch, model) = losses(&plain, &each, None);
    let network = &model.networks[0];
    let project = |view| network.projector.forward(network.encoder.forward(view));
    let want = InfoNce::new(0.2).unwrap().loss(project(batch.images.view(0)), project(batch.images.view(2)));
    assert!((number(&found[1].1) - number(&want)).abs() < 1e-5);
}

/// Check 7: two networks that start alike are one; of two that do not, both must flag.
#[test]
fn two_networks_flag_what_both_flag() {
    let data = data();
    let [single, twins] = [1, 2].map(|networks| run(&LsaConfig { networks, twins: true, ..config(9) }, &data, 20));
    let rows = |training: &Training<Lsa>, network: usize| {
        embed(&training.trained_model().networks[network].encoder, &data.train, &device()).unwrap()
    };
    assert_eq!(rows(&single, 0), rows(&twins, 1));
    assert_eq!(
        (single.method().flags(), single.method().weights()),
        (twins.method().flags(), twins.method().weights())
    );
    let pair = run(&LsaConfig { networks: 2, ..config(9) }, &data, 20);
    let (flags, [a, b]) = (pair.method().flags(), [0, 1].map(|network| pair.method().noisy(network)));
    assert_ne!(a, b);
    assert!((0..48).all(|row| flags[row] == (a[row] && b[row])));
}

#[test]
fn a_resumed_run_is_the_same() {
    let data = data();
    resumes_bit_for_bit(&|| config(9).build(&data, 7, &device()).unwrap(), 14);
    let pair = LsaConfig { networks: 2, ..config(9) };
    resumes_bit_for_bit(&|| pair.build(&data, 7, &device()).unwrap(), 8);
}

/// Check 8.
#[test]
fn bad_input_is_refused() {
    let bad = |change: fn(&mut LsaConfig)| {
        let mut config = config(1);
        change(&mut config);
        config
    };
    settings_are_refused([
        (bad(|c| c.detectors.clear()), "number of detectors is 0"),
        (bad(|c| c.networks = 3), "networks is 3; allowed is 1 and 2"),
        (bad(|c| c.threshold = 1.0), "threshold is 1"),
        (bad(|c| c.clip = 0.0), "clip is 0"),
        (bad(|c| c.sharpening = 0.0), "sharpening is 0"),
        (bad(|c| c.temperature = f64::NAN), "temperature is NaN"),
        (bad(|c| c.mixup = Some(0.0)), "mixup: alpha is 0"),
        (bad(|c| c.views.noisy.size = [8, 8]), "size of noisy views is [8, 8]"),
        (bad(|c| c.training.batch_size = 1), "batch_size is 1"),
    ]);
    let says = |config: &LsaConfig, data: &NoisyImages, words: &str| {
        let error = config.build(data, 1, &device()).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    };
    let data = data();
    says(&config(1).with_features(Features::Frozen), &data, "frozen features without a pre-trained encoder");
    says(&config(1).with_features(Features::Stage(2)), &data, "stage is 2; allowed is 0 to 1");
    let set = images();
    says(&config(1).with_detectors(&[Detector::Oracle]), &NoisyImages::new(set.clone()), "an oracle without the truth");
    let unlabelled = |set: &ImageSet, label: i32| {
        let pixels = (0..set.len()).flat_map(|_| set.bytes(0)).copied().collect();
        let (shape, white, classes) = (set.shape(), set.white(), set.classes().to_vec());
        let (labels, ids) = (vec![label; set.len()], set.ids().to_vec());
        ImageSet::new(Images { name: "alike".into(), shape, white, pixels, labels, classes, ids, notes: Vec::new() })
            .unwrap()
    };
    says(&config(1), &NoisyImages::new(unlabelled(&set, -1)), "0 of 48 images have a label");
    let spoilt = NoisyImages::spoilt(&set, &shapes(4, 12, 1), [0.5, 0.1], 1).unwrap_err().to_string();
    assert!(spoilt.contains("4 foreign images at most"), "{spoilt}");
    assert!(NoisyImages::spoilt(&set, &set, [0.8, 0.4], 1).is_err());
    // a loss that is not finite ends the run, and names itself
    let mut wild = config(9);
    wild.training.learning_rate = 1e30;
    let mut training = wild.build(&data, 1, &device()).unwrap();
    let error = (0..20).find_map(|_| training.train_step().err()).expect("a run that breaks").to_string();
    assert!(error.contains("classes") || error.contains("NaN") || error.contains("inf"), "{error}");
    // equal images with equal labels: no loss is large, and the hyperplane says so
    let mut alike = config(9);
    let still = contrastive_data::augment::Augmentation::new(12);
    alike.views = LsaViews { weak: still.clone(), strong: still.clone(), noisy: still };
    let alike = alike.with_detectors(&[Detector::Linear]);
    let training = run(&alike, &NoisyImages::new(unlabelled(&set, 2)), 8);
    assert_eq!(training.method().flags(), [false; 48]);
    assert!(
        training.method().notes()[0].contains("0 of 48 samples have a large loss"),
        "{:?}",
        training.method().notes()
    );
}

/// Check 9, one seed of the table in `docs/results.md`: the hyperplane finds foreign images better than losses do, and turns are worth more than
/// plain mixup.
#[test]
#[ignore = "three trainings on optdigits: half a minute"]
fn golden_data_d8_lsa() {
    use crate::golden::{present, shared};
    use contrastive_train::FitOptions;
    use contrastive_vision::data::{digits, fashion};
    use contrastive_vision::evaluate::Protocol;
    use contrastive_vision::method::{SimClrConfig, VisionModel};
    let data = |name: &str| present(shared()?.join("data").join(name));
    let (Some(numbers), Some(clothes)) = (data("optdigits"), data("fashion-mnist")) else { return };
    let mut d8 = Protocol::d8(digits(&numbers).unwrap());
    let foreign = fashion(&clothes, [d8.train.len(), 1]).unwrap()[0].clone();
    let data = NoisyImages::spoilt(&d8.train, &foreign, [0.4, 0.1], 0).unwrap().with_test(d8.test.clone());
    d8.train = data.train.clone();
    let (_, before) = d8.run_watched(SimClrConfig::new(0.2), 0, &device()).unwrap();
    let data = data.with_pretrained(vec![before.trained_model().encoder().clone()]);
    let training = TrainingConfig::new(Budget::Epochs(40), 128, 1e-3);
    let view = d8.frame.views.each[0].clone();
    let views = LsaViews { weak: view.clone(), strong: view.clone(), noisy: view };
    let config = LsaConfig::new(d8.frame.encoder.clone(), views, training).with_features(Features::Frozen);
    let last = |config: &LsaConfig| {
        let trained = config.fit(&data, &FitOptions::new(&device()).seed(0).progress(false)).unwrap();
        let metrics = trained.report.history.last().unwrap().metrics.clone().unwrap();
        (metrics["accuracy"], metrics["loss_auc"], metrics["linear_auc"])
    };
    let (plain, turns) = (last(&config.clone().plain()), last(&config));
    println!("CE and mixup {plain:?}, turns {turns:?}");
    assert!(turns.2 > turns.1, "{turns:?}");
}
