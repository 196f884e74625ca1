//! Interaction data: who touched what, from disk or generated, split, sampled, and as a normalised graph.
//!
//! [`Interactions`] is the one type everything else speaks: an immutable users x items pattern. [`Dataset`] is a train
//! part and a test part of it together with the original ids; [`Dataset::open`] reads every format listed at [`Format`],
//! [`generate::planted`] makes one whose ground truth is known. [`PairSampler`] and [`UniformUserSampler`] draw the
//! (user, positive, negative) triples of an epoch, [`adjacency`] gives the degree-normalised matrices.
//!
//! ```
//! use contrastive_graph::user_item::data::{generate, NegativePolicy, PairSampler, Triples};
//! use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
//!
//! let planted = generate::planted(&generate::PlantedOptions { users: 200, items: 150, ..Default::default() })?;
//! let train = &planted.dataset.train;
//! let sampler = PairSampler::new(train, NegativePolicy::Reject)?;
//! let mut triples = Triples::default();
//! sampler.epoch(&mut ChaCha8Rng::seed_from_u64(7), &mut triples);
//! assert_eq!(triples.len(), train.len());
//! # Ok::<(), contrastive_graph::user_item::data::DataError>(())
//! ```

pub mod adjacency;
mod assemble;
mod dataset;
mod error;
pub mod generate;
mod interactions;
mod load;
mod note;
mod order;
mod sampler;
pub mod split;

pub use adjacency::AdjacencyParts;
pub use contrastive_data::{Column, Delimiter, FileError, FileNote};
pub use dataset::Dataset;
pub use error::{DataError, Side};
pub use interactions::Interactions;
pub use load::{Columns, Format, IdPolicy, LoadOptions};
pub use note::Note;
pub use order::{NodeOrder, Permutation, Relabelling};
pub use sampler::{NegativePolicy, PairSampler, TripleBatch, Triples, UniformUserSampler};
pub use split::Split;
