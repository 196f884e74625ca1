//! Networks of several types of nodes: papers with authors and subjects, films with actors and directors.
//!
//! [`data`] what comes in, and what meta-paths make of it; [`method`] MEOW and AdaMEOW;
//! [`evaluate`] probes with few labels, and clusters. Embedded are the nodes of one type, the *target*.
//!
//! ```
//! # #[cfg(feature = "flex")] {
//! use burn::tensor::Device;
//! use contrastive_graph::hetero::data::{NetworkOptions, planted_network};
//! use contrastive_graph::hetero::method::MeowConfig;
//! use contrastive_train::MethodConfig;
//!
//! let graph = planted_network(&NetworkOptions { targets: 60, ..NetworkOptions::default() })?;
//! let config = MeowConfig::new(vec!["P-A-P".into(), "P-S-P".into()]).with_clusters(vec![4, 8]);
//! let mut training = config.build(&graph, 7, &Device::flex())?;
//! training.train_epoch()?;
//! assert_eq!(training.method().embed(&training.trained_model()).dims(), [60, 64]);
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod data;
pub mod evaluate;
pub mod method;
