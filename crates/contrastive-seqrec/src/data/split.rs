//! Leave-one-out: the last event of each user is the test, the one before it the validation.

use super::error::SequenceError;
use super::note::Note;
use super::sequences::Sequences;
use contrastive_eval::ranking::ItemSets;

/// What becomes of users with fewer than three events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ShortUsers {
    /// They are left out, and a note counts them.
    #[default]
    Drop,
    /// They are an error.
    Refuse,
}

/// A held-out part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The last event but one, from those before it.
    Validation,
    /// The last event, from all others.
    Test,
}

/// Sequences split for leave-one-out. Of a list `s_1..s_n`, `s_n` is the test target of input `s_1..s_{n-1}`, `s_{n-1}` the validation target
/// of input `s_1..s_{n-2}`, and training sees `s_1..s_{n-2}` alone.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaveOneOut {
    sequences: Sequences,
    /// Users with at least three events.
    users: Vec<u32>,
    notes: Vec<Note>,
}

/// Sorted items for each query, in one array.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    offsets: Vec<usize>,
    items: Vec<u32>,
}

impl Taken {
    /// The different items of each list, less 1: items from 0, as ranking counts them.
    pub fn new<'a>(lists: impl Iterator<Item = &'a [u32]>) -> Self {
        let (mut offsets, mut items) = (vec![0], Vec::new());
        for list in lists {
            let mut own: Vec<u32> = list.iter().filter(|item| **item > 0).map(|item| item - 1).collect();
            own.sort_unstable();
            own.dedup();
            items.extend(own);
            offsets.push(items.len());
        }
        Self { offsets, items }
    }

    /// As the evaluation takes them.
    pub fn sets(&self) -> ItemSets<'_> {
        ItemSets::new(&self.offsets, &self.items).expect("sorted and without repetition")
    }
}

impl LeaveOneOut {
    /// Splits.
    ///
    /// # Errors
    /// When a user has fewer than three events and `short` refuses it, or nobody has more.
    pub fn new(sequences: &Sequences, short: ShortUsers) -> Result<Self, SequenceError> {
        let long = |user: &u32| sequences.list(*user as usize).len() >= 3;
        let (users, few): (Vec<u32>, Vec<u32>) = (0..sequences.num_users() as u32).partition(long);
        let mut notes = sequences.notes().to_vec();
        if let Some(&first) = few.first() {
            let user = sequences.user_label(first as usize).to_string();
            if short == ShortUsers::Refuse {
                return Err(SequenceError::ShortUser { user, events: sequences.list(first as usize).len() });
            }
            notes.push(Note::ShortUsers { count: few.len(), first: user });
        }
        if users.is_empty() {
            return Err(SequenceError::NothingLeft {
                what: "leave-one-out, which needs three events of a user,".into(),
                users: sequences.num_users(),
                items: sequences.num_items(),
                events: sequences.num_events(),
            });
        }
        Ok(Self { sequences: sequences.clone(), users, notes })
    }

    /// All sequences, those of users that were left out too.
    pub fn sequences(&self) -> &Sequences {
        &self.sequences
    }

    /// What was found on the way.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Users in the split.
    pub fn num_users(&self) -> usize {
        self.users.len()
    }

    /// V.
    pub fn num_items(&self) -> usize {
        self.sequences.num_items()
    }

    /// User `at` of the split, as the sequences count them.
    pub fn user(&self, at: usize) -> usize {
        self.users[at] as usize
    }

    fn list(&self, at: usize) -> &[u32] {
        self.sequences.list(self.user(at))
    }

    /// What training sees of user `at`: all but its last two events.
    pub fn train(&self, at: usize) -> &[u32] {
        let list = self.list(at);
        &list[..list.len() - 2]
    }

    /// What training sees of everybody.
    pub fn train_lists(&self) -> impl ExactSizeIterator<Item = &[u32]> {
        (0..self.num_users()).map(|at| self.train(at))
    }

    /// Input and target of a held-out event.
    pub fn held_out(&self, at: usize, part: Part) -> (&[u32], u32) {
        let list = self.list(at);
        let end = match part {
            Part::Validation => list.len() - 2,
            Part::Test => list.len() - 1,
        };
        (&list[..end], list[end])
    }

    /// Inputs of a part, in the order of its users.
    pub fn inputs(&self, part: Part) -> impl ExactSizeIterator<Item = &[u32]> {
        (0..self.num_users()).map(move |at| self.held_out(at, part).0)
    }

    /// Targets of a part, from 0 as ranking counts items.
    pub fn targets(&self, part: Part) -> Vec<u32> {
        (0..self.num_users()).map(|at| self.held_out(at, part).1 - 1).collect()
    }

    /// What each user has taken before a part's target.
    pub fn taken(&self, part: Part) -> Taken {
        Taken::new(self.inputs(part))
    }
}
