//! Contrastive learning on graphs. User-item graphs: what comes in ([`data`]), and MF-BPR, LightGCN, SGL, LightGCL
//! ([`method`]). Graphs of nodes with features: [`node`], [`encoder`], and GRACE, GCA, CSGCL, PamC, DGI, BGRL, GBT
//! ([`method::node`]). Random views of both: [`augment`].
//!
//! ```
//! use burn::tensor::Device;
//! use contrastive_graph::data::generate::{PlantedOptions, planted};
//! use contrastive_graph::method::{LightGcnConfig, MethodConfig};
//! use contrastive_train::FitOptions;
//!
//! let data = planted(&PlantedOptions { users: 60, items: 40, communities: 4, ..Default::default() })?.dataset;
//! let options = FitOptions::new(&Device::default()).epochs(2).seed(7).progress(false);
//! let model = LightGcnConfig::new().with_dim(8).fit(&data, &options)?;
//! let best = model.recommend(&[0], 5, &data.train)?;
//! assert_eq!(best.row(0).0.len(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod augment;
pub mod data;
pub mod encoder;
pub mod method;
pub mod node;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
