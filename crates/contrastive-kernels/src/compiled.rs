//! What is compiled once for each element type.
//!
//! A generic function is compiled in every crate that calls it. For a kernel that means four instruction sets, each unrolled, and minutes for
//! the crates above after every change of a line. So the public functions of this crate only call what stands here: methods of traits
//! that `f32` and `f64` alone implement, whose bodies are not generic and are therefore compiled in this crate.

use crate::distance;
use crate::k_means::{self, Clustering, KMeans, KMeansError, MiniBatches};
use crate::rowwise::{self, RowLoss, RowOutput, RowProblem};
use crate::sinkhorn::{self, Scaling, SinkhornProblem};
use crate::softmax::{self, SoftmaxOutput, SoftmaxProblem, TwoSidedOutput, TwoSidedProblem};
use crate::sorting::DiffSort;
use crate::sparse::{self, Csr, SparseError};
use crate::top_k::{self, ItemSets, TopK};
use crate::{adam, unit};

/// A trait of functions, and its implementations for `f32` and `f64`, each calling a generic function.
macro_rules! compiled {
    (
        $(#[$doc:meta])*
        $trait:ident { $(fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $output:ty)? = $generic:path;)* }
    ) => {
        $(#[$doc])*
        pub trait $trait: Sized {
            $(fn $name($($argument: $type),*) $(-> $output)?;)*
        }
        compiled!(@impl f32, $trait { $(fn $name($($argument: $type),*) $(-> $output)? = $generic;)* });
        compiled!(@impl f64, $trait { $(fn $name($($argument: $type),*) $(-> $output)? = $generic;)* });
    };
    (@impl $for:ty, $trait:ident { $(fn $name:ident($($argument:ident: $type:ty),*) $(-> $output:ty)? = $generic:path;)* }) => {
        impl $trait for $for {
            $(
                #[inline(never)]
                fn $name($($argument: $type),*) $(-> $output)? {
                    $generic($($argument),*)
                }
            )*
        }
    };
}

compiled! {
    /// The pair engines, and what stands beside them.
    Kernels {
        fn softmax_rows(problem: &SoftmaxProblem<'_, Self>) -> SoftmaxOutput<Self> = softmax::rows_generic;
        fn softmax_two_sided(problem: &TwoSidedProblem<'_, Self>) -> TwoSidedOutput<Self> = softmax::two_sided_generic;
        fn row_losses(problem: &RowProblem<'_, Self>, loss: &dyn RowLoss<Self>) -> RowOutput<Self>
            = rowwise::evaluate_generic;
        fn row_losses_of_table(problem: &RowProblem<'_, Self>, loss: &dyn RowLoss<Self>) -> RowOutput<Self>
            = rowwise::evaluate_table_generic;
        fn best_below(problem: &RowProblem<'_, Self>, limits: &[Self], k: usize) -> TopK<Self>
            = rowwise::best_below_generic;
        fn sinkhorn(matrix: &mut [Self], problem: &SinkhornProblem<'_, Self>) -> Scaling<Self>
            = sinkhorn::sinkhorn_generic;
        fn k_means(x: &[Self], width: usize, settings: &KMeans) -> Result<Clustering<Vec<Self>>, KMeansError>
            = k_means::k_means_generic;
        fn k_means_from(x: &[Self], width: usize, centroids: &[Self], settings: &KMeans)
            -> Result<Clustering<Vec<Self>>, KMeansError>
            = k_means::k_means_from_generic;
        fn k_means_in_batches(
            x: &[Self],
            width: usize,
            centroids: Option<&[Self]>,
            settings: &KMeans,
            batches: MiniBatches,
        ) -> Result<Clustering<Vec<Self>>, KMeansError>
            = k_means::k_means_in_batches_generic;
        fn nearest_centroids(x: &[Self], centroids: &[Self], width: usize, spherical: bool)
            -> Result<Vec<u32>, KMeansError>
            = k_means::nearest_centroids_generic;
        fn unit_rows(x: &[Self], width: usize, shortest: Self) -> (Vec<Self>, Vec<Self>) = unit::unit_rows_generic;
        fn unit_rows_backward(unit: &[Self], lengths: &[Self], gradient: &mut [Self], width: usize)
            = unit::unit_rows_backward_generic;
        fn mean_row(x: &[Self], width: usize) -> Vec<Self> = distance::mean_row_generic;
        fn centred_rows(x: &[Self], centre: &[Self]) -> (Vec<Self>, Vec<Self>) = distance::centred_rows_generic;
        fn centred_rows_backward(rows: &[Self], gradient: &mut [Self], of_squares: &[Self], width: usize)
            = distance::centred_rows_backward_generic;
        fn distance_rows(x: &[Self], centre: &[Self], anchors: bool) -> Vec<Self> = distance::distance_rows_generic;
        fn distance_rows_backward(compared: &[Self], gradient: &[Self], width: usize, anchors: bool) -> Vec<Self>
            = distance::distance_rows_backward_generic;
        fn sampled_products(matrix: &Csr<Self>, left: &[Self], right: &[Self], width: usize, out: &mut [Self])
            = Csr::sampled_products_generic;
    }
}

compiled! {
    /// Sparse matrices, rows of tables, and the optimiser's pass.
    Tables {
        fn csr_from_triplets(rows: usize, cols: usize, triplets: &[(u32, u32, Self)]) -> Result<Csr<Self>, SparseError>
            = Csr::from_triplets_generic;
        fn csr_relabel(matrix: &Csr<Self>, new_row: &[u32], new_column: &[u32]) -> Csr<Self> = Csr::relabel_generic;
        fn csr_propagate(matrix: &Csr<Self>, x: &[Self], width: usize, base: Option<&[Self]>, out: &mut [Self])
            = Csr::propagate_generic;
        fn gather_rows(table: &[Self], width: usize, index: &[u32], out: &mut [Self]) = sparse::gather_rows_generic;
        fn scatter_add_rows(grad: &[Self], width: usize, index: &[u32], rows: usize, out: &mut [Self])
            = sparse::scatter_add_rows_generic;
        fn adam_step(
            param: &mut [Self],
            grad: &[Self],
            m: &mut [Self],
            v: &mut [Self],
            rule: &adam::AdamStep,
        ) = adam::adam_step_generic;
    }
}

compiled! {
    /// The best candidates of each query.
    Ranking {
        fn top_k(
            queries: &[Self],
            candidates: &[Self],
            width: usize,
            k: usize,
            seen: Option<(ItemSets<'_>, &[u32])>,
        ) -> TopK<Self> = top_k::top_k_generic;
        fn top_k_scores(scores: &[Self], candidates: usize, k: usize, seen: Option<(ItemSets<'_>, &[u32])>) -> TopK<Self>
            = top_k::top_k_scores_generic;
    }
}

compiled! {
    /// Differentiable sorting.
    Sorting {
        fn sort(sort: &DiffSort, x: &[Self], sorted: &mut [Self]) = DiffSort::sort_generic;
        fn rank_sums(sort: &DiffSort, x: &[Self], v: &[Self], out: &mut [Self]) = DiffSort::rank_sums_generic;
        fn sort_backward(
            sort: &DiffSort,
            x: &[Self],
            d_sorted: Option<&[Self]>,
            rank_sums: Option<(&[Self], &[Self])>,
            d_x: &mut [Self],
        ) = DiffSort::backward_generic;
        fn group_order(sort: &DiffSort, x: &[Self], low: usize, values: &mut [Self], gradient: Option<&mut [Self]>)
            = DiffSort::group_order_generic;
    }
}
