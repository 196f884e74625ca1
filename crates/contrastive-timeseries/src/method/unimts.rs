//! UniMTS: pre-training.

use crate::augment::random_rotation;
use crate::data::{JOINTS, Motions, SeriesError, bones, check, rotate_joint, wrapped};
use crate::encoder::{Vocabulary, WordTable};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_core::objective::{Direction, Inputs, PairObjective, Placement, PositiveWeights};
use contrastive_core::pairs::Pairs;
use contrastive_core::similarity::unit_rows;
use contrastive_core::temperature::LogitScale;
use contrastive_nn::encoder::{Partition, SkeletonGraph, StGcn, StGcnConfig};
use contrastive_train::{Batches, Budget, Method, MethodConfig, Step, TrainError, Training, TrainingConfig, Weighted};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Settings of [`UniMts`].
#[derive(Config, Debug, PartialEq)]
pub struct UniMtsConfig {
    /// The graph encoder; its channels are those of a joint, 3 or 6.
    #[config(default = "StGcnConfig::new(3)")]
    pub net: StGcnConfig,
    /// Steps of an input, 20 a second.
    #[config(default = 200)]
    pub length: usize,
    /// The fewest and the most joints that are shown of a motion, drawn anew each time.
    #[config(default = "[1, 5]")]
    pub joints: [usize; 2],
    /// Turns the signals of every joint by a random rotation.
    #[config(default = true)]
    pub rotate: bool,
    /// Also contrasts captions among signals.
    #[config(default = false)]
    pub symmetric: bool,
    /// Samples of the same caption are positives of each other, not negatives (the released code: negatives).
    #[config(default = true)]
    pub same_caption: bool,
    /// Where the learned temperature starts.
    #[config(default = 0.07)]
    pub temperature: f64,
    /// Logits are divided by this besides (the released code: 0.1).
    #[config(default = 1.0)]
    pub divisor: f64,
    /// The partition of ST-GCN's released code, whose distances end after one bone.
    #[config(default = false)]
    pub released_partition: bool,
    /// 100 epochs, batch size 64, Adam at 1e-4.
    #[config(default = "TrainingConfig::new(Budget::Epochs(100), 64, 1e-4)")]
    pub training: TrainingConfig,
}

/// The largest inverse temperature (CLIP's).
const MOST: f64 = 100.0;

impl UniMtsConfig {
    /// As the released code has it: inverse temperature from 100 on and a divisor of 0.1, every other row a negative, its partition of joints.
    pub fn reference() -> Self {
        Self::new()
            .with_temperature(1.0 / MOST)
            .with_divisor(0.1)
            .with_same_caption(false)
            .with_released_partition(true)
    }

    /// The body of 22 joints around the pelvis.
    pub fn graph(&self) -> SkeletonGraph {
        SkeletonGraph::new(JOINTS, &bones(), 0, Partition::Spatial, self.released_partition)
            .expect("the body is a tree")
    }
}

/// Signals and captions.
#[derive(Module, Debug)]
pub struct UniMtsModel {
    /// `[B, T, 22, C]` to `[B, D]`.
    pub graph: StGcn,
    /// Captions to `[B, D]`.
    pub words: WordTable,
    /// The temperature of both.
    pub scale: LogitScale,
}

/// UniMTS (Zhang et al. 2024): signals of sensors on a few joints of a body find their captions among those of a batch. Signals of all joints
/// are simulated from motion capture, or real ones of known joints; each time some joints are shown, each as if mounted anew.
///
/// Captions are means of words here; the paper fine-tunes CLIP's text transformer.
#[derive(Debug)]
pub struct UniMts {
    config: UniMtsConfig,
    motions: Motions,
    vocabulary: Vocabulary,
    /// The number of each caption.
    captions: BTreeMap<String, i64>,
    batches: Batches,
    epoch: Vec<Vec<usize>>,
    device: Device,
}

/// Signals with a caption each.
#[derive(Debug)]
pub struct UniMtsBatch {
    /// `[B, T, 22, C]`.
    signals: Tensor<4>,
    /// `[B, words]`.
    texts: Tensor<2>,
    captions: Vec<i64>,
}

impl MethodConfig for UniMtsConfig {
    type Method = UniMts;
    type Data = Motions;
    type Error = SeriesError;

    fn validate(&self) -> Result<(), SeriesError> {
        self.net.validate()?;
        check("UniMTS", "length", self.length, self.length > 1, "at least 2")?;
        let [least, most] = self.joints;
        check("UniMTS", "fewest joints", least, least > 0, "at least 1")?;
        check("UniMTS", "most joints", most, (least..=JOINTS).contains(&most), &format!("{least} to {JOINTS}"))?;
        PairObjective::new(self.temperature)?;
        let divisor = self.divisor;
        check("UniMTS", "divisor", divisor, divisor > 0.0 && divisor.is_finite(), "a finite number above 0")?;
        check("UniMTS", "batch_size", self.training.batch_size, self.training.batch_size > 1, "at least 2")?;
        Ok(self.training.validate()?)
    }

    fn build(&self, motions: &Motions, seed: u64, device: &Device) -> Result<Training<UniMts>, SeriesError> {
        self.validate()?;
        let (own, channels) = (self.net.channels, motions.channels());
        check("UniMTS", "channels of the net", own, own == channels, &format!("the {channels} of a joint"))?;
        let all = || motions.iter().flat_map(|motion| &motion.captions);
        let vocabulary = Vocabulary::of(all())?;
        // a caption without words is found here, not within an epoch
        vocabulary.shares(&all().collect::<Vec<_>>(), &device.clone().inner())?;
        let mut captions: BTreeMap<String, i64> = all().map(|caption| (caption.clone(), 0)).collect();
        captions.values_mut().enumerate().for_each(|(at, number)| *number = at as i64);
        let on = device.clone().inner().autodiff();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let graph = self.net.init(&self.graph(), &mut rng, &on)?;
        let words = WordTable::new(vocabulary.len(), graph.width(), &mut rng, &on);
        let model = UniMtsModel { graph, words, scale: LogitScale::new(self.temperature, MOST, &on)? };
        let method = UniMts {
            config: self.clone(),
            batches: Batches::shuffled(motions.len(), self.training.batch_size)?,
            motions: motions.clone(),
            vocabulary,
            captions,
            epoch: Vec::new(),
            device: on,
        };
        Ok(Training::new(method, model, &self.training, seed)?)
    }
}

/// Motions as the graph encoder takes them: the joints that are there, all others zero, wrapped to one length. `change` may choose among a
/// motion's joints (by their places) and turn signals.
pub(super) fn placed<'a>(
    motions: impl ExactSizeIterator<Item = &'a crate::data::Motion>,
    channels: usize,
    length: usize,
    device: &Device,
    mut change: impl FnMut(&mut ndarray::Array3<f32>) -> Vec<usize>,
) -> Tensor<4> {
    let count = motions.len();
    let mut values = vec![0f32; count * length * JOINTS * channels];
    for (motion, values) in motions.zip(values.chunks_exact_mut(length * JOINTS * channels)) {
        let mut signals = wrapped(motion.signals.view(), length, 0);
        let shown = change(&mut signals);
        for (t, frame) in values.chunks_exact_mut(JOINTS * channels).enumerate() {
            for &k in &shown {
                for c in 0..channels {
                    frame[motion.joints[k] * channels + c] = signals[[t, k, c]];
                }
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [count, length, JOINTS, channels]), device)
}

impl UniMtsBatch {
    /// `[B, T, 22, C]`: what is shown.
    pub fn signals(&self) -> &Tensor<4> {
        &self.signals
    }

    /// The number of each sample's caption among all.
    pub fn captions(&self) -> &[i64] {
        &self.captions
    }
}

impl UniMts {
    /// The words of the training captions.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The objective of a batch whose captions have these numbers.
    fn objective(&self, captions: &[i64]) -> PairObjective {
        let objective = PairObjective::with_input_scale();
        let objective = if self.config.symmetric { objective.with_direction(Direction::Both) } else { objective };
        match self.config.same_caption {
            // the sum within the logarithm: of equal captions it does not matter which is found
            true => objective
                .with_pairs(Pairs::labels(captions))
                .with_placement(Placement::Inside)
                .with_positive_weights(PositiveWeights::Sum),
            false => objective.with_pairs(Pairs::Diagonal),
        }
    }

    /// The loss of signals `[B, D]` and texts `[B, D]` with these captions at this inverse temperature, `[1]`: what
    /// [`losses`](Method::losses) computes of a batch.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn contrast(&self, signals: Tensor<2>, texts: Tensor<2>, captions: &[i64], scale: Tensor<1>) -> Tensor<1> {
        self.objective(captions).loss(&Inputs::new(signals, texts).with_scale(scale * (1.0 / self.config.divisor)))
    }
}

impl UniMtsModel {
    /// Vectors `[N, D]` of motions, of a model outside of autodiff.
    ///
    /// # Errors
    /// When the channels differ from the net's, or there are no steps.
    pub fn embed(&self, motions: &Motions, length: usize, device: &Device) -> Result<Array2<f32>, SeriesError> {
        let (own, channels) = (self.channels(), motions.channels());
        check("UniMTS", "channels of a joint", channels, own == channels, &format!("{own}, as the net has"))?;
        check("UniMTS", "length", length, length > 0, "at least 1")?;
        let (rows, mut all) = ((0..motions.len()).collect::<Vec<_>>(), Vec::new());
        for chunk in rows.chunks(64) {
            let each = chunk.iter().map(|&i| motions.of(i));
            let device = device.clone().inner();
            let signals = placed(each, channels, length, &device, |signals| (0..signals.dim().1).collect());
            all.extend(self.graph.forward(signals).into_data().iter::<f32>());
        }
        Ok(Array2::from_shape_vec((motions.len(), self.graph.width()), all).expect("a row each"))
    }

    fn channels(&self) -> usize {
        self.graph.norm.gain.val().dims()[0] / JOINTS
    }

    /// Cosines `[N, labels]` of motions with the texts of labels, each label's words joined: what is largest is the zero-shot answer.
    ///
    /// # Errors
    /// When there are no labels, none of a label's words is known, or as [`embed`](Self::embed).
    pub fn zero_shot<S: AsRef<str>>(
        &self,
        vocabulary: &Vocabulary,
        motions: &Motions,
        labels: &[S],
        length: usize,
        device: &Device,
    ) -> Result<Array2<f32>, SeriesError> {
        let device = device.clone().inner();
        let texts: Vec<String> = labels.iter().map(|label| crate::data::spoken(label.as_ref())).collect();
        let texts = unit_rows(self.words.forward(vocabulary.shares(&texts, &device)?));
        let vectors = self.embed(motions, length, &device)?;
        let (n, d) = vectors.dim();
        let vectors = Tensor::<2>::from_data(TensorData::new(vectors.into_raw_vec_and_offset().0, [n, d]), &device);
        let cosines = unit_rows(vectors).matmul(texts.transpose()).into_data();
        Ok(Array2::from_shape_vec((n, labels.len()), cosines.iter::<f32>().collect()).expect("a row each"))
    }
}

impl Method for UniMts {
    type Model = UniMtsModel;
    type Batch = UniMtsBatch;

    fn name(&self) -> &str {
        "UniMTS"
    }

    fn config(&self) -> serde_json::Value {
        let mut config = serde_json::to_value(&self.config).expect("settings are JSON");
        if let Some(map) = config.as_object_mut() {
            map.remove("training");
        }
        config
    }

    fn data(&self) -> serde_json::Value {
        let mut digest = 0xcbf2_9ce4_8422_2325u64;
        let mut add = |bits: u64| digest = (digest ^ bits).wrapping_mul(0x0100_0000_01b3);
        for motion in self.motions.iter() {
            motion.joints.iter().for_each(|joint| add(*joint as u64));
            motion.signals.iter().for_each(|v| add(u64::from(v.to_bits())));
            motion.captions.iter().flat_map(|caption| caption.bytes()).for_each(|byte| add(u64::from(byte)));
        }
        let channels = self.motions.channels();
        serde_json::json!({ "motions": self.motions.len(), "channels": channels, "digest": format!("{digest:016x}") })
    }

    fn begin_epoch(&mut self, epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        self.epoch = self.batches.epoch(epoch, &mut rng);
        // a single motion has nothing to be told from
        if self.epoch.len() > 1 {
            self.epoch.retain(|batch| batch.len() > 1);
        }
        Ok(self.epoch.len())
    }

    fn batch(&mut self, step: Step) -> Result<UniMtsBatch, TrainError> {
        let mut rng = step.rng();
        let chosen = &self.epoch[step.batch];
        let texts: Vec<&String> = chosen
            .iter()
            .map(|&i| {
                let all = &self.motions.of(i).captions;
                &all[rng.random_range(0..all.len())]
            })
            .collect();
        let ([least, most], rotate) = (self.config.joints, self.config.rotate);
        let each = chosen.iter().map(|&i| self.motions.of(i));
        let channels = self.motions.channels();
        let signals = placed(each, channels, self.config.length, &self.device, |signals| {
            let there = signals.dim().1;
            let count = rng.random_range(least..=most).min(there);
            let mut shown: Vec<usize> = (0..there).collect();
            for at in 0..count {
                shown.swap(at, rng.random_range(at..there));
            }
            shown.truncate(count);
            if rotate {
                shown.iter().for_each(|&k| rotate_joint(signals, k, &random_rotation(&mut rng)));
            }
            shown
        });
        let captions = texts.iter().map(|text| self.captions[*text]).collect();
        let texts = self.vocabulary.shares(&texts, &self.device).map_err(TrainError::trainee)?;
        Ok(UniMtsBatch { signals, texts, captions })
    }

    fn losses(&mut self, model: &UniMtsModel, batch: &UniMtsBatch, _: Step) -> Result<Weighted, TrainError> {
        let signals = model.graph.forward(batch.signals.clone());
        let texts = model.words.forward(batch.texts.clone());
        Ok(vec![("contrast", self.contrast(signals, texts, &batch.captions, model.scale.scale()))])
    }

    fn artifacts(&self, _: &UniMtsModel) -> Vec<(String, Array2<f32>)> {
        Vec::new()
    }
}
