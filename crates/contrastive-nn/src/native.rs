//! Where tensors are, and which body a layer runs.

use burn::tensor::Tensor;
use std::cell::Cell;

thread_local! {
    static PORTABLE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with the portable bodies of all layers, in this thread. For tests only.
#[doc(hidden)]
pub fn portable_bodies<R>(f: impl FnOnce() -> R) -> R {
    PORTABLE.set(true);
    let out = f();
    PORTABLE.set(false);
    out
}

/// Is this tensor of a type and on a backend whose memory the kernels can read?
#[cfg(feature = "flex")]
pub(crate) fn is_native<const D: usize>(x: &Tensor<D>) -> bool {
    use burn::tensor::{DType, Device};
    matches!(x.dtype(), DType::F32 | DType::F64) && x.device() == Device::flex() && !PORTABLE.get()
}

/// Without the CPU backend nothing is.
#[cfg(not(feature = "flex"))]
pub(crate) fn is_native<const D: usize>(_: &Tensor<D>) -> bool {
    false
}
