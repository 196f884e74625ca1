//! SimCTG (Su et al., NeurIPS 2022): a language model whose states of different tokens are told apart.

use crate::TextError;
use crate::data::TokenStream;
use crate::encoder::{CausalConfig, CausalModel};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_core::objective::{Inputs, PairObjective, SimCtg};
use contrastive_core::pairs::Pairs;
use contrastive_core::similarity::Similarity;
use contrastive_data::Digest;
use contrastive_eval::isotropy::isotropy;
use contrastive_nn::{Pass, Ragged};
use contrastive_train::{
    Batches, Budget, Check, Clipping, Group, Method, MethodConfig, Metrics, OptimiserConfig, Schedule, Step,
    TrainError, Training, TrainingConfig,
};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Settings of [`CausalTraining`].
#[derive(Config, Debug, PartialEq)]
pub struct CausalTrainingConfig {
    /// The model; its vocabulary is that of the data.
    pub model: CausalConfig,
    /// rho of the contrast, 0 to 2; with 0 the model is trained by likelihood alone.
    #[config(default = 0.5)]
    pub margin: f64,
    /// Tokens of a sequence, at least 2 and at most the model's positions; 256 in the paper.
    #[config(default = 256)]
    pub length: usize,
    /// The training. The default is the paper's for GPT-2: 40,000 steps of 128 sequences, AdamW at 2e-5, a tenth of them warm-up, then
    /// linear decay, gradients of at most norm 1.
    #[config(default = "published_training()")]
    pub training: TrainingConfig,
}

fn published_training() -> TrainingConfig {
    TrainingConfig::new(Budget::Steps(40_000), 128, 2e-5)
        .with_optimiser(OptimiserConfig::adam_w(0.01))
        .with_group(Group::plain_norms_and_biases())
        .with_schedule(Schedule::linear(0.0).with_warm_up(4_000))
        .with_clipping(Clipping::Norm(1.0))
}

impl MethodConfig for CausalTrainingConfig {
    type Method = CausalTraining;
    type Data = TokenStream;
    type Error = TextError;

    fn validate(&self) -> Result<(), TextError> {
        self.model.validate()?;
        SimCtg::new(self.margin)?;
        self.training.validate()?;
        let positions = self.model.encoder.embedding.positions;
        let fits = self.length >= 2 && (positions == 0 || self.length <= positions);
        let allowed = format!("2 to the model's positions {positions}");
        Ok(Check::new("causal training").that(fits, "length", self.length, allowed)?)
    }

    fn build(&self, data: &TokenStream, seed: u64, device: &Device) -> Result<Training<CausalTraining>, TextError> {
        let model = self.model.init(&mut ChaCha8Rng::seed_from_u64(seed), &device.clone().autodiff())?;
        self.build_on(model, data, seed)
    }
}

impl CausalTrainingConfig {
    /// A training of a model that is there already, on an autodiff device: one of a folder, say.
    ///
    /// # Errors
    /// When a setting is out of its range, the data has fewer tokens than a sequence, or the model another vocabulary.
    pub fn build_on(
        &self,
        model: CausalModel,
        data: &TokenStream,
        seed: u64,
    ) -> Result<Training<CausalTraining>, TextError> {
        self.validate()?;
        let check = Check::new("causal training");
        let vocabulary = self.model.encoder.embedding.vocabulary;
        let fits = vocabulary == data.vocabulary;
        check.that(fits, "vocabulary", vocabulary, format!("that of the data, {}", data.vocabulary))?;
        let known = data.train.iter().chain(&data.validation).all(|id| (*id as usize) < vocabulary);
        check.that(known, "tokens of the data", "beyond it", format!("below the vocabulary {vocabulary}"))?;
        let sequences = data.train.len().saturating_sub(1) / self.length;
        let enough = format!("more than a sequence of {}", self.length);
        check.that(sequences > 0, "number of training tokens", data.train.len(), enough)?;
        let batches = Batches::shuffled(sequences, self.training.batch_size)?.dropping_last();
        let method = CausalTraining {
            config: self.clone(),
            contrast: SimCtg::new(self.margin)?,
            likelihood: PairObjective::new(1.0)?.with_similarity(Similarity::Dot),
            data: data.clone(),
            batches,
            epoch: Vec::new(),
        };
        Ok(Training::new(method, model, &self.training, seed)?)
    }
}

/// Sequences of equal length, and the token after each of theirs.
#[derive(Clone, Debug, PartialEq)]
pub struct TextBatch {
    ids: Vec<u32>,
    next: Vec<u32>,
    lists: Ragged,
}

/// `L = L_MLE + L_CL`: likelihood and [`SimCtg`], each with weight 1.
#[derive(Clone, Debug)]
pub struct CausalTraining {
    config: CausalTrainingConfig,
    contrast: SimCtg,
    likelihood: PairObjective,
    data: TokenStream,
    batches: Batches,
    epoch: Vec<Vec<usize>>,
}

impl CausalTraining {
    /// The sequences with these numbers of a stream.
    fn sequences(&self, stream: &[u32], numbers: &[usize]) -> TextBatch {
        let length = self.config.length;
        let take = |shift: usize| {
            numbers.iter().flat_map(|at| stream[at * length + shift..][..length].iter().copied()).collect()
        };
        TextBatch { ids: take(0), next: take(1), lists: Ragged::even(numbers.len(), length) }
    }

    /// The mean negative log-likelihood of the next token, `[1]`. The logits are never in memory as a whole.
    fn mle(&self, model: &CausalModel, hidden: Tensor<2>, batch: &TextBatch) -> Tensor<1> {
        let objective = self.likelihood.clone().with_pairs(Pairs::one_each(batch.next.clone()));
        objective.loss(&Inputs::new(hidden, model.output_rows()))
    }

    /// The mean negative log-likelihood of the validation tokens, and the isotropy of their states; `None` without a sequence.
    ///
    /// # Errors
    /// When states are not finite.
    pub fn validation(&self, model: &CausalModel) -> Result<Option<[f64; 2]>, TextError> {
        let sequences = self.data.validation.len().saturating_sub(1) / self.config.length;
        if sequences == 0 {
            return Ok(None);
        }
        let (mut loss, mut states, mut width) = (0.0, Vec::new(), 0);
        for start in (0..sequences).step_by(self.config.training.batch_size) {
            let numbers: Vec<usize> = (start..sequences.min(start + self.config.training.batch_size)).collect();
            let batch = self.sequences(&self.data.validation, &numbers);
            let hidden = model.states(&batch.ids, &batch.lists, &mut Pass::evaluation());
            let value = self.mle(model, hidden.clone(), &batch).into_data().iter::<f64>().next().unwrap_or(f64::NAN);
            loss += value * numbers.len() as f64;
            width = hidden.dims()[1];
            states.extend(hidden.into_data().iter::<f32>());
        }
        let states = Array2::from_shape_vec((states.len() / width, width), states).expect("rows");
        let isotropy = isotropy(states.view(), Ragged::even(sequences, self.config.length).offsets())?;
        Ok(Some([loss / sequences as f64, isotropy]))
    }
}

impl Method for CausalTraining {
    type Model = CausalModel;
    type Batch = TextBatch;

    fn name(&self) -> &str {
        "simctg"
    }

    fn config(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(&self.config).expect("settings are JSON");
        value.as_object_mut().map(|map| map.remove("training"));
        value
    }

    fn data(&self) -> serde_json::Value {
        let digest = Digest::new().u32s(&self.data.train).u32s(&self.data.validation);
        serde_json::json!({
            "name": self.data.name,
            "tokens": self.data.train.len(),
            "validation_tokens": self.data.validation.len(),
            "vocabulary": self.data.vocabulary,
            "digest": digest.to_string(),
        })
    }

    fn begin_epoch(&mut self, epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        self.epoch = self.batches.epoch(epoch, &mut rng);
        Ok(self.epoch.len())
    }

    fn batch(&mut self, step: Step) -> Result<TextBatch, TrainError> {
        Ok(self.sequences(&self.data.train, &self.epoch[step.batch]))
    }

    fn losses(
        &mut self,
        model: &CausalModel,
        batch: &TextBatch,
        step: Step,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, TrainError> {
        let hidden = model.states(&batch.ids, &batch.lists, &mut Pass::training(step.seed, step.global as u64));
        let mut losses = vec![("mle", self.mle(model, hidden.clone(), batch))];
        if self.config.margin > 0.0 {
            losses.push(("contrast", self.contrast.loss(hidden, batch.lists.offsets())));
        }
        Ok(losses)
    }

    fn evaluate(&mut self, model: &CausalModel) -> Result<Option<Metrics>, TrainError> {
        let metrics = self.validation(model).map_err(TrainError::trainee)?;
        Ok(metrics
            .map(|[loss, isotropy]| Metrics::from([("loss".to_string(), loss), ("isotropy".to_string(), isotropy)])))
    }

    fn artifacts(&self, model: &CausalModel) -> Vec<(String, Array2<f32>)> {
        let rows = model.clone().valid().output_rows();
        let [n, width] = rows.dims();
        let numbers: Vec<f32> = rows.into_data().iter::<f32>().collect();
        vec![("tokens".into(), Array2::from_shape_vec((n, width), numbers).expect("rows"))]
    }
}
