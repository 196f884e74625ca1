//! Keys and values of the rows that were there before.

use crate::Ragged;
use burn::tensor::Tensor;
use contrastive_core::linear::gather_rows;

/// The keys and values of every block of a [`Transformer`](super::Transformer), for rows that are decoded one after the other.
///
/// Lists can be chosen, dropped and repeated ([`select`](Self::select)): candidates of one list, or beams.
#[derive(Clone, Debug)]
pub struct Cache {
    lists: Ragged,
    blocks: Vec<[Tensor<2>; 2]>,
}

impl Cache {
    /// So many lists without rows.
    pub fn new(lists: usize) -> Self {
        Self { lists: Ragged::even(lists, 0), blocks: Vec::new() }
    }

    /// The lists whose keys and values are here.
    pub fn lists(&self) -> &Ragged {
        &self.lists
    }

    /// These lists, in this order; one may be there several times.
    ///
    /// # Panics
    /// When there is no such list.
    pub fn select(&self, lists: &[usize]) -> Self {
        let (selected, rows) = self.lists.select(lists);
        let take = |tables: &[Tensor<2>; 2]| tables.clone().map(|table| gather_rows(table, &rows));
        Self { lists: selected, blocks: self.blocks.iter().map(take).collect() }
    }

    /// Only the first rows of each list, at most `lengths[list]`.
    ///
    /// # Panics
    /// When there is not one length for each list.
    pub fn truncate(&self, lengths: &[usize]) -> Self {
        assert_eq!(lengths.len(), self.lists.len(), "lengths, and lists");
        let kept: Vec<usize> = self.lists.lengths().zip(lengths).map(|(length, most)| length.min(*most)).collect();
        let rows = self.lists.ranges().zip(&kept).flat_map(|(range, kept)| range.start..range.start + kept);
        let rows: Vec<u32> = rows.map(|row| row as u32).collect();
        let take = |tables: &[Tensor<2>; 2]| tables.clone().map(|table| gather_rows(table, &rows));
        Self { lists: Ragged::from_lengths(&kept), blocks: self.blocks.iter().map(take).collect() }
    }

    /// The lists with these more rows, and which rows of [old, then new] they take.
    pub(super) fn grown(&self, new: &Ragged) -> (Ragged, Vec<u32>) {
        assert_eq!(new.len(), self.lists.len(), "lists of new rows, and of cached ones");
        let old = self.lists.total();
        let lengths: Vec<usize> = self.lists.lengths().zip(new.lengths()).map(|(old, new)| old + new).collect();
        let rows = self
            .lists
            .ranges()
            .zip(new.ranges())
            .flat_map(|(before, after)| before.chain(old + after.start..old + after.end).map(|row| row as u32));
        (Ragged::from_lengths(&lengths), rows.collect())
    }

    /// Keys and values of block `block` with those of the new rows behind those of their lists.
    pub(super) fn join(&mut self, block: usize, rows: &[u32], new: [Tensor<2>; 2]) -> [Tensor<2>; 2] {
        let joined = match self.blocks.get(block) {
            None => new,
            Some(old) => {
                let [old_keys, old_values] = old.clone();
                let [keys, values] = new;
                [(old_keys, keys), (old_values, values)]
                    .map(|(old, new)| gather_rows(Tensor::cat(vec![old, new], 0), rows))
            }
        };
        match self.blocks.get_mut(block) {
            Some(tables) => *tables = joined.clone(),
            None => self.blocks.push(joined.clone()),
        }
        joined
    }

    pub(super) fn set_lists(&mut self, lists: Ragged) {
        self.lists = lists;
    }
}
