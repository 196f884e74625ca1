//! WhitenedCSE (Zhuo et al., ACL 2023): SimCSE whose views are whitened in groups of shuffled channels before the head.

use super::base::Base;
use super::simcse::{check_fit, small_training};
use super::{SentenceBatch, SentenceModel};
use crate::TextError;
use crate::data::Corpus;
use crate::encoder::{SentenceEncoder, SmallEncoderConfig};
use burn::config::Config;
use burn::tensor::{Device, Int, Tensor, TensorData};
use contrastive_core::objective::{InfoNce, Whitening, WhiteningForm};
use contrastive_nn::Pass;
use contrastive_nn::layer::LinearConfig;
use contrastive_train::{Check, Method, MethodConfig, Metrics, Step, TrainError, Training, TrainingConfig};
use ndarray::Array2;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The symmetric root, or Cholesky's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Root {
    /// The symmetric inverse square root (the paper).
    #[default]
    Zca,
    /// The inverse of Cholesky's factor.
    Cholesky,
}

/// Settings of [`WhitenedCse`].
#[derive(Config, Debug, PartialEq)]
pub struct WhitenedCseConfig {
    /// The encoder from scratch, where none of a folder is trained.
    #[config(default = "SmallEncoderConfig::new()")]
    pub encoder: SmallEncoderConfig,
    /// tau, above 0.
    #[config(default = 0.05)]
    pub temperature: f64,
    /// V, at least 2: the anchor and its positives.
    #[config(default = 3)]
    pub views: usize,
    /// G, a divisor of the width (128 of a width of 768 in the paper). The width divided by it must be below the batch.
    #[config(default = 16)]
    pub groups: usize,
    /// Which root of the inverse covariance.
    #[config(default = "Root::Zca")]
    pub root: Root,
    /// Epsilon, at least 0, in units of a group's mean variance.
    #[config(default = 1e-5)]
    pub epsilon: f64,
    /// Rows are cut into V thirds (for V = 3) as the released code does, each with the views of a third of the sentences, a permutation
    /// and statistics; instead of by view as the paper has it.
    #[config(default = false)]
    pub reference_layout: bool,
    /// Batches, optimiser, budget.
    #[config(default = "small_training()")]
    pub training: TrainingConfig,
}

impl WhitenedCseConfig {
    /// The method and a model with weights drawn from the seed, for a loop of one's own.
    ///
    /// # Errors
    /// When a setting is out of its range, by itself or for this corpus.
    pub fn parts(
        &self,
        corpus: &Corpus,
        seed: u64,
        device: &Device,
    ) -> Result<(WhitenedCse, SentenceModel), TextError> {
        MethodConfig::validate(self)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let encoder = self.encoder.init(corpus.tokens().size(), &mut rng, &device.clone().autodiff())?;
        self.with_parts(SentenceEncoder::Small(encoder), corpus, &mut rng)
    }

    /// The method for an encoder that is there, on an autodiff device. The head is drawn from the generator.
    ///
    /// # Errors
    /// As [`parts`](Self::parts); when the groups do not divide the encoder's width, a group is not narrower than a batch, or the
    /// corpus has more than one column.
    pub fn with_parts(
        &self,
        encoder: SentenceEncoder,
        corpus: &Corpus,
        rng: &mut ChaCha8Rng,
    ) -> Result<(WhitenedCse, SentenceModel), TextError> {
        MethodConfig::validate(self)?;
        let check = Check::new("whitenedcse");
        check_fit(&check, &encoder, corpus)?;
        check.that(
            corpus.width() == 1,
            "columns of the corpus",
            corpus.width(),
            "1: every view is the sentence itself",
        )?;
        let (table, width) = (encoder.table(), encoder.width());
        check.that(
            width.is_multiple_of(self.groups),
            "groups",
            self.groups,
            format!("a divisor of the width {width}"),
        )?;
        let (each, batch) = (width / self.groups, self.training.batch_size.min(corpus.len()));
        let allowed = format!("more than the {each} channels of a group, or their covariance has no inverse");
        check.that(batch > each, "batch_size", batch, allowed)?;
        let head = LinearConfig::new(width, width).init(rng, (&table.device(), table.dtype()))?;
        let form = match self.root {
            Root::Zca => WhiteningForm::Zca,
            Root::Cholesky => WhiteningForm::Cholesky,
        };
        let whitening = Whitening::new(form, self.epsilon)?
            .with_relative_epsilon()
            .with_biased_covariance()
            .with_constant_root()
            .with_groups(self.groups)?;
        let method = WhitenedCse {
            config: self.clone(),
            base: Base::new(corpus, self.training.batch_size, true)?,
            objective: InfoNce::new(self.temperature)?,
            whitening,
            width,
        };
        Ok((method, SentenceModel { encoder, head: Some(head), masked: None }))
    }
}

impl MethodConfig for WhitenedCseConfig {
    type Method = WhitenedCse;
    type Data = Corpus;
    type Error = TextError;

    fn validate(&self) -> Result<(), TextError> {
        self.encoder.validate()?;
        let check = Check::new("whitenedcse");
        check.positive("temperature", self.temperature)?;
        check.that(self.views >= 2, "views", self.views, "2 or more: an anchor and a positive")?;
        check.count("groups", self.groups)?;
        check.weight("epsilon", self.epsilon)?;
        Ok(self.training.validate()?)
    }

    fn build(&self, corpus: &Corpus, seed: u64, device: &Device) -> Result<Training<WhitenedCse>, TextError> {
        let (method, model) = self.parts(corpus, seed, device)?;
        Ok(Training::new(method, model, &self.training, seed)?)
    }
}

/// A batch and the orders in which channels go to the groups, one for each view.
#[derive(Clone, Debug, PartialEq)]
pub struct ShuffledBatch {
    /// The views of the sentences.
    pub sentences: SentenceBatch,
    /// For each view, the channel that stands at each place while groups are formed.
    pub orders: Vec<Vec<usize>>,
}

/// `L = sum_{v = 2..V} InfoNCE(z^1 -> z^v)`, `z^v = tanh(SGW(h^v) W + b)`: shuffled group whitening with a permutation for each view and
/// step, whose root is constant to the gradient. Head and whitening are dropped after training.
#[derive(Clone, Debug)]
pub struct WhitenedCse {
    config: WhitenedCseConfig,
    base: Base,
    objective: InfoNce,
    whitening: Whitening,
    width: usize,
}

impl WhitenedCse {
    /// What it learns from.
    pub fn corpus(&self) -> &Corpus {
        self.base.corpus()
    }

    /// Whitened rows `[V n, d]`, view after view, with an order of the channels for each view.
    ///
    /// # Errors
    /// When a covariance has no inverse; the error names the group.
    ///
    /// # Panics
    /// When the orders are not as many as the views, or the rows do not fall into views.
    pub fn whiten(&self, rows: Tensor<2>, orders: &[Vec<usize>]) -> Result<Tensor<2>, TextError> {
        let ([total, d], views) = (rows.dims(), orders.len());
        assert!(views > 0 && total.is_multiple_of(views), "rows [{total}, {d}] of {views} views");
        let n = total / views;
        // row v n + i is view v of sentence i; the release cuts rows i V + v into V parts
        let interleaved: Vec<i32> = (0..total).map(|at| ((at % views) * n + at / views) as i32).collect();
        let rows = if self.config.reference_layout { select(rows, &interleaved) } else { rows };
        let part = |(v, order): (usize, &Vec<usize>)| {
            self.whitening.whiten_in_order(rows.clone().slice([v * n..(v + 1) * n, 0..d]), order)
        };
        let white = orders.iter().enumerate().map(part).collect::<Result<Vec<_>, _>>()?;
        let white = Tensor::cat(white, 0);
        Ok(if self.config.reference_layout {
            let back: Vec<i32> = (0..total).map(|at| ((at % n) * views + at / n) as i32).collect();
            select(white, &back)
        } else {
            white
        })
    }

    /// `sum_{v = 2..V} InfoNCE(z^1 -> z^v)` of rows `[V n, d]`, view after view: `[1]`.
    ///
    /// # Panics
    /// When the rows do not fall into V views.
    pub fn contrast(&self, z: &Tensor<2>) -> Tensor<1> {
        let ([total, d], views) = (z.dims(), self.config.views);
        assert!(total.is_multiple_of(views), "rows [{total}, {d}] of {views} views");
        let n = total / views;
        let view = |v: usize| z.clone().slice([v * n..(v + 1) * n, 0..d]);
        let terms = (1..views).map(|v| self.objective.loss(view(0), view(v)));
        terms.reduce(|sum, term| sum + term).expect("two views or more")
    }
}

fn select(rows: Tensor<2>, order: &[i32]) -> Tensor<2> {
    let order = Tensor::<1, Int>::from_data(TensorData::new(order.to_vec(), [order.len()]), &rows.device());
    rows.select(0, order)
}

impl Method for WhitenedCse {
    type Model = SentenceModel;
    type Batch = ShuffledBatch;

    fn name(&self) -> &str {
        "whitenedcse"
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

    fn batch(&mut self, step: Step) -> Result<ShuffledBatch, TrainError> {
        let mut rng = step.rng();
        let order = |_| {
            let mut order: Vec<usize> = (0..self.width).collect();
            order.shuffle(&mut rng);
            order
        };
        let orders = (0..self.config.views).map(order).collect();
        Ok(ShuffledBatch { sentences: self.base.sentences(step.batch, self.config.views), orders })
    }

    fn losses(
        &mut self,
        model: &SentenceModel,
        batch: &ShuffledBatch,
        step: Step,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, TrainError> {
        let mut pass = Pass::training(step.seed, step.global as u64);
        let rows = model.encoder.forward(&batch.sentences.tokens, &mut pass);
        let white = self.whiten(rows, &batch.orders).map_err(TextError::into_train)?;
        Ok(vec![("contrast", self.contrast(&model.project(white)))])
    }

    fn evaluate(&mut self, model: &SentenceModel) -> Result<Option<Metrics>, TrainError> {
        self.base.validation(model, false).map_err(TextError::into_train)
    }

    fn artifacts(&self, _model: &SentenceModel) -> Vec<(String, Array2<f32>)> {
        Vec::new()
    }
}
