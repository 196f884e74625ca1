//! Encoders: modules from rows, ids or images to rows.

mod block;
mod cache;
mod conv_net;
mod mlp;
mod resnet;
mod token;
mod transformer;
mod vit;

pub use block::{Layout, TransformerBlock};
pub use cache::Cache;
pub use conv_net::{ConvLayer, ConvNet, ConvNetConfig, channels_first, channels_last};
pub use mlp::{Mlp, MlpConfig};
pub use resnet::{ResNet, ResNetBlock, ResNetConfig, ResNetStem, ResidualBlock, Shortcut};
pub use token::{TokenEmbedding, TokenEmbeddingConfig, TokenEncoder, TokenEncoderConfig};
pub use transformer::{Transformer, TransformerConfig};
pub use vit::{ImagePool, Vit, VitConfig};
