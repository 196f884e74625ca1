//! SimCSE (Gao, Yao and Chen, EMNLP 2021): a sentence encoded twice with different dropout is its own positive; or an entailment is,
//! and a contradiction is a hard negative.

use super::base::{Base, text_id};
use super::{MaskedBatch, MaskedHead, SentenceBatch, SentenceModel, mask_tokens};
use crate::TextError;
use crate::data::Corpus;
use crate::encoder::{SentenceEncoder, SmallEncoderConfig};
use burn::config::Config;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_core::gradient_cache::Chunk;
use contrastive_core::objective::{Inputs, PairObjective, PairTerm};
use contrastive_core::pairs::{Exclusions, PairLists};
use contrastive_nn::Pass;
use contrastive_nn::layer::LinearConfig;
use contrastive_train::{
    Budget, Check, ChunkedMethod, Method, MethodConfig, Metrics, Schedule, Step, TrainError, Training, TrainingConfig,
};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// What becomes of the head `z = tanh(h W + b)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Head {
    /// Used in training and dropped after it (the unsupervised form).
    #[default]
    TrainingOnly,
    /// Kept (the supervised form).
    Kept,
    /// There is none.
    None,
}

/// Settings of [`SimCse`].
#[derive(Config, Debug, PartialEq)]
pub struct SimCseConfig {
    /// The encoder from scratch, where none of a folder is trained.
    #[config(default = "SmallEncoderConfig::new()")]
    pub encoder: SmallEncoderConfig,
    /// tau, above 0.
    #[config(default = 0.05)]
    pub temperature: f64,
    /// The head.
    #[config(default = "Head::TrainingOnly")]
    pub head: Head,
    /// alpha, at least 0: the weight of a sample's own hard negative; 0 leaves it out.
    #[config(default = 1.0)]
    pub hard_negative_weight: f64,
    /// Whether equal texts of a batch are no negatives of each other (the paper and its code: no).
    #[config(default = false)]
    pub mask_duplicates: bool,
    /// Weight of masked language modelling of the first column (0.1 in the paper, where it is used); 0: none.
    #[config(default = 0.0)]
    pub masked_weight: f64,
    /// Share of tokens hidden in it, between 0 and 1.
    #[config(default = 0.15)]
    pub masked_share: f64,
    /// Batches, optimiser, budget.
    #[config(default = "small_training()")]
    pub training: TrainingConfig,
}

/// One pass, 128 sentences a batch, a rate of 1e-3 that falls to 0: the specification's setting of the small encoder.
pub(super) fn small_training() -> TrainingConfig {
    TrainingConfig::new(Budget::Epochs(1), 128, 1e-3).with_schedule(Schedule::linear(0.0))
}

impl SimCseConfig {
    /// The published setting of the unsupervised BERT-base (batch 64, rate 3e-5, one pass).
    pub fn bert_base() -> Self {
        let training = TrainingConfig::new(Budget::Epochs(1), 64, 3e-5).with_schedule(Schedule::linear(0.0));
        Self::new().with_training(training)
    }

    /// The supervised form: the head is kept.
    pub fn supervised() -> Self {
        Self::new().with_head(Head::Kept)
    }

    /// The method and a model with weights drawn from the seed, for a loop of one's own.
    ///
    /// # Errors
    /// When a setting is out of its range, by itself or for this corpus.
    pub fn parts(&self, corpus: &Corpus, seed: u64, device: &Device) -> Result<(SimCse, SentenceModel), TextError> {
        MethodConfig::validate(self)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let encoder = self.encoder.init(corpus.tokens().size(), &mut rng, &device.clone().autodiff())?;
        self.with_parts(SentenceEncoder::Small(encoder), corpus, &mut rng)
    }

    /// The method for an encoder that is there, on an autodiff device: one of a folder, say. Heads are drawn from the generator.
    ///
    /// # Errors
    /// As [`parts`](Self::parts); when the encoder has fewer rows than the corpus tokens, or fewer positions than its longest text.
    pub fn with_parts(
        &self,
        encoder: SentenceEncoder,
        corpus: &Corpus,
        rng: &mut ChaCha8Rng,
    ) -> Result<(SimCse, SentenceModel), TextError> {
        MethodConfig::validate(self)?;
        let check = Check::new("simcse");
        check_fit(&check, &encoder, corpus)?;
        let hard = corpus.width() == 3 && self.hard_negative_weight > 0.0;
        let batch = self.training.batch_size.min(corpus.len());
        check.that(
            batch > 1 || hard,
            "batch_size",
            batch,
            "2 or more without hard negatives: a single pair has nothing to be told from",
        )?;
        let (table, width) = (encoder.table(), encoder.width());
        let on = (&table.device(), table.dtype());
        let head = (self.head != Head::None).then(|| LinearConfig::new(width, width).init(rng, on)).transpose()?;
        let masked = self.masked_weight > 0.0;
        if masked {
            check.that(
                corpus.tokens().mask().is_some() && encoder.reads_neighbours(),
                "masked_weight",
                self.masked_weight,
                "0 unless the vocabulary has a mask and the encoder reads neighbours",
            )?;
        }
        let masked = masked.then(|| MaskedHead::new(width, table.dims()[0], rng, on)).transpose()?;
        let base = Base::new(corpus, self.training.batch_size, false)?;
        let objective = PairObjective::new(self.temperature)?;
        Ok((SimCse { config: self.clone(), base, objective }, SentenceModel { encoder, head, masked }))
    }
}

/// Does the encoder have the rows and positions that the corpus needs?
pub(super) fn check_fit(check: &Check, encoder: &SentenceEncoder, corpus: &Corpus) -> Result<(), TextError> {
    let (rows, tokens) = (encoder.table().dims()[0], corpus.tokens().size());
    check.that(tokens <= rows, "tokens of the corpus", tokens, format!("at most the {rows} rows of the encoder"))?;
    if let Some(positions) = encoder.positions() {
        let longest = (0..corpus.width()).flat_map(|column| corpus.lists(column)).map(Vec::len).max().unwrap_or(0);
        let allowed = format!("at most the {positions} positions of the encoder");
        check.that(longest <= positions, "tokens of a text", longest, allowed)?;
    }
    Ok(())
}

impl MethodConfig for SimCseConfig {
    type Method = SimCse;
    type Data = Corpus;
    type Error = TextError;

    fn validate(&self) -> Result<(), TextError> {
        self.encoder.validate()?;
        let check = Check::new("simcse");
        check.positive("temperature", self.temperature)?;
        check.weight("hard_negative_weight", self.hard_negative_weight)?;
        check.weight("masked_weight", self.masked_weight)?;
        let share = self.masked_share;
        check.that(share > 0.0 && share < 1.0, "masked_share", share, "between 0 and 1")?;
        Ok(self.training.validate()?)
    }

    fn build(&self, corpus: &Corpus, seed: u64, device: &Device) -> Result<Training<SimCse>, TextError> {
        let (method, model) = self.parts(corpus, seed, device)?;
        Ok(Training::new(method, model, &self.training, seed)?)
    }
}

/// `l_i = -log e^{c_ii} / sum_j (e^{c_ij} + alpha^[i = j] e^{n_ij})` with `c_ij = cos(z_i, z'_j) / tau` and `n_ij` those of the hard
/// negatives; one direction, the mean over the batch (equations 4 and 5; the weight is the paper's section 4.2).
#[derive(Clone, Debug)]
pub struct SimCse {
    config: SimCseConfig,
    base: Base,
    objective: PairObjective,
}

impl SimCse {
    /// The settings.
    pub fn settings(&self) -> &SimCseConfig {
        &self.config
    }

    /// What it learns from.
    pub fn corpus(&self) -> &Corpus {
        self.base.corpus()
    }

    /// The contrast of anchors, positives and, where there are some, hard negatives, `[n, d]` each: `[1]`. Rows with the same id
    /// are no negatives of each other; ids are those of anchors, then of positives, then of hard negatives.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn contrast(&self, z: [Tensor<2>; 2], hard: Option<Tensor<2>>, ids: Option<&[i64]>) -> Tensor<1> {
        let [anchors, positives] = z;
        assert_eq!(anchors.dims(), positives.dims(), "the shapes of anchors and positives");
        let n = anchors.dims()[0];
        let alpha = self.config.hard_negative_weight;
        let (mut candidates, mut bias, mut exclusions) = (positives, None, Exclusions::none());
        if let Some(hard) = hard {
            assert_eq!(anchors.dims(), hard.dims(), "the shapes of anchors and hard negatives");
            if alpha == 0.0 {
                let own = PairLists::one_each((n as u32..2 * n as u32).collect());
                exclusions = Exclusions::lists(own);
            } else if alpha != 1.0 {
                let own = |at: usize| if at % (2 * n) == at / (2 * n) + n { alpha.ln() } else { 0.0 };
                let values = TensorData::new((0..2 * n * n).map(own).collect::<Vec<f64>>(), [n, 2 * n]);
                let device = anchors.clone().inner().device();
                bias = Some(PairTerm::matrix(Tensor::from_data(values, (&device, anchors.dtype()))));
            }
            candidates = Tensor::cat(vec![candidates, hard], 0);
        }
        if let Some(ids) = ids {
            assert_eq!(ids.len(), n + candidates.dims()[0], "ids of anchors and candidates");
            let own = (alpha == 0.0 && candidates.dims()[0] > n).then_some(n);
            exclusions = Exclusions::same_ids(&ids[..n], &ids[n..]);
            exclusions = own.map_or(exclusions.clone(), |offset| exclusions.with_own_row(offset));
        }
        let inputs = Inputs::new(anchors, candidates);
        let inputs = bias.into_iter().fold(inputs, Inputs::with_pair_bias);
        self.objective.clone().with_exclusions(exclusions).loss(&inputs)
    }

    /// The contrast of a batch and its rows `[views n, d]`.
    fn batch_loss(&self, z: &Tensor<2>, batch: &SentenceBatch) -> Tensor<1> {
        let hard = (batch.views > 2).then(|| batch.view(z, 2));
        let ids = self.config.mask_duplicates.then(|| {
            let lists = batch.tokens.lists.ranges().map(|range| text_id(&batch.tokens.ids[range]));
            lists.collect::<Vec<i64>>()
        });
        self.contrast([batch.view(z, 0), batch.view(z, 1)], hard, ids.as_deref())
    }
}

impl Method for SimCse {
    type Model = SentenceModel;
    type Batch = (SentenceBatch, Option<MaskedBatch>);

    fn name(&self) -> &str {
        "simcse"
    }

    fn config(&self) -> serde_json::Value {
        super::settings_of(&self.config)
    }

    fn data(&self) -> serde_json::Value {
        self.base.corpus().identity()
    }

    fn begin_epoch(&mut self, epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        Ok(self.base.shuffle(epoch, rng))
    }

    fn batch(&mut self, step: Step) -> Result<Self::Batch, TrainError> {
        let copies = if self.base.corpus().width() == 1 { 2 } else { 1 };
        let batch = self.base.sentences(step.batch, copies);
        let masked = (self.config.masked_weight > 0.0).then(|| {
            let lists = self.base.corpus().lists(0);
            let first = crate::encoder::TokenBatch::new(batch.rows.iter().map(|row| lists[*row].as_slice()));
            mask_tokens(&first, self.base.corpus().tokens(), self.config.masked_share, &mut step.rng())
        });
        Ok((batch, masked))
    }

    fn losses(
        &mut self,
        model: &SentenceModel,
        (batch, masked): &Self::Batch,
        step: Step,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, TrainError> {
        let mut pass = Pass::training(step.seed, step.global as u64);
        let z = model.project(model.encoder.forward(&batch.tokens, &mut pass));
        let mut losses = vec![("contrast", self.batch_loss(&z, batch))];
        if let (Some(masked), Some(head)) = (masked, &model.masked) {
            losses.push(("masked", head.loss(&model.encoder, masked, &mut pass) * self.config.masked_weight));
        }
        Ok(losses)
    }

    fn evaluate(&mut self, model: &SentenceModel) -> Result<Option<Metrics>, TrainError> {
        self.base.validation(model, self.config.head == Head::Kept).map_err(TextError::into_train)
    }

    fn artifacts(&self, _model: &SentenceModel) -> Vec<(String, Array2<f32>)> {
        Vec::new()
    }
}

/// Dropout comes from the seed of a chunk, so that a training in chunks draws other masks than one without; the masked-language term,
/// whose rows are tokens, is left to batches that fit.
impl ChunkedMethod for SimCse {
    fn towers(&self, (batch, _): &Self::Batch) -> Vec<usize> {
        vec![batch.tokens.len()]
    }

    fn encode(&self, model: &SentenceModel, (batch, _): &Self::Batch, chunk: &Chunk) -> Tensor<2> {
        let mut pass = Pass::training(chunk.seed, 0);
        model.project(model.encoder.forward(&batch.tokens.part(chunk.rows.clone()), &mut pass))
    }

    fn objective(
        &mut self,
        _model: &SentenceModel,
        rows: &[Tensor<2>],
        (batch, masked): &Self::Batch,
        _step: Step,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, TrainError> {
        if masked.is_some() {
            return Err(TrainError::setting(
                "masked_weight",
                self.config.masked_weight,
                "0 when batches pass in chunks",
            ));
        }
        Ok(vec![("contrast", self.batch_loss(&rows[0], batch))])
    }
}
