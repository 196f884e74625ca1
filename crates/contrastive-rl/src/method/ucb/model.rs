//! Features and kernels from counts: a table of softmax rows, fitted by noise-contrastive estimation.

use super::samples::{Samples, take_table};
use crate::error::{RlError, setting};
use burn::tensor::TensorData;
use contrastive_train::{State, TrainError};
use ndarray::{Array2, ArrayView2, Zip};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Anything that learns features of state and action, and the law of the next state, from [`Samples`].
pub trait FeatureModel {
    /// Fits to all samples of a step, from where the last fit ended. Returns the loss.
    fn fit(&mut self, step: usize, samples: &Samples) -> f64;

    /// `[S A, S]`: the learned law of the next state; rows sum to 1.
    fn kernel(&self, step: usize) -> Array2<f64>;

    /// `[S A, d]`: the learned features.
    fn features(&self, step: usize) -> Array2<f64>;

    /// Everything that changes by fitting.
    fn state(&self, state: &mut State);

    /// Takes over what [`state`](Self::state) wrote.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    fn load_state(&mut self, state: &mut State) -> Result<(), TrainError>;
}

/// What the table minimises.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum TableLoss {
    /// Binary noise-contrastive estimation: one noise state for a real one (the paper's `L_h`).
    Binary,
    /// InfoNCE of a real next state against this many noise states, in expectation over the noise of the pair: the minimiser is the
    /// density ratio up to a factor for each pair of state and action, which normalising the kernel removes.
    InfoNce {
        /// Noise states for each real one.
        noise: usize,
    },
}

/// How a table is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FitSettings {
    /// d: width of the features; the rank of the kernel, or more.
    pub dim: usize,
    /// Steps of Adam on all data of a step, each iteration.
    pub steps: usize,
    /// Learning rate of Adam.
    pub learning_rate: f64,
    /// The loss.
    pub loss: TableLoss,
    /// Fresh tables tried beside the present one every 50 iterations; the one with the smallest loss stays.
    pub restarts: usize,
}

/// Iterations between two rounds of restarts.
pub const RESTART_EVERY: usize = 50;

impl FitSettings {
    pub(crate) fn validate(&self) -> Result<(), RlError> {
        setting("ucb", "dim", self.dim, self.dim > 0, "at least 1")?;
        setting("ucb", "fitting steps", self.steps, self.steps > 0, "at least 1")?;
        let rate = self.learning_rate;
        setting("ucb", "learning rate", rate, rate > 0.0 && rate.is_finite(), "a finite number above 0")?;
        let noise = match self.loss {
            TableLoss::Binary => 1,
            TableLoss::InfoNce { noise } => noise,
        };
        setting("ucb", "noise states", noise, noise > 0, "at least 1")
    }
}

/// The mean logistic loss of a table of density ratios f and its gradient by f (Qiu et al. 2022, `L_h`; the binary
/// noise-contrastive loss with logit `log f`):
///
/// ```text
/// L = (sum N+ log(1 + 1/f) + sum N- log(1 + f)) / N      dL/df = (-N+ / (f (1 + f)) + N- / (1 + f)) / N
/// ```
pub fn density_ratio_loss(f: ArrayView2<'_, f64>, samples: &Samples) -> (f64, Array2<f64>) {
    let total = (samples.real.sum() + samples.noise.sum()).max(f64::MIN_POSITIVE);
    let mut value = 0.0;
    let gradient = Zip::from(&f).and(&samples.real).and(&samples.noise).map_collect(|f, real, noise| {
        if *real == 0.0 && *noise == 0.0 {
            return 0.0;
        }
        value += real * (1.0 / f).ln_1p() + noise * f.ln_1p();
        (-real / (f * (1.0 + f)) + noise / (1.0 + f)) / total
    });
    (value / total, gradient)
}

/// The InfoNCE loss of a table of density ratios against N noise states whose sum is replaced by its expectation, and its gradient:
///
/// ```text
/// L = mean over real (p, s) of  log(f_ps + N m_p) - log f_ps       m_p = sum_s P-(s) f_ps
/// ```
pub fn info_nce_loss(f: ArrayView2<'_, f64>, samples: &Samples, law: &[f64], noise: usize) -> (f64, Array2<f64>) {
    let total = samples.real.sum().max(f64::MIN_POSITIVE);
    let (mut value, mut gradient) = (0.0, Array2::zeros(f.dim()));
    for (p, row) in f.rows().into_iter().enumerate() {
        let others = noise as f64 * row.iter().zip(law).map(|(f, q)| f * q).sum::<f64>();
        let mut through_noise = 0.0;
        for (s, &real) in samples.real.row(p).iter().enumerate().filter(|(_, n)| **n > 0.0) {
            let all = row[s] + others;
            value += real * (all.ln() - row[s].ln());
            gradient[[p, s]] += real * (1.0 / all - 1.0 / row[s]) / total;
            through_noise += real / all / total;
        }
        for (s, q) in law.iter().enumerate() {
            gradient[[p, s]] += through_noise * noise as f64 * q;
        }
    }
    (value / total, gradient)
}

/// One step's factors: `phi = softmax of the rows of U [S A, d]`, `psi = softmax of the rows of W [d, S]`, so that `phi psi` is a
/// kernel whatever the numbers are.
#[derive(Clone, Debug)]
struct Factors {
    logits: [Array2<f64>; 2],
    /// Adam's moments of both.
    moments: [[Array2<f64>; 2]; 2],
    taken: u64,
    fits: u64,
}

/// Softmax tables of the features and of the next states, one pair for each step.
#[derive(Clone, Debug)]
pub struct SoftmaxTable {
    settings: FitSettings,
    law: Vec<f64>,
    steps: Vec<Factors>,
    rng: ChaCha8Rng,
    seed_word: u128,
}

impl SoftmaxTable {
    /// Logits normal with deviation 0.1. `law` is the noise law over S states.
    ///
    /// # Errors
    /// When a setting is out of its range, or the noise law is not above 0 everywhere.
    pub fn new(
        settings: FitSettings,
        horizon: usize,
        pairs: usize,
        law: &[f64],
        mut rng: ChaCha8Rng,
    ) -> Result<Self, RlError> {
        settings.validate()?;
        let law = super::samples::noise_law(Some(law), law.len())?;
        let steps = (0..horizon).map(|_| Factors::new(settings.dim, pairs, law.len(), &mut rng)).collect();
        Ok(Self { settings, law, steps, seed_word: rng.get_word_pos(), rng })
    }

    /// The loss of the present table on samples of a step, with its gradients by both tables of logits.
    pub fn loss(&self, step: usize, samples: &Samples) -> (f64, [Array2<f64>; 2]) {
        self.steps[step].loss(samples, &self.law, self.settings.loss)
    }

    /// The logits `[S A, d]` and `[d, S]` of a step.
    pub fn logits(&mut self, step: usize) -> &mut [Array2<f64>; 2] {
        &mut self.steps[step].logits
    }
}

impl FeatureModel for SoftmaxTable {
    fn fit(&mut self, step: usize, samples: &Samples) -> f64 {
        let (settings, law) = (self.settings, &self.law);
        let factors = &mut self.steps[step];
        let mut loss = factors.fit(samples, law, &settings, settings.steps);
        factors.fits += 1;
        if settings.restarts > 0 && factors.fits.is_multiple_of(RESTART_EVERY as u64) {
            for _ in 0..settings.restarts {
                let (pairs, states) = samples.real.dim();
                let mut fresh = Factors::new(settings.dim, pairs, states, &mut self.rng);
                let other = fresh.fit(samples, law, &settings, settings.steps * 10);
                if other < loss {
                    fresh.fits = factors.fits;
                    (*factors, loss) = (fresh, other);
                }
            }
            self.seed_word = self.rng.get_word_pos();
        }
        loss
    }

    fn kernel(&self, step: usize) -> Array2<f64> {
        let factors = &self.steps[step];
        let [phi, psi] = factors.tables();
        let mut kernel = phi.dot(&psi);
        // the binary form is normalised by construction; rounding, and the factor of the InfoNCE form, are removed here
        for mut row in kernel.rows_mut() {
            let sum = row.sum();
            row /= sum;
        }
        kernel
    }

    fn features(&self, step: usize) -> Array2<f64> {
        softmax(&self.steps[step].logits[0])
    }

    fn state(&self, state: &mut State) {
        for (h, factors) in self.steps.iter().enumerate() {
            for (at, name) in ["phi", "psi"].into_iter().enumerate() {
                for (what, table) in [
                    ("logits", &factors.logits[at]),
                    ("first", &factors.moments[at][0]),
                    ("second", &factors.moments[at][1]),
                ] {
                    let values: Vec<f64> = table.iter().copied().collect();
                    state.insert(
                        format!("model.{h}.{name}.{what}"),
                        TensorData::new(values, [table.nrows(), table.ncols()]),
                    );
                }
            }
            let counts = vec![factors.taken as i64, factors.fits as i64];
            state.insert(format!("model.{h}.counts"), TensorData::new(counts, [2]));
        }
        state.insert("model.draws".into(), TensorData::new(vec![self.seed_word as i64], [1]));
    }

    fn load_state(&mut self, state: &mut State) -> Result<(), TrainError> {
        for (h, factors) in self.steps.iter_mut().enumerate() {
            for (at, name) in ["phi", "psi"].into_iter().enumerate() {
                let shape = [factors.logits[at].nrows(), factors.logits[at].ncols()];
                let mut take = |what: &str| take_table(state, &format!("model.{h}.{name}.{what}"), shape);
                factors.logits[at] = take("logits")?;
                factors.moments[at] = [take("first")?, take("second")?];
            }
            let counts = contrastive_train::take_tensor(state, &format!("model.{h}.counts"), &[2])?;
            let counts: Vec<i64> = counts.iter::<i64>().collect();
            (factors.taken, factors.fits) = (counts[0] as u64, counts[1] as u64);
        }
        let draws: Vec<i64> = contrastive_train::take_tensor(state, "model.draws", &[1])?.iter::<i64>().collect();
        self.seed_word = draws[0] as u128;
        self.rng.set_word_pos(self.seed_word);
        Ok(())
    }
}

impl Factors {
    fn new(dim: usize, pairs: usize, states: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut table = |rows, cols| Array2::from_shape_simple_fn((rows, cols), || 0.1 * normal(rng));
        let logits = [table(pairs, dim), table(dim, states)];
        let zeros = |t: &Array2<f64>| [Array2::zeros(t.dim()), Array2::zeros(t.dim())];
        let moments = [zeros(&logits[0]), zeros(&logits[1])];
        Self { logits, moments, taken: 0, fits: 0 }
    }

    fn tables(&self) -> [Array2<f64>; 2] {
        [softmax(&self.logits[0]), softmax(&self.logits[1])]
    }

    fn loss(&self, samples: &Samples, law: &[f64], loss: TableLoss) -> (f64, [Array2<f64>; 2]) {
        let [phi, psi] = self.tables();
        let mut f = phi.dot(&psi);
        for mut row in f.rows_mut() {
            row.iter_mut().zip(law).for_each(|(p, q)| *p = *p / q + 1e-8);
        }
        let (value, mut by_f) = match loss {
            TableLoss::Binary => density_ratio_loss(f.view(), samples),
            TableLoss::InfoNce { noise } => info_nce_loss(f.view(), samples, law, noise),
        };
        for mut row in by_f.rows_mut() {
            row.iter_mut().zip(law).for_each(|(g, q)| *g /= q);
        }
        let by_phi = by_f.dot(&psi.t());
        let by_psi = phi.t().dot(&by_f);
        (value, [softmax_backward(&phi, by_phi), softmax_backward(&psi, by_psi)])
    }

    fn fit(&mut self, samples: &Samples, law: &[f64], settings: &FitSettings, steps: usize) -> f64 {
        let mut value = 0.0;
        for _ in 0..steps {
            let (loss, gradients) = self.loss(samples, law, settings.loss);
            value = loss;
            self.taken += 1;
            let (bias_1, bias_2) = (1.0 - 0.9f64.powi(self.taken as i32), 1.0 - 0.999f64.powi(self.taken as i32));
            for ((logits, moments), gradient) in self.logits.iter_mut().zip(&mut self.moments).zip(&gradients) {
                let [first, second] = moments;
                Zip::from(logits).and(first).and(second).and(gradient).for_each(|x, m, v, g| {
                    *m += 0.1 * (g - *m);
                    *v += 0.001 * (g * g - *v);
                    *x -= settings.learning_rate * (*m / bias_1) / ((*v / bias_2).sqrt() + 1e-8);
                });
            }
        }
        value
    }
}

fn softmax(logits: &Array2<f64>) -> Array2<f64> {
    let mut out = logits.clone();
    for mut row in out.rows_mut() {
        let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|x| (x - largest).exp());
        let sum = row.sum();
        row /= sum;
    }
    out
}

/// The gradient by the logits from that by their softmax.
fn softmax_backward(p: &Array2<f64>, mut by_p: Array2<f64>) -> Array2<f64> {
    for (p, mut g) in p.rows().into_iter().zip(by_p.rows_mut()) {
        let mean: f64 = p.iter().zip(&g).map(|(p, g)| p * g).sum();
        g.iter_mut().zip(p).for_each(|(g, p)| *g = p * (*g - mean));
    }
    by_p
}

/// A standard normal number (Box and Muller).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
