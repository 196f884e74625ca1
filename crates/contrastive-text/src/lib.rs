#![doc = include_str!("../README.md")]

pub mod data;
mod error;

pub use error::TextError;
