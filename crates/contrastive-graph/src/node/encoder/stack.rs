//! Encoders of several layers.

use super::gat::{Gat, GatConfig};
use super::input::NodeInput;
use super::layers::{Gcn, GcnConfig, Gin, GinConfig, Sage, SageConfig};
use super::linear::dropout;
use crate::node::augment::normalise::{gcn_normalised, row_normalised, with_self_loops};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};
use contrastive_core::linear::{SparseOperator, SparsePattern};
use contrastive_core::settings::{Check, SettingError};
use contrastive_kernels::sparse::Csr;
use contrastive_nn::encoder::MlpConfig;
use contrastive_nn::layer::{Activation, ActivationLayer, Linear, LinearConfig};
use rand_chacha::ChaCha8Rng;

/// Which layer an encoder is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum LayerKind {
    /// [`Gcn`].
    #[default]
    Gcn,
    /// [`Gat`] with this many heads, concatenated in all layers but the last, where they are averaged.
    Gat {
        /// Number of heads.
        heads: usize,
    },
    /// [`Sage`].
    Sage,
    /// [`Gin`] with a network of two maps of the output's width.
    Gin {
        /// Whether epsilon, 0 at the start, is trained.
        train_epsilon: bool,
    },
    /// [`Linear`](contrastive_nn::layer::Linear): no graph.
    Linear,
}

/// A graph as the layers of one kind need it.
#[derive(Clone, Debug)]
pub enum Propagation {
    /// Not at all.
    None,
    /// A fixed matrix.
    Operator(SparseOperator),
    /// The places of its edges.
    Pattern(SparsePattern),
}

impl LayerKind {
    /// The graph as this kind of layer needs it: normalised with self loops for GCN, its edges and self loops for GAT, the mean
    /// over neighbours for GraphSAGE, as it is for GIN. Row `i` lists the nodes that send to node `i`. After an augmentation of
    /// the edges, prepare the new graph.
    ///
    /// # Panics
    /// When the matrix is not square.
    pub fn prepare(&self, graph: &Csr<f64>) -> Propagation {
        assert_eq!(graph.rows(), graph.cols(), "an adjacency matrix of {} x {}", graph.rows(), graph.cols());
        match self {
            Self::Gcn => Propagation::Operator(SparseOperator::new(gcn_normalised(graph, true))),
            Self::Gat { .. } => Propagation::Pattern(SparsePattern::new(&with_self_loops(graph))),
            Self::Sage => Propagation::Operator(SparseOperator::new(row_normalised(graph))),
            Self::Gin { .. } => Propagation::Operator(SparseOperator::new(graph.clone())),
            Self::Linear => Propagation::None,
        }
    }
}

/// What a layer's output is normalised over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Normalisation {
    /// Nothing.
    #[default]
    None,
    /// Each column over the nodes, with running statistics for evaluation.
    Batch,
    /// Each node over its columns.
    Layer,
    /// All numbers at once, by one mean and one variance, without parameters (MEOW).
    Whole,
}

/// Mean 0 and variance 1 over the whole matrix.
pub(crate) fn whole_normalised(x: Tensor<2>) -> Tensor<2> {
    let centred = x.clone() - x.mean().unsqueeze::<2>();
    let variance = (centred.clone() * centred.clone()).mean().unsqueeze::<2>();
    centred / (variance + 1e-5).sqrt()
}

/// Settings of [`Encoder`]; the defaults are GRACE's for Cora but for the widths.
#[derive(Config, Debug, PartialEq)]
pub struct EncoderConfig {
    /// Widths from the features to the embedding; one layer fewer. GRACE: `[features, 2 d, d]`.
    pub widths: Vec<usize>,
    /// The layers.
    #[config(default = "LayerKind::Gcn")]
    pub layer: LayerKind,
    /// What follows each layer; one parameter serves all.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// Whether it follows the last layer, too.
    #[config(default = true)]
    pub activate_last: bool,
    /// Whether each layer's input is added to its output, before normalisation and activation: by a map of its own in the first
    /// layer and where widths differ, as it is elsewhere.
    #[config(default = false)]
    pub residual: bool,
    /// What the output of each layer that is activated is normalised over, before its activation.
    #[config(default = "Normalisation::None")]
    pub normalisation: Normalisation,
    /// Share of numbers dropped between layers, in training.
    #[config(default = 0.0)]
    pub dropout: f64,
}

impl EncoderConfig {
    /// Checks all settings.
    ///
    /// # Errors
    /// When there are fewer than two widths or one is 0, heads do not divide a width, or the dropout is not in `0..1`.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("encoder");
        check.that(self.widths.len() >= 2, "number of widths", self.widths.len(), "2 or more")?;
        self.widths.iter().try_for_each(|&width| check.count("width", width))?;
        check.share("dropout", self.dropout)?;
        self.activation.validate()?;
        (0..self.widths.len() - 1).try_for_each(|at| match self.gat(at) {
            Some(config) => config.validate(),
            None => Ok(()),
        })
    }

    fn gat(&self, at: usize) -> Option<GatConfig> {
        let LayerKind::Gat { heads } = self.layer else { return None };
        let last = at + 2 == self.widths.len();
        Some(GatConfig::new(self.widths[at], self.widths[at + 1]).with_heads(heads).with_concatenate(!last))
    }

    /// The encoder, all weights drawn from `rng`.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Result<Encoder, SettingError> {
        self.validate()?;
        let count = self.widths.len() - 1;
        let layers = (0..count).map(|at| self.layer(at, at + 1 < count || self.activate_last, rng, device));
        Ok(Encoder {
            layers: layers.collect::<Result<_, _>>()?,
            activation: self.activation.init(device),
            kind: self.layer,
            dropout: self.dropout,
        })
    }

    fn layer(
        &self,
        at: usize,
        activated: bool,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<EncoderLayer, SettingError> {
        let (input, output) = (self.widths[at], self.widths[at + 1]);
        let step = match self.layer {
            LayerKind::Gcn => Step::Gcn(GcnConfig::new(input, output).init(rng, device)?),
            LayerKind::Sage => Step::Sage(SageConfig::new(input, output).init(rng, device)?),
            LayerKind::Gat { .. } => Step::Gat(self.gat(at).expect("settings of an attention").init(rng, device)?),
            LayerKind::Gin { train_epsilon } => {
                let network = MlpConfig::new(vec![input, output, output]);
                Step::Gin(GinConfig::new(network).with_train_epsilon(train_epsilon).init(rng, device)?)
            }
            LayerKind::Linear => Step::Linear(LinearConfig::new(input, output).init(rng, device)?),
        };
        let mapped = self.residual && (at == 0 || input != output);
        let over = |what| activated && self.normalisation == what;
        let skip = LinearConfig::new(input, output).with_bias(false);
        Ok(EncoderLayer {
            step,
            residual: self.residual,
            skip: mapped.then(|| skip.init(rng, device)).transpose()?,
            batch_norm: over(Normalisation::Batch).then(|| BatchNormConfig::new(output).init(device)),
            layer_norm: over(Normalisation::Layer).then(|| LayerNormConfig::new(output).init(device)),
            whole: over(Normalisation::Whole),
            activated,
        })
    }
}

/// The message passing of a layer.
#[derive(Module, Debug)]
pub enum Step {
    /// Graph convolution.
    Gcn(Gcn),
    /// Attention.
    Gat(Gat),
    /// GraphSAGE.
    Sage(Sage),
    /// Isomorphism network.
    Gin(Gin),
    /// No graph.
    Linear(Linear),
}

impl Step {
    fn forward(&self, graph: &Propagation, input: &NodeInput, rng: Option<&mut ChaCha8Rng>) -> Tensor<2> {
        match (self, graph) {
            (Self::Gcn(layer), Propagation::Operator(operator)) => layer.forward(operator, input),
            (Self::Sage(layer), Propagation::Operator(operator)) => layer.forward(operator, input),
            (Self::Gin(layer), Propagation::Operator(operator)) => layer.forward(operator, input),
            (Self::Gat(layer), Propagation::Pattern(pattern)) => layer.forward_with(pattern, input, rng),
            (Self::Linear(map), _) => input.mapped(map),
            (_, graph) => panic!("a graph that was not prepared for this kind of layer: {graph:?}"),
        }
    }
}

/// One layer of an [`Encoder`].
#[derive(Module, Debug)]
pub struct EncoderLayer {
    /// The message passing.
    pub step: Step,
    residual: bool,
    /// What the input is mapped with before it is added, where it is.
    pub skip: Option<Linear>,
    /// Normalisation of columns.
    pub batch_norm: Option<BatchNorm>,
    /// Normalisation of rows.
    pub layer_norm: Option<LayerNorm>,
    whole: bool,
    activated: bool,
}

impl EncoderLayer {
    /// Whether it is message passing and, if so asked, an activation, and nothing else: no skip connection, no normalisation.
    pub fn is_plain(&self, activated: bool) -> bool {
        let normalised = self.batch_norm.is_some() || self.layer_norm.is_some() || self.whole;
        !self.residual && !normalised && self.activated == activated
    }

    /// All but activation and dropout.
    fn forward(
        &self,
        graph: &Propagation,
        input: &NodeInput,
        previous: Option<Tensor<2>>,
        rng: Option<&mut ChaCha8Rng>,
    ) -> Tensor<2> {
        let mut x = self.step.forward(graph, input, rng);
        if let Some(skip) = &self.skip {
            x = x + input.mapped(skip);
        } else if let Some(previous) = previous.filter(|_| self.residual) {
            x = x + previous;
        }
        let x = if self.whole { whole_normalised(x) } else { x };
        let x = self.batch_norm.as_ref().map_or(x.clone(), |norm| norm.forward(x));
        self.layer_norm.as_ref().map_or(x.clone(), |norm| norm.forward(x))
    }
}

/// Layers of one kind, each followed by skip, normalisation, activation and dropout, as the [`EncoderConfig`] says.
#[derive(Module, Debug)]
pub struct Encoder {
    /// From the features to the embedding.
    pub layers: Vec<EncoderLayer>,
    /// What follows each layer.
    pub activation: ActivationLayer,
    #[module(skip)]
    kind: LayerKind,
    dropout: f64,
}

impl Encoder {
    /// The graph as this encoder needs it ([`LayerKind::prepare`]).
    ///
    /// # Panics
    /// When the matrix is not square.
    pub fn prepare(&self, graph: &Csr<f64>) -> Propagation {
        self.kind.prepare(graph)
    }

    /// Embeddings without dropout.
    ///
    /// # Shapes
    /// - input: `[nodes, features]`
    /// - output: `[nodes, last width]`
    ///
    /// # Panics
    /// When a shape does not fit, or the graph was prepared for another kind of layer.
    pub fn forward(&self, graph: &Propagation, input: &NodeInput) -> Tensor<2> {
        self.forward_with(graph, input, None)
    }

    /// Embeddings with dropout drawn from `rng`.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_training(&self, graph: &Propagation, input: &NodeInput, rng: &mut ChaCha8Rng) -> Tensor<2> {
        self.forward_with(graph, input, Some(rng))
    }

    fn forward_with(&self, graph: &Propagation, input: &NodeInput, mut rng: Option<&mut ChaCha8Rng>) -> Tensor<2> {
        let (mut input, mut previous) = (input.clone(), None);
        let last = self.layers.len() - 1;
        for (at, layer) in self.layers.iter().enumerate() {
            let mut x = layer.forward(graph, &input, previous, rng.as_deref_mut());
            if layer.activated {
                x = self.activation.forward(x);
            }
            if at == last {
                return x;
            }
            x = dropout(x, self.dropout, rng.as_deref_mut());
            (input, previous) = (x.clone().into(), Some(x));
        }
        unreachable!("an encoder has at least one layer")
    }
}
