//! The parameters of a model and their optimisers, by the names of the modules.

use crate::config::{Check, SettingError};
use crate::error::TrainError;
use crate::optimiser::{Group, Optimiser, OptimiserConfig, Rule, Select};
use crate::trainee::{State, take_tensor};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::modules::{each_float, map_floats};
use std::collections::VecDeque;
use std::fmt;

/// A model on an autodiff device, and an optimiser for each of its float tensors. Tensors that get no gradient (running
/// statistics, networks that follow others) stay as they are.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
/// use contrastive_train::{Group, OptimiserConfig, Parameters, Select};
///
/// let device = Device::default().autodiff();
/// let model = LinearConfig::new(3, 1).init(&device);
/// let groups = [Group::new(Select::NormsAndBiases).without_decay()];
/// let mut parameters = Parameters::new(model, &OptimiserConfig::adam_w(0.01), &groups)?;
/// assert_eq!(parameters.names(), ["weight", "bias"]);
/// let x = Tensor::<2>::ones([4, 3], &device);
/// for _ in 0..300 {
///     let loss = (parameters.model().forward(x.clone()) - 2.0).powi_scalar(2).mean();
///     parameters.optimizer_step(&loss, 0.05);
/// }
/// let y = parameters.model().forward(x).mean().into_scalar::<f32>();
/// assert!((y - 2.0).abs() < 0.05, "{y}");
/// # Ok::<(), contrastive_train::SettingError>(())
/// ```
pub struct Parameters<M> {
    /// `None` only while it is being stepped.
    model: Option<M>,
    config: OptimiserConfig,
    slots: Vec<Slot>,
}

/// One tensor.
struct Slot {
    name: String,
    dimensions: usize,
    count: usize,
    optimiser: Box<dyn Optimiser>,
    rate: f64,
    decay: bool,
    trust_ratio: bool,
}

impl<M: Module> Parameters<M> {
    /// Parameters that have taken no step.
    ///
    /// # Errors
    /// When a setting of the optimiser is out of range, or a group selects nothing.
    pub fn new(model: M, config: &OptimiserConfig, groups: &[Group]) -> Result<Self, SettingError> {
        config.validate()?;
        let check = Check::new("parameter groups");
        let mut found = Vec::new();
        each_float(&model, |float| {
            found.push((float.name().to_string(), float.shape().len(), float.shape().iter().product()));
        });
        let slots: Vec<Slot> = found
            .into_iter()
            .map(|(name, dimensions, count)| {
                let of = || groups.iter().filter(|group| group.select.takes(&name, dimensions));
                let rate = of().map(|group| group.rate).product();
                let (decay, trust_ratio) = (of().all(|group| group.decay), of().all(|group| group.trust_ratio));
                Slot { dimensions, count, optimiser: config.init(), rate, decay, trust_ratio, name }
            })
            .collect();
        for group in groups {
            check.weight("factor on the rate", group.rate)?;
            let names = || slots.iter().map(|slot| slot.name.as_str()).collect::<Vec<_>>().join(", ");
            let any = slots.iter().any(|slot| group.select.takes(&slot.name, slot.dimensions));
            check.that(any, "select", format!("{:?}", group.select), format!("a selection among {}", names()))?;
        }
        Ok(Self { model: Some(model), config: *config, slots })
    }

    /// The model.
    ///
    /// # Panics
    /// After a step that panicked.
    pub fn model(&self) -> &M {
        self.model.as_ref().expect("the model is there between steps")
    }

    /// The model alone.
    ///
    /// # Panics
    /// After a step that panicked.
    pub fn into_model(self) -> M {
        self.model.expect("the model is there between steps")
    }

    /// Replaces the model, which must be built like the present one, by what `update` makes of it.
    ///
    /// # Panics
    /// After a step that panicked.
    pub fn update_model(&mut self, update: impl FnOnce(M) -> M) {
        let model = self.model.take().expect("the model is there between steps");
        self.model = Some(update(model));
    }

    /// Names of the float tensors, in the order of the modules: `encoder.0.weight`.
    pub fn names(&self) -> Vec<&str> {
        self.slots.iter().map(|slot| slot.name.as_str()).collect()
    }

    /// The gradients of a loss `[1]`; consumes its tape.
    pub fn gradients(&self, loss: &Tensor<1>) -> GradientsParams {
        GradientsParams::from_grads(loss.backward(), self.model())
    }

    /// One step down a loss `[1]`, with this learning rate.
    pub fn optimizer_step(&mut self, loss: &Tensor<1>, rate: f64) {
        let gradients = self.gradients(loss);
        self.step(gradients, rate, &Select::All);
    }

    /// One step along these gradients, of the selected tensors that have one. Buffers that nothing else holds are overwritten
    /// in place. Returns the name and the first value of the first tensor that is not finite after it.
    pub fn step(&mut self, gradients: GradientsParams, rate: f64, moves: &Select) -> Option<(String, f64)> {
        let (config, mut slots, mut gradients) = (self.config, self.slots.iter_mut(), gradients);
        // `[1]` in f32 for each tensor that moves: finite unless it holds NaN or infinity (or huge numbers)
        let mut sums = Vec::new();
        let model = self.model.take().expect("the model is there between steps");
        self.model = Some(map_floats(model, |float| {
            let slot = slots.next().expect("an optimiser for each tensor");
            let gradient = float.take_gradient(&mut gradients);
            let moved = slot.rate != 0.0 && moves.takes(&slot.name, slot.dimensions);
            let Some(gradient) = gradient.filter(|_| moved) else { return };
            let rule = Rule {
                rate: rate * slot.rate,
                weight_decay: if slot.decay { config.weight_decay() } else { 0.0 },
                trust_ratio: slot.trust_ratio,
            };
            float.replace(|values| {
                let new = slot.optimiser.step(values, gradient, &rule);
                sums.push(new.clone().sum().cast(DType::F32));
                new
            });
        }));
        if sums.is_empty() {
            return None;
        }
        // one transfer, whatever the number of tensors
        let sums = Tensor::cat(sums, 0).into_data();
        match sums.iter::<f64>().all(f64::is_finite) {
            true => None,
            false => self.first_not_finite(),
        }
    }

    /// Name and first value of the first tensor that is not finite.
    pub fn first_not_finite(&self) -> Option<(String, f64)> {
        let bad = |data: &TensorData| data.iter::<f64>().find(|value| !value.is_finite());
        let state = self.tensors();
        let names = self.slots.iter().map(|slot| &slot.name);
        names.filter_map(|name| Some((name.clone(), bad(&state[&model_key(name)])?))).next()
    }

    /// Every float tensor, as `model.NAME`.
    pub fn tensors(&self) -> State {
        let mut state = State::new();
        save_module(self.model(), "model", &mut state);
        state
    }

    /// [`tensors`](Self::tensors), and the optimisers' buffers, as `optimiser.NAME`.
    pub fn state(&self) -> State {
        let mut state = self.tensors();
        for slot in &self.slots {
            slot.optimiser.save(&optimiser_key(&slot.name), &mut state);
        }
        state
    }

    /// Takes over what [`state`](Self::state) gave, removing it from the state; changes nothing of the parameters when it does
    /// not fit.
    ///
    /// # Errors
    /// [`TrainError::State`] when a tensor is missing or does not fit.
    pub fn load(&mut self, state: &mut State) -> Result<(), TrainError> {
        let mut optimisers = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let mut optimiser = self.config.init();
            optimiser.load(&optimiser_key(&slot.name), state, slot.count)?;
            optimisers.push(optimiser);
        }
        let data = read(self.model(), "model", state)?;
        self.update_model(|model| replaced(model, data));
        self.slots.iter_mut().zip(optimisers).for_each(|(slot, optimiser)| slot.optimiser = optimiser);
        Ok(())
    }
}

impl<M: Module> fmt::Debug for Parameters<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parameters").field("names", &self.names()).field("optimiser", &self.config).finish()
    }
}

fn model_key(name: &str) -> String {
    format!("model.{name}")
}

fn optimiser_key(name: &str) -> String {
    format!("optimiser.{name}")
}

/// Adds every float tensor of a module to a state, as `PREFIX.NAME` by the names of its modules.
pub fn save_module<M: Module>(module: &M, prefix: &str, state: &mut State) {
    // settles running statistics, which a module in training holds back by one update
    each_float(&module.valid(), |float| {
        let (bytes, _, dtype) = float.value().into_data().into_parts();
        let data = TensorData::from_bytes(bytes, float.shape().to_vec(), dtype);
        state.insert(format!("{prefix}.{}", float.name()), data);
    });
}

/// The module with the float tensors that [`save_module`] wrote for one built alike, removing them from the state.
///
/// # Errors
/// [`TrainError::State`] when a tensor is missing or has another shape.
pub fn load_module<M: Module>(module: M, prefix: &str, state: &mut State) -> Result<M, TrainError> {
    let data = read(&module, prefix, state)?;
    Ok(replaced(module, data))
}

fn read<M: Module>(module: &M, prefix: &str, state: &mut State) -> Result<VecDeque<TensorData>, TrainError> {
    let mut data = Ok(VecDeque::new());
    // an update of running statistics that is held back would overwrite what is loaded
    each_float(&module.valid(), |float| {
        if let Ok(list) = &mut data {
            match take_tensor(state, &format!("{prefix}.{}", float.name()), float.shape()) {
                Ok(found) => list.push_back(found),
                Err(error) => data = Err(error),
            }
        }
    });
    data
}

/// The module with other numbers.
fn replaced<M: Module>(module: M, mut data: VecDeque<TensorData>) -> M {
    map_floats(module, |float| {
        let data = data.pop_front().expect("numbers for each tensor");
        float.replace(|old| {
            let (bytes, _, dtype) = data.into_parts();
            let data = TensorData::from_bytes(bytes, old.shape(), dtype);
            Tensor::from_data(data, (&old.device(), old.dtype()))
        });
    })
}
