//! Findings that do not stop a reader: what was in doubt, and how it was decided.

use std::fmt::{Display, Formatter};
use std::path::Path;

use super::delimited::Delimiter;

/// Something about a file that could have been read in another way, with the way that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileNote {
    /// More than one delimiter divides all rows alike.
    Delimiter {
        /// File name.
        file: String,
        /// The one taken.
        taken: Delimiter,
        /// Another that would have done.
        other: Delimiter,
    },
    /// The first row was taken for a header although it could be data, or the other way round.
    Header {
        /// File name.
        file: String,
        /// The line.
        line: usize,
        /// The row, shortened.
        text: String,
        /// Whether it was taken for a header.
        header: bool,
    },
    /// Lines that begin with `#` or `%`, left out where that may be in doubt: they have as many columns as the data, or stand
    /// after its first row.
    Comments {
        /// File name.
        file: String,
        /// How many.
        count: usize,
        /// The first of them.
        line: usize,
    },
    /// Ids of which most are whole numbers are text, because one is not.
    TextIds {
        /// File name.
        file: String,
        /// The line of the first id that is no canonical whole number.
        line: usize,
        /// Whose ids.
        what: &'static str,
        /// The id, shortened.
        text: String,
    },
    /// Rows whose field is empty.
    Missing {
        /// File name.
        file: String,
        /// What is missing.
        what: &'static str,
        /// How many rows.
        rows: usize,
        /// The first of them.
        line: usize,
        /// What was done about it.
        outcome: &'static str,
    },
    /// The layout of a file that could also be another.
    Layout {
        /// File name.
        file: String,
        /// What it was taken for, and why.
        taken: String,
    },
    /// Other files of a folder that could have been meant.
    Chosen {
        /// The file taken.
        file: String,
        /// The others, shortened.
        others: String,
    },
}

impl Display for FileNote {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Delimiter { file, taken, other } => {
                write!(f, "{file}: columns are divided at {taken}; {other} would divide all rows alike, too")
            }
            Self::Header { file, line, text, header: true } => {
                write!(f, "{file}:{line}: {text:?} was taken for a header, not for data")
            }
            Self::Header { file, line, text, header: false } => {
                write!(f, "{file}:{line}: {text:?} was taken for data, not for a header")
            }
            Self::Comments { file, count: 1, line } => write!(f, "{file}:{line}: a comment was left out"),
            Self::Comments { file, count, line } => {
                write!(f, "{file}: {count} comments were left out, the first at line {line}")
            }
            Self::TextIds { file, line, what, text } => {
                write!(f, "{file}:{line}: {what} ids are text, because {text:?} is not a plain whole number")
            }
            Self::Missing { file, what, rows: 1, line, outcome } => {
                write!(f, "{file}:{line}: a row without {what}: {outcome}")
            }
            Self::Missing { file, what, rows, line, outcome } => {
                write!(f, "{file}: {rows} rows without {what}, the first at line {line}: {outcome}")
            }
            Self::Layout { file, taken } => write!(f, "{file}: {taken}"),
            Self::Chosen { file, others } => write!(f, "{file} was read; not read: {others}"),
        }
    }
}

/// A file's name without its folder.
pub fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
