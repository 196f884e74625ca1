//! The BERT family, from a folder in the layout of Hugging Face.

use super::{BertConfig, TokenBatch};
use crate::TextError;
use crate::data::{Note, TextDataError, Tokens};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorCreationOptions};
use contrastive_data::text::Tokenizer;
use contrastive_data::{Limits, elided, read_text};
use contrastive_nn::Pass;
use contrastive_nn::encoder::TokenEncoder;
use contrastive_nn::layer::{Linear, LinearConfig, max_rows, mean_rows};
use contrastive_nn::weights::{KeyMap, Weights};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// What becomes of the states of a text's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// The last state of the first token, as it is (SimCSE's `cls_before_pooler`).
    #[default]
    Cls,
    /// The same through the folder's own map and tanh (`pooler.dense`).
    ClsHead,
    /// The mean of the last states, special tokens included.
    Mean,
    /// Their largest numbers, column by column.
    Max,
    /// The mean of the states of the first and of the last block.
    FirstLast,
    /// The mean of the states of the last two blocks (of the only one and the embeddings, where there is one).
    LastTwo,
}

/// How a folder is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BertOptions {
    /// The pooler; `None`: what `1_Pooling/config.json` of sentence-transformers says, else [`Pool::Cls`] with a note.
    pub pool: Option<Pool>,
}

/// BERT or RoBERTa and a pooler.
#[derive(Module, Debug)]
pub struct BertEncoder {
    /// Tokens to states.
    pub encoder: TokenEncoder,
    /// The folder's own map of the first token, where it is used.
    pub head: Option<Linear>,
    #[module(skip)]
    pool: Pool,
    longest: usize,
}

impl BertEncoder {
    /// With weights drawn from the generator.
    ///
    /// # Errors
    /// When a size is out of its range.
    pub fn new(
        config: &BertConfig,
        pool: Pool,
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<Self, TextError> {
        let on = on.into();
        let encoder = config.encoder()?.init(rng, on.clone())?;
        let head = (pool == Pool::ClsHead).then(|| LinearConfig::new(config.width, config.width).init(rng, on));
        Ok(Self { encoder, head: head.transpose()?, pool, longest: config.longest() })
    }

    /// What becomes of the states.
    pub fn pool(&self) -> Pool {
        self.pool
    }

    /// The longest list of tokens.
    pub fn positions(&self) -> Option<usize> {
        Some(self.longest)
    }

    /// The last states of all tokens, `[tokens of the batch, width]`.
    ///
    /// # Panics
    /// When a token or position is not in its table.
    pub fn states(&self, batch: &TokenBatch, pass: &mut Pass) -> Tensor<2> {
        self.encoder.transformer.forward(self.embedded(batch, pass), &batch.lists, pass)
    }

    fn embedded(&self, batch: &TokenBatch, pass: &mut Pass) -> Tensor<2> {
        self.encoder.embedding.forward(&batch.ids, &batch.lists.positions(), batch.types.as_deref(), pass)
    }

    /// One row for each text, `[texts, width]`.
    ///
    /// # Panics
    /// As [`states`](Self::states).
    pub fn forward(&self, batch: &TokenBatch, pass: &mut Pass) -> Tensor<2> {
        let lists = &batch.lists;
        match self.pool {
            Pool::Cls | Pool::ClsHead => {
                let embedded = self.embedded(batch, pass);
                let first = self.encoder.transformer.forward_at(embedded, lists, &lists.first_rows(), pass);
                match &self.head {
                    Some(head) => head.forward(first).tanh(),
                    None => first,
                }
            }
            Pool::Mean => mean_rows(self.states(batch, pass), lists),
            Pool::Max => max_rows(self.states(batch, pass), lists),
            Pool::FirstLast | Pool::LastTwo => {
                let embedded = self.embedded(batch, pass);
                let layers = self.encoder.transformer.forward_layers(embedded.clone(), lists, pass);
                let last = layers[layers.len() - 1].clone();
                let other = match self.pool {
                    Pool::FirstLast => layers[0].clone(),
                    _ => layers.iter().rev().nth(1).unwrap_or(&embedded).clone(),
                };
                mean_rows((other + last) * 0.5, lists)
            }
        }
    }
}

/// Keys of the weights of transformers for a [`BertEncoder`].
fn keys(head: bool) -> KeyMap {
    let keys =
        KeyMap::bert().inside("encoder").ignoring("cls.").ignoring("lm_head.").ignoring("embeddings.position_ids");
    if head { keys.with("head", &["pooler.dense"]) } else { keys.ignoring("pooler.") }
}

impl BertEncoder {
    /// Its weights under the names of transformers, BERT's.
    pub fn weights(&self) -> Weights {
        Weights::of(self, &keys(self.head.is_some()))
    }

    /// With the weights of a file of transformers (`model.safetensors` or `pytorch_model.bin`).
    ///
    /// # Errors
    /// When it cannot be read, or its tensors do not fit; heads for other purposes are passed over.
    pub fn load(self, path: &Path) -> Result<Self, TextError> {
        let keys = keys(self.head.is_some());
        Ok(Weights::read(path)?.load(self, &keys)?)
    }
}

/// Encoder, tokens, shape and notes of a folder.
pub type ReadBert = (BertEncoder, Tokens, BertConfig, Vec<Note>);

/// Reads a folder with `config.json`, a vocabulary (see [`Tokenizer::read`]) and `model.safetensors` or `pytorch_model.bin`.
///
/// # Errors
/// When a part is missing or damaged, the architecture is another, the vocabulary has more tokens than the weights, tensors are
/// missing, not used or of another shape: then nothing is loaded.
pub fn read_bert(folder: &Path, options: &BertOptions, device: &Device) -> Result<ReadBert, TextError> {
    let wrong = |problem: String| TextError::NotAModel { path: folder.to_path_buf(), problem };
    let config = BertConfig::read(&folder.join("config.json"))?;
    let mut notes = Vec::new();
    let pool = match options.pool {
        Some(pool) => pool,
        None => pool_of(folder)?.unwrap_or_else(|| {
            let what = "no 1_Pooling/config.json: the first token's state is taken (cls)".to_string();
            notes.push(Note::Changed { what });
            Pool::Cls
        }),
    };
    let tokenizer = Tokenizer::read(folder)?;
    notes.extend(tokenizer.notes().iter().cloned().map(Note::from));
    if tokenizer.size() > config.vocabulary {
        let (tokens, rows) = (tokenizer.size(), config.vocabulary);
        return Err(wrong(format!(
            "a vocabulary of {tokens} tokens and vocab_size {rows}; allowed: no more tokens than rows"
        )));
    }
    let names = ["model.safetensors", "pytorch_model.bin"].map(|name| folder.join(name));
    let file = names.iter().find(|path| path.is_file());
    let file = file.ok_or_else(|| wrong("no weights; allowed: model.safetensors or pytorch_model.bin".into()))?;
    // every weight is read, so that what is drawn does not matter
    let encoder = BertEncoder::new(&config, pool, &mut ChaCha8Rng::seed_from_u64(0), device)?.load(file)?;
    Ok((encoder, Tokens::Library(Box::new(tokenizer)), config, notes))
}

/// What sentence-transformers says of the pooler.
fn pool_of(folder: &Path) -> Result<Option<Pool>, TextError> {
    let path = folder.join("1_Pooling/config.json");
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read_text(&path, &Limits::default()).map_err(TextDataError::from)?;
    let wrong = |problem: String| TextError::NotAModel { path: path.clone(), problem };
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| wrong(format!("not JSON: {error}")))?;
    let asked = [("cls_token", Pool::Cls), ("mean_tokens", Pool::Mean), ("max_tokens", Pool::Max)];
    let asked: Vec<Pool> = asked
        .into_iter()
        .filter(|(name, _)| value[format!("pooling_mode_{name}")].as_bool() == Some(true))
        .map(|(_, pool)| pool)
        .collect();
    match asked[..] {
        [pool] => Ok(Some(pool)),
        _ => {
            Err(wrong(format!("{}: one of the poolers cls, mean and max is allowed", elided(&value.to_string(), 120))))
        }
    }
}
