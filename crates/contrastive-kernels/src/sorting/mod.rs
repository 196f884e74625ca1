//! Differentiable sorting: sorting networks whose comparators mix instead of swapping.
//!
//! A comparator of values a and b at steepness beta takes them to be in order with probability `w = f(beta (b - a))` and
//! leaves `w a + (1 - w) b` and `(1 - w) a + w b` (Petersen et al. 2021, equations 3 to 6). All comparators together are a doubly
//! stochastic matrix P: `P[i][r]` is the probability that input i ends at rank r, and the sorted values are `P^T x`.
//!
//! P is a product of one sparse layer for each comparator, `P = M_1 M_2 ... M_L`, so `P V` takes two multiplications a comparator
//! and a column, from the last comparator to the first, and P itself (`V` = the identity) is made only when asked for.
//! Gradients walk the same comparators: nothing of size n x n is kept, only two or three numbers for each comparator of the 16
//! rows that a thread has at hand. Rows are shared out among the threads; the results do not depend on their number.

mod lanes;
mod network;
mod relaxation;

pub use network::SortingNetwork;
pub use relaxation::{Relaxation, Sortable};

use lanes::{LANES, Lane, Tape, load, store};
use rayon::prelude::*;
use std::error::Error;
use std::fmt::{Display, Formatter};
use std::sync::Arc;

/// Why there is no such sort.
#[derive(Debug, Clone, PartialEq)]
pub enum SortingError {
    /// A network of no wires, or too many.
    Size(usize),
    /// A steepness that is zero, negative, infinite or NaN.
    Steepness(f64),
}

impl Display for SortingError {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Size(size) => write!(f, "a sorting network of {size} wires: it must have 1 to 65536"),
            Self::Steepness(value) => write!(f, "steepness {value}: it must be a finite number above 0"),
        }
    }
}

impl Error for SortingError {}

/// A differentiable sort of rows of a fixed length n.
///
/// Inputs must be finite: a row with an infinite or undefined number gives undefined numbers for that row.
#[derive(Clone, Debug, PartialEq)]
pub struct DiffSort {
    network: Arc<SortingNetwork>,
    relaxation: Relaxation,
    steepness: f64,
}

/// Rows of `n` numbers, `of` numbers of output for each: checks both and gives the number of rows.
fn rows(what: &str, x: usize, n: usize, out: usize, of: usize) -> usize {
    assert!(x.is_multiple_of(n), "{what}: {x} numbers in rows of {n}");
    assert_eq!(out, x / n * of, "{what}: numbers of output for {} rows of {n}, {of} each", x / n);
    x / n
}

impl DiffSort {
    /// This network with comparators of this steepness (usual: 1 to 20 for values of about unit range; n where exactness
    /// matters).
    ///
    /// # Errors
    /// When the steepness is not a finite number above 0.
    pub fn new(network: SortingNetwork, relaxation: Relaxation, steepness: f64) -> Result<Self, SortingError> {
        if !(steepness.is_finite() && steepness > 0.0) {
            return Err(SortingError::Steepness(steepness));
        }
        Ok(Self { network: Arc::new(network), relaxation, steepness })
    }

    /// The network.
    pub fn network(&self) -> &SortingNetwork {
        &self.network
    }

    /// The comparators' function.
    pub fn relaxation(&self) -> Relaxation {
        self.relaxation
    }

    /// The comparators' steepness.
    pub fn steepness(&self) -> f64 {
        self.steepness
    }

    /// n.
    pub fn size(&self) -> usize {
        self.network.size()
    }

    /// Ascending relaxed order of each row of `x` (`[rows, n]`) into `sorted` (same shape). Sums of rows are kept.
    ///
    /// # Panics
    /// When the slices are not the same whole number of rows.
    pub fn sort<T: Sortable>(&self, x: &[T], sorted: &mut [T]) {
        T::sort(self, x, sorted)
    }

    pub(crate) fn sort_generic<T: Sortable>(&self, x: &[T], sorted: &mut [T]) {
        let n = self.size();
        rows("differentiable sort", x.len(), n, sorted.len(), n);
        self.blocks(x, sorted, n, |tape, x, sorted| {
            tape.sort(self, x);
            store(&tape.wires, sorted, 1, 0);
        });
    }

    /// `P V` for the permutation P of each row: `x` is `[rows, n]`, `v` `[n, k]` and shared by all rows, `out`
    /// `[rows, n, k]`. With the indicator of some ranks as `v` it is the probability of each input to end at one of them; with
    /// the identity it is P.
    ///
    /// # Panics
    /// When the shapes do not fit, or `v` is empty.
    pub fn rank_sums<T: Sortable>(&self, x: &[T], v: &[T], out: &mut [T]) {
        T::rank_sums(self, x, v, out)
    }

    pub(crate) fn rank_sums_generic<T: Sortable>(&self, x: &[T], v: &[T], out: &mut [T]) {
        let (n, k) = (self.size(), self.columns(v));
        rows("rank sums", x.len(), n, out.len(), n * k);
        self.blocks(x, out, n * k, |tape, x, out| {
            tape.sort(self, x);
            for q in 0..k {
                broadcast(&mut tape.column, v, k, q);
                tape.multiply(self);
                store(&tape.column, out, k, q);
            }
        });
    }

    /// The gradient of the input, from that of the sorted values (`[rows, n]`), and of [`rank_sums`](Self::rank_sums): `v` and
    /// `[rows, n, k]`. Sorts once more instead of remembering.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn backward<T: Sortable>(
        &self,
        x: &[T],
        d_sorted: Option<&[T]>,
        rank_sums: Option<(&[T], &[T])>,
        d_x: &mut [T],
    ) {
        T::sort_backward(self, x, d_sorted, rank_sums, d_x)
    }

    pub(crate) fn backward_generic<T: Sortable>(
        &self,
        x: &[T],
        d_sorted: Option<&[T]>,
        rank_sums: Option<(&[T], &[T])>,
        d_x: &mut [T],
    ) {
        let n = self.size();
        let count = rows("differentiable sort", x.len(), n, d_x.len(), n);
        if let Some(d) = d_sorted {
            rows("gradient of sorted values", x.len(), n, d.len(), n);
        }
        let k = rank_sums.map_or(0, |(v, _)| self.columns(v));
        if let Some((_, d)) = rank_sums {
            rows("gradient of rank sums", x.len(), n, d.len(), n * k);
        }
        let part = |first: usize, of: usize| first * of..(first + LANES).min(count) * of;
        let blocks = x.par_chunks(LANES * n).zip(d_x.par_chunks_mut(LANES * n)).enumerate();
        blocks.for_each_init(
            || Tape::new(self),
            |tape, (b, (x, d_x))| {
                let first = b * LANES;
                tape.sort(self, x);
                tape.clear_pulls();
                if let Some((v, d)) = rank_sums {
                    let d = &d[part(first, n * k)];
                    for q in 0..k {
                        broadcast(&mut tape.column, v, k, q);
                        tape.multiply(self);
                        load(&mut tape.column, d, k, q);
                        tape.multiply_backward(self);
                    }
                }
                match d_sorted {
                    Some(d) => load(&mut tape.wires, &d[part(first, n)], 1, 0),
                    None => tape.wires.fill([T::zero(); LANES]),
                }
                tape.sort_backward(self);
                store(&tape.wires, d_x, 1, 0);
            },
        );
    }

    /// The order of two groups (GroCo, Shvetsova et al. 2023, section 3.2): of each row of `x` (`[rows, n]`) the first `low`
    /// inputs belong to the lower ranks, the others to the upper ones. With `q_i` the probability that input i ends at one of
    /// the upper ranks, the value of a row is the mean binary cross-entropy
    ///
    /// ```text
    /// -(1 / n) ( sum_{i < low} log(1 - q_i) + sum_{i >= low} log q_i )
    /// ```
    ///
    /// with logarithms floored at -100. Values go to `values` (`[rows]`), the gradient of each row's own value to `gradient`
    /// (`[rows, n]`), one sort for both; a `q_i` within rounding of the wrong end is taken at that distance, which
    /// bounds its gradient.
    ///
    /// # Panics
    /// When the shapes do not fit, or `low` is not below n or is 0.
    pub fn group_order<T: Sortable>(&self, x: &[T], low: usize, values: &mut [T], gradient: Option<&mut [T]>) {
        T::group_order(self, x, low, values, gradient)
    }

    pub(crate) fn group_order_generic<T: Sortable>(
        &self,
        x: &[T],
        low: usize,
        values: &mut [T],
        gradient: Option<&mut [T]>,
    ) {
        let n = self.size();
        assert!(0 < low && low < n, "group order: {low} lower inputs of {n}");
        rows("group order", x.len(), n, values.len(), 1);
        let mut nothing = Vec::new();
        let wanted = gradient.is_some();
        let gradient = match gradient {
            Some(gradient) => {
                rows("gradient of the group order", x.len(), n, gradient.len(), n);
                gradient
            }
            None => &mut nothing,
        };
        let mut parts: Vec<&mut [T]> = gradient.chunks_mut(LANES * n).collect();
        parts.resize_with(x.len().div_ceil(LANES * n), Default::default);
        let blocks = x.par_chunks(LANES * n).zip(values.par_chunks_mut(LANES)).zip(parts);
        blocks.for_each_init(
            || Tape::new(self),
            |tape, ((x, values), gradient)| {
                tape.sort(self, x);
                for (r, lane) in tape.column.iter_mut().enumerate() {
                    *lane = [if r < low { T::zero() } else { T::one() }; LANES];
                }
                tape.multiply(self);
                let costs = cross_entropy(&mut tape.column, low);
                values.copy_from_slice(&costs[..values.len()]);
                if wanted {
                    tape.clear_pulls();
                    tape.multiply_backward(self);
                    tape.wires.fill([T::zero(); LANES]);
                    tape.sort_backward(self);
                    store(&tape.wires, gradient, 1, 0);
                }
            },
        );
    }

    fn columns<T>(&self, v: &[T]) -> usize {
        let n = self.size();
        assert!(!v.is_empty() && v.len().is_multiple_of(n), "rank sums: {} numbers for {n} ranks", v.len());
        v.len() / n
    }

    /// Calls `f` with the rows of each block and their part of the output, `of` numbers a row.
    fn blocks<T: Sortable>(&self, x: &[T], out: &mut [T], of: usize, f: impl Fn(&mut Tape<T>, &[T], &mut [T]) + Sync) {
        let blocks = x.par_chunks(LANES * self.size()).zip(out.par_chunks_mut(LANES * of));
        blocks.for_each_init(|| Tape::new(self), |tape, (x, out)| f(tape, x, out));
    }
}

/// Column q of the shared `v`, in every lane.
fn broadcast<T: Sortable>(column: &mut [Lane<T>], v: &[T], k: usize, q: usize) {
    for (lane, row) in column.iter_mut().zip(v.chunks_exact(k)) {
        *lane = [row[q]; LANES];
    }
}

/// Probabilities of the upper ranks become the gradient of each lane's mean binary cross-entropy, which is returned.
fn cross_entropy<T: Sortable>(q: &mut [Lane<T>], low: usize) -> Lane<T> {
    let share = T::one() / T::of(q.len() as f64);
    let (floor, least) = (T::of(-100.0), T::epsilon());
    let mut costs = [T::zero(); LANES];
    for (i, lane) in q.iter_mut().enumerate() {
        let upper = i >= low;
        for (cost, q) in costs.iter_mut().zip(lane) {
            let p = if upper { *q } else { T::one() - *q };
            // rounding may leave [0, 1]; NaN passes
            let p = if p < T::zero() { T::zero() } else { p };
            let p = if p > T::one() { T::one() } else { p };
            let log = p.ln();
            *cost -= share * if log < floor { floor } else { log };
            let slope = -share / if p < least { least } else { p };
            *q = if upper { slope } else { -slope };
        }
    }
    costs
}
