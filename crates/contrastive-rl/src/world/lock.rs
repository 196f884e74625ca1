//! Combination locks: one secret action a step, a small bait for giving up, and observations that hide the state.

use super::{Tables, TabularWorld, ZeroSumWorld};
use crate::error::{RlError, setting};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A lock of H steps: three hidden states (two good ones and a dead end), each shown as one of E observations. In the good states
/// one secret action leads to one of the two good states; every other one to the dead end, for a bait of `bait / H` before the last
/// step. The secret action at the last step is worth 1. The best value is 1; random play reaches the end with `A^-H`.
///
/// The kernel has rank 3: the law of the hidden state times the uniform law of its observations.
#[derive(Clone, Debug)]
pub struct LockMdp {
    tables: Tables,
}

/// Settings of [`LockMdp`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LockSettings {
    /// H: steps.
    pub horizon: usize,
    /// A: actions.
    pub actions: usize,
    /// E: observations of each hidden state.
    pub observations: usize,
    /// Reward for giving up, divided by H.
    pub bait: f64,
    /// Seed of the secret actions.
    pub seed: u64,
}

impl Default for LockSettings {
    fn default() -> Self {
        Self { horizon: 5, actions: 3, observations: 3, bait: 0.1, seed: 0 }
    }
}

impl LockMdp {
    /// # Errors
    /// When there are no steps, fewer than two actions, no observations, or the bait does not lie in `[0, 1]`.
    pub fn new(settings: LockSettings) -> Result<Self, RlError> {
        let LockSettings { horizon, actions, observations, bait, seed } = settings;
        check(horizon, actions, observations, bait)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let secret: Vec<[usize; 2]> =
            (0..horizon).map(|_| [rng.random_range(0..actions), rng.random_range(0..actions)]).collect();
        let built = build(horizon, actions, observations, 2, |h, hidden, action| {
            if hidden == 2 {
                return (0.0, [0.0, 0.0, 1.0].to_vec());
            }
            let last = h + 1 == horizon;
            match action == secret[h][hidden] {
                true => (if last { 1.0 } else { 0.0 }, vec![0.5, 0.5, 0.0]),
                false => (if last { 0.0 } else { bait / horizon as f64 }, vec![0.0, 0.0, 1.0]),
            }
        })?;
        Ok(Self { tables: built })
    }
}

impl TabularWorld for LockMdp {
    fn tables(&self) -> &Tables {
        &self.tables
    }

    fn name(&self) -> &'static str {
        "lock"
    }
}

/// A lock that two play: the maximising player's secret action keeps the good state, whatever the other does; every other action
/// leads to the dead end for the bait. At the last step in the good state the reward is 1 if both choose the same action, else 0:
/// the value of the game is `1 / 2` with two actions each.
#[derive(Clone, Debug)]
pub struct LockGame {
    tables: Tables,
    actions: usize,
}

impl LockGame {
    /// The settings of the published study: 3 steps, two actions each, 2 observations.
    pub fn settings(seed: u64) -> LockSettings {
        LockSettings { horizon: 3, actions: 2, observations: 2, bait: 0.1, seed }
    }

    /// # Errors
    /// As [`LockMdp::new`].
    pub fn new(settings: LockSettings) -> Result<Self, RlError> {
        let LockSettings { horizon, actions, observations, bait, seed } = settings;
        check(horizon, actions, observations, bait)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let secret: Vec<usize> = (0..horizon).map(|_| rng.random_range(0..actions)).collect();
        let tables = build(horizon, actions * actions, observations, 1, |h, hidden, joint| {
            let (own, other) = (joint / actions, joint % actions);
            let (good, dead) = (vec![1.0, 0.0], vec![0.0, 1.0]);
            match (hidden, h + 1 == horizon) {
                (1, _) => (0.0, dead),
                (_, true) => (if own == other { 1.0 } else { 0.0 }, dead),
                (_, false) if own == secret[h] => (0.0, good),
                _ => (bait / horizon as f64, dead),
            }
        })?;
        Ok(Self { tables, actions })
    }
}

impl TabularWorld for LockGame {
    fn tables(&self) -> &Tables {
        &self.tables
    }

    fn name(&self) -> &'static str {
        "lock game"
    }
}

impl ZeroSumWorld for LockGame {
    fn opponent_actions(&self) -> usize {
        self.actions
    }
}

fn check(horizon: usize, actions: usize, observations: usize, bait: f64) -> Result<(), RlError> {
    setting("lock", "horizon", horizon, horizon > 0, "at least 1")?;
    setting("lock", "actions", actions, actions > 1, "at least 2")?;
    setting("lock", "observations", observations, observations > 0, "at least 1")?;
    setting("lock", "bait", bait, (0.0..=1.0).contains(&bait), "0 to 1")
}

/// Tables over observations from a law over hidden states: `good` good states, then the dead one.
fn build(
    horizon: usize,
    actions: usize,
    observations: usize,
    good: usize,
    law: impl Fn(usize, usize, usize) -> (f64, Vec<f64>),
) -> Result<Tables, RlError> {
    let hidden = good + 1;
    let states = hidden * observations;
    let mut kernels = vec![Array2::zeros((states * actions, states)); horizon];
    let mut rewards = vec![Array2::zeros((states, actions)); horizon];
    let mut features = vec![Array2::zeros((states * actions, hidden)); horizon];
    for h in 0..horizon {
        for s in 0..states {
            for a in 0..actions {
                let (reward, next) = law(h, s / observations, a);
                rewards[h][[s, a]] = reward;
                for (z, p) in next.iter().enumerate() {
                    features[h][[s * actions + a, z]] = *p;
                    for e in 0..observations {
                        kernels[h][[s * actions + a, z * observations + e]] = p / observations as f64;
                    }
                }
            }
        }
    }
    let first = good * observations;
    let start = (0..states).map(|s| if s < first { 1.0 / first as f64 } else { 0.0 }).collect();
    Tables::new(start, kernels, rewards, features)
}
