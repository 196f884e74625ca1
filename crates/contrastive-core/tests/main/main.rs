//! The tests of the crate: one binary, since each links all of Burn. `cargo test --release -p contrastive-core --test main MODULE`.

#[macro_use]
mod common;

mod bad_inputs;
mod behaviour;
mod dense_streaming;
mod distributed;
mod far_logits;
mod golden_distill;
mod golden_grouped;
mod golden_metric;
mod golden_objectives;
mod golden_presets;
mod gradient_cache;
mod linear;
mod memory;
mod optimised;
mod pair_contrastive;
mod pml_more;
mod presets;
mod row_losses;
mod sorting;
mod spec_checks;
mod svd;
mod synthesis;
mod systems;
mod unpaired;
mod vocabulary;
