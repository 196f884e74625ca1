//! Real transitions and noise, as counts.

use crate::error::RlError;
use crate::world::{Tables, draw};
use burn::tensor::TensorData;
use contrastive_train::{State, TrainError, take_tensor};
use ndarray::{Array2, ArrayView2};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// What was seen at one step: real next states, noise states, and visits, for each pair of state and action. Numbers may be
/// expectations instead of counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    /// `[S A, S]`: transitions kept as they were (y = 1).
    pub real: Array2<f64>,
    /// `[S A, S]`: transitions whose next state was replaced by a draw from the noise law (y = 0).
    pub noise: Array2<f64>,
    /// S A: transitions from each pair, of both kinds.
    pub visits: Vec<f64>,
}

impl Samples {
    /// Nothing seen.
    pub fn empty(pairs: usize, states: usize) -> Self {
        Self { real: Array2::zeros((pairs, states)), noise: Array2::zeros((pairs, states)), visits: vec![0.0; pairs] }
    }

    /// Exact expectations: pairs by `visits`, half of them real by `kernel`, half noise by `law`.
    pub fn expected(visits: &[f64], kernel: ArrayView2<'_, f64>, law: &[f64]) -> Self {
        let shape = kernel.dim();
        Self {
            real: Array2::from_shape_fn(shape, |(p, s)| 0.5 * visits[p] * kernel[[p, s]]),
            noise: Array2::from_shape_fn(shape, |(p, s)| 0.5 * visits[p] * law[s]),
            visits: visits.to_vec(),
        }
    }

    /// Takes one transition in: kept or replaced by noise with probability one half each.
    pub fn observe(&mut self, pair: usize, next: usize, law: &[f64], rng: &mut ChaCha8Rng) {
        self.visits[pair] += 1.0;
        match rng.random_bool(0.5) {
            true => self.real[[pair, next]] += 1.0,
            false => self.noise[[pair, draw(law, rng)]] += 1.0,
        }
    }

    /// Number of transitions.
    pub fn total(&self) -> f64 {
        self.visits.iter().sum()
    }

    pub(crate) fn save(&self, prefix: &str, state: &mut State) {
        let table = |t: &Array2<f64>| TensorData::new(t.iter().copied().collect::<Vec<_>>(), [t.nrows(), t.ncols()]);
        state.insert(format!("{prefix}.real"), table(&self.real));
        state.insert(format!("{prefix}.noise"), table(&self.noise));
        state.insert(format!("{prefix}.visits"), TensorData::new(self.visits.clone(), [self.visits.len()]));
    }

    pub(crate) fn load(&mut self, prefix: &str, state: &mut State) -> Result<(), TrainError> {
        let (pairs, states) = self.real.dim();
        self.real = take_table(state, &format!("{prefix}.real"), [pairs, states])?;
        self.noise = take_table(state, &format!("{prefix}.noise"), [pairs, states])?;
        self.visits = take_numbers(state, &format!("{prefix}.visits"), pairs)?;
        Ok(())
    }
}

pub(crate) fn take_table(state: &mut State, name: &str, [rows, cols]: [usize; 2]) -> Result<Array2<f64>, TrainError> {
    let data = take_tensor(state, name, &[rows, cols])?;
    Ok(Array2::from_shape_vec((rows, cols), data.iter::<f64>().collect()).expect("the shape was checked"))
}

pub(crate) fn take_numbers(state: &mut State, name: &str, len: usize) -> Result<Vec<f64>, TrainError> {
    Ok(take_tensor(state, name, &[len])?.iter::<f64>().collect())
}

/// The two transitions of each step that an iteration adds: rolled in by `act(step, state)` to the step and then a uniform action;
/// and rolled in to the step before, then two uniform actions.
pub fn collect(
    tables: &Tables,
    samples: &mut [Samples],
    law: &[f64],
    act: impl Fn(usize, usize, &mut ChaCha8Rng) -> usize,
    rng: &mut ChaCha8Rng,
) {
    for h in 0..tables.horizon() {
        for uniform_before in [0, 1] {
            let mut s = tables.draw_start(rng);
            for t in 0..h {
                let a = if t + uniform_before >= h { rng.random_range(0..tables.actions()) } else { act(t, s, rng) };
                s = tables.step(t, s, a, rng);
            }
            let a = rng.random_range(0..tables.actions());
            let next = tables.step(h, s, a, rng);
            samples[h].observe(s * tables.actions() + a, next, law, rng);
        }
    }
}

/// The uniform law over states, or the given one, which must be above 0 everywhere.
pub(crate) fn noise_law(given: Option<&[f64]>, states: usize) -> Result<Vec<f64>, RlError> {
    let law = given.map_or_else(|| vec![1.0 / states as f64; states], <[f64]>::to_vec);
    if law.len() != states {
        return Err(RlError::OtherWorld {
            found: format!("{} noise states", law.len()),
            expected: format!("{states}"),
        });
    }
    if let Some((state, &value)) = law.iter().enumerate().find(|(_, p)| !(**p > 0.0 && p.is_finite())) {
        return Err(RlError::Noise { state, value });
    }
    crate::error::law(|| "the noise law".into(), 0, law.iter().copied())?;
    Ok(law)
}
