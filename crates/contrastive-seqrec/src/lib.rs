#![doc = include_str!("../README.md")]

pub mod augment;
pub mod data;
pub mod encoder;
mod error;
pub mod evaluate;
pub mod method;

pub use error::SeqRecError;
