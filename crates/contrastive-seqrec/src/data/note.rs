//! Findings that do not stop a reader.

/// Something about the sequences that their user should know: what was found, and what was done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The file has no times: events are taken in the order of its lines.
    OrderOfFile,
    /// Users whose last two events have the same time, so that the held-out event depends on the order of the file.
    TiedLastEvents {
        /// How many.
        users: usize,
        /// Of how many.
        of: usize,
    },
    /// Users with fewer than three events, left out of the split.
    ShortUsers {
        /// How many.
        count: usize,
        /// The first of them.
        first: String,
    },
    /// What the k-core left out.
    Core {
        /// k.
        k: usize,
        /// Users left out.
        users: usize,
        /// Items left out.
        items: usize,
        /// Events left out.
        events: usize,
    },
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OrderOfFile => write!(f, "no times: events are taken in the order of the file"),
            Self::TiedLastEvents { users, of } => write!(
                f,
                "the last two events of {users} of {of} users have the same time: which one is held out rests on the order of the file"
            ),
            Self::ShortUsers { count, first } => {
                write!(f, "{count} users with fewer than 3 events are left out (the first is {first})")
            }
            Self::Core { k, users, items, events } => {
                write!(f, "{k}-core: {users} users, {items} items and {events} events are left out")
            }
        }
    }
}
