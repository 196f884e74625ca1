//! Orders: a positive above a negative, average precision, and pairs of sentences in the order of their scores.

pub(crate) mod angle;
pub(crate) mod bpr;
pub(crate) mod co_sent;
pub(crate) mod cosine_regression;
pub(crate) mod fast_ap;
pub(crate) mod groco;
pub(crate) mod listed_pairs;
pub(crate) mod pnp;
mod sampled_bce;
pub(crate) mod sentence_pairs;
pub(crate) mod smooth_ap;

pub use angle::AnglE;
pub use bpr::{bpr, bpr_from_scores, embedding_penalty};
pub use co_sent::CoSent;
pub use cosine_regression::cosine_regression;
pub use fast_ap::FastAp;
pub use groco::GroCo;
pub use listed_pairs::ListedPairs;
pub use pnp::Pnp;
pub use sampled_bce::{sampled_bce, sampled_bce_from_scores};
pub use smooth_ap::SmoothAp;
