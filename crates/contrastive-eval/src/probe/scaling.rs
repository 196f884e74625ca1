//! What is done to features before a classifier sees them.

use crate::rows::Rows;
use serde::{Deserialize, Serialize};

/// What is done to features before the classifier sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scaling {
    /// Nothing.
    None,
    /// Rows are divided by their lengths; rows of zeros stay.
    UnitLength,
    /// Columns get mean 0 and deviation 1 on the training rows; constant columns become 0.
    Standardise,
}

/// A scaling with what it learned from the training rows.
pub(super) struct Scaler {
    scaling: Scaling,
    mean: Vec<f64>,
    factor: Vec<f64>,
}

impl Scaler {
    pub fn new(scaling: Scaling, x: &Rows, train: &[u32]) -> Self {
        let (mut mean, mut factor) = (Vec::new(), Vec::new());
        if scaling == Scaling::Standardise {
            let plain = Self { scaling: Scaling::None, mean: Vec::new(), factor: Vec::new() };
            let mut rows = plain.gather(x, train);
            mean = rows.mean();
            rows.shift(&mean);
            let (mut largest, mut squares) = (mean.clone(), vec![0.0; x.width]);
            for row in rows.iter() {
                squares.iter_mut().zip(row).for_each(|(s, v)| *s += v * v);
            }
            for &row in train {
                largest.iter_mut().zip(x.row(row as usize)).for_each(|(most, v)| *most = most.abs().max(v.abs()));
            }
            let inverse = |(square, largest): (&f64, &f64)| {
                let deviation = (square / rows.len() as f64).sqrt();
                // what rounding leaves of a constant column is no deviation
                if deviation > 1e-12 * largest { 1.0 / deviation } else { 0.0 }
            };
            factor = squares.iter().zip(&largest).map(inverse).collect();
        }
        Self { scaling, mean, factor }
    }

    /// The chosen rows, scaled.
    pub fn gather(&self, x: &Rows, rows: &[u32]) -> Rows {
        let values = rows.iter().flat_map(|&row| x.row(row as usize)).copied().collect();
        let mut rows = Rows { values, width: x.width };
        match self.scaling {
            Scaling::None => {}
            Scaling::UnitLength => rows.unit(),
            Scaling::Standardise => {
                rows.shift(&self.mean);
                for row in rows.values.chunks_exact_mut(x.width) {
                    row.iter_mut().zip(&self.factor).for_each(|(v, f)| *v *= f);
                }
            }
        }
        rows
    }
}
