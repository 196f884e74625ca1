//! Views of the features of the nodes: columns or single entries set to 0.

use super::edges::filtered;
use super::error::{length, not_negative, share};
use super::{AugmentError, scores};
use burn::tensor::{Tensor, TensorData};
use contrastive_kernels::Real;
use contrastive_kernels::sparse::Csr;
use ndarray::ArrayView2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Features of the nodes, `[nodes, features]`.
#[derive(Clone, Copy, Debug)]
pub enum FeatureView<'a, T> {
    /// All numbers.
    Dense(ArrayView2<'a, T>),
    /// The numbers that are not 0.
    Sparse(&'a Csr<T>),
}

impl<T: Real> FeatureView<'_, T> {
    /// `[nodes, features]`.
    pub fn shape(&self) -> [usize; 2] {
        match self {
            Self::Dense(x) => [x.nrows(), x.ncols()],
            Self::Sparse(x) => [x.rows(), x.cols()],
        }
    }

    /// `sum_i f(x_ic) weight_i` of every column c over the entries that are not 0, and whether there are any.
    pub(super) fn column_sums(&self, weight: &[f64], f: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<bool>) {
        let columns = self.shape()[1];
        let (mut sums, mut used) = (vec![0.0; columns], vec![false; columns]);
        let mut add = |row: usize, column: usize, x: T| {
            if x != T::zero() {
                sums[column] += f(x.f64()) * weight[row];
                used[column] = true;
            }
        };
        match self {
            Self::Dense(x) => x.indexed_iter().for_each(|((row, column), &x)| add(row, column, x)),
            Self::Sparse(x) => (0..x.rows()).for_each(|row| {
                let (columns, entries) = x.row(row);
                columns.iter().zip(entries).for_each(|(&column, &x)| add(row, column as usize, x));
            }),
        }
        (sums, used)
    }
}

/// How much an entry of the features counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum FeatureCount {
    /// 1 for any that is not 0: bags of words.
    #[default]
    Presence,
    /// Its magnitude: dense features.
    Magnitude,
}

/// Drop probabilities of the feature columns from the centralities of the nodes that have them (GCA, section 3.2):
/// `w_f = log sum_i |x_if| phi_i`, then as for edges. A column that no node has gets `probability`; it is left out of maximum
/// and mean.
///
/// # Errors
/// When there is not one finite centrality of at least 0 for each node, or `probability` or `cut` is not in `0..=1`.
pub fn central_feature_probabilities<T: Real>(
    features: FeatureView<'_, T>,
    centrality: &[f64],
    count: FeatureCount,
    probability: f64,
    cut: f64,
) -> Result<Vec<f64>, AugmentError> {
    length("centralities", centrality.len(), features.shape()[0])?;
    not_negative("centrality", centrality)?;
    let (sums, used) = features.column_sums(centrality, |x| match count {
        FeatureCount::Presence => 1.0,
        FeatureCount::Magnitude => x.abs(),
    });
    let present: Vec<f64> = sums.iter().zip(&used).filter(|(_, used)| **used).map(|(&sum, _)| sum).collect();
    let mut found = scores::adaptive(&scores::logarithms(&present), probability, cut)?.into_iter();
    Ok(used.iter().map(|&used| if used { found.next().expect("one for each column") } else { probability }).collect())
}

/// Draws which columns stay, one draw for each column, the same for all nodes (GRACE). Nothing is scaled up.
///
/// # Errors
/// When `probability` is not in `0..=1`.
pub fn draw_columns(columns: usize, probability: f64, rng: &mut ChaCha8Rng) -> Result<Vec<bool>, AugmentError> {
    share("feature drop probability", probability)?;
    draw_columns_weighted(&vec![probability; columns], rng)
}

/// Draws which columns stay, each with its own probability of being dropped.
///
/// # Errors
/// When a probability is not in `0..=1`.
pub fn draw_columns_weighted(probabilities: &[f64], rng: &mut ChaCha8Rng) -> Result<Vec<bool>, AugmentError> {
    super::error::all("feature drop probability", probabilities, "0 to 1", |p| (0.0..=1.0).contains(&p))?;
    Ok(probabilities.iter().map(|&p| rng.random::<f64>() >= p).collect())
}

/// The features with the columns that do not stay set to 0. In front of a linear map,
/// [`NodeInput::with_columns`](crate::node::encoder::NodeInput::with_columns) does the same without a copy of the features.
///
/// # Shapes
/// - x, output: `[nodes, features]`
///
/// # Errors
/// When there is not one decision for each column.
pub fn mask_columns(x: Tensor<2>, keep: &[bool]) -> Result<Tensor<2>, AugmentError> {
    length("decisions on feature columns", keep.len(), x.dims()[1])?;
    Ok(masked(x, keep, [1, keep.len()]))
}

fn masked(x: Tensor<2>, keep: &[bool], shape: [usize; 2]) -> Tensor<2> {
    let factors: Vec<f32> = keep.iter().map(|&keep| f32::from(u8::from(keep))).collect();
    let factors = Tensor::<2>::from_data(TensorData::new(factors, shape), (&x.device(), x.dtype()));
    x * factors
}

/// The entries of sparse features in the columns that stay.
///
/// # Errors
/// When there is not one decision for each column.
pub fn mask_sparse_columns(x: &Csr<f64>, keep: &[bool]) -> Result<Csr<f64>, AugmentError> {
    length("decisions on feature columns", keep.len(), x.cols())?;
    Ok(filtered(x, |_, column| keep[column]))
}

/// The features with each number set to 0 with this probability, independently. Nothing is scaled up.
///
/// # Shapes
/// - x, output: `[nodes, features]`
///
/// # Errors
/// When `probability` is not in `0..=1`.
pub fn mask_entries(x: Tensor<2>, probability: f64, rng: &mut ChaCha8Rng) -> Result<Tensor<2>, AugmentError> {
    share("feature drop probability", probability)?;
    let [rows, columns] = x.dims();
    let keep: Vec<bool> = (0..rows * columns).map(|_| rng.random::<f64>() >= probability).collect();
    Ok(masked(x, &keep, [rows, columns]))
}

/// The entries of sparse features, each left out with this probability, independently. Nothing is scaled up.
///
/// # Errors
/// When `probability` is not in `0..=1`.
pub fn mask_sparse_entries(x: &Csr<f64>, probability: f64, rng: &mut ChaCha8Rng) -> Result<Csr<f64>, AugmentError> {
    share("feature drop probability", probability)?;
    let kept: Vec<bool> = (0..x.nnz()).map(|_| rng.random::<f64>() >= probability).collect();
    Ok(filtered(x, |entry, _| kept[entry]))
}
