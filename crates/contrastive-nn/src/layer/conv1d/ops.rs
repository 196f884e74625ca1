//! Convolutions as an extension of the tensor backends.
// The `ndarray` backend still works but is deprecated upstream.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Backend, backend_extension, tensor::FloatTensor};
use contrastive_kernels::convolution::Convolution;

/// A convolution and its gradients. Defaults are written with backend operations and run anywhere.
///
/// Shapes are checked by the caller.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda")),
    Autodiff,
)]
pub trait ConvolutionOps: Backend {
    /// The output.
    #[allow(unused_variables)]
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        on: Convolution,
    ) -> FloatTensor<Self> {
        portable::convolve::<Self>(x, weight, bias, on)
    }

    /// The gradient of the input.
    #[allow(unused_variables)]
    fn convolve_input_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output: FloatTensor<Self>,
        on: Convolution,
    ) -> FloatTensor<Self> {
        portable::input_gradient::<Self>(x, weight, output, on)
    }

    /// The gradient of the weight.
    #[allow(unused_variables)]
    fn convolve_weight_gradient(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        output: FloatTensor<Self>,
        on: Convolution,
    ) -> FloatTensor<Self> {
        portable::weight_gradient::<Self>(x, weight, output, on)
    }

    /// The gradient of the bias.
    #[allow(unused_variables)]
    fn convolve_bias_gradient(output: FloatTensor<Self>, on: Convolution) -> FloatTensor<Self> {
        portable::bias_gradient::<Self>(output, on)
    }
}

#[cfg(feature = "ndarray")]
impl ConvolutionOps for burn::backend::NdArray {}

#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda"))]
impl ConvolutionOps for burn::backend::Cube {}

#[cfg(feature = "flex")]
mod native {
    use super::{Convolution, ConvolutionOps, FloatTensor, portable};
    use burn::backend::{Flex, flex::FlexTensor};
    use burn::tensor::{DType, Element, TensorData};
    use contrastive_kernels::convolution::Convolve;

    fn slice<T: Convolve + Element>(tensor: &FlexTensor) -> &[T] {
        tensor.as_slice::<T>().expect("a contiguous tensor of the element type that was matched")
    }

    fn tensor<T: Convolve + Element, const D: usize>(values: Vec<T>, shape: [usize; D]) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(values, shape))
    }

    fn value<T: Convolve + Element>(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        on: Convolution,
    ) -> FlexTensor {
        let [x, weight, bias] = [x, weight, bias].map(|t| t.to_contiguous());
        let out = T::convolve(&on, slice(&x), slice(&weight), Some(slice(&bias)));
        tensor(out, [on.batch, on.output_length(), on.outputs])
    }

    fn of_input<T: Convolve + Element>(weight: FlexTensor, output: FlexTensor, on: Convolution) -> FlexTensor {
        let [weight, output] = [weight, output].map(|t| t.to_contiguous());
        let out = T::input_gradient(&on, slice(&output), slice(&weight));
        tensor(out, [on.batch, on.length, on.inputs])
    }

    fn of_weight<T: Convolve + Element>(x: FlexTensor, output: FlexTensor, on: Convolution) -> FlexTensor {
        let [x, output] = [x, output].map(|t| t.to_contiguous());
        let out = T::weight_gradient(&on, slice(&x), slice(&output));
        tensor(out, [on.taps, on.inputs / on.groups, on.outputs])
    }

    fn of_bias<T: Convolve + Element>(output: FlexTensor, on: Convolution) -> FlexTensor {
        let output = output.to_contiguous();
        tensor(T::bias_gradient(&on, slice(&output)), [on.outputs])
    }

    impl ConvolutionOps for Flex {
        fn convolve(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            bias: FloatTensor<Self>,
            on: Convolution,
        ) -> FloatTensor<Self> {
            match x.dtype() {
                DType::F32 => value::<f32>(x, weight, bias, on),
                DType::F64 => value::<f64>(x, weight, bias, on),
                _ => portable::convolve::<Self>(x, weight, bias, on),
            }
        }

        fn convolve_input_gradient(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            output: FloatTensor<Self>,
            on: Convolution,
        ) -> FloatTensor<Self> {
            match weight.dtype() {
                DType::F32 => of_input::<f32>(weight, output, on),
                DType::F64 => of_input::<f64>(weight, output, on),
                _ => portable::input_gradient::<Self>(x, weight, output, on),
            }
        }

        fn convolve_weight_gradient(
            x: FloatTensor<Self>,
            weight: FloatTensor<Self>,
            output: FloatTensor<Self>,
            on: Convolution,
        ) -> FloatTensor<Self> {
            match weight.dtype() {
                DType::F32 => of_weight::<f32>(x, output, on),
                DType::F64 => of_weight::<f64>(x, output, on),
                _ => portable::weight_gradient::<Self>(x, weight, output, on),
            }
        }

        fn convolve_bias_gradient(output: FloatTensor<Self>, on: Convolution) -> FloatTensor<Self> {
            match output.dtype() {
                DType::F32 => of_bias::<f32>(output, on),
                DType::F64 => of_bias::<f64>(output, on),
                _ => portable::bias_gradient::<Self>(output, on),
            }
        }
    }
}

/// The bodies that run on any backend. Public for tests only: the contract of this module may change at any time.
#[doc(hidden)]
pub mod portable {
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, TensorMetadata};
    use burn::tensor::{FloatDType, Shape, Slice, ops::ConvOptions};
    use contrastive_kernels::convolution::Convolution;

    fn options(on: &Convolution) -> ConvOptions<1> {
        ConvOptions::new([on.stride], [0], [on.dilation], on.groups)
    }

    /// `[batch, input, before + time + after]`.
    fn padded<B: Backend>(x: FloatTensor<B>, on: &Convolution) -> FloatTensor<B> {
        let (device, dtype) = (x.device(), FloatDType::from(x.dtype()));
        let zeros = |steps: usize| B::float_zeros(Shape::new([on.batch, steps, on.inputs]), &device, dtype);
        let whole = B::float_cat(vec![zeros(on.before), x, zeros(on.after)], 1);
        B::float_permute(whole, &[0, 2, 1])
    }

    /// `[output, input, taps]`.
    fn turned<B: Backend>(weight: FloatTensor<B>) -> FloatTensor<B> {
        B::float_permute(weight, &[2, 1, 0])
    }

    /// The output.
    pub fn convolve<B: Backend>(
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        bias: FloatTensor<B>,
        on: Convolution,
    ) -> FloatTensor<B> {
        let out = B::conv1d(padded::<B>(x, &on), turned::<B>(weight), Some(bias), options(&on));
        B::float_permute(out, &[0, 2, 1])
    }

    /// The gradient of the input.
    pub fn input_gradient<B: Backend>(
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        output: FloatTensor<B>,
        on: Convolution,
    ) -> FloatTensor<B> {
        let output = B::float_permute(output, &[0, 2, 1]);
        let whole = B::conv1d_x_backward(padded::<B>(x, &on), turned::<B>(weight), output, options(&on));
        let whole = B::float_permute(whole, &[0, 2, 1]);
        let part = [0..on.batch, on.before..on.before + on.length, 0..on.inputs].map(Slice::from);
        B::float_slice(whole, &part)
    }

    /// The gradient of the weight.
    pub fn weight_gradient<B: Backend>(
        x: FloatTensor<B>,
        weight: FloatTensor<B>,
        output: FloatTensor<B>,
        on: Convolution,
    ) -> FloatTensor<B> {
        let output = B::float_permute(output, &[0, 2, 1]);
        let out = B::conv1d_weight_backward(padded::<B>(x, &on), turned::<B>(weight), output, options(&on));
        B::float_permute(out, &[2, 1, 0])
    }

    /// The gradient of the bias.
    pub fn bias_gradient<B: Backend>(output: FloatTensor<B>, on: Convolution) -> FloatTensor<B> {
        let rows = on.batch * on.output_length();
        let sum = B::float_sum_dim(B::float_reshape(output, Shape::new([rows, on.outputs])), 0);
        B::float_reshape(sum, Shape::new([on.outputs]))
    }
}

impl<B: ConvolutionOps, C: CheckpointStrategy> ConvolutionOps for Autodiff<B, C> {
    fn convolve(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        on: Convolution,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Convolved;
        impl<B: ConvolutionOps> Backward<B, 3> for Convolved {
            type State = (FloatTensor<B>, FloatTensor<B>, Convolution);
            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let output = grads.consume::<B>(&ops.node);
                let (x, weight, on) = ops.state;
                let [of_x, of_weight, of_bias] = ops.parents;
                if let Some(node) = of_bias {
                    grads.register::<B>(node.id, B::convolve_bias_gradient(output.clone(), on));
                }
                if let Some(node) = of_weight {
                    let gradient = B::convolve_weight_gradient(x.clone(), weight.clone(), output.clone(), on);
                    grads.register::<B>(node.id, gradient);
                }
                if let Some(node) = of_x {
                    grads.register::<B>(node.id, B::convolve_input_gradient(x, weight, output, on));
                }
            }
        }
        let ((x, x_guard), (weight, weight_guard), (bias, bias_guard)) =
            (x.into_parts(), weight.into_parts(), bias.into_parts());
        let out = B::convolve(x.clone(), weight.clone(), bias, on);
        match Convolved.prepare::<C>([x_guard, weight_guard, bias_guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish((x, weight, on), out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }
}
