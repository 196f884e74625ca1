//! BECLR's loss of batches with neighbours from a memory.

use crate::attach::attach_gradients;
use crate::error::{ObjectiveError, not_negative};
use crate::objective::{Inputs, LogSums, Wanted, check_types};
use crate::pairs::Exclusions;
use crate::similarity::unit_rows;
use burn::tensor::Tensor;

/// Whom the neighbours of a batch belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// What the paper says: the neighbours of a teacher's row are further positives of the prediction that belongs to it, and a row is not
    /// repelled from its own neighbours.
    #[default]
    Intended,
    /// What the released code does: row r of the student's enhanced batch against row r of the teacher's. Neighbours of both come from
    /// memories without a gradient, so that they only make the attraction smaller, and every row is repelled from its own neighbours.
    RowToRow,
}

/// The rows of a view `[n, d]`, and the neighbours that a memory gave.
#[derive(Clone, Debug)]
pub struct Enhanced {
    /// `[n, d]`.
    pub rows: Tensor<2>,
    /// `[k n, d]`: the first neighbour of each row, then the second of each, and so on; constants. `None` before there are any.
    pub neighbours: Option<Tensor<2>>,
}

impl Enhanced {
    /// Rows without neighbours.
    pub fn plain(rows: Tensor<2>) -> Self {
        Self { rows, neighbours: None }
    }

    /// Neighbours of each row.
    ///
    /// # Panics
    /// When they are not a multiple of the rows.
    pub fn count(&self) -> usize {
        let n = self.rows.dims()[0];
        let all = self.neighbours.as_ref().map_or(0, |neighbours| neighbours.dims()[0]);
        assert!(all.is_multiple_of(n), "{all} neighbours of {n} rows");
        all / n
    }

    /// `[n (1 + k), d]`: the rows, then their neighbours.
    fn all(&self) -> Tensor<2> {
        match &self.neighbours {
            Some(neighbours) => Tensor::cat(vec![self.rows.clone(), constant(neighbours, &self.rows)], 0),
            None => self.rows.clone(),
        }
    }
}

fn constant(x: &Tensor<2>, beside: &Tensor<2>) -> Tensor<2> {
    check_types(&[("rows", beside.dtype()), ("constants beside them", x.dtype())]);
    let x = x.clone().inner().cast(beside.dtype());
    if beside.is_autodiff() { Tensor::from_inner(x) } else { x }
}

/// BECLR's loss (Poulakakis-Daktylidis and Jamali-Rad 2024, equations 4 and 5). With predictions p and projections z of a student's two
/// views a and b, and projections z' of its slow teacher,
///
/// ```text
/// attraction  -1/2 [mean cos(p_a, z'_b) + mean cos(p_b, z'_a)]
/// repulsion   log mean_i mean_{j of other samples} e^{z_i . z_j / T}                z of length 1, both views
/// loss        attraction + weight repulsion
/// ```
///
/// With neighbours from the memories, [`Pairing`] says what they do. In the intended pairing the mean over i runs over the rows of the batch
/// and j over these and the neighbours of other samples' z; row to row, both run over all rows of the enhanced batch.
#[derive(Clone, Debug)]
pub struct Beclr {
    temperature: f64,
    weight: f64,
    pairing: Pairing,
}

impl Beclr {
    /// With this temperature (paper: 2) and weight (paper: 0.1) of the repulsion, in the intended pairing.
    ///
    /// # Errors
    /// When the temperature is out of its range, or the weight negative, infinite or NaN.
    pub fn new(temperature: f64, weight: f64) -> Result<Self, ObjectiveError> {
        LogSums::new(temperature)?;
        Ok(Self { temperature, weight: not_negative("weight of the repulsion", weight)?, pairing: Pairing::Intended })
    }

    /// In another pairing.
    pub fn with_pairing(mut self, pairing: Pairing) -> Self {
        self.pairing = pairing;
        self
    }

    /// The weight of the repulsion.
    pub fn weight(&self) -> f64 {
        self.weight
    }

    /// `attraction + weight repulsion`, `[1]`, of the two views' predictions, teacher rows and projections.
    ///
    /// # Panics
    /// As [`attraction`](Self::attraction) and [`repulsion`](Self::repulsion).
    pub fn loss(&self, predictions: &[Enhanced; 2], teacher: &[Enhanced; 2], projections: &[Enhanced; 2]) -> Tensor<1> {
        check_types(&[("predictions", predictions[0].rows.dtype()), ("projections", projections[0].rows.dtype())]);
        self.attraction(predictions, teacher) + self.repulsion(projections) * self.weight
    }

    /// The attraction, `[1]`; the teacher's rows are constants. The intended pairing looks at the neighbours of the teacher's rows alone.
    ///
    /// # Panics
    /// When the shapes do not fit or there are no rows.
    pub fn attraction(&self, predictions: &[Enhanced; 2], teacher: &[Enhanced; 2]) -> Tensor<1> {
        let way = |from: usize| {
            let (p, target) = (&predictions[from], &teacher[1 - from]);
            let [n, d] = p.rows.dims();
            assert_eq!([n, d], target.rows.dims(), "the shapes of predictions and of the teacher's rows");
            check_types(&[("predictions", p.rows.dtype()), ("the teacher's rows", target.rows.dtype())]);
            assert!(n > 0, "the attraction of rows [{n}, {d}]: one at least");
            match self.pairing {
                Pairing::Intended => {
                    let k = target.count() + 1;
                    let all = unit_rows(constant(&target.all(), &p.rows));
                    // the mean of 1 + k cosines is the product with the mean of unit rows
                    let mean = all.chunk(k, 0).into_iter().reduce(|a, b| a + b).expect("the row itself");
                    (unit_rows(p.rows.clone()) * mean).sum() * (1.0 / (n * k) as f64)
                }
                Pairing::RowToRow => {
                    assert_eq!(p.count(), target.count(), "neighbours of predictions and of the teacher's rows");
                    let (student, target) = (p.all(), constant(&target.all(), &p.rows));
                    let rows = student.dims()[0];
                    (unit_rows(student) * unit_rows(target)).sum() * (1.0 / rows as f64)
                }
            }
        };
        (way(0) + way(1)) * -0.5
    }

    /// The repulsion, `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, or there are fewer than two samples.
    pub fn repulsion(&self, projections: &[Enhanced; 2]) -> Tensor<1> {
        let [a, b] = projections;
        let [n, d] = a.rows.dims();
        assert_eq!([n, d], b.rows.dims(), "the shapes of the two views");
        check_types(&[("the first view", a.rows.dtype()), ("the second view", b.rows.dtype())]);
        assert!(n > 1, "the repulsion of {n} sample: two at least");
        let rows = Tensor::cat(vec![a.rows.clone(), b.rows.clone()], 0);
        let (anchors, candidates, ids, own) = match self.pairing {
            Pairing::Intended => {
                let further = [a, b].into_iter().filter_map(|side| side.neighbours.as_ref());
                let further = further.map(|neighbours| constant(neighbours, &rows));
                let candidates = Tensor::cat(std::iter::once(rows.clone()).chain(further).collect(), 0);
                // rows and neighbours of a sample have its number
                let ids = (0..candidates.dims()[0]).map(|j| (j % n) as i64).collect::<Vec<_>>();
                (rows, candidates, ids, n)
            }
            Pairing::RowToRow => {
                let all = Tensor::cat(vec![a.all(), b.all()], 0);
                let own = all.dims()[0] / 2;
                let ids = (0..2 * own).map(|j| (j % own) as i64).collect();
                (all.clone(), all, ids, own)
            }
        };
        let [count, m] = [anchors.dims()[0], candidates.dims()[0]];
        let others = (m - m / own) as f64;
        let exclusions = Exclusions::same_ids(&ids[..count], &ids);
        let sums = LogSums::new(self.temperature).expect("a temperature that was checked").with_exclusions(exclusions);
        let plain = Inputs::new(anchors.clone().inner(), candidates.clone().inner());
        let each = sums.values(&plain);
        let top = each.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = each.iter().map(|l| (l - top).exp()).sum();
        let value = top + total.ln() - (count as f64).ln() - others.ln();
        let weights = each.iter().map(|l| (l - top).exp() / total).collect();
        let wanted = Wanted { anchors: anchors.is_tracked(), candidates: candidates.is_tracked() };
        let found = sums.weighted(&plain, weights, wanted).gradients;
        let value = Tensor::<1>::from_data([value], (&plain.anchors.device(), plain.anchors.dtype()));
        let value = if each.iter().any(|l| l.is_nan()) { value * f64::NAN } else { value };
        attach_gradients(value, [(&anchors, found.anchors), (&candidates, found.candidates)])
    }
}
