//! ICSRec (Qin et al., WSDM 2024): subsequences with the same next item share an intent, and so do those of a cluster.

use super::contrast::Contrast;
use super::{Intents, NextItemBatch, SasRec, SasRecConfig, SequenceMethod, item_artifact, validation};
use crate::SeqRecError;
use crate::data::{LeaveOneOut, Mode, PartnerRule, Partners};
use crate::encoder::{EncoderConfig, ListBatch, Padding, Read, SequenceEncoder};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_core::cluster::{KMeans, MiniBatches};
use contrastive_nn::Pass;
use contrastive_train::{Check, Method, MethodConfig, Metrics, State, Step, TrainError, Training, take_tensor};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

/// How often a list is encoded in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Encodings {
    /// Once for the next item and the contrasts, and its partner once.
    #[default]
    Two,
    /// Once for the next item, once for the contrasts, and its partner once (released code): dropout differs.
    Three,
}

/// Settings of [`IcsRec`].
#[derive(Config, Debug, PartialEq)]
pub struct IcsRecConfig {
    /// What the next item is learnt with. Positions count to the end, as in the released code.
    #[config(default = "SasRecConfig::new().with_encoder(EncoderConfig::new().with_padding(Padding::Left))")]
    pub base: SasRecConfig,
    /// Weight of the loss of the next item, at least 0.
    #[config(default = 1.0)]
    pub next_item_weight: f64,
    /// lambda: weight of the coarse contrast (same next item), at least 0.
    #[config(default = 0.1)]
    pub coarse_weight: f64,
    /// beta: weight of the fine contrast (clusters), at least 0.
    #[config(default = 0.1)]
    pub fine_weight: f64,
    /// K: number of clusters, at most the number of samples.
    #[config(default = 512)]
    pub clusters: usize,
    /// tau of both contrasts, above 0.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Whether samples with the same target (coarse) or in the same cluster (fine) are no negatives of each other.
    #[config(default = true)]
    pub mask_false_negatives: bool,
    /// Epochs before the fine contrast begins: clusters of untrained encodings are arbitrary.
    #[config(default = 0)]
    pub fine_warm_up: usize,
    /// Which of the lists with the same next item.
    #[config(default = "PartnerRule::Uniform")]
    pub partner: PartnerRule,
    /// How often a list is encoded.
    #[config(default = "Encodings::Two")]
    pub encodings: Encodings,
    /// Most iterations of k-means in an epoch.
    #[config(default = 20)]
    pub cluster_iterations: usize,
    /// Starts of the first k-means; later ones begin where the one before ended.
    #[config(default = 5)]
    pub cluster_restarts: usize,
    /// Rows of a mini-batch of k-means; 0: whole iterations.
    #[config(default = 0)]
    pub cluster_batch: usize,
}

impl IcsRecConfig {
    /// The method and its model with weights drawn from the seed, for a loop of one's own.
    ///
    /// # Errors
    /// When a setting is out of its range, or there is nothing to learn from.
    pub fn parts(
        &self,
        data: &LeaveOneOut,
        seed: u64,
        device: &Device,
    ) -> Result<(IcsRec, SequenceEncoder), SeqRecError> {
        MethodConfig::validate(self)?;
        let (base, encoder, _) = self.base.base_parts(data, seed, device, false)?;
        let rows = base.samples().len();
        if self.fine_weight > 0.0 {
            let allowed = format!("at most the number of samples, {rows}");
            Check::new("icsrec").that(self.clusters <= rows, "clusters", self.clusters, allowed)?;
        }
        let partners = Partners::new(base.samples());
        let contrast = Contrast::new(self.temperature)?;
        let method =
            IcsRec { config: self.clone(), base, partners, contrast, intents: None, seed, device: device.clone() };
        Ok((method, encoder))
    }
}

impl MethodConfig for IcsRecConfig {
    type Method = IcsRec;
    type Data = LeaveOneOut;
    type Error = SeqRecError;

    fn validate(&self) -> Result<(), SeqRecError> {
        self.base.validate()?;
        let check = Check::new("icsrec");
        check.weight("next_item_weight", self.next_item_weight)?;
        check.weight("coarse_weight", self.coarse_weight)?;
        check.weight("fine_weight", self.fine_weight)?;
        check.count("clusters", self.clusters)?;
        check.positive("temperature", self.temperature)?;
        check.count("cluster_iterations", self.cluster_iterations)?;
        check.count("cluster_restarts", self.cluster_restarts)?;
        let prefix = self.base.mode == Mode::Prefix;
        Ok(check.that(prefix, "mode", format!("{:?}", self.base.mode), "Prefix: a partner has the same next item")?)
    }

    fn build(&self, data: &LeaveOneOut, seed: u64, device: &Device) -> Result<Training<IcsRec>, SeqRecError> {
        let (method, model) = self.parts(data, seed, device)?;
        Ok(Training::new(method, model, &self.base.training, seed)?)
    }
}

/// A batch of the next item, and a partner of each list.
#[derive(Clone, Debug)]
pub struct IcsRecBatch {
    /// The lists themselves.
    pub next: NextItemBatch,
    /// A list with the same next item for each.
    pub partners: ListBatch,
}

/// `L = w L_next + lambda L_coarse + beta L_fine`. Coarse: NT-Xent of a list and its partner. Fine: for both, NT-Xent of their encodings and the
/// directions of their nearest cluster centres, which are constants.
#[derive(Clone, Debug)]
pub struct IcsRec {
    config: IcsRecConfig,
    base: SasRec,
    partners: Partners,
    contrast: Contrast,
    intents: Option<Intents>,
    seed: u64,
    device: Device,
}

impl IcsRec {
    /// Who can be whose partner.
    pub fn partners(&self) -> &Partners {
        &self.partners
    }

    /// The clusters of the present epoch.
    pub fn intents(&self) -> Option<&Intents> {
        self.intents.as_ref()
    }

    /// Sets the clusters, such as ones found elsewhere.
    pub fn set_intents(&mut self, intents: Option<Intents>) {
        self.intents = intents;
    }

    /// The coarse contrast of two encodings `[n, d]` of samples with these targets.
    pub fn coarse(&self, first: Tensor<2>, second: Tensor<2>, targets: &[u32]) -> Tensor<1> {
        self.contrast.with_ids(first, second, self.config.mask_false_negatives.then_some(targets))
    }

    /// The fine contrast of encodings `[n, d]` with the directions of their centres. The gradient goes into the encodings alone.
    ///
    /// # Errors
    /// When a row is not finite.
    pub fn fine(&self, intents: &Intents, encodings: Tensor<2>) -> Result<Tensor<1>, SeqRecError> {
        let (ids, directions) = intents.of(&encodings)?;
        let directions = if encodings.is_autodiff() { Tensor::from_inner(directions) } else { directions };
        let directions = directions.cast(encodings.dtype());
        Ok(self.contrast.with_ids(encodings, directions, self.config.mask_false_negatives.then_some(&ids)))
    }

    fn is_fine(&self, epoch: usize) -> bool {
        self.config.fine_weight > 0.0 && epoch > self.config.fine_warm_up
    }
}

impl Method for IcsRec {
    type Model = SequenceEncoder;
    type Batch = IcsRecBatch;

    fn name(&self) -> &str {
        "icsrec"
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

    fn prepare_epoch(&mut self, model: &SequenceEncoder, epoch: usize) -> Result<(), TrainError> {
        if !self.is_fine(epoch) {
            return Ok(());
        }
        let samples = self.base.samples();
        let lists = (0..samples.len()).map(|row| samples.get(row).input);
        let rows = model.valid().encode_lists(lists);
        let shape = [rows.nrows(), rows.ncols()];
        let rows = burn::tensor::TensorData::new(rows.into_raw_vec_and_offset().0, shape);
        let rows = Tensor::<2>::from_data(rows, &self.device);
        let settings = KMeans {
            iterations: self.config.cluster_iterations,
            restarts: self.config.cluster_restarts,
            ..KMeans::new(self.config.clusters, self.seed ^ epoch as u64)
        };
        let size = self.config.cluster_batch;
        let batches = shape[0].div_ceil(size.max(1)).min(self.config.cluster_iterations.max(1) * 8);
        let batches = (size > 0).then_some(MiniBatches { rows: size, batches });
        let found = Intents::find(&rows, &settings, batches, self.intents.as_ref()).map_err(TrainError::trainee)?;
        self.intents = Some(found);
        Ok(())
    }

    fn batch(&mut self, step: Step) -> Result<IcsRecBatch, TrainError> {
        let (rows, mut rng) = (self.base.rows(step.batch), step.rng());
        let next = self.base.next_items(rows, &mut rng);
        let partners = self.base.partner_lists(&self.partners, rows, self.config.partner, &mut rng);
        Ok(IcsRecBatch { partners, next })
    }

    fn losses(
        &mut self,
        model: &SequenceEncoder,
        batch: &IcsRecBatch,
        step: Step,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, TrainError> {
        let mut pass = Pass::training(step.seed, step.global as u64);
        let config = &self.config;
        let h = model.encode(&batch.next.lists, Read::Last, &mut pass);
        let next = self.base.item_loss(model, h.clone(), &batch.next);
        let next = if config.next_item_weight == 1.0 { next } else { next * config.next_item_weight };
        let mut losses = vec![("next_item", next)];
        let fine = self.intents.as_ref().filter(|_| self.is_fine(step.epoch));
        if config.coarse_weight == 0.0 && fine.is_none() {
            return Ok(losses);
        }
        let first = match config.encodings {
            Encodings::Two => h,
            Encodings::Three => model.encode(&batch.next.lists, Read::Last, &mut pass),
        };
        let second = model.encode(&batch.partners, Read::Last, &mut pass);
        if config.coarse_weight > 0.0 {
            let coarse = self.coarse(first.clone(), second.clone(), &batch.next.targets);
            losses.push(("coarse", coarse * config.coarse_weight));
        }
        if let Some(intents) = fine {
            let of = |rows| self.fine(intents, rows).map_err(SeqRecError::into_train);
            losses.push(("fine", (of(first)? + of(second)?) * config.fine_weight));
        }
        Ok(losses)
    }

    fn state(&self) -> State {
        self.intents.iter().map(|intents| ("centres".to_string(), intents.data())).collect()
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.intents = None;
        if state.contains_key("centres") {
            let shape = [self.config.clusters, self.config.base.encoder.dim];
            let data = take_tensor(&mut state, "centres", &shape)?;
            self.intents = Some(Intents::from_centres(Tensor::from_data(data, &self.device)));
        }
        Ok(())
    }

    fn evaluate(&mut self, model: &SequenceEncoder) -> Result<Option<Metrics>, TrainError> {
        validation(&self.base, model)
    }

    fn artifacts(&self, model: &SequenceEncoder) -> Vec<(String, Array2<f32>)> {
        item_artifact(model)
    }
}

impl SequenceMethod for IcsRec {
    fn encoder(model: &SequenceEncoder) -> &SequenceEncoder {
        model
    }

    fn base(&self) -> &SasRec {
        &self.base
    }
}
