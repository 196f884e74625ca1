//! What a trained encoder gives: vectors of series, of steps, of windows.

use super::{SeriesEncoder, Steps};
use crate::data::{Series, SeriesError, check};
use burn::tensor::{Device, Tensor};
use contrastive_nn::Pass;
use ndarray::{Array2, Array3, ArrayView2, s};

/// Time steps that are encoded at once.
const STEPS: usize = 16_384;

/// How the steps of a series become what is returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// A vector for each step, `[T, D]`.
    PerTimestamp,
    /// The maximum over all steps that are not missing, `[1, D]`.
    FullSeries,
    /// For each step the maximum over the `k` steps around it, as far as the series goes, `[T, D]`.
    Window(usize),
    /// For each step the maxima over 3, 5, 9, 17, ... steps around it beside each other, as long as half of them is shorter than the
    /// series, `[T, levels D]`.
    Multiscale,
}

/// The maximum over `k` steps around each step, `k / 2` of them before it; at the ends, over those that there are.
fn window_max(x: ArrayView2<'_, f32>, k: usize) -> Array2<f32> {
    let (t, d) = x.dim();
    let (before, after) = (k / 2, k - 1 - k / 2);
    Array2::from_shape_fn((t, d), |(i, c)| {
        let range = i.saturating_sub(before)..(i + after + 1).min(t);
        x.slice(s![range, c]).iter().copied().fold(f32::NEG_INFINITY, f32::max)
    })
}

/// The pooling of `[T, D]`.
///
/// # Errors
/// For a window of no steps, or a series without any.
pub fn pooled(x: ArrayView2<'_, f32>, pooling: Pooling) -> Result<Array2<f32>, SeriesError> {
    let (t, d) = x.dim();
    if t == 0 {
        return Err(SeriesError::series("a series of which no step is seen"));
    }
    match pooling {
        Pooling::PerTimestamp => Ok(x.to_owned()),
        Pooling::FullSeries => {
            let most = |c: usize| x.column(c).iter().copied().fold(f32::NEG_INFINITY, f32::max);
            Ok(Array2::from_shape_fn((1, d), |(_, c)| most(c)))
        }
        Pooling::Window(k) => {
            check("pooling", "window", k, k > 0, "at least 1")?;
            Ok(window_max(x, k))
        }
        Pooling::Multiscale => {
            let (mut levels, mut half) = (vec![window_max(x, 3)], 2);
            while half + 1 < t {
                levels.push(window_max(x, 2 * half + 1));
                half *= 2;
            }
            let views: Vec<_> = levels.iter().map(|level| level.view()).collect();
            Ok(ndarray::concatenate(ndarray::Axis(1), &views).expect("equal lengths"))
        }
    }
}

fn numbers<const D: usize>(x: Tensor<D>) -> Vec<f32> {
    x.into_data().iter::<f32>().collect()
}

/// Encodes every series by itself (padding never reaches the encoder), and pools: an array for each series. Steps that are missing are
/// encoded from their surroundings, and count in [`Pooling::FullSeries`] as TS2Vec's code counts them.
///
/// # Errors
/// When the channels differ from the encoder's, or a pooling does not fit.
pub fn embed<E: SeriesEncoder>(
    encoder: &E,
    series: &Series,
    pooling: Pooling,
    device: &Device,
) -> Result<Vec<Array2<f32>>, SeriesError> {
    check_channels(encoder, series.channels())?;
    let width = encoder.width();
    let mut out = Vec::with_capacity(series.len());
    let mut from = 0;
    while from < series.len() {
        // neighbours of one length go together
        let length = series.of(from).nrows();
        let most = (STEPS / length).max(1);
        let alike = (from..series.len()).take(most).take_while(|&i| series.of(i).nrows() == length).count();
        let mut values = Array3::zeros((alike, length, series.channels()));
        for k in 0..alike {
            values.slice_mut(s![k, .., ..]).assign(&series.of(from + k));
        }
        let encoded = encoder.forward(&Steps::new(values.view(), device), &mut Pass::evaluation());
        let encoded = Array3::from_shape_vec((alike, length, width), numbers(encoded)).expect("[B, T, D]");
        for one in encoded.outer_iter() {
            out.push(pooled(one, pooling)?);
        }
        from += alike;
    }
    Ok(out)
}

fn check_channels<E: SeriesEncoder>(encoder: &E, channels: usize) -> Result<(), SeriesError> {
    if encoder.channels() == channels {
        return Ok(());
    }
    let own = encoder.channels();
    Err(SeriesError::series(format!("series of {channels} channels for an encoder of {own}")))
}

/// [`Pooling::FullSeries`] of all series, `[series, D]`.
///
/// # Errors
/// As [`embed`].
pub fn embed_windows<E: SeriesEncoder>(
    encoder: &E,
    series: &Series,
    device: &Device,
) -> Result<Array2<f32>, SeriesError> {
    let each = embed(encoder, series, Pooling::FullSeries, device)?;
    let views: Vec<_> = each.iter().map(|one| one.view()).collect();
    Ok(ndarray::concatenate(ndarray::Axis(0), &views).expect("one row each"))
}

/// The causal representation of every step of one long series, `[T, D]`: that of the last step of the window `[t - context, t]`, missing
/// steps standing before the beginning. With `masked` the last step of each window is hidden from the encoder (anomaly scores compare
/// the two). The cone of the last step alone is computed where the encoder can.
///
/// # Errors
/// When the channels differ from the encoder's.
pub fn last_steps<E: SeriesEncoder>(
    encoder: &E,
    series: ArrayView2<'_, f32>,
    context: usize,
    masked: bool,
    device: &Device,
) -> Result<Array2<f32>, SeriesError> {
    let (length, channels) = series.dim();
    check_channels(encoder, channels)?;
    let window = context + 1;
    let (per, width) = ((STEPS / window).max(1), encoder.width());
    let mut out = Array2::zeros((length, width));
    for from in (0..length).step_by(per) {
        let count = per.min(length - from);
        let mut values = Array3::from_elem((count, window, channels), f32::NAN);
        for k in 0..count {
            let last = from + k;
            let first = (last + 1).saturating_sub(window);
            let cut = series.slice(s![first..=last, ..]);
            values.slice_mut(s![k, window - (last + 1 - first).., ..]).assign(&cut);
        }
        let mut steps = Steps::new(values.view(), device);
        if masked {
            let mask: Vec<bool> = (0..count * window).map(|at| at % window != context).collect();
            steps = steps.masked(&mask);
        }
        let encoded = encoder.last(&steps);
        let encoded = Array2::from_shape_vec((count, width), numbers(encoded)).expect("[B, D]");
        out.slice_mut(s![from..from + count, ..]).assign(&encoded);
    }
    Ok(out)
}
