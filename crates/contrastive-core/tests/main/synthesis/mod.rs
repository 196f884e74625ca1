//! Heads, synthetic positives and negatives, adaptive comparisons, samplers and ridge: worked examples, identities, dense
//! definitions, golden values, and finite differences in f64.

mod adaptive;
mod heads;
pub mod inputs;
mod joined;
mod latent_positives;
mod linear;
mod mixing;
mod narrow;
mod pairs_of_classes;
mod samplers;
mod whitening_layer;
