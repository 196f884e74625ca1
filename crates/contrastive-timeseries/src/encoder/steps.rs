//! Series as encoders take them.

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::ArrayView3;

/// A batch of series on a device: values without NaN, and which steps an encoder may see.
#[derive(Clone, Debug)]
pub struct Steps {
    /// `[B, T, F]`; a step with a missing value is all zeros.
    pub values: Tensor<3>,
    /// `[B, T, 1]`: 1 where a step is seen, 0 where it is missing or masked. `None`: all are seen.
    pub seen: Option<Tensor<3>>,
}

impl Steps {
    /// From `[B, T, F]` with NaN where a value is missing: a step with any missing value is not seen.
    pub fn new(values: ArrayView3<'_, f32>, device: &Device) -> Self {
        let (b, t, f) = values.dim();
        let mut numbers: Vec<f32> = values.iter().copied().collect();
        let (mut seen, mut missing) = (vec![1f32; b * t], false);
        for (row, seen) in numbers.chunks_exact_mut(f.max(1)).zip(&mut seen) {
            if row.iter().any(|v| v.is_nan()) {
                row.fill(0.0);
                (*seen, missing) = (0.0, true);
            }
        }
        let values = Tensor::from_data(TensorData::new(numbers, [b, t, f]), device);
        let seen = missing.then(|| Tensor::from_data(TensorData::new(seen, [b, t, 1]), device));
        Self { values, seen }
    }

    /// Series without missing values.
    pub fn all(values: Tensor<3>) -> Self {
        Self { values, seen: None }
    }

    /// `[B, T, F]`.
    pub fn dims(&self) -> [usize; 3] {
        self.values.dims()
    }

    /// The same series with steps masked besides: `mask` is true, series by series, where a step stays.
    ///
    /// # Panics
    /// When there is not one entry for each step.
    pub fn masked(&self, mask: &[bool]) -> Self {
        let [b, t, _] = self.dims();
        assert_eq!(mask.len(), b * t, "a mask for {b} series of {t} steps");
        let kept: Vec<f32> = mask.iter().map(|&stays| f32::from(u8::from(stays))).collect();
        let values = &self.values;
        let kept = TensorData::new(kept, [b, t, 1]).convert_dtype(values.dtype());
        let kept = Tensor::<3>::from_data(kept, (&values.device().inner(), values.dtype()));
        let kept = if values.is_autodiff() { Tensor::from_inner(kept) } else { kept };
        let seen = match &self.seen {
            Some(seen) => seen.clone() * kept,
            None => kept,
        };
        Self { values: values.clone(), seen: Some(seen) }
    }

    /// Both parts cut alike.
    pub fn map(&self, cut: impl Fn(Tensor<3>) -> Tensor<3>) -> Self {
        Self { values: cut(self.values.clone()), seen: self.seen.clone().map(&cut) }
    }
}
