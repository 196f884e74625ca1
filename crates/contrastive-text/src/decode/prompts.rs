//! What is continued.

use super::DecodeError;
use contrastive_nn::Ragged;

/// Token lists of any lengths, none of them empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompts {
    lists: Vec<Vec<u32>>,
}

impl Prompts {
    /// These lists.
    ///
    /// # Errors
    /// When there are none, or one is empty.
    pub fn new(lists: Vec<Vec<u32>>) -> Result<Self, DecodeError> {
        if lists.is_empty() {
            return Err(DecodeError::NoPrompts);
        }
        match lists.iter().position(Vec::is_empty) {
            Some(row) => Err(DecodeError::EmptyPrompt { row }),
            None => Ok(Self { lists }),
        }
    }

    /// The rows of a padded batch, row-major, `width` tokens each: those that the mask marks. Wherever the padding stands, and whatever
    /// its tokens are, it is left out: positions count the tokens that are there.
    ///
    /// # Errors
    /// When there are no rows, numbers do not fit, or nothing of a row is marked.
    pub fn padded(ids: &[u32], mask: &[bool], width: usize) -> Result<Self, DecodeError> {
        if width == 0 || ids.len() != mask.len() || !ids.len().is_multiple_of(width) {
            return Err(DecodeError::PaddedShape { ids: ids.len(), mask: mask.len(), width });
        }
        let kept = |(ids, mask): (&[u32], &[bool])| -> Vec<u32> {
            ids.iter().zip(mask).filter(|(_, kept)| **kept).map(|(id, _)| *id).collect()
        };
        let lists: Vec<Vec<u32>> = ids.chunks(width).zip(mask.chunks(width)).map(kept).collect();
        match lists.iter().position(Vec::is_empty) {
            Some(row) => Err(DecodeError::AllMasked { row, width }),
            None => Self::new(lists),
        }
    }

    /// The lists.
    pub fn lists(&self) -> &[Vec<u32>] {
        &self.lists
    }

    /// Number of prompts, at least 1.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// All tokens, list by list, and where the lists begin.
    pub(super) fn packed(&self) -> (Vec<u32>, Ragged) {
        let lengths: Vec<usize> = self.lists.iter().map(Vec::len).collect();
        (self.lists.concat(), Ragged::from_lengths(&lengths))
    }

    pub(super) fn check(&self, vocabulary: usize, positions: Option<usize>, new: usize) -> Result<(), DecodeError> {
        for (row, list) in self.lists.iter().enumerate() {
            if let Some(at) = list.iter().position(|id| *id as usize >= vocabulary) {
                return Err(DecodeError::UnknownToken { row, at, id: list[at], vocabulary });
            }
            if let Some(positions) = positions.filter(|positions| list.len().saturating_add(new) > *positions) {
                return Err(DecodeError::TooLong { row, prompt: list.len(), new, positions });
            }
        }
        Ok(())
    }
}
