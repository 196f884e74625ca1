//! Encoders: modules from rows, ids or images to rows.

mod block;
mod cache;
mod conv_net;
mod conv_net1d;
mod mlp;
mod resnet;
mod skeleton;
mod st_gcn;
mod token;
mod transformer;
mod vit;

pub use block::{Layout, TransformerBlock};
pub use cache::{BesideRows, Cache};
pub use conv_net::{ConvLayer, ConvNet, ConvNetConfig, channels_first, channels_last};
pub use conv_net1d::{ConvNet1d, ConvNet1dConfig, ConvStage1d};
pub use mlp::{Mlp, MlpConfig};
pub use resnet::{ResNet, ResNetBlock, ResNetConfig, ResNetStem, ResidualBlock, Shortcut};
pub use skeleton::{Partition, SkeletonGraph};
pub use st_gcn::{Skip, SkipMap, StGcn, StGcnBlock, StGcnConfig};
pub use token::{TokenEmbedding, TokenEmbeddingConfig, TokenEncoder, TokenEncoderConfig};
pub use transformer::{Transformer, TransformerConfig};
pub use vit::{ImagePool, Vit, VitConfig};
