//! SepCLR end to end: batches of both kinds, resume, gradients, what is refused, and the overlaid digits.

use crate::methods::resumes;
use crate::{device, frame, golden, images};
use contrastive_core::objective::Attribute;
use contrastive_data::augment::{Views, presets};
use contrastive_data::image::{ImageSet, Images, shapes};
use contrastive_train::testing::{gradients_are_derivatives, settings_are_refused};
use contrastive_train::{Budget, MethodConfig, TrainingConfig};
use contrastive_vision::data::{TwoKinds, class_labels, digits, digits_on, striped};
use contrastive_vision::encoder::{EncoderConfig, embed};
use contrastive_vision::evaluate::Protocol;
use contrastive_vision::method::*;

fn kinds(count: usize) -> Vec<i64> {
    (0..count).map(|image| i64::from(image % 3 != 0)).collect()
}

fn attributes(count: usize) -> Vec<Attribute> {
    let values = |scale: f64| (0..count).map(|image| (image as f64 * scale).sin()).collect();
    vec![Attribute { values: values(0.3), width: 0.025 }, Attribute { values: values(1.7), width: 0.025 }]
}

#[test]
fn sepclr_resumes_bit_for_bit() {
    resumes(SepClrConfig::new(&kinds(48)).with_representation(6));
    resumes(SepClrConfig::new(&kinds(48)).with_representation(6).with_attributes(attributes(48)));
}

#[test]
fn gradients_of_sepclr_are_derivatives() {
    let images = images();
    let mut frame = frame();
    frame.encoder = EncoderConfig::mlp(&[9]);
    for settings in [
        SepClrConfig::new(&kinds(48)).with_representation(4),
        SepClrConfig::new(&kinds(48)).with_representation(4).with_attributes(attributes(48)),
    ] {
        let config = VisionConfig { double: true, ..frame.train(settings) };
        let sound = |seed: u64| {
            let check = || gradients_are_derivatives(&|| config.build(&images, seed, &device()).unwrap(), 1e-5);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_ok()
        };
        assert!([7, 8, 9, 10].into_iter().any(sound), "no start of four");
    }
}

/// Check 7, and what only the data can tell.
#[test]
fn kinds_that_cannot_be() {
    let of = |kinds: Vec<i64>| frame().train(SepClrConfig::new(&kinds));
    let mut wrong = kinds(48);
    wrong[5] = 2;
    settings_are_refused([
        (of(wrong), "kind is 2; allowed is 0 (background) or 1 (target) for each image; this is image 5"),
        (frame().train(SepClrConfig { tau: 0.0, ..SepClrConfig::new(&kinds(48)) }), "variance of the kernel"),
        (frame().train(SepClrConfig::new(&kinds(48)).with_weights([1.0, -1.0, 1.0])), "weight of the background"),
        (frame().with_batch(3).train(SepClrConfig::new(&kinds(48))), "batch_size is 3; allowed is 4 and more"),
        (frame().train(SepClrConfig::new(&kinds(48)).with_representation(0)), "representation is 0"),
        (frame().train(SepClrConfig::new(&kinds(48)).with_attributes(attributes(47))), "one for each of 48 images"),
    ]);
    let images = images();
    let refused = |kinds: Vec<i64>| of(kinds).build(&images, 1, &device()).unwrap_err().to_string();
    assert!(refused(kinds(47)).contains("kinds of 47 images"), "{}", refused(kinds(47)));
    let mut single = vec![0; 48];
    single[3] = 1;
    assert!(refused(single).contains("47 backgrounds and 1 targets"));
    assert!(refused(vec![1; 48]).contains("0 backgrounds and 48 targets"));
}

/// Every batch has as many images of either kind, and an epoch ends before one comes twice.
#[test]
fn batches_hold_both_kinds() {
    let (images, kinds) = (images(), kinds(48));
    let settings = SepClrConfig::new(&kinds);
    let batches = settings.batches(&images, 8, 7).unwrap().unwrap();
    let epoch = batches.epoch(1, &mut contrastive_train::epoch_rng(7, 1));
    assert_eq!(epoch.len(), 4, "16 backgrounds, four in each batch");
    for batch in &epoch {
        assert_eq!(batch.iter().map(|image| kinds[*image]).sum::<i64>(), 4);
    }
    let mut all = epoch.concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 32);
    // what was seen joins the metrics
    let mut training = frame().train(settings).build(&images, 7, &device()).unwrap();
    training.train_step().unwrap();
    let observed = training.method().method().observed();
    assert!(observed["salient length, targets"] > 0.0 && observed["salient length, backgrounds"] > 0.0);
}

/// Check 5: without the joint entropy the common tower learns as if there were no other.
#[test]
fn without_the_joint_term_the_towers_are_apart() {
    let images = images();
    let common = |weights: [f64; 3]| {
        let settings = SepClrConfig::new(&kinds(48)).with_weights(weights);
        let mut training = frame().train(settings).build(&images, 7, &device()).unwrap();
        (0..3).for_each(|_| drop(training.train_step().unwrap()));
        embed(training.trained_model().encoder(), &images, &device()).unwrap()
    };
    let alone = common([0.0, 0.0, 0.0]);
    let apart = common([3.0, 2.0, 0.0]);
    let bound = common([3.0, 2.0, 5.0]);
    let far = |a: &ndarray::Array2<f32>| (a - &alone).iter().fold(0f32, |m, x| m.max(x.abs()));
    assert!(far(&apart) == 0.0 && far(&bound) > 1e-4, "{} {}", far(&apart), far(&bound));
}

/// Half of the images are targets; backgrounds are the image at half its brightness; the same for a seed.
#[test]
fn overlays_are_halves() {
    let grey = |set: &ImageSet| {
        ImageSet::new(Images {
            name: "grey".into(),
            shape: [1, 12, 12],
            white: 255,
            pixels: (0..set.len()).flat_map(|image| set.bytes(image)[..144].to_vec()).collect(),
            labels: (0..set.len()).map(|image| set.label(image).unwrap() as i32).collect(),
            classes: set.classes().to_vec(),
            ids: set.ids().to_vec(),
            notes: Vec::new(),
        })
        .unwrap()
    };
    let (base, other) = (grey(&shapes(40, 12, 1)), grey(&shapes(10, 12, 2)));
    let check = |made: TwoKinds| {
        assert_eq!(made.targets().len(), 20);
        for image in 0..40 {
            let (a, b) = (base.picture::<f32>(image), made.set.picture::<f32>(image));
            for (a, b) in a.data.iter().zip(&b.data) {
                let over = 2.0 * b - a;
                assert!(if made.kinds[image] == 0 { over.abs() < 0.01 } else { (-0.01..1.01).contains(&over) });
            }
            assert!(made.salient[image] < made.salient_classes as u32);
        }
        assert_eq!(made.set.label(3), base.label(3));
    };
    check(striped(&base, 5).unwrap());
    check(digits_on(&base, &other, 5).unwrap());
    assert_eq!(
        striped(&base, 5).unwrap().set.digest().to_string(),
        striped(&base, 5).unwrap().set.digest().to_string()
    );
    let error = striped(&shapes(9, 12, 1), 1).unwrap_err().to_string();
    assert!(error.contains("9 images of 3 channels"), "{error}");
    let bare = Images {
        name: "bare".into(),
        shape: [1, 1, 1],
        white: 1,
        pixels: vec![0; 4],
        labels: vec![-1; 4],
        ..Images::default()
    };
    let bare = ImageSet::new(Images { ids: (0..4).map(|k| k.to_string()).collect(), ..bare }).unwrap();
    assert!(digits_on(&base, &bare, 1).unwrap_err().to_string().contains("has no label"));
    assert!(class_labels(&bare).unwrap_err().to_string().contains("a sampler of classes needs all"));
}

/// Check 8 (a): digits with stripes. The pilot: common digit 83.2 and 84.6, salient digit 57.1 and 59.9, salient stripes 100, SimCLR's
/// digit 77.5 and 76.7. The stripes stay readable from the common space, in the pilot (98 to 99) as here: nothing is asserted of that.
#[test]
#[ignore = "two trainings of 400 steps"]
fn golden_data_d8_digits_with_stripes() {
    let Some(folder) = golden::shared().and_then(|root| golden::present(root.join("data/optdigits"))) else { return };
    let [train, test] = digits(&folder).unwrap();
    let (train, test) = (striped(&train, 1).unwrap(), striped(&test, 2).unwrap());
    let training = TrainingConfig::new(Budget::Steps(400), 128, 2e-3);
    let mut d8 = Protocol::d8([train.set.clone(), test.set.clone()]);
    d8.frame = Frame::new(EncoderConfig::mlp(&[192, 64]), [64, 16], Views::two(presets::d8(0.4)), training);
    let mut all = [[0.0; 2]; 3];
    for seed in 0..3 {
        let settings = SepClrConfig::new(&train.kinds).with_representation(16);
        let (_, trained) = d8.run_watched(settings, seed, &device()).unwrap();
        let model = trained.trained_model();
        let of = |set: &TwoKinds| model.represent(&set.set, &device()).unwrap();
        let found = Separation::of((&of(&train), &train), (&of(&test), &test), 20).unwrap();
        let (_, simclr) = d8.run_watched(SimClrConfig::new(0.2), seed, &device()).unwrap();
        let rows = |set: &TwoKinds| embed(simclr.trained_model().encoder(), &set.set, &device()).unwrap();
        let (a, b) = (rows(&train), rows(&test));
        let one = Separation::of((&[a.clone(), a], &train), (&[b.clone(), b], &test), 20).unwrap();
        println!("seed {seed}: SepCLR {found:?}\nSimCLR {one:?}");
        for (sum, of_seed) in all.iter_mut().zip([found.common, found.salient, one.common]) {
            (0..2).for_each(|k| sum[k] += of_seed[k] / 3.0);
        }
    }
    // means: seed 0 alone leads SimCLR by 1.7
    let [common, salient, simclr] = all;
    assert!(common[0] >= common[1] + 15.0 && salient[1] >= 95.0, "{all:?}");
    assert!(common[0] >= simclr[0] + 3.0, "{all:?}");
}
