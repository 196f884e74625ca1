//! COMET: checks of its specification.

use crate::{close, device, generator, values};
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_core::objective::{IdentityContrast, InfoNce, Ts2Vec};
use contrastive_timeseries::data::{Names, Series, Short, gaits, standardise_each, windows};
use contrastive_timeseries::encoder::DilatedNetConfig;
use contrastive_timeseries::method::{Comet, CometConfig, FineTune, Levels};
use contrastive_train::{MethodConfig, Training, testing};
use ndarray::Array3;

fn wide(data: Vec<f64>, shape: [usize; 3]) -> Tensor<3> {
    Tensor::from_data(TensorData::new(data, shape), (&device().autodiff(), DType::F64)).require_grad()
}

fn u() -> Tensor<3> {
    wide(vec![1.0, 0.2, 0.5, -0.3, 0.8, 0.1, 0.6, -0.2, -0.4, 0.9, 0.7, 0.3], [3, 2, 2])
}

fn w() -> Tensor<3> {
    wide(vec![0.9, 0.3, 0.4, -0.2, 0.7, 0.2, 0.5, -0.4, -0.5, 0.8, 0.6, 0.2], [3, 2, 2])
}

fn one(x: &Tensor<1>) -> f64 {
    values(x)[0]
}

#[test]
fn identity_contrast_has_the_numbers_of_the_specification() {
    let contrast = IdentityContrast::new(0.1).unwrap();
    let loss = contrast.one_sided(true).loss(u(), w(), &[0, 0, 1]);
    close("one-sided", &[one(&loss)], &[0.7347185699], 1e-9);
    let s = contrast.similarities(u(), w()).slice([0..1, 0..3]);
    close("first row", &values(&s), &[9.610227, 9.900204, 0.536485], 1e-6);
}

#[test]
fn hierarchies_have_the_numbers_of_the_specification() {
    let make = |f: &dyn Fn(f64, f64, f64) -> f64| {
        let data = (0..2 * 4 * 3).map(|at| f((at / 12) as f64, (at / 3 % 4) as f64, (at % 3) as f64)).collect();
        wide(data, [2, 4, 3])
    };
    let z1 = || make(&|b, t, c| (1.0 + b + 2.0 * t + 3.0 * c).sin());
    let z2 = || make(&|b, t, c| (1.0 + 2.0 * b + t + 2.0 * c).cos());
    let level = |share: f64| Ts2Vec::new(share, 0).unwrap().without_last_scale();
    close("sample", &[one(&level(1.0).loss(z1(), z2()))], &[1.1068345854], 1e-9);
    close("observation", &[one(&level(0.0).loss(z1(), z2()))], &[1.4569650970], 1e-9);
    // the gradient of the shortened hierarchy
    for share in [0.0, 1.0] {
        let (a, b) = (z1(), z2());
        let got = values(&a.grad(&level(share).loss(a.clone(), b.clone()).backward()).unwrap());
        let base = values(&a);
        for k in 0..24 {
            let at = |h: f64| {
                let mut moved = base.clone();
                moved[k] += h;
                one(&level(share).loss(wide(moved, [2, 4, 3]), b.clone()))
            };
            let want = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!((got[k] - want).abs() < 1e-7, "{k}: {} instead of {want}", got[k]);
        }
    }
}

#[test]
fn identity_contrast_at_its_ends() {
    let contrast = IdentityContrast::new(0.1).unwrap();
    let (a, b) = (u(), w());
    let loss = contrast.loss(a.clone(), b, &[0, 1, 2]);
    assert_eq!(one(&loss), 0.0);
    assert_eq!(values(&a.grad(&loss.backward()).unwrap()), vec![0.0; 12]);
    let equal = || wide(vec![0.5; 5 * 3 * 2], [5, 3, 2]);
    for one_sided in [false, true] {
        let loss = contrast.one_sided(one_sided).loss(equal(), equal(), &[7; 5]);
        close("all equal", &[one(&loss)], &[5f64.ln()], 1e-12);
    }
    // vectors of zeros are finite
    let zeros = || wide(vec![0.0; 12], [3, 2, 2]);
    let a = zeros();
    let loss = contrast.loss(a.clone(), zeros(), &[0, 0, 1]);
    assert!(one(&loss).is_finite() && values(&a.grad(&loss.backward()).unwrap()).iter().all(|v| v.is_finite()));
}

#[test]
fn what_the_identity_contrast_does_not_see() {
    let contrast = IdentityContrast::new(0.1).unwrap();
    let ids = [0, 0, 1];
    let plain = one(&contrast.loss(u(), w(), &ids));
    // a channel of a view times a positive number
    let scale = Tensor::<3>::from_data(TensorData::new(vec![3.0, 1.0], [1, 1, 2]), (&device(), DType::F64));
    let scaled = contrast.loss(u() * Tensor::from_inner(scale), w(), &ids);
    close("scaled channel", &[one(&scaled)], &[plain], 1e-12);
    close("relabelled", &[one(&contrast.loss(u(), w(), &[9, 9, 4]))], &[plain], 0.0);
    // the order of the batch: nothing to the symmetric form, something to the one-sided one
    let turn = |x: Tensor<3>| {
        Tensor::cat(
            vec![x.clone().slice([2..3, 0..2, 0..2]), x.clone().slice([1..2, 0..2, 0..2]), x.slice([0..1, 0..2, 0..2])],
            0,
        )
    };
    let turned = one(&contrast.loss(turn(u()), turn(w()), &[1, 0, 0]));
    close("permuted", &[turned], &[plain], 1e-12);
    let sided = contrast.one_sided(true);
    let (a, b) = (one(&sided.loss(u(), w(), &ids)), one(&sided.loss(turn(u()), turn(w()), &[1, 0, 0])));
    assert!((a - b).abs() > 1e-3, "{a} and {b}");
}

#[test]
fn with_the_own_window_as_positive_it_is_info_nce_in_both_directions() {
    let contrast = IdentityContrast::new(0.1).unwrap().with_own_positive(true);
    let loss = one(&contrast.loss(u(), w(), &[0, 1, 2]));
    let flat = |x: Tensor<3>| -> Tensor<2> {
        let length = (x.clone() * x.clone()).sum_dim(1).sqrt();
        (x / length).reshape([3, 4])
    };
    let info_nce = InfoNce::new(0.1).unwrap();
    let want = (one(&info_nce.loss(flat(u()), flat(w()))) + one(&info_nce.loss(flat(w()), flat(u())))) / 2.0;
    close("InfoNCE", &[loss], &[want], 1e-10);
}

#[test]
fn gradients_of_the_identity_contrast_are_finite_differences() {
    for one_sided in [false, true] {
        let contrast = IdentityContrast::new(0.5).unwrap().one_sided(one_sided);
        let (a, b) = (u(), w());
        let loss = contrast.loss(a.clone(), b.clone(), &[0, 0, 0]);
        let gradients = loss.backward();
        for (leaf, first) in [(&a, true), (&b, false)] {
            let (got, base) = (values(&leaf.grad(&gradients).unwrap()), values(leaf));
            for k in 0..12 {
                let at = |h: f64| {
                    let mut moved = base.clone();
                    moved[k] += h;
                    let x = wide(moved, [3, 2, 2]);
                    let (u, w) = if first { (x, b.clone()) } else { (a.clone(), x) };
                    one(&contrast.loss(u, w, &[0, 0, 0]))
                };
                let want = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!((got[k] - want).abs() < 1e-7, "{k}: {} instead of {want}", got[k]);
            }
        }
    }
}

fn gait_windows() -> Series {
    let all = gaits(3, 2, 96, 1).unwrap();
    windows(&standardise_each(&all), 32, 0.5, Short::Drop).unwrap().series
}

fn small(levels: Levels) -> CometConfig {
    let net = DilatedNetConfig::new().with_output(8).with_hidden(6).with_depth(2);
    let config = CometConfig::new().with_net(net).with_levels(levels);
    let training = config.training.clone().with_batch_size(24);
    config.with_training(training)
}

#[test]
fn levels_without_weight_cost_no_passes() {
    let series = gait_windows();
    let passes = |config: CometConfig| {
        let mut training: Training<Comet> = config.build(&series, 1, &device()).unwrap();
        training.train_step().unwrap();
        training.method().passes()
    };
    assert_eq!(passes(small(Levels::ALL)), 4);
    assert_eq!(passes(small(Levels::ALL).with_separate_passes(true)), 8);
    assert_eq!(passes(small(Levels::WITHOUT_PATIENT)), 4);
    assert_eq!(passes(small(Levels::WITHIN_WINDOWS)), 2);
    assert_eq!(passes(small(Levels { sample: 0.0, observation: 0.0, ..Levels::ALL })), 2);
    assert_eq!(
        passes(small(Levels { patient: 0.0, trial: 0.0, sample: 0.0, observation: 1.0 }).with_separate_passes(true)),
        2
    );
}

#[test]
fn batches_keep_recordings_together_and_epochs_only_shuffle_within() {
    let series = gait_windows();
    let training = small(Levels::ALL).build(&series, 5, &device()).unwrap();
    let pairs = training.method().positive_pairs();
    assert!(pairs.iter().all(|[trial, person]| *trial > 0 && person >= trial), "{pairs:?}");
    // five windows a recording, 24 a batch: nearly all windows have their partners
    let total: usize = pairs.iter().map(|p| p[0]).sum();
    assert!(total > 18 * 5 * 4 * 7 / 10, "{total}");
    let mut training = training;
    training.train_epoch().unwrap();
    assert_eq!(training.method().positive_pairs(), pairs);
}

#[test]
fn comet_refuses_what_it_cannot_use() {
    let says = |result: Result<Training<Comet>, _>, text: &str| match result {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => {
            let error = format!("{error}");
            assert!(error.contains(text) && error.len() < 500, "{error}");
        }
    };
    let series = gait_windows();
    says(
        small(Levels { patient: 0.0, trial: 0.0, sample: 0.0, observation: 0.0 }).build(&series, 1, &device()),
        "sum of the levels is 0",
    );
    says(small(Levels { trial: -1.0, ..Levels::ALL }).build(&series, 1, &device()), "trial is -1");
    says(small(Levels::ALL).with_temperature(0.0).build(&series, 1, &device()), "temperature 0");
    let plain = |shape: (usize, usize, usize)| Series::from_array(&Array3::ones(shape)).unwrap();
    says(small(Levels::ALL).build(&plain((8, 1, 2)), 1, &device()), "single time step");
    says(small(Levels::ALL).build(&plain((8, 9, 2)), 1, &device()), "no recording ids");
    let apart = Names::new(&(0..8).map(|i| i.to_string()).collect::<Vec<_>>());
    let apart = plain((8, 9, 2)).with_recordings(apart).unwrap();
    says(small(Levels::WITHOUT_PATIENT).build(&apart, 1, &device()), "no two of one trial");
    let mut holed = Array3::ones((4, 9, 1));
    holed[[2, 5, 0]] = f32::NAN;
    says(
        small(Levels::WITHIN_WINDOWS).build(&Series::from_array(&holed).unwrap(), 1, &device()),
        "series 2, step 5, channel 0: missing",
    );
    // ids of another length, from the series itself
    let short = Names::new(&["a", "b"]);
    let error = plain((8, 9, 2)).with_persons(short).unwrap_err().to_string();
    assert!(error.contains("2 persons for 8 series"), "{error}");
}

#[test]
fn fine_tuning_learns_and_keeps_the_best_epoch() {
    let all = gait_windows();
    let persons = all.persons().unwrap().ids.clone();
    let part = |keep: &dyn Fn(u32) -> bool| {
        let rows: Vec<usize> = (0..all.len()).filter(|&i| keep(persons[i])).collect();
        all.select(&rows).unwrap()
    };
    let (train, validation) = (part(&|p| p != 1), part(&|p| p == 1));
    let net = small(Levels::ALL).net.init(3, &mut generator(3), &device()).unwrap();
    let tune = FineTune::new().with_epochs(12).with_batch_size(32).with_learning_rate(3e-3);
    let (model, f1) = tune.run(&net, &train, &validation, &device()).unwrap();
    assert!(f1 > 0.5, "three activities by their rhythm: {f1}");
    let p = model.probabilities(&validation, &device()).unwrap();
    assert!(p.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-5));
    assert!(FineTune::new().with_epochs(0).run(&net, &train, &validation, &Device::default()).is_err());
}

#[test]
fn a_resumed_run_is_the_uninterrupted_one() {
    let series = gait_windows();
    testing::resumes_bit_for_bit(&|| small(Levels::ALL).build(&series, 5, &device()).unwrap(), 9);
}
