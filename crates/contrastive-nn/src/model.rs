//! What a caller needs of a model, whatever it is made of.

use crate::Ragged;
use crate::encoder::{BesideRows, Cache, TokenEncoder};
use burn::tensor::Tensor;

/// A causal language model: tokens in, a state and the logits of the next token out, with the keys and values of earlier tokens
/// kept in a [`Cache`].
///
/// What comes before the tokens enters with the cache: a model that continues an image makes the rows of the image when it makes
/// the cache of a prompt.
pub trait LanguageModel {
    /// Tokens it knows: ids are below this number.
    fn vocabulary(&self) -> usize;

    /// The most tokens of a list; `None` where there is no bound.
    fn positions(&self) -> Option<usize>;

    /// The last hidden states, after the final norm: what the output matrix is multiplied with.
    ///
    /// # Shapes
    /// - ids: `new.total()`, which follow the lists of the cache and join it
    /// - output: `[new.total(), e]`
    ///
    /// # Panics
    /// When an id or a position is not in the model, or the numbers of lists differ.
    fn hidden(&self, ids: &[u32], new: &Ragged, cache: &mut Cache) -> Tensor<2>;

    /// The states of tokens that could follow each list, `ids.len() / lists` for each, list by list; they do not see each other, and
    /// the cache stays as it is until [`Cache::append`] takes one of each list.
    ///
    /// # Panics
    /// As [`hidden`](Self::hidden).
    fn hidden_beside(&self, ids: &[u32], cache: &Cache) -> (Tensor<2>, BesideRows);

    /// The logits of the next token, `[n, vocabulary]`, of states `[n, e]`.
    fn logits(&self, hidden: Tensor<2>) -> Tensor<2>;

    /// Logits `[new.total(), vocabulary]` and last hidden states `[new.total(), e]` of tokens that follow the lists of the cache and
    /// join it.
    ///
    /// # Panics
    /// As [`hidden`](Self::hidden).
    fn forward(&self, ids: &[u32], new: &Ragged, cache: &mut Cache) -> (Tensor<2>, Tensor<2>) {
        let hidden = self.hidden(ids, new, cache);
        (self.logits(hidden.clone()), hidden)
    }
}

/// The output matrix is the table of tokens, as in GPT-2.
impl LanguageModel for TokenEncoder {
    fn vocabulary(&self) -> usize {
        self.embedding.token.weight.val().dims()[0]
    }

    fn positions(&self) -> Option<usize> {
        self.embedding.position.as_ref().map(|table| table.weight.val().dims()[0])
    }

    fn hidden(&self, ids: &[u32], new: &Ragged, cache: &mut Cache) -> Tensor<2> {
        self.forward_cached(ids, new, cache)
    }

    fn hidden_beside(&self, ids: &[u32], cache: &Cache) -> (Tensor<2>, BesideRows) {
        self.forward_beside(ids, cache)
    }

    fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        hidden.matmul(self.embedding.token.weight.val().transpose())
    }
}
