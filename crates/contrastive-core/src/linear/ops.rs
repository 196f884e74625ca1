//! The linear operations as extensions of the tensor backends.
// The `ndarray` backend still works but is deprecated upstream.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use super::SparseOperator;
use crate::extension::*;
use std::sync::Arc;

/// Products with sparse matrices and access to rows. Defaults are written with backend operations and run anywhere.
///
/// Shapes are checked by the callers.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "vulkan", feature = "metal", feature = "cuda")),
    Autodiff,
)]
pub trait LinearOps: Backend {
    /// `A x`.
    #[allow(unused_variables)]
    fn sparse_multiply(operator: SparseOperator, x: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::sparse_multiply::<Self>(&operator, x, None)
    }

    /// `base + A x`.
    #[allow(unused_variables)]
    fn sparse_multiply_add(
        operator: SparseOperator,
        x: FloatTensor<Self>,
        base: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        portable::sparse_multiply::<Self>(&operator, x, Some(base))
    }

    /// `output[k] = table[rows[k]]`.
    #[allow(unused_variables)]
    fn gather_table_rows(rows: Arc<[u32]>, table: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::gather_rows::<Self>(&rows, table)
    }

    /// A table of `count` rows in which `output[rows[k]]` is the sum of its `parts[k]`.
    #[allow(unused_variables)]
    fn scatter_table_rows(rows: Arc<[u32]>, count: usize, parts: FloatTensor<Self>) -> FloatTensor<Self> {
        portable::scatter_rows::<Self>(&rows, count, parts)
    }
}

default_bodies!(LinearOps);

/// The parts of the native bodies that other operations share.
#[cfg(feature = "flex")]
pub(super) mod native {
    use super::{Arc, FloatTensor, LinearOps, SparseOperator, TensorMetadata, portable};
    use burn::backend::{Flex, flex::FlexTensor};
    use burn::tensor::{DType, Element, TensorData};
    use contrastive_kernels::Real;
    use contrastive_kernels::sparse::{Csr, gather_rows, scatter_add_rows};

    pub(in crate::linear) fn slice<T: Real + Element>(tensor: &FlexTensor) -> &[T] {
        tensor.as_slice::<T>().expect("a contiguous tensor of the element type that was matched")
    }

    pub(in crate::linear) fn tensor<T: Real + Element>(values: Vec<T>, rows: usize, width: usize) -> FlexTensor {
        FlexTensor::from_data(TensorData::new(values, [rows, width]))
    }

    fn multiply<T: Real + Element>(matrix: &Csr<T>, x: FlexTensor, base: Option<FlexTensor>) -> FlexTensor {
        let (x, base) = (x.to_contiguous(), base.map(|base| base.to_contiguous()));
        let width = x.shape()[1];
        let mut out = vec![T::zero(); matrix.rows() * width];
        match &base {
            None => matrix.multiply(slice(&x), width, &mut out),
            Some(base) => matrix.multiply_add(slice(&x), width, slice(base), &mut out),
        }
        tensor(out, matrix.rows(), width)
    }

    fn gather<T: Real + Element>(rows: &[u32], table: FlexTensor) -> FlexTensor {
        let table = table.to_contiguous();
        let width = table.shape()[1];
        let mut out = vec![T::zero(); rows.len() * width];
        gather_rows::<T>(slice(&table), width, rows, &mut out);
        tensor(out, rows.len(), width)
    }

    fn scatter<T: Real + Element>(rows: &[u32], count: usize, parts: FlexTensor) -> FlexTensor {
        let parts = parts.to_contiguous();
        let width = parts.shape()[1];
        let mut out = vec![T::zero(); count * width];
        scatter_add_rows::<T>(slice(&parts), width, rows, count, &mut out);
        tensor(out, count, width)
    }

    impl LinearOps for Flex {
        fn sparse_multiply(operator: SparseOperator, x: FloatTensor<Self>) -> FloatTensor<Self> {
            match x.dtype() {
                DType::F32 => multiply(operator.to_f32(), x, None),
                DType::F64 => multiply(operator.to_f64(), x, None),
                _ => portable::sparse_multiply::<Self>(&operator, x, None),
            }
        }

        fn sparse_multiply_add(
            operator: SparseOperator,
            x: FloatTensor<Self>,
            base: FloatTensor<Self>,
        ) -> FloatTensor<Self> {
            match x.dtype() {
                DType::F32 => multiply(operator.to_f32(), x, Some(base)),
                DType::F64 => multiply(operator.to_f64(), x, Some(base)),
                _ => portable::sparse_multiply::<Self>(&operator, x, Some(base)),
            }
        }

        fn gather_table_rows(rows: Arc<[u32]>, table: FloatTensor<Self>) -> FloatTensor<Self> {
            match table.dtype() {
                DType::F32 => gather::<f32>(&rows, table),
                DType::F64 => gather::<f64>(&rows, table),
                _ => portable::gather_rows::<Self>(&rows, table),
            }
        }

        fn scatter_table_rows(rows: Arc<[u32]>, count: usize, parts: FloatTensor<Self>) -> FloatTensor<Self> {
            match parts.dtype() {
                DType::F32 => scatter::<f32>(&rows, count, parts),
                DType::F64 => scatter::<f64>(&rows, count, parts),
                _ => portable::scatter_rows::<Self>(&rows, count, parts),
            }
        }
    }
}

/// The bodies that run on any backend. Public for tests only: the contract of this module may change at any time.
#[doc(hidden)]
pub mod portable {
    use super::SparseOperator;
    use burn::backend::tensor::{Device, FloatTensor, IntTensor};
    use burn::backend::{Backend, TensorMetadata};
    use burn::tensor::{DType, FloatDType, IndexingUpdateOp, Shape, TensorData};

    /// Numbers in the largest intermediate: 16 MiB of `f32`.
    pub(in crate::linear) const CHUNK: usize = 1 << 22;

    pub(in crate::linear) fn indices<B: Backend>(rows: impl Iterator<Item = u32>, device: &Device<B>) -> IntTensor<B> {
        let rows: Vec<i32> = rows.map(|row| i32::try_from(row).expect("rows below 2^31")).collect();
        let count = rows.len();
        B::int_from_data(TensorData::new(rows, [count]), device)
    }

    pub(in crate::linear) fn zeros<B: Backend>(
        rows: usize,
        width: usize,
        device: &Device<B>,
        dtype: DType,
    ) -> FloatTensor<B> {
        B::float_zeros(Shape::new([rows, width]), device, FloatDType::from(dtype))
    }

    /// The row of each of the entries `start..end`.
    pub(in crate::linear) fn entry_rows(indptr: &[usize], start: usize, end: usize) -> impl Iterator<Item = u32> {
        let mut row = indptr.partition_point(|&first| first <= start) - 1;
        (start..end).map(move |entry| {
            while indptr[row + 1] <= entry {
                row += 1;
            }
            row as u32
        })
    }

    /// `base + A x`, over chunks of entries: rows selected, scaled, and added where they belong.
    pub fn sparse_multiply<B: Backend>(
        operator: &SparseOperator,
        x: FloatTensor<B>,
        base: Option<FloatTensor<B>>,
    ) -> FloatTensor<B> {
        let ([rows, _], width) = (operator.shape(), x.shape()[1]);
        let (device, dtype) = (x.device(), x.dtype());
        let mut out = base.unwrap_or_else(|| zeros::<B>(rows, width, &device, dtype));
        if width == 0 {
            return out;
        }
        // An `f32` matrix serves the narrower types too.
        let (indptr, columns) = match dtype {
            DType::F64 => (operator.to_f64().indptr(), operator.to_f64().indices()),
            _ => (operator.to_f32().indptr(), operator.to_f32().indices()),
        };
        let per = (CHUNK / width).max(1);
        for start in (0..operator.nnz()).step_by(per) {
            let end = (start + per).min(operator.nnz());
            let targets = indices::<B>(entry_rows(indptr, start, end), &device);
            let sources = indices::<B>(columns[start..end].iter().copied(), &device);
            let values = match dtype {
                DType::F64 => TensorData::new(operator.to_f64().values()[start..end].to_vec(), [end - start, 1]),
                _ => TensorData::new(operator.to_f32().values()[start..end].to_vec(), [end - start, 1])
                    .convert_dtype(dtype),
            };
            let parts = B::float_mul(B::float_select(x.clone(), 0, sources), B::float_from_data(values, &device));
            out = B::float_select_assign(out, 0, targets, parts, IndexingUpdateOp::Add);
        }
        out
    }

    /// Rows of a table.
    pub fn gather_rows<B: Backend>(rows: &[u32], table: FloatTensor<B>) -> FloatTensor<B> {
        let device = table.device();
        if rows.is_empty() {
            return zeros::<B>(0, table.shape()[1], &device, table.dtype());
        }
        B::float_select(table, 0, indices::<B>(rows.iter().copied(), &device))
    }

    /// Rows added to a table of zeros.
    pub fn scatter_rows<B: Backend>(rows: &[u32], count: usize, parts: FloatTensor<B>) -> FloatTensor<B> {
        let device = parts.device();
        let out = zeros::<B>(count, parts.shape()[1], &device, parts.dtype());
        if rows.is_empty() {
            return out;
        }
        let rows = indices::<B>(rows.iter().copied(), &device);
        B::float_select_assign(out, 0, rows, parts, IndexingUpdateOp::Add)
    }
}

impl<B: LinearOps, C: CheckpointStrategy> LinearOps for Autodiff<B, C> {
    fn sparse_multiply(operator: SparseOperator, x: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Multiply;
        impl<B: LinearOps> Backward<B, 1> for Multiply {
            type State = SparseOperator;
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                if let [Some(x)] = ops.parents {
                    grads.register::<B>(x.id, B::sparse_multiply(ops.state.transpose(), grad));
                }
            }
        }
        let (x, guard) = x.into_parts();
        let out = B::sparse_multiply(operator.clone(), x);
        match Multiply.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish(operator, out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }

    fn sparse_multiply_add(
        operator: SparseOperator,
        x: FloatTensor<Self>,
        base: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct MultiplyAdd;
        impl<B: LinearOps> Backward<B, 2> for MultiplyAdd {
            type State = SparseOperator;
            fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let [x, base] = ops.parents;
                if let Some(x) = x {
                    grads.register::<B>(x.id, B::sparse_multiply(ops.state.transpose(), grad.clone()));
                }
                if let Some(base) = base {
                    grads.register::<B>(base.id, grad);
                }
            }
        }
        let ((x, x_guard), (base, base_guard)) = (x.into_parts(), base.into_parts());
        let out = B::sparse_multiply_add(operator.clone(), x, base);
        match MultiplyAdd.prepare::<C>([x_guard, base_guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish(operator, out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }

    fn gather_table_rows(rows: Arc<[u32]>, table: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Gather;
        impl<B: LinearOps> Backward<B, 1> for Gather {
            type State = (Arc<[u32]>, usize);
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                let (rows, count) = ops.state;
                if let [Some(table)] = ops.parents {
                    grads.register::<B>(table.id, B::scatter_table_rows(rows, count, grad));
                }
            }
        }
        let (table, guard) = table.into_parts();
        let count = table.shape()[0];
        let out = B::gather_table_rows(rows.clone(), table);
        match Gather.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish((rows, count), out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }

    fn scatter_table_rows(rows: Arc<[u32]>, count: usize, parts: FloatTensor<Self>) -> FloatTensor<Self> {
        #[derive(Debug)]
        struct Scatter;
        impl<B: LinearOps> Backward<B, 1> for Scatter {
            type State = Arc<[u32]>;
            fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                let grad = grads.consume::<B>(&ops.node);
                if let [Some(parts)] = ops.parents {
                    grads.register::<B>(parts.id, B::gather_table_rows(ops.state, grad));
                }
            }
        }
        let (parts, guard) = parts.into_parts();
        let out = B::scatter_table_rows(rows.clone(), count, parts);
        match Scatter.prepare::<C>([guard]).compute_bound().stateful() {
            OpsKind::Tracked(node) => node.finish(rows, out),
            OpsKind::UnTracked(node) => node.finish(out),
        }
    }
}
