//! Worlds of few states with known tables, and exact values in them.

use crate::error::{RlError, law};
use ndarray::{Array2, Array3, ArrayView2};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A finite-horizon Markov decision process whose tables are known (to the evaluation, not to the agent).
pub trait TabularWorld {
    /// The tables.
    fn tables(&self) -> &Tables;

    /// Name, for files and messages.
    fn name(&self) -> &'static str;
}

/// A zero-sum Markov game of simultaneous moves: joint action `a * B + b` of the maximising player's `a` and the minimising player's
/// `b`. The reward is the maximiser's.
pub trait ZeroSumWorld: TabularWorld {
    /// B: actions of the minimising player.
    fn opponent_actions(&self) -> usize;

    /// A: actions of the maximising player.
    fn own_actions(&self) -> usize {
        self.tables().actions / self.opponent_actions()
    }
}

/// Laws and rewards of a world with H steps, S states and A actions.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    pub(crate) states: usize,
    pub(crate) actions: usize,
    start: Vec<f64>,
    kernels: Vec<Array2<f64>>,
    rewards: Vec<Array2<f64>>,
    features: Vec<Array2<f64>>,
}

impl Tables {
    /// # Shapes
    /// - start: S probabilities of the first state
    /// - kernels: for each step `[S A, S]`, row `s A + a` the law of the next state
    /// - rewards: for each step `[S, A]`, in `[0, 1]`
    /// - features: for each step `[S A, d]`, the true factor of the kernel where one is known; may be empty
    ///
    /// # Errors
    /// When there is no step, a shape does not fit, a row is no law (it is named), or a reward lies outside `[0, 1]`.
    pub fn new(
        start: Vec<f64>,
        kernels: Vec<Array2<f64>>,
        rewards: Vec<Array2<f64>>,
        features: Vec<Array2<f64>>,
    ) -> Result<Self, RlError> {
        let (horizon, states) = (kernels.len(), start.len());
        crate::error::setting("world", "horizon", horizon, horizon > 0, "at least 1")?;
        crate::error::setting(
            "world",
            "tables of rewards",
            rewards.len(),
            rewards.len() == horizon,
            "one for each step",
        )?;
        let known = features.is_empty() || features.len() == horizon;
        crate::error::setting("world", "tables of features", features.len(), known, "none, or one for each step")?;
        law(|| "the law of the first state".into(), 0, start.iter().copied())?;
        let actions = rewards[0].ncols();
        crate::error::setting("world", "actions", actions, actions > 0, "at least 1")?;
        for (step, (kernel, reward)) in kernels.iter().zip(&rewards).enumerate() {
            let shape = |what, table: &Array2<f64>, expected: [usize; 2]| {
                let found = [table.nrows(), table.ncols()];
                if found == expected { Ok(()) } else { Err(RlError::Shape { what, step, found, expected }) }
            };
            shape("the kernel", kernel, [states * actions, states])?;
            shape("the reward", reward, [states, actions])?;
            if let Some(features) = features.get(step) {
                shape("the features", features, [states * actions, features.ncols()])?;
            }
            for (row, values) in kernel.rows().into_iter().enumerate() {
                law(|| format!("the kernel of step {step}"), row, values.iter().copied())?;
            }
            if let Some(((state, action), &value)) = reward.indexed_iter().find(|(_, r)| !(0.0..=1.0).contains(*r)) {
                return Err(RlError::Reward { step, state, action, value });
            }
        }
        Ok(Self { states, actions, start, kernels, rewards, features })
    }

    /// H: number of steps.
    pub fn horizon(&self) -> usize {
        self.kernels.len()
    }

    /// S: number of states.
    pub fn states(&self) -> usize {
        self.states
    }

    /// A: number of actions (of joint actions in a game).
    pub fn actions(&self) -> usize {
        self.actions
    }

    /// The law of the first state.
    pub fn start(&self) -> &[f64] {
        &self.start
    }

    /// `[S A, S]`: the law of the next state after step `step` (counted from 0).
    pub fn kernel(&self, step: usize) -> ArrayView2<'_, f64> {
        self.kernels[step].view()
    }

    /// `[S, A]`: the reward of step `step`.
    pub fn reward(&self, step: usize) -> ArrayView2<'_, f64> {
        self.rewards[step].view()
    }

    /// `[S A, d]`: the true features of step `step`, where they are known.
    pub fn features(&self, step: usize) -> Option<ArrayView2<'_, f64>> {
        self.features.get(step).map(|table| table.view())
    }

    /// Draws the first state.
    pub fn draw_start(&self, rng: &mut ChaCha8Rng) -> usize {
        draw(&self.start, rng)
    }

    /// Draws the state after `state` and `action` at step `step`.
    pub fn step(&self, step: usize, state: usize, action: usize, rng: &mut ChaCha8Rng) -> usize {
        let row = self.kernels[step].row(state * self.actions + action);
        draw(row.as_slice().expect("kernels are in standard layout"), rng)
    }

    /// The largest sum of rewards that any run of the world can bring, whatever its luck.
    pub fn largest_return(&self) -> f64 {
        let mut value = vec![0f64; self.states];
        for h in (0..self.horizon()).rev() {
            value = (0..self.states)
                .map(|s| {
                    (0..self.actions)
                        .map(|a| {
                            let row = self.kernels[h].row(s * self.actions + a);
                            let next = row.iter().zip(&value).filter(|(p, _)| **p > 0.0).map(|(_, v)| *v);
                            self.rewards[h][[s, a]] + next.fold(f64::NEG_INFINITY, f64::max)
                        })
                        .fold(f64::NEG_INFINITY, f64::max)
                })
                .collect();
        }
        let reachable = self.start.iter().zip(&value).filter(|(p, _)| **p > 0.0);
        reachable.map(|(_, v)| *v).fold(0.0, f64::max)
    }

    /// `[S, A]`: reward plus the expected value of the next state.
    pub fn action_values(&self, step: usize, next: &[f64]) -> Array2<f64> {
        let kernel = self.kernel(step);
        Array2::from_shape_fn((self.states, self.actions), |(s, a)| {
            let row = kernel.row(s * self.actions + a);
            self.rewards[step][[s, a]] + row.iter().zip(next).map(|(p, v)| p * v).sum::<f64>()
        })
    }

    /// Mean over the first state.
    pub fn mean_at_start(&self, values: &[f64]) -> f64 {
        self.start.iter().zip(values).map(|(p, v)| p * v).sum()
    }

    /// V*: the expected return of the best policy, by backward induction.
    pub fn best_value(&self) -> f64 {
        let mut value = vec![0.0; self.states];
        for h in (0..self.horizon()).rev() {
            let q = self.action_values(h, &value);
            value = q.rows().into_iter().map(|row| row.iter().copied().fold(f64::NEG_INFINITY, f64::max)).collect();
        }
        self.mean_at_start(&value)
    }

    /// The expected return of a policy, exactly.
    ///
    /// # Errors
    /// When it is a policy of another world.
    pub fn value_of(&self, policy: &Policy) -> Result<f64, RlError> {
        policy.check(self)?;
        let mut value = vec![0.0; self.states];
        for h in (0..self.horizon()).rev() {
            let q = self.action_values(h, &value);
            value = (0..self.states).map(|s| policy.at(h, s).iter().zip(q.row(s)).map(|(p, q)| p * q).sum()).collect();
        }
        Ok(self.mean_at_start(&value))
    }
}

/// Probabilities of the actions at each step in each state.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy(pub(crate) Array3<f64>);

impl Policy {
    /// `[H, S, A]` probabilities.
    ///
    /// # Errors
    /// When a row is no law.
    pub fn new(probabilities: Array3<f64>) -> Result<Self, RlError> {
        let probabilities = probabilities.as_standard_layout().into_owned();
        for (step, table) in probabilities.outer_iter().enumerate() {
            for (state, row) in table.rows().into_iter().enumerate() {
                law(|| format!("the policy of step {step}"), state, row.iter().copied())?;
            }
        }
        Ok(Self(probabilities))
    }

    /// All actions alike.
    pub fn uniform(tables: &Tables) -> Self {
        let shape = (tables.horizon(), tables.states, tables.actions);
        Self(Array3::from_elem(shape, 1.0 / tables.actions as f64))
    }

    /// `[H, S, A]`.
    pub fn probabilities(&self) -> &Array3<f64> {
        &self.0
    }

    /// The law of the action at a step in a state.
    pub fn at(&self, step: usize, state: usize) -> &[f64] {
        let [_, s, a] = [self.0.dim().0, self.0.dim().1, self.0.dim().2];
        &self.0.as_slice().expect("in standard layout")[(step * s + state) * a..][..a]
    }

    /// Draws an action.
    pub fn act(&self, step: usize, state: usize, rng: &mut ChaCha8Rng) -> usize {
        draw(self.at(step, state), rng)
    }

    fn check(&self, tables: &Tables) -> Result<(), RlError> {
        let expected = (tables.horizon(), tables.states, tables.actions);
        if self.0.dim() == expected {
            return Ok(());
        }
        Err(RlError::OtherWorld { found: format!("{:?}", self.0.dim()), expected: format!("{expected:?}") })
    }
}

/// Draws an index by its probability.
///
/// # Panics
/// When there are none.
pub fn draw(law: &[f64], rng: &mut ChaCha8Rng) -> usize {
    assert!(!law.is_empty(), "a draw from no probabilities");
    let mut left: f64 = rng.random::<f64>() * law.iter().sum::<f64>();
    for (at, p) in law.iter().enumerate() {
        if left < *p {
            return at;
        }
        left -= p;
    }
    law.iter().rposition(|p| *p > 0.0).unwrap_or(0)
}
