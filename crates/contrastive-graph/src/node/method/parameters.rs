//! The parameters of a model and their optimiser.

use super::Settings;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use contrastive_train::{Adam, AdamConfig, State, TrainError, take_tensor};
use std::collections::VecDeque;

/// A model on an autodiff device, and an optimiser for each of its tensors. Those that get no gradient (running statistics, networks
/// that follow others) stay as they are.
pub(super) struct Parameters<M> {
    pub model: M,
    adam: Vec<Adam>,
    pub settings: Settings,
}

impl<M: Module> Parameters<M> {
    /// # Panics
    /// When the learning rate or the weight decay is out of range.
    pub fn new(model: M, settings: Settings) -> Self {
        let mut count = Count(0);
        model.visit(&mut count);
        Self { model, adam: vec![Adam::new(settings.adam()); count.0], settings }
    }

    /// One step down a loss, in an epoch counted from 1.
    pub fn optimizer_step(&mut self, loss: &Tensor<1>, epoch: usize) {
        let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
        let (rate, decay_factor) = (self.settings.rate(epoch), self.settings.decay_factor(epoch));
        let mut update = Update { gradients, adam: self.adam.iter_mut(), rate, decay_factor };
        self.model = self.model.clone().map(&mut update);
    }

    /// Every tensor under the names of its modules.
    pub fn tensors(&self) -> State {
        let mut save = Save { path: Path::default(), state: State::new() };
        // settles running statistics, which a training model holds back by one update
        self.model.valid().visit(&mut save);
        save.state
    }

    /// [`tensors`](Self::tensors), and the optimisers.
    pub fn state(&self) -> State {
        let mut state = self.tensors();
        self.adam.iter().enumerate().for_each(|(at, adam)| adam.save(&format!("adam.{at}"), &mut state));
        state
    }

    /// Takes over what [`state`](Self::state) gave; changes nothing when it does not fit.
    pub fn load(&mut self, state: State) -> Result<(), TrainError> {
        let config = self.settings.adam();
        let mut read = Read { path: Path::default(), state, config, data: VecDeque::new(), adam: vec![], failed: None };
        // an update of running statistics that is held back would follow what is loaded
        self.model.valid().visit(&mut read);
        match read.failed {
            Some(error) => Err(error),
            None => {
                self.model = self.model.clone().map(&mut Replace(read.data));
                self.adam = read.adam;
                Ok(())
            }
        }
    }
}

/// Counts tensors.
struct Count(usize);

impl ModuleVisitor for Count {
    fn visit_float<const D: usize>(&mut self, _: &Param<Tensor<D>>) {
        self.0 += 1;
    }
}

/// Steps every tensor that has a gradient.
struct Update<'a> {
    gradients: GradientsParams,
    adam: std::slice::IterMut<'a, Adam>,
    rate: f64,
    decay_factor: f64,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let adam = self.adam.next().expect("an optimiser for each parameter");
        let (id, old, mapper) = param.consume();
        let new = match self.gradients.remove::<D>(id) {
            Some(gradient) => {
                let old = if self.decay_factor == 1.0 { old.inner() } else { old.inner() * self.decay_factor };
                adam.set_learning_rate(self.rate);
                Tensor::from_inner(adam.step(old, gradient)).require_grad()
            }
            None => old,
        };
        Param::from_mapped_value(id, new, mapper)
    }
}

/// Names of the modules on the way to a tensor, and how many tensors were met so far.
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

/// Takes the numbers and the optimiser of each tensor out of a state.
struct Read {
    path: Path,
    state: State,
    config: AdamConfig,
    data: VecDeque<TensorData>,
    adam: Vec<Adam>,
    failed: Option<TrainError>,
}

impl Read {
    fn take(&mut self, shape: &[usize]) -> Result<(), TrainError> {
        let (at, name) = (self.path.count, self.path.name());
        self.data.push_back(take_tensor(&mut self.state, &name, shape)?);
        let mut adam = Adam::new(self.config.clone());
        adam.load(&format!("adam.{at}"), &mut self.state, shape)?;
        self.adam.push(adam);
        Ok(())
    }
}

impl ModuleVisitor for Read {
    follow_modules!();

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.failed.is_none() {
            self.failed = self.take(&param.val().dims()).err();
        }
    }
}

/// Replaces the numbers of all tensors.
struct Replace(VecDeque<TensorData>);

impl ModuleMapper for Replace {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, old, mapper) = param.consume();
        let data = self.0.pop_front().expect("numbers for each tensor");
        let new = Tensor::from_data(data, (&old.device(), old.dtype())).set_require_grad(old.is_require_grad());
        Param::from_mapped_value(id, new, mapper)
    }
}
