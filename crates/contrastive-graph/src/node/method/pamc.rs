//! PamC: clusters of nodes by contrast with meta-nodes (Kulatilleke, Portmann, Chandra, arXiv 2209.14067).

use super::data::{input, largest, summary};
use super::settings::full_batch;
use super::{AutoEncoderConfig, NodeEmbeddings, NodeMethod, NodeMethodConfig, NodeTraining, powers};
use crate::MethodError;
use crate::node::data::{Graph, Loops, Normalisation};
use crate::node::encoder::NodeInput;
use crate::parts::to_array;
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use contrastive_core::cluster::{KMeans, k_means};
use contrastive_core::objective::{MetaNodeProxy, MetaNodes, PamC, SparsePositives};
use contrastive_kernels::sparse::Csr;
use contrastive_nn::Pass;
use contrastive_nn::encoder::Mlp;
use contrastive_train::{Check, FitOptions, TrainError, TrainingConfig};
use rand_chacha::ChaCha8Rng;

/// What stands for the negatives of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum PamcNegatives {
    /// [`MetaNodeProxy::Official`], the released code's.
    #[default]
    Official,
    /// [`MetaNodeProxy::Jensen`].
    Jensen,
    /// [`MetaNodeProxy::SecondOrder`].
    SecondOrder,
    /// [`MetaNodeProxy::PerAnchor`].
    PerAnchor,
    /// Every other node: the unapproximated twin (SCGC*), in linear memory and quadratic time.
    AllPairs,
}

impl PamcNegatives {
    /// The proxy, where it is one.
    pub fn proxy(self) -> Option<MetaNodeProxy> {
        match self {
            Self::Official => Some(MetaNodeProxy::Official),
            Self::Jensen => Some(MetaNodeProxy::Jensen),
            Self::SecondOrder => Some(MetaNodeProxy::SecondOrder),
            Self::PerAnchor => Some(MetaNodeProxy::PerAnchor),
            Self::AllPairs => None,
        }
    }
}

/// Settings of PamC; [`PamcData`](super::PamcData) has the published ones. The weight `alpha` of one kind of negatives does not
/// carry over to another: the proxies' gradients do not grow with the number of nodes.
///
/// A training has two stages: an auto-encoder ([`pretrain`](Self::pretrain)) whose codes k-means clusters, and from there the steps on
/// the whole graph. [`fit`](NodeMethodConfig::fit) keeps the checkpoints of the first one in the folder `pretraining` of the run
/// folder, so that both stages can be interrupted and resumed.
///
/// The official proxy needs a good start: from clusters that cut most edges, attraction wins and they fall together, the more so
/// with a large `alpha`. [`PamcNegatives::Jensen`] costs the same and pushes harder.
#[derive(Config, Debug, PartialEq)]
pub struct PamcConfig {
    /// Number of clusters C.
    pub clusters: usize,
    /// Widths of the hidden layers of the encoder.
    #[config(default = "vec![500, 500, 2000]")]
    pub hidden: Vec<usize>,
    /// Width of the embeddings.
    #[config(default = 10)]
    pub dim: usize,
    /// Weight of the contrast (published: 0.5 to 4).
    #[config(default = 2.0)]
    pub alpha: f64,
    /// Weight of the self-training (published: 0.1 to 12.5).
    #[config(default = 2.0)]
    pub beta: f64,
    /// Factor of the cosines, an inverse temperature (published: 0.25 to 2.25).
    #[config(default = 0.5)]
    pub tau: f64,
    /// Number of hops to the farthest positives.
    #[config(default = 1)]
    pub order: usize,
    /// Whether positives are weighted by the sum of all powers of the row-normalised adjacency up to the order, or by the last.
    #[config(default = true)]
    pub influence: bool,
    /// Most positives of a node, the heaviest; `None` for all.
    pub row_cap: Option<usize>,
    /// The negatives.
    #[config(default = "PamcNegatives::Official")]
    pub negatives: PamcNegatives,
    /// Steps on the whole graph of the publication, one an epoch, and rate of Adam.
    #[config(default = "full_batch(200, 1e-3, 0.0)")]
    pub training: TrainingConfig,
    /// Passes of the auto-encoder over the nodes before that.
    #[config(default = 30)]
    pub pretraining_epochs: usize,
    /// Nodes in a batch of the auto-encoder.
    #[config(default = 256)]
    pub pretraining_batch: usize,
    /// Learning rate of the auto-encoder.
    #[config(default = 1e-3)]
    pub pretraining_rate: f64,
    /// Starts of k-means.
    #[config(default = 20)]
    pub restarts: usize,
}

/// Where a training of PamC starts: a pre-trained encoder, and k-means on its embeddings.
#[derive(Clone, Debug)]
pub struct PamcStart {
    /// The encoder.
    pub encoder: Mlp,
    /// `[C, dim]`.
    pub centres: Tensor<2>,
    /// The cluster of each node.
    pub labels: Vec<u32>,
    /// Reconstruction error of each epoch of the auto-encoder.
    pub errors: Vec<f64>,
}

impl PamcConfig {
    /// The settings of the pre-training.
    pub fn auto_encoder(&self) -> AutoEncoderConfig {
        AutoEncoderConfig::new()
            .with_hidden(self.hidden.clone())
            .with_dim(self.dim)
            .with_epochs(self.pretraining_epochs.max(1))
            .with_batch_size(self.pretraining_batch)
            .with_learning_rate(self.pretraining_rate)
    }

    /// The objective of the contrast.
    ///
    /// # Errors
    /// When tau is not a finite number above 0.
    pub fn objective(&self) -> Result<PamC, MethodError> {
        Ok(PamC::new(self.tau)?.with_proxy(self.negatives.proxy().unwrap_or_default()))
    }

    /// The weights of the positives, `[nodes, nodes]`: [`powers`] of the row-normalised adjacency with self-loops.
    ///
    /// # Errors
    /// When a setting is out of its range.
    pub fn weights(&self, graph: &Graph) -> Result<Csr<f64>, MethodError> {
        self.validate()?;
        let steps = graph.matrix(Normalisation::Mean, Loops::Add);
        Ok(powers(&steps, self.order, self.influence, self.row_cap))
    }

    /// Pre-trains the encoder on the features, and clusters its embeddings. Seed, device, progress and the rest are those of
    /// `options`; the checkpoints go to the folder `pretraining` of its run folder.
    ///
    /// # Errors
    /// When a setting is out of its range, by itself or for these nodes, the graph has no features, or the run cannot go on.
    pub fn pretrain(&self, graph: &Graph, options: &FitOptions) -> Result<PamcStart, MethodError> {
        self.validate()?;
        let (nodes, seed) = (graph.num_nodes(), options.seed_value());
        let allowed = format!("2 to {nodes}, the number of nodes");
        Check::new("pamc").that(self.clusters <= nodes, "clusters", self.clusters, allowed)?;
        let mut training = self.auto_encoder().build(graph, seed, options.device())?;
        let mut errors = Vec::new();
        if self.pretraining_epochs > 0 {
            let stage = options.stage("pretraining", self.pretraining_epochs);
            let report = contrastive_train::fit(&mut *training, &stage).map_err(|error| of_stage(error, options))?;
            errors = report.history.iter().map(|epoch| epoch.losses["reconstruction"]).collect();
        }
        let codes = training.method().embed(&training.model().valid());
        let settings = KMeans { restarts: self.restarts, ..KMeans::new(self.clusters, seed) };
        let found = k_means(&codes, &settings)?;
        let encoder = training.model().encoder.clone();
        Ok(PamcStart { encoder, centres: found.centroids, labels: found.labels, errors })
    }

    /// A training from this start, with these weights of the positives, `[nodes, nodes]`.
    ///
    /// # Errors
    /// When a setting is out of its range, the graph has no features, a weight is negative, or a node has no positive.
    ///
    /// # Panics
    /// When the numbers of nodes of graph and weights differ, or the start is of other widths.
    pub fn build_from(
        &self,
        start: PamcStart,
        graph: &Graph,
        weights: Csr<f64>,
        device: &Device,
    ) -> Result<NodeTraining<Pamc>, MethodError> {
        self.validate()?;
        let (nodes, rows) = (graph.num_nodes(), weights.rows());
        assert_eq!(nodes, rows, "a graph of {nodes} nodes and positives of {rows}");
        let dims = start.centres.dims();
        assert_eq!(dims, [self.clusters, self.dim], "the shape of the centres");
        let centres = Param::from_tensor(Tensor::from_inner(start.centres));
        let method = Pamc {
            input: input(graph.require_features()?, &device.clone().inner()),
            summary: summary(graph, weights.nnz())?,
            positives: SparsePositives::new(weights)?,
            objective: self.objective()?,
            config: self.clone(),
        };
        let model = PamcModel { encoder: start.encoder, centres };
        // nothing is drawn from here on: any seed will do
        NodeTraining::new(method, model, &self.training, self, 0)
    }
}

/// The folder to resume is that of the whole run.
fn of_stage(error: TrainError, options: &FitOptions) -> TrainError {
    match (error, options.run_folder()) {
        (TrainError::Interrupted { epoch, .. }, Some(folder)) => {
            let resume = format!("in the pretraining: run again with resume(true) and run_dir({folder:?}) to go on");
            TrainError::Interrupted { epoch, resume }
        }
        (error, _) => error,
    }
}

impl NodeMethodConfig for PamcConfig {
    type Method = Pamc;

    /// With fewer than two clusters nothing would be pushed apart.
    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("pamc");
        check.that(self.clusters >= 2, "clusters", self.clusters, "2 to the number of nodes")?;
        check.weight("alpha", self.alpha)?;
        check.weight("beta", self.beta)?;
        check.positive("tau", self.tau)?;
        check.count("order", self.order)?;
        check.that(self.row_cap != Some(0), "row_cap", 0, "1 or more, or none")?;
        self.training.validate()?;
        check.count("restarts", self.restarts)?;
        self.auto_encoder().validate()
    }

    fn training(&self) -> &TrainingConfig {
        &self.training
    }

    fn training_mut(&mut self) -> &mut TrainingConfig {
        &mut self.training
    }

    /// Pre-trains at once, without a run folder.
    fn build(&self, graph: &Graph, seed: u64, device: &Device) -> Result<NodeTraining<Pamc>, MethodError> {
        let options = FitOptions::new(device).seed(seed).progress(false).handle_interrupt(false);
        self.build_from(self.pretrain(graph, &options)?, graph, self.weights(graph)?, device)
    }

    fn fit(&self, graph: &Graph, options: &FitOptions) -> Result<NodeEmbeddings, MethodError> {
        let start = self.pretrain(graph, options)?;
        self.build_from(start, graph, self.weights(graph)?, options.device())?.fit(options)
    }
}

/// Encoder and centres.
#[derive(Module, Debug)]
pub struct PamcModel {
    /// From features to embeddings.
    pub encoder: Mlp,
    /// `[C, dim]`.
    pub centres: Param<Tensor<2>>,
}

/// Keeps logarithms away from 0.
const TINY: f64 = 1e-30;

impl PamcModel {
    /// Shares of each node in each cluster, `[n, C]`, rows sum to 1: Student's t-distribution of one degree of freedom around the
    /// centres, of embeddings `[n, dim]` (DEC, Xie et al. 2016, equation 1).
    ///
    /// # Panics
    /// When the widths differ.
    pub fn assignment(&self, embeddings: Tensor<2>) -> Tensor<2> {
        let centres = self.centres.val();
        let ([_, dim], [_, width]) = (embeddings.dims(), centres.dims());
        assert_eq!(dim, width, "the widths of embeddings and centres");
        // distances do not depend on where they are measured from; near the centres they cancel less
        let middle = centres.clone().detach().mean_dim(0);
        let (x, c) = (embeddings - middle.clone(), centres - middle);
        let squares = |t: &Tensor<2>| (t.clone() * t.clone()).sum_dim(1);
        let distances = squares(&x) + squares(&c).transpose() - x.matmul(c.transpose()) * 2.0;
        let closeness = (distances.clamp_min(0.0) + 1.0).recip();
        closeness.clone() / closeness.sum_dim(1)
    }

    /// The target of the self-training from shares `[n, C]`: squared, divided by the sum of each cluster, rows normalised again
    /// (DEC, equation 3). A constant.
    pub fn target(shares: Tensor<2>) -> Tensor<2> {
        let shares = shares.detach();
        // a share is divided first, so that no square underflows alone
        let weights = shares.clone() / shares.clone().sum_dim(0).clamp_min(TINY) * shares;
        weights.clone() / weights.sum_dim(1).clamp_min(TINY)
    }

    /// `1/n sum_i sum_a p_ia log(p_ia / q_ia)`, `[1]`, of a target p and shares q, `[n, C]`.
    pub fn divergence(target: Tensor<2>, shares: Tensor<2>) -> Tensor<1> {
        let share = 1.0 / shares.dims()[0] as f64;
        let logs = target.clone().clamp_min(TINY).log() - shares.clamp_min(TINY).log();
        (target * logs).sum() * share
    }
}

/// PamC: positives along the powers of the graph, negatives from meta-nodes, and the self-training of the clusters. Target and hard
/// clusters of a step come from the weights before it. Nothing is random.
#[derive(Clone, Debug)]
pub struct Pamc {
    input: NodeInput,
    summary: serde_json::Value,
    positives: SparsePositives,
    objective: PamC,
    config: PamcConfig,
}

impl Pamc {
    /// The contrast of embeddings `[n, dim]` under hard clusters: what a step differentiates beside the self-training.
    ///
    /// # Panics
    /// When the number of rows is not that of the nodes.
    pub fn contrast(&self, embeddings: &Tensor<2>, clusters: &MetaNodes) -> Tensor<1> {
        match self.config.negatives {
            PamcNegatives::AllPairs => self.objective.unapproximated(embeddings, &self.positives),
            _ => self.objective.loss(embeddings, &self.positives, clusters),
        }
    }
}

impl NodeMethod for Pamc {
    type Model = PamcModel;
    /// Embeddings `[nodes, dim]` and shares `[nodes, C]`.
    type Encoded = [Tensor<2>; 2];

    fn name(&self) -> &'static str {
        "pamc"
    }

    fn data(&self) -> serde_json::Value {
        self.summary.clone()
    }

    fn encode(&self, model: &PamcModel, _step: usize, _rng: &mut ChaCha8Rng) -> Result<[Tensor<2>; 2], MethodError> {
        let embeddings = self.embed(model);
        let shares = model.assignment(embeddings.clone());
        Ok([embeddings, shares])
    }

    fn losses(
        &self,
        _model: &PamcModel,
        [embeddings, shares]: [Tensor<2>; 2],
        _epoch: usize,
    ) -> Result<Vec<(&'static str, Tensor<1>)>, MethodError> {
        let clusters = MetaNodes::new(&largest(&to_array(&shares.clone().inner())));
        let divergence = PamcModel::divergence(PamcModel::target(shares.clone()), shares) * self.config.beta;
        let contrast = self.contrast(&embeddings, &clusters) * self.config.alpha;
        Ok(vec![("self-training", divergence), ("contrast", contrast)])
    }

    fn embed(&self, model: &PamcModel) -> Tensor<2> {
        self.input.through(&model.encoder, &mut Pass::evaluation())
    }

    fn shares(&self, model: &PamcModel) -> Option<Tensor<2>> {
        Some(model.assignment(self.embed(model)))
    }
}
