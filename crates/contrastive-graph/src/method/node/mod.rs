//! Published methods that embed the nodes of one graph with features, without labels.
//!
//! A [`NodeMethod`] says what an epoch costs and how parameters become embeddings; [`NodeTraining`] owns the parameters and the
//! optimiser, and steps, one step of the whole graph an epoch. [`NodeMethodConfig::fit`] runs a training with progress,
//! checkpoints and a run folder; an own loop calls [`NodeTraining::step`].
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use burn::tensor::Device;
//! use contrastive_graph::method::node::{GraceConfig, NodeMethodConfig};
//! use contrastive_graph::node::{BlockModelOptions, block_model};
//!
//! let graph = block_model(&BlockModelOptions { nodes: 120, ..Default::default() })?;
//! let mut training = GraceConfig::new().with_dim(16).with_projection(16).build(&graph, 7, &Device::flex())?;
//! let first = training.step()?;
//! let second = training.step()?;
//! assert!(first > 0.0 && second != first);
//! assert_eq!(training.embed().dim(), (120, 16));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod autoencoder;
mod bgrl;
mod csgcl;
mod dgi;
mod error;
mod gbt;
mod gca;
mod grace;
mod pamc;
mod powers;
mod published;
mod training;
mod views;
mod whole;

pub use autoencoder::{AutoEncoder, AutoEncoderConfig};
pub use bgrl::{Bgrl, BgrlConfig, BgrlModel};
pub use csgcl::{Csgcl, CsgclConfig, Detector, TeamUp};
pub use dgi::{Dgi, DgiConfig, DgiModel};
pub use error::NodeMethodError;
pub use gbt::{Gbt, GbtConfig};
pub use gca::{Centrality, Corruption};
pub use grace::{Grace, GraceConfig};
pub use pamc::{Pamc, PamcConfig, PamcLosses, PamcModel, PamcNegatives, PamcStart};
pub use powers::powers;
pub use published::PamcData;
pub use training::{NodeEmbeddings, NodeMethod, NodeMethodConfig, NodeParts, NodeTraining, Settings};
pub use views::{Drops, NodeData, ProjectedEncoder, TwoViewMethod, TwoViews, View, ViewRule};
pub use whole::DropShares;
