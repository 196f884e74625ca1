//! Exact top-k: the candidates with the largest inner products, for every query, without a queries x candidates matrix.
//!
//! The candidate table is copied once into panels of 64 candidates, coordinate by coordinate. A block of queries meets a
//! panel in tiles that stay in vector registers: after the last coordinate the tile is compared with the k-th best score
//! of its rows so far, and only the rows with something better leave the registers. In a long candidate table nearly all
//! tiles are dropped there, so the selection costs a few per cent of the products.
//!
//! A score is one chain of fused multiply-adds from the first coordinate to the last, whatever the block it fell into:
//! equal rows score equally to the last bit, ties go to the smaller index, and the result depends neither on the number
//! of threads nor on the instruction set.

mod item_sets;
mod lanes;
mod select;
mod tile;

pub use item_sets::{ItemSets, ItemSetsError};

use rayon::prelude::*;
use select::Selection;
use tile::{PANEL, Panels, QUERIES};

/// An element type whose rows can be ranked: `f32` and `f64`. Sealed.
pub trait Score: lanes::Lanes + crate::compiled::Ranking {}

impl Score for f32 {}
impl Score for f64 {}

/// The index that fills a row of [`TopK`] when there are fewer than `k` candidates to choose from.
pub const NO_ITEM: u32 = u32::MAX;

/// Queries ranked together: few enough that they and their selections stay in the second-level cache.
const BLOCK: usize = 40 * QUERIES;

/// The best `k` candidates of every row, best first.
///
/// A row with fewer than `k` candidates (because they are seen, or because the table is short) is filled up with
/// [`NO_ITEM`] and a score of minus infinity; [`TopK::row`] leaves the filling out.
#[derive(Debug, Clone, PartialEq)]
pub struct TopK<T> {
    /// Entries of a row.
    pub k: usize,
    /// Candidate indices, `rows x k`, row-major, best first.
    pub indices: Vec<u32>,
    /// Their scores, same shape. A score of -0 is returned as 0.
    pub scores: Vec<T>,
}

impl<T> TopK<T> {
    /// Number of rows; 0 when `k` is 0.
    pub fn rows(&self) -> usize {
        self.indices.len().checked_div(self.k).unwrap_or(0)
    }

    /// The candidates of one row and their scores, best first, without the filling.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> (&[u32], &[T]) {
        assert!(row < self.rows(), "row {row} of {}", self.rows());
        let start = row * self.k;
        let indices = &self.indices[start..start + self.k];
        let filled = indices.iter().position(|&i| i == NO_ITEM).unwrap_or(self.k);
        (&indices[..filled], &self.scores[start..start + filled])
    }
}

/// The `k` candidates with the largest inner product for every query.
///
/// * `queries`: `n x width`, row-major; `candidates`: `m x width`, row-major.
/// * `seen`: candidates that a query must not be given, and for each of the `n` queries the row of the sets it uses.
///
/// Ties go to the smaller candidate index. A NaN score ranks above all others, so that it cannot go
/// unnoticed. Memory beside the result: one copy of the candidates, and about `3 k` entries for each of 240 queries
/// a thread. Work: `2 n m width` operations.
///
/// ```
/// use contrastive_kernels::top_k::{ItemSets, top_k};
/// let users = [1.0f32, 0.0, 0.0, 1.0];
/// let items = [0.1, 0.9, 0.8, 0.2, 0.5, 0.5];
/// let seen = ItemSets::new(&[0, 1, 1], &[1]).unwrap();
/// let best = top_k(&users, &items, 2, 2, Some((seen, &[0, 1])));
/// assert_eq!(best.row(0).0, [2, 0]); // item 1 is the best of user 0, but it was seen
/// assert_eq!(best.row(1).0, [0, 2]);
/// ```
///
/// # Panics
/// When `width` is 0, when a table is no multiple of it, when there are 2^32 - 1 candidates or more, or when `seen` does not give
/// one existing row for each query.
pub fn top_k<T: Score>(
    queries: &[T],
    candidates: &[T],
    width: usize,
    k: usize,
    seen: Option<(ItemSets<'_>, &[u32])>,
) -> TopK<T> {
    T::top_k(queries, candidates, width, k, seen)
}

pub(crate) fn top_k_generic<T: Score>(
    queries: &[T],
    candidates: &[T],
    width: usize,
    k: usize,
    seen: Option<(ItemSets<'_>, &[u32])>,
) -> TopK<T> {
    assert!(width > 0, "top_k: width 0");
    assert!(queries.len().is_multiple_of(width), "top_k: {} query entries of width {width}", queries.len());
    assert!(candidates.len().is_multiple_of(width), "top_k: {} candidate entries of width {width}", candidates.len());
    let (n, m) = (queries.len() / width, candidates.len() / width);
    let mut out = output(n, m, k, seen);
    if out.indices.is_empty() || m == 0 {
        return out;
    }
    let panels = Panels::new(candidates, width);
    // At least four blocks a thread, so that none waits long for the last one.
    let share = n.div_ceil(4 * rayon::current_num_threads()).next_multiple_of(QUERIES);
    let block = share.min(BLOCK);
    blocks(&mut out, block).for_each_init(
        || (Selection::new(block, k, m), Vec::new()),
        |(selection, packed), (b, (indices, scores))| {
            let first = b * block;
            let rows = indices.len() / k;
            selection.begin(rows, |row| row_of(seen, first + row));
            tile::pack_queries(&queries[first * width..(first + rows) * width], width, packed);
            panels.select(packed, rows, selection);
            selection.finish(indices, scores);
        },
    );
    out
}

/// The `k` largest entries of every row of given scores; everything else as in [`top_k`].
///
/// * `scores`: `n x candidates`, row-major. An entry of minus infinity ranks last, but it ranks: what must not be chosen belongs in `seen`.
///
/// ```
/// use contrastive_kernels::top_k::top_k_scores;
/// let best = top_k_scores(&[0.5, 2.0, 2.0, 1.0], 4, 3, None);
/// assert_eq!(best.row(0), (&[1, 2, 3][..], &[2.0, 2.0, 1.0][..]));
/// ```
///
/// # Panics
/// When `candidates` is 0 or does not divide the number of scores, when it is 2^32 - 1 or more, or when `seen` does not give one existing
/// row for each row of scores.
pub fn top_k_scores<T: Score>(
    scores: &[T],
    candidates: usize,
    k: usize,
    seen: Option<(ItemSets<'_>, &[u32])>,
) -> TopK<T> {
    T::top_k_scores(scores, candidates, k, seen)
}

pub(crate) fn top_k_scores_generic<T: Score>(
    scores: &[T],
    candidates: usize,
    k: usize,
    seen: Option<(ItemSets<'_>, &[u32])>,
) -> TopK<T> {
    assert!(candidates > 0, "top_k_scores: no candidates");
    assert!(scores.len().is_multiple_of(candidates), "top_k_scores: {} scores, {candidates} a row", scores.len());
    let n = scores.len() / candidates;
    let mut out = output(n, candidates, k, seen);
    if out.indices.is_empty() {
        return out;
    }
    let block = n.div_ceil(4 * rayon::current_num_threads()).min(BLOCK);
    blocks(&mut out, block).for_each_init(
        || Selection::new(block, k, candidates),
        |selection, (b, (indices, values))| {
            let first = b * block;
            let rows = indices.len() / k;
            selection.begin(rows, |row| row_of(seen, first + row));
            let scores = &scores[first * candidates..(first + rows) * candidates];
            for (row, scores) in scores.chunks_exact(candidates).enumerate() {
                tile::select_scores(scores, row, selection);
            }
            selection.finish(indices, values);
        },
    );
    out
}

/// The rows of a result, a block at a time.
fn blocks<T: Score>(
    out: &mut TopK<T>,
    block: usize,
) -> impl IndexedParallelIterator<Item = (usize, (&mut [u32], &mut [T]))> {
    let size = block * out.k;
    out.indices.par_chunks_mut(size).zip(out.scores.par_chunks_mut(size)).enumerate()
}

/// An empty result, after the checks that both functions share.
fn output<T: Score>(n: usize, m: usize, k: usize, seen: Option<(ItemSets<'_>, &[u32])>) -> TopK<T> {
    assert!(m < NO_ITEM as usize - PANEL, "top_k: {m} candidates");
    if let Some((sets, rows)) = seen {
        assert_eq!(rows.len(), n, "top_k: {} rows of seen items for {n} queries", rows.len());
        let last = rows.iter().max().map_or(0, |&row| row as usize + 1);
        assert!(last <= sets.rows(), "top_k: row {} of {} sets of seen items", last - 1, sets.rows());
    }
    TopK { k, indices: vec![NO_ITEM; n * k], scores: vec![T::neg_infinity(); n * k] }
}

fn row_of<'a>(seen: Option<(ItemSets<'a>, &[u32])>, query: usize) -> &'a [u32] {
    seen.map_or(&[], |(sets, rows)| sets.row(rows[query] as usize))
}
