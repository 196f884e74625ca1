//! MECO: maximum likelihood for energy models, the normaliser estimated by a moving average; and its baseline, binary NCE.

use super::average::averaged;
use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, positive};
use crate::host::to_vec;
use burn::tensor::{Tensor, TensorData};
use contrastive_kernels::scalar::{log_mean_exp, logistic, softplus};
use std::collections::BTreeMap;
use thiserror::Error;

/// What can be wrong with samples of an energy model and of its noise.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum MecoError {
    /// No samples.
    #[error("no samples of the {0}: it needs at least 1")]
    Empty(&'static str),
    /// Numbers of samples that differ.
    #[error("{densities} log-densities of the noise law for {samples} samples of the {of}")]
    Count {
        /// Data or noise.
        of: &'static str,
        /// Log-densities of the noise law.
        densities: usize,
        /// Samples.
        samples: usize,
    },
    /// A log-density that cannot be used.
    #[error("log-density {value} of the {law} at sample {at} of the {of}: {allowed}")]
    Density {
        /// Model or noise law.
        law: &'static str,
        /// Data or noise.
        of: &'static str,
        /// Which sample.
        at: usize,
        /// Its log-density.
        value: f64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A normaliser of zero.
    #[error("the model has no density at any of {0} noise samples: the normaliser is 0")]
    Vanished(usize),
    /// A setting that is out of range.
    #[error(transparent)]
    Setting(#[from] ObjectiveError),
    /// A stored state that cannot be taken over.
    #[error("state of the normaliser: {0}")]
    State(String),
}

/// MECO (Jiang et al. 2023): maximum likelihood of a model `p = p~ / Z` whose normaliser is unknown, by samples of a noise law q
/// with a known density, without Markov chains:
///
/// ```text
/// -mean log p~(x) + log Z     Z = E_q w, w(y) = p~(y) / q(y)
/// u <- (1 - gamma) u + gamma mean_j w(y_j)                  (the first time: the mean; kept as a logarithm)
/// gradient: -mean_i grad log p~(x_i) + mean_j (w(y_j) / u) grad log p~(y_j)
/// ```
///
/// u carries no gradient. With gamma = 1 this is self-normalised importance sampling, whose gradient is biased; a smaller gamma
/// averages over batches of noise, but lags when log Z moves fast: the learning rate must be small beside gamma. q must cover the
/// data: watch [`Observation::effective_samples`]. A model without growth control has no Z: add `|x|^2 / (2 s^2)` to its energy,
/// or take `p~ = q e^{-E}`.
///
/// ```
/// use contrastive_core::objective::Meco;
///
/// // p~ = 2 q: the normaliser is 2, and all weights are the same
/// let seen = Meco::new(0.1)?.observe(&[2f64.ln(); 4])?;
/// assert!((seen.log_normaliser - 2f64.ln()).abs() < 1e-12);
/// assert!((seen.effective_samples - 4.0).abs() < 1e-9);
/// # Ok::<(), contrastive_core::objective::MecoError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Meco {
    share: f64,
    cap: Option<f64>,
    log_normaliser: Option<f64>,
}

/// A batch of noise samples, seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// `w_j / (u m)` of each of the m samples, which multiplies the gradient of its log-density.
    pub weights: Vec<f64>,
    /// `log u`, the estimate of `log Z`.
    pub log_normaliser: f64,
    /// `(sum w)^2 / sum w^2`, between 1 and m. Below 2 the estimate rests on a single sample and pulls the parameters after it.
    pub effective_samples: f64,
}

impl Observation {
    /// What is wrong with the estimate, if its effective samples are fewer than 2 (of at least 2).
    pub fn warning(&self) -> Option<String> {
        let m = self.weights.len();
        (self.effective_samples < 2.0 && m > 1).then(|| {
            format!(
                "{:.2} effective of {m} noise samples: the noise law does not cover the model",
                self.effective_samples
            )
        })
    }
}

/// A step's loss, and what was seen.
#[derive(Clone, Debug)]
pub struct MecoStep {
    /// `[1]`: `-mean log p~(x) + log u`, an estimate of the negative log-likelihood by this batch, with MECO's gradient.
    pub loss: Tensor<1>,
    /// The noise samples' weights.
    pub seen: Observation,
}

impl Meco {
    /// With this share of a new batch in the moving average (gamma; 0.1).
    ///
    /// # Errors
    /// When it is not in `(0, 1]`.
    pub fn new(gamma: f64) -> Result<Self, ObjectiveError> {
        let share = super::AverageWeight::constant(gamma)?.at(0);
        Ok(Self { share, cap: None, log_normaliser: None })
    }

    /// No sample's `w / u` counts as more than this: bounds a step, at the price of a bias.
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn with_cap(mut self, largest: f64) -> Result<Self, ObjectiveError> {
        self.cap = Some(positive("largest weight of a noise sample", largest)?);
        Ok(self)
    }

    /// `log u`, the estimate of `log Z`; `None` before the first batch.
    pub fn log_normaliser(&self) -> Option<f64> {
        self.log_normaliser
    }

    /// A batch of noise samples with the log-weights `log p~(y) - log q(y)`; the moving average moves on. For models whose
    /// gradient is written by hand; [`loss`](Self::loss) is this for tensors.
    ///
    /// # Errors
    /// When there are none, one is NaN or plus infinity, or all are minus infinity. The average is then as it was.
    pub fn observe(&mut self, log_weights: &[f64]) -> Result<Observation, MecoError> {
        let m = log_weights.len();
        if m == 0 {
            return Err(MecoError::Empty("noise"));
        }
        if let Some(at) = log_weights.iter().position(|w| w.is_nan() || *w == f64::INFINITY) {
            let allowed = "the model's may be any number below plus infinity";
            return Err(density("model, relative to the noise law,", "noise", at, log_weights[at], allowed));
        }
        let new = log_mean_exp(log_weights);
        if new == f64::NEG_INFINITY {
            return Err(MecoError::Vanished(m));
        }
        let log_normaliser = averaged(self.log_normaliser, new, self.share);
        self.log_normaliser = Some(log_normaliser);
        let most = self.cap.unwrap_or(f64::INFINITY);
        let weights = log_weights.iter().map(|w| (w - log_normaliser).exp().min(most) / m as f64).collect();
        let squares = log_weights.iter().map(|w| 2.0 * (w - new)).collect::<Vec<_>>();
        let effective_samples = m as f64 * (-log_mean_exp(&squares)).exp();
        Ok(Observation { weights, log_normaliser, effective_samples })
    }

    /// A step: `log p~` of data `[n]` and of noise samples `[m]`, both from the model, and the noise law's log-density `[m]` at the
    /// noise samples, which carries no gradient.
    ///
    /// # Errors
    /// When there are no data or no noise samples, the numbers of samples differ, or a log-density is not finite (the model's at a
    /// noise sample may be minus infinity, but not at all of them). The average is then as it was.
    pub fn loss(&mut self, data: Tensor<1>, noise: Tensor<1>, noise_density: Tensor<1>) -> Result<MecoStep, MecoError> {
        let (x, y) = (to_vec(&data), to_vec(&noise));
        check("data", "model", &x)?;
        let log_weights = relative("noise", &y, &to_vec(&noise_density))?;
        let seen = self.observe(&log_weights)?;
        let n = x.len() as f64;
        let value = seen.log_normaliser - x.iter().sum::<f64>() / n;
        let pull = vec![-1.0 / n; x.len()];
        let loss = with_gradients(value, [(&data, &pull), (&noise, &seen.weights)]);
        Ok(MecoStep { loss, seen })
    }

    /// What a run needs to go on: `log_normaliser [1]`, or `[0]` before the first batch.
    pub fn state(&self) -> BTreeMap<String, TensorData> {
        let values: Vec<f64> = self.log_normaliser.into_iter().collect();
        let count = values.len();
        BTreeMap::from([("log_normaliser".to_string(), TensorData::new(values, [count]))])
    }

    /// Takes over what [`state`](Self::state) gave. Nothing changes after an error.
    ///
    /// # Errors
    /// When it is missing, several numbers, or not finite.
    pub fn load_state(&mut self, state: &BTreeMap<String, TensorData>) -> Result<(), MecoError> {
        let wrong = |what: String| Err(MecoError::State(what));
        let Some(data) = state.get("log_normaliser") else { return wrong("log_normaliser is missing".to_string()) };
        let values: Vec<f64> = data.iter::<f64>().collect();
        match values[..] {
            [] => self.log_normaliser = None,
            [value] if value.is_finite() => self.log_normaliser = Some(value),
            _ => return wrong(format!("log_normaliser is {values:?}: it must be one finite number, or none")),
        }
        Ok(())
    }
}

/// Binary noise-contrastive estimation (Gutmann and Hyvarinen 2010), as much noise as data: distinguishes data from noise by
/// `f = log p~ - c - log q`, c a parameter that becomes `log Z`:
///
/// ```text
/// loss = mean_i log(1 + e^{-f(x_i)}) + mean_j log(1 + e^{f(y_j)})
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct BinaryNce;

impl BinaryNce {
    /// `log p~` and `log q` of data `[n]` and of noise samples `[m]`, and `c` `[1]`. The value is `[1]`; log q carries no
    /// gradient.
    ///
    /// # Errors
    /// When there are no data or no noise samples, numbers differ, or a log-density is not finite (the model's may be minus
    /// infinity at a noise sample).
    ///
    /// # Panics
    /// When c is not a single number.
    pub fn loss(
        &self,
        [data, data_density]: [Tensor<1>; 2],
        [noise, noise_density]: [Tensor<1>; 2],
        log_normaliser: Tensor<1>,
    ) -> Result<Tensor<1>, MecoError> {
        assert_eq!(log_normaliser.dims(), [1], "the shape of the logarithm of the normaliser");
        let c = to_vec::<1, f64>(&log_normaliser)[0];
        let (x, y) = (to_vec(&data), to_vec(&noise));
        check("data", "model", &x)?;
        let (f, g) = (relative("data", &x, &to_vec(&data_density))?, relative("noise", &y, &to_vec(&noise_density))?);
        let (n, m) = (x.len() as f64, y.len() as f64);
        let value =
            f.iter().map(|f| softplus(c - f)).sum::<f64>() / n + g.iter().map(|g| softplus(g - c)).sum::<f64>() / m;
        let of_data: Vec<f64> = f.iter().map(|f| -logistic(c - f) / n).collect();
        let of_noise: Vec<f64> = g.iter().map(|g| logistic(g - c) / m).collect();
        let of_c = -(of_data.iter().sum::<f64>() + of_noise.iter().sum::<f64>());
        Ok(with_gradients(value, [(&data, &of_data), (&noise, &of_noise), (&log_normaliser, &[of_c])]))
    }
}

fn density(law: &'static str, of: &'static str, at: usize, value: f64, allowed: &'static str) -> MecoError {
    MecoError::Density { law, of, at, value, allowed }
}

/// Are there samples, and is each log-density finite?
fn check(of: &'static str, law: &'static str, values: &[f64]) -> Result<(), MecoError> {
    if values.is_empty() {
        return Err(MecoError::Empty(of));
    }
    match values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(density(law, of, at, values[at], "it must be finite")),
        None => Ok(()),
    }
}

/// `log p~ - log q` of samples.
fn relative(of: &'static str, model: &[f64], law: &[f64]) -> Result<Vec<f64>, MecoError> {
    if model.len() != law.len() {
        return Err(MecoError::Count { of, densities: law.len(), samples: model.len() });
    }
    check(of, "noise law", law)?;
    if let Some(at) = model.iter().position(|v| v.is_nan() || *v == f64::INFINITY) {
        return Err(density("model", of, at, model[at], "it must be a number below plus infinity"));
    }
    Ok(model.iter().zip(law).map(|(p, q)| p - q).collect())
}

/// A value with the gradients of the inputs it came from.
fn with_gradients<const K: usize>(value: f64, parts: [(&Tensor<1>, &[f64]); K]) -> Tensor<1> {
    let like = parts[0].0;
    let value = Tensor::<1>::from_data([value], (&like.clone().inner().device(), like.dtype()));
    let parts = parts.map(|(input, gradient)| {
        let options = (&input.clone().inner().device(), input.dtype());
        let gradient = TensorData::new(gradient.to_vec(), [gradient.len()]);
        (input, Some(Tensor::from_data(gradient, options)))
    });
    attach_gradients(value, parts)
}
