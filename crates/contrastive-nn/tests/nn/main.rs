//! Layers and encoders against golden values, finite differences and each other.

mod common;
#[path = "../../../../tests/golden/mod.rs"]
mod golden;

mod batch_norm;
mod encoders;
mod layers;
mod lists;
mod model;
mod weights;
