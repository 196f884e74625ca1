//! LSA: learning with labels from the web (Albert et al. 2024, "An accurate detection is not all you need to combat label noise in web-noisy
//! datasets", on their PLS of 2023).
//!
//! Features of a pre-training without labels hold clean and foreign images apart almost by a hyperplane; the losses find other images. LSA asks
//! the two in turn, one an epoch, and gives what is found noisy the network's own guess for a label, weighted by how sure it is.
//!
//! ```
//! use burn::tensor::Device;
//! use contrastive_data::augment::{Augmentation, Step};
//! use contrastive_data::image::shapes;
//! use contrastive_train::{Budget, FitOptions, MethodConfig, TrainingConfig};
//! use contrastive_vision::encoder::EncoderConfig;
//! use contrastive_vision::robustness::lsa::{Features, LsaConfig, LsaViews, NoisyImages};
//!
//! let data = NoisyImages::spoilt(&shapes(64, 12, 1), &shapes(64, 12, 2), [0.2, 0.1], 7)?.with_test(shapes(32, 12, 3));
//! let weak = Augmentation::new(12).then(Step::Noise(0.02).always());
//! let views = LsaViews { weak: weak.clone(), strong: weak.clone().then(Step::Flip.with(0.5)), noisy: weak };
//! let training = TrainingConfig::new(Budget::Epochs(3), 16, 1e-2);
//! let config = LsaConfig::new(EncoderConfig::conv(&[4, 6]), views, training).with_features(Features::Stage(0));
//! let trained = config.fit(&data, &FitOptions::new(&Device::default()).seed(1).progress(false))?;
//! assert_eq!(trained.method.noisy(0).len(), 64);
//! # Ok::<(), contrastive_vision::VisionError>(())
//! ```

mod detect;
mod method;
mod network;

pub use detect::Detector;
pub use method::{Lsa, LsaBatch, Tracking};
pub use network::{LsaModel, Network, NoisyImages, Truth};

use crate::VisionError;
use crate::data::{Ahead, Loader};
use crate::encoder::{Encoder, EncoderConfig, embed};
use burn::tensor::{DType, Device};
use contrastive_data::augment::{Augmentation, Mixup, Views};
use contrastive_train::{Check, MethodConfig, Training, TrainingConfig};
use network::copied;
use serde::Serialize;

/// The views that LSA makes of each image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LsaViews {
    /// For clean samples, and for guesses.
    pub weak: Augmentation,
    /// What the mixed views are contrasted with (paper: SimCLR's).
    pub strong: Augmentation,
    /// For samples found noisy (paper: RandAugment); of the weak view's size.
    pub noisy: Augmentation,
}

/// The features in which a hyperplane is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Features {
    /// Those of this stage of the encoder, counted from 0, as it learns (paper: the second stage; the first for WebVision). Deep stages lose
    /// the separation under labels.
    Stage(usize),
    /// The embeddings of the encoder before it saw labels.
    Frozen,
}

/// Settings of [`Lsa`]. The defaults are the paper's.
#[derive(Clone, Debug, Serialize)]
pub struct LsaConfig {
    /// The encoder.
    pub encoder: EncoderConfig,
    /// Width of the rows that are contrasted (128).
    pub projector: usize,
    /// The views.
    pub views: LsaViews,
    /// The training.
    pub training: TrainingConfig,
    /// Which detector flags samples after which epoch, over and over (linear, loss).
    pub detectors: Vec<Detector>,
    /// Epochs after which nothing is flagged (0): the first epoch trains without flags in any case.
    pub warm_up: usize,
    /// The features of the hyperplane (the second stage).
    pub features: Features,
    /// The power that sharpens guesses (2).
    pub sharpening: f64,
    /// Temperature of the contrast (0.2).
    pub temperature: f64,
    /// A sample whose probability of a large loss is above this is noisy (0.95).
    pub threshold: f64,
    /// Alpha of mixup (1); `None`: no mixup.
    pub mixup: Option<f64>,
    /// Weight of the contrast (1); 0 leaves it out.
    pub contrast: f64,
    /// Weight of the divergence of mean prediction from even classes (0; PLS, and LSA on WebVision: 1).
    pub balance: f64,
    /// Losses are cut off at this share of them before they are scaled (1: none are).
    pub clip: f64,
    /// 1, or 2 that learn from each other (LSA+): noisy is what both flag, and the ensemble predicts.
    pub networks: usize,
    /// Both networks start alike: for tests.
    #[serde(skip)]
    pub twins: bool,
    /// How far batches are made ahead.
    #[serde(skip)]
    pub ahead: Ahead,
    /// f64 instead of f32, for tests of gradients; perceptrons alone.
    #[serde(skip)]
    pub double: bool,
}

impl LsaConfig {
    /// The paper's settings.
    pub fn new(encoder: EncoderConfig, views: LsaViews, training: TrainingConfig) -> Self {
        Self {
            encoder,
            projector: 128,
            views,
            training,
            detectors: vec![Detector::Linear, Detector::Loss],
            warm_up: 0,
            features: Features::Stage(1),
            sharpening: 2.0,
            temperature: 0.2,
            threshold: 0.95,
            mixup: Some(1.0),
            contrast: 1.0,
            balance: 0.0,
            clip: 1.0,
            networks: 1,
            twins: false,
            ahead: Ahead::default(),
            double: false,
        }
    }

    /// With these detectors in turn.
    #[must_use]
    pub fn with_detectors(mut self, detectors: &[Detector]) -> Self {
        self.detectors = detectors.to_vec();
        self
    }

    /// With these features.
    #[must_use]
    pub fn with_features(mut self, features: Features) -> Self {
        self.features = features;
        self
    }

    /// Cross-entropy and mixup alone: no flags, no contrast.
    #[must_use]
    pub fn plain(mut self) -> Self {
        (self.detectors, self.contrast) = (vec![Detector::Nothing], 0.0);
        self
    }

    /// The detector that flags samples after epoch `epoch`, counted from 0.
    pub fn detector(&self, epoch: usize) -> Detector {
        self.detectors[epoch % self.detectors.len()]
    }

    /// The encoder that network `k` starts from: a pre-trained one, or one drawn from the seed.
    fn start(&self, data: &NoisyImages, k: usize, seed: u64, on: &(Device, DType)) -> Result<Encoder, VisionError> {
        let shape = data.train.shape();
        match data.pretrained.len() {
            0 => self.encoder.init(shape, seed, on),
            count => copied(&data.pretrained[k % count], &self.encoder, shape, on),
        }
    }
}

impl MethodConfig for LsaConfig {
    type Method = Lsa;
    type Data = NoisyImages;
    type Error = VisionError;

    fn validate(&self) -> Result<(), VisionError> {
        self.training.validate()?;
        self.encoder.validate(self.training.batch_size)?;
        let check = Check::new("LSA");
        check.that(self.training.batch_size > 1, "batch_size", self.training.batch_size, "2 and more")?;
        check.count("projector", self.projector)?;
        check.that(!self.detectors.is_empty(), "number of detectors", 0, "1 and more")?;
        check.that((1..=2).contains(&self.networks), "networks", self.networks, "1 and 2")?;
        let positive = [("sharpening", self.sharpening), ("temperature", self.temperature)];
        for (name, value) in positive {
            check.that(value > 0.0 && value.is_finite(), name, value, "a finite number above 0")?;
        }
        check.that(
            self.threshold > 0.0 && self.threshold < 1.0,
            "threshold",
            self.threshold,
            "0 to 1, both excluded",
        )?;
        check.that(self.clip > 0.0 && self.clip <= 1.0, "clip", self.clip, "0 to 1, 0 excluded")?;
        check.weight("contrast", self.contrast)?;
        check.weight("balance", self.balance)?;
        self.mixup.map(Mixup::new).transpose()?;
        let same = self.views.weak.size == self.views.noisy.size;
        let size = format!("{:?}", self.views.noisy.size);
        check.that(same, "size of noisy views", size, format!("{:?}, that of the weak ones", self.views.weak.size))?;
        Ok(())
    }

    fn build(&self, data: &NoisyImages, seed: u64, device: &Device) -> Result<Training<Lsa>, VisionError> {
        self.validate()?;
        let set = &data.train;
        let wrong = |what: String| Err(VisionError::images(set.name(), what));
        let (classes, labelled) = (set.classes().len(), set.labelled().0.len());
        if set.len() < 2 || labelled < set.len() || classes < 2 {
            let n = set.len();
            return wrong(format!(
                "{labelled} of {n} images have a label, of {classes} classes; 2 images and classes are needed, and a label for each"
            ));
        }
        if let Some(truth) = data.truth.as_ref().filter(|truth| truth.len() != set.len()) {
            return wrong(format!("the truth of {} images for {}; one for each is needed", truth.len(), set.len()));
        }
        if self.detectors.contains(&Detector::Oracle) && data.truth.is_none() {
            return wrong("an oracle without the truth of each image".into());
        }
        if self.features == Features::Frozen && data.pretrained.is_empty() {
            return wrong("frozen features without a pre-trained encoder; give one, or choose a stage".into());
        }
        let dtype = if self.double { DType::F64 } else { DType::F32 };
        let (plain, on) = (device.clone().inner(), (device.clone().inner().autodiff(), dtype));
        let mut networks = Vec::with_capacity(self.networks);
        let mut frozen = Vec::new();
        for k in 0..self.networks {
            let k = if self.twins { 0 } else { k };
            let seed = seed.wrapping_add(1000 * k as u64);
            networks.push(Network::new(self.start(data, k, seed, &on)?, [classes, self.projector], seed ^ 0x15a, &on)?);
            if self.features == Features::Frozen {
                frozen.push(embed(&data.pretrained[k % data.pretrained.len()], set, &plain)?);
            }
        }
        let stages = networks[0].encoder.stages();
        if let Features::Stage(stage) = self.features {
            Check::new("LSA").that(stage < stages, "stage", stage, format!("0 to {}", stages - 1))?;
        }
        let LsaViews { weak, strong, noisy } = &self.views;
        let views = Views { each: vec![weak.clone(), weak.clone(), strong.clone(), noisy.clone()] };
        let loader = Loader::new(set, &views, self.training.batch_size, self.ahead, (plain.clone(), dtype))?;
        let method = Lsa::new(self.clone(), data.clone(), loader, frozen, (plain, dtype))?;
        Ok(Training::new(method, LsaModel { networks }, &self.training, seed)?)
    }
}
