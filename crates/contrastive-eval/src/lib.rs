//! What an embedding is worth: evaluation on `ndarray` arrays, in bounded memory, whatever trained the embedding.
//!
//! [`ranking`] is the all-ranking protocol of implicit-feedback recommendation: every user ranks the whole catalogue
//! without the items already taken in training, and Recall, NDCG and their like are read off the top of the list.
//!
//! | question | module |
//! |---|---|
//! | can a linear model read the classes out of it? | [`probe`] |
//! | do its neighbours have the same class? | [`neighbours`] |
//! | can new classes be told apart from a few examples? | [`few_shot`] |
//! | does it use its dimensions? | [`spread`] |
//! | are its clusters the classes? | [`clustering`] |
//! | does a query find what belongs to it, in one set or across modalities? | [`retrieval`] |
//! | does it know which pairs are linked? | [`links`] |
//! | do its similarities follow given ones? | [`correlation`] |
//! | do states of one text point in different directions? | [`isotropy`] |
//! | does generated text repeat itself? | [`generation`] |
//! | are the items that a user wants at the top? | [`ranking`] |
//! | all of it on one page to look at | [`page`] |
//! | which rows do not belong? | [`outliers`] |
//! | do numbers fall into a low and a high group? | [`mixture`] |
//! | plain scores of predictions | [`scores`] |
//!
//! Embeddings are `f32` or `f64`, results `f64`. What a user can get wrong is an [`EvalError`] (a
//! [`RankingError`](ranking::RankingError) in [`ranking`]) that names the row. Randomness comes from seeds alone, and no result depends on
//! the number of threads.
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

pub mod clustering;
pub mod correlation;
mod error;
pub mod few_shot;
pub mod generation;
pub mod isotropy;
pub mod links;
pub mod mixture;
pub mod neighbours;
pub mod outliers;
pub mod page;
pub mod probe;
pub mod ranking;
pub mod retrieval;
mod rows;
pub mod scores;
mod similarity;
pub mod spread;
mod summary;

pub use error::EvalError;
pub use similarity::Similarity;
pub use summary::Summary;

/// The array crate of this interface, so that a caller gets the version that fits.
pub use ndarray;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
