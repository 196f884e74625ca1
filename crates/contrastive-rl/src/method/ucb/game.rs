//! Two players of a zero-sum game, with two tables of values.

use super::UcbConfig;
use super::agent::{digest, load_policy, save_policy, take_history};
use super::bonus::Bonus;
use super::equilibrium::coarse_correlated_equilibrium;
use super::model::{FeatureModel, SoftmaxTable, TableLoss};
use super::samples::{Samples, collect, noise_law};
use crate::error::{RlError, setting};
use crate::world::{Policy, Tables, ZeroSumWorld};
use burn::config::Config;
use burn::tensor::TensorData;
use contrastive_train::{FitOptions, Losses, Metrics, RunReport, State, TrainError, Trainee};
use ndarray::{Array2, Array3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Settings of contrastive UCB in a zero-sum game; the defaults are those of the study in the lock game.
#[derive(Config, Debug, PartialEq)]
pub struct GameConfig {
    /// Which features the bonus is paid in.
    #[config(default = "Bonus::Learned")]
    pub bonus: Bonus,
    /// gamma: factor of the bonus, 0 or more.
    #[config(default = 1.0)]
    pub gamma: f64,
    /// lambda: what is added to the covariance, above 0.
    #[config(default = 1.0)]
    pub lambda: f64,
    /// d: width of the features.
    #[config(default = 2)]
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
    /// Fresh tables tried every 50 iterations: with as few features as the kernel's rank, a fit can end in a poor minimum.
    #[config(default = 3)]
    pub restarts: usize,
    /// Rounds of regret matching for each equilibrium.
    #[config(default = 2000)]
    pub rounds: usize,
}

impl GameConfig {
    fn as_ucb(&self) -> UcbConfig {
        UcbConfig::new()
            .with_bonus(self.bonus)
            .with_gamma(self.gamma)
            .with_lambda(self.lambda)
            .with_dim(self.dim)
            .with_fit_steps(self.fit_steps)
            .with_learning_rate(self.learning_rate)
            .with_loss(self.loss)
            .with_restarts(self.restarts)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// With the first one that is out of its range.
    pub fn validate(&self) -> Result<(), RlError> {
        setting("ucb", "rounds", self.rounds, self.rounds > 0, "at least 1")?;
        self.as_ucb().validate()
    }

    /// Both players in a world, uniform noise.
    ///
    /// # Errors
    /// When a setting is out of its range, or the bonus asks for true features and the world has none.
    pub fn build<'w, W: ZeroSumWorld>(&self, world: &'w W, seed: u64) -> Result<Game<'w, SoftmaxTable>, RlError> {
        self.validate()?;
        let tables = world.tables();
        self.bonus.check(tables)?;
        let law = noise_law(None, tables.states())?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::MAX);
        let pairs = tables.states() * tables.actions();
        let model = SoftmaxTable::new(self.as_ucb().fitting(), tables.horizon(), pairs, &law, rng)?;
        Ok(Game {
            config: self.clone(),
            name: world.name(),
            others: world.opponent_actions(),
            samples: vec![Samples::empty(pairs, tables.states()); tables.horizon()],
            joint: Policy::uniform(tables),
            history: Vec::new(),
            cap: tables.largest_return(),
            rng: ChaCha8Rng::seed_from_u64(0),
            tables,
            law,
            model,
        })
    }

    /// Trains for `options.num_epochs()` iterations.
    ///
    /// # Errors
    /// As [`Self::build`], and when the run cannot go on.
    pub fn fit<'w, W: ZeroSumWorld>(
        &self,
        world: &'w W,
        options: &FitOptions,
    ) -> Result<(Game<'w, SoftmaxTable>, RunReport), RlError> {
        let mut game = self.build(world, options.seed_value())?;
        let report = contrastive_train::fit(&mut game, options)?;
        Ok((game, report))
    }
}

/// One iteration of a game.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GameReport {
    /// The pessimistic value.
    pub lower: f64,
    /// The optimistic value.
    pub upper: f64,
    /// `max V(., nu) - min V(pi, .)` on the true tables: 0 at a Nash pair.
    pub gap: f64,
}

/// Two players; one epoch of the training loop is one iteration.
#[derive(Debug)]
pub struct Game<'w, F> {
    config: GameConfig,
    name: &'static str,
    tables: &'w Tables,
    others: usize,
    law: Vec<f64>,
    model: F,
    samples: Vec<Samples>,
    joint: Policy,
    history: Vec<GameReport>,
    cap: f64,
    rng: ChaCha8Rng,
}

impl<F: FeatureModel> Game<'_, F> {
    /// Values and gap of every iteration.
    pub fn history(&self) -> &[GameReport] {
        &self.history
    }

    /// The joint law of both players' actions, planned last.
    pub fn joint(&self) -> &Policy {
        &self.joint
    }

    fn bonus(&self, step: usize) -> Result<Vec<f64>, RlError> {
        let (features, factors) = (|| self.model.features(step), [self.config.lambda, self.config.gamma]);
        self.config.bonus.pay(self.tables, step, features, &self.samples[step], factors)
    }

    fn iterate(&mut self) -> Result<f64, RlError> {
        let (tables, mut rng) = (self.tables, self.rng.clone());
        let joint = &self.joint;
        collect(tables, &mut self.samples, &self.law, |h, s, rng| joint.act(h, s, rng), &mut rng);
        let mut loss = 0.0;
        for h in 0..tables.horizon() {
            loss += self.model.fit(h, &self.samples[h]) / tables.horizon() as f64;
        }
        let (joint, lower, upper) = self.plan()?;
        self.joint = joint;
        self.history.push(GameReport { lower, upper, gap: gap_of(tables, &self.joint, self.others)? });
        self.rng = rng;
        Ok(loss)
    }

    fn plan(&self) -> Result<(Policy, f64, f64), RlError> {
        let t = self.tables;
        let (states, all, others) = (t.states(), t.actions(), self.others);
        let own = all / others;
        let mut policy = Array3::zeros((t.horizon(), states, all));
        let (mut upper, mut lower) = (vec![0.0; states], vec![0.0; states]);
        for h in (0..t.horizon()).rev() {
            let (kernel, bonus) = (self.model.kernel(h), self.bonus(h)?);
            let (next_upper, next_lower) = (std::mem::take(&mut upper), std::mem::take(&mut lower));
            for s in 0..states {
                let value = |next: &[f64], sign: f64| {
                    Array2::from_shape_fn((own, others), |(a, b)| {
                        let pair = s * all + a * others + b;
                        let expected: f64 = kernel.row(pair).iter().zip(next).map(|(p, v)| p * v).sum();
                        t.reward(h)[[s, a * others + b]] + sign * bonus[pair] + expected
                    })
                };
                let up = value(&next_upper, 1.0).mapv(|q| q.min(self.cap));
                let low = value(&next_lower, -1.0).mapv(|q| q.max(0.0));
                let found = coarse_correlated_equilibrium(up.view(), low.view(), self.config.rounds);
                upper.push(found.mean(up.view()));
                lower.push(found.mean(low.view()));
                found.joint.iter().enumerate().for_each(|(at, p)| policy[[h, s, at]] = *p);
            }
        }
        Ok((Policy(policy), t.mean_at_start(&lower), t.mean_at_start(&upper)))
    }
}

/// `max V(., nu) - min V(pi, .)` of the marginals of a joint policy, by exact best responses; `others` are the minimiser's actions.
///
/// # Errors
/// When it is a policy of another world.
pub fn gap_of(tables: &Tables, joint: &Policy, others: usize) -> Result<f64, RlError> {
    tables.value_of(joint)?;
    let (states, own) = (tables.states(), tables.actions() / others);
    let (mut best, mut worst) = (vec![0.0; states], vec![0.0; states]);
    for h in (0..tables.horizon()).rev() {
        let (high, low) = (tables.action_values(h, &best), tables.action_values(h, &worst));
        for s in 0..states {
            let law = joint.at(h, s);
            let of_other: Vec<f64> = (0..others).map(|b| (0..own).map(|a| law[a * others + b]).sum()).collect();
            let of_own: Vec<f64> = (0..own).map(|a| law[a * others..][..others].iter().sum()).collect();
            best[s] = (0..own)
                .map(|a| (0..others).map(|b| of_other[b] * high[[s, a * others + b]]).sum::<f64>())
                .fold(f64::NEG_INFINITY, f64::max);
            worst[s] = (0..others)
                .map(|b| (0..own).map(|a| of_own[a] * low[[s, a * others + b]]).sum::<f64>())
                .fold(f64::INFINITY, f64::min);
        }
    }
    Ok(tables.mean_at_start(&best) - tables.mean_at_start(&worst))
}

impl<F: FeatureModel> Trainee for Game<'_, F> {
    fn name(&self) -> &str {
        "contrastive UCB in a game"
    }

    fn config(&self) -> serde_json::Value {
        let t = self.tables;
        serde_json::json!({
            "method": "contrastive UCB in a game",
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
        let metrics =
            |r: &GameReport| [("gap", r.gap), ("lower", r.lower), ("upper", r.upper)].map(|(n, v)| (n.into(), v));
        Ok(self.history.last().map(|report| Metrics::from(metrics(report))))
    }

    fn state(&self) -> State {
        let mut state = State::new();
        self.model.state(&mut state);
        self.samples.iter().enumerate().for_each(|(h, s)| s.save(&format!("samples.{h}"), &mut state));
        save_policy(&self.joint, "joint", &mut state);
        let history: Vec<f64> = self.history.iter().flat_map(|r| [r.lower, r.upper, r.gap]).collect();
        state.insert("history".into(), TensorData::new(history, [3 * self.history.len()]));
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.model.load_state(&mut state)?;
        for (h, samples) in self.samples.iter_mut().enumerate() {
            samples.load(&format!("samples.{h}"), &mut state)?;
        }
        self.joint = load_policy(self.joint.probabilities().dim(), "joint", &mut state)?;
        let history = take_history("history", &mut state)?;
        let report = |r: &[f64; 3]| GameReport { lower: r[0], upper: r[1], gap: r[2] };
        self.history = history.as_chunks::<3>().0.iter().map(report).collect();
        Ok(())
    }

    fn artifacts(&self) -> Vec<(String, Array2<f32>)> {
        (0..self.tables.horizon())
            .map(|h| (format!("features-{h}"), self.model.features(h).mapv(|x| x as f32)))
            .collect()
    }
}
