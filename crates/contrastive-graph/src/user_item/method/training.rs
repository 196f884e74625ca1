//! Node table and sampler of any [`Method`], as a method of [`contrastive_train`], and its training.

use super::{Method, TableConfig};
use crate::MethodError;
use crate::parts::to_array;
use crate::user_item::Embeddings;
use crate::user_item::data::{
    Dataset, Interactions, NegativePolicy, PairSampler, Permutation, Relabelling, Triples, UniformUserSampler,
};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_kernels::scalar::standard_normal;
use contrastive_train::{Budget, FitOptions, Losses, Metrics, State, Step, TrainError, Trainee, Weighted};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

/// How an epoch's triples are drawn.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Every training pair once, in random order, with a negative the user has not touched (SGL, LightGCL).
    Pairs,
    /// As many draws as there are pairs: a uniform user, one of its items, an untouched negative (PyTorch LightGCN).
    UniformUsers,
    /// As `Pairs`, with negatives from all items, touched ones included.
    PairsUnchecked,
    /// As `UniformUsers`, with negatives from all items, touched ones included.
    UniformUsersUnchecked,
}

/// How the node table starts.
#[derive(Config, Debug, Copy, PartialEq)]
pub enum Initialisation {
    /// Normal with mean 0.
    Normal {
        /// Standard deviation (LightGCN: 0.1).
        deviation: f64,
    },
    /// Uniform within `sqrt(6 / (rows + dim))`, users and items apart (LightGCL, SGL).
    XavierUniform,
    /// Normal with deviation `sqrt(2 / (rows + dim))`, users and items apart (DCCF).
    XavierNormal,
}

/// A node table wrapped by nothing: what [`Method::encode`] returns when embeddings are all it makes.
#[derive(Clone, Debug)]
pub struct Embedded(pub Tensor<2>);

#[derive(Debug)]
enum Sampler {
    Pairs(PairSampler),
    Users(UniformUserSampler),
}

/// Seconds spent in the parts of training, summed over steps.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Parts {
    /// Drawing triples and, where a method has them, thinned graphs.
    pub sampling: Duration,
    /// Propagation and gathers: the forward pass, and the backward pass, which is theirs alone.
    pub propagation: Duration,
    /// The losses with their gradients.
    pub objective: Duration,
    /// The optimiser.
    pub optimiser: Duration,
}

/// The parameters: a row for each user, then one for each item, and what the method has beside them.
#[derive(Module, Debug)]
pub struct NodeTable {
    /// `[I + J, d]`, under the internal numbers.
    pub table: Param<Tensor<2>>,
    /// What [`Method::beside`] starts, in its order; empty for most methods.
    pub beside: Vec<Param<Tensor<2>>>,
}

impl NodeTable {
    /// The parameters beside the table, as [`Method::encode_beside`] takes them.
    pub fn beside(&self) -> Vec<Tensor<2>> {
        self.beside.iter().map(Param::val).collect()
    }
}

/// A method with its sampler and what it is evaluated on: what [`contrastive_train::Training`] trains.
#[derive(Debug)]
pub struct Ranking<M> {
    method: M,
    config: serde_json::Value,
    batch_size: usize,
    order: Relabelling,
    sampler: Sampler,
    /// From the numbers under which triples are drawn to the internal ones, where they differ.
    renumber: Option<[Vec<u32>; 2]>,
    triples: Triples,
    data: Dataset,
    cutoffs: Vec<usize>,
    sampling: Duration,
    encoding: Duration,
}

impl<M: Method> Ranking<M> {
    /// Embeddings of a table, in the original order.
    fn embeddings(&self, model: &NodeTable) -> Embeddings {
        let all = to_array(&self.method.embed_beside(&model.table.val(), &model.beside()));
        let users = self.order.users.len();
        let pick = |order: &Permutation, first: usize| {
            let at: Vec<usize> = order.new_of_old().iter().map(|&new| first + new as usize).collect();
            all.select(ndarray::Axis(0), &at)
        };
        Embeddings::new(pick(&self.order.users, 0), pick(&self.order.items, users))
    }
}

impl<M: Method> contrastive_train::Method for Ranking<M> {
    type Model = NodeTable;
    type Batch = ();

    fn name(&self) -> &str {
        self.method.name()
    }

    fn config(&self) -> serde_json::Value {
        self.config.clone()
    }

    fn data(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.data.name,
            "users": self.data.train.num_users(),
            "items": self.data.train.num_items(),
            "train": self.data.train.len(),
            "test": self.data.test.len(),
            "digest": format!("{:016x}", self.data.train.digest()),
        })
    }

    fn begin_epoch(&mut self, _epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        let start = Instant::now();
        match &self.sampler {
            Sampler::Pairs(sampler) => sampler.epoch(&mut rng, &mut self.triples),
            Sampler::Users(sampler) => sampler.epoch(&mut rng, &mut self.triples),
        }
        if let Some([users, items]) = &self.renumber {
            self.triples.renumber(users, items);
        }
        self.method.begin_epoch(rng).map_err(MethodError::in_training)?;
        self.sampling += start.elapsed();
        Ok(self.triples.num_batches(self.batch_size))
    }

    fn batch(&mut self, _step: Step) -> Result<(), TrainError> {
        Ok(())
    }

    fn losses(&mut self, model: &NodeTable, _batch: &(), step: Step) -> Result<Weighted, TrainError> {
        let (start, mut rng, table, beside) = (Instant::now(), step.rng(), model.table.val(), model.beside());
        let encoded = self.method.encode_beside(&table, &beside, &mut rng);
        self.encoding += start.elapsed();
        let batch = self.triples.batch(step.batch, self.batch_size);
        Ok(self.method.losses_beside(&table, &beside, &encoded, &batch, &mut rng))
    }

    fn evaluate(&mut self, model: &NodeTable) -> Result<Option<Metrics>, TrainError> {
        let validation = self.data.validation.as_ref().filter(|part| !part.is_empty());
        let held_out = validation.unwrap_or(&self.data.test);
        if self.cutoffs.is_empty() || held_out.is_empty() {
            return Ok(None);
        }
        let report = self.embeddings(model).evaluate(&self.data.train, held_out, &self.cutoffs);
        Ok(Some(report.map_err(TrainError::trainee)?.iter().collect()))
    }

    fn artifacts(&self, model: &NodeTable) -> Vec<(String, Array2<f32>)> {
        let embeddings = self.embeddings(model);
        let names = self.method.beside().into_iter().map(|(name, _)| name.to_string());
        let beside = names.zip(model.beside.iter().map(|param| to_array(&param.val())));
        [("users".into(), embeddings.users), ("items".into(), embeddings.items)].into_iter().chain(beside).collect()
    }
}

/// A method in training: a [`contrastive_train::Training`] of the node table, to which it dereferences. What it saves is in the original
/// numbers.
#[derive(Debug)]
pub struct Training<M: Method>(contrastive_train::Training<Ranking<M>>);

impl<M: Method> Deref for Training<M> {
    type Target = contrastive_train::Training<Ranking<M>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<M: Method> DerefMut for Training<M> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<M: Method> Training<M> {
    /// Prepares a training on `data.train`. `build` gets the training pairs under their internal numbers.
    ///
    /// # Errors
    /// When the data cannot be sampled, or the method not be built.
    pub fn new(
        settings: &TableConfig,
        config: serde_json::Value,
        data: &Dataset,
        options: &FitOptions,
        build: impl FnOnce(&Interactions) -> Result<M, MethodError>,
    ) -> Result<Self, MethodError> {
        let (users, items) = (data.train.num_users(), data.train.num_items());
        let order = settings.node_order.relabelling(&data.train);
        let drawn = settings.node_order.drawn_in(&data.train);
        let renumber = (drawn != order).then(|| drawn.to(&order));
        let drawn = drawn.apply(&data.train);
        let policy = match settings.sampling {
            Sampling::Pairs | Sampling::UniformUsers => NegativePolicy::Reject,
            Sampling::PairsUnchecked | Sampling::UniformUsersUnchecked => NegativePolicy::Unchecked,
        };
        // what is wrong is said in the original numbers
        PairSampler::new(&data.train, policy)?;
        let sampler = match settings.sampling {
            Sampling::Pairs | Sampling::PairsUnchecked => Sampler::Pairs(PairSampler::new(&drawn, policy)?),
            Sampling::UniformUsers | Sampling::UniformUsersUnchecked => {
                Sampler::Users(UniformUserSampler::new(&drawn, policy)?)
            }
        };
        let method = build(&order.apply(&data.train))?;
        let (device, seed) = (options.device().clone().autodiff(), options.seed_value());
        let mut model = NodeTable::new(settings.initialisation, [users, items], settings.dim, seed, &order, &device);
        let beside = method.beside().into_iter();
        model.beside = beside.map(|(_, start)| Param::from_tensor(start.drawn(seed, &device))).collect();
        let ranking = Ranking {
            method,
            config,
            batch_size: settings.training.batch_size,
            order,
            sampler,
            renumber,
            triples: Triples::default(),
            data: data.clone(),
            cutoffs: [20, 40].into_iter().filter(|k| *k <= items).collect(),
            sampling: Duration::ZERO,
            encoding: Duration::ZERO,
        };
        Ok(Self(contrastive_train::Training::new(ranking, model, &settings.training, seed)?))
    }

    /// Replaces the cutoffs of the evaluation, [20, 40].
    pub fn with_cutoffs(mut self, cutoffs: &[usize]) -> Self {
        self.0.method_mut().cutoffs = cutoffs.to_vec();
        self
    }

    /// The method.
    pub fn method(&self) -> &M {
        &self.0.method().method
    }

    /// `[I + J, d]`: the node table under its internal numbers.
    pub fn table(&self) -> Tensor<2> {
        self.0.model().table.val().inner()
    }

    /// The parameters beside the table, in the order of [`Method::beside`].
    pub fn beside(&self) -> Vec<Tensor<2>> {
        self.0.model().beside.iter().map(|param| param.val().inner()).collect()
    }

    /// The training within, under the internal numbers.
    pub fn into_inner(self) -> contrastive_train::Training<Ranking<M>> {
        self.0
    }

    /// Where the time went.
    pub fn parts(&self) -> Parts {
        let (timing, Ranking { sampling, encoding, .. }) = (self.0.timing(), self.0.method());
        Parts {
            sampling: *sampling,
            propagation: *encoding + timing.backward,
            objective: timing.losses.saturating_sub(*encoding),
            optimiser: timing.optimiser,
        }
    }

    /// The present embeddings, in the original order.
    pub fn embeddings(&self) -> Embeddings {
        self.0.method().embeddings(&self.0.trained_model())
    }

    /// Trains with progress, checkpoints and a run folder, and returns the embeddings.
    ///
    /// # Errors
    /// When the run cannot go on.
    pub fn fit(mut self, options: &FitOptions) -> Result<Embeddings, MethodError> {
        let report = contrastive_train::fit(&mut self, options)?;
        Ok(self.embeddings().with_report(report))
    }

    /// Reorders the rows of the table, and of everything of its size, in a state.
    fn reorder(&self, state: &mut State, rows: impl Fn(&Permutation) -> Vec<u32>) {
        let joint = self.0.method().order.joint();
        if joint.is_identity() {
            return;
        }
        let [nodes, width] = self.0.model().table.dims();
        let rows = rows(&joint);
        // what stands beside the table is not by nodes, whatever its size
        for (_, data) in state.iter_mut().filter(|(name, _)| !name.contains(".beside.")) {
            if data.num_elements() == nodes * width && data.dtype() == DType::F32 {
                let old: Vec<f32> = data.iter::<f32>().collect();
                let new: Vec<f32> =
                    rows.iter().flat_map(|&row| &old[row as usize * width..][..width]).copied().collect();
                *data = TensorData::new(new, data.shape().clone());
            }
        }
    }
}

/// As the training within, but for the numbers of the nodes: what is saved is in the original ones, so that it does not depend on the
/// order (nor on the CPU that found it), and a model is its embeddings.
impl<M: Method> Trainee for Training<M> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn config(&self) -> serde_json::Value {
        Trainee::config(&self.0)
    }

    fn settle_budget(&mut self, asked: Option<Budget>) -> Budget {
        self.0.settle_budget(asked)
    }

    fn begin_epoch(&mut self, epoch: usize, rng: ChaCha8Rng) -> Result<usize, TrainError> {
        self.0.begin_epoch(epoch, rng)
    }

    fn resumes_within_epochs(&self) -> bool {
        self.0.resumes_within_epochs()
    }

    fn resume_epoch(&mut self, epoch: usize, rng: ChaCha8Rng, done: usize) -> Result<usize, TrainError> {
        self.0.resume_epoch(epoch, rng, done)
    }

    fn step(&mut self, step: usize) -> Result<Losses, TrainError> {
        self.0.step(step)
    }

    fn evaluate(&mut self) -> Result<Option<Metrics>, TrainError> {
        self.0.evaluate()
    }

    fn state(&self) -> State {
        let mut state = self.0.state();
        self.reorder(&mut state, |order| order.new_of_old().to_vec());
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.reorder(&mut state, |order| order.old_of_new().to_vec());
        self.0.load_state(state)
    }

    fn model(&self) -> State {
        self.embeddings().state()
    }

    fn artifacts(&self) -> Vec<(String, Array2<f32>)> {
        self.0.artifacts()
    }
}

impl NodeTable {
    /// A table that starts as its settings say.
    pub(super) fn new(
        how: Initialisation,
        sides: [usize; 2],
        dim: usize,
        seed: u64,
        order: &Relabelling,
        device: &Device,
    ) -> Self {
        Self { table: Param::from_tensor(initial(how, sides, dim, seed, order, device)), beside: Vec::new() }
    }
}

/// How parameters beside the node table start: normal numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// `[rows, columns]`.
    pub shape: [usize; 2],
    /// Their standard deviation; 0 for zeros.
    pub deviation: f64,
    /// What tells parameters of one method apart: each has another.
    pub stream: u64,
}

impl Start {
    /// The numbers that a seed gives.
    pub fn drawn(&self, seed: u64, device: &Device) -> Tensor<2> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::MAX - 1 - self.stream);
        let draws = (0..self.shape[0] * self.shape[1]).map(|_| (self.deviation * standard_normal(&mut rng)) as f32);
        Tensor::from_data(TensorData::new(draws.collect::<Vec<f32>>(), self.shape), device)
    }
}

/// `[I + J, d]` in internal order; the numbers of a node depend on the seed and its original number alone.
fn initial(
    how: Initialisation,
    [users, items]: [usize; 2],
    dim: usize,
    seed: u64,
    order: &Relabelling,
    device: &Device,
) -> Tensor<2> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::MAX);
    let mut values = vec![0f32; (users + items) * dim];
    let sides = [(0, users, &order.users), (users, items, &order.items)];
    for (first, rows, order) in sides {
        let bound = (6.0 / (rows + dim) as f64).sqrt();
        let spread = (2.0 / (rows + dim) as f64).sqrt();
        for &new in order.new_of_old() {
            for x in &mut values[(first + new as usize) * dim..][..dim] {
                *x = match how {
                    Initialisation::XavierUniform => (2.0 * rng.random::<f64>() - 1.0) * bound,
                    Initialisation::XavierNormal => spread * standard_normal(&mut rng),
                    Initialisation::Normal { deviation } => deviation * standard_normal(&mut rng),
                } as f32;
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [users + items, dim]), device)
}
