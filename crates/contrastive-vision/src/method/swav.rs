//! SwAV.

use super::{Frame, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use crate::encoder::Encoder;
use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use contrastive_core::head::Prototypes;
use contrastive_core::objective::{Sinkhorn, SwAv as Objective, SwAvQueues, SwAvSizes, soft_cross_entropy};
use contrastive_core::similarity::unit_rows;
use contrastive_train::{Check, State, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How scores become codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Codes {
    /// Evenly over the prototypes, by Sinkhorn's iterations: the method.
    #[default]
    Even,
    /// A plain softmax, which lets prototypes die: for studies.
    Softmax,
}

/// Settings of [`SwAv`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SwAvConfig {
    /// Number of prototypes (paper: 3,000; about ten times the classes of small data).
    pub prototypes: usize,
    /// Temperature of the predictions (paper: 0.1).
    pub temperature: f64,
    /// Weight of the entropy of the codes (paper: 0.05).
    pub epsilon: f64,
    /// Sinkhorn's iterations (paper: 3).
    pub iterations: usize,
    /// Former rows of each large crop that take part in the assignment, a multiple of the batch; 0 for none (paper: 3,840 for batches of
    /// 256).
    pub queue: usize,
    /// The first epoch, counted from 1, in which the queue is filled (paper: 15 for batches of 256).
    pub queue_from: usize,
    /// Steps in which the prototypes do not move (paper: about an epoch).
    pub frozen: usize,
    /// The first so many views give codes (paper: 2).
    pub large: usize,
    /// How scores become codes.
    pub codes: Codes,
}

impl SwAvConfig {
    /// The paper's choices without a queue and without frozen steps.
    pub fn new(prototypes: usize) -> Self {
        let (temperature, epsilon, iterations, codes) = (0.1, 0.05, 3, Codes::Even);
        Self { prototypes, temperature, epsilon, iterations, queue: 0, queue_from: 1, frozen: 0, large: 2, codes }
    }

    /// With a queue, filled from an epoch on.
    #[must_use]
    pub fn with_queue(mut self, rows: usize, from_epoch: usize) -> Self {
        (self.queue, self.queue_from) = (rows, from_epoch);
        self
    }

    /// With prototypes that do not move in the first steps.
    #[must_use]
    pub fn with_frozen(mut self, steps: usize) -> Self {
        self.frozen = steps;
        self
    }

    /// With other codes.
    #[must_use]
    pub fn with_codes(mut self, codes: Codes) -> Self {
        self.codes = codes;
        self
    }

    /// What makes codes arbitrary although they are defined: more prototypes than rows that share them.
    pub fn warning(&self, batch: usize) -> Option<String> {
        let (prototypes, queue) = (self.prototypes, self.queue);
        SwAvSizes { large: self.large, small: 0, rows: batch, prototypes, queue }.warning()
    }
}

/// Encoder, projector and prototypes of [`SwAv`].
#[derive(Module, Debug)]
pub struct SwAvModel {
    /// Encoder and projector.
    pub network: Projected,
    /// The prototypes.
    pub prototypes: Prototypes,
}

impl VisionModel for SwAvModel {
    fn encoder(&self) -> &Encoder {
        self.network.encoder()
    }

    fn project(&self, images: Tensor<4>) -> Tensor<2> {
        self.network.project(images)
    }
}

/// SwAV (Caron et al. 2020, algorithm 1): the assignment of one crop to prototypes is predicted from the others.
#[derive(Debug)]
pub struct SwAv {
    config: SwAvConfig,
    objective: Objective,
    queues: Option<SwAvQueues>,
    /// Unit rows of the large crops of this step, and their scores.
    pending: Vec<Tensor<2>>,
    scores: Vec<Tensor<2>>,
}

impl Settings for SwAvConfig {
    type Method = SwAv;

    fn name(&self) -> &'static str {
        if self.codes == Codes::Even { "SwAV" } else { "SwAV, softmax codes" }
    }

    fn validate(&self, frame: &Frame) -> Result<(), VisionError> {
        Objective::new(self.temperature, Sinkhorn::new(self.epsilon, self.iterations)?)?;
        let (batch, views) = (frame.training.batch_size, frame.views.len());
        let check = Check::new("SwAV");
        check.that(self.large > 0 && self.large <= views, "large", self.large, format!("1 to the {views} views"))?;
        check.count("queue_from", self.queue_from)?;
        check.that(
            self.queue.is_multiple_of(batch),
            "queue",
            self.queue,
            format!("a multiple of the batch of {batch}"),
        )?;
        let (small, prototypes) = (views - self.large, self.prototypes);
        SwAvSizes { large: self.large, small, rows: batch, prototypes, queue: self.queue }.validate()?;
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(SwAv, SwAvModel), VisionError> {
        let ((device, dtype), head, batch) = (start.plain(), start.head(), start.batch());
        let queues = match self.queue {
            0 => None,
            rows => {
                let queues = SwAvQueues::new(self.large, rows, batch, head.output, (&device, dtype))?;
                Some(queues.with_dataset_size(start.set.len())?)
            }
        };
        let seed = start.seed.wrapping_add(300);
        let prototypes = Prototypes::new(self.prototypes, head.output, seed, (&start.on.0, start.on.1))?;
        let objective = Objective::new(self.temperature, Sinkhorn::new(self.epsilon, self.iterations)?)?;
        let model = SwAvModel { network: start.network(&head)?, prototypes };
        Ok((SwAv { config: *self, objective, queues, pending: Vec::new(), scores: Vec::new() }, model))
    }
}

impl SwAv {
    /// Prototypes that are the first choice of a row of the last batch, by its codes.
    pub fn prototypes_in_use(&self) -> usize {
        let codes = |scores: &Tensor<2>| match self.config.codes {
            Codes::Even => Sinkhorn::new(self.config.epsilon, self.config.iterations).map(|s| s.codes(scores.clone())),
            Codes::Softmax => Ok(scores.clone()),
        };
        let chosen = self
            .scores
            .iter()
            .filter_map(|scores| codes(scores).ok())
            .flat_map(|codes| codes.argmax(1).into_data().iter::<i64>().collect::<Vec<_>>());
        chosen.collect::<BTreeSet<_>>().len()
    }

    /// Every view predicts the plain softmax of the others' scores.
    fn softmax_loss(&self, scores: &[Tensor<2>]) -> Result<Tensor<1>, TrainError> {
        let mut sum: Option<Tensor<1>> = None;
        let share = 1.0 / (self.config.large * (scores.len() - 1)) as f64;
        for (a, large) in scores.iter().take(self.config.large).enumerate() {
            let codes = softmax(large.clone().detach() * (1.0 / self.config.epsilon), 1);
            for (_, other) in scores.iter().enumerate().filter(|(v, _)| *v != a) {
                let term = soft_cross_entropy(codes.clone(), other.clone(), self.config.temperature);
                let term = term.map_err(TrainError::trainee)? * share;
                sum = Some(match sum {
                    Some(sum) => sum + term,
                    None => term,
                });
            }
        }
        Ok(sum.expect("two views at least"))
    }
}

/// The projections of all views; those of one size in one pass.
fn grouped(model: &Projected, batch: &ImageBatch) -> Vec<Tensor<2>> {
    let mut all = Vec::new();
    while all.len() < batch.views.len() {
        let from = all.len();
        let shape = batch.views[from].dims();
        let count = batch.views[from..].iter().take_while(|view| view.dims() == shape).count();
        let views = (from..from + count).map(|view| batch.view(view)).collect();
        all.extend(model.project(Tensor::cat(views, 0)).chunk(count, 0));
    }
    all
}

impl VisionMethod for SwAv {
    type Model = SwAvModel;

    fn losses(&mut self, model: &SwAvModel, batch: &ImageBatch, step: Step) -> Result<Weighted, TrainError> {
        let (prototypes, large) = (&model.prototypes, self.config.large);
        let rows = grouped(&model.network, batch);
        let frozen = step.global < self.config.frozen;
        let score = |z: &Tensor<2>| match frozen {
            true => prototypes.fixed_scores(z.clone()),
            false => prototypes.scores(z.clone()),
        };
        let scores: Vec<Tensor<2>> = rows.iter().map(score).collect();
        self.pending = rows[..large].iter().map(|z| unit_rows(z.clone().inner())).collect();
        self.scores = scores[..large].iter().map(|s| s.clone().inner()).collect();
        let queued = self.queues.as_ref().and_then(|queues| queues.scores(prototypes));
        let (first, rest) = scores.split_at(large);
        let loss = match (self.config.codes, queued) {
            (Codes::Softmax, _) => self.softmax_loss(&scores)?,
            (Codes::Even, Some(queued)) => self.objective.loss_with_queues(first, rest, &queued),
            (Codes::Even, None) => self.objective.loss(first, rest),
        };
        Ok(vec![("assignment", loss)])
    }

    fn update_model(&mut self, model: SwAvModel) -> SwAvModel {
        SwAvModel { prototypes: model.prototypes.normalised(), ..model }
    }

    fn after_step(&mut self, _: &SwAvModel, step: Step) {
        if let Some(queues) = self.queues.as_mut().filter(|_| step.epoch >= self.config.queue_from) {
            queues.push(&self.pending);
        }
        self.pending.clear();
    }

    fn state(&self) -> State {
        self.queues.as_ref().map_or_else(State::new, SwAvQueues::state)
    }

    fn load_state(&mut self, state: State) -> Result<(), TrainError> {
        self.queues.as_mut().map_or(Ok(()), |queues| queues.load_state(&state).map_err(TrainError::trainee))
    }
}
