//! Matrix factorisation with BPR (Rendle et al., UAI 2009): the plain baseline, LightGCN without propagation.

use super::training::{Initialisation, Sampling, TrainingConfig};
use super::{LightGcn, LightGcnConfig, MethodConfig};
use crate::MethodError;
use crate::user_item::data::Interactions;
use burn::config::Config;

/// Settings of matrix factorisation with BPR.
#[derive(Config, Debug, PartialEq)]
pub struct MfBprConfig {
    /// Width of the embeddings.
    #[config(default = 64)]
    pub dim: usize,
    /// Weight of the penalty on the batch's rows.
    #[config(default = 1e-4)]
    pub l2: f64,
    /// Learning rate of Adam.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// Triples in a batch.
    #[config(default = 2048)]
    pub batch_size: usize,
    /// How triples are drawn.
    #[config(default = "Sampling::Pairs")]
    pub sampling: Sampling,
    /// How the table starts.
    #[config(default = "Initialisation::Normal { deviation: 0.1 }")]
    pub initialisation: Initialisation,
}

impl MfBprConfig {
    /// The same as LightGCN without layers.
    fn plain(&self) -> LightGcnConfig {
        LightGcnConfig::new()
            .with_layers(0)
            .with_dim(self.dim)
            .with_l2(self.l2)
            .with_learning_rate(self.learning_rate)
            .with_batch_size(self.batch_size)
            .with_sampling(self.sampling)
            .with_initialisation(self.initialisation)
    }
}

impl MethodConfig for MfBprConfig {
    type Method = LightGcn;

    fn validate(&self) -> Result<(), MethodError> {
        self.plain().validate()
    }

    fn training(&self) -> TrainingConfig {
        self.plain().training()
    }

    fn build(&self, train: &Interactions) -> Result<LightGcn, MethodError> {
        Ok(LightGcn { name: "mf-bpr", ..self.plain().build(train)? })
    }
}
