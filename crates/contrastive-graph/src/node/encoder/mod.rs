//! From the features of nodes and the edges among them to embeddings.
//!
//! Single layers: [`Gcn`], [`Gat`], [`Sage`], [`Gin`], and [`light_propagation`] without weights; [`Encoder`] stacks layers with
//! skip connections, normalisation, activation and dropout. Linear maps, activations and the [`Mlp`] of projectors and of encoders
//! without a graph are those of `contrastive-nn`. A [`NodeInput`] is dense or sparse; sparse features meet the first weight without
//! ever being written out.
//!
//! Weights are drawn from the generator that `init` is given, dropout from the one that `forward_training` is given; nothing
//! else is random.
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use burn::tensor::Device;
//! use contrastive_graph::node::encoder::{EncoderConfig, NodeInput};
//! use contrastive_kernels::sparse::Csr;
//! use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
//!
//! let graph = Csr::from_triplets(3, 3, &[(0, 1, 1.0), (1, 0, 1.0), (1, 2, 1.0), (2, 1, 1.0)]).unwrap();
//! let words = Csr::from_triplets(3, 5, &[(0, 4, 1.0), (1, 0, 0.5), (1, 2, 0.5), (2, 3, 1.0)]).unwrap();
//! let mut rng = ChaCha8Rng::seed_from_u64(7);
//! let encoder = EncoderConfig::new(vec![5, 8, 4]).init(&mut rng, &Device::flex())?;
//! let embeddings = encoder.forward(&encoder.prepare(&graph), &NodeInput::from(words));
//! assert_eq!(embeddings.dims(), [3, 4]);
//! # }
//! # Ok::<(), contrastive_nn::SettingError>(())
//! ```
//!
//! [`Mlp`]: contrastive_nn::encoder::Mlp

mod gat;
mod input;
mod layers;
mod linear;
mod stack;

pub use gat::{Gat, GatConfig};
pub use input::{NodeFeatures, NodeInput};
pub use layers::{Gcn, GcnConfig, Gin, GinConfig, Sage, SageConfig, light_propagation};
pub(crate) use linear::dropout;
pub(crate) use stack::whole_normalised;
pub use stack::{Encoder, EncoderConfig, EncoderLayer, LayerKind, Normalisation, Propagation, Step};
