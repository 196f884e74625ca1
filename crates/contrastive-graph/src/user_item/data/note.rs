//! Findings that do not stop a lenient reader.

use contrastive_data::FileNote;

use super::error::Side;

/// Something noteworthy about a data set that was read without [`strict`](super::LoadOptions::strict).
///
/// Each says what was found and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// Something about a file that could have been read in another way.
    File(FileNote),
    /// Repeated pairs inside one file; the first of each was kept.
    DuplicatePairs {
        /// File name.
        file: String,
        /// How many were dropped.
        dropped: usize,
        /// Line of the first one dropped.
        line: usize,
    },
    /// Rows under `min_rating`, left out.
    BelowMinRating {
        /// File name.
        file: String,
        /// How many rows.
        rows: usize,
    },
    /// Numbers between the ids that never occur; kept as users or items without interactions.
    IdGap {
        /// User or item.
        side: Side,
        /// How many numbers.
        absent: u64,
        /// The smallest of them, as written in the file's numbering.
        first: u64,
    },
    /// Ids that leave out most numbers; the ids that occur were renumbered in ascending order.
    Relabelled {
        /// User or item.
        side: Side,
        /// How many ids occur.
        ids: usize,
        /// The largest id.
        largest: u64,
    },
    /// Users without a training item: they keep their untrained embedding.
    UsersWithoutTrainItems {
        /// How many.
        count: usize,
        /// The original id of the first.
        first: String,
    },
    /// Items without a training user: they can be recommended, but nothing is known about them.
    ItemsWithoutTrainUsers {
        /// How many.
        count: usize,
        /// The original id of the first.
        first: String,
    },
    /// Test users without a training item; their test pairs stay and count.
    TestUsersAbsentFromTrain {
        /// How many.
        count: usize,
        /// The original id of the first.
        first: String,
    },
    /// Held-out pairs that are training pairs too; taken out of the held-out part, since training items are never ranked.
    HeldOutPairsInTrain {
        /// File name of the held-out part.
        file: String,
        /// How many.
        count: usize,
    },
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Note::File(note) => note.fmt(f),
            Note::DuplicatePairs { file, dropped, line } => {
                write!(f, "{file}: {dropped} duplicate pairs dropped, the first at line {line}")
            }
            Note::BelowMinRating { file, rows } => write!(f, "{file}: {rows} rows below the minimum rating left out"),
            Note::IdGap { side, absent, first } => {
                write!(f, "{absent} {side} ids never occur (the first is {first}); kept without interactions")
            }
            Note::Relabelled { side, ids, largest } => {
                write!(f, "{ids} {side} ids up to {largest} renumbered in ascending order")
            }
            Note::UsersWithoutTrainItems { count, first } => {
                write!(f, "{count} users have no training items (the first is {first})")
            }
            Note::ItemsWithoutTrainUsers { count, first } => {
                write!(f, "{count} items have no training users (the first is {first})")
            }
            Note::TestUsersAbsentFromTrain { count, first } => {
                write!(f, "{count} test users are absent from the training data (the first is {first})")
            }
            Note::HeldOutPairsInTrain { file, count } => {
                write!(f, "{file}: {count} pairs are training pairs too and were taken out of it")
            }
        }
    }
}
