//! Matrix factorisation with BPR (Rendle et al., UAI 2009): the plain baseline, LightGCN without propagation.

use super::training::TrainingConfig;
use super::{LightGcn, LightGcnConfig, MethodConfig};
use crate::MethodError;
use crate::user_item::data::Interactions;
use burn::config::Config;

/// Settings of matrix factorisation with BPR.
#[derive(Config, Debug, PartialEq)]
pub struct MfBprConfig {
    /// Weight of the penalty on the batch's rows.
    #[config(default = 1e-4)]
    pub l2: f64,
    /// What every training needs to know.
    #[config(default = "TrainingConfig::new()")]
    pub training: TrainingConfig,
}

impl MfBprConfig {
    /// The same as LightGCN without layers.
    fn plain(&self) -> LightGcnConfig {
        LightGcnConfig::new().with_layers(0).with_l2(self.l2).with_training(self.training.clone())
    }
}

impl MethodConfig for MfBprConfig {
    type Method = LightGcn;

    fn validate(&self) -> Result<(), MethodError> {
        self.plain().validate()
    }

    fn training(&self) -> &TrainingConfig {
        &self.training
    }

    fn training_mut(&mut self) -> &mut TrainingConfig {
        &mut self.training
    }

    fn build(&self, train: &Interactions) -> Result<LightGcn, MethodError> {
        Ok(LightGcn { name: "mf-bpr", ..self.plain().build(train)? })
    }
}
