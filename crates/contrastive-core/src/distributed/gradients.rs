//! Gradients of parameters that all ranks share.

use super::{CommunicationError, Communicator, Floats};
use crate::modules::each_float;
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::DType;

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
    let mut present = Vec::new();
    each_float(module, |float| present.push(f64::from(u8::from(float.gradient(&gradients).is_some()))));
    let present = communicator.all_reduce(Floats::F64(present))?.into_f64();
    let side = |dtype: DType| usize::from(dtype == DType::F64);

    // all gradients into a buffer for each type; a parameter that has one on another rank alone counts as 0
    let mut buffers = [Floats::F32(Vec::new()), Floats::F64(Vec::new())];
    let mut gradients = gradients;
    let mut ranks = present.iter();
    each_float(module, |float| {
        if ranks.next().is_some_and(|ranks| *ranks > 0.0) {
            let value = float.value();
            let gradient = float.take_gradient(&mut gradients).unwrap_or_else(|| value.zeros_like());
            buffers[side(value.dtype())].append(Floats::of(gradient));
        }
    });
    let [single, double] = buffers;
    let mut sums = [communicator.all_reduce(single)?, communicator.all_reduce(double)?];

    // and out again
    let mut out = GradientsParams::new();
    let mut ranks = present.iter();
    each_float(module, |float| {
        if ranks.next().is_some_and(|ranks| *ranks > 0.0) {
            let value = float.value();
            let buffer = &mut sums[side(value.dtype())];
            let rest = buffer.split_off(value.dims()[0]);
            let gradient = std::mem::replace(buffer, rest).tensor(value.dims(), &value.device());
            let gradient = match factor {
                Some(factor) => gradient * factor,
                None => gradient,
            };
            float.set_gradient(&mut out, gradient.cast(value.dtype()));
        }
    });
    Ok(out)
}
