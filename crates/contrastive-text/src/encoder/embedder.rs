//! Texts to rows.

use super::{BertConfig, BertEncoder, BertOptions, Pool, SentenceEncoder, SmallEncoderConfig, read_bert};
use crate::TextError;
use crate::data::{Note, Tokens};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_nn::layer::{Linear, LinearConfig};
use contrastive_train::{State, load_module, read_safetensors, save_module, write_safetensors};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Anything that makes a row of a text.
pub trait Embed {
    /// `[texts, width]`, not normalised.
    ///
    /// # Errors
    /// When a text cannot be encoded.
    fn embed(&self, texts: &[&str]) -> Result<Array2<f32>, TextError>;
}

/// The shape of the encoder of an [`Embedder`], for its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Shape {
    Small(SmallEncoderConfig),
    Bert { config: BertConfig, pool: Pool },
}

/// An encoder after training, outside of autodiff, with its tokens: embeds, is saved and loaded.
#[derive(Clone, Debug)]
pub struct Embedder {
    encoder: SentenceEncoder,
    head: Option<Linear>,
    tokens: Arc<Tokens>,
    shape: Shape,
}

/// Prefixes of the tensors in a file, and the version of its layout.
const ENCODER: &str = "encoder";
const HEAD: &str = "head";
const WEIGHTS: &str = "token_weights";
const FORMAT: &str = "contrastive-text 1";

impl Embedder {
    /// A small encoder, in training or after it, with a head if it is kept.
    ///
    /// # Panics
    /// When the encoder is no small one.
    pub fn small(
        encoder: &SentenceEncoder,
        head: Option<&Linear>,
        config: &SmallEncoderConfig,
        tokens: Arc<Tokens>,
    ) -> Self {
        assert!(matches!(encoder, SentenceEncoder::Small(_)), "a small encoder");
        Self::of(encoder, head, Shape::Small(config.clone()), tokens)
    }

    /// An encoder of the BERT family, in training or after it.
    ///
    /// # Panics
    /// When the encoder is none.
    pub fn bert(encoder: &SentenceEncoder, head: Option<&Linear>, config: &BertConfig, tokens: Arc<Tokens>) -> Self {
        let SentenceEncoder::Bert(bert) = encoder else { panic!("an encoder of the BERT family") };
        Self::of(encoder, head, Shape::Bert { config: config.clone(), pool: bert.pool() }, tokens)
    }

    fn of(encoder: &SentenceEncoder, head: Option<&Linear>, shape: Shape, tokens: Arc<Tokens>) -> Self {
        // a model outside of autodiff is what it is
        let plain = !encoder.table().is_autodiff();
        let encoder = if plain { encoder.clone() } else { encoder.valid() };
        let head = head.map(|head| if plain { head.clone() } else { head.valid() });
        Self { encoder, head, tokens, shape }
    }

    /// The folder of a model in the layout of Hugging Face, or a file that [`save`](Self::save) wrote, and what was in doubt.
    ///
    /// # Errors
    /// As [`read_bert`] and [`load`](Self::load).
    pub fn read(path: &Path, options: &BertOptions, device: &Device) -> Result<(Self, Vec<Note>), TextError> {
        if path.is_file() {
            return Ok((Self::load(path, device)?, Vec::new()));
        }
        let (encoder, tokens, config, notes) = read_bert(path, options, device)?;
        Ok((Self::bert(&SentenceEncoder::Bert(encoder), None, &config, Arc::new(tokens)), notes))
    }

    /// The encoder.
    pub fn encoder(&self) -> &SentenceEncoder {
        &self.encoder
    }

    /// What makes the tokens.
    pub fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// The width of a row.
    pub fn width(&self) -> usize {
        self.encoder.width()
    }

    /// Writes it as safetensors: the tensors; shape and tokens in its metadata.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), TextError> {
        let mut state = State::new();
        save_module(&self.encoder, ENCODER, &mut state);
        self.head.iter().for_each(|head| save_module(head, HEAD, &mut state));
        if let SentenceEncoder::Small(small) = &self.encoder
            && let Some(weights) = small.weights()
        {
            let data = burn::tensor::TensorData::new(weights.to_vec(), [weights.len()]);
            state.insert(WEIGHTS.into(), data);
        }
        let metadata = BTreeMap::from([
            ("format".to_string(), FORMAT.to_string()),
            ("shape".to_string(), serde_json::to_string(&self.shape).expect("settings are JSON")),
            ("head".to_string(), self.head.is_some().to_string()),
            ("tokens".to_string(), self.tokens.to_json()?.to_string()),
        ]);
        Ok(write_safetensors(path.as_ref(), &state, &metadata)?)
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is not a model of this crate.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, TextError> {
        let path = path.as_ref();
        let (mut state, metadata) = read_safetensors(path)?;
        let wrong = |problem: String| TextError::NotAModel { path: path.to_path_buf(), problem };
        let text = |key: &str| metadata.get(key).ok_or_else(|| wrong(format!("no {key:?} in its metadata")));
        if text("format")? != FORMAT {
            return Err(wrong(format!("its format is {:?}, expected {FORMAT:?}", text("format")?)));
        }
        let broken = |key: &str, error: serde_json::Error| wrong(format!("{key}: {error}"));
        let shape: Shape = serde_json::from_str(text("shape")?).map_err(|error| broken("shape", error))?;
        let tokens = serde_json::from_str(text("tokens")?).map_err(|error| broken("tokens", error))?;
        let tokens = Tokens::from_json(&tokens, path)?;
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let encoder = match &shape {
            Shape::Small(config) => SentenceEncoder::Small(config.init(tokens.size(), &mut rng, device)?),
            Shape::Bert { config, pool } => SentenceEncoder::Bert(BertEncoder::new(config, *pool, &mut rng, device)?),
        };
        let mut encoder = load_module(encoder, ENCODER, &mut state)?;
        if let (SentenceEncoder::Small(small), Some(weights)) = (&encoder, state.remove(WEIGHTS)) {
            let weights: Vec<f32> = weights.iter::<f32>().collect();
            if weights.len() != tokens.size() || weights.iter().any(|weight| !(weight.is_finite() && *weight > 0.0)) {
                return Err(wrong(format!(
                    "{} weights of {} tokens; allowed: one above 0 for each",
                    weights.len(),
                    tokens.size()
                )));
            }
            encoder = SentenceEncoder::Small(small.clone().with_weights(weights));
        }
        let head = (text("head")? == "true")
            .then(|| {
                let width = encoder.width();
                let head = LinearConfig::new(width, width).init(&mut rng, device)?;
                Ok::<Linear, TextError>(load_module(head, HEAD, &mut state)?)
            })
            .transpose()?;
        Ok(Self { encoder, head, tokens: Arc::new(tokens), shape })
    }

    /// Rows of lists of tokens.
    ///
    /// # Panics
    /// When a list is empty or longer than the model's positions, or a token is not in the table.
    pub fn embed_lists<L: AsRef<[u32]>>(&self, lists: &[L]) -> Array2<f32> {
        self.encoder.embed_lists(lists, |rows: Tensor<2>| match &self.head {
            Some(head) => head.forward(rows).tanh(),
            None => rows,
        })
    }
}

impl Embed for Embedder {
    /// Texts longer than the model's positions are cut there.
    fn embed(&self, texts: &[&str]) -> Result<Array2<f32>, TextError> {
        Ok(self.embed_lists(&self.tokens.encode_all(texts, self.encoder.positions())?))
    }
}
