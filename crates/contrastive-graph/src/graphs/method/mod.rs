//! Methods that embed whole graphs.

mod dsla;
mod fine_tune;

pub use dsla::{Comparison, Dsla, DslaBatch, DslaConfig, DslaModel, EditRule, Region};
pub use fine_tune::{FineTunedGraphs, GraphFineTune};

pub(crate) use dsla::SetFacts;

pub(crate) fn facts(set: &crate::graphs::data::GraphSet) -> SetFacts {
    SetFacts::of(set)
}
