//! Contrastive learning on user-item graphs: what comes in ([`data`]), the random views of it ([`augment`]), and the
//! published methods ([`method`]): MF-BPR, LightGCN, SGL, LightGCL. Graphs of nodes with features are in [`node`].

pub mod augment;
pub mod data;
pub mod encoder;
pub mod method;
pub mod node;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
