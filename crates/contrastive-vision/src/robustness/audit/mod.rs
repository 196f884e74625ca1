//! An audit of one's own pre-training: what a poisoned share of the images would do to the encoder, and which detector or mitigation would
//! notice. After BLTO (Sun et al. 2024, "Backdoor contrastive learning via bi-level trigger optimization"), of which the abstract and two
//! summaries were at hand, so that the formulas are a reconstruction, and CTRL (Li et al. 2023).
//!
//! A few images of a target class carry a trigger; if training ties it to that class, any image with it is later taken for one of the class.
//! The audit plays this through in memory: triggers are made, measured and dropped within it, and a [`Report`] holds numbers and thumbnails.
//! What passes is not proven safe: a search that does no better than a plain patch says that it failed.
//!
//! ```no_run
//! # use contrastive_vision::{evaluate::Protocol, data::digits, method::SimClrConfig};
//! use contrastive_vision::robustness::audit::{Audit, Family};
//! # let device = burn::tensor::Device::default();
//! let protocol = Protocol::d8(digits("optdigits".as_ref())?);
//! let audit = Audit::new(SimClrConfig::new(0.2), &protocol.frame, 3).with_rates(&[0.05]);
//! let references: Vec<usize> = (0..protocol.train.len()).filter(|i| protocol.train.label(*i) == Some(3)).take(50).collect();
//! println!("{}", audit.run([&protocol.train, &protocol.test], &references, 1, &device)?);
//! # Ok::<(), contrastive_vision::VisionError>(())
//! ```

mod defend;
mod detect;
mod differentiable;
mod measure;
mod report;
mod run;
mod search;
mod trigger;

pub use defend::Mitigation;
pub use detect::Detector;
pub use measure::{collapsed, success_rate};
pub use report::{Cell, Detection, Mitigated, Report, Shape, Verdict};
pub use search::Round;

use crate::VisionError;
use crate::method::{Frame, Settings};
use burn::tensor::TensorData;
use contrastive_data::augment::Augmentation;
use contrastive_data::image::ImageSet;
use contrastive_train::{Check, State};

/// What marks a poisoned image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Family {
    /// A white square.
    Patch {
        /// Its side in pixels.
        side: usize,
        /// At a place drawn for each image; else in the last corner.
        random: bool,
    },
    /// Two waves on the colour differences, or on the only channel (CTRL).
    Frequency {
        /// Size of their coefficients, of the range (CTRL: 100 of 255).
        magnitude: f64,
    },
    /// What the search finds, within its budget.
    Optimised,
}

impl Family {
    /// Its name in a report.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Patch { .. } => "patch",
            Self::Frequency { .. } => "frequency",
            Self::Optimised => "optimised",
        }
    }
}

/// The search for an optimised trigger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Search {
    /// Rounds (30, chosen).
    pub rounds: usize,
    /// Steps of the surrogate in a round (20, chosen).
    pub inner: usize,
    /// Steps of the trigger in a round (10, chosen).
    pub outer: usize,
    /// Most that a pixel changes, of the range (8 / 255, chosen).
    pub budget: f64,
    /// Learning rate of the trigger, by Adam (1e-3).
    pub rate: f64,
    /// Width of the generator (16).
    pub width: usize,
    /// The surrogate begins anew after so many rounds (10).
    pub restart: usize,
    /// Images of an outer step (64).
    pub batch: usize,
}

impl Default for Search {
    fn default() -> Self {
        Self { rounds: 30, inner: 20, outer: 10, budget: 8.0 / 255.0, rate: 1e-3, width: 16, restart: 10, batch: 64 }
    }
}

/// The settings of an audit of a recipe: a method in a frame.
#[derive(Clone, Debug)]
pub struct Audit<S> {
    /// The method; also of the surrogate.
    pub settings: S,
    /// Encoder, projector, views and training of the method.
    pub frame: Frame,
    /// The class that the trigger is tied to.
    pub target: u32,
    /// Poisoned shares of the training images, 0 to 0.5; the last one is the declared rate.
    pub rates: Vec<f64>,
    /// Triggers.
    pub families: Vec<Family>,
    /// The search of the optimised one.
    pub search: Search,
    /// Whether a step of the views without a derivative may stand in for itself in the outer loop.
    pub straight_through: bool,
    /// What looks for poisoned images.
    pub detectors: Vec<Detector>,
    /// Clusters in which detectors look (10).
    pub clusters: usize,
    /// What is done about them.
    pub mitigations: Vec<Mitigation>,
    /// Stronger views, for the consistency detector and the mitigation.
    pub strong: Augmentation,
    /// Neighbours that vote; at most a quarter of the smallest class (20).
    pub neighbours: usize,
    /// Temperature of the votes (0.1).
    pub temperature: f64,
    /// The rise of the success rate above its base that counts, in points (10).
    pub margin: f64,
}

impl<S: Settings> Audit<S> {
    /// An audit with all families, detectors and mitigations at shares of 0, 0.5, 1, 2 and 5 %. The patch has 8 % of the side, at least 2 pixels.
    pub fn new(settings: S, frame: &Frame, target: u32) -> Self {
        let strong = frame.views.each[0].clone();
        let side = (strong.size[0] as f64 * 0.08).round().max(2.0) as usize;
        let patch = Family::Patch { side, random: false };
        let removals = Detector::ALL.map(Mitigation::Removal);
        let others = [
            Mitigation::StrongViews,
            Mitigation::Distillation { share: 0.25, steps: 400 },
            Mitigation::FineTuning { share: 0.25, steps: 200 },
            Mitigation::Averaging { draws: 8 },
        ];
        Self {
            settings,
            frame: frame.clone(),
            target,
            rates: vec![0.0, 0.005, 0.01, 0.02, 0.05],
            families: vec![patch, Family::Frequency { magnitude: 100.0 / 255.0 }, Family::Optimised],
            search: Search::default(),
            straight_through: false,
            detectors: Detector::ALL.to_vec(),
            clusters: 10,
            mitigations: removals.into_iter().chain(others).collect(),
            strong,
            neighbours: 20,
            temperature: 0.1,
            margin: 10.0,
        }
    }

    /// With these shares.
    #[must_use]
    pub fn with_rates(mut self, rates: &[f64]) -> Self {
        self.rates = rates.to_vec();
        self
    }

    /// With this search.
    #[must_use]
    pub fn with_search(mut self, search: Search) -> Self {
        self.search = search;
        self
    }

    /// With these stronger views.
    #[must_use]
    pub fn with_strong(mut self, strong: Augmentation) -> Self {
        self.strong = strong;
        self
    }

    /// Checks the settings on these images.
    ///
    /// # Errors
    /// With the first that is out of range: also a target class with fewer images than would be poisoned, no reference images, more
    /// neighbours than a quarter of the smallest class, and a view whose step has no derivative.
    pub fn validate(&self, [train, test]: [&ImageSet; 2], references: &[usize]) -> Result<(), VisionError> {
        self.frame.validate()?;
        self.settings.validate(&self.frame)?;
        let check = Check::new("audit");
        let (classes, labels) = (train.classes().len(), train.labelled().1);
        let whole = labels.len() == train.len() && test.labelled().0.len() == test.len() && classes > 1;
        if !whole || test.classes().len() != classes {
            let what = "an audit needs a label for each image, and the same classes, 2 and more, in both parts";
            return Err(VisionError::images(train.name(), what));
        }
        check.that((self.target as usize) < classes, "target", self.target, format!("0 to {}", classes - 1))?;
        check.that(!self.rates.is_empty(), "number of rates", 0, "1 and more")?;
        check.that(!self.families.is_empty(), "number of families", 0, "1 and more")?;
        let count = |class: u32| labels.iter().filter(|label| **label == class).count();
        for &rate in &self.rates {
            check.that((0.0..=0.5).contains(&rate), "rate", rate, "0 to 0.5")?;
            let (wanted, there) = ((rate * train.len() as f64).round() as usize, count(self.target));
            let allowed =
                format!("at most {:.4}: class {} has {there} images", there as f64 / train.len() as f64, self.target);
            check.that(wanted <= there, "rate", rate, allowed)?;
        }
        let good = !references.is_empty() && references.iter().all(|image| *image < train.len());
        let allowed = format!("1 and more, places below {}", train.len());
        check.that(good, "number of reference images", references.len(), allowed)?;
        let smallest = (0..classes as u32).map(count).min().unwrap_or(0);
        let allowed = format!("1 to {}, a quarter of the smallest class", smallest / 4);
        check.that((1..=smallest / 4).contains(&self.neighbours), "neighbours", self.neighbours, allowed)?;
        let good = self.temperature > 0.0 && self.temperature.is_finite();
        check.that(good, "temperature", self.temperature, "a finite number above 0")?;
        check.that(
            (1..=train.len()).contains(&self.clusters),
            "clusters",
            self.clusters,
            "1 to the number of images",
        )?;
        check.weight("margin", self.margin)?;
        let side = train.shape()[1].min(train.shape()[2]);
        for family in &self.families {
            match family {
                Family::Patch { side: patch, .. } => {
                    check.that((1..=side).contains(patch), "side", patch, format!("1 to {side}, the image's"))?;
                }
                Family::Frequency { magnitude } => check.weight("magnitude", *magnitude)?,
                Family::Optimised => {
                    let Search { rounds, outer, budget, rate, width, restart, batch, .. } = self.search;
                    check.that((0.0..=1.0).contains(&budget), "budget", budget, "0 to 1, of the range")?;
                    check.that(
                        rate > 0.0 && rate.is_finite(),
                        "rate of the trigger",
                        rate,
                        "a finite number above 0",
                    )?;
                    let counts = [
                        ("rounds", rounds),
                        ("outer", outer),
                        ("width", width),
                        ("restart", restart),
                        ("batch", batch),
                    ];
                    counts.iter().try_for_each(|(name, value)| check.count(name, *value))?;
                    differentiable::Differentiable::new(&self.frame.views.each[0], self.straight_through)?;
                }
            }
        }
        self.mitigations.iter().try_for_each(|mitigation| mitigation.validate(&self.detectors))
    }
}

/// A training's state at the beginning of an epoch, so that a training on other images can go on from it.
fn at_epoch_start(mut state: State) -> State {
    if let Some(progress) = state.get_mut("training.steps") {
        let mut steps: Vec<u64> = progress.iter::<u64>().collect();
        if let Some(pending) = steps.last_mut() {
            *pending = 0;
        }
        *progress = TensorData::new(steps, [3]);
    }
    state
}
