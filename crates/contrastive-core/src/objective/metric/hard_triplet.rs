//! Triplets of the hardest rows of a batch, on Euclidean distances of raw rows.

use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, not_negative};
use crate::host::numbers;
use crate::objective::{Evaluation, Gradients, Inputs, Wanted};
use crate::pairs::Pairs;
use burn::tensor::{Tensor, TensorData};
use contrastive_kernels::rowwise::{self as kernel, HardNegative, RowProblem};
use contrastive_kernels::softmax::RowSets;

/// Triplets of hard negatives in a labelled batch, on Euclidean distances of the rows as they are, in the conventions of
/// sentence-transformers:
///
/// ```text
/// hardest    the mean over rows of [d_p - d_n + margin]_+ with the farthest positive and the nearest negative (Hermans et al. 2017,
///            equation 5); a row without positives has d_p = 0
/// semi-hard  the mean over positive pairs of the same with the nearest negative farther than the positive, or else the farthest
///            negative (TensorFlow Addons' reading of Schroff et al. 2015)
/// soft       log(1 + e^{d_p - d_n}) instead of the hinge
/// ```
///
/// A row without negatives is left out. [`Triplet`](crate::objective::Triplet) has all triplets, mining by margins, and unit rows, and leaves out
/// rows without positives.
///
/// Computed on the host in f64, by blocks of rows: 6 n^2 d flops, memory linear in n. Distances are taken from inner products of rows
/// about their mean: of two rows much closer than the batch is wide, digits are lost.
#[derive(Clone, Debug)]
pub struct HardTriplet(kernel::HardTriplet);

impl HardTriplet {
    /// The hardest positive and negative of each row, with this margin (sentence-transformers: 5).
    ///
    /// # Errors
    /// When the margin is negative, infinite or NaN.
    pub fn new(margin: f64) -> Result<Self, ObjectiveError> {
        let margin = Some(not_negative("margin", margin)?);
        Ok(Self(kernel::HardTriplet { margin, negative: HardNegative::Nearest }))
    }

    /// The soft form, which needs no margin.
    pub fn soft() -> Self {
        Self(kernel::HardTriplet { margin: None, negative: HardNegative::Nearest })
    }

    /// Each positive pair with its semi-hard negative.
    pub fn with_semi_hard_negatives(mut self) -> Self {
        self.0.negative = HardNegative::Semihard;
        self
    }

    /// Rows `[n, d]` with a label each. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no rows, or rows and labels differ in number.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        let result = self.evaluate(&rows, labels, rows.is_tracked());
        attach_gradients(result.value, [(&rows, result.gradients.anchors)])
    }

    /// Value, each row's part before the division, and, if wanted, the gradient of the rows (as that of the anchors); no tape,
    /// memory linear in the rows.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, rows: &Tensor<2>, labels: &[i64], gradients: bool) -> Evaluation {
        let [n, d] = rows.dims();
        assert!(n > 0 && d > 0 && labels.len() == n, "{} labels for rows [{n}, {d}]", labels.len());
        let positives = Pairs::labels(labels).resolve(n, n).expect("labels are lists");
        let plain = Inputs::self_contrast(rows.clone()).plain().anchors;
        let mut x: Vec<f64> = plain.to_data().iter::<f64>().collect();
        center(&mut x, d);
        let (anchors, candidates) = (lifted(&x, d, false), lifted(&x, d, true));
        let problem = RowProblem {
            anchors: &anchors,
            candidates: &candidates,
            width: d + 2,
            positives: RowSets::new(positives.groups.as_deref(), &positives.offsets, &positives.columns),
            excluded: None,
            self_offset: Some(0),
            wanted: if gradients { Wanted::ALL } else { Wanted::VALUE },
        };
        let out = kernel::evaluate(&problem, &self.0);
        let share = if out.sums[0] > 0.0 { 1.0 / out.sums[0] } else { 0.0 };
        let parts = out.anchors.chunks_exact(d + 2).zip(out.candidates.chunks_exact(d + 2));
        let of = |(x, (a, c)): (&[f64], (&[f64], &[f64]))| -> Vec<f64> {
            let own = a[d] + c[d + 1];
            (0..d).map(|k| (a[k] + c[k] - x[k] * own) * share).collect()
        };
        let anchors = gradients.then(|| {
            let slopes: Vec<f64> = x.chunks_exact(d).zip(parts).flat_map(of).collect();
            let data = TensorData::new(slopes, [n, d]).convert_dtype(plain.dtype());
            Tensor::from_data(data, (&plain.device(), plain.dtype()))
        });
        let (value, rows) = (numbers(&[out.value * share], &plain), numbers(&out.rows, &plain));
        Evaluation { value, rows, columns: None, gradients: Gradients { anchors, ..Gradients::default() } }
    }
}

/// Takes the mean from rows of width `d`: it moves no distance, and digits are left for the distances.
fn center(x: &mut [f64], d: usize) {
    let mut mean = vec![0.0; d];
    let share = d as f64 / x.len() as f64;
    x.chunks_exact(d).for_each(|row| mean.iter_mut().zip(row).for_each(|(m, x)| *m += x * share));
    x.chunks_exact_mut(d).for_each(|row| row.iter_mut().zip(&mean).for_each(|(x, m)| *x -= m));
}

/// Rows `(x, -|x|^2 / 2, 1)`, or turned `(x, 1, -|x|^2 / 2)`: inner products of the one with the other are minus half the squared
/// distances.
fn lifted(x: &[f64], d: usize, turned: bool) -> Vec<f64> {
    let of = |row: &[f64]| {
        let half = -0.5 * row.iter().map(|x| x * x).sum::<f64>();
        let tail = if turned { [1.0, half] } else { [half, 1.0] };
        row.iter().copied().chain(tail).collect::<Vec<f64>>()
    };
    x.chunks_exact(d).flat_map(of).collect()
}
