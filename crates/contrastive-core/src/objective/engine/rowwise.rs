//! The second engine: objectives that sum any function of an anchor's similarities. Native kernels on the CPU backend
//! ([`contrastive_kernels::rowwise`]); elsewhere the definition itself, block by block, in memory linear in anchors and
//! candidates.

use crate::host::is_native;
use crate::objective::{computed_in, in_range};
use crate::pairs::PairLists;
use burn::tensor::{DType, Element as BurnElement, Tensor, TensorData};
use contrastive_kernels::rowwise::{self as kernel, RowLoss, RowProblem, Sums};
use contrastive_kernels::softmax::{RowSets, Wanted};
use contrastive_kernels::vector::Element;

/// Elements of a block of similarities.
const BLOCK_ELEMENTS: usize = 1 << 22;

/// A function of rows of similarities, twice: as a kernel ([`RowLoss`]), and as tensor operations, which are its definition and run where
/// there is no kernel.
pub trait RowFunction: RowLoss<f32> + RowLoss<f64> + Clone {
    /// The definition: row values `[b]` and sums `[4]` of similarities `[b, m]`, given which pairs are positive and which
    /// negative (`[b, m]` of 0 and 1), by differentiable tensor operations.
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>);

    /// What turns the sum over rows into the loss of a [`LabelledLoss`](crate::objective::LabelledLoss); `sums` are those of all rows. The
    /// mean over rows unless a function says otherwise.
    fn share(rows: usize, sums: &Sums) -> f64 {
        let _ = sums;
        1.0 / rows as f64
    }
}

/// Which rows are compared.
pub(crate) struct Comparison {
    pub positives: PairLists,
    pub excluded: Option<PairLists>,
    pub own: Option<usize>,
}

/// Sum over rows, the sums, and the gradients of what was compared; zeros of no meaning where they were not wanted.
pub(crate) struct Evaluated {
    pub value: f64,
    pub rows: Vec<f64>,
    pub sums: Sums,
    pub anchors: Tensor<2>,
    pub candidates: Tensor<2>,
}

impl Comparison {
    /// Which pairs of the anchors `i0..i0 + b` are positive and which negative, `[b, m]` of 0 and 1, like `like`.
    fn masks(&self, i0: usize, b: usize, m: usize, like: &Tensor<2>) -> [Tensor<2>; 2] {
        let (mut positive, mut negative) = (vec![0f32; b * m], vec![1f32; b * m]);
        for k in 0..b {
            for &j in self.positives.of(i0 + k) {
                (positive[k * m + j as usize], negative[k * m + j as usize]) = (1.0, 0.0);
            }
            let listed = self.excluded.iter().flat_map(|e| e.of(i0 + k)).map(|&j| j as usize);
            for j in listed.chain(self.own.map(|o| i0 + k + o).filter(|j| *j < m)) {
                (positive[k * m + j], negative[k * m + j]) = (0.0, 0.0);
            }
        }
        [positive, negative].map(|v| {
            let data = TensorData::new(v, [b, m]).convert_dtype(like.dtype());
            Tensor::from_data(data, (&like.device(), like.dtype()))
        })
    }

    /// The definition, with the whole matrix; differentiable.
    pub fn dense(&self, function: &impl RowFunction, a: &Tensor<2>, c: &Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let (n, m) = (a.dims()[0], c.dims()[0]);
        let [positive, negative] = self.masks(0, n, m, a);
        let range = in_range(a, c).reshape([1, 1]);
        let (rows, sums) = function.dense(a.clone().matmul(c.clone().transpose()) * range, positive, negative);
        (rows.sum(), sums)
    }

    /// Value and gradients of anchors `a` `[n, d]` and candidates `c` `[m, d]`, plain tensors.
    pub fn evaluate(&self, function: &impl RowFunction, a: &Tensor<2>, c: &Tensor<2>, wanted: Wanted) -> Evaluated {
        let dtype = computed_in(a.dtype());
        let (a, c) = (a.clone().cast(dtype), c.clone().cast(dtype));
        if is_native(&a) {
            return self.on_host(function, &a, Some(&c), wanted);
        }
        self.by_blocks(function, &a, &c, wanted)
    }

    /// Value and gradient of a table `[n, d]` against itself, a plain tensor; the gradient, if wanted, is that of the anchors.
    pub fn evaluate_table(&self, function: &impl RowFunction, table: &Tensor<2>, gradient: bool) -> Evaluated {
        let table = table.clone().cast(computed_in(table.dtype()));
        let wanted = if gradient { Wanted::ALL } else { Wanted::VALUE };
        if is_native(&table) {
            return self.on_host(function, &table, None, wanted);
        }
        let out = self.by_blocks(function, &table, &table, wanted);
        let anchors = if gradient { out.anchors + out.candidates } else { out.anchors };
        let candidates = Tensor::zeros([1, 1], (&table.device(), table.dtype()));
        Evaluated { anchors, candidates, ..out }
    }

    fn on_host(&self, function: &impl RowFunction, a: &Tensor<2>, c: Option<&Tensor<2>>, wanted: Wanted) -> Evaluated {
        match a.dtype() {
            DType::F64 => self.kernel::<f64>(function, a, c, wanted),
            _ => self.kernel::<f32>(function, a, c, wanted),
        }
    }

    fn kernel<T: Element + BurnElement>(
        &self,
        function: &impl RowLoss<T>,
        a: &Tensor<2>,
        c: Option<&Tensor<2>>,
        wanted: Wanted,
    ) -> Evaluated {
        let ([n, d], m) = (a.dims(), c.unwrap_or(a).dims()[0]);
        let (anchors, candidates) = (a.to_data(), c.map(Tensor::to_data));
        fn values<T: BurnElement>(data: &TensorData) -> &[T] {
            data.as_slice().expect("the type that was matched")
        }
        fn sets(lists: &PairLists) -> RowSets<'_> {
            RowSets::new(lists.groups.as_deref(), &lists.offsets, &lists.columns)
        }
        let problem = RowProblem {
            anchors: values::<T>(&anchors),
            candidates: values::<T>(candidates.as_ref().unwrap_or(&anchors)),
            width: d,
            positives: sets(&self.positives),
            excluded: self.excluded.as_ref().map(sets),
            self_offset: self.own,
            wanted,
        };
        let out = match c {
            Some(_) => kernel::evaluate(&problem, function),
            None => kernel::evaluate_table(&problem, function),
        };
        let table = |values: Vec<T>, rows: usize| match values.is_empty() {
            true => Tensor::zeros([1, 1], (&a.device(), a.dtype())),
            false => Tensor::from_data(TensorData::new(values, [rows, d]), (&a.device(), a.dtype())),
        };
        let (value, sums, rows) = (out.value, out.sums, out.rows.iter().map(|v| v.f64()).collect());
        Evaluated { value, rows, sums, anchors: table(out.anchors, n), candidates: table(out.candidates, m) }
    }

    fn by_blocks(&self, function: &impl RowFunction, a: &Tensor<2>, c: &Tensor<2>, wanted: Wanted) -> Evaluated {
        let ([n, d], m) = (a.dims(), c.dims()[0]);
        let block = (BLOCK_ELEMENTS / m).clamp(1, n);
        let a = &(a.clone() * in_range(a, c).reshape([1, 1]));
        let (mut each, mut sums) = (Vec::with_capacity(n), Sums::default());
        let mut parts = Vec::new();
        let mut candidates: Option<Tensor<2>> = None;
        for i0 in (0..n).step_by(block) {
            let b = block.min(n - i0);
            let rows = a.clone().slice([i0..i0 + b, 0..d]);
            let s = Tensor::<2>::from_inner(rows.clone().matmul(c.clone().transpose())).require_grad();
            let [positive, negative] = self.masks(i0, b, m, a).map(Tensor::from_inner);
            let (values, more) = function.dense(s.clone(), positive, negative);
            each.extend(values.to_data().iter::<f64>());
            sums.iter_mut().zip(more.into_data().iter::<f64>()).for_each(|(t, x)| *t += x);
            if wanted == Wanted::VALUE {
                continue;
            }
            let zeros = || Tensor::zeros([b, m], (&a.device(), a.dtype()));
            let slopes = s.grad(&values.sum().backward()).unwrap_or_else(zeros);
            if wanted.anchors {
                parts.push(slopes.clone().matmul(c.clone()));
            }
            if wanted.candidates {
                let part = slopes.transpose().matmul(rows);
                candidates = Some(match candidates {
                    Some(sum) => sum + part,
                    None => part,
                });
            }
        }
        let nothing = || Tensor::zeros([1, 1], (&a.device(), a.dtype()));
        let anchors = if parts.is_empty() { nothing() } else { Tensor::cat(parts, 0) };
        let value = each.iter().sum();
        Evaluated { value, rows: each, sums, anchors, candidates: candidates.unwrap_or_else(nothing) }
    }
}
