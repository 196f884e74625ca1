//! How the parameters of a node method are stepped.

use crate::MethodError;
use crate::error::Check;
use contrastive_train::AdamConfig;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

/// What every training needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Learning rate of Adam, the highest one of a schedule.
    pub learning_rate: f64,
    /// L2 of Adam.
    pub weight_decay: f64,
    /// How it is applied: this times the parameter is added to the gradient (coupled, Adam), or the parameter shrinks by this share
    /// of the learning rate before each step (decoupled, AdamW of Loshchilov and Hutter, ICLR 2019).
    pub decoupled: bool,
    /// How the learning rate changes.
    pub schedule: Option<WarmUpCosine>,
    /// All settings, for checkpoints.
    pub config: serde_json::Value,
}

impl Settings {
    /// These settings of a method's configuration: a constant rate and coupled decay. Its number of epochs does not count, so that
    /// a run may be extended.
    pub fn new(learning_rate: f64, weight_decay: f64, config: &impl Serialize) -> Self {
        let mut config = serde_json::to_value(config).unwrap_or_default();
        if let Some(config) = config.as_object_mut() {
            config.remove("epochs");
        }
        Self { learning_rate, weight_decay, decoupled: false, schedule: None, config }
    }

    /// AdamW on a schedule. The schedule's epochs do count: with others, all epochs would be other ones.
    pub fn scheduled(mut self, schedule: WarmUpCosine) -> Self {
        if let Some(config) = self.config.as_object_mut() {
            config.insert("schedule".into(), serde_json::json!([schedule.warm_up, schedule.epochs]));
        }
        Self { decoupled: true, schedule: Some(schedule), ..self }
    }

    pub(super) fn adam(&self) -> AdamConfig {
        let coupled = if self.decoupled { 0.0 } else { self.weight_decay };
        AdamConfig::new().with_lr(self.learning_rate).with_weight_decay(coupled)
    }

    /// The learning rate of an epoch, counted from 1.
    pub fn rate(&self, epoch: usize) -> f64 {
        self.schedule.map_or(self.learning_rate, |schedule| self.learning_rate * schedule.share(epoch))
    }

    /// What a parameter is multiplied with before a step of an epoch.
    pub(super) fn decay_factor(&self, epoch: usize) -> f64 {
        if self.decoupled { 1.0 - self.rate(epoch) * self.weight_decay } else { 1.0 }
    }

    pub(super) fn validate(check: &Check, learning_rate: f64, weight_decay: f64) -> Result<(), MethodError> {
        check.positive("learning_rate", learning_rate)?;
        check.weight("weight_decay", weight_decay)
    }
}

/// A learning rate that rises linearly and falls on half a cosine. In epoch e, counted from 1, of E, with W of warm-up, the share of
/// the highest rate is
///
/// ```text
/// (e - 1) / W   up to epoch W        (1 + cos(pi (e - 1 - W) / (E - W))) / 2   from then on
/// ```
///
/// so 0 in the first epoch, 1 in epoch W + 1, and 0 from epoch E + 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmUpCosine {
    /// W, less than E; 0 for none.
    pub warm_up: usize,
    /// E.
    pub epochs: usize,
}

impl WarmUpCosine {
    /// The share of the highest rate in an epoch, counted from 1.
    pub fn share(&self, epoch: usize) -> f64 {
        let step = epoch.saturating_sub(1).min(self.epochs);
        if step < self.warm_up {
            return step as f64 / self.warm_up as f64;
        }
        let length = self.epochs.saturating_sub(self.warm_up).max(1);
        0.5 * (1.0 + (std::f64::consts::PI * (step - self.warm_up) as f64 / length as f64).cos())
    }

    pub(super) fn validate(&self, check: &Check) -> Result<(), MethodError> {
        check.count("epochs", self.epochs)?;
        check.that(self.warm_up < self.epochs, "warm_up", self.warm_up, "less than the epochs")
    }
}

/// The generator that parameters are drawn from: a stream that no epoch has.
pub(super) fn parameter_rng(seed: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::MAX);
    rng
}
