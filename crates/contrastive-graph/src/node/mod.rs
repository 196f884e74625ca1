//! Graphs of nodes with features: [`data`] readers, measures and operators, [`augment`] random views, [`encoder`] networks,
//! [`graphlets`] structural counts, [`method`] GRACE, GCA, CSGCL, PamC, DGI, BGRL and GBT, [`evaluate`] the probes of the field.

pub mod augment;
pub mod data;
pub mod encoder;
pub mod evaluate;
pub mod graphlets;
pub mod method;
