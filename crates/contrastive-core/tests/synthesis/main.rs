//! Heads, synthetic positives and negatives, adaptive comparisons, samplers and ridge: worked examples, identities, dense
//! definitions, golden values, and finite differences in f64.

mod adaptive;
#[path = "../common/mod.rs"]
mod common;
mod heads;
mod inputs;
mod joined;
mod linear;
mod mixing;
mod narrow;
mod pairs_of_classes;
mod samplers;
#[path = "../unpaired/support.rs"]
mod support;
mod whitening_layer;
