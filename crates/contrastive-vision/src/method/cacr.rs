//! CACR.

use super::{Frame, Momentum, Projected, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use crate::encoder::Encoder;
use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_core::attach::attach_gradients;
use contrastive_core::head::{MlpHead, MlpHeadConfig};
use contrastive_core::memory::{Ema, Queue};
use contrastive_core::objective::{Cacr as Objective, CacrInfoNce};
use contrastive_core::similarity::unit_rows;
use contrastive_train::{Check, Metrics, State, Step, TrainError, Weighted};
use serde::{Deserialize, Serialize};

/// Against what CACR's queries are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CacrForm {
    /// The other views of the batch (released code for small data).
    #[default]
    Batch,
    /// Keys of a momentum encoder, and a queue of former ones (released code for ImageNet, after MoCo v2). The keys of the last view are
    /// enqueued.
    Queue {
        /// Keys in the queue, at most the images of the data (paper: 65,536).
        rows: usize,
        /// Momentum of the key encoder.
        momentum: f64,
    },
    /// InfoNCE weighted towards the farthest view (released code for ImageNet, after MoCo v3): a predictor, and a momentum encoder whose keys
    /// are those of the batch. The two sharpnesses play no part.
    InfoNce {
        /// Temperature (0.2).
        temperature: f64,
        /// Momentum of the key encoder.
        momentum: f64,
        /// The predictor's hidden width.
        predictor: usize,
    },
}

/// Settings of [`Cacr`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacrConfig {
    /// Sharpness of the attraction: the larger, the more the farthest view counts; 0 for equal weights (paper: 1).
    pub attraction: f64,
    /// Sharpness of the repulsion: the larger, the more the nearest image counts; 0 for equal weights (paper: 2; 0.9 on CIFAR-10).
    pub repulsion: f64,
    /// Factors of attraction and repulsion (paper: 1 and 1).
    pub costs: [f64; 2],
    /// Are the weights constants to the gradient? Unless given: no in the batch, yes with a queue, as published.
    pub detached: Option<bool>,
    /// The share of negatives that are taken to be positives, in the batch alone (off: 0; paper's option: 0.1).
    pub debiased: f64,
    /// The correction with the sign of the released code, which pushes positives apart.
    pub as_released: bool,
    /// Against what queries are compared.
    pub form: CacrForm,
}

impl Default for CacrConfig {
    /// Sharpness 1 and 2, factors 1, in the batch, without the correction.
    fn default() -> Self {
        let (costs, form) = ([1.0; 2], CacrForm::Batch);
        Self { attraction: 1.0, repulsion: 2.0, costs, detached: None, debiased: 0.0, as_released: false, form }
    }
}

impl CacrConfig {
    /// With this sharpness of the repulsion.
    #[must_use]
    pub fn with_repulsion(mut self, sharpness: f64) -> Self {
        self.repulsion = sharpness;
        self
    }

    /// In another form.
    #[must_use]
    pub fn with_form(mut self, form: CacrForm) -> Self {
        self.form = form;
        self
    }

    /// Corrected for this share of false negatives.
    #[must_use]
    pub fn with_debiasing(mut self, share: f64) -> Self {
        self.debiased = share;
        self
    }

    fn objective(&self) -> Result<Objective, VisionError> {
        let [alpha, beta] = self.costs;
        let mut objective = Objective::new(self.attraction, self.repulsion)?.with_costs(alpha, beta)?;
        if let Some(detached) = self.detached {
            objective = objective.with_detached_weights(detached);
        }
        Ok(match (self.debiased == 0.0, self.as_released) {
            (true, _) => objective,
            (false, false) => objective.with_debiasing(self.debiased)?,
            (false, true) => objective.with_released_debiasing(self.debiased)?,
        })
    }
}

/// Encoder, projector, and in the form with InfoNCE a predictor of [`Cacr`].
#[derive(Module, Debug)]
pub struct CacrModel {
    /// Encoder and projector.
    pub network: Projected,
    /// The predictor.
    pub predictor: Option<MlpHead>,
}

impl VisionModel for CacrModel {
    fn encoder(&self) -> &Encoder {
        &self.network.encoder
    }

    fn project(&self, images: Tensor<4>) -> Tensor<2> {
        self.network.project(images)
    }
}

/// CACR (Zheng et al. 2023): of an image's other views the farther ones attract more, of the other images the nearer ones repel more. Any
/// number of views from two on, each a query.
#[derive(Debug)]
pub struct Cacr {
    objective: Objective,
    keys: Option<Momentum>,
    queue: Option<Queue>,
    info_nce: Option<CacrInfoNce>,
    /// The keys of the last view, which enter the queue after the step.
    pending: Option<Tensor<2>>,
    /// Attraction and repulsion of the last step.
    parts: Option<[f64; 2]>,
}

impl Settings for CacrConfig {
    type Method = Cacr;

    fn name(&self) -> &'static str {
        match self.form {
            CacrForm::Batch => "CACR",
            CacrForm::Queue { .. } => "CACR, queue",
            CacrForm::InfoNce { .. } => "CACR, InfoNCE",
        }
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        self.objective()?;
        let check = Check::new("CACR");
        if self.form != CacrForm::Batch {
            check.that(self.debiased == 0.0, "debiased", self.debiased, "0 in this form, which has no correction")?;
        }
        match self.form {
            CacrForm::Batch => {}
            CacrForm::Queue { rows, momentum } => {
                check.count("rows of the queue", rows)?;
                Ema::constant(momentum)?;
            }
            CacrForm::InfoNce { temperature, momentum, predictor } => {
                CacrInfoNce::new(temperature)?;
                Ema::constant(momentum)?;
                check.count("predictor", predictor)?;
            }
        }
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(Cacr, CacrModel), VisionError> {
        let ((device, dtype), head) = (start.plain(), start.head());
        let mut model = CacrModel { network: start.network(&head)?, predictor: None };
        let (keys, queue, info_nce, pending, parts) = (None, None, None, None, None);
        let mut cacr = Cacr { objective: self.objective()?, keys, queue, info_nce, pending, parts };
        match self.form {
            CacrForm::Batch => {}
            CacrForm::Queue { rows, momentum } => {
                let queue = Queue::random_units(rows, head.output, start.seed.wrapping_add(300), (&device, dtype))?;
                cacr.queue = Some(queue.with_dataset_size(start.set.len())?);
                cacr.keys = Some(Momentum::of(&model.network, Ema::constant(momentum)?));
            }
            CacrForm::InfoNce { temperature, momentum, predictor } => {
                let widths = MlpHeadConfig::new(head.output, predictor, head.output);
                model.predictor = Some(widths.init(start.seed.wrapping_add(200), (&start.on.0, start.on.1))?);
                cacr.info_nce = Some(CacrInfoNce::new(temperature)?);
                cacr.keys = Some(Momentum::of(&model.network, Ema::constant(momentum)?));
            }
        }
        Ok((cacr, model))
    }
}

impl Cacr {
    /// The mean over the views as keys, the others as queries.
    fn info_nce(objective: &CacrInfoNce, queries: &[Tensor<2>], keys: &[Tensor<2>]) -> Tensor<1> {
        let of = |(key, rows): (usize, &Tensor<2>)| {
            let others = queries.iter().enumerate().filter(|(view, _)| *view != key);
            objective.loss(&others.map(|(_, rows)| rows.clone()).collect::<Vec<_>>(), rows)
        };
        let sum = keys.iter().enumerate().map(of).reduce(|a, b| a + b).expect("two views at least");
        sum * (1.0 / keys.len() as f64)
    }
}

impl VisionMethod for Cacr {
    type Model = CacrModel;

    fn losses(&mut self, model: &CacrModel, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let views = 0..batch.views.len();
        let rows: Vec<Tensor<2>> = views.clone().map(|view| model.project(batch.view(view))).collect();
        let Some(keys) = &self.keys else {
            let found = self.objective.evaluate(&rows, true);
            self.parts = Some([found.attraction, found.repulsion]);
            let gradients = rows.iter().zip(found.gradients).map(|(view, gradient)| (view, Some(gradient)));
            return Ok(vec![("costs", attach_gradients(found.value, gradients))]);
        };
        let keys: Vec<Tensor<2>> = views.map(|view| keys.project(batch.view(view)).inner()).collect();
        if let (Some(objective), Some(predictor)) = (&self.info_nce, &model.predictor) {
            let queries: Vec<Tensor<2>> = rows.into_iter().map(|rows| predictor.forward(rows)).collect();
            let keys: Vec<Tensor<2>> = keys.into_iter().map(Tensor::from_inner).collect();
            return Ok(vec![("contrast", Self::info_nce(objective, &queries, &keys))]);
        }
        self.pending = keys.last().map(|rows| unit_rows(rows.clone()));
        let queue = self.queue.as_ref().and_then(Queue::rows).expect("a queue that starts full");
        Ok(vec![("costs", self.objective.loss_with_queue(&rows, &keys, &queue))])
    }

    fn after_step(&mut self, model: &CacrModel, step: Step) {
        if let (Some(queue), Some(rows)) = (&mut self.queue, self.pending.take()) {
            queue.push(rows);
        }
        if let Some(keys) = &mut self.keys {
            keys.follow(&model.network, step.global);
        }
    }

    fn observed(&self) -> Metrics {
        let named = |[attraction, repulsion]: [f64; 2]| {
            Metrics::from([("attraction".to_string(), attraction), ("repulsion".to_string(), repulsion)])
        };
        self.parts.map(named).unwrap_or_default()
    }

    fn state(&self) -> State {
        let mut state = self.queue.as_ref().map_or_else(State::new, Queue::state);
        self.keys.iter().for_each(|keys| keys.save(&mut state));
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.keys.as_mut().map_or(Ok(()), |keys| keys.load(&mut state))?;
        self.queue.as_mut().map_or(Ok(()), |queue| queue.load_state(&state).map_err(TrainError::trainee))
    }
}
