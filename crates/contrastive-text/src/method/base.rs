//! What the methods of sentence embeddings share: a model, the samples of an epoch, validation.

use super::MaskedHead;
use crate::TextError;
use crate::data::Corpus;
use crate::encoder::{Embedder, SentenceEncoder, SmallEncoderConfig, TokenBatch};
use crate::evaluate::cosines;
use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_eval::correlation::spearman;
use contrastive_nn::layer::Linear;
use contrastive_train::{Batches, Metrics, SettingError};
use rand_chacha::ChaCha8Rng;

/// An encoder, and what training puts on it.
#[derive(Module, Debug)]
pub struct SentenceModel {
    /// Tokens to one row for each text.
    pub encoder: SentenceEncoder,
    /// `z = tanh(h W + b)`, the training head.
    pub head: Option<Linear>,
    /// What masked tokens are told by.
    pub masked: Option<MaskedHead>,
}

impl SentenceModel {
    /// The head on encoded rows.
    pub fn project(&self, rows: Tensor<2>) -> Tensor<2> {
        match &self.head {
            Some(head) => head.forward(rows).tanh(),
            None => rows,
        }
    }

    /// What embeds texts after training: the small encoder, with its head if that is kept.
    ///
    /// # Panics
    /// When the encoder is no small one; for those of a folder there is [`Embedder::bert`].
    pub fn embedder(&self, config: &SmallEncoderConfig, keep_head: bool, corpus: &Corpus) -> Embedder {
        let head = if keep_head { self.head.as_ref() } else { None };
        Embedder::small(&self.encoder, head, config, corpus.tokens().clone())
    }
}

/// Some samples as tokens: their views one after the other, each in the order of the samples.
#[derive(Clone, Debug, PartialEq)]
pub struct SentenceBatch {
    /// The samples.
    pub rows: Vec<usize>,
    /// Views of each sample.
    pub views: usize,
    /// Row `v n + i` is view `v` of sample `i`.
    pub tokens: TokenBatch,
}

impl SentenceBatch {
    /// View `view` of encoded rows `[views n, d]`: `[n, d]`.
    pub fn view(&self, rows: &Tensor<2>, view: usize) -> Tensor<2> {
        let (n, d) = (self.rows.len(), rows.dims()[1]);
        rows.clone().slice([view * n..(view + 1) * n, 0..d])
    }
}

/// The samples of a corpus in a new order each epoch.
#[derive(Clone, Debug)]
pub(super) struct Base {
    corpus: Corpus,
    batches: Batches,
    order: Vec<Vec<usize>>,
}

impl Base {
    /// In batches of this size; with `full`, what does not fill one at the end of an epoch is left out (unless there is no other).
    pub fn new(corpus: &Corpus, batch_size: usize, full: bool) -> Result<Self, SettingError> {
        let batches = Batches::shuffled(corpus.len(), batch_size)?;
        let batches = if full && corpus.len() >= batch_size { batches.dropping_last() } else { batches };
        Ok(Self { corpus: corpus.clone(), batches, order: Vec::new() })
    }

    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    pub fn shuffle(&mut self, epoch: usize, mut rng: ChaCha8Rng) -> usize {
        self.order = self.batches.epoch(epoch, &mut rng);
        self.order.len()
    }

    pub fn rows(&self, batch: usize) -> &[usize] {
        &self.order[batch]
    }

    /// The samples of a batch, their first column `copies` times, then their other columns once each.
    pub fn sentences(&self, batch: usize, copies: usize) -> SentenceBatch {
        let rows = self.rows(batch).to_vec();
        let first = (0..copies).map(|_| 0);
        let columns: Vec<usize> = first.chain(1..self.corpus.width()).collect();
        let lists =
            columns.iter().flat_map(|column| rows.iter().map(|row| self.corpus.lists(*column)[*row].as_slice()));
        SentenceBatch { tokens: TokenBatch::new(lists), views: columns.len(), rows }
    }

    /// Spearman's correlation of cosines and gold scores on the validation pairs, with the head or without it.
    pub fn validation(&self, model: &SentenceModel, keep_head: bool) -> Result<Option<Metrics>, TextError> {
        let Some(pairs) = self.corpus.validation() else { return Ok(None) };
        let head = |rows| if keep_head { model.project(rows) } else { rows };
        let positions = model.encoder.positions().unwrap_or(usize::MAX);
        let [first, second] = [0, 1].map(|side| {
            let cut: Vec<&[u32]> = pairs.sides[side].iter().map(|list| &list[..list.len().min(positions)]).collect();
            model.encoder.embed_lists(&cut, head)
        });
        let correlation = spearman(&cosines(&first, &second), &pairs.gold)?;
        Ok(Some(Metrics::from([("spearman".to_string(), correlation)])))
    }
}

/// A digest of tokens, to tell equal texts.
pub(super) fn text_id(tokens: &[u32]) -> i64 {
    tokens.iter().fold(tokens.len() as u64, |hash, token| mixed(hash, u64::from(*token))) as i64
}

/// SplitMix64's step.
fn mixed(hash: u64, word: u64) -> u64 {
    let mut z = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
