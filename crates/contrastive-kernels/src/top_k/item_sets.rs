//! Sets of items, one a row, borrowed from flat arrays.

use std::fmt;

/// One sorted set of item indices for each row: a borrowed view of compressed sparse rows without values.
///
/// The rows are checked once, in [`ItemSets::new`]: whoever holds a view may rely on every row being strictly ascending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemSets<'a> {
    rows: usize,
    /// `rows + 1` offsets, or nothing when all rows are empty.
    offsets: &'a [usize],
    items: &'a [u32],
}

impl<'a> ItemSets<'a> {
    /// Row `r` is `items[offsets[r]..offsets[r + 1]]`.
    ///
    /// # Errors
    /// When the offsets are empty, do not start at 0, decrease, or do not end at `items.len()`; when a row is not
    /// sorted or repeats an item.
    pub fn new(offsets: &'a [usize], items: &'a [u32]) -> Result<Self, ItemSetsError> {
        let ends = (offsets.first().copied(), offsets.last().copied());
        if ends != (Some(0), Some(items.len())) {
            return Err(ItemSetsError::Ends { first: ends.0, last: ends.1, items: items.len() });
        }
        if let Some(row) = offsets.windows(2).position(|w| w[0] > w[1]) {
            return Err(ItemSetsError::DecreasingOffset { row });
        }
        for (row, w) in offsets.windows(2).enumerate() {
            for pair in items[w[0]..w[1]].windows(2) {
                match pair[0].cmp(&pair[1]) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => return Err(ItemSetsError::RepeatedItem { row, item: pair[0] }),
                    std::cmp::Ordering::Greater => return Err(ItemSetsError::UnsortedItems { row, item: pair[1] }),
                }
            }
        }
        Ok(Self { rows: offsets.len() - 1, offsets, items })
    }

    /// `rows` empty sets.
    pub fn empty(rows: usize) -> Self {
        Self { rows, offsets: &[], items: &[] }
    }

    /// Number of sets.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of entries in all sets together.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether all sets are empty.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The items of one set, strictly ascending.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn row(&self, row: usize) -> &'a [u32] {
        assert!(row < self.rows, "row {row} of {} item sets", self.rows);
        if self.offsets.is_empty() { &[] } else { &self.items[self.offsets[row]..self.offsets[row + 1]] }
    }

    /// All sets in order.
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [u32]> {
        (0..self.rows).map(move |row| self.row(row))
    }
}

/// Why flat arrays are no [`ItemSets`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemSetsError {
    /// The offsets do not run from 0 to the number of items.
    Ends {
        /// First offset, if there is one.
        first: Option<usize>,
        /// Last offset, if there is one.
        last: Option<usize>,
        /// Number of items.
        items: usize,
    },
    /// A row ends before it starts.
    DecreasingOffset {
        /// The row.
        row: usize,
    },
    /// A row is not in ascending order.
    UnsortedItems {
        /// The row.
        row: usize,
        /// The first item that is smaller than the one before it.
        item: u32,
    },
    /// A row holds an item twice.
    RepeatedItem {
        /// The row.
        row: usize,
        /// The item.
        item: u32,
    },
}

impl fmt::Display for ItemSetsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Ends { first: Some(first), last: Some(last), items } => {
                write!(
                    f,
                    "the offsets run from {first} to {last}; they must run from 0 to the number of items, {items}"
                )
            }
            Self::Ends { items, .. } => {
                write!(f, "there are no offsets for {items} items; even no rows need the offset 0")
            }
            Self::DecreasingOffset { row } => write!(f, "row {row} ends before it starts; offsets must not decrease"),
            Self::UnsortedItems { row, item } => {
                write!(f, "item {item} of row {row} is smaller than the one before it; rows must be sorted")
            }
            Self::RepeatedItem { row, item } => write!(f, "item {item} is twice in row {row}; rows are sets"),
        }
    }
}

impl std::error::Error for ItemSetsError {}
