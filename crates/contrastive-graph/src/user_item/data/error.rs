//! What can be wrong with interaction data, and where.

use std::path::PathBuf;

use contrastive_data::{FileError, shown};
use thiserror::Error;

/// Which of the two kinds of id an error or note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The rows: people.
    User,
    /// The columns: what they touched.
    Item,
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::User => "user",
            Side::Item => "item",
        })
    }
}

/// Why interaction data was refused. Every message names the place, the offending text, and what is allowed.
///
/// Lines are counted from 1. Variants marked *strict* arise only with
/// [`LoadOptions::strict`](super::LoadOptions::strict); otherwise the same finding is a [`Note`](super::Note).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file that cannot be opened, recognised or understood, with its place.
    #[error(transparent)]
    File(#[from] FileError),
    /// An id that reads as a negative number, in any format: in practice a code for "missing".
    #[error("{}:{line}: {side} id {text:?} is negative; allowed: ids from 0 up", shown(path))]
    NegativeId {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// User or item.
        side: Side,
        /// The offending text, shortened.
        text: String,
    },
    /// Numbers left out between the ids of a numbered format (*strict*; without it, only when most are left out).
    #[error(
        "{}:{line}: {side} ids have gaps: id {missing} and {} more never occur below the largest, {largest}; allowed: every \
         number in between, or IdPolicy::Relabel to renumber the ids that occur",
        shown(path), absent - 1
    )]
    IdGap {
        /// The file that holds the largest id.
        path: PathBuf,
        /// The line of the largest id.
        line: usize,
        /// User or item.
        side: Side,
        /// The smallest number left out.
        missing: u64,
        /// How many numbers are left out.
        absent: u64,
        /// The largest id.
        largest: u64,
    },
    /// A user without a training interaction (*strict*).
    #[error("{}: user {user:?} has no training items; allowed in strict reading: at least one for every user{}", shown(path),
        line.map(|line| format!(" (line {line})")).unwrap_or_default())]
    UserWithoutItems {
        /// The training file.
        path: PathBuf,
        /// The line that names the user, if one does.
        line: Option<usize>,
        /// The user's original id.
        user: String,
    },
    /// A test user who has no training interaction (*strict*).
    #[error(
        "{}:{line}: test user {user:?} is absent from the training data; allowed in strict reading: users with training items",
        shown(path)
    )]
    TestUserAbsent {
        /// The test file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The user's original id.
        user: String,
    },
    /// The same user-item pair twice in one file (*strict*).
    #[error(
        "{}:{line}: duplicate pair: user {user:?}, item {item:?} occurred at line {first_line} already; allowed in strict \
         reading: each pair once",
        shown(path)
    )]
    DuplicatePair {
        /// The file.
        path: PathBuf,
        /// The line of the second occurrence.
        line: usize,
        /// The line of the first occurrence.
        first_line: usize,
        /// The user's original id.
        user: String,
        /// The item's original id.
        item: String,
    },
    /// A test pair that is a training pair as well (*strict*).
    #[error(
        "{}:{line}: test pair user {user:?}, item {item:?} is a training pair too; allowed in strict reading: disjoint parts",
        shown(path)
    )]
    TestPairInTrain {
        /// The test file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The user's original id.
        user: String,
        /// The item's original id.
        item: String,
    },
    /// No training interaction is left after the options were applied.
    #[error("{}: no training interaction is left: {why}", shown(path))]
    NothingLeft {
        /// The file or directory.
        path: PathBuf,
        /// Which option removed them.
        why: String,
    },
    /// An option outside its range.
    #[error("{name} = {value} is not valid; allowed: {allowed}")]
    Option {
        /// The option.
        name: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        allowed: &'static str,
    },
    /// A pair whose id lies outside the declared shape.
    #[error("pair number {pair}: {side} {id} is out of range; allowed: 0..{count}")]
    OutOfRange {
        /// The position of the pair in the input, from 0.
        pair: usize,
        /// User or item.
        side: Side,
        /// The id.
        id: u32,
        /// The declared number of users or items.
        count: usize,
    },
    /// Data that has nothing to train on.
    #[error("no training interaction to sample from; allowed: at least one user-item pair")]
    NothingToSample,
    /// A user who consumed every item, so that no negative exists.
    #[error(
        "user {user} has consumed all {items} items: no negative exists; allowed: at least one unseen item for every user, or NegativePolicy::Unchecked"
    )]
    NoNegative {
        /// The user's index.
        user: u32,
        /// The number of items.
        items: usize,
    },
}
