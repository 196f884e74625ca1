//! Parameters and optimiser of any [`NodeMethod`]: what `fit` and an own loop step.

use super::NodeMethodError;
use crate::method::error::Check;
use crate::node::Graph;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_train::{
    Adam, AdamConfig, FitOptions, Losses, Metrics, RunReport, State, TrainError, Trainee, epoch_rng, take_tensor,
};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;
use std::time::{Duration, Instant};

/// What a method adds to parameters and an optimiser. One epoch is one step of the whole graph.
pub trait NodeMethod {
    /// The parameters.
    type Model: Module;
    /// What a forward pass leaves for the losses.
    type Encoded;

    /// The method's name, for files and messages.
    fn name(&self) -> &'static str;

    /// Name and size of the graph, for checkpoints.
    fn data(&self) -> serde_json::Value;

    /// Draws the views of epoch `epoch`, counted from 1, and passes them through the model.
    ///
    /// # Errors
    /// When a view cannot be drawn.
    fn encode(&self, model: &Self::Model, epoch: usize, rng: &mut ChaCha8Rng)
    -> Result<Self::Encoded, NodeMethodError>;

    /// The weighted losses of the epoch by name, `[1]` each; their sum is minimised.
    ///
    /// # Errors
    /// When a setting of the epoch is out of range.
    fn losses(&self, encoded: Self::Encoded, epoch: usize) -> Result<Vec<(&'static str, Tensor<1>)>, NodeMethodError>;

    /// Embeddings of the whole graph, `[nodes, dim]`.
    fn embed(&self, model: &Self::Model) -> Tensor<2>;
}

/// The settings of a [`NodeMethod`], and how they become one.
pub trait NodeMethodConfig: Serialize {
    /// What they configure.
    type Method: NodeMethod;

    /// Checks every setting.
    ///
    /// # Errors
    /// With the name and the allowed range of the first setting that is out of it.
    fn validate(&self) -> Result<(), NodeMethodError>;

    /// The number of epochs of the publication.
    fn epochs(&self) -> usize;

    /// A training that can be stepped by hand. Equal seeds give equal runs.
    ///
    /// # Errors
    /// When a setting is out of its range, or the graph has fewer than two nodes, no edges or no features.
    fn build(&self, graph: &Graph, seed: u64, device: &Device) -> Result<NodeTraining<Self::Method>, NodeMethodError>;

    /// Trains for the epochs of `options`, with its seed and on its device, and returns the embeddings. Calling
    /// [`NodeTraining::step`] as many times on what [`build`](Self::build) gives for this seed gives the same.
    ///
    /// # Errors
    /// As [`build`](Self::build), and when the run cannot go on.
    fn fit(&self, graph: &Graph, options: &FitOptions) -> Result<NodeEmbeddings, NodeMethodError> {
        self.build(graph, options.seed_value(), options.device())?.fit(options)
    }
}

/// What a training leaves behind.
#[derive(Clone, Debug)]
pub struct NodeEmbeddings {
    /// `[nodes, dim]`.
    pub nodes: Array2<f32>,
    /// What the training reported.
    pub report: RunReport,
}

/// What every training needs to know.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Learning rate of Adam.
    pub learning_rate: f64,
    /// Coupled L2 of Adam: this times the parameter is added to the gradient.
    pub weight_decay: f64,
    /// All settings, for checkpoints.
    pub config: serde_json::Value,
}

impl Settings {
    /// These settings of a method's configuration. Its number of epochs does not count, so that a run may be extended.
    pub fn new(learning_rate: f64, weight_decay: f64, config: &impl Serialize) -> Self {
        let mut config = serde_json::to_value(config).unwrap_or_default();
        if let Some(config) = config.as_object_mut() {
            config.remove("epochs");
        }
        Self { learning_rate, weight_decay, config }
    }

    fn adam(&self) -> AdamConfig {
        AdamConfig::new().with_lr(self.learning_rate).with_weight_decay(self.weight_decay)
    }

    pub(super) fn validate(check: &Check, learning_rate: f64, weight_decay: f64) -> Result<(), NodeMethodError> {
        check.positive("learning_rate", learning_rate)?;
        Ok(check.weight("weight_decay", weight_decay)?)
    }
}

/// The generator that parameters are drawn from: a stream that no epoch has.
pub(super) fn parameter_rng(seed: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::MAX);
    rng
}

/// Time spent in the parts of training, summed over epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct NodeParts {
    /// Drawing views and the forward pass of the model.
    pub forward: Duration,
    /// The losses with their gradients with respect to what the model gave.
    pub objective: Duration,
    /// The backward pass of the model and the optimiser.
    pub backward: Duration,
}

/// A judge of embeddings between epochs.
type Judge = Box<dyn FnMut(&Array2<f32>) -> Result<Metrics, TrainError>>;

/// A method in training: its parameters and their optimiser.
pub struct NodeTraining<M: NodeMethod> {
    method: M,
    model: M::Model,
    adam: Vec<Adam>,
    settings: Settings,
    seed: u64,
    epoch: usize,
    rng: ChaCha8Rng,
    judge: Option<Judge>,
    parts: NodeParts,
}

impl<M: NodeMethod> NodeTraining<M> {
    /// A training of a model on an autodiff device; `seed` is that of the views.
    ///
    /// # Panics
    /// When the learning rate or the weight decay is out of range.
    pub fn new(method: M, model: M::Model, settings: Settings, seed: u64) -> Self {
        let mut count = Count(0);
        model.visit(&mut count);
        let adam = vec![Adam::new(settings.adam()); count.0];
        let (rng, parts) = (epoch_rng(seed, 1), NodeParts::default());
        Self { method, model, adam, settings, seed, epoch: 0, rng, judge: None, parts }
    }

    /// Judges the embeddings whenever [`fit`](Self::fit) evaluates.
    pub fn with_judge(mut self, judge: impl FnMut(&Array2<f32>) -> Result<Metrics, TrainError> + 'static) -> Self {
        self.judge = Some(Box::new(judge));
        self
    }

    /// The method.
    pub fn method(&self) -> &M {
        &self.method
    }

    /// The parameters, on an autodiff device.
    pub fn model(&self) -> &M::Model {
        &self.model
    }

    /// Number of epochs so far.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// Where the time went.
    pub fn parts(&self) -> NodeParts {
        self.parts
    }

    /// One epoch; returns the loss before it.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] for a loss that is not finite: the parameters are those before the epoch then. Whatever
    /// hinders the views.
    pub fn step(&mut self) -> Result<f64, NodeMethodError> {
        self.epoch += 1;
        self.rng = epoch_rng(self.seed, self.epoch);
        let losses = self.advance()?;
        Ok(losses[0].1)
    }

    /// The epoch that `self.epoch` and `self.rng` stand for. The total is the first of the losses.
    fn advance(&mut self) -> Result<Losses, NodeMethodError> {
        let start = Instant::now();
        let encoded = self.method.encode(&self.model, self.epoch, &mut self.rng)?;
        let forward = Instant::now();
        let losses = self.method.losses(encoded, self.epoch)?;
        let host = |loss: &Tensor<1>| loss.clone().into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        let values: Losses = losses.iter().map(|(name, loss)| (*name, host(loss))).collect();
        let total = losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).expect("a method has a loss");
        let values = [vec![("loss", values.iter().map(|(_, value)| value).sum())], values].concat();
        if let Some(&(name, value)) = values.iter().find(|(_, value)| !value.is_finite()) {
            let (epoch, loss) = (self.epoch, name.to_string());
            return Err(TrainError::NonFinite { epoch, step: 0, loss, value }.into());
        }
        let objective = Instant::now();
        let gradients = GradientsParams::from_grads(total.backward(), &self.model);
        let mut update = Update { gradients, adam: self.adam.iter_mut() };
        self.model = self.model.clone().map(&mut update);
        self.parts.forward += forward - start;
        self.parts.objective += objective - forward;
        self.parts.backward += objective.elapsed();
        Ok(values)
    }

    /// The present embeddings, `[nodes, dim]`.
    pub fn embed(&self) -> Array2<f32> {
        let embeddings = self.method.embed(&self.model.valid());
        let [rows, columns] = embeddings.dims();
        let values: Vec<f32> = embeddings.into_data().iter::<f32>().collect();
        Array2::from_shape_vec((rows, columns), values).expect("a tensor has the values of its shape")
    }

    /// Trains with progress, checkpoints and a run folder, and returns the embeddings. Views are drawn from the seed of
    /// `options`; parameters are those that the training has now.
    ///
    /// # Errors
    /// When the run cannot go on.
    pub fn fit(mut self, options: &FitOptions) -> Result<NodeEmbeddings, NodeMethodError> {
        let report = contrastive_train::fit(&mut self, options)?;
        Ok(NodeEmbeddings { nodes: self.embed(), report })
    }

    /// Every parameter under the names of its modules.
    fn parameters(&self) -> State {
        let mut save = Save { path: Path::default(), state: State::new() };
        self.model.visit(&mut save);
        save.state
    }
}

impl<M: NodeMethod> Trainee for NodeTraining<M> {
    fn name(&self) -> &str {
        self.method.name()
    }

    fn config(&self) -> serde_json::Value {
        serde_json::json!({
            "method": self.method.name(),
            "settings": self.settings.config,
            "data": self.method.data(),
        })
    }

    fn begin_epoch(&mut self, epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        (self.epoch, self.rng) = (epoch, rng);
        Ok(1)
    }

    fn step(&mut self, _step: usize) -> Result<Losses, TrainError> {
        self.advance().map_err(|error| match error {
            NodeMethodError::Train(error) => error,
            other => TrainError::trainee(other),
        })
    }

    fn evaluate(&mut self) -> Result<Option<Metrics>, TrainError> {
        let embeddings = self.judge.is_some().then(|| self.embed());
        match (&mut self.judge, embeddings) {
            (Some(judge), Some(embeddings)) => judge(&embeddings).map(Some),
            _ => Ok(None),
        }
    }

    fn state(&self) -> State {
        let mut state = self.parameters();
        self.adam.iter().enumerate().for_each(|(at, adam)| adam.save(&format!("adam.{at}"), &mut state));
        state
    }

    fn load_state(&mut self, state: State) -> Result<(), TrainError> {
        let mut load = Load { path: Path::default(), state, adam: Vec::new(), settings: &self.settings, failed: None };
        let model = self.model.clone().map(&mut load);
        match load.failed {
            Some(error) => Err(error),
            None => {
                (self.model, self.adam) = (model, load.adam);
                Ok(())
            }
        }
    }

    fn model(&self) -> State {
        self.parameters()
    }

    fn artifacts(&self) -> Vec<(String, Array2<f32>)> {
        vec![("nodes".into(), self.embed())]
    }
}

/// Counts parameters.
struct Count(usize);

impl ModuleVisitor for Count {
    fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
        self.0 += 1;
    }
}

/// Steps every parameter that has a gradient.
struct Update<'a> {
    gradients: GradientsParams,
    adam: std::slice::IterMut<'a, Adam>,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let adam = self.adam.next().expect("an optimiser for each parameter");
        let (id, old, mapper) = param.consume();
        let new = match self.gradients.remove::<D>(id) {
            Some(gradient) => Tensor::from_inner(adam.step(old.inner(), gradient)).require_grad(),
            None => old,
        };
        Param::from_mapped_value(id, new, mapper)
    }
}

/// Names of the modules on the way to a parameter, and how many parameters were met in each.
#[derive(Default)]
struct Path {
    names: Vec<String>,
    count: usize,
}

impl Path {
    fn name(&mut self) -> String {
        self.count += 1;
        format!("model.{}.{}", self.count - 1, self.names.join("."))
    }
}

/// The path follows the modules.
macro_rules! follow_modules {
    () => {
        fn enter_module(&mut self, name: &str, _container_type: &str) {
            self.path.names.push(name.to_string());
        }

        fn exit_module(&mut self, _name: &str, _container_type: &str) {
            self.path.names.pop();
        }
    };
}

struct Save {
    path: Path,
    state: State,
}

impl ModuleVisitor for Save {
    follow_modules!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.state.insert(self.path.name(), param.val().into_data());
    }
}

struct Load<'a> {
    path: Path,
    state: State,
    adam: Vec<Adam>,
    settings: &'a Settings,
    failed: Option<TrainError>,
}

impl Load<'_> {
    /// A parameter's numbers and its optimiser.
    fn take(&mut self, shape: &[usize]) -> Result<TensorData, TrainError> {
        let (at, name) = (self.path.count, self.path.name());
        let data = take_tensor(&mut self.state, &name, shape)?;
        let mut adam = Adam::new(self.settings.adam());
        adam.load(&format!("adam.{at}"), &mut self.state, shape)?;
        self.adam.push(adam);
        Ok(data)
    }
}

impl ModuleMapper for Load<'_> {
    follow_modules!();

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.failed.is_some() {
            return param;
        }
        let (id, old, mapper) = param.consume();
        let new = match self.take(&old.dims()) {
            Ok(data) => Tensor::from_data(data, (&old.device(), old.dtype())).require_grad(),
            Err(error) => {
                self.failed = Some(error);
                old
            }
        };
        Param::from_mapped_value(id, new, mapper)
    }
}
