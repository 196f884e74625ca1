//! Blocks one after the other.

use super::{BesideRows, Cache, Layout, TransformerBlock};
use crate::error::Check;
use crate::init::Initial;
use crate::layer::{Activation, LayerNorm, LayerNormConfig, Reach};
use crate::{Pass, Ragged, SettingError};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions};
use contrastive_core::linear::gather_rows;
use rand_chacha::ChaCha8Rng;

/// Settings of [`Transformer`]. The published models are functions of this type; any of their choices can be changed with `with_*`.
#[derive(Config, Debug, PartialEq)]
pub struct TransformerConfig {
    /// Width of the rows.
    pub width: usize,
    /// Heads of the attention; they divide the width.
    pub heads: usize,
    /// Width between the maps of the feed-forward network.
    pub inner: usize,
    /// Blocks.
    pub layers: usize,
    /// Where the norms stand.
    #[config(default = "Layout::PostNorm")]
    pub layout: Layout,
    /// What stands between the maps of the feed-forward network.
    #[config(default = "Activation::Gelu")]
    pub activation: Activation,
    /// Added to the variance in the norms.
    #[config(default = 1e-12)]
    pub epsilon: f64,
    /// Share of numbers dropped after the attention and after the feed-forward network, in training.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// Share of attention weights dropped.
    #[config(default = 0.0)]
    pub attention_dropout: f64,
    /// Share of numbers dropped between the maps of the feed-forward network.
    #[config(default = 0.0)]
    pub inner_dropout: f64,
    /// Whether rows see only themselves and those before them.
    #[config(default = false)]
    pub causal: bool,
    /// Whether a linear map follows the heads of the attention.
    #[config(default = true)]
    pub attention_output: bool,
    /// Whether a norm follows the last block.
    #[config(default = false)]
    pub final_norm: bool,
    /// How weights start.
    #[config(default = "Initial::Normal(0.02)")]
    pub initial: Initial,
}

impl TransformerConfig {
    /// BERT (Devlin et al., 2019): post-norm, exact GELU, both directions.
    pub fn bert(width: usize, heads: usize, inner: usize, layers: usize) -> Self {
        Self::new(width, heads, inner, layers)
    }

    /// RoBERTa (Liu et al., 2019): BERT with an epsilon of 1e-5.
    pub fn roberta(width: usize, heads: usize, inner: usize, layers: usize) -> Self {
        Self::new(width, heads, inner, layers).with_epsilon(1e-5)
    }

    /// GPT-2 (Radford et al., 2019): pre-norm, GELU by tanh, causal, four times the width inside, a norm at the end.
    pub fn gpt2(width: usize, heads: usize, layers: usize) -> Self {
        let config = Self::new(width, heads, 4 * width, layers).with_layout(Layout::PreNorm).with_epsilon(1e-5);
        config.with_activation(Activation::GeluTanh).with_causal(true).with_final_norm(true)
    }

    /// ViT (Dosovitskiy et al., 2021): pre-norm, exact GELU, both directions, a norm at the end.
    pub fn vit(width: usize, heads: usize, inner: usize, layers: usize) -> Self {
        let config = Self::new(width, heads, inner, layers).with_layout(Layout::PreNorm);
        config.with_epsilon(1e-6).with_final_norm(true)
    }

    /// SASRec as RecBole has it: BERT's blocks, causal.
    pub fn sasrec(width: usize, heads: usize, inner: usize, layers: usize) -> Self {
        Self::new(width, heads, inner, layers).with_causal(true)
    }

    /// The original SASRec (Kang and McAuley, 2018): normalised queries, keys and values from rows as they are, no map after the
    /// heads, a rectifier, the width inside, a norm at the end.
    pub fn sasrec_original(width: usize, heads: usize, layers: usize) -> Self {
        Self::sasrec_port(width, heads, layers).with_attention_output(false)
    }

    /// SASRec's PyTorch port: the original with a map after the heads.
    pub fn sasrec_port(width: usize, heads: usize, layers: usize) -> Self {
        let config = Self::new(width, heads, width, layers).with_layout(Layout::NormalisedQueries).with_causal(true);
        config.with_activation(Activation::Relu).with_epsilon(1e-8).with_final_norm(true)
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// When a size is 0, the heads do not divide the width, a dropout is not in `0..1`, or epsilon not a finite number above 0.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("transformer");
        check.count("width", self.width)?;
        check.count("inner", self.inner)?;
        check.count("layers", self.layers)?;
        let fits = self.heads > 0 && self.width.is_multiple_of(self.heads);
        check.that(fits, "heads", self.heads, format!("a divisor of the width {}", self.width))?;
        check.share("dropout", self.dropout)?;
        check.share("attention_dropout", self.attention_dropout)?;
        check.share("inner_dropout", self.inner_dropout)?;
        check.positive("epsilon", self.epsilon)?;
        self.activation.validate()
    }

    /// The blocks, drawn from the first to the last.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(
        &self,
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<Transformer, SettingError> {
        self.validate()?;
        let on = on.into();
        let blocks = (0..self.layers).map(|_| TransformerBlock::new(self, rng, on.clone()));
        let blocks = blocks.collect::<Result<_, _>>()?;
        let norm = LayerNormConfig::new(self.width).with_epsilon(self.epsilon);
        let norm = self.final_norm.then(|| norm.init(on)).transpose()?;
        Ok(Transformer { blocks, norm, causal: self.causal })
    }
}

/// Blocks one after the other, over packed rows of lists.
#[derive(Module, Debug)]
pub struct Transformer {
    /// The blocks.
    pub blocks: Vec<TransformerBlock>,
    /// What follows the last.
    pub norm: Option<LayerNorm>,
    causal: bool,
}

impl Transformer {
    /// Do rows see only themselves and those before them?
    pub fn is_causal(&self) -> bool {
        self.causal
    }

    fn finish(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.norm {
            Some(norm) => norm.forward(x),
            None => x,
        }
    }

    /// # Shapes
    /// - x, output: `[total, d]`
    ///
    /// # Panics
    /// When a shape does not fit.
    pub fn forward(&self, x: Tensor<2>, lists: &Ragged, pass: &mut Pass) -> Tensor<2> {
        let reach = Reach::within(lists, self.causal);
        self.finish(self.blocks.iter().fold(x, |x, block| block.forward(x, &reach, pass)))
    }

    /// The output of some rows only: the last block computes queries, feed-forward and norms of these rows alone.
    ///
    /// # Shapes
    /// - x: `[total, d]`
    /// - rows: numbers of rows of x that ascend
    /// - output: `[rows.len(), d]`
    ///
    /// # Panics
    /// When a shape does not fit, or the rows do not ascend.
    pub fn forward_at(&self, x: Tensor<2>, lists: &Ragged, rows: &[u32], pass: &mut Pass) -> Tensor<2> {
        if rows.len() == lists.total() {
            return self.forward(x, lists, pass);
        }
        let reach = Reach::within(lists, self.causal);
        let Some((last, blocks)) = self.blocks.split_last() else { return self.finish(gather_rows(x, rows)) };
        let x = blocks.iter().fold(x, |x, block| block.forward(x, &reach, pass));
        self.finish(last.forward_at(x, lists, rows, self.causal, pass))
    }

    /// [`forward`](Self::forward) with a reach of one's own instead of the causal or full one; `last` names rows whose output alone is
    /// wanted, and what they attend to: then the last block computes no others.
    ///
    /// # Panics
    /// When a shape does not fit, or the rows do not ascend.
    pub fn forward_reaching(
        &self,
        x: Tensor<2>,
        reach: &Reach,
        last: Option<(&[u32], &Reach)>,
        pass: &mut Pass,
    ) -> Tensor<2> {
        let (Some((rows, of_rows)), Some((end, blocks))) = (last, self.blocks.split_last()) else {
            return self.finish(self.blocks.iter().fold(x, |x, block| block.forward(x, reach, pass)));
        };
        let x = blocks.iter().fold(x, |x, block| block.forward(x, reach, pass));
        self.finish(end.forward_rows(x, rows, of_rows, pass))
    }

    /// The output of each block, the last one's after the final norm.
    ///
    /// # Panics
    /// When a shape does not fit.
    pub fn forward_layers(&self, x: Tensor<2>, lists: &Ragged, pass: &mut Pass) -> Vec<Tensor<2>> {
        let reach = Reach::within(lists, self.causal);
        let mut outputs: Vec<Tensor<2>> = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let x = outputs.last().unwrap_or(&x).clone();
            outputs.push(block.forward(x, &reach, pass));
        }
        if let Some(last) = outputs.pop() {
            outputs.push(self.finish(last));
        }
        outputs
    }

    /// The output of rows that follow those in the cache, which they join.
    ///
    /// # Shapes
    /// - x, output: `[new.total(), d]`, list by list
    ///
    /// # Panics
    /// When a shape does not fit, the cache has another number of lists, or the transformer is not causal.
    pub fn forward_cached(&self, x: Tensor<2>, new: &Ragged, cache: &mut Cache) -> Tensor<2> {
        assert!(self.causal, "a cache of keys needs a causal transformer");
        let (lists, rows) = cache.grown(new);
        let reach = Reach::latest(new, &lists);
        let mut pass = Pass::evaluation();
        let blocks = self.blocks.iter().enumerate();
        let x =
            blocks.fold(x, |x, (k, block)| block.forward_cached(x, &reach, |new| cache.join(k, &rows, new), &mut pass));
        cache.set_lists(lists);
        self.finish(x)
    }

    /// The output of candidates for the next row of each list, which see the cached rows of their list and themselves, not each
    /// other; the cache stays as it is, and [`Cache::append`] takes the one that is chosen.
    ///
    /// # Shapes
    /// - x, output: `[lists * each, d]`, list by list
    ///
    /// # Panics
    /// When a shape does not fit, or the transformer is not causal.
    pub fn forward_beside(&self, x: Tensor<2>, cache: &Cache) -> (Tensor<2>, BesideRows) {
        assert!(self.causal, "a cache of keys needs a causal transformer");
        let each = x.dims()[0] / cache.lists().len().max(1);
        let mut rows = Vec::with_capacity(self.blocks.len());
        let x = self.blocks.iter().enumerate().fold(x, |x, (k, block)| {
            let cached = cache.block(k, &x);
            let (x, own) = block.forward_beside(x, cached, cache.lists());
            rows.push(own);
            x
        });
        (self.finish(x), BesideRows::new(each, rows))
    }
}
