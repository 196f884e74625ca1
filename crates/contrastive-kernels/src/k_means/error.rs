//! Why there are no clusters.

use std::error::Error;
use std::fmt::{Display, Formatter};

/// Why there are no clusters.
#[derive(Debug, Clone, PartialEq)]
pub enum KMeansError {
    /// The values are not a whole number of rows, or rows have no width.
    Shape {
        /// Number of values.
        values: usize,
        /// Width of a row.
        width: usize,
    },
    /// No clusters, or more than there are rows.
    Clusters {
        /// Clusters asked for.
        clusters: usize,
        /// Number of rows.
        rows: usize,
    },
    /// No iterations.
    Iterations,
    /// No restarts.
    Restarts,
    /// No draws of seeds.
    Draws,
    /// Given centroids that are not one row for each cluster.
    Centroids {
        /// Number of values given.
        values: usize,
        /// Clusters asked for.
        clusters: usize,
        /// Width of a row.
        width: usize,
    },
    /// A given centroid that is NaN or infinite.
    NonFiniteCentroid {
        /// Which.
        centroid: usize,
        /// Its place in the row.
        column: usize,
    },
    /// Mini-batches of no rows, or none of them.
    Batches,
    /// A value that is NaN or infinite.
    NonFinite {
        /// Its row.
        row: usize,
        /// Its place in the row.
        column: usize,
    },
}

impl Display for KMeansError {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shape { values, width } => {
                write!(f, "k-means of {values} values in rows of {width}: it needs whole rows of at least 1")
            }
            Self::Clusters { clusters, rows } => {
                write!(f, "{clusters} clusters of {rows} rows: there must be 1 to as many as there are rows")
            }
            Self::Iterations => write!(f, "k-means of 0 iterations: it needs at least 1"),
            Self::Restarts => write!(f, "k-means of 0 starts: it needs at least 1"),
            Self::Draws => write!(f, "k-means with 0 draws of a seed: it needs at least 1"),
            Self::Centroids { values, clusters, width } => {
                write!(
                    f,
                    "{values} values of given centroids: {clusters} clusters of width {width} need {}",
                    clusters * width
                )
            }
            Self::NonFiniteCentroid { centroid, column } => {
                write!(f, "given centroid {centroid}, value {column}: NaN or infinite; it must be finite")
            }
            Self::Batches => write!(f, "k-means in mini-batches needs at least 1 row in a batch and at least 1 batch"),
            Self::NonFinite { row, column } => {
                write!(f, "row {row}, value {column}: NaN or infinite; it must be finite")
            }
        }
    }
}

impl Error for KMeansError {}
