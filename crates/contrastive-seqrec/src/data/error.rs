//! What can be wrong with sequences, and where.

use std::path::PathBuf;
use thiserror::Error;

/// Why sequences were refused. Lines are counted from 1, users of lists in memory from 0.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SequenceError {
    /// A file that cannot be read, or not as what it should be.
    #[error(transparent)]
    File(#[from] contrastive_data::FileError),
    /// No sequence at all.
    #[error("{origin}: empty: not one event; expected {expected}")]
    Empty {
        /// The file, or where the lists came from.
        origin: String,
        /// What a line should look like.
        expected: &'static str,
    },
    /// A user without an item.
    #[error("{place}: user {user} has no items; a history needs at least one")]
    EmptyHistory {
        /// File and line, or the list.
        place: String,
        /// The user.
        user: String,
    },
    /// An item id that is not one.
    #[error(
        "{place}: item {text:?} of user {user}; allowed are whole numbers from 1 to {largest} (0 is kept for padding)"
    )]
    BadItem {
        /// File and line, or the list.
        place: String,
        /// The user.
        user: String,
        /// What stands there.
        text: String,
        /// The largest number that is allowed.
        largest: u64,
    },
    /// The same user on two lines.
    #[error("{}:{line}: user {user} has a line already, line {first}; one line for each user is expected", path.display())]
    RepeatedUser {
        /// The file.
        path: PathBuf,
        /// The second line.
        line: usize,
        /// The user.
        user: String,
        /// The first line.
        first: usize,
    },
    /// A time that is not a number.
    #[error("{}:{line}: time {text:?} of user {user}: a number or a date is expected", path.display())]
    BadTime {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// The user.
        user: String,
        /// What stands there.
        text: String,
    },
    /// A line that cannot be read.
    #[error("{}:{line}: {problem}", path.display())]
    BadLine {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A user with fewer events than the split needs.
    #[error(
        "user {user} has {events} events; leave-one-out needs at least 3 (one to learn from, one for validation, one for the test)"
    )]
    ShortUser {
        /// The user.
        user: String,
        /// Its events.
        events: usize,
    },
    /// Nothing is left.
    #[error("{what} leaves nothing of {users} users, {items} items and {events} events")]
    NothingLeft {
        /// What was done.
        what: String,
        /// Users before.
        users: usize,
        /// Items before.
        items: usize,
        /// Events before.
        events: usize,
    },
    /// A setting outside of its range.
    #[error("{name} is {value}: allowed is {allowed}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl SequenceError {
    pub(crate) fn setting(name: &'static str, value: impl ToString, allowed: &'static str) -> Self {
        Self::Setting { name, value: value.to_string(), allowed }
    }
}
