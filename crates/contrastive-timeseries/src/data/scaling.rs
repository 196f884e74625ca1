//! Scaling to mean 0 and deviation 1, by what the training part says.

use super::error::SeriesError;
use super::series::Series;
use serde::{Deserialize, Serialize};

/// Over what mean and deviation are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Over {
    /// All values of all channels together (the UCR sets that come unnormalised).
    Everything,
    /// Each channel for itself (UEA sets, forecasting).
    Channels,
}

/// A scaling with what it learned; fit it on training data alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

/// Mean and deviation (of n, not n - 1) of the values that are there; `None` where there are none.
fn moments(values: impl Iterator<Item = f32> + Clone) -> Option<[f64; 2]> {
    let known = values.filter(|v| !v.is_nan()).map(f64::from);
    let (sum, count) = known.clone().fold((0.0, 0usize), |(sum, count), v| (sum + v, count + 1));
    let mean = (count > 0).then(|| sum / count as f64)?;
    let square = known.fold(0.0, |sum, v| sum + (v - mean) * (v - mean));
    Some([mean, (square / count as f64).sqrt()])
}

impl Scaling {
    /// What these series, the training part, say; missing values are left out.
    ///
    /// # Errors
    /// [`SeriesError::Channel`] for a channel that is all missing or constant.
    pub fn fit(series: &Series, over: Over) -> Result<Self, SeriesError> {
        Self::fitted(series, over, false)
    }

    fn fitted(series: &Series, over: Over, constant: bool) -> Result<Self, SeriesError> {
        let of = |channel: usize| {
            let values = series.iter().collect::<Vec<_>>();
            let values = values.iter().flat_map(|one| match over {
                Over::Everything => one.iter().copied().collect::<Vec<f32>>(),
                Over::Channels => one.column(channel).to_vec(),
            });
            let values: Vec<f32> = values.collect();
            let what = |what: &str| SeriesError::Channel { channel, what: what.into() };
            let [mean, deviation] =
                moments(values.iter().copied()).ok_or_else(|| what("all its values are missing"))?;
            if deviation <= 1e-12 * mean.abs() || deviation == 0.0 {
                if constant {
                    return Ok([mean, 1.0]);
                }
                return Err(what("constant in the training part, so it has no scale; leave it out"));
            }
            Ok([mean, deviation])
        };
        let all = match over {
            Over::Everything => vec![of(0)?; series.channels()],
            Over::Channels => (0..series.channels()).map(of).collect::<Result<Vec<_>, _>>()?,
        };
        Ok(Self { mean: all.iter().map(|m| m[0]).collect(), deviation: all.iter().map(|m| m[1]).collect() })
    }

    /// As [`fit`](Self::fit), a constant channel keeping its scale and losing its mean (the minute of hourly times).
    ///
    /// # Errors
    /// For a channel that is all missing.
    pub fn fit_or_one(series: &Series, over: Over) -> Result<Self, SeriesError> {
        Self::fitted(series, over, true)
    }

    /// The series, scaled.
    ///
    /// # Errors
    /// When they have other channels.
    pub fn apply(&self, series: &Series) -> Result<Series, SeriesError> {
        if series.channels() != self.mean.len() {
            let (fitted, channels) = (self.mean.len(), series.channels());
            return Err(SeriesError::series(format!("a scaling of {fitted} channels for series of {channels}")));
        }
        let mut scaled = series.clone();
        for one in scaled.each_mut() {
            for (c, mut column) in one.columns_mut().into_iter().enumerate() {
                column.mapv_inplace(|v| ((f64::from(v) - self.mean[c]) / self.deviation[c]) as f32);
            }
        }
        Ok(scaled)
    }

    /// Mean and deviation of each channel.
    pub fn moments(&self) -> impl Iterator<Item = [f64; 2]> {
        self.mean.iter().zip(&self.deviation).map(|(&m, &d)| [m, d])
    }
}

/// Every series scaled by itself, channel by channel (COMET scales each recording so, before windows are cut); a channel that is constant
/// there becomes 0, and a missing value stays.
pub fn standardise_each(series: &Series) -> Series {
    let mut scaled = series.clone();
    for one in scaled.each_mut() {
        for mut column in one.columns_mut() {
            if let Some([mean, deviation]) = moments(column.to_vec().into_iter()) {
                let factor = if deviation > 1e-6 * mean.abs().max(1e-6) { 1.0 / deviation } else { 0.0 };
                column.mapv_inplace(|v| ((f64::from(v) - mean) * factor) as f32);
            }
        }
    }
    scaled
}
