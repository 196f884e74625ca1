//! Readers, encoders, decoders, the methods' identities and checks, training and resume, bad input, real data.

mod bad_input;
mod causal;
mod cocosoda;
mod code;
mod common;
mod data;
mod debcse;
mod decode;
mod encoder;
mod evaluate;
#[path = "../../../../tests/golden/mod.rs"]
mod golden;
mod golden_data;
mod golden_models;
mod simcse;
mod simctg;
mod support;
mod training;
mod whitenedcse;
