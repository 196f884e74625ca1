//! What training on a whole graph at once consists of, whatever the loss.

use crate::augment::edges::{EdgeDraw, drop_edges};
use crate::augment::features::draw_columns;
use crate::encoder::{Encoder, LayerKind, NodeInput, Propagation};
use crate::method::MethodError;
use crate::method::error::Check;
use crate::node::{Features, Graph, Loops, Normalisation};
use burn::module::Module;
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use contrastive_kernels::sparse::Csr;
use contrastive_train::TrainError;
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;

/// A module with its optimiser: Adam with torch's constants.
pub(super) struct Trained<M> {
    pub model: M,
    optimiser: ModuleOptimizer,
    rate: f64,
    steps: usize,
}

impl<M: Module> Trained<M> {
    pub fn new(model: M, rate: f64) -> Self {
        Self { model, optimiser: AdamConfig::new().with_epsilon(1e-8).init(), rate, steps: 0 }
    }

    /// One step down the sum of these losses, and their values. An epoch is one step.
    pub fn descend<const K: usize>(&mut self, losses: [(&'static str, Tensor<1>); K]) -> Result<[f64; K], MethodError> {
        self.steps += 1;
        let mut values = [0.0; K];
        for (value, (name, loss)) in values.iter_mut().zip(&losses) {
            *value = loss.clone().into_scalar::<f64>();
            if !value.is_finite() {
                let (epoch, step, loss) = (self.steps, 0, (*name).to_string());
                return Err(TrainError::NonFinite { loss, value: *value, step, epoch }.into());
            }
        }
        let total = losses.into_iter().map(|(_, loss)| loss).reduce(|a, b| a + b).expect("a loss");
        let gradients = GradientsParams::from_grads(total.backward(), &self.model);
        self.model = self.optimiser.step(self.rate, self.model.clone(), gradients);
        Ok(values)
    }

    /// Number of steps made.
    pub fn steps(&self) -> usize {
        self.steps
    }
}

/// The features of some nodes as a table.
pub(super) fn table(values: Array2<f32>, device: &Device) -> Tensor<2> {
    let shape = [values.nrows(), values.ncols()];
    let values: Vec<f32> = values.iter().copied().collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// Numbers of a table on the host.
pub(super) fn host(table: Tensor<2>) -> Array2<f32> {
    let [rows, columns] = table.dims();
    let values: Vec<f32> = table.into_data().iter::<f32>().collect();
    Array2::from_shape_vec((rows, columns), values).expect("as many numbers as the shape says")
}

/// Features as an encoder takes them in.
pub(super) fn input(features: &Features, device: &Device) -> NodeInput {
    match (features, features.operator()) {
        (_, Some(operator)) => operator.into(),
        (features, None) => table(features.to_dense(), device).into(),
    }
}

/// A graph as an [`Encoder`] needs it, with what views are made from.
pub(super) struct WholeGraph {
    adjacency: Csr<f64>,
    features: Features,
    input: NodeInput,
    whole: Propagation,
    draw: EdgeDraw,
    layer: LayerKind,
    device: Device,
}

impl WholeGraph {
    pub fn new(graph: &Graph, layer: LayerKind, device: &Device) -> Result<Self, MethodError> {
        let features = graph.require_features()?.clone();
        let adjacency = graph.matrix(Normalisation::None, Loops::AsIs);
        let (input, whole) = (input(&features, device), layer.prepare(&adjacency));
        let draw = if graph.is_directed() { EdgeDraw::PerEntry } else { EdgeDraw::PerPair };
        Ok(Self { adjacency, features, input, whole, draw, layer, device: device.clone() })
    }

    /// The graph as it is.
    pub fn forward(&self, encoder: &Encoder) -> Tensor<2> {
        encoder.forward(&self.whole, &self.input)
    }

    /// The embeddings outside of training, `[nodes, width]`.
    pub fn embed(&self, encoder: &Encoder) -> Array2<f32> {
        let input = input(&self.features, &self.device.clone().inner());
        host(encoder.valid().forward(&self.whole, &input))
    }

    /// The same edges with another node's features at each node.
    pub fn permuted(&self, order: &[u32], encoder: &Encoder) -> Tensor<2> {
        let features = match &self.features {
            Features::Dense(rows) => {
                let at: Vec<usize> = order.iter().map(|node| *node as usize).collect();
                Features::Dense(rows.select(ndarray::Axis(0), &at))
            }
            Features::Sparse(rows) => {
                let columns: Vec<u32> = (0..rows.cols() as u32).collect();
                Features::Sparse(rows.relabel(order, &columns))
            }
        };
        encoder.forward(&self.whole, &input(&features, &self.device))
    }

    /// Two random views, independently.
    pub fn views(&self, views: &DropShares, rng: &mut ChaCha8Rng) -> Result<[View; 2], MethodError> {
        Ok([self.view(views, 0, rng)?, self.view(views, 1, rng)?])
    }

    fn view(&self, views: &DropShares, which: usize, rng: &mut ChaCha8Rng) -> Result<View, MethodError> {
        let graph = drop_edges(&self.adjacency, views.edges[which], self.draw, rng)?;
        let keep = draw_columns(self.features.num_features(), views.features[which], rng)?;
        Ok((self.layer.prepare(&graph), self.input.clone().with_columns(&keep)?))
    }
}

/// A graph and its features as an [`Encoder`] takes them in.
pub(super) type View = (Propagation, NodeInput);

/// How two views of a graph are drawn: edges dropped, columns of the features masked.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DropShares {
    /// Probabilities that a link goes, in the first and the second view.
    pub edges: [f64; 2],
    /// Probabilities that a column of the features is masked.
    pub features: [f64; 2],
}

impl DropShares {
    pub(super) fn validate(&self, check: &Check) -> Result<(), MethodError> {
        let all = |name, shares: [f64; 2]| shares.into_iter().try_for_each(|share| check.share(name, share));
        all("share of dropped edges", self.edges)?;
        all("share of masked features", self.features)
    }
}
