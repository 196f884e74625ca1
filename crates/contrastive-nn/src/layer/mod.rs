//! Layers. Each is a module with its parameters, or a function where it has none.
//!
//! On the CPU backend, in `f32` and `f64`, value and backward run in the slice kernels of `contrastive-kernels`; elsewhere a body of
//! plain tensor operations gives the same numbers to rounding. Rows of lists lie one after the other ([`Ragged`](crate::Ragged)).

mod activation;
mod attention;
mod conv1d;
mod dropout;
mod embedding;
mod linear;
mod norm;
mod ops;
mod pool;
pub(crate) mod portable;

pub use activation::{Activation, ActivationLayer, gelu, gelu_tanh, quick_gelu, silu};
pub use attention::{
    Attention, AttentionConfig, AttentionOptions, Reach, attention, attention_beside, attention_biased, self_attention,
};
pub use conv1d::{Conv1d, Conv1dConfig, Conv1dOptions, Padding, conv1d};
#[doc(hidden)]
pub use conv1d::{ConvolutionOps, portable as conv1d_portable};
pub use dropout::{dropout, dropout_add};
pub use embedding::{Embedding, EmbeddingConfig};
pub use linear::{Linear, LinearConfig};
pub use norm::{LayerNorm, LayerNormConfig, RmsNorm, RmsNormConfig};
pub use pool::{first_rows, last_rows, max_rows, mean_rows};
