//! Causal language models: the GPT-2 family from a folder, and a small one from scratch.

use crate::TextError;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions};
use contrastive_data::{FileError, Limits, Origin, read_text};
use contrastive_nn::encoder::{BesideRows, Cache, TokenEncoder, TokenEncoderConfig, TransformerConfig};
use contrastive_nn::layer::{Activation, Linear, LinearConfig};
use contrastive_nn::model::LanguageModel;
use contrastive_nn::weights::{KeyMap, Weights};
use contrastive_nn::{Pass, Ragged};
use contrastive_train::{Check, SettingError};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::Value;
use std::path::Path;

/// Settings of [`CausalModel`].
#[derive(Config, Debug, PartialEq)]
pub struct CausalConfig {
    /// Tables and blocks; the blocks are causal.
    pub encoder: TokenEncoderConfig,
    /// Whether the output matrix is the table of tokens; else it is one of its own.
    #[config(default = true)]
    pub tied: bool,
}

impl CausalConfig {
    /// Two GPT-2 blocks of width 128 with four heads, and so many positions.
    pub fn small(vocabulary: usize, positions: usize) -> Self {
        Self::new(TokenEncoderConfig::gpt2(vocabulary, positions, TransformerConfig::gpt2(128, 4, 2)))
    }

    /// The same share of numbers dropped after the embedding, in both parts of the blocks, and of attention weights, as in GPT-2.
    #[must_use]
    pub fn with_dropout(mut self, share: f64) -> Self {
        self.encoder.embedding = self.encoder.embedding.with_dropout(share);
        self.encoder.transformer = self.encoder.transformer.with_dropout(share).with_attention_dropout(share);
        self
    }

    /// Checks the parts.
    ///
    /// # Errors
    /// When a setting is out of its range, or the blocks are not causal.
    pub fn validate(&self) -> Result<(), SettingError> {
        self.encoder.validate()?;
        let causal = self.encoder.transformer.causal;
        Check::new("causal model").that(causal, "causal", causal, "true")
    }

    /// The model: tables, blocks, then the output matrix if it has its own.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(
        &self,
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<CausalModel, SettingError> {
        self.validate()?;
        let on = on.into();
        let encoder = self.encoder.init(rng, on.clone())?;
        let (width, vocabulary) = (self.encoder.transformer.width, self.encoder.embedding.vocabulary);
        let initial = self.encoder.transformer.initial;
        let head = LinearConfig::new(width, vocabulary).with_bias(false).with_initial(initial);
        Ok(CausalModel { encoder, head: (!self.tied).then(|| head.init(rng, on)).transpose()? })
    }
}

/// A causal transformer over tokens with an output matrix.
#[derive(Module, Debug)]
pub struct CausalModel {
    /// Tokens to states.
    pub encoder: TokenEncoder,
    /// The output matrix, where it is not the table of tokens.
    pub head: Option<Linear>,
}

impl CausalModel {
    /// A model of the GPT-2 family (`"model_type": "gpt2"`) from a folder as transformers writes it: `config.json` and
    /// `model.safetensors` or `pytorch_model.bin`. Dropout is that of the file.
    ///
    /// # Errors
    /// When a file is missing or damaged, the configuration is of another architecture or has options that are not supported, or tensors are
    /// missing, unused or of another shape; then nothing is loaded.
    pub fn from_folder(folder: &Path, on: impl Into<TensorCreationOptions>) -> Result<Self, TextError> {
        let config = Self::config_of(folder)?;
        let weights = ["model.safetensors", "pytorch_model.bin"].map(|name| folder.join(name));
        let Some(path) = weights.iter().find(|path| path.exists()) else {
            let looked_for = "model.safetensors or pytorch_model.bin".into();
            return Err(FileError::NotFound { path: folder.to_path_buf(), looked_for }.into());
        };
        let weights = Weights::read(path)?;
        let model = config.init(&mut ChaCha8Rng::seed_from_u64(0), on)?;
        Ok(weights.load(model, &Self::keys(config.tied))?)
    }

    /// The names of transformers' tensors.
    pub fn keys(tied: bool) -> KeyMap {
        let keys = KeyMap::gpt2().inside("encoder");
        // files of tied models may hold the table a second time
        if tied { keys.ignoring("lm_head.") } else { keys.with("head", &["lm_head"]) }
    }

    /// The settings that a folder's `config.json` describes.
    ///
    /// # Errors
    /// When it is missing, not JSON, of another architecture, or has options that are not supported.
    pub fn config_of(folder: &Path) -> Result<CausalConfig, TextError> {
        let path = folder.join("config.json");
        let bytes = read_text(&path, &Limits::default())?;
        let json: Value = serde_json::from_slice(&bytes).map_err(|error| {
            Origin::line(&path, error.line().max(1)).malformed(format!("not JSON: {error}"), "a JSON object")
        })?;
        let wrong = |key: &str, value: &Value, allowed: &str| {
            TextError::from(Origin::part(&path, key).malformed(value.to_string(), allowed))
        };
        let only = |key: &str, expected: Value| match &json[key] {
            found if *found == expected || found.is_null() => Ok(()),
            found => Err(wrong(key, found, &expected.to_string())),
        };
        if json["model_type"] != "gpt2" {
            return Err(wrong("model_type", &json["model_type"], "\"gpt2\""));
        }
        only("scale_attn_weights", true.into())?;
        only("scale_attn_by_inverse_layer_idx", false.into())?;
        only("add_cross_attention", false.into())?;
        let size = |key: &str| match json[key].as_u64() {
            Some(size) if size > 0 && size < 1 << 32 => Ok(size as usize),
            _ => Err(wrong(key, &json[key], "a whole number from 1 on")),
        };
        let share = |key: &str| match &json[key] {
            Value::Null => Ok(0.1),
            value => {
                let share = value.as_f64().filter(|share| (0.0..1.0).contains(share));
                share.ok_or_else(|| wrong(key, value, "a number in [0, 1)"))
            }
        };
        let activation = match json["activation_function"].as_str() {
            None | Some("gelu_new" | "gelu_pytorch_tanh") => Activation::GeluTanh,
            Some("gelu") => Activation::Gelu,
            Some("relu") => Activation::Relu,
            Some("silu" | "swish") => Activation::Silu,
            Some("tanh") => Activation::Tanh,
            Some(_) => {
                let allowed = "gelu_new, gelu_pytorch_tanh, gelu, relu, silu, swish, tanh";
                return Err(wrong("activation_function", &json["activation_function"], allowed));
            }
        };
        let epsilon = match &json["layer_norm_epsilon"] {
            Value::Null => 1e-5,
            value => {
                let epsilon = value.as_f64().filter(|epsilon| *epsilon > 0.0);
                epsilon.ok_or_else(|| wrong("layer_norm_epsilon", value, "a number above 0"))?
            }
        };
        let positions = if json["n_positions"].is_null() { size("n_ctx")? } else { size("n_positions")? };
        let (width, heads) = (size("n_embd")?, size("n_head")?);
        if width % heads != 0 {
            return Err(wrong("n_head", &json["n_head"], &format!("a divisor of n_embd {width}")));
        }
        let mut blocks = TransformerConfig::gpt2(width, heads, size("n_layer")?)
            .with_activation(activation)
            .with_epsilon(epsilon)
            .with_dropout(share("resid_pdrop")?)
            .with_attention_dropout(share("attn_pdrop")?);
        if !json["n_inner"].is_null() {
            blocks.inner = size("n_inner")?;
        }
        let mut encoder = TokenEncoderConfig::gpt2(size("vocab_size")?, positions, blocks);
        encoder.embedding = encoder.embedding.with_dropout(share("embd_pdrop")?);
        let tied = json["tie_word_embeddings"].as_bool().unwrap_or(true);
        Ok(CausalConfig::new(encoder).with_tied(tied))
    }

    /// The last hidden states of whole lists, after the final norm, with the dropout of the pass.
    ///
    /// # Shapes
    /// - ids: `lists.total()`
    /// - output: `[lists.total(), e]`
    ///
    /// # Panics
    /// When an id or a position is not in the model, or the lengths differ.
    pub fn states(&self, ids: &[u32], lists: &Ragged, pass: &mut Pass) -> Tensor<2> {
        self.encoder.forward(ids, lists, pass)
    }

    /// The output matrix as rows of tokens, `[vocabulary, e]`: logits are inner products with them.
    pub fn output_rows(&self) -> Tensor<2> {
        match &self.head {
            Some(head) => head.weight.val().transpose(),
            None => self.encoder.embedding.token.weight.val(),
        }
    }
}

impl LanguageModel for CausalModel {
    fn vocabulary(&self) -> usize {
        self.encoder.vocabulary()
    }

    fn positions(&self) -> Option<usize> {
        self.encoder.positions()
    }

    fn hidden(&self, ids: &[u32], new: &Ragged, cache: &mut Cache) -> Tensor<2> {
        self.encoder.hidden(ids, new, cache)
    }

    fn hidden_beside(&self, ids: &[u32], cache: &Cache) -> (Tensor<2>, BesideRows) {
        self.encoder.hidden_beside(ids, cache)
    }

    fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.head {
            Some(head) => head.forward(hidden),
            None => self.encoder.logits(hidden),
        }
    }
}
