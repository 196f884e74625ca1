//! Small functions of tensors that objectives share: types, masks, and safe forms of exponentials.

use burn::tensor::{DType, Tensor};

/// Stands for minus infinity in a logit that takes no part: finite, so that it may be multiplied with 0.
pub(crate) const MASKED: f64 = -1e30;

/// f16 and bf16 are computed in f32.
pub(crate) fn computed_in(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// `[1]`: 1, or NaN where inner products of rows of these tables may be as large as the mark of a pair that is not compared; a constant.
pub(crate) fn in_range(a: &Tensor<2>, c: &Tensor<2>) -> Tensor<1> {
    let largest = |x: &Tensor<2>| x.clone().detach().abs().max();
    let product = largest(a) * largest(c) * a.dims()[1] as f64;
    product.ones_like().mask_fill(product.greater_equal_elem(4e29), f64::NAN)
}

/// A tensor in the type that is computed in; differentiable.
pub(crate) fn computed<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let dtype = computed_in(x.dtype());
    if x.dtype() == dtype { x } else { x.cast(dtype) }
}

/// `[1]`, a constant: 0, or NaN if an entry is NaN or infinite.
pub(crate) fn zero_or_nan<const D: usize>(x: &Tensor<D>) -> Tensor<1> {
    (x.clone().detach() * 0.0).sum()
}

/// `1 / (1 + e^-x)` to the last digits of the type, where a backend's own may round to f32; beyond 80 without a slope.
pub fn logistic<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    ((x.clamp(-80.0, 80.0) * -1.0).exp() + 1.0).recip()
}

/// `log(1 + e^x)`, exact for any x, with slope 1/2 at 0.
pub fn softplus<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let size = x.clone().abs();
    (x + size.clone()) * 0.5 + (size * -1.0).exp().log1p()
}

/// `log sum e^x` along a dimension, which becomes of size 1.
pub(crate) fn log_sum_exp_along(x: Tensor<2>, dim: usize) -> Tensor<2> {
    let top = x.clone().detach().max_dim(dim);
    (x - top.clone()).exp().sum_dim(dim).log() + top
}
