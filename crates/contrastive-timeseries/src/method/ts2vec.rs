//! TS2Vec.

use super::shared::{identity, rows, shuffled};
use crate::augment::TimeMask;
use crate::data::{Series, SeriesError, check};
use crate::encoder::{DilatedNet, DilatedNetConfig, Steps};
use burn::config::Config;
use burn::tensor::Device;
use contrastive_core::objective::Ts2Vec as Objective;
use contrastive_core::sampler::OverlappingCrops;
use contrastive_nn::Pass;
use contrastive_train::{
    Averaging, Budget, Method, MethodConfig, OptimiserConfig, Step, TrainError, Training, TrainingConfig, Weighted,
};
use ndarray::{Array2, Array3, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Settings of [`Ts2Vec`]; the defaults are those of the paper's experiments.
#[derive(Config, Debug, PartialEq)]
pub struct Ts2VecConfig {
    /// The encoder.
    #[config(default = "DilatedNetConfig::new()")]
    pub net: DilatedNetConfig,
    /// Which steps are hidden in each view.
    #[config(default = "TimeMask::BINOMIAL")]
    pub mask: TimeMask,
    /// Share of the instance contrast; the rest is the temporal one's.
    #[config(default = 0.5)]
    pub instance: f64,
    /// The first scale of the temporal contrast; above 0 for very long series. Crops share at least `2^(unit + 1)` steps.
    #[config(default = 0)]
    pub unit: usize,
    /// Longer series are cut in sections, and batches of longer ones in random windows.
    #[config(default = 3000)]
    pub max_train_length: usize,
    /// Steps to train; without, the paper's rule: 200 where the data has at most 100,000 numbers, else 600.
    #[config(default = "None")]
    pub steps: Option<usize>,
    /// Batch size 8, AdamW at 1e-3 with decay 0.01, the mean of all weights for use. Its budget is replaced by `steps`.
    #[config(default = "default_training()")]
    pub training: TrainingConfig,
}

fn default_training() -> TrainingConfig {
    TrainingConfig::new(Budget::Steps(200), 8, 1e-3)
        .with_optimiser(OptimiserConfig::adam_w(0.01))
        .with_average(Averaging::Equal)
}

/// TS2Vec (Yue et al. 2022): two overlapping crops of every series of a batch, under masks of their own, are told apart step by step and
/// series by series on a hierarchy of scales ([`contrastive_core::objective::Ts2Vec`]).
#[derive(Debug)]
pub struct Ts2Vec {
    config: Ts2VecConfig,
    objective: Objective,
    /// `[N, T, F]`.
    data: Array3<f32>,
    batch: usize,
    order: Vec<usize>,
    device: Device,
}

/// Two crops of the series of a batch.
#[derive(Debug)]
pub struct Ts2VecBatch {
    views: [Steps; 2],
    crops: OverlappingCrops,
    pass: Pass,
}

/// The training data as TS2Vec takes it, `[N, T, F]` with NaN where there is nothing: series of at least twice the largest length are cut
/// into sections, series that begin or end later than others are centred in their padding, and those without any value are dropped.
///
/// # Errors
/// When no series is left.
pub fn prepared(series: &Series, max_train_length: usize) -> Result<Array3<f32>, SeriesError> {
    let mut data = series.padded();
    let (n, t, f) = data.dim();
    let sections = t / max_train_length.max(1);
    if sections >= 2 {
        // as even as can be, the first ones a step longer
        let longest = t.div_ceil(sections);
        let mut cut = Array3::from_elem((n * sections, longest, f), f32::NAN);
        for i in 0..n {
            let mut from = 0;
            for k in 0..sections {
                let length = t / sections + usize::from(k < t % sections);
                cut.slice_mut(s![k * n + i, ..length, ..]).assign(&data.slice(s![i, from..from + length, ..]));
                from += length;
            }
        }
        data = cut;
    }
    let length = data.dim().1;
    let missing = |data: &Array3<f32>, i: usize, t: usize| data.slice(s![i, t, ..]).iter().all(|v| v.is_nan());
    if (0..data.dim().0).any(|i| missing(&data, i, 0) || missing(&data, i, length - 1)) {
        for i in 0..data.dim().0 {
            let before = (0..length).take_while(|&t| missing(&data, i, t)).count();
            let after = (0..length).rev().take_while(|&t| missing(&data, i, t)).count();
            let (to, count) = ((before + after) / 2, length.saturating_sub(before + after));
            if count == 0 || to == before {
                continue;
            }
            let part = data.slice(s![i, before..before + count, ..]).to_owned();
            data.slice_mut(s![i, .., ..]).fill(f32::NAN);
            data.slice_mut(s![i, to..to + count, ..]).assign(&part);
        }
    }
    let kept: Vec<usize> =
        (0..data.dim().0).filter(|&i| data.slice(s![i, .., ..]).iter().any(|v| !v.is_nan())).collect();
    if kept.is_empty() {
        return Err(SeriesError::series("every series is all missing; nothing is left to train on"));
    }
    Ok(if kept.len() == data.dim().0 { data } else { rows(&data, &kept) })
}

impl MethodConfig for Ts2VecConfig {
    type Method = Ts2Vec;
    type Data = Series;
    type Error = SeriesError;

    fn validate(&self) -> Result<(), SeriesError> {
        self.net.validate()?;
        self.mask.validate()?;
        Objective::new(self.instance, self.unit)?;
        check("TS2Vec", "max_train_length", self.max_train_length, self.max_train_length > 1, "at least 2")?;
        check("TS2Vec", "steps", self.steps.unwrap_or(1), self.steps != Some(0), "at least 1")?;
        check("TS2Vec", "unit", self.unit, self.unit < 30, "below 30")?;
        Ok(self.training.validate()?)
    }

    fn build(&self, series: &Series, seed: u64, device: &Device) -> Result<Training<Ts2Vec>, SeriesError> {
        self.validate()?;
        let data = prepared(series, self.max_train_length)?;
        let (n, t, f) = data.dim();
        let needed = 1usize << (self.unit + 1);
        let length = t.min(self.max_train_length);
        if length < needed {
            return Err(SeriesError::series(format!(
                "TS2Vec: {length} time steps; with unit {} crops share at least {needed}",
                self.unit
            )));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plain = device.clone().inner();
        let model = self.net.init(f, &mut rng, &plain.clone().autodiff())?;
        let steps = self.steps_for(series);
        let training = self.training.clone().with_budget(Budget::Steps(steps));
        let method = Ts2Vec {
            config: self.clone(),
            objective: Objective::new(self.instance, self.unit)?,
            data,
            batch: self.training.batch_size.min(n),
            order: Vec::new(),
            device: plain,
        };
        Ok(Training::new(method, model, &training, seed)?)
    }
}

impl Ts2VecConfig {
    /// Steps of a training on these series: `steps`, or the paper's rule.
    pub fn steps_for(&self, series: &Series) -> usize {
        let numbers = series.len() * series.longest() * series.channels();
        self.steps.unwrap_or(if numbers <= 100_000 { 200 } else { 600 })
    }
}

impl Ts2Vec {
    /// The training data, `[N, T, F]`.
    pub fn prepared_data(&self) -> &Array3<f32> {
        &self.data
    }
}

impl Method for Ts2Vec {
    type Model = DilatedNet;
    type Batch = Ts2VecBatch;

    fn name(&self) -> &str {
        "TS2Vec"
    }

    fn config(&self) -> serde_json::Value {
        let mut config = serde_json::to_value(&self.config).expect("settings are JSON");
        if let Some(map) = config.as_object_mut() {
            map.remove("training");
            map.remove("steps");
        }
        config
    }

    fn data(&self) -> serde_json::Value {
        identity(self.data.view())
    }

    fn begin_epoch(&mut self, _: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        // the last batch, where it is not whole, is left out
        self.order = shuffled(self.data.dim().0, &mut rng);
        Ok(self.order.len() / self.batch)
    }

    fn batch(&mut self, step: Step) -> Result<Ts2VecBatch, TrainError> {
        let mut rng = step.rng();
        let chosen = &self.order[step.batch * self.batch..(step.batch + 1) * self.batch];
        let mut x = rows(&self.data, chosen);
        let length = x.dim().1;
        if length > self.config.max_train_length {
            let from = rng.random_range(0..=length - self.config.max_train_length);
            x = x.slice(s![.., from..from + self.config.max_train_length, ..]).to_owned();
        }
        let (batch, length, _) = x.dim();
        let draw = OverlappingCrops::draw(length, self.config.unit, batch, step.global, rng.random());
        let crops = draw.expect("the length was checked when the training was built");
        let whole = Steps::new(x.view(), &self.device);
        let first = whole.map(|x| crops.first(x));
        let second = whole.map(|x| crops.second(x));
        let views = [first, second].map(|view| {
            let [b, t, _] = view.dims();
            match self.config.mask.draw(b, t, &mut rng) {
                Some(mask) => view.masked(&mask),
                None => view,
            }
        });
        Ok(Ts2VecBatch { views, crops, pass: Pass::training(step.seed, step.global as u64) })
    }

    fn losses(&mut self, model: &DilatedNet, batch: &Ts2VecBatch, _: Step) -> Result<Weighted, TrainError> {
        let mut pass = batch.pass.clone();
        let [first, second] = [0, 1].map(|k| model.forward(&batch.views[k], &mut pass));
        let [z1, z2] = batch.crops.common(first, second);
        Ok(vec![("contrast", self.objective.loss(z1, z2))])
    }

    fn artifacts(&self, _: &DilatedNet) -> Vec<(String, Array2<f32>)> {
        Vec::new()
    }
}
