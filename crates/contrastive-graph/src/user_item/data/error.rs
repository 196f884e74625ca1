//! What can be wrong with interaction data, and where.

use std::path::PathBuf;

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
    /// A path that does not exist.
    #[error("{}: no such file or directory; looked for {looked_for}", path.display())]
    NotFound {
        /// The path asked for.
        path: PathBuf,
        /// What would have been accepted there.
        looked_for: String,
    },
    /// The operating system refused to read.
    #[error("{}: cannot be read: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A directory or file in which no supported format was recognised.
    #[error("{}: no supported interaction data here (found {found}); looked for {looked_for}", path.display())]
    Unrecognised {
        /// The path asked for.
        path: PathBuf,
        /// What lies there.
        found: String,
        /// What would have been accepted.
        looked_for: String,
    },
    /// A file without a single interaction.
    #[error("{}: empty: no interaction in it; expected {expected}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What a line should look like.
        expected: String,
    },
    /// Bytes that are not UTF-8 text.
    #[error("{}:{line}: not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An id that is not what the column holds.
    #[error("{}:{line}: {side} id {text:?} is not valid; allowed: {allowed}", path.display())]
    BadId {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// User or item.
        side: Side,
        /// The offending text, shortened.
        text: String,
        /// What is allowed.
        allowed: String,
    },
    /// An id that reads as a negative number, in any format: in practice a code for "missing".
    #[error("{}:{line}: {side} id {text:?} is negative; allowed: ids from 0 up", path.display())]
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
    /// A column that starts with integer ids and goes on with something else.
    #[error(
        "{}:{line}: {side} id {text:?} is not an integer, but the ids before it are; allowed: one kind of id per column \
         (IdPolicy::Tokens reads every id as text)",
        path.display()
    )]
    MixedIds {
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
        path.display(), absent - 1
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
    #[error("{}: user {user:?} has no training items; allowed in strict reading: at least one for every user{}", path.display(),
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
    #[error("{}:{line}: test user {user:?} is absent from the training data; allowed in strict reading: users with training items", path.display())]
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
        path.display()
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
    #[error("{}:{line}: test pair user {user:?}, item {item:?} is a training pair too; allowed in strict reading: disjoint parts", path.display())]
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
    /// A rating or time that is not a finite number.
    #[error("{}:{line}: {column} {text:?} is not a finite number; allowed: numbers such as 3, 4.5 or 3.2e5", path.display())]
    BadNumber {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the column holds: `rating` or `time`.
        column: &'static str,
        /// The offending text, shortened.
        text: String,
    },
    /// A row with another number of columns than the file's first row.
    #[error("{}:{line}: {found} columns, allowed: {expected}, in {text:?}", path.display())]
    ColumnCount {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Columns of this row.
        found: usize,
        /// What is allowed.
        expected: String,
        /// The row, shortened.
        text: String,
    },
    /// A column that was asked for, or is needed, and is not there.
    #[error("{}: no {wanted} column; found {found}; allowed: {allowed}", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// What the column would hold.
        wanted: String,
        /// The columns that are there.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// A header line that does not follow the format.
    #[error("{}:1: header field {text:?} is not valid; allowed: {allowed}", path.display())]
    BadHeader {
        /// The file.
        path: PathBuf,
        /// The offending text, shortened.
        text: String,
        /// What is allowed.
        allowed: String,
    },
    /// Delimited text that cannot be parsed.
    #[error("{}:{line}: cannot be parsed as delimited text: {reason}", path.display())]
    Delimited {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The parser's reason.
        reason: String,
    },
    /// No training interaction is left after the options were applied.
    #[error("{}: no training interaction is left: {why}", path.display())]
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
