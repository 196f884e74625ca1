//! Edges weighted by how alike their ends are.

use burn::tensor::Tensor;
use contrastive_core::linear::SparsePattern;

/// The least square of a length that is divided by, so that a row of zeros stays one.
const LEAST: f64 = 1e-24;

/// Rows scaled to length 1; a row of zeros stays one. Differentiable.
///
/// # Shapes
/// - x, output: `[rows, d]`
pub fn unit_rows(x: Tensor<2>) -> Tensor<2> {
    let squares = (x.clone() * x.clone()).sum_dim(1);
    x / squares.clamp_min(LEAST).sqrt()
}

/// `(cos(x_i, x_j) + 1) / 2` for every place (i, j) of the pattern, in 0 to 1 (DCCF, the adaptive masks): 1 for equal directions, 0 for
/// opposite ones, .5 for orthogonal ones and where a row is 0. Differentiable; nothing of size `nnz x d` is held.
///
/// # Shapes
/// - x: `[nodes, d]`, of a pattern `[nodes, nodes]`
/// - output: `[nnz]`, row after row
///
/// # Panics
/// When the pattern is of another shape, or on the CPU backend when an incoming gradient is not finite.
pub fn likeness(pattern: &SparsePattern, x: Tensor<2>) -> Tensor<1> {
    let unit = unit_rows(x);
    // rounding can leave the interval
    ((pattern.products(unit.clone(), unit) + 1.0) * 0.5).clamp(0.0, 1.0)
}

/// Values of the entries of a pattern divided by the sum of their row; 0 where that sum is 0. Differentiable.
///
/// # Shapes
/// - values, output: `[nnz]`, row after row
///
/// # Panics
/// When there is not one value for each entry, or on the CPU backend when one is not finite.
pub fn row_shares(pattern: &SparsePattern, values: Tensor<1>) -> Tensor<1> {
    pattern.row_shares(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};
    use contrastive_kernels::sparse::Csr;

    fn pattern() -> SparsePattern {
        SparsePattern::new(&Csr::from_triplets(4, 4, &[(0, 1, 1.0), (0, 2, 1.0), (1, 0, 1.0), (2, 0, 1.0)]).unwrap())
    }

    fn numbers(x: Tensor<1>) -> Vec<f32> {
        x.into_data().iter::<f32>().collect()
    }

    /// Equal, orthogonal and opposite ends, and a row of zeros.
    #[test]
    fn likeness_of_equal_orthogonal_opposite_and_empty_ends() {
        let at = |rows: [[f32; 2]; 4]| numbers(likeness(&pattern(), Tensor::from_data(rows, &Device::default())));
        assert_eq!(at([[2.0, 0.0], [3.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), [1.0, 0.5, 1.0, 0.5]);
        assert_eq!(at([[2.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]), [0.0, 0.5, 0.0, 0.5]);
    }

    /// Rows sum to 1 whatever constant they hold; rows whose values are 0, and rows without entries, hold 0.
    #[test]
    fn shares_of_rows_sum_to_one_or_are_zero() {
        let of = |values: [f32; 4]| numbers(row_shares(&pattern(), Tensor::from_data(values, &Device::default())));
        assert_eq!(of([0.5, 0.5, 0.5, 0.5]), [0.5, 0.5, 1.0, 1.0]);
        assert_eq!(of([0.25, 0.25, 0.25, 0.25]), of([0.5, 0.5, 0.5, 0.5]));
        assert_eq!(of([0.0, 0.0, 3.0, 0.0]), [0.0, 0.0, 1.0, 0.0]);
    }

    /// The gradient of shares is finite at a row that sums to 0.
    #[test]
    fn shares_have_a_gradient_where_a_row_is_zero() {
        let device = Device::default().autodiff();
        let values = Tensor::<1>::from_data(TensorData::new(vec![0.0f32, 0.0, 2.0, 1.0], [4]), &device).require_grad();
        let gradients = row_shares(&pattern(), values.clone()).sum().backward();
        assert!(numbers(values.grad(&gradients).unwrap()).iter().all(|g| g.abs() < 1e-6));
    }
}
