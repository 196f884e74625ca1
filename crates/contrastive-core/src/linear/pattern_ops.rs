//! The operations of a sparse pattern as extensions of the tensor backends.
// The `ndarray` backend still works but is deprecated upstream.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use super::SparsePattern;
use crate::extension::*;

/// Sparse products whose values are tensors. Defaults are written with backend operations and run anywhere.
///
/// Shapes are checked by the callers.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda")),
    Autodiff,
)]
pub trait PatternOps: Backend {
    /// `left_i . right_j` for each entry.
    #[allow(unused_variables)]
    fn pattern_products(
        pattern: SparsePattern,
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::products::<Self>(&pattern, left, right)
    }

    /// The matrix of the values, or its transpose, times `x`.
    #[allow(unused_variables)]
    fn pattern_multiply(
        pattern: SparsePattern,
        transposed: bool,
        values: FloatTensor<Self>,
        x: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::multiply::<Self>(&pattern, transposed, values, x)
    }

    /// The softmax of the entries of each row.
    #[allow(unused_variables)]
    fn pattern_softmax(pattern: SparsePattern, logits: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::softmax::<Self>(&pattern, logits)
    }

    /// The gradient of the logits from the softmax and the gradient of it.
    #[allow(unused_variables)]
    fn pattern_softmax_backward(
        pattern: SparsePattern,
        softmax: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::softmax_backward::<Self>(&pattern, softmax, grad)
    }
}

default_bodies!(PatternOps);

#[cfg(feature = "flex")]
mod native {
    use super::{FloatTensor, PatternOps, SparsePattern, portable};
    use crate::linear::ops::native::{slice, tensor};
    use burn::backend::{Flex, TensorMetadata, flex::FlexTensor};
    use burn::tensor::{DType, TensorData};
    use contrastive_kernels::Real;
    use contrastive_kernels::sparse::Csr;
    use contrastive_kernels::vector::{self, Element};
    use rayon::prelude::*;

    /// Entries that are worth a task of their own.
    const TASK: usize = 1 << 13;

    /// An element type of tensors and of kernels, and the places of a pattern in it.
    trait Value: Element + burn::tensor::Element {
        fn places(pattern: &SparsePattern, transposed: bool) -> &Csr<Self>;
    }

    impl Value for f32 {
        fn places(pattern: &SparsePattern, transposed: bool) -> &Csr<Self> {
            pattern.side(transposed).to_f32()
        }
    }

    impl Value for f64 {
        fn places(pattern: &SparsePattern, transposed: bool) -> &Csr<Self> {
            pattern.side(transposed).to_f64()
        }
    }

    fn products<T: Value>(pattern: &SparsePattern, left: FlexTensor, right: FlexTensor) -> FlexTensor {
        let (left, right, width) = (left.to_contiguous(), right.to_contiguous(), left.shape()[1]);
        let mut out = vec![T::zero(); pattern.nnz()];
        T::places(pattern, false).sampled_products(slice(&left), slice(&right), width, &mut out);
        list(out)
    }

    fn list<T: Value>(values: Vec<T>) -> FlexTensor {
        let count = values.len();
        FlexTensor::from_data(TensorData::new(values, [count]))
    }

    fn multiply<T: Value>(pattern: &SparsePattern, transposed: bool, values: FlexTensor, x: FlexTensor) -> FlexTensor {
        let (values, x) = (values.to_contiguous(), x.to_contiguous());
        let (given, width) = (slice::<T>(&values), x.shape()[1]);
        let places = T::places(pattern, transposed);
        let matrix = if transposed {
            let moved: Vec<T> = pattern.order().iter().map(|&entry| given[entry as usize]).collect();
            places.with_values(&moved)
        } else {
            places.with_values(given)
        };
        let mut out = vec![T::zero(); matrix.rows() * width];
        matrix.multiply(slice(&x), width, &mut out);
        tensor(out, matrix.rows(), width)
    }

    /// `each(first entry, row of out)` for all rows in parallel.
    fn for_rows<T: Real>(indptr: &[usize], out: &mut [T], each: impl Fn(usize, &mut [T]) + Sync) {
        let (rows, mut tasks, mut rest, mut first) = (indptr.len() - 1, Vec::new(), out, 0);
        while first < rows {
            let end = indptr.partition_point(|&start| start < indptr[first] + TASK).clamp(first + 1, rows);
            let (head, tail) = rest.split_at_mut(indptr[end] - indptr[first]);
            tasks.push((first..end, head));
            (rest, first) = (tail, end);
        }
        tasks.into_par_iter().for_each(|(rows, mut out)| {
            for row in rows {
                let (head, tail) = out.split_at_mut(indptr[row + 1] - indptr[row]);
                each(indptr[row], head);
                out = tail;
            }
        });
    }

    fn softmax<T: Value>(pattern: &SparsePattern, logits: FlexTensor) -> FlexTensor {
        let logits = logits.to_contiguous();
        let mut out = slice::<T>(&logits).to_vec();
        for_rows(pattern.indptr(), &mut out, |_, row| {
            if !row.is_empty() {
                let shift = -vector::max(row);
                let (sum, _) = vector::exp_in_place(row, T::one(), shift);
                vector::scale(row, T::one() / sum);
            }
        });
        list(out)
    }

    fn softmax_backward<T: Value>(pattern: &SparsePattern, softmax: FlexTensor, grad: FlexTensor) -> FlexTensor {
        let (softmax, grad) = (softmax.to_contiguous(), grad.to_contiguous());
        let (softmax, grad) = (slice::<T>(&softmax), slice::<T>(&grad));
        let mut out = vec![T::zero(); pattern.nnz()];
        for_rows(pattern.indptr(), &mut out, |first, row| {
            let (p, g) = (&softmax[first..][..row.len()], &grad[first..][..row.len()]);
            let mean = vector::dot(p, g);
            row.iter_mut().zip(p.iter().zip(g)).for_each(|(out, (&p, &g))| *out = p * (g - mean));
        });
        list(out)
    }

    /// The native body for the two types of the kernels, the portable one for the others.
    macro_rules! by_type {
        ($tensor:ident, $name:ident($($argument:expr),*), $pattern:ident) => {
            match $tensor.dtype() {
                DType::F32 => $name::<f32>(&$pattern, $($argument),*),
                DType::F64 => $name::<f64>(&$pattern, $($argument),*),
                _ => portable::$name::<Self>(&$pattern, $($argument),*),
            }
        };
    }

    impl PatternOps for Flex {
        fn pattern_products(
            pattern: SparsePattern,
            left: FloatTensor<Self>,
            right: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(left, products(left, right), pattern)
        }

        fn pattern_multiply(
            pattern: SparsePattern,
            transposed: bool,
            values: FloatTensor<Self>,
            x: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(x, multiply(transposed, values, x), pattern)
        }

        fn pattern_softmax(pattern: SparsePattern, logits: FloatTensor<Self>) -> FloatTensor<Self> {
            by_type!(logits, softmax(logits), pattern)
        }

        fn pattern_softmax_backward(
            pattern: SparsePattern,
            softmax: FloatTensor<Self>,
            grad: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            by_type!(grad, softmax_backward(softmax, grad), pattern)
        }
    }
}

/// The bodies that run on any backend. Public for tests only: the contract of this module may change at any time.
#[doc(hidden)]
pub mod portable {
    use super::{PatternOps, SparsePattern};
    use crate::linear::ops::portable::{CHUNK, entry_rows, indices, zeros};
    use burn::backend::{Backend, TensorMetadata, tensor::FloatTensor};
    use burn::tensor::{FloatDType, IndexingUpdateOp, Shape, Slice};

    /// Ranges of entries whose rows of `width` numbers fill a chunk.
    fn chunks(nnz: usize, width: usize) -> impl Iterator<Item = (usize, usize)> {
        let per = (CHUNK / width.max(1)).max(1);
        (0..nnz).step_by(per).map(move |start| (start, (start + per).min(nnz)))
    }

    fn reshaped<B: Backend>(tensor: FloatTensor<B>, shape: &[usize]) -> FloatTensor<B> {
        B::float_reshape(tensor, Shape::from(shape.to_vec()))
    }

    /// `left_i . right_j`, over chunks of entries.
    pub fn products<B: Backend>(
        pattern: &SparsePattern,
        left: FloatTensor<B>,
        right: FloatTensor<B>,
    ) -> FloatTensor<B> {
        let (device, width, nnz) = (left.device(), left.shape()[1], pattern.nnz());
        if nnz == 0 || width == 0 {
            return B::float_zeros(Shape::from(vec![nnz]), &device, FloatDType::from(left.dtype()));
        }
        let parts = chunks(nnz, width).map(|(start, end)| {
            let rows = indices::<B>(entry_rows(pattern.indptr(), start, end), &device);
            let columns = indices::<B>(pattern.indices()[start..end].iter().copied(), &device);
            let (own, other) = (B::float_select(left.clone(), 0, rows), B::float_select(right.clone(), 0, columns));
            reshaped::<B>(B::float_sum_dim(B::float_mul(own, other), 1), &[end - start])
        });
        B::float_cat(parts.collect(), 0)
    }

    /// The matrix of the values, or its transpose, times `x`, over chunks of entries.
    pub fn multiply<B: Backend>(
        pattern: &SparsePattern,
        transposed: bool,
        values: FloatTensor<B>,
        x: FloatTensor<B>,
    ) -> FloatTensor<B> {
        let (device, width, nnz) = (x.device(), x.shape()[1], pattern.nnz());
        let mut out = zeros::<B>(pattern.shape()[usize::from(transposed)], width, &device, x.dtype());
        if width == 0 {
            return out;
        }
        for (start, end) in chunks(nnz, width) {
            let rows = indices::<B>(entry_rows(pattern.indptr(), start, end), &device);
            let columns = indices::<B>(pattern.indices()[start..end].iter().copied(), &device);
            let (targets, sources) = if transposed { (columns, rows) } else { (rows, columns) };
            let now = B::float_slice(values.clone(), &[Slice::from(start..end)]);
            let now = reshaped::<B>(now, &[end - start, 1]);
            let parts = B::float_mul(B::float_select(x.clone(), 0, sources), now);
            out = B::float_select_assign(out, 0, targets, parts, IndexingUpdateOp::Add);
        }
        out
    }

    /// Row sums of the entries, one at each entry.
    fn spread_sums<B: PatternOps>(pattern: &SparsePattern, values: FloatTensor<B>) -> FloatTensor<B> {
        let dtype = FloatDType::from(values.dtype());
        let ones = B::float_ones(Shape::new([pattern.shape()[1], 1]), &values.device(), dtype);
        let sums = B::pattern_multiply(pattern.clone(), false, values, ones.clone());
        B::pattern_products(pattern.clone(), sums, ones)
    }

    /// The softmax of the entries of each row. The row's maximum travels along the row in steps that double: after them the
    /// last entry of a row has seen all of it.
    pub fn softmax<B: PatternOps>(pattern: &SparsePattern, logits: FloatTensor<B>) -> FloatTensor<B> {
        let (indptr, nnz, device) = (pattern.indptr(), pattern.nnz(), logits.device());
        if nnz == 0 {
            return logits;
        }
        let rows: Vec<usize> = entry_rows(indptr, 0, nnz).map(|row| row as usize).collect();
        let longest = indptr.windows(2).map(|row| row[1] - row[0]).max().unwrap_or(0);
        let (mut largest, mut step) = (logits.clone(), 1);
        while step < longest {
            let before = (0..nnz).map(|entry| entry.saturating_sub(step).max(indptr[rows[entry]]) as u32);
            let before = B::float_select(largest.clone(), 0, indices::<B>(before, &device));
            // max(a, b) = a + max(b - a, 0): rounding moves the shift, the same for the whole row, not the result.
            largest = B::float_add(largest.clone(), B::relu(B::float_sub(before, largest)));
            step *= 2;
        }
        let last = indices::<B>(rows.iter().map(|&row| indptr[row + 1] as u32 - 1), &device);
        let shift = B::float_select(largest, 0, last);
        let powers = B::float_exp(B::float_sub(logits, shift));
        B::float_div(powers.clone(), spread_sums::<B>(pattern, powers))
    }

    /// `p (g - sum over the row of p g)`.
    pub fn softmax_backward<B: PatternOps>(
        pattern: &SparsePattern,
        softmax: FloatTensor<B>,
        grad: FloatTensor<B>,
    ) -> FloatTensor<B> {
        let weighted = B::float_mul(softmax.clone(), grad);
        let means = spread_sums::<B>(pattern, weighted.clone());
        B::float_sub(weighted, B::float_mul(softmax, means))
    }
}

impl<B: PatternOps, C: CheckpointStrategy> PatternOps for Autodiff<B, C> {
    fn pattern_products(
        pattern: SparsePattern,
        left: FloatTensor<Self>,
        right: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Products;
        impl<B: PatternOps> Backward<B, 2> for Products {
            type State = (SparsePattern, FloatTensor<B>, FloatTensor<B>);
            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let ([left_node, right_node], (pattern, left, right)) = (ops.parents, ops.state);
                if let Some(node) = left_node {
                    grads.register::<B>(node.id, B::pattern_multiply(pattern.clone(), false, grad.clone(), right));
                }
                if let Some(node) = right_node {
                    grads.register::<B>(node.id, B::pattern_multiply(pattern, true, grad, left));
                }
            }
        }
        let ((left, left_guard), (right, right_guard)) = (left.into_parts(), right.into_parts());
        let out = B::pattern_products(pattern.clone(), left.clone(), right.clone());
        match Products.prepare::<C>([left_guard, right_guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish((pattern, left, right), out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }

    fn pattern_multiply(
        pattern: SparsePattern,
        transposed: bool,
        values: FloatTensor<Self>,
        x: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Multiply;
        impl<B: PatternOps> Backward<B, 2> for Multiply {
            type State = (SparsePattern, bool, FloatTensor<B>, FloatTensor<B>);
            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let ([values_node, x_node], (pattern, transposed, values, x)) = (ops.parents, ops.state);
                if let Some(node) = values_node {
                    let (left, right) = if transposed { (x, grad.clone()) } else { (grad.clone(), x) };
                    grads.register::<B>(node.id, B::pattern_products(pattern.clone(), left, right));
                }
                if let Some(node) = x_node {
                    grads.register::<B>(node.id, B::pattern_multiply(pattern, !transposed, values, grad));
                }
            }
        }
        let ((values, values_guard), (x, x_guard)) = (values.into_parts(), x.into_parts());
        let out = B::pattern_multiply(pattern.clone(), transposed, values.clone(), x.clone());
        match Multiply.prepare::<C>([values_guard, x_guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish((pattern, transposed, values, x), out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }

    fn pattern_softmax(pattern: SparsePattern, logits: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Softmax;
        impl<B: PatternOps> Backward<B, 1> for Softmax {
            type State = (SparsePattern, FloatTensor<B>);
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let (pattern, softmax) = ops.state;
                if let [Some(logits)] = ops.parents {
                    grads.register::<B>(logits.id, B::pattern_softmax_backward(pattern, softmax, grad));
                }
            }
        }
        let (logits, guard) = logits.into_parts();
        let out = B::pattern_softmax(pattern.clone(), logits);
        match Softmax.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish((pattern, out.clone()), out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }
}
