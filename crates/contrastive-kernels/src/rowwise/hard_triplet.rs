//! One triplet of each anchor, or of each of its positives.

use super::{GenericRowLoss, RowPairs, Sums, hide, nothing};
use crate::scalar::{logistic, softplus};
use crate::vector::{self, Element};

/// Which negative a positive meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HardNegative {
    /// The nearest negative meets the farthest positive, once for each anchor; without positives a distance of 0.
    Nearest,
    /// Every positive meets the nearest negative that is farther than itself, or, where there is none, the farthest negative.
    Semihard,
}

/// Triplets of rows whose similarities are `s = -d^2 / 2` of Euclidean distances d: `max(0, d_p - d_n + margin)`, or
/// `log(1 + e^{d_p - d_n})` without a margin. A row without negatives is 0. Distances of 0 have no derivative.
///
/// Sums: the number of triplets.
#[derive(Clone, Copy, Debug)]
pub struct HardTriplet {
    /// The margin of the hinge; `None` for the smooth form.
    pub margin: Option<f64>,
    /// Which negative a positive meets.
    pub negative: HardNegative,
}

fn distance<T: Element>(s: T) -> f64 {
    if s.is_nan() { f64::NAN } else { (-2.0 * s.f64()).max(0.0).sqrt() }
}

impl HardTriplet {
    /// Value and derivative of a triplet.
    fn cost(&self, near: f64, far: f64) -> (f64, f64) {
        match self.margin {
            None => (softplus(near - far), logistic(near - far)),
            Some(margin) => {
                let over = near - far + margin;
                if over > 0.0 || over.is_nan() { (over, 1.0) } else { (0.0, 0.0) }
            }
        }
    }
}

/// The place of the largest entry; the first of equal ones.
fn largest<T: Element>(x: &[T]) -> usize {
    let top = vector::max(x);
    x.iter().position(|s| *s == top).unwrap_or(0)
}

impl<T: Element> GenericRowLoss<T> for HardTriplet {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        hide(pairs, row, kept);
        let nothing = nothing();
        if row.iter().chain(kept.iter()).any(|s| s.is_nan()) {
            row.fill(T::nan());
            return (f64::NAN, [1.0, 0.0, 0.0, 0.0]);
        }
        if vector::max(row) <= nothing {
            row.fill(T::zero());
            return (0.0, Sums::default());
        }
        // of each triplet: the positive's column, the negative's, and their distances
        let positives = || pairs.positives().zip(kept.iter().copied());
        let triplets: Vec<(Option<usize>, usize, f64, f64)> = match self.negative {
            HardNegative::Nearest => {
                let hardest = positives().min_by(|a, b| a.1.f64().total_cmp(&b.1.f64()));
                let n = largest(row);
                vec![(hardest.map(|p| p.0), n, hardest.map_or(0.0, |p| distance(p.1)), distance(row[n]))]
            }
            HardNegative::Semihard => {
                let mut order: Vec<(T, usize)> =
                    row.iter().enumerate().filter(|(_, s)| **s > nothing).map(|(j, s)| (*s, j)).collect();
                order.sort_unstable_by(|a, b| b.0.f64().total_cmp(&a.0.f64()).then(a.1.cmp(&b.1)));
                let meet = |(p, s): (usize, T)| {
                    let at = order.partition_point(|n| n.0 >= s).min(order.len() - 1);
                    (Some(p), order[at].1, distance(s), distance(order[at].0))
                };
                positives().map(meet).collect()
            }
        };
        row.fill(T::zero());
        let mut value = 0.0;
        for (p, n, near, far) in &triplets {
            let (cost, slope) = self.cost(*near, *far);
            value += cost;
            // d distance / d s = -1 / distance
            if let (Some(p), true) = (p, *near > 0.0) {
                row[*p] -= T::of(slope / near);
            }
            if *far > 0.0 {
                row[*n] += T::of(slope / far);
            }
        }
        (value, [triplets.len() as f64, 0.0, 0.0, 0.0])
    }
}
