//! What can be wrong with a file, and where.

use std::path::PathBuf;

use thiserror::Error;

use super::lines::elided as cut;
use super::place::{Origin, shown};

/// Why a file was refused. Every message names the place, what was found there, and what is allowed, in fewer than 500
/// characters. Lines are counted from 1.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// A path that does not exist.
    #[error("{}: no such file or directory; looked for {}", shown(path), cut(looked_for, 330))]
    NotFound {
        /// The path asked for.
        path: PathBuf,
        /// What would have been accepted there.
        looked_for: String,
    },
    /// The operating system refused to read.
    #[error("{}: cannot be read: {source}", shown(path))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A directory where a file is due.
    #[error("{}: a directory; allowed: a file", shown(path))]
    Directory {
        /// The path.
        path: PathBuf,
    },
    /// A file that became shorter or longer while it was read.
    #[error(
        "{}: {found} bytes could be read of a file of {expected}: it changed meanwhile; allowed: a file that nobody is writing to",
        shown(path)
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its size when it was opened.
        expected: u64,
        /// The bytes that came.
        found: u64,
    },
    /// A directory or file in which no supported format was recognised, or more than one.
    #[error("{}: no {what} here (found {}); looked for {}", shown(path), cut(found, 100), cut(looked_for, 215))]
    Unrecognised {
        /// The path asked for.
        path: PathBuf,
        /// What should be there.
        what: &'static str,
        /// What lies there.
        found: String,
        /// What would have been accepted.
        looked_for: String,
    },
    /// A file without a row.
    #[error("{}: empty: nothing to read in it; expected {}", shown(path), cut(expected, 200))]
    Empty {
        /// The file.
        path: PathBuf,
        /// What a line should look like.
        expected: String,
    },
    /// Bytes that are not UTF-8 text where text is due.
    #[error("{origin}: {found}; allowed: UTF-8 text")]
    NotText {
        /// Where.
        origin: Origin,
        /// What it is instead.
        found: &'static str,
    },
    /// Something that the format does not allow.
    #[error("{origin}: {}; allowed: {}", cut(found, 170), cut(allowed, 190))]
    Malformed {
        /// Where.
        origin: Origin,
        /// What stands there.
        found: String,
        /// What is allowed.
        allowed: String,
    },
    /// A size that the input has or claims, beyond a limit; nothing was allocated for it.
    #[error("{origin}: {what} is {value}; allowed: at most {limit}")]
    Limit {
        /// Where.
        origin: Origin,
        /// What is too large.
        what: &'static str,
        /// Its size.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// A row with another number of columns than the file's first row.
    #[error("{origin}: {found} columns, allowed: {}, in {text:?}", cut(expected, 150))]
    ColumnCount {
        /// The line.
        origin: Origin,
        /// Columns of this row.
        found: usize,
        /// What is allowed.
        expected: String,
        /// The row, shortened.
        text: Box<str>,
    },
    /// A column that was asked for, or is needed, and is not there.
    #[error("{}: no {} column; found {}; allowed: {}", shown(path), cut(wanted, 50), cut(found, 90), cut(allowed, 200))]
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
    /// A number that is none, or not a finite one.
    #[error("{origin}: {what} {text:?} is not a finite number; allowed: numbers such as 3, 4.5 or 3.2e5")]
    BadNumber {
        /// Where.
        origin: Origin,
        /// What the column holds.
        what: &'static str,
        /// The offending text, shortened.
        text: String,
    },
    /// A time that is neither a number nor a date, or another kind of time than those before it.
    #[error("{origin}: {what} {text:?} is not a finite number or a date; allowed: {allowed}")]
    BadTime {
        /// Where.
        origin: Origin,
        /// What the column holds.
        what: &'static str,
        /// The offending text, shortened.
        text: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// An id that cannot be one.
    #[error("{origin}: {what} id {text:?} is not valid; allowed: {}", cut(allowed, 150))]
    BadId {
        /// Where.
        origin: Origin,
        /// Whose id: `user`, `item`, `node`.
        what: &'static str,
        /// The offending text, shortened.
        text: Box<str>,
        /// What is allowed.
        allowed: String,
    },
}
