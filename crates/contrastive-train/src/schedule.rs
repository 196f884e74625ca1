//! How the learning rate changes from step to step.

use crate::config::{Check, SettingError};
use crate::method::Step;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// What a schedule counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// The steps of the run.
    #[default]
    Steps,
    /// Its epochs: the rate is the same in all steps of an epoch.
    Epochs,
}

/// The rise to the highest rate at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WarmUp {
    /// Its length W, in the schedule's unit.
    pub length: usize,
    /// The share of the highest rate at time 0.
    pub from: f64,
    /// Whether the highest rate is reached at time W - 1, as `linspace` has it (SwAV), instead of W.
    pub inclusive: bool,
}

/// The course after the warm-up. With t counted from its end, and T from there to the end of the schedule, the share of the
/// highest rate is as follows, and that of t = T beyond it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shape {
    /// 1.
    Constant,
    /// `factor` to the power of how many of the times have been reached; they count from the beginning of the run.
    Drops {
        /// When the rate drops; at these times it is already the lower one.
        at: Vec<usize>,
        /// What it is multiplied with, above 0.
        factor: f64,
    },
    /// `factor` to the power of `t / every`, rounded down.
    Regular {
        /// From one drop to the next, at least 1.
        every: usize,
        /// What the rate is multiplied with, above 0.
        factor: f64,
    },
    /// `(1 - floor) (1 - t / T)^power + floor`; power 1 is the linear one.
    Polynomial {
        /// The power, above 0.
        power: f64,
        /// The share at the end, 0 to 1.
        floor: f64,
    },
    /// `floor + (1 - floor) (1 + cos(pi t / T)) / 2`.
    Cosine {
        /// The share at the end, 0 to 1.
        floor: f64,
    },
    /// `sqrt(W / (W + t))`, of a schedule with a warm-up of W (Vaswani et al. 2017).
    InverseSqrt,
}

/// The learning rate of each step, as a share of the highest one.
///
/// ```
/// use contrastive_train::Schedule;
///
/// let schedule = Schedule::cosine(0.0).with_warm_up(10).with_length(110);
/// let shares = [0, 5, 10, 60, 110, 200].map(|time| schedule.share_at(time, 0));
/// assert_eq!(shares.map(|share| (share * 100.0).round()), [0.0, 50.0, 100.0, 50.0, 0.0, 0.0]);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// What it counts.
    pub unit: Unit,
    /// The rise at the beginning, if there is one.
    pub warm_up: Option<WarmUp>,
    /// The course after it.
    pub shape: Shape,
    /// When it ends, warm-up included; `None`: with the budget of the training.
    pub length: Option<usize>,
}

impl Default for Schedule {
    fn default() -> Self {
        Self::constant()
    }
}

impl Schedule {
    /// A course without warm-up, counted in steps, to the end of the training.
    pub const fn of(shape: Shape) -> Self {
        Self { unit: Unit::Steps, warm_up: None, shape, length: None }
    }

    /// The same rate throughout.
    pub const fn constant() -> Self {
        Self::of(Shape::Constant)
    }

    /// Half a cosine from 1 to `floor`.
    pub const fn cosine(floor: f64) -> Self {
        Self::of(Shape::Cosine { floor })
    }

    /// A line from 1 to `floor`.
    pub const fn linear(floor: f64) -> Self {
        Self::of(Shape::Polynomial { power: 1.0, floor })
    }

    /// Drops by `factor` at these times.
    pub const fn drops(at: Vec<usize>, factor: f64) -> Self {
        Self::of(Shape::Drops { at, factor })
    }

    /// A linear rise from 0 over this time.
    #[must_use]
    pub fn with_warm_up(mut self, length: usize) -> Self {
        self.warm_up = (length > 0).then_some(WarmUp { length, from: 0.0, inclusive: false });
        self
    }

    /// Ends at this time, warm-up included, instead of with the training.
    #[must_use]
    pub fn with_length(mut self, length: usize) -> Self {
        self.length = Some(length);
        self
    }

    /// Counted in epochs.
    #[must_use]
    pub fn by_epoch(mut self) -> Self {
        self.unit = Unit::Epochs;
        self
    }

    /// Does the course depend on when it ends?
    pub fn has_an_end(&self) -> bool {
        matches!(self.shape, Shape::Polynomial { .. } | Shape::Cosine { .. })
    }

    /// The share of the highest rate in a step, of a training of `total` units.
    pub fn share(&self, step: Step, total: usize) -> f64 {
        let time = match self.unit {
            Unit::Steps => step.global,
            Unit::Epochs => step.epoch.saturating_sub(1),
        };
        self.share_at(time, total)
    }

    /// The share of the highest rate at a time, counted from 0, of a training of `total` units.
    pub fn share_at(&self, time: usize, total: usize) -> f64 {
        let total = self.length.unwrap_or(total);
        let warm = self.warm_up.map_or(0, |warm_up| warm_up.length);
        if let Some(WarmUp { from, inclusive, .. }) = self.warm_up
            && time < warm
        {
            let until = if inclusive { (warm - 1).max(1) } else { warm };
            return if from == 0.0 {
                time as f64 / until as f64
            } else {
                from + (1.0 - from) * time as f64 / until as f64
            };
        }
        let length = total.saturating_sub(warm).max(1);
        let part = (time - warm).min(length) as f64 / length as f64;
        match &self.shape {
            Shape::Constant => 1.0,
            Shape::Drops { at, factor } => factor.powi(at.iter().filter(|at| **at <= time).count() as i32),
            Shape::Regular { every, factor } => factor.powi(((time - warm) / every) as i32),
            Shape::Polynomial { power, floor } => (1.0 - floor) * (1.0 - part).powf(*power) + floor,
            Shape::Cosine { floor } => {
                let angle = PI * (time - warm).min(length) as f64 / length as f64;
                floor + (1.0 - floor) * (0.5 * (1.0 + angle.cos()))
            }
            Shape::InverseSqrt => (warm.max(1) as f64 / time.max(1) as f64).sqrt(),
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`SettingError`] naming the first one outside of its range.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("schedule");
        if let Some(WarmUp { length, from, .. }) = self.warm_up {
            check.count("warm_up", length)?;
            check.probability("share at the beginning", from)?;
            if let (Some(end), true) = (self.length, self.has_an_end()) {
                check.that(length < end, "warm_up", length, format!("less than the length, {end}"))?;
            }
        }
        check.count("length", self.length.unwrap_or(1))?;
        match &self.shape {
            Shape::Constant | Shape::InverseSqrt => Ok(()),
            Shape::Drops { factor, .. } => check.positive("factor", *factor),
            Shape::Regular { every, factor } => {
                check.count("every", *every)?;
                check.positive("factor", *factor)
            }
            Shape::Polynomial { power, floor } => {
                check.positive("power", *power)?;
                check.probability("floor", *floor)
            }
            Shape::Cosine { floor } => check.probability("floor", *floor),
        }
    }
}
