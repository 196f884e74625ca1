//! D-SLA (Kim, Baek, Hwang, NeurIPS 2022), and the same encoder trained by InfoNCE.

use crate::MethodError;
use crate::draw::{below, share_of};
use crate::graphs::augment::{EditCount, Rewired, ball, links_within, mask_labels, rewire};
use crate::graphs::data::{GraphSet, GraphUnion, SmallGraph};
use crate::graphs::encoder::{GraphEncoder, GraphEncoderConfig};
use crate::parts::to_array;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_core::objective::{DiscrepancyLearning, NtXent};
use contrastive_nn::Pass;
use contrastive_nn::encoder::{Mlp, MlpConfig};
use contrastive_train::{
    Batches, Budget, Check, Method, MethodConfig, Step, TrainError, Training, TrainingConfig, Weighted,
};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// Where a weak copy is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Region {
    /// Within so many links of a random node, the same for all candidates of a graph (molecules, proteins: 3).
    Ball(usize),
    /// Anywhere (social graphs).
    Whole,
}

/// How many pairs copy number i = 1, 2, ... has replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EditRule {
    /// `max(1, floor(share * links * i))` (molecules).
    Floored,
    /// `max(1, floor(share * links)) * i` (social graphs).
    Multiples,
}

/// What candidates are compared by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Comparison {
    /// D-SLA's objective.
    Discrepancy(DiscrepancyLearning),
    /// NT-Xent between each graph and its first weak copy, at this temperature, on the score head's hidden layer: what D-SLA is
    /// compared with.
    InfoNce {
        /// Temperature.
        temperature: f64,
    },
}

/// Settings of D-SLA; the defaults are the paper's for molecules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DslaConfig {
    /// Width D (300).
    pub dim: usize,
    /// Layers of the encoder (5).
    pub layers: usize,
    /// K, weak copies (3).
    pub weak: usize,
    /// Whether there is a strong copy, too: the whole graph changed as a copy number 4 would be, and masked (true).
    pub strong: bool,
    /// Where weak copies are changed.
    pub region: Region,
    /// How many pairs are replaced.
    pub rule: EditRule,
    /// How edits are made and counted.
    pub count: EditCount,
    /// Share of the links of the region that a copy has replaced, times its number (0.2).
    pub edit_share: f64,
    /// Share of the nodes of the region whose label is masked, in the original, too (0.8).
    pub mask_share: f64,
    /// The objective.
    pub comparison: Comparison,
    /// Budget (100 epochs), batch (256), rate (1e-3).
    pub training: TrainingConfig,
}

impl Default for DslaConfig {
    fn default() -> Self {
        Self {
            dim: 300,
            layers: 5,
            weak: 3,
            strong: true,
            region: Region::Ball(3),
            rule: EditRule::Floored,
            count: EditCount::Exact,
            edit_share: 0.2,
            mask_share: 0.8,
            comparison: Comparison::Discrepancy(DiscrepancyLearning::default()),
            training: TrainingConfig::new(Budget::Epochs(100), 256, 1e-3),
        }
    }
}

impl DslaConfig {
    /// The settings of social graphs: whole graphs, multiples of a hundredth of the links, labels of a fifth of the nodes masked, no strong
    /// copy, no margin, batches of 32. (The publication has three layers of graph convolution here; this is GIN.)
    pub fn social() -> Self {
        let objective = DiscrepancyLearning { margin_weight: 0.0, ..Default::default() };
        Self {
            layers: 3,
            strong: false,
            region: Region::Whole,
            rule: EditRule::Multiples,
            edit_share: 0.01,
            mask_share: 0.2,
            comparison: Comparison::Discrepancy(objective),
            training: TrainingConfig::new(Budget::Epochs(100), 32, 1e-3),
            ..Self::default()
        }
    }

    /// C: the original and its copies.
    pub fn candidates(&self) -> usize {
        1 + self.weak + usize::from(self.strong)
    }

    /// Sets the margin of D-SLA's objective; without effect on InfoNCE.
    #[must_use]
    pub fn with_margin(mut self, margin: f64) -> Self {
        if let Comparison::Discrepancy(objective) = &mut self.comparison {
            objective.margin = margin;
        }
        self
    }

    /// The same encoder trained by InfoNCE.
    #[must_use]
    pub fn as_info_nce(mut self, temperature: f64) -> Self {
        self.comparison = Comparison::InfoNce { temperature };
        self
    }

    /// Candidates of a graph: the original and K + 1 copies, masked each by itself.
    pub(crate) fn perturb(&self, graph: &SmallGraph, set: &SetFacts, rng: &mut ChaCha8Rng) -> Vec<Rewired> {
        let all: Vec<u32> = (0..graph.labels.len() as u32).collect();
        let region = match self.region {
            Region::Whole => all.clone(),
            Region::Ball(hops) => ball(graph, below(rng, all.len() as u32), hops),
        };
        let replace = |region: &[u32], copy: usize| {
            let links = links_within(graph, region);
            match self.rule {
                EditRule::Floored => ((self.edit_share * links as f64 * copy as f64) as usize).max(1),
                EditRule::Multiples => share_of(links, self.edit_share).max(1) * copy,
            }
        };
        let mut candidates = vec![Rewired { graph: graph.clone(), replaced: 0, edits: 0 }];
        for copy in 1..=self.weak {
            candidates.push(rewire(graph, &region, replace(&region, copy), &set.edge_shares, self.count, rng));
        }
        if self.strong {
            candidates.push(rewire(graph, &all, replace(&all, 4), &set.edge_shares, self.count, rng));
        }
        for (at, candidate) in candidates.iter_mut().enumerate() {
            let masked = if at > self.weak { &all } else { &region };
            mask_labels(&mut candidate.graph, masked, self.mask_share, set.mask, rng);
        }
        candidates
    }
}

/// What candidates need to know of their set.
#[derive(Clone, Debug)]
pub(crate) struct SetFacts {
    pub mask: u32,
    pub edge_labels: usize,
    pub edge_shares: Vec<f64>,
}

impl SetFacts {
    pub fn of(set: &GraphSet) -> Self {
        let (mask, edge_labels) = (set.num_node_labels() as u32, set.num_edge_labels());
        Self { mask, edge_labels, edge_shares: set.edge_label_shares() }
    }
}

/// Encoder and score head.
#[derive(Module, Debug)]
pub struct DslaModel {
    /// Graphs to embeddings.
    pub encoder: GraphEncoder,
    /// Embeddings to one score: three maps with ReLU between them.
    pub head: Mlp,
}

impl MethodConfig for DslaConfig {
    type Method = Dsla;
    type Data = GraphSet;
    type Error = MethodError;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("D-SLA");
        check.count("dim", self.dim)?;
        check.count("layers", self.layers)?;
        check.count("weak", self.weak)?;
        check.positive("edit_share", self.edit_share)?;
        check.probability("edit_share", self.edit_share)?;
        check.probability("mask_share", self.mask_share)?;
        self.training.validate()?;
        match &self.comparison {
            Comparison::Discrepancy(objective) => objective.validate(self.candidates(), self.training.batch_size)?,
            Comparison::InfoNce { temperature } => check.positive("temperature", *temperature)?,
        }
        Ok(check.that(self.training.batch_size >= 2, "batch_size", self.training.batch_size, "2 or more")?)
    }

    fn build(&self, set: &GraphSet, seed: u64, device: &Device) -> Result<Training<Dsla>, MethodError> {
        self.validate()?;
        Check::new("D-SLA").that(set.len() >= 2, "number of graphs", set.len(), "2 or more")?;
        let facts = SetFacts::of(set);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::MAX);
        let on = device.clone().autodiff();
        let encoder =
            GraphEncoderConfig::new(facts.mask as usize + 1, facts.edge_labels, self.dim).with_layers(self.layers);
        let head = MlpConfig::new(vec![self.dim, self.dim, self.dim, 1]);
        let model = DslaModel { encoder: encoder.init(&mut rng, &on)?, head: head.init(&mut rng, &on)? };
        let graphs: Vec<SmallGraph> = (0..set.len()).map(|graph| set.graph(graph)).collect();
        let data = serde_json::json!({
            "name": set.name(), "graphs": set.len(), "nodes": set.num_nodes(), "edges": set.num_edges(), "digest": set.digest(),
        });
        let batches = Batches::shuffled(graphs.len(), self.training.batch_size)?;
        let method = Dsla { config: self.clone(), graphs, facts, data, batches, epoch: Vec::new() };
        Ok(Training::new(method, model, &self.training, seed)?)
    }
}

/// D-SLA: fresh candidates of every graph in every epoch, all terms differentiated into the encoder.
#[derive(Clone, Debug)]
pub struct Dsla {
    config: DslaConfig,
    graphs: Vec<SmallGraph>,
    facts: SetFacts,
    data: serde_json::Value,
    batches: Batches,
    epoch: Vec<Vec<usize>>,
}

/// Candidates of some graphs in one union, and their edits.
#[derive(Clone, Debug)]
pub struct DslaBatch {
    union: GraphUnion,
    edits: Vec<f32>,
    graphs: usize,
}

impl DslaModel {
    /// Embeddings of graphs as they are, nothing masked, `[graphs, dim]`.
    ///
    /// # Panics
    /// When the labels are others than the model was made for.
    pub fn embed(&self, set: &GraphSet) -> Array2<f32> {
        let graphs: Vec<SmallGraph> = (0..set.len()).map(|graph| set.graph(graph)).collect();
        self.embed_graphs(&graphs)
    }

    /// The same of single graphs.
    ///
    /// # Panics
    /// As [`embed`](Self::embed).
    pub fn embed_graphs(&self, graphs: &[SmallGraph]) -> Array2<f32> {
        let model = &self.encoder;
        let edge_labels = model.layers[0].edges.val().dims()[0];
        let mut rows = Array2::zeros((graphs.len(), model.width()));
        for (at, some) in graphs.chunks(512).enumerate() {
            let part = to_array(&model.forward(&GraphUnion::new(some, edge_labels)));
            rows.slice_mut(ndarray::s![512 * at..512 * at + some.len(), ..]).assign(&part);
        }
        rows
    }

    /// Scores of all graphs of a union as originals, `[graphs, 1]`.
    pub(crate) fn scores(&self, union: &GraphUnion) -> Tensor<2> {
        self.head.forward(self.encoder.forward(union), &mut Pass::evaluation())
    }
}

impl Method for Dsla {
    type Model = DslaModel;
    type Batch = DslaBatch;

    fn name(&self) -> &str {
        match self.config.comparison {
            Comparison::Discrepancy(_) => "D-SLA",
            Comparison::InfoNce { .. } => "graph-InfoNCE",
        }
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
        self.epoch = self.batches.epoch(epoch, &mut rng);
        // a single graph at the end has no other: it joins the batch before
        if self.epoch.len() > 1 && self.epoch.last().is_some_and(|last| last.len() == 1) {
            let last = self.epoch.pop().unwrap_or_default();
            self.epoch.last_mut().expect("a batch before").extend(last);
        }
        Ok(self.epoch.len())
    }

    fn batch(&mut self, step: Step) -> Result<DslaBatch, TrainError> {
        let mut rng = step.rng();
        let (mut graphs, mut edits) = (Vec::new(), Vec::new());
        let batch = &self.epoch[step.batch];
        for &graph in batch {
            let candidates = self.config.perturb(&self.graphs[graph], &self.facts, &mut rng);
            let used = match self.config.comparison {
                Comparison::Discrepancy(_) => candidates.len(),
                Comparison::InfoNce { .. } => 2,
            };
            for candidate in candidates.into_iter().take(used) {
                edits.push(candidate.edits as f32);
                graphs.push(candidate.graph);
            }
        }
        Ok(DslaBatch { union: GraphUnion::new(&graphs, self.facts.edge_labels), edits, graphs: batch.len() })
    }

    fn losses(&mut self, model: &DslaModel, batch: &DslaBatch, _step: Step) -> Result<Weighted, TrainError> {
        let embeddings = model.encoder.forward(&batch.union);
        match &self.config.comparison {
            Comparison::Discrepancy(objective) => {
                let candidates = self.config.candidates();
                let scores =
                    model.head.forward(embeddings.clone(), &mut Pass::evaluation()).reshape([batch.graphs, candidates]);
                let terms = objective.terms(scores, embeddings, &batch.edits, self.config.weak);
                Ok(vec![
                    ("discrimination", terms.discrimination),
                    ("edits", terms.edits * objective.edit_weight),
                    ("margin", terms.margin * objective.margin_weight),
                ])
            }
            Comparison::InfoNce { temperature } => {
                let hidden = model.head.maps[0].forward(embeddings);
                let width = hidden.dims()[1];
                let views: Tensor<3> = hidden.reshape([batch.graphs, 2, width]);
                let view = |at: usize| -> Tensor<2> { views.clone().narrow(1, at, 1).reshape([batch.graphs, width]) };
                let objective = NtXent::new(*temperature).map_err(TrainError::trainee)?;
                Ok(vec![("nt_xent", objective.loss(view(0), view(1)))])
            }
        }
    }

    fn artifacts(&self, model: &DslaModel) -> Vec<(String, Array2<f32>)> {
        vec![("graphs".into(), model.embed_graphs(&self.graphs))]
    }
}
