//! `config.json` of a Hugging Face folder.

use crate::TextError;
use contrastive_data::{Limits, elided, read_text};
use contrastive_nn::encoder::{TokenEncoderConfig, TransformerConfig};
use contrastive_nn::layer::Activation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// Which of the BERT family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// BERT: two types of tokens, positions from 0.
    Bert,
    /// RoBERTa: positions from 2.
    Roberta,
}

/// The shape of an encoder of the BERT family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// Which family.
    pub family: Family,
    /// Tokens.
    pub vocabulary: usize,
    /// Width of the states.
    pub width: usize,
    /// Blocks.
    pub layers: usize,
    /// Heads.
    pub heads: usize,
    /// Width between the maps of the feed-forward network.
    pub inner: usize,
    /// Rows of the table of positions.
    pub positions: usize,
    /// Rows of the table of types.
    pub types: usize,
    /// Added to the variance in the norms.
    pub epsilon: f64,
    /// `gelu`, `gelu_new`, `relu` or `silu`.
    pub activation: String,
    /// Share of numbers dropped in training.
    pub dropout: f64,
    /// Share of attention weights dropped in training.
    pub attention_dropout: f64,
}

impl BertConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// When it cannot be read, is of another architecture, or lacks a size.
    pub fn read(path: &Path) -> Result<Self, TextError> {
        let bytes = read_text(path, &Limits::default()).map_err(crate::data::TextDataError::from)?;
        let wrong = |problem: String| TextError::NotAModel { path: path.to_path_buf(), problem };
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(format!("not JSON: {error}")))?;
        let kind = value["model_type"].as_str().unwrap_or("nothing");
        let family = match kind {
            "bert" => Family::Bert,
            "roberta" | "xlm-roberta" | "camembert" => Family::Roberta,
            other => {
                return Err(wrong(format!("its model_type is {:?}; allowed: bert, roberta", elided(other, 40))));
            }
        };
        let positions = value["position_embedding_type"].as_str().unwrap_or("absolute");
        if positions != "absolute" {
            return Err(wrong(format!(
                "its position_embedding_type is {:?}; allowed: absolute",
                elided(positions, 40)
            )));
        }
        let size = |key: &str| {
            let size = value[key].as_u64().filter(|size| (1..1 << 31).contains(size));
            size.map(|size| size as usize)
                .ok_or_else(|| wrong(format!("{key} is {}; allowed: a whole number above 0", value[key])))
        };
        let number = |key: &str, usual: f64| value[key].as_f64().unwrap_or(usual);
        let config = Self {
            family,
            vocabulary: size("vocab_size")?,
            width: size("hidden_size")?,
            layers: size("num_hidden_layers")?,
            heads: size("num_attention_heads")?,
            inner: size("intermediate_size")?,
            positions: size("max_position_embeddings")?,
            types: size("type_vocab_size")?,
            epsilon: number("layer_norm_eps", 1e-12),
            activation: value["hidden_act"].as_str().unwrap_or("gelu").to_string(),
            dropout: number("hidden_dropout_prob", 0.1),
            attention_dropout: number("attention_probs_dropout_prob", 0.1),
        };
        config.encoder().map_err(|error| wrong(error.to_string()))?;
        Ok(config)
    }

    /// The longest list of tokens.
    pub fn longest(&self) -> usize {
        match self.family {
            Family::Bert => self.positions,
            Family::Roberta => self.positions.saturating_sub(2),
        }
    }

    /// The settings of the encoder's layers.
    ///
    /// # Errors
    /// When the activation is not known, or a size is out of its range.
    pub fn encoder(&self) -> Result<TokenEncoderConfig, TextError> {
        let activation = match self.activation.as_str() {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            "silu" | "swish" => Activation::Silu,
            other => {
                let check = contrastive_train::Check::new("BERT");
                check.that(false, "hidden_act", format!("{other:?}"), "gelu, gelu_new, relu or silu")?;
                Activation::Gelu
            }
        };
        let blocks = TransformerConfig::bert(self.width, self.heads, self.inner, self.layers)
            .with_epsilon(self.epsilon)
            .with_activation(activation)
            .with_dropout(self.dropout)
            .with_attention_dropout(self.attention_dropout);
        let mut config = match self.family {
            Family::Bert => TokenEncoderConfig::bert(self.vocabulary, self.positions, blocks),
            Family::Roberta => TokenEncoderConfig::roberta(self.vocabulary, self.positions, blocks),
        };
        config.embedding = config.embedding.with_types(self.types).with_dropout(self.dropout);
        config.validate()?;
        Ok(config)
    }
}
