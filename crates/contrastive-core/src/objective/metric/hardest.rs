//! Mining: the hardest positives and negatives of every anchor, exactly and without the matrix.

use crate::host::to_vec;
use crate::objective::Inputs;
use crate::objective::engine::metric_rows::Problem;
use crate::pairs::{PairLists, Pairs};
use crate::similarity::Similarity;
use burn::tensor::{DType, Element as BurnElement};
use contrastive_kernels::rowwise::{RowProblem, best_below};
use contrastive_kernels::softmax::{RowSets, Wanted};
use contrastive_kernels::top_k::{ItemSets, NO_ITEM, Score, top_k};
use contrastive_kernels::vector::{self, Element};
use rayon::prelude::*;

pub use contrastive_kernels::top_k::TopK;

/// Anchors and candidates on the host, as they are compared.
struct Tables<T> {
    anchors: Vec<T>,
    candidates: Vec<T>,
    width: usize,
}

impl<T: BurnElement + Element> Tables<T> {
    fn new(problem: &Problem) -> Self {
        let [anchors, candidates] = problem.rows();
        Self { anchors: to_vec(anchors), candidates: to_vec(candidates), width: anchors.dims()[1] }
    }

    fn similarity(&self, i: usize, j: usize) -> T {
        let d = self.width;
        vector::dot(&self.anchors[i * d..][..d], &self.candidates[j * d..][..d])
    }
}

impl Problem {
    /// No more are chosen of an anchor's candidates than there are.
    fn at_most(&self, k: usize) -> usize {
        k.min(self.rows()[1].dims()[0])
    }
}

/// Calls a function of the type the tables are in.
macro_rules! in_type {
    ($problem:expr, $function:ident($($argument:expr),*)) => {
        match $problem.anchors.rows.dtype() {
            DType::F64 => $function::<f64>(&$problem, $($argument),*),
            _ => $function::<f32>(&$problem, $($argument),*),
        }
    };
}

/// Of every anchor the `k` most similar negatives, most similar first and equal ones by place. Positives, by `pairs`, and the anchor
/// itself in a table compared with itself are not negatives. An anchor with fewer than `k` negatives has as many
/// ([`TopK::row`] gives no more), and a `k` above the number of candidates is that number. A NaN similarity comes before all others.
///
/// Computed on the host, exactly, in the type of the inputs (f16 and bf16 in f32): 2 n m d flops, memory linear in n + m and in the
/// number of positive pairs. No gradient: compare the chosen rows again.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use contrastive_core::objective::{Inputs, hardest_negatives};
/// use contrastive_core::{pairs::Pairs, similarity::Similarity};
///
/// let rows = Tensor::<2>::from_data([[1.0, 0.0], [0.9, 0.1], [0.8, 0.3], [0.0, 1.0]], &Device::default());
/// let hardest = hardest_negatives(&Inputs::self_contrast(rows), &Pairs::labels(&[0, 0, 1, 1]), Similarity::Cosine, 2);
/// assert_eq!(hardest.row(0).0, [2, 3]);
/// assert_eq!(hardest.row(2).0, [1, 0]);
/// ```
///
/// # Panics
/// When shapes and pairs do not fit, or the inputs have a scale, a bias or paired positives.
pub fn hardest_negatives(inputs: &Inputs, pairs: &Pairs, similarity: Similarity, k: usize) -> TopK<f64> {
    let problem = Problem::new(inputs, pairs, similarity);
    in_type!(problem, closest(problem.at_most(k)))
}

/// Of every anchor the `k` least similar positives, least similar first and equal ones by place; otherwise as
/// [`hardest_negatives`], with 2 d flops for each positive pair.
///
/// # Panics
/// As [`hardest_negatives`].
pub fn hardest_positives(inputs: &Inputs, pairs: &Pairs, similarity: Similarity, k: usize) -> TopK<f64> {
    let problem = Problem::new(inputs, pairs, similarity);
    in_type!(problem, farthest(problem.at_most(k)))
}

/// Of every anchor the `k` most similar negatives among those whose similarity is below the anchor's `limits`; otherwise as
/// [`hardest_negatives`].
///
/// # Panics
/// As [`hardest_negatives`], and when there is not one limit for each anchor.
pub fn negatives_below(inputs: &Inputs, pairs: &Pairs, similarity: Similarity, limits: &[f64], k: usize) -> TopK<f64> {
    let problem = Problem::new(inputs, pairs, similarity);
    in_type!(problem, below(limits, problem.at_most(k)))
}

/// Of every anchor the `k` most similar negatives that are less similar than its most similar positive (semi-hard: Schroff et al.
/// 2015, section 3.2); none for an anchor without positives. Otherwise as [`hardest_negatives`]. A negative that is as similar as the
/// positive but for rounding may be on either side.
///
/// # Panics
/// As [`hardest_negatives`].
pub fn semi_hard_negatives(inputs: &Inputs, pairs: &Pairs, similarity: Similarity, k: usize) -> TopK<f64> {
    let problem = Problem::new(inputs, pairs, similarity);
    let limits = in_type!(problem, nearest_positive());
    in_type!(problem, below(&limits, problem.at_most(k)))
}

fn widened<T: Element>(found: TopK<T>) -> TopK<f64> {
    TopK { k: found.k, indices: found.indices, scores: found.scores.into_iter().map(|s| s.f64()).collect() }
}

fn closest<T: Score + Element + BurnElement>(problem: &Problem, k: usize) -> TopK<f64> {
    let tables = Tables::<T>::new(problem);
    let hidden = hidden(problem);
    let sets = ItemSets::new(&hidden.offsets, &hidden.columns).expect("ascending lists");
    let n = hidden.anchors() as u32;
    let rows = hidden.groups.clone().unwrap_or_else(|| (0..n).collect());
    widened(top_k(&tables.anchors, &tables.candidates, tables.width, k, Some((sets, &rows))))
}

/// Positives and the anchors themselves.
fn hidden(problem: &Problem) -> PairLists {
    let positives = &problem.comparison.positives;
    let lists = PairLists { weights: None, ..positives.clone() };
    let n = positives.anchors();
    if problem.comparison.own.is_none() || (0..n).all(|i| positives.of(i).binary_search(&(i as u32)).is_ok()) {
        return lists;
    }
    let (mut offsets, mut columns) = (vec![0], Vec::new());
    for i in 0..n {
        let own = i as u32;
        let split = positives.of(i).partition_point(|j| *j < own);
        let (before, after) = positives.of(i).split_at(split);
        columns.extend_from_slice(before);
        columns.push(own);
        columns.extend(after.iter().filter(|j| **j != own));
        offsets.push(columns.len());
    }
    PairLists { groups: None, offsets, columns, weights: None }
}

/// The positives of anchor `i` without itself, with their similarities.
fn positives<'a, T: BurnElement + Element>(
    problem: &'a Problem,
    tables: &'a Tables<T>,
    i: usize,
) -> impl Iterator<Item = (u32, T)> + 'a {
    let own = problem.comparison.own.map(|o| (i + o) as u32);
    let listed = problem.comparison.positives.of(i).iter().copied().filter(move |j| Some(*j) != own);
    listed.map(move |j| (j, tables.similarity(i, j as usize)))
}

fn farthest<T: BurnElement + Element>(problem: &Problem, k: usize) -> TopK<f64> {
    let tables = Tables::<T>::new(problem);
    let n = problem.comparison.positives.anchors();
    let mut out = TopK { k, indices: vec![NO_ITEM; n * k], scores: vec![f64::NEG_INFINITY; n * k] };
    if k == 0 {
        return out;
    }
    let rows = out.indices.par_chunks_mut(k).zip(out.scores.par_chunks_mut(k)).enumerate();
    rows.for_each(|(i, (indices, scores))| {
        let mut found: Vec<(f64, u32)> = positives(problem, &tables, i).map(|(j, s)| (s.f64(), j)).collect();
        // NaN first
        let key = |s: f64| if s.is_nan() { f64::NEG_INFINITY } else { s };
        let order = |a: &(f64, u32), b: &(f64, u32)| key(a.0).total_cmp(&key(b.0)).then(a.1.cmp(&b.1));
        if found.len() > k {
            found.select_nth_unstable_by(k - 1, order);
            found.truncate(k);
        }
        found.sort_unstable_by(order);
        for ((index, score), (s, j)) in indices.iter_mut().zip(scores).zip(found) {
            (*index, *score) = (j, s);
        }
    });
    out
}

fn nearest_positive<T: BurnElement + Element>(problem: &Problem) -> Vec<f64> {
    let tables = Tables::<T>::new(problem);
    let of = |i: usize| positives(problem, &tables, i).map(|(_, s)| s.f64()).fold(f64::NEG_INFINITY, f64::max);
    (0..problem.comparison.positives.anchors()).into_par_iter().map(of).collect()
}

fn below<T: Score + Element + BurnElement>(problem: &Problem, limits: &[f64], k: usize) -> TopK<f64> {
    let tables = Tables::<T>::new(problem);
    let lists = &problem.comparison.positives;
    let rows = RowProblem {
        anchors: &tables.anchors,
        candidates: &tables.candidates,
        width: tables.width,
        positives: RowSets::new(lists.groups.as_deref(), &lists.offsets, &lists.columns),
        excluded: None,
        self_offset: problem.comparison.own,
        wanted: Wanted::VALUE,
    };
    let limits: Vec<T> = limits.iter().map(|l| T::of(*l)).collect();
    widened(best_below(&rows, &limits, k))
}
