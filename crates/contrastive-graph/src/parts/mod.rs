//! What methods are composed of, for those in this crate and in anybody else's.
//!
//! | I need | use |
//! |---|---|
//! | embeddings spread along a graph | [`propagate`]; with noise, or to keep the layers, [`propagate_with`] |
//! | one embedding out of the layers | [`Readout`], [`Layers::mean`] |
//! | BPR of a batch of triples | [`ranking_loss`] |
//! | edges weighted by how alike their ends are, and rows of such weights brought to sum 1 | [`likeness`], [`row_shares`] |
//! | a penalty on the rows of a batch, or on the whole table | [`batch_penalty`], [`table_penalty`] |
//! | nodes of one view that find themselves in another, among all, a draw, or the batch | [`cross_view_info_nce`], [`batch_info_nce`], [`Side`], [`Candidates`] |
//! | random numbers on a device, from a seed; handed in by a test | [`Noise`] |
//! | a table on its way from a device to the host and back | [`to_array`], [`to_tensor`] |
//! | a table in a file of NumPy's | [`contrastive_train::write_npy`] |
//! | settings checked by name | [`Check`] |
//! | a linear probe of embeddings of other nodes than it is trained on | [`contrastive_eval::probe::LinearProbe::run_between`] |
//! | the tests that a method owes | [`owed`] |
//!
//! `examples/external_method` is a method in a crate of its own, made of these.

mod likeness;
mod losses;
mod noise;
pub mod owed;
mod propagation;
mod table;

pub use contrastive_train::Check;
pub use likeness::{likeness, row_shares, unit_rows};
pub use losses::{Candidates, Side, batch_info_nce, batch_penalty, cross_view_info_nce, ranking_loss, table_penalty};
pub use noise::Noise;
pub use propagation::{LayerSums, Layers, Readout, propagate, propagate_with};
pub use table::{to_array, to_tensor};
