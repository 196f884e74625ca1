//! UniMTS with labels: fine-tuning, and scores of ranked labels.

use super::fine_tune::most_probable;
use super::shared::shuffled;
use super::unimts::{UniMtsConfig, UniMtsModel, placed};
use crate::data::{Motions, Names, SeriesError, check};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, activation};
use contrastive_nn::encoder::StGcn;
use contrastive_nn::init::Initial;
use contrastive_nn::layer::{Linear, LinearConfig};
use contrastive_train::{OptimiserConfig, Parameters};
use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// What is tuned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tuned {
    /// The pre-trained encoder and the head.
    #[default]
    Full,
    /// The head alone.
    Probe,
    /// An encoder from first weights and the head: what pre-training has to beat.
    FromScratch,
}

/// Settings of a fine-tuning: a linear head on the graph encoder, cross-entropy; the epoch with the lowest training loss is kept. No joints are
/// hidden and nothing is rotated.
#[derive(Config, Debug, PartialEq)]
pub struct UniMtsTune {
    /// What is tuned.
    #[config(default = "Tuned::Full")]
    pub tuned: Tuned,
    /// Epochs.
    #[config(default = 200)]
    pub epochs: usize,
    /// Motions of a batch.
    #[config(default = 64)]
    pub batch_size: usize,
    /// Adam's learning rate.
    #[config(default = 1e-4)]
    pub learning_rate: f64,
    /// Of batches and first weights.
    #[config(default = 0)]
    pub seed: u64,
}

/// A graph encoder with a head.
#[derive(Module, Debug)]
pub struct UniMtsClassifier {
    /// `[B, T, 22, C]` to `[B, D]`.
    pub graph: StGcn,
    /// To logits.
    pub head: Linear,
}

impl UniMtsClassifier {
    /// Logits `[N, classes]` of motions, of a classifier outside of autodiff.
    ///
    /// # Panics
    /// When the channels differ from the net's.
    pub fn logits(&self, motions: &Motions, length: usize, device: &Device) -> Array2<f32> {
        let (mut all, device) = (Vec::new(), device.clone().inner());
        for chunk in (0..motions.len()).collect::<Vec<_>>().chunks(64) {
            let each = chunk.iter().map(|&i| motions.of(i));
            let signals = placed(each, motions.channels(), length, &device, |signals| (0..signals.dim().1).collect());
            all.extend(self.head.forward(self.graph.forward(signals)).into_data().iter::<f32>());
        }
        let classes = all.len() / motions.len();
        Array2::from_shape_vec((motions.len(), classes), all).expect("a row each")
    }

    /// The most probable class of each motion.
    ///
    /// # Panics
    /// As [`logits`](Self::logits).
    pub fn predict(&self, motions: &Motions, length: usize, device: &Device) -> Vec<u32> {
        most_probable(&self.logits(motions, length, device))
    }
}

impl UniMtsTune {
    /// Trains on motions with a label each; `config` is the pre-training's. Returns the classifier of the best epoch, outside of autodiff, and
    /// that epoch's mean training loss.
    ///
    /// # Errors
    /// When a setting is out of range, there is not one label each, or the channels differ.
    pub fn run(
        &self,
        model: &UniMtsModel,
        config: &UniMtsConfig,
        motions: &Motions,
        labels: &Names,
        device: &Device,
    ) -> Result<(UniMtsClassifier, f64), SeriesError> {
        check("UniMTS tuning", "epochs", self.epochs, self.epochs > 0, "at least 1")?;
        check("UniMTS tuning", "batch_size", self.batch_size, self.batch_size > 1, "at least 2")?;
        let (found, count) = (labels.ids.len(), motions.len());
        check("UniMTS tuning", "number of labels", found, found == count, &format!("that of the motions, {count}"))?;
        let (own, channels) = (config.net.channels, motions.channels());
        check("UniMTS tuning", "channels of the net", own, own == channels, &format!("the {channels} of a joint"))?;
        let classes = labels.names.len();
        let on = device.clone().inner().autodiff();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let graph = match self.tuned {
            Tuned::FromScratch => config.net.init(&config.graph(), &mut rng, &on)?,
            Tuned::Full => model.graph.valid().train().set_require_grad(true),
            // frozen: running statistics stay, and no gradient is kept
            Tuned::Probe => model.graph.valid().train().freeze(),
        };
        let head = LinearConfig::new(graph.width(), classes).with_initial(Initial::FanIn).init(&mut rng, &on)?;
        let mut parameters = Parameters::new(UniMtsClassifier { graph, head }, &OptimiserConfig::adam(), &[])?;
        let mut best: Option<(UniMtsClassifier, f64)> = None;
        for _ in 0..self.epochs {
            let (mut total, mut seen) = (0.0, 0);
            let order = shuffled(count, &mut rng);
            for chunk in order.chunks(self.batch_size).filter(|chunk| chunk.len() > 1 || count == 1) {
                let each = chunk.iter().map(|&i| motions.of(i));
                let signals = placed(each, channels, config.length, &on, |signals| (0..signals.dim().1).collect());
                let model = parameters.model();
                let logits = model.head.forward(model.graph.forward(signals));
                let mut one_hot = vec![0f32; chunk.len() * classes];
                chunk.iter().enumerate().for_each(|(r, &i)| one_hot[r * classes + labels.ids[i] as usize] = 1.0);
                let one_hot = Tensor::<2>::from_data(TensorData::new(one_hot, [chunk.len(), classes]), &on);
                let loss = (activation::log_softmax(logits, 1) * one_hot).sum() * (-1.0 / chunk.len() as f64);
                total += loss.clone().into_data().iter::<f64>().sum::<f64>() * chunk.len() as f64;
                seen += chunk.len();
                parameters.optimizer_step(&loss, self.learning_rate);
            }
            let loss = total / f64::from(seen.max(1) as u32);
            if best.as_ref().is_none_or(|(_, least)| loss < *least) {
                best = Some((parameters.model().valid(), loss));
            }
        }
        Ok(best.expect("at least one epoch"))
    }
}

/// Where true labels stand among ranked ones.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelRanks {
    /// Share of rows whose label is first.
    pub accuracy: f64,
    /// For each asked k the share of rows whose label is among the k first.
    pub recall: Vec<f64>,
    /// Mean of one over the rank.
    pub mean_reciprocal_rank: f64,
}

/// Ranks of true labels by scores `[N, labels]`; of equal scores the true one counts as the last.
///
/// # Errors
/// When there is not one label each, one is out of range, or a score is NaN.
pub fn label_ranks(scores: ArrayView2<'_, f32>, truth: &[u32], ks: &[usize]) -> Result<LabelRanks, SeriesError> {
    let (n, labels) = scores.dim();
    check(
        "label ranks",
        "number of labels",
        truth.len(),
        truth.len() == n && n > 0,
        &format!("that of the rows, {n}"),
    )?;
    let most = truth.iter().copied().max().unwrap_or(0) as usize;
    check("label ranks", "label", most, most < labels, &format!("below {labels}"))?;
    check("label ranks", "scores", "NaN", scores.iter().all(|v| !v.is_nan()), "numbers")?;
    let rank = |(row, &own): (ndarray::ArrayView1<'_, f32>, &u32)| {
        row.iter().enumerate().filter(|(k, v)| *k != own as usize && **v >= row[own as usize]).count() + 1
    };
    let ranks: Vec<usize> = scores.rows().into_iter().zip(truth).map(rank).collect();
    let share = |k: usize| ranks.iter().filter(|rank| **rank <= k).count() as f64 / n as f64;
    Ok(LabelRanks {
        accuracy: share(1),
        recall: ks.iter().map(|&k| share(k)).collect(),
        mean_reciprocal_rank: ranks.iter().map(|rank| 1.0 / *rank as f64).sum::<f64>() / n as f64,
    })
}
