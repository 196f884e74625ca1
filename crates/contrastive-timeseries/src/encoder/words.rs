//! Texts as means of words.

use crate::data::SeriesError;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_nn::init::Initial;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// The words of some texts, in alphabetic order: small letters and digits; everything else parts words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    words: BTreeMap<String, usize>,
}

fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

impl Vocabulary {
    /// All words of these texts.
    ///
    /// # Errors
    /// When there are none.
    pub fn of<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Result<Self, SeriesError> {
        let mut known = BTreeMap::new();
        for text in texts {
            known.extend(words(text.as_ref()).map(|word| (word, 0)));
        }
        if known.is_empty() {
            return Err(SeriesError::series("texts without words; at least one word is needed"));
        }
        known.values_mut().enumerate().for_each(|(at, place)| *place = at);
        Ok(Self { words: known })
    }

    /// Number of words.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// For each text the share of each word, `[texts, words]`; words that are not in the vocabulary are passed over.
    ///
    /// # Errors
    /// When there are no texts, or none of the words of one is known.
    pub fn shares<S: AsRef<str>>(&self, texts: &[S], device: &Device) -> Result<Tensor<2>, SeriesError> {
        if texts.is_empty() {
            return Err(SeriesError::series("an empty list of texts; at least one is needed"));
        }
        let width = self.len();
        let mut shares = vec![0f32; texts.len() * width];
        for (row, text) in shares.chunks_exact_mut(width).zip(texts) {
            let known: Vec<usize> = words(text.as_ref()).filter_map(|word| self.words.get(&word).copied()).collect();
            if known.is_empty() {
                let short: String = text.as_ref().chars().take(60).collect();
                return Err(SeriesError::series(format!("no word of {short:?} was in the training captions")));
            }
            known.iter().for_each(|word| row[*word] += 1.0 / known.len() as f32);
        }
        Ok(Tensor::from_data(TensorData::new(shares, [texts.len(), width]), device))
    }
}

/// A table of words; a text is the mean of its words.
#[derive(Module, Debug)]
pub struct WordTable {
    /// `[words, D]`.
    pub table: Param<Tensor<2>>,
}

impl WordTable {
    /// Normal rows of length about 1.
    pub fn new(words: usize, width: usize, rng: &mut ChaCha8Rng, device: &Device) -> Self {
        let initial = Initial::Normal(1.0 / (width.max(1) as f64).sqrt());
        Self { table: initial.param([words, width], [words, width], rng, device) }
    }

    /// Shares `[B, words]` of [`Vocabulary::shares`] to texts `[B, D]`.
    ///
    /// # Panics
    /// When the number of words differs.
    pub fn forward(&self, shares: Tensor<2>) -> Tensor<2> {
        shares.matmul(self.table.val())
    }
}
