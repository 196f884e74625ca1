//! Matrix factorisation with BPR (Rendle et al., UAI 2009): the plain baseline, LightGCN without propagation.

use super::training::{Initialisation, Sampling, Training};
use super::{Embeddings, LightGcn, LightGcnConfig, MethodError};
use crate::data::{Dataset, Interactions};
use burn::config::Config;
use contrastive_train::FitOptions;

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

    /// Checks every setting.
    ///
    /// # Errors
    /// [`MethodError::Setting`] with the name and the allowed range of the first one that is out of it.
    pub fn validate(&self) -> Result<(), MethodError> {
        self.plain().validate()
    }

    /// The method on `train`.
    ///
    /// # Errors
    /// When a setting is out of its range.
    pub fn build(&self, train: &Interactions) -> Result<LightGcn, MethodError> {
        Ok(LightGcn { name: "mf-bpr", ..self.plain().build(train)? })
    }

    /// A training that can be stepped by hand.
    ///
    /// # Errors
    /// When a setting is out of its range, or the data cannot be sampled.
    pub fn training_on(&self, data: &Dataset, options: &FitOptions) -> Result<Training<LightGcn>, MethodError> {
        self.validate()?;
        let config = serde_json::to_value(self).unwrap_or_default();
        Training::new(self.plain().training(), config, data, options, |train| self.build(train))
    }

    /// Trains on `data.train`, evaluates on its other parts, and returns the embeddings.
    ///
    /// # Errors
    /// When a setting is out of its range, the data cannot be sampled, or the run cannot go on.
    pub fn fit(&self, data: &Dataset, options: &FitOptions) -> Result<Embeddings, MethodError> {
        self.training_on(data, options)?.fit(options)
    }
}
