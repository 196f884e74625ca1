//! COMET.

use super::shared::{identity, rows, shuffle, shuffled};
use crate::augment::TimeMask;
use crate::data::{Series, SeriesError, check};
use crate::encoder::{DilatedNet, DilatedNetConfig, Steps};
use burn::config::Config;
use burn::tensor::{Device, Tensor};
use contrastive_core::objective::{IdentityContrast, Ts2Vec as Hierarchy};
use contrastive_nn::Pass;
use contrastive_train::{
    Averaging, Budget, Method, MethodConfig, OptimiserConfig, Step, TrainError, Training, TrainingConfig, Weighted,
};
use ndarray::{Array2, Array3};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Weights of the four levels; a level of weight 0 costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    /// Windows of one person.
    pub patient: f64,
    /// Windows of one recording.
    pub trial: f64,
    /// One window under two masks, among the windows of a batch.
    pub sample: f64,
    /// One time step under two masks, among those of its window.
    pub observation: f64,
}

impl Levels {
    /// A quarter each.
    pub const ALL: Self = Self { patient: 0.25, trial: 0.25, sample: 0.25, observation: 0.25 };
    /// All but the persons.
    pub const WITHOUT_PATIENT: Self =
        Self { patient: 0.0, trial: 1.0 / 3.0, sample: 1.0 / 3.0, observation: 1.0 / 3.0 };
    /// Windows and steps alone.
    pub const WITHIN_WINDOWS: Self = Self { patient: 0.0, trial: 0.0, sample: 0.5, observation: 0.5 };
}

/// Settings of [`Comet`]; the defaults are the paper's.
#[derive(Config, Debug, PartialEq)]
pub struct CometConfig {
    /// The encoder.
    #[config(default = "DilatedNetConfig::new()")]
    pub net: DilatedNetConfig,
    /// Which steps are hidden at the sample and observation levels.
    #[config(default = "TimeMask::CONTINUOUS")]
    pub mask: TimeMask,
    /// Weights of the levels.
    #[config(default = "Levels::ALL")]
    pub levels: Levels,
    /// Temperature of the trial and patient levels.
    #[config(default = 0.1)]
    pub temperature: f64,
    /// The released code's form of the trial and patient levels, in which only one of two windows is the anchor.
    #[config(default = false)]
    pub one_sided: bool,
    /// Two passes of the encoder for every level, as the released code has it, instead of two for both unmasked levels and two for both
    /// masked ones.
    #[config(default = false)]
    pub separate_passes: bool,
    /// 100 epochs, batch size 256, AdamW at 1e-4, the mean of all weights for use.
    #[config(default = "default_training()")]
    pub training: TrainingConfig,
}

fn default_training() -> TrainingConfig {
    TrainingConfig::new(Budget::Epochs(100), 256, 1e-4)
        .with_optimiser(OptimiserConfig::adam_w(0.01))
        .with_average(Averaging::Equal)
}

/// COMET (Wang et al. 2023): windows of recordings of persons, contrasted at four levels. Batches hold several windows of a recording and
/// several recordings: windows are shuffled within recordings and recordings among each other once, cut into consecutive batches, and
/// every epoch shuffles within a batch alone.
#[derive(Debug)]
pub struct Comet {
    config: CometConfig,
    identity: IdentityContrast,
    sample: Hierarchy,
    observation: Hierarchy,
    /// `[N, T, F]`.
    data: Array3<f32>,
    persons: Vec<u32>,
    trials: Vec<u32>,
    batches: Vec<Vec<usize>>,
    passes: usize,
    device: Device,
}

/// Windows of a batch, with their ids and masks.
#[derive(Debug)]
pub struct CometBatch {
    steps: Steps,
    persons: Vec<u32>,
    trials: Vec<u32>,
    /// For each masked pass.
    masks: Vec<Option<Vec<bool>>>,
    pass: Pass,
}

impl MethodConfig for CometConfig {
    type Method = Comet;
    type Data = Series;
    type Error = SeriesError;

    fn validate(&self) -> Result<(), SeriesError> {
        self.net.validate()?;
        self.mask.validate()?;
        IdentityContrast::new(self.temperature)?;
        let Levels { patient, trial, sample, observation } = self.levels;
        for (name, weight) in [("patient", patient), ("trial", trial), ("sample", sample), ("observation", observation)]
        {
            check("COMET", name, weight, weight >= 0.0 && weight.is_finite(), "a finite number of at least 0")?;
        }
        let sum = patient + trial + sample + observation;
        check("COMET", "sum of the levels", sum, sum > 0.0, "above 0")?;
        check("COMET", "batch_size", self.training.batch_size, self.training.batch_size > 1, "at least 2")?;
        Ok(self.training.validate()?)
    }

    fn build(&self, series: &Series, seed: u64, device: &Device) -> Result<Training<Comet>, SeriesError> {
        self.validate()?;
        let length = series.equal_length("COMET")?;
        series.without_missing("COMET")?;
        if length < 2 {
            return Err(SeriesError::series("COMET: windows of a single time step; two at least are needed"));
        }
        let trials = series.recordings()?.ids.clone();
        let persons = match series.persons() {
            Ok(persons) => persons.ids.clone(),
            Err(error) if self.levels.patient > 0.0 => return Err(error),
            Err(_) => vec![0; trials.len()],
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let batches = trial_batches(&trials, self.training.batch_size, &mut rng);
        for (k, batch) in batches.iter().enumerate() {
            let of = |ids: &[u32]| IdentityContrast::positive_pairs(&batch.iter().map(|&i| ids[i]).collect::<Vec<_>>());
            for (level, weight, ids) in
                [("trial", self.levels.trial, &trials), ("patient", self.levels.patient, &persons)]
            {
                if weight > 0.0 && of(ids) == 0 {
                    let rows = batch.len();
                    return Err(SeriesError::series(format!(
                        "COMET: batch {k} of {rows} windows has no two of one {level}; cut more windows of each, or enlarge batches"
                    )));
                }
            }
        }
        let plain = device.clone().inner();
        let model = self.net.init(series.channels(), &mut rng, &plain.clone().autodiff())?;
        let method = Comet {
            config: self.clone(),
            identity: IdentityContrast::new(self.temperature)?.one_sided(self.one_sided),
            sample: Hierarchy::new(1.0, 0)?.without_last_scale(),
            observation: Hierarchy::new(0.0, 0)?.without_last_scale(),
            data: series.padded(),
            persons,
            trials,
            batches,
            passes: 0,
            device: plain,
        };
        Ok(Training::new(method, model, &self.training, seed)?)
    }
}

/// Windows shuffled within their recordings, recordings shuffled, cut into consecutive batches; a last one of less than half the size is
/// joined to the one before.
fn trial_batches(trials: &[u32], size: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    let count = trials.iter().max().map_or(0, |&most| most as usize + 1);
    let mut windows: Vec<Vec<usize>> = vec![Vec::new(); count];
    trials.iter().enumerate().for_each(|(i, &trial)| windows[trial as usize].push(i));
    windows.retain(|windows| !windows.is_empty());
    windows.iter_mut().for_each(|windows| shuffle(windows, rng));
    let order: Vec<usize> =
        shuffled(windows.len(), rng).into_iter().flat_map(|trial| std::mem::take(&mut windows[trial])).collect();
    let mut batches: Vec<Vec<usize>> = order.chunks(size).map(<[usize]>::to_vec).collect();
    if batches.len() > 1 && batches.last().is_some_and(|last| 2 * last.len() < size) {
        let last = batches.pop().unwrap_or_default();
        if let Some(before) = batches.last_mut() {
            before.extend(last);
        }
    }
    batches
}

impl Comet {
    /// Encoder passes so far: four a step, fewer where levels are left out, eight with separate passes.
    pub fn passes(&self) -> usize {
        self.passes
    }

    /// For each batch the ordered pairs of different windows of one trial, and of one person: what these levels' positives rest on.
    pub fn positive_pairs(&self) -> Vec<[usize; 2]> {
        let of = |batch: &[usize], ids: &[u32]| {
            IdentityContrast::positive_pairs(&batch.iter().map(|&i| ids[i]).collect::<Vec<_>>())
        };
        self.batches.iter().map(|batch| [of(batch, &self.trials), of(batch, &self.persons)]).collect()
    }

    fn masked_passes(&self) -> usize {
        let Levels { sample, observation, .. } = self.config.levels;
        let levels = usize::from(sample > 0.0) + usize::from(observation > 0.0);
        2 * if self.config.separate_passes { levels } else { levels.min(1) }
    }

    fn pair(&mut self, model: &DilatedNet, views: [&Steps; 2], pass: &mut Pass) -> [Tensor<3>; 2] {
        self.passes += 2;
        views.map(|view| model.forward(view, pass))
    }
}

impl Method for Comet {
    type Model = DilatedNet;
    type Batch = CometBatch;

    fn name(&self) -> &str {
        "COMET"
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
        // sorted first, so that the order depends on this epoch alone
        for batch in &mut self.batches {
            batch.sort_unstable();
            shuffle(batch, &mut rng);
        }
        Ok(self.batches.len())
    }

    fn batch(&mut self, step: Step) -> Result<CometBatch, TrainError> {
        let mut rng = step.rng();
        let chosen = &self.batches[step.batch];
        let x = rows(&self.data, chosen);
        let (b, t, _) = x.dim();
        let ids = |ids: &[u32]| chosen.iter().map(|&i| ids[i]).collect();
        Ok(CometBatch {
            steps: Steps::new(x.view(), &self.device),
            persons: ids(&self.persons),
            trials: ids(&self.trials),
            masks: (0..self.masked_passes()).map(|_| self.config.mask.draw(b, t, &mut rng)).collect(),
            pass: Pass::training(step.seed, step.global as u64),
        })
    }

    fn losses(&mut self, model: &DilatedNet, batch: &CometBatch, _: Step) -> Result<Weighted, TrainError> {
        let Levels { patient, trial, sample, observation } = self.config.levels;
        let separate = self.config.separate_passes;
        let mut pass = batch.pass.clone();
        let mut losses: Weighted = Vec::new();
        // without masks: the two passes differ by their dropout
        let mut plain: Option<[Tensor<3>; 2]> = None;
        for (name, weight, ids) in [("patient", patient, &batch.persons), ("trial", trial, &batch.trials)] {
            if weight > 0.0 {
                if plain.is_none() || separate {
                    plain = Some(self.pair(model, [&batch.steps; 2], &mut pass));
                }
                let [u, w] = plain.clone().expect("just made");
                losses.push((name, self.identity.loss(u, w, ids) * weight));
            }
        }
        let views: Vec<Steps> = batch
            .masks
            .iter()
            .map(|mask| mask.as_ref().map_or_else(|| batch.steps.clone(), |mask| batch.steps.masked(mask)))
            .collect();
        let (mut masked, mut next): (Option<[Tensor<3>; 2]>, usize) = (None, 0);
        for (name, weight, of_sample) in [("sample", sample, true), ("observation", observation, false)] {
            if weight > 0.0 {
                if masked.is_none() || separate {
                    masked = Some(self.pair(model, [&views[next], &views[next + 1]], &mut pass));
                    next += 2;
                }
                let [u, w] = masked.clone().expect("just made");
                let objective = if of_sample { &self.sample } else { &self.observation };
                losses.push((name, objective.loss(u, w) * weight));
            }
        }
        Ok(losses)
    }

    fn artifacts(&self, _: &DilatedNet) -> Vec<(String, Array2<f32>)> {
        Vec::new()
    }
}
