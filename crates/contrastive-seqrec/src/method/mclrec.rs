//! MCLRec (Qin et al., SIGIR 2023): learnt transformations of the encodings of edited lists, trained in turn with the encoder.

use super::cl4srec::{edits_of, views_of};
use super::contrast::Contrast;
use super::{SasRec, SasRecConfig, SequenceMethod, ViewBatch, item_artifact, validation};
use crate::SeqRecError;
use crate::augment::{Edits, EditsConfig};
use crate::data::LeaveOneOut;
use crate::encoder::{Read, SequenceEncoder};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_core::objective::{MarginBand, margin_band_of_batch};
use contrastive_nn::Pass;
use contrastive_nn::encoder::{Mlp, MlpConfig};
use contrastive_nn::init::Initial;
use contrastive_nn::layer::Activation;
use contrastive_train::{Check, Method, MethodConfig, Metrics, Select, Step, SubStep, TrainError, Training};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

/// What is moved in which order with each batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Schedule {
    /// The encoder, the augmenters, the encoder once more (released code): two steps of the encoder a batch.
    #[default]
    EncoderAugEncoder,
    /// The encoder, the augmenters (paper, algorithm 1).
    EncoderAug,
    /// All at once, with the encoder's loss (the paper's MCLRec-J).
    Joint,
}

/// What one band of the regulariser is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum BandScope {
    /// Each row (released code).
    #[default]
    PerRow,
    /// The batch (paper, equation 14).
    Global,
}

/// Which pairs the regulariser holds together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum BandPairs {
    /// Encoded with transformed views and transformed ones with each other (released code).
    #[default]
    All,
    /// Transformed views with each other (paper).
    ModelOnly,
}

/// Settings of [`MclRec`].
#[derive(Config, Debug, PartialEq)]
pub struct MclRecConfig {
    /// What the next item is learnt with. The width must be divisible by 4.
    #[config(default = "SasRecConfig::new()")]
    pub base: SasRecConfig,
    /// The edits.
    #[config(default = "EditsConfig::mclrec()")]
    pub edits: EditsConfig,
    /// lambda: weight of the contrast of encoded views, at least 0.
    #[config(default = 0.0)]
    pub contrast_weight: f64,
    /// beta: weight of the contrasts with transformed views, at least 0.
    #[config(default = 0.01)]
    pub model_weight: f64,
    /// gamma / beta: factor of the regulariser beside these contrasts, at least 0.
    #[config(default = 0.1)]
    pub band: f64,
    /// tau of the contrast of encoded views, above 0.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// What is moved in which order.
    #[config(default = "Schedule::EncoderAugEncoder")]
    pub schedule: Schedule,
    /// What one band is for.
    #[config(default = "BandScope::PerRow")]
    pub band_scope: BandScope,
    /// Which pairs it holds together.
    #[config(default = "BandPairs::All")]
    pub band_pairs: BandPairs,
}

impl MclRecConfig {
    /// The method and its model with weights drawn from the seed, for a loop of one's own.
    ///
    /// # Errors
    /// When a setting is out of its range, or there is nothing to learn from.
    pub fn parts(&self, data: &LeaveOneOut, seed: u64, device: &Device) -> Result<(MclRec, MclRecModel), SeqRecError> {
        MethodConfig::validate(self)?;
        let (base, encoder, mut rng) = self.base.base_parts(data, seed, device, self.edits.needs_mask_token())?;
        let edits = edits_of(&self.edits, base.samples(), self.base.encoder.max_len)?;
        let dim = self.base.encoder.dim;
        let mut augmenter = || Augmenter::new(dim, &mut rng, &device.clone().autodiff());
        let model = MclRecModel { augmenters: vec![augmenter()?, augmenter()?], encoder };
        let band = MarginBand::with_contrast(1.0, self.band)?;
        let method = MclRec {
            views: Contrast::new(self.temperature)?,
            plain: Contrast::new(1.0)?,
            config: self.clone(),
            base,
            edits,
            band,
        };
        Ok((method, model))
    }
}

impl MethodConfig for MclRecConfig {
    type Method = MclRec;
    type Data = LeaveOneOut;
    type Error = SeqRecError;

    fn validate(&self) -> Result<(), SeqRecError> {
        self.base.validate()?;
        self.edits.validate()?;
        let check = Check::new("mclrec");
        check.weight("contrast_weight", self.contrast_weight)?;
        check.weight("model_weight", self.model_weight)?;
        check.weight("band", self.band)?;
        check.positive("temperature", self.temperature)?;
        let dim = self.base.encoder.dim;
        Ok(check.that(dim.is_multiple_of(4), "dim", dim, "a multiple of 4, for the augmenters")?)
    }

    fn build(&self, data: &LeaveOneOut, seed: u64, device: &Device) -> Result<Training<MclRec>, SeqRecError> {
        let (method, model) = self.parts(data, seed, device)?;
        Ok(Training::new(method, model, &self.base.training, seed)?)
    }
}

/// A learnt transformation of encodings: d, d / 2, d / 4, d with GELU between, at length 1.
#[derive(Module, Debug)]
pub struct Augmenter {
    /// The maps.
    pub maps: Mlp,
}

impl Augmenter {
    /// With weights drawn as torch draws those of linear maps.
    ///
    /// # Errors
    /// When `dim` is below 4.
    pub fn new(dim: usize, rng: &mut ChaCha8Rng, device: &Device) -> Result<Self, SeqRecError> {
        let config = MlpConfig::new(vec![dim, dim / 2, dim / 4, dim]).with_activation(Activation::Gelu);
        Ok(Self { maps: config.with_initial(Initial::FanIn).init(rng, device)? })
    }

    /// `[n, d]` to `[n, d]` with rows of length 1; a row that is mapped to 0 stays there.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = self.maps.forward(x, &mut Pass::evaluation());
        let length = (y.clone() * y.clone()).sum_dim(1).clamp_min(1e-24).sqrt();
        y / length
    }
}

/// The encoder, and two augmenters that are used in training only.
#[derive(Module, Debug)]
pub struct MclRecModel {
    /// What is used after training.
    pub encoder: SequenceEncoder,
    /// One for each view.
    pub augmenters: Vec<Augmenter>,
}

/// Encoder: `L_next + lambda C(h1, h2) + beta (C(z1, z2) + C(h1, z2) + C(h2, z1) + 0.1 R)`; augmenters: the bracket. h are encodings of two
/// edited lists, z what the augmenters make of them, C is NT-Xent of inner products at temperature 1, R the [`MarginBand`].
#[derive(Clone, Debug)]
pub struct MclRec {
    config: MclRecConfig,
    base: SasRec,
    edits: Edits,
    views: Contrast,
    plain: Contrast,
    band: MarginBand,
}

impl MclRec {
    /// The contrasts of two encoded views with their transformations, with the regulariser, `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, or there are not two augmenters.
    pub fn model_contrast(&self, augmenters: &[Augmenter], h1: Tensor<2>, h2: Tensor<2>) -> Tensor<1> {
        assert_eq!(augmenters.len(), 2, "augmenters, one for each view");
        let (z1, z2) = (augmenters[0].forward(h1.clone()), augmenters[1].forward(h2.clone()));
        let of_model = self.pair(z1.clone(), z2.clone(), true);
        let all = self.config.band_pairs == BandPairs::All;
        of_model + self.pair(h1, z2, all) + self.pair(h2, z1, all)
    }

    /// NT-Xent of a pair of views, with the regulariser where it is wanted.
    fn pair(&self, first: Tensor<2>, second: Tensor<2>, band: bool) -> Tensor<1> {
        let factor = self.config.band;
        match self.config.band_scope {
            _ if !band || factor == 0.0 => self.plain.loss(first, second),
            BandScope::PerRow => self.band.loss(first, second),
            BandScope::Global => {
                self.plain.loss(first.clone(), second.clone()) + margin_band_of_batch(first, second) * factor
            }
        }
    }

    fn encoder_losses(
        &self,
        model: &MclRecModel,
        batch: &ViewBatch,
        pass: &mut Pass,
    ) -> Vec<(&'static str, Tensor<1>)> {
        let states = self.base.states(&model.encoder, &batch.next, pass);
        let mut losses = vec![("next_item", self.base.item_loss(&model.encoder, states, &batch.next))];
        let (lambda, beta) = (self.config.contrast_weight, self.config.model_weight);
        if lambda == 0.0 && beta == 0.0 {
            return losses;
        }
        let [h1, h2] = batch.views.each_ref().map(|view| model.encoder.encode(view, Read::Last, pass));
        if lambda > 0.0 {
            losses.push(("contrast", self.views.loss(h1.clone(), h2.clone()) * lambda));
        }
        if beta > 0.0 {
            losses.push(("model_contrast", self.model_contrast(&model.augmenters, h1, h2) * beta));
        }
        losses
    }
}

impl Method for MclRec {
    type Model = MclRecModel;
    type Batch = ViewBatch;

    fn name(&self) -> &str {
        "mclrec"
    }

    fn config(&self) -> serde_json::Value {
        SasRec::config_of(&self.config)
    }

    fn data(&self) -> serde_json::Value {
        self.base.data_of()
    }

    fn begin_epoch(&mut self, _epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        Ok(self.base.shuffle(rng))
    }

    fn batch(&mut self, step: Step) -> Result<ViewBatch, TrainError> {
        let (rows, mut rng) = (self.base.rows(step.batch), step.rng());
        let next = self.base.next_items(rows, &mut rng);
        Ok(ViewBatch { views: views_of(&self.edits, &self.base, rows, &mut rng), next })
    }

    fn sub_steps(&self) -> Vec<SubStep> {
        let encoder = |name| SubStep { name, moves: Select::modules(["encoder"]) };
        let augmenters = SubStep { name: "augmenters", moves: Select::modules(["augmenters"]) };
        match self.config.schedule {
            Schedule::EncoderAugEncoder => vec![encoder("encoder"), augmenters, encoder("encoder again")],
            Schedule::EncoderAug => vec![encoder("encoder"), augmenters],
            Schedule::Joint => Vec::new(),
        }
    }

    fn losses(
        &mut self,
        model: &MclRecModel,
        batch: &ViewBatch,
        step: Step,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, TrainError> {
        // the first part has the dropout of CL4SRec's step, the others their own
        let part = step.sub_step as u64;
        let mut pass = Pass::training(step.seed ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15), step.global as u64);
        if step.sub_step != 1 {
            return Ok(self.encoder_losses(model, batch, &mut pass));
        }
        // the encoder stands still: its rows are constants
        let encoder = model.encoder.valid();
        let [h1, h2] =
            batch.views.each_ref().map(|view| Tensor::from_inner(encoder.encode(view, Read::Last, &mut pass)));
        Ok(vec![("augmenters", self.model_contrast(&model.augmenters, h1, h2))])
    }

    fn evaluate(&mut self, model: &MclRecModel) -> Result<Option<Metrics>, TrainError> {
        validation(&self.base, &model.encoder)
    }

    fn artifacts(&self, model: &MclRecModel) -> Vec<(String, Array2<f32>)> {
        item_artifact(&model.encoder)
    }
}

impl SequenceMethod for MclRec {
    fn encoder(model: &MclRecModel) -> &SequenceEncoder {
        &model.encoder
    }

    fn base(&self) -> &SasRec {
        &self.base
    }
}
