//! Lists of tokens, one after the other.

use contrastive_nn::Ragged;

/// The tokens of some texts, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenBatch {
    /// The tokens of all texts.
    pub ids: Vec<u32>,
    /// Where each text begins and ends.
    pub lists: Ragged,
    /// The type of each token (0 in the first text of a pair, 1 in the second), for encoders that have types; all 0 without.
    pub types: Option<Vec<u32>>,
}

impl TokenBatch {
    /// Of these lists.
    ///
    /// # Panics
    /// When a list is empty.
    pub fn new<'a>(lists: impl IntoIterator<Item = &'a [u32]>) -> Self {
        let (mut ids, mut lengths) = (Vec::new(), Vec::new());
        for list in lists {
            assert!(!list.is_empty(), "text {} of a batch has no token", lengths.len());
            ids.extend_from_slice(list);
            lengths.push(list.len());
        }
        Self { ids, lists: Ragged::from_lengths(&lengths), types: None }
    }

    /// Some of the texts, in their order.
    ///
    /// # Panics
    /// When the range ends beyond the texts.
    pub fn part(&self, texts: std::ops::Range<usize>) -> Self {
        let ranges: Vec<_> = self.lists.ranges().skip(texts.start).take(texts.len()).collect();
        assert_eq!(ranges.len(), texts.len(), "texts {texts:?} of a batch of {}", self.len());
        let lengths: Vec<usize> = ranges.iter().map(|range| range.len()).collect();
        let tokens = ranges.first().map_or(0, |range| range.start)..ranges.last().map_or(0, |range| range.end);
        let types = self.types.as_ref().map(|types| types[tokens.clone()].to_vec());
        Self { ids: self.ids[tokens].to_vec(), lists: Ragged::from_lengths(&lengths), types }
    }

    /// The texts.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }
}
