//! The one-dimensional study of energy models: the mean of a Gaussian, by likelihood and by telling data from noise.

use contrastive_core::objective::{Meco, MecoError};
use contrastive_kernels::scalar::{logistic, softplus, standard_normal};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Data `N(R, 1)`, the model `log p~ = theta x - x^2 / 2` with the normaliser `Z = sqrt(2 pi) e^{theta^2 / 2}`, and noise
/// `N(0, sd^2)` (Jiang et al. 2023, their study of one dimension; Liu et al. 2022 for the landscape of NCE).
///
/// The likelihood's landscape has curvature 1 for every R. That of binary NCE flattens like `e^{-R^2 / 8}`, because data and noise
/// hardly meet: gradients vanish long before theta is right. Sampled MECO needs noise that covers the data: the variance of its
/// weights is `e^{R^2} - 1` for sd 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanStudy {
    mean: f64,
    noise_sd: f64,
    batch: usize,
    noise: usize,
    steps: usize,
    seed: u64,
}

/// Where a run ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StudyRun {
    /// The mean of theta over the last tenth of the steps; infinite if it ran away.
    pub theta: f64,
    /// Its distance from R.
    pub error: f64,
    /// The fewest effective noise samples of any step; those of all steps for NCE, which has no weights.
    pub fewest_effective: f64,
}

const HALF_LOG_TAU: f64 = 0.918_938_533_204_672_8;
/// Points of the quadrature, and how many standard deviations it reaches beyond the means.
const POINTS: usize = 40_000;
const REACH: f64 = 12.0;

impl MeanStudy {
    /// The mean R of the data and the noise's standard deviation; batches of 64 data and 256 noise samples, 2,000 steps.
    pub fn new(mean: f64, noise_sd: f64) -> Self {
        Self { mean, noise_sd, batch: 64, noise: 256, steps: 2000, seed: 0 }
    }

    /// How long a run is, and what it draws.
    pub fn with_steps(mut self, steps: usize, seed: u64) -> Self {
        (self.steps, self.seed) = (steps, seed);
        self
    }

    /// `log Z` of the model at this theta.
    pub fn log_normaliser(&self, theta: f64) -> f64 {
        HALF_LOG_TAU + theta * theta / 2.0
    }

    fn log_noise(&self, x: f64) -> f64 {
        let z = x / self.noise_sd;
        -0.5 * z * z - HALF_LOG_TAU - self.noise_sd.ln()
    }

    fn log_data(&self, x: f64) -> f64 {
        let z = x - self.mean;
        -0.5 * z * z - HALF_LOG_TAU
    }

    /// The integral of a function of x, by the trapezoidal rule.
    fn integral(&self, f: impl Fn(f64) -> f64) -> f64 {
        let reach = REACH * self.noise_sd.max(1.0);
        let (low, high) = (self.mean.min(0.0) - reach, self.mean.max(0.0) + reach);
        let step = (high - low) / POINTS as f64;
        (0..=POINTS).map(|k| f(low + k as f64 * step)).sum::<f64>() * step
    }

    /// The smallest curvature of binary NCE at its optimum, over theta and the logarithm of the normaliser: the smaller eigenvalue of
    /// the integral of `p q / (p + q) [x, -1] [x, -1]'`. That of the likelihood is 1.
    pub fn nce_curvature(&self) -> f64 {
        let weight = |x: f64| {
            let (p, q) = (self.log_data(x), self.log_noise(x));
            (p - softplus(p - q)).exp()
        };
        let total = self.integral(weight);
        let centre = self.integral(|x| weight(x) * x) / total;
        let spread = self.integral(|x| weight(x) * (x - centre) * (x - centre));
        let trace = spread + total * (centre * centre + 1.0);
        // the product of the eigenvalues is that of mass and spread: no difference of nearly equal numbers
        let larger = (trace + (trace * trace - 4.0 * total * spread).max(0.0).sqrt()) / 2.0;
        total * spread / larger
    }

    /// How much larger binary NCE is at theta, with the exact normaliser, than at R.
    pub fn nce_gap(&self, theta: f64) -> f64 {
        let value = |theta: f64, x: f64| {
            let f = theta * x - 0.5 * x * x - self.log_normaliser(theta) - self.log_noise(x);
            self.log_data(x).exp() * softplus(-f) + self.log_noise(x).exp() * softplus(f)
        };
        self.integral(|x| value(theta, x) - value(self.mean, x))
    }

    /// How much smaller the mean log-likelihood is at theta than at R.
    pub fn likelihood_gap(&self, theta: f64) -> f64 {
        (theta - self.mean) * (theta - self.mean) / 2.0
    }

    /// Runs a rule from theta = 0: it takes data, noise and theta, and gives the new theta and the effective samples.
    fn run(
        &self,
        mut step: impl FnMut(&[f64], &[f64], f64) -> Result<(f64, f64), MecoError>,
    ) -> Result<StudyRun, MecoError> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut draw = |count: usize, mean: f64, sd: f64| -> Vec<f64> {
            (0..count).map(|_| mean + sd * standard_normal(&mut rng)).collect()
        };
        let (mut theta, mut sum, mut count, mut fewest) = (0.0, 0.0, 0, f64::INFINITY);
        for k in 0..self.steps {
            let (x, y) = (draw(self.batch, self.mean, 1.0), draw(self.noise, 0.0, self.noise_sd));
            let (next, effective) = step(&x, &y, theta)?;
            // beyond this theta does not return
            if next.is_nan() || next.abs() >= 1e6 {
                return Ok(StudyRun { theta: f64::INFINITY, error: f64::INFINITY, fewest_effective: fewest });
            }
            (theta, fewest) = (next, fewest.min(effective));
            if k >= self.steps - self.steps.div_ceil(10) {
                (sum, count) = (sum + theta, count + 1);
            }
        }
        let theta = sum / f64::from(count);
        Ok(StudyRun { theta, error: (theta - self.mean).abs(), fewest_effective: fewest })
    }

    /// MECO by gradient descent with this learning rate (0.02) and share of a new batch (0.1).
    ///
    /// # Errors
    /// When the share is not in `(0, 1]`, or the weights overflow.
    pub fn meco(&self, rate: f64, gamma: f64) -> Result<StudyRun, MecoError> {
        let mut meco = Meco::new(gamma)?;
        self.run(|x, y, theta| {
            let log_weights: Vec<f64> = y.iter().map(|y| theta * y - 0.5 * y * y - self.log_noise(*y)).collect();
            let seen = meco.observe(&log_weights)?;
            let model: f64 = seen.weights.iter().zip(y).map(|(w, y)| w * y).sum();
            Ok((theta - rate * (model - average(x)), seen.effective_samples))
        })
    }

    /// Binary NCE by gradient descent on theta and on the logarithm of the normaliser, which starts exact.
    pub fn nce(&self, rate: f64) -> StudyRun {
        let mut c = self.log_normaliser(0.0);
        self.run(|x, y, theta| {
            let ratio = |x: &f64| theta * x - 0.5 * x * x - c - self.log_noise(*x);
            let of_data: Vec<f64> = x.iter().map(|x| -logistic(-ratio(x)) / self.batch as f64).collect();
            let of_noise: Vec<f64> = y.iter().map(|y| logistic(ratio(y)) / self.noise as f64).collect();
            let both = || of_data.iter().zip(x).chain(of_noise.iter().zip(y));
            let (by_theta, by_c): (f64, f64) = both().fold((0.0, 0.0), |(t, c), (g, x)| (t + g * x, c - g));
            c -= rate * by_c;
            Ok((theta - rate * by_theta, self.noise as f64))
        })
        .expect("a rule that cannot fail")
    }
}

fn average(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}
