//! Findings that do not stop a reader.

use contrastive_data::FileNote;
use std::fmt::{Display, Formatter};

/// Something about texts that their user should know: what was found, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Of a reader of files.
    File(FileNote),
    /// Texts without a word: they are encoded as the special tokens alone.
    Blank {
        /// File or data.
        name: String,
        /// How many.
        count: usize,
        /// The first, counted from 1.
        first: usize,
    },
    /// Texts left out of a corpus because they are there already.
    Repeated {
        /// File or data.
        name: String,
        /// How many.
        count: usize,
    },
    /// Pairs without a gold score, left out.
    Unscored {
        /// File.
        name: String,
        /// How many.
        count: usize,
    },
    /// A setting that had to be changed to fit the data.
    Changed {
        /// What was changed, and why.
        what: String,
    },
}

impl From<FileNote> for Note {
    fn from(note: FileNote) -> Self {
        Self::File(note)
    }
}

impl Display for Note {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(note) => note.fmt(f),
            Self::Blank { name, count, first } => {
                write!(
                    f,
                    "{name}: {count} texts without a word, the first is number {first}: encoded as the special tokens alone"
                )
            }
            Self::Repeated { name, count } => write!(f, "{name}: {count} texts that are there already are left out"),
            Self::Unscored { name, count } => write!(f, "{name}: {count} pairs without a gold score are left out"),
            Self::Changed { what } => f.write_str(what),
        }
    }
}
