//! Adam as one fused operation.
// The `ndarray` backend still works but is deprecated upstream.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use super::{Optimiser, Rule};
use crate::config::{Check, SettingError};
use crate::error::TrainError;
use crate::trainee::{State, take_tensor};
use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::config::Config;
use burn::tensor::{Tensor, TensorData};
use contrastive_kernels::adam::AdamStep;

/// Settings of [`Adam`]; the defaults are those of Kingma and Ba (2015) and of torch.
#[derive(Config, Debug, PartialEq)]
pub struct AdamConfig {
    /// Learning rate, above 0.
    #[config(default = 1e-3)]
    pub lr: f64,
    /// Decay of the first moment, in [0, 1).
    #[config(default = 0.9)]
    pub beta_1: f64,
    /// Decay of the second moment, in [0, 1).
    #[config(default = 0.999)]
    pub beta_2: f64,
    /// Added to the root of the second moment, outside of it; above 0.
    #[config(default = 1e-8)]
    pub epsilon: f64,
    /// Coupled L2: this times the parameter is added to the gradient; 0 or more.
    #[config(default = 0.0)]
    pub weight_decay: f64,
}

impl AdamConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`SettingError`] naming the first one outside of its range.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("Adam");
        check.positive("lr", self.lr)?;
        check.share("beta_1", self.beta_1)?;
        check.share("beta_2", self.beta_2)?;
        check.positive("epsilon", self.epsilon)?;
        check.weight("weight_decay", self.weight_decay)
    }
}

#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one for each optimiser")]
enum Moments {
    /// No step was taken yet.
    None,
    /// Loaded, and not yet on a device.
    Host(TensorData, TensorData),
    /// Flat, on the device of the parameter.
    Device(Tensor<1>, Tensor<1>),
}

/// Adam for one parameter tensor: `torch.optim.Adam` in one pass (see [`contrastive_kernels::adam`]), native on the CPU
/// backend, composed of tensor operations elsewhere.
///
/// It works on tensors outside of autodiff, so that the parameter's buffer can be overwritten in place:
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use contrastive_train::{Adam, AdamConfig};
///
/// let device = Device::flex();
/// let mut weights = Tensor::<2>::ones([3, 2], &device);
/// let mut adam = Adam::new(AdamConfig::new().with_lr(0.1));
/// for _ in 0..200 {
///     let leaf = weights.clone().autodiff().require_grad();
///     let loss = (leaf.clone() - 0.25).powi_scalar(2).sum();
///     let grad = leaf.grad_remove(&mut loss.backward()).unwrap();
///     drop(leaf); // now `weights` is alone and is overwritten in place
///     adam.update(&mut weights, grad);
/// }
/// let error = (weights - 0.25).abs().max().into_scalar::<f32>();
/// assert!(error < 1e-2, "{error}");
/// ```
#[derive(Debug, Clone)]
pub struct Adam {
    config: AdamConfig,
    lr: f64,
    steps: u64,
    shape: Vec<usize>,
    moments: Moments,
}

impl Adam {
    /// An optimiser that has taken no step.
    ///
    /// # Panics
    /// When the settings are not valid; [`AdamConfig::validate`] tells beforehand.
    pub fn new(config: AdamConfig) -> Self {
        if let Err(error) = config.validate() {
            panic!("{error}");
        }
        Self { lr: config.lr, config, steps: 0, shape: Vec::new(), moments: Moments::None }
    }

    /// The settings it was made with.
    pub fn config(&self) -> &AdamConfig {
        &self.config
    }

    /// Number of steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The learning rate of the next step.
    pub fn learning_rate(&self) -> f64 {
        self.lr
    }

    /// Sets the learning rate from the next step on. It is not part of the saved state: a schedule sets it anew.
    pub fn set_learning_rate(&mut self, lr: f64) {
        self.lr = lr;
    }

    /// One step; returns the new parameter.
    ///
    /// # Shapes
    /// - param, grad, result: any, one and the same
    ///
    /// # Panics
    /// When the shapes differ from each other or from those of earlier steps, and when `param` is on an autodiff device
    /// (take `param.inner()`).
    pub fn step<const D: usize>(&mut self, param: Tensor<D>, grad: Tensor<D>) -> Tensor<D> {
        self.step_at(param, grad, self.lr, self.config.weight_decay)
    }

    /// [`step`](Self::step) with this rate and decay.
    fn step_at<const D: usize>(&mut self, param: Tensor<D>, grad: Tensor<D>, lr: f64, weight_decay: f64) -> Tensor<D> {
        let (shape, grad_shape) = (param.dims(), grad.dims());
        assert!(!param.is_autodiff(), "adam: the parameter is on an autodiff device, take its inner tensor");
        assert_eq!(shape, grad_shape, "adam: parameter of shape {shape:?}, gradient of shape {grad_shape:?}");
        let count = shape.iter().product::<usize>();
        if self.steps == 0 {
            self.shape = shape.to_vec();
        }
        assert_eq!(self.shape, shape, "adam: moments of shape {:?}, parameter of shape {shape:?}", self.shape);
        let kind = (&param.device(), param.dtype());
        let (m, v) = match std::mem::replace(&mut self.moments, Moments::None) {
            Moments::None => (Tensor::zeros([count], kind), Tensor::zeros([count], kind)),
            Moments::Host(m, v) => {
                (Tensor::<D>::from_data(m, kind).reshape([count]), Tensor::<D>::from_data(v, kind).reshape([count]))
            }
            Moments::Device(m, v) => (m, v),
        };
        self.steps += 1;
        let rule = AdamStep {
            lr,
            beta_1: self.config.beta_1,
            beta_2: self.config.beta_2,
            epsilon: self.config.epsilon,
            weight_decay,
            step: self.steps,
        };
        let (p, m, v) = Dispatch::adam_step(
            param.reshape([count]).into_dispatch(),
            grad.inner().reshape([count]).into_dispatch(),
            m.into_dispatch(),
            v.into_dispatch(),
            rule,
        );
        self.moments = Moments::Device(Tensor::from_dispatch(m), Tensor::from_dispatch(v));
        Tensor::<1>::from_dispatch(p).reshape(shape)
    }

    /// One step on a parameter that is held elsewhere: it is moved out, stepped, and moved back, so that the CPU backend
    /// overwrites its buffer when nothing else holds it.
    ///
    /// # Panics
    /// As [`Self::step`].
    pub fn update<const D: usize>(&mut self, param: &mut Tensor<D>, grad: Tensor<D>) {
        let empty = Tensor::empty([0; D], &param.device());
        let old = std::mem::replace(param, empty);
        *param = self.step(old, grad);
    }

    /// Adds the step count and both moments to a state, as `PREFIX.steps`, `PREFIX.m` and `PREFIX.v`.
    pub fn save(&self, prefix: &str, state: &mut State) {
        state.insert(format!("{prefix}.steps"), TensorData::new(vec![self.steps], [1]));
        let (m, v) = match &self.moments {
            Moments::None => return,
            Moments::Host(m, v) => (m.clone(), v.clone()),
            Moments::Device(m, v) => (m.clone().into_data(), v.clone().into_data()),
        };
        for (name, data) in [("m", m), ("v", v)] {
            let (bytes, _, dtype) = data.into_parts();
            state.insert(format!("{prefix}.{name}"), TensorData::from_bytes(bytes, self.shape.clone(), dtype));
        }
    }

    /// Takes over what [`Self::save`] wrote for a parameter of this shape, removing it from the state.
    ///
    /// # Errors
    /// [`TrainError::State`] when something is missing or has another shape; the optimiser is as before then.
    pub fn load(&mut self, prefix: &str, state: &mut State, shape: &[usize]) -> Result<(), TrainError> {
        let name = format!("{prefix}.steps");
        let wrong = |problem: String| TrainError::State { name: name.clone(), problem };
        let steps = take_tensor(state, &name, &[1])?.try_to_vec::<u64>().map_err(|e| wrong(e.to_string()))?[0];
        let moments = if steps == 0 {
            Moments::None
        } else {
            let m = take_tensor(state, &format!("{prefix}.m"), shape)?;
            Moments::Host(m, take_tensor(state, &format!("{prefix}.v"), shape)?)
        };
        (self.steps, self.moments, self.shape) = (steps, moments, shape.to_vec());
        Ok(())
    }
}

/// An optimiser of these settings whose rate and decay come with every step.
pub(super) fn of(beta_1: f64, beta_2: f64, epsilon: f64) -> Adam {
    Adam::new(AdamConfig::new().with_beta_1(beta_1).with_beta_2(beta_2).with_epsilon(epsilon))
}

/// Adam; the decay is added to the gradient.
#[derive(Debug)]
pub(super) struct Coupled(pub Adam);

impl Optimiser for Coupled {
    fn step(&mut self, parameters: Tensor<1>, gradient: Tensor<1>, rule: &Rule) -> Tensor<1> {
        self.0.step_at(parameters, gradient, rule.rate, rule.weight_decay)
    }

    fn save(&self, prefix: &str, state: &mut State) {
        self.0.save(prefix, state);
    }

    fn load(&mut self, prefix: &str, state: &mut State, n: usize) -> Result<(), TrainError> {
        self.0.load(prefix, state, &[n])
    }
}

/// AdamW; parameters shrink before the step.
#[derive(Debug)]
pub(super) struct Decoupled(pub Adam);

impl Optimiser for Decoupled {
    fn step(&mut self, parameters: Tensor<1>, gradient: Tensor<1>, rule: &Rule) -> Tensor<1> {
        let decay_factor = 1.0 - rule.rate * rule.weight_decay;
        let parameters = if decay_factor == 1.0 { parameters } else { parameters * decay_factor };
        self.0.step_at(parameters, gradient, rule.rate, 0.0)
    }

    fn save(&self, prefix: &str, state: &mut State) {
        self.0.save(prefix, state);
    }

    fn load(&mut self, prefix: &str, state: &mut State, n: usize) -> Result<(), TrainError> {
        self.0.load(prefix, state, &[n])
    }
}

/// The operation behind [`Adam`], flat tensors of one length: (parameter, gradient, m, v) to new (parameter, m, v).
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda")),
)]
pub trait AdamOps: Backend {
    /// One step of Adam.
    fn adam_step(
        param: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        m: FloatTensor<Self>,
        v: FloatTensor<Self>,
        rule: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        portable::<Self>(param, grad, m, v, rule)
    }
}

#[cfg(feature = "ndarray")]
impl AdamOps for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda"))]
impl AdamOps for burn::backend::Cube {}

/// The same formulas by backend operations.
fn portable<B: Backend>(
    param: FloatTensor<B>,
    grad: FloatTensor<B>,
    m: FloatTensor<B>,
    v: FloatTensor<B>,
    rule: AdamStep,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let grad = match rule.weight_decay {
        0.0 => grad,
        decay => B::float_add(grad, B::float_mul_scalar(param.clone(), decay.into())),
    };
    let towards = B::float_sub(grad.clone(), m.clone());
    let m = B::float_add(m, B::float_mul_scalar(towards, (1.0 - rule.beta_1).into()));
    let square = B::float_mul_scalar(B::float_mul(grad.clone(), grad), (1.0 - rule.beta_2).into());
    let v = B::float_add(B::float_mul_scalar(v, rule.beta_2.into()), square);
    let root = B::float_mul_scalar(B::float_sqrt(v.clone()), rule.root_factor().into());
    let denominator = B::float_add_scalar(root, rule.epsilon.into());
    let change = B::float_div(B::float_mul_scalar(m.clone(), rule.step_size().into()), denominator);
    (B::float_sub(param, change), m, v)
}

#[cfg(feature = "flex")]
impl AdamOps for burn::backend::Flex {
    fn adam_step(
        param: FloatTensor<Self>,
        grad: FloatTensor<Self>,
        m: FloatTensor<Self>,
        v: FloatTensor<Self>,
        rule: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        use burn::backend::flex::FlexTensor;
        use burn::tensor::DType;
        /// The tensor as a whole, contiguous buffer; moved, not copied, if it is one.
        fn whole(x: FlexTensor) -> FlexTensor {
            let bytes = x.layout().num_elements() * x.dtype().size();
            if x.is_contiguous() && x.layout().start_offset() == 0 && x.bytes().len() == bytes {
                x
            } else {
                x.to_contiguous()
            }
        }
        let (mut param, grad, mut m, mut v) = (whole(param), whole(grad), whole(m), whole(v));
        // Mutable storage is copied first when it is shared, and handed out as it is when it is not.
        macro_rules! native {
            ($t:ty) => {
                contrastive_kernels::adam::adam_step::<$t>(
                    param.storage_mut(),
                    grad.storage(),
                    m.storage_mut(),
                    v.storage_mut(),
                    &rule,
                )
            };
        }
        match (param.dtype(), grad.dtype()) {
            (DType::F32, DType::F32) => native!(f32),
            (DType::F64, DType::F64) => native!(f64),
            _ => return portable::<Self>(param, grad, m, v, rule),
        }
        (param, m, v)
    }
}

#[cfg(test)]
mod tests;
