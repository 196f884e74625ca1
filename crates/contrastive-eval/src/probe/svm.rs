//! Support vector machines with a Gaussian kernel, one against one: the classifier of the time-series protocols.

use super::split::stratified_parts;
use crate::error::{EvalError, check_labels, check_length, check_setting};
use crate::rows::{Rows, check_width};
use contrastive_kernels::Real;
use contrastive_kernels::vector::dot;
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

/// Rows up to which all squared distances are kept.
const KEPT: usize = 4096;

/// Width of the Gaussian kernel `exp(-gamma |u - w|^2)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gamma {
    /// `1 / (D var)`, var being the variance of all numbers of the training rows; 1 where that is 0.
    Scale,
    /// A number above 0.
    Value(f64),
}

/// A support vector machine with hinge loss, Gaussian kernel and an intercept without penalty:
///
/// ```text
/// min over a of a' Q a / 2 - sum a      0 <= a_i <= C,  sum y_i a_i = 0,  Q_ij = y_i y_j exp(-gamma |x_i - x_j|^2)
/// ```
///
/// solved for every pair of classes by sequential minimal optimisation with second-order choice of the pair (Fan, Chen and Lin 2005)
/// until the optimality conditions hold to `tolerance`. Prediction is by votes, ties going to the smaller class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RbfSvm {
    c: f64,
    gamma: Gamma,
    tolerance: f64,
}

/// The machine of one pair of classes.
#[derive(Debug, Clone, PartialEq)]
struct Machine {
    pair: [u32; 2],
    /// Rows of the model with their `y_i a_i`.
    support: Vec<(u32, f64)>,
    intercept: f64,
    violation: f64,
}

/// A fitted [`RbfSvm`].
#[derive(Debug, Clone)]
pub struct RbfSvmModel {
    rows: Rows,
    gamma: f64,
    classes: usize,
    machines: Vec<Machine>,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct SvmChoice {
    /// The chosen C.
    pub c: f64,
    /// Mean accuracy over the folds for each C of the grid; empty where there was nothing to choose.
    pub accuracies: Vec<f64>,
}

/// Squared distances between training rows.
enum Distances<'a> {
    Kept(Vec<f64>, usize),
    Made(&'a Rows, Vec<f64>),
}

impl<'a> Distances<'a> {
    fn new(x: &'a Rows) -> Self {
        let (n, squares) = (x.len(), x.squares());
        if n > KEPT {
            return Self::Made(x, squares);
        }
        let mut all = vec![0.0; n * n];
        all.par_chunks_exact_mut(n).enumerate().for_each(|(i, row)| fill(x, &squares, i, row));
        Self::Kept(all, n)
    }

    fn row(&self, i: usize, out: &mut Vec<f64>) {
        match self {
            Self::Kept(all, n) => {
                out.clear();
                out.extend_from_slice(&all[i * n..(i + 1) * n]);
            }
            Self::Made(x, squares) => {
                out.resize(x.len(), 0.0);
                fill(x, squares, i, out);
            }
        }
    }
}

fn fill(x: &Rows, squares: &[f64], i: usize, out: &mut [f64]) {
    let own = x.row(i);
    for (j, to) in out.iter_mut().enumerate() {
        *to = if i == j { 0.0 } else { (squares[i] + squares[j] - 2.0 * dot(own, x.row(j))).max(0.0) };
    }
}

impl RbfSvm {
    /// `c` above 0 is the largest multiplier (1e9 stands for a hard margin); [`Gamma::Scale`], tolerance 1e-3, as libsvm.
    pub fn new(c: f64) -> Self {
        Self { c, gamma: Gamma::Scale, tolerance: 1e-3 }
    }

    /// Another width of the kernel.
    pub fn with_gamma(mut self, gamma: Gamma) -> Self {
        self.gamma = gamma;
        self
    }

    /// How far the optimality conditions may be violated, above 0.
    pub fn with_tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    fn check(&self) -> Result<(), EvalError> {
        check_setting("C", self.c, self.c > 0.0 && self.c.is_finite(), "above 0 and finite; 1e9 for a hard margin")?;
        if let Gamma::Value(gamma) = self.gamma {
            check_setting("gamma", gamma, gamma > 0.0 && gamma.is_finite(), "above 0 and finite")?;
        }
        check_setting("tolerance", self.tolerance, self.tolerance > 0.0, "above 0")
    }

    fn gamma_of(&self, x: &Rows, rows: &[u32]) -> f64 {
        match self.gamma {
            Gamma::Value(gamma) => gamma,
            Gamma::Scale => {
                let count = (rows.len() * x.width) as f64;
                let values = || rows.iter().flat_map(|&row| x.row(row as usize));
                let mean = values().sum::<f64>() / count;
                let variance = values().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
                if variance > 0.0 { 1.0 / (x.width as f64 * variance) } else { 1.0 }
            }
        }
    }

    /// Fits to `x`, `[rows, D]`, with labels in `0..classes`; classes without rows are never predicted.
    ///
    /// # Errors
    /// [`EvalError::Setting`], [`EvalError::Empty`], [`EvalError::BadNumber`], [`EvalError::LengthMismatch`],
    /// [`EvalError::LabelOutOfRange`]; [`EvalError::OneClass`] when all rows have one label.
    pub fn fit<T: Real>(&self, x: ArrayView2<'_, T>, labels: &[u32], classes: usize) -> Result<RbfSvmModel, EvalError> {
        self.check()?;
        let rows = checked(x, labels, classes)?;
        let all: Vec<u32> = (0..rows.len() as u32).collect();
        let gamma = self.gamma_of(&rows, &all);
        let machines = self.machines(&Distances::new(&rows), gamma, labels, &all);
        Ok(RbfSvmModel { rows, gamma, classes, machines })
    }

    /// One machine for each pair of classes that these rows have.
    fn machines(&self, distances: &Distances<'_>, gamma: f64, labels: &[u32], rows: &[u32]) -> Vec<Machine> {
        let mut present: Vec<u32> = rows.iter().map(|&row| labels[row as usize]).collect();
        present.sort_unstable();
        present.dedup();
        let pairs: Vec<[u32; 2]> =
            present.iter().enumerate().flat_map(|(k, &a)| present[k + 1..].iter().map(move |&b| [a, b])).collect();
        let solve = |&[a, b]: &[u32; 2]| {
            let of = |row: &&u32| labels[**row as usize] == a || labels[**row as usize] == b;
            let members: Vec<u32> = rows.iter().filter(of).copied().collect();
            let signs: Vec<f64> =
                members.iter().map(|&row| if labels[row as usize] == a { 1.0 } else { -1.0 }).collect();
            let (multipliers, rho, violation) = self.solve(distances, gamma, &members, &signs);
            let support = members.iter().zip(multipliers.iter().zip(&signs));
            let support = support.filter(|(_, (a, _))| **a > 0.0).map(|(&row, (a, sign))| (row, a * sign)).collect();
            Machine { pair: [a, b], support, intercept: -rho, violation }
        };
        pairs.par_iter().map(solve).collect()
    }

    /// Multipliers, threshold and the violation that is left, of one pair of classes.
    fn solve(&self, distances: &Distances<'_>, gamma: f64, members: &[u32], y: &[f64]) -> (Vec<f64>, f64, f64) {
        let (n, c) = (members.len(), self.c);
        let keep = n <= KEPT;
        let mut kept: Vec<Option<Vec<f64>>> = vec![None; if keep { n } else { 0 }];
        let mut whole = Vec::new();
        let mut kernel = |i: usize, out: &mut Vec<f64>| {
            if let Some(Some(row)) = kept.get(i) {
                out.clone_from(row);
                return;
            }
            distances.row(members[i] as usize, &mut whole);
            out.clear();
            out.extend(members.iter().map(|&j| (-gamma * whole[j as usize]).exp()));
            if keep {
                kept[i] = Some(out.clone());
            }
        };
        let mut alpha = vec![0.0; n];
        let mut gradient = vec![-1.0; n];
        let (mut row_i, mut row_j) = (Vec::new(), Vec::new());
        let most = (100 * n).max(10_000_000);
        let mut violation = f64::INFINITY;
        for _ in 0..most {
            // the largest -y G among those that may go up in y a
            let up = |t: usize| if y[t] > 0.0 { alpha[t] < c } else { alpha[t] > 0.0 };
            let low = |t: usize| if y[t] > 0.0 { alpha[t] > 0.0 } else { alpha[t] < c };
            let (mut highest, mut i) = (f64::NEG_INFINITY, usize::MAX);
            for t in 0..n {
                if up(t) && -y[t] * gradient[t] >= highest {
                    (highest, i) = (-y[t] * gradient[t], t);
                }
            }
            if i == usize::MAX {
                violation = 0.0;
                break;
            }
            kernel(i, &mut row_i);
            let (mut lowest, mut best, mut j) = (f64::INFINITY, f64::INFINITY, usize::MAX);
            for t in 0..n {
                if !low(t) {
                    continue;
                }
                let value = -y[t] * gradient[t];
                lowest = lowest.min(value);
                let gap = highest - value;
                if gap > 0.0 {
                    let curvature = (2.0 - 2.0 * row_i[t]).max(1e-12);
                    let gain = -gap * gap / curvature;
                    if gain <= best {
                        (best, j) = (gain, t);
                    }
                }
            }
            violation = highest - lowest;
            if violation < self.tolerance || j == usize::MAX {
                break;
            }
            kernel(j, &mut row_j);
            let (old_i, old_j) = (alpha[i], alpha[j]);
            let curvature = (2.0 - 2.0 * row_i[j]).max(1e-12);
            if y[i] != y[j] {
                let delta = (-gradient[i] - gradient[j]) / curvature;
                let difference = old_i - old_j;
                let (mut a, mut b) = (old_i + delta, old_j + delta);
                if difference > 0.0 && b < 0.0 {
                    (a, b) = (difference, 0.0);
                } else if difference <= 0.0 && a < 0.0 {
                    (a, b) = (0.0, -difference);
                }
                if difference > 0.0 && a > c {
                    (a, b) = (c, c - difference);
                } else if difference <= 0.0 && b > c {
                    (a, b) = (c + difference, c);
                }
                (alpha[i], alpha[j]) = (a, b);
            } else {
                let delta = (gradient[i] - gradient[j]) / curvature;
                let sum = old_i + old_j;
                let (mut a, mut b) = (old_i - delta, old_j + delta);
                if sum > c && a > c {
                    (a, b) = (c, sum - c);
                } else if sum <= c && b < 0.0 {
                    (a, b) = (sum, 0.0);
                }
                if sum > c && b > c {
                    (a, b) = (sum - c, c);
                } else if sum <= c && a < 0.0 {
                    (a, b) = (0.0, sum);
                }
                (alpha[i], alpha[j]) = (a, b);
            }
            let (di, dj) = (alpha[i] - old_i, alpha[j] - old_j);
            for t in 0..n {
                gradient[t] += y[t] * (y[i] * row_i[t] * di + y[j] * row_j[t] * dj);
            }
        }
        // the mean of y G over free rows, or the middle of what the bounds allow
        let (mut sum, mut free) = (0.0, 0usize);
        let (mut above, mut below) = (f64::INFINITY, f64::NEG_INFINITY);
        for t in 0..n {
            let value = y[t] * gradient[t];
            if alpha[t] >= c {
                if y[t] < 0.0 { above = above.min(value) } else { below = below.max(value) }
            } else if alpha[t] <= 0.0 {
                if y[t] > 0.0 { above = above.min(value) } else { below = below.max(value) }
            } else {
                (sum, free) = (sum + value, free + 1);
            }
        }
        let rho = if free > 0 { sum / free as f64 } else { (above + below) / 2.0 };
        (alpha, rho, violation)
    }

    /// Chooses C from a grid by the mean accuracy over stratified folds of the rows in their order (equal ones: the first), and fits to all
    /// rows. The kernel's width is taken from each fold's own rows.
    ///
    /// # Errors
    /// As [`fit`](Self::fit), and [`EvalError::Empty`] for an empty grid, [`EvalError::Setting`] for fewer than two folds.
    pub fn search<T: Real>(
        &self,
        x: ArrayView2<'_, T>,
        labels: &[u32],
        classes: usize,
        grid: &[f64],
        folds: usize,
    ) -> Result<(RbfSvmModel, SvmChoice), EvalError> {
        check_setting("folds", folds as f64, folds > 1, "at least 2")?;
        if grid.is_empty() {
            return Err(EvalError::Empty { what: "values of C" });
        }
        for &c in grid {
            Self { c, ..*self }.check()?;
        }
        let rows = checked(x, labels, classes)?;
        let distances = Distances::new(&rows);
        let part = stratified_parts(labels, folds);
        let mut accuracies = vec![0.0; grid.len()];
        for fold in 0..folds {
            let (held, train): (Vec<u32>, Vec<u32>) =
                (0..rows.len() as u32).partition(|&row| part[row as usize] == fold);
            if held.is_empty() {
                continue;
            }
            let gamma = self.gamma_of(&rows, &train);
            let scores: Vec<f64> = grid
                .par_iter()
                .map(|&c| {
                    let machines = Self { c, ..*self }.machines(&distances, gamma, labels, &train);
                    let mut row = Vec::new();
                    let hits = held.iter().filter(|&&held| {
                        distances.row(held as usize, &mut row);
                        let votes = votes(&machines, classes, |other| (-gamma * row[other as usize]).exp());
                        winner(&votes) == labels[held as usize]
                    });
                    hits.count() as f64 / held.len() as f64
                })
                .collect();
            accuracies.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score / folds as f64);
        }
        let best = (0..grid.len()).fold(0, |best, k| if accuracies[k] > accuracies[best] + 1e-12 { k } else { best });
        let c = grid[best];
        let all: Vec<u32> = (0..rows.len() as u32).collect();
        let gamma = self.gamma_of(&rows, &all);
        let machines = Self { c, ..*self }.machines(&distances, gamma, labels, &all);
        drop(distances);
        Ok((RbfSvmModel { rows, gamma, classes, machines }, SvmChoice { c, accuracies }))
    }
}

fn checked<T: Real>(x: ArrayView2<'_, T>, labels: &[u32], classes: usize) -> Result<Rows, EvalError> {
    check_length("labels", labels.len(), "rows", x.nrows())?;
    check_labels("labels", labels, classes)?;
    let rows = Rows::new("embeddings", x)?;
    match labels.iter().all(|label| *label == labels[0]) {
        true => Err(EvalError::OneClass { what: "training rows", class: labels[0] }),
        false => Ok(rows),
    }
}

/// Votes of all machines, by class.
fn votes(machines: &[Machine], classes: usize, kernel: impl Fn(u32) -> f64) -> Vec<usize> {
    let mut votes = vec![0; classes];
    for machine in machines {
        let value = decide(machine, &kernel);
        votes[machine.pair[usize::from(value <= 0.0)] as usize] += 1;
    }
    votes
}

fn decide(machine: &Machine, kernel: &impl Fn(u32) -> f64) -> f64 {
    machine.support.iter().map(|&(row, a)| a * kernel(row)).sum::<f64>() + machine.intercept
}

fn winner(votes: &[usize]) -> u32 {
    (0..votes.len()).fold(0, |best, class| if votes[class] > votes[best] { class } else { best }) as u32
}

impl RbfSvmModel {
    /// The kernel's width.
    pub fn gamma(&self) -> f64 {
        self.gamma
    }

    /// The pairs of classes, in the order of the columns of [`decision`](Self::decision).
    pub fn pairs(&self) -> Vec<[u32; 2]> {
        self.machines.iter().map(|machine| machine.pair).collect()
    }

    /// For each pair of classes the rows that support it, with their `y_i a_i`.
    pub fn support(&self) -> impl Iterator<Item = &[(u32, f64)]> {
        self.machines.iter().map(|machine| machine.support.as_slice())
    }

    /// The intercept of each pair.
    pub fn intercepts(&self) -> Vec<f64> {
        self.machines.iter().map(|machine| machine.intercept).collect()
    }

    /// The largest violation of the optimality conditions that is left.
    pub fn violation(&self) -> f64 {
        self.machines.iter().fold(0.0, |most, machine| most.max(machine.violation))
    }

    /// `[rows, pairs]`: above 0 for the first class of a pair.
    ///
    /// # Errors
    /// [`EvalError::WidthMismatch`], [`EvalError::Empty`], [`EvalError::BadNumber`].
    pub fn decision<T: Real>(&self, x: ArrayView2<'_, T>) -> Result<Array2<f64>, EvalError> {
        check_width("embeddings", x.ncols(), "training rows", self.rows.width)?;
        let x = Rows::new("embeddings", x)?;
        let values: Vec<f64> = (0..x.len())
            .into_par_iter()
            .flat_map_iter(|i| {
                let distances = self.distances(x.row(i));
                let kernel = |row: u32| (-self.gamma * distances[row as usize]).exp();
                self.machines.iter().map(|machine| decide(machine, &kernel)).collect::<Vec<_>>()
            })
            .collect();
        Ok(Array2::from_shape_vec((x.len(), self.machines.len()), values).expect("a column for each pair"))
    }

    fn distances(&self, own: &[f64]) -> Vec<f64> {
        let of = |row: &[f64]| row.iter().zip(own).map(|(a, b)| (a - b) * (a - b)).sum();
        self.rows.iter().map(of).collect()
    }

    /// The class of each row, by votes.
    ///
    /// # Errors
    /// As [`decision`](Self::decision).
    pub fn predict<T: Real>(&self, x: ArrayView2<'_, T>) -> Result<Vec<u32>, EvalError> {
        let decisions = self.decision(x)?;
        let class = |row: ndarray::ArrayView1<'_, f64>| {
            let mut votes = vec![0; self.classes];
            for (machine, value) in self.machines.iter().zip(row) {
                votes[machine.pair[usize::from(*value <= 0.0)] as usize] += 1;
            }
            winner(&votes)
        };
        Ok(decisions.rows().into_iter().map(class).collect())
    }

    /// Scores of the classes for rankings (AUROC, AUPRC), `[rows, classes]`: of each class the sum over its pairs of its votes and of the
    /// decision brought into (-1/3, 1/3), which orders rows with equal votes (scikit-learn's one-against-rest form).
    ///
    /// # Errors
    /// As [`decision`](Self::decision).
    pub fn class_scores<T: Real>(&self, x: ArrayView2<'_, T>) -> Result<Array2<f64>, EvalError> {
        let decisions = self.decision(x)?;
        let mut scores = Array2::zeros((decisions.nrows(), self.classes));
        for (row, values) in decisions.rows().into_iter().enumerate() {
            let mut sums = vec![0.0; self.classes];
            for (machine, value) in self.machines.iter().zip(values) {
                let [a, b] = machine.pair.map(|class| class as usize);
                scores[[row, if *value > 0.0 { a } else { b }]] += 1.0;
                sums[a] += value;
                sums[b] -= value;
            }
            for (class, sum) in sums.into_iter().enumerate() {
                scores[[row, class]] += sum / (3.0 * (sum.abs() + 1.0));
            }
        }
        Ok(scores)
    }
}
