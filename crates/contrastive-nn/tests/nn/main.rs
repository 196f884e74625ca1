//! Layers and encoders against golden values, finite differences and each other.

mod common;
#[path = "../../../../tests/golden/mod.rs"]
mod golden;

mod batch_norm;
mod encoders;
mod gru;
mod images;
mod layers;
mod lists;
mod model;
mod st_gcn;
mod weights;
