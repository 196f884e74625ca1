//! MEOW (Yu et al., SDM 2023) and AdaMEOW (Yu et al., TKDE 2024) in training.

use super::{MeowConfig, MeowData, MeowModel, Negatives};
use crate::MethodError;
use crate::hetero::data::HeteroGraph;
use crate::hetero::evaluate::label_rate;
use crate::parts::{to_array, unit_rows};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_core::cluster::{KMeans, k_means, k_means_from};
use contrastive_core::objective::{
    ClusteredNegatives, Denominator, Inputs, LearnedNegatives, PairObjective, PrototypicalTerm, concentrations,
};
use contrastive_train::{Method, Metrics, State, Step, TrainError, Weighted, take_tensor};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

/// A clustering of the targets.
#[derive(Clone, Debug)]
struct Clustering {
    /// `[k, d]`, as k-means left them.
    centroids: Tensor<2>,
    labels: Vec<u32>,
    temperatures: Vec<f64>,
}

/// MEOW, AdaMEOW, or the same network with negatives that all count alike: one step of the whole network an epoch.
///
/// Clusters are found in what the model gives without dropout; the released code takes what the step's own dropout left. The embeddings are the
/// fine view without dropout, where the released code keeps it on.
#[derive(Clone, Debug)]
pub struct Meow {
    config: MeowConfig,
    data: MeowData,
    graph: HeteroGraph,
    clusterings: Vec<Clustering>,
    seed: u64,
    device: Device,
}

impl Meow {
    pub(super) fn new(
        config: MeowConfig,
        graph: &HeteroGraph,
        data: MeowData,
        seed: u64,
        device: &Device,
    ) -> Result<Self, MethodError> {
        if let Some(split) = &config.validate_on {
            graph.split(split)?;
            graph.classes()?;
        }
        let (graph, device) = (graph.clone(), device.clone().inner());
        Ok(Self { config, data, graph, clusterings: Vec::new(), seed, device })
    }

    /// The prepared network.
    pub fn prepared(&self) -> &MeowData {
        &self.data
    }

    /// The embeddings `[targets, dim]` of a model: its fine view without dropout.
    pub fn embed(&self, model: &MeowModel) -> Tensor<2> {
        model.forward(&self.data, None).fine
    }

    /// The clusters of the targets, a list for each clustering; none before the first epoch.
    pub fn clusters(&self) -> Vec<Vec<u32>> {
        self.clusterings.iter().map(|clustering| clustering.labels.clone()).collect()
    }

    fn clustered(&self, rows: &Tensor<2>, at: usize, epoch: usize) -> Result<Clustering, MethodError> {
        let config = &self.config;
        let settings = KMeans {
            iterations: config.cluster_iterations,
            restarts: config.cluster_restarts,
            ..KMeans::new(config.clusters[at], self.seed ^ ((epoch as u64) << 8) ^ at as u64)
        };
        let found = match self.clusterings.get(at) {
            None => k_means(rows, &settings)?,
            Some(before) => k_means_from(rows, &before.centroids, &KMeans { restarts: 1, ..settings })?,
        };
        let centroids = to_array(&unit_rows(found.centroids.clone()));
        let (rows, tau) = (to_array(rows), config.temperature);
        let temperatures = concentrations(rows.view(), centroids.view(), &found.labels, tau, config.concentration);
        Ok(Clustering { centroids: found.centroids, labels: found.labels, temperatures })
    }

    fn all_losses(&self, model: &MeowModel, rng: &mut ChaCha8Rng) -> Result<Weighted, MethodError> {
        let config = &self.config;
        let outputs = model.forward(&self.data, Some(rng));
        let (u, v) = (model.projected(outputs.coarse), model.projected(outputs.fine));
        match config.negatives {
            Negatives::Alike => {
                let objective = PairObjective::new(config.temperature)?.with_denominator(Denominator::NegativesOnly);
                Ok(vec![("contrast", objective.loss(&Inputs::new(u, v)))])
            }
            Negatives::Clustered => {
                let contrast = ClusteredNegatives::new(config.temperature)?.loss(&u, &v, &self.clusters())?;
                let mut losses = vec![("contrast", contrast)];
                if config.prototype_weight > 0.0 {
                    let share = config.prototype_weight / self.clusterings.len() as f64;
                    let mut sum: Option<Tensor<1>> = None;
                    for Clustering { centroids, labels, temperatures } in &self.clusterings {
                        let term = PrototypicalTerm::new(&unit_rows(centroids.clone()), temperatures, labels)?;
                        let term = term.loss(u.clone());
                        sum = Some(sum.map_or(term.clone(), |sum| sum + term));
                    }
                    losses.extend(sum.map(|sum| ("prototypes", sum * share)));
                }
                Ok(losses)
            }
            Negatives::Learned | Negatives::LearnedRaw => {
                let objective = LearnedNegatives::new(config.temperature)?;
                let objective = if config.negatives == Negatives::Learned { objective } else { objective.raw() };
                let network = model.weights.as_ref().expect("a model made for these settings");
                Ok(vec![("contrast", objective.loss(&v, &u, network))])
            }
        }
    }
}

impl Method for Meow {
    type Model = MeowModel;
    type Batch = ();

    fn name(&self) -> &str {
        "meow"
    }

    fn config(&self) -> serde_json::Value {
        let mut config = serde_json::to_value(&self.config).unwrap_or_default();
        if let Some(config) = config.as_object_mut() {
            // the training adds its own, without the budget, so that a run may be extended
            config.remove("training");
        }
        config
    }

    fn data(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.graph.name(),
            "targets": self.graph.num_targets(),
            "digest": self.graph.digest().to_string(),
        })
    }

    fn begin_epoch(&mut self, _epoch: usize, _rng: ChaCha8Rng) -> Result<usize, TrainError> {
        Ok(1)
    }

    fn prepare_epoch(&mut self, model: &MeowModel, epoch: usize) -> Result<(), TrainError> {
        let due = (epoch - 1).is_multiple_of(self.config.cluster_every) || self.clusterings.is_empty();
        if self.config.negatives == Negatives::Clustered && due {
            let model = model.valid();
            let rows = model.projected(self.embed(&model));
            let found = (0..self.config.clusters.len()).map(|at| self.clustered(&rows, at, epoch));
            self.clusterings = found.collect::<Result<_, _>>().map_err(MethodError::in_training)?;
        }
        Ok(())
    }

    fn batch(&mut self, _step: Step) -> Result<(), TrainError> {
        Ok(())
    }

    fn losses(&mut self, model: &MeowModel, _batch: &(), step: Step) -> Result<Weighted, TrainError> {
        self.all_losses(model, &mut step.rng()).map_err(MethodError::in_training)
    }

    fn state(&self) -> State {
        let mut state = State::new();
        for (at, Clustering { centroids, labels, temperatures }) in self.clusterings.iter().enumerate() {
            state.insert(format!("centroids.{at}"), centroids.clone().into_data());
            let labels: Vec<i64> = labels.iter().map(|&label| label.into()).collect();
            let (n, k) = (labels.len(), temperatures.len());
            state.insert(format!("labels.{at}"), TensorData::new(labels, [n]));
            state.insert(format!("temperatures.{at}"), TensorData::new(temperatures.clone(), [k]));
        }
        state
    }

    fn load_state(&mut self, mut state: State) -> Result<(), TrainError> {
        self.clusterings.clear();
        for (at, &k) in self.config.clusters.iter().enumerate() {
            if !state.contains_key(&format!("labels.{at}")) {
                break;
            }
            let labels = take_tensor(&mut state, &format!("labels.{at}"), &[self.data.num_targets()])?;
            let centroids = take_tensor(&mut state, &format!("centroids.{at}"), &[k, self.config.dim])?;
            let temperatures = take_tensor(&mut state, &format!("temperatures.{at}"), &[k])?;
            let labels: Vec<u32> = labels.iter::<i64>().map(|label| label as u32).collect();
            if let Some(label) = labels.iter().find(|label| **label as usize >= k) {
                let problem = format!("label {label}; allowed: 0 to {}", k - 1);
                return Err(TrainError::State { name: format!("labels.{at}"), problem });
            }
            self.clusterings.push(Clustering {
                centroids: Tensor::from_data(centroids, &self.device),
                labels,
                temperatures: temperatures.iter::<f64>().collect(),
            });
        }
        Ok(())
    }

    /// Macro-F1 on the validation part of the chosen split.
    fn evaluate(&mut self, model: &MeowModel) -> Result<Option<Metrics>, TrainError> {
        let Some(split) = &self.config.validate_on else { return Ok(None) };
        let scores =
            label_rate(&self.graph, to_array(&self.embed(model)).view(), split).map_err(MethodError::in_training)?;
        Ok(Some(Metrics::from([("macro_f1".to_string(), scores.validation)])))
    }

    fn artifacts(&self, model: &MeowModel) -> Vec<(String, Array2<f32>)> {
        vec![("targets".into(), to_array(&self.embed(model)))]
    }
}
