//! Four ways to learn from videos: reconstruct, predict, contrast, and, with actions, tell the action.

use super::model::{VideoModel, embed};
use super::transitions::{Transition, Transitions};
use crate::error::{RlError, setting};
use crate::world::grid::Videos;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use contrastive_core::objective::{Inputs, NtXent, PairObjective};
use contrastive_core::pairs::{Exclusions, PairLists};
use contrastive_core::similarity::Similarity;
use contrastive_train::{Budget, Method, MethodConfig, Metrics, Step, TrainError, Training, TrainingConfig, Weighted};
use ndarray::{Array2, Axis};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Among which frames a frame is told from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Negatives {
    /// The rest of the batch, whatever episode it is from (the released code).
    Anywhere,
    /// Frames of other episodes only.
    OtherEpisodes,
    /// Frames of the same episode only: what stays the same throughout an episode cannot help. Batches are made of whole episodes.
    SameEpisode,
}

/// What is minimised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VideoObjective {
    /// The frame from its features.
    Autoencoder,
    /// The frame k steps later from the features of a frame and k.
    Forward,
    /// NT-Xent between a frame and the one k steps later.
    Contrast {
        /// What it is told from.
        negatives: Negatives,
    },
    /// The action after the first of two frames, from the features of both and k (multi-step inverse dynamics; needs actions).
    Acro,
}

/// Frames that are square grey pictures, and the convolutions (3 x 3, stride 2, a rectifier after each) that read them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pictures {
    /// Width and height.
    pub side: usize,
    /// Channels after each convolution.
    pub channels: Vec<usize>,
}

impl Pictures {
    /// Numbers of the last feature map.
    pub fn features(&self) -> usize {
        let side = self.channels.iter().fold(self.side, |side, _| side.div_ceil(2));
        side * side * self.channels.last().copied().unwrap_or(1)
    }
}

/// Settings of representation learning from videos; the defaults are those of the study on the noisy grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VideoConfig {
    /// What is minimised.
    pub objective: VideoObjective,
    /// Width of the features.
    pub dim: usize,
    /// Convolutions before everything else, where frames are pictures.
    #[serde(default)]
    pub pictures: Option<Pictures>,
    /// Widths between frame and features; none: a linear encoder.
    pub hidden: Vec<usize>,
    /// Largest number of steps between two frames.
    pub max_k: usize,
    /// Temperature of the contrast.
    pub temperature: f64,
    /// Whether the contrast compares cosines; inner products otherwise.
    pub normalise: bool,
    /// Share of the episodes held out for validation.
    pub validation: f64,
    /// Steps, batch, Adam.
    pub training: TrainingConfig,
}

impl VideoConfig {
    /// Features of width 16 by a linear encoder, neighbouring frames, temperature 0.1 on cosines, 1,000 steps of 128, Adam at 0.01.
    pub fn new(objective: VideoObjective) -> Self {
        Self {
            objective,
            dim: 16,
            pictures: None,
            hidden: Vec::new(),
            max_k: 1,
            temperature: 0.1,
            normalise: true,
            validation: 0.2,
            training: TrainingConfig::new(Budget::Steps(1000), 128, 1e-2),
        }
    }

    /// Another training.
    #[must_use]
    pub fn with_training(mut self, training: TrainingConfig) -> Self {
        self.training = training;
        self
    }

    /// Frames are pictures of this side, read by convolutions to these channels.
    #[must_use]
    pub fn with_pictures(mut self, side: usize, channels: &[usize]) -> Self {
        self.pictures = Some(Pictures { side, channels: channels.to_vec() });
        self
    }

    /// Pairs of frames up to this many steps apart.
    #[must_use]
    pub fn with_max_k(mut self, max_k: usize) -> Self {
        self.max_k = max_k;
        self
    }

    /// The temperature, and whether cosines are compared.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64, normalise: bool) -> Self {
        (self.temperature, self.normalise) = (temperature, normalise);
        self
    }

    /// Whether features are compared by direction alone, and so should be evaluated at unit length.
    pub fn unit_features(&self) -> bool {
        self.normalise && matches!(self.objective, VideoObjective::Contrast { .. })
    }

    fn contrast(&self) -> Result<PairObjective, RlError> {
        let similarity = if self.normalise { Similarity::Cosine } else { Similarity::Dot };
        Ok(NtXent::new(self.temperature)?.with_similarity(similarity).objective().clone())
    }
}

impl MethodConfig for VideoConfig {
    type Method = Video;
    type Data = Videos;
    type Error = RlError;

    fn validate(&self) -> Result<(), RlError> {
        setting("video", "dim", self.dim, self.dim > 0, "at least 1")?;
        setting("video", "max_k", self.max_k, self.max_k > 0, "at least 1")?;
        let contrast = matches!(self.objective, VideoObjective::Contrast { .. });
        let batch = self.training.batch_size;
        setting("video", "batch_size", batch, !contrast || batch > 1, "at least 2 for the contrast")?;
        if let Some(Pictures { side, channels }) = &self.pictures {
            setting("video", "side of the pictures", side, *side > 0, "at least 1")?;
            let good = !channels.is_empty() && !channels.contains(&0);
            setting("video", "channels", format!("{channels:?}"), good, "one width or more, each at least 1")?;
        }
        self.contrast()?;
        Ok(self.training.validate()?)
    }

    fn build(&self, data: &Videos, seed: u64, device: &Device) -> Result<Training<Video>, RlError> {
        self.validate()?;
        if let Some(side) = self.pictures.as_ref().map(|pictures| pictures.side).filter(|s| s * s != data.width()) {
            let allowed = format!("{}, the width of the frames, as a square", data.width());
            setting("video", "side of the pictures", side, false, allowed)?;
        }
        let method = Video::new(self.clone(), data.clone(), seed, device)?;
        let model = VideoModel::new(self, data.width(), seed, &device.clone().autodiff())?;
        Ok(Training::new(method, model, &self.training, seed)?)
    }
}

/// A batch of pairs of frames.
#[derive(Clone, Debug)]
pub struct VideoBatch {
    /// `[b, width]`: the earlier frames.
    pub from: Tensor<2>,
    /// `[b, width]`: the later ones.
    pub to: Tensor<2>,
    /// b: steps between them.
    pub k: Vec<usize>,
    /// b: the action after the earlier one; empty where none are known.
    pub actions: Vec<u32>,
    /// b: the episode.
    pub episodes: Vec<i64>,
}

/// Representation learning from videos; one of four objectives.
#[derive(Debug)]
pub struct Video {
    config: VideoConfig,
    videos: Videos,
    device: Device,
    transitions: Transitions,
    /// The epoch's batches, as numbers of transitions.
    batches: Vec<Vec<u32>>,
}

impl Video {
    /// # Errors
    /// When the videos give no pairs, or actions are missing that the objective needs.
    pub fn new(config: VideoConfig, videos: Videos, seed: u64, device: &Device) -> Result<Self, RlError> {
        let transitions = Transitions::new(&videos, config.max_k, config.validation, seed)?;
        if config.objective == VideoObjective::Acro && videos.actions.is_empty() {
            return Err(RlError::Data("ACRO predicts actions, and these videos have none".into()));
        }
        let lonely = |episode: &[Transition]| episode.len() < 2;
        if config.objective == (VideoObjective::Contrast { negatives: Negatives::SameEpisode })
            && transitions.train.chunk_by(|a, b| a.episode == b.episode).all(lonely)
        {
            let problem = "negatives of the same episode need episodes with at least two pairs of frames";
            return Err(RlError::Data(problem.into()));
        }
        Ok(Self { config, videos, device: device.clone().inner(), transitions, batches: Vec::new() })
    }

    /// The pairs of frames.
    pub fn transitions(&self) -> &Transitions {
        &self.transitions
    }

    /// A batch of these pairs.
    pub fn make(&self, pairs: &[Transition]) -> VideoBatch {
        let frames = |rows: Vec<usize>| {
            let (n, d) = (rows.len(), self.videos.width());
            let values: Vec<f32> = self.videos.frames.select(Axis(0), &rows).into_iter().collect();
            Tensor::<2>::from_data(TensorData::new(values, [n, d]), &self.device)
        };
        let actions = match self.videos.actions.is_empty() {
            true => Vec::new(),
            false => pairs.iter().map(|t| self.videos.actions[t.from]).collect(),
        };
        VideoBatch {
            from: frames(pairs.iter().map(|t| t.from).collect()),
            to: frames(pairs.iter().map(|t| t.to).collect()),
            k: pairs.iter().map(|t| t.k).collect(),
            episodes: pairs.iter().map(|t| t.episode as i64).collect(),
            actions,
        }
    }

    /// The loss of a batch, `[1]`.
    pub fn loss(&self, model: &VideoModel, batch: &VideoBatch) -> Tensor<1> {
        // frames enter autodiff as constants where the model is in it
        let tracked = model.encoder.maps[0].weight.val().is_autodiff();
        let enter = |x: &Tensor<2>| if tracked { Tensor::from_inner(x.clone()) } else { x.clone() };
        let (from, to) = (enter(&batch.from), enter(&batch.to));
        let squares = |found: Tensor<2>, wanted: Tensor<2>| (found - wanted).powi_scalar(2).mean();
        match self.config.objective {
            VideoObjective::Autoencoder => squares(model.predict(model.encode(from.clone()), &batch.k), from),
            VideoObjective::Forward => squares(model.predict(model.encode(from), &batch.k), to),
            VideoObjective::Contrast { negatives } => {
                let rows = Tensor::cat(vec![model.encode(from), model.encode(to)], 0);
                let objective = self.config.contrast().expect("checked at the start");
                let twice = [batch.episodes.as_slice(), &batch.episodes].concat();
                let objective = match negatives {
                    Negatives::Anywhere => objective,
                    Negatives::OtherEpisodes => objective.with_exclusions(Exclusions::same_ids(&twice, &twice)),
                    Negatives::SameEpisode => objective.with_exclusions(Exclusions::lists(of_other_episodes(&twice))),
                };
                objective.loss(&Inputs::self_contrast(rows))
            }
            VideoObjective::Acro => {
                let both = vec![model.encode(from), model.encode(to)];
                let scores = model.predict(Tensor::cat(both, 1), &batch.k);
                let (n, device) = (batch.actions.len(), scores.device());
                let actions: Vec<i32> = batch.actions.iter().map(|a| *a as i32).collect();
                let actions = Tensor::<2, Int>::from_data(TensorData::new(actions, [n, 1]), &device);
                -activation::log_softmax(scores, 1).gather(1, actions).mean()
            }
        }
    }
}

/// For each row the rows of other episodes.
fn of_other_episodes(episodes: &[i64]) -> PairLists {
    let (mut offsets, mut columns) = (vec![0], Vec::new());
    for own in episodes {
        columns.extend((0..episodes.len() as u32).filter(|at| episodes[*at as usize] != *own));
        offsets.push(columns.len());
    }
    PairLists::new(offsets, columns, None).expect("rising, each column once")
}

impl Method for Video {
    type Model = VideoModel;
    type Batch = VideoBatch;

    fn name(&self) -> &str {
        match self.config.objective {
            VideoObjective::Autoencoder => "autoencoder",
            VideoObjective::Forward => "forward model",
            VideoObjective::Contrast { .. } => "temporal contrast",
            VideoObjective::Acro => "ACRO",
        }
    }

    fn config(&self) -> serde_json::Value {
        let mut config = serde_json::to_value(&self.config).unwrap_or_default();
        if let Some(settings) = config.as_object_mut() {
            settings.remove("training");
        }
        config
    }

    fn data(&self) -> serde_json::Value {
        let digest = crate::world::digest(self.videos.frames.iter().map(|x| f64::from(*x)));
        serde_json::json!({
            "episodes": self.videos.episodes(), "frames": self.videos.frames.nrows(), "width": self.videos.width(),
            "digest": digest,
        })
    }

    fn begin_epoch(&mut self, _epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        let (pairs, size) = (&self.transitions.train, self.config.training.batch_size);
        let mut order: Vec<u32> = (0..pairs.len() as u32).collect();
        if self.config.objective == (VideoObjective::Contrast { negatives: Negatives::SameEpisode }) {
            let same = |a: &u32, b: &u32| pairs[*a as usize].episode == pairs[*b as usize].episode;
            let mut episodes: Vec<&[u32]> = order.chunk_by(same).filter(|episode| episode.len() > 1).collect();
            episodes.shuffle(&mut rng);
            let mut batches: Vec<Vec<u32>> = Vec::new();
            for episode in episodes {
                match batches.last_mut().filter(|batch| batch.len() + episode.len() <= size) {
                    Some(batch) => batch.extend(episode),
                    None => batches.push(episode.to_vec()),
                }
            }
            self.batches = batches;
        } else {
            order.shuffle(&mut rng);
            self.batches = order.chunks(size).map(<[u32]>::to_vec).collect();
            // a last batch of one has nothing to be told from
            if self.batches.len() > 1 && self.batches.last().is_some_and(|batch| batch.len() < 2) {
                self.batches.pop();
            }
        }
        Ok(self.batches.len())
    }

    fn batch(&mut self, step: Step) -> Result<VideoBatch, TrainError> {
        let numbers = &self.batches[step.batch];
        let pairs: Vec<Transition> = numbers.iter().map(|at| self.transitions.train[*at as usize]).collect();
        Ok(self.make(&pairs))
    }

    fn losses(&mut self, model: &VideoModel, batch: &VideoBatch, _step: Step) -> Result<Weighted, TrainError> {
        Ok(vec![("loss", self.loss(model, batch))])
    }

    fn evaluate(&mut self, model: &VideoModel) -> Result<Option<Metrics>, TrainError> {
        let pairs = &self.transitions.validation;
        let (mut sum, mut count) = (0.0, 0);
        for block in pairs.chunks(self.config.training.batch_size).filter(|block| block.len() > 1) {
            let loss = self.loss(model, &self.make(block));
            sum += loss.into_data().iter::<f64>().next().unwrap_or(f64::NAN) * block.len() as f64;
            count += block.len();
        }
        Ok((count > 0).then(|| Metrics::from([("validation".to_string(), sum / count as f64)])))
    }

    fn artifacts(&self, model: &VideoModel) -> Vec<(String, Array2<f32>)> {
        vec![("frames".into(), embed(model, self.videos.frames.view(), self.config.unit_features()))]
    }
}
