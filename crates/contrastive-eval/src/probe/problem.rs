//! The objective of a logistic regression, in products of whole blocks.
//!
//! With weights `W` (classes x width, the intercept being the weight of a column of ones) and logits `z = W x`:
//!
//! ```text
//! F(W) = sum_i w_i [ A(z_i) - sum_{k in labels of i} z_ik ] + sum_kj penalty_j W_kj^2 / 2
//! A(z) = log sum_k e^{z_k}   (softmax)      A(z) = sum_k log(1 + e^{z_k})   (sigmoid)
//! ```
//!
//! The weight w of a row is that of its class, 1 unless given. Logits lie in blocks of rows, class by class inside a block, so that the
//! exponentials run along rows of memory.

use super::logistic::{Intercept, Link};
use super::targets::Targets;
use crate::rows::Rows;
use contrastive_kernels::real::gemm;
use contrastive_kernels::vector::{axpy, dot};
use rayon::prelude::*;

/// Rows of a block.
const BLOCK: usize = 512;

/// Columns of a task that sums over all rows.
const COLUMNS: usize = 64;

/// Products of a size below which a second thread does not pay.
const SMALL: usize = 1 << 20;

pub(super) struct Problem {
    /// `[rows, width]`, with the column of ones at the end if there is an intercept.
    x: Rows,
    pub classes: usize,
    /// Labels of row i: `labels[offsets[i]..offsets[i + 1]]`.
    offsets: Vec<usize>,
    labels: Vec<u32>,
    /// Weight of each row.
    weights: Vec<f64>,
    link: Link,
    intercept: Intercept,
    /// Weighted mean square of each column.
    squares: Vec<f64>,
    /// Length of the gradient where all weights are 0.
    pub scale: f64,
}

impl Problem {
    /// The features of some rows, with those rows' labels renamed by `rename`.
    pub fn new(
        x: Rows,
        rows: &[u32],
        targets: Targets<'_>,
        rename: &[u32],
        classes: usize,
        weights: Vec<f64>,
        (link, intercept): (Link, Intercept),
    ) -> Self {
        let x = if intercept == Intercept::None { x } else { with_ones(&x) };
        let mut offsets = vec![0];
        let mut labels = Vec::new();
        for &row in rows {
            labels.extend(targets.of(row as usize).iter().map(|&label| rename[label as usize]));
            offsets.push(labels.len());
        }
        let mut squares = vec![0.0; x.width];
        for (row, weight) in x.iter().zip(&weights) {
            squares.iter_mut().zip(row).for_each(|(s, v)| *s += weight * v * v);
        }
        let n = weights.iter().sum::<f64>();
        squares.iter_mut().for_each(|s| *s /= n);
        let mut problem = Self { x, classes, offsets, labels, weights, link, intercept, squares, scale: 0.0 };
        let zeros = vec![0.0; problem.size()];
        let mut state = problem.state();
        problem.respond(&state.logits, &mut state.chances);
        problem.scale = norm(&problem.gradient(&zeros, &state.chances, f64::INFINITY));
        problem
    }

    /// Number of weights.
    pub fn size(&self) -> usize {
        self.classes * self.x.width
    }

    /// Buffers for logits and probabilities.
    pub fn state(&self) -> State {
        let zeros = vec![0.0; self.x.len() * self.classes];
        State { logits: zeros.clone(), chances: zeros }
    }

    fn penalty(&self, column: usize, c: f64) -> f64 {
        let free = self.intercept == Intercept::Free && column + 1 == self.x.width;
        if free { 0.0 } else { 1.0 / c }
    }

    /// `sum_kj penalty_j a_kj b_kj`.
    pub fn penalised(&self, a: &[f64], b: &[f64], c: f64) -> f64 {
        let width = self.x.width;
        let row = |(a, b): (&[f64], &[f64])| {
            dot(a, b) / c - (1.0 / c - self.penalty(width - 1, c)) * a[width - 1] * b[width - 1]
        };
        a.chunks_exact(width).zip(b.chunks_exact(width)).map(row).sum()
    }

    /// `to <- to + penalty * weights`.
    fn add_penalty(&self, to: &mut [f64], weights: &[f64], c: f64) {
        let width = self.x.width;
        for (to, weights) in to.chunks_exact_mut(width).zip(weights.chunks_exact(width)) {
            for (column, (to, weight)) in to.iter_mut().zip(weights).enumerate() {
                *to += self.penalty(column, c) * weight;
            }
        }
    }

    /// `z = W x`, block by block.
    pub fn logits(&self, weights: &[f64], out: &mut [f64]) {
        let (k, width) = (self.classes, self.x.width);
        self.blocks(out, |first, rows, out| {
            let x = &self.x.values[first * width..][..rows * width];
            gemm([k, rows, width], out, [rows, 1], weights, [width, 1], x, [1, width], 0.0, 1.0);
            0.0
        });
    }

    /// The probabilities of the classes, and the sum of the losses of the rows.
    pub fn respond(&self, logits: &[f64], chances: &mut [f64]) -> f64 {
        self.blocks(chances, |first, rows, out| {
            let logits = &logits[first * self.classes..][..out.len()];
            let weights = &self.weights[first..first + rows];
            let mut loss = match self.link {
                Link::Softmax => softmax(logits, weights, out),
                Link::Sigmoid => sigmoid(logits, weights, out),
            };
            for (row, weight) in weights.iter().enumerate() {
                let own = self.labels_of(first + row).iter().map(|&k| logits[k as usize * rows + row]);
                loss -= weight * own.sum::<f64>();
            }
            loss
        })
    }

    /// The gradient of the objective at the weights that gave these probabilities.
    pub fn gradient(&self, weights: &[f64], chances: &[f64], c: f64) -> Vec<f64> {
        let mut residual = chances.to_vec();
        self.blocks(&mut residual, |first, rows, out| {
            for row in 0..rows {
                self.labels_of(first + row).iter().for_each(|&k| out[k as usize * rows + row] -= 1.0);
            }
            self.weigh(first, rows, out);
            0.0
        });
        let mut gradient = self.pull(&residual);
        self.add_penalty(&mut gradient, weights, c);
        gradient
    }

    /// The second derivative at these probabilities times a direction; `spare` takes the size of the logits.
    pub fn curvature(&self, chances: &[f64], direction: &[f64], c: f64, spare: &mut [f64]) -> Vec<f64> {
        self.logits(direction, spare);
        self.blocks(spare, |first, rows, change| {
            let chances = &chances[first * self.classes..][..change.len()];
            match self.link {
                Link::Softmax => {
                    let mut mean = vec![0.0; rows];
                    let classes = || chances.chunks_exact(rows);
                    for (p, change) in classes().zip(change.chunks_exact(rows)) {
                        mean.iter_mut().zip(p.iter().zip(change)).for_each(|(m, (p, d))| *m += p * d);
                    }
                    for (p, change) in classes().zip(change.chunks_exact_mut(rows)) {
                        change.iter_mut().zip(p.iter().zip(&mean)).for_each(|(d, (p, m))| *d = p * (*d - m));
                    }
                }
                Link::Sigmoid => change.iter_mut().zip(chances).for_each(|(d, p)| *d *= p * (1.0 - p)),
            }
            self.weigh(first, rows, change);
            0.0
        });
        let mut product = self.pull(spare);
        self.add_penalty(&mut product, direction, c);
        product
    }

    /// An estimate of the diagonal of the second derivative: as if probabilities and features were independent.
    pub fn diagonal(&self, chances: &[f64], c: f64) -> Vec<f64> {
        let mut spread = vec![0.0; self.classes];
        for first in (0..self.x.len()).step_by(BLOCK) {
            let rows = BLOCK.min(self.x.len() - first);
            let block = &chances[first * self.classes..][..rows * self.classes];
            let weights = &self.weights[first..first + rows];
            for (spread, p) in spread.iter_mut().zip(block.chunks_exact(rows)) {
                *spread += p.iter().zip(weights).map(|(p, weight)| weight * p * (1.0 - p)).sum::<f64>();
            }
        }
        let entry = |spread: f64, column: usize| spread * self.squares[column] + self.penalty(column, c);
        let all = spread.into_iter().flat_map(|s| (0..self.x.width).map(move |column| entry(s, column)));
        let mut diagonal: Vec<f64> = all.collect();
        let floor = diagonal.iter().fold(0.0, |a: f64, &b| a.max(b)) * 1e-12 + f64::MIN_POSITIVE;
        diagonal.iter_mut().for_each(|d| *d = d.max(floor));
        diagonal
    }

    /// The sum over the rows of `values_i x_i^T`, `[classes, width]`. Tasks own columns, so no sum is split.
    fn pull(&self, values: &[f64]) -> Vec<f64> {
        let (n, k, width) = (self.x.len(), self.classes, self.x.width);
        let task = |start: usize| {
            let columns = COLUMNS.min(width - start);
            let mut part = vec![0.0; k * columns];
            for first in (0..n).step_by(BLOCK) {
                let rows = BLOCK.min(n - first);
                let (values, x) = (&values[first * k..][..rows * k], &self.x.values[first * width + start..]);
                gemm([k, columns, rows], &mut part, [columns, 1], values, [rows, 1], x, [width, 1], 1.0, 1.0);
            }
            part
        };
        let starts: Vec<usize> = (0..width).step_by(COLUMNS).collect();
        let parts: Vec<Vec<f64>> = if self.is_small() {
            starts.iter().map(|&start| task(start)).collect()
        } else {
            starts.par_iter().map(|&start| task(start)).collect()
        };
        let mut sum = vec![0.0; k * width];
        for (&start, part) in starts.iter().zip(&parts) {
            let columns = part.len() / k;
            for (sum, part) in sum.chunks_exact_mut(width).zip(part.chunks_exact(columns)) {
                sum[start..start + columns].copy_from_slice(part);
            }
        }
        sum
    }

    /// Applies `each(first row, rows, block)` to all blocks; the sum of what it gives, in their order.
    fn blocks(&self, values: &mut [f64], each: impl Fn(usize, usize, &mut [f64]) -> f64 + Sync) -> f64 {
        let task = |(b, block): (usize, &mut [f64])| each(b * BLOCK, block.len() / self.classes, block);
        let size = BLOCK * self.classes;
        if self.is_small() {
            return values.chunks_mut(size).enumerate().map(task).sum();
        }
        let sums: Vec<f64> = values.par_chunks_mut(size).enumerate().map(task).collect();
        sums.iter().sum()
    }

    /// A block of values, each times the weight of its row.
    fn weigh(&self, first: usize, rows: usize, block: &mut [f64]) {
        let weights = &self.weights[first..first + rows];
        for class in block.chunks_exact_mut(rows) {
            class.iter_mut().zip(weights).for_each(|(value, weight)| *value *= weight);
        }
    }

    fn is_small(&self) -> bool {
        self.x.values.len() * self.classes < SMALL
    }

    fn labels_of(&self, row: usize) -> &[u32] {
        &self.labels[self.offsets[row]..self.offsets[row + 1]]
    }
}

/// Logits and probabilities of all rows.
pub(super) struct State {
    pub logits: Vec<f64>,
    pub chances: Vec<f64>,
}

fn softmax(logits: &[f64], weights: &[f64], chances: &mut [f64]) -> f64 {
    let rows = weights.len();
    let mut largest = logits[..rows].to_vec();
    for class in logits.chunks_exact(rows).skip(1) {
        largest.iter_mut().zip(class).for_each(|(m, z)| *m = m.max(*z));
    }
    let mut sums = vec![0.0; rows];
    for (class, chances) in logits.chunks_exact(rows).zip(chances.chunks_exact_mut(rows)) {
        for (row, (p, z)) in chances.iter_mut().zip(class).enumerate() {
            *p = (z - largest[row]).exp();
            sums[row] += *p;
        }
    }
    for chances in chances.chunks_exact_mut(rows) {
        chances.iter_mut().zip(&sums).for_each(|(p, s)| *p /= s);
    }
    largest.iter().zip(&sums).zip(weights).map(|((m, s), weight)| weight * (m + s.ln())).sum()
}

fn sigmoid(logits: &[f64], weights: &[f64], chances: &mut [f64]) -> f64 {
    let mut loss = 0.0;
    for ((p, &z), weight) in chances.iter_mut().zip(logits).zip(weights.iter().cycle()) {
        let small = (-z.abs()).exp();
        *p = if z > 0.0 { 1.0 } else { small } / (1.0 + small);
        loss += weight * (z.max(0.0) + small.ln_1p());
    }
    loss
}

fn with_ones(x: &Rows) -> Rows {
    let values = x.iter().flat_map(|row| row.iter().copied().chain([1.0])).collect();
    Rows { values, width: x.width + 1 }
}

/// Euclidean length.
pub(super) fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// `a + t b`.
pub(super) fn along(a: &[f64], t: f64, b: &[f64]) -> Vec<f64> {
    let mut sum = a.to_vec();
    axpy(&mut sum, t, b);
    sum
}
