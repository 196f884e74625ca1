//! Many small graphs with a class each: molecules, proteins, social circles.
//!
//! | I need | use |
//! |---|---|
//! | graphs from files, memory or `petgraph` | [`data::GraphSet`] |
//! | copies of a graph that differ by a known number of edges | [`augment::rewire`] |
//! | an encoder of whole graphs | [`encoder::GraphEncoder`] |
//! | embeddings that tell how much a graph was changed | [`method::DslaConfig`] |
//! | what the embeddings are worth | [`evaluate`] |

pub mod augment;
pub mod data;
pub mod encoder;
pub mod evaluate;
pub mod method;
