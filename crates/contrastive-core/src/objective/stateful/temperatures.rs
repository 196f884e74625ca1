//! A temperature for each sample, with an update rule of its own.

use super::samples::{SampleError, insert, list};
use crate::error::{ObjectiveError, not_negative, positive};
use crate::temperature::Temperature;
use burn::tensor::TensorData;
use std::collections::BTreeMap;

/// How each sample's temperature is learnt (Qiu et al. 2023): by gradient steps on the dual of a distributionally robust
/// problem over the sample's negatives,
///
/// ```text
/// min_tau  tau log mean_j e^{h_j / tau} + tau rho        derivative  rho - KL(p || uniform),  p = softmax(h / tau)
/// m <- (1 - beta) m + beta clip(derivative)              tau <- clip(tau - eta m, least, most)
/// ```
///
/// so that every sample settles where its negatives' softmax is rho away from the uniform distribution: samples with many
/// look-alikes at a large temperature, rare ones at a small one. KL is at most the logarithm of the number of negatives; with
/// a larger rho every temperature falls to the least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TemperatureRule {
    pub(super) start: f64,
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) radius: f64,
    pub(super) rate: f64,
    pub(super) momentum: f64,
    pub(super) clip: Option<f64>,
    pub(super) rescale: bool,
}

impl TemperatureRule {
    /// For two views of the same images: start 0.1 in `[0.05, 1]`, rho 0.4, eta 0.03, beta 0.5, derivatives clipped to +-3.
    pub fn unimodal() -> Self {
        Self {
            start: 0.1,
            least: 0.05,
            most: 1.0,
            radius: 0.4,
            rate: 0.03,
            momentum: 0.5,
            clip: Some(3.0),
            rescale: false,
        }
    }

    /// For images and texts: start 0.01 in `[0.005, 1]`, rho 6, eta 0.03, beta 0.9, derivatives clipped to +-5.
    pub fn bimodal() -> Self {
        Self { start: 0.01, least: 0.005, radius: 6.0, momentum: 0.9, clip: Some(5.0), ..Self::unimodal() }
    }

    /// Where a temperature starts, and the interval it stays in.
    ///
    /// # Errors
    /// When a temperature is zero, negative, infinite or NaN, or they do not ascend: least, start, most.
    pub fn with_range(mut self, start: f64, least: f64, most: f64) -> Result<Self, ObjectiveError> {
        [start, least, most].into_iter().try_for_each(|t| Temperature::fixed(t).map(|_| ()))?;
        if !(least <= start && start <= most) {
            return Err(ObjectiveError::Contradiction("temperatures must ascend: the least, the start, the most"));
        }
        (self.start, self.least, self.most) = (start, least, most);
        Ok(self)
    }

    /// rho, the divergence of the negatives' softmax from the uniform distribution (two views: 0.1 to 0.5, image and text: 6
    /// to 9).
    ///
    /// # Errors
    /// When it is negative, infinite or NaN.
    pub fn with_radius(mut self, radius: f64) -> Result<Self, ObjectiveError> {
        self.radius = not_negative("radius of the divergence", radius)?;
        Ok(self)
    }

    /// eta, the learning rate of the temperatures (1e-4 to 0.03); 0 freezes them, and iSogCLR is SogCLR.
    ///
    /// # Errors
    /// When it is negative, infinite or NaN.
    pub fn with_rate(mut self, rate: f64) -> Result<Self, ObjectiveError> {
        self.rate = not_negative("learning rate of the temperatures", rate)?;
        Ok(self)
    }

    /// beta, the share of a new derivative in its moving average, which starts at 0.
    ///
    /// # Errors
    /// When it is not in `(0, 1]`.
    pub fn with_momentum(mut self, share: f64) -> Result<Self, ObjectiveError> {
        if !(share > 0.0 && share <= 1.0) {
            return Err(ObjectiveError::Outside {
                name: "share of a new derivative of a temperature",
                value: share,
                allowed: "(0, 1]",
            });
        }
        self.momentum = share;
        Ok(self)
    }

    /// Derivatives count as clipped to `[-limit, limit]`; `None`: as they are (LibAUC).
    ///
    /// # Errors
    /// When the limit is not a finite number above 0.
    pub fn with_clip(mut self, limit: Option<f64>) -> Result<Self, ObjectiveError> {
        self.clip = limit.map(|c| positive("clip of the derivatives", c)).transpose()?;
        Ok(self)
    }

    /// Moves a sample's denominator along when its temperature changes, to first order: the average was made of
    /// `e^{h / tau}` under the old one, and `d log E e^{h / tau} / d (1 / tau) = E_p h`. Off unless chosen, as in the
    /// released codes.
    pub fn with_rescaling(mut self, rescale: bool) -> Self {
        self.rescale = rescale;
        self
    }
}

/// The temperatures of all samples.
#[derive(Clone, Debug)]
pub(super) enum Temperatures {
    /// One for all.
    Fixed(f64),
    /// One each, with the moving average of its derivative.
    Each { values: Vec<f64>, momenta: Vec<f64>, rule: TemperatureRule },
}

impl Temperatures {
    pub fn each(samples: usize, rule: TemperatureRule) -> Self {
        Self::Each { values: vec![rule.start; samples], momenta: vec![0.0; samples], rule }
    }

    pub fn of(&self, sample: usize) -> f64 {
        match self {
            Self::Fixed(t) => *t,
            Self::Each { values, .. } => values[sample],
        }
    }

    /// rho, or 0.
    pub fn radius(&self) -> f64 {
        match self {
            Self::Fixed(_) => 0.0,
            Self::Each { rule, .. } => rule.radius,
        }
    }

    /// A step of a sample's temperature; how much its inverse changed, if denominators are to follow.
    pub fn step(&mut self, sample: usize, derivative: f64) -> Option<f64> {
        let Self::Each { values, momenta, rule } = self else { return None };
        let derivative = rule.clip.map_or(derivative, |c| derivative.clamp(-c, c));
        let (value, momentum) = (&mut values[sample], &mut momenta[sample]);
        *momentum = (1.0 - rule.momentum) * *momentum + rule.momentum * derivative;
        let old = *value;
        *value = (old - rule.rate * *momentum).clamp(rule.least, rule.most);
        rule.rescale.then(|| 1.0 / *value - 1.0 / old)
    }

    pub fn save(&self, prefix: &str, state: &mut BTreeMap<String, TensorData>) {
        if let Self::Each { values, momenta, .. } = self {
            insert(state, prefix, "temperatures", TensorData::new(values.clone(), [values.len()]));
            insert(state, prefix, "momenta", TensorData::new(momenta.clone(), [momenta.len()]));
        }
    }

    pub fn loaded(&self, prefix: &str, state: &BTreeMap<String, TensorData>) -> Result<Self, SampleError> {
        let Self::Each { values, rule, .. } = self else {
            return match state.contains_key(&format!("{prefix}temperatures")) {
                true => Err(SampleError::State("it has temperatures, this objective has one for all".to_string())),
                false => Ok(self.clone()),
            };
        };
        let samples = values.len();
        let values = list(state, prefix, "temperatures", samples)?;
        if let Some(at) = values.iter().position(|t| !(rule.least..=rule.most).contains(t)) {
            let range = format!("[{}, {}]", rule.least, rule.most);
            return Err(SampleError::State(format!("temperature {} of sample {at} is not in {range}", values[at])));
        }
        Ok(Self::Each { values, momenta: list(state, prefix, "momenta", samples)?, rule: *rule })
    }
}
