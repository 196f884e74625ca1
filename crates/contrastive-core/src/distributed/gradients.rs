//! Gradients of parameters that all ranks share.

use super::{CommunicationError, Communicator, Floats};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor};

/// The sum over ranks of the gradients of a module's parameters, the same on every rank: what
/// `distributed_loss` needs, where each rank has its share of one gradient.
///
/// A parameter without a gradient on this rank counts as 0; one that has none on any rank, as what is frozen and running statistics have, gets
/// none. Ranks hold the same module.
///
/// # Errors
/// When a rank is gone, or the modules differ in size.
pub fn sum_gradients<M: Module>(
    communicator: &dyn Communicator,
    module: &M,
    gradients: GradientsParams,
) -> Result<GradientsParams, CommunicationError> {
    reduced(communicator, module, gradients, None)
}

/// The mean over ranks of the gradients of a module's parameters, the same on every rank: for losses that are computed by each
/// rank alone.
///
/// # Errors
/// As [`sum_gradients`].
pub fn average_gradients<M: Module>(
    communicator: &dyn Communicator,
    module: &M,
    gradients: GradientsParams,
) -> Result<GradientsParams, CommunicationError> {
    reduced(communicator, module, gradients, Some(1.0 / communicator.world() as f64))
}

fn reduced<M: Module>(
    communicator: &dyn Communicator,
    module: &M,
    gradients: GradientsParams,
    factor: Option<f64>,
) -> Result<GradientsParams, CommunicationError> {
    let mut found = Found { gradients: &gradients, present: Vec::new() };
    module.visit(&mut found);
    let present = communicator.all_reduce(Floats::F64(found.present))?.into_f64();
    let mut out =
        Out { gradients, present: present.iter(), buffers: [Floats::F32(Vec::new()), Floats::F64(Vec::new())] };
    module.visit(&mut out);
    let [single, double] = out.buffers;
    let buffers = [communicator.all_reduce(single)?, communicator.all_reduce(double)?];
    let mut back = Back { gradients: GradientsParams::new(), present: present.iter(), buffers, factor };
    module.visit(&mut back);
    Ok(back.gradients)
}

/// Tells which parameters have a gradient here.
struct Found<'a> {
    gradients: &'a GradientsParams,
    present: Vec<f64>,
}

impl ModuleVisitor for Found<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.present.push(f64::from(u8::from(self.gradients.get::<D>(param.id).is_some())));
    }
}

fn side(dtype: DType) -> usize {
    usize::from(dtype == DType::F64)
}

/// Puts all gradients into a buffer for each type.
struct Out<'a> {
    gradients: GradientsParams,
    /// How many ranks have one, of each parameter.
    present: std::slice::Iter<'a, f64>,
    buffers: [Floats; 2],
}

impl ModuleVisitor for Out<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.present.next().is_none_or(|ranks| *ranks == 0.0) {
            return;
        }
        let value = param.val().inner();
        let gradient = self.gradients.remove::<D>(param.id).unwrap_or_else(|| value.zeros_like());
        self.buffers[side(value.dtype())].append(Floats::of(gradient));
    }
}

/// Takes them out again.
struct Back<'a> {
    gradients: GradientsParams,
    present: std::slice::Iter<'a, f64>,
    buffers: [Floats; 2],
    factor: Option<f64>,
}

impl ModuleVisitor for Back<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.present.next().is_none_or(|ranks| *ranks == 0.0) {
            return;
        }
        let value = param.val().inner();
        let buffer = &mut self.buffers[side(value.dtype())];
        let rest = buffer.split_off(value.shape().num_elements());
        let gradient = std::mem::replace(buffer, rest).tensor(value.dims(), &value.device());
        let gradient = match self.factor {
            Some(factor) => gradient * factor,
            None => gradient,
        };
        self.gradients.register(param.id, gradient.cast(value.dtype()));
    }
}
