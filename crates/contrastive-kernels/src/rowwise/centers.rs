//! Classes of several centres each.

use super::{GenericRowLoss, MarginSoftmax, RowPairs, Sums};
use crate::vector::Element;

/// How similar a row is to a class, given its similarities to the centres of the class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CenterPool {
    /// As to the nearest centre; of equally near ones the first has the derivative.
    Nearest,
    /// The mean over the centres, weighted by `e^{sharpness s}`.
    Soft(f64),
}

impl CenterPool {
    /// The similarity to the class; those to its centres become its derivatives.
    fn pool<T: Element>(self, centers: &mut [T]) -> f64 {
        let best = (1..centers.len()).fold(0, |best, k| if centers[k] > centers[best] { k } else { best });
        let top = centers[best].f64();
        match self {
            Self::Nearest => {
                let bad = centers.iter().any(|s| s.is_nan());
                centers.fill(T::zero());
                centers[best] = T::one();
                if bad { f64::NAN } else { top }
            }
            Self::Soft(sharpness) => {
                let weight = |s: T| (sharpness * (s.f64() - top)).exp();
                let (sum, dot) = centers.iter().fold((0.0, 0.0), |(sum, dot), &s| {
                    let w = weight(s);
                    (sum + w, dot + w * s.f64())
                });
                let mean = dot / sum;
                for s in centers {
                    *s = T::of(weight(*s) / sum * (1.0 + sharpness * (s.f64() - mean)));
                }
                mean
            }
        }
    }
}

/// Cross-entropy over classes of several centres each, with a margin for the right class: soft triple loss (Qian et al. 2019,
/// equation 7), sub-centre ArcFace (Deng et al. 2020, equation 3).
///
/// Candidate `c K + k` is centre k of class c, and all centres of the right class are the positives. A row without positives is
/// 0.
#[derive(Clone, Copy, Debug)]
pub struct CenterSoftmax {
    /// What is done with the similarities to the classes.
    pub softmax: MarginSoftmax,
    /// Centres of a class, K.
    pub centers: usize,
    /// How they become one similarity.
    pub pool: CenterPool,
}

impl<T: Element> GenericRowLoss<T> for CenterSoftmax {
    fn row(&self, pairs: RowPairs<'_>, row: &mut [T], kept: &mut Vec<T>) -> (f64, Sums) {
        let target: Vec<u32> = pairs.positives().take(1).map(|j| (j / self.centers) as u32).collect();
        kept.extend(row.chunks_exact_mut(self.centers).map(|centers| T::of(self.pool.pool(centers))));
        let classes = RowPairs { positives: &target, excluded: &[], own: None };
        let result = self.softmax.row(classes, kept, &mut Vec::new());
        for (centers, &slope) in row.chunks_exact_mut(self.centers).zip(kept.iter()) {
            centers.iter_mut().for_each(|s| *s *= slope);
        }
        result
    }

    fn factor(&self) -> f64 {
        self.softmax.scale
    }
}
