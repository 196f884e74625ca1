//! CACR, GroCo, Hydra, AMCL, iSogCLR and ghosts: what every method owes, and what each does with views, labels and images.

use crate::{device, frame, images, views};
use burn::module::Module;
use burn::tensor::{DType, Tensor};
use contrastive_core::modules::each_float;
use contrastive_data::augment::Views;
use contrastive_data::image::{ImageSet, Images};
use contrastive_nn::layer::ChannelNormKind;
use contrastive_train::testing::{gradients_are_derivatives, resumes_bit_for_bit, settings_are_refused};
use contrastive_train::{MethodConfig, Step, Weighted};
use contrastive_vision::data::{Ahead, ImageBatch, Loader, long_tail};
use contrastive_vision::encoder::EncoderConfig;
use contrastive_vision::method::*;

fn resumes<S: Settings>(settings: S, frame: &Frame) {
    let images = images();
    resumes_bit_for_bit(&|| frame.train(settings.clone()).build(&images, 7, &device()).unwrap(), 8);
}

fn queue() -> CacrForm {
    CacrForm::Queue { rows: 20, momentum: 0.9 }
}

fn info_nce() -> CacrForm {
    CacrForm::InfoNce { temperature: 0.2, momentum: 0.9, predictor: 8 }
}

fn near(exponent: f64) -> PairedClasses {
    let distances = (0..36).map(|at| f64::from(u8::from(at / 6 != at % 6))).collect();
    PairedClasses::Near { distances, exponent }
}

fn multi_crop() -> Frame {
    let mut frame = frame();
    frame.views = Views::multi_crop([views(12), views(8)], [2, 2]);
    frame
}

#[test]
fn mechanisms_resume_bit_for_bit() {
    let three = Frame { views: Views { each: vec![views(12); 3] }, ..frame() };
    resumes(CacrConfig::default().with_debiasing(0.1), &three);
    resumes(CacrConfig::default().with_form(queue()), &three);
    resumes(CacrConfig::default().with_form(info_nce()), &three);
    resumes(GroCoConfig::new(3), &multi_crop());
    resumes(HydraConfig::new([6, 8]), &frame());
    resumes(HydraConfig::open().with_pairs(near(2.0)), &frame());
    resumes(AmclConfig::new(2), &frame());
    resumes(AmclConfig::new(2).twin(), &frame());
    resumes(ISogClrConfig { average_epochs: Some(2), ..ISogClrConfig::default() }, &frame());
    let ghosts = Frame { encoder: EncoderConfig::mlp(&[9]).with_norm(ChannelNormKind::Ghost(4)), ..frame() };
    resumes(SupervisedConfig::plain(), &ghosts);
}

/// In f64, where nothing is a constant to the gradient; of four starts one without a kink close by is enough.
#[test]
fn mechanisms_have_gradients_that_are_derivatives() {
    fn check<S: Settings>(settings: S, encoder: EncoderConfig) {
        let (images, frame) = (images(), Frame { encoder, ..frame() });
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
    let plain = || EncoderConfig::mlp(&[9]);
    let through = CacrConfig { detached: Some(false), ..CacrConfig::default() };
    check(through, plain());
    check(CacrConfig { as_released: true, ..through.with_debiasing(0.2) }, plain());
    check(through.with_form(queue()), plain());
    // with two views the farthest one is the only one
    check(through.with_form(info_nce()), plain());
    let order = GroCoConfig { stop_gradient: false, ..GroCoConfig::new(3) };
    check(order, plain());
    check(order.with_ordering(Ordering::Softmax(0.2)), plain());
    check(HydraConfig { penalty: 0.1, ..HydraConfig::new([6, 8]) }, plain());
    check(HydraConfig { cosine: true, fuse: false, ..HydraConfig::new([6, 8]) }, plain());
    check(AmclConfig::new(2), plain());
    check(AmclConfig { nearest: true, ..AmclConfig::new(2) }.twin(), plain());
    check(SupervisedConfig::plain(), plain().with_norm(ChannelNormKind::Ghost(4)));
}

#[test]
fn settings_of_mechanisms_are_refused() {
    let with = |config: CacrConfig| frame().train(config);
    let base = CacrConfig::default();
    settings_are_refused([
        (with(CacrConfig { attraction: -1.0, ..base }), "sharpness of attraction"),
        (with(base.with_repulsion(f64::NAN)), "sharpness of repulsion"),
        (with(CacrConfig { costs: [1.0, -1.0], ..base }), "beta"),
        (with(base.with_debiasing(1.0)), "share of false negatives"),
        (with(base.with_form(queue()).with_debiasing(0.1)), "debiased is 0.1; allowed is 0"),
        (with(base.with_form(CacrForm::Queue { rows: 0, momentum: 0.9 })), "rows of the queue is 0"),
        (with(base.with_form(CacrForm::Queue { rows: 9, momentum: 1.5 })), "momentum 1.5"),
        (with(base.with_form(CacrForm::InfoNce { temperature: 0.0, momentum: 0.9, predictor: 8 })), "temperature 0"),
        (with(base.with_form(CacrForm::InfoNce { temperature: 0.2, momentum: 0.9, predictor: 0 })), "predictor is 0"),
    ]);
    let one = Frame { views: Views { each: vec![views(12)] }, ..frame() };
    settings_are_refused([(one.train(base), "number of views is 1; allowed is 2 and more")]);
    let with = |config: GroCoConfig| frame().train(config);
    settings_are_refused([
        (with(GroCoConfig::new(0)), "hard negatives"),
        (with(GroCoConfig::new(8)), "hard negatives 8"),
        (with(GroCoConfig { steepness: 0.0, ..GroCoConfig::new(3) }), "steepness"),
        (with(GroCoConfig { large: 1, ..GroCoConfig::new(3) }), "views that give positives"),
        (with(GroCoConfig { large: 3, ..GroCoConfig::new(3) }), "views that give positives"),
        (with(GroCoConfig::new(3).with_ordering(Ordering::Softmax(-1.0))), "temperature -1"),
    ]);
    settings_are_refused([(one.train(GroCoConfig::new(3)), "number of views is 1")]);
    let with = |config: HydraConfig| frame().train(config);
    settings_are_refused([
        (with(HydraConfig { temperature: 0.0, ..HydraConfig::open() }), "temperature 0"),
        (with(HydraConfig { penalty: -0.1, ..HydraConfig::open() }), "gate penalty"),
        (with(HydraConfig::new([6, 0])), "0"),
        (with(HydraConfig::open().with_pairs(near(-1.0))), "exponent is -1"),
        (frame().with_batch(2).train(HydraConfig::open()), "batch_size is 2; allowed is 3 and more"),
    ]);
    let with = |config: AmclConfig| frame().train(config);
    let range = |lowest, highest| PairTemperatures::Learned { lowest, highest, rank: 4 };
    let at = |temperatures| with(AmclConfig { temperatures, ..AmclConfig::new(2) });
    settings_are_refused([
        (with(AmclConfig::new(0)), "heads is 0"),
        (with(AmclConfig { beta: -0.1, ..AmclConfig::new(2) }), "beta"),
        (at(range(0.0, 1.0)), "lowest temperature 0"),
        (at(range(1.0, 1.0)), "lowest temperature 1"),
        (at(range(0.1, f64::INFINITY)), "highest temperature"),
        (at(PairTemperatures::Constant(0.0)), "temperature is 0"),
    ]);
    let with = |config: ISogClrConfig| frame().train(config);
    let base = ISogClrConfig::default();
    settings_are_refused([
        (with(ISogClrConfig { range: [0.0, 1.0], ..base }), "temperature 0"),
        (with(ISogClrConfig { range: [0.2, 0.1], ..base }), "must ascend"),
        (with(base.with_radius(-0.1)), "radius"),
        (with(ISogClrConfig { average: 0.0, ..base }), "moving average"),
        (with(ISogClrConfig { average_epochs: Some(0), ..base }), "0 epochs"),
        (with(ISogClrConfig { share: 0.0, ..base }), "share of a new derivative"),
    ]);
    let ghosts = Frame { encoder: EncoderConfig::mlp(&[9]).with_norm(ChannelNormKind::Ghost(3)), ..frame() };
    settings_are_refused([(
        ghosts.train(SupervisedConfig::plain()),
        "ghost is 3; allowed is 2 and more, a divisor of",
    )]);
}

/// The same images with other labels of so many classes.
fn relabelled(classes: usize, label: impl Fn(usize) -> i32) -> ImageSet {
    let set = images();
    ImageSet::new(Images {
        name: "relabelled".into(),
        shape: set.shape(),
        white: 255,
        pixels: (0..set.len()).flat_map(|image| set.bytes(image).to_vec()).collect(),
        labels: (0..set.len()).map(label).collect(),
        classes: (0..classes).map(|c| c.to_string()).collect(),
        ids: set.ids().to_vec(),
        notes: Vec::new(),
    })
    .unwrap()
}

#[test]
fn hydra_needs_labels_of_three_classes() {
    let refused = |set: &ImageSet, config: HydraConfig| {
        frame().train(config).build(set, 1, &device()).map(|_| ()).unwrap_err().to_string()
    };
    let bare = refused(&relabelled(3, |k| if k == 5 { -1 } else { k as i32 % 3 }), HydraConfig::open());
    assert!(bare.contains("47 of 48 images have a label, of 3 classes; Hydra needs all, of 3 and more"), "{bare}");
    let two = relabelled(2, |k| k as i32 % 2);
    assert!(refused(&two, HydraConfig::open()).contains("of 2 classes"));
    assert!(refused(&two, HydraConfig::open().with_pairs(PairedClasses::Distinct)).contains("of 2 classes"));
    let supervised = HydraConfig::open().with_pairs(PairedClasses::Identical);
    assert!(frame().train(supervised).build(&two, 1, &device()).is_ok());
    let distances = refused(&relabelled(3, |k| k as i32 % 3), HydraConfig::open().with_pairs(near(1.0)));
    assert!(distances.contains("36 distances of 3 classes"), "{distances}");
}

/// The method as it starts, a batch of the images, and the first step.
fn started<S: Settings>(settings: S, set: &ImageSet) -> (S::Method, <S::Method as VisionMethod>::Model, ImageBatch) {
    let (frame, on) = (frame(), (device().autodiff(), DType::F32));
    let start = Start { frame: &frame, set, seed: 7, on };
    let (method, model) = settings.start(&start).unwrap();
    let plain = (device().inner(), DType::F32);
    let mut loader = Loader::new(set, &frame.views, 8, Ahead::default(), plain).unwrap();
    loader.start(1, &mut first().rng());
    (method, model, loader.next_batch())
}

fn first() -> Step {
    Step { epoch: 1, in_epoch: 0, global: 0, steps: 6, batch: 0, sub_step: 0, seed: 7, rank: 0, world: 1 }
}

fn value(losses: Weighted) -> f64 {
    losses.into_iter().map(|(_, loss)| loss.into_data().iter::<f64>().next().unwrap()).sum()
}

/// Gradients of all parameters, one after the other.
fn gradients<M: Module>(model: &M, loss: Tensor<1>) -> Vec<f64> {
    let found = burn::optim::GradientsParams::from_grads(loss.backward(), model);
    let mut all = Vec::new();
    each_float(model, |float| {
        all.extend(float.gradient(&found).iter().flat_map(|g| g.clone().into_data().iter::<f64>().collect::<Vec<_>>()));
    });
    all
}

/// Oracle: with two views and sharpness 1, `L = C + R` for `C` the mean cost of positives; corrected, `C + (R +- tau C) / (1 - tau)`, plus for
/// the derivation and minus for the released code.
#[test]
fn cacrs_correction_has_both_signs() {
    let of = |config: CacrConfig| {
        let (mut method, model, batch) = started(config, &images());
        let value = value(method.losses(&model, &batch, first()).unwrap());
        (value, method.observed()["attraction"], method.observed()["repulsion"])
    };
    let (plain, c, r) = of(CacrConfig::default());
    assert!((plain - c - r).abs() < 1e-5 && c > 0.0 && r < 0.0);
    let tau = 0.2;
    let corrected = CacrConfig::default().with_debiasing(tau);
    for (config, sign) in [(corrected, 1.0), (CacrConfig { as_released: true, ..corrected }, -1.0)] {
        let (value, ..) = of(config);
        let expected = c + (r + sign * tau * c) / (1.0 - tau);
        assert!((value - expected).abs() < 1e-5, "{value} and {expected}");
    }
    // equal weights push away less from the nearest, so their costs of repulsion are larger
    let (_, same, uniform) = of(CacrConfig::default().with_repulsion(0.0));
    assert!((same - c).abs() < 1e-6 && uniform < r, "{uniform} and {r}");
}

/// Three views of which two or all give positives are different losses; what stands still changes the gradients.
#[test]
fn groco_takes_positives_of_full_crops() {
    let set = images();
    let frame = Frame { views: Views { each: vec![views(12); 3] }, ..frame() };
    let loss = |large: usize| {
        let config = GroCoConfig { large, ..GroCoConfig::new(3) };
        frame.train(config).build(&set, 7, &device()).unwrap().train_step().unwrap()[0].1
    };
    assert!((loss(2) - loss(3)).abs() > 1e-4);
    let (mut method, model, batch) = started(GroCoConfig::new(3), &set);
    let stopped = gradients(&model, method.losses(&model, &batch, first()).unwrap().remove(0).1);
    let (mut method, model, batch) = started(GroCoConfig { stop_gradient: false, ..GroCoConfig::new(3) }, &set);
    let through = gradients(&model, method.losses(&model, &batch, first()).unwrap().remove(0).1);
    assert!(stopped.iter().zip(&through).any(|(a, b)| (a - b).abs() > 1e-6));
}

#[test]
fn hydra_reports_its_gates_and_refuses_a_single_class() {
    let set = images();
    let (mut method, model, mut batch) = started(HydraConfig::new([6, 8]), &set);
    method.losses(&model, &batch, first()).unwrap();
    let seen = method.observed();
    let (mean, entropy) = (seen["gate mean"], seen["gate entropy"]);
    assert!(mean > 0.0 && mean < 1.0 && entropy > 0.0 && entropy <= 2f64.ln(), "{mean}, {entropy}");
    let report = *method.report().unwrap();
    assert_eq!(report.anchors + report.skipped, 8);
    let (mut open, model, _) = started(HydraConfig::open(), &set);
    open.losses(&model, &batch, first()).unwrap();
    assert_eq!((open.observed()["gate mean"], open.observed()["gate entropy"]), (1.0, 0.0));
    batch.labels = vec![2; 8];
    let error = open.losses(&model, &batch, first()).unwrap_err().to_string();
    assert!(error.contains("none of 8 anchors"), "{error}");
    batch.labels[3] = 6;
    let error = open.losses(&model, &batch, first()).unwrap_err().to_string();
    assert!(error.contains("label 6 of row 3"), "{error}");
}

/// Heads that are drawn apart stay apart; the twin has the middle of the range; temperatures lie within it.
#[test]
fn amcls_heads_differ_and_their_temperatures_are_reported() {
    let set = images();
    assert_eq!(AmclConfig::new(3).twin().temperatures, PairTemperatures::Constant(0.525));
    let mut training = frame().train(AmclConfig::new(3)).build(&set, 7, &device()).unwrap();
    for _ in 0..10 {
        training.train_step().unwrap();
    }
    let weights = |head: usize| -> Vec<f32> {
        training.trained_model().heads.heads[head].maps[0].weight.val().into_data().iter::<f32>().collect()
    };
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let apart = weights(a).iter().zip(weights(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart > 0.01, "heads {a} and {b}: {apart}");
    }
    let method = training.method().method();
    assert_eq!(method.heads().len(), 3);
    for [_, positives, negatives] in method.heads() {
        assert!((0.05..=1.0).contains(positives) && (0.05..=1.0).contains(negatives));
    }
    assert_eq!(method.observed().len(), 9);
}

#[test]
fn isogclr_refuses_images_it_does_not_know_and_keeps_its_state() {
    let set = images();
    let (mut method, model, mut batch) = started(ISogClrConfig::default(), &set);
    method.losses(&model, &batch, first()).unwrap();
    let state = method.state();
    let good = batch.images.clone();
    batch.images[2] = 48;
    let beyond = method.losses(&model, &batch, first()).unwrap_err().to_string();
    assert!(beyond.contains("row 2 of the batch is sample 48: the samples are 0 to 47"), "{beyond}");
    batch.images[2] = good[5];
    let twice = method.losses(&model, &batch, first()).unwrap_err().to_string();
    assert!(twice.contains("may stand in a batch once"), "{twice}");
    assert_eq!(method.state(), state);
    // images of the batch have moved, the others have not
    let temperatures = method.temperatures();
    for (image, temperature) in temperatures.iter().enumerate() {
        assert_eq!(*temperature != 0.1, good.contains(&image), "image {image}: {temperature}");
    }
    // a state of other images is refused
    let (other, ..) = started(ISogClrConfig::default(), &set.first(40).unwrap());
    assert!(method.load_state(other.state()).unwrap_err().to_string().contains("40 numbers, not 48"));
}

/// Oracle (check 1 of the specification, through the method): at a temperature that stays and with averages of the newest batch alone, the
/// gradient of all parameters is that of DCL times the temperature, for both views.
#[test]
fn sogclr_without_memory_is_decoupled() {
    let (set, t) = (images(), 0.3);
    let config = ISogClrConfig { average: 1.0, ..ISogClrConfig::fixed(t) };
    assert_eq!(config.name(), "SogCLR");
    let (mut sog, model, batch) = started(config, &set);
    let got = gradients(&model, sog.losses(&model, &batch, first()).unwrap().remove(0).1);
    let (mut dcl, model, batch) = started(DclConfig::new(t), &set);
    let want = gradients(&model, dcl.losses(&model, &batch, first()).unwrap().remove(0).1);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = dot(&got, &want) / (dot(&got, &got) * dot(&want, &want)).sqrt();
    let ratio = dot(&got, &want) / dot(&want, &want);
    println!("cosine {cosine}, ratio {ratio}");
    assert!(cosine > 1.0 - 1e-6 && (ratio - 2.0 * t).abs() < 1e-4, "{cosine}, {ratio}");
}

/// Ghosts of the whole batch are the batch's norm; smaller ones are not. A plain classifier does not look at its second view.
#[test]
fn ghosts_and_plain_classifiers() {
    let set = images();
    let loss = |frame: &Frame, settings: SupervisedConfig| -> Vec<f64> {
        let mut training = frame.train(settings).build(&set, 7, &device()).unwrap();
        (0..3).map(|_| training.train_step().unwrap()[0].1).collect()
    };
    let normed = |norm| Frame { encoder: EncoderConfig::mlp(&[9, 7]).with_norm(norm), ..frame() };
    let [batch, whole, half] = [ChannelNormKind::Batch, ChannelNormKind::Ghost(8), ChannelNormKind::Ghost(4)]
        .map(|norm| loss(&normed(norm), SupervisedConfig::plain()));
    assert_eq!(batch, whole);
    assert!((batch[0] - half[0]).abs() > 1e-4);
    let mut other = normed(ChannelNormKind::Batch);
    other.views.each[1] = other.views.each[1].clone().then(contrastive_data::augment::Step::Noise(0.4).always());
    assert_eq!(loss(&other, SupervisedConfig::plain()), batch);
    let both = SupervisedConfig { one_view: false, ..SupervisedConfig::plain() };
    assert_ne!(loss(&other, both), loss(&normed(ChannelNormKind::Batch), both));
}

#[test]
fn a_long_tail_has_its_sizes() {
    let set = relabelled(4, |k| k as i32 % 4);
    let [tail, rest] = long_tail(&set, 8, 1).unwrap();
    let count = |set: &ImageSet, class: u32| set.labelled().1.iter().filter(|label| **label == class).count();
    assert_eq!([0, 1, 2, 3].map(|class| count(&tail, class)), [8, 4, 2, 1]);
    assert_eq!(rest.len(), 33);
    let [few, _] = long_tail(&set, 3, 3).unwrap();
    assert_eq!(few.len(), 12);
    for (most, least, words) in [(8, 0, "least is 0"), (2, 3, "least is 3"), (99, 99, "both parts need an image")] {
        let error = long_tail(&set, most, least).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
