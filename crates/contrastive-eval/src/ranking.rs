//! The all-ranking protocol: every user ranks the whole catalogue.
//!
//! 1. Every user with at least one test item scores all items; the user's training items are taken out of the ranking.
//! 2. The items are ordered by score, equal scores by the smaller index.
//! 3. For each cutoff K the metrics of [`Metric`] are computed for each user, and averaged over these users.
//!
//! With a validation part there are two protocols, whose numbers are not comparable: by default the validation items are ranked; RecBole
//! leaves them out of the test ranking, too ([`Protocol::without_validation`]). The report says which ([`LeftOut`]), and how many users
//! have equal scores where it matters.
//!
//! Users without test items are left out of the means. An item that is in a user's training and test sets stays out of
//! the ranking and still counts as a test item, so it can only be missed.
//!
//! | scores given as | mean over users | each user |
//! |---|---|---|
//! | embeddings of users and items | [`evaluate`] | [`evaluate_per_user`] |
//! | users x items matrix | [`evaluate_scores`] | [`evaluate_scores_per_user`] |
//! | lists, ranked elsewhere | [`evaluate_ranked`] | [`evaluate_ranked_per_user`] |
//! | function that scores a block of users, or a subset of users | [`Protocol`] | [`Protocol`] |
//! | one target for each query (sequences), ties against the model | [`TargetRanks`] | [`TargetRanks::ranks`] |
//!
//! From embeddings, users x items scores are never stored; memory is a copy of the two tables and the lists themselves.

mod error;
mod metric;
mod protocol;
mod report;
mod targets;

pub use contrastive_kernels::top_k::{ItemSets, ItemSetsError, Score};
pub use error::{RankingError, Side};
pub use metric::Metric;
pub use protocol::Protocol;
pub use report::{LeftOut, PerUserReport, RankingReport};
pub use targets::{Seen, TargetRanks};

use ndarray::ArrayView2;

/// The metrics of inner-product scores, averaged over the users with test items.
///
/// * `users`: `[users, D]`, `items`: `[items, D]`.
/// * `train`: items that a user is not ranked on (training items, and validation items if there are any); `test`: items to be found; one
///   row for each user.
/// * `cutoffs`: the values of K, in any order.
///
/// # Errors
/// Those of [`Protocol::new`] and [`Protocol::embeddings`].
pub fn evaluate<T: Score>(
    users: ArrayView2<'_, T>,
    items: ArrayView2<'_, T>,
    train: ItemSets<'_>,
    test: ItemSets<'_>,
    cutoffs: &[usize],
) -> Result<RankingReport, RankingError> {
    evaluate_per_user(users, items, train, test, cutoffs).map(|each| each.mean())
}

/// [`evaluate`] with the values of each user.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_per_user<T: Score>(
    users: ArrayView2<'_, T>,
    items: ArrayView2<'_, T>,
    train: ItemSets<'_>,
    test: ItemSets<'_>,
    cutoffs: &[usize],
) -> Result<PerUserReport, RankingError> {
    Protocol::new(train, test, cutoffs)?.embeddings(users, items)
}

/// The metrics of explicit scores, `[users, items]`, averaged over the users with test items; see [`evaluate`].
///
/// # Errors
/// Those of [`Protocol::new`] and [`Protocol::scores`].
pub fn evaluate_scores<T: Score>(
    scores: ArrayView2<'_, T>,
    train: ItemSets<'_>,
    test: ItemSets<'_>,
    cutoffs: &[usize],
) -> Result<RankingReport, RankingError> {
    evaluate_scores_per_user(scores, train, test, cutoffs).map(|each| each.mean())
}

/// [`evaluate_scores`] with the values of each user.
///
/// # Errors
/// As [`evaluate_scores`].
pub fn evaluate_scores_per_user<T: Score>(
    scores: ArrayView2<'_, T>,
    train: ItemSets<'_>,
    test: ItemSets<'_>,
    cutoffs: &[usize],
) -> Result<PerUserReport, RankingError> {
    Protocol::new(train, test, cutoffs)?.scores(scores)
}

/// The metrics of ranked lists, one for each row of `test`, best item first, averaged over the users with test items.
///
/// The lists are taken as they are: whoever ranked them has left the training items out. A list may be shorter than a
/// cutoff; what is missing is not found. `items` is the size of the catalogue.
///
/// # Errors
/// Those of [`Protocol::new`] and [`Protocol::ranked`].
pub fn evaluate_ranked<L: AsRef<[u32]> + Sync>(
    lists: &[L],
    items: usize,
    test: ItemSets<'_>,
    cutoffs: &[usize],
) -> Result<RankingReport, RankingError> {
    evaluate_ranked_per_user(lists, items, test, cutoffs).map(|each| each.mean())
}

/// [`evaluate_ranked`] with the values of each user.
///
/// # Errors
/// As [`evaluate_ranked`].
pub fn evaluate_ranked_per_user<L: AsRef<[u32]> + Sync>(
    lists: &[L],
    items: usize,
    test: ItemSets<'_>,
    cutoffs: &[usize],
) -> Result<PerUserReport, RankingError> {
    Protocol::new(ItemSets::empty(test.rows()), test, cutoffs)?.ranked(lists, items)
}
