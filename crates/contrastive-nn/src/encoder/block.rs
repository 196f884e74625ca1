//! One block of a transformer.

use super::TransformerConfig;
use crate::layer::{
    ActivationLayer, Attention, AttentionConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig, Reach, dropout,
    dropout_add,
};
use crate::{Pass, Ragged, SettingError};
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions};
use contrastive_core::linear::gather_rows;
use rand_chacha::ChaCha8Rng;

/// Where the norms of a block stand; `a` is the attention, `f` the feed-forward network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Layout {
    /// `x = norm(x + a(x))`, `x = norm(x + f(x))`: BERT, RoBERTa, RecBole's SASRec.
    #[default]
    PostNorm,
    /// `x = x + a(norm(x))`, `x = x + f(norm(x))`: GPT-2, ViT.
    PreNorm,
    /// `q = norm(x)`, `x = q + a(queries from q, keys and values from x)`, `y = norm(x)`, `x = y + f(y)`: the original SASRec.
    NormalisedQueries,
}

/// Attention and a feed-forward network, each with a norm and a residual; see [`Layout`].
#[derive(Module, Debug)]
pub struct TransformerBlock {
    /// Multi-head attention.
    pub attention: Attention,
    /// The norm of the attention.
    pub attention_norm: LayerNorm,
    /// `[d, inner]`.
    pub inner: Linear,
    /// `[inner, d]`.
    pub outer: Linear,
    /// The norm of the feed-forward network.
    pub feed_forward_norm: LayerNorm,
    /// What stands between its maps.
    pub activation: ActivationLayer,
    #[module(skip)]
    layout: Layout,
    dropout: f64,
    inner_dropout: f64,
}

impl TransformerBlock {
    pub(super) fn new(
        config: &TransformerConfig,
        rng: &mut ChaCha8Rng,
        on: TensorCreationOptions,
    ) -> Result<Self, SettingError> {
        let attention = AttentionConfig::new(config.width, config.heads)
            .with_dropout(config.attention_dropout)
            .with_output(config.attention_output)
            .with_initial(config.initial)
            .init(rng, on.clone())?;
        let mut map =
            |input, output| LinearConfig::new(input, output).with_initial(config.initial).init(rng, on.clone());
        let (inner, outer) = (map(config.width, config.inner)?, map(config.inner, config.width)?);
        let norm = || LayerNormConfig::new(config.width).with_epsilon(config.epsilon).init(on.clone());
        Ok(Self {
            attention,
            attention_norm: norm()?,
            inner,
            outer,
            feed_forward_norm: norm()?,
            activation: config.activation.init(on.clone()),
            layout: config.layout,
            dropout: config.dropout,
            inner_dropout: config.inner_dropout,
        })
    }

    /// # Shapes
    /// - x, output: `[total, d]`
    ///
    /// # Panics
    /// When a shape does not fit.
    pub fn forward(&self, x: Tensor<2>, reach: &Reach, pass: &mut Pass) -> Tensor<2> {
        let (attended, residual) = match self.layout {
            Layout::PostNorm => (self.attention.forward(x.clone(), reach, pass), x),
            Layout::PreNorm => (self.attention.forward(self.attention_norm.forward(x.clone()), reach, pass), x),
            Layout::NormalisedQueries => {
                let queries = self.attention_norm.forward(x.clone());
                (self.attention.forward_across(queries.clone(), x, reach, pass), queries)
            }
        };
        self.after_attention(attended, residual, pass)
    }

    /// The output of some rows only; the others are read as keys and values.
    ///
    /// # Shapes
    /// - x: `[total, d]`
    /// - rows: numbers of rows of x that ascend
    /// - output: `[rows.len(), d]`
    ///
    /// # Panics
    /// When a shape does not fit, or the rows do not ascend.
    pub fn forward_at(&self, x: Tensor<2>, lists: &Ragged, rows: &[u32], causal: bool, pass: &mut Pass) -> Tensor<2> {
        self.forward_rows(x, rows, &Reach::at(lists, rows, causal), pass)
    }

    /// The same with a reach of one's own, whose queries are these rows and whose keys are all rows of x.
    ///
    /// # Panics
    /// When a shape does not fit.
    pub fn forward_rows(&self, x: Tensor<2>, rows: &[u32], reach: &Reach, pass: &mut Pass) -> Tensor<2> {
        let asked = gather_rows(x.clone(), rows);
        let (queries, keys, residual) = match self.layout {
            Layout::PostNorm => (asked.clone(), x, asked),
            Layout::PreNorm => {
                let normal = self.attention_norm.forward(x);
                (gather_rows(normal.clone(), rows), normal, asked)
            }
            Layout::NormalisedQueries => {
                let queries = self.attention_norm.forward(asked);
                (queries.clone(), x, queries)
            }
        };
        self.after_attention(self.attention.forward_across(queries, keys, reach, pass), residual, pass)
    }

    /// Rows that follow others, whose keys and values are there: the output of the new rows. `join` gets the keys and the values of
    /// the new rows, and returns those of all.
    pub(super) fn forward_cached(
        &self,
        x: Tensor<2>,
        reach: &Reach,
        join: impl FnOnce([Tensor<2>; 2]) -> [Tensor<2>; 2],
        pass: &mut Pass,
    ) -> Tensor<2> {
        let [queries, from, residual] = self.before_attention(x);
        let [keys, values] = join(self.attention.keys_values(from));
        let attended = self.attention.forward_cached(queries, keys, values, reach, pass);
        self.after_attention(attended, residual, pass)
    }

    /// Candidates for the next row of each list, beside each other: their output, and their keys and values.
    pub(super) fn forward_beside(
        &self,
        x: Tensor<2>,
        cached: [Tensor<2>; 2],
        lists: &Ragged,
    ) -> (Tensor<2>, [Tensor<2>; 2]) {
        let [queries, from, residual] = self.before_attention(x);
        let (attended, own) = self.attention.forward_beside(queries, from, cached, lists);
        (self.after_attention(attended, residual, &mut Pass::evaluation()), own)
    }

    /// What queries, and what keys and values are made from, and the residual.
    fn before_attention(&self, x: Tensor<2>) -> [Tensor<2>; 3] {
        match self.layout {
            Layout::PostNorm => [x.clone(), x.clone(), x],
            Layout::PreNorm => {
                let normal = self.attention_norm.forward(x.clone());
                [normal.clone(), normal, x]
            }
            Layout::NormalisedQueries => {
                let queries = self.attention_norm.forward(x.clone());
                [queries.clone(), x, queries]
            }
        }
    }

    fn after_attention(&self, attended: Tensor<2>, residual: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let x = dropout_add(attended, residual, self.dropout, pass);
        match self.layout {
            Layout::PostNorm => {
                let x = self.attention_norm.forward(x);
                self.feed_forward_norm.forward(dropout_add(self.fed(x.clone(), pass), x, self.dropout, pass))
            }
            Layout::PreNorm => {
                let fed = self.fed(self.feed_forward_norm.forward(x.clone()), pass);
                dropout_add(fed, x, self.dropout, pass)
            }
            Layout::NormalisedQueries => {
                let x = self.feed_forward_norm.forward(x);
                dropout_add(self.fed(x.clone(), pass), x, self.dropout, pass)
            }
        }
    }

    fn fed(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        let x = self.activation.forward(self.inner.forward(x));
        self.outer.forward(dropout(x, self.inner_dropout, pass))
    }
}
