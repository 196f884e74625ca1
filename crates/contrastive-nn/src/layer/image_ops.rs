//! Layers of images as an extension of the CPU backend. Elsewhere bodies of tensor operations run.
// The `ndarray` backend still works but is deprecated upstream.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use super::ops::NATIVE;
use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Backend, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;
use contrastive_kernels::image::{Convolution2d, Pooling};
use std::sync::Arc;

/// A norm of channels without its tensors.
#[derive(Clone, Debug)]
pub struct ChannelKind {
    /// Rows of each ghost.
    pub ghosts: Vec<usize>,
    /// Are the moments those of the rows?
    pub of_rows: bool,
    pub epsilon: f64,
    pub relu: bool,
}

/// Layers of images, and what their backward passes need. Callers check shapes and that the tensor is native.
#[backend_extension(Flex: cfg(feature = "flex"), Autodiff)]
#[allow(unused_variables)]
pub trait ImageOps: Backend {
    /// The bias is any tensor unless `biased`.
    fn image_convolve(
        on: Convolution2d,
        biased: bool,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    fn image_convolve_input(
        on: Convolution2d,
        output: FloatTensor<Self>,
        weight: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    fn image_convolve_weight(on: Convolution2d, x: FloatTensor<Self>, output: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    /// The sums over all axes but the last.
    fn image_channel_sums(x: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    /// `[rows, channels]` to `[ghosts, 2, channels]`.
    fn image_moments(ghosts: Arc<ChannelKind>, x: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    /// `[rows, channels]`, `[ghosts, 2, channels]`, and two of `[channels]`.
    fn image_norm(
        kind: Arc<ChannelKind>,
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    /// The gradients of x, gain and bias.
    fn image_norm_backward(
        kind: Arc<ChannelKind>,
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{NATIVE}")
    }

    fn image_pool(on: Arc<Pooling>, maximum: bool, x: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    fn image_pool_backward(
        on: Arc<Pooling>,
        maximum: bool,
        x: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }
}

/// Both tensors with autodiff as soon as one of the list has it.
pub(super) fn lifted<const D: usize>(x: Tensor<D>, autodiff: bool) -> Tensor<D> {
    if autodiff && !x.is_autodiff() { Tensor::from_inner(x) } else { x }
}

#[cfg(feature = "flex")]
mod native {
    use super::*;
    use burn::backend::{Flex, TensorMetadata, flex::FlexTensor};
    use burn::tensor::{DType, Element, TensorData};
    use contrastive_kernels::image::{ChannelNorm, Images};

    trait Native: Images + Element {}
    impl Native for f32 {}
    impl Native for f64 {}

    fn slice<T: Native>(tensor: &FlexTensor) -> &[T] {
        tensor.as_slice::<T>().expect("a contiguous tensor of the element type")
    }

    fn tensor<T: Native>(values: Vec<T>, shape: &[usize]) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(values, shape.to_vec()))
    }

    /// The function for the element type of `$of`.
    macro_rules! by_type {
        ($of:ident, $function:ident($($argument:expr),*)) => {
            match $of.dtype() {
                DType::F32 => $function::<f32>($($argument),*),
                DType::F64 => $function::<f64>($($argument),*),
                other => unreachable!("{NATIVE}, not in {other:?}"),
            }
        };
    }

    fn convolve<T: Native>(
        on: Convolution2d,
        biased: bool,
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
    ) -> FlexTensor {
        let [x, weight, bias] = [x, weight, bias].map(|t| t.to_contiguous());
        let [rows, columns] = on.output();
        let out = T::convolve_images(&on, slice(&x), slice(&weight), biased.then(|| slice(&bias)));
        tensor(out, &[on.batch, rows, columns, on.outputs])
    }

    fn convolve_input<T: Native>(on: Convolution2d, output: FlexTensor, weight: FlexTensor) -> FlexTensor {
        let [output, weight] = [output, weight].map(|t| t.to_contiguous());
        let out = T::images_gradient(&on, slice(&output), slice(&weight));
        tensor(out, &[on.batch, on.image[0], on.image[1], on.inputs])
    }

    fn convolve_weight<T: Native>(on: Convolution2d, x: FlexTensor, output: FlexTensor) -> FlexTensor {
        let [x, output] = [x, output].map(|t| t.to_contiguous());
        let out = T::kernel_gradient(&on, slice(&x), slice(&output));
        tensor(out, &[on.kernel[0], on.kernel[1], on.inputs, on.outputs])
    }

    fn channel_sums<T: Native>(x: FlexTensor) -> FlexTensor {
        let channels = *x.shape().to_vec().last().expect("an axis of channels");
        let x = x.to_contiguous();
        tensor(T::channel_sums(slice(&x), channels), &[channels])
    }

    fn moments<T: Native>(kind: &ChannelKind, x: FlexTensor) -> FlexTensor {
        let (channels, x) = (x.shape()[1], x.to_contiguous());
        let out = T::channel_moments(slice(&x), channels, &kind.ghosts);
        tensor(out, &[kind.ghosts.len(), 2, channels])
    }

    fn of<'a, T: Native>(
        kind: &'a ChannelKind,
        moments: &'a FlexTensor,
        gain: &'a FlexTensor,
        bias: &'a FlexTensor,
    ) -> ChannelNorm<'a, T> {
        let &ChannelKind { of_rows, epsilon, relu, .. } = kind;
        let (moments, gain, bias) = (slice(moments), slice::<T>(gain), slice(bias));
        ChannelNorm { channels: gain.len(), ghosts: &kind.ghosts, moments, of_rows, epsilon, gain, bias, relu }
    }

    fn norm<T: Native>(
        kind: &ChannelKind,
        x: FlexTensor,
        moments: FlexTensor,
        gain: FlexTensor,
        bias: FlexTensor,
    ) -> FlexTensor {
        let (shape, [x, moments, gain, bias]) =
            (x.shape().to_vec(), [x, moments, gain, bias].map(|t| t.to_contiguous()));
        tensor(T::channel_norm(of(kind, &moments, &gain, &bias), slice(&x)), &shape)
    }

    fn norm_backward<T: Native>(
        kind: &ChannelKind,
        x: FlexTensor,
        moments: FlexTensor,
        gain: FlexTensor,
        bias: FlexTensor,
        gradient: FlexTensor,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let shape = x.shape().to_vec();
        let [x, moments, gain, bias, gradient] = [x, moments, gain, bias, gradient].map(|t| t.to_contiguous());
        let all = T::channel_norm_backward(of(kind, &moments, &gain, &bias), slice(&x), slice(&gradient));
        (tensor(all.x, &shape), tensor(all.gain, &shape[1..]), tensor(all.bias, &shape[1..]))
    }

    fn pool<T: Native>(on: &Pooling, maximum: bool, x: FlexTensor) -> FlexTensor {
        let x = x.to_contiguous();
        let out = if maximum { T::max_pool(on, slice(&x)) } else { T::average_pool(on, slice(&x)) };
        tensor(out, &[on.batch, on.rows.ranges.len(), on.columns.ranges.len(), on.channels])
    }

    fn pool_backward<T: Native>(on: &Pooling, maximum: bool, x: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let [x, gradient] = [x, gradient].map(|t| t.to_contiguous());
        let out = match maximum {
            true => T::max_pool_backward(on, slice(&x), slice(&gradient)),
            false => T::average_pool_backward(on, slice(&gradient)),
        };
        tensor(out, &[on.batch, on.image[0], on.image[1], on.channels])
    }

    impl ImageOps for Flex {
        fn image_convolve(
            on: Convolution2d,
            biased: bool,
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(x, convolve(on, biased, x, weight, bias))
        }

        fn image_convolve_input(
            on: Convolution2d,
            output: FloatTensor<Self>,
            weight: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(weight, convolve_input(on, output, weight))
        }

        fn image_convolve_weight(
            on: Convolution2d,
            x: FloatTensor<Self>,
            output: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(x, convolve_weight(on, x, output))
        }

        fn image_channel_sums(x: FloatTensor<Self>) -> FloatTensor<Self> {
            by_type!(x, channel_sums(x))
        }

        fn image_moments(ghosts: Arc<ChannelKind>, x: FloatTensor<Self>) -> FloatTensor<Self> {
            by_type!(x, moments(&ghosts, x))
        }

        fn image_norm(
            kind: Arc<ChannelKind>,
            x: FloatTensor<Self>,
            moments: FloatTensor<Self>,
            gain: FloatTensor<Self>,
            bias: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(x, norm(&kind, x, moments, gain, bias))
        }

        fn image_norm_backward(
            kind: Arc<ChannelKind>,
            x: FloatTensor<Self>,
            moments: FloatTensor<Self>,
            gain: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            gradient: FloatTensor<Self>,
        ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
            by_type!(x, norm_backward(&kind, x, moments, gain, bias, gradient))
        }

        fn image_pool(on: Arc<Pooling>, maximum: bool, x: FloatTensor<Self>) -> FloatTensor<Self> {
            by_type!(x, pool(&on, maximum, x))
        }

        fn image_pool_backward(
            on: Arc<Pooling>,
            maximum: bool,
            x: FloatTensor<Self>,
            gradient: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(x, pool_backward(&on, maximum, x, gradient))
        }
    }
}

impl<B: ImageOps, C: CheckpointStrategy> ImageOps for Autodiff<B, C> {
    fn image_convolve(
        on: Convolution2d,
        biased: bool,
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Convolved;
        impl<B: ImageOps> Backward<B, 3> for Convolved {
            type State = (FloatTensor<B>, FloatTensor<B>, Convolution2d);
            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let output = grads.consume::<B>(&ops.node);
                let (x, weight, on) = ops.state;
                let [of_x, of_weight, of_bias] = ops.parents;
                if let Some(node) = of_bias {
                    grads.register::<B>(node.id, B::image_channel_sums(output.clone()));
                }
                if let Some(node) = of_weight {
                    grads.register::<B>(node.id, B::image_convolve_weight(on, x, output.clone()));
                }
                if let Some(node) = of_x {
                    grads.register::<B>(node.id, B::image_convolve_input(on, output, weight));
                }
            }
        }
        let ((x, x_guard), (weight, weight_guard), (bias, bias_guard)) =
            (x.into_parts(), weight.into_parts(), bias.into_parts());
        let out = B::image_convolve(on, biased, x.clone(), weight.clone(), bias);
        match Convolved.prepare::<C>([x_guard, weight_guard, bias_guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish((x, weight, on), out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }

    fn image_norm(
        kind: Arc<ChannelKind>,
        x: FloatTensor<Self>,
        moments: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Normalised;
        impl<B: ImageOps> Backward<B, 3> for Normalised {
            type State = (Arc<ChannelKind>, [FloatTensor<B>; 4]);
            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = grads.consume::<B>(&ops.node);
                let (kind, [x, moments, gain, bias]) = ops.state;
                let (x, gain, bias) = B::image_norm_backward(kind, x, moments, gain, bias, gradient);
                for (parent, gradient) in ops.parents.into_iter().zip([x, gain, bias]) {
                    if let Some(node) = parent {
                        grads.register::<B>(node.id, gradient);
                    }
                }
            }
        }
        let ((x, x_guard), (moments, _)) = (x.into_parts(), moments.into_parts());
        let ((gain, gain_guard), (bias, bias_guard)) = (gain.into_parts(), bias.into_parts());
        let out = B::image_norm(kind.clone(), x.clone(), moments.clone(), gain.clone(), bias.clone());
        match Normalised.prepare::<C>([x_guard, gain_guard, bias_guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish((kind, [x, moments, gain, bias]), out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }

    fn image_pool(on: Arc<Pooling>, maximum: bool, x: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Pooled;
        impl<B: ImageOps> Backward<B, 1> for Pooled {
            type State = (Arc<Pooling>, bool, FloatTensor<B>);
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let gradient = grads.consume::<B>(&ops.node);
                let (on, maximum, x) = ops.state;
                if let [Some(node)] = ops.parents {
                    grads.register::<B>(node.id, B::image_pool_backward(on, maximum, x, gradient));
                }
            }
        }
        let (x, guard) = x.into_parts();
        let out = B::image_pool(on.clone(), maximum, x.clone());
        match Pooled.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish((on, maximum, x), out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }
}
