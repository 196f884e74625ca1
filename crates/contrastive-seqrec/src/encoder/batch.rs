//! Lists packed one after the other.

use super::Padding;
use contrastive_nn::Ragged;
use contrastive_nn::layer::Reach;

/// Lists of items, one after the other, without padding.
///
/// A padding item within a list is a hidden one: attention passes over it. Its row is not computed, unless it is the last of its list,
/// whose output is read; the others keep their positions.
#[derive(Clone, Debug, PartialEq)]
pub struct ListBatch {
    items: Vec<u32>,
    lists: Ragged,
    /// Place of each row in its list, hidden items counted.
    places: Vec<u32>,
    /// Length of each list, hidden items counted.
    lengths: Vec<u32>,
    /// Is the last item of a list hidden?
    hidden_last: Vec<bool>,
    hidden: bool,
}

impl ListBatch {
    /// Packs the last `max_len` items of each list.
    ///
    /// # Panics
    /// When a list is empty.
    pub fn new<'a>(lists: impl IntoIterator<Item = &'a [u32]>, max_len: usize) -> Self {
        let (mut items, mut places, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let (mut lengths, mut hidden_last, mut hidden) = (Vec::new(), Vec::new(), false);
        for list in lists {
            let list = &list[list.len().saturating_sub(max_len)..];
            let last = *list.last().expect("a list of at least one item");
            let before = items.len();
            for (place, &item) in list.iter().enumerate() {
                if item > 0 || place + 1 == list.len() {
                    items.push(item);
                    places.push(place as u32);
                }
                hidden |= item == 0;
            }
            rows.push(items.len() - before);
            lengths.push(list.len() as u32);
            hidden_last.push(last == 0);
        }
        Self { items, lists: Ragged::from_lengths(&rows), places, lengths, hidden_last, hidden }
    }

    /// Number of lists.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// No list?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items whose rows are computed.
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// Where each list's rows are.
    pub fn lists(&self) -> &Ragged {
        &self.lists
    }

    /// Are there hidden items?
    pub fn has_hidden(&self) -> bool {
        self.hidden
    }

    /// The position of each row: from the start of the list (padding on the right), or so that the last item of a list stands at
    /// `max_len - 1` (padding on the left).
    pub fn positions(&self, padding: Padding, max_len: usize) -> Vec<u32> {
        match padding {
            Padding::Right => self.places.clone(),
            Padding::Left => {
                let of = |(range, length): (std::ops::Range<usize>, &u32)| {
                    let shift = max_len as u32 - length;
                    self.places[range].iter().map(move |place| place + shift)
                };
                self.lists.ranges().zip(&self.lengths).flat_map(of).collect()
            }
        }
    }

    /// Each row attends to itself and those before it, but to no hidden item.
    pub fn reach(&self) -> Reach {
        let mut visible: Vec<u32> = self.lists.positions().into_iter().map(|place| place + 1).collect();
        self.lists.ranges().zip(&self.hidden_last).filter(|(_, hidden)| **hidden).for_each(|(range, _)| {
            // a hidden last row is the last key of its list: it sees those before it
            visible[range.end - 1] -= 1;
        });
        Reach::first_keys(&self.lists, &self.lists, visible)
    }

    /// The same for the last rows alone.
    pub fn reach_of_last(&self) -> Reach {
        let visible = self.lists.lengths().zip(&self.hidden_last);
        let visible = visible.map(|(length, hidden)| (length - usize::from(*hidden)) as u32).collect();
        Reach::first_keys(&Ragged::even(self.len(), 1), &self.lists, visible)
    }
}
