//! The published methods.
//!
//! | method | what it contrasts |
//! |---|---|
//! | [`Ts2Vec`] | two crops of each series, step by step, over a hierarchy of scales |
//! | [`Comet`] | persons, recordings, windows and steps |
//! | [`AutoTcl`] | each series with a view that a learned augmenter makes of it |
//! | [`Halp`] | clips with a queue of past keys (MoCo), and with positives made between keys and prototypes |
//! | [`UniMts`] | signals of sensors on a body with their captions |

mod autotcl;
mod comet;
mod fine_tune;
mod halp;
mod shared;
mod ts2vec;
mod unimts;
mod unimts_tune;

pub use autotcl::{Augmenter, AugmenterConfig, AutoTcl, AutoTclBatch, AutoTclConfig, AutoTclModel, FixedViews, Made};
pub use comet::{Comet, CometBatch, CometConfig, Levels};
pub use fine_tune::{FineTune, FineTuned, Head};
pub use halp::{Halp, HalpBatch, HalpConfig, HalpModel, Stream};
pub use ts2vec::{Ts2Vec, Ts2VecBatch, Ts2VecConfig, prepared};
pub use unimts::{UniMts, UniMtsBatch, UniMtsConfig, UniMtsModel};
pub use unimts_tune::{LabelRanks, Tuned, UniMtsClassifier, UniMtsTune, label_ranks};
