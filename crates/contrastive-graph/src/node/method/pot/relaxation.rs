//! Two parallel lines around a rectifier on an interval.

use burn::tensor::Tensor;

/// For every number x of its interval `[l, u]`: `slope x <= act(x) <= slope x + shift`, for `act(x) = max(x, a x)` with a in 0 to 1.
///
/// ```text
/// l >= 0: slope 1      u <= 0: slope a      else slope (u - a l) / (u - l), shift (a - 1) u l / (u - l)
/// ```
///
/// The paper writes the upper line as `slope (x + b)`; here the shift is what is added, so that a slope of 0 needs no care.
#[derive(Clone, Debug)]
pub struct Relaxed {
    /// Of both lines.
    pub slope: Tensor<2>,
    /// By how much the upper one is above the lower one.
    pub shift: Tensor<2>,
}

impl Relaxed {
    /// The lines for intervals `[lower, upper]` of one shape, and `a` of shape `[1, 1]`. Differentiable in all.
    ///
    /// # Panics
    /// When the shapes differ.
    pub fn new(lower: Tensor<2>, upper: Tensor<2>, a: Tensor<2>) -> Self {
        let below = lower.clone().lower_elem(0.0);
        let above = upper.clone().greater_elem(0.0);
        let stable = below.clone().bool_and(above.clone()).bool_not();
        // stable numbers get an interval that no division minds, and no gradient
        let l = lower.mask_fill(stable.clone(), -1.0);
        let u = upper.mask_fill(stable.clone(), 1.0);
        let width = u.clone() - l.clone();
        let slope = (u.clone() - l.clone() * a.clone()) / width.clone();
        let shift = (u * l) * (a.clone() - 1.0) / width;
        let one = slope.ones_like();
        let constant = one.clone().mask_where(above.bool_not(), one * a);
        Self { slope: slope.mask_where(stable.clone(), constant), shift: shift.mask_fill(stable, 0.0) }
    }
}
