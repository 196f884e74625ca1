//! Encoders: modules from rows, or from ids, to rows.

mod block;
mod cache;
mod conv_net;
mod mlp;
mod skeleton;
mod st_gcn;
mod token;
mod transformer;
mod vit;

pub use block::{Layout, TransformerBlock};
pub use cache::{BesideRows, Cache};
pub use conv_net::{ConvNet, ConvNetConfig, ConvStage};
pub use mlp::{Mlp, MlpConfig};
pub use skeleton::{Partition, SkeletonGraph};
pub use st_gcn::{Skip, SkipMap, StGcn, StGcnBlock, StGcnConfig};
pub use token::{TokenEmbedding, TokenEmbeddingConfig, TokenEncoder, TokenEncoderConfig};
pub use transformer::{Transformer, TransformerConfig};
pub use vit::{ImagePool, Vit, VitConfig};
