//! Forecasting: ridge regression from the vector of a step to the values that follow it.

use crate::data::{SeriesError, check};
use contrastive_eval::probe::RidgePath;
use ndarray::{Array2, ArrayView2, s};
use std::ops::Range;

/// The penalties of TS2Vec's protocol.
pub const FORECAST_PENALTIES: [f64; 13] = [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

/// Most training rows of a regression.
const MOST_ROWS: usize = 100_000;

/// Which steps of a long series are for training, for the choice of the penalty, and for the test; one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForecastParts {
    /// Steps to train on.
    pub train: Range<usize>,
    /// Steps to choose the penalty by.
    pub validation: Range<usize>,
    /// Steps to test on.
    pub test: Range<usize>,
}

/// 12, 4 and 4 months of 30 days of hourly steps, the split of ETTh.
pub fn etth_parts() -> ForecastParts {
    let month = 30 * 24;
    ForecastParts { train: 0..12 * month, validation: 12 * month..16 * month, test: 16 * month..20 * month }
}

/// 60, 20 and 20 % of the steps.
pub fn share_parts(length: usize) -> ForecastParts {
    let [a, b] = [length * 3 / 5, length * 4 / 5];
    ForecastParts { train: 0..a, validation: a..b, test: b..length }
}

/// Errors of forecasts over all numbers, on the scale of the values that were handed over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForecastError {
    /// Mean squared error.
    pub mse: f64,
    /// Mean absolute error.
    pub mae: f64,
}

/// A fitted forecast of one horizon, scored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Steps that are forecast.
    pub horizon: usize,
    /// On the test part.
    pub error: ForecastError,
    /// The penalty that the validation part chose.
    pub penalty: f64,
}

/// The errors of predictions.
///
/// # Panics
/// When the shapes differ.
pub fn errors_of(predicted: ArrayView2<'_, f64>, truth: ArrayView2<'_, f64>) -> ForecastError {
    assert_eq!(predicted.dim(), truth.dim(), "the shapes of predictions and truth");
    let n = truth.len().max(1) as f64;
    let (square, absolute) = predicted
        .iter()
        .zip(truth)
        .fold((0.0, 0.0), |(square, absolute), (p, t)| (square + (p - t) * (p - t), absolute + (p - t).abs()));
    ForecastError { mse: square / n, mae: absolute / n }
}

/// The values of the `horizon` steps after each step of a part, flattened, `[rows, horizon channels]`; rows end where the part does.
fn targets(values: ArrayView2<'_, f32>, part: &Range<usize>, horizon: usize) -> Array2<f64> {
    let rows = part.len().saturating_sub(horizon);
    let channels = values.ncols();
    Array2::from_shape_fn((rows, horizon * channels), |(r, at)| {
        f64::from(values[[part.start + r + 1 + at / channels, at % channels]])
    })
}

fn check_parts(length: usize, parts: &ForecastParts, horizon: usize) -> Result<(), SeriesError> {
    check("forecasting", "horizon", horizon, horizon > 0, "at least 1")?;
    let ordered = parts.train.end <= parts.validation.start && parts.validation.end <= parts.test.start;
    if !ordered || parts.test.end > length {
        return Err(SeriesError::series(format!(
            "parts {parts:?} of {length} steps: they follow each other within them"
        )));
    }
    for (name, part) in [("training", &parts.train), ("validation", &parts.validation), ("test", &parts.test)] {
        if part.len() <= horizon {
            let steps = part.len();
            return Err(SeriesError::series(format!(
                "the {name} part has {steps} steps, and the horizon is {horizon}"
            )));
        }
    }
    Ok(())
}

/// Forecasts `horizon` steps of `values` `[T, C]` (scaled by training statistics) from vectors `[T, D]` of the steps, by ridge regression
/// with the penalty that the validation part chooses by RMSE + MAE. The first `skip` steps of the training part, which saw no whole context,
/// are left out (TS2Vec: 200).
///
/// # Errors
/// When the horizon reaches beyond a part, lengths differ, or something is missing or not finite.
pub fn forecast(
    vectors: ArrayView2<'_, f32>,
    values: ArrayView2<'_, f32>,
    parts: &ForecastParts,
    horizon: usize,
    skip: usize,
) -> Result<Forecast, SeriesError> {
    check_parts(values.nrows(), parts, horizon)?;
    if vectors.nrows() != values.nrows() {
        let (rows, steps) = (vectors.nrows(), values.nrows());
        return Err(SeriesError::series(format!("{rows} vectors for {steps} steps; there must be one for each")));
    }
    let train = parts.train.start + skip.min(parts.train.len() - horizon - 1)..parts.train.end;
    let features =
        |part: &Range<usize>| vectors.slice(s![part.start..part.start + part.len() - horizon, ..]).mapv(f64::from);
    let (mut x, mut y) = (features(&train), targets(values, &train, horizon));
    if x.nrows() > MOST_ROWS {
        // spread evenly over the part
        let rows: Vec<usize> = (0..MOST_ROWS).map(|k| k * x.nrows() / MOST_ROWS).collect();
        (x, y) = (x.select(ndarray::Axis(0), &rows), y.select(ndarray::Axis(0), &rows));
    }
    let path = RidgePath::new(x.view(), y.view())?;
    let (valid_x, valid_y) = (features(&parts.validation), targets(values, &parts.validation, horizon));
    let (penalty, model, _) = path.choose(&FORECAST_PENALTIES, valid_x.view(), valid_y.view())?;
    let predicted = model.predict(features(&parts.test).view())?;
    let error = errors_of(predicted.view(), targets(values, &parts.test, horizon).view());
    Ok(Forecast { horizon, error, penalty })
}

/// The forecast that every step stays as it is.
///
/// # Errors
/// When the horizon reaches beyond a part.
pub fn persistence(
    values: ArrayView2<'_, f32>,
    parts: &ForecastParts,
    horizon: usize,
) -> Result<ForecastError, SeriesError> {
    check_parts(values.nrows(), parts, horizon)?;
    let truth = targets(values, &parts.test, horizon);
    let channels = values.ncols();
    let predicted =
        Array2::from_shape_fn(truth.dim(), |(r, at)| f64::from(values[[parts.test.start + r, at % channels]]));
    Ok(errors_of(predicted.view(), truth.view()))
}

/// The last `window` steps up to each step, flattened, `[T, window C]`, zeros before the beginning: vectors of the raw series, for the row
/// that every table stands beside.
pub fn raw_windows(values: ArrayView2<'_, f32>, window: usize) -> Array2<f32> {
    let (length, channels) = values.dim();
    Array2::from_shape_fn((length, window * channels), |(t, at)| {
        let back = window - 1 - at / channels;
        if back <= t { values[[t - back, at % channels]] } else { 0.0 }
    })
}
