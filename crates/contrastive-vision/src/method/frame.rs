//! What all methods share: encoder, projector, views, training.

use super::{Predicted, Projected, VisionModel};
use crate::VisionError;
use crate::data::{Ahead, ImageBatch, Loader};
use crate::encoder::{EncoderConfig, embed};
use burn::tensor::{DType, Device};
use contrastive_core::head::MlpHeadConfig;
use contrastive_data::augment::Views;
use contrastive_data::image::ImageSet;
use contrastive_eval::ndarray::Array2;
use contrastive_train::{
    Batches, Budget, Check, Method, MethodConfig, Metrics, State, Step, TrainError, Training, TrainingConfig, Weighted,
};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// What all methods share, and what comparisons of methods keep equal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// The encoder.
    pub encoder: EncoderConfig,
    /// The projector's width inside and at its end: linear, batch norm, rectifier, linear, unless a method says otherwise.
    pub projector: [usize; 2],
    /// The views of each image; all methods compare at least two.
    pub views: Views,
    /// The training.
    pub training: TrainingConfig,
}

/// The settings of one method, without what the [`Frame`] has.
pub trait Settings: Clone + Debug + Serialize {
    /// The method.
    type Method: VisionMethod;

    /// Its name.
    fn name(&self) -> &'static str;

    /// Checks what can be checked without data.
    ///
    /// # Errors
    /// With the first setting that is out of its range.
    fn validate(&self, frame: &Frame) -> Result<(), VisionError>;

    /// Which images share a batch; `None`: any, each once an epoch.
    ///
    /// # Errors
    /// When the images cannot be sampled this way.
    fn batches(&self, _set: &ImageSet, _batch: usize, _seed: u64) -> Result<Option<Batches>, VisionError> {
        Ok(None)
    }

    /// The method and its model, both as they start.
    ///
    /// # Errors
    /// When a setting is out of range for these images.
    fn start(&self, start: &Start<'_>) -> Result<(Self::Method, <Self::Method as VisionMethod>::Model), VisionError>;
}

/// A method: losses of a batch of views, and what follows a step.
pub trait VisionMethod {
    /// What is trained.
    type Model: VisionModel;

    /// The weighted losses by name; their sum is minimised.
    ///
    /// # Errors
    /// Whatever hinders them; ends the run.
    fn losses(&mut self, model: &Self::Model, batch: &ImageBatch, step: Step) -> Result<Weighted, TrainError>;

    /// The model after the optimiser's step.
    fn update_model(&mut self, model: Self::Model) -> Self::Model {
        model
    }

    /// What else follows a step: momentum encoders, queues.
    fn after_step(&mut self, _model: &Self::Model, _step: Step) {}

    /// What the last step saw, by name: joins the metrics of an evaluation.
    fn observed(&self) -> Metrics {
        Metrics::new()
    }

    /// All that changes from step to step beside the model.
    fn state(&self) -> State {
        State::new()
    }

    /// Takes over what [`state`](Self::state) gave.
    ///
    /// # Errors
    /// When something is missing or does not fit.
    fn load_state(&mut self, _state: State) -> Result<(), TrainError> {
        Ok(())
    }
}

/// What a method starts from.
#[derive(Debug)]
pub struct Start<'a> {
    /// What all methods share.
    pub frame: &'a Frame,
    /// The images.
    pub set: &'a ImageSet,
    /// The seed; a part that is drawn with a seed of its own adds a number to it.
    pub seed: u64,
    /// An autodiff device, and the type of numbers.
    pub on: (Device, DType),
}

impl Start<'_> {
    /// Images of a batch.
    pub fn batch(&self) -> usize {
        self.frame.training.batch_size
    }

    /// Steps of the whole training, for momentum that ends with it.
    pub fn steps(&self) -> usize {
        match self.frame.training.budget {
            Budget::Steps(steps) => steps,
            Budget::Epochs(epochs) => epochs * (self.set.len() / self.batch()).max(1),
        }
    }

    /// The number of classes, for what learns with labels.
    ///
    /// # Errors
    /// When an image has no label, or there are fewer classes than `least`.
    pub fn classes(&self, learning: &str, least: usize) -> Result<usize, VisionError> {
        let (classes, labelled, images) = (self.set.classes().len(), self.set.labelled().0.len(), self.set.len());
        match labelled == images && classes >= least {
            true => Ok(classes),
            false => Err(VisionError::images(
                self.set.name(),
                format!(
                    "{labelled} of {images} images have a label, of {classes} classes; {learning} needs all, of {least} and more"
                ),
            )),
        }
    }

    /// Where tensors without gradients go.
    pub fn plain(&self) -> (Device, DType) {
        (self.on.0.clone().inner(), self.on.1)
    }

    /// The frame's projector.
    pub fn head(&self) -> MlpHeadConfig {
        let [hidden, output] = self.frame.projector;
        MlpHeadConfig::new(self.frame.encoder.width(), hidden, output)
    }

    /// An encoder, and this projector.
    ///
    /// # Errors
    /// When a width is 0.
    pub fn network(&self, head: &MlpHeadConfig) -> Result<Projected, VisionError> {
        let encoder = self.frame.encoder.init(self.set.shape(), self.seed, &self.on)?;
        let projector = head.init(self.seed.wrapping_add(100), (&self.on.0, self.on.1))?;
        Ok(Projected { encoder, projector })
    }

    /// An encoder, this projector, and a predictor.
    ///
    /// # Errors
    /// When a width is 0.
    pub fn predicted(&self, head: &MlpHeadConfig, predictor: &MlpHeadConfig) -> Result<Predicted, VisionError> {
        let predictor = predictor.init(self.seed.wrapping_add(200), (&self.on.0, self.on.1))?;
        Ok(Predicted { network: self.network(head)?, predictor })
    }
}

impl Frame {
    /// A frame.
    pub fn new(encoder: EncoderConfig, projector: [usize; 2], views: Views, training: TrainingConfig) -> Self {
        Self { encoder, projector, views, training }
    }

    /// Trains a method in this frame.
    pub fn train<S: Settings>(&self, settings: S) -> VisionConfig<S> {
        VisionConfig { settings, frame: self.clone(), ahead: Ahead::default(), double: false }
    }

    /// A frame with this budget.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.training.budget = budget;
        self
    }

    /// A frame with batches of this size.
    #[must_use]
    pub fn with_batch(mut self, batch: usize) -> Self {
        self.training.batch_size = batch;
        self
    }

    /// A frame with this learning rate.
    #[must_use]
    pub fn with_rate(mut self, rate: f64) -> Self {
        self.training.learning_rate = rate;
        self
    }

    /// Checks what can be checked without data.
    ///
    /// # Errors
    /// With the first setting that is out of its range.
    pub fn validate(&self) -> Result<(), VisionError> {
        self.training.validate()?;
        let batch = self.training.batch_size;
        let check = Check::new("vision");
        check.that(batch > 1, "batch_size", batch, "2 and more: batch norms and contrasts need other images")?;
        check.that(self.views.len() > 1, "number of views", self.views.len(), "2 and more")?;
        check.widths(&self.projector)?;
        self.encoder.validate(batch)
    }

    /// Checks that the encoder takes in every view: a perceptron is made for one size, that of the images.
    fn takes_in(&self, set: &ImageSet) -> Result<(), VisionError> {
        let [_, height, width] = set.shape();
        let other = self.views.each.iter().map(|view| view.size).find(|size| *size != [height, width]);
        match (&self.encoder, other) {
            (EncoderConfig::Mlp { .. }, Some([h, w])) => {
                let allowed = format!("{height} x {width}, as the images, or an encoder of convolutions");
                Ok(Check::new("perceptron").that(false, "size of a view", format!("{h} x {w}"), allowed)?)
            }
            _ => Ok(()),
        }
    }
}

/// A method in a frame, ready to be trained.
#[derive(Clone, Debug, Serialize)]
pub struct VisionConfig<S> {
    /// The method's settings.
    pub settings: S,
    /// What all methods share.
    pub frame: Frame,
    /// How far batches are made ahead.
    #[serde(skip)]
    pub ahead: Ahead,
    /// f64 instead of f32, for tests of gradients; perceptrons alone.
    #[serde(skip)]
    pub double: bool,
}

/// A method in training.
pub type VisionTraining<S> = Training<Vision<S>>;

impl<S: Settings> MethodConfig for VisionConfig<S> {
    type Method = Vision<S>;
    type Data = ImageSet;
    type Error = VisionError;

    fn validate(&self) -> Result<(), VisionError> {
        self.frame.validate()?;
        self.settings.validate(&self.frame)
    }

    fn build(&self, set: &ImageSet, seed: u64, device: &Device) -> Result<VisionTraining<S>, VisionError> {
        self.validate()?;
        self.frame.takes_in(set)?;
        let dtype = if self.double { DType::F64 } else { DType::F32 };
        let plain = (device.clone().inner(), dtype);
        let batch = self.frame.training.batch_size;
        let mut loader = Loader::new(set, &self.frame.views, batch, self.ahead, plain.clone())?;
        if let Some(batches) = self.settings.batches(set, batch, seed)? {
            loader.set_batches(batches);
        }
        let on = (device.clone().inner().autodiff(), dtype);
        let start = Start { frame: &self.frame, set, seed, on };
        let (method, model) = self.settings.start(&start)?;
        let vision =
            Vision { settings: self.settings.clone(), frame: self.frame.clone(), method, loader, device: plain.0 };
        Ok(Training::new(vision, model, &self.frame.training, seed)?)
    }
}

/// A method with its images: what [`Training`] steps.
#[derive(Debug)]
pub struct Vision<S: Settings> {
    settings: S,
    frame: Frame,
    method: S::Method,
    loader: Loader,
    device: Device,
}

impl<S: Settings> Vision<S> {
    /// The method itself.
    pub fn method(&self) -> &S::Method {
        &self.method
    }

    /// Its settings.
    pub fn settings(&self) -> &S {
        &self.settings
    }

    /// What all methods share.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The images and the batches made of them.
    pub fn loader(&self) -> &Loader {
        &self.loader
    }
}

impl<S: Settings> Method for Vision<S> {
    type Model = <S::Method as VisionMethod>::Model;
    type Batch = ImageBatch;

    fn name(&self) -> &str {
        self.settings.name()
    }

    fn config(&self) -> serde_json::Value {
        let Frame { encoder, projector, views, .. } = &self.frame;
        serde_json::json!({"settings": self.settings, "encoder": encoder, "projector": projector, "views": views})
    }

    fn data(&self) -> serde_json::Value {
        let set = self.loader.set();
        serde_json::json!({"name": set.name(), "images": set.len(), "digest": set.digest().to_string()})
    }

    fn begin_epoch(&mut self, epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        Ok(self.loader.start(epoch, &mut rng))
    }

    fn batch(&mut self, _: Step) -> Result<ImageBatch, TrainError> {
        Ok(self.loader.next_batch())
    }

    fn losses(&mut self, model: &Self::Model, batch: &ImageBatch, step: Step) -> Result<Weighted, TrainError> {
        self.method.losses(model, batch, step)
    }

    fn update_model(&mut self, model: Self::Model, _: Step) -> Self::Model {
        self.method.update_model(model)
    }

    fn after_step(&mut self, model: &Self::Model, _: &ImageBatch, step: Step) {
        self.method.after_step(model, step);
    }

    fn state(&self) -> State {
        self.method.state()
    }

    fn load_state(&mut self, state: State) -> Result<(), TrainError> {
        self.method.load_state(state)
    }

    /// The spread of what the objective sees of the first 512 images: about `1 / sqrt(d)` in health, 0 after a collapse; and what the method
    /// [observed](VisionMethod::observed).
    fn evaluate(&mut self, model: &Self::Model) -> Result<Option<Metrics>, TrainError> {
        let set = self.loader.set().first(512).map_err(TrainError::trainee)?;
        let rows = crate::evaluate::projections(model, &set, &self.device);
        let mut metrics = self.method.observed();
        metrics.insert("spread".into(), crate::evaluate::spread(rows.view()));
        Ok(Some(metrics))
    }

    /// The embeddings of the images.
    fn artifacts(&self, model: &Self::Model) -> Vec<(String, Array2<f32>)> {
        let rows = embed(model.encoder(), self.loader.set(), &self.device);
        rows.map(|rows| vec![("images".to_string(), rows)]).unwrap_or_default()
    }
}
