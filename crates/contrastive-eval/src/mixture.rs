//! Two normal distributions on the line: does a list of numbers (losses, scores) fall into a low and a high group?
//!
//! ```
//! use contrastive_eval::mixture::GaussianMixture;
//!
//! let losses = [0.1, 0.12, 0.08, 0.11, 0.9, 0.95];
//! let mixture = GaussianMixture::new().fit(&losses)?;
//! assert!(mixture.means[0] < mixture.means[1]);
//! let high = mixture.high(&losses);
//! assert!(high[0] < 0.01 && high[4] > 0.99);
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

use crate::error::{EvalError, check_enough, check_setting};
use crate::rows::check_numbers;

/// What scikit-learn adds to the weight of a component before it divides by it.
const TINY: f64 = 10.0 * f64::EPSILON;

/// A mixture of two normal distributions of numbers, by expectation and maximisation (Dempster et al. 1977), as scikit-learn's
/// `GaussianMixture` has it: from equal weights, the smallest and the largest number as means and variances of 1, until the mean
/// log-likelihood changes by less than the tolerance. Far-spread numbers want [`with_two_means`](Self::with_two_means): variances of 1 say
/// little about numbers within 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GaussianMixture {
    two_means: bool,
    steps: usize,
    tolerance: f64,
    floor: f64,
}

/// A fitted [`GaussianMixture`]; the first component is the one with the smaller mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// The shares of the two, with sum 1.
    pub weights: [f64; 2],
    /// Their means, ascending.
    pub means: [f64; 2],
    /// Their variances, the floor included.
    pub variances: [f64; 2],
    /// The mean log-likelihood at the start of each step; without a floor it never falls.
    pub log_likelihoods: Vec<f64>,
    /// Whether it changed by less than the tolerance.
    pub converged: bool,
    /// Whether all numbers were equal, so that there is one group.
    pub constant: bool,
}

impl Default for GaussianMixture {
    fn default() -> Self {
        Self::new()
    }
}

impl GaussianMixture {
    /// scikit-learn's defaults: 100 steps, tolerance 1e-3, floor 1e-6.
    pub fn new() -> Self {
        Self { two_means: false, steps: 100, tolerance: 1e-3, floor: 1e-6 }
    }

    /// Starts from the two groups of k-means, found from the smallest and the largest number (scikit-learn's default, without its random seeds).
    #[must_use]
    pub fn with_two_means(mut self) -> Self {
        self.two_means = true;
        self
    }

    /// Most steps, at least 1.
    #[must_use]
    pub fn with_steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// The change of the mean log-likelihood below which it ends; at least 0.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// What is added to each variance; above 0.
    #[must_use]
    pub fn with_floor(mut self, floor: f64) -> Self {
        self.floor = floor;
        self
    }

    /// Fits to two numbers or more, `steps x numbers` operations. Of equal numbers both means are that number, and all belong to the
    /// low group.
    ///
    /// # Errors
    /// [`EvalError::Setting`], [`EvalError::TooFew`], [`EvalError::BadNumber`].
    pub fn fit(&self, x: &[f64]) -> Result<Mixture, EvalError> {
        check_setting("steps", self.steps as f64, self.steps > 0, "at least 1")?;
        check_setting("tolerance", self.tolerance, self.tolerance >= 0.0, "at least 0")?;
        check_setting("floor", self.floor, self.floor > 0.0 && self.floor.is_finite(), "above 0 and finite")?;
        check_enough("numbers", 2, x.len())?;
        check_numbers("numbers", x, 1)?;
        let (low, high) = x.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
        let mut mixture = Mixture {
            weights: [0.5; 2],
            means: [low, high],
            variances: [1.0; 2],
            log_likelihoods: Vec::new(),
            converged: low == high,
            constant: low == high,
        };
        if mixture.constant {
            mixture.variances = [self.floor; 2];
            return Ok(mixture);
        }
        if self.two_means {
            mixture.maximise(x, &groups(x, [low, high]), self.floor);
        }
        let mut before = f64::NEG_INFINITY;
        for _ in 0..self.steps {
            let (shares, likelihood) = mixture.expect(x);
            mixture.maximise(x, &shares, self.floor);
            mixture.log_likelihoods.push(likelihood);
            if (likelihood - before).abs() < self.tolerance {
                mixture.converged = true;
                break;
            }
            before = likelihood;
        }
        if mixture.means[0] > mixture.means[1] {
            mixture.weights.reverse();
            mixture.means.reverse();
            mixture.variances.reverse();
        }
        Ok(mixture)
    }
}

impl Mixture {
    /// Steps that were taken.
    pub fn steps(&self) -> usize {
        self.log_likelihoods.len()
    }

    /// The mean log-likelihood of these numbers.
    pub fn mean_log_likelihood(&self, x: &[f64]) -> f64 {
        self.expect(x).1
    }

    /// For each number the probability that it belongs to the component with the larger mean; 0 where all numbers of the fit were equal.
    pub fn high(&self, x: &[f64]) -> Vec<f64> {
        if self.constant { vec![0.0; x.len()] } else { self.expect(x).0.into_iter().map(|[_, high]| high).collect() }
    }

    /// For each number the probability that it belongs to the component with the smaller mean; 1 where all numbers of the fit were equal.
    pub fn low(&self, x: &[f64]) -> Vec<f64> {
        if self.constant { vec![1.0; x.len()] } else { self.expect(x).0.into_iter().map(|[low, _]| low).collect() }
    }

    /// The probabilities of both, and the mean log-likelihood.
    fn expect(&self, x: &[f64]) -> (Vec<[f64; 2]>, f64) {
        let mut sum = 0.0;
        let shares = x.iter().map(|&x| {
            let log: [f64; 2] = std::array::from_fn(|k| {
                let off = x - self.means[k];
                let variance = self.variances[k];
                self.weights[k].ln() - 0.5 * ((std::f64::consts::TAU * variance).ln() + off * off / variance)
            });
            let most = log[0].max(log[1]);
            let total = most + ((log[0] - most).exp() + (log[1] - most).exp()).ln();
            sum += total;
            log.map(|log| (log - total).exp())
        });
        let shares = shares.collect();
        (shares, sum / x.len() as f64)
    }

    fn maximise(&mut self, x: &[f64], shares: &[[f64; 2]], floor: f64) {
        let total: [f64; 2] = std::array::from_fn(|k| shares.iter().map(|share| share[k]).sum::<f64>() + TINY);
        for k in 0..2 {
            let mean = x.iter().zip(shares).map(|(x, share)| share[k] * x).sum::<f64>() / total[k];
            let off = |x: f64| (x - mean) * (x - mean);
            self.variances[k] =
                x.iter().zip(shares).map(|(x, share)| share[k] * off(*x)).sum::<f64>() / total[k] + floor;
            self.means[k] = mean;
            self.weights[k] = total[k] / (total[0] + total[1]);
        }
    }
}

/// The two groups of k-means, as shares of 0 and 1.
fn groups(x: &[f64], mut centres: [f64; 2]) -> Vec<[f64; 2]> {
    let shares = |centres: [f64; 2]| -> Vec<[f64; 2]> {
        let side = |x: &f64| if (x - centres[0]).abs() <= (x - centres[1]).abs() { [1.0, 0.0] } else { [0.0, 1.0] };
        x.iter().map(side).collect()
    };
    for _ in 0..100 {
        let now = shares(centres);
        // the ends of the numbers keep a group of their own each, so that none is empty
        let next = [0, 1].map(|k| {
            let sum: f64 = x.iter().zip(&now).map(|(x, share)| share[k] * x).sum();
            sum / now.iter().map(|share| share[k]).sum::<f64>()
        });
        if next == centres {
            break;
        }
        centres = next;
    }
    shares(centres)
}
