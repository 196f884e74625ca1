//! Coarse correlated equilibria of small matrix games, by regret matching.

use ndarray::{Array2, ArrayView2};

/// A joint law of both players' actions, none of whom gains by any fixed action of its own.
#[derive(Clone, Debug)]
pub struct Equilibrium {
    /// `[A, B]`.
    pub joint: Array2<f64>,
    /// The most that either player could gain by a fixed action: 0 in an exact equilibrium, `O(1 / sqrt(rounds))` here.
    pub gain: f64,
}

impl Equilibrium {
    /// A: the maximising player's part.
    pub fn own(&self) -> Vec<f64> {
        self.joint.rows().into_iter().map(|row| row.sum()).collect()
    }

    /// B: the minimising player's part.
    pub fn other(&self) -> Vec<f64> {
        self.joint.columns().into_iter().map(|column| column.sum()).collect()
    }

    /// The mean of a table under the joint law.
    pub fn mean(&self, table: ArrayView2<'_, f64>) -> f64 {
        (&self.joint * &table).sum()
    }
}

/// The mean joint play of two learners that match their regrets in the general-sum game where the row player is paid `upper` and
/// the column player `-lower` (Hart and Mas-Colell 2000; the equilibrium that contrastive UCB plans with).
///
/// # Shapes
/// - upper, lower: `[A, B]`
///
/// # Panics
/// When the shapes differ.
pub fn coarse_correlated_equilibrium(
    upper: ArrayView2<'_, f64>,
    lower: ArrayView2<'_, f64>,
    rounds: usize,
) -> Equilibrium {
    assert_eq!(upper.dim(), lower.dim(), "the tables of both players: {:?} and {:?}", upper.dim(), lower.dim());
    let (a, b) = upper.dim();
    let (mut own, mut other) = (vec![0f64; a], vec![0f64; b]);
    let mut joint = Array2::<f64>::zeros((a, b));
    for _ in 0..rounds.max(1) {
        let (x, y) = (matched(&own), matched(&other));
        let pay: Vec<f64> = (0..a).map(|i| (0..b).map(|j| upper[[i, j]] * y[j]).sum()).collect();
        let cost: Vec<f64> = (0..b).map(|j| (0..a).map(|i| lower[[i, j]] * x[i]).sum()).collect();
        let (mean_pay, mean_cost) = (dot(&x, &pay), dot(&y, &cost));
        own.iter_mut().zip(&pay).for_each(|(r, p)| *r += p - mean_pay);
        other.iter_mut().zip(&cost).for_each(|(r, c)| *r += mean_cost - c);
        for i in 0..a {
            for j in 0..b {
                joint[[i, j]] += x[i] * y[j];
            }
        }
    }
    joint /= joint.sum();
    let found = Equilibrium { gain: 0.0, joint };
    let (x, y) = (found.own(), found.other());
    let (up, low) = (found.mean(upper), found.mean(lower));
    let gain_own = (0..a).map(|i| (0..b).map(|j| upper[[i, j]] * y[j]).sum::<f64>() - up).fold(0.0, f64::max);
    let gain_other = (0..b).map(|j| low - (0..a).map(|i| lower[[i, j]] * x[i]).sum::<f64>()).fold(0.0, f64::max);
    Equilibrium { gain: gain_own.max(gain_other), ..found }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// In proportion to the positive regrets; uniform where there are none.
fn matched(regrets: &[f64]) -> Vec<f64> {
    let sum: f64 = regrets.iter().map(|r| r.max(0.0)).sum();
    match sum > 0.0 {
        true => regrets.iter().map(|r| r.max(0.0) / sum).collect(),
        false => vec![1.0 / regrets.len() as f64; regrets.len()],
    }
}
