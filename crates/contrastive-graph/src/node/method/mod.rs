//! Published methods that embed the nodes of one graph with features, without labels.
//!
//! A [`NodeMethod`] says what an epoch costs and how parameters become embeddings; [`NodeTraining`] owns the parameters and the
//! optimiser, and steps, mostly one step of the whole graph an epoch. [`NodeMethodConfig::fit`] runs a training with progress,
//! checkpoints and a run folder; an own loop calls [`NodeTraining::train_epoch`].
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use burn::tensor::Device;
//! use contrastive_graph::node::method::{GraceConfig, NodeMethodConfig};
//! use contrastive_graph::node::data::{BlockModelOptions, block_model};
//!
//! let graph = block_model(&BlockModelOptions { nodes: 120, ..Default::default() })?;
//! let mut training = GraceConfig::new().with_dim(16).with_projection(16).build(&graph, 7, &Device::flex())?;
//! let first = training.train_epoch()?;
//! let second = training.train_epoch()?;
//! assert!(first > 0.0 && second != first);
//! assert_eq!(training.embed().dim(), (120, 16));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod autoencoder;
mod bgrl;
mod csgcl;
mod data;
mod dgi;
mod gbt;
mod gca;
mod grace;
mod interface;
pub mod irwe;
mod pamc;
pub mod pot;
mod powers;
mod projected;
mod published;
mod settings;
mod training;
mod views;

pub use autoencoder::{AutoEncoder, AutoEncoderConfig, Reconstruction};
pub use bgrl::{Bgrl, BgrlConfig, BgrlModel};
pub use csgcl::{Csgcl, CsgclConfig, Detector, TeamUp};
pub use data::NodeData;
pub use dgi::{Dgi, DgiConfig, DgiModel};
pub use gbt::{Gbt, GbtConfig};
pub use gca::{Centrality, Corruption};
pub use grace::{Grace, GraceConfig};
pub use interface::{NodeEmbeddings, NodeMethod, NodeMethodConfig};
pub use pamc::{Pamc, PamcConfig, PamcModel, PamcNegatives, PamcStart};
pub use powers::powers;
pub use projected::ProjectedEncoder;
pub use published::PamcData;
pub use training::{NodeParts, NodeTraining, Whole};
pub use views::{Drops, SeenViews, TwoViewMethod, TwoViews, UniformViews, View, ViewModel, ViewRule};
