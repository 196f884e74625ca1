//! Sparse matrices times dense ones.
