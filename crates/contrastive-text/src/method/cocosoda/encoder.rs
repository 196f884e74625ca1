//! Code and queries to rows of length 1.

use crate::TextError;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions};
use contrastive_core::similarity::unit_rows;
use contrastive_nn::encoder::{TokenEmbedding, TokenEmbeddingConfig, Transformer, TransformerConfig};
use contrastive_nn::init::Initial;
use contrastive_nn::layer::mean_rows;
use contrastive_nn::{Pass, Ragged};
use contrastive_train::Check;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

/// Settings of [`CodeEncoder`].
#[derive(Config, Debug, PartialEq)]
pub struct CodeEncoderConfig {
    /// Width of the rows.
    #[config(default = 128)]
    pub width: usize,
    /// Blocks over the tokens, of the same width; without, a bag of tokens.
    #[config(default = "None")]
    pub blocks: Option<TransformerConfig>,
    /// Positions, where there are blocks: at least as many as the longest sequence.
    #[config(default = 256)]
    pub positions: usize,
}

impl CodeEncoderConfig {
    /// Checks the sizes.
    ///
    /// # Errors
    /// When one is 0, or the blocks have another width.
    pub fn validate(&self) -> Result<(), TextError> {
        let check = Check::new("code encoder");
        check.count("width", self.width)?;
        check.count("positions", self.positions)?;
        let Some(blocks) = &self.blocks else { return Ok(()) };
        blocks.validate()?;
        let allowed = format!("that of the encoder, {}", self.width);
        Ok(check.that(blocks.width == self.width, "width of the blocks", blocks.width, allowed)?)
    }

    /// The encoder for so many tokens.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(
        &self,
        vocabulary: usize,
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<CodeEncoder, TextError> {
        self.validate()?;
        let on = on.into();
        let positions = if self.blocks.is_some() { self.positions } else { 0 };
        let embedding = TokenEmbeddingConfig::new(vocabulary, self.width, positions);
        let embedding = match self.blocks {
            Some(_) => embedding,
            // rows of about length 1: with smaller ones Adam's first steps would move them all alike
            None => embedding.with_initial(Initial::Normal((self.width as f64).sqrt().recip())),
        };
        let embedding = embedding.init(rng, on.clone())?;
        Ok(CodeEncoder { embedding, blocks: self.blocks.as_ref().map(|blocks| blocks.init(rng, on)).transpose()? })
    }
}

/// The mean over the tokens of the last layer, scaled to length 1, for code and queries alike.
#[derive(Module, Debug)]
pub struct CodeEncoder {
    /// Tokens to rows.
    pub embedding: TokenEmbedding,
    /// What makes them see each other.
    pub blocks: Option<Transformer>,
}

impl CodeEncoder {
    /// # Shapes
    /// - lists: tokens, at least one in each
    /// - output: `[lists.len(), d]`
    ///
    /// # Panics
    /// When a list is empty, or a token or position is not in its table.
    pub fn forward<L: AsRef<[u32]>>(&self, lists: &[L], pass: &mut Pass) -> Tensor<2> {
        let ids: Vec<u32> = lists.iter().flat_map(|list| list.as_ref().iter().copied()).collect();
        let lengths: Vec<usize> = lists.iter().map(|list| list.as_ref().len()).collect();
        if let Some(list) = lengths.iter().position(|length| *length == 0) {
            panic!("list {list} of {} has no tokens: its mean is not defined", lengths.len());
        }
        let lists = Ragged::from_lengths(&lengths);
        let x = self.embedding.forward(&ids, &lists.positions(), None, pass);
        let x = match &self.blocks {
            Some(blocks) => blocks.forward(x, &lists, pass),
            None => x,
        };
        unit_rows(mean_rows(x, &lists))
    }

    /// The rows of many lists on the host, `[lists.len(), d]`, without dropout, some hundred at a time.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn encode<L: AsRef<[u32]>>(&self, lists: &[L]) -> Array2<f32> {
        let model = self.valid();
        let width = self.embedding.token.weight.val().dims()[1];
        let mut numbers = Vec::with_capacity(lists.len() * width);
        for lists in lists.chunks(256) {
            numbers.extend(model.forward(lists, &mut Pass::evaluation()).into_data().iter::<f32>());
        }
        Array2::from_shape_vec((lists.len(), width), numbers).expect("rows")
    }
}
