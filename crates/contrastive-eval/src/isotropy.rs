//! How differently a model's states point: 1 when those of a text are orthogonal on average, 0 when all point one way.
//!
//! ```
//! use contrastive_eval::isotropy::isotropy;
//! use contrastive_eval::ndarray::array;
//!
//! let states = array![[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]];
//! let value = isotropy(states.view(), &[0, 3])?; // cosines .6, 0, .8
//! assert!((value - (1.0 - 1.4 / 3.0)).abs() < 1e-12);
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

use crate::error::{EvalError, check_enough};
use crate::rows::Rows;
use contrastive_kernels::Real;
use ndarray::ArrayView2;

/// `1 - sum_i sum_{a != b} cos(h_a, h_b) / sum_i n_i (n_i - 1)` over the pairs of states within each text (Su and Collier, 2023:
/// contrastive search), pooled over pairs and not averaged by text. A row of zeros has the cosine 0 with every other.
///
/// # Shapes
/// - states: `[total, d]`, text after text
/// - offsets: one more than texts; text `i` has the rows `offsets[i]..offsets[i + 1]`
///
/// # Errors
/// [`EvalError::Empty`], [`EvalError::BadNumber`]; [`EvalError::Setting`] for offsets that do not ascend from 0 to the number of rows;
/// [`EvalError::TooFew`] when no text has two states.
pub fn isotropy<T: Real>(states: ArrayView2<'_, T>, offsets: &[usize]) -> Result<f64, EvalError> {
    let mut rows = Rows::new("states", states)?;
    let ascending = offsets.first() == Some(&0) && offsets.windows(2).all(|pair| pair[0] <= pair[1]);
    let last = offsets.last().copied().unwrap_or(0);
    if !ascending || last != rows.len() {
        let allowed = "the number of states, reached by offsets that ascend from 0";
        return Err(EvalError::Setting { name: "last offset of the texts", value: last as f64, allowed });
    }
    rows.unit();
    let (mut similarity, mut pairs, mut longest) = (0.0, 0.0, 0);
    for text in offsets.windows(2) {
        // |sum of the unit rows|^2 holds every pair twice and each row with itself
        let mut sum = vec![0.0; rows.width];
        let mut own = 0.0;
        for row in text[0]..text[1] {
            sum.iter_mut().zip(rows.row(row)).for_each(|(sum, x)| *sum += x);
            own += rows.row(row).iter().map(|x| x * x).sum::<f64>();
        }
        similarity += sum.iter().map(|x| x * x).sum::<f64>() - own;
        let n = text[1] - text[0];
        pairs += n as f64 * (n as f64 - 1.0);
        longest = longest.max(n);
    }
    check_enough("states of one text", 2, longest)?;
    Ok(1.0 - similarity / pairs)
}
