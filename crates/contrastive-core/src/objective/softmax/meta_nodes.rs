//! PamC: the clusters' meta-nodes replace the negatives of a node.

use crate::attach::attach_gradients;
use crate::error::ObjectiveError;
use crate::host::numbers;
use crate::linear::SparseOperator;
use crate::objective::engine::blocks::{block_values, row_blocks};
use crate::objective::engine::log_sums::LogSums;
use crate::objective::{Inputs, computed, computed_in};
use crate::pairs::Exclusions;
use crate::similarity::{Compared, Similarity, unit_rows};
use burn::tensor::{DType, Element as BurnElement, Tensor, TensorData};
use contrastive_kernels::sparse::Csr;
use contrastive_kernels::vector::Element;
use std::collections::BTreeMap;

/// Members summed cluster by cluster, empty clusters left out: aggregated candidates with their counts.
#[derive(Clone, Debug)]
pub struct MetaNodes {
    members: SparseOperator,
    counts: Vec<f64>,
}

impl MetaNodes {
    /// The cluster of each row; numbers need not be contiguous.
    ///
    /// # Panics
    /// When there are no rows.
    pub fn new(clusters: &[u32]) -> Self {
        assert!(!clusters.is_empty(), "meta-nodes of no rows");
        let mut number = BTreeMap::new();
        number.extend(clusters.iter().map(|c| (*c, 0u32)));
        number.values_mut().zip(0..).for_each(|(to, k)| *to = k);
        let mut counts = vec![0.0; number.len()];
        let entries = clusters.iter().enumerate().map(|(i, c)| {
            counts[number[c] as usize] += 1.0;
            (number[c], i as u32, 1.0)
        });
        let entries: Vec<(u32, u32, f64)> = entries.collect();
        let members = Csr::from_triplets(number.len(), clusters.len(), &entries).expect("one entry for each row");
        Self { members: SparseOperator::new(members), counts }
    }

    /// Members of each cluster.
    pub fn counts(&self) -> &[f64] {
        &self.counts
    }

    /// What makes a proxy pointless although it is defined: one cluster, whose official proxy is `log 1 = 0`.
    pub fn warning(&self) -> Option<String> {
        (self.counts.len() == 1).then(|| format!("{} rows in one cluster: nothing is pushed apart", self.counts[0]))
    }

    /// `[C, d]`: the sum of the members of each cluster, differentiable in the rows `[n, d]`.
    ///
    /// # Panics
    /// When the rows are not as many as the clusters were given for.
    pub fn sums(&self, rows: Tensor<2>) -> Tensor<2> {
        self.members.apply(rows)
    }

    /// `[C, d]`: the mean of the members of each cluster.
    ///
    /// # Panics
    /// As [`sums`](Self::sums).
    pub fn means(&self, rows: Tensor<2>) -> Tensor<2> {
        let shares: Vec<f64> = self.counts.iter().map(|n| 1.0 / n).collect();
        let sums = self.sums(rows);
        let shares = crate::host::column(&shares, &sums);
        sums * shares
    }
}

/// What stands for the sum over all pairs of nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetaNodeProxy {
    /// The released code's: `1/C sum_a log( sum_b e^{tau cos(m_a, m_b)} )` of summed raw members, with cosine 0 of a meta-node and
    /// itself. A surrogate that pushes clusters apart; it does not approximate the sum.
    #[default]
    Official,
    /// `log sum_ab n_a n_b e^{tau mean_a . mean_b}` of mean unit rows: a lower bound of the logarithm of the sum over all pairs, at
    /// most `tau^2 rho^2 / 8` below it (rho: the largest range of cosines within a pair of clusters), exact where members
    /// coincide.
    Jensen,
    /// The same with each term times `1 + tau^2 / 2 Var_ab`, the variance of the cosines of the pair of clusters. Memory n d^2.
    SecondOrder,
    /// `1/N sum_i log sum_b n_b e^{tau u_i . mean_b}`: Jensen's bound for each node, which keeps InfoNCE's rows; cost n C d.
    PerAnchor,
}

/// Weighted positives of each node, `[n, n]`: powers of an adjacency matrix.
#[derive(Clone, Debug)]
pub struct SparsePositives(SparseOperator);

impl SparsePositives {
    /// Weights of at least 0; every row must have one above 0.
    ///
    /// # Errors
    /// When the matrix is not square, a weight is negative, or a row has no weight: a node without positives has no loss.
    pub fn new(weights: Csr<f64>) -> Result<Self, ObjectiveError> {
        let (rows, cols) = (weights.rows(), weights.cols());
        if rows != cols {
            return Err(ObjectiveError::Pairs(format!("positives of {rows} nodes among {cols}")));
        }
        for i in 0..rows {
            let (columns, values) = weights.row(i);
            if let Some(at) = values.iter().position(|w| *w < 0.0) {
                let (j, w) = (columns[at], values[at]);
                return Err(ObjectiveError::Pairs(format!(
                    "weight {w} of the positive ({i}, {j}): it must be at least 0"
                )));
            }
            if !values.iter().any(|w| *w > 0.0) {
                return Err(ObjectiveError::Pairs(format!("node {i} has no positive; give it a self-loop")));
            }
        }
        Ok(Self(SparseOperator::new(weights)))
    }

    /// Number of stored weights.
    pub fn nnz(&self) -> usize {
        self.0.nnz()
    }
}

/// The contrastive loss of PamC (arXiv 2209.14067): exact positives on the edges, meta-nodes for the negatives.
///
/// ```text
/// P_i = sum_{j != i} W_ij e^{tau cos(z_i, z_j)} + W_ii        L = -1/N sum_i log(P_i + 1e-10) + proxy
/// ```
///
/// `tau` multiplies the cosine (a temperature of 1 / tau). The clusters are constants. Memory is linear in nodes and edges.
#[derive(Clone, Debug)]
pub struct PamC {
    tau: f64,
    proxy: MetaNodeProxy,
}

/// Keeps the logarithms away from 0, as in the released code.
const EPSILON: f64 = 1e-10;

impl PamC {
    /// The official proxy at this sharpness (published: 0.25 to 2.25).
    ///
    /// # Errors
    /// When tau is not between 1e-9 and 1e9.
    pub fn new(tau: f64) -> Result<Self, ObjectiveError> {
        let allowed = "1e-9 to 1e9";
        match (1e-9..=1e9).contains(&tau) && LogSums::new(1.0 / tau).is_ok() {
            true => Ok(Self { tau, proxy: MetaNodeProxy::Official }),
            false => Err(ObjectiveError::Outside { name: "tau", value: tau, allowed }),
        }
    }

    /// What stands for the negatives.
    pub fn with_proxy(mut self, proxy: MetaNodeProxy) -> Self {
        self.proxy = proxy;
        self
    }

    /// Embeddings `[n, d]`, their positives, and their clusters. The value is `[1]`. A node without positives adds
    /// `-log(1e-10) / n`, without a gradient.
    ///
    /// # Panics
    /// When the numbers of rows differ.
    pub fn loss(&self, rows: &Tensor<2>, positives: &SparsePositives, clusters: &MetaNodes) -> Tensor<1> {
        self.attraction(rows, positives) + self.repulsion(rows, clusters)
    }

    /// The same with every pair of nodes as negatives: `1/N sum_i log sum_{j != i} e^{tau cos(z_i, z_j)}`, in linear memory and
    /// time n^2 d: what the proxies stand for.
    ///
    /// # Panics
    /// As [`loss`](Self::loss), and when there is one row only.
    pub fn unapproximated(&self, rows: &Tensor<2>, positives: &SparsePositives) -> Tensor<1> {
        let n = rows.dims()[0];
        assert!(n > 1, "the pairs of one node");
        let sums = self.log_sums(Similarity::Cosine);
        let all = sums.loss(&Inputs::self_contrast(rows.clone()), vec![1.0 / n as f64; n]);
        self.attraction(rows, positives) + all
    }

    fn log_sums(&self, similarity: Similarity) -> LogSums {
        LogSums::new(1.0 / self.tau).expect("a checked tau").with_similarity(similarity)
    }

    /// The negative half. With one cluster the official proxy is `log 1 = 0`: nothing is pushed apart.
    ///
    /// # Panics
    /// When the numbers of rows differ.
    pub fn repulsion(&self, rows: &Tensor<2>, clusters: &MetaNodes) -> Tensor<1> {
        let rows = &computed(rows.clone());
        let count = clusters.counts.len();
        let logs: Vec<f64> = clusters.counts.iter().map(|n| n.ln()).collect();
        match self.proxy {
            MetaNodeProxy::Official => {
                let sums = self.log_sums(Similarity::Cosine).with_offset(1.0 + EPSILON).expect("a positive offset");
                let meta = clusters.sums(rows.clone());
                if count == 1 {
                    return meta.sum() * 0.0;
                }
                sums.loss(&Inputs::self_contrast(meta), vec![1.0 / count as f64; count])
            }
            MetaNodeProxy::PerAnchor => {
                let n = rows.dims()[0];
                let unit = unit_rows(rows.clone());
                let means = clusters.means(unit.clone());
                let inputs = Inputs::new(unit, means).with_bias(numbers(&logs, rows));
                self.log_sums(Similarity::Dot).loss(&inputs, vec![1.0 / n as f64; n])
            }
            MetaNodeProxy::Jensen => {
                let means = clusters.means(unit_rows(rows.clone()));
                let sums = self.log_sums(Similarity::Dot).with_exclusions(Exclusions::none());
                let inputs = Inputs::new(means.clone(), means).with_bias(numbers(&logs, rows));
                let (value, weights) = log_total(&sums.values(&inputs), &logs);
                around(value, sums.loss(&inputs, weights))
            }
            MetaNodeProxy::SecondOrder => self.second_order(rows, clusters, &logs),
        }
    }

    fn second_order(&self, rows: &Tensor<2>, clusters: &MetaNodes, logs: &[f64]) -> Tensor<1> {
        let unit = unit_rows(rows.clone());
        let [n, d] = unit.dims();
        let outer: Tensor<3> = unit.clone().reshape([n, d, 1]) * unit.clone().reshape([n, 1, d]);
        let (means, moments) = (clusters.means(unit), clusters.means(outer.reshape([n, d * d])));
        let log_counts = numbers(logs, rows);
        let tau = self.tau;
        let row_sums = |_: usize, own: &[Tensor<2>], all: &[Tensor<2>]| {
            let cosines = own[0].clone().matmul(all[0].clone().transpose());
            let squares = own[1].clone().matmul(all[1].clone().transpose());
            let variance = (squares - cosines.clone() * cosines.clone()).clamp_min(0.0);
            let c = log_counts.dims()[0];
            let logits = cosines * tau + log_counts.clone().reshape([1, c]).cast(own[0].dtype());
            let top = logits.clone().detach().max_dim(1);
            let terms = (logits - top.clone()).exp() * (variance * (0.5 * tau * tau) + 1.0);
            terms.sum_dim(1).log() + top
        };
        let count = logs.len();
        let block = ((1 << 20) / count).clamp(1, count);
        let tables = [means, moments];
        let plain = tables.clone().map(Tensor::inner);
        // values first: the weights of the rows follow from all of them
        let each = block_values(&plain, &plain, count, block, &row_sums);
        let (value, weights) = log_total(&each, logs);
        around(value, row_blocks(&tables, &tables, &weights, block, row_sums))
    }

    /// The positive half, on the edges alone.
    ///
    /// # Panics
    /// When the numbers of rows differ.
    pub fn attraction(&self, rows: &Tensor<2>, positives: &SparsePositives) -> Tensor<1> {
        let (shape, nodes) = (rows.dims(), positives.0.shape()[0]);
        assert_eq!(shape[0], nodes, "embeddings {shape:?} and the positives of {nodes} nodes");
        let plain = rows.clone().inner().cast(computed_in(rows.dtype()));
        let compared = Compared::new(Similarity::Cosine, plain);
        let (value, gradient) = match compared.rows.dtype() {
            DType::F64 => self.on_edges::<f64>(&compared.rows, positives.0.to_f64()),
            _ => self.on_edges::<f32>(&compared.rows, positives.0.to_f32()),
        };
        let value = Tensor::<1>::from_data([value], (&rows.device(), computed_in(rows.dtype())));
        let gradient = rows.is_tracked().then(|| compared.backward(gradient));
        attach_gradients(value, [(rows, gradient)])
    }

    fn on_edges<T: Element + BurnElement>(&self, unit: &Tensor<2>, weights: &Csr<T>) -> (f64, Tensor<2>) {
        let [n, d] = unit.dims();
        let data = unit.to_data();
        let rows = data.as_slice::<T>().expect("the type that was matched");
        let mut slopes = vec![T::zero(); weights.nnz()];
        weights.sampled_products(rows, rows, d, &mut slopes);
        let mut value = 0.0;
        for i in 0..n {
            let (columns, shares) = weights.row(i);
            let slopes = &mut slopes[weights.indptr()[i]..weights.indptr()[i + 1]];
            let logit = |j: u32, dot: T| if j as usize == i { 0.0 } else { self.tau * dot.f64() };
            let top = columns.iter().zip(&*slopes).map(|(&j, &s)| logit(j, s)).fold(0.0, f64::max);
            let mut sum = EPSILON * (-top).exp();
            for ((&j, slope), share) in columns.iter().zip(&mut *slopes).zip(shares) {
                let part = share.f64() * (logit(j, *slope) - top).exp();
                sum += part;
                *slope = if j as usize == i { T::zero() } else { T::of(part) };
            }
            value -= (top + sum.ln()) / n as f64;
            let factor = T::of(-self.tau / (sum * n as f64));
            slopes.iter_mut().for_each(|s| *s *= factor);
        }
        if !value.is_finite() {
            // NaN rows: the results are NaN
            let none = TensorData::new(vec![T::nan(); n * d], [n, d]);
            return (f64::NAN, Tensor::from_data(none, (&unit.device(), unit.dtype())));
        }
        let slopes = weights.with_values(&slopes);
        let (mut forth, mut both) = (vec![T::zero(); n * d], vec![T::zero(); n * d]);
        slopes.multiply(rows, d, &mut forth);
        slopes.transpose().multiply_add(rows, d, &forth, &mut both);
        (value, Tensor::from_data(TensorData::new(both, [n, d]), (&unit.device(), unit.dtype())))
    }
}

/// `log sum_a e^{row_a + log_a}` and its derivative by each row.
fn log_total(rows: &[f64], logs: &[f64]) -> (f64, Vec<f64>) {
    let terms: Vec<f64> = rows.iter().zip(logs).map(|(r, l)| r + l).collect();
    let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = terms.iter().map(|t| (t - top).exp()).sum();
    (top + sum.ln(), terms.iter().map(|t| (t - top).exp() / sum).collect())
}

/// `value`, with the gradient of `slope`.
fn around(value: f64, slope: Tensor<1>) -> Tensor<1> {
    slope.clone() - slope.clone().detach() + value
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn empty_clusters_are_left_out() {
        let nodes = MetaNodes::new(&[7, 2, 7]);
        assert_eq!(nodes.counts(), [1.0, 2.0]);
        let rows = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], &Device::default());
        assert_eq!(nodes.sums(rows).into_data().iter::<f32>().collect::<Vec<_>>(), [3.0, 4.0, 6.0, 8.0]);
    }
}
