//! DINO.

use super::{Frame, Momentum, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use crate::encoder::Encoder;
use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_core::head::{DinoHead, DinoHeadConfig};
use contrastive_core::memory::Ema;
use contrastive_core::objective::{Dino as Objective, DinoCenter};
use contrastive_train::{State, Step, TrainError, Weighted, take_tensor};
use serde::{Deserialize, Serialize};

/// Settings of [`Dino`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DinoConfig {
    /// The student's temperature (paper: 0.1).
    pub student: f64,
    /// The teacher's (paper: 0.04 to 0.07).
    pub teacher: f64,
    /// Number of outputs (paper: 65,536).
    pub outputs: usize,
    /// Momentum of the teacher at the start, from where it rises to 1 (paper: 0.996).
    pub momentum: f64,
    /// Momentum of the centre (paper: 0.9).
    pub center: f64,
}

impl DinoConfig {
    /// Temperatures 0.1 and 0.04, momentum from 0.99, centre 0.9, so many outputs.
    pub fn new(outputs: usize) -> Self {
        Self { student: 0.1, teacher: 0.04, outputs, momentum: 0.99, center: 0.9 }
    }
}

/// Encoder and head of [`Dino`].
#[derive(Module, Debug)]
pub struct DinoModel {
    /// The encoder.
    pub encoder: Encoder,
    /// The head.
    pub head: DinoHead,
}

impl VisionModel for DinoModel {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    fn project(&self, images: Tensor<4>) -> Tensor<2> {
        self.head.forward(self.encoder.forward(images))
    }
}

/// DINO (Caron et al. 2021, algorithm 1): the student's outputs for all views follow the teacher's, centred and sharpened, for the first
/// two. The projector's widths are the head's inner one and its bottleneck.
#[derive(Debug)]
pub struct Dino {
    objective: Objective,
    teacher: Momentum<DinoModel>,
    center: DinoCenter,
    pending: Vec<Tensor<2>>,
}

impl Settings for DinoConfig {
    type Method = Dino;

    fn name(&self) -> &'static str {
        "DINO"
    }

    fn validate(&self, _: &Frame) -> Result<(), VisionError> {
        Objective::new(self.student, self.teacher, self.center)?;
        Ema::constant(self.momentum)?;
        Ok(())
    }

    fn start(&self, start: &Start<'_>) -> Result<(Dino, DinoModel), VisionError> {
        let [hidden, bottleneck] = start.frame.projector;
        let encoder = start.frame.encoder.init(start.set.shape(), start.seed, &start.on)?;
        let head = DinoHeadConfig::new(encoder.width()).with_output(self.outputs).with_hidden(hidden);
        let head = head.with_bottleneck(bottleneck).with_hidden_norm(true);
        let head = head.init(start.seed.wrapping_add(100), (&start.on.0, start.on.1))?;
        let (model, (device, dtype)) = (DinoModel { encoder, head }, start.plain());
        let dino = Dino {
            objective: Objective::new(self.student, self.teacher, self.center)?,
            teacher: Momentum::of(&model, Ema::cosine(self.momentum, start.steps())?),
            center: DinoCenter::zeros(self.outputs, &device, dtype),
            pending: Vec::new(),
        };
        Ok((dino, model))
    }
}

impl VisionMethod for Dino {
    type Model = DinoModel;

    fn losses(&mut self, model: &DinoModel, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let teacher = batch.pair(|view| self.teacher.project(view));
        let student: Vec<_> = (0..batch.views.len()).map(|view| model.project(batch.view(view))).collect();
        self.pending = teacher.iter().map(|rows| rows.clone().inner()).collect();
        Ok(vec![("distillation", self.objective.loss(&teacher, &student, &self.center))])
    }

    fn after_step(&mut self, model: &DinoModel, step: Step) {
        self.center = self.objective.next_center(&self.center, &self.pending);
        self.teacher.follow(model, step.global);
    }

    fn state(&self) -> State {
        let mut state = State::from([("center".to_string(), self.center.to_data())]);
        self.teacher.save(&mut state);
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        let device = self.center.values().device();
        let data = take_tensor(&mut state, "center", &self.center.values().dims())?;
        self.center = DinoCenter::from_data(data, &device).map_err(TrainError::trainee)?;
        self.teacher.load(&mut state)
    }
}
