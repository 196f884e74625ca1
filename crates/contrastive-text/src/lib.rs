#![doc = include_str!("../README.md")]

pub mod bm25;
pub mod data;
pub mod decode;
pub mod encoder;
mod error;
pub mod evaluate;
pub mod method;

pub use error::TextError;
