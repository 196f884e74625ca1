//! Contrastive learning on user-item graphs: what comes in ([`data`]) and the random views of it ([`augment`]).

pub mod augment;
pub mod data;
