//! Correlations of two lists of numbers, for instance of predicted and human similarities of sentence pairs (STS).
//!
//! ```
//! use contrastive_eval::correlation::{kendall, pearson, spearman};
//!
//! let (predicted, human) = ([0.1, 0.4, 0.3, 0.9], [1.0, 3.0, 2.0, 5.0]);
//! assert!((spearman(&predicted, &human)? - 1.0).abs() < 1e-15); // the same order
//! assert!(pearson(&predicted, &human)? < 1.0); // but not on one line
//! assert_eq!(kendall(&predicted, &human)?, 1.0);
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

use crate::error::{EvalError, check_enough, check_length};
use crate::rows::check_numbers;
use contrastive_kernels::Real;

/// Pearson's linear correlation, in [-1, 1].
///
/// # Errors
/// [`EvalError::LengthMismatch`], [`EvalError::TooFew`] for fewer than two pairs, [`EvalError::BadNumber`], and [`EvalError::Constant`]
/// when one list does not vary.
pub fn pearson<T: Real>(x: &[T], y: &[T]) -> Result<f64, EvalError> {
    let (x, y) = checked(x, y)?;
    Ok(linear(&x, &y))
}

/// Spearman's rank correlation: Pearson's of the ranks, where equal numbers share the mean of their ranks.
///
/// # Errors
/// As [`pearson`].
pub fn spearman<T: Real>(x: &[T], y: &[T]) -> Result<f64, EvalError> {
    let (x, y) = checked(x, y)?;
    Ok(linear(&ranks(&x), &ranks(&y)))
}

/// Kendall's tau-b: concordant minus discordant pairs, over the geometric mean of the pairs that `x` and that `y` tell apart.
/// Knight's algorithm, O(n log n).
///
/// # Errors
/// As [`pearson`].
pub fn kendall<T: Real>(x: &[T], y: &[T]) -> Result<f64, EvalError> {
    let (x, y) = checked(x, y)?;
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_unstable_by(|&a, &b| x[a].total_cmp(&x[b]).then(y[a].total_cmp(&y[b])));
    let pairs = |count: usize| (count as u128 * (count as u128 - 1)) / 2;
    let tied = |order: &[usize], equal: &dyn Fn(usize, usize) -> bool| -> u128 {
        order.chunk_by(|&a, &b| equal(a, b)).map(|run| pairs(run.len())).sum()
    };
    let tied_x = tied(&order, &|a, b| x[a] == x[b]);
    let tied_both = tied(&order, &|a, b| x[a] == x[b] && y[a] == y[b]);
    let mut sequence: Vec<f64> = order.iter().map(|&i| y[i]).collect();
    let discordant = inversions(&mut sequence, &mut vec![0.0; x.len()]);
    let tied_y: u128 = sequence.chunk_by(|a, b| a == b).map(|run| pairs(run.len())).sum();
    let total = pairs(x.len());
    let balance = (total + tied_both) as i128 - (tied_x + tied_y + 2 * discordant) as i128;
    let tau = balance as f64 / ((total - tied_x) as f64).sqrt() / ((total - tied_y) as f64).sqrt();
    Ok(tau.clamp(-1.0, 1.0))
}

/// Ranks from 1; equal numbers share the mean of theirs.
fn ranks(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_unstable_by(|&a, &b| x[a].total_cmp(&x[b]));
    let mut ranks = vec![0.0; x.len()];
    let mut before = 0;
    for run in order.chunk_by(|&a, &b| x[a] == x[b]) {
        let shared = before as f64 + (run.len() as f64 + 1.0) / 2.0;
        run.iter().for_each(|&i| ranks[i] = shared);
        before += run.len();
    }
    ranks
}

fn linear(x: &[f64], y: &[f64]) -> f64 {
    let centred = |x: &[f64]| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let mut x: Vec<f64> = x.iter().map(|v| v - mean).collect();
        crate::rows::unit(&mut x);
        x
    };
    let (x, y) = (centred(x), centred(y));
    x.iter().zip(&y).map(|(a, b)| a * b).sum::<f64>().clamp(-1.0, 1.0)
}

/// Sorts `x`, and counts the pairs that were in the wrong order.
fn inversions(x: &mut [f64], spare: &mut [f64]) -> u128 {
    if x.len() < 2 {
        return 0;
    }
    let half = x.len() / 2;
    let (left, right) = x.split_at_mut(half);
    let mut count = inversions(left, &mut spare[..half]) + inversions(right, &mut spare[half..]);
    let (mut l, mut r) = (0, 0);
    for to in spare[..left.len() + right.len()].iter_mut() {
        if r == right.len() || l < left.len() && left[l] <= right[r] {
            *to = left[l];
            l += 1;
        } else {
            *to = right[r];
            r += 1;
            count += (left.len() - l) as u128;
        }
    }
    x.copy_from_slice(spare);
    count
}

/// Both lists as `f64`; minus zero becomes zero, so that the two are equal in every order.
fn checked<T: Real>(x: &[T], y: &[T]) -> Result<(Vec<f64>, Vec<f64>), EvalError> {
    check_length("second numbers", y.len(), "first numbers", x.len())?;
    check_enough("pairs of numbers", 2, x.len())?;
    let list = |what, x: &[T]| {
        check_numbers(what, x, 1)?;
        if x.iter().all(|v| *v == x[0]) {
            return Err(EvalError::Constant { what });
        }
        Ok(x.iter().map(|v| v.f64() + 0.0).collect::<Vec<f64>>())
    };
    Ok((list("first numbers", x)?, list("second numbers", y)?))
}
