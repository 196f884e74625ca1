//! Sparse matrices times dense ones, and rows of dense tables.
//!
//! [`Csr`] is a compressed-sparse-row matrix whose invariants are checked when it is made, so that the kernels need no
//! checks of their own. [`Csr::multiply`] and [`Csr::multiply_add`] propagate a dense table of any width through it;
//! [`gather_rows`] and [`scatter_add_rows`] read and accumulate rows of a table by index.
//!
//! [`Csr::product`] multiplies two sparse matrices, of real numbers or of counts in `u64`, and [`Csr::product_at`] computes such a
//! product at given places alone; [`Csr::from_rows`] and [`SparseRow`] are what chains of products and cut ones are made of.
//!
//! Work is cut at equal numbers of non-zeros, not of rows: degrees of real graphs follow a power law, and a cut by rows
//! leaves threads idle. Every output row is summed in one fixed order, so results are the same for any number of threads.
//!
//! ```
//! use contrastive_kernels::sparse::Csr;
//! let a = Csr::from_triplets(2, 3, &[(0, 0, 1.0f32), (0, 2, 2.0), (1, 1, -1.0)])?;
//! let x = [1.0, 10.0, 2.0, 20.0, 3.0, 30.0]; // 3 x 2, row-major
//! let mut out = [0.0; 4];
//! a.multiply(&x, 2, &mut out);
//! assert_eq!(out, [7.0, 70.0, -2.0, -20.0]);
//! # Ok::<(), contrastive_kernels::sparse::SparseError>(())
//! ```

mod csr;
mod entry;
mod error;
mod multiply;
mod order;
mod products;
mod row;
mod rows;

pub use csr::Csr;
pub use entry::Entry;
pub use error::SparseError;
pub use order::degree_order;
pub use row::{SparseRow, map_rows};
pub use rows::{gather_rows, scatter_add_rows};
pub(crate) use rows::{gather_rows_generic, scatter_add_rows_generic};
