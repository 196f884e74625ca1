//! SASRec (Kang and McAuley, ICDM 2018): a causal transformer over what a user took, trained to tell the next item.

use super::{SequenceMethod, item_artifact, samples_of, validation};
use crate::SeqRecError;
use crate::data::{LeaveOneOut, Mode, Part, PartnerRule, Partners, Samples};
use crate::encoder::{EncoderConfig, ListBatch, Read, SequenceEncoder};
use crate::evaluate::{CUTOFFS, rank_targets};
use burn::config::Config;
use burn::tensor::{Device, Tensor};
use contrastive_core::linear::gather_rows;
use contrastive_core::objective::{Inputs, PairObjective, bpr_from_scores, sampled_bce_from_scores};
use contrastive_core::pairs::Pairs;
use contrastive_core::similarity::Similarity;
use contrastive_eval::ranking::Seen;
use contrastive_nn::Pass;
use contrastive_train::{Budget, Method, MethodConfig, Metrics, Step, TrainError, Training, TrainingConfig};
use ndarray::Array2;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::sync::Arc;

/// How the next item is told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum ItemLoss {
    /// Cross-entropy over the whole catalogue: `log sum_v exp(h . e_v) - h . e_target`, computed without the batch x items matrix.
    #[default]
    FullSoftmax,
    /// Binary cross-entropy of the target and one item drawn from those that training does not know of the user (original SASRec).
    Bce,
    /// `-log sigmoid(h . e_target - h . e_other)` with such an item.
    Bpr,
}

/// Settings of [`SasRec`], and of what every method of this crate learns the next item with.
#[derive(Config, Debug, PartialEq)]
pub struct SasRecConfig {
    /// The encoder.
    #[config(default = "EncoderConfig::new()")]
    pub encoder: EncoderConfig,
    /// Where samples end.
    #[config(default = "Mode::Prefix")]
    pub mode: Mode,
    /// How the next item is told from others.
    #[config(default = "ItemLoss::FullSoftmax")]
    pub loss: ItemLoss,
    /// What becomes of items already taken when validation is ranked.
    #[config(default = "Seen::Exclude")]
    pub seen: Seen,
    /// Batches, optimiser, budget.
    #[config(default = "TrainingConfig::new(Budget::Epochs(50), 256, 1e-3)")]
    pub training: TrainingConfig,
}

impl SasRecConfig {
    /// The setting of the specification's small experiments: the small encoder, ten epochs.
    pub fn small() -> Self {
        let training = TrainingConfig::new(Budget::Epochs(10), 256, 1e-3);
        Self::new().with_encoder(EncoderConfig::small()).with_training(training)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`SeqRecError::Setting`] naming the first one that is out of its range.
    pub fn validate(&self) -> Result<(), SeqRecError> {
        self.encoder.validate()?;
        Ok(self.training.validate()?)
    }

    /// The method and its encoder with weights drawn from the seed, for a loop of one's own.
    ///
    /// # Errors
    /// When a setting is out of its range, or there is nothing to learn from.
    pub fn parts(
        &self,
        data: &LeaveOneOut,
        seed: u64,
        device: &Device,
    ) -> Result<(SasRec, SequenceEncoder), SeqRecError> {
        let (method, encoder, _) = self.base_parts(data, seed, device, false)?;
        Ok((method, encoder))
    }

    /// Samples, method and encoder, drawn from the seed; the generator that goes on.
    pub(super) fn base_parts(
        &self,
        data: &LeaveOneOut,
        seed: u64,
        device: &Device,
        mask_token: bool,
    ) -> Result<(SasRec, SequenceEncoder, ChaCha8Rng), SeqRecError> {
        self.validate()?;
        let samples = samples_of(data, self)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let encoder = self.encoder.init(data.num_items(), mask_token, &mut rng, &device.clone().autodiff())?;
        Ok((SasRec::new(self.clone(), samples)?, encoder, rng))
    }
}

impl MethodConfig for SasRecConfig {
    type Method = SasRec;
    type Data = LeaveOneOut;
    type Error = SeqRecError;

    fn validate(&self) -> Result<(), SeqRecError> {
        self.validate()
    }

    fn build(&self, data: &LeaveOneOut, seed: u64, device: &Device) -> Result<Training<SasRec>, SeqRecError> {
        let (method, encoder) = self.parts(data, seed, device)?;
        Ok(Training::new(method, encoder, &self.training, seed)?)
    }
}

/// What a step of the next item consumes.
#[derive(Clone, Debug)]
pub struct NextItemBatch {
    /// The samples.
    pub rows: Vec<u32>,
    /// Their lists.
    pub lists: ListBatch,
    /// What comes next: after the last position of each list (prefix samples) or after every position.
    pub targets: Vec<u32>,
    /// As many drawn items; none for the full softmax.
    pub negatives: Vec<u32>,
}

/// The samples of a split in a new order each epoch, and the loss of the next item.
#[derive(Clone, Debug)]
pub struct SasRec {
    config: SasRecConfig,
    samples: Arc<Samples>,
    softmax: PairObjective,
    /// What training knows of each user, sorted: no drawn item is among it.
    known: Vec<Vec<u32>>,
    order: Vec<u32>,
}

impl SasRec {
    /// The method on given samples.
    ///
    /// # Errors
    /// When a setting is out of its range, or with drawn items a user has taken the whole catalogue.
    pub fn new(config: SasRecConfig, samples: Arc<Samples>) -> Result<Self, SeqRecError> {
        config.validate()?;
        let split = samples.split();
        let mut known = Vec::new();
        if config.loss != ItemLoss::FullSoftmax {
            for (at, list) in split.train_lists().enumerate() {
                let mut own = list.to_vec();
                own.sort_unstable();
                own.dedup();
                if own.len() >= split.num_items() {
                    let (list, items) = (split.user(at), split.num_items());
                    let problem = format!("holds all {items} items: there is none to draw against");
                    return Err(SeqRecError::List { list, problem });
                }
                known.push(own);
            }
        }
        let softmax = PairObjective::new(1.0)?.with_similarity(Similarity::Dot);
        Ok(Self { config, samples, softmax, known, order: Vec::new() })
    }

    /// The settings.
    pub fn settings(&self) -> &SasRecConfig {
        &self.config
    }

    /// The samples.
    pub fn samples(&self) -> &Arc<Samples> {
        &self.samples
    }

    /// Draws the order of an epoch; the number of its batches.
    pub fn shuffle(&mut self, mut rng: ChaCha8Rng) -> usize {
        self.order = (0..self.samples.len() as u32).collect();
        self.order.shuffle(&mut rng);
        self.order.len().div_ceil(self.config.training.batch_size)
    }

    /// A partner with the same target for each of these samples, as a batch of lists.
    pub fn partner_lists(
        &self,
        partners: &Partners,
        rows: &[u32],
        rule: PartnerRule,
        rng: &mut ChaCha8Rng,
    ) -> ListBatch {
        let found: Vec<usize> =
            rows.iter().map(|row| partners.partner(&self.samples, *row as usize, rule, rng)).collect();
        ListBatch::new(found.iter().map(|row| self.samples.get(*row).input), self.config.encoder.max_len)
    }

    /// The samples of a batch.
    ///
    /// # Panics
    /// When there is no such batch.
    pub fn rows(&self, batch: usize) -> &[u32] {
        let size = self.config.training.batch_size;
        &self.order[batch * size..self.order.len().min((batch + 1) * size)]
    }

    /// Lists, targets and drawn items of these samples.
    ///
    /// # Panics
    /// When there are no samples, or one is not there.
    pub fn next_items(&self, rows: &[u32], rng: &mut ChaCha8Rng) -> NextItemBatch {
        let samples = rows.iter().map(|row| self.samples.get(*row as usize));
        let lists = ListBatch::new(samples.clone().map(|sample| sample.input), self.config.encoder.max_len);
        let targets: Vec<u32> = samples.flat_map(|sample| sample.targets.iter().copied()).collect();
        let mut negatives = Vec::new();
        if self.config.loss != ItemLoss::FullSoftmax {
            let items = self.samples.split().num_items() as u32;
            for &row in rows {
                let known = &self.known[self.samples.user(row as usize)];
                for _ in 0..self.samples.get(row as usize).targets.len() {
                    negatives.push(loop {
                        let item = rng.random_range(1..=items);
                        if known.binary_search(&item).is_err() {
                            break item;
                        }
                    });
                }
            }
        }
        NextItemBatch { rows: rows.to_vec(), lists, targets, negatives }
    }

    /// Encodes the lists of a batch: what [`item_loss`](Self::item_loss) compares with the table.
    pub fn states(&self, encoder: &SequenceEncoder, batch: &NextItemBatch, pass: &mut Pass) -> Tensor<2> {
        let read = match self.config.mode {
            Mode::Prefix => Read::Last,
            Mode::PerPosition => Read::All,
        };
        encoder.encode(&batch.lists, read, pass)
    }

    /// The loss of states `[targets, d]`, `[1]`: the mean over the targets.
    ///
    /// # Panics
    /// When there are not as many states as targets.
    pub fn item_loss(&self, encoder: &SequenceEncoder, states: Tensor<2>, batch: &NextItemBatch) -> Tensor<1> {
        let n = batch.targets.len();
        assert_eq!(states.dims()[0], n, "states {:?} of {n} targets", states.dims());
        if self.config.loss == ItemLoss::FullSoftmax {
            let bias = encoder.candidate_bias(&states);
            let objective = self.softmax.clone().with_pairs(Pairs::one_each(batch.targets.clone()));
            return objective.loss(&Inputs::new(states, encoder.table()).with_bias(bias));
        }
        let [_, d] = states.dims();
        let both: Vec<u32> = batch.targets.iter().chain(&batch.negatives).copied().collect();
        let rows = gather_rows(encoder.table(), &both);
        let scores = |from: usize| {
            let rows = rows.clone().slice([from..from + n, 0..d]);
            (states.clone() * rows).sum_dim(1)
        };
        let (target, other) = (scores(0).reshape([n]), scores(n));
        match self.config.loss {
            ItemLoss::Bpr => bpr_from_scores(target, other.reshape([n])),
            _ => sampled_bce_from_scores(target, other, &vec![true; n]),
        }
    }

    /// HR, NDCG and MRR of the validation targets at 5, 10 and 20.
    ///
    /// # Errors
    /// When rows are not finite, because training diverged.
    pub fn validation(&self, encoder: &SequenceEncoder) -> Result<Metrics, SeqRecError> {
        let split = self.samples.split();
        let queries = encoder.encode_lists(split.inputs(Part::Validation));
        let ranks =
            rank_targets(split, Part::Validation, queries.view(), encoder.item_rows().view(), self.config.seen)?;
        Ok(ranks.metrics(&CUTOFFS)?)
    }

    /// The settings that decide the numbers, apart from those of the training.
    pub(super) fn config_of<C: serde::Serialize>(config: &C) -> serde_json::Value {
        let mut value = serde_json::to_value(config).expect("settings are JSON");
        fn without_training(value: &mut serde_json::Value) {
            if let Some(map) = value.as_object_mut() {
                map.remove("training");
                map.values_mut().for_each(without_training);
            }
        }
        without_training(&mut value);
        value
    }

    /// Name, size and digest of the data.
    pub(super) fn data_of(&self) -> serde_json::Value {
        let sequences = self.samples.split().sequences();
        // FNV-1a over lengths and items
        let mut digest = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |number: u32| {
            for byte in number.to_le_bytes() {
                digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        };
        for list in sequences.lists() {
            add(list.len() as u32);
            list.iter().for_each(|item| add(*item));
        }
        serde_json::json!({
            "name": sequences.name(),
            "users": sequences.num_users(),
            "items": sequences.num_items(),
            "events": sequences.num_events(),
            "digest": format!("{digest:016x}"),
        })
    }
}

impl Method for SasRec {
    type Model = SequenceEncoder;
    type Batch = NextItemBatch;

    fn name(&self) -> &str {
        "sasrec"
    }

    fn config(&self) -> serde_json::Value {
        Self::config_of(&self.config)
    }

    fn data(&self) -> serde_json::Value {
        self.data_of()
    }

    fn begin_epoch(&mut self, _epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        Ok(self.shuffle(rng))
    }

    fn batch(&mut self, step: Step) -> Result<NextItemBatch, TrainError> {
        Ok(self.next_items(self.rows(step.batch), &mut step.rng()))
    }

    fn losses(
        &mut self,
        model: &SequenceEncoder,
        batch: &NextItemBatch,
        step: Step,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, TrainError> {
        let mut pass = Pass::training(step.seed, step.global as u64);
        let states = self.states(model, batch, &mut pass);
        Ok(vec![("next_item", self.item_loss(model, states, batch))])
    }

    fn evaluate(&mut self, model: &SequenceEncoder) -> Result<Option<Metrics>, TrainError> {
        validation(self, model)
    }

    fn artifacts(&self, model: &SequenceEncoder) -> Vec<(String, Array2<f32>)> {
        item_artifact(model)
    }
}

impl SequenceMethod for SasRec {
    fn encoder(model: &SequenceEncoder) -> &SequenceEncoder {
        model
    }

    fn base(&self) -> &SasRec {
        self
    }
}
