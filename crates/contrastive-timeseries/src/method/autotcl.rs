//! AutoTCL.

use super::shared::{identity, rows, shuffled};
use crate::augment::{Augmentations, TimeMask};
use crate::data::{Series, SeriesError, check};
use crate::encoder::{DilatedNet, DilatedNetConfig, SeriesEncoder, Steps, TrendNet};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, activation::sigmoid};
use contrastive_core::objective::{HardConcrete, InfoNce, MaximumMeanDiscrepancy, SegmentContrast};
use contrastive_nn::Pass;
use contrastive_nn::init::Initial;
use contrastive_nn::layer::{Linear, LinearConfig};
use contrastive_train::{
    Averaging, Budget, Group, Method, MethodConfig, OptimiserConfig, Select, Step, SubStep, TrainError, Training,
    TrainingConfig, Weighted,
};
use ndarray::{Array2, Array3, Axis};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Settings of the augmenter.
#[derive(Config, Debug, PartialEq)]
pub struct AugmenterConfig {
    /// Width of the trunk's output, d_a.
    #[config(default = 16)]
    pub output: usize,
    /// Width of the trunk's blocks.
    #[config(default = 64)]
    pub hidden: usize,
    /// Blocks of the trunk before its last one.
    #[config(default = 1)]
    pub depth: usize,
    /// Noise of the gates is drawn from `U(b, 1 - b)`.
    #[config(default = 0.05)]
    pub noise_bias: f64,
    /// Temperature of the gates.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// The lower end that gates are stretched to, below 0.
    #[config(default = -0.1)]
    pub gamma: f64,
    /// The upper end, at least 1.
    #[config(default = 1.1)]
    pub zeta: f64,
    /// Whether gates are 0 or 1 in the view, their gradient being that of the soft ones.
    #[config(default = true)]
    pub hard: bool,
    /// A gate and a factor for each channel instead of each step (the released code's form).
    #[config(default = false)]
    pub per_channel: bool,
    /// The gates' logit is the sigmoid of the net's output, as in the released code: gates are then open with probability 1/2 at least.
    #[config(default = false)]
    pub squashed_logit: bool,
}

/// Two linear heads on a small dilated net: which steps carry the content (h), and by what factor each is scaled (g).
#[derive(Module, Debug)]
pub struct Augmenter {
    /// `[B, T, F]` to `[B, T, d_a]`.
    pub trunk: DilatedNet,
    /// The logit of h.
    pub content: Linear,
    /// g before its sigmoid.
    pub factor: Linear,
}

/// What an augmenter makes of a batch.
#[derive(Debug)]
pub struct Made {
    /// `g h x`, `[B, T, F]`.
    pub view: Tensor<3>,
    /// g, `[B, T, 1]` or `[B, T, F]`, in (1e-4, 1).
    pub factor: Tensor<3>,
    /// h as it is in the view.
    pub gate: Tensor<3>,
    /// h before it is made hard.
    pub soft: Tensor<3>,
    /// The logit of h.
    pub logit: Tensor<3>,
}

impl AugmenterConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`SeriesError`] naming the first one outside of its range.
    pub fn validate(&self) -> Result<(), SeriesError> {
        self.trunk().validate()?;
        let b = self.noise_bias;
        check("augmenter", "noise_bias", b, b > 0.0 && b < 0.5, "above 0 and below 1/2")?;
        self.gates()?;
        Ok(())
    }

    fn trunk(&self) -> DilatedNetConfig {
        DilatedNetConfig::new()
            .with_output(self.output)
            .with_hidden(self.hidden)
            .with_depth(self.depth)
            .with_dropout(0.0)
    }

    fn gates(&self) -> Result<HardConcrete, SeriesError> {
        Ok(HardConcrete::new(self.temperature, self.gamma, self.zeta)?)
    }

    /// An augmenter for series of so many channels.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, channels: usize, rng: &mut ChaCha8Rng, device: &Device) -> Result<Augmenter, SeriesError> {
        self.validate()?;
        let trunk = self.trunk().init(channels, rng, device)?;
        let width = if self.per_channel { channels } else { 1 };
        let mut head = || LinearConfig::new(self.output, width).with_initial(Initial::FanIn).init(rng, device);
        Ok(Augmenter { trunk, content: head()?, factor: head()? })
    }
}

impl Augmenter {
    /// A view of a batch; `uniform` is the gates' noise `[B, T, 1]` (or F), in (0, 1), or none for evaluation.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn view(&self, config: &AugmenterConfig, x: &Steps, uniform: Option<Tensor<3>>) -> Made {
        let gates = config.gates().expect("checked settings");
        let trunk = self.trunk.forward(x, &mut Pass::evaluation());
        let logit = self.content.forward(trunk.clone());
        let logit = if config.squashed_logit { sigmoid(logit) } else { logit };
        // away from 0, so that x can be recovered
        let factor = sigmoid(self.factor.forward(trunk)) * (1.0 - 1e-4) + 1e-4;
        let soft = match uniform {
            Some(uniform) => gates.draw(logit.clone(), uniform),
            None => gates.without_noise(logit.clone()),
        };
        let gate = if config.hard { HardConcrete::straight_through(soft.clone()) } else { soft.clone() };
        let view = factor.clone() * gate.clone() * x.values.clone();
        Made { view, factor, gate, soft, logit }
    }
}

/// What the encoder is shown beside x.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum FixedViews {
    /// What the augmenter makes.
    #[default]
    Learned,
    /// x itself, under another mask: the study's row "v = x".
    Same,
    /// Fixed augmentations.
    Fixed(Augmentations),
}

/// Settings of [`AutoTcl`]; the defaults are the paper's.
#[derive(Config, Debug, PartialEq)]
pub struct AutoTclConfig {
    /// The encoder before the trend.
    #[config(default = "DilatedNetConfig::new()")]
    pub net: DilatedNetConfig,
    /// Causal kernels of the trend: 8 are of 1 to 128 taps.
    #[config(default = 8)]
    pub kernels: usize,
    /// The augmenter.
    #[config(default = "AugmenterConfig::new()")]
    pub augmenter: AugmenterConfig,
    /// The encoder's mask; the augmenter sees every step.
    #[config(default = "TimeMask::BINOMIAL")]
    pub mask: TimeMask,
    /// Learned, or a row of the study.
    #[config(default = "FixedViews::Learned")]
    pub views: FixedViews,
    /// Temperature of the global contrast.
    #[config(default = 1.0)]
    pub temperature: f64,
    /// Weight of the local contrast, alpha.
    #[config(default = 0.1)]
    pub local: f64,
    /// Segments of the local contrast, k.
    #[config(default = 16)]
    pub segments: usize,
    /// Weight of the size of the content, beta.
    #[config(default = 0.1)]
    pub size: f64,
    /// The size is the released code's: only what is above 0.4 counts.
    #[config(default = false)]
    pub size_above: bool,
    /// Weight of the smoothness, lambda.
    #[config(default = 0.0)]
    pub smooth: f64,
    /// The augmenter is moved at every M-th step.
    #[config(default = 1)]
    pub every: usize,
    /// Its learning rate; the encoder's is that of `training`.
    #[config(default = 1e-2)]
    pub augmenter_rate: f64,
    /// 4,000 steps, batch size 32, AdamW at 1e-4, the mean of all weights for use.
    #[config(default = "default_training()")]
    pub training: TrainingConfig,
}

fn default_training() -> TrainingConfig {
    TrainingConfig::new(Budget::Steps(4000), 32, 1e-4)
        .with_optimiser(OptimiserConfig::adam_w(0.01))
        .with_average(Averaging::Equal)
}

/// Encoder and augmenter.
#[derive(Module, Debug)]
pub struct AutoTclModel {
    /// What is used afterwards.
    pub encoder: TrendNet,
    /// What makes views in training.
    pub augmenter: Augmenter,
}

/// AutoTCL (Zheng et al. 2024): an augmenter learns which steps of a series carry its content, and how to scale them without loss, so that
/// the views `v = g h x` keep what x says (a maximum mean discrepancy between the encodings of both) in few steps; the encoder learns by
/// contrasting x with v. The two are moved in turn.
#[derive(Debug)]
pub struct AutoTcl {
    config: AutoTclConfig,
    global: InfoNce,
    local: SegmentContrast,
    discrepancy: MaximumMeanDiscrepancy,
    data: Array3<f32>,
    batch: usize,
    order: Vec<usize>,
    moves_augmenter: bool,
    device: Device,
}

/// A batch, with all that is drawn for it.
#[derive(Debug)]
pub struct AutoTclBatch {
    x: Steps,
    /// Gates' noise of the augmenter's step and of the encoder's.
    noise: [Tensor<3>; 2],
    /// Anchor and distant step of each series.
    anchors: Vec<[usize; 2]>,
    masks: [Option<Vec<bool>>; 2],
    fixed: Option<Tensor<3>>,
    offset: usize,
    pass: Pass,
}

impl MethodConfig for AutoTclConfig {
    type Method = AutoTcl;
    type Data = Series;
    type Error = SeriesError;

    fn validate(&self) -> Result<(), SeriesError> {
        self.net.validate()?;
        self.augmenter.validate()?;
        self.mask.validate()?;
        InfoNce::new(self.temperature)?;
        SegmentContrast::new(self.segments, 1.0)?;
        for (name, weight) in [("local", self.local), ("size", self.size), ("smooth", self.smooth)] {
            check("AutoTCL", name, weight, weight >= 0.0 && weight.is_finite(), "a finite number of at least 0")?;
        }
        check("AutoTCL", "every", self.every, self.every > 0, "at least 1")?;
        let rate = self.augmenter_rate;
        check("AutoTCL", "augmenter_rate", rate, rate > 0.0 && rate.is_finite(), "a finite number above 0")?;
        Ok(self.training.validate()?)
    }

    fn build(&self, series: &Series, seed: u64, device: &Device) -> Result<Training<AutoTcl>, SeriesError> {
        self.validate()?;
        let length = series.equal_length("AutoTCL")?;
        series.without_missing("AutoTCL")?;
        if self.local > 0.0 && length < self.segments {
            return Err(SeriesError::Setting {
                of: "AutoTCL",
                setting: "segments",
                value: self.segments.to_string(),
                allowed: format!("at most the {length} time steps of the series"),
            });
        }
        if let FixedViews::Fixed(list) = &self.views {
            list.validate(series.channels())?;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plain = device.clone().inner();
        let on = plain.clone().autodiff();
        let model = AutoTclModel {
            encoder: TrendNet::init(&self.net, self.kernels, series.channels(), &mut rng, &on)?,
            augmenter: self.augmenter.init(series.channels(), &mut rng, &on)?,
        };
        let factor = self.augmenter_rate / self.training.learning_rate;
        let training = self.training.clone().with_group(Group::new(Select::modules(["augmenter"])).with_rate(factor));
        let method = AutoTcl {
            config: self.clone(),
            global: InfoNce::new(self.temperature)?,
            local: SegmentContrast::new(self.segments, 1.0)?,
            discrepancy: MaximumMeanDiscrepancy::default(),
            data: series.padded(),
            batch: self.training.batch_size.min(series.len()),
            order: Vec::new(),
            moves_augmenter: false,
            device: plain,
        };
        Ok(Training::new(method, model, &training, seed)?)
    }
}

fn max_pooled(h: Tensor<3>) -> Tensor<2> {
    let [b, _, d] = h.dims();
    h.max_dim(1).reshape([b, d])
}

impl AutoTcl {
    /// The losses of the augmenter of a view: discrepancy, size, smoothness, weighted.
    fn augmenter_losses(&self, model: &AutoTclModel, batch: &AutoTclBatch) -> Weighted {
        let made = model.augmenter.view(&self.config.augmenter, &batch.x, Some(batch.noise[0].clone()));
        // gradients go through the encoder as it is; its own are not wanted
        let encoder = model.encoder.clone().no_grad();
        let mut pass = Pass::evaluation();
        let of_x = max_pooled(encoder.forward(&batch.x, &mut pass)).detach();
        let of_v = max_pooled(encoder.forward(&Steps::all(made.view), &mut pass));
        let mut losses = vec![("discrepancy", self.discrepancy.loss(of_x, of_v))];
        let gates = self.config.augmenter.gates().expect("checked settings");
        if self.config.size > 0.0 {
            let size = match self.config.size_above {
                false => gates.open(made.logit.clone()).mean(),
                true => (sigmoid(made.logit.clone()).sum_dim(2).mean() - 0.4).clamp_min(0.0),
            };
            losses.push(("size", size * self.config.size));
        }
        if self.config.smooth > 0.0 {
            losses.push(("smoothness", self.smoothness(made.soft, &batch.anchors) * self.config.smooth));
        }
        losses
    }

    /// `|h_t - h_(t-1)| + |h_t - h_(t+1)| + 1 - |h_t - h_far|`, the last term being `|h_t - h_far|` where the two are neighbours; the mean
    /// over series.
    fn smoothness(&self, h: Tensor<3>, anchors: &[[usize; 2]]) -> Tensor<1> {
        let [b, t, w] = h.dims();
        let at = |step: &dyn Fn(&[usize; 2]) -> usize| -> Tensor<3> {
            let each = anchors.iter().enumerate().map(|(i, pair)| {
                let s = step(pair).min(t - 1);
                h.clone().slice([i..i + 1, s..s + 1, 0..w])
            });
            Tensor::cat(each.collect(), 0)
        };
        let own = at(&|pair| pair[0]);
        let gap = |other: Tensor<3>| (own.clone() - other).abs();
        let near = gap(at(&|pair| pair[0].saturating_sub(1))) + gap(at(&|pair| pair[0] + 1));
        let sign: Vec<f32> = anchors.iter().map(|[a, far]| if a.abs_diff(*far) > 1 { -1.0 } else { 1.0 }).collect();
        let sign = Tensor::<3>::from_data(TensorData::new(sign, [b, 1, 1]), &self.device);
        let apart = sign.clone().lower_elem(0.0).float().sum() * (1.0 / b as f64);
        let far = gap(at(&|pair| pair[1])) * Tensor::from_inner(sign);
        (near + far).mean() + Tensor::from_inner(apart)
    }

    /// The losses of the encoder: global and local contrast, weighted. Views are constants.
    fn encoder_losses(&self, model: &AutoTclModel, batch: &AutoTclBatch) -> Weighted {
        let view = match (&self.config.views, &batch.fixed) {
            (FixedViews::Same, _) => batch.x.values.clone(),
            (FixedViews::Fixed(_), Some(fixed)) => fixed.clone(),
            _ => {
                let augmenter = model.augmenter.valid();
                augmenter.view(&self.config.augmenter, &batch.x, Some(batch.noise[1].clone())).view
            }
        };
        let mut pass = batch.pass.clone();
        let masked = |x: Steps, mask: &Option<Vec<bool>>| match mask {
            Some(mask) => x.masked(mask),
            None => x,
        };
        let of_x = model.encoder.forward(&masked(batch.x.clone(), &batch.masks[0]), &mut pass);
        let of_v = model.encoder.forward(&masked(Steps::all(view), &batch.masks[1]), &mut pass);
        let global = self.global.loss(max_pooled(of_x.clone()), max_pooled(of_v));
        let mut losses = vec![("global", global)];
        if self.config.local > 0.0 {
            losses.push(("local", self.local.loss(of_x, batch.offset) * self.config.local));
        }
        losses
    }
}

impl Method for AutoTcl {
    type Model = AutoTclModel;
    type Batch = AutoTclBatch;

    fn name(&self) -> &str {
        "AutoTCL"
    }

    fn config(&self) -> serde_json::Value {
        let mut config = serde_json::to_value(&self.config).expect("settings are JSON");
        if let Some(map) = config.as_object_mut() {
            map.remove("training");
        }
        config
    }

    fn data(&self) -> serde_json::Value {
        identity(self.data.view())
    }

    fn begin_epoch(&mut self, _: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        self.order = shuffled(self.data.dim().0, &mut rng);
        Ok(self.order.len() / self.batch)
    }

    fn batch(&mut self, step: Step) -> Result<AutoTclBatch, TrainError> {
        let mut rng = step.rng();
        self.moves_augmenter =
            self.config.views == FixedViews::Learned && step.global.is_multiple_of(self.config.every);
        let x = rows(&self.data, &self.order[step.batch * self.batch..(step.batch + 1) * self.batch]);
        let (b, t, f) = x.dim();
        let width = if self.config.augmenter.per_channel { f } else { 1 };
        let bias = self.config.augmenter.noise_bias;
        let noise = [0, 1].map(|_| {
            let values: Vec<f32> =
                (0..b * t * width).map(|_| (bias + (1.0 - 2.0 * bias) * rng.random::<f64>()) as f32).collect();
            Tensor::from_data(TensorData::new(values, [b, t, width]), &self.device)
        });
        let anchors = (0..b).map(|_| [rng.random_range(1..t.max(3) - 1), rng.random_range(0..t)]).collect();
        let masks = [0, 1].map(|_| self.config.mask.draw(b, t, &mut rng));
        let fixed = match &self.config.views {
            FixedViews::Fixed(list) => {
                let views: Vec<Array2<f32>> = x.outer_iter().map(|one| list.apply(one, &mut rng)).collect();
                let views: Vec<_> = views.iter().map(|one| one.view()).collect();
                let views = ndarray::stack(Axis(0), &views).expect("series of one length");
                Some(Steps::new(views.view(), &self.device).values)
            }
            _ => None,
        };
        let rest = t - t / self.config.segments * self.config.segments;
        let offset = rng.random_range(0..=rest);
        let pass = Pass::training(step.seed, step.global as u64);
        Ok(AutoTclBatch { x: Steps::new(x.view(), &self.device), noise, anchors, masks, fixed, offset, pass })
    }

    fn sub_steps(&self) -> Vec<SubStep> {
        let part = |name: &'static str| SubStep { name, moves: Select::modules([name]) };
        match self.moves_augmenter {
            true => vec![part("augmenter"), part("encoder")],
            false => vec![part("encoder")],
        }
    }

    fn losses(&mut self, model: &AutoTclModel, batch: &AutoTclBatch, step: Step) -> Result<Weighted, TrainError> {
        Ok(match (self.moves_augmenter, step.sub_step) {
            (true, 0) => self.augmenter_losses(model, batch),
            _ => self.encoder_losses(model, batch),
        })
    }

    fn artifacts(&self, _: &AutoTclModel) -> Vec<(String, Array2<f32>)> {
        Vec::new()
    }
}
