//! DuoRec (Qiu et al., WSDM 2022): positives from dropout and from other lists with the same next item.

use super::contrast::Contrast;
use super::{NextItemBatch, SasRec, SasRecConfig, SequenceMethod, item_artifact, validation};
use crate::SeqRecError;
use crate::data::{LeaveOneOut, PartnerRule, Partners};
use crate::encoder::{ListBatch, Read, SequenceEncoder};
use burn::config::Config;
use burn::tensor::{Device, Tensor};
use contrastive_nn::Pass;
use contrastive_train::{Check, Method, MethodConfig, Metrics, Step, TrainError, Training};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

/// Which encodings are told from those of other samples: h of the list, h' of the same list with other dropout, s of another list with the
/// same next item. The names are the released code's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum DuoRecPairs {
    /// `us_x`: h' with s.
    #[default]
    UsX,
    /// `un`: h with h'.
    Un,
    /// `su`: h with s.
    Su,
    /// `us`: `un` and `su`.
    Us,
}

/// Settings of [`DuoRec`].
#[derive(Config, Debug, PartialEq)]
pub struct DuoRecConfig {
    /// What the next item is learnt with.
    #[config(default = "SasRecConfig::new()")]
    pub base: SasRecConfig,
    /// Which encodings are compared.
    #[config(default = "DuoRecPairs::UsX")]
    pub pairs: DuoRecPairs,
    /// Weight of each contrast, at least 0.
    #[config(default = 0.1)]
    pub contrast_weight: f64,
    /// tau, above 0.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Which of the lists with the same next item.
    #[config(default = "PartnerRule::Uniform")]
    pub partner: PartnerRule,
}

impl DuoRecConfig {
    /// The method and its model with weights drawn from the seed, for a loop of one's own.
    ///
    /// # Errors
    /// When a setting is out of its range, or there is nothing to learn from.
    pub fn parts(
        &self,
        data: &LeaveOneOut,
        seed: u64,
        device: &Device,
    ) -> Result<(DuoRec, SequenceEncoder), SeqRecError> {
        MethodConfig::validate(self)?;
        let (base, encoder, _) = self.base.base_parts(data, seed, device, false)?;
        let partners = Partners::new(base.samples());
        let method = DuoRec { contrast: Contrast::new(self.temperature)?, config: self.clone(), base, partners };
        Ok((method, encoder))
    }
}

impl MethodConfig for DuoRecConfig {
    type Method = DuoRec;
    type Data = LeaveOneOut;
    type Error = SeqRecError;

    fn validate(&self) -> Result<(), SeqRecError> {
        self.base.validate()?;
        let check = Check::new("duorec");
        check.weight("contrast_weight", self.contrast_weight)?;
        Ok(check.positive("temperature", self.temperature)?)
    }

    fn build(&self, data: &LeaveOneOut, seed: u64, device: &Device) -> Result<Training<DuoRec>, SeqRecError> {
        let (method, model) = self.parts(data, seed, device)?;
        Ok(Training::new(method, model, &self.base.training, seed)?)
    }
}

/// A batch of the next item, and lists with the same next items.
#[derive(Clone, Debug)]
pub struct DuoRecBatch {
    /// The lists themselves.
    pub next: NextItemBatch,
    /// A partner of each.
    pub partners: ListBatch,
}

/// `L = L_next + weight NT-Xent(h', s)` with inner products; see [`DuoRecPairs`]. A sample whose target occurs once is its own partner.
#[derive(Clone, Debug)]
pub struct DuoRec {
    config: DuoRecConfig,
    base: SasRec,
    partners: Partners,
    contrast: Contrast,
}

impl DuoRec {
    /// Who can be whose partner.
    pub fn partners(&self) -> &Partners {
        &self.partners
    }
}

impl Method for DuoRec {
    type Model = SequenceEncoder;
    type Batch = DuoRecBatch;

    fn name(&self) -> &str {
        "duorec"
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

    fn batch(&mut self, step: Step) -> Result<DuoRecBatch, TrainError> {
        let (rows, mut rng) = (self.base.rows(step.batch), step.rng());
        let next = self.base.next_items(rows, &mut rng);
        let partners = self.base.partner_lists(&self.partners, rows, self.config.partner, &mut rng);
        Ok(DuoRecBatch { partners, next })
    }

    fn losses(
        &mut self,
        model: &SequenceEncoder,
        batch: &DuoRecBatch,
        step: Step,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, TrainError> {
        use DuoRecPairs::{Su, Un, Us, UsX};
        let mut pass = Pass::training(step.seed, step.global as u64);
        let states = self.base.states(model, &batch.next, &mut pass);
        let (pairs, weight) = (self.config.pairs, self.config.contrast_weight);
        // with a target at every position, the contrast takes the last one's state
        let rows = batch.next.lists.len();
        let h = match states.dims()[0] == rows {
            true => states.clone(),
            false => contrastive_core::linear::gather_rows(states.clone(), &batch.next.lists.lists().last_rows()),
        };
        let mut losses = vec![("next_item", self.base.item_loss(model, states, &batch.next))];
        if weight == 0.0 {
            return Ok(losses);
        }
        let mut encode = |lists: &ListBatch| model.encode(lists, Read::Last, &mut pass);
        let again = matches!(pairs, Un | Us | UsX).then(|| encode(&batch.next.lists));
        let other = matches!(pairs, Su | Us | UsX).then(|| encode(&batch.partners));
        let mut push = |name, first: &Tensor<2>, second: &Tensor<2>| {
            losses.push((name, self.contrast.loss(first.clone(), second.clone()) * weight));
        };
        match (pairs, &again, &other) {
            (UsX, Some(again), Some(other)) => push("contrast", again, other),
            (_, again, other) => {
                again.iter().for_each(|again| push("dropout_contrast", &h, again));
                other.iter().for_each(|other| push("target_contrast", &h, other));
            }
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

impl SequenceMethod for DuoRec {
    fn encoder(model: &SequenceEncoder) -> &SequenceEncoder {
        model
    }

    fn base(&self) -> &SasRec {
        &self.base
    }
}
