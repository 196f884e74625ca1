//! An encoder from scratch: rows of words or n-grams, their mean.

use super::TokenBatch;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions};
use contrastive_core::linear::SparseOperator;
use contrastive_kernels::sparse::Csr;
use contrastive_nn::encoder::{Transformer, TransformerConfig};
use contrastive_nn::init::Initial;
use contrastive_nn::layer::{Embedding, EmbeddingConfig, dropout, mean_rows};
use contrastive_nn::{Pass, SettingError};
use contrastive_train::Check;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Settings of [`SmallEncoder`].
#[derive(Config, Debug, PartialEq)]
pub struct SmallEncoderConfig {
    /// Width of the rows, at least 1.
    #[config(default = 128)]
    pub width: usize,
    /// Transformer blocks between the tokens' rows and their mean; 0: a bag of words. They know no positions.
    #[config(default = 0)]
    pub layers: usize,
    /// Heads of their attention; they divide the width.
    #[config(default = 4)]
    pub heads: usize,
    /// Share of numbers dropped, in training: of the tokens' rows, and in the blocks.
    #[config(default = 0.1)]
    pub dropout: f64,
    /// Standard deviation of the first rows, above 0.
    #[config(default = 0.1)]
    pub deviation: f64,
}

impl SmallEncoderConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// With the first that is out of its range.
    pub fn validate(&self) -> Result<(), SettingError> {
        self.embedding(1).validate()?;
        self.transformer(self.layers.max(1)).validate()?;
        Check::new("small encoder").positive("deviation", self.deviation)
    }

    fn embedding(&self, tokens: usize) -> EmbeddingConfig {
        EmbeddingConfig::new(tokens, self.width).with_initial(Initial::Normal(self.deviation))
    }

    fn transformer(&self, layers: usize) -> TransformerConfig {
        let blocks = TransformerConfig::bert(self.width, self.heads, 2 * self.width, layers);
        blocks.with_dropout(self.dropout).with_attention_dropout(self.dropout)
    }

    /// The encoder of so many tokens: its table is drawn first, then its blocks.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and when there are no tokens.
    pub fn init(
        &self,
        tokens: usize,
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<SmallEncoder, SettingError> {
        self.validate()?;
        let on = on.into();
        let embedding = self.embedding(tokens).init(rng, on.clone())?;
        let transformer = (self.layers > 0).then(|| self.transformer(self.layers).init(rng, on)).transpose()?;
        Ok(SmallEncoder { embedding, transformer, dropout: self.dropout, weights: None })
    }
}

/// The mean of the rows of a text's tokens, each with its weight, after an optional transformer.
#[derive(Module, Debug)]
pub struct SmallEncoder {
    /// `[tokens, width]`.
    pub embedding: Embedding,
    /// Blocks between rows and mean.
    pub transformer: Option<Transformer>,
    dropout: f64,
    #[module(skip)]
    weights: Option<Arc<Vec<f32>>>,
}

impl SmallEncoder {
    /// With a weight for each token in the mean, instead of equal ones: their inverse document frequency, say. The weights are not
    /// trained.
    ///
    /// # Panics
    /// When there is not one finite weight above 0 for each token.
    #[must_use]
    pub fn with_weights(mut self, weights: Vec<f32>) -> Self {
        let tokens = self.embedding.weight.dims()[0];
        assert_eq!(weights.len(), tokens, "weights, and tokens");
        assert!(weights.iter().all(|weight| weight.is_finite() && *weight > 0.0), "a weight that is not above 0");
        self.weights = Some(Arc::new(weights));
        self
    }

    /// The weight of each token in the mean, where they differ.
    pub fn weights(&self) -> Option<&[f32]> {
        self.weights.as_ref().map(|weights| weights.as_slice())
    }

    /// The states of all tokens, `[tokens of the batch, width]`.
    ///
    /// # Panics
    /// When a token is not in the table.
    pub fn states(&self, batch: &TokenBatch, pass: &mut Pass) -> Tensor<2> {
        let rows = dropout(self.embedding.forward(&batch.ids), self.dropout, pass);
        match &self.transformer {
            Some(transformer) => transformer.forward(rows, &batch.lists, pass),
            None => rows,
        }
    }

    /// One row for each text, `[texts, width]`.
    ///
    /// # Panics
    /// As [`states`](Self::states).
    pub fn forward(&self, batch: &TokenBatch, pass: &mut Pass) -> Tensor<2> {
        let states = self.states(batch, pass);
        let Some(weights) = &self.weights else { return mean_rows(states, &batch.lists) };
        let weight = |row: usize| f64::from(weights[batch.ids[row] as usize]);
        let entries: Vec<(u32, u32, f64)> = batch
            .lists
            .ranges()
            .enumerate()
            .flat_map(|(list, range)| {
                let total: f64 = range.clone().map(weight).sum();
                range.map(move |row| (list as u32, row as u32, weight(row) / total))
            })
            .collect();
        let mean = Csr::from_triplets(batch.len(), batch.ids.len(), &entries).expect("rows of lists");
        SparseOperator::new(mean).apply(states)
    }
}
