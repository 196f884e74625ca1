//! Edited copies of a list: the views of a contrast.

mod neighbours;
mod operators;

pub use neighbours::Neighbours;
pub use operators::{Edits, EditsConfig, MaskWith, Operator};
