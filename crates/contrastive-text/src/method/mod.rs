//! The published methods: one file or folder each, composed of data, encoder and the objectives of the core.

mod base;
mod cocosoda;
pub mod debcse;
mod masked;
mod simcse;
mod simctg;
mod whitenedcse;

pub use base::{SentenceBatch, SentenceModel};
pub use cocosoda::{
    AugmentEvery, CoCoSoDa, CoCoSoDaConfig, CodeBatch, CodeCorpus, CodeEncoder, CodeEncoderConfig, CodeSearch, Part,
    RANK_CUTOFF, Replacement, ReplacementTokens, SoftAugment, Term, TokenPair,
};
pub use debcse::{DebCse, DebCseBatch, DebCseConfig, DebCseData};
pub use masked::{MaskedBatch, MaskedHead, mask_tokens};
pub use simcse::{Head, SimCse, SimCseConfig};
pub use simctg::{CausalTraining, CausalTrainingConfig, TextBatch};
pub use whitenedcse::{Root, ShuffledBatch, WhitenedCse, WhitenedCseConfig};

/// The settings of a method as JSON, without those of the training, which a checkpoint holds anyway.
fn settings_of(config: &impl serde::Serialize) -> serde_json::Value {
    let mut value = serde_json::to_value(config).expect("settings are JSON");
    if let Some(map) = value.as_object_mut() {
        map.remove("training");
    }
    value
}
