//! CoCoSoDa (Shi et al., ICSE 2023): code and queries told apart with replaced tokens, a momentum encoder and queues.

mod augment;
mod data;
mod encoder;
mod search;
mod terms;

pub use augment::{Replacement, ReplacementTokens, SoftAugment};
pub use data::{CodeCorpus, TokenPair};
pub use encoder::{CodeEncoder, CodeEncoderConfig};
pub use search::CodeSearch;
pub use terms::{Part, Term};

use crate::TextError;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorCreationOptions};
use contrastive_core::memory::{Ema, Queue};
use contrastive_core::objective::PairObjective;
use contrastive_core::similarity::{Similarity, unit_rows};
use contrastive_eval::ranking::TargetRanks;
use contrastive_nn::Pass;
use contrastive_nn::init::Initial;
use contrastive_train::{
    Budget, Check, Clipping, Group, Method, MethodConfig, Metrics, OptimiserConfig, Schedule, State, Step, TrainError,
    Training, TrainingConfig, load_module, save_module,
};
use ndarray::Array2;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// The rank beyond which a reciprocal rank counts as 0 in code search.
pub const RANK_CUTOFF: usize = 1000;

/// When tokens are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AugmentEvery {
    /// At every step: one of the four replacements, drawn, for code, masking for queries (the paper).
    #[default]
    Step,
    /// At every fourth step, by masking, for both; at the others nothing is replaced. That is what the released code comes to: it cycles through
    /// the four, three of which compare tokens with numbers that code does not hold, and masks queries in the first alone.
    FourthStep,
}

/// Settings of [`CoCoSoDa`].
#[derive(Config, Debug, PartialEq)]
pub struct CoCoSoDaConfig {
    /// The encoder of both.
    #[config(default = "CodeEncoderConfig::new()")]
    pub encoder: CodeEncoderConfig,
    /// tau, above 0. The released code divides by 0.07 and multiplies by 20: 0.0035.
    #[config(default = 0.07)]
    pub temperature: f64,
    /// m of the momentum encoder, 0 to 1.
    #[config(default = 0.999)]
    pub momentum: f64,
    /// K: rows of each queue; 0: no queues. At most the number of training pairs.
    #[config(default = 4096)]
    pub queue: usize,
    /// Probability with which a token is picked.
    #[config(default = 0.15)]
    pub rate: f64,
    /// When tokens are replaced.
    #[config(default = "AugmentEvery::Step")]
    pub augment_every: AugmentEvery,
    /// The terms of the loss, each of the same weight; one or more, none twice. The released script has the four across code and queries.
    #[config(default = "Term::ALL.to_vec()")]
    pub terms: Vec<Term>,
    /// Whether rows of the same group (equal code or query) are left out of the negatives, in the batch and in the queues.
    #[config(default = true)]
    pub mask_same: bool,
    /// A batch is of one language, drawn with a probability proportional to this power of the number of its pairs, 0 to 1.
    #[config(default = 0.7)]
    pub language_power: f64,
    /// The training. The default is the paper's: 100,000 steps of 128 pairs, AdamW at 2e-5, linear decay, gradients of at most norm 1.
    #[config(default = "published_training()")]
    pub training: TrainingConfig,
}

fn published_training() -> TrainingConfig {
    TrainingConfig::new(Budget::Steps(100_000), 128, 2e-5)
        .with_optimiser(OptimiserConfig::adam_w(0.01))
        .with_group(Group::plain_norms_and_biases())
        .with_schedule(Schedule::linear(0.0))
        .with_clipping(Clipping::Norm(1.0))
}

impl CoCoSoDaConfig {
    /// What the released code does, where it differs from the paper: effective temperature 0.0035, four terms, queues of 1,024, a rate of 0.1,
    /// masking at every fourth step and no other replacement, nothing masked among the negatives.
    pub fn released() -> Self {
        Self::new()
            .with_temperature(0.07 / 20.0)
            .with_terms(Term::ACROSS.to_vec())
            .with_queue(1024)
            .with_rate(0.1)
            .with_augment_every(AugmentEvery::FourthStep)
            .with_mask_same(false)
    }

    /// One-way InfoNCE from query to code among the batch, which is also the fine-tuning of the paper (there at a temperature of 0.05).
    #[must_use]
    pub fn in_batch(self) -> Self {
        self.with_terms(vec![Term::QueryToCode]).with_queue(0).with_rate(0.0)
    }
}

impl MethodConfig for CoCoSoDaConfig {
    type Method = CoCoSoDa;
    type Data = CodeCorpus;
    type Error = TextError;

    fn validate(&self) -> Result<(), TextError> {
        self.encoder.validate()?;
        let check = Check::new("cocosoda");
        check.positive("temperature", self.temperature)?;
        check.probability("momentum", self.momentum)?;
        check.probability("rate", self.rate)?;
        check.probability("language_power", self.language_power)?;
        check.count("number of terms", self.terms.len())?;
        for (at, term) in self.terms.iter().enumerate() {
            check.that(!self.terms[..at].contains(term), "terms", format!("{term:?} twice"), "each term once")?;
        }
        Ok(self.training.validate()?)
    }

    fn build(&self, data: &CodeCorpus, seed: u64, device: &Device) -> Result<Training<CoCoSoDa>, TextError> {
        self.build_on(data, seed, &device.clone().autodiff())
    }
}

impl CoCoSoDaConfig {
    /// The same with tensors of another float type: `(&device, DType::F64)`, on an autodiff device.
    ///
    /// # Errors
    /// As [`build`](MethodConfig::build).
    pub fn build_on(
        &self,
        data: &CodeCorpus,
        seed: u64,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<Training<CoCoSoDa>, TextError> {
        self.validate()?;
        let on = on.into();
        let check = Check::new("cocosoda");
        let languages = data.by_language();
        let (fewest, batch) = (languages.iter().map(Vec::len).min().unwrap_or(0), self.training.batch_size);
        let allowed = format!("at most the pairs of each language, {fewest}");
        check.that(batch <= fewest, "batch_size", batch, allowed)?;
        let pairs = data.train.len();
        check.that(
            self.queue <= pairs,
            "queue",
            self.queue,
            format!("at most the number of training pairs, {pairs}"),
        )?;
        let longest = data.train.iter().chain(&data.validation).flat_map(|pair| [&pair.code, &pair.query]);
        let longest = longest.map(|tokens| tokens.ids().len()).max().unwrap_or(0);
        let fits = self.encoder.blocks.is_none() || longest <= self.encoder.positions;
        check.that(fits, "positions", self.encoder.positions, format!("at least the longest sequence, {longest}"))?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let model = self.encoder.init(data.vocabulary, &mut rng, on.clone())?;
        let queue = |rng: &mut ChaCha8Rng| -> Result<Queue, TextError> {
            let (rows, width) = (self.queue, self.encoder.width);
            let mut queue = Queue::labelled(rows, width, on.clone())?;
            let noise = unit_rows(Initial::Normal(1.0).tensor([rows, width], [rows, width], rng, on.clone()));
            queue.push_labelled(noise, &vec![NOISE; rows]);
            Ok(queue)
        };
        let queues = match self.queue {
            0 => None,
            _ => Some([queue(&mut rng)?, queue(&mut rng)?, queue(&mut rng)?, queue(&mut rng)?]),
        };
        let method = CoCoSoDa {
            config: self.clone(),
            augment: SoftAugment::new(self.rate, data.tokens.clone())?,
            objective: PairObjective::new(self.temperature)?.with_similarity(Similarity::Dot),
            ema: Ema::constant(self.momentum)?,
            momentum_encoder: model.clone().valid(),
            data: data.clone(),
            languages,
            queues,
            epoch: Vec::new(),
            pending: None,
        };
        Ok(Training::new(method, model, &self.training, seed)?)
    }
}

/// The group of a queue's random first rows.
const NOISE: i64 = -1;

/// A batch: tokens of code and queries as they are and replaced, and their groups.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeBatch {
    /// Code, queries, replaced code, replaced queries: in the order of [`Part::ALL`].
    pub parts: [Vec<Vec<u32>>; 4],
    /// The group of each pair.
    pub groups: Vec<i64>,
}

/// The method. `c` and `q` are what the encoder makes of code and query; `c'`, `q'` what its momentum copy makes of them with replaced tokens, without a
/// gradient. The loss is the mean of the [terms](Term), each over the candidates of the batch and of the queue of its candidates' part; rows enter
/// the four queues after the loss.
///
/// The momentum copy moves after each step and not before the next, which comes to the same.
#[derive(Clone, Debug)]
pub struct CoCoSoDa {
    config: CoCoSoDaConfig,
    augment: SoftAugment,
    objective: PairObjective,
    ema: Ema,
    momentum_encoder: CodeEncoder,
    data: CodeCorpus,
    languages: Vec<Vec<usize>>,
    /// In the order of [`Part::ALL`].
    queues: Option<[Queue; 4]>,
    epoch: Vec<Vec<usize>>,
    /// Rows of the last losses, which enter the queues after the step.
    pending: Option<[Tensor<2>; 4]>,
}

impl CoCoSoDa {
    /// The momentum copy of the encoder.
    pub fn momentum_encoder(&self) -> &CodeEncoder {
        &self.momentum_encoder
    }

    /// The queue of a part, if there are queues.
    pub fn queue(&self, part: Part) -> Option<&Queue> {
        self.queues.as_ref().map(|queues| &queues[part.number()])
    }

    /// The ranks of the validation pairs' codes among all of them, for each query; `None` where there are none.
    ///
    /// # Errors
    /// When rows are not finite, because training diverged.
    pub fn validation(&self, model: &CodeEncoder) -> Result<Option<TargetRanks>, TextError> {
        if self.data.validation.is_empty() {
            return Ok(None);
        }
        let of =
            |part: fn(&TokenPair) -> &[u32]| model.encode(&self.data.validation.iter().map(part).collect::<Vec<_>>());
        let (queries, codes) = (of(|pair| pair.query.ids()), of(|pair| pair.code.ids()));
        let targets: Vec<u32> = (0..self.data.validation.len() as u32).collect();
        Ok(Some(TargetRanks::of_pairs(queries.view(), codes.view(), &targets)?))
    }

    /// Which terms need the momentum encoder.
    fn needs_momentum(&self) -> bool {
        self.config.terms.iter().any(|term| term.candidates().is_momentum())
    }
}

impl Method for CoCoSoDa {
    type Model = CodeEncoder;
    type Batch = CodeBatch;

    fn name(&self) -> &str {
        "cocosoda"
    }

    fn config(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(&self.config).expect("settings are JSON");
        value.as_object_mut().map(|map| map.remove("training"));
        value
    }

    fn data(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.data.name,
            "pairs": self.data.train.len(),
            "validation_pairs": self.data.validation.len(),
            "vocabulary": self.data.vocabulary,
            "digest": self.data.digest(),
        })
    }

    fn begin_epoch(&mut self, _epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        let batch = self.config.training.batch_size;
        let batches = |pairs: &Vec<usize>| pairs.len() / batch;
        let steps = self.languages.iter().map(batches).sum::<usize>();
        let weights: Vec<f64> =
            self.languages.iter().map(|pairs| (pairs.len() as f64).powf(self.config.language_power)).collect();
        let total: f64 = weights.iter().sum();
        // each language in an order of its own, shuffled again when it is through
        let mut orders: Vec<Vec<usize>> = vec![Vec::new(); self.languages.len()];
        self.epoch = (0..steps)
            .map(|_| {
                let mut left = rng.random::<f64>() * total;
                let drawn = weights.iter().position(|weight| {
                    left -= weight;
                    left < 0.0
                });
                let language = drawn.unwrap_or(weights.len() - 1);
                let order = &mut orders[language];
                if order.len() < batch {
                    order.clone_from(&self.languages[language]);
                    order.shuffle(&mut rng);
                }
                order.split_off(order.len() - batch)
            })
            .collect();
        Ok(steps)
    }

    fn batch(&mut self, step: Step) -> Result<CodeBatch, TrainError> {
        let pairs: Vec<&TokenPair> = self.epoch[step.batch].iter().map(|at| &self.data.train[*at]).collect();
        let codes: Vec<_> = pairs.iter().map(|pair| &pair.code).collect();
        let queries: Vec<_> = pairs.iter().map(|pair| &pair.query).collect();
        let plain = |all: &[&crate::data::code::CodeTokens]| all.iter().map(|tokens| tokens.ids().to_vec()).collect();
        let mut rng = step.rng();
        let replacement = match self.config.augment_every {
            AugmentEvery::Step => Some(Replacement::ALL[rng.random_range(0..4)]),
            AugmentEvery::FourthStep => step.global.is_multiple_of(4).then_some(Replacement::Masking),
        };
        let replaced = match replacement {
            None => [plain(&codes), plain(&queries)],
            Some(of_code) => [
                self.augment.apply(&codes, of_code, &mut rng),
                self.augment.apply(&queries, Replacement::Masking, &mut rng),
            ],
        };
        let [replaced_code, replaced_queries] = replaced;
        Ok(CodeBatch {
            parts: [plain(&codes), plain(&queries), replaced_code, replaced_queries],
            groups: pairs.iter().map(|pair| pair.group).collect(),
        })
    }

    fn losses(
        &mut self,
        model: &CodeEncoder,
        batch: &CodeBatch,
        step: Step,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, TrainError> {
        let mut pass = Pass::training(step.seed, step.global as u64);
        let [code, query, replaced_code, replaced_query] = &batch.parts;
        let (code, query) = (model.forward(code, &mut pass), model.forward(query, &mut pass));
        let by_momentum = |lists: &Vec<Vec<u32>>, own: &Tensor<2>| match self.needs_momentum() {
            true => self.momentum_encoder.forward(lists, &mut Pass::evaluation()),
            // not compared with anything
            false => own.clone().inner(),
        };
        let (code_key, query_key) = (by_momentum(replaced_code, &code), by_momentum(replaced_query, &query));
        let rows = [code, query, code_key, query_key];
        let queued = self.queues.as_ref().map(|queues| {
            queues
                .each_ref()
                .map(|queue| (queue.rows().expect("a full queue"), queue.labels().expect("labels").to_vec()))
        });
        let weight = 1.0 / self.config.terms.len() as f64;
        let groups = self.config.mask_same.then_some(&batch.groups[..]);
        let losses = self.config.terms.iter().map(|term| {
            let queue = queued.as_ref().map(|queues| &queues[term.candidates().number()]);
            let queue = queue.map(|(rows, labels)| (rows.clone(), &labels[..]));
            (term.name(), terms::term(&self.objective, *term, &rows, queue, groups) * weight)
        });
        let losses = losses.collect();
        self.pending = Some(rows.map(|rows| if rows.is_autodiff() { rows.inner() } else { rows }));
        Ok(losses)
    }

    fn after_step(&mut self, model: &CodeEncoder, batch: &CodeBatch, step: Step) {
        if let (Some(queues), Some(rows)) = (&mut self.queues, self.pending.take()) {
            for (queue, rows) in queues.iter_mut().zip(rows) {
                queue.push_labelled(rows, &batch.groups);
            }
        }
        let copy = self.momentum_encoder.clone();
        self.momentum_encoder = self.ema.update(model, copy, step.global);
    }

    fn state(&self) -> State {
        let mut state = State::new();
        save_module(&self.momentum_encoder, "momentum", &mut state);
        for (part, queue) in Part::ALL.into_iter().zip(self.queues.iter().flatten()) {
            state.extend(queue.state().into_iter().map(|(name, data)| (format!("queue.{}.{name}", part.name()), data)));
        }
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        let copy = self.momentum_encoder.clone();
        self.momentum_encoder = load_module(copy, "momentum", &mut state)?;
        for (part, queue) in Part::ALL.into_iter().zip(self.queues.iter_mut().flatten()) {
            let prefix = format!("queue.{}.", part.name());
            let own = state.iter().filter_map(|(name, data)| Some((name.strip_prefix(&prefix)?.into(), data.clone())));
            let wrong = |error: contrastive_core::memory::MemoryError| TrainError::State {
                name: prefix.clone(),
                problem: error.to_string(),
            };
            queue.load_state(&own.collect()).map_err(wrong)?;
        }
        self.pending = None;
        Ok(())
    }

    fn evaluate(&mut self, model: &CodeEncoder) -> Result<Option<Metrics>, TrainError> {
        let ranks = self.validation(model).map_err(TextError::into_train)?;
        Ok(ranks.map(|ranks| {
            let recalls = [1, 5, 10].map(|k| (format!("recall@{k}"), ranks.hit_rate(k)));
            [("mrr".to_string(), ranks.mrr(RANK_CUTOFF))].into_iter().chain(recalls).collect()
        }))
    }

    fn artifacts(&self, model: &CodeEncoder) -> Vec<(String, Array2<f32>)> {
        let rows = model.valid().embedding.token.weight.val();
        let [n, width] = rows.dims();
        let numbers: Vec<f32> = rows.into_data().iter::<f32>().collect();
        vec![("tokens".into(), Array2::from_shape_vec((n, width), numbers).expect("rows"))]
    }
}
