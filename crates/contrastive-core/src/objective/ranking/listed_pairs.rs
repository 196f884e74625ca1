//! Contrastive loss of listed pairs.

use super::sentence_pairs::cosine_column;
use crate::error::{ObjectiveError, not_negative};
use crate::host::to_vec;
use burn::tensor::{Tensor, TensorData};

/// Contrastive loss of given pairs that are alike or not (Hadsell et al. 2006, equation 4), of cosine distances `d = 1 - cos`: `d^2` of a
/// pair that is alike, `max(0, margin - d)^2` of one that is not; half the mean over the pairs.
#[derive(Clone, Copy, Debug)]
pub struct ListedPairs {
    margin: f64,
    online: bool,
}

impl ListedPairs {
    /// The margin (0.5).
    ///
    /// # Errors
    /// When it is negative, infinite or NaN.
    pub fn new(margin: f64) -> Result<Self, ObjectiveError> {
        Ok(Self { margin: not_negative("margin", margin)?, online: false })
    }

    /// The online form of sentence-transformers: the sum (no half, no mean) over unlike pairs that are closer than the farthest
    /// alike one, and alike pairs that are farther than the closest unlike one. Where a side has a single pair or none, the other is
    /// measured at its own mean instead.
    pub fn with_online_mining(mut self) -> Self {
        self.online = true;
        self
    }

    /// Pairs `[n, d]` and `[n, d]`, and which of them are alike. The value is `[1]`.
    ///
    /// # Panics
    /// When the shapes differ, there are not n marks, or there are no pairs.
    pub fn loss(&self, first: Tensor<2>, second: Tensor<2>, alike: &[bool]) -> Tensor<1> {
        let distances = cosine_column(first, second) * -1.0 + 1.0;
        let n = distances.dims()[0];
        assert_eq!(alike.len(), n, "marks and pairs");
        let counts = self.counting(&to_vec(&distances), alike);
        let column = |side: bool| {
            let of = |k: usize| f64::from(u8::from(counts[k] && alike[k] == side));
            let data = TensorData::new((0..n).map(of).collect::<Vec<f64>>(), [n, 1]);
            Tensor::<2>::from_data(data, (&distances.device(), distances.dtype()))
        };
        let under = (distances.clone() * -1.0 + self.margin).clamp_min(0.0);
        let near = distances.clone() * distances.clone() * column(true);
        let total = (near + under.clone() * under * column(false)).sum();
        total * if self.online { 1.0 } else { 0.5 / n as f64 }
    }

    /// Which pairs count. One of NaN distance does, so that it reaches the value.
    fn counting(&self, distances: &[f64], alike: &[bool]) -> Vec<bool> {
        if !self.online {
            return vec![true; alike.len()];
        }
        let side = |of: bool| -> Vec<f64> {
            distances.iter().zip(alike).filter(|(_, a)| **a == of).map(|(d, _)| *d).collect()
        };
        let (near, far) = (side(true), side(false));
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let farthest = if near.len() > 1 { near.iter().copied().fold(f64::MIN, f64::max) } else { mean(&far) };
        let closest = if far.len() > 1 { far.iter().copied().fold(f64::MAX, f64::min) } else { mean(&near) };
        let counts = |(d, alike): (&f64, &bool)| d.is_nan() || if *alike { *d > closest } else { *d < farthest };
        distances.iter().zip(alike).map(counts).collect()
    }
}
