//! What can be wrong with the input of a ranking evaluation.

use contrastive_kernels::top_k::ItemSetsError;
use std::fmt;

/// The input that an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The user embeddings.
    Users,
    /// The item embeddings.
    Items,
    /// The items that are not ranked.
    Train,
    /// The validation items.
    Validation,
    /// The items to be found.
    Test,
    /// The score matrix.
    Scores,
    /// The ranked lists.
    Ranked,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Users => "user embeddings",
            Self::Items => "item embeddings",
            Self::Train => "training sets",
            Self::Validation => "validation sets",
            Self::Test => "test sets",
            Self::Scores => "scores",
            Self::Ranked => "ranked lists",
        })
    }
}

/// Why a ranking could not be evaluated. Users, items and rows are counted from 0.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RankingError {
    /// No cutoff was given.
    #[error("no cutoff was given; give at least one K, for example 20")]
    NoCutoff,
    /// A cutoff is 0.
    #[error("a cutoff is 0; every K must be at least 1")]
    ZeroCutoff,
    /// A cutoff exceeds the number of items.
    #[error("cutoff {k} is above the number of items, {items}; every K must be in 1..={items}")]
    CutoffAboveCatalogue {
        /// The cutoff.
        k: usize,
        /// Number of items.
        items: usize,
    },
    /// The two embeddings have different widths, or width 0.
    #[error(
        "the user embeddings have {users} columns and the item embeddings {items}; both must have the same number, at least 1"
    )]
    WidthMismatch {
        /// Columns of the user embeddings.
        users: usize,
        /// Columns of the item embeddings.
        items: usize,
    },
    /// An input is for another number of users.
    #[error("the {side} have {found} rows; {expected} users are evaluated, and each needs one")]
    UserCountMismatch {
        /// The input.
        side: Side,
        /// Its rows.
        found: usize,
        /// Rows of the test sets, or the number of chosen users for lists.
        expected: usize,
    },
    /// An item index is too large.
    #[error("item {item} of user {user} in the {side} is out of range; there are {items} items, counted from 0")]
    ItemOutOfRange {
        /// The input that holds the index.
        side: Side,
        /// The user.
        user: usize,
        /// The index.
        item: u32,
        /// Number of items.
        items: usize,
    },
    /// A chosen user does not exist.
    #[error("user {user} is out of range; there are {users} users, counted from 0")]
    UserOutOfRange {
        /// The user.
        user: u32,
        /// Number of users.
        users: usize,
    },
    /// A user was chosen twice.
    #[error("user {user} was chosen twice; the means would count this user twice")]
    RepeatedUser {
        /// The user.
        user: u32,
    },
    /// A ranked list holds an item twice.
    #[error("item {item} is twice in the ranked list of user {user}")]
    RepeatedItem {
        /// The user.
        user: usize,
        /// The item.
        item: u32,
    },
    /// None of the users has a test item.
    #[error("no user has a test item, so there is nothing to average")]
    NoTestUser,
    /// An embedding holds NaN or an infinity.
    #[error("row {row} of the {side} holds {value}; embeddings must be finite (did training diverge?)")]
    NonFinite {
        /// Which embedding.
        side: Side,
        /// The first such row.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A score is NaN.
    #[error("the score of user {user} for item {item} is NaN; scores must be ordered")]
    NanScore {
        /// The user.
        user: u32,
        /// The item.
        item: u32,
    },
    /// There is not one gain for each test item.
    #[error("{found} gains for {expected} test items; each needs one, in the order of the test sets")]
    GainCount {
        /// Number of gains.
        found: usize,
        /// Number of test items.
        expected: usize,
    },
    /// A gain is negative, NaN or infinite.
    #[error("gain number {at} is {gain}; allowed is a finite number of at least 0")]
    BadGain {
        /// Its place in the list.
        at: usize,
        /// The gain.
        gain: f64,
    },
    /// The arrays handed to [`super::ItemSets::new`] are inconsistent.
    #[error(transparent)]
    ItemSets(#[from] ItemSetsError),
}
