#![doc = include_str!("../README.md")]

mod error;
pub mod evaluate;
pub mod method;
pub mod world;

pub use error::RlError;
