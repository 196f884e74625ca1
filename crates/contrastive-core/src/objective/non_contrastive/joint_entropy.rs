//! The joint entropy of two vectors by kernels, and the uniformity of each in the same pass.

use super::Uniformity;
use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, positive};
use crate::host::to_f64;
use crate::objective::{check_types, computed_in, zero_or_nan};
use crate::similarity::{Similarity, mean_row};
use burn::tensor::{Tensor, TensorData};
use std::ops::Range;

/// The kernel estimate of minus the joint entropy of two vectors c and s (SepCLR, Louiset et al. 2024, "k-JEM"; low is spread out):
///
/// ```text
/// mean_i log mean_j k(c_i, c_j) k(s_i, s_j),   k(a, b) = e^{-|a - b|^2 / (2 tau)},   j = i among them
/// ```
///
/// from 0 (identical rows) down to `-log n` (all rows far apart). Rows are taken as they are: hand over
/// [`unit_rows`](crate::similarity::unit_rows) for a vector on the sphere. `4 n^2 (d_c + d_s)` multiply-adds with the gradients; up to 512
/// rows the n x n kernels are kept, beyond that they are made twice in blocks of 512 rows, in memory linear in n.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct JointEntropy {
    tau: f64,
}

/// Rows of a block of kernels.
const BLOCK: usize = 512;
/// A sum of kernels below this has lost too many digits in f32.
const FAR: f64 = 1e-25;

/// The values of a pass over all pairs, and their gradients; plain tensors.
pub(crate) struct KernelSums {
    /// `log mean_{i < j} k` of c, and of s.
    pub uniformity: [Tensor<1>; 2],
    /// The joint entropy.
    pub joint: Tensor<1>,
    /// Gradients of c by its uniformity and by the joint entropy.
    pub of_c: Option<[Tensor<2>; 2]>,
    /// Gradients of s by its uniformity and by the joint entropy.
    pub of_s: Option<[Tensor<2>; 2]>,
}

impl JointEntropy {
    /// With this variance of the kernel (SepCLR: 0.5).
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn new(tau: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { tau: positive("variance of the kernel", tau)? })
    }

    /// Vectors `[n, d_c]` and `[n, d_s]` of the same n samples; the value is `[1]`.
    ///
    /// # Panics
    /// When the numbers of rows differ, or there are fewer than two rows.
    pub fn loss(&self, c: Tensor<2>, s: Tensor<2>) -> Tensor<1> {
        let sums = self.sums(&c, &s);
        let [of_c, of_s] = [sums.of_c, sums.of_s].map(|both| both.map(|[_, joint]| joint));
        attach_gradients(sums.joint, [(&c, of_c), (&s, of_s)])
    }

    /// The joint entropy and both uniformities, of one pass over the pairs; gradients of inputs that have one.
    pub(crate) fn sums(&self, c: &Tensor<2>, s: &Tensor<2>) -> KernelSums {
        let ([n, d], [m, e]) = (c.dims(), s.dims());
        assert_eq!(n, m, "the rows of the two vectors: [{n}, {d}] and [{m}, {e}]");
        check_types(&[("the first vectors", c.dtype()), ("the second vectors", s.dtype())]);
        assert!(n > 1, "the joint entropy of rows [{n}, {d}]: two at least");
        let wanted = [c.is_tracked(), s.is_tracked()];
        let dtype = computed_in(c.dtype());
        let sides = [Side::new(c, dtype), Side::new(s, dtype)];
        // NaN for rows, or lengths, that their type cannot hold
        let broken = zero_or_nan(&sides[0].squares) + zero_or_nan(&sides[1].squares);
        let blocks: Vec<Range<usize>> = (0..n).step_by(BLOCK).map(|at| at..(at + BLOCK).min(n)).collect();
        let kernels = |rows: &Range<usize>| sides.each_ref().map(|side| side.kernel(rows.clone(), self.tau));
        let mut kept = Vec::new();
        let mut totals = [0.0; 2];
        let mut counts = Vec::with_capacity(blocks.len());
        for rows in &blocks {
            let [kc, ks] = kernels(rows);
            for (total, kernel) in totals.iter_mut().zip([&kc, &ks]) {
                *total += to_f64(kernel.clone().sum_dim(1)).iter().sum::<f64>();
            }
            let both = kc.clone() * ks.clone();
            // the row itself has the kernel 1
            counts.push(both.clone().sum_dim(1) + 1.0);
            if blocks.len() == 1 {
                kept.push([kc, ks, both]);
            }
        }
        let counts = Tensor::cat(counts, 0);
        let joint = to_f64(counts.clone().log()).iter().sum::<f64>() / n as f64 - (n as f64).ln();
        let pairs = (n * (n - 1)) as f64;
        let value = |value: f64| Tensor::<1>::from_data([value], (&counts.device(), dtype)) + broken.clone();
        let mut uniformity = totals.map(|total| value((total / pairs).ln()));
        let inverse = counts.clone().recip();
        let mut gradients: [Vec<[Tensor<2>; 2]>; 2] = [Vec::new(), Vec::new()];
        if wanted.contains(&true) {
            for (at, rows) in blocks.iter().enumerate() {
                let [kc, ks, both] = match kept.get(at) {
                    Some(kept) => kept.clone(),
                    None => {
                        let [kc, ks] = kernels(rows);
                        let both = kc.clone() * ks.clone();
                        [kc, ks, both]
                    }
                };
                let own = inverse.clone().slice([rows.clone(), 0..1]);
                let shares = both * (own + inverse.clone().transpose());
                for (k, kernel) in [kc, ks].into_iter().enumerate().filter(|(k, _)| wanted[*k]) {
                    let side = &sides[k];
                    let alone = side.pull(rows.clone(), kernel) * (-2.0 / (self.tau * totals[k]));
                    let joint = side.pull(rows.clone(), shares.clone()) * (-1.0 / (self.tau * n as f64));
                    gradients[k].push([alone, joint]);
                }
            }
        }
        let mut gradients = gradients.map(|blocks| {
            let (alone, joint): (Vec<_>, Vec<_>) = blocks.into_iter().map(|[alone, joint]| (alone, joint)).unzip();
            (!alone.is_empty()).then(|| [Tensor::cat(alone, 0), Tensor::cat(joint, 0)])
        });
        for (k, side) in sides.iter().enumerate().filter(|(k, _)| totals[*k] < FAR) {
            // so far apart that the kernels vanish: log-sum-exps do not
            let far = Uniformity::new(0.5 / self.tau).expect("a variance above 0").with_similarity(Similarity::Dot);
            let rows = Tensor::<2>::from_inner(side.rows.clone());
            let (found, gradient) = far.evaluate(&if wanted[k] { rows.require_grad() } else { rows });
            uniformity[k] = found + broken.clone();
            if let (Some(both), Some(gradient)) = (&mut gradients[k], gradient) {
                both[0] = gradient;
            }
        }
        let joint = value(joint);
        let [of_c, of_s] = gradients;
        KernelSums { uniformity, joint, of_c, of_s }
    }
}

/// One of the two vectors.
struct Side {
    /// `[n, d]`, measured from their mean: distances do not see it, rounding does.
    rows: Tensor<2>,
    /// `[n, 1]`: their squares.
    squares: Tensor<2>,
}

impl Side {
    fn new(x: &Tensor<2>, dtype: burn::tensor::DType) -> Self {
        let rows = x.clone().inner().cast(dtype);
        let rows = rows.clone() - mean_row(&rows);
        let squares = (rows.clone() * rows.clone()).sum_dim(1);
        Self { rows, squares }
    }

    fn part(&self, rows: Range<usize>) -> Tensor<2> {
        let d = self.rows.dims()[1];
        self.rows.clone().slice([rows, 0..d])
    }

    /// The kernels of some rows with all, `[b, n]`; 0 for a row with itself.
    fn kernel(&self, rows: Range<usize>, tau: f64) -> Tensor<2> {
        let own = self.squares.clone().slice([rows.clone(), 0..1]);
        let products = self.part(rows.clone()).matmul(self.rows.clone().transpose()) * 2.0;
        let kernel = ((products - own - self.squares.clone().transpose()).clamp_max(0.0) * (0.5 / tau)).exp();
        let (count, on) = (rows.len(), (&kernel.device(), kernel.dtype()));
        let others: Vec<f64> = (0..count * count).map(|at| f64::from(at / count != at % count)).collect();
        let others = Tensor::<2>::from_data(TensorData::new(others, [count, count]).convert_dtype(on.1), on);
        let block = kernel.clone().slice([0..count, rows.clone()]) * others;
        kernel.slice_assign([0..count, rows], block)
    }

    /// `sum_j w_ij (x_i - x_j)` for some rows i.
    fn pull(&self, rows: Range<usize>, weights: Tensor<2>) -> Tensor<2> {
        self.part(rows) * weights.clone().sum_dim(1) - weights.matmul(self.rows.clone())
    }
}
