//! The rank of one target for each query, against the whole catalogue: the protocol of sequential recommendation.

use super::error::{RankingError, Side};
use contrastive_kernels::real::gemm;
use contrastive_kernels::top_k::{ItemSets, Score};
use ndarray::ArrayView2;
use rayon::prelude::*;
use std::fmt;

/// Scores of a block: 2 MiB of `f32` for each thread.
const SCORES: usize = 1 << 19;
/// Most queries of a block.
const QUERIES: usize = 64;

/// What becomes of the items that a query has already taken. Numbers of different policies are not comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Seen {
    /// They stay candidates (RecBole's sequential models).
    Keep,
    /// They are no candidates; the target always is, also when it was taken before.
    #[default]
    Exclude,
    /// They are candidates with a score of 0, the target among them (released code of ICLRec and ICSRec): an item that was taken may come
    /// before others whose scores are negative. Only for comparing with numbers that were made so.
    ZeroScore,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Keep => "keep",
            Self::Exclude => "exclude",
            Self::ZeroScore => "zero-score",
        })
    }
}

impl std::str::FromStr for Seen {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "keep" => Ok(Self::Keep),
            "exclude" => Ok(Self::Exclude),
            "zero-score" => Ok(Self::ZeroScore),
            _ => Err(format!("seen policy {name:?}: allowed are keep, exclude and zero-score")),
        }
    }
}

/// The rank of each query's target, from 1: one more than the number of other candidates that score at least as high. A tie counts against
/// the model, so that constant scores find nothing.
///
/// ```
/// use contrastive_eval::ndarray::array;
/// use contrastive_eval::ranking::{ItemSets, Seen, TargetRanks};
///
/// let queries = array![[1.0f32, 0.0], [0.0, 1.0]];
/// let items = array![[3.0f32, 0.0], [2.0, 2.0], [1.0, 2.0]];
/// let seen = ItemSets::new(&[0, 1, 1], &[0])?;
/// let ranks = TargetRanks::of_embeddings(queries.view(), items.view(), &[1, 2], seen, Seen::Exclude)?;
/// // item 0 was taken by the first; items 1 and 2 tie for the second
/// assert_eq!(ranks.ranks(), [1, 2]);
/// assert_eq!(ranks.hit_rate(1), 0.5);
/// # Ok::<(), contrastive_eval::ranking::RankingError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TargetRanks {
    ranks: Vec<u32>,
    items: usize,
    seen: Seen,
}

impl TargetRanks {
    /// Scores are inner products of `queries` `[q, d]` with `items` `[m, d]`; `targets[i]` is what query i looks for, `taken` what it has
    /// taken, one set for each query. Scores are made and counted in blocks: memory does not grow with queries x items.
    ///
    /// # Errors
    /// [`RankingError::NoTestUser`] without queries, [`RankingError::WidthMismatch`], [`RankingError::UserCountMismatch`],
    /// [`RankingError::ItemOutOfRange`], [`RankingError::NonFinite`].
    pub fn of_embeddings<T: Score>(
        queries: ArrayView2<'_, T>,
        items: ArrayView2<'_, T>,
        targets: &[u32],
        taken: ItemSets<'_>,
        seen: Seen,
    ) -> Result<Self, RankingError> {
        let width = items.ncols();
        if queries.ncols() != width || width == 0 {
            return Err(RankingError::WidthMismatch { users: queries.ncols(), items: width });
        }
        check(queries.nrows(), items.nrows(), targets, taken)?;
        let (queries, items) = (queries.as_standard_layout(), items.as_standard_layout());
        let (queries, items) =
            (queries.as_slice().expect("standard layout"), items.as_slice().expect("standard layout"));
        super::protocol::check_finite(Side::Users, queries, width)?;
        super::protocol::check_finite(Side::Items, items, width)?;
        let m = items.len() / width;
        let block = (SCORES / m).clamp(1, QUERIES);
        let mut ranks = vec![0; targets.len()];
        ranks.par_chunks_mut(block).enumerate().for_each_init(
            || vec![T::zero(); block * m],
            |scores, (b, ranks)| {
                let (first, rows) = (b * block, ranks.len());
                let own = &queries[first * width..][..rows * width];
                gemm([rows, m, width], scores, [m, 1], own, [width, 1], items, [1, width], T::zero(), T::one());
                for (k, rank) in ranks.iter_mut().enumerate() {
                    let scores = &mut scores[k * m..][..m];
                    *rank = rank_of(scores, targets[first + k], taken.row(first + k), seen);
                }
            },
        );
        Ok(Self { ranks, items: m, seen })
    }

    /// Every query ranks all candidates by inner product, and looks for one: a question its answer, a description its code. With
    /// [`mrr`](Self::mrr) of 1,000 the measure of code search (CodeSearchNet and its successors).
    ///
    /// # Errors
    /// As [`Self::of_embeddings`].
    pub fn of_pairs<T: Score>(
        queries: ArrayView2<'_, T>,
        candidates: ArrayView2<'_, T>,
        targets: &[u32],
    ) -> Result<Self, RankingError> {
        let (offsets, none) = (vec![0; targets.len() + 1], Vec::new());
        let taken = ItemSets::new(&offsets, &none).expect("empty sets");
        Self::of_embeddings(queries, candidates, targets, taken, Seen::Keep)
    }

    /// The same from scores that a function gives: `score(query, scores)` fills the scores of all `items`, minus infinity allowed.
    ///
    /// # Errors
    /// As [`Self::of_embeddings`]; [`RankingError::NanScore`].
    pub fn of_scores<T: Score>(
        items: usize,
        targets: &[u32],
        taken: ItemSets<'_>,
        seen: Seen,
        score: impl Fn(usize, &mut [T]) + Sync,
    ) -> Result<Self, RankingError> {
        check(targets.len(), items, targets, taken)?;
        let ranks = (0..targets.len()).into_par_iter().map_init(
            || vec![T::zero(); items],
            |scores, query| {
                score(query, scores);
                match scores.iter().position(|s| s.is_nan()) {
                    Some(item) => Err(RankingError::NanScore { user: query as u32, item: item as u32 }),
                    None => Ok(rank_of(scores, targets[query], taken.row(query), seen)),
                }
            },
        );
        Ok(Self { ranks: ranks.collect::<Result<_, _>>()?, items, seen })
    }

    /// One rank for each query, from 1.
    pub fn ranks(&self) -> &[u32] {
        &self.ranks
    }

    /// Items of the catalogue.
    pub fn items(&self) -> usize {
        self.items
    }

    /// What became of the items already taken.
    pub fn seen(&self) -> Seen {
        self.seen
    }

    /// HR@k: the share of targets among the first k (with one target the same as Recall@k).
    pub fn hit_rate(&self, k: usize) -> f64 {
        self.mean(k, |_| 1.0)
    }

    /// NDCG@k: the mean of `1 / log2(rank + 1)`, 0 beyond k.
    pub fn ndcg(&self, k: usize) -> f64 {
        self.mean(k, |rank| 1.0 / (rank + 1.0).log2())
    }

    /// MRR@k: the mean of `1 / rank`, 0 beyond k.
    pub fn mrr(&self, k: usize) -> f64 {
        self.mean(k, |rank| 1.0 / rank)
    }

    /// `hit@k`, `ndcg@k` and `mrr@k` for each cutoff, by name.
    ///
    /// # Errors
    /// [`RankingError::NoCutoff`], [`RankingError::ZeroCutoff`].
    pub fn metrics(&self, cutoffs: &[usize]) -> Result<std::collections::BTreeMap<String, f64>, RankingError> {
        if cutoffs.is_empty() {
            return Err(RankingError::NoCutoff);
        }
        if cutoffs.contains(&0) {
            return Err(RankingError::ZeroCutoff);
        }
        let of = |&k: &usize| {
            [("hit", self.hit_rate(k)), ("ndcg", self.ndcg(k)), ("mrr", self.mrr(k))]
                .map(|(name, value)| (format!("{name}@{k}"), value))
        };
        Ok(cutoffs.iter().flat_map(of).collect())
    }

    fn mean(&self, k: usize, gain: impl Fn(f64) -> f64) -> f64 {
        let found = self.ranks.iter().filter(|rank| **rank as usize <= k);
        found.map(|rank| gain(f64::from(*rank))).sum::<f64>() / self.ranks.len() as f64
    }
}

fn rank_of<T: Score>(scores: &mut [T], target: u32, taken: &[u32], seen: Seen) -> u32 {
    if seen == Seen::ZeroScore {
        taken.iter().for_each(|&item| scores[item as usize] = T::zero());
    }
    let own = scores[target as usize];
    // NaN, from products that overflow, counts as above: against the model
    let above = |score: T| !matches!(score.partial_cmp(&own), Some(std::cmp::Ordering::Less));
    // the target itself is one of them
    let mut rank = scores.iter().filter(|score| above(**score)).count();
    if seen == Seen::Exclude {
        rank -= taken.iter().filter(|item| **item != target && above(scores[**item as usize])).count();
    }
    rank as u32
}

fn check(queries: usize, items: usize, targets: &[u32], taken: ItemSets<'_>) -> Result<(), RankingError> {
    if targets.is_empty() {
        return Err(RankingError::NoTestUser);
    }
    for (side, found) in [(Side::Users, queries), (Side::Train, taken.rows())] {
        if found != targets.len() {
            return Err(RankingError::UserCountMismatch { side, found, expected: targets.len() });
        }
    }
    let beyond = |item: &u32| *item as usize >= items;
    if let Some(user) = targets.iter().position(beyond) {
        return Err(RankingError::ItemOutOfRange { side: Side::Test, user, item: targets[user], items });
    }
    for (user, set) in taken.iter().enumerate() {
        if let Some(&item) = set.last().filter(|item| beyond(item)) {
            return Err(RankingError::ItemOutOfRange { side: Side::Train, user, item, items });
        }
    }
    Ok(())
}
