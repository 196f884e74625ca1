//! Fine-tuning of an encoder with a head for classes.

use super::shared::shuffled;
use crate::data::{Series, SeriesError, check};
use crate::encoder::{SeriesEncoder, Steps};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig};
use burn::tensor::{Device, Tensor, TensorData, activation};
use contrastive_eval::scores::Classification;
use contrastive_nn::Pass;
use contrastive_nn::init::Initial;
use contrastive_nn::layer::{Linear, LinearConfig};
use contrastive_train::{OptimiserConfig, Parameters};
use ndarray::{Array2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Settings of a fine-tuning (COMET's: all weights, a head of two layers, cross-entropy of logits).
#[derive(Config, Debug, PartialEq)]
pub struct FineTune {
    /// Epochs; the one with the best macro F1 on the validation part is kept.
    #[config(default = 50)]
    pub epochs: usize,
    /// Windows of a batch.
    #[config(default = 128)]
    pub batch_size: usize,
    /// AdamW's learning rate.
    #[config(default = 1e-4)]
    pub learning_rate: f64,
    /// Width of the head's hidden layer.
    #[config(default = 128)]
    pub hidden: usize,
    /// Of the batches, and of the head's weights.
    #[config(default = 0)]
    pub seed: u64,
}

/// Linear, batch norm, ReLU, linear: logits.
#[derive(Module, Debug)]
pub struct Head {
    /// To the hidden width.
    pub first: Linear,
    /// Of the hidden layer.
    pub norm: BatchNorm,
    /// To the classes.
    pub second: Linear,
}

/// An encoder with its head.
#[derive(Module, Debug)]
pub struct FineTuned<E: Module> {
    /// `[B, T, F]` to `[B, T, D]`, max-pooled over time.
    pub encoder: E,
    /// `[B, D]` to logits.
    pub head: Head,
}

impl<E: SeriesEncoder> FineTuned<E> {
    /// Logits `[B, classes]`.
    ///
    /// # Panics
    /// When the channels differ.
    pub fn logits(&self, x: &Steps, pass: &mut Pass) -> Tensor<2> {
        let h = self.encoder.forward(x, pass);
        let [b, _, d] = h.dims();
        let pooled: Tensor<2> = h.max_dim(1).reshape([b, d]);
        let hidden: Tensor<2> = self.head.norm.forward(self.head.first.forward(pooled));
        self.head.second.forward(activation::relu(hidden))
    }

    /// Probabilities `[N, classes]` of windows of one length.
    ///
    /// # Errors
    /// When lengths differ.
    pub fn probabilities(&self, series: &Series, device: &Device) -> Result<Array2<f32>, SeriesError> {
        series.equal_length("a classifier")?;
        let (data, mut all) = (series.padded(), Vec::new());
        for chunk in (0..series.len()).collect::<Vec<_>>().chunks(256) {
            let steps = Steps::new(data.select(Axis(0), chunk).view(), device);
            let p = activation::softmax(self.logits(&steps, &mut Pass::evaluation()), 1);
            all.extend(p.into_data().iter::<f32>());
        }
        let classes = all.len() / series.len();
        Ok(Array2::from_shape_vec((series.len(), classes), all).expect("a row each"))
    }
}

/// The most probable class of each row, equal ones: the first.
pub(crate) fn most_probable(p: &Array2<f32>) -> Vec<u32> {
    let best = |row: ndarray::ArrayView1<'_, f32>| (0..row.len()).fold(0, |b, k| if row[k] > row[b] { k } else { b });
    p.rows().into_iter().map(|row| best(row) as u32).collect()
}

impl FineTune {
    /// Trains a copy of the encoder (as it is for use, outside of autodiff) and a new head on labelled windows; returns the model of the
    /// epoch with the best macro F1 on the validation windows, outside of autodiff, and that F1.
    ///
    /// # Errors
    /// When a setting is out of range, lengths differ, or a part has no labels.
    pub fn run<E: SeriesEncoder>(
        &self,
        encoder: &E,
        train: &Series,
        validation: &Series,
        device: &Device,
    ) -> Result<(FineTuned<E>, f64), SeriesError> {
        check("fine-tuning", "epochs", self.epochs, self.epochs > 0, "at least 1")?;
        check("fine-tuning", "batch_size", self.batch_size, self.batch_size > 1, "at least 2")?;
        train.equal_length("fine-tuning")?;
        let labels = train.labels()?;
        let classes = labels.names.len();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let plain = device.clone().inner();
        let on = plain.clone().autodiff();
        let linear = |input, output, rng: &mut ChaCha8Rng| {
            LinearConfig::new(input, output).with_initial(Initial::FanIn).init(rng, &on)
        };
        let head = Head {
            first: linear(encoder.width(), self.hidden, &mut rng)?,
            norm: BatchNormConfig::new(self.hidden).init(&on),
            second: linear(self.hidden, classes, &mut rng)?,
        };
        let model = FineTuned { encoder: encoder.valid().train().set_require_grad(true), head };
        let mut parameters = Parameters::new(model, &OptimiserConfig::adam_w(0.01), &[])?;
        let data = train.padded();
        let truth = validation.labels()?.ids.clone();
        let mut best: Option<(FineTuned<E>, f64)> = None;
        let mut step = 0;
        for _ in 0..self.epochs {
            for chunk in shuffled(train.len(), &mut rng).chunks(self.batch_size).filter(|c| c.len() > 1) {
                let steps = Steps::new(data.select(Axis(0), chunk).view(), &plain);
                let logits = parameters.model().logits(&steps, &mut Pass::training(self.seed, step));
                let mut one_hot = vec![0f32; chunk.len() * classes];
                chunk.iter().enumerate().for_each(|(r, &i)| one_hot[r * classes + labels.ids[i] as usize] = 1.0);
                let one_hot = Tensor::<2>::from_data(TensorData::new(one_hot, [chunk.len(), classes]), &plain);
                let one_hot = Tensor::from_inner(one_hot);
                let loss = (activation::log_softmax(logits, 1) * one_hot).sum() * (-1.0 / chunk.len() as f64);
                parameters.optimizer_step(&loss, self.learning_rate);
                step += 1;
            }
            let now = parameters.model().valid();
            let predicted = most_probable(&now.probabilities(validation, &plain)?);
            let f1 = Classification::single(&truth, &predicted, classes)?.macro_f1();
            if best.as_ref().is_none_or(|(_, most)| f1 > *most) {
                best = Some((now, f1));
            }
        }
        Ok(best.expect("at least one epoch"))
    }
}
