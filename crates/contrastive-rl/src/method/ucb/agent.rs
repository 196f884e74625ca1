//! One agent: collect, fit, pay bonuses, plan.

use super::bonus::Bonus;
use super::model::{FeatureModel, FitSettings, SoftmaxTable, TableLoss};
use super::planning::plan;
use super::samples::{Samples, collect, noise_law};
use crate::error::{RlError, setting};
use crate::world::{Policy, Tables, TabularWorld};
use burn::config::Config;
use burn::tensor::TensorData;
use contrastive_train::{FitOptions, Losses, Metrics, RunReport, State, TrainError, Trainee, take_tensor};
use ndarray::{Array2, Array3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Settings of contrastive UCB; the defaults are those of the study in the lock world.
#[derive(Config, Debug, PartialEq)]
pub struct UcbConfig {
    /// Which features the bonus is paid in.
    #[config(default = "Bonus::Learned")]
    pub bonus: Bonus,
    /// gamma: factor of the bonus, 0 or more.
    #[config(default = 0.3)]
    pub gamma: f64,
    /// lambda: what is added to the covariance, above 0.
    #[config(default = 1.0)]
    pub lambda: f64,
    /// d: width of the features.
    #[config(default = 3)]
    pub dim: usize,
    /// Steps of Adam for each step of the world, each iteration, on all data.
    #[config(default = 60)]
    pub fit_steps: usize,
    /// Learning rate of Adam.
    #[config(default = 0.05)]
    pub learning_rate: f64,
    /// What the features minimise.
    #[config(default = "TableLoss::Binary")]
    pub loss: TableLoss,
    /// Fresh tables tried every 50 iterations.
    #[config(default = 0)]
    pub restarts: usize,
}

impl UcbConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// With the first one that is out of its range.
    pub fn validate(&self) -> Result<(), RlError> {
        setting("ucb", "gamma", self.gamma, self.gamma >= 0.0 && self.gamma.is_finite(), "a finite number, 0 or more")?;
        setting("ucb", "lambda", self.lambda, self.lambda > 0.0 && self.lambda.is_finite(), "a finite number above 0")?;
        self.fitting().validate()
    }

    pub(crate) fn fitting(&self) -> FitSettings {
        FitSettings {
            dim: self.dim,
            steps: self.fit_steps,
            learning_rate: self.learning_rate,
            loss: self.loss,
            restarts: self.restarts,
        }
    }

    /// An agent in a world, with the table of softmax rows as its model; `law` is the noise law over the states (uniform if none).
    ///
    /// # Errors
    /// When a setting is out of its range, the noise law is 0 somewhere, or the bonus asks for true features and the world has none.
    pub fn build<'w, W: TabularWorld>(
        &self,
        world: &'w W,
        law: Option<&[f64]>,
        seed: u64,
    ) -> Result<Ucb<'w, SoftmaxTable>, RlError> {
        self.validate()?;
        let tables = world.tables();
        let law = noise_law(law, tables.states())?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::MAX);
        let pairs = tables.states() * tables.actions();
        let model = SoftmaxTable::new(self.fitting(), tables.horizon(), pairs, &law, rng)?;
        Ucb::new(self.clone(), world, model, &law)
    }

    /// Trains for `options.num_epochs()` iterations and returns the agent and the report of the run.
    ///
    /// # Errors
    /// As [`Self::build`], and when the run cannot go on.
    pub fn fit<'w, W: TabularWorld>(
        &self,
        world: &'w W,
        options: &FitOptions,
    ) -> Result<(Ucb<'w, SoftmaxTable>, RunReport), RlError> {
        let mut agent = self.build(world, None, options.seed_value())?;
        let report = contrastive_train::fit(&mut agent, options)?;
        Ok((agent, report))
    }
}

/// An agent in a tabular world: one epoch of the training loop is one iteration (collect, fit, bonus, plan, exact regret).
#[derive(Debug)]
pub struct Ucb<'w, F> {
    config: UcbConfig,
    name: &'static str,
    tables: &'w Tables,
    law: Vec<f64>,
    model: F,
    samples: Vec<Samples>,
    policy: Policy,
    regrets: Vec<f64>,
    best: f64,
    cap: f64,
    rng: ChaCha8Rng,
}

impl<'w, F: FeatureModel> Ucb<'w, F> {
    /// An agent with any model of features.
    ///
    /// # Errors
    /// As [`UcbConfig::build`].
    pub fn new<W: TabularWorld>(config: UcbConfig, world: &'w W, model: F, law: &[f64]) -> Result<Self, RlError> {
        config.validate()?;
        let tables = world.tables();
        config.bonus.check(tables)?;
        let pairs = tables.states() * tables.actions();
        Ok(Self {
            config,
            name: world.name(),
            law: noise_law(Some(law), tables.states())?,
            samples: vec![Samples::empty(pairs, tables.states()); tables.horizon()],
            policy: Policy::uniform(tables),
            regrets: Vec::new(),
            best: tables.best_value(),
            cap: tables.largest_return(),
            rng: ChaCha8Rng::seed_from_u64(0),
            tables,
            model,
        })
    }

    /// V* minus the exact value of the policy of each iteration.
    pub fn regrets(&self) -> &[f64] {
        &self.regrets
    }

    /// The mean regret of the last `count` iterations; of all if there are fewer.
    pub fn late_regret(&self, count: usize) -> f64 {
        let tail = &self.regrets[self.regrets.len().saturating_sub(count)..];
        tail.iter().sum::<f64>() / tail.len().max(1) as f64
    }

    /// The first iteration (counted from 1) whose regret is below `bound`.
    pub fn first_below(&self, bound: f64) -> Option<usize> {
        self.regrets.iter().position(|r| *r < bound).map(|at| at + 1)
    }

    /// The policy planned last, with the bonus.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The model of features.
    pub fn model(&self) -> &F {
        &self.model
    }

    /// What was seen at each step.
    pub fn samples(&self) -> &[Samples] {
        &self.samples
    }

    /// The bonus of every pair at a step of the world.
    ///
    /// # Errors
    /// When the features are not finite.
    pub fn bonus(&self, step: usize) -> Result<Vec<f64>, RlError> {
        let (features, factors) = (|| self.model.features(step), [self.config.lambda, self.config.gamma]);
        self.config.bonus.pay(self.tables, step, features, &self.samples[step], factors)
    }

    /// The greedy policy without bonus: what is put to use after the training.
    pub fn final_policy(&self, seed: u64) -> Policy {
        let horizon = self.tables.horizon();
        let kernels: Vec<_> = (0..horizon).map(|h| self.model.kernel(h)).collect();
        let none = vec![vec![0.0; self.tables.states() * self.tables.actions()]; horizon];
        plan(self.tables, &kernels, &none, self.cap, &mut ChaCha8Rng::seed_from_u64(seed)).policy
    }

    fn iterate(&mut self) -> Result<f64, RlError> {
        let (tables, policy, mut rng) = (self.tables, &self.policy, self.rng.clone());
        collect(tables, &mut self.samples, &self.law, |h, s, rng| policy.act(h, s, rng), &mut rng);
        let mut loss = 0.0;
        let (mut kernels, mut bonuses) = (Vec::new(), Vec::new());
        for h in 0..tables.horizon() {
            loss += self.model.fit(h, &self.samples[h]) / tables.horizon() as f64;
            kernels.push(self.model.kernel(h));
            bonuses.push(self.bonus(h)?);
        }
        self.policy = plan(tables, &kernels, &bonuses, self.cap, &mut rng).policy;
        self.regrets.push(self.best - tables.value_of(&self.policy)?);
        self.rng = rng;
        Ok(loss)
    }
}

impl<F: FeatureModel> Trainee for Ucb<'_, F> {
    fn name(&self) -> &str {
        "contrastive UCB"
    }

    fn config(&self) -> serde_json::Value {
        let t = self.tables;
        serde_json::json!({
            "method": "contrastive UCB",
            "settings": self.config,
            "world": {
                "name": self.name, "steps": t.horizon(), "states": t.states(), "actions": t.actions(),
                "digest": digest(t),
            },
        })
    }

    fn begin_epoch(&mut self, _epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        self.rng = rng;
        Ok(1)
    }

    fn step(&mut self, _step: usize) -> Result<Losses, TrainError> {
        let loss = self.iterate().map_err(TrainError::trainee)?;
        Ok(vec![("loss", loss)])
    }

    fn evaluate(&mut self) -> Result<Option<Metrics>, TrainError> {
        Ok(self.regrets.last().map(|r| Metrics::from([("regret".to_string(), *r)])))
    }

    fn state(&self) -> State {
        let mut state = State::new();
        self.model.state(&mut state);
        self.samples.iter().enumerate().for_each(|(h, s)| s.save(&format!("samples.{h}"), &mut state));
        save_policy(&self.policy, "policy", &mut state);
        state.insert("regrets".into(), TensorData::new(self.regrets.clone(), [self.regrets.len()]));
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.model.load_state(&mut state)?;
        for (h, samples) in self.samples.iter_mut().enumerate() {
            samples.load(&format!("samples.{h}"), &mut state)?;
        }
        self.policy = load_policy(self.policy.probabilities().dim(), "policy", &mut state)?;
        self.regrets = take_history("regrets", &mut state)?;
        Ok(())
    }

    fn artifacts(&self) -> Vec<(String, Array2<f32>)> {
        (0..self.tables.horizon())
            .map(|h| (format!("features-{h}"), self.model.features(h).mapv(|x| x as f32)))
            .collect()
    }
}

/// Two worlds of one size are told apart by it.
pub(crate) fn digest(tables: &Tables) -> String {
    let steps = (0..tables.horizon())
        .flat_map(|h| tables.kernel(h).iter().chain(tables.reward(h)).copied().collect::<Vec<_>>());
    crate::world::digest(tables.start().iter().copied().chain(steps))
}

pub(crate) fn save_policy(policy: &Policy, name: &str, state: &mut State) {
    let (h, s, a) = policy.probabilities().dim();
    state.insert(name.into(), TensorData::new(policy.probabilities().iter().copied().collect::<Vec<_>>(), [h, s, a]));
}

pub(crate) fn load_policy(
    (h, s, a): (usize, usize, usize),
    name: &str,
    state: &mut State,
) -> Result<Policy, TrainError> {
    let values: Vec<f64> = take_tensor(state, name, &[h, s, a])?.iter::<f64>().collect();
    let table = Array3::from_shape_vec((h, s, a), values).expect("the shape was checked");
    Policy::new(table).map_err(TrainError::trainee)
}

/// A list of numbers whose length is whatever was saved.
pub(crate) fn take_history(name: &str, state: &mut State) -> Result<Vec<f64>, TrainError> {
    let len = state.get(name).map_or(0, |data| data.shape().iter().product());
    Ok(take_tensor(state, name, &[len])?.iter::<f64>().collect())
}
