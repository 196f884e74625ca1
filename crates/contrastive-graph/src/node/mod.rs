//! Graphs of nodes with features: [`data`] readers, measures and operators, [`augment`] random views, [`encoder`] networks,
//! [`method`] GRACE, GCA, CSGCL, PamC, DGI, BGRL and GBT, [`evaluate`] the probes of the field.

pub mod augment;
pub mod data;
pub mod encoder;
pub mod evaluate;
pub mod method;
