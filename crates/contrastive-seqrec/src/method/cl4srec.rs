//! CL4SRec (Xie et al., ICDE 2022): SASRec, and two edited copies of each list that are told from those of other lists.

use super::contrast::Contrast;
use super::{NextItemBatch, SasRec, SasRecConfig, SequenceMethod, item_artifact, validation};
use crate::SeqRecError;
use crate::augment::{Edits, EditsConfig, Neighbours};
use crate::data::{LeaveOneOut, Samples};
use crate::encoder::{ListBatch, Read, SequenceEncoder};
use burn::config::Config;
use burn::tensor::{Device, Tensor};
use contrastive_nn::Pass;
use contrastive_train::{Check, Method, MethodConfig, Metrics, Step, TrainError, Training};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Settings of [`Cl4SRec`].
#[derive(Config, Debug, PartialEq)]
pub struct Cl4SRecConfig {
    /// What the next item is learnt with.
    #[config(default = "SasRecConfig::new()")]
    pub base: SasRecConfig,
    /// The edits.
    #[config(default = "EditsConfig::new()")]
    pub edits: EditsConfig,
    /// lambda: weight of the contrast, at least 0.
    #[config(default = 0.1)]
    pub contrast_weight: f64,
    /// tau of the contrast, above 0.
    #[config(default = 1.0)]
    pub temperature: f64,
}

/// Edits of a configuration on the lists of a split.
pub(super) fn edits_of(config: &EditsConfig, samples: &Samples, max_len: usize) -> Result<Edits, SeqRecError> {
    let split = samples.split();
    let near = config.needs_neighbours().then(|| Arc::new(Neighbours::new(split.train_lists(), split.num_items())));
    Ok(Edits::new(config, split.num_items(), max_len, near)?)
}

/// Two edited views of the lists of some samples.
pub(super) fn views_of(edits: &Edits, base: &SasRec, rows: &[u32], rng: &mut ChaCha8Rng) -> [ListBatch; 2] {
    let mut views = [Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len())];
    for &row in rows {
        let [first, second] = edits.two_views(base.samples().get(row as usize).input, rng);
        views[0].push(first);
        views[1].push(second);
    }
    let max_len = base.settings().encoder.max_len;
    views.map(|lists| ListBatch::new(lists.iter().map(Vec::as_slice), max_len))
}

impl Cl4SRecConfig {
    /// The method and its model with weights drawn from the seed, for a loop of one's own.
    ///
    /// # Errors
    /// When a setting is out of its range, or there is nothing to learn from.
    pub fn parts(
        &self,
        data: &LeaveOneOut,
        seed: u64,
        device: &Device,
    ) -> Result<(Cl4SRec, SequenceEncoder), SeqRecError> {
        MethodConfig::validate(self)?;
        let (base, encoder, _) = self.base.base_parts(data, seed, device, self.edits.needs_mask_token())?;
        let edits = edits_of(&self.edits, base.samples(), self.base.encoder.max_len)?;
        let method = Cl4SRec { contrast: Contrast::new(self.temperature)?, config: self.clone(), base, edits };
        Ok((method, encoder))
    }
}

impl MethodConfig for Cl4SRecConfig {
    type Method = Cl4SRec;
    type Data = LeaveOneOut;
    type Error = SeqRecError;

    fn validate(&self) -> Result<(), SeqRecError> {
        self.base.validate()?;
        self.edits.validate()?;
        let check = Check::new("cl4srec");
        check.weight("contrast_weight", self.contrast_weight)?;
        Ok(check.positive("temperature", self.temperature)?)
    }

    fn build(&self, data: &LeaveOneOut, seed: u64, device: &Device) -> Result<Training<Cl4SRec>, SeqRecError> {
        let (method, model) = self.parts(data, seed, device)?;
        Ok(Training::new(method, model, &self.base.training, seed)?)
    }
}

/// A batch of the next item, and two edited views of its lists.
#[derive(Clone, Debug)]
pub struct ViewBatch {
    /// The lists themselves.
    pub next: NextItemBatch,
    /// Two edits of each.
    pub views: [ListBatch; 2],
}

/// `L = L_next + lambda NT-Xent(f(view 1), f(view 2))`; everything is differentiated.
#[derive(Clone, Debug)]
pub struct Cl4SRec {
    config: Cl4SRecConfig,
    base: SasRec,
    edits: Edits,
    contrast: Contrast,
}

impl Method for Cl4SRec {
    type Model = SequenceEncoder;
    type Batch = ViewBatch;

    fn name(&self) -> &str {
        "cl4srec"
    }

    fn config(&self) -> serde_json::Value {
        SasRec::config_of(&self.config)
    }

    fn data(&self) -> serde_json::Value {
        self.base.data_of()
    }

    fn begin_epoch(&mut self, _epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        Ok(self.base.shuffle(rng))
    }

    fn batch(&mut self, step: Step) -> Result<ViewBatch, TrainError> {
        let (rows, mut rng) = (self.base.rows(step.batch), step.rng());
        let next = self.base.next_items(rows, &mut rng);
        Ok(ViewBatch { views: views_of(&self.edits, &self.base, rows, &mut rng), next })
    }

    fn losses(
        &mut self,
        model: &SequenceEncoder,
        batch: &ViewBatch,
        step: Step,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, TrainError> {
        let mut pass = Pass::training(step.seed, step.global as u64);
        let states = self.base.states(model, &batch.next, &mut pass);
        let mut losses = vec![("next_item", self.base.item_loss(model, states, &batch.next))];
        if self.config.contrast_weight > 0.0 {
            let [first, second] = batch.views.each_ref().map(|view| model.encode(view, Read::Last, &mut pass));
            losses.push(("contrast", self.contrast.loss(first, second) * self.config.contrast_weight));
        }
        Ok(losses)
    }

    fn evaluate(&mut self, model: &SequenceEncoder) -> Result<Option<Metrics>, TrainError> {
        validation(&self.base, model)
    }

    fn artifacts(&self, model: &SequenceEncoder) -> Vec<(String, Array2<f32>)> {
        item_artifact(model)
    }
}

impl SequenceMethod for Cl4SRec {
    fn encoder(model: &SequenceEncoder) -> &SequenceEncoder {
        model
    }

    fn base(&self) -> &SasRec {
        &self.base
    }
}
