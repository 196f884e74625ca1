//! Graph attention.

use super::input::NodeInput;
use super::layers::widths;
use super::linear::{add_bias, dropout};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, activation};
use contrastive_core::linear::SparsePattern;
use contrastive_core::settings::{Check, SettingError};
use contrastive_nn::init::{self, Initial};
use contrastive_nn::layer::{Linear, LinearConfig};
use rand_chacha::ChaCha8Rng;

/// Settings of [`Gat`].
#[derive(Config, Debug, PartialEq)]
pub struct GatConfig {
    /// Width of the input.
    pub input: usize,
    /// Width of the output, all heads together.
    pub output: usize,
    /// Heads; where they are concatenated, a divisor of the output's width.
    #[config(default = 1)]
    pub heads: usize,
    /// Whether heads are concatenated (hidden layers of the paper) or averaged (its last layer).
    #[config(default = true)]
    pub concatenate: bool,
    /// Slope of the leaky ReLU of the attention logits below 0.
    #[config(default = 0.2)]
    pub negative_slope: f64,
    /// Share of attention weights dropped in training.
    #[config(default = 0.0)]
    pub attention_dropout: f64,
    /// Whether a bias is added.
    #[config(default = true)]
    pub bias: bool,
}

impl GatConfig {
    /// Checks widths, heads and shares.
    ///
    /// # Errors
    /// When a width or the number of heads is 0, the heads do not divide the output, the slope is not finite, or the dropout is
    /// not in `0..1`.
    pub fn validate(&self) -> Result<(), SettingError> {
        widths("gat", self.input, self.output)?;
        let check = Check::new("gat");
        check.count("heads", self.heads)?;
        let fits = !self.concatenate || self.output.is_multiple_of(self.heads);
        check.that(fits, "heads", self.heads, format!("a divisor of the output width {}", self.output))?;
        check.finite("negative_slope", self.negative_slope)?;
        check.share("attention_dropout", self.attention_dropout)
    }

    /// The layer, Glorot-uniform weights and a bias of 0.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Result<Gat, SettingError> {
        self.validate()?;
        let (heads, width) = (self.heads, if self.concatenate { self.output / self.heads } else { self.output });
        let map = LinearConfig::new(self.input, heads * width).with_bias(false).init(rng, device)?;
        let mut attention = || Initial::GlorotUniform.param([heads, width], [width, 1], rng, device);
        Ok(Gat {
            map,
            source: attention(),
            target: attention(),
            bias: self.bias.then(|| init::constant(0.0, [self.output], device)),
            concatenate: self.concatenate,
            negative_slope: self.negative_slope,
            attention_dropout: self.attention_dropout,
        })
    }
}

/// Graph attention (Velickovic et al., ICLR 2018). For every head, with `h = X W`:
///
/// ```text
/// e_ij = leaky_relu(target . h_i + source . h_j) for entries (i, j)     a = softmax of e over each row     out_i = sum_j a_ij h_j
/// ```
///
/// A node attends to itself where the pattern has the entry (i, i); a node without entries gets the bias alone.
#[derive(Module, Debug)]
pub struct Gat {
    /// `[input, heads * width]`, without a bias.
    pub map: Linear,
    /// What scores the sending node, `[heads, width]`.
    pub source: Param<Tensor<2>>,
    /// What scores the receiving node, `[heads, width]`.
    pub target: Param<Tensor<2>>,
    /// `[output]`.
    pub bias: Option<Param<Tensor<1>>>,
    concatenate: bool,
    negative_slope: f64,
    attention_dropout: f64,
}

impl Gat {
    /// Without dropout.
    ///
    /// # Shapes
    /// - input: `[nodes, input]`
    /// - output: `[nodes, output]`
    ///
    /// # Panics
    /// When a shape does not fit the weights or the pattern.
    pub fn forward(&self, pattern: &SparsePattern, input: &NodeInput) -> Tensor<2> {
        self.forward_with(pattern, input, None)
    }

    /// With dropout of attention weights drawn from `rng`.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_training(&self, pattern: &SparsePattern, input: &NodeInput, rng: &mut ChaCha8Rng) -> Tensor<2> {
        self.forward_with(pattern, input, Some(rng))
    }

    pub(super) fn forward_with(
        &self,
        pattern: &SparsePattern,
        input: &NodeInput,
        mut rng: Option<&mut ChaCha8Rng>,
    ) -> Tensor<2> {
        let h = input.multiply(self.map.weight.val());
        let ([nodes, all], [heads, width]) = (h.dims(), self.source.val().dims());
        let ones = Tensor::<2>::ones([nodes, 1], (&h.device(), h.dtype()));
        let parts: Vec<Tensor<2>> = (0..heads)
            .map(|head| {
                let own = if heads == 1 { h.clone() } else { h.clone().narrow(1, head * width, width) };
                let score = |by: &Param<Tensor<2>>| own.clone().matmul(by.val().narrow(0, head, 1).transpose());
                // target_i 1 + 1 source_j: a sampled product of width 2.
                let left = Tensor::cat(vec![score(&self.target), ones.clone()], 1);
                let right = Tensor::cat(vec![ones.clone(), score(&self.source)], 1);
                let logits = activation::leaky_relu(pattern.products(left, right), self.negative_slope);
                let weights = dropout(pattern.softmax(logits), self.attention_dropout, rng.as_deref_mut());
                pattern.apply(weights, own)
            })
            .collect();
        debug_assert_eq!(all, heads * width);
        let joined = if self.concatenate {
            Tensor::cat(parts, 1)
        } else {
            parts.into_iter().reduce(|sum, part| sum + part).expect("at least one head") * (1.0 / heads as f64)
        };
        add_bias(joined, &self.bias)
    }
}
