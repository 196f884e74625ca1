//! How well held-out items are found: every user ranks the whole catalogue, and the rank of the one target counts.

use crate::data::{LeaveOneOut, Part};
use contrastive_eval::ranking::{RankingError, Seen, TargetRanks};
use ndarray::ArrayView2;
use std::collections::{BTreeMap, HashMap};

/// The cutoffs of the published tables.
pub const CUTOFFS: [usize; 3] = [5, 10, 20];

/// Ranks of a part's targets by inner products of `queries` `[users, d]`, what each user's input was encoded to, with `items` `[V, d]`,
/// those of items 1 to V. Padding and mask are no candidates, because they are not among the items.
///
/// # Errors
/// Those of [`TargetRanks::of_embeddings`].
pub fn rank_targets(
    split: &LeaveOneOut,
    part: Part,
    queries: ArrayView2<'_, f32>,
    items: ArrayView2<'_, f32>,
    seen: Seen,
) -> Result<TargetRanks, RankingError> {
    TargetRanks::of_embeddings(queries, items, &split.targets(part), split.taken(part).sets(), seen)
}

/// How much closer inputs are that lead to the same item than any two: the mean cosine of pairs of `queries` `[users, d]` with the same target
/// of a part, minus the mean cosine of all pairs. NaN where no two users have the same target.
///
/// # Panics
/// When there is not one query for each user.
pub fn same_target_cosine_gap(split: &LeaveOneOut, part: Part, queries: ArrayView2<'_, f32>) -> f64 {
    let (targets, n) = (split.targets(part), queries.nrows());
    assert_eq!(n, targets.len(), "queries {:?} and targets", queries.dim());
    let unit = |row: usize| {
        let row = queries.row(row);
        let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(1e-12);
        row.iter().map(|x| f64::from(*x) / length).collect::<Vec<f64>>()
    };
    // of k unit rows the cosines of all ordered pairs add up to |sum|^2 - k
    let pairs = |rows: &mut dyn Iterator<Item = usize>| {
        let (mut sum, mut count) = (vec![0.0; queries.ncols()], 0.0);
        for row in rows {
            sum.iter_mut().zip(unit(row)).for_each(|(s, x)| *s += x);
            count += 1.0;
        }
        [sum.iter().map(|s| s * s).sum::<f64>() - count, count * (count - 1.0)]
    };
    let mut of_target: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    targets.iter().enumerate().for_each(|(row, target)| of_target.entry(*target).or_default().push(row));
    let same = of_target.values().map(|rows| pairs(&mut rows.iter().copied()));
    let [same, same_count] = same.fold([0.0; 2], |all, one| [all[0] + one[0], all[1] + one[1]]);
    let [all, all_count] = pairs(&mut (0..n));
    same / same_count - all / all_count
}

/// How often each item 1 to V stands in the training lists: a recommender that knows nothing of the user.
#[derive(Clone, Debug, PartialEq)]
pub struct Popularity {
    counts: Vec<f32>,
}

impl Popularity {
    /// Counts the training lists.
    pub fn new(split: &LeaveOneOut) -> Self {
        let mut counts = vec![0.0; split.num_items()];
        split.train_lists().flatten().for_each(|item| counts[*item as usize - 1] += 1.0);
        Self { counts }
    }

    /// Ranks of a part's targets.
    ///
    /// # Errors
    /// Those of [`TargetRanks::of_scores`].
    pub fn rank(&self, split: &LeaveOneOut, part: Part, seen: Seen) -> Result<TargetRanks, RankingError> {
        let (targets, taken) = (split.targets(part), split.taken(part));
        TargetRanks::of_scores(self.counts.len(), &targets, taken.sets(), seen, |_, scores: &mut [f32]| {
            scores.copy_from_slice(&self.counts);
        })
    }
}

/// How often an item directly followed another in the training lists: a recommender that knows the last item alone. Items that never
/// followed it, and equal counts, are ordered by popularity.
#[derive(Clone, Debug, PartialEq)]
pub struct Successors {
    popularity: Popularity,
    total: f32,
    follow: HashMap<u32, BTreeMap<u32, f32>>,
}

impl Successors {
    /// Counts the training lists.
    pub fn new(split: &LeaveOneOut) -> Self {
        let popularity = Popularity::new(split);
        let mut follow: HashMap<u32, BTreeMap<u32, f32>> = HashMap::new();
        for list in split.train_lists() {
            for pair in list.windows(2) {
                *follow.entry(pair[0]).or_default().entry(pair[1]).or_default() += 1.0;
            }
        }
        let total = popularity.counts.iter().sum::<f32>() + 1.0;
        Self { popularity, total, follow }
    }

    /// Ranks of a part's targets.
    ///
    /// # Errors
    /// Those of [`TargetRanks::of_scores`].
    pub fn rank(&self, split: &LeaveOneOut, part: Part, seen: Seen) -> Result<TargetRanks, RankingError> {
        let (targets, taken) = (split.targets(part), split.taken(part));
        let counts = &self.popularity.counts;
        TargetRanks::of_scores(counts.len(), &targets, taken.sets(), seen, |at, scores: &mut [f32]| {
            scores.iter_mut().zip(counts).for_each(|(score, count)| *score = count / self.total);
            let (input, _) = split.held_out(at, part);
            let last = input.last().expect("inputs are not empty");
            for (item, count) in self.follow.get(last).into_iter().flatten() {
                scores[*item as usize - 1] += count;
            }
        })
    }
}
