//! Brings values whose gradients are already known into autodiff.
// The `ndarray` backend still works but is deprecated upstream.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use crate::extension::*;
use burn::backend::Dispatch;
use burn::tensor::{FloatDType, Shape, Tensor};

/// The node that carries a ready gradient.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda")),
    Autodiff,
)]
pub trait AttachOps: Backend {
    /// `value [1]`, with `gradient` as its derivative with respect to `input`.
    #[allow(unused_variables)]
    fn attach_gradient(
        value: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        value
    }
}

#[cfg(feature = "flex")]
impl AttachOps for burn::backend::Flex {}

default_bodies!(AttachOps);

impl<B: AttachOps, C: CheckpointStrategy> AttachOps for Autodiff<B, C> {
    fn attach_gradient(
        value: FloatTensor<Self>,
        input: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Attach;
        impl<B: AttachOps> Backward<B, 2> for Attach {
            type State = (FloatTensor<B>, FloatDType);
            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let upstream = grads.consume::<B>(&ops.node);
                let [value, input] = ops.parents;
                let (gradient, stored) = ops.state;
                if let Some(node) = input {
                    let ones = Shape::from(vec![1; gradient.shape().num_dims()]);
                    let factor = B::float_reshape(upstream.clone(), ones);
                    let factor = cast::<B>(factor, FloatDType::from(gradient.dtype()));
                    // multiplied first: a gradient that half precision would lose may come with a large factor
                    grads.register::<B>(node.id, cast::<B>(B::float_mul(gradient, factor), stored));
                }
                if let Some(node) = value {
                    grads.register::<B>(node.id, upstream);
                }
            }
        }
        let stored = FloatDType::from(input.dtype());
        let (value, value_guard) = value.into_parts();
        let (_, input_guard) = input.into_parts();
        let (gradient, _) = gradient.into_parts();
        match Attach.prepare::<C>([value_guard, input_guard]).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((gradient, stored), value),
            OpsKind::UnTracked(prepared) => prepared.finish(value),
        }
    }
}

fn cast<B: Backend>(x: FloatTensor<B>, dtype: FloatDType) -> FloatTensor<B> {
    if FloatDType::from(x.dtype()) == dtype { x } else { B::float_cast(x, dtype) }
}

/// `value [1]` with `gradient` as its derivative with respect to `input`; several inputs are attached one after the other.
///
/// `value` and `gradient` are plain tensors or constants; where `input` carries no gradient, `value` is returned unchanged.
/// Exact for any upstream factor. The gradient may be of another float type than its input, as that of inputs in half precision is: it becomes
/// one of the input's type after it was multiplied with the upstream factor.
///
/// # Panics
/// When input and gradient differ in shape, or the value is not a single number.
pub fn attach<const D: usize>(value: Tensor<1>, input: &Tensor<D>, gradient: Tensor<D>) -> Tensor<1> {
    assert_eq!(input.dims(), gradient.dims(), "attach: the shapes of an input and of its gradient");
    assert_eq!(value.dims(), [1], "attach: the shape of the value");
    if !input.is_tracked() {
        return value;
    }
    let into = |t: Tensor<1>| if t.is_autodiff() { t } else { Tensor::from_inner(t) };
    let gradient = Tensor::<D>::from_inner(gradient.inner());
    Tensor::from_dispatch(Dispatch::attach_gradient(
        into(value).into_dispatch(),
        input.clone().into_dispatch(),
        gradient.into_dispatch(),
    ))
}

/// `value [1]` with the gradients of its inputs: [`attach`] for every input that has one.
///
/// A plain value becomes a constant of autodiff if one of the inputs is there, so that losses of tracked and untracked inputs add up.
///
/// # Panics
/// As [`attach`].
pub fn attach_gradients<'a, const D: usize>(
    value: Tensor<1>,
    gradients: impl IntoIterator<Item = (&'a Tensor<D>, Option<Tensor<D>>)>,
) -> Tensor<1> {
    gradients.into_iter().fold(value, |value, (input, gradient)| {
        let value = constant_beside(value, input);
        match gradient {
            Some(gradient) => attach(value, input, gradient),
            None => value,
        }
    })
}

/// `value` as a constant of autodiff if `input` is there; else, or if it is there already, as it is.
pub(crate) fn constant_beside<const D: usize, const E: usize>(value: Tensor<D>, input: &Tensor<E>) -> Tensor<D> {
    if input.is_autodiff() && !value.is_autodiff() { Tensor::from_inner(value) } else { value }
}
