//! The settings that every training has.

use crate::config::{Check, SettingError};
use crate::method::Step;
use crate::optimiser::{Averaging, Clipping, Group, OptimiserConfig};
use crate::schedule::{Schedule, Unit};
use serde::{Deserialize, Serialize};

/// How long to train.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// So many epochs.
    Epochs(usize),
    /// So many steps; the last epoch may be a part of one.
    Steps(usize),
}

/// The settings that every training has. Part of each method's configuration, and built up in a chain:
///
/// ```
/// use contrastive_train::{Budget, Group, OptimiserConfig, Schedule, TrainingConfig};
///
/// let config = TrainingConfig::new(Budget::Epochs(100), 256, 1e-3)
///     .with_optimiser(OptimiserConfig::adam_w(0.05))
///     .with_group(Group::plain_norms_and_biases())
///     .with_schedule(Schedule::cosine(0.0).with_warm_up(50));
/// let text = serde_json::to_string(&config)?;
/// assert_eq!(serde_json::from_str::<TrainingConfig>(&text)?, config);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrainingConfig {
    /// How long to train, unless [`FitOptions`](crate::FitOptions) say.
    pub budget: Budget,
    /// Samples in a batch, at least 1.
    pub batch_size: usize,
    /// The learning rate, above 0: the highest one of a schedule.
    pub learning_rate: f64,
    /// The optimiser.
    #[serde(default)]
    pub optimiser: OptimiserConfig,
    /// Parameters that are treated differently.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// How the learning rate changes.
    #[serde(default)]
    pub schedule: Schedule,
    /// How gradients are shortened.
    #[serde(default)]
    pub clipping: Option<Clipping>,
    /// An average of the weights, which is then what is evaluated and kept.
    #[serde(default)]
    pub average: Option<Averaging>,
    /// Batches whose gradients are averaged for a step, at least 1.
    #[serde(default = "one")]
    pub accumulate: usize,
}

fn one() -> usize {
    1
}

impl TrainingConfig {
    /// Adam at a constant rate.
    pub fn new(budget: Budget, batch_size: usize, learning_rate: f64) -> Self {
        Self {
            budget,
            batch_size,
            learning_rate,
            optimiser: OptimiserConfig::adam(),
            groups: Vec::new(),
            schedule: Schedule::constant(),
            clipping: None,
            average: None,
            accumulate: 1,
        }
    }

    /// How long to train.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Samples in a batch.
    #[must_use]
    pub fn with_batch_size(mut self, size: usize) -> Self {
        self.batch_size = size;
        self
    }

    /// The learning rate.
    #[must_use]
    pub fn with_learning_rate(mut self, rate: f64) -> Self {
        self.learning_rate = rate;
        self
    }

    /// The optimiser.
    #[must_use]
    pub fn with_optimiser(mut self, optimiser: OptimiserConfig) -> Self {
        self.optimiser = optimiser;
        self
    }

    /// One more group of parameters that is treated differently.
    #[must_use]
    pub fn with_group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// How the learning rate changes.
    #[must_use]
    pub fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// How gradients are shortened.
    #[must_use]
    pub fn with_clipping(mut self, clipping: Clipping) -> Self {
        self.clipping = Some(clipping);
        self
    }

    /// An average of the weights, which is then what is evaluated and kept.
    #[must_use]
    pub fn with_average(mut self, average: Averaging) -> Self {
        self.average = Some(average);
        self
    }

    /// Batches whose gradients are averaged for a step.
    #[must_use]
    pub fn with_accumulation(mut self, batches: usize) -> Self {
        self.accumulate = batches;
        self
    }

    /// The learning rate of a step.
    pub fn rate(&self, step: Step) -> f64 {
        self.learning_rate * self.schedule.share(step, self.length(step.steps))
    }

    /// The length of the training in the schedule's unit.
    fn length(&self, steps_of_an_epoch: usize) -> usize {
        match (self.budget, self.schedule.unit) {
            (Budget::Epochs(epochs), Unit::Epochs) => epochs,
            (Budget::Epochs(epochs), Unit::Steps) => epochs * steps_of_an_epoch,
            (Budget::Steps(steps), Unit::Steps) => steps,
            (Budget::Steps(steps), Unit::Epochs) => steps.div_ceil(steps_of_an_epoch.max(1)),
        }
    }

    /// What decides the numbers of a run: all but the budget, which may be extended, unless the schedule ends with it.
    pub(crate) fn identity(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).expect("settings are JSON");
        let ends_with_budget = self.schedule.length.is_none() && self.schedule.has_an_end();
        if let (Some(map), false) = (value.as_object_mut(), ends_with_budget) {
            map.remove("budget");
        }
        value
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`SettingError`] naming the first one outside of its range.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("training");
        match self.budget {
            Budget::Epochs(epochs) => check.count("epochs", epochs)?,
            Budget::Steps(steps) => check.count("steps", steps)?,
        }
        check.count("batch_size", self.batch_size)?;
        check.positive("learning_rate", self.learning_rate)?;
        check.count("accumulate", self.accumulate)?;
        self.optimiser.validate()?;
        self.clipping.iter().try_for_each(Clipping::validate)?;
        self.average.iter().try_for_each(Averaging::validate)?;
        self.schedule.validate()
    }
}
