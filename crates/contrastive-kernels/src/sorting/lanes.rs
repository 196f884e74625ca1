//! A network on a few rows at once, a row to a lane: every step is a short loop over lanes, which becomes vector code.

use super::relaxation::Sortable;
use super::{DiffSort, Relaxation};
use pulp::{Arch, Simd, WithSimd};

/// Rows that are sorted together.
pub(super) const LANES: usize = 16;

/// One number of each row.
pub(super) type Lane<T> = [T; LANES];

/// What is remembered of a sort: for each comparator what came in and how it was mixed. Two lanes a comparator, and one more
/// for a product with the permutation.
pub(super) struct Tape<T> {
    /// n: the values on the wires.
    pub wires: Vec<Lane<T>>,
    /// n: a second set of values, see [`Tape::multiply`].
    pub column: Vec<Lane<T>>,
    /// `x_b - x_a` before each comparator.
    gaps: Vec<Lane<T>>,
    /// The probability that they are in order.
    chances: Vec<Lane<T>>,
    /// Differences on the way of [`Tape::multiply`].
    differences: Vec<Lane<T>>,
    /// d value / d chance, from what was multiplied.
    pulls: Vec<Lane<T>>,
}

#[inline(always)]
fn mix<T: Sortable>(wires: &mut [Lane<T>], [a, b]: [u32; 2], chances: &Lane<T>) {
    let (x, y) = (wires[a as usize], wires[b as usize]);
    let (mut low, mut high) = (x, y);
    for l in 0..LANES {
        let (w, rest) = (chances[l], T::one() - chances[l]);
        low[l] = w * x[l] + rest * y[l];
        high[l] = rest * x[l] + w * y[l];
    }
    (wires[a as usize], wires[b as usize]) = (low, high);
}

/// A walk over all comparators.
enum Walk {
    Sort,
    Multiply,
    MultiplyBackward,
    SortBackward,
}

/// Compiled for every instruction set, and picked at run time.
struct Kernel<'a, T> {
    tape: &'a mut Tape<T>,
    sort: &'a DiffSort,
    walk: Walk,
}

impl<T: Sortable> WithSimd for Kernel<'_, T> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let (relaxation, steepness) = (self.sort.relaxation, T::of(self.sort.steepness));
        let comparators = self.sort.network.comparators();
        match self.walk {
            Walk::Sort => self.tape.sort_lanes(comparators, relaxation, steepness),
            Walk::Multiply => self.tape.multiply_lanes(comparators),
            Walk::MultiplyBackward => self.tape.multiply_lanes_backward(comparators),
            Walk::SortBackward => self.tape.sort_lanes_backward(comparators, relaxation, steepness),
        }
    }
}

impl<T: Sortable> Tape<T> {
    pub fn new(sort: &DiffSort) -> Self {
        let lanes = |count: usize| vec![[T::zero(); LANES]; count];
        let (n, comparators) = (sort.network.size(), sort.network.comparators().len());
        Self {
            wires: lanes(n),
            column: lanes(n),
            gaps: lanes(comparators),
            chances: lanes(comparators),
            differences: lanes(comparators),
            pulls: lanes(comparators),
        }
    }

    fn walk(&mut self, sort: &DiffSort, walk: Walk) {
        Arch::new().dispatch(Kernel { tape: self, sort, walk });
    }

    /// Sorts the rows `x` (at most [`LANES`] of them): values on the wires, everything else remembered.
    pub fn sort(&mut self, sort: &DiffSort, x: &[T]) {
        load(&mut self.wires, x, 1, 0);
        self.walk(sort, Walk::Sort);
    }

    /// `column <- P column`, P being the permutation of the last sort: its comparators from the last to the first.
    pub fn multiply(&mut self, sort: &DiffSort) {
        self.walk(sort, Walk::Multiply);
    }

    /// Forgets what was multiplied before.
    pub fn clear_pulls(&mut self) {
        self.pulls.fill([T::zero(); LANES]);
    }

    /// Takes in `column` as the gradient of the last product.
    pub fn multiply_backward(&mut self, sort: &DiffSort) {
        self.walk(sort, Walk::MultiplyBackward);
    }

    /// `wires`, the gradient of the sorted values, becomes the gradient of the input, with what came from the products.
    pub fn sort_backward(&mut self, sort: &DiffSort) {
        self.walk(sort, Walk::SortBackward);
    }

    #[inline(always)]
    fn sort_lanes(&mut self, comparators: &[[u32; 2]], relaxation: Relaxation, steepness: T) {
        let largest = T::max_value();
        for ((c, gap), chance) in comparators.iter().zip(&mut self.gaps).zip(&mut self.chances) {
            let (x, y) = (self.wires[c[0] as usize], self.wires[c[1] as usize]);
            for l in 0..LANES {
                // at most the largest number; NaN passes
                let d = y[l] - x[l];
                let d = if d > largest { largest } else { d };
                gap[l] = if d < -largest { -largest } else { d };
            }
            chances_of(relaxation, steepness, gap, chance);
            mix(&mut self.wires, *c, chance);
        }
    }

    #[inline(always)]
    fn multiply_lanes(&mut self, comparators: &[[u32; 2]]) {
        for ((c, chances), difference) in comparators.iter().zip(&self.chances).zip(&mut self.differences).rev() {
            let (x, y) = (self.column[c[0] as usize], self.column[c[1] as usize]);
            for l in 0..LANES {
                difference[l] = x[l] - y[l];
            }
            mix(&mut self.column, *c, chances);
        }
    }

    #[inline(always)]
    fn multiply_lanes_backward(&mut self, comparators: &[[u32; 2]]) {
        let remembered = self.chances.iter().zip(&self.differences).zip(&mut self.pulls);
        for (c, ((chances, difference), pull)) in comparators.iter().zip(remembered) {
            let (x, y) = (self.column[c[0] as usize], self.column[c[1] as usize]);
            for l in 0..LANES {
                pull[l] += (x[l] - y[l]) * difference[l];
            }
            mix(&mut self.column, *c, chances);
        }
    }

    #[inline(always)]
    fn sort_lanes_backward(&mut self, comparators: &[[u32; 2]], relaxation: Relaxation, steepness: T) {
        let remembered = self.gaps.iter().zip(&self.chances).zip(&self.pulls);
        for (c, ((gaps, chances), pulls)) in comparators.iter().zip(remembered).rev() {
            let (g, h) = (self.wires[c[0] as usize], self.wires[c[1] as usize]);
            mix(&mut self.wires, *c, chances);
            let slopes = slopes_of(relaxation, steepness, gaps, chances);
            for l in 0..LANES {
                // the gap is finite, and its product with a slope is small
                let step = pulls[l] * slopes[l] - (g[l] - h[l]) * (gaps[l] * slopes[l]);
                self.wires[c[0] as usize][l] -= step;
                self.wires[c[1] as usize][l] += step;
            }
        }
    }
}

#[inline(always)]
fn each<T: Sortable>(to: &mut Lane<T>, f: impl Fn(usize) -> T) {
    for l in 0..LANES {
        to[l] = f(l);
    }
}

/// The choice is made once a comparator, not once a lane.
#[inline(always)]
fn chances_of<T: Sortable>(relaxation: Relaxation, steepness: T, gaps: &Lane<T>, chances: &mut Lane<T>) {
    let z = |l: usize| bounded(gaps[l] * steepness);
    use Relaxation::*;
    match relaxation {
        Cauchy => each(chances, |l| Cauchy.chance(z(l))),
        Logistic => each(chances, |l| Logistic.chance(z(l))),
        Reciprocal => each(chances, |l| Reciprocal.chance(z(l))),
        Optimal => each(chances, |l| Optimal.chance(z(l))),
    }
}

#[inline(always)]
fn slopes_of<T: Sortable>(relaxation: Relaxation, steepness: T, gaps: &Lane<T>, chances: &Lane<T>) -> Lane<T> {
    let mut slopes = [T::zero(); LANES];
    let z = |l: usize| bounded(gaps[l] * steepness);
    use Relaxation::*;
    match relaxation {
        Cauchy => each(&mut slopes, |l| steepness * Cauchy.slope(z(l), chances[l])),
        Logistic => each(&mut slopes, |l| steepness * Logistic.slope(z(l), chances[l])),
        Reciprocal => each(&mut slopes, |l| steepness * Reciprocal.slope(z(l), chances[l])),
        Optimal => each(&mut slopes, |l| steepness * Optimal.slope(z(l), chances[l])),
    }
    slopes
}

/// Beyond this a comparator is decided in any type, and no formula overflows.
#[inline(always)]
fn bounded<T: Sortable>(z: T) -> T {
    let most = T::of(1e18);
    let z = if z > most { most } else { z };
    if z < -most { -most } else { z }
}

/// Numbers `at + i * stride` of each row, of `wires.len() * stride`, onto wire i; lanes without a row hold 0.
pub(super) fn load<T: Sortable>(wires: &mut [Lane<T>], rows: &[T], stride: usize, at: usize) {
    let n = wires.len();
    for (i, wire) in wires.iter_mut().enumerate() {
        *wire = [T::zero(); LANES];
        for (to, row) in wire.iter_mut().zip(rows.chunks_exact(n * stride)) {
            *to = row[i * stride + at];
        }
    }
}

/// The way back of [`load`].
pub(super) fn store<T: Sortable>(wires: &[Lane<T>], rows: &mut [T], stride: usize, at: usize) {
    let n = wires.len();
    for (l, row) in rows.chunks_exact_mut(n * stride).enumerate() {
        for (i, wire) in wires.iter().enumerate() {
            row[i * stride + at] = wire[l];
        }
    }
}
