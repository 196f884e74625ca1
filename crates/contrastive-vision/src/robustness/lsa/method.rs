//! The training of LSA.

use super::detect::{confidence, hyperplane, posterior_of_high};
use super::network::{LsaModel, Network, NoisyImages, Truth, over};
use super::{Detector, Features, LsaConfig};
use crate::VisionError;
use crate::data::{ImageBatch, Loader};
use crate::encoder::embed;
use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use contrastive_core::objective::soft_cross_entropy;
use contrastive_core::similarity::unit_rows;
use contrastive_data::augment::{Mix, Mixup};
use contrastive_eval::ndarray::Array2;
use contrastive_eval::scores::roc_auc;
use contrastive_train::{Method, Metrics, State, Step, TrainError, Weighted, take_tensor};
use rand_chacha::ChaCha8Rng;

/// What is known of the samples, for one network.
#[derive(Clone, Debug)]
struct Samples {
    noisy: Vec<bool>,
    weights: Vec<f32>,
    /// `[n, classes]`
    guesses: Vec<f32>,
}

/// Losses, pseudo-losses and features of all samples.
type Looked = (Vec<f64>, Vec<f64>, Array2<f32>);

/// What the detectors found after an epoch; NaN where the truth is not known. Of two networks, the first one's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tracking {
    /// ROC-AUC of losses for foreign against clean images.
    pub loss_auc: f64,
    /// ROC-AUC of the hyperplane for the same.
    pub linear_auc: f64,
    /// ROC-AUC of losses for foreign and flipped against clean images.
    pub loss_auc_all: f64,
    /// ROC-AUC of the hyperplane for the same.
    pub linear_auc_all: f64,
    /// The share of samples with a large loss, which the hyperplane learns from.
    pub trusted: f64,
    /// The share of samples that were flagged.
    pub flagged: f64,
}

impl Tracking {
    const NAMES: [&str; 6] = ["loss_auc", "linear_auc", "loss_auc_all", "linear_auc_all", "trusted", "flagged"];

    fn numbers(&self) -> [f64; 6] {
        [self.loss_auc, self.linear_auc, self.loss_auc_all, self.linear_auc_all, self.trusted, self.flagged]
    }

    fn of([loss_auc, linear_auc, loss_auc_all, linear_auc_all, trusted, flagged]: [f64; 6]) -> Self {
        Self { loss_auc, linear_auc, loss_auc_all, linear_auc_all, trusted, flagged }
    }
}

/// A batch: four views of each image (weak, weak, strong, noisy), and how they are mixed.
#[derive(Clone, Debug)]
pub struct LsaBatch {
    /// The views.
    pub images: ImageBatch,
    /// The mixing.
    pub mix: Mix,
}

/// LSA; see the [module](super).
#[derive(Debug)]
pub struct Lsa {
    config: LsaConfig,
    data: NoisyImages,
    labels: Vec<u32>,
    classes: usize,
    loader: Loader,
    samples: Vec<Samples>,
    frozen: Vec<Array2<f32>>,
    tracking: Tracking,
    notes: Vec<String>,
    device: Device,
    dtype: DType,
}

impl Lsa {
    pub(super) fn new(
        config: LsaConfig,
        data: NoisyImages,
        loader: Loader,
        frozen: Vec<Array2<f32>>,
        (device, dtype): (Device, DType),
    ) -> Result<Self, VisionError> {
        let (labels, classes, n) = (data.train.labelled().1, data.train.classes().len(), data.train.len());
        let mut guesses = vec![0.0; n * classes];
        labels.iter().enumerate().for_each(|(row, label)| guesses[row * classes + *label as usize] = 1.0);
        let known = config.detectors.iter().all(|detector| *detector == Detector::Oracle);
        let noisy = match &data.truth {
            Some(truth) if known => truth.iter().map(|truth| *truth != Truth::Clean).collect(),
            _ => vec![false; n],
        };
        let samples = vec![Samples { noisy, weights: vec![1.0; n], guesses }; config.networks];
        let tracking = Tracking::of([f64::NAN; 6]);
        Ok(Self { config, data, labels, classes, loader, samples, frozen, tracking, notes: Vec::new(), device, dtype })
    }

    /// Which samples network `network` holds for noisy, by itself.
    pub fn noisy(&self, network: usize) -> &[bool] {
        &self.samples[network].noisy
    }

    /// Which samples are trained on as noisy: those that all networks flag.
    pub fn flags(&self) -> Vec<bool> {
        let all = |row: usize| self.samples.iter().all(|samples| samples.noisy[row]);
        (0..self.labels.len()).map(all).collect()
    }

    /// The weight of each sample in the classifier's loss: 1 for clean ones; of two networks the mean.
    pub fn weights(&self) -> Vec<f32> {
        let count = self.samples.len() as f32;
        let mean = |row: usize| self.samples.iter().map(|samples| samples.weights[row]).sum::<f32>() / count;
        self.flags().iter().enumerate().map(|(row, noisy)| if *noisy { mean(row) } else { 1.0 }).collect()
    }

    /// The last guesses of a network for all samples, `[n, classes]`; the labels before its first.
    pub fn guesses(&self, network: usize) -> &[f32] {
        &self.samples[network].guesses
    }

    /// What the detectors found last; NaN before the first epoch has ended.
    pub fn tracking(&self) -> Tracking {
        self.tracking
    }

    /// Warnings: a hyperplane that had nothing to learn from.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whose guesses a network learns from.
    fn giver(&self, network: usize) -> usize {
        if self.samples.len() == 2 { 1 - network } else { network }
    }

    /// The share of right answers of the mean prediction of all networks, outside of autodiff; `None` without images to judge by.
    fn accuracy(&self, model: &LsaModel) -> Option<f64> {
        let test = self.data.test.as_ref()?;
        let chances = over(test, &self.device, self.dtype, |images| {
            let each = model.networks.iter().map(|network| softmax(network.scores(images.clone()), 1));
            each.reduce(|a, b| a + b).expect("a network")
        });
        let (rows, labels) = test.labelled();
        let best = |row: usize| argmax(&chances[row * self.classes..][..self.classes]);
        let right = rows.iter().zip(&labels).filter(|(row, label)| best(**row) == **label as usize).count();
        Some(right as f64 / rows.len().max(1) as f64)
    }

    /// Losses, pseudo-losses and features of all samples.
    fn track(&self, network: &Network, k: usize) -> Result<Looked, VisionError> {
        let (n, classes) = (self.labels.len(), self.classes);
        let scores = over(&self.data.train, &self.device, self.dtype, |images| network.scores(images));
        let guesses = &self.samples[self.giver(k)].guesses;
        let (mut losses, mut pseudo) = (Vec::with_capacity(n), Vec::with_capacity(n));
        for (row, scores) in scores.chunks_exact(classes).enumerate() {
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_sum = most + scores.iter().map(|s| (s - most).exp()).sum::<f64>().ln();
            losses.push(log_sum - scores[self.labels[row] as usize]);
            let guess = &guesses[row * classes..][..classes];
            pseudo.push(scores.iter().zip(guess).map(|(s, g)| f64::from(*g) * (log_sum - s)).sum());
        }
        if let Some(at) = losses.iter().position(|loss| loss.is_nan()) {
            let what = format!("the loss of image {} is NaN", self.data.train.ids()[at]);
            return Err(VisionError::images(self.data.train.name(), what));
        }
        let features = match self.config.features {
            Features::Frozen => self.frozen[k].clone(),
            Features::Stage(stage) => {
                let rows = over(&self.data.train, &self.device, self.dtype, |images| {
                    unit_rows(network.encoder.stage(images, stage))
                });
                let width = rows.len() / n;
                Array2::from_shape_vec((n, width), rows.iter().map(|x| *x as f32).collect()).expect("whole rows")
            }
        };
        Ok((losses, pseudo, features))
    }

    /// Flags and weights after epoch `epoch`, counted from 0.
    fn detect(&mut self, model: &LsaModel, epoch: usize) -> Result<(), VisionError> {
        let detector = self.config.detector(epoch);
        if detector == Detector::Nothing && self.data.truth.is_none() {
            return Ok(());
        }
        let n = self.labels.len();
        let mut found = Vec::with_capacity(model.networks.len());
        for (k, network) in model.networks.iter().enumerate() {
            let (losses, pseudo, features) = self.track(network, k)?;
            let high = posterior_of_high(&losses, self.config.clip)?;
            let trusted: Vec<bool> = high.iter().map(|q| *q > self.config.threshold).collect();
            let plane = match detector == Detector::Linear || self.data.truth.is_some() {
                true => hyperplane(&features, &trusted)?,
                false => None,
            };
            let noisy = match (detector, &plane) {
                (Detector::Loss, _) => trusted.clone(),
                (Detector::Linear, Some(plane)) => plane.noisy.clone(),
                (Detector::Linear, None) => {
                    self.notes.push(format!(
                        "after epoch {epoch}: {} of {n} samples have a large loss, so that a hyperplane has nothing to tell apart; all count as clean",
                        trusted.iter().filter(|noisy| **noisy).count()
                    ));
                    vec![false; n]
                }
                (Detector::Oracle, _) => self.samples[k].noisy.clone(),
                (Detector::Nothing, _) => vec![false; n],
            };
            let noisy = match (&self.data.truth, detector) {
                (Some(truth), Detector::Oracle) => truth.iter().map(|truth| *truth != Truth::Clean).collect(),
                _ => noisy,
            };
            let weights = confidence(&pseudo, &noisy)?;
            if k == 0 {
                let chances = plane.as_ref().map(|plane| plane.chances.as_slice());
                self.tracking = self.score(&losses, chances, &trusted, &noisy);
            }
            found.push((noisy, weights));
        }
        for (samples, (noisy, weights)) in self.samples.iter_mut().zip(found) {
            (samples.noisy, samples.weights) = (noisy, weights);
        }
        Ok(())
    }

    fn score(&self, losses: &[f64], chances: Option<&[f64]>, trusted: &[bool], noisy: &[bool]) -> Tracking {
        let share = |flags: &[bool]| flags.iter().filter(|flag| **flag).count() as f64 / flags.len() as f64;
        let auc = |scores: Option<&[f64]>, flips: bool| -> f64 {
            let (Some(truth), Some(scores)) = (&self.data.truth, scores) else { return f64::NAN };
            let rows = (0..truth.len()).filter(|row| flips || truth[*row] != Truth::Flipped);
            let (positive, scores): (Vec<bool>, Vec<f64>) =
                rows.map(|row| (truth[row] != Truth::Clean, scores[row].min(1e9))).unzip();
            roc_auc(&positive, &scores).unwrap_or(f64::NAN)
        };
        Tracking {
            loss_auc: auc(Some(losses), false),
            linear_auc: auc(chances, false),
            loss_auc_all: auc(Some(losses), true),
            linear_auc_all: auc(chances, true),
            trusted: share(trusted),
            flagged: share(noisy),
        }
    }

    /// The sharpened guesses of all networks for the second weak view, stored.
    fn guess(&mut self, model: &LsaModel, batch: &LsaBatch) {
        let classes = self.classes;
        for (network, samples) in model.valid().networks.iter().zip(&mut self.samples) {
            let chances = softmax(network.scores(batch.images.views[1].clone()), 1).into_data();
            let chances: Vec<f64> = chances.iter::<f64>().collect();
            for (row, &image) in chances.chunks_exact(classes).zip(&batch.images.images) {
                // relative to the largest, which a power does not push to 0
                let most = row.iter().copied().fold(0.0, f64::max);
                let sharp = row.iter().map(|p| (p / most).powf(self.config.sharpening));
                let sum: f64 = sharp.clone().sum();
                let guess = &mut samples.guesses[image * classes..][..classes];
                guess.iter_mut().zip(sharp).for_each(|(to, from)| *to = (from / sum) as f32);
            }
        }
    }

    /// What the samples of a batch are to be, `[n, classes]`: guesses for noisy ones, labels for the others.
    fn targets(&self, network: usize, images: &[usize], noisy: &[bool]) -> Vec<f32> {
        let (classes, guesses) = (self.classes, &self.samples[self.giver(network)].guesses);
        let row = |(at, &image): (usize, &usize)| -> Vec<f32> {
            match noisy[at] {
                true => guesses[image * classes..][..classes].to_vec(),
                false => (0..classes).map(|class| f32::from(u8::from(class == self.labels[image] as usize))).collect(),
            }
        };
        images.iter().enumerate().flat_map(row).collect()
    }

    fn tensor(&self, values: Vec<f32>, shape: [usize; 2], like: &Tensor<2>) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values, shape), (&like.device(), self.dtype))
    }
}

fn argmax<T: PartialOrd>(row: &[T]) -> usize {
    (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best })
}

impl Method for Lsa {
    type Model = LsaModel;
    type Batch = LsaBatch;

    fn name(&self) -> &str {
        "LSA"
    }

    fn config(&self) -> serde_json::Value {
        let mut config = serde_json::to_value(&self.config).expect("settings are JSON");
        config.as_object_mut().expect("a structure").remove("training");
        config
    }

    fn data(&self) -> serde_json::Value {
        let set = &self.data.train;
        serde_json::json!({"name": set.name(), "images": set.len(), "digest": set.digest().to_string()})
    }

    fn begin_epoch(&mut self, epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        Ok(self.loader.start(epoch, &mut rng))
    }

    /// Epochs count from 1 here: before the second one, what the first has taught is looked at.
    fn prepare_epoch(&mut self, model: &LsaModel, epoch: usize) -> Result<(), TrainError> {
        match epoch.checked_sub(2) {
            Some(before) if before >= self.config.warm_up => {
                self.detect(&model.valid(), before).map_err(TrainError::trainee)
            }
            _ => Ok(()),
        }
    }

    fn batch(&mut self, step: Step) -> Result<LsaBatch, TrainError> {
        let images = self.loader.next_batch();
        let n = images.images.len();
        let mix = match self.config.mixup {
            Some(alpha) => Mixup::new(alpha).map_err(TrainError::trainee)?.draw(n, &mut step.rng()),
            None => Mix::none(n),
        };
        Ok(LsaBatch { images, mix })
    }

    fn losses(&mut self, model: &LsaModel, batch: &LsaBatch, _: Step) -> Result<Weighted, TrainError> {
        self.guess(model, batch);
        let (images, mix, classes) = (&batch.images.images, &batch.mix, self.classes);
        let n = images.len();
        let (flags, all) = (self.flags(), self.weights());
        let noisy: Vec<bool> = images.iter().map(|image| flags[*image]).collect();
        let weights: Vec<f32> = images.iter().map(|image| all[*image]).collect();
        let total: f32 = weights.iter().sum();

        let mask: Vec<f32> = noisy.iter().map(|noisy| f32::from(u8::from(*noisy))).collect();
        let device = batch.images.views[0].device();
        let mask = Tensor::<4>::from_data(TensorData::new(mask, [n, 1, 1, 1]), (&device, self.dtype));
        let weak = batch.images.views[0].clone();
        let mut input = weak.clone() + (batch.images.views[3].clone() - weak) * mask;
        if mix.share < 1.0 {
            let partners: Vec<i64> = mix.partners.iter().map(|partner| *partner as i64).collect();
            let partners = Tensor::<1, Int>::from_data(TensorData::new(partners, [n]), &device);
            input = input.clone() * mix.share + input.select(0, partners) * (1.0 - mix.share);
        }
        let (input, strong) = (Tensor::from_inner(input), batch.images.view(2));

        let mut losses: Weighted = Vec::new();
        let mut add = |name: &'static str, loss: Tensor<1>| match losses.iter_mut().find(|known| known.0 == name) {
            Some(known) => known.1 = known.1.clone() + loss,
            None => losses.push((name, loss)),
        };
        for (k, network) in model.networks.iter().enumerate() {
            let embedded = network.encoder.forward(input.clone());
            let scores = network.classifier.forward(embedded.clone());
            let targets = self.targets(k, images, &noisy);
            // weights that are all 0 leave the term without a gradient
            let share = if total > 0.0 { n as f32 / total } else { 0.0 };
            let rows = targets.chunks_exact(classes).zip(&weights);
            let weighted: Vec<f32> = rows.flat_map(|(row, w)| row.iter().map(move |t| t * w * share)).collect();
            let wanted = self.tensor(mix.rows(&weighted, classes), [n, classes], &scores);
            add("classes", soft_cross_entropy(wanted, scores.clone(), 1.0).map_err(TrainError::trainee)?);
            if self.config.balance > 0.0 {
                let mean = softmax(scores, 1).mean_dim(0);
                let divergence = mean.log().mean().neg() - (classes as f64).ln();
                add("balance", divergence * self.config.balance);
            }
            if self.config.contrast > 0.0 {
                let rows = unit_rows(network.projector.forward(embedded));
                let others = unit_rows(network.projector.forward(network.encoder.forward(strong.clone())));
                let similar = rows.matmul(others.transpose());
                let wanted = self.tensor(mix.rows(&same_class(&targets, classes), n), [n, n], &similar);
                let loss = soft_cross_entropy(wanted, similar, self.config.temperature).map_err(TrainError::trainee)?;
                add("contrast", loss * self.config.contrast);
            }
        }
        Ok(losses)
    }

    fn state(&self) -> State {
        let (n, classes) = (self.labels.len(), self.classes);
        let mut state = State::new();
        for (k, samples) in self.samples.iter().enumerate() {
            let noisy: Vec<u8> = samples.noisy.iter().map(|noisy| u8::from(*noisy)).collect();
            state.insert(format!("{k}.noisy"), TensorData::new(noisy, [n]));
            state.insert(format!("{k}.weights"), TensorData::new(samples.weights.clone(), [n]));
            state.insert(format!("{k}.guesses"), TensorData::new(samples.guesses.clone(), [n, classes]));
        }
        state.insert("tracking".into(), TensorData::new(self.tracking.numbers().to_vec(), [6]));
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        let (n, classes) = (self.labels.len(), self.classes);
        for (k, samples) in self.samples.iter_mut().enumerate() {
            let noisy = take_tensor(&mut state, &format!("{k}.noisy"), &[n])?;
            let weights = take_tensor(&mut state, &format!("{k}.weights"), &[n])?;
            let guesses = take_tensor(&mut state, &format!("{k}.guesses"), &[n, classes])?;
            samples.noisy = noisy.iter::<u8>().map(|noisy| noisy == 1).collect();
            samples.weights = weights.iter::<f32>().collect();
            samples.guesses = guesses.iter::<f32>().collect();
        }
        let numbers: Vec<f64> = take_tensor(&mut state, "tracking", &[6])?.iter::<f64>().collect();
        self.tracking = Tracking::of(numbers.try_into().expect("six numbers"));
        Ok(())
    }

    /// `accuracy` on the images to judge by, and the detection that this epoch was trained with.
    fn evaluate(&mut self, model: &LsaModel) -> Result<Option<Metrics>, TrainError> {
        let tracked = Tracking::NAMES.iter().zip(self.tracking.numbers()).filter(|(_, value)| value.is_finite());
        let mut metrics: Metrics = tracked.map(|(name, value)| (name.to_string(), value)).collect();
        if let Some(accuracy) = self.accuracy(model) {
            metrics.insert("accuracy".into(), accuracy);
        }
        Ok((!metrics.is_empty()).then_some(metrics))
    }

    fn artifacts(&self, model: &LsaModel) -> Vec<(String, Array2<f32>)> {
        let rows = embed(&model.networks[0].encoder, &self.data.train, &self.device);
        rows.map(|rows| vec![("images".to_string(), rows)]).unwrap_or_default()
    }
}

/// The label matrix of targets `[n, classes]`: `1 / (rows of that class)` where two rows have one class, the largest of their target.
fn same_class(targets: &[f32], classes: usize) -> Vec<f32> {
    let of: Vec<usize> = targets.chunks_exact(classes).map(argmax).collect();
    let mut counts = vec![0usize; classes];
    of.iter().for_each(|class| counts[*class] += 1);
    let entry = |a: usize, b: usize| if a == b { 1.0 / counts[a] as f32 } else { 0.0 };
    of.iter().flat_map(|&a| of.iter().map(move |&b| (a, b))).map(|(a, b)| entry(a, b)).collect()
}
