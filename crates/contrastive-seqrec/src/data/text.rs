//! One line for each user: the user's id, then the items' ids in time order.

use super::error::SequenceError;
use super::sequences::{Event, Sequences};
use contrastive_data::{Limits, read_text};
use std::collections::HashMap;
use std::path::Path;

/// Largest id: two numbers of a table are padding and mask.
const LARGEST: u64 = u32::MAX as u64 - 2;

impl Sequences {
    /// Reads lists of S3-Rec's form (also CL4SRec's, ICLRec's, ICSRec's): a line for each user, `user item item ...`, whole numbers separated
    /// by blanks or tabs, items from 1 in time order. Items are numbered by their ids, which leaves them as they are where none is
    /// missing. Empty lines are passed over.
    ///
    /// # Errors
    /// [`SequenceError`] with file and line: an item that is 0, negative or not a number, a user without items or on two lines, an empty file.
    pub fn read_lists(path: impl AsRef<Path>) -> Result<Self, SequenceError> {
        let path = path.as_ref();
        Self::parse_lists(path, &read_text(path, &Limits::default())?)
    }

    pub(super) fn parse_lists(path: &Path, bytes: &[u8]) -> Result<Self, SequenceError> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = HashMap::new();
        let mut events = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let place = || format!("{}:{}", path.display(), at + 1);
            let mut words = line.split_ascii_whitespace();
            let Some(user) = words.next() else { continue };
            let before = events.len();
            for word in words {
                let good = word.parse::<u64>().is_ok_and(|id| (1..=LARGEST).contains(&id));
                if !good {
                    let (user, text) = (user.to_string(), word.to_string());
                    return Err(SequenceError::BadItem { place: place(), user, text, largest: LARGEST });
                }
                events.push(Event { user: user.into(), item: word.into(), time: Some(events.len() as f64) });
            }
            if events.len() == before {
                return Err(SequenceError::EmptyHistory { place: place(), user: user.into() });
            }
            if let Some(first) = lines.insert(user, at + 1) {
                let path = path.to_path_buf();
                return Err(SequenceError::RepeatedUser { path, line: at + 1, user: user.into(), first });
            }
        }
        if events.is_empty() {
            let expected = "a line for each user: its id, then the ids of its items in time order";
            return Err(SequenceError::Empty { origin: path.display().to_string(), expected });
        }
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self::from_events(&name, events))
    }
}
