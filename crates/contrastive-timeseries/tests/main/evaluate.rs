//! The protocols: forecasting, anomalies, classification.

use crate::{close, device, generator, series_of};
use contrastive_timeseries::encoder::DilatedNetConfig;
use contrastive_timeseries::evaluate::*;
use ndarray::{Array2, array};
use rand::RngExt;

/// A sum of two rotations, which a linear map of a window forecasts exactly.
fn waves(length: usize) -> Array2<f32> {
    Array2::from_shape_fn((length, 1), |(t, _)| ((t as f64 * 0.3).sin() + 0.5 * (t as f64 * 0.11).cos()) as f32)
}

#[test]
fn linear_series_are_forecast_from_their_windows() {
    let values = waves(600);
    let parts = share_parts(600);
    let raw = forecast(raw_windows(values.view(), 20).view(), values.view(), &parts, 12, 20).unwrap();
    assert!(raw.error.mse < 0.02 && raw.penalty == 0.1, "{raw:?}");
    let stay = persistence(values.view(), &parts, 12).unwrap();
    assert!(stay.mse > 10.0 * raw.error.mse);
    // persistence by hand
    let mut sum = 0.0;
    for t in 480..588 {
        (1..=12).for_each(|h| sum += f64::from(values[[t + h, 0]] - values[[t, 0]]).powi(2));
    }
    close("persistence", &[stay.mse], &[sum / (108.0 * 12.0)], 1e-6);
    let errors = errors_of(array![[1.0, 2.0]].view(), array![[0.0, 4.0]].view());
    assert_eq!((errors.mse, errors.mae), (2.5, 1.5));
}

#[test]
fn nothing_of_the_test_part_reaches_the_regression() {
    let values = waves(500);
    let parts = share_parts(500);
    let windows = raw_windows(values.view(), 10);
    let whole = forecast(windows.view(), values.view(), &parts, 5, 0).unwrap();
    // other vectors in the test part change its error alone, and the penalty not at all
    let mut moved = windows.clone();
    moved.slice_mut(ndarray::s![400.., ..]).mapv_inplace(|v| v + 1.0);
    let after = forecast(moved.view(), values.view(), &parts, 5, 0).unwrap();
    assert!(after.penalty == whole.penalty && after.error.mse > whole.error.mse);
}

#[test]
fn horizons_and_parts_are_checked() {
    let values = waves(100);
    let windows = raw_windows(values.view(), 3);
    let says = |result: Result<Forecast, _>, text: &str| {
        let error = format!("{}", result.unwrap_err());
        assert!(error.contains(text), "{error}");
    };
    says(forecast(windows.view(), values.view(), &share_parts(100), 20, 0), "part has 20 steps, and the horizon is 20");
    says(forecast(windows.view(), values.view(), &share_parts(100), 0, 0), "horizon is 0");
    says(forecast(windows.view(), values.view(), &etth_parts(), 5, 0), "of 100 steps");
    says(
        forecast(raw_windows(waves(99).view(), 3).view(), values.view(), &share_parts(100), 5, 0),
        "99 vectors for 100 steps",
    );
}

#[test]
fn alarms_follow_the_published_rule() {
    let mut rng = generator(2);
    let train: Vec<f64> = (0..300).map(|_| 1.0 + 0.1 * rng.random::<f64>()).collect();
    let mut test = train[..100].to_vec();
    test[40] = 5.0;
    test[43] = 9.0;
    test[60] = 5.0;
    let raised = alarms(&train, &test, &AnomalyRule { delay: 5, ..AnomalyRule::default() }).unwrap();
    let at: Vec<usize> = (0..100).filter(|&t| raised[t]).collect();
    assert_eq!(at, [40, 60], "the second of two within the delay is suppressed");
    assert!(alarms(&train[..20], &test, &AnomalyRule::default()).is_err());
}

#[test]
fn a_hit_within_the_delay_marks_the_whole_segment() {
    let truth = [false, true, true, true, false, true, true, true, true, false];
    let raised = |at: &[usize]| (0..10).map(|t| at.contains(&t)).collect::<Vec<bool>>();
    // in the first segment at once, in the second one three steps late
    let report = delay_adjusted(&raised(&[1, 8]), &truth, 2).unwrap();
    assert_eq!((report.precision, report.recall), (1.0, 3.0 / 7.0));
    let report = delay_adjusted(&raised(&[3, 7, 9]), &truth, 2).unwrap();
    assert_eq!((report.precision, report.recall), (7.0 / 8.0, 1.0));
    assert_eq!(delay_adjusted(&raised(&[0]), &truth, 2).unwrap(), AnomalyReport::default());
    assert!(delay_adjusted(&[true], &truth, 2).unwrap_err().to_string().contains("1 alarms for 10 steps"));
}

#[test]
fn steps_that_are_not_expected_have_high_scores() {
    let net = DilatedNetConfig::new()
        .with_output(6)
        .with_hidden(6)
        .with_depth(2)
        .init(1, &mut generator(3), &device())
        .unwrap();
    let mut values = waves(80);
    values[[50, 0]] = 30.0;
    let scores = anomaly_scores(&net, values.view(), 10, &device()).unwrap();
    let most = (0..80).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap();
    assert_eq!(most, 50);
    assert!(anomaly_scores(&net, Array2::ones((5, 2)).view(), 10, &device()).is_err());
}

#[test]
fn classifiers_agree_on_what_is_easy_and_say_what_is_missing() {
    let x = Array2::from_shape_fn((60, 2), |(i, c)| {
        (i % 3) as f32 * if c == 0 { 2.0 } else { -1.0 } + (i * 7 % 5) as f32 * 0.02
    });
    let y: Vec<u32> = (0..60).map(|i| i % 3).collect();
    for classifier in [Classifier::Svm, Classifier::Logistic, Classifier::Nearest] {
        let report = classify(classifier, (x.view(), &y), (x.view(), &y), 3).unwrap();
        assert_eq!(report.accuracy, 1.0, "{classifier:?}");
        assert_eq!(report.auroc.is_nan(), classifier == Classifier::Nearest);
    }
    assert!(
        classify(Classifier::Svm, (x.view(), &[0; 60]), (x.view(), &y), 3)
            .unwrap_err()
            .to_string()
            .contains("one class")
    );
    assert!(
        classify_raw(&series_of((4, 5, 1), 1), &series_of((4, 5, 1), 2)).unwrap_err().to_string().contains("no labels")
    );
}
