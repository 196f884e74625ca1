//! The centroids of clusters as candidates, each with a temperature of its own (prototypical contrast, Li et al., ICLR 2021, as MEOW has it).

use super::NegativesError;
use crate::objective::{Inputs, PairObjective};
use crate::pairs::Pairs;
use crate::similarity::Similarity;
use burn::tensor::{Tensor, TensorData};
use ndarray::{ArrayView1, ArrayView2};

/// How tight a cluster is, measured by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Concentration {
    /// The mean distance of its rows from its centroid: tight clusters get low temperatures (the papers).
    #[default]
    Distance,
    /// The mean root of the inner products with the centroid, those below 0 counting as 0: loose clusters get low temperatures (the released code
    /// of MEOW).
    Similarity,
}

/// The temperature of each cluster: its concentration over `log(size + 5)`, of clusters of fewer than two rows the largest of the
/// others, cut to the range from the 10th to the 90th percentile, scaled so that the mean is `temperature`; at least a thousandth of that.
/// All are `temperature` where no concentration is above 0.
///
/// # Shapes
/// - rows: `[n, d]` of length 1, centroids: `[k, d]` of length 1, labels: n numbers below k
///
/// # Panics
/// When shapes or labels do not fit.
pub fn concentrations(
    rows: ArrayView2<'_, f32>,
    centroids: ArrayView2<'_, f32>,
    labels: &[u32],
    temperature: f64,
    by: Concentration,
) -> Vec<f64> {
    let k = centroids.nrows();
    assert_eq!(rows.nrows(), labels.len(), "labels for {} rows", rows.nrows());
    let (mut sums, mut sizes) = (vec![0.0f64; k], vec![0usize; k]);
    let measure = |row: ArrayView1<'_, f32>, centroid: ArrayView1<'_, f32>| match by {
        Concentration::Distance => row.iter().zip(centroid).map(|(x, c)| f64::from(x - c).powi(2)).sum::<f64>().sqrt(),
        Concentration::Similarity => f64::from(row.dot(&centroid)).max(0.0).sqrt(),
    };
    for (row, &label) in rows.rows().into_iter().zip(labels) {
        sums[label as usize] += measure(row, centroids.row(label as usize));
        sizes[label as usize] += 1;
    }
    let of = |c: usize| (sizes[c] > 1).then(|| sums[c] / sizes[c] as f64 / (sizes[c] as f64 + 5.0).ln());
    let found: Vec<Option<f64>> = (0..k).map(of).collect();
    let largest = found.iter().flatten().copied().fold(0.0, f64::max);
    let mut phi: Vec<f64> = found.iter().map(|phi| phi.unwrap_or(largest)).collect();
    if largest <= 0.0 {
        return vec![temperature; k];
    }
    let mut sorted = phi.clone();
    sorted.sort_by(f64::total_cmp);
    let [low, high] = [0.1, 0.9].map(|share| percentile(&sorted, share));
    phi.iter_mut().for_each(|phi| *phi = phi.clamp(low, high));
    let mean = phi.iter().sum::<f64>() / k as f64;
    phi.iter().map(|phi| (phi / mean * temperature).max(1e-3 * temperature)).collect()
}

/// Between the two nearest of ascending numbers, as NumPy has it.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// ```text
/// L = -mean_i [ u_i . mu_c(i) / phi_c(i) - log( n / k sum_c e^{u_i . mu_c / phi_c} ) ]
/// ```
///
/// A constant `log(n / k)` above the InfoNCE of each row among the centroids, which belongs to the released code. Centroids and temperatures are
/// constants; the gradient goes into the rows.
#[derive(Clone, Debug)]
pub struct PrototypicalTerm {
    /// `mu_c / phi_c`, `[k, d]`.
    candidates: Tensor<2>,
    objective: PairObjective,
    labels: Vec<u32>,
}

impl PrototypicalTerm {
    /// For centroids `[k, d]` of length 1, their temperatures, and the cluster of each row.
    ///
    /// # Errors
    /// When a temperature is not above 0 and finite, there is not one for each centroid, or a label is beyond them.
    pub fn new(centroids: &Tensor<2>, temperatures: &[f64], labels: &[u32]) -> Result<Self, NegativesError> {
        let k = centroids.dims()[0];
        for &temperature in temperatures {
            PairObjective::new(temperature)?;
        }
        let wrong = |found: String, allowed: String| Err(NegativesError::Clusterings { found, allowed });
        if temperatures.len() != k {
            return wrong(format!("{} temperatures", temperatures.len()), format!("one for each of {k} centroids"));
        }
        if let Some(label) = labels.iter().find(|label| **label as usize >= k) {
            return wrong(format!("cluster {label}"), format!("0 to {}", k.saturating_sub(1)));
        }
        let centroids = centroids.clone().inner();
        let inverse = TensorData::new(temperatures.iter().map(|t| 1.0 / t).collect::<Vec<f64>>(), [k, 1]);
        let candidates = centroids.clone() * Tensor::from_data(inverse, (&centroids.device(), centroids.dtype()));
        let objective = PairObjective::new(1.0)?.with_similarity(Similarity::Dot);
        let objective = objective.with_pairs(Pairs::one_each(labels.to_vec()));
        Ok(Self { candidates, objective, labels: labels.to_vec() })
    }

    /// The term `[1]` of rows `[n, d]` of length 1.
    ///
    /// # Panics
    /// When there is not a label for each row, or the widths differ.
    pub fn loss(&self, rows: Tensor<2>) -> Tensor<1> {
        let (n, k) = (rows.dims()[0], self.candidates.dims()[0]);
        assert_eq!(self.labels.len(), n, "labels of {n} rows");
        let candidates = self.candidates.clone().cast(rows.dtype());
        let candidates = if rows.is_autodiff() { Tensor::from_inner(candidates) } else { candidates };
        self.objective.loss(&Inputs::new(rows, candidates)) + (n as f64 / k as f64).ln()
    }
}
