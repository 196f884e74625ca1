//! Contrastive learning on graphs, of three kinds with the same rooms in each: `data` what comes in, `augment` random views,
//! `encoder` from inputs to embeddings, `method` the published methods, and an evaluation by the protocol of the field.
//!
//! | I have | room | methods |
//! |---|---|---|
//! | who bought, played or rated what | [`user_item`] | MF-BPR, LightGCN, SGL, LightGCL, XSimGCL, DCCF |
//! | nodes with features, and edges among them | [`node`] | GRACE, GCA, CSGCL, PamC, DGI, BGRL, GBT |
//! | many small graphs with a class each | [`graphs`] | D-SLA |
//! | nodes of several types, and links among them | [`hetero`] | MEOW, AdaMEOW |
//! | a method of my own | [`parts`] | |
//!
//! ```
//! use burn::tensor::Device;
//! use contrastive_graph::user_item::data::generate::{PlantedOptions, planted};
//! use contrastive_graph::user_item::method::{LightGcnConfig, MethodConfig};
//! use contrastive_train::FitOptions;
//!
//! let data = planted(&PlantedOptions { users: 60, items: 40, communities: 4, ..Default::default() })?.dataset;
//! let options = FitOptions::new(&Device::default()).epochs(2).seed(7).progress(false);
//! let model = LightGcnConfig::new().with_dim(8).fit(&data, &options)?;
//! let best = model.recommend(&[0], 5, &data.train)?;
//! assert_eq!(best.row(0).0.len(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod draw;
mod error;
pub mod graphs;
pub mod hetero;
pub mod node;
pub mod parts;
pub mod user_item;

pub use error::MethodError;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
