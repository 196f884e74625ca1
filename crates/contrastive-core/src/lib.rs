//! contrastive-core

pub mod linear;
