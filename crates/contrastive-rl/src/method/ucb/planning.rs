//! Optimistic planning by backward induction.

use crate::world::{Policy, Tables};
use ndarray::{Array2, Array3};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A greedy policy and the value it was planned with.
#[derive(Clone, Debug)]
pub struct Plan {
    /// One action in each state at each step.
    pub policy: Policy,
    /// The planned value, a mean over the first state: at least V* if the kernel is the true one.
    pub value: f64,
}

/// `Q_h = min(cap, r_h + b_h + P_h V_{h+1})`, greedy; among equal actions one is drawn.
///
/// # Shapes
/// - kernels: for each step `[S A, S]`
/// - bonuses: for each step S A
pub fn plan(tables: &Tables, kernels: &[Array2<f64>], bonuses: &[Vec<f64>], cap: f64, rng: &mut ChaCha8Rng) -> Plan {
    let (states, actions, horizon) = (tables.states(), tables.actions(), tables.horizon());
    let mut policy = Array3::zeros((horizon, states, actions));
    let mut value = vec![0.0; states];
    for h in (0..horizon).rev() {
        let next = std::mem::take(&mut value);
        for s in 0..states {
            let q: Vec<f64> = (0..actions)
                .map(|a| {
                    let pair = s * actions + a;
                    let expected: f64 = kernels[h].row(pair).iter().zip(&next).map(|(p, v)| p * v).sum();
                    (tables.reward(h)[[s, a]] + bonuses[h][pair] + expected).min(cap)
                })
                .collect();
            let best = q.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            // equal to rounding counts as equal, or the order of the sums would decide
            let equal: Vec<usize> = (0..actions).filter(|a| q[*a] >= best - 1e-12).collect();
            policy[[h, s, equal[rng.random_range(0..equal.len())]]] = 1.0;
            value.push(best);
        }
    }
    Plan { value: tables.mean_at_start(&value), policy: Policy(policy) }
}
