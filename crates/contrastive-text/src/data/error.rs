//! What can be wrong with texts, and where.

use contrastive_data::text::TokenizerError;
use contrastive_data::{FileError, shown};
use std::path::PathBuf;
use thiserror::Error;

/// Why texts were refused. Lines are counted from 1, texts in memory from 0.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TextDataError {
    /// A file that cannot be read, or not as what it should be.
    #[error(transparent)]
    File(#[from] FileError),
    /// A vocabulary, or a text that it cannot encode.
    #[error(transparent)]
    Tokenizer(Box<TokenizerError>),
    /// A line that cannot be read.
    #[error("{}:{line}: {problem}; allowed: {allowed}", shown(path))]
    BadLine {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What stands there.
        problem: String,
        /// What is allowed.
        allowed: String,
    },
    /// Two files whose lines belong together and are not as many.
    #[error(
        "{} has {first_lines} lines and {} has {second_lines}; line i of both belongs together, so both must have as many",
        shown(first),
        shown(second)
    )]
    UnequalFiles {
        /// One file.
        first: PathBuf,
        /// Its lines.
        first_lines: usize,
        /// The other file.
        second: PathBuf,
        /// Its lines.
        second_lines: usize,
    },
    /// Nothing to learn from, or to evaluate on.
    #[error("{what}: {problem}")]
    Nothing {
        /// The data.
        what: String,
        /// What is missing, and what is needed.
        problem: String,
    },
    /// Lists that belong together and are not as long.
    #[error("{what}: {found} of them, and {expected} {of}; there must be as many")]
    Unequal {
        /// What is counted.
        what: &'static str,
        /// How many.
        found: usize,
        /// What they belong to.
        of: &'static str,
        /// How many of these.
        expected: usize,
    },
}

impl From<TokenizerError> for TextDataError {
    fn from(error: TokenizerError) -> Self {
        Self::Tokenizer(Box::new(error))
    }
}

impl TextDataError {
    pub(crate) fn nothing(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Nothing { what: what.into(), problem: problem.into() }
    }
}
