//! Layers as an extension of the CPU backend. Elsewhere [`portable`](super::portable) runs.
// The `ndarray` backend still works but is deprecated upstream.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use super::{AttentionOptions, Reach};
use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::{Backend, TensorMetadata, backend_extension, tensor::FloatTensor};
use contrastive_kernels::layer::{activation::Smooth, dropout::Mask};
use std::sync::Arc;

/// A norm without its tensors.
#[derive(Clone, Copy, Debug)]
pub struct NormKind {
    pub centred: bool,
    pub epsilon: f64,
    /// Is the gain one, or a tensor that is there because one must be?
    pub gain: bool,
    pub bias: bool,
}

/// An attention without its tensors.
#[derive(Clone, Debug)]
pub struct Attending {
    pub reach: Reach,
    pub options: AttentionOptions,
    pub mask: Option<Mask>,
}

pub(super) const NATIVE: &str = "layers run as an extension on the CPU backend only";

/// Layers, and what their backward passes need. Callers check shapes and that the tensor is native.
#[backend_extension(Flex: cfg(feature = "flex"), Autodiff)]
#[allow(unused_variables)]
pub trait LayerOps: Backend {
    fn layer_smooth(function: Smooth, x: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    /// The function and its derivative.
    fn layer_smooth_slope(function: Smooth, x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{NATIVE}")
    }

    fn layer_dropout(mask: Mask, x: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    fn layer_dropout_add(mask: Mask, x: FloatTensor<Self>, residual: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    /// `[n, width]`, gain and bias `[width]`, or of any shape where the kind has none.
    fn row_norm(
        kind: NormKind,
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    /// The gradients of x, gain and bias.
    fn row_norm_backward(
        kind: NormKind,
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{NATIVE}")
    }

    /// Queries, keys and values to `[queries, d]`.
    fn layer_attention(
        attending: Arc<Attending>,
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    /// The gradients of queries, keys and values.
    fn layer_attention_backward(
        attending: Arc<Attending>,
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        unreachable!("{NATIVE}")
    }

    /// `[n, 3 d]` to `[n, d]`.
    fn layer_self_attention(attending: Arc<Attending>, packed: FloatTensor<Self>) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }

    /// The gradient `[n, 3 d]`.
    fn layer_self_attention_backward(
        attending: Arc<Attending>,
        packed: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        unreachable!("{NATIVE}")
    }
}

#[cfg(feature = "flex")]
mod native {
    use super::*;
    use burn::backend::{Flex, flex::FlexTensor};
    use burn::tensor::{DType, Element, TensorData};
    use contrastive_kernels::layer::Layers;
    use contrastive_kernels::layer::attention::{Attention, AttentionGradients, Rows};
    use contrastive_kernels::layer::norm::Norm;

    trait Native: Layers + Element {}
    impl Native for f32 {}
    impl Native for f64 {}

    fn slice<T: Native>(tensor: &FlexTensor) -> &[T] {
        tensor.as_slice::<T>().expect("a contiguous tensor of the element type")
    }

    fn tensor<T: Native>(values: Vec<T>, shape: &[usize]) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(values, shape.to_vec()))
    }

    fn dims(x: &FlexTensor) -> Vec<usize> {
        x.shape().to_vec()
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

    fn smooth<T: Native>(function: Smooth, x: FlexTensor) -> FlexTensor {
        let (shape, x) = (dims(&x), x.to_contiguous());
        let x = slice::<T>(&x);
        let mut out = vec![T::zero(); x.len()];
        T::smooth(function, x, &mut out, None);
        tensor(out, &shape)
    }

    fn smooth_slope<T: Native>(function: Smooth, x: FlexTensor) -> (FlexTensor, FlexTensor) {
        let (shape, x) = (dims(&x), x.to_contiguous());
        let x = slice::<T>(&x);
        let (mut out, mut slope) = (vec![T::zero(); x.len()], vec![T::zero(); x.len()]);
        T::smooth(function, x, &mut out, Some(&mut slope));
        (tensor(out, &shape), tensor(slope, &shape))
    }

    fn dropout<T: Native>(mask: Mask, x: FlexTensor) -> FlexTensor {
        let (shape, x) = (dims(&x), x.to_contiguous());
        let x = slice::<T>(&x);
        let mut out = vec![T::zero(); x.len()];
        T::dropout(x, mask, &mut out);
        tensor(out, &shape)
    }

    fn dropout_add<T: Native>(mask: Mask, x: FlexTensor, residual: FlexTensor) -> FlexTensor {
        let (shape, x, residual) = (dims(&x), x.to_contiguous(), residual.to_contiguous());
        let x = slice::<T>(&x);
        let mut out = vec![T::zero(); x.len()];
        T::dropout_add(x, slice::<T>(&residual), mask, &mut out);
        tensor(out, &shape)
    }

    fn of_kind<'a, T: Native>(kind: NormKind, width: usize, gain: &'a FlexTensor, bias: &'a FlexTensor) -> Norm<'a, T> {
        let NormKind { centred, epsilon, .. } = kind;
        let (gain, bias) = (kind.gain.then(|| slice::<T>(gain)), kind.bias.then(|| slice::<T>(bias)));
        Norm { width, centred, epsilon, gain, bias }
    }

    fn norm<T: Native>(kind: NormKind, x: FlexTensor, gain: FlexTensor, bias: FlexTensor) -> FlexTensor {
        let (shape, x) = (dims(&x), x.to_contiguous());
        let (gain, bias) = (gain.to_contiguous(), bias.to_contiguous());
        let norm = of_kind::<T>(kind, shape[1], &gain, &bias);
        let x = slice::<T>(&x);
        let mut out = vec![T::zero(); x.len()];
        T::norm(norm, x, &mut out);
        tensor(out, &shape)
    }

    fn norm_backward<T: Native>(
        kind: NormKind,
        x: FlexTensor,
        gain: FlexTensor,
        gradient: FlexTensor,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (shape, x) = (dims(&x), x.to_contiguous());
        let (gain, gradient) = (gain.to_contiguous(), gradient.to_contiguous());
        let norm = of_kind::<T>(NormKind { bias: false, ..kind }, shape[1], &gain, &gain);
        let all = T::norm_backward(norm, slice(&x), slice(&gradient));
        (tensor(all.x, &shape), tensor(all.gain, &shape[1..]), tensor(all.bias, &shape[1..]))
    }

    fn problem(attending: &Attending, width: usize) -> Attention<'_> {
        let Attending { reach, options, mask } = attending;
        Attention {
            queries: reach.queries().offsets(),
            keys: reach.keys().offsets(),
            visible: reach.visible_keys(),
            heads: options.heads,
            width,
            scale: options.scale_of(width),
            mask: *mask,
        }
    }

    fn attention<T: Native>(attending: &Attending, tables: [FlexTensor; 3]) -> FlexTensor {
        let shape = dims(&tables[0]);
        let tables = tables.map(|table| table.to_contiguous());
        let rows = tables.each_ref().map(|table| Rows::whole(slice::<T>(table), shape[1]));
        let mut out = vec![T::zero(); shape[0] * shape[1]];
        T::attention(problem(attending, shape[1]), rows, &mut out);
        tensor(out, &shape)
    }

    fn attention_backward<T: Native>(
        attending: &Attending,
        tables: [FlexTensor; 3],
        gradient: FlexTensor,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let (width, gradient) = (tables[0].shape()[1], gradient.to_contiguous());
        let tables = tables.map(|table| table.to_contiguous());
        let rows = tables.each_ref().map(|table| Rows::whole(slice::<T>(table), width));
        match T::attention_backward(problem(attending, width), rows, slice(&gradient), false) {
            AttentionGradients::Three(all) => {
                let [queries, keys, values] = all.map(|table| {
                    let rows = table.len() / width;
                    tensor(table, &[rows, width])
                });
                (queries, keys, values)
            }
            AttentionGradients::One(_) => unreachable!("three tables were asked for"),
        }
    }

    fn thirds<T: Native>(packed: &FlexTensor) -> (usize, usize, [Rows<'_, T>; 3]) {
        let (n, step) = (packed.shape()[0], packed.shape()[1]);
        let values = slice::<T>(packed);
        (n, step / 3, [0, 1, 2].map(|k| Rows { values, step, start: k * step / 3 }))
    }

    fn self_attention<T: Native>(attending: &Attending, packed: FlexTensor) -> FlexTensor {
        let packed = packed.to_contiguous();
        let (n, width, rows) = thirds::<T>(&packed);
        let mut out = vec![T::zero(); n * width];
        T::attention(problem(attending, width), rows, &mut out);
        tensor(out, &[n, width])
    }

    fn self_attention_backward<T: Native>(
        attending: &Attending,
        packed: FlexTensor,
        gradient: FlexTensor,
    ) -> FlexTensor {
        let (packed, gradient) = (packed.to_contiguous(), gradient.to_contiguous());
        let (n, width, rows) = thirds::<T>(&packed);
        match T::attention_backward(problem(attending, width), rows, slice(&gradient), true) {
            AttentionGradients::One(all) => tensor(all, &[n, 3 * width]),
            AttentionGradients::Three(_) => unreachable!("one table was asked for"),
        }
    }

    impl LayerOps for Flex {
        fn layer_smooth(function: Smooth, x: FloatTensor<Self>) -> FloatTensor<Self> {
            by_type!(x, smooth(function, x))
        }

        fn layer_smooth_slope(function: Smooth, x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
            by_type!(x, smooth_slope(function, x))
        }

        fn layer_dropout(mask: Mask, x: FloatTensor<Self>) -> FloatTensor<Self> {
            by_type!(x, dropout(mask, x))
        }

        fn layer_dropout_add(mask: Mask, x: FloatTensor<Self>, residual: FloatTensor<Self>) -> FloatTensor<Self> {
            by_type!(x, dropout_add(mask, x, residual))
        }

        fn row_norm(
            kind: NormKind,
            x: FloatTensor<Self>,
            gain: FloatTensor<Self>,
            bias: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(x, norm(kind, x, gain, bias))
        }

        fn row_norm_backward(
            kind: NormKind,
            x: FloatTensor<Self>,
            gain: FloatTensor<Self>,
            gradient: FloatTensor<Self>,
        ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
            by_type!(x, norm_backward(kind, x, gain, gradient))
        }

        fn layer_attention(
            attending: Arc<Attending>,
            queries: FloatTensor<Self>,
            keys: FloatTensor<Self>,
            values: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(queries, attention(&attending, [queries, keys, values]))
        }

        fn layer_attention_backward(
            attending: Arc<Attending>,
            queries: FloatTensor<Self>,
            keys: FloatTensor<Self>,
            values: FloatTensor<Self>,
            gradient: FloatTensor<Self>,
        ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
            by_type!(queries, attention_backward(&attending, [queries, keys, values], gradient))
        }

        fn layer_self_attention(attending: Arc<Attending>, packed: FloatTensor<Self>) -> FloatTensor<Self> {
            by_type!(packed, self_attention(&attending, packed))
        }

        fn layer_self_attention_backward(
            attending: Arc<Attending>,
            packed: FloatTensor<Self>,
            gradient: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(packed, self_attention_backward(&attending, packed, gradient))
        }
    }
}

/// Gives the gradients to the parents that are there.
macro_rules! register {
    ($grads:ident, $($parent:expr => $gradient:expr),+) => {
        $(if let Some(node) = $parent {
            $grads.register::<B>(node.id, $gradient);
        })+
    };
}

impl<B: LayerOps, C: CheckpointStrategy> LayerOps for Autodiff<B, C> {
    fn layer_smooth(function: Smooth, x: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Slope;
        impl<B: LayerOps> Backward<B, 1> for Slope {
            type State = FloatTensor<B>;
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let [x] = ops.parents;
                register!(grads, x => B::float_mul(grad, ops.state));
            }
        }
        let (x, guard) = x.into_parts();
        match Slope.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => {
                let (out, slope) = B::layer_smooth_slope(function, x);
                node.finish(slope, out)
            }
            OpsKind::UnTracked(node) => node.finish(B::layer_smooth(function, x)),
        }
    }

    fn layer_dropout(mask: Mask, x: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Again;
        impl<B: LayerOps> Backward<B, 1> for Again {
            type State = Mask;
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let [x] = ops.parents;
                register!(grads, x => B::layer_dropout(ops.state, grad));
            }
        }
        let (x, guard) = x.into_parts();
        let out = B::layer_dropout(mask, x);
        match Again.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish(mask, out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }

    fn layer_dropout_add(mask: Mask, x: FloatTensor<Self>, residual: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Both;
        impl<B: LayerOps> Backward<B, 2> for Both {
            type State = Mask;
            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let [x, residual] = ops.parents;
                register!(grads, x => B::layer_dropout(ops.state, grad.clone()), residual => grad);
            }
        }
        let ((x, x_guard), (residual, residual_guard)) = (x.into_parts(), residual.into_parts());
        let out = B::layer_dropout_add(mask, x, residual);
        match Both.prepare::<C>([x_guard, residual_guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish(mask, out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }

    fn row_norm(
        kind: NormKind,
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct OfNorm;
        impl<B: LayerOps> Backward<B, 3> for OfNorm {
            type State = (NormKind, FloatTensor<B>, FloatTensor<B>);
            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let (kind, x, gain) = ops.state;
                let (of_x, of_gain, of_bias) = B::row_norm_backward(kind, x, gain, grad);
                let [x, gain, bias] = ops.parents;
                register!(grads, x => of_x, gain => of_gain, bias => of_bias);
            }
        }
        let ((x, x_guard), (gain, gain_guard), (bias, bias_guard)) =
            (x.into_parts(), gain.into_parts(), bias.into_parts());
        let out = B::row_norm(kind, x.clone(), gain.clone(), bias);
        match OfNorm.prepare::<C>([x_guard, gain_guard, bias_guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish((kind, x, gain), out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }

    fn layer_attention(
        attending: Arc<Attending>,
        queries: FloatTensor<Self>,
        keys: FloatTensor<Self>,
        values: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct OfAttention;
        impl<B: LayerOps> Backward<B, 3> for OfAttention {
            type State = (Arc<Attending>, [FloatTensor<B>; 3]);
            fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let (attending, [queries, keys, values]) = ops.state;
                let (of_queries, of_keys, of_values) =
                    B::layer_attention_backward(attending, queries, keys, values, grad);
                let [queries, keys, values] = ops.parents;
                register!(grads, queries => of_queries, keys => of_keys, values => of_values);
            }
        }
        let ((queries, of_queries), (keys, of_keys), (values, of_values)) =
            (queries.into_parts(), keys.into_parts(), values.into_parts());
        let out = B::layer_attention(attending.clone(), queries.clone(), keys.clone(), values.clone());
        match OfAttention.prepare::<C>([of_queries, of_keys, of_values]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish((attending, [queries, keys, values]), out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }

    fn layer_self_attention(attending: Arc<Attending>, packed: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct OfPacked;
        impl<B: LayerOps> Backward<B, 1> for OfPacked {
            type State = (Arc<Attending>, FloatTensor<B>);
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let (attending, packed) = ops.state;
                let [parent] = ops.parents;
                register!(grads, parent => B::layer_self_attention_backward(attending, packed, grad));
            }
        }
        let (packed, guard) = packed.into_parts();
        let out = B::layer_self_attention(attending.clone(), packed.clone());
        match OfPacked.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish((attending, packed), out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }
}
