//! DebCSE (Miao, Du and Zhang, CIKM 2023): positives of other words and similar meaning, negatives of similar words and other meaning,
//! drawn by inverse propensity. No code was released, and only the abstract was at hand: the method is that of the specification, which
//! says which parts are the paper's idea and which were chosen.

mod pools;
mod propensity;
mod surface;

pub use pools::{Pool, PoolConfig, Pools};
pub use propensity::{Propensity, Side};
pub use surface::Surfaces;

use super::SentenceModel;
use super::base::Base;
use super::simcse::{check_fit, small_training};
use crate::TextError;
use crate::data::{Corpus, Note, TextDataError};
use crate::encoder::{SentenceEncoder, SmallEncoderConfig, TokenBatch};
use burn::config::Config;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_core::objective::{Inputs, PairObjective, Reduction};
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use contrastive_core::sampler::weighted_draws;
use contrastive_nn::Pass;
use contrastive_nn::layer::LinearConfig;
use contrastive_train::{Check, Method, MethodConfig, Metrics, Step, TrainError, Training, TrainingConfig};
use ndarray::{Array2, ArrayView2};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::sync::Arc;

/// Settings of [`DebCse`].
#[derive(Config, Debug, PartialEq)]
pub struct DebCseConfig {
    /// The encoder from scratch, where none of a folder is trained.
    #[config(default = "SmallEncoderConfig::new()")]
    pub encoder: SmallEncoderConfig,
    /// tau, above 0.
    #[config(default = 0.05)]
    pub temperature: f64,
    /// Candidates and laws.
    #[config(default = "PoolConfig::new()")]
    pub pools: PoolConfig,
    /// w: share of the drawn positive in the loss, 0 to 1.
    #[config(default = 0.5)]
    pub drawn_share: f64,
    /// m: drawn hard negatives of each sentence.
    #[config(default = 1)]
    pub negatives: usize,
    /// Whether sentences of the batch that the teacher finds similar (t_pos) are no negatives.
    #[config(default = true)]
    pub mask_similar: bool,
    /// Pairs are drawn uniformly and weigh `pool pi` in the loss, instead of being drawn by pi: the same expectation, a larger
    /// variance.
    #[config(default = false)]
    pub weighting: bool,
    /// Batches, optimiser, budget.
    #[config(default = "small_training()")]
    pub training: TrainingConfig,
}

/// Sentences and the teacher's rows of them.
#[derive(Clone, Debug)]
pub struct DebCseData {
    corpus: Corpus,
    teacher: Arc<Array2<f32>>,
}

impl DebCseData {
    /// Of a corpus of one column and rows `[N, D_t]` of any frozen embedding of its texts.
    ///
    /// # Errors
    /// When the corpus has more columns, the rows are not as many, or one has no finite length above 0.
    pub fn new(corpus: Corpus, teacher: &Array2<f32>) -> Result<Self, TextDataError> {
        if corpus.width() != 1 {
            let problem = format!("a corpus of {} columns; 1 is allowed: positives are mined", corpus.width());
            return Err(TextDataError::nothing("debcse", problem));
        }
        let teacher = Arc::new(pools::unit_rows(teacher, corpus.len())?);
        Ok(Self { corpus, teacher })
    }

    /// The sentences.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// The teacher's rows, of unit length.
    pub fn teacher(&self) -> ArrayView2<'_, f32> {
        self.teacher.view()
    }
}

impl DebCseConfig {
    /// The method and a model with weights drawn from the seed, for a loop of one's own.
    ///
    /// # Errors
    /// When a setting is out of its range, by itself or for this corpus.
    pub fn parts(&self, data: &DebCseData, seed: u64, device: &Device) -> Result<(DebCse, SentenceModel), TextError> {
        MethodConfig::validate(self)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let encoder = self.encoder.init(data.corpus.tokens().size(), &mut rng, &device.clone().autodiff())?;
        self.with_parts(SentenceEncoder::Small(encoder), data, &mut rng)
    }

    /// The method for an encoder that is there, on an autodiff device. The head is drawn from the generator.
    ///
    /// # Errors
    /// As [`parts`](Self::parts).
    pub fn with_parts(
        &self,
        encoder: SentenceEncoder,
        data: &DebCseData,
        rng: &mut ChaCha8Rng,
    ) -> Result<(DebCse, SentenceModel), TextError> {
        MethodConfig::validate(self)?;
        let check = Check::new("debcse");
        check_fit(&check, &encoder, &data.corpus)?;
        let batch = self.training.batch_size.min(data.corpus.len());
        check.that(batch > 1, "batch_size", batch, "2 or more")?;
        let pools = Pools::new(data.corpus.texts(0), &data.teacher, &self.pools)?;
        let (table, width) = (encoder.table(), encoder.width());
        let head = LinearConfig::new(width, width).init(rng, (&table.device(), table.dtype()))?;
        let method = DebCse {
            config: self.clone(),
            base: Base::new(&data.corpus, self.training.batch_size, false)?,
            teacher: data.teacher.clone(),
            pools: Arc::new(pools),
            objective: PairObjective::new(self.temperature)?,
        };
        Ok((method, SentenceModel { encoder, head: Some(head), masked: None }))
    }
}

impl MethodConfig for DebCseConfig {
    type Method = DebCse;
    type Data = DebCseData;
    type Error = TextError;

    fn validate(&self) -> Result<(), TextError> {
        self.encoder.validate()?;
        self.pools.validate()?;
        let check = Check::new("debcse");
        check.positive("temperature", self.temperature)?;
        check.probability("drawn_share", self.drawn_share)?;
        Ok(self.training.validate()?)
    }

    fn build(&self, data: &DebCseData, seed: u64, device: &Device) -> Result<Training<DebCse>, TextError> {
        let (method, model) = self.parts(data, seed, device)?;
        Ok(Training::new(method, model, &self.training, seed)?)
    }
}

/// What was drawn for a batch of n sentences.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The weight of each drawn positive; 0 where the pool is empty.
    pub positive_weights: Vec<f64>,
    /// n m: the log-weight of each hard negative, of sentence i at `i m ..`; `None` where there is none.
    pub negatives: Vec<Option<f64>>,
    /// For each sentence, those of the batch that are no negatives of it, ascending; itself not among them.
    pub masked: Vec<Vec<u32>>,
}

/// Anchors, copies, drawn positives and drawn negatives of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct DebCseBatch {
    /// The sentences.
    pub rows: Vec<usize>,
    /// The drawn positive of each, itself where there is none.
    pub positives: Vec<u32>,
    /// n m: the drawn negatives, itself where there is none.
    pub negatives: Vec<u32>,
    /// Their weights, and the mask.
    pub drawn: Drawn,
    /// Anchors, copies, positives, negatives: `(3 + m) n` texts.
    pub tokens: TokenBatch,
}

/// `D_i(x) = e^{s(z_i, x)} + sum_{j in K_i} e^{s(z_i, z'_j)} + sum_l e^{s(z_i, n_il)}`, `s` the cosine over tau, `K_i` the others of the
/// batch that the teacher does not find similar;
/// `L = 1/B sum_i [-(1 - w) log(e^{s(z_i, z'_i)} / D_i(z'_i)) - w a_i log(e^{s(z_i, p_i)} / D_i(p_i))]`. The teacher, pools and draws are
/// constants; the teacher is not refreshed during training.
#[derive(Clone, Debug)]
pub struct DebCse {
    config: DebCseConfig,
    base: Base,
    teacher: Arc<Array2<f32>>,
    pools: Arc<Pools>,
    objective: PairObjective,
}

impl DebCse {
    /// The pools.
    pub fn pools(&self) -> &Pools {
        &self.pools
    }

    /// What was changed, or came out empty.
    pub fn notes(&self) -> &[Note] {
        &self.pools.notes
    }

    /// Draws for these sentences.
    fn draw(&self, rows: &[usize], rng: &mut ChaCha8Rng) -> DebCseBatch {
        let (n, m) = (rows.len(), self.config.negatives);
        let (mut positives, mut negatives) = (Vec::with_capacity(n), Vec::with_capacity(n * m));
        let (mut positive_weights, mut log_weights) = (Vec::with_capacity(n), Vec::with_capacity(n * m));
        let weighting = self.config.weighting;
        let mut taken = |pool: &Pool, count: usize| -> Vec<(u32, f64)> {
            let size = pool.ids.len();
            if size == 0 {
                return Vec::new();
            }
            if count == 1 && weighting {
                let at = rng.random_range(0..size);
                return vec![(pool.ids[at], pool.law[at] * size as f64)];
            }
            let uniform = vec![1.0; size];
            let places = weighted_draws(if weighting { &uniform } else { &pool.law }, count, rng);
            let weight = |at: usize| if weighting { pool.law[at] * size as f64 } else { 1.0 };
            places.into_iter().map(|at| (pool.ids[at], weight(at))).collect()
        };
        for &row in rows {
            let own = row as u32;
            let positive = taken(&self.pools.positives[row], 1);
            positives.push(positive.first().map_or(own, |drawn| drawn.0));
            positive_weights.push(positive.first().map_or(0.0, |drawn| drawn.1));
            let drawn = taken(&self.pools.negatives[row], m);
            for at in 0..m {
                negatives.push(drawn.get(at).map_or(own, |drawn| drawn.0));
                log_weights.push(drawn.get(at).filter(|drawn| drawn.1 > 0.0).map(|drawn| drawn.1.ln()));
            }
        }
        let similar = |i: usize| {
            let row = self.teacher.row(rows[i]);
            let near = |j: &usize| f64::from(row.dot(&self.teacher.row(rows[*j]))) >= self.pools.least_positive;
            (0..n).filter(|j| *j != i && near(j)).map(|j| j as u32).collect()
        };
        let masked = match self.config.mask_similar {
            true => (0..n).map(similar).collect(),
            false => vec![Vec::new(); n],
        };
        let lists = self.base.corpus().lists(0);
        let own = rows.iter().chain(rows).map(|row| lists[*row].as_slice());
        let others = positives.iter().chain(&negatives).map(|row| lists[*row as usize].as_slice());
        let tokens = TokenBatch::new(own.chain(others));
        let drawn = Drawn { positive_weights, negatives: log_weights, masked };
        DebCseBatch { rows: rows.to_vec(), positives, negatives, drawn, tokens }
    }

    /// The two terms of projected rows: anchors, copies and positives `[n, d]`, hard negatives `[n m, d]` (of sentence i from row `i m`
    /// on): `[1]` each, weighted.
    ///
    /// # Panics
    /// When the shapes and what was drawn do not fit.
    pub fn terms(
        &self,
        [anchors, copies, positives]: [Tensor<2>; 3],
        negatives: Option<Tensor<2>>,
        drawn: &Drawn,
    ) -> [Tensor<1>; 2] {
        let [n, d] = anchors.dims();
        let count = negatives.as_ref().map_or(0, |rows| rows.dims()[0]);
        assert!(
            count.is_multiple_of(n) && count == drawn.negatives.len(),
            "{count} hard negatives of {n} rows of width {d}"
        );
        let m = count / n;
        let others = |i: usize, with_copy: bool| {
            let masked = drawn.masked[i].iter().copied().chain(with_copy.then_some(i as u32));
            let mut masked: Vec<u32> = masked.collect();
            masked.sort_unstable();
            let of_others = (0..count).filter(|at| at / m != i || drawn.negatives[*at].is_none());
            masked.extend(of_others.map(|at| (n + at) as u32));
            masked
        };
        let exclusions = |with_copy: bool| {
            let (mut offsets, mut columns) = (vec![0], Vec::new());
            for i in 0..n {
                columns.extend(others(i, with_copy));
                offsets.push(columns.len());
            }
            Exclusions::lists(PairLists::new(offsets, columns, None).expect("ascending lists"))
        };
        let mut candidates = vec![copies];
        candidates.extend(negatives);
        let inputs = Inputs::new(anchors.clone(), Tensor::cat(candidates, 0));
        let weighted = drawn.negatives.iter().any(|weight| weight.is_some_and(|weight| weight != 0.0));
        let inputs = match weighted {
            false => inputs,
            true => {
                let own = drawn.negatives.iter().map(|weight| weight.unwrap_or(0.0));
                let bias: Vec<f64> = std::iter::repeat_n(0.0, n).chain(own).collect();
                let device = anchors.clone().inner().device();
                inputs.with_bias(Tensor::from_data(TensorData::new(bias, [n + count]), (&device, anchors.dtype())))
            }
        };
        let w = self.config.drawn_share;
        let of_copies = self.objective.clone().with_exclusions(exclusions(false)).loss(&inputs) * (1.0 - w);
        let shares = drawn.positive_weights.iter().map(|weight| w * weight / n as f64).collect();
        let beside = self.objective.clone().with_pairs(Pairs::Beside).with_exclusions(exclusions(true));
        let beside = beside.with_reduction(Reduction::Weighted(Arc::new(shares)));
        [of_copies, beside.loss(&inputs.with_paired(positives))]
    }
}

impl Method for DebCse {
    type Model = SentenceModel;
    type Batch = DebCseBatch;

    fn name(&self) -> &str {
        "debcse"
    }

    fn config(&self) -> serde_json::Value {
        super::settings_of(&self.config)
    }

    fn data(&self) -> serde_json::Value {
        let digest =
            contrastive_data::Digest::new().f32s(self.teacher.as_slice().expect("standard layout").iter().copied());
        let (width, digest) = (self.teacher.ncols(), digest.to_string());
        serde_json::json!({ "corpus": self.base.corpus().identity(), "teacher": { "width": width, "digest": digest } })
    }

    fn begin_epoch(&mut self, epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        Ok(self.base.shuffle(epoch, rng))
    }

    fn batch(&mut self, step: Step) -> Result<DebCseBatch, TrainError> {
        Ok(self.draw(self.base.rows(step.batch), &mut step.rng()))
    }

    fn losses(
        &mut self,
        model: &SentenceModel,
        batch: &DebCseBatch,
        step: Step,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, TrainError> {
        let mut pass = Pass::training(step.seed, step.global as u64);
        let z = model.project(model.encoder.forward(&batch.tokens, &mut pass));
        let (n, [total, d]) = (batch.rows.len(), z.dims());
        let part = |k: usize| z.clone().slice([k * n..(k + 1) * n, 0..d]);
        let negatives = (total > 3 * n).then(|| z.clone().slice([3 * n..total, 0..d]));
        let [copies, drawn] = self.terms([part(0), part(1), part(2)], negatives, &batch.drawn);
        Ok(vec![("copies", copies), ("drawn", drawn)])
    }

    fn evaluate(&mut self, model: &SentenceModel) -> Result<Option<Metrics>, TrainError> {
        self.base.validation(model, false).map_err(TextError::into_train)
    }

    fn artifacts(&self, _model: &SentenceModel) -> Vec<(String, Array2<f32>)> {
        Vec::new()
    }
}
