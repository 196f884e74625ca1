//! Encoders: modules from rows, or from ids, to rows.

mod block;
mod cache;
mod mlp;
mod token;
mod transformer;
mod vit;

pub use block::{Layout, TransformerBlock};
pub use cache::{BesideRows, Cache};
pub use mlp::{Mlp, MlpConfig};
pub use token::{TokenEmbedding, TokenEmbeddingConfig, TokenEncoder, TokenEncoderConfig};
pub use transformer::{Transformer, TransformerConfig};
pub use vit::{ImagePool, Vit, VitConfig};
