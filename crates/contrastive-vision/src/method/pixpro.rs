//! PixPro and PixContrast.

use super::{Frame, Momentum, Settings, Start, VisionMethod, VisionModel};
use crate::VisionError;
use crate::data::ImageBatch;
use crate::encoder::{Encoder, EncoderConfig};
use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_core::head::{MlpHead, MlpHeadConfig};
use contrastive_core::memory::Ema;
use contrastive_core::objective::{CropBox, PixContrast, PixPro as Consistency, byol, on_cells, propagate};
use contrastive_nn::layer::{Linear, LinearConfig};
use contrastive_train::{Check, State, Step, TrainError, Weighted};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// How cells are compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellLoss {
    /// PixPro: the cosine of propagated features with those of the same place, by `max(cos, 0)^sharpness` (paper: 2).
    Consistency {
        /// The power.
        sharpness: f64,
    },
    /// PixContrast: the same places among all cells of the image's other view, at this temperature (paper: 0.3).
    Contrast {
        /// The temperature.
        temperature: f64,
    },
}

/// Settings of [`PixPro`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PixProConfig {
    /// How cells are compared.
    pub loss: CellLoss,
    /// Cells see the same place when their centres are nearer than this many diagonals of a cell (paper and script: 0.7; the
    /// released function's own default of 0.5 is not used there).
    pub threshold: f64,
    /// Momentum of the copy at the start, from where it rises to 1 on a cosine (paper: 0.99).
    pub momentum: f64,
    /// Weight of a loss of whole images beside that of the cells, with a projector and a predictor of its own (paper: 1; `None`: none).
    pub instance: Option<f64>,
}

impl PixProConfig {
    /// PixPro as published, without the loss of whole images.
    pub fn consistency() -> Self {
        Self { loss: CellLoss::Consistency { sharpness: 2.0 }, threshold: 0.7, momentum: 0.99, instance: None }
    }

    /// PixContrast as published.
    pub fn contrast() -> Self {
        Self { loss: CellLoss::Contrast { temperature: 0.3 }, ..Self::consistency() }
    }

    /// With the loss of whole images, at this weight.
    #[must_use]
    pub fn with_instance(mut self, weight: f64) -> Self {
        self.instance = Some(weight);
        self
    }
}

/// An encoder, a projector on every cell of its feature map, and the transform that propagation takes.
#[derive(Module, Debug)]
pub struct PixProModel {
    /// The encoder.
    pub encoder: Encoder,
    /// The projector of cells.
    pub projector: MlpHead,
    /// g, one linear map on every cell.
    pub transform: Linear,
    /// Projector and predictor of whole images.
    pub instance: Option<Vec<MlpHead>>,
}

impl PixProModel {
    /// Projected cells of images `[n, channels, height, width]`: `[n, d, h, w]`.
    pub fn cells(&self, images: Tensor<4>) -> Tensor<4> {
        on_cells(self.encoder.feature_map(images), |rows| self.projector.forward(rows))
    }

    /// Projections of whole images by the branch of their own.
    fn whole(&self, images: Tensor<4>) -> Tensor<2> {
        let heads = self.instance.as_ref().expect("the settings ask for the branch");
        heads[0].forward(self.encoder.forward(images))
    }
}

impl VisionModel for PixProModel {
    fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// The mean of the projected cells.
    fn project(&self, images: Tensor<4>) -> Tensor<2> {
        let cells = self.cells(images);
        let [n, d, h, w] = cells.dims();
        cells.reshape([n, d, h * w]).mean_dim(2).reshape([n, d])
    }
}

/// PixPro and PixContrast (Xie et al., CVPR 2021): cells of two crops that see the same place of an image agree. One side comes from a
/// momentum copy. Views must say which part of the image they show: no turning or shearing.
#[derive(Debug)]
pub struct PixPro {
    config: PixProConfig,
    keys: Momentum<PixProModel>,
}

impl Settings for PixProConfig {
    type Method = PixPro;

    fn name(&self) -> &'static str {
        match (self.loss, self.instance) {
            (CellLoss::Consistency { .. }, None) => "PixPro",
            (CellLoss::Consistency { .. }, _) => "PixPro with whole images",
            (CellLoss::Contrast { .. }, None) => "PixContrast",
            (CellLoss::Contrast { .. }, _) => "PixContrast with whole images",
        }
    }

    fn validate(&self, frame: &Frame) -> Result<(), VisionError> {
        let check = Check::new("PixPro");
        match self.loss {
            CellLoss::Consistency { sharpness } => check.weight("sharpness", sharpness)?,
            CellLoss::Contrast { temperature } => drop(PixContrast::new(temperature, self.threshold)?),
        }
        Consistency::new(self.threshold)?;
        Ema::constant(self.momentum)?;
        if let Some(weight) = self.instance {
            check.weight("instance", weight)?;
        }
        let conv = matches!(frame.encoder, EncoderConfig::Conv { .. });
        Ok(check.that(conv, "encoder", "a perceptron", "convolutions: cells are compared")?)
    }

    fn start(&self, start: &Start<'_>) -> Result<(PixPro, PixProModel), VisionError> {
        let (head, on) = (start.head(), (&start.on.0, start.on.1));
        let network = start.network(&head)?;
        let mut rng = ChaCha8Rng::seed_from_u64(start.seed.wrapping_add(500));
        let transform = LinearConfig::new(head.output, head.output).init(&mut rng, on)?;
        let instance = match self.instance {
            None => None,
            Some(_) => {
                let predictor = MlpHeadConfig::new(head.output, head.hidden, head.output);
                let seed = |by| start.seed.wrapping_add(by);
                Some(vec![head.init(seed(600), on)?, predictor.init(seed(700), on)?])
            }
        };
        let model = PixProModel { encoder: network.encoder, projector: network.projector, transform, instance };
        let keys = Momentum::of(&model, Ema::cosine(self.momentum, start.steps())?);
        Ok((PixPro { config: *self, keys }, model))
    }
}

/// The boxes of a view.
fn boxes(batch: &ImageBatch, view: usize) -> Result<Vec<CropBox>, TrainError> {
    let one = |(at, crop): (usize, &Option<[f64; 4]>)| {
        let image = batch.images[at];
        let missing = || {
            let what =
                format!("view {view} of image {image} says no part of the image: it was turned, sheared or scaled");
            TrainError::trainee(VisionError::images("PixPro", what))
        };
        CropBox::new((*crop).ok_or_else(missing)?).map_err(TrainError::trainee)
    };
    batch.crops[view].iter().enumerate().map(one).collect()
}

impl VisionMethod for PixPro {
    type Model = PixProModel;

    fn losses(&mut self, model: &PixProModel, batch: &ImageBatch, _: Step) -> Result<Weighted, TrainError> {
        let crops = [boxes(batch, 0)?, boxes(batch, 1)?];
        let keys = [0, 1].map(|view| self.keys.network().cells(batch.view(view)).detach());
        let mut sum: Option<Tensor<1>> = None;
        for [from, to] in [[0, 1], [1, 0]] {
            let x = model.cells(batch.view(from));
            let loss = match self.config.loss {
                CellLoss::Consistency { sharpness } => {
                    let g = on_cells(x.clone(), |rows| model.transform.forward(rows));
                    let y = propagate(x, g, sharpness).map_err(TrainError::trainee)?;
                    let objective = Consistency::new(self.config.threshold).map_err(TrainError::trainee)?;
                    objective.loss(y, keys[to].clone(), &crops[from], &crops[to])
                }
                CellLoss::Contrast { temperature } => {
                    let objective =
                        PixContrast::new(temperature, self.config.threshold).map_err(TrainError::trainee)?;
                    objective.loss(x, keys[to].clone(), &crops[from], &crops[to])
                }
            };
            sum = Some(sum.map_or(loss.clone(), |before| before + loss));
        }
        let mut losses = vec![("cells", sum.expect("two ways"))];
        if let Some(weight) = self.config.instance {
            let heads = model.instance.as_ref().expect("the branch");
            let [p0, p1] = batch.pair(|view| heads[1].forward(model.whole(view)));
            let [z0, z1] = batch.pair(|view| self.keys.network().whole(view).detach());
            losses.push(("images", byol(p0, p1, z0, z1) * weight));
        }
        Ok(losses)
    }

    fn after_step(&mut self, model: &PixProModel, step: Step) {
        self.keys.follow(model, step.global);
    }

    fn state(&self) -> State {
        let mut state = State::new();
        self.keys.save(&mut state);
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.keys.load(&mut state)
    }
}
