//! IRWE (Qin and Yeung, arXiv 2401.00651): role and place of nodes from random walks, for nodes and graphs never seen.
//!
//! Neither the paper's full text nor its code was at hand. This is the design as recalled, completed by choices of the specification;
//! **no parity with published numbers is claimed**. What was chosen is marked so in [`IrweConfig`].
//!
//! | part | what it is |
//! |---|---|
//! | [`WalkStatistics`] | shares of the patterns of a node's walks, of the degrees and of the nodes they visit |
//! | [`IdentityNet`] | an auto-encoder of patterns, and attention over them: psi, equal for nodes with equal statistics |
//! | [`PositionNet`] | a transformer over few walks, combined with weights from psi: gamma |
//! | [`soft_binary_nce`] | what gamma is trained by |
//! | [`Irwe::infer`] | embeddings of another graph with the weights, patterns and bins of training |

mod method;
mod model;
mod statistics;

pub use method::{Irwe, IrweBatch, IrweConfig, IrweEmbeddings};
pub use model::{IdentityNet, IrweInput, IrweModel, PositionNet, soft_binary_nce};
pub use statistics::{WalkIndex, WalkStatistics};
