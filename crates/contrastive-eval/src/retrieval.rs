//! Retrieval: does a query find what belongs to it?
//!
//! | what belongs together | way in |
//! |---|---|
//! | rows with the same label, the set against itself (metric learning) | [`Retrieval::by_label`] |
//! | rows of two sets with the same label | [`Retrieval::by_label_between`] |
//! | given sets of relevant candidates | [`Retrieval::by_sets`] |
//! | images and captions, both directions | [`Retrieval::both_ways`], [`Retrieval::both_ways_scores`] |
//!
//! Every query ranks all candidates, equal scores by the smaller index. The ranks of the relevant candidates are all that is kept;
//! scores are made a block of queries at a time. Time `2 n m D` operations, memory linear in `n + m` and in the relevant pairs
//! of one block.
//!
//! ```
//! use contrastive_eval::Similarity;
//! use contrastive_eval::ndarray::array;
//! use contrastive_eval::retrieval::Retrieval;
//!
//! let x = array![[1.0f32, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]];
//! let report = Retrieval::new(Similarity::Cosine, &[1, 2])?.by_label(x.view(), &[0, 0, 1, 1])?;
//! assert_eq!((report.recall_at(1), report.map), (Some(1.0), 1.0));
//! println!("{report}");
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

mod protocol;
mod report;

pub use protocol::Retrieval;
pub use report::{BothWaysReport, RetrievalReport};
