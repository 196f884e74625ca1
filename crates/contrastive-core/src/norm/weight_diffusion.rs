//! How far weights wander from where they began.

use super::NormError;
use crate::modules::each_float;
use burn::module::Module;

/// A straight line `start + slope log t`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogFit {
    /// At t = 1.
    pub start: f64,
    /// By which the curve grows when t grows by a factor of e.
    pub slope: f64,
    /// The share of the curve's variance that the line explains; `None` for a curve that does not move.
    pub r_squared: Option<f64>,
}

/// The least-squares line through `(log t, distance)` of the points with `t >= from` (paper: from 2 % of the phase on; steps are
/// counted from 1).
///
/// # Errors
/// When fewer than two different steps count, a step is below 1, or a distance not finite.
pub fn fit_log(points: &[(usize, f64)], from: f64) -> Result<LogFit, NormError> {
    if let Some((step, _)) = points.iter().find(|(t, _)| *t == 0) {
        return Err(NormError::Outside { name: "step of a curve", value: *step as f64, allowed: "[1, infinity)" });
    }
    if let Some((_, value)) = points.iter().find(|(_, d)| !d.is_finite()) {
        return Err(NormError::Outside { name: "distance", value: *value, allowed: "the finite numbers" });
    }
    let counted = points.iter().filter(|(t, _)| *t as f64 >= from);
    let counted: Vec<(f64, f64)> = counted.map(|(t, d)| ((*t as f64).ln(), *d)).collect();
    let n = counted.len() as f64;
    let mean = counted.iter().fold((0.0, 0.0), |m, p| (m.0 + p.0 / n, m.1 + p.1 / n));
    let moments = counted.iter().map(|p| (p.0 - mean.0, p.1 - mean.1));
    let [xx, xy, yy] = moments.fold([0.0; 3], |s, (x, y)| [s[0] + x * x, s[1] + x * y, s[2] + y * y]);
    if counted.iter().all(|p| p.0 == counted[0].0) {
        return Err(NormError::Short { points: counted.len(), from });
    }
    let still = counted.iter().all(|p| p.1 == counted[0].1);
    let slope = if still { 0.0 } else { xy / xx };
    Ok(LogFit { start: mean.1 - slope * mean.0, slope, r_squared: (!still).then(|| (xy * xy / (xx * yy)).min(1.0)) })
}

/// The diffusion probe (Hoffer et al. 2017, section 3): the distance of a network's weights from where they were, step by step, over
/// the first phase of constant learning rate. If it grows like `log t`, training is a random walk on a random potential; with the
/// learning rate scaled by the root of the batch size, the slope does not depend on the batch.
#[derive(Clone, Debug)]
pub struct WeightDiffusion {
    start: Vec<Vec<f64>>,
    curve: Vec<(usize, f64)>,
}

impl WeightDiffusion {
    /// Remembers the parameters of a network in training, but for those that are frozen. Of a network outside autodiff, where
    /// nothing tells them apart, running statistics count as well.
    pub fn from(network: &impl Module) -> Self {
        Self { start: weights(network), curve: Vec::new() }
    }

    /// The distance of all parameters together at a step, counted from 1; it joins the curve. Steps spread evenly over `log t` are
    /// enough.
    ///
    /// # Panics
    /// When the network is not built like the first.
    pub fn record(&mut self, step: usize, network: &impl Module) -> f64 {
        let distances = self.distances(network);
        let distance = distances.iter().map(|d| d * d).sum::<f64>().sqrt();
        self.curve.push((step, distance));
        distance
    }

    /// The distance of each parameter, in the order of the network's fields.
    ///
    /// # Panics
    /// When the network is not built like the first.
    pub fn distances(&self, network: &impl Module) -> Vec<f64> {
        let now = weights(network);
        let sizes = |w: &[Vec<f64>]| w.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes(&now), sizes(&self.start), "the sizes of the parameters of two networks");
        let gap = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
        now.iter().zip(&self.start).map(|pair| gap(pair).sqrt()).collect()
    }

    /// Steps and distances.
    pub fn curve(&self) -> &[(usize, f64)] {
        &self.curve
    }

    /// The line through the curve from this step on; see [`fit_log`].
    ///
    /// # Errors
    /// As [`fit_log`].
    pub fn fit(&self, from: f64) -> Result<LogFit, NormError> {
        fit_log(&self.curve, from)
    }
}

/// The float parameters that are trained, in the order of the fields.
fn weights(network: &impl Module) -> Vec<Vec<f64>> {
    let mut weights = Vec::new();
    each_float(network, |float| {
        // running statistics carry no gradient, and are no weights
        if float.is_trained() || !float.is_autodiff() {
            weights.push(float.value().into_data().iter::<f64>().collect());
        }
    });
    weights
}
