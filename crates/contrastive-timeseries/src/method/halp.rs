//! HaLP.

use super::shared::identity;
use crate::augment::{Augmentation, Augmentations};
use crate::data::{Series, SeriesError, check};
use crate::encoder::{ClipEncoder, ClipEncoderConfig, clips};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_core::cluster::{KMeans, k_means};
use contrastive_core::memory::{Ema, Queue};
use contrastive_core::objective::Moco;
use contrastive_core::similarity::unit_rows;
use contrastive_core::synthesis::{LatentPositives, Reach};
use contrastive_train::{
    Batches, Budget, Method, MethodConfig, OptimiserConfig, Schedule, State, Step, TrainError, Training,
    TrainingConfig, Weighted, load_module, save_module, take_tensor,
};
use ndarray::{Array2, Array3, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// What of a clip an encoder reads. Channels are joints, three each, for [`Stream::Bone`]; anything for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// The values as they are.
    Joint,
    /// The difference to the next frame; the last frame is 0.
    Motion,
    /// Each joint less the one that it hangs on; the root is 0.
    Bone,
}

impl Stream {
    /// The stream of a clip `[T, F]`; `parents` are needed for bones, a root being its own.
    ///
    /// # Panics
    /// When the parents do not fit the channels.
    pub fn of(self, clip: &Array2<f32>, parents: &[usize]) -> Array2<f32> {
        let last = clip.nrows() - 1;
        match self {
            Self::Joint => clip.clone(),
            Self::Motion => Array2::from_shape_fn(clip.dim(), |(t, c)| match t {
                t if t == last => 0.0,
                t => clip[[t + 1, c]] - clip[[t, c]],
            }),
            Self::Bone => {
                assert_eq!(parents.len() * 3, clip.ncols(), "joints with a parent, and channels");
                Array2::from_shape_fn(clip.dim(), |(t, c)| clip[[t, c]] - clip[[t, 3 * parents[c / 3] + c % 3]])
            }
        }
    }
}

/// Settings of [`Halp`]; the defaults are those for NTU-60.
#[derive(Config, Debug, PartialEq)]
pub struct HalpConfig {
    /// The encoder of each stream.
    #[config(default = "ClipEncoderConfig::new()")]
    pub encoder: ClipEncoderConfig,
    /// One stream or more, each with encoder, queue and prototypes of its own; their losses are added.
    #[config(default = "vec![Stream::Joint]")]
    pub streams: Vec<Stream>,
    /// For [`Stream::Bone`]: the joint that each joint hangs on.
    #[config(default = "Vec::new()")]
    pub parents: Vec<usize>,
    /// How each of the two views is made of a clip.
    #[config(default = "default_views()")]
    pub views: Augmentations,
    /// Of both losses.
    #[config(default = 0.07)]
    pub temperature: f64,
    /// Of the key encoders, m.
    #[config(default = 0.999)]
    pub momentum: f64,
    /// Keys in a queue, K.
    #[config(default = 16384)]
    pub queue: usize,
    /// Prototypes.
    #[config(default = 20)]
    pub prototypes: usize,
    /// The newest keys that prototypes are made of.
    #[config(default = 256)]
    pub sample: usize,
    /// Steps between two clusterings.
    #[config(default = 10)]
    pub every: usize,
    /// Positives of each key, n.
    #[config(default = 100)]
    pub positives: usize,
    /// How far they go.
    #[config(default = "Reach::Uniform(0.8)")]
    pub reach: Reach,
    /// Weight of the latent positives, mu; 0 is MoCo.
    #[config(default = 2.0)]
    pub weight: f64,
    /// Epochs of MoCo alone before the first latent positive. (The paper starts from a checkpoint of 200.)
    #[config(default = 0)]
    pub after: usize,
    /// And no latent positive until so many queues of samples have passed.
    #[config(default = 2)]
    pub warm_up: usize,
    /// 450 epochs, batch size 64, SGD at 0.01 with momentum 0.9 and decay 1e-4, a tenth of the rate from epoch 350 on.
    #[config(default = "default_training()")]
    pub training: TrainingConfig,
}

fn default_views() -> Augmentations {
    let corrupt = Augmentation::Either(vec![Augmentation::JointMask(15), Augmentation::Shear(1.0)]);
    Augmentations::always(vec![Augmentation::Crop(0.1), corrupt])
}

fn default_training() -> TrainingConfig {
    TrainingConfig::new(Budget::Epochs(450), 64, 0.01)
        .with_optimiser(OptimiserConfig::sgd(0.9, 1e-4))
        .with_schedule(Schedule::drops(vec![350], 0.1).by_epoch())
}

/// The query encoders, one for each stream.
#[derive(Module, Debug)]
pub struct HalpModel {
    /// In the order of the streams.
    pub streams: Vec<ClipEncoder>,
}

/// HaLP (Shah et al. 2023): MoCo on clips of a skeleton, or any series, with extra positives made between keys and prototypes of the newest
/// keys ([`LatentPositives`]).
#[derive(Debug)]
pub struct Halp {
    config: HalpConfig,
    moco: Moco,
    latent: LatentPositives,
    ema: Ema,
    /// `[N, T, F]`.
    data: Array3<f32>,
    batches: Batches,
    epoch: Vec<Vec<usize>>,
    keys: HalpModel,
    memory: Vec<Memory>,
    /// Samples that have passed.
    seen: usize,
    /// Latent positives kept, and made, since the start.
    kept: [f64; 2],
    device: Device,
}

/// What a stream remembers.
#[derive(Clone, Debug)]
struct Memory {
    queue: Queue,
    prototypes: Option<Tensor<2>>,
    /// The keys of the present step.
    keys: Option<Tensor<2>>,
}

/// Two views of some clips, stream by stream.
#[derive(Debug)]
pub struct HalpBatch {
    views: Vec<[Tensor<3>; 2]>,
    size: usize,
}

impl MethodConfig for HalpConfig {
    type Method = Halp;
    type Data = Series;
    type Error = SeriesError;

    fn validate(&self) -> Result<(), SeriesError> {
        Moco::new(self.temperature)?;
        let momentum = self.momentum;
        check("HaLP", "momentum", momentum, (0.0..=1.0).contains(&momentum), "in [0, 1]")?;
        LatentPositives::new(self.positives)?.with_reach(self.reach)?;
        check("HaLP", "streams", self.streams.len(), !self.streams.is_empty(), "at least 1")?;
        check("HaLP", "queue", self.queue, self.queue > 0, "at least 1")?;
        check("HaLP", "prototypes", self.prototypes, self.prototypes > 1, "at least 2")?;
        let (sample, prototypes) = (self.sample, self.prototypes);
        check("HaLP", "sample", sample, sample >= prototypes, &format!("at least the {prototypes} prototypes"))?;
        check("HaLP", "sample", sample, sample <= self.queue, &format!("at most the {} keys of a queue", self.queue))?;
        check("HaLP", "every", self.every, self.every > 0, "at least 1")?;
        check(
            "HaLP",
            "weight",
            self.weight,
            self.weight >= 0.0 && self.weight.is_finite(),
            "a finite number of at least 0",
        )?;
        check("HaLP", "batch_size", self.training.batch_size, self.training.batch_size > 1, "at least 2")?;
        Ok(self.training.validate()?)
    }

    fn build(&self, series: &Series, seed: u64, device: &Device) -> Result<Training<Halp>, SeriesError> {
        self.validate()?;
        series.equal_length("HaLP")?;
        series.without_missing("HaLP")?;
        let channels = series.channels();
        self.views.validate(channels)?;
        if self.streams.contains(&Stream::Bone) {
            let joints = self.parents.len();
            let allowed = format!("one for each third of the {channels} channels");
            check("HaLP", "number of parents", joints, 3 * joints == channels, &allowed)?;
            let most = self.parents.iter().copied().max().unwrap_or(0);
            check("HaLP", "parent", most, most < joints, &format!("below the number of joints {joints}"))?;
        }
        let size = self.training.batch_size;
        let enough = format!("at most the {} clips", series.len());
        check("HaLP", "batch_size", size, size <= series.len(), &enough)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let plain = device.clone().inner();
        let on = plain.clone().autodiff();
        let encoders = self.streams.iter().map(|_| self.encoder.init(channels, &mut rng, &on));
        let model = HalpModel { streams: encoders.collect::<Result<_, _>>()? };
        let width = self.encoder.projection;
        let memory = || -> Result<Memory, SeriesError> {
            let queue = Queue::new(self.queue, width, &plain).map_err(SeriesError::series)?;
            Ok(Memory { queue, prototypes: None, keys: None })
        };
        let method = Halp {
            config: self.clone(),
            moco: Moco::new(self.temperature)?,
            latent: LatentPositives::new(self.positives)?.with_reach(self.reach)?,
            ema: Ema::constant(self.momentum).map_err(SeriesError::series)?,
            data: series.padded(),
            batches: Batches::shuffled(series.len(), size)?.dropping_last(),
            epoch: Vec::new(),
            keys: model.clone().valid().train().no_grad(),
            memory: self.streams.iter().map(|_| memory()).collect::<Result<_, _>>()?,
            seen: 0,
            kept: [0.0; 2],
            device: on,
        };
        Ok(Training::new(method, model, &self.training, seed)?)
    }
}

impl Halp {
    /// The share of latent positives that the rank filter kept, since the start; NaN before the first.
    pub fn kept_share(&self) -> f64 {
        self.kept[0] / self.kept[1]
    }

    /// The prototypes of a stream, `[prototypes, projection]` of length 1, once there are some.
    pub fn prototypes(&self, stream: usize) -> Option<&Tensor<2>> {
        self.memory[stream].prototypes.as_ref()
    }

    fn warm(&self, epoch: usize) -> bool {
        let samples = self.config.warm_up * self.config.queue;
        self.config.weight > 0.0 && epoch > self.config.after && self.seen > samples
    }
}

fn numbers(state: &mut State, name: &str) -> Result<Vec<f64>, TrainError> {
    Ok(take_tensor(state, name, &[3])?.iter::<f64>().collect())
}

impl Method for Halp {
    type Model = HalpModel;
    type Batch = HalpBatch;

    fn name(&self) -> &str {
        if self.config.weight > 0.0 { "HaLP" } else { "MoCo" }
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

    fn begin_epoch(&mut self, epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        self.epoch = self.batches.epoch(epoch, &mut rng);
        Ok(self.epoch.len())
    }

    fn batch(&mut self, step: Step) -> Result<HalpBatch, TrainError> {
        let mut rng = step.rng();
        let chosen = &self.epoch[step.batch];
        let (_, t, f) = self.data.dim();
        let mut views: Vec<[Array3<f32>; 2]> =
            self.config.streams.iter().map(|_| [(); 2].map(|()| Array3::zeros((chosen.len(), t, f)))).collect();
        for (row, &i) in chosen.iter().enumerate() {
            for view in 0..2 {
                let clip = self.config.views.apply(self.data.slice(s![i, .., ..]), &mut rng);
                for (stream, views) in self.config.streams.iter().zip(&mut views) {
                    views[view].slice_mut(s![row, .., ..]).assign(&stream.of(&clip, &self.config.parents));
                }
            }
        }
        let views = views.iter().map(|views| [0, 1].map(|view| clips(views[view].view(), &self.device))).collect();
        Ok(HalpBatch { views, size: chosen.len() })
    }

    fn losses(&mut self, model: &HalpModel, batch: &HalpBatch, step: Step) -> Result<Weighted, TrainError> {
        let zero = || Tensor::<1>::zeros([1], &self.device);
        let (mut contrast, mut latent) = (zero(), zero());
        let warm = self.warm(step.epoch);
        for (at, [first, second]) in batch.views.iter().enumerate() {
            let queries = model.streams[at].project(first.clone());
            let keys = unit_rows(self.keys.streams[at].project(second.clone())).detach();
            let memory = &mut self.memory[at];
            contrast = contrast + self.moco.loss(queries.clone(), keys.clone(), &memory.queue);
            if let (true, Some(prototypes)) = (warm, &memory.prototypes) {
                let seed = step.seed.wrapping_add(at as u64);
                let made = self.latent.make(&keys, prototypes, seed, step.global).map_err(TrainError::trainee)?;
                self.kept[0] += made.kept.iter().sum::<usize>() as f64;
                self.kept[1] += (made.kept.len() * made.count) as f64;
                let loss = self.latent.loss(queries, &made, self.config.temperature).map_err(TrainError::trainee)?;
                latent = latent + loss * self.config.weight;
            }
            memory.keys = Some(keys.inner());
        }
        Ok(vec![("contrast", contrast), ("latent", latent)])
    }

    fn after_step(&mut self, model: &HalpModel, batch: &HalpBatch, step: Step) {
        let keys = std::mem::replace(&mut self.keys, HalpModel { streams: Vec::new() });
        self.keys = self.ema.update_parameters(model, keys, step.global);
        self.seen += batch.size;
        let warm = self.warm(step.epoch);
        let due = (step.global + 1).is_multiple_of(self.config.every);
        for memory in &mut self.memory {
            if let Some(keys) = memory.keys.take() {
                memory.queue.push(keys);
            }
            let enough = memory.queue.len() >= self.config.sample;
            if !(warm && enough && (due || memory.prototypes.is_none())) {
                continue;
            }
            let newest: Vec<i32> = memory.queue.newest(self.config.sample).into_iter().map(|at| at as i32).collect();
            let rows = memory.queue.rows().expect("a queue that holds the sample");
            let places = Tensor::from_data(TensorData::new(newest, [self.config.sample]), &rows.device());
            let seed = step.rng().random();
            let settings = KMeans { spherical: true, tolerance: 1e-3, ..KMeans::new(self.config.prototypes, seed) };
            // keys that are not finite have no clusters; the run ends at its own check of the loss
            if let Ok(found) = k_means(&rows.select(0, places), &settings) {
                memory.prototypes = Some(unit_rows(found.centroids));
            }
        }
    }

    fn state(&self) -> State {
        let mut state = State::new();
        save_module(&self.keys, "keys", &mut state);
        for (at, memory) in self.memory.iter().enumerate() {
            for (name, data) in memory.queue.state() {
                state.insert(format!("queue.{at}.{name}"), data);
            }
            if let Some(prototypes) = &memory.prototypes {
                state.insert(format!("prototypes.{at}"), prototypes.clone().into_data());
            }
        }
        let counts = vec![self.seen as f64, self.kept[0], self.kept[1]];
        state.insert("counts".to_string(), TensorData::new(counts, [3]));
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.keys = load_module(self.keys.clone(), "keys", &mut state)?;
        for (at, memory) in self.memory.iter_mut().enumerate() {
            let prefix = format!("queue.{at}.");
            let own =
                state.iter().filter_map(|(name, data)| Some((name.strip_prefix(&prefix)?.to_string(), data.clone())));
            memory.queue.load_state(&own.collect()).map_err(TrainError::trainee)?;
            let name = format!("prototypes.{at}");
            memory.prototypes = match state.contains_key(&name) {
                true => {
                    let shape = [self.config.prototypes, self.config.encoder.projection];
                    let data = take_tensor(&mut state, &name, &shape)?;
                    Some(Tensor::from_data(data, &self.device.clone().inner()))
                }
                false => None,
            };
            memory.keys = None;
        }
        let counts = numbers(&mut state, "counts")?;
        (self.seen, self.kept) = (counts[0] as usize, [counts[1], counts[2]]);
        Ok(())
    }

    fn artifacts(&self, _: &HalpModel) -> Vec<(String, Array2<f32>)> {
        Vec::new()
    }
}
