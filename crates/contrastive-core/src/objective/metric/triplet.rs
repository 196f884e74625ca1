//! Triplets: a positive is to be nearer than a negative, by a margin.

use crate::attach::constant_beside;
use crate::error::{ObjectiveError, not_negative};
use crate::host::{is_native, to_vec};
use crate::objective::engine::labelled::loss_of;
use crate::objective::engine::metric_rows::*;
use crate::objective::engine::rowwise::RowFunction;
use crate::objective::{Evaluation, Wanted, check_types, computed};
use crate::similarity::Similarity;
use burn::tensor::activation::relu;
use burn::tensor::{DType, Int, Tensor};
use contrastive_kernels::rowwise::{self as kernel, Points, RowLoss, RowPairs, Sums};

pub use contrastive_kernels::rowwise::Mining;

/// The triplet loss of a labelled batch (Weinberger and Saul 2009; Schroff et al. 2015, whose
/// distances are squared): the mean of
/// `max(0, d_ap - d_an + margin)` over triplets, of Euclidean distances of unit rows by default.
///
/// Memory is linear in n, never n^3 nor n^2: 6 n^2 d flops for value and gradient, and for the triplets of an anchor's P positives and N
/// negatives N P steps of vector code or, from 64 positives on, N log P of a search; the smooth form takes N P,
/// [`with_swap`](Self::with_swap) N P d in f64. Distances of unit rows are resolved to 1e-3 in f32 and 1e-7 in f64; raw rows are compared in
/// f64 by the native kernels, and near ones by their differences. Without a native kernel each positive takes a pass over the block.
#[derive(Clone, Debug, PartialEq)]
pub struct Triplet {
    margin: f64,
    mining: Mining,
    smooth: bool,
    swap: bool,
    over_all: bool,
    similarity: Similarity,
}

/// The mean over all triplets that count.
fn mean_of_all(_: usize, sums: &Sums) -> f64 {
    if sums[1] > 0.0 { 1.0 / sums[1] } else { 0.0 }
}

impl Triplet {
    /// All triplets with this margin; the mean over those above 0.
    ///
    /// # Errors
    /// When the margin is negative, infinite or NaN.
    pub fn new(margin: f64) -> Result<Self, ObjectiveError> {
        Ok(Self {
            margin: not_negative("margin", margin)?,
            mining: Mining::All,
            smooth: false,
            swap: false,
            over_all: false,
            similarity: Similarity::Cosine,
        })
    }

    /// Which triplets count.
    ///
    /// # Errors
    /// When swapping was chosen, which needs all.
    pub fn with_mining(mut self, mining: Mining) -> Result<Self, ObjectiveError> {
        self.mining = mining;
        self.checked()
    }

    /// `log(1 + e^{d_ap - d_an + margin})` instead of the hinge.
    pub fn with_smooth_hinge(mut self) -> Self {
        self.smooth = true;
        self
    }

    /// The nearer of `d_an` and `d_pn` instead of `d_an` (Balntas et al. 2016).
    ///
    /// # Errors
    /// When triplets are mined: swapping needs all.
    pub fn with_swap(mut self) -> Result<Self, ObjectiveError> {
        self.swap = true;
        self.checked()
    }

    /// The mean over all triplets that count, instead of those above 0.
    pub fn with_mean_over_all(mut self) -> Self {
        self.over_all = true;
        self
    }

    /// [`Similarity::Dot`]: distances of the rows as they are instead of unit rows.
    pub fn with_similarity(mut self, similarity: Similarity) -> Self {
        self.similarity = similarity;
        self
    }

    fn checked(self) -> Result<Self, ObjectiveError> {
        match self.swap && self.mining != Mining::All {
            true => Err(ObjectiveError::Contradiction("the swapped triplet loss needs all triplets")),
            false => Ok(self),
        }
    }

    /// Rows `[n, d]` with a label each, compared by direction. The value is `[1]`.
    ///
    /// # Panics
    /// When there are no rows, or rows and labels differ in number.
    pub fn loss(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        loss_of(rows, |rows, gradients| self.evaluate(rows, labels, gradients))
    }

    /// Value, each row's part before the division, and, if wanted, the gradient of the rows (as that of the anchors); no tape,
    /// memory linear in the rows. Rows of one label are each other's positives, all others negatives; 0 where there is no triplet. Rows at the
    /// same place do not push each other.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn evaluate(&self, rows: &Tensor<2>, labels: &[i64], gradients: bool) -> Evaluation {
        let plain = computed(rows.clone().inner());
        let dtype = plain.dtype();
        let native = is_native(&plain);
        let unit = self.similarity == Similarity::Cosine;
        let plain = if native && !unit { plain.cast(DType::F64) } else { plain };
        let (inputs, pairs) = labelled(&plain, labels);
        let problem = Problem::new(&inputs, &pairs, self.compared());
        let function = self.function(&problem, native, plain);
        let wanted = if gradients { Wanted::ALL } else { Wanted::VALUE };
        let Evaluation { value, rows, columns, mut gradients } = problem.evaluate(&function, wanted, self.share()).0;
        gradients.anchors = gradients.anchors.map(|g| g.cast(dtype));
        Evaluation { value: value.cast(dtype), rows: rows.cast(dtype), columns, gradients }
    }

    /// The same by plain, differentiable tensor operations: materialises several n x n matrices.
    ///
    /// # Panics
    /// As [`loss`](Self::loss).
    pub fn dense(&self, rows: Tensor<2>, labels: &[i64]) -> Tensor<1> {
        let (inputs, pairs) = labelled(&rows, labels);
        let problem = Problem::new(&inputs, &pairs, self.compared());
        let function = self.function(&problem, false, rows.inner());
        dense(&function, &inputs, &pairs, self.compared(), self.share())
    }

    fn compared(&self) -> Similarity {
        match self.similarity {
            Similarity::Cosine => Similarity::Cosine,
            _ => Similarity::NegativeSquaredDistance,
        }
    }

    fn share(&self) -> Share {
        if self.over_all { mean_of_all } else { mean_of_counted }
    }

    fn function(&self, problem: &Problem, native: bool, plain: Tensor<2>) -> Function {
        let unit = self.similarity == Similarity::Cosine;
        let points = (native && (self.swap || !unit)).then(|| {
            let rows = if unit { problem.rows()[0].clone() } else { plain.clone() - plain.clone().mean_dim(0) };
            Points { rows: to_vec::<2, f64>(&rows).into(), width: rows.dims()[1] }
        });
        let tables = problem.rows().map(Tensor::clone);
        let (margin, mining, smooth, swap) = (self.margin, self.mining, self.smooth, self.swap);
        let kernel = kernel::Triplets { margin, mining, smooth, unit, points, swap };
        Function { kernel, tables }
    }
}

/// The kernel's function, and the rows whose inner products are the similarities.
#[derive(Clone)]
struct Function {
    kernel: kernel::Triplets,
    tables: [Tensor<2>; 2],
}

impl<T> RowLoss<T> for Function
where
    kernel::Triplets: RowLoss<T>,
{
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        self.kernel.row(pairs, row, kept)
    }
}

/// Larger than any distance.
const FAR: f64 = 1e30;

impl Function {
    /// Distances of similarities where `mask` is 1, else of no meaning.
    fn distances(&self, s: Tensor<2>, mask: Tensor<2>) -> Tensor<2> {
        if self.kernel.unit {
            return distances(s, mask);
        }
        let least = if s.dtype() == DType::F64 { 1e-14 } else { 1e-6 };
        (s * mask * -1.0).clamp_min(least).sqrt()
    }

    /// `[b, m]` distances of other rows, numbers `[b, 1]`, and all rows.
    fn distances_of(&self, rows: Tensor<2, Int>, like: &Tensor<2>) -> Tensor<2> {
        let b = rows.dims()[0];
        let [a, c] = self.tables.clone().map(|x| constant_beside(x, like));
        let s = a.select(0, rows.reshape([b])).matmul(c.transpose());
        let ones = s.ones_like();
        self.distances(s, ones)
    }
}

/// `[b, 1]` the nearest where `mask` is 1, its number, and where it stands, `[b, m]`; nothing in a row without any.
fn nearest(d: &Tensor<2>, mask: &Tensor<2>) -> (Tensor<2>, Tensor<2, Int>, Tensor<2>) {
    let [b, m] = d.dims();
    let (value, at) = (d.clone() * mask.clone() + (mask.clone() * -1.0 + 1.0) * FAR).min_dim_with_indices(1);
    let columns = Tensor::<1, Int>::arange(0..m as i64, &d.device()).reshape([1, m]).expand([b, m]);
    let there = d.zeros_like().mask_fill(columns.equal(at.clone().expand([b, m])), 1.0);
    (value, at, there * mask.clone())
}

impl RowFunction for Function {
    fn dense(&self, s: Tensor<2>, positive: Tensor<2>, negative: Tensor<2>) -> (Tensor<1>, Tensor<1>) {
        let kernel = &self.kernel;
        let [b, m] = s.dims();
        let d = self.distances(s, positive.clone() + negative.clone());
        // the loss is linear in the distances but for which triplets count: its slopes, and a surrogate that has them
        let far = d.clone().detach();
        let zero = || far.zeros_like();
        let (mut value, mut slopes) = (zero().sum_dim(1), zero());
        let (mut active, mut all) = (zero().sum(), zero().sum());
        let where_ = |x: Tensor<2, burn::tensor::Bool>| zero().mask_fill(x, 1.0);
        let single = matches!(kernel.mining, Mining::BatchHard | Mining::BatchEasySemihard);
        let counts = positive.clone().sum_dim(1).max().into_data().iter::<f64>().next().unwrap_or(0.0);
        let mut rest = positive;
        for _ in 0..if single { counts.min(1.0) as usize } else { counts as usize } {
            let (near, at, there) = match kernel.mining {
                Mining::BatchHard => {
                    let (minus, at, there) = nearest(&(far.clone() * -1.0), &rest);
                    (minus * -1.0, at, there)
                }
                _ => nearest(&far, &rest),
            };
            let has = there.clone().sum_dim(1);
            let near = near * has.clone();
            rest = rest - there.clone();
            let open = negative.clone() * has;
            let gap = near.clone().expand([b, m]) - far.clone();
            let over = gap.clone() + kernel.margin;
            // how many times each negative's triplet counts
            let times = match kernel.mining {
                Mining::All => open,
                Mining::Hard => open * where_(gap.lower_elem(0.0).bool_not()),
                Mining::Semihard => {
                    open * where_(gap.greater_equal_elem(0.0).bool_not())
                        * where_(over.clone().lower_elem(0.0).bool_not())
                }
                Mining::Easy => open * where_(over.clone().greater_equal_elem(0.0).bool_not()),
                Mining::BatchHard => nearest(&far, &open).2,
                Mining::BatchEasySemihard => nearest(&far, &(open * where_(gap.greater_equal_elem(0.0).bool_not()))).2,
            };
            // with swapping, whichever of the anchor and the positive is nearer to the negative has the triplets of both
            let times = match kernel.swap {
                true => {
                    let other = self.distances_of(at, &far);
                    times * (where_(far.clone().lower(other.clone())) * 2.0 + where_(far.clone().equal(other)))
                }
                false => times,
            };
            let (cost, slope) = match kernel.smooth {
                true => (softplus(over.clone()), crate::objective::logistic(over)),
                false => (over.clone().clamp_min(0.0), ones_above_zero(over)),
            };
            let (counted, slope) = (times.clone(), slope * times.clone());
            active = active + if kernel.smooth { counted.clone().sum() } else { slope.clone().sum() };
            all = all + counted.sum();
            value = value + (cost * times).sum_dim(1);
            slopes = slopes + there * slope.clone().sum_dim(1) - slope;
        }
        let rows = value + ((d - far) * slopes).sum_dim(1);
        (rows.reshape([b]), sums(vec![active, all]))
    }
}

/// The mean over rows of `max(0, |a - p| - |a - n| + margin)`, of given triplets: anchors, positives and negatives `[n, d]`. With
/// `swap`, the nearer of `|a - n|` and `|p - n|`. As in torch, 1e-6 is added to each difference, which keeps the gradient of
/// equal rows finite. The value is `[1]`.
///
/// # Errors
/// When the margin is negative, infinite or NaN.
///
/// # Panics
/// When the shapes differ.
pub fn triplet_margin(
    anchors: Tensor<2>,
    positives: Tensor<2>,
    negatives: Tensor<2>,
    margin: f64,
    swap: bool,
) -> Result<Tensor<1>, ObjectiveError> {
    not_negative("margin", margin)?;
    assert_eq!(anchors.dims(), positives.dims(), "the shapes of anchors and positives");
    assert_eq!(anchors.dims(), negatives.dims(), "the shapes of anchors and negatives");
    check_types(&[("anchors", anchors.dtype()), ("positives", positives.dtype()), ("negatives", negatives.dtype())]);
    let [anchors, positives, negatives] = [anchors, positives, negatives].map(computed);
    let distance = |x: &Tensor<2>, y: &Tensor<2>| {
        let gap = x.clone() - y.clone() + 1e-6;
        (gap.clone() * gap).sum_dim(1).sqrt()
    };
    let mut far = distance(&anchors, &negatives);
    if swap {
        far = far.min_pair(distance(&positives, &negatives));
    }
    let share = 1.0 / anchors.dims()[0].max(1) as f64;
    Ok(relu(distance(&anchors, &positives) - far + margin).sum() * share)
}
