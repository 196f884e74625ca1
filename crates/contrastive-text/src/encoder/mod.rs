//! Tokens to one row for each text.
//!
//! | I have ... | use ... |
//! |---|---|
//! | nothing but a corpus | [`SmallEncoderConfig`]: rows of words or n-grams, their mean, an optional transformer between |
//! | a folder of BERT or RoBERTa in the layout of Hugging Face | [`read_bert`] |
//! | a folder of GPT-2's family, or a corpus to write like | [`CausalModel`] |
//! | an encoder, its tokens, and texts | [`Embedder`]: embeds, is saved and loaded |
//!
//! [`SentenceEncoder`] is what methods train: either of the two. Lists keep their own lengths; no padded position is computed.

mod batch;
mod bert;
mod causal;
mod config_json;
mod embedder;
mod small;

pub use batch::TokenBatch;
pub use bert::{BertEncoder, BertOptions, Pool, read_bert};
pub use causal::{CausalConfig, CausalModel};
pub use config_json::{BertConfig, Family};
pub use embedder::{Embed, Embedder};
pub use small::{SmallEncoder, SmallEncoderConfig};

use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_data::text::length_batches;
use contrastive_nn::Pass;
use ndarray::Array2;

/// Tokens in a forward pass without training, at most, unless one text has more.
const TOKENS: usize = 8192;
/// Texts in a forward pass without training, at most.
const TEXTS: usize = 512;

/// An encoder of sentences.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one in a training")]
pub enum SentenceEncoder {
    /// From scratch.
    Small(SmallEncoder),
    /// Of the BERT family.
    Bert(BertEncoder),
}

impl SentenceEncoder {
    /// One row for each text.
    ///
    /// # Shapes
    /// - output: `[texts, width]`
    ///
    /// # Panics
    /// When a list is empty, or a token or position is not in its table.
    pub fn forward(&self, batch: &TokenBatch, pass: &mut Pass) -> Tensor<2> {
        match self {
            Self::Small(encoder) => encoder.forward(batch, pass),
            Self::Bert(encoder) => encoder.forward(batch, pass),
        }
    }

    /// The last state of every token: what masked tokens are told from.
    ///
    /// # Shapes
    /// - output: `[tokens, width]`
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn states(&self, batch: &TokenBatch, pass: &mut Pass) -> Tensor<2> {
        match self {
            Self::Small(encoder) => encoder.states(batch, pass),
            Self::Bert(encoder) => encoder.states(batch, pass),
        }
    }

    /// `[tokens, width]`: the rows of the tokens.
    pub fn table(&self) -> Tensor<2> {
        match self {
            Self::Small(encoder) => encoder.embedding.weight.val(),
            Self::Bert(encoder) => encoder.encoder.embedding.token.weight.val(),
        }
    }

    /// The width of a text's row.
    pub fn width(&self) -> usize {
        self.table().dims()[1]
    }

    /// The longest list that can be encoded, in tokens, where there is a limit.
    pub fn positions(&self) -> Option<usize> {
        match self {
            Self::Small(_) => None,
            Self::Bert(encoder) => encoder.positions(),
        }
    }

    /// Does a token's state depend on its neighbours?
    pub fn reads_neighbours(&self) -> bool {
        match self {
            Self::Small(encoder) => encoder.transformer.is_some(),
            Self::Bert(_) => true,
        }
    }

    /// What lists are encoded to without dropout, by `head` if there is one: batches of similar lengths, in bounded memory.
    ///
    /// # Shapes
    /// - output: `[lists, width]`
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn embed_lists<L: AsRef<[u32]>>(&self, lists: &[L], head: impl Fn(Tensor<2>) -> Tensor<2>) -> Array2<f32> {
        let lengths: Vec<usize> = lists.iter().map(|list| list.as_ref().len()).collect();
        let mut rows = Array2::zeros((lists.len(), self.width()));
        for batch in length_batches(&lengths, TOKENS, TEXTS) {
            let tokens = TokenBatch::new(batch.iter().map(|at| lists[*at].as_ref()));
            let encoded = head(self.forward(&tokens, &mut Pass::evaluation()));
            let width = encoded.dims()[1];
            let values: Vec<f32> = encoded.into_data().iter::<f32>().collect();
            for (at, values) in batch.iter().zip(values.chunks(width)) {
                rows.row_mut(*at).iter_mut().zip(values).for_each(|(row, value)| *row = *value);
            }
        }
        rows
    }
}
