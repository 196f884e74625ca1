//! Ids to rows.

use super::{BesideRows, Cache, Transformer, TransformerConfig};
use crate::error::Check;
use crate::init::Initial;
use crate::layer::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, dropout};
use crate::{Pass, Ragged, SettingError};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions};
use rand_chacha::ChaCha8Rng;

/// Settings of [`TokenEmbedding`].
#[derive(Config, Debug, PartialEq)]
pub struct TokenEmbeddingConfig {
    /// Tokens, or items with the padding item.
    pub vocabulary: usize,
    /// Width of the rows.
    pub width: usize,
    /// Positions; 0: none.
    pub positions: usize,
    /// Types of tokens; 0: none.
    #[config(default = 0)]
    pub types: usize,
    /// The token whose row stays zero.
    #[config(default = "None")]
    pub padding: Option<usize>,
    /// Whether row 0 of the positions stays zero as well (SASRec's PyTorch port, whose padded rows are read).
    #[config(default = false)]
    pub padded_positions: bool,
    /// The position of a list's first row (2 in RoBERTa).
    #[config(default = 0)]
    pub first_position: usize,
    /// Factor of the tokens' rows (`sqrt(width)` in the original SASRec).
    #[config(default = 1.0)]
    pub scale: f64,
    /// The epsilon of a norm of the sum, if there is one.
    #[config(default = "None")]
    pub norm: Option<f64>,
    /// Share of numbers dropped at the end, in training.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// How the tables start.
    #[config(default = "Initial::Normal(0.02)")]
    pub initial: Initial,
}

impl TokenEmbeddingConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// When a size is 0, the padding is no token, the first position is none, a number is not finite, or the dropout not in `0..1`.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("token embedding");
        check.count("vocabulary", self.vocabulary)?;
        check.count("width", self.width)?;
        let first = self.first_position;
        let fits = first == 0 || first < self.positions;
        check.that(fits, "first_position", first, format!("below the number of positions {}", self.positions))?;
        check.finite("scale", self.scale)?;
        check.share("dropout", self.dropout)
    }

    /// The tables, tokens first, then positions and types.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(
        &self,
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<TokenEmbedding, SettingError> {
        self.validate()?;
        let on = on.into();
        let mut table = |rows: usize, padding: Option<usize>| {
            let config = EmbeddingConfig::new(rows, self.width).with_padding(padding).with_initial(self.initial);
            config.init(rng, on.clone())
        };
        let token = table(self.vocabulary, self.padding)?;
        let position =
            (self.positions > 0).then(|| table(self.positions, self.padded_positions.then_some(0))).transpose()?;
        let kind = (self.types > 0).then(|| table(self.types, None)).transpose()?;
        let norm = self.norm.map(|epsilon| LayerNormConfig::new(self.width).with_epsilon(epsilon).init(on));
        Ok(TokenEmbedding {
            token,
            position,
            kind,
            norm: norm.transpose()?,
            first_position: self.first_position,
            scale: self.scale,
            dropout: self.dropout,
        })
    }
}

/// The sum of the rows of tokens, positions and types, its norm, and dropout.
#[derive(Module, Debug)]
pub struct TokenEmbedding {
    /// `[vocabulary, width]`.
    pub token: Embedding,
    /// `[positions, width]`.
    pub position: Option<Embedding>,
    /// `[types, width]`.
    pub kind: Option<Embedding>,
    /// The norm of the sum.
    pub norm: Option<LayerNorm>,
    first_position: usize,
    scale: f64,
    dropout: f64,
}

impl TokenEmbedding {
    /// Rows of tokens at their positions (from 0 in each list); all of type 0 where types are not given.
    ///
    /// # Shapes
    /// - output: `[ids.len(), width]`
    ///
    /// # Panics
    /// When an id, a position or a type is not in its table, or the lengths differ.
    pub fn forward(&self, ids: &[u32], positions: &[u32], types: Option<&[u32]>, pass: &mut Pass) -> Tensor<2> {
        let mut x = self.token.forward(ids);
        if self.scale != 1.0 {
            x = x * self.scale;
        }
        if let Some(table) = &self.position {
            assert_eq!(ids.len(), positions.len(), "tokens, and their positions");
            let first = self.first_position as u32;
            let positions: Vec<u32> = positions.iter().map(|position| position + first).collect();
            x = x + table.forward(&positions);
        }
        if let Some(table) = &self.kind {
            x = x + match types {
                Some(types) => {
                    assert_eq!(ids.len(), types.len(), "tokens, and their types");
                    table.forward(types)
                }
                None => table.forward(&[0]),
            };
        }
        let x = match &self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        };
        dropout(x, self.dropout, pass)
    }
}

/// Settings of [`TokenEncoder`].
#[derive(Config, Debug, PartialEq)]
pub struct TokenEncoderConfig {
    /// The tables.
    pub embedding: TokenEmbeddingConfig,
    /// The blocks.
    pub transformer: TransformerConfig,
}

impl TokenEncoderConfig {
    /// BERT: two types, a norm of the sum.
    pub fn bert(vocabulary: usize, positions: usize, transformer: TransformerConfig) -> Self {
        let embedding = TokenEmbeddingConfig::new(vocabulary, transformer.width, positions).with_types(2);
        Self { embedding: embedding.with_norm(Some(transformer.epsilon)), transformer }
    }

    /// RoBERTa: one type; positions begin at 2, behind the padding id 1.
    pub fn roberta(vocabulary: usize, positions: usize, transformer: TransformerConfig) -> Self {
        let embedding = TokenEmbeddingConfig::new(vocabulary, transformer.width, positions).with_types(1);
        let embedding = embedding.with_first_position(2).with_padding(Some(1));
        Self { embedding: embedding.with_norm(Some(transformer.epsilon)), transformer }
    }

    /// GPT-2: tokens and positions, no norm.
    pub fn gpt2(vocabulary: usize, positions: usize, transformer: TransformerConfig) -> Self {
        Self { embedding: TokenEmbeddingConfig::new(vocabulary, transformer.width, positions), transformer }
    }

    /// SASRec as RecBole has it: item 0 is the padding, a norm of the sum; the transformer is
    /// [`TransformerConfig::sasrec`], whose dropout the sum has as well.
    pub fn sasrec(items: usize, positions: usize, transformer: TransformerConfig) -> Self {
        let embedding = TokenEmbeddingConfig::new(items, transformer.width, positions).with_padding(Some(0));
        let embedding = embedding.with_norm(Some(transformer.epsilon)).with_dropout(transformer.dropout);
        Self { embedding, transformer }
    }

    /// The original SASRec: item 0 is the padding, items times `sqrt(width)`, no norm of the sum; the transformer is
    /// [`TransformerConfig::sasrec_original`] or [`sasrec_port`](TransformerConfig::sasrec_port).
    pub fn sasrec_original(items: usize, positions: usize, transformer: TransformerConfig) -> Self {
        let embedding = TokenEmbeddingConfig::new(items, transformer.width, positions).with_padding(Some(0));
        let embedding = embedding.with_scale((transformer.width as f64).sqrt()).with_dropout(transformer.dropout);
        Self { embedding, transformer }
    }

    /// Checks both parts.
    ///
    /// # Errors
    /// When a setting of a part is wrong, or their widths differ.
    pub fn validate(&self) -> Result<(), SettingError> {
        self.embedding.validate()?;
        self.transformer.validate()?;
        let (wide, width) = (self.embedding.width, self.transformer.width);
        Check::new("token encoder").that(wide == width, "width", wide, format!("that of the transformer, {width}"))
    }

    /// The encoder, tables first.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(
        &self,
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<TokenEncoder, SettingError> {
        self.validate()?;
        let on = on.into();
        let embedding = self.embedding.init(rng, on.clone())?;
        Ok(TokenEncoder { embedding, transformer: self.transformer.init(rng, on)? })
    }
}

/// A transformer over ids.
#[derive(Module, Debug)]
pub struct TokenEncoder {
    /// Ids to rows.
    pub embedding: TokenEmbedding,
    /// Rows to rows.
    pub transformer: Transformer,
}

impl TokenEncoder {
    /// The rows of all tokens, with positions counted from the start of each list and types 0.
    ///
    /// # Shapes
    /// - ids: `total` of the lists
    /// - output: `[total, d]`
    ///
    /// # Panics
    /// When an id or a position is not in its table, or the lengths differ.
    pub fn forward(&self, ids: &[u32], lists: &Ragged, pass: &mut Pass) -> Tensor<2> {
        let x = self.embedding.forward(ids, &lists.positions(), None, pass);
        self.transformer.forward(x, lists, pass)
    }

    /// The output of some rows only, with positions counted from the start of each list and types 0: see
    /// [`Transformer::forward_at`].
    ///
    /// # Panics
    /// As [`forward`](Self::forward), and when the rows do not ascend.
    pub fn forward_at(&self, ids: &[u32], lists: &Ragged, rows: &[u32], pass: &mut Pass) -> Tensor<2> {
        let x = self.embedding.forward(ids, &lists.positions(), None, pass);
        self.transformer.forward_at(x, lists, rows, pass)
    }

    /// The rows of tokens that follow those in the cache, which they join.
    ///
    /// # Panics
    /// As [`forward`](Self::forward), and when the transformer is not causal.
    pub fn forward_cached(&self, ids: &[u32], new: &Ragged, cache: &mut Cache) -> Tensor<2> {
        let positions = cache.lists().lengths().zip(new.lengths());
        let positions: Vec<u32> = positions.flat_map(|(old, new)| (old..old + new).map(|at| at as u32)).collect();
        let x = self.embedding.forward(ids, &positions, None, &mut Pass::evaluation());
        self.transformer.forward_cached(x, new, cache)
    }

    /// The rows of tokens that could follow each list in the cache, `ids.len() / lists` for each: see
    /// [`Transformer::forward_beside`].
    ///
    /// # Panics
    /// As [`forward`](Self::forward), when there are not as many ids for each list, or the transformer is not causal.
    pub fn forward_beside(&self, ids: &[u32], cache: &Cache) -> (Tensor<2>, BesideRows) {
        let lists = cache.lists().len();
        assert!(lists > 0 && ids.len().is_multiple_of(lists), "{} tokens beside {lists} lists", ids.len());
        let each = ids.len() / lists;
        let positions = cache.lists().lengths().flat_map(|length| std::iter::repeat_n(length as u32, each));
        let positions: Vec<u32> = positions.collect();
        let x = self.embedding.forward(ids, &positions, None, &mut Pass::evaluation());
        self.transformer.forward_beside(x, cache)
    }
}
