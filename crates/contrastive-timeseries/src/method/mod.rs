//! The published methods.
//!
//! | method | what it contrasts |
//! |---|---|
//! | [`Ts2Vec`] | two crops of each series, step by step, over a hierarchy of scales |
//! | [`Comet`] | persons, recordings, windows and steps |
//! | [`AutoTcl`] | each series with a view that a learned augmenter makes of it |

mod autotcl;
mod comet;
mod fine_tune;
mod shared;
mod ts2vec;

pub use autotcl::{Augmenter, AugmenterConfig, AutoTcl, AutoTclBatch, AutoTclConfig, AutoTclModel, FixedViews, Made};
pub use comet::{Comet, CometBatch, CometConfig, Levels};
pub use fine_tune::{FineTune, FineTuned, Head};
pub use ts2vec::{Ts2Vec, Ts2VecBatch, Ts2VecConfig, prepared};
