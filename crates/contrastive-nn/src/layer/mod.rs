//! Layers. Each is a module with its parameters, or a function where it has none.
//!
//! On the CPU backend, in `f32` and `f64`, value and backward run in the slice kernels of `contrastive-kernels`; elsewhere a body of
//! plain tensor operations gives the same numbers to rounding. Rows of lists lie one after the other ([`Ragged`](crate::Ragged));
//! series and images have their channels last.

mod activation;
mod attention;
mod channel_norm;
mod conv1d;
mod conv2d;
mod dropout;
mod embedding;
mod gru;
mod image_ops;
mod linear;
mod norm;
mod ops;
mod pool;
mod pool2d;
pub(crate) mod portable;
mod row_norm;

pub use activation::{Activation, ActivationLayer, gelu, gelu_tanh, quick_gelu, silu};
pub use attention::{
    Attention, AttentionConfig, AttentionOptions, Reach, attention, attention_beside, attention_biased, self_attention,
};
pub use channel_norm::{BatchNorm, BatchNormConfig, ChannelNorm, ChannelNormKind, GroupNorm, GroupNormConfig};
pub use conv1d::{Conv1d, Conv1dConfig, Conv1dOptions, Padding, conv1d};
#[doc(hidden)]
pub use conv1d::{ConvolutionOps, portable as conv1d_portable};
pub use conv2d::{Conv2d, Conv2dConfig, Conv2dOptions, conv2d};
pub use dropout::{dropout, dropout_add};
pub use embedding::{Embedding, EmbeddingConfig};
pub use gru::{Directions, Gru, GruCell, GruConfig, GruOutput};
pub use linear::{Linear, LinearConfig};
pub use norm::{LayerNorm, LayerNormConfig, RmsNorm, RmsNormConfig};
pub use pool::{first_rows, last_rows, max_rows, mean_rows};
pub use pool2d::{Pool2dOptions, adaptive_avg_pool2d, adaptive_max_pool2d, avg_pool2d, max_pool2d, mean_positions};
pub use row_norm::RowNorm;
