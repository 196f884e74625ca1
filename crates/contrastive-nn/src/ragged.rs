//! Lists of different lengths, their rows one after the other.

use burn::tensor::{Tensor, TensorData};
use contrastive_core::linear::gather_rows;
use std::ops::Range;
use std::sync::Arc;
use thiserror::Error;

/// Where the lists of a packed batch begin and end: list `i` has the rows `offsets[i]..offsets[i + 1]` of a table `[total, d]`.
///
/// No padded position is stored or computed. Lists may be empty. A clone shares the offsets.
///
/// ```
/// use contrastive_nn::Ragged;
///
/// let lists = Ragged::from_lengths(&[3, 0, 2]);
/// assert_eq!((lists.len(), lists.total(), lists.range(2)), (3, 5, 3..5));
/// assert_eq!(lists.positions(), [0, 1, 2, 0, 1]);
/// assert_eq!(lists.positions_ending_at(4), [1, 2, 3, 2, 3]); // as if each list were padded on the left to 4
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ragged {
    offsets: Arc<[usize]>,
}

/// Offsets that are none.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum RaggedError {
    /// No first offset, or one that is not 0.
    #[error("offsets of lists begin with {0:?}: the first must be 0")]
    Start(Option<usize>),
    /// An offset below the one before.
    #[error("offset {at} of lists is {value}, the one before is {before}: offsets must not descend")]
    Descending {
        /// Which offset.
        at: usize,
        /// The offset.
        value: usize,
        /// The one before.
        before: usize,
    },
}

impl Ragged {
    /// Lists of these lengths.
    pub fn from_lengths(lengths: &[usize]) -> Self {
        let mut offsets = Vec::with_capacity(lengths.len() + 1);
        offsets.push(0);
        for length in lengths {
            offsets.push(offsets[offsets.len() - 1] + length);
        }
        Self { offsets: offsets.into() }
    }

    /// Lists between these offsets.
    ///
    /// # Errors
    /// When the first is not 0 or they descend.
    pub fn from_offsets(offsets: Vec<usize>) -> Result<Self, RaggedError> {
        if offsets.first() != Some(&0) {
            return Err(RaggedError::Start(offsets.first().copied()));
        }
        if let Some(at) = (1..offsets.len()).find(|&at| offsets[at] < offsets[at - 1]) {
            return Err(RaggedError::Descending { at, value: offsets[at], before: offsets[at - 1] });
        }
        Ok(Self { offsets: offsets.into() })
    }

    /// `count` lists of `length` rows each.
    pub fn even(count: usize, length: usize) -> Self {
        Self::from_lengths(&vec![length; count])
    }

    /// The number of lists.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Are there no lists?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows of all lists.
    pub fn total(&self) -> usize {
        self.offsets[self.len()]
    }

    /// One offset more than lists; the last is [`total`](Self::total).
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// The rows of a list.
    ///
    /// # Panics
    /// When there is no such list.
    pub fn range(&self, list: usize) -> Range<usize> {
        self.offsets[list]..self.offsets[list + 1]
    }

    /// The rows of each list.
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// The length of each list.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.ranges().map(|range| range.len())
    }

    /// The length of the longest list; 0 without lists.
    pub fn longest(&self) -> usize {
        self.lengths().max().unwrap_or(0)
    }

    /// The position of each row in its list, from 0.
    pub fn positions(&self) -> Vec<u32> {
        self.lengths().flat_map(|length| 0..length as u32).collect()
    }

    /// The position of each row when the last row of each list stands at `end - 1`, as in a batch padded on the left.
    ///
    /// # Panics
    /// When a list is longer than `end`.
    pub fn positions_ending_at(&self, end: usize) -> Vec<u32> {
        assert!(self.longest() <= end, "a list of {} rows that ends at position {end}", self.longest());
        self.lengths().flat_map(|length| (end - length) as u32..end as u32).collect()
    }

    /// The list of each row.
    pub fn lists(&self) -> Vec<u32> {
        self.lengths().enumerate().flat_map(|(list, length)| std::iter::repeat_n(list as u32, length)).collect()
    }

    /// The first row of each list.
    ///
    /// # Panics
    /// When a list is empty.
    pub fn first_rows(&self) -> Vec<u32> {
        self.not_empty().map(|range| range.start as u32).collect()
    }

    /// The last row of each list.
    ///
    /// # Panics
    /// When a list is empty.
    pub fn last_rows(&self) -> Vec<u32> {
        self.not_empty().map(|range| range.end as u32 - 1).collect()
    }

    fn not_empty(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.ranges().enumerate().map(|(list, range)| {
            assert!(!range.is_empty(), "list {list} of {} is empty", self.len());
            range
        })
    }

    /// Some of these lists, in this order, and the rows they take from a packed table.
    ///
    /// # Panics
    /// When there is no such list.
    pub fn select(&self, lists: &[usize]) -> (Self, Vec<u32>) {
        let lengths: Vec<usize> = lists.iter().map(|&list| self.range(list).len()).collect();
        let rows = lists.iter().flat_map(|&list| self.range(list)).map(|row| row as u32).collect();
        (Self::from_lengths(&lengths), rows)
    }

    /// The rows of a padded batch, without the padding.
    ///
    /// # Shapes
    /// - padded: `[lists, width, d]`, each list at the start of its row
    /// - output: `[total, d]`
    ///
    /// # Panics
    /// When the number of lists differs, or one is longer than the width.
    pub fn pack(&self, padded: Tensor<3>) -> Tensor<2> {
        let [lists, width, d] = padded.dims();
        assert_eq!(lists, self.len(), "lists of a padded batch {:?}, and lists", padded.dims());
        assert!(self.longest() <= width, "a list of {} rows in a width of {width}", self.longest());
        let rows = self.lengths().enumerate().flat_map(|(list, length)| list * width..list * width + length);
        let rows: Vec<u32> = rows.map(|row| row as u32).collect();
        gather_rows(padded.reshape([lists * width, d]), &rows)
    }

    /// A padded batch of zeros, with each list at the start of its row.
    ///
    /// # Shapes
    /// - packed: `[total, d]`
    /// - output: `[lists, width, d]`
    ///
    /// # Panics
    /// When the number of rows differs, or a list is longer than the width.
    pub fn pad(&self, packed: Tensor<2>, width: usize) -> Tensor<3> {
        let [total, d] = packed.dims();
        assert_eq!(total, self.total(), "rows of a packed batch {:?}, and of its lists", packed.dims());
        assert!(self.longest() <= width, "a list of {} rows in a width of {width}", self.longest());
        let shape = [self.len(), width, d];
        if total == 0 {
            return Tensor::zeros(shape, (&packed.device(), packed.dtype()));
        }
        let padded = |range: Range<usize>| {
            let length = range.len();
            range.map(|row| row as u32).chain(std::iter::repeat_n(0, width - length))
        };
        let rows: Vec<u32> = self.ranges().flat_map(padded).collect();
        let mask = |length: usize| (0..width).map(move |at| f32::from(u8::from(at < length)));
        let mask: Vec<f32> = self.lengths().flat_map(mask).collect();
        let count = mask.len();
        let mask = Tensor::<2>::from_data(TensorData::new(mask, [count, 1]), (&packed.device(), packed.dtype()));
        (gather_rows(packed, &rows) * mask).reshape(shape)
    }
}
