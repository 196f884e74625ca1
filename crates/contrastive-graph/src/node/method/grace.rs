//! GRACE (Zhu et al., ICML workshop 2020), and with adaptive corruption GCA (Zhu et al., WWW 2021).

use super::gca::{Centrality, Corruption};
use super::projected::{ProjectedEncoder, Shape};
use super::settings::{full_batch, parameter_rng};
use super::{NodeData, NodeMethodConfig, NodeTraining, TwoViewMethod, TwoViews};
use crate::MethodError;
use crate::node::augment::edges::EdgeDraw;
use crate::node::data::Graph;
use crate::node::encoder::LayerKind;
use burn::config::Config;
use burn::tensor::{Device, Tensor};
use contrastive_core::objective;
use contrastive_nn::layer::Activation;
use contrastive_train::{Check, TrainingConfig};

/// Settings of [`Grace`]; the defaults are the paper's for Cora, and each data set of the two papers has a function.
#[derive(Config, Debug, PartialEq)]
pub struct GraceConfig {
    /// Width D of the embeddings; hidden layers of the encoder have 2 D.
    #[config(default = 128)]
    pub dim: usize,
    /// Hidden width P of the projector.
    #[config(default = 128)]
    pub projection: usize,
    /// Layers of the encoder.
    #[config(default = 2)]
    pub layers: usize,
    /// What the encoder is made of.
    #[config(default = "LayerKind::Gcn")]
    pub layer: LayerKind,
    /// What follows every layer of the encoder, the last included.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// Shares of edges dropped in the two views, 0 to 1.
    #[config(default = "[0.2, 0.4]")]
    pub edge_drop: [f64; 2],
    /// Shares of feature columns set to 0 in the two views, 0 to 1.
    #[config(default = "[0.3, 0.4]")]
    pub feature_drop: [f64; 2],
    /// What decides which.
    #[config(default = "Corruption::Uniform")]
    pub corruption: Corruption,
    /// Whether both directions of an edge are dropped together. The released codes draw per entry.
    #[config(default = "EdgeDraw::PerPair")]
    pub edge_draw: EdgeDraw,
    /// Temperature of the contrast.
    #[config(default = 0.4)]
    pub temperature: f64,
    /// Whether other nodes of an anchor's own view are negatives, too.
    #[config(default = true)]
    pub within_views: bool,
    /// Whether feature rows are divided by their sum first.
    #[config(default = true)]
    pub normalise_features: bool,
    /// Epochs of the publication, a step of the whole graph each; rate, and coupled decay of Adam.
    #[config(default = "full_batch(200, 5e-4, 1e-5)")]
    pub training: TrainingConfig,
}

/// In place of the randomised leaky ReLU of the released code: its slope in evaluation, the mean of 1/8 and 1/3.
pub(super) const RRELU: Activation = Activation::LeakyRelu(11.0 / 48.0);

impl GraceConfig {
    /// Cora (the defaults).
    pub fn cora() -> Self {
        Self::new()
    }

    /// The numbers of a row of the papers' tables: widths, activation, drops, temperature, rate, epochs.
    fn published(
        [dim, projection]: [usize; 2],
        activation: Activation,
        edge_drop: [f64; 2],
        feature_drop: [f64; 2],
        [temperature, learning_rate]: [f64; 2],
        epochs: usize,
    ) -> Self {
        let config = Self::new().with_dim(dim).with_projection(projection).with_activation(activation);
        let config = config.with_edge_drop(edge_drop).with_feature_drop(feature_drop).with_temperature(temperature);
        config.with_learning_rate(learning_rate).with_epochs(epochs)
    }

    /// CiteSeer.
    pub fn citeseer() -> Self {
        Self::published([256, 256], Activation::PRelu, [0.2, 0.0], [0.3, 0.2], [0.9, 1e-3], 200)
    }

    /// PubMed.
    pub fn pubmed() -> Self {
        Self::published([256, 256], Activation::Relu, [0.4, 0.1], [0.0, 0.2], [0.7, 1e-3], 1500)
    }

    /// DBLP.
    pub fn dblp() -> Self {
        Self::published([256, 256], Activation::Relu, [0.1, 0.4], [0.1, 0.0], [0.7, 1e-3], 1000)
    }

    /// GCA on WikiCS.
    pub fn wiki_cs(centrality: Centrality) -> Self {
        Self::published([256, 256], Activation::PRelu, [0.2, 0.3], [0.1, 0.1], [0.4, 1e-2], 3000).adaptive(centrality)
    }

    /// GCA on Amazon-Computers.
    pub fn computers(centrality: Centrality) -> Self {
        Self::published([128, 128], RRELU, [0.6, 0.3], [0.2, 0.3], [0.2, 1e-2], 2000).adaptive(centrality)
    }

    /// GCA on Amazon-Photo.
    pub fn photo(centrality: Centrality) -> Self {
        Self::published([256, 64], Activation::Relu, [0.3, 0.5], [0.1, 0.1], [0.3, 1e-1], 2000).adaptive(centrality)
    }

    /// GCA on Coauthor-CS.
    pub fn coauthor_cs(centrality: Centrality) -> Self {
        Self::published([256, 256], RRELU, [0.3, 0.2], [0.3, 0.4], [0.4, 5e-4], 1000).adaptive(centrality)
    }

    /// GCA on Coauthor-Physics.
    pub fn physics(centrality: Centrality) -> Self {
        Self::published([128, 64], RRELU, [0.4, 0.1], [0.1, 0.4], [0.5, 1e-2], 1500).adaptive(centrality)
    }

    /// GCA's corruption ([`Corruption::adaptive`]).
    pub fn adaptive(self, centrality: Centrality) -> Self {
        self.with_corruption(Corruption::adaptive(centrality))
    }

    fn name(&self) -> &'static str {
        if self.corruption == Corruption::Uniform { "grace" } else { "gca" }
    }

    fn shape(&self) -> Shape {
        let &Self { layer, layers, dim, projection, activation, .. } = self;
        Shape { layer, layers, dim, projection, activation }
    }

    fn objective(&self) -> Result<objective::Grace, MethodError> {
        let objective = objective::Grace::new(self.temperature)?;
        Ok(if self.within_views { objective } else { objective.with_inter_view_only() })
    }
}

impl NodeMethodConfig for GraceConfig {
    type Method = Grace;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new(self.name());
        self.shape().validate(&check)?;
        check.probabilities("edge_drop", &self.edge_drop)?;
        check.probabilities("feature_drop", &self.feature_drop)?;
        if let Corruption::Adaptive { cut, .. } = self.corruption {
            check.probabilities("cut of the corruption", &[cut])?;
        }
        self.objective()?;
        Ok(self.training.validate()?)
    }

    fn training(&self) -> &TrainingConfig {
        &self.training
    }

    fn training_mut(&mut self) -> &mut TrainingConfig {
        &mut self.training
    }

    fn build(&self, graph: &Graph, seed: u64, device: &Device) -> Result<NodeTraining<Grace>, MethodError> {
        self.validate()?;
        let data = NodeData::new(self.name(), graph, self.normalise_features, self.layer, device)?;
        let rules = self.corruption.rules(graph, &data, self.edge_drop, self.feature_drop)?;
        let model = self.shape().init(data.num_features(), &mut parameter_rng(seed), &device.clone().autodiff())?;
        let views = TwoViews::new(data, rules, self.edge_draw)?;
        let method = Grace { name: self.name(), views, objective: self.objective()? };
        NodeTraining::new(method, model, &self.training, self, seed)
    }
}

/// GRACE: two views of a graph by dropping edges and masking feature columns, one encoder and projector for both, and
/// [`Grace`](objective::Grace)'s objective over all nodes. No matrix of nodes by nodes is ever made.
#[derive(Clone, Debug)]
pub struct Grace {
    name: &'static str,
    views: TwoViews,
    objective: objective::Grace,
}

impl Grace {
    /// The objective.
    pub fn objective(&self) -> &objective::Grace {
        &self.objective
    }
}

impl TwoViewMethod for Grace {
    type Model = ProjectedEncoder;

    fn method_name(&self) -> &'static str {
        self.name
    }

    fn views(&self) -> &TwoViews {
        &self.views
    }

    fn contrast(&self, [first, second]: [Tensor<2>; 2], _epoch: usize) -> Result<Tensor<1>, MethodError> {
        Ok(self.objective.loss(first, second))
    }
}
