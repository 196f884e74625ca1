//! The published methods: one file each, composed of data, edits, encoder and the objectives of the core.

mod cl4srec;
mod contrast;
mod duorec;
mod icsrec;
mod intents;
mod mclrec;
mod model;
mod sasrec;

pub use cl4srec::{Cl4SRec, Cl4SRecConfig, ViewBatch};
pub use duorec::{DuoRec, DuoRecBatch, DuoRecConfig, DuoRecPairs};
pub use icsrec::{Encodings, IcsRec, IcsRecBatch, IcsRecConfig};
pub use intents::Intents;
pub use mclrec::{Augmenter, BandPairs, BandScope, MclRec, MclRecConfig, MclRecModel, Schedule};
pub use model::{Recommendation, SequenceModel};
pub use sasrec::{ItemLoss, NextItemBatch, SasRec, SasRecConfig};

use crate::data::{LeaveOneOut, Samples};
use crate::encoder::SequenceEncoder;
use contrastive_train::{Method, Metrics, TrainError};
use ndarray::Array2;
use std::sync::Arc;

/// A method whose model holds a [`SequenceEncoder`], which is all that is used after training.
pub trait SequenceMethod: Method {
    /// The encoder of a model.
    fn encoder(model: &Self::Model) -> &SequenceEncoder;

    /// What it learns the next item from: samples, order and item loss.
    fn base(&self) -> &SasRec;
}

/// What all methods evaluate: validation metrics of their encoder.
fn validation(base: &SasRec, encoder: &SequenceEncoder) -> Result<Option<Metrics>, TrainError> {
    base.validation(encoder).map(Some).map_err(TrainError::trainee)
}

fn item_artifact(encoder: &SequenceEncoder) -> Vec<(String, Array2<f32>)> {
    vec![("items".into(), encoder.item_rows())]
}

/// The samples of a split.
fn samples_of(data: &LeaveOneOut, config: &SasRecConfig) -> Result<Arc<Samples>, crate::SeqRecError> {
    let split = Arc::new(data.clone());
    let samples = Samples::new(&split, config.mode, config.encoder.max_len);
    match samples.is_empty() {
        true => Err(crate::SeqRecError::NoSamples { data: data.sequences().name().into() }),
        false => Ok(Arc::new(samples)),
    }
}
