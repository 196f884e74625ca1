//! Contrastive learning on graphs. User-item graphs: what comes in ([`data`]), and MF-BPR, LightGCN, SGL, LightGCL
//! ([`method`]). Graphs of nodes with features: [`node`], [`encoder`], and GRACE, GCA, CSGCL, PamC, DGI, BGRL, GBT
//! ([`method::node`]). Random views of both: [`augment`].

pub mod augment;
pub mod data;
pub mod encoder;
pub mod method;
pub mod node;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
