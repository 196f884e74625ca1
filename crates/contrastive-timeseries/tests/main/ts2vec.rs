//! TS2Vec: checks of its specification.

use crate::{close, device, generator, series_of, uniform, values};
use burn::tensor::{Tensor, TensorData};
use contrastive_core::sampler::OverlappingCrops;
use contrastive_timeseries::augment::TimeMask;
use contrastive_timeseries::data::{Series, read_archive, seasonal};
use contrastive_timeseries::encoder::{DilatedNetConfig, embed_windows};
use contrastive_timeseries::evaluate::{Classifier, classify, classify_raw};
use contrastive_timeseries::method::{Ts2Vec, Ts2VecConfig, prepared};
use contrastive_train::{FitOptions, MethodConfig, Training};
use ndarray::{Array2, Array3};

fn small() -> Ts2VecConfig {
    Ts2VecConfig::new()
        .with_net(DilatedNetConfig::new().with_output(8).with_hidden(6).with_depth(3))
        .with_steps(Some(12))
}

fn weights(training: &Training<Ts2Vec>) -> Vec<f64> {
    let state = training.parameters().tensors();
    state.values().flat_map(|data| data.iter::<f64>().collect::<Vec<_>>()).collect()
}

#[test]
fn both_crops_share_the_same_time_steps() {
    // x[b, t] = t, so that values are their times
    for step in 0..200 {
        let crops = OverlappingCrops::draw(37, 1, 4, step, 5).unwrap();
        let times: Vec<f32> = (0..37).map(|t| t as f32).collect();
        let x = Tensor::<3>::from_data(TensorData::new(times, [1, 37, 1]), &device());
        let x = x.repeat_dim(0, 4);
        let [a, b] = crops.common(crops.first(x.clone()), crops.second(x));
        assert_eq!(values(&a), values(&b));
        assert!(a.dims()[1] >= 4, "unit 1 shares four steps at least");
    }
}

#[test]
fn series_are_prepared_as_published() {
    // sections: 10 steps in three of at most 4
    let x = Array3::from_shape_fn((2, 10, 1), |(n, t, _)| (10 * n + t) as f32);
    let cut = prepared(&Series::from_array(&x).unwrap(), 3).unwrap();
    assert_eq!(cut.dim(), (6, 4, 1));
    // numpy's array_split: 4, 3, 3 steps; the shorter ones are centred in their padding (to 0 of one missing step)
    let row = |i: usize| cut.outer_iter().nth(i).unwrap().iter().copied().filter(|v| !v.is_nan()).collect::<Vec<f32>>();
    assert_eq!(row(0), [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(row(2), [4.0, 5.0, 6.0]);
    assert_eq!(row(5), [17.0, 18.0, 19.0]);
    // centring: a series that ends four steps early begins two steps later
    let ragged = Series::new(vec![Array2::ones((9, 1)), Array2::ones((5, 1)) * 2.0]).unwrap();
    let centred = prepared(&ragged, 3000).unwrap();
    let known: Vec<bool> = centred.outer_iter().nth(1).unwrap().iter().map(|v| !v.is_nan()).collect();
    assert_eq!(known, [false, false, true, true, true, true, true, false, false]);
    // series without any value are dropped
    let holed = Series::new(vec![Array2::ones((4, 1)), Array2::from_elem((4, 1), f32::NAN)]).unwrap();
    assert_eq!(prepared(&holed, 3000).unwrap().dim(), (1, 4, 1));
}

#[test]
fn equal_seeds_give_equal_runs_and_a_resumed_one_is_the_same() {
    let series = series_of((10, 30, 2), 1);
    let run = |seed: u64, steps: usize| {
        let mut training =
            small().with_training(small().training.with_batch_size(4)).build(&series, seed, &device()).unwrap();
        (0..steps).for_each(|_| drop(training.train_step().unwrap()));
        training
    };
    assert_eq!(weights(&run(3, 4)), weights(&run(3, 4)));
    assert_ne!(weights(&run(3, 4)), weights(&run(4, 4)));
    // stopped after a part and gone on from its folder
    let folder = tempfile::tempdir().unwrap();
    let config = small().with_training(small().training.with_batch_size(4));
    let options = |epochs: usize| {
        FitOptions::new(&device()).seed(7).progress(false).epochs(epochs).run_dir(folder.path().join("run"))
    };
    config.fit(&series, &options(2)).unwrap();
    let resumed = config.fit(&series, &options(5).resume(true)).unwrap();
    let whole = config.fit(&series, &FitOptions::new(&device()).seed(7).progress(false).epochs(5)).unwrap();
    let of = |model: &_| embed_windows(model, &series, &device()).unwrap();
    assert_eq!(of(&resumed.model), of(&whole.model), "averaged weights included");
}

#[test]
fn averaged_weights_are_the_mean_of_all_from_the_initial_ones_on() {
    let series = series_of((8, 20, 1), 2);
    let mut training = small().build(&series, 1, &device()).unwrap();
    let mut sum = weights(&training);
    for _ in 0..5 {
        training.train_step().unwrap();
        sum.iter_mut().zip(weights(&training)).for_each(|(s, w)| *s += w);
    }
    let mut state = contrastive_train::State::new();
    contrastive_train::save_module(&training.trained_model(), "model", &mut state);
    let average: Vec<f64> = state.values().flat_map(|data| data.iter::<f64>().collect::<Vec<_>>()).collect();
    let want: Vec<f64> = sum.iter().map(|s| s / 6.0).collect();
    close("weights", &average, &want, 1e-6);
}

#[test]
fn settings_and_series_out_of_range_are_named() {
    let says = |result: Result<Training<Ts2Vec>, _>, text: &str| {
        let error = match result {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => format!("{error}"),
        };
        assert!(error.contains(text) && error.len() < 500, "{error}");
    };
    let build = |config: Ts2VecConfig| config.build(&series_of((6, 10, 1), 3), 1, &device());
    says(build(small().with_instance(1.5)), "share of the instance contrast 1.5");
    says(build(small().with_unit(3)), "10 time steps; with unit 3 crops share at least 16");
    says(build(small().with_mask(TimeMask::Bernoulli(-0.1))), "probability is -0.1");
    says(build(small().with_steps(Some(0))), "steps is 0");
    says(build(small().with_max_train_length(1)), "max_train_length is 1");
    says(build(small().with_net(DilatedNetConfig::new().with_dropout(1.0))), "dropout is 1");
    says(build(small().with_training(small().training.with_learning_rate(0.0))), "learning_rate");
    let empty = Series::new(vec![Array2::from_elem((10, 1), f32::NAN)]).unwrap();
    says(small().build(&empty, 1, &device()), "all missing");
    let mut infinite = uniform((1, 5, 1), 4).outer_iter().next().unwrap().to_owned();
    infinite[[3, 0]] = f32::INFINITY;
    assert!(Series::new(vec![infinite]).unwrap_err().to_string().contains("series 0, step 3, channel 0: inf"));
    let net = small().net.init(2, &mut generator(1), &device()).unwrap();
    let wrong = embed_windows(&net, &series_of((2, 6, 3), 5), &device()).unwrap_err().to_string();
    assert!(wrong.contains("series of 3 channels for an encoder of 2"), "{wrong}");
}

#[test]
fn training_helps_where_phases_are_random() {
    // raw neighbours cannot tell seasons at random phases in noise apart
    let all = seasonal(150, 80, 3).unwrap();
    let rows = |range: std::ops::Range<usize>| all.select(&range.collect::<Vec<_>>()).unwrap();
    let (train, test) = (rows(0..60), rows(60..150));
    let raw = classify_raw(&train, &test).unwrap().accuracy;
    let net = DilatedNetConfig::new().with_output(32).with_hidden(16).with_depth(4);
    let config = Ts2VecConfig::new().with_net(net).with_steps(Some(60));
    let mut training = config.build(&train, 1, &device()).unwrap();
    let losses: Vec<f64> = (0..60).map(|_| training.train_step().unwrap()[0].1).collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let [first, last] = [mean(&losses[..15]), mean(&losses[45..])];
    assert!(last < 0.95 * first, "the contrast falls: {first} to {last}");
    let model = training.trained_model();
    let (x, x_test) =
        (embed_windows(&model, &train, &device()).unwrap(), embed_windows(&model, &test, &device()).unwrap());
    let (y, y_test) = (&train.labels().unwrap().ids, &test.labels().unwrap().ids);
    let report = classify(Classifier::Svm, (x.view(), y), (x_test.view(), y_test), 3).unwrap();
    assert!(report.accuracy > raw, "{} and raw {raw}", report.accuracy);
}

#[test]
fn golden_data_gun_point() {
    // the released code, on these files: 0.980; raw nearest neighbour .913 as published
    let Some(folder) = crate::reference::shared() else { return };
    let Some(folder) = crate::reference::present(folder.join("data/ucr/GunPoint")) else { return };
    let (train, test) = read_archive(folder).unwrap();
    let raw = classify_raw(&train, &test).unwrap().accuracy;
    assert!((raw - 0.9133).abs() < 1e-3, "{raw}");
    let net = DilatedNetConfig::new().with_output(64).with_hidden(32).with_depth(6);
    let config = Ts2VecConfig::new().with_net(net).with_steps(Some(60));
    let trained = config.fit(&train, &FitOptions::new(&device()).seed(1).progress(false)).unwrap();
    let (x, x_test) = (
        embed_windows(&trained.model, &train, &device()).unwrap(),
        embed_windows(&trained.model, &test, &device()).unwrap(),
    );
    let (y, y_test) = (&train.labels().unwrap().ids, &test.labels().unwrap().ids);
    let report = classify(Classifier::Svm, (x.view(), y), (x_test.view(), y_test), 2).unwrap();
    assert!(report.accuracy >= 0.93, "{}", report.accuracy);
}
