//! Neighbouring segments of a series belong together: the local contrast of InfoTS and AutoTCL.

use crate::error::ObjectiveError;
use crate::objective::{Grouped, GroupedInputs, PairObjective};
use crate::pairs::{Exclusions, PairLists, Pairs};
use crate::similarity::{Similarity, unit_rows};
use burn::tensor::Tensor;
use std::sync::Arc;

/// Segments of each series told apart, the next one being the positive (InfoTS, Luo et al. 2023; the local loss of AutoTCL, Zheng et al.
/// 2024): the steps of an aligned stretch are brought to length 1 and max-pooled in k segments; logits are the inner products of
/// segments, as they are.
///
/// The positive of segment i is i + 1, of the last one k - 2. Both neighbours are no negatives; the first and the last segment leave one
/// more out, so that each has k - 3 negatives and its positive: with all segments equal the loss is `log(k - 2)`. The value is the
/// mean over segments and series.
#[derive(Clone, Debug)]
pub struct SegmentContrast {
    segments: usize,
    contrast: Grouped,
}

impl SegmentContrast {
    /// k segments (paper: 16) at a temperature (paper: 1).
    ///
    /// # Errors
    /// When there are fewer than four segments, or the temperature is out of range.
    pub fn new(segments: usize, temperature: f64) -> Result<Self, ObjectiveError> {
        if segments < 4 {
            let (name, value) = ("segments", segments as f64);
            return Err(ObjectiveError::Outside { name, value, allowed: "the whole numbers from 4 on" });
        }
        let last = segments - 1;
        let positives = (0..segments).map(|i| if i < last { i + 1 } else { last - 1 } as u32).collect();
        let (mut offsets, mut columns) = (vec![0], Vec::new());
        for i in 0..segments {
            let left_out = match i {
                0 => vec![2],
                _ if i == last => vec![last - 2],
                _ => vec![i - 1],
            };
            columns.extend(left_out.into_iter().map(|j| j as u32));
            offsets.push(columns.len());
        }
        let contrast = PairObjective::new(temperature)?
            .with_similarity(Similarity::Dot)
            .with_pairs(Pairs::Lists(Arc::new(PairLists::one_each(positives))))
            .with_exclusions(Exclusions::lists(PairLists::new(offsets, columns, None)?));
        Ok(Self { segments, contrast: Grouped::new(contrast) })
    }

    /// Number of segments.
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// The value `[1]` of encoded series `[B, T, D]`, attached; `offset` steps are left out before the first segment of
    /// `T / k` steps.
    ///
    /// # Panics
    /// When there are more segments than steps, or the stretch does not fit behind the offset.
    pub fn loss(&self, encoded: Tensor<3>, offset: usize) -> Tensor<1> {
        let ([b, t, d], k) = (encoded.dims(), self.segments);
        let length = t / k;
        assert!(length > 0, "{k} segments of {t} time steps");
        assert!(offset + k * length <= t, "{k} segments of {length} behind {offset} of {t} time steps");
        let stretch: Tensor<2> = encoded.slice([0..b, offset..offset + k * length, 0..d]).reshape([b * k * length, d]);
        let units: Tensor<4> = unit_rows(stretch).reshape([b, k, length, d]);
        let pooled: Tensor<3> = units.max_dim(2).reshape([b, k, d]);
        self.contrast.loss(&GroupedInputs::self_contrast(pooled))
    }
}
