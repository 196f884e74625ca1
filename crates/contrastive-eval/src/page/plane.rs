//! The plane of most variance.

use crate::error::{EvalError, check_enough};
use crate::ranking::Score;
use crate::rows::Rows;
use ndarray::ArrayView2;

/// Rows on the plane of most variance.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// The place of each row.
    pub points: Vec<[f64; 2]>,
    /// The shares of the variance along both axes.
    pub shares: [f64; 2],
}

/// The first two principal components of rows `[n, d]`, by 60 steps of subspace iteration from a fixed start: `240 n d` multiplications, and
/// no `d x d` matrix. Signs are such that the largest coefficient of each axis is positive.
///
/// # Errors
/// When there are fewer than two rows, or a number is not finite.
pub fn principal_plane<T: Score>(x: ArrayView2<'_, T>) -> Result<Plane, EvalError> {
    check_enough("vectors", 2, x.nrows())?;
    let mut rows = Rows::new("vectors", x)?;
    let (n, d) = (x.nrows(), rows.width);
    let mut mean = vec![0.0; d];
    rows.values.chunks_exact(d).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, x)| *m += x / n as f64));
    rows.values.chunks_exact_mut(d).for_each(|row| row.iter_mut().zip(&mean).for_each(|(x, m)| *x -= m));
    let total: f64 = rows.values.iter().map(|x| x * x).sum();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    // a start in no special direction
    let mut axes: [Vec<f64>; 2] = [1.0, 2.0].map(|k: f64| (0..d).map(|j| (k * (j as f64 + 1.0) * 0.7).sin()).collect());
    for _ in 0..60 {
        let mut next = [vec![0.0; d], vec![0.0; d]];
        for row in rows.values.chunks_exact(d) {
            for (axis, next) in axes.iter().zip(&mut next) {
                let along = dot(row, axis);
                next.iter_mut().zip(row).for_each(|(sum, x)| *sum += along * x);
            }
        }
        let [mut first, mut second] = next;
        unit(&mut first);
        let along = dot(&first, &second);
        second.iter_mut().zip(&first).for_each(|(b, a)| *b -= along * a);
        unit(&mut second);
        axes = [first, second];
    }
    for axis in &mut axes {
        let largest = axis.iter().copied().fold(0.0, |a: f64, x: f64| if x.abs() > a.abs() { x } else { a });
        if largest < 0.0 {
            axis.iter_mut().for_each(|x| *x = -*x);
        }
    }
    let points: Vec<[f64; 2]> =
        rows.values.chunks_exact(d).map(|row| [dot(row, &axes[0]), dot(row, &axes[1])]).collect();
    let along = |k: usize| points.iter().map(|p| p[k] * p[k]).sum::<f64>() / total.max(f64::MIN_POSITIVE);
    let shares = [along(0), along(1)];
    Ok(Plane { points, shares })
}

/// Brings a vector to length 1; one without length becomes zeros.
fn unit(x: &mut [f64]) {
    let length = x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let scale = if length > 1e-150 { 1.0 / length } else { 0.0 };
    x.iter_mut().for_each(|x| *x *= scale);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Oracle: rows made of two orthogonal directions with known deviations, and a little of a third.
    #[test]
    fn the_plane_is_that_of_the_two_largest_directions() {
        let directions = [[0.6, 0.8, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        let wave = |i: usize, k: f64| (i as f64 * k).sin();
        let rows = Array2::from_shape_fn((500, 4), |(i, j)| {
            5.0 + 3.0 * wave(i, 0.37) * directions[0][j]
                + wave(i, 0.91) * directions[1][j]
                + 0.1 * wave(i, 1.7) * directions[2][j]
        });
        let plane = principal_plane(rows.view()).unwrap();
        let mean = |k: f64| (0..500).map(|i| wave(i, k)).sum::<f64>() / 500.0;
        for i in (0..500).step_by(50) {
            assert!((plane.points[i][0] - 3.0 * (wave(i, 0.37) - mean(0.37))).abs() < 0.02);
            assert!((plane.points[i][1] - (wave(i, 0.91) - mean(0.91))).abs() < 0.05);
        }
        assert!((plane.shares[0] - 0.9).abs() < 0.02 && (plane.shares[1] - 0.1).abs() < 0.02, "{:?}", plane.shares);
        let flat = principal_plane(Array2::<f32>::ones((3, 2)).view()).unwrap();
        assert_eq!(flat.points, [[0.0; 2]; 3]);
        assert!(principal_plane(Array2::<f32>::ones((1, 2)).view()).is_err());
    }
}
