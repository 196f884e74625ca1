//! The nearest negatives beyond a limit.

use super::{RowProblem, hide, nothing};
use crate::real::gemm;
use crate::top_k::{NO_ITEM, TopK};
use crate::vector::Element;
use rayon::prelude::*;

/// Most numbers of a block of similarities, of which every thread has one.
const BLOCK: usize = 1 << 20;

/// Of every anchor the `k` most similar negatives whose similarity is below the anchor's limit, most similar first, equal ones by
/// column; a row with fewer is filled up with [`NO_ITEM`]. A NaN similarity comes before all others.
///
/// 2 n m d flops; beside the result a block of rows for each thread. What is wanted of `problem` does not matter.
///
/// # Panics
/// When the parts of the problem do not fit each other, or there is not one limit for each anchor.
pub fn best_below<T: Element>(problem: &RowProblem<'_, T>, limits: &[T], k: usize) -> TopK<T> {
    T::best_below(problem, limits, k)
}

pub(crate) fn best_below_generic<T: Element>(problem: &RowProblem<'_, T>, limits: &[T], k: usize) -> TopK<T> {
    let (n, m) = problem.check();
    let d = problem.width;
    assert_eq!(limits.len(), n, "limits and anchors");
    let mut out = TopK { k, indices: vec![NO_ITEM; n * k], scores: vec![T::neg_infinity(); n * k] };
    if k == 0 || m == 0 {
        return out;
    }
    let block = (BLOCK / m).clamp(1, 64);
    let rows = out.indices.par_chunks_mut(block * k).zip(out.scores.par_chunks_mut(block * k)).enumerate();
    rows.for_each_init(
        || (vec![T::zero(); block * m], Vec::new()),
        |(tile, kept), (b, (indices, scores))| {
            let (first, rows) = (b * block, indices.len() / k);
            let own = &problem.anchors[first * d..][..rows * d];
            gemm([rows, m, d], tile, [m, 1], own, [d, 1], problem.candidates, [1, d], T::zero(), T::one());
            let results = indices.chunks_exact_mut(k).zip(scores.chunks_exact_mut(k));
            for (r, (row, (indices, scores))) in tile.chunks_exact_mut(m).zip(results).enumerate() {
                kept.clear();
                hide(problem.pairs(first + r), row, kept);
                select(row, limits[first + r], indices, scores);
            }
        },
    );
    out
}

/// Keeps the largest entries below the limit, in order.
fn select<T: Element>(row: &[T], limit: T, indices: &mut [u32], scores: &mut [T]) {
    let last = indices.len() - 1;
    let nothing = nothing();
    for (j, &s) in row.iter().enumerate() {
        let s = if s.is_nan() { T::infinity() } else { s };
        let counts = s > nothing && (s < limit || s == T::infinity());
        if !counts || (indices[last] != NO_ITEM && s <= scores[last]) {
            continue;
        }
        let mut at = last;
        while at > 0 && (indices[at - 1] == NO_ITEM || s > scores[at - 1]) {
            (indices[at], scores[at]) = (indices[at - 1], scores[at - 1]);
            at -= 1;
        }
        (indices[at], scores[at]) = (j as u32, s);
    }
    scores.iter_mut().filter(|s| **s == T::infinity()).for_each(|s| *s = T::nan());
}
