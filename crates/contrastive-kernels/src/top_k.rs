//! Exact top-k over a candidate table.
