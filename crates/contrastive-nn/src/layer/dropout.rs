//! Dropout by a hash.

use super::ops::LayerOps;
use crate::Pass;
use crate::native::is_native;
use burn::backend::Dispatch;
use burn::tensor::{Tensor, TensorData};
use contrastive_kernels::layer::{Layers, dropout::Mask};

/// Each element is 0 with this probability, or multiplied by `1 / (1 - probability)`: the mask is a function of the pass, of the
/// layer's place in it, and of the element's place in the table. In evaluation, and at a probability of 0, `x` as it is.
///
/// # Panics
/// When the probability is not in `0..1`.
pub fn dropout<const D: usize>(x: Tensor<D>, probability: f64, pass: &mut Pass) -> Tensor<D> {
    match next_mask(probability, pass) {
        None => x,
        Some(mask) if is_native(&x) => Tensor::from_dispatch(Dispatch::layer_dropout(mask, x.into_dispatch())),
        Some(mask) => masked(x, mask),
    }
}

/// The mask is made on the host.
fn masked<const D: usize>(x: Tensor<D>, mask: Mask) -> Tensor<D> {
    let shape = x.dims();
    let ones = vec![1f64; shape.iter().product()];
    let mut factors = vec![0f64; ones.len()];
    f64::dropout(&ones, mask, &mut factors);
    let factors = Tensor::from_data(TensorData::new(factors, shape), (&x.device(), x.dtype()));
    x * factors
}

/// `residual + dropout(x)`.
///
/// # Panics
/// As [`dropout`], and when the shapes differ.
pub fn dropout_add<const D: usize>(x: Tensor<D>, residual: Tensor<D>, probability: f64, pass: &mut Pass) -> Tensor<D> {
    assert_eq!(x.dims(), residual.dims(), "dropout: the shapes of a layer's result and of what it is added to");
    match next_mask(probability, pass) {
        None => x + residual,
        Some(mask) if is_native(&x) => {
            let (x, residual) = autodiff_alike(x, residual);
            Tensor::from_dispatch(Dispatch::layer_dropout_add(mask, x.into_dispatch(), residual.into_dispatch()))
        }
        Some(mask) => masked(x, mask) + residual,
    }
}

/// Both with autodiff, one of them as a constant, if one has it.
pub(crate) fn autodiff_alike<const D: usize, const E: usize>(a: Tensor<D>, b: Tensor<E>) -> (Tensor<D>, Tensor<E>) {
    match (a.is_autodiff(), b.is_autodiff()) {
        (true, false) => (a, Tensor::from_inner(b)),
        (false, true) => (Tensor::from_inner(a), b),
        _ => (a, b),
    }
}

/// The mask of the next layer. A layer whose probability is 0 takes its key all the same, so that those after it keep theirs.
pub(crate) fn next_mask(probability: f64, pass: &mut Pass) -> Option<Mask> {
    assert!((0.0..1.0).contains(&probability), "dropout of {probability}: it must lie in [0, 1)");
    let key = pass.next_key()?;
    (probability > 0.0).then(|| Mask::new(key.get(), probability))
}
