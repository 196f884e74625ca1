//! The engines: inputs, choices, value and gradients in linear memory.
//!
//! [`PairObjective`] is the softmax family: `pair` holds its choices, `resolve` turns them into the lists and numbers of a `spec`, `evaluate`
//! runs it through the backend extension `ops` (native kernels on the CPU, `portable` elsewhere), `dense` is the readable definition.
//! `rowwise` is the second engine, for any sum over an anchor's similarities, and `metric_rows` what its objectives share. `blocks` is
//! the most general way: row blocks with a tape each. `grouped` is the softmax family with a leading group axis.

pub(crate) mod blocks;
pub(crate) mod candidates;
pub(crate) mod choices;
pub(crate) mod dense;
pub(crate) mod distances;
pub(crate) mod evaluate;
pub mod grouped;
pub(crate) mod inputs;
pub(crate) mod labelled;
pub(crate) mod log_sums;
pub(crate) mod metric_rows;
pub(crate) mod nearest;
pub(crate) mod numeric;
pub(crate) mod ops;
pub(crate) mod pair;
pub(crate) mod pair_terms;
pub(crate) mod portable;
pub(crate) mod resolve;
pub(crate) mod rowwise;
pub(crate) mod spec;
pub(crate) mod views;

pub use blocks::row_blocks;
pub use candidates::CandidateBlocks;
pub use choices::{Direction, PositiveWeights, Reduction};
pub use contrastive_kernels::softmax::{Denominator, Placement, Wanted};
pub use grouped::{Grouped, GroupedEvaluation, GroupedInputs};
pub use inputs::{Evaluation, Gradients, Inputs};
pub use labelled::LabelledLoss;
pub use log_sums::LogSums;
pub use nearest::nearest_rows;
pub use numeric::{logistic, softplus};
pub use pair::PairObjective;
pub use pair_terms::PairTerm;
pub use rowwise::RowFunction;
