//! OpTA: class means from a few labelled rows, moved to where the rows to be classified are.
//!
//! It needs no training and works with any features; all queries of an episode must be there together (transductive): do not compare its
//! numbers with those of methods that see one query at a time. It takes the classes to be equally frequent among the queries; where they
//! are not, the gain may vanish.
//!
//! ```
//! use contrastive_core::opta::opta;
//! use ndarray::array;
//!
//! // class means of a few labelled rows, and rows to be classified
//! let means = array![[0.0, 0.0], [1.0, 0.0]];
//! let queries = array![[0.1, 0.2], [-0.1, 0.1], [0.9, 0.3], [1.2, -0.1]];
//! let moved = opta(means.view(), queries.view())?;
//! assert!((moved[[0, 1]] - 0.15).abs() < 1e-3 && (moved[[1, 0]] - 1.05).abs() < 1e-3);
//! # Ok::<(), contrastive_core::opta::OpTaError>(())
//! ```

use crate::error::{ObjectiveError, positive};
use contrastive_kernels::Real;
use contrastive_kernels::sinkhorn::{SinkhornProblem, sinkhorn};
use ndarray::{Array2, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why class means could not be moved.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum OpTaError {
    /// No rows to be classified.
    #[error("OpTA of no queries: it moves the class means to where they are")]
    NoQueries,
    /// Fewer than two classes.
    #[error("OpTA of {0} class: at least 2 are needed")]
    Classes(usize),
    /// Rows of two widths.
    #[error("OpTA of class means of width {support} and queries of width {queries}")]
    Widths {
        /// Of the class means.
        support: usize,
        /// Of the queries.
        queries: usize,
    },
    /// A row that is NaN or infinite.
    #[error("OpTA: row {row} of the {what} is NaN or infinite")]
    NotFinite {
        /// Class means or queries.
        what: &'static str,
        /// Which.
        row: usize,
    },
    /// Labelled rows that do not give a mean for each class.
    #[error("class means: {0}")]
    Labels(String),
}

/// OpTA (BECLR, Poulakakis-Daktylidis and Jamali-Rad 2024, algorithm 3): class means S `[N, d]` go to the mean of the queries X `[m, d]`
/// that the entropic optimal transport plan between them, both with equal masses, gives each:
///
/// ```text
/// C_ij = |S_i - X_j|^2 / max;   pi = transport(C, 1 / N, 1 / m, epsilon);   S_i <- sum_j pi_ij X_j / sum_j pi_ij
/// ```
///
/// `passes` times; at the end `mix S + (1 - mix) S_0`. Moving and scaling all rows moves and scales the result; their order does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpTa {
    epsilon: f64,
    passes: usize,
    mix: f64,
}

/// Most iterations of a pass, and the column sum's error, as a share of a query's mass, at which it ends.
const ITERATIONS: usize = 1000;
const TOLERANCE: f64 = 1e-4;

impl OpTa {
    /// For one labelled row of each class: 5 passes, no mixture.
    pub fn one_shot() -> Self {
        Self { epsilon: 0.05, passes: 5, mix: 1.0 }
    }

    /// For several labelled rows of each class: 1 pass, and 0.3 of the means as they were.
    pub fn several_shots() -> Self {
        Self { epsilon: 0.05, passes: 1, mix: 0.7 }
    }

    /// One of both.
    pub fn for_shots(shots: usize) -> Self {
        if shots > 1 { Self::several_shots() } else { Self::one_shot() }
    }

    /// Another weight of the plan's entropy, in units of the largest cost (paper: 0.05).
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn with_epsilon(mut self, epsilon: f64) -> Result<Self, ObjectiveError> {
        self.epsilon = positive("OpTA's epsilon", epsilon)?;
        Ok(self)
    }

    /// Another number of passes; 0 leaves the means where they are.
    pub fn with_passes(mut self, passes: usize) -> Self {
        self.passes = passes;
        self
    }

    /// Another share of the moved means in the result.
    ///
    /// # Errors
    /// When it is not within 0 and 1.
    pub fn with_mix(mut self, mix: f64) -> Result<Self, ObjectiveError> {
        if !(0.0..=1.0).contains(&mix) {
            return Err(ObjectiveError::Outside { name: "OpTA's mixture", value: mix, allowed: "[0, 1]" });
        }
        self.mix = mix;
        Ok(self)
    }

    /// The class means `[N, d]`, moved to the queries `[m, d]`.
    ///
    /// # Errors
    /// When there are no queries or fewer than two classes, the widths differ, or a number is NaN or infinite.
    pub fn align<T: Real>(
        &self,
        support: ArrayView2<'_, T>,
        queries: ArrayView2<'_, T>,
    ) -> Result<Array2<f64>, OpTaError> {
        check(support, queries)?;
        let (start, queries) = (support.mapv(T::f64), queries.mapv(T::f64));
        let mut means = start.clone();
        for _ in 0..self.passes {
            let plan = self.transport(&means, &queries).0;
            // its rows have equal sums
            means = plan.dot(&queries) * means.nrows() as f64;
        }
        Ok(match self.mix {
            1.0 => means,
            mix => means * mix + start * (1.0 - mix),
        })
    }

    /// The plan `[N, m]` of the first pass, and the iterations it took.
    ///
    /// # Errors
    /// As [`align`](Self::align).
    pub fn plan<T: Real>(
        &self,
        support: ArrayView2<'_, T>,
        queries: ArrayView2<'_, T>,
    ) -> Result<(Array2<f64>, usize), OpTaError> {
        check(support, queries)?;
        Ok(self.transport(&support.mapv(T::f64), &queries.mapv(T::f64)))
    }

    fn transport(&self, means: &Array2<f64>, queries: &Array2<f64>) -> (Array2<f64>, usize) {
        let (n, m) = (means.nrows(), queries.nrows());
        let mut plan: Vec<f64> = Vec::with_capacity(n * m);
        for mean in means.rows() {
            let apart = |query: ndarray::ArrayView1<'_, f64>| -> f64 {
                mean.iter().zip(query).map(|(a, b)| (a - b) * (a - b)).sum()
            };
            plan.extend(queries.rows().into_iter().map(apart));
        }
        let largest = plan.iter().copied().fold(0.0, f64::max);
        let scale = if largest > 0.0 { -1.0 / largest } else { 0.0 };
        plan.iter_mut().for_each(|cost| *cost *= scale);
        let (rows, columns) = (vec![1.0 / n as f64; n], vec![1.0 / m as f64; m]);
        let problem = SinkhornProblem {
            rows: &rows,
            columns: &columns,
            epsilon: self.epsilon,
            iterations: ITERATIONS,
            tolerance: Some(TOLERANCE / m as f64),
            // costs are at most 1: above this no exponential of them vanishes
            log: self.epsilon < 1.0 / 600.0,
        };
        let iterations = sinkhorn(&mut plan, &problem).iterations;
        (Array2::from_shape_vec((n, m), plan).expect("a mass for each pair"), iterations)
    }
}

/// Class means `[N, d]` of single labelled rows, moved to where the queries `[m, d]` are: [`OpTa::one_shot`].
///
/// # Errors
/// As [`OpTa::align`].
pub fn opta<T: Real>(support: ArrayView2<'_, T>, queries: ArrayView2<'_, T>) -> Result<Array2<f64>, OpTaError> {
    OpTa::one_shot().align(support, queries)
}

/// Each row less its mean, over its deviation; a row of equal numbers becomes 0. What OpTA's paper does to features first.
pub fn standardised<T: Real>(x: ArrayView2<'_, T>) -> Array2<f64> {
    let mut x = x.mapv(T::f64);
    for mut row in x.rows_mut() {
        let n = row.len().max(1) as f64;
        let mean = row.sum() / n;
        row -= mean;
        let deviation = (row.iter().map(|v| v * v).sum::<f64>() / n).sqrt();
        let scale = if deviation > 1e-12 { 1.0 / deviation } else { 0.0 };
        row *= scale;
    }
    x
}

/// The mean row of each class `0..classes`, of labelled rows `[n, d]`.
///
/// # Errors
/// When rows and labels differ in number, a label is out of range, or a class has no row.
pub fn class_means<T: Real>(x: ArrayView2<'_, T>, labels: &[u32], classes: usize) -> Result<Array2<f64>, OpTaError> {
    if x.nrows() != labels.len() {
        return Err(OpTaError::Labels(format!("{} labels for {} rows", labels.len(), x.nrows())));
    }
    let (mut means, mut counts) = (Array2::<f64>::zeros((classes, x.ncols())), vec![0usize; classes]);
    for (row, &label) in x.rows().into_iter().zip(labels) {
        let class = label as usize;
        if class >= classes {
            return Err(OpTaError::Labels(format!("label {label} of {classes} classes")));
        }
        counts[class] += 1;
        means.row_mut(class).iter_mut().zip(row).for_each(|(mean, x)| *mean += x.f64());
    }
    if let Some(class) = counts.iter().position(|count| *count == 0) {
        return Err(OpTaError::Labels(format!("class {class} has no labelled row")));
    }
    for (mut mean, count) in means.axis_iter_mut(Axis(0)).zip(counts) {
        mean /= count as f64;
    }
    Ok(means)
}

fn check<T: Real>(support: ArrayView2<'_, T>, queries: ArrayView2<'_, T>) -> Result<(), OpTaError> {
    if queries.is_empty() {
        return Err(OpTaError::NoQueries);
    }
    if support.nrows() < 2 {
        return Err(OpTaError::Classes(support.nrows()));
    }
    if support.ncols() != queries.ncols() {
        return Err(OpTaError::Widths { support: support.ncols(), queries: queries.ncols() });
    }
    for (what, x) in [("class means", support), ("queries", queries)] {
        if let Some(row) = x.rows().into_iter().position(|row| row.iter().any(|v| !v.is_finite())) {
            return Err(OpTaError::NotFinite { what, row });
        }
    }
    Ok(())
}
