//! The maximum mean discrepancy: how far two sets of rows are apart as distributions.

use crate::attach::attach;
use crate::error::{ObjectiveError, positive};
use crate::objective::{check_types, computed_in};
use burn::tensor::{Tensor, TensorData};

/// Numbers in the largest block of kernel values.
const BLOCK: usize = 1 << 20;

/// The squared maximum mean discrepancy of two sets of rows, biased (the diagonals count), with a sum of Gaussian kernels whose widths
/// double (Gretton et al. 2012; the five kernels of Long et al. 2015, as AutoTCL uses them, Zheng et al. 2024):
///
/// ```text
/// mean k(x, x') + mean k(v, v') - 2 mean k(x, v)         k(u, w) = sum_{q < kernels} exp(-|u - w|^2 / (b 2^q))
/// b = (sum of all squared distances of the N rows of both sets) / (N^2 - N) / 4, without gradient
/// ```
///
/// Kernel values are made by blocks of rows: memory is linear in the rows.
#[derive(Clone, Debug, PartialEq)]
pub struct MaximumMeanDiscrepancy {
    kernels: usize,
    bandwidth: Option<f64>,
}

/// Value and gradients, plain tensors outside autodiff.
#[derive(Clone, Debug)]
pub struct Discrepancy {
    /// `[1]`.
    pub value: Tensor<1>,
    /// The gradients of both sets, where they were wanted.
    pub rows: Option<[Tensor<2>; 2]>,
    /// The narrowest kernel's bandwidth b.
    pub bandwidth: f64,
}

impl Default for MaximumMeanDiscrepancy {
    /// Five kernels, the bandwidth taken from the rows.
    fn default() -> Self {
        Self { kernels: 5, bandwidth: None }
    }
}

impl MaximumMeanDiscrepancy {
    /// With so many kernels.
    ///
    /// # Errors
    /// When there are none, or more than 64.
    pub fn new(kernels: usize) -> Result<Self, ObjectiveError> {
        match kernels {
            1..=64 => Ok(Self { kernels, bandwidth: None }),
            _ => Err(ObjectiveError::Outside { name: "kernels", value: kernels as f64, allowed: "1..=64" }),
        }
    }

    /// A given bandwidth of the narrowest kernel, instead of one from the rows.
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn with_bandwidth(mut self, bandwidth: f64) -> Result<Self, ObjectiveError> {
        self.bandwidth = Some(positive("bandwidth", bandwidth)?);
        Ok(self)
    }

    /// The value `[1]` of sets `x` `[n, d]` and `v` `[m, d]`, attached to both where they carry a gradient.
    ///
    /// # Panics
    /// As [`evaluate`](Self::evaluate).
    pub fn loss(&self, x: Tensor<2>, v: Tensor<2>) -> Tensor<1> {
        let found = self.evaluate(&x, &v, x.is_tracked() || v.is_tracked());
        let autodiff = x.is_autodiff() || v.is_autodiff();
        let value = if autodiff { Tensor::from_inner(found.value) } else { found.value };
        match found.rows {
            Some([of_x, of_v]) => attach(attach(value, &x, of_x), &v, of_v),
            None => value,
        }
    }

    /// Value and gradients, eagerly: `3 (n + m)^2 d` multiply-adds. Rows that are all equal have the value 0 and no gradient.
    ///
    /// # Panics
    /// When the widths differ or a set is empty.
    pub fn evaluate(&self, x: &Tensor<2>, v: &Tensor<2>, gradients: bool) -> Discrepancy {
        let ([n, d], [m, e]) = (x.dims(), v.dims());
        assert!(d == e && n * m * d > 0, "discrepancy of sets [{n}, {d}] and [{m}, {e}]");
        check_types(&[("the first set", x.dtype()), ("the second set", v.dtype())]);
        let dtype = computed_in(x.dtype());
        let rows = Tensor::cat(vec![x.clone().inner().cast(dtype), v.clone().inner().cast(dtype)], 0);
        let device = rows.device();
        let all = n + m;
        // distances do not change with the origin, and are less rounded near it
        let rows = rows.clone() - rows.mean_dim(0);
        let squares = (rows.clone() * rows.clone()).sum_dim(1);
        let bandwidth = self.bandwidth.unwrap_or_else(|| {
            let centre: Tensor<2> = rows.clone().sum_dim(0);
            let sum = squares.clone().sum() * (2.0 * all as f64) - (centre.clone() * centre).sum() * 2.0;
            sum.into_scalar::<f64>() / ((all * all - all) as f64).max(1.0) / 4.0
        });
        let zeros = || Tensor::zeros([1], (&device, dtype));
        if bandwidth <= 0.0 {
            let rows =
                gradients.then(|| [Tensor::zeros([n, d], (&device, dtype)), Tensor::zeros([m, d], (&device, dtype))]);
            return Discrepancy { value: zeros(), rows, bandwidth: 0.0 };
        }
        let weights: Vec<f64> = (0..all).map(|i| if i < n { 1.0 / n as f64 } else { -1.0 / m as f64 }).collect();
        let weights = Tensor::<2>::from_data(TensorData::new(weights, [all, 1]).convert_dtype(dtype), (&device, dtype));
        let (mut value, mut parts) = (zeros(), Vec::new());
        let per = (BLOCK / all).max(1);
        for from in (0..all).step_by(per) {
            let block = from..(from + per).min(all);
            let count = block.len();
            let own = rows.clone().slice([block.clone(), 0..d]);
            let own_weights = weights.clone().slice([block.clone(), 0..1]);
            let distances = squares.clone().slice([block, 0..1]) + squares.clone().transpose()
                - own.clone().matmul(rows.clone().transpose()) * 2.0;
            let distances = distances.clamp_min(0.0);
            let (mut kernel, mut slope) = (distances.zeros_like(), distances.zeros_like());
            for q in 0..self.kernels {
                let inverse = 1.0 / (bandwidth * 2f64.powi(q as i32));
                let term = (distances.clone() * -inverse).exp();
                slope = slope + term.clone() * -inverse;
                kernel = kernel + term;
            }
            let row_values = kernel.matmul(weights.clone()) * own_weights.clone();
            value = value + row_values.sum();
            if gradients {
                // d/dz_i = 4 w_i sum_j w_j k'_ij (z_i - z_j)
                let sums = slope.clone().matmul(weights.clone());
                let pulled = slope.matmul(rows.clone() * weights.clone());
                debug_assert_eq!(pulled.dims(), [count, d]);
                parts.push((own * sums - pulled) * own_weights * 4.0);
            }
        }
        let rows = gradients.then(|| {
            let whole = Tensor::cat(parts, 0);
            [whole.clone().slice([0..n, 0..d]), whole.slice([n..all, 0..d])]
        });
        Discrepancy { value, rows, bandwidth }
    }
}
