//! MEOW and AdaMEOW: the nodes of one type of a network, embedded without labels.

mod config;
mod data;
mod meow;
mod model;

pub use config::{MeowConfig, Negatives};
pub use data::MeowData;
pub use meow::Meow;
pub use model::{MeowModel, MeowOutputs};
