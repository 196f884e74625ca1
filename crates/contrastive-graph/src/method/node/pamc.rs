//! PamC: clusters of nodes by contrast with meta-nodes (Kulatilleke, Portmann, Chandra, arXiv 2209.14067).

use super::autoencoder::AutoEncoderConfig;
use super::powers::powers;
use super::whole::{Trained, host, input};
use crate::encoder::{Mlp, NodeInput};
use crate::method::MethodError;
use crate::method::error::Check;
use crate::node::{Features, Graph, Loops, Normalisation};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use contrastive_core::cluster::{KMeans, k_means};
use contrastive_core::objective::{MetaNodeProxy, MetaNodes, PamC, SparsePositives};
use contrastive_kernels::sparse::Csr;
use ndarray::Array2;

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
    /// Learning rate of Adam.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// Steps on the whole graph that [`fit`](PamcConfig::fit) makes.
    #[config(default = 200)]
    pub epochs: usize,
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
    /// Seed of everything.
    #[config(default = 42)]
    pub seed: u64,
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
    /// Checks every setting. With fewer than two clusters nothing would be pushed apart.
    ///
    /// # Errors
    /// With the name and the allowed range of the first setting that is out of it.
    pub fn validate(&self) -> Result<(), MethodError> {
        let check = Check("pamc");
        check.that(self.clusters >= 2, "clusters", self.clusters, "2 to the number of nodes")?;
        check.weight("alpha", self.alpha)?;
        check.weight("beta", self.beta)?;
        check.positive("tau", self.tau)?;
        check.count("order", self.order)?;
        check.that(self.row_cap != Some(0), "row_cap", 0, "1 or more, or none")?;
        check.positive("learning_rate", self.learning_rate)?;
        check.count("restarts", self.restarts)?;
        self.auto_encoder().validate()
    }

    /// The settings of the pre-training.
    pub fn auto_encoder(&self) -> AutoEncoderConfig {
        AutoEncoderConfig::new()
            .with_hidden(self.hidden.clone())
            .with_dim(self.dim)
            .with_epochs(self.pretraining_epochs)
            .with_batch_size(self.pretraining_batch)
            .with_learning_rate(self.pretraining_rate)
            .with_seed(self.seed)
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

    /// Pre-trains the encoder on the features, and clusters its embeddings.
    ///
    /// # Errors
    /// When a setting is out of its range, by itself or for these nodes, or the auto-encoder diverges.
    pub fn pretrain(&self, features: &Features, device: &Device) -> Result<PamcStart, MethodError> {
        self.validate()?;
        let nodes = features.num_nodes();
        Check("pamc").that(
            self.clusters <= nodes,
            "clusters",
            self.clusters,
            &format!("2 to {nodes}, the number of nodes"),
        )?;
        let (networks, errors) = self.auto_encoder().fit(features, device)?;
        let codes = networks.encoder.valid().forward(&input(features, device));
        let settings = KMeans { restarts: self.restarts, ..KMeans::new(self.clusters, self.seed) };
        let found = k_means(&codes, &settings)?;
        Ok(PamcStart { encoder: networks.encoder, centres: found.centroids, labels: found.labels, errors })
    }

    /// A training on the graph, pre-trained.
    ///
    /// # Errors
    /// As [`pretrain`](Self::pretrain), and when the graph has no features or a node no positive.
    pub fn build(&self, graph: &Graph, device: &Device) -> Result<Pamc, MethodError> {
        let start = self.pretrain(graph.require_features()?, device)?;
        self.build_from(start, graph.require_features()?, self.weights(graph)?, device)
    }

    /// A training from this start, with these weights of the positives, `[nodes, nodes]`.
    ///
    /// # Errors
    /// When a setting is out of its range, a weight is negative, or a node has no positive.
    ///
    /// # Panics
    /// When the numbers of nodes of features and weights differ, or the start is of other widths.
    pub fn build_from(
        &self,
        start: PamcStart,
        features: &Features,
        weights: Csr<f64>,
        device: &Device,
    ) -> Result<Pamc, MethodError> {
        self.validate()?;
        let (nodes, rows) = (features.num_nodes(), weights.rows());
        assert_eq!(nodes, rows, "features of {nodes} nodes and positives of {rows}");
        let dims = start.centres.dims();
        assert_eq!(dims, [self.clusters, self.dim], "the shape of the centres");
        let centres = Param::from_tensor(Tensor::from_inner(start.centres));
        let model = PamcModel { encoder: start.encoder, centres };
        Ok(Pamc {
            trained: Trained::new(model, self.learning_rate),
            input: input(features, &device.clone().autodiff()),
            plain: input(features, &device.clone().inner()),
            positives: SparsePositives::new(weights)?,
            objective: self.objective()?,
            config: self.clone(),
        })
    }

    /// Builds, and makes all steps.
    ///
    /// # Errors
    /// As [`build`](Self::build) and [`Pamc::step`].
    pub fn fit(&self, graph: &Graph, device: &Device) -> Result<Pamc, MethodError> {
        let mut training = self.build(graph, device)?;
        (0..self.epochs).try_for_each(|_| training.step().map(drop))?;
        Ok(training)
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

/// What a step of PamC started from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PamcLosses {
    /// `beta` times the divergence of the self-training.
    pub self_training: f64,
    /// `alpha` times the contrast.
    pub contrast: f64,
    /// Number of clusters that are not empty. With one, the official proxy pushes nothing apart.
    pub clusters: usize,
}

/// A training of PamC on a whole graph.
pub struct Pamc {
    trained: Trained<PamcModel>,
    input: NodeInput,
    plain: NodeInput,
    positives: SparsePositives,
    objective: PamC,
    config: PamcConfig,
}

/// The cluster with the largest share of each node, of equal ones the first.
fn hard(shares: Tensor<2>) -> Vec<u32> {
    let clusters = shares.dims()[1];
    let data = shares.inner().into_data();
    let shares: Vec<f32> = data.iter::<f32>().collect();
    let best = |row: &[f32]| (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best }) as u32;
    shares.chunks_exact(clusters).map(best).collect()
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

    /// One step on the whole graph; target and hard clusters come from the weights before it.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`](contrastive_train::TrainError::NonFinite).
    pub fn step(&mut self) -> Result<PamcLosses, MethodError> {
        let model = &self.trained.model;
        let embeddings = model.encoder.forward(&self.input);
        let shares = model.assignment(embeddings.clone());
        let clusters = MetaNodes::new(&hard(shares.clone()));
        let divergence = PamcModel::divergence(PamcModel::target(shares.clone()), shares) * self.config.beta;
        let contrast = self.contrast(&embeddings, &clusters) * self.config.alpha;
        let losses = [("self-training", divergence), ("contrast", contrast)];
        let [self_training, contrast] = self.trained.descend(losses)?;
        Ok(PamcLosses { self_training, contrast, clusters: clusters.counts().len() })
    }

    /// Encoder and centres as they are.
    pub fn model(&self) -> &PamcModel {
        &self.trained.model
    }

    /// Number of steps made.
    pub fn steps(&self) -> usize {
        self.trained.steps()
    }

    fn embeddings(&self) -> Tensor<2> {
        self.trained.model.valid().encoder.forward(&self.plain)
    }

    /// The embeddings, `[nodes, dim]`.
    pub fn embed(&self) -> Array2<f32> {
        host(self.embeddings())
    }

    /// The shares of the nodes in the clusters, `[nodes, C]`.
    pub fn soft_assignments(&self) -> Array2<f32> {
        host(self.trained.model.valid().assignment(self.embeddings()))
    }

    /// The cluster of each node.
    pub fn assignments(&self) -> Vec<u32> {
        hard(self.trained.model.valid().assignment(self.embeddings()))
    }
}
