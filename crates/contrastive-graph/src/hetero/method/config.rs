//! Settings of MEOW and AdaMEOW.

use super::{Meow, MeowData, MeowModel};
use crate::MethodError;
use crate::hetero::data::HeteroGraph;
use burn::config::Config;
use burn::tensor::Device;
use contrastive_core::objective::Concentration;
use contrastive_core::objective::PairObjective;
use contrastive_train::{Budget, Check, MethodConfig, OptimiserConfig, Training, TrainingConfig};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// How much each negative counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Negatives {
    /// All alike, and no prototypes: InfoNCE without the positive in the denominator.
    Alike,
    /// By clusterings, with the prototypical term (MEOW). Anchors are the coarse view.
    #[default]
    Clustered,
    /// By a network, divided by the mean of each row's weights (AdaMEOW). Anchors are the fine view.
    Learned,
    /// By a network, raw as released: unbounded below.
    LearnedRaw,
}

/// Settings of [`Meow`]; the defaults are those of ACM where they are the same for all data, and each data set has a function.
#[derive(Config, Debug, PartialEq)]
pub struct MeowConfig {
    /// Meta-paths by the names of their types, such as `P-A-P`.
    pub paths: Vec<String>,
    /// How many targets each path keeps for each target, by PathSim; empty: all.
    #[config(default = "Vec::new()")]
    pub keep: Vec<usize>,
    /// Width of the embeddings.
    #[config(default = 64)]
    pub dim: usize,
    /// Share of numbers dropped after every linear map, in training.
    #[config(default = 0.2)]
    pub dropout: f64,
    /// Share of the target's feature values that are set to 0 in the masked copies, once.
    #[config(default = 0.3)]
    pub feature_mask: f64,
    /// Share of the entries that the masked copy of each path loses, once; empty: .2 each.
    #[config(default = "Vec::new()")]
    pub edge_masks: Vec<f64>,
    /// Temperature of the contrast.
    #[config(default = 0.4)]
    pub temperature: f64,
    /// How much each negative counts.
    #[config(default = "Negatives::Clustered")]
    pub negatives: Negatives,
    /// Numbers of clusters, a clustering each.
    #[config(default = "vec![100, 300]")]
    pub clusters: Vec<usize>,
    /// Epochs from one clustering to the next; 1 in the released code.
    #[config(default = 1)]
    pub cluster_every: usize,
    /// Most iterations of k-means.
    #[config(default = 20)]
    pub cluster_iterations: usize,
    /// Starts of the first k-means (5 in the released code, every time); later ones begin where the one before ended.
    #[config(default = 5)]
    pub cluster_restarts: usize,
    /// lambda: weight of the prototypical term.
    #[config(default = 1.0)]
    pub prototype_weight: f64,
    /// How tight a cluster is, measured by.
    #[config(default = "Concentration::Distance")]
    pub concentration: Concentration,
    /// Hidden width of the weight network.
    #[config(default = 16)]
    pub hidden: usize,
    /// The split by whose validation part an evaluated run is judged (Macro-F1); none: no evaluation.
    #[config(default = "None")]
    pub validate_on: Option<String>,
    /// Epochs of one step each, and Adam.
    #[config(default = "TrainingConfig::new(Budget::Epochs(500), 1, 7e-4)")]
    pub training: TrainingConfig,
}

impl MeowConfig {
    fn published(paths: &[&str], keep: &[usize], masks: (f64, &[f64]), rate: f64, temperature: f64) -> Self {
        let config = Self::new(paths.iter().map(ToString::to_string).collect()).with_keep(keep.to_vec());
        let config = config.with_feature_mask(masks.0).with_edge_masks(masks.1.to_vec());
        config.with_learning_rate(rate).with_temperature(temperature)
    }

    /// MEOW on ACM.
    pub fn acm() -> Self {
        Self::published(&["P-A-P", "P-S-P"], &[110, 700], (0.3, &[0.3, 0.2]), 7e-4, 0.4)
    }

    /// MEOW on DBLP.
    pub fn dblp() -> Self {
        let config =
            Self::published(&["A-P-A", "A-P-C-P-A", "A-P-T-P-A"], &[25, 200, 40], (0.2, &[0.2, 0.5, 0.6]), 6e-4, 0.9);
        config.with_clusters(vec![200, 700])
    }

    /// MEOW on AMiner.
    pub fn aminer() -> Self {
        let config = Self::published(&["P-A-P", "P-R-P"], &[5, 21], (0.2, &[0.7, 0.4]), 7e-4, 0.9);
        config.with_clusters(vec![500, 1200]).with_prototype_weight(0.1)
    }

    /// MEOW on IMDB.
    pub fn imdb() -> Self {
        let config = Self::published(&["M-A-M", "M-D-M", "M-K-M"], &[70, 10, 70], (0.3, &[0.1; 3]), 1e-4, 0.9);
        config.with_clusters(vec![500, 700]).with_weight_decay(1e-3)
    }

    /// AdaMEOW on ACM.
    pub fn adameow_acm() -> Self {
        let config = Self::published(&["P-A-P", "P-S-P"], &[690, 690], (0.3, &[0.3, 0.2]), 5e-5, 1.0);
        config.with_negatives(Negatives::Learned).with_dropout(0.3).with_weight_decay(1e-5).with_epochs(1200)
    }

    /// Sets the learning rate.
    pub fn with_learning_rate(mut self, rate: f64) -> Self {
        self.training.learning_rate = rate;
        self
    }

    /// Sets the epochs.
    pub fn with_epochs(mut self, epochs: usize) -> Self {
        self.training.budget = Budget::Epochs(epochs);
        self
    }

    /// Sets the coupled decay of Adam.
    pub fn with_weight_decay(mut self, decay: f64) -> Self {
        self.training.optimiser = OptimiserConfig::adam().with_weight_decay(decay);
        self
    }

    /// The share that the masked copy of path m loses.
    pub(super) fn edge_mask(&self, path: usize) -> f64 {
        self.edge_masks.get(path).copied().unwrap_or(0.2)
    }

    /// The generator of masks and parameters: a stream that no epoch has.
    fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::MAX - stream);
        rng
    }
}

impl MethodConfig for MeowConfig {
    type Method = Meow;
    type Data = HeteroGraph;
    type Error = MethodError;

    fn validate(&self) -> Result<(), MethodError> {
        let check = Check::new("meow");
        check.count("number of paths", self.paths.len())?;
        for (setting, found) in
            [("number of `keep`", self.keep.len()), ("number of `edge_masks`", self.edge_masks.len())]
        {
            let fine = found == 0 || found == self.paths.len();
            check.that(fine, setting, found, format!("0, or one for each of {} paths", self.paths.len()))?;
        }
        self.keep.iter().try_for_each(|&keep| check.count("keep", keep))?;
        check.count("dim", self.dim)?;
        check.share("dropout", self.dropout)?;
        check.probability("feature_mask", self.feature_mask)?;
        check.probabilities("edge_masks", &self.edge_masks)?;
        check.positive("temperature", self.temperature)?;
        PairObjective::new(self.temperature)?;
        check.count("hidden", self.hidden)?;
        check.weight("prototype_weight", self.prototype_weight)?;
        check.count("number of clusterings", self.clusters.len())?;
        for &clusters in &self.clusters {
            check.that(clusters >= 2, "clusters", clusters, "2 or more: one cluster leaves no negatives")?;
        }
        check.count("cluster_every", self.cluster_every)?;
        check.count("cluster_iterations", self.cluster_iterations)?;
        check.count("cluster_restarts", self.cluster_restarts)?;
        Ok(self.training.validate()?)
    }

    fn build(&self, graph: &HeteroGraph, seed: u64, device: &Device) -> Result<Training<Meow>, MethodError> {
        self.validate()?;
        let nodes = graph.num_targets();
        if nodes < 2 {
            return Err(MethodError::TooFewNodes { method: "meow", nodes });
        }
        if self.negatives == Negatives::Clustered {
            let most = self.clusters.iter().copied().max().unwrap_or(0);
            Check::new("meow").that(
                most <= nodes,
                "clusters",
                most,
                format!("at most the number of targets, {nodes}"),
            )?;
        }
        let data = MeowData::new(self, graph, &mut Self::rng(seed, 1), device)?;
        let model = MeowModel::new(self, &data, &mut Self::rng(seed, 0), &device.clone().autodiff())?;
        Ok(Training::new(Meow::new(self.clone(), graph, data, seed, device)?, model, &self.training, seed)?)
    }
}
