//! Settings of the encoder.

use super::SequenceEncoder;
use burn::config::Config;
use burn::tensor::TensorCreationOptions;
use contrastive_nn::encoder::{TokenEncoderConfig, TransformerConfig};
use contrastive_train::{Check, SettingError};
use rand_chacha::ChaCha8Rng;

/// Which published form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Preset {
    /// RecBole, S3-Rec and the methods built on them: norms after the sums, GELU, a norm of the input, weights from N(0, 0.02).
    #[default]
    RecBole,
    /// Kang and McAuley 2018, in the form of its PyTorch port: norms before (of the queries alone), a rectifier, items times `sqrt(d)`, a
    /// norm at the end. The width of the feed-forward network is d.
    Original,
}

/// What a position counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Padding {
    /// From the start of the list (RecBole: batches are padded on the right).
    #[default]
    Right,
    /// To its end: the last item stands at L (original SASRec, S3-Rec, ICSRec: padded on the left).
    Left,
}

/// Settings of [`SequenceEncoder`]. The defaults are those of RecBole's SASRec.
#[derive(Config, Debug, PartialEq)]
pub struct EncoderConfig {
    /// d: width of the rows.
    #[config(default = 64)]
    pub dim: usize,
    /// Blocks.
    #[config(default = 2)]
    pub layers: usize,
    /// Heads of the attention; they divide d.
    #[config(default = 2)]
    pub heads: usize,
    /// Width of the feed-forward network.
    #[config(default = 256)]
    pub inner: usize,
    /// L: of longer lists the last L items count.
    #[config(default = 50)]
    pub max_len: usize,
    /// Share of numbers dropped after embedding, attention and feed-forward network, in training.
    #[config(default = 0.5)]
    pub dropout: f64,
    /// Share of attention weights dropped.
    #[config(default = 0.5)]
    pub attention_dropout: f64,
    /// Which published form.
    #[config(default = "Preset::RecBole")]
    pub preset: Preset,
    /// What a position counts.
    #[config(default = "Padding::Right")]
    pub padding: Padding,
}

impl EncoderConfig {
    /// The small encoder of the specification's experiments: d 32, one block, two heads, 128 inside, L 20, dropout 0.3.
    pub fn small() -> Self {
        let config = Self::new().with_dim(32).with_layers(1).with_inner(128).with_max_len(20);
        config.with_dropout(0.3).with_attention_dropout(0.3)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`SettingError`] naming the first one that is out of its range.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("encoder");
        check.count("dim", self.dim)?;
        check.count("layers", self.layers)?;
        let fits = self.heads > 0 && self.dim.is_multiple_of(self.heads);
        check.that(fits, "heads", self.heads, format!("a divisor of dim, {}", self.dim))?;
        check.count("inner", self.inner)?;
        check.count("max_len", self.max_len)?;
        check.share("dropout", self.dropout)?;
        check.share("attention_dropout", self.attention_dropout)
    }

    /// An encoder of items 1 to `items`, with or without a mask token.
    ///
    /// # Errors
    /// As [`validate`](Self::validate); when there are no items.
    pub fn init(
        &self,
        items: usize,
        mask_token: bool,
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<SequenceEncoder, crate::SeqRecError> {
        self.validate()?;
        Check::new("encoder").count("items", items)?;
        let rows = items + 1 + usize::from(mask_token);
        let with = |config: TransformerConfig| {
            config.with_dropout(self.dropout).with_attention_dropout(self.attention_dropout)
        };
        let tokens = match self.preset {
            Preset::RecBole => {
                let blocks = with(TransformerConfig::sasrec(self.dim, self.heads, self.inner, self.layers));
                TokenEncoderConfig::sasrec(rows, self.max_len, blocks)
            }
            Preset::Original => {
                let blocks = with(TransformerConfig::sasrec_port(self.dim, self.heads, self.layers));
                TokenEncoderConfig::sasrec_original(rows, self.max_len, blocks.with_inner_dropout(self.dropout))
            }
        };
        Ok(SequenceEncoder::new(tokens.init(rng, on)?, self.padding, self.max_len, items))
    }
}
