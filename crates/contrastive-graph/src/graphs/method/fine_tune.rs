//! Fine-tuning of a pre-trained encoder with a linear head.

use super::dsla::DslaModel;
use crate::MethodError;
use crate::graphs::data::{GraphSet, GraphUnion, SmallGraph};
use crate::graphs::encoder::GraphEncoder;
use crate::parts::to_array;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData, activation};
use contrastive_nn::layer::{Linear, LinearConfig};
use contrastive_train::{Batches, Check, OptimiserConfig, Parameters};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Settings of a fine-tuning: a linear head on the mean of the nodes, cross-entropy, Adam.
#[derive(Config, Debug, PartialEq)]
pub struct GraphFineTune {
    /// Epochs.
    #[config(default = 50)]
    pub epochs: usize,
    /// Graphs of a batch.
    #[config(default = 32)]
    pub batch_size: usize,
    /// Learning rate.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// Whether the encoder stays as it is, running statistics included, and the head alone is trained.
    #[config(default = false)]
    pub frozen: bool,
    /// Of the batches and of the head's weights.
    #[config(default = 0)]
    pub seed: u64,
}

/// An encoder with its head.
#[derive(Module, Debug)]
pub struct FineTunedGraphs {
    /// Graphs to embeddings.
    pub encoder: GraphEncoder,
    /// Embeddings to logits.
    pub head: Linear,
}

impl FineTunedGraphs {
    /// The class of each graph, of equal logits the first.
    ///
    /// # Panics
    /// When the labels are others than the model was made for.
    pub fn predict(&self, set: &GraphSet, graphs: &[usize]) -> Vec<u32> {
        let edge_labels = self.encoder.layers[0].edges.val().dims()[0];
        let small: Vec<SmallGraph> = graphs.iter().map(|&graph| set.graph(graph)).collect();
        let logits = |some: &[SmallGraph]| {
            let embedded = self.encoder.forward(&GraphUnion::new(some, edge_labels));
            to_array(&self.head.forward(embedded))
        };
        let best = |row: ndarray::ArrayView1<'_, f32>| {
            (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best })
        };
        small
            .chunks(512)
            .flat_map(|some| logits(some).rows().into_iter().map(|row| best(row) as u32).collect::<Vec<_>>())
            .collect()
    }
}

impl GraphFineTune {
    /// Trains a copy of the encoder (or only the head) on these graphs of a set, and returns the model outside of autodiff.
    ///
    /// # Errors
    /// When a setting is out of range, there are no graphs to train on, or the set has no classes.
    pub fn run(
        &self,
        model: &DslaModel,
        set: &GraphSet,
        train: &[usize],
        device: &Device,
    ) -> Result<FineTunedGraphs, MethodError> {
        let check = Check::new("fine-tuning");
        check.count("epochs", self.epochs)?;
        check.positive("learning_rate", self.learning_rate)?;
        check.count("graphs to train on", train.len())?;
        let (classes, of_set) = (set.num_classes(), set.classes()?);
        let on = device.clone().autodiff();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let width = model.encoder.width();
        let head = LinearConfig::new(width, classes).init(&mut rng, &on)?;
        let plain = model.encoder.valid();
        let copy = FineTunedGraphs { encoder: plain.clone().train().set_require_grad(true), head };
        let mut parameters =
            Parameters::new(copy, &OptimiserConfig::adam(), &[]).map_err(contrastive_train::TrainError::from)?;
        let graphs: Vec<SmallGraph> = train.iter().map(|&graph| set.graph(graph)).collect();
        let batches = Batches::shuffled(train.len(), self.batch_size)?;
        for epoch in 1..=self.epochs {
            for batch in batches.epoch(epoch, &mut rng) {
                let some: Vec<SmallGraph> = batch.iter().map(|&graph| graphs[graph].clone()).collect();
                let union = GraphUnion::new(&some, set.num_edge_labels());
                let embedded = match self.frozen {
                    true => Tensor::from_inner(plain.forward(&union)),
                    false => parameters.model().encoder.forward(&union),
                };
                let logits = parameters.model().head.forward(embedded);
                let mut one_hot = vec![0f32; batch.len() * classes];
                batch
                    .iter()
                    .enumerate()
                    .for_each(|(row, &at)| one_hot[row * classes + of_set[train[at]] as usize] = 1.0);
                let one_hot = Tensor::<2>::from_data(TensorData::new(one_hot, [batch.len(), classes]), &on);
                let loss = (activation::log_softmax(logits, 1) * one_hot).sum() * (-1.0 / batch.len() as f64);
                parameters.optimizer_step(&loss, self.learning_rate);
            }
        }
        let trained = parameters.model().valid();
        Ok(if self.frozen { FineTunedGraphs { encoder: plain, head: trained.head } } else { trained })
    }
}
