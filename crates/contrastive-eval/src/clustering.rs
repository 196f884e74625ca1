//! How well clusters fit known labels, how well they are apart, and the k-means protocol that compares embeddings by them.
//!
//! | question | answer |
//! |---|---|
//! | do clusters agree with labels? | [`compare`]: accuracy of the best matching, NMI, ARI, AMI, macro F1, purity, ... |
//! | which cluster is which class? | [`best_match`] |
//! | are clusters compact and apart? | [`silhouette`], [`davies_bouldin`]; row by row: [`silhouettes`] |
//! | clusters of an embedding | [`KMeans`] |
//! | all of it, over seeds | [`KMeans::evaluate`] |
//!
//! ```
//! use contrastive_eval::clustering::{KMeans, compare};
//! use contrastive_eval::ndarray::array;
//!
//! let report = compare(&[0, 0, 1, 1], &[7, 7, 3, 3])?; // names of clusters do not matter
//! assert_eq!((report.accuracy, report.nmi, report.ari), (1.0, 1.0, 1.0));
//!
//! let x = array![[0.0f32, 0.1], [0.1, 0.0], [5.0, 5.1], [5.1, 5.0]];
//! let report = KMeans::new(2).evaluate(x.view(), &[0, 0, 1, 1], &[0, 1, 2])?;
//! assert_eq!(report.get("accuracy").unwrap().mean, 1.0);
//! println!("{report}");
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

mod contingency;
mod geometry;
mod k_means;
mod matching;
mod report;

pub use contrastive_kernels::k_means::Clustering;
pub use geometry::{Distance, davies_bouldin, silhouette, silhouettes};
pub use k_means::KMeans;
pub use matching::best_match;
pub use report::{ClusterReport, ClusterRuns, compare};
