//! Training and inference.

use super::model::{IrweInput, IrweModel, Sizes, soft_binary_nce, table};
use super::statistics::{WalkIndex, WalkStatistics, adjacency};
use crate::MethodError;
use crate::node::augment::anonymous::PatternRanks;
use crate::node::augment::walk::random_walks;
use crate::node::data::Graph;
use crate::node::method::settings::parameter_rng;
use crate::parts::to_array;
use burn::module::Module;
use burn::tensor::Device;
use contrastive_kernels::sparse::Csr;
use contrastive_nn::Pass;
use contrastive_train::{
    Batches, Budget, Check, Method, MethodConfig, Step, TrainError, Training, TrainingConfig, Weighted,
};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Settings of IRWE. All defaults are chosen, but for the width, the length and the number of walks, which are recalled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IrweConfig {
    /// D (64 for small graphs).
    pub dim: usize,
    /// l, steps of a walk (7).
    pub steps: usize,
    /// n_S, walks of a node that statistics are made of (1000).
    pub statistics_walks: usize,
    /// n_I, walks of a node that its position is read from (10); drawn anew in every step of training.
    pub encoder_walks: usize,
    /// Bins of degrees (32).
    pub bins: usize,
    /// Share of all walks whose patterns are kept, the frequent ones first (1: all).
    pub coverage: f64,
    /// Heads of both attentions (4).
    pub heads: usize,
    /// Layers of the transformer (1).
    pub layers: usize,
    /// Dropout of the transformer (0).
    pub dropout: f64,
    /// alpha, weight of the auto-encoder (1).
    pub pattern_weight: f64,
    /// tau (1).
    pub temperature: f64,
    /// Q, negatives of each positive (5).
    pub negatives: f64,
    /// m1 and m2, passes over all nodes of an epoch for identity, then for position (1, 1).
    pub passes: [usize; 2],
    /// All losses in every step instead, gradients of the position flowing into the identity.
    pub joint: bool,
    /// Seed of statistics and of the projection: part of the model, not of the run.
    pub walk_seed: u64,
    /// Budget (100 epochs), nodes of a batch (256), rate (5e-4).
    pub training: TrainingConfig,
}

impl Default for IrweConfig {
    fn default() -> Self {
        Self {
            dim: 64,
            steps: 7,
            statistics_walks: 1000,
            encoder_walks: 10,
            bins: 32,
            coverage: 1.0,
            heads: 4,
            layers: 1,
            dropout: 0.0,
            pattern_weight: 1.0,
            temperature: 1.0,
            negatives: 5.0,
            passes: [1, 1],
            joint: false,
            walk_seed: 0,
            training: TrainingConfig::new(Budget::Epochs(100), 256, 5e-4),
        }
    }
}

impl MethodConfig for IrweConfig {
    type Method = Irwe;
    type Data = Graph;
    type Error = MethodError;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("irwe");
        let fits = (2..=PatternRanks::MOST_STEPS).contains(&self.steps);
        check.that(fits, "steps", self.steps, format!("2 to {}", PatternRanks::MOST_STEPS))?;
        check.that(
            self.heads > 0 && self.dim.is_multiple_of(self.heads.max(1)),
            "heads",
            self.heads,
            "a divisor of dim",
        )?;
        for (setting, value) in [
            ("dim", self.dim),
            ("statistics_walks", self.statistics_walks),
            ("encoder_walks", self.encoder_walks),
            ("bins", self.bins),
            ("layers", self.layers),
        ] {
            check.count(setting, value)?;
        }
        check.positive("coverage", self.coverage)?;
        check.probability("coverage", self.coverage)?;
        check.share("dropout", self.dropout)?;
        check.weight("pattern_weight", self.pattern_weight)?;
        check.positive("temperature", self.temperature)?;
        check.positive("negatives", self.negatives)?;
        check.that(self.joint || self.passes != [0, 0], "passes", "[0, 0]", "1 or more of one kind")?;
        Ok(self.training.validate()?)
    }

    fn build(&self, graph: &Graph, seed: u64, device: &Device) -> Result<Training<Irwe>, MethodError> {
        self.validate()?;
        let adjacency = adjacency(graph)?;
        let sizes = [self.statistics_walks, self.steps, self.bins];
        let (index, statistics) = WalkStatistics::sampled(graph, sizes, self.coverage, None, self.walk_seed)?;
        let sizes = Sizes {
            length: self.steps + 1,
            patterns: index.num_patterns(),
            bins: self.bins,
            dim: self.dim,
            heads: self.heads,
            layers: self.layers,
            dropout: self.dropout,
        };
        let model = IrweModel::new(&sizes, &mut parameter_rng(seed), &device.clone().autodiff())?;
        let device = device.clone().inner();
        let input = IrweInput::new(&index, &statistics, self.dim, self.walk_seed, None, &device);
        let data = serde_json::json!({
            "name": graph.name(), "nodes": graph.num_nodes(), "entries": adjacency.nnz(), "digest": graph.digest().to_string(),
        });
        let linked: Vec<u32> =
            (0..graph.num_nodes() as u32).filter(|&node| !adjacency.row(node as usize).0.is_empty()).collect();
        let batches = Batches::shuffled(linked.len(), self.training.batch_size)?;
        let noise = noise(&statistics.visits, self.negatives);
        let config = self.clone();
        let method = Irwe {
            config,
            adjacency,
            index,
            statistics,
            input,
            data,
            device,
            linked,
            batches,
            noise,
            epoch: Vec::new(),
        };
        Ok(Training::new(method, model, &self.training, seed)?)
    }
}

/// `Q n_j` of each node: proportional to the number of visits to the power of 3/4.
fn noise(visits: &Csr<f64>, negatives: f64) -> Vec<f64> {
    let mut of_node = vec![0.0; visits.cols()];
    for row in 0..visits.rows() {
        let (columns, shares) = visits.row(row);
        columns.iter().zip(shares).for_each(|(&column, share)| of_node[column as usize] += share);
    }
    of_node.iter_mut().for_each(|count: &mut f64| *count = count.powf(0.75));
    let sum: f64 = of_node.iter().sum();
    of_node.iter().map(|count| negatives * count / sum).collect()
}

/// IRWE in training.
#[derive(Clone, Debug)]
pub struct Irwe {
    config: IrweConfig,
    adjacency: Csr<f64>,
    index: WalkIndex,
    statistics: WalkStatistics,
    input: IrweInput,
    data: serde_json::Value,
    device: Device,
    /// Nodes with neighbours.
    linked: Vec<u32>,
    batches: Batches,
    noise: Vec<f64>,
    /// The batches of the epoch: nodes, and which losses.
    epoch: Vec<(Vec<u32>, Part)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Identity,
    Position,
    Both,
}

/// Nodes of a step, and their walks.
#[derive(Clone, Debug)]
pub struct IrweBatch {
    nodes: Vec<u32>,
    walks: Vec<u32>,
    part: Part,
}

/// What inference gives. Rows of nodes without neighbours are 0.
#[derive(Clone, Debug, PartialEq)]
pub struct IrweEmbeddings {
    /// psi, `[nodes, dim]`: the role.
    pub identity: Array2<f32>,
    /// gamma, `[nodes, dim]`: the place; comparable within a graph only.
    pub position: Array2<f32>,
    /// Nodes without neighbours.
    pub isolated: Vec<u32>,
    /// The share of walks whose pattern was not seen in training and left out.
    pub unseen: f64,
}

impl Irwe {
    /// The patterns and bins of training.
    pub fn index(&self) -> &WalkIndex {
        &self.index
    }

    /// The statistics of the training graph.
    pub fn statistics(&self) -> &WalkStatistics {
        &self.statistics
    }

    /// The networks' inputs for the training graph.
    pub fn input(&self) -> &IrweInput {
        &self.input
    }

    /// Embeddings of the training graph by a model outside of autodiff.
    pub fn embed(&self, model: &IrweModel) -> IrweEmbeddings {
        self.embed_input(model, &self.input, &self.adjacency, &self.statistics)
    }

    /// Embeddings of another graph, or of the training graph grown by new nodes, by a model outside of autodiff: walks on the new graph,
    /// patterns and bins of training. `known` says which number a node had in training, `None` for a new one; without, all are new.
    ///
    /// # Errors
    /// When the graph is directed or has no edges.
    ///
    /// # Panics
    /// When `known` is of another number of nodes.
    pub fn infer(
        &self,
        model: &IrweModel,
        graph: &Graph,
        known: Option<&[Option<u32>]>,
    ) -> Result<IrweEmbeddings, MethodError> {
        let adjacency = adjacency(graph)?;
        let IrweConfig { statistics_walks, steps, bins, coverage, walk_seed, dim, .. } = self.config;
        let sizes = [statistics_walks, steps, bins];
        let (_, statistics) = WalkStatistics::sampled(graph, sizes, coverage, Some(&self.index), walk_seed)?;
        let fresh = vec![None; graph.num_nodes()];
        let known = known.unwrap_or(&fresh);
        let input = IrweInput::new(&self.index, &statistics, dim, walk_seed, Some(known), &self.device);
        Ok(self.embed_input(model, &input, &adjacency, &statistics))
    }

    fn embed_input(
        &self,
        model: &IrweModel,
        input: &IrweInput,
        adjacency: &Csr<f64>,
        statistics: &WalkStatistics,
    ) -> IrweEmbeddings {
        let all: Vec<u32> = (0..statistics.num_nodes() as u32).collect();
        let psi = model.identity.forward(input, &all, model.identity.patterns(input));
        let mut identity = to_array(&psi);
        let mut position = Array2::zeros(identity.dim());
        let (per_node, length) = (self.config.encoder_walks, self.config.steps + 1);
        for some in all.chunks(1024) {
            let walks = random_walks(adjacency, some, per_node, length - 1, self.config.walk_seed ^ 1);
            let walks = walks.expect("nodes of the graph").nodes;
            let gamma = model.position.forward(input, &walks, [per_node, length], &psi, &mut Pass::evaluation());
            let first = some[0] as usize;
            position.slice_mut(ndarray::s![first..first + some.len(), ..]).assign(&to_array(&gamma));
        }
        for &node in &statistics.isolated {
            identity.row_mut(node as usize).fill(0.0);
            position.row_mut(node as usize).fill(0.0);
        }
        IrweEmbeddings { identity, position, isolated: statistics.isolated.clone(), unseen: statistics.unseen }
    }

    /// `p_ij` of the batch: the share of j among the nodes that walks from i visit, i itself left out.
    fn targets(&self, nodes: &[u32]) -> Vec<f32> {
        let mut at = vec![usize::MAX; self.adjacency.rows()];
        nodes.iter().enumerate().for_each(|(place, &node)| at[node as usize] = place);
        let mut targets = vec![0f32; nodes.len() * nodes.len()];
        for (row, &node) in nodes.iter().enumerate() {
            let (columns, shares) = self.statistics.visits.row(node as usize);
            let own = columns.iter().position(|&column| column == node).map_or(0.0, |place| shares[place]);
            for (&column, &share) in columns.iter().zip(shares) {
                let place = at[column as usize];
                if column != node && place != usize::MAX {
                    targets[row * nodes.len() + place] = (share / (1.0 - own)) as f32;
                }
            }
        }
        targets
    }
}

impl Method for Irwe {
    type Model = IrweModel;
    type Batch = IrweBatch;

    fn name(&self) -> &str {
        "irwe"
    }

    fn config(&self) -> serde_json::Value {
        let mut config = serde_json::to_value(&self.config).unwrap_or_default();
        if let Some(settings) = config.as_object_mut() {
            settings.remove("training");
        }
        config
    }

    fn data(&self) -> serde_json::Value {
        self.data.clone()
    }

    fn begin_epoch(&mut self, epoch: usize, mut rng: ChaCha8Rng) -> Result<usize, TrainError> {
        let parts: Vec<Part> = if self.config.joint {
            vec![Part::Both]
        } else {
            let [identity, position] = self.config.passes;
            [vec![Part::Identity; identity], vec![Part::Position; position]].concat()
        };
        self.epoch.clear();
        for part in parts {
            for batch in self.batches.epoch(epoch, &mut rng) {
                self.epoch.push((batch.into_iter().map(|at| self.linked[at]).collect(), part));
            }
        }
        Ok(self.epoch.len())
    }

    fn batch(&mut self, step: Step) -> Result<IrweBatch, TrainError> {
        let (nodes, part) = self.epoch[step.batch].clone();
        let walks = if part == Part::Identity {
            Vec::new()
        } else {
            let seed = rand_chacha::rand_core::Rng::next_u64(&mut step.rng());
            let walks = random_walks(&self.adjacency, &nodes, self.config.encoder_walks, self.config.steps, seed);
            walks.map_err(TrainError::trainee)?.nodes
        };
        Ok(IrweBatch { nodes, walks, part })
    }

    fn losses(&mut self, model: &IrweModel, batch: &IrweBatch, step: Step) -> Result<Weighted, TrainError> {
        let dtype = model.identity.maps[0].weight.val().dtype();
        let (input, config) = (self.input.tracked(dtype), &self.config);
        let mut losses: Weighted = Vec::new();
        let identity = &model.identity;
        if batch.part != Part::Position {
            let patterns = identity.patterns(&input);
            let psi = identity.forward(&input, &batch.nodes, patterns.clone());
            losses.push(("patterns", identity.pattern_loss(&input, patterns) * config.pattern_weight));
            losses.push(("statistics", identity.statistics_loss(&input, &batch.nodes, psi)));
        }
        if batch.part != Part::Identity {
            let all: Vec<u32> = (0..self.statistics.num_nodes() as u32).collect();
            let psi = identity.forward(&input, &all, identity.patterns(&input));
            let psi = if batch.part == Part::Both { psi } else { psi.detach() };
            let mut pass = Pass::training(step.seed, step.global as u64);
            let sizes = [config.encoder_walks, config.steps + 1];
            let gamma = model.position.forward(&input, &batch.walks, sizes, &psi, &mut pass);
            let contexts = model.position.contexts(gamma.clone());
            let x = gamma.matmul(contexts.transpose()) / config.temperature;
            let (count, device) = (batch.nodes.len(), x.device());
            let targets = table(self.targets(&batch.nodes), [count, count], &device).cast(x.dtype());
            let noise = batch.nodes.iter().map(|&node| self.noise[node as usize] as f32).collect();
            let noise = table(noise, [1, count], &device).cast(x.dtype());
            losses.push(("position", soft_binary_nce(x, targets, noise)));
        }
        Ok(losses)
    }

    fn artifacts(&self, model: &IrweModel) -> Vec<(String, Array2<f32>)> {
        let embeddings = self.embed(&model.valid());
        vec![("identity".into(), embeddings.identity), ("position".into(), embeddings.position)]
    }
}
