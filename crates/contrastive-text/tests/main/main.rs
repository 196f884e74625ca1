//! Readers, encoders, the methods' identities and checks, training and resume, bad input, real data.

mod bad_input;
mod common;
mod data;
mod debcse;
mod encoder;
mod evaluate;
#[path = "../../../../tests/golden/mod.rs"]
mod golden;
mod golden_data;
mod golden_models;
mod simcse;
mod training;
mod whitenedcse;
