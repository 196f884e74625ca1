//! Anomalies: steps that an encoder does not expect.

use crate::data::{SeriesError, check};
use crate::encoder::{SeriesEncoder, last_steps};
use burn::tensor::Device;
use ndarray::ArrayView2;

/// How scores become alarms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnomalyRule {
    /// Steps of the trailing mean that a score is compared with (TS2Vec: 21).
    pub window: usize,
    /// The threshold is the mean of the training scores plus so many of their deviations (4).
    pub deviations: f64,
    /// Alarms within so many steps of one before are suppressed (7 hours in the hourly sets).
    pub delay: usize,
}

impl Default for AnomalyRule {
    fn default() -> Self {
        Self { window: 21, deviations: 4.0, delay: 7 }
    }
}

/// Precision, recall and F1 of alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AnomalyReport {
    /// Of steps that are alarms, the share within true segments.
    pub precision: f64,
    /// Of steps in true segments, the share that counts as found.
    pub recall: f64,
    /// Their harmonic mean.
    pub f1: f64,
}

/// TS2Vec's score of each step: the L1 distance between its causal representation with and without the step itself masked, over a
/// context of so many steps.
///
/// # Errors
/// When the channels differ from the encoder's.
pub fn anomaly_scores<E: SeriesEncoder>(
    encoder: &E,
    series: ArrayView2<'_, f32>,
    context: usize,
    device: &Device,
) -> Result<Vec<f64>, SeriesError> {
    let seen = last_steps(encoder, series, context, false, device)?;
    let hidden = last_steps(encoder, series, context, true, device)?;
    let distance = |(a, b): (ndarray::ArrayView1<'_, f32>, ndarray::ArrayView1<'_, f32>)| {
        a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum()
    };
    Ok(seen.rows().into_iter().zip(hidden.rows()).map(distance).collect())
}

/// Alarms of the test scores, step by step: `(e - m) / m` above the threshold that its training values set, m being the mean over the
/// window of steps before; an alarm within the delay of an earlier one is suppressed.
///
/// # Errors
/// When the window is 0, or there are fewer training scores than it.
pub fn alarms(train: &[f64], test: &[f64], rule: &AnomalyRule) -> Result<Vec<bool>, SeriesError> {
    check("anomalies", "window", rule.window, rule.window > 0, "at least 1")?;
    if train.len() <= rule.window {
        let (scores, window) = (train.len(), rule.window);
        return Err(SeriesError::series(format!("{scores} training scores for a trailing mean of {window}")));
    }
    let all: Vec<f64> = train.iter().chain(test).copied().collect();
    let relative = |at: usize| {
        let mean = all[at - rule.window..at].iter().sum::<f64>() / rule.window as f64;
        if mean > 0.0 { (all[at] - mean) / mean } else { 0.0 }
    };
    let known: Vec<f64> = (rule.window..train.len()).map(relative).collect();
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let deviation = (known.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / known.len() as f64).sqrt();
    let threshold = mean + rule.deviations * deviation;
    let mut raised = vec![false; test.len()];
    for at in 0..test.len() {
        let near = at.saturating_sub(rule.delay)..at;
        raised[at] = relative(train.len() + at) > threshold && !raised[near].contains(&true);
    }
    Ok(raised)
}

/// Precision, recall and F1 where an alarm within `delay` steps of the beginning of a true segment marks the whole of it, and a segment
/// without one counts as missed altogether (the protocol of the anomaly sets).
///
/// # Errors
/// When the lengths differ.
pub fn delay_adjusted(raised: &[bool], truth: &[bool], delay: usize) -> Result<AnomalyReport, SeriesError> {
    if raised.len() != truth.len() {
        let (alarms, steps) = (raised.len(), truth.len());
        return Err(SeriesError::series(format!("{alarms} alarms for {steps} steps; there must be one for each")));
    }
    let mut adjusted = raised.to_vec();
    let mut at = 0;
    while at < truth.len() {
        if !truth[at] {
            at += 1;
            continue;
        }
        let end = (at..truth.len()).find(|&t| !truth[t]).unwrap_or(truth.len());
        let found = raised[at..(at + delay + 1).min(end)].contains(&true);
        adjusted[at..end].fill(found);
        at = end;
    }
    let count = |keep: &dyn Fn(usize) -> bool| (0..truth.len()).filter(|&t| keep(t)).count() as f64;
    let hits = count(&|t| adjusted[t] && truth[t]);
    let (alarms, steps) = (count(&|t| adjusted[t]), count(&|t| truth[t]));
    let share = |of: f64| if of > 0.0 { hits / of } else { 0.0 };
    let (precision, recall) = (share(alarms), share(steps));
    let f1 = if hits > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 };
    Ok(AnomalyReport { precision, recall, f1 })
}
