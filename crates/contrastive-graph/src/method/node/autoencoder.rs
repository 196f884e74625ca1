//! An auto-encoder of node features: where methods of deep clustering start from.

use super::whole::{Trained, input, table};
use crate::data::shuffle;
use crate::encoder::{Mlp, MlpConfig, NodeInput};
use crate::method::MethodError;
use crate::method::error::Check;
use crate::node::Features;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_kernels::sparse::Csr;
use ndarray::{Array2, Axis};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Settings of the pre-training of [`AutoEncoder`].
#[derive(Config, Debug, PartialEq)]
pub struct AutoEncoderConfig {
    /// Widths of the hidden layers of the encoder; the decoder has them in reverse.
    #[config(default = "vec![500, 500, 2000]")]
    pub hidden: Vec<usize>,
    /// Width of the code.
    #[config(default = 10)]
    pub dim: usize,
    /// Passes over the nodes.
    #[config(default = 30)]
    pub epochs: usize,
    /// Nodes in a batch.
    #[config(default = 256)]
    pub batch_size: usize,
    /// Learning rate of Adam.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// Seed of the weights and of the order of the nodes.
    #[config(default = 42)]
    pub seed: u64,
}

/// Two networks, from features to a code and back.
#[derive(Module, Debug)]
pub struct AutoEncoder {
    /// `[features, hidden.., dim]`.
    pub encoder: Mlp,
    /// `[dim, .. hidden, features]`.
    pub decoder: Mlp,
}

/// The features of some nodes.
fn part(features: &Features, nodes: &[u32]) -> Features {
    match features {
        Features::Dense(rows) => {
            let at: Vec<usize> = nodes.iter().map(|node| *node as usize).collect();
            Features::Dense(rows.select(Axis(0), &at))
        }
        Features::Sparse(rows) => {
            let (mut indptr, mut columns, mut values) = (vec![0], Vec::new(), Vec::new());
            for &node in nodes {
                let (own, weights) = rows.row(node as usize);
                columns.extend_from_slice(own);
                values.extend_from_slice(weights);
                indptr.push(columns.len());
            }
            let rows = Csr::from_parts(nodes.len(), rows.cols(), indptr, columns, values);
            Features::Sparse(rows.expect("rows of a matrix"))
        }
    }
}

impl AutoEncoder {
    /// The mean squared error of the reconstruction of dense features `[nodes, features]`, `[1]`.
    ///
    /// # Panics
    /// When the shapes of input and target do not fit the networks.
    pub fn loss(&self, input: &NodeInput, target: Tensor<2>) -> Tensor<1> {
        let miss = self.decoder.forward(&self.encoder.forward(input).into()) - target;
        (miss.clone() * miss).mean()
    }
}

impl AutoEncoderConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// With the name and the allowed range of the first setting that is out of it.
    pub fn validate(&self) -> Result<(), MethodError> {
        let check = Check("autoencoder");
        self.hidden.iter().try_for_each(|width| check.count("hidden", *width))?;
        check.count("dim", self.dim)?;
        check.count("batch_size", self.batch_size)?;
        check.positive("learning_rate", self.learning_rate)
    }

    /// The networks, not yet trained.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and when there are no features.
    pub fn init(&self, features: usize, device: &Device) -> Result<AutoEncoder, MethodError> {
        self.validate()?;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut widths = vec![features];
        widths.extend(&self.hidden);
        widths.push(self.dim);
        let encoder = MlpConfig::new(widths.clone()).init(&mut rng, device)?;
        widths.reverse();
        Ok(AutoEncoder { encoder, decoder: MlpConfig::new(widths).init(&mut rng, device)? })
    }

    /// Trains on the features in batches, and returns the networks with the error of each epoch (the mean over its batches). Only
    /// the rows of a batch are ever written out.
    ///
    /// # Errors
    /// As [`init`](Self::init), and [`TrainError::NonFinite`](contrastive_train::TrainError::NonFinite).
    pub fn fit(&self, features: &Features, device: &Device) -> Result<(AutoEncoder, Vec<f64>), MethodError> {
        let device = device.clone().autodiff();
        let networks = self.init(features.num_features(), &device)?;
        let mut trained = Trained::new(networks, self.learning_rate);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(1);
        let mut order: Vec<u32> = (0..features.num_nodes() as u32).collect();
        let mut errors = Vec::with_capacity(self.epochs);
        for _ in 0..self.epochs {
            shuffle(&mut rng, &mut order);
            let mut sum = 0.0;
            for nodes in order.chunks(self.batch_size) {
                let rows = part(features, nodes);
                let target: Array2<f32> = rows.to_dense();
                let loss = trained.model.loss(&input(&rows, &device), table(target, &device));
                sum += nodes.len() as f64 * trained.descend([("reconstruction", loss)])?[0];
            }
            errors.push(sum / order.len() as f64);
        }
        Ok((trained.model, errors))
    }
}
