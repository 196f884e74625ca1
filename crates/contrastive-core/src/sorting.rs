//! Differentiable sorting of the rows of a tensor.
//!
//! A sorting network whose comparators mix two values by the probability that they are in order (Petersen et al. 2021 and 2022):
//! ascending values, and the doubly stochastic matrix P of the probabilities that an input ends at a rank, both differentiable.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use contrastive_core::sorting::DiffSort;
//!
//! let x = Tensor::<2>::from_data([[3.0, 1.0, 2.0]], &Device::default().autodiff()).require_grad();
//! let sort = DiffSort::odd_even(3, 1000.0)?;
//! let sorted = sort.sort(x.clone());
//! assert!((sorted.clone().into_data().iter::<f64>().next().unwrap() - 1.0).abs() < 0.01);
//! // the largest value comes from the first input
//! let gradients = sorted.slice([0..1, 2..3]).sum().backward();
//! let gradient: Vec<f64> = x.grad(&gradients).unwrap().into_data().iter().collect();
//! assert!((gradient[0] - 1.0).abs() < 0.01);
//! # Ok::<(), contrastive_core::sorting::SortingError>(())
//! ```
//!
//! On the CPU backend [`contrastive_kernels::sorting`] does the work, forward and backward, and remembers nothing but the input;
//! elsewhere [`DiffSort::dense`], plain tensor operations layer by layer, with a tape of one number for each comparator and row.

use crate::attach::constant_beside;
use crate::host::like;
#[cfg(feature = "flex")]
use crate::host::to_vec;
use crate::objective::computed_in;
use crate::objective::logistic;
use burn::tensor::{Int, Tensor, TensorData};
use contrastive_kernels::sorting as kernel;

pub use kernel::{Relaxation, SortingError, SortingNetwork};

/// A differentiable sort of rows of n numbers, which must be finite.
#[derive(Clone, Debug, PartialEq)]
pub struct DiffSort {
    sort: kernel::DiffSort,
}

impl DiffSort {
    /// The odd-even network of n wires with comparators of this steepness and the Cauchy relaxation: n (n - 1) / 2
    /// comparators.
    ///
    /// # Errors
    /// When n is not between 1 and 65536, or the steepness is not a finite number above 0.
    pub fn odd_even(n: usize, steepness: f64) -> Result<Self, SortingError> {
        Self::new(SortingNetwork::odd_even(n)?, Relaxation::Cauchy, steepness)
    }

    /// The bitonic network of n wires: about n (log2 n)^2 / 4 comparators, for long rows.
    ///
    /// # Errors
    /// As [`odd_even`](Self::odd_even).
    pub fn bitonic(n: usize, steepness: f64) -> Result<Self, SortingError> {
        Self::new(SortingNetwork::bitonic(n)?, Relaxation::Cauchy, steepness)
    }

    /// Any network with any relaxation.
    ///
    /// # Errors
    /// When the steepness is not a finite number above 0.
    pub fn new(network: SortingNetwork, relaxation: Relaxation, steepness: f64) -> Result<Self, SortingError> {
        Ok(Self { sort: kernel::DiffSort::new(network, relaxation, steepness)? })
    }

    /// n.
    pub fn size(&self) -> usize {
        self.sort.size()
    }

    /// Each row in relaxed ascending order; sums of rows are kept. Differentiable.
    ///
    /// # Shapes
    /// - x, output: `[rows, n]`
    ///
    /// # Panics
    /// When the rows are not of n numbers.
    pub fn sort(&self, x: Tensor<2>) -> Tensor<2> {
        let x = self.checked(x);
        #[cfg(feature = "flex")]
        if self.runs_natively(&x) {
            return native::sort(&self.sort, x);
        }
        self.dense(x, None).0
    }

    /// `P V`, with the permutation P of each row: for the indicator of some ranks as V, the probabilities that the inputs end at one of
    /// them. P itself is not made. Differentiable in x; V is a constant.
    ///
    /// # Shapes
    /// - x: `[rows, n]`
    /// - v: `[n, k]`
    /// - output: `[rows, n, k]`
    ///
    /// # Panics
    /// When the shapes do not fit, or k is 0.
    pub fn rank_sums(&self, x: Tensor<2>, v: Tensor<2>) -> Tensor<3> {
        let x = self.checked(x);
        let ([n, k], size) = (v.dims(), self.size());
        assert!(n == size && k > 0, "rank sums of [{n}, {k}] for {size} ranks");
        #[cfg(feature = "flex")]
        if self.runs_natively(&x) {
            let rows = x.dims()[0];
            return native::rank_sums(&self.sort, x, to_vec(&v)).reshape([rows, n, k]);
        }
        let v = v.inner().cast(x.dtype());
        let v = constant_beside(v, &x);
        self.dense(x, Some(v)).1.expect("asked for")
    }

    /// `P[row][i][r]`: the probability that input i of the row ends at rank r; rows and columns sum to 1. Differentiable. n^2 numbers for
    /// each row: where only sums over ranks are needed, [`rank_sums`](Self::rank_sums) does without.
    ///
    /// # Shapes
    /// - x: `[rows, n]`
    /// - output: `[rows, n, n]`
    ///
    /// # Panics
    /// When the rows are not of n numbers.
    pub fn permutation(&self, x: Tensor<2>) -> Tensor<3> {
        let n = self.size();
        let one: Vec<f64> = (0..n * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect();
        let v = like(one, [n, n], &x);
        self.rank_sums(x, v)
    }

    fn checked(&self, x: Tensor<2>) -> Tensor<2> {
        let [rows, n] = x.dims();
        assert!(rows > 0 && n == self.size(), "a sort of {} wires for rows [{rows}, {n}]", self.size());
        let dtype = computed_in(x.dtype());
        if dtype == x.dtype() { x } else { x.cast(dtype) }
    }

    #[cfg(feature = "flex")]
    fn runs_natively(&self, x: &Tensor<2>) -> bool {
        crate::host::is_native(x)
    }

    /// The definition in plain, differentiable tensor operations: sorted rows `[rows, n]`, and for v `[n, k]` the rank sums
    /// `[rows, n, k]`.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn dense(&self, x: Tensor<2>, v: Option<Tensor<2>>) -> (Tensor<2>, Option<Tensor<3>>) {
        let x = self.checked(x);
        let [rows, n] = x.dims();
        let layers: Vec<Layer> = self.sort.network().layers().map(|layer| Layer::new(layer, n, &x)).collect();
        let mut wires: Tensor<3> = x.reshape([rows, n, 1]);
        let mut chances = Vec::with_capacity(layers.len());
        for layer in &layers {
            let [a, b] = layer.ends(&wires);
            let chance = chance(self.sort.relaxation(), (b - a) * self.sort.steepness());
            wires = layer.mix(wires, &chance);
            chances.push(chance);
        }
        let sums = v.map(|v| {
            let [_, k] = v.dims();
            let column = v.reshape([1, n, k]).repeat_dim(0, rows);
            layers.iter().zip(&chances).rev().fold(column, |column, (layer, chance)| layer.mix(column, chance))
        });
        (wires.reshape([rows, n]), sums)
    }
}

/// A layer as places along the wires.
struct Layer {
    /// Upper and lower ends of the comparators.
    ends: [Tensor<1, Int>; 2],
    /// Wires that pass through.
    rest: Option<Tensor<1, Int>>,
    /// Where each wire is among both ends and the rest.
    places: Tensor<1, Int>,
}

impl Layer {
    fn new(comparators: &[[u32; 2]], n: usize, x: &Tensor<2>) -> Self {
        let ends = [0, 1].map(|end| comparators.iter().map(|c| c[end]).collect::<Vec<u32>>());
        let busy: std::collections::HashSet<u32> = comparators.iter().flatten().copied().collect();
        let rest: Vec<u32> = (0..n as u32).filter(|wire| !busy.contains(wire)).collect();
        let mut places = vec![0u32; n];
        for (at, &wire) in ends[0].iter().chain(&ends[1]).chain(&rest).enumerate() {
            places[wire as usize] = at as u32;
        }
        let tensor = |wires: Vec<u32>| {
            let wires: Vec<i32> = wires.into_iter().map(|wire| wire as i32).collect();
            let count = wires.len();
            Tensor::<1, Int>::from_data(TensorData::new(wires, [count]), &x.device())
        };
        let rest = (!rest.is_empty()).then(|| tensor(rest));
        Self { ends: ends.map(tensor), rest, places: tensor(places) }
    }

    fn ends(&self, wires: &Tensor<3>) -> [Tensor<3>; 2] {
        self.ends.clone().map(|end| wires.clone().select(1, end))
    }

    /// Wires `[rows, n, k]` mixed by the probabilities `[rows, comparators, 1]`.
    fn mix(&self, wires: Tensor<3>, chance: &Tensor<3>) -> Tensor<3> {
        let [a, b] = self.ends(&wires);
        let rest = self.rest.clone().map(|rest| wires.select(1, rest));
        let other = chance.clone() * -1.0 + 1.0;
        let low = a.clone() * chance.clone() + b.clone() * other.clone();
        let high = a * other + b * chance.clone();
        let parts = [low, high].into_iter().chain(rest).collect();
        Tensor::cat(parts, 1).select(1, self.places.clone())
    }
}

/// `f(z)`, see [`Relaxation`].
fn chance(relaxation: Relaxation, z: Tensor<3>) -> Tensor<3> {
    match relaxation {
        Relaxation::Cauchy => z.atan() * std::f64::consts::FRAC_1_PI + 0.5,
        Relaxation::Logistic => logistic(z),
        Relaxation::Reciprocal => z.clone() / (z.abs() + 1.0) * 0.5 + 0.5,
        Relaxation::Optimal => {
            let size = z.clone().abs();
            let far = size.clone().greater_elem(0.25);
            let outer = z.clone().sign() * (size.clamp_min(0.25).recip() * (-1.0 / 16.0) + 0.5);
            z.mask_where(far, outer) + 0.5
        }
    }
}

#[cfg(feature = "flex")]
mod native {
    use super::kernel;
    use burn::backend::autodiff::{
        Autodiff,
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind},
    };
    use burn::backend::flex::FlexTensor;
    use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension, tensor::FloatTensor};
    use burn::tensor::{DType, Element, Tensor, TensorData};
    use contrastive_kernels::sorting::Sortable;
    use std::sync::Arc;

    /// What to sort and what to return: the sorted rows `[rows, n]`, or rank sums `[rows, n k]` of these numbers `[n, k]`.
    #[derive(Debug)]
    pub struct Task {
        sort: kernel::DiffSort,
        rank_sums: Option<Vec<f64>>,
    }

    pub fn sort(sort: &kernel::DiffSort, x: Tensor<2>) -> Tensor<2> {
        run(Task { sort: sort.clone(), rank_sums: None }, x)
    }

    pub fn rank_sums(sort: &kernel::DiffSort, x: Tensor<2>, v: Vec<f64>) -> Tensor<2> {
        run(Task { sort: sort.clone(), rank_sums: Some(v) }, x)
    }

    fn run(task: Task, x: Tensor<2>) -> Tensor<2> {
        Tensor::from_dispatch(Dispatch::diff_sort(x.into_dispatch(), Arc::new(task)))
    }

    /// The native sort with its way back, which sorts once more.
    #[backend_extension(Flex: cfg(feature = "flex"), Autodiff)]
    pub trait SortOps: Backend {
        /// Rows `[rows, n]` to what the task says.
        fn diff_sort(x: FloatTensor<Self>, task: Arc<Task>) -> FloatTensor<Self>;
        /// The gradient `[rows, n]`, from that of the result.
        fn diff_sort_backward(x: FloatTensor<Self>, gradient: FloatTensor<Self>, task: Arc<Task>) -> FloatTensor<Self>;
    }

    fn slice<T: Sortable + Element>(tensor: &FlexTensor) -> &[T] {
        tensor.as_slice::<T>().expect("a contiguous tensor of the element type")
    }

    impl Task {
        fn numbers<T: Sortable>(&self) -> Option<Vec<T>> {
            self.rank_sums.as_ref().map(|v| v.iter().map(|v| T::of(*v)).collect())
        }
    }

    fn forward<T: Sortable + Element>(x: FlexTensor, task: &Task) -> FlexTensor {
        let x = x.to_contiguous();
        let rows = x.shape()[0];
        let width = task.rank_sums.as_ref().map_or(task.sort.size(), Vec::len);
        let mut out = vec![T::zero(); rows * width];
        match task.numbers::<T>() {
            None => task.sort.sort(slice(&x), &mut out),
            Some(v) => task.sort.rank_sums(slice(&x), &v, &mut out),
        }
        FlexTensor::from_data(TensorData::new(out, [rows, width]))
    }

    fn backward<T: Sortable + Element>(x: FlexTensor, gradient: FlexTensor, task: &Task) -> FlexTensor {
        let (x, gradient) = (x.to_contiguous(), gradient.to_contiguous());
        let (rows, n) = (x.shape()[0], task.sort.size());
        let mut out = vec![T::zero(); rows * n];
        let (v, upstream) = (task.numbers::<T>(), slice(&gradient));
        let on_sorted = v.is_none().then_some(upstream);
        task.sort.backward(slice(&x), on_sorted, v.as_deref().map(|v| (v, upstream)), &mut out);
        FlexTensor::from_data(TensorData::new(out, [rows, n]))
    }

    impl SortOps for burn::backend::Flex {
        fn diff_sort(x: FloatTensor<Self>, task: Arc<Task>) -> FloatTensor<Self> {
            match x.dtype() {
                DType::F64 => forward::<f64>(x, &task),
                _ => forward::<f32>(x, &task),
            }
        }

        fn diff_sort_backward(x: FloatTensor<Self>, gradient: FloatTensor<Self>, task: Arc<Task>) -> FloatTensor<Self> {
            match x.dtype() {
                DType::F64 => backward::<f64>(x, gradient, &task),
                _ => backward::<f32>(x, gradient, &task),
            }
        }
    }

    impl<B: SortOps, C: CheckpointStrategy> SortOps for Autodiff<B, C> {
        fn diff_sort(x: FloatTensor<Self>, task: Arc<Task>) -> FloatTensor<Self> {
            #[derive(Debug)]
            struct Sort;
            impl<B: SortOps> Backward<B, 1> for Sort {
                type State = (FloatTensor<B>, Arc<Task>);
                fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
                    let gradient = grads.consume::<B>(&ops.node);
                    let (x, task) = ops.state;
                    if let [Some(node)] = ops.parents {
                        grads.register::<B>(node.id, B::diff_sort_backward(x, gradient, task));
                    }
                }
            }
            let (x, guard) = x.into_parts();
            let out = B::diff_sort(x.clone(), task.clone());
            match Sort.prepare::<C>([guard]).compute_bound().stateful() {
                OpsKind::Tracked(node) => node.finish((x, task), out),
                OpsKind::UnTracked(node) => node.finish(out),
            }
        }

        fn diff_sort_backward(_: FloatTensor<Self>, _: FloatTensor<Self>, _: Arc<Task>) -> FloatTensor<Self> {
            panic!("gradients of a differentiable sort cannot be differentiated again")
        }
    }
}
