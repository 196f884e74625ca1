//! MoCHi, FT and Hallucinator: what every method owes, and the mechanisms of their specifications.

use crate::{device, frame, golden, images};
use contrastive_data::augment::Step;
use contrastive_train::testing::{gradients_are_derivatives, resumes_bit_for_bit, settings_are_refused};
use contrastive_train::{Budget, MethodConfig, Metrics};
use contrastive_vision::data::{Canvases, digits};
use contrastive_vision::encoder::EncoderConfig;
use contrastive_vision::evaluate::{Protocol, cell_probe};
use contrastive_vision::method::*;

fn mochi() -> MochiConfig {
    MochiConfig { hardest: 8, mixed: 4, with_query: 2, warm_up: 2, ..MochiConfig::new(20) }
}

fn resumes<S: Settings>(settings: S) {
    let images = images();
    resumes_bit_for_bit(&|| frame().train(settings.clone()).build(&images, 7, &device()).unwrap(), 8);
}

#[test]
fn hard_negatives_resume_bit_for_bit() {
    resumes(mochi());
    resumes(FeatureTransformConfig::new(20));
    resumes(HallucinatorConfig::new(Host::Moco(20)));
    resumes(HallucinatorConfig::new(Host::SimClr));
}

/// What the last of some steps saw.
fn observed<S: Settings>(settings: S, steps: usize) -> (f64, Metrics) {
    let mut training = frame().train(settings).build(&images(), 7, &device()).unwrap();
    let mut loss = 0.0;
    for _ in 0..steps {
        loss = training.train_step().unwrap()[0].1;
    }
    (loss, training.method().method().observed())
}

/// Checks 2 of MoCHi and FT, 3 of Hallucinator: without their own part they are the host, to rounding; and keys enter the queue as they were.
#[test]
fn without_their_own_part_they_are_moco() {
    let moco = |steps| {
        let settings = MocoConfig::new(20);
        let mut training = frame().train(settings).build(&images(), 7, &device()).unwrap();
        (0..steps).map(|_| training.train_step().unwrap()[0].1).collect::<Vec<f64>>()
    };
    let host = moco(6);
    let close = |name: &str, found: f64| assert!((found - host[5]).abs() < 1e-4, "{name}: {found}, MoCo {}", host[5]);
    close("MoCHi", observed(MochiConfig { hardest: 8, ..MochiConfig::new(20) }.without_mixtures(), 6).0);
    // during the warm-up
    close("MoCHi, warm-up", observed(MochiConfig { warm_up: 100, ..mochi() }, 6).0);
    close("FT", observed(FeatureTransformConfig::new(20).with_transforms(None, None), 6).0);
    close(
        "FT before its start",
        observed(FeatureTransformConfig { from_step: 100, ..FeatureTransformConfig::new(20) }, 6).0,
    );
    close("Hallucinator", observed(HallucinatorConfig::new(Host::Moco(20)).off(), 6).0);
}

/// Check 4 of MoCHi and 8 of FT on single steps: more negatives cost more; positives are pushed apart by exactly `2 lambda (lambda - 1) (1 - s)`.
#[test]
fn mixtures_are_harder_and_positives_farther() {
    let config = MochiConfig { warm_up: 0, ..mochi() };
    let (plain, mixed) = (observed(config.without_mixtures(), 1), observed(config, 1));
    assert!(mixed.0 > plain.0, "{} {}", mixed.0, plain.0);
    assert!(mixed.1["hardest"] >= plain.1["hardest_real"] && mixed.1["proxy_accuracy"] <= plain.1["proxy_accuracy"]);
    assert!(!plain.1.contains_key("hardest_synthetic"));
    for steps in [1, 5] {
        let seen = observed(FeatureTransformConfig::new(20), steps).1;
        assert!((seen["shift"] - seen["expected_shift"]).abs() < 1e-5 && seen["shift"] > 0.0, "{seen:?}");
        assert!((seen["raw_positive_mean"] - seen["shift"] - seen["positive_mean"]).abs() < 1e-5);
    }
    let seen = observed(HallucinatorConfig::new(Host::Moco(20)), 3).1;
    assert!((0.0..0.1).contains(&seen["r"]) && seen["cos_hq"].abs() < 0.999, "{seen:?}");
}

#[test]
fn hard_negatives_have_gradients_that_are_derivatives() {
    fn check<S: Settings>(settings: S) {
        let (images, mut frame) = (images(), frame());
        frame.encoder = EncoderConfig::mlp(&[9]);
        let config = VisionConfig { double: true, ..frame.train(settings.clone()) };
        let sound = |seed: u64| {
            let check = || gradients_are_derivatives(&|| config.build(&images, seed, &device()).unwrap(), 1e-5);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_ok()
        };
        assert!([7, 8, 9, 10].into_iter().any(sound), "{}: no start of four", settings.name());
    }
    check(FeatureTransformConfig::new(20));
    check(HallucinatorConfig::new(Host::Moco(20)));
    check(HallucinatorConfig::new(Host::SimClr));
}

#[test]
fn settings_of_hard_negatives_are_refused() {
    settings_are_refused([
        (frame().train(MochiConfig { hardest: 21, ..mochi() }), "hardest is 21; allowed is at most 20"),
        (frame().train(MochiConfig { temperature: 0.0, ..mochi() }), "temperature 0"),
        (frame().train(MochiConfig { momentum: 1.5, ..mochi() }), "momentum 1.5"),
    ]);
    assert!(frame().train(MochiConfig { hardest: 0, ..mochi() }).validate().is_err());
    for bad in [0.0, -1.0, f64::NAN] {
        let config = FeatureTransformConfig::new(20);
        assert!(frame().train(config.with_transforms(Some(bad), None)).validate().is_err());
        assert!(frame().train(config.with_transforms(None, Some(bad))).validate().is_err());
        let config = HallucinatorConfig { largest_extrapolation: bad - 0.1, ..HallucinatorConfig::new(Host::SimClr) };
        assert!(frame().train(config).validate().is_err());
    }
}

/// Checks 8 on optdigits, one seed, 300 steps: the mechanisms hold. No gain in accuracy is claimed.
#[test]
fn golden_data_d8_mechanisms_of_hard_negatives() {
    let Some(folder) = golden::shared().and_then(|root| golden::present(root.join("data/optdigits"))) else { return };
    let mut d8 = Protocol::d8(digits(&folder).unwrap()).with_budget(Budget::Steps(300));
    d8.frame = d8.frame.with_batch(64);
    fn last<S: Settings>(d8: &Protocol, settings: S) -> Metrics {
        d8.run_watched(settings, 0, &device()).unwrap().1.method().method().observed()
    }
    let mochi = MochiConfig::new(1024).with_temperature(0.1);
    let (mixed, plain) = (last(&d8, mochi), last(&d8, mochi.without_mixtures()));
    println!("MoCHi {mixed:?}\nMoCo {plain:?}");
    assert!(mixed["proxy_accuracy"] < plain["proxy_accuracy"] - 0.1 && mixed["hardest"] > plain["hardest_real"] + 0.05);
    let ft = last(&d8, FeatureTransformConfig::new(1024).with_temperature(0.1));
    println!("FT {ft:?}");
    assert!((ft["shift"] - ft["expected_shift"]).abs() < 1e-5);
}

/// PixPro: resume, gradients of the query side, boxes that are missing, encoders without cells; and canvases with a label for each cell.
#[test]
fn cells_are_compared_by_place() {
    for settings in [PixProConfig::consistency(), PixProConfig::contrast().with_instance(0.5)] {
        resumes(settings);
        let images = images();
        let mut frame = frame();
        frame.training.batch_size = 6;
        let config = VisionConfig { double: true, ..frame.train(settings) };
        let sound = |seed: u64| {
            let check = || gradients_are_derivatives(&|| config.build(&images, seed, &device()).unwrap(), 1e-4);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_ok()
        };
        assert!([7, 8, 9, 10].into_iter().any(sound), "{}: no start of four", settings.name());
    }
    let mut turned = frame();
    let warp = Step::Affine { turn: 10.0, scale: 0.0, shear: 0.0, shift: 0.0 };
    turned.views.each[1] = turned.views.each[1].clone().then(warp.always());
    let mut training = turned.train(PixProConfig::contrast()).build(&images(), 1, &device()).unwrap();
    let error = training.train_step().unwrap_err().to_string();
    assert!(error.contains("view 1") && error.contains("turned"), "{error}");
    let flat = Frame { encoder: EncoderConfig::mlp(&[9]), ..frame() };
    settings_are_refused([
        (flat.train(PixProConfig::contrast()), "allowed is convolutions"),
        (frame().train(PixProConfig { threshold: 0.0, ..PixProConfig::contrast() }), "0"),
        (frame().train(PixProConfig { momentum: -1.0, ..PixProConfig::contrast() }), "momentum"),
    ]);
    let canvases = Canvases::new(&images(), 2, 5, 3).unwrap();
    assert_eq!((canvases.images.shape(), canvases.labels.len()), ([3, 24, 24], 20));
    let cells = canvases.of_cells([4, 4]);
    assert_eq!(cells[..4], [0, 0, 1, 1].map(|tile| canvases.labels[tile]));
    assert_eq!(cells[12..16], [2, 2, 3, 3].map(|tile| canvases.labels[tile]));
    // the tile is the image it was drawn from
    let picture = canvases.images.picture::<f64>(0);
    let tile: Vec<f64> = (0..12).flat_map(|y| (12..24).map(move |x| y * 24 + x)).map(|at| picture.data[at]).collect();
    let found = (0..48).filter(|at| images().label(*at) == Some(canvases.labels[1]));
    assert!(found.into_iter().any(|at| images().picture::<f64>(at).data[..144] == tile[..]));
    assert!(Canvases::new(&images(), 0, 5, 3).is_err());
    let encoder = EncoderConfig::conv(&[4, 6]).init([3, 24, 24], 1, &(device(), burn::tensor::DType::F32)).unwrap();
    let other = Canvases::new(&images(), 2, 8, 4).unwrap();
    let accuracy = cell_probe(Some(&encoder), [&canvases, &other], &device()).unwrap();
    assert!(
        (0.0..=100.0).contains(&accuracy)
            && cell_probe(None, [&canvases, &other], &device()).unwrap() > accuracy - 60.0
    );
}
