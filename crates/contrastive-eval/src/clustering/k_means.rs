//! k-means as an evaluation protocol: Lloyd's iterations from k-means++ seeds, the best of several restarts.

use super::report::{ClusterRuns, compare};
use crate::error::{EvalError, check_enough, check_length, check_setting};
use crate::rows::Rows;
use contrastive_kernels::Real;
use contrastive_kernels::k_means::{self as kernel, Clustering};
use ndarray::{Array2, ArrayView2};

/// k-means clustering: centres that minimise the sum of squared distances of the rows to the nearest of them.
///
/// The work is done in `f64` by [`contrastive_kernels::k_means`]. Restarts begin from k-means++ seeds (Arthur and Vassilvitskii
/// 2007), each seed the best of `2 + ln k` draws; the restart with the smallest sum wins. A cluster that loses all rows is moved to
/// the row that is farthest from its centre; one is empty only where there are fewer different rows than clusters. Equal
/// seeds give equal clusters, whatever the number of threads.
#[derive(Debug, Clone)]
pub struct KMeans {
    clusters: usize,
    restarts: usize,
    max_iterations: usize,
    unit_length: bool,
}

impl KMeans {
    /// Into this many clusters; 10 restarts, at most 300 iterations each.
    pub fn new(clusters: usize) -> Self {
        Self { clusters, restarts: 10, max_iterations: 300, unit_length: false }
    }

    /// Number of restarts, at least 1.
    pub fn with_restarts(mut self, restarts: usize) -> Self {
        self.restarts = restarts;
        self
    }

    /// Largest number of iterations of a restart, at least 1.
    pub fn with_max_iterations(mut self, iterations: usize) -> Self {
        self.max_iterations = iterations;
        self
    }

    /// Divides the rows by their lengths first, for embeddings that were trained with the cosine.
    pub fn with_unit_length(mut self, unit_length: bool) -> Self {
        self.unit_length = unit_length;
        self
    }

    /// Clusters the rows of `x`, `[rows, D]`.
    ///
    /// # Errors
    /// [`EvalError::Setting`]; [`EvalError::TooFew`] for more clusters than rows; [`EvalError::Empty`], [`EvalError::BadNumber`].
    pub fn fit<T: Real>(&self, x: ArrayView2<'_, T>, seed: u64) -> Result<Clustering<Array2<f64>>, EvalError> {
        Ok(self.fit_rows(&self.prepare(x)?, seed))
    }

    /// Clusters the rows of `x`, `[rows, D]`, by iterations from these centres, `[clusters, D]`: of an earlier clustering, say. No restarts.
    ///
    /// # Errors
    /// As [`KMeans::fit`]; [`EvalError::LengthMismatch`] for centres of another number or width.
    pub fn fit_from<T: Real>(
        &self,
        x: ArrayView2<'_, T>,
        centres: ArrayView2<'_, T>,
    ) -> Result<Clustering<Array2<f64>>, EvalError> {
        check_length("centres", centres.nrows(), "clusters", self.clusters)?;
        check_length("columns of the centres", centres.ncols(), "columns of the rows", x.ncols())?;
        let (data, centres) = (self.prepare(x)?, Rows::new("centres", centres)?);
        let settings = kernel::KMeans { restarts: 1, ..self.settings(0) };
        let found = kernel::k_means_from(&data.values, data.width, &centres.values, &settings);
        let found = found.expect("checked rows, centres and settings");
        Ok(found.map(|values| Rows { values, width: data.width }.into_array()))
    }

    /// Clusters once for each seed, and compares each clustering with the labels.
    ///
    /// # Errors
    /// As [`KMeans::fit`]; [`EvalError::LengthMismatch`] for the labels, [`EvalError::Empty`] for no seeds.
    pub fn evaluate<T: Real>(
        &self,
        x: ArrayView2<'_, T>,
        labels: &[u32],
        seeds: &[u64],
    ) -> Result<ClusterRuns, EvalError> {
        check_length("labels", labels.len(), "rows", x.nrows())?;
        if seeds.is_empty() {
            return Err(EvalError::Empty { what: "seeds" });
        }
        let data = self.prepare(x)?;
        let runs: Vec<Clustering<Array2<f64>>> = seeds.iter().map(|&seed| self.fit_rows(&data, seed)).collect();
        let reports = runs.iter().map(|run| compare(labels, &run.labels)).collect::<Result<Vec<_>, _>>()?;
        Ok(ClusterRuns::new(&reports, runs.iter().filter(|run| !run.converged).count()))
    }

    fn prepare<T: Real>(&self, x: ArrayView2<'_, T>) -> Result<Rows, EvalError> {
        for (name, value) in
            [("clusters", self.clusters), ("restarts", self.restarts), ("max_iterations", self.max_iterations)]
        {
            check_setting(name, value as f64, value > 0, "at least 1")?;
        }
        let mut rows = Rows::new("embeddings", x)?;
        check_enough("clusters", self.clusters, rows.len())?;
        if self.unit_length {
            rows.unit();
        }
        Ok(rows)
    }

    fn fit_rows(&self, rows: &Rows, seed: u64) -> Clustering<Array2<f64>> {
        let found = kernel::k_means(&rows.values, rows.width, &self.settings(seed)).expect("checked rows and settings");
        found.map(|values| Rows { values, width: rows.width }.into_array())
    }

    fn settings(&self, seed: u64) -> kernel::KMeans {
        kernel::KMeans {
            iterations: self.max_iterations,
            tolerance: 0.0,
            restarts: self.restarts,
            draws: 2 + (self.clusters as f64).ln() as usize,
            ..kernel::KMeans::new(self.clusters, seed)
        }
    }
}
