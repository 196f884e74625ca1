//! The parts of SPR-UCB (Qiu et al. 2022, the deep version): predicting one's own future features, and a bonus paid in features.
//!
//! The released agent plays Atari games; no emulator stands here. These are its parts, trained on recorded episodes with actions:
//! a latent transition unrolled K steps and compared with a momentum copy's features ([`SprConfig`]), the elliptical bonus of
//! replayed or of new transitions ([`ReplayBonus`]), and its n-step sum ([`n_step_bonus`]). There are no negatives.

use crate::error::{RlError, setting};
use crate::world::grid::{MOVES, Videos};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_core::host::to_array;
use contrastive_core::linear::EllipticalBonus;
use contrastive_core::memory::Ema;
use contrastive_nn::Pass;
use contrastive_nn::encoder::{Mlp, MlpConfig};
use contrastive_nn::init::Initial;
use contrastive_train::{
    Budget, Method, MethodConfig, State, Step, TrainError, Training, TrainingConfig, Weighted, load_module, save_module,
};
use ndarray::{Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Settings of self-predictive representations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SprConfig {
    /// Width of the features.
    pub dim: usize,
    /// Width between features, in the transition and the encoder.
    pub hidden: usize,
    /// K: steps the transition is unrolled (5).
    pub unroll: usize,
    /// Share of the old target that stays at a step; 0 is a plain copy of the online network, as released.
    pub momentum: f64,
    /// Weight of the loss (5).
    pub weight: f64,
    /// Budget, batch, Adam.
    pub training: TrainingConfig,
}

impl Default for SprConfig {
    fn default() -> Self {
        let training = TrainingConfig::new(Budget::Steps(1000), 32, 1e-3);
        Self { dim: 32, hidden: 64, unroll: 5, momentum: 0.0, weight: 5.0, training }
    }
}

/// Encoder, latent transition, projection and predictor.
#[derive(Module, Debug)]
pub struct SprModel {
    /// Frames to latent states, `[n, width]` to `[n, dim]`.
    pub encoder: Mlp,
    /// Latent state and one-hot action to the next latent state.
    pub transition: Mlp,
    /// Latent states to what is compared.
    pub projection: Mlp,
    /// Projections to predictions of the target's.
    pub predictor: Mlp,
}

impl SprModel {
    fn new(config: &SprConfig, frame: usize, seed: u64, device: &Device) -> Result<Self, RlError> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::MAX);
        let mut map = |widths: &[usize]| {
            let config = MlpConfig::new(widths.to_vec()).with_initial(Initial::FanIn);
            config.init(&mut rng, device).map_err(TrainError::trainee)
        };
        let SprConfig { dim, hidden, .. } = *config;
        Ok(Self {
            encoder: map(&[frame, hidden, dim])?,
            transition: map(&[dim + MOVES, hidden, dim])?,
            projection: map(&[dim, dim])?,
            predictor: map(&[dim, dim])?,
        })
    }

    /// Latent states, each row brought to `[0, 1]` by its smallest and largest number.
    pub fn encode(&self, frames: Tensor<2>) -> Tensor<2> {
        renormalised(self.encoder.forward(frames, &mut Pass::evaluation()))
    }

    /// One latent step with one-hot actions `[n, moves]`.
    pub fn advance(&self, latent: Tensor<2>, actions: Tensor<2>) -> Tensor<2> {
        renormalised(self.transition.forward(Tensor::cat(vec![latent, actions], 1), &mut Pass::evaluation()))
    }

    /// What is compared with predictions.
    pub fn project(&self, latent: Tensor<2>) -> Tensor<2> {
        self.projection.forward(latent, &mut Pass::evaluation())
    }

    fn predict(&self, latent: Tensor<2>) -> Tensor<2> {
        self.predictor.forward(self.project(latent), &mut Pass::evaluation())
    }
}

/// Each row brought to `[0, 1]`.
fn renormalised(x: Tensor<2>) -> Tensor<2> {
    let (low, high) = (x.clone().min_dim(1), x.clone().max_dim(1));
    (x - low.clone()) / (high - low + 1e-5)
}

impl MethodConfig for SprConfig {
    type Method = Spr;
    type Data = Videos;
    type Error = RlError;

    fn validate(&self) -> Result<(), RlError> {
        setting("SPR", "dim", self.dim, self.dim > 0, "at least 1")?;
        setting("SPR", "hidden", self.hidden, self.hidden > 0, "at least 1")?;
        setting("SPR", "unroll", self.unroll, self.unroll > 0, "at least 1")?;
        let weight = self.weight;
        setting("SPR", "weight", weight, weight > 0.0 && weight.is_finite(), "a finite number above 0")?;
        Ema::constant(self.momentum).map_err(TrainError::trainee)?;
        Ok(self.training.validate()?)
    }

    fn build(&self, data: &Videos, seed: u64, device: &Device) -> Result<Training<Spr>, RlError> {
        self.validate()?;
        if data.actions.is_empty() {
            return Err(RlError::Data("SPR unrolls actions, and these videos have none".into()));
        }
        let starts: Vec<usize> = data.offsets.windows(2).flat_map(|w| w[0]..w[1].saturating_sub(1).max(w[0])).collect();
        if starts.is_empty() {
            return Err(RlError::Data("no episode has two frames".into()));
        }
        let model = SprModel::new(self, data.width(), seed, &device.clone().autodiff())?;
        let ends = data.offsets.windows(2).flat_map(|w| std::iter::repeat_n(w[1], w[1] - w[0])).collect();
        let method = Spr {
            config: self.clone(),
            target: model.valid(),
            device: device.clone().inner(),
            videos: data.clone(),
            batches: Vec::new(),
            starts,
            ends,
        };
        Ok(Training::new(method, model, &self.training, seed)?)
    }
}

/// Self-predictive representations (Schwarzer et al. 2021) on recorded episodes.
#[derive(Debug)]
pub struct Spr {
    config: SprConfig,
    target: SprModel,
    device: Device,
    videos: Videos,
    starts: Vec<usize>,
    /// The end of the episode of each frame.
    ends: Vec<usize>,
    batches: Vec<Vec<usize>>,
}

/// First frames, actions, later frames and whether they still belong to the episode, step by step.
#[derive(Clone, Debug)]
pub struct SprBatch {
    first: Tensor<2>,
    steps: Vec<SprStep>,
}

#[derive(Clone, Debug)]
struct SprStep {
    /// `[b, moves]`, one-hot.
    actions: Tensor<2>,
    /// `[b, width]`.
    frames: Tensor<2>,
    /// `[b]`: 1 within the episode, else 0.
    within: Tensor<1>,
}

impl Spr {
    fn frames(&self, rows: &[usize]) -> Tensor<2> {
        let values: Vec<f32> = self.videos.frames.select(Axis(0), rows).into_iter().collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), self.videos.width()]), &self.device)
    }

    /// The momentum copy.
    pub fn target(&self) -> &SprModel {
        &self.target
    }
}

/// `|p / |p| - t / |t||^2 = 2 - 2 cos` of each row, `[n]`; differentiable by the predictions.
pub fn spr_distances(predictions: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let unit = |x: Tensor<2>| {
        let length = (x.clone().powi_scalar(2).sum_dim(1) + 1e-12).sqrt();
        x / length
    };
    let difference: Tensor<2> = unit(predictions) - unit(targets);
    difference.powi_scalar(2).sum_dim(1).squeeze_dim::<1>(1)
}

impl Method for Spr {
    type Model = SprModel;
    type Batch = SprBatch;

    fn name(&self) -> &str {
        "SPR"
    }

    fn config(&self) -> serde_json::Value {
        let mut config = serde_json::to_value(&self.config).unwrap_or_default();
        if let Some(settings) = config.as_object_mut() {
            settings.remove("training");
        }
        config
    }

    fn data(&self) -> serde_json::Value {
        let digest = crate::world::digest(self.videos.frames.iter().map(|x| f64::from(*x)));
        serde_json::json!({ "episodes": self.videos.episodes(), "frames": self.videos.frames.nrows(), "digest": digest })
    }

    fn begin_epoch(&mut self, _epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        let mut order = self.starts.clone();
        order.shuffle(&mut rng);
        self.batches = order.chunks(self.config.training.batch_size).map(<[usize]>::to_vec).collect();
        Ok(self.batches.len())
    }

    fn batch(&mut self, step: Step) -> Result<SprBatch, TrainError> {
        let starts = &self.batches[step.batch];
        let steps = (1..=self.config.unroll).map(|k| {
            // beyond the end of an episode its last frame stands in, with weight 0
            let rows: Vec<usize> = starts.iter().map(|at| (at + k).min(self.ends[*at] - 1)).collect();
            let mut one_hot = vec![0f32; starts.len() * MOVES];
            for (row, at) in starts.iter().enumerate() {
                one_hot[row * MOVES + self.videos.actions[(at + k - 1).min(self.ends[*at] - 1)] as usize] = 1.0;
            }
            let within: Vec<f32> = starts.iter().map(|at| if at + k < self.ends[*at] { 1.0 } else { 0.0 }).collect();
            SprStep {
                actions: Tensor::from_data(TensorData::new(one_hot, [starts.len(), MOVES]), &self.device),
                frames: self.frames(&rows),
                within: Tensor::from_data(TensorData::new(within, [starts.len()]), &self.device),
            }
        });
        Ok(SprBatch { steps: steps.collect(), first: self.frames(starts) })
    }

    fn losses(&mut self, model: &SprModel, batch: &SprBatch, _step: Step) -> Result<Weighted, TrainError> {
        let mut latent = model.encode(Tensor::from_inner(batch.first.clone()));
        let mut sum: Option<Tensor<1>> = None;
        for step in &batch.steps {
            latent = model.advance(latent, Tensor::from_inner(step.actions.clone()));
            let target = self.target.project(self.target.encode(step.frames.clone()));
            let distances = spr_distances(model.predict(latent.clone()), Tensor::from_inner(target));
            let loss = (distances * Tensor::from_inner(step.within.clone())).mean();
            sum = Some(sum.map_or_else(|| loss.clone(), |sum| sum + loss.clone()));
        }
        let mean = sum.expect("at least one step") * (self.config.weight / batch.steps.len() as f64);
        Ok(vec![("spr", mean)])
    }

    fn after_step(&mut self, model: &SprModel, _batch: &SprBatch, step: Step) {
        let average = Ema::constant(self.config.momentum).expect("checked at the start");
        self.target = average.update_parameters(model, self.target.clone(), step.global);
    }

    fn state(&self) -> State {
        let mut state = State::new();
        save_module(&self.target, "target", &mut state);
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.target = load_module(self.target.clone(), "target", &mut state)?;
        Ok(())
    }

    fn artifacts(&self, model: &SprModel) -> Vec<(String, Array2<f32>)> {
        let rows: Vec<usize> = (0..self.videos.frames.nrows()).collect();
        vec![("frames".into(), to_array(&model.encode(self.frames(&rows))))]
    }
}

/// Which transitions enter the covariance of the bonus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counting {
    /// Every sampled one, again each time it is replayed (as released): the bonus then falls with updates, not with visits.
    Replayed,
    /// Each transition once, when it is sampled first.
    Once,
}

/// The elliptical bonus of replayed transitions, `kappa sqrt(phi' Lambda^-1 phi)`, Lambda from `lambda 1` on.
#[derive(Clone, Debug)]
pub struct ReplayBonus {
    bonus: EllipticalBonus,
    counting: Counting,
    seen: HashSet<usize>,
}

impl ReplayBonus {
    /// The release: width 51, lambda 1e-5, kappa 1, [`Counting::Replayed`].
    ///
    /// # Errors
    /// When the width is 0, lambda is not above 0, or kappa is negative.
    pub fn new(width: usize, lambda: f64, kappa: f64, counting: Counting) -> Result<Self, RlError> {
        Ok(Self { bonus: EllipticalBonus::new(width, lambda, kappa)?, counting, seen: HashSet::new() })
    }

    /// Takes a sampled batch in: numbers of the transitions in the replay memory and their features `[n, width]`; then the bonus of
    /// each.
    ///
    /// # Errors
    /// When a feature is not finite.
    ///
    /// # Panics
    /// When the numbers differ.
    pub fn observe(&mut self, transitions: &[usize], features: ArrayView2<'_, f64>) -> Result<Vec<f64>, RlError> {
        assert_eq!(transitions.len(), features.nrows(), "transitions and rows of features");
        for (id, row) in transitions.iter().zip(features.rows()) {
            if self.seen.insert(*id) || self.counting == Counting::Replayed {
                self.bonus.observe(row)?;
            }
        }
        Ok(features.rows().into_iter().map(|row| self.bonus.bonus(row)).collect())
    }

    /// Rows in the covariance.
    pub fn counted(&self) -> usize {
        self.bonus.seen()
    }
}

/// Where an n-step bonus looks for the end of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndOfEpisode {
    /// Only at its first transition (as released): bonuses of the next episode are added across the end.
    FirstOnly,
    /// At every transition: the sum stops with the episode.
    Everywhere,
}

/// `sum_{i < n} discount^i b_{t + i}` for each t, 0 where the episode is over at t. At the end of the list the sum is shorter.
///
/// # Panics
/// When the lists differ in length.
pub fn n_step_bonus(bonuses: &[f64], done: &[bool], n: usize, discount: f64, end: EndOfEpisode) -> Vec<f64> {
    assert_eq!(bonuses.len(), done.len(), "bonuses and ends of episodes");
    (0..bonuses.len())
        .map(|t| {
            if done[t] {
                return 0.0;
            }
            let (mut sum, mut factor) = (0.0, 1.0);
            for at in t..(t + n).min(bonuses.len()) {
                if end == EndOfEpisode::Everywhere && done[at] {
                    break;
                }
                sum += factor * bonuses[at];
                factor *= discount;
            }
            sum
        })
        .collect()
}
