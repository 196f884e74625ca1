#![doc = include_str!("../README.md")]

pub mod data;
pub mod encoder;
mod error;
pub mod evaluate;
pub mod method;

pub use error::TextError;
