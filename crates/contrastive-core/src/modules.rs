//! The float tensors of a module, by name and flat, whatever their number of dimensions: one walk for all that goes through parameters
//! (optimisers, momentum encoders, clipping, sums over ranks, checkpoints).
//!
//! ```
//! use burn::nn::LinearConfig;
//! use burn::tensor::Device;
//! use contrastive_core::modules::{each_float, map_floats};
//!
//! let layer = LinearConfig::new(3, 2).init(&Device::default());
//! let layer = map_floats(layer, |float| float.replace(|values| values * 0.0 + 1.5));
//! let mut found = Vec::new();
//! each_float(&layer, |float| found.push((float.name().to_string(), float.shape().to_vec(), float.value().sum().into_scalar::<f32>())));
//! assert_eq!(found, [("weight".into(), vec![3, 2], 9.0), ("bias".into(), vec![2], 3.0)]);
//! ```

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use std::collections::HashMap;

/// A float tensor of a module, as [`each_float`] and [`map_floats`] show it.
pub struct Float<'a> {
    name: String,
    shape: Vec<usize>,
    id: ParamId,
    tensor: &'a mut dyn Erased,
}

impl Float<'_> {
    /// The names of the modules on the way to it, and its own: `encoder.0.weight`. A second one at the same place gets a number.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its identity, under which gradients are kept.
    pub fn id(&self) -> ParamId {
        self.id
    }

    /// Its values `[n]`, outside of autodiff.
    pub fn value(&self) -> Tensor<1> {
        self.tensor.value()
    }

    /// Is it trained? (Only on an autodiff device.)
    pub fn is_trained(&self) -> bool {
        self.tensor.is_trained()
    }

    /// Is it on an autodiff device?
    pub fn is_autodiff(&self) -> bool {
        self.tensor.is_autodiff()
    }

    /// Its gradient `[n]`.
    pub fn gradient(&self, gradients: &GradientsParams) -> Option<Tensor<1>> {
        self.tensor.gradient(gradients)
    }

    /// Its gradient `[n]`, taken out.
    pub fn take_gradient(&self, gradients: &mut GradientsParams) -> Option<Tensor<1>> {
        self.tensor.take_gradient(gradients)
    }

    /// Sets its gradient, given as `[n]`.
    ///
    /// # Panics
    /// When it has another number of values.
    pub fn set_gradient(&self, gradients: &mut GradientsParams, gradient: Tensor<1>) {
        self.tensor.set_gradient(gradients, gradient);
    }

    /// Replaces its values `[n]` (in [`map_floats`]; in [`each_float`] the module stays as it is). They are handed over, outside of
    /// autodiff, so that a buffer that nothing else holds can be overwritten. Whether it is trained stays as it was.
    ///
    /// # Panics
    /// When the number of values changes.
    pub fn replace(&mut self, with: impl FnOnce(Tensor<1>) -> Tensor<1>) {
        let mut with = Some(with);
        self.tensor.replace(&mut |values| (with.take().expect("called once"))(values));
    }
}

/// Shows every float tensor of a module, in the order of its fields.
pub fn each_float<M: Module>(module: &M, mut see: impl FnMut(Float<'_>)) {
    module.visit(&mut Walk { names: Names::default(), see: &mut see });
}

/// A module whose float tensors were changed by [`Float::replace`], in the order of its fields.
pub fn map_floats<M: Module>(module: M, mut change: impl FnMut(&mut Float<'_>)) -> M {
    module.map(&mut Walk { names: Names::default(), see: &mut |mut float: Float<'_>| change(&mut float) })
}

/// A parameter whose number of dimensions is forgotten; `None` only while its values are replaced.
trait Erased {
    fn value(&self) -> Tensor<1>;
    fn is_trained(&self) -> bool;
    fn is_autodiff(&self) -> bool;
    fn gradient(&self, gradients: &GradientsParams) -> Option<Tensor<1>>;
    fn take_gradient(&self, gradients: &mut GradientsParams) -> Option<Tensor<1>>;
    fn set_gradient(&self, gradients: &mut GradientsParams, gradient: Tensor<1>);
    fn replace(&mut self, with: &mut dyn FnMut(Tensor<1>) -> Tensor<1>);
}

fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let count = tensor.dims().iter().product::<usize>();
    tensor.inner().reshape([count])
}

const THERE: &str = "a parameter is there unless it is being replaced";

impl<const D: usize> Erased for Option<Param<Tensor<D>>> {
    fn value(&self) -> Tensor<1> {
        flat(self.as_ref().expect(THERE).base())
    }

    fn is_trained(&self) -> bool {
        self.as_ref().expect(THERE).base().is_require_grad()
    }

    fn is_autodiff(&self) -> bool {
        self.as_ref().expect(THERE).base().is_autodiff()
    }

    fn gradient(&self, gradients: &GradientsParams) -> Option<Tensor<1>> {
        gradients.get::<D>(self.as_ref().expect(THERE).id).map(flat)
    }

    fn take_gradient(&self, gradients: &mut GradientsParams) -> Option<Tensor<1>> {
        gradients.remove::<D>(self.as_ref().expect(THERE).id).map(flat)
    }

    fn set_gradient(&self, gradients: &mut GradientsParams, gradient: Tensor<1>) {
        let param = self.as_ref().expect(THERE);
        gradients.register::<D>(param.id, gradient.reshape(param.base().dims()));
    }

    fn replace(&mut self, with: &mut dyn FnMut(Tensor<1>) -> Tensor<1>) {
        let param = self.take().expect(THERE);
        *self = Some(param.map(|old| {
            let (shape, autodiff, trained) = (old.dims(), old.is_autodiff(), old.is_require_grad());
            let new = with(flat(old)).reshape(shape);
            let new = if autodiff { Tensor::from_inner(new) } else { new };
            if trained { new.require_grad() } else { new }
        }));
    }
}

/// The place in a module, and the names that were given.
#[derive(Default)]
struct Names {
    path: Vec<String>,
    times: HashMap<String, usize>,
}

impl Names {
    fn name(&mut self) -> String {
        let path = if self.path.is_empty() { "tensor".to_string() } else { self.path.join(".") };
        let times = self.times.entry(path.clone()).or_default();
        *times += 1;
        if *times == 1 { path } else { format!("{path}#{times}") }
    }
}

struct Walk<'a> {
    names: Names,
    see: &'a mut dyn FnMut(Float<'_>),
}

impl Walk<'_> {
    fn show<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (name, shape, id) = (self.names.name(), param.base().dims().to_vec(), param.id);
        let mut tensor = Some(param);
        (self.see)(Float { name, shape, id, tensor: &mut tensor });
        tensor.expect(THERE)
    }
}

impl ModuleVisitor for Walk<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.names.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.names.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.show(param.clone());
    }
}

impl ModuleMapper for Walk<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.names.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.names.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.show(param)
    }
}
