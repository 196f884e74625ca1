//! Node table, sampler and optimiser of any [`Method`]: what `fit` and an own loop step.

use super::{Embeddings, Method};
use crate::MethodError;
use crate::error::Check;
use crate::parts::to_array;
use crate::user_item::data::{
    Dataset, Interactions, NegativePolicy, NodeOrder, PairSampler, Permutation, Relabelling, Triples,
    UniformUserSampler,
};
use burn::config::Config;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_train::{
    Adam, AdamConfig, FitOptions, Losses, Metrics, RunReport, State, TrainError, Trainee, take_tensor,
};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
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
}

/// What every training needs to know; each method's settings hold one, with defaults of its own.
#[derive(Config, Debug, PartialEq)]
pub struct TrainingConfig {
    /// Width of the embeddings.
    #[config(default = 64)]
    pub dim: usize,
    /// Learning rate of Adam.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// Triples in a batch.
    #[config(default = 2048)]
    pub batch_size: usize,
    /// How triples are drawn.
    #[config(default = "Sampling::Pairs")]
    pub sampling: Sampling,
    /// How the table starts.
    #[config(default = "Initialisation::Normal { deviation: 0.1 }")]
    pub initialisation: Initialisation,
    /// How nodes are numbered inside, for locality; the result is in the original order.
    #[config(default = "NodeOrder::Clusters")]
    pub node_order: NodeOrder,
}

impl TrainingConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// With the first that is out of its range.
    pub fn validate(&self, check: &Check) -> Result<(), MethodError> {
        check.count("dim", self.dim)?;
        check.count("batch_size", self.batch_size)?;
        check.positive("learning_rate", self.learning_rate)?;
        if let Initialisation::Normal { deviation } = self.initialisation {
            check.positive("deviation of the initialisation", deviation)?;
        }
        Ok(())
    }
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

/// A method in training: the node table, its optimiser, the sampler, and what it is evaluated on.
#[derive(Debug)]
pub struct Training<M: Method> {
    method: M,
    config: serde_json::Value,
    settings: TrainingConfig,
    order: Relabelling,
    sampler: Sampler,
    /// From the numbers under which triples are drawn to the internal ones, where they differ.
    renumber: Option<[Vec<u32>; 2]>,
    triples: Triples,
    table: Tensor<2>,
    adam: Adam,
    data: Dataset,
    cutoffs: Vec<usize>,
    parts: Parts,
}

impl<M: Method> Training<M> {
    /// Prepares a training on `data.train`. `build` gets the training pairs under their internal numbers.
    ///
    /// # Errors
    /// When the data cannot be sampled, or the method not be built.
    pub fn new(
        settings: &TrainingConfig,
        config: serde_json::Value,
        data: &Dataset,
        options: &FitOptions,
        build: impl FnOnce(&Interactions) -> Result<M, MethodError>,
    ) -> Result<Self, MethodError> {
        let (users, items) = (data.train.num_users(), data.train.num_items());
        let order = settings.node_order.relabelling(&data.train);
        let train = order.apply(&data.train);
        let drawn = settings.node_order.drawn_in(&data.train);
        let renumber = (drawn != order).then(|| drawn.to(&order));
        let drawn = drawn.apply(&data.train);
        let policy = match settings.sampling {
            Sampling::Pairs | Sampling::UniformUsers => NegativePolicy::Reject,
            Sampling::PairsUnchecked | Sampling::UniformUsersUnchecked => NegativePolicy::Unchecked,
        };
        let sampler = match settings.sampling {
            Sampling::Pairs | Sampling::PairsUnchecked => Sampler::Pairs(PairSampler::new(&drawn, policy)?),
            Sampling::UniformUsers | Sampling::UniformUsersUnchecked => {
                Sampler::Users(UniformUserSampler::new(&drawn, policy)?)
            }
        };
        let method = build(&train)?;
        let device = options.device().clone().inner();
        let table =
            initial(settings.initialisation, [users, items], settings.dim, options.seed_value(), &order, &device);
        let adam = Adam::new(AdamConfig::new().with_lr(settings.learning_rate));
        let cutoffs = [20, 40].into_iter().filter(|k| *k <= items).collect();
        let parts = Parts::default();
        Ok(Self {
            method,
            config,
            settings: settings.clone(),
            order,
            sampler,
            renumber,
            triples: Triples::default(),
            table,
            adam,
            data: data.clone(),
            cutoffs,
            parts,
        })
    }

    /// Replaces the cutoffs of the evaluation, [20, 40].
    pub fn with_cutoffs(mut self, cutoffs: &[usize]) -> Self {
        self.cutoffs = cutoffs.to_vec();
        self
    }

    /// The method.
    pub fn method(&self) -> &M {
        &self.method
    }

    /// `[I + J, d]`: the node table under its internal numbers.
    pub fn table(&self) -> &Tensor<2> {
        &self.table
    }

    /// Where the time went.
    pub fn parts(&self) -> Parts {
        self.parts
    }

    /// The present embeddings, in the original order.
    pub fn embeddings(&self) -> Embeddings {
        let all = to_array(&self.method.embed(&self.table));
        let users = self.order.users.len();
        let pick = |order: &Permutation, first: usize| {
            let at: Vec<usize> = order.new_of_old().iter().map(|&new| first + new as usize).collect();
            all.select(ndarray::Axis(0), &at)
        };
        Embeddings::new(pick(&self.order.users, 0), pick(&self.order.items, users))
    }

    /// Trains with progress, checkpoints and a run folder, and returns the embeddings.
    ///
    /// # Errors
    /// When the run cannot go on.
    pub fn fit(mut self, options: &FitOptions) -> Result<Embeddings, MethodError> {
        let report: RunReport = contrastive_train::fit(&mut self, options)?;
        Ok(self.embeddings().with_report(report))
    }
}

impl<M: Method> Training<M> {
    /// Reorders the rows of every table of a state: a checkpoint is in the original numbers, so that it does not depend on the order
    /// (nor on the CPU that found it).
    fn reorder(&self, state: &mut State, rows: impl Fn(&Permutation) -> Vec<u32>) {
        let joint = self.order.joint();
        if joint.is_identity() {
            return;
        }
        let rows = rows(&joint);
        for data in state.values_mut() {
            let shape: Vec<usize> = data.shape().iter().copied().collect();
            if let [nodes, width] = shape[..]
                && nodes == rows.len()
            {
                let old: Vec<f32> = data.iter::<f32>().collect();
                let new: Vec<f32> =
                    rows.iter().flat_map(|&row| &old[row as usize * width..][..width]).copied().collect();
                *data = TensorData::new(new, shape);
            }
        }
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
        for &new in order.new_of_old() {
            for x in &mut values[(first + new as usize) * dim..][..dim] {
                *x = match how {
                    Initialisation::XavierUniform => (2.0 * rng.random::<f64>() - 1.0) * bound,
                    Initialisation::Normal { deviation } => deviation * normal(&mut rng),
                } as f32;
            }
        }
    }
    Tensor::from_data(TensorData::new(values, [users + items, dim]), device)
}

/// A standard normal number (Box and Muller).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v) = (1.0 - rng.random::<f64>(), rng.random::<f64>());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

impl<M: Method> Trainee for Training<M> {
    fn name(&self) -> &str {
        self.method.name()
    }

    fn config(&self) -> serde_json::Value {
        serde_json::json!({
            "method": self.method.name(),
            "settings": self.config,
            "data": {
                "name": self.data.name,
                "users": self.data.train.num_users(),
                "items": self.data.train.num_items(),
                "train": self.data.train.len(),
                "test": self.data.test.len(),
            },
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
        self.method.begin_epoch(rng).map_err(TrainError::trainee)?;
        self.parts.sampling += start.elapsed();
        Ok(self.triples.num_batches(self.settings.batch_size))
    }

    fn step(&mut self, step: usize) -> Result<Losses, TrainError> {
        let batch = self.triples.batch(step, self.settings.batch_size);
        let start = Instant::now();
        let table = Tensor::<2>::from_inner(self.table.clone()).require_grad();
        let encoded = self.method.encode(&table);
        let forward = Instant::now();
        let losses = self.method.losses(&table, &encoded, &batch);
        let total = losses.iter().map(|(_, l)| l.clone()).reduce(|a, b| a + b).expect("a method has a loss");
        let objective = Instant::now();
        drop(encoded);
        let mut gradients = total.backward();
        let gradient = table.grad_remove(&mut gradients).expect("the losses depend on the table");
        drop((table, gradients));
        let backward = Instant::now();
        let before = std::mem::replace(&mut self.table, Tensor::empty([1, 1], &gradient.device()));
        self.table = self.adam.step(before, gradient);
        let values = losses
            .into_iter()
            .map(|(name, l)| (name, l.into_data().iter::<f64>().next().unwrap_or(f64::NAN)))
            .collect::<Vec<_>>();
        let end = Instant::now();
        self.parts.propagation += (forward - start) + (backward - objective);
        self.parts.objective += objective - forward;
        self.parts.optimiser += end - backward;
        let sum = values.iter().map(|(_, v)| v).sum();
        Ok([vec![("loss", sum)], values].concat())
    }

    fn evaluate(&mut self) -> Result<Option<Metrics>, TrainError> {
        if self.cutoffs.is_empty() {
            return Ok(None);
        }
        let validation = self.data.validation.as_ref().filter(|v| !v.is_empty());
        let held_out = validation.unwrap_or(&self.data.test);
        if held_out.is_empty() {
            return Ok(None);
        }
        let report =
            self.embeddings().evaluate(&self.data.train, held_out, &self.cutoffs).map_err(TrainError::trainee)?;
        Ok(Some(report.iter().collect()))
    }

    fn state(&self) -> State {
        let mut state = State::new();
        state.insert("table".into(), self.table.clone().into_data());
        self.adam.save("adam", &mut state);
        self.reorder(&mut state, |order| order.new_of_old().to_vec());
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        let [rows, cols] = self.table.dims();
        self.reorder(&mut state, |order| order.old_of_new().to_vec());
        let table = take_tensor(&mut state, "table", &[rows, cols])?;
        self.table = Tensor::from_data(table, &self.table.device());
        self.adam.load("adam", &mut state, &[rows, cols])
    }

    fn model(&self) -> State {
        let embeddings = self.embeddings();
        embeddings.state()
    }

    fn artifacts(&self) -> Vec<(String, Array2<f32>)> {
        let embeddings = self.embeddings();
        vec![("users".into(), embeddings.users), ("items".into(), embeddings.items)]
    }
}
