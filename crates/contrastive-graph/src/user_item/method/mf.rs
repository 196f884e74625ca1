//! Matrix factorisation with BPR (Rendle et al., UAI 2009): the plain baseline, LightGCN without propagation.

use super::{LightGcn, LightGcnConfig, MethodConfig, TableConfig};
use crate::MethodError;
use crate::user_item::data::Interactions;
use burn::config::Config;

/// Settings of matrix factorisation with BPR.
#[derive(Config, Debug, PartialEq)]
pub struct MfBprConfig {
    /// Weight of the penalty on the batch's rows.
    #[config(default = 1e-4)]
    pub l2: f64,
    /// The node table and its training.
    #[config(default = "TableConfig::new()")]
    pub table: TableConfig,
}

impl MfBprConfig {
    /// The same as LightGCN without layers.
    fn plain(&self) -> LightGcnConfig {
        LightGcnConfig::new().with_layers(0).with_l2(self.l2).with_table(self.table.clone())
    }
}

impl MethodConfig for MfBprConfig {
    type Method = LightGcn;

    fn validate(&self) -> Result<(), MethodError> {
        self.plain().validate()
    }

    fn table(&self) -> &TableConfig {
        &self.table
    }

    fn table_mut(&mut self) -> &mut TableConfig {
        &mut self.table
    }

    fn build(&self, train: &Interactions) -> Result<LightGcn, MethodError> {
        Ok(LightGcn { name: "mf-bpr", ..self.plain().build(train)? })
    }
}
