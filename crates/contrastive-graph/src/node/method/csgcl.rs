//! CSGCL (Chen et al., IJCAI 2023): GRACE that knows how strong the communities of a graph are.

use super::grace::RRELU;
use super::projected::{ProjectedEncoder, Shape};
use super::settings::{full_batch, parameter_rng};
use super::{Drops, NodeData, NodeMethodConfig, NodeTraining, TwoViewMethod, TwoViews, ViewRule};
use crate::MethodError;
use crate::node::augment::community::{
    DetectOptions, Partition, community_edge_probabilities, community_feature_probabilities, community_strength,
    leiden, louvain, node_strength, team_up_ramp,
};
use crate::node::augment::edges::EdgeDraw;
use crate::node::data::Graph;
use crate::node::encoder::LayerKind;
use burn::config::Config;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_core::error::ObjectiveError;
use contrastive_core::objective::{Inputs, PairObjective};
use contrastive_core::pairs::Pairs;
use contrastive_nn::layer::Activation;
use contrastive_train::{Check, TrainingConfig};

/// Which detector of communities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Detector {
    /// [`leiden`].
    #[default]
    Leiden,
    /// [`louvain`].
    Louvain,
}

/// Settings of [`Csgcl`]; the defaults are those of the released code, and each of its data sets has a function.
#[derive(Config, Debug, PartialEq)]
pub struct CsgclConfig {
    /// Width D of the embeddings; hidden layers of the encoder have 2 D.
    #[config(default = 256)]
    pub dim: usize,
    /// Hidden width P of the projector.
    #[config(default = 32)]
    pub projection: usize,
    /// Layers of the encoder.
    #[config(default = 2)]
    pub layers: usize,
    /// What the encoder is made of.
    #[config(default = "LayerKind::Gcn")]
    pub layer: LayerKind,
    /// What follows every layer of the encoder, the last included.
    #[config(default = "Activation::PRelu")]
    pub activation: Activation,
    /// Mean shares of edges dropped in the two views (CED), 0 to 1.
    #[config(default = "[0.3, 0.4]")]
    pub edge_drop: [f64; 2],
    /// Mean shares of feature columns set to 0 in the two views (CAV), 0 to 1.
    #[config(default = "[0.1, 0.0]")]
    pub feature_drop: [f64; 2],
    /// Highest drop probability of an edge, 0 to 1.
    #[config(default = 1.0)]
    pub edge_threshold: f64,
    /// Highest drop probability of a feature column, 0 to 1.
    #[config(default = 1.0)]
    pub feature_threshold: f64,
    /// Whether both directions of an edge are dropped together. The released code draws per entry.
    #[config(default = "EdgeDraw::PerPair")]
    pub edge_draw: EdgeDraw,
    /// How communities are found.
    #[config(default = "Detector::Leiden")]
    pub detector: Detector,
    /// Resolution of the detection; 1 is modularity.
    #[config(default = 1.0)]
    pub resolution: f64,
    /// Seed of the detection.
    #[config(default = 0)]
    pub detection_seed: u64,
    /// Temperature of the contrast.
    #[config(default = 0.4)]
    pub temperature: f64,
    /// Epoch t0 after which the communities' weight gamma grows, by 1 in 100 epochs.
    #[config(default = 500)]
    pub team_up_start: usize,
    /// The largest gamma; 0 for GRACE's objective.
    #[config(default = 1.0)]
    pub team_up_largest: f64,
    /// Whether feature rows are divided by their sum first.
    #[config(default = true)]
    pub normalise_features: bool,
    /// Epochs of the publication, a step of the whole graph each; rate, and coupled decay of Adam.
    #[config(default = "full_batch(3000, 1e-2, 1e-5)")]
    pub training: TrainingConfig,
}

impl CsgclConfig {
    /// A column of the released settings: widths, drops, temperature and rate, epochs and t0, the largest gamma.
    fn published(
        [dim, projection]: [usize; 2],
        edge_drop: [f64; 2],
        feature_drop: [f64; 2],
        [temperature, learning_rate]: [f64; 2],
        [epochs, start]: [usize; 2],
        largest: f64,
    ) -> Self {
        let config = Self::new().with_dim(dim).with_projection(projection).with_edge_drop(edge_drop);
        let config = config.with_feature_drop(feature_drop).with_temperature(temperature).with_epochs(epochs);
        config.with_learning_rate(learning_rate).with_team_up_start(start).with_team_up_largest(largest)
    }

    /// WikiCS.
    pub fn wiki_cs() -> Self {
        Self::published([256, 256], [0.2, 0.7], [0.1, 0.2], [0.6, 1e-2], [2000, 1000], 10.0)
    }

    /// Amazon-Computers.
    pub fn computers() -> Self {
        Self::published([512, 128], [0.6, 0.7], [0.1, 0.1], [0.2, 5e-3], [2500, 2000], 5.0)
    }

    /// Amazon-Photo.
    pub fn photo() -> Self {
        let config = Self::published([256, 64], [0.5, 0.7], [0.1, 0.1], [0.3, 1e-1], [3000, 2000], 1.0);
        config.with_activation(Activation::Relu)
    }

    /// Coauthor-CS.
    pub fn coauthor_cs() -> Self {
        let config = Self::published([256, 256], [0.1, 0.1], [0.1, 0.5], [0.4, 5e-4], [4600, 1500], 1.0);
        config.with_activation(RRELU)
    }

    fn shape(&self) -> Shape {
        let &Self { layer, layers, dim, projection, activation, .. } = self;
        Shape { layer, layers, dim, projection, activation }
    }

    /// The method with given communities instead of its own detection.
    ///
    /// # Errors
    /// As [`build`](NodeMethodConfig::build), and when the partition does not cover the nodes.
    pub fn build_with_partition(
        &self,
        graph: &Graph,
        partition: Partition,
        seed: u64,
        device: &Device,
    ) -> Result<NodeTraining<Csgcl>, MethodError> {
        self.validate()?;
        let data = NodeData::new("csgcl", graph, self.normalise_features, self.layer, device)?;
        self.on(data, partition, seed, device)
    }

    fn on(
        &self,
        data: NodeData,
        partition: Partition,
        seed: u64,
        device: &Device,
    ) -> Result<NodeTraining<Csgcl>, MethodError> {
        let graph = data.adjacency();
        let strength = community_strength(graph, &partition)?;
        let rule = |k: usize| -> Result<ViewRule, MethodError> {
            let (p, cut) = (self.edge_drop[k], self.edge_threshold);
            let edges = community_edge_probabilities(graph, &partition, &strength, p, cut)?;
            let (view, p, cut) = (data.feature_view(), self.feature_drop[k], self.feature_threshold);
            let columns = community_feature_probabilities(view, &partition, &strength, p, cut)?;
            Ok(ViewRule { edges: Drops::Each(edges), columns: Drops::Each(columns) })
        };
        let rules = [rule(0)?, rule(1)?];
        let objective = TeamUp::new(self.temperature, &node_strength(&partition, &strength)?)?;
        let model = self.shape().init(data.num_features(), &mut parameter_rng(seed), &device.clone().autodiff())?;
        let views = TwoViews::new(data, rules, self.edge_draw)?;
        let ramp = (self.team_up_start, self.team_up_largest);
        let method = Csgcl { views, partition, strength, objective, ramp };
        NodeTraining::new(method, model, &self.training, self, seed)
    }
}

impl NodeMethodConfig for CsgclConfig {
    type Method = Csgcl;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("csgcl");
        self.shape().validate(&check)?;
        check.probabilities("edge_drop", &self.edge_drop)?;
        check.probabilities("feature_drop", &self.feature_drop)?;
        check.probabilities("edge_threshold", &[self.edge_threshold])?;
        check.probabilities("feature_threshold", &[self.feature_threshold])?;
        check.positive("resolution", self.resolution)?;
        check.weight("team_up_largest", self.team_up_largest)?;
        TeamUp::new(self.temperature, &[])?;
        Ok(self.training.validate()?)
    }

    fn training(&self) -> &TrainingConfig {
        &self.training
    }

    fn training_mut(&mut self) -> &mut TrainingConfig {
        &mut self.training
    }

    fn build(&self, graph: &Graph, seed: u64, device: &Device) -> Result<NodeTraining<Csgcl>, MethodError> {
        self.validate()?;
        let data = NodeData::new("csgcl", graph, self.normalise_features, self.layer, device)?;
        let options = DetectOptions { resolution: self.resolution, seed: self.detection_seed, ..Default::default() };
        let detect = match self.detector {
            Detector::Leiden => leiden,
            Detector::Louvain => louvain,
        };
        let partition = detect(data.adjacency(), &options)?;
        self.on(data, partition, seed, device)
    }
}

/// The "team-up" objective: GRACE's with similarities `cos(a_i, b_j) + gamma (n_i + n_j)` for nodes in communities of strength
/// n (Chen et al. 2023, section 4.3), at a temperature T.
///
/// The anchor's own term cancels, so this is GRACE with candidate weights `w_j = exp(gamma n_j / T)`, positives included:
///
/// ```text
/// l_i = -log  w_i e^{s_ii / T} / (sum_j w_j e^{s(u_i, v_j) / T} + sum_{j != i} w_j e^{s(u_i, u_j) / T})
/// ```
#[derive(Clone, Debug)]
pub struct TeamUp {
    objective: PairObjective,
    /// `n_j / T` less their mean, which cancels; empty where all are equal.
    logits: Vec<f64>,
    nodes: usize,
}

impl TeamUp {
    /// For nodes of these strengths.
    ///
    /// # Errors
    /// When the temperature is not a finite number above 0, or a strength is not finite.
    pub fn new(temperature: f64, strength: &[f64]) -> Result<Self, ObjectiveError> {
        let objective = PairObjective::new(temperature)?.with_pairs(Pairs::TwoViews);
        let nodes = strength.len();
        let mean = strength.iter().sum::<f64>() / nodes.max(1) as f64;
        if !mean.is_finite() {
            return Err(ObjectiveError::Contradiction("strengths of communities are finite numbers"));
        }
        let mut logits: Vec<f64> = strength.iter().map(|n| (n - mean) / temperature).collect();
        if logits.iter().all(|logit| logit.abs() <= 1e-12) {
            logits.clear();
        }
        Ok(Self { objective, logits, nodes })
    }

    /// The value `[1]` for two views `[nodes, d]` at this gamma, the mean over nodes and both directions.
    ///
    /// # Panics
    /// When the views do not have a row for each node.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>, gamma: f64) -> Tensor<1> {
        let (one, two) = (first.dims(), second.dims());
        assert!(one == two && one[0] == self.nodes, "views {one:?} and {two:?} of {} nodes", self.nodes);
        let rows = Tensor::cat(vec![first, second], 0);
        let inputs = Inputs::self_contrast(rows.clone());
        if gamma == 0.0 || self.logits.is_empty() {
            return self.objective.loss(&inputs);
        }
        let bias: Vec<f64> = self.logits.iter().chain(&self.logits).map(|logit| gamma * logit).collect();
        let bias = Tensor::from_data(TensorData::new(bias, [2 * self.nodes]), (&rows.device().inner(), rows.dtype()));
        self.objective.loss(&inputs.with_bias(bias))
    }
}

/// CSGCL: edges between communities or inside weak ones are dropped first (CED), so are features that weak communities vote
/// for (CAV), and the objective tilts towards nodes of strong communities from an epoch on ([`TeamUp`]).
///
/// The loss jumps while gamma grows: do not stop early by it. With a single community all strengths are 0, and the method is
/// GRACE.
#[derive(Clone, Debug)]
pub struct Csgcl {
    views: TwoViews,
    partition: Partition,
    strength: Vec<f64>,
    objective: TeamUp,
    ramp: (usize, f64),
}

impl Csgcl {
    /// The communities.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// The strength of each community; their sum is the modularity.
    pub fn strength(&self) -> &[f64] {
        &self.strength
    }

    /// The objective.
    pub fn objective(&self) -> &TeamUp {
        &self.objective
    }
}

impl TwoViewMethod for Csgcl {
    type Model = ProjectedEncoder;

    fn method_name(&self) -> &'static str {
        "csgcl"
    }

    fn views(&self) -> &TwoViews {
        &self.views
    }

    fn contrast(&self, [first, second]: [Tensor<2>; 2], epoch: usize) -> Result<Tensor<1>, MethodError> {
        let gamma = team_up_ramp(epoch, self.ramp.0, self.ramp.1)?;
        Ok(self.objective.loss(first, second, gamma))
    }
}
