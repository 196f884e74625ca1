//! One logistic regression.

use super::newton::solve;
use super::problem::Problem;
use super::targets::Targets;
use crate::error::{EvalError, check_length, check_setting};
use crate::neighbours::argmax;
use crate::rows::{Rows, check_width};
use contrastive_kernels::Real;
use contrastive_kernels::real::gemm;
use ndarray::{Array1, Array2, ArrayView2};
use serde::{Deserialize, Serialize};

/// How scores become probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// Multinomial: the probabilities of the classes sum to 1.
    Softmax,
    /// One against the rest: a binary problem for each class (the protocol of liblinear, and the one for sets of labels).
    Sigmoid,
}

/// The constant in a class's score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intercept {
    /// Fitted, not penalised.
    Free,
    /// Fitted and penalised like a weight, as liblinear does.
    Penalised,
    /// 0.
    None,
}

/// What a row's loss weighs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// 1.
    Equal,
    /// `rows / (classes x rows of its class)`, of the classes that have rows: all classes weigh the same together.
    Balanced,
    /// A number above 0 for each class.
    Given(Vec<f64>),
}

/// Logistic regression with an L2 penalty: minimises `C sum_i w_i loss_i + |W|^2 / 2`, or `sum_i w_i loss_i` alone
/// ([`without_penalty`](Self::without_penalty)).
///
/// The objective is convex, and its optimum is computed, not approached: truncated Newton steps until the length of the gradient is
/// `tolerance` times what it is at zero weights. A fit that is stopped before says so ([`LogisticModel::converged`]).
#[derive(Debug, Clone)]
pub struct LogisticRegression {
    pub(super) c: f64,
    pub(super) link: Link,
    pub(super) intercept: Intercept,
    pub(super) tolerance: f64,
    pub(super) max_iterations: usize,
    pub(super) missing_classes: bool,
    pub(super) weights: ClassWeights,
}

/// A fitted [`LogisticRegression`].
#[derive(Debug, Clone, PartialEq)]
pub struct LogisticModel {
    weights: Array2<f64>,
    intercept: Array1<f64>,
    link: Link,
    iterations: usize,
    gradient: f64,
    converged: bool,
}

impl LogisticRegression {
    /// Softmax, free intercept, tolerance 1e-8, at most 100 Newton steps. `c` is the inverse strength of the penalty, above 0.
    pub fn new(c: f64) -> Self {
        Self {
            c,
            link: Link::Softmax,
            intercept: Intercept::Free,
            tolerance: 1e-8,
            max_iterations: 100,
            missing_classes: false,
            weights: ClassWeights::Equal,
        }
    }

    /// Without the penalty, an infinite C. Where the classes can be separated there is no optimum: weights grow until the gradient is
    /// below the tolerance or the steps are spent, and stay finite.
    pub fn without_penalty() -> Self {
        Self::new(f64::INFINITY)
    }

    /// What a row's loss weighs; one label a row.
    pub fn with_class_weights(mut self, weights: ClassWeights) -> Self {
        self.weights = weights;
        self
    }

    /// The inverse strength of the penalty.
    pub fn with_c(mut self, c: f64) -> Self {
        self.c = c;
        self
    }

    /// Softmax, or one against the rest.
    pub fn with_link(mut self, link: Link) -> Self {
        self.link = link;
        self
    }

    /// The constant in the scores.
    pub fn with_intercept(mut self, intercept: Intercept) -> Self {
        self.intercept = intercept;
        self
    }

    /// Length of the gradient at which a fit ends, relative to that at zero weights; above 0.
    pub fn with_tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Largest number of Newton steps, at least 1.
    pub fn with_max_iterations(mut self, iterations: usize) -> Self {
        self.max_iterations = iterations;
        self
    }

    /// Whether classes without a training row are let through; they are then never predicted. Otherwise they are an error.
    pub fn with_missing_classes(mut self, allowed: bool) -> Self {
        self.missing_classes = allowed;
        self
    }

    /// Fits to `x`, `[rows, D]`.
    ///
    /// # Errors
    /// [`EvalError::Setting`]; [`EvalError::Empty`], [`EvalError::BadNumber`], [`EvalError::LengthMismatch`] (also for another number of
    /// weights than classes), [`EvalError::LabelOutOfRange`]; [`EvalError::WeightsOfSets`];
    /// [`EvalError::OneClass`] when all rows have the same single label; [`EvalError::MissingClass`] unless allowed; [`EvalError::FullClass`]
    /// when sets of labels all hold one class; [`EvalError::SoftmaxOfSets`] for sets of labels without [`Link::Sigmoid`].
    pub fn fit<T: Real>(&self, x: ArrayView2<'_, T>, targets: Targets<'_>) -> Result<LogisticModel, EvalError> {
        self.check(targets.is_multi())?;
        if let ClassWeights::Given(weights) = &self.weights {
            check_length("weights", weights.len(), "classes", targets.classes())?;
        }
        check_length("labels", targets.rows(), "rows", x.nrows())?;
        let x = Rows::new("embeddings", x)?;
        targets.check()?;
        let rows: Vec<u32> = (0..x.len() as u32).collect();
        let present = Present::new(targets, &rows, self.missing_classes)?;
        let problem = present.problem(self, x, &rows, targets);
        let solution = solve(&problem, self.c, None, self.tolerance, self.max_iterations);
        Ok(self.model(solution, &present))
    }

    pub(super) fn check(&self, multi: bool) -> Result<(), EvalError> {
        check_setting("C", self.c, self.c > 0.0, "above 0 (infinite: no penalty)")?;
        check_setting("tolerance", self.tolerance, self.tolerance > 0.0 && self.tolerance < 1.0, "in 0..1, above 0")?;
        check_setting("max_iterations", self.max_iterations as f64, self.max_iterations > 0, "at least 1")?;
        if let ClassWeights::Given(weights) = &self.weights {
            let good = |weight: &f64| *weight > 0.0 && weight.is_finite();
            let bad = weights.iter().find(|weight| !good(weight)).copied();
            check_setting("weight of a class", bad.unwrap_or(1.0), bad.is_none(), "above 0 and finite")?;
        }
        if multi && self.weights != ClassWeights::Equal {
            return Err(EvalError::WeightsOfSets);
        }
        if multi && self.link == Link::Softmax { Err(EvalError::SoftmaxOfSets) } else { Ok(()) }
    }

    pub(super) fn model(&self, solution: super::newton::Solution, present: &Present) -> LogisticModel {
        let k = present.list.len();
        let width = solution.weights.len() / k;
        let columns = if self.intercept == Intercept::None { width } else { width - 1 };
        let mut weights = Array2::zeros((present.rename.len(), columns));
        let mut intercept = Array1::from_elem(present.rename.len(), f64::NEG_INFINITY);
        for (&class, row) in present.list.iter().zip(solution.weights.chunks_exact(width)) {
            weights.row_mut(class as usize).iter_mut().zip(row).for_each(|(to, from)| *to = *from);
            intercept[class as usize] = if columns < width { row[columns] } else { 0.0 };
        }
        if self.link == Link::Softmax && self.intercept == Intercept::Free {
            // a constant in all of them changes nothing; the one that makes their mean 0 is taken
            let mean = present.list.iter().map(|&class| intercept[class as usize]).sum::<f64>() / k as f64;
            intercept -= mean;
        }
        if self.link == Link::Softmax && self.c.is_infinite() {
            // likewise for the weights, which no penalty draws to mean 0
            let mut mean = Array1::zeros(columns);
            present.list.iter().for_each(|&class| mean += &weights.row(class as usize));
            mean /= k as f64;
            for &class in &present.list {
                let mut row = weights.row_mut(class as usize);
                row -= &mean;
            }
        }
        LogisticModel {
            weights,
            intercept,
            link: self.link,
            iterations: solution.iterations,
            gradient: solution.gradient,
            converged: solution.converged,
        }
    }
}

impl LogisticModel {
    /// `[classes, D]`; zeros for a class that had no row.
    pub fn weights(&self) -> &Array2<f64> {
        &self.weights
    }

    /// One for each class, with mean 0 if softmax and free; minus infinity for a class that had no row.
    pub fn intercept(&self) -> &Array1<f64> {
        &self.intercept
    }

    /// Newton steps that were taken.
    pub fn iterations(&self) -> usize {
        self.iterations
    }

    /// Length of the gradient at the end, relative to that at zero weights.
    pub fn gradient(&self) -> f64 {
        self.gradient
    }

    /// Whether the gradient came down to the tolerance.
    pub fn converged(&self) -> bool {
        self.converged
    }

    /// The scores (logits) of the rows of `x`, `[rows, classes]`.
    ///
    /// # Errors
    /// [`EvalError::WidthMismatch`], [`EvalError::Empty`], [`EvalError::BadNumber`].
    pub fn scores<T: Real>(&self, x: ArrayView2<'_, T>) -> Result<Array2<f64>, EvalError> {
        check_width("embeddings", x.ncols(), "weights", self.weights.ncols())?;
        Ok(self.scores_of(&Rows::new("embeddings", x)?))
    }

    /// The probabilities of the classes for the rows of `x`, `[rows, classes]`; with [`Link::Sigmoid`] each is its own.
    ///
    /// # Errors
    /// As [`LogisticModel::scores`].
    pub fn probabilities<T: Real>(&self, x: ArrayView2<'_, T>) -> Result<Array2<f64>, EvalError> {
        let mut scores = self.scores(x)?;
        match self.link {
            Link::Sigmoid => scores.mapv_inplace(|z| 1.0 / (1.0 + (-z).exp())),
            Link::Softmax => {
                for mut row in scores.rows_mut() {
                    let largest = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
                    row.mapv_inplace(|z| (z - largest).exp());
                    let sum = row.sum();
                    row /= sum;
                }
            }
        }
        Ok(scores)
    }

    /// The class with the highest score for each row of `x`; the smaller one of equals.
    ///
    /// # Errors
    /// As [`LogisticModel::scores`].
    pub fn predict<T: Real>(&self, x: ArrayView2<'_, T>) -> Result<Vec<u32>, EvalError> {
        let scores = self.scores(x)?;
        Ok(scores.rows().into_iter().map(|row| argmax(row.as_slice().expect("standard layout"))).collect())
    }

    pub(super) fn scores_of(&self, x: &Rows) -> Array2<f64> {
        let (classes, width) = self.weights.dim();
        let mut scores = Array2::zeros((x.len(), classes));
        let out = scores.as_slice_mut().expect("a new array");
        let weights = self.weights.as_slice().expect("a new array");
        gemm([x.len(), classes, width], out, [classes, 1], &x.values, [width, 1], weights, [1, width], 0.0, 1.0);
        scores += &self.intercept;
        scores
    }
}

/// The classes that have rows to learn from.
pub(super) struct Present {
    /// The classes, ascending.
    pub list: Vec<u32>,
    /// The place of each class in the list.
    pub rename: Vec<u32>,
    /// Rows of each class.
    counts: Vec<usize>,
}

impl Present {
    pub fn new(targets: Targets<'_>, rows: &[u32], missing: bool) -> Result<Self, EvalError> {
        let what = "training rows";
        let mut counts = vec![0usize; targets.classes()];
        for &row in rows {
            targets.of(row as usize).iter().for_each(|&label| counts[label as usize] += 1);
        }
        let classes = 0..targets.classes() as u32;
        if let Some(class) = classes.clone().find(|&class| counts[class as usize] == rows.len()) {
            let single = EvalError::OneClass { what, class };
            return Err(if targets.is_multi() { EvalError::FullClass { class, what } } else { single });
        }
        if let Some(class) = classes.clone().find(|&class| counts[class as usize] == 0 && !missing) {
            return Err(EvalError::MissingClass { class, what });
        }
        let list: Vec<u32> = classes.filter(|&class| counts[class as usize] > 0).collect();
        if list.is_empty() {
            return Err(EvalError::Empty { what: "labels" });
        }
        let mut rename = vec![u32::MAX; targets.classes()];
        (0u32..).zip(&list).for_each(|(at, &class)| rename[class as usize] = at);
        Ok(Self { list, rename, counts })
    }

    pub fn problem(&self, settings: &LogisticRegression, x: Rows, rows: &[u32], targets: Targets<'_>) -> Problem {
        let weight = |row: &u32| match (&settings.weights, targets.of(*row as usize).first()) {
            (ClassWeights::Balanced, Some(&class)) => {
                rows.len() as f64 / (self.list.len() * self.counts[class as usize]) as f64
            }
            // a class beyond the weights is refused by `fit`; the protocol of probes fits all classes of its targets
            (ClassWeights::Given(weights), Some(&class)) => weights.get(class as usize).copied().unwrap_or(1.0),
            _ => 1.0,
        };
        let weights = rows.iter().map(weight).collect();
        let form = (settings.link, settings.intercept);
        Problem::new(x, rows, targets, &self.rename, self.list.len(), weights, form)
    }
}
