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

    /// Adds one row to each list: of the rows that list `i` has in `rows`, the one with number `chosen[i]`.
    ///
    /// # Panics
    /// When there is not one number for each list, or a number is not below [`BesideRows::each`].
    pub fn append(&mut self, rows: &BesideRows, chosen: &[usize]) {
        assert_eq!(chosen.len(), self.lists.len(), "chosen rows, and lists");
        if let Some(row) = chosen.iter().find(|row| **row >= rows.each) {
            panic!("row {row} of {} beside each other", rows.each);
        }
        let taken: Vec<u32> = chosen.iter().enumerate().map(|(list, row)| (list * rows.each + row) as u32).collect();
        let (lists, order) = self.grown(&Ragged::even(chosen.len(), 1));
        for (block, tables) in rows.blocks.iter().enumerate() {
            self.join(block, &order, tables.clone().map(|table| gather_rows(table, &taken)));
        }
        self.lists = lists;
    }

    /// Keys and values of a block; tables without rows before the first.
    pub(super) fn block(&self, block: usize, like: &Tensor<2>) -> [Tensor<2>; 2] {
        let none = || Tensor::zeros([0, like.dims()[1]], (&like.device(), like.dtype()));
        self.blocks.get(block).cloned().unwrap_or_else(|| [none(), none()])
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

/// Keys and values of rows that could follow each list of a [`Cache`], several for each list, beside each other: of which
/// [`Cache::append`] takes one.
#[derive(Clone, Debug)]
pub struct BesideRows {
    each: usize,
    blocks: Vec<[Tensor<2>; 2]>,
}

impl BesideRows {
    pub(super) fn new(each: usize, blocks: Vec<[Tensor<2>; 2]>) -> Self {
        Self { each, blocks }
    }

    /// Rows for each list.
    pub fn each(&self) -> usize {
        self.each
    }

    /// One after the other what was computed apart: row `k` of each list from `parts[k]`, which have one for each list.
    ///
    /// # Panics
    /// When there are no parts, one has several rows for each list, or they are of different models.
    pub fn joined(parts: &[Self]) -> Self {
        let (count, first) = (parts.len(), parts.first().expect("rows beside each other: no parts"));
        for part in parts {
            assert_eq!((part.each, part.blocks.len()), (1, first.blocks.len()), "parts of rows beside each other");
        }
        let join = |block: usize, which: usize| {
            let tables: Vec<Tensor<2>> = parts.iter().map(|part| part.blocks[block][which].clone()).collect();
            let lists = tables[0].dims()[0];
            let rows: Vec<u32> = (0..lists * count).map(|at| ((at % count) * lists + at / count) as u32).collect();
            gather_rows(Tensor::cat(tables, 0), &rows)
        };
        Self { each: count, blocks: (0..first.blocks.len()).map(|block| [join(block, 0), join(block, 1)]).collect() }
    }
}
