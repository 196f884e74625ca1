//! Sinkhorn-Knopp in place: a matrix scaled to given sums of rows and columns.
//!
//! An iteration reads the matrix once: a row is scaled to its sum and, still in the cache, added to the column sums that the next
//! iteration starts from, which also give the residual for nothing. In the log domain that is one exponential for each entry and
//! iteration, half of what two log-sum-exps take.
//!
//! Rows are cut into at most 16 parts that follow from the shape alone, and the parts' column sums are added in their order: the
//! result does not depend on the number of threads. Memory beside the matrix: 16 numbers for each column, 1 for each row.

use crate::vector::{self, Element};
use rayon::prelude::*;

/// Parts of the rows: enough for 16 threads.
const PARTS: usize = 16;
/// Fewest numbers of a part.
const NUMBERS: usize = 1 << 12;

/// Entropic optimal transport between masses `rows` (n) and `columns` (m).
#[derive(Clone, Copy, Debug)]
pub struct SinkhornProblem<'a, T> {
    /// n: not negative, finite.
    pub rows: &'a [T],
    /// m: not negative, finite, of the same sum.
    pub columns: &'a [T],
    /// Weight of the entropy, above 0.
    pub epsilon: f64,
    /// Most iterations.
    pub iterations: usize,
    /// Stops when no column sum is off by more than this.
    pub tolerance: Option<f64>,
    /// Potentials instead of factors: safe for any epsilon.
    pub log: bool,
}

/// How a matrix was scaled.
#[derive(Clone, Debug)]
pub struct Scaling<T> {
    /// Iterations made.
    pub iterations: usize,
    /// The largest difference of a column sum and its mass; NaN where the plan is not defined.
    pub residual: f64,
    /// n: `f_i`.
    pub rows: Vec<T>,
    /// m: `g_j`, where the plan is `e^{(score_ij + f_i + g_j) / epsilon}`; minus infinity for a mass of 0.
    pub columns: Vec<T>,
}

/// Scores (`[n, m]`, large is alike; minus the costs) become the plan `u_i e^{score_ij / epsilon} v_j`. An iteration makes the
/// column sums right, then the row sums; after any number of them the rows are exact.
///
/// The plain domain shifts by the largest score; where a whole row or column of `e^{(score - largest) / epsilon}` then vanishes
/// (scores that far apart: 87 epsilon in f32, 700 in f64), the plan and the residual are NaN. The log domain has no such limit.
/// Scores that are not finite give NaN in both.
///
/// # Panics
/// When the matrix is not of n x m numbers, is empty, or there are no iterations.
pub fn sinkhorn<T: Element>(matrix: &mut [T], problem: &SinkhornProblem<'_, T>) -> Scaling<T> {
    T::sinkhorn(matrix, problem)
}

pub(crate) fn sinkhorn_generic<T: Element>(matrix: &mut [T], problem: &SinkhornProblem<'_, T>) -> Scaling<T> {
    let (n, m) = (problem.rows.len(), problem.columns.len());
    assert!(n > 0 && m > 0, "sinkhorn: a matrix of {n} x {m}");
    assert_eq!(matrix.len(), n * m, "sinkhorn: numbers of a matrix of {n} x {m}");
    assert!(problem.iterations > 0, "sinkhorn: 0 iterations");
    let part = n.div_ceil(PARTS).max(NUMBERS.div_ceil(m));
    let state = State {
        problem,
        part,
        u: vec![T::one(); n],
        v: vec![T::one(); m],
        sums: vec![T::zero(); m],
        parts: vec![T::zero(); n.div_ceil(part) * m],
    };
    if problem.log { state.in_log_domain(matrix) } else { state.plain(matrix) }
}

struct State<'a, T> {
    problem: &'a SinkhornProblem<'a, T>,
    /// Rows of a part.
    part: usize,
    /// n: factors, or potentials over epsilon.
    u: Vec<T>,
    /// m.
    v: Vec<T>,
    /// m: column sums of the matrix with its rows scaled; in the log domain, of the plan.
    sums: Vec<T>,
    /// The same of each part.
    parts: Vec<T>,
}

/// What is needed of what there is; nothing needs no factor.
fn quotient<T: Element>(wanted: T, found: T) -> T {
    if wanted == T::zero() { wanted } else { wanted / found }
}

impl<T: Element> State<'_, T> {
    /// Calls `f` with each part of the rows: matrix, masses, factors, and column sums to add to.
    fn pass(&mut self, matrix: &mut [T], f: impl Fn(&mut [T], &[T], &mut [T], &mut [T]) + Sync) {
        let (m, part) = (self.v.len(), self.part);
        let masses = self.problem.rows.par_chunks(part);
        let parts = matrix.par_chunks_mut(part * m).zip(masses).zip(self.u.par_chunks_mut(part));
        parts.zip(self.parts.par_chunks_mut(m)).with_max_len(1).for_each(|(((rows, masses), u), sums)| {
            sums.fill(T::zero());
            f(rows, masses, u, sums);
        });
        self.sums.fill(T::zero());
        for part in self.parts.chunks_exact(m) {
            vector::axpy(&mut self.sums, T::one(), part);
        }
    }

    /// Steps until enough is enough; `step` makes columns and rows right, `sum` is the sum of column j of the plan.
    fn iterate(&mut self, mut step: impl FnMut(&mut Self), sum: impl Fn(&Self, usize) -> T) -> (usize, f64) {
        for iteration in 1.. {
            step(self);
            let last = iteration == self.problem.iterations;
            if !last && self.problem.tolerance.is_none() {
                continue;
            }
            let off = |j: usize| (sum(self, j) - self.problem.columns[j]).abs().f64();
            // a maximum that lets NaN through
            let residual = (0..self.v.len()).map(off).fold(0.0, |most, v| if v <= most { most } else { v });
            if last || self.problem.tolerance.is_some_and(|tolerance| residual <= tolerance) {
                return (iteration, residual);
            }
        }
        unreachable!("the last iteration returns")
    }

    fn plain(mut self, matrix: &mut [T]) -> Scaling<T> {
        let (m, epsilon) = (self.v.len(), self.problem.epsilon);
        let scale = T::of(1.0 / epsilon);
        let largest = matrix.par_chunks(self.part * m).map(vector::max).reduce(T::neg_infinity, T::max);
        self.pass(matrix, |rows, _, _, sums| {
            for row in rows.chunks_exact_mut(m) {
                vector::exp_in_place(row, scale, -largest * scale);
                vector::axpy(sums, T::one(), row);
            }
        });
        let (iterations, residual) = self.iterate(
            |state| {
                let columns = state.problem.columns.iter().zip(&state.sums);
                state.v.iter_mut().zip(columns).for_each(|(v, (b, sum))| *v = quotient(*b, *sum));
                let v = std::mem::take(&mut state.v);
                state.v.resize(m, T::zero());
                state.pass(matrix, |rows, masses, u, sums| {
                    for ((row, mass), u) in rows.chunks_exact(m).zip(masses).zip(u) {
                        *u = quotient(*mass, vector::dot(row, &v));
                        vector::axpy(sums, *u, row);
                    }
                });
                state.v = v;
            },
            |state, j| state.v[j] * state.sums[j],
        );
        let v = std::mem::take(&mut self.v);
        self.v.resize(m, T::zero());
        self.pass(matrix, |rows, _, u, _| {
            for (row, &u) in rows.chunks_exact_mut(m).zip(u.iter()) {
                row.iter_mut().zip(&v).for_each(|(x, &v)| *x *= u * v);
            }
        });
        let potential = |factor: T, shift: T| factor.ln() * T::of(epsilon) - shift;
        let rows = self.u.iter().map(|u| potential(*u, largest)).collect();
        Scaling { iterations, residual, rows, columns: v.into_iter().map(|v| potential(v, T::zero())).collect() }
    }

    fn in_log_domain(mut self, matrix: &mut [T]) -> Scaling<T> {
        let (m, epsilon) = (self.v.len(), self.problem.epsilon);
        let scale = T::of(1.0 / epsilon);
        matrix.par_chunks_mut(self.part * m).for_each(|rows| vector::scale(rows, scale));
        self.u.fill(T::zero());
        // column sums too small to be exact are taken afresh, around the column's own largest entry
        let small = T::min_positive_value() * T::of(1e8);
        let mut fresh = true;
        let (iterations, residual) = self.iterate(
            |state| {
                let masses = state.problem.columns;
                let lost = |j: usize| fresh || (masses[j] > T::zero() && state.sums[j] < small);
                let lost: Vec<usize> = (0..m).filter(|j| lost(*j)).collect();
                for j in 0..m {
                    state.v[j] += quotient(masses[j], state.sums[j]).ln();
                }
                if !lost.is_empty() {
                    let sums = log_column_sums(matrix, &state.u, m, &lost, state.part);
                    lost.iter().zip(sums).for_each(|(&j, sum)| state.v[j] = masses[j].ln() - sum);
                }
                fresh = false;
                let v = std::mem::take(&mut state.v);
                state.v.resize(m, T::zero());
                state.pass(matrix, |rows, masses, u, sums| {
                    let mut terms = vec![T::zero(); m];
                    for ((row, mass), u) in rows.chunks_exact(m).zip(masses).zip(u) {
                        let top = vector::max_biased(row, T::one(), &v);
                        terms.copy_from_slice(row);
                        let (sum, _) = vector::exp_biased_in_place(&mut terms, T::one(), &v, -top);
                        *u = mass.ln() - top - sum.ln();
                        vector::axpy(sums, quotient(*mass, sum), &terms);
                    }
                });
                state.v = v;
            },
            |state, j| state.sums[j],
        );
        let v = std::mem::take(&mut self.v);
        self.v.resize(m, T::zero());
        self.pass(matrix, |rows, _, u, _| {
            for (row, &u) in rows.chunks_exact_mut(m).zip(u.iter()) {
                vector::exp_biased_in_place(row, T::one(), &v, u);
            }
        });
        let potential = |values: Vec<T>| values.into_iter().map(|x| x * T::of(epsilon)).collect();
        Scaling { iterations, residual, rows: potential(self.u), columns: potential(v) }
    }
}

/// `log sum_i e^{x_ij + u_i}` of the columns `which`.
fn log_column_sums<T: Element>(matrix: &[T], u: &[T], m: usize, which: &[usize], part: usize) -> Vec<T> {
    let logits = |row: &[T], u: T, to: &mut [T]| to.iter_mut().zip(which).for_each(|(to, &j)| *to = row[j] + u);
    let fold = |start: T, join: &(dyn Fn(&mut [T], &[T]) + Sync)| -> Vec<T> {
        let parts = matrix.par_chunks(part * m).zip(u.par_chunks(part)).map(|(rows, u)| {
            let (mut total, mut row_logits) = (vec![start; which.len()], vec![T::zero(); which.len()]);
            for (row, &u) in rows.chunks_exact(m).zip(u) {
                logits(row, u, &mut row_logits);
                join(&mut total, &row_logits);
            }
            total
        });
        let mut parts = parts.collect::<Vec<_>>().into_iter();
        let mut total = parts.next().expect("at least one part");
        parts.for_each(|part| match start == T::zero() {
            true => vector::axpy(&mut total, T::one(), &part),
            false => vector::max_into(&mut total, &part),
        });
        total
    };
    let tops = fold(T::neg_infinity(), &|total, row| vector::max_into(total, row));
    let shifts: Vec<T> = tops.iter().map(|top| if *top == T::neg_infinity() { T::zero() } else { -*top }).collect();
    let sums = fold(T::zero(), &|total, row| vector::add_exp_shifted(total, row, T::one(), &shifts));
    sums.into_iter().zip(shifts).map(|(sum, shift)| sum.ln() - shift).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(2_862_933_555_777_941_757) + 1;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        (0..count).map(|_| next()).collect()
    }

    fn masses(count: usize, seed: u64) -> Vec<f64> {
        let raw: Vec<f64> = numbers(count, seed).iter().map(|v| v + 0.1).collect();
        let sum: f64 = raw.iter().sum();
        raw.iter().map(|v| v / sum).collect()
    }

    /// The definition: log-sum-exps in loops, columns first.
    fn definition(scores: &[f64], problem: &SinkhornProblem<'_, f64>) -> Vec<f64> {
        let (n, m) = (problem.rows.len(), problem.columns.len());
        let (mut f, mut g) = (vec![0.0; n], vec![0.0; m]);
        let lse = |terms: Vec<f64>| {
            let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            top + terms.iter().map(|t| (t - top).exp()).sum::<f64>().ln()
        };
        let l = |i: usize, j: usize| scores[i * m + j] / problem.epsilon;
        for _ in 0..problem.iterations {
            g = (0..m).map(|j| problem.columns[j].ln() - lse((0..n).map(|i| l(i, j) + f[i]).collect())).collect();
            f = (0..n).map(|i| problem.rows[i].ln() - lse((0..m).map(|j| l(i, j) + g[j]).collect())).collect();
        }
        (0..n * m).map(|at| (l(at / m, at % m) + f[at / m] + g[at % m]).exp()).collect()
    }

    #[test]
    fn both_domains_are_the_definition() {
        for (n, m, epsilon) in [(1, 1, 1.0), (7, 5, 0.3), (300, 40, 0.1), (40, 300, 0.1), (5, 9, 0.004)] {
            let scores = numbers(n * m, 1);
            let (rows, columns) = (masses(n, 2), masses(m, 3));
            for log in [false, true] {
                let problem =
                    SinkhornProblem { rows: &rows, columns: &columns, epsilon, iterations: 4, tolerance: None, log };
                let want = definition(&scores, &problem);
                let mut plan = scores.clone();
                let scaling = sinkhorn(&mut plan, &problem);
                assert_eq!(scaling.iterations, 4);
                for (at, (p, w)) in plan.iter().zip(&want).enumerate() {
                    assert!((p - w).abs() < 1e-13 + 1e-10 * w, "{n} x {m}, log {log}, at {at}: {p} and {w}");
                    let (i, j) = (at / m, at % m);
                    let again = ((scores[at] + scaling.rows[i] + scaling.columns[j]) / epsilon).exp();
                    assert!((again - p).abs() < 1e-13 + 1e-9 * p, "potentials at {at}: {again} and {p}");
                }
                let off = (0..m).map(|j| ((0..n).map(|i| want[i * m + j]).sum::<f64>() - columns[j]).abs());
                let residual = off.fold(0.0, f64::max);
                assert!((residual - scaling.residual).abs() < 1e-12, "{residual} and {}", scaling.residual);
            }
        }
    }

    #[test]
    fn single_precision_far_scores_and_masses_of_nothing() {
        // scores thousands of epsilons apart, and masses of 0 on both sides
        let scores: Vec<f64> = numbers(60, 4).iter().map(|v| v * 50.0).collect();
        let (mut rows, mut columns) = (masses(10, 5), masses(6, 6));
        (rows[1], rows[3]) = (rows[1] + rows[3], 0.0);
        (columns[0], columns[5]) = (columns[0] + columns[5], 0.0);
        let narrow = |x: &[f64]| x.iter().map(|v| *v as f32).collect::<Vec<_>>();
        let (r, c) = (narrow(&rows), narrow(&columns));
        let wide = SinkhornProblem {
            rows: &rows,
            columns: &columns,
            epsilon: 0.02,
            iterations: 50,
            tolerance: None,
            log: true,
        };
        let want = definition(&scores, &wide);
        let mut plan = narrow(&scores);
        let problem =
            SinkhornProblem { rows: &r, columns: &c, epsilon: 0.02, iterations: 50, tolerance: None, log: true };
        sinkhorn(&mut plan, &problem);
        for (at, (p, w)) in plan.iter().zip(&want).enumerate() {
            assert!((f64::from(*p) - w).abs() < 2e-4, "at {at}: {p} and {w}");
        }
        assert!(plan[18..24].iter().chain(plan.iter().skip(5).step_by(6)).all(|p| *p == 0.0));
        let mut lost = narrow(&scores);
        let scaling = sinkhorn(&mut lost, &SinkhornProblem { log: false, ..problem });
        assert!(scaling.residual.is_nan(), "{}", scaling.residual);
    }

    #[test]
    fn stops_when_it_may_and_whatever_the_threads() {
        let scores = numbers(2000 * 30, 7);
        let (rows, columns) = (masses(2000, 8), masses(30, 9));
        for log in [false, true] {
            let problem = SinkhornProblem {
                rows: &rows,
                columns: &columns,
                epsilon: 0.1,
                iterations: 1000,
                tolerance: Some(1e-9),
                log,
            };
            let run = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let mut plan = scores.clone();
                    (sinkhorn(&mut plan, &problem), plan)
                })
            };
            let ((one, plan), (three, again)) = (run(1), run(3));
            assert!(one.residual <= 1e-9 && 1 < one.iterations && one.iterations < 1000, "{}", one.iterations);
            assert_eq!((one.iterations, plan), (three.iterations, again));
        }
    }
}
