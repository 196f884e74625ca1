//! Data and samples, edits, the encoder against its definition, the methods' identities, training and resume, bad input, real data.

mod bad_input;
mod common;
mod data;
mod edits;
mod encoder;
#[path = "../../../../tests/golden/mod.rs"]
mod golden;
mod golden_data;
mod icsrec;
mod identities;
mod mclrec;
mod training;
