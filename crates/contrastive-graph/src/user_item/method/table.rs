//! The settings that every method on user-item graphs has.

use super::{Initialisation, NodeTable, Sampling};
use crate::user_item::data::{NodeOrder, Relabelling};
use burn::config::Config;
use burn::tensor::Device;
use contrastive_train::{Budget, Check, SettingError, TrainingConfig};

/// The node table and its training: what every method on user-item graphs needs to know. Each method's settings hold one, with defaults
/// of its own.
#[derive(Config, Debug, PartialEq)]
pub struct TableConfig {
    /// Width of the embeddings.
    #[config(default = 64)]
    pub dim: usize,
    /// How triples are drawn.
    #[config(default = "Sampling::Pairs")]
    pub sampling: Sampling,
    /// How the table starts.
    #[config(default = "Initialisation::Normal { deviation: 0.1 }")]
    pub initialisation: Initialisation,
    /// How nodes are numbered inside, for locality; the result is in the original order.
    #[config(default = "NodeOrder::Clusters")]
    pub node_order: NodeOrder,
    /// Length, triples in a batch, rate, optimiser and schedule.
    #[config(default = "TrainingConfig::new(Budget::Epochs(40), 2048, 1e-3)")]
    pub training: TrainingConfig,
}

impl TableConfig {
    /// Sets the number of triples in a batch.
    pub fn with_batch_size(mut self, size: usize) -> Self {
        self.training.batch_size = size;
        self
    }

    /// The node table of a training with [`NodeOrder::File`], on an autodiff device.
    pub fn init(&self, users: usize, items: usize, seed: u64, device: &Device) -> NodeTable {
        let (order, device) = (Relabelling::identity(users, items), device.clone().autodiff());
        NodeTable::new(self.initialisation, [users, items], self.dim, seed, &order, &device)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// With the first that is out of its range.
    pub fn validate(&self, check: &Check) -> Result<(), SettingError> {
        check.count("dim", self.dim)?;
        if let Initialisation::Normal { deviation } = self.initialisation {
            check.positive("deviation of the initialisation", deviation)?;
        }
        self.training.validate()
    }
}
