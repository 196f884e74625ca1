//! What an embedding is worth: evaluation on `ndarray` arrays, in bounded memory, whatever trained the embedding.
//!
//! [`ranking`] is the all-ranking protocol of implicit-feedback recommendation: every user ranks the whole catalogue
//! without the items already taken in training, and Recall, NDCG and their like are read off the top of the list.
//!
//! ```
//! use contrastive_eval::ndarray::array;
//! use contrastive_eval::ranking::{ItemSets, evaluate};
//!
//! let users = array![[1.0f32, 0.0], [0.0, 1.0]];
//! let items = array![[0.9, 0.1], [0.8, 0.0], [0.1, 0.7], [0.2, 0.9]];
//! // user 0 took item 0 in training and item 1 in the test; user 1 took 3, then 2
//! let train = ItemSets::new(&[0, 1, 2], &[0, 3])?;
//! let test = ItemSets::new(&[0, 1, 2], &[1, 2])?;
//! let report = evaluate(users.view(), items.view(), train, test, &[1, 2])?;
//! assert_eq!(report.get("recall@1"), Some(1.0));
//! println!("{report}");
//! # Ok::<(), contrastive_eval::ranking::RankingError>(())
//! ```

pub mod ranking;

/// The array crate of this interface, so that a caller gets the version that fits.
pub use ndarray;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
