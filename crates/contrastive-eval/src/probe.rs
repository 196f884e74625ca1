//! Linear probes: what a linear model can read out of frozen embeddings.
//!
//! | question | way in |
//! |---|---|
//! | the whole protocol: splits, choice of the penalty, mean and deviation | [`LinearProbe`] |
//! | which rows to train on, choose by, test on | [`Split`] |
//! | one logistic regression | [`LogisticRegression`] |
//! | real-valued targets | [`Ridge`]; for many penalties at once [`RidgePath`] |
//! | a classifier that is not linear | [`RbfSvm`] |
//!
//! ```
//! use contrastive_eval::ndarray::Array2;
//! use contrastive_eval::probe::{LinearProbe, Split, Targets};
//!
//! // 60 nodes of two classes that the first coordinate tells apart
//! let labels: Vec<u32> = (0..60).map(|node| node % 2).collect();
//! let x = Array2::from_shape_fn((60, 3), |(node, d)| if d == 0 { (node % 2) as f32 } else { (node * d % 7) as f32 / 20.0 });
//! let splits: Vec<Split> = (0..3).map(|seed| Split::random(60, 0.2, 0.2, seed)).collect::<Result<_, _>>()?;
//! let report = LinearProbe::new()
//!     .with_validation(&[0.1, 1.0, 10.0])
//!     .run(x.view(), Targets::single(&labels, 2), &splits)?;
//! assert_eq!(report.accuracy().mean, 1.0);
//! println!("{report}");
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

mod logistic;
mod newton;
mod problem;
mod protocol;
mod report;
mod ridge;
mod ridge_path;
mod scaling;
mod split;
mod svm;
mod targets;

pub use logistic::{ClassWeights, Intercept, Link, LogisticModel, LogisticRegression};
pub use protocol::{Decision, LinearProbe};
pub use report::{ProbeReport, ProbeRun};
pub use ridge::{Ridge, RidgeModel};
pub use ridge_path::{RidgePath, forecast_error};
pub use scaling::Scaling;
pub use split::Split;
pub use svm::{Gamma, RbfSvm, RbfSvmModel, SvmChoice};
pub use targets::Targets;
