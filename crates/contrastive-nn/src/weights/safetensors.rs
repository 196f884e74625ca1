//! Safetensors files.

use super::{Array, Values, Weights, WeightsError};
use contrastive_data::half_precision;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::Path;

pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Weights, WeightsError> {
    let format = |what: String| WeightsError::Format { path: path.to_path_buf(), what };
    let file = SafeTensors::deserialize(bytes).map_err(|error| format(format!("no safetensors file: {error}")))?;
    let arrays = file.tensors().into_iter().filter_map(|(name, view)| Some((name, array(&view)?)));
    Ok(Weights::new(path.display().to_string(), arrays))
}

fn array(view: &TensorView) -> Option<Array> {
    let bytes = view.data();
    let pairs = || bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair));
    let values = match view.dtype() {
        Dtype::F32 => Values::F32(bytes.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect()),
        Dtype::F64 => Values::F64(bytes.as_chunks::<8>().0.iter().map(|x| f64::from_le_bytes(*x)).collect()),
        Dtype::BF16 => Values::F32(pairs().map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()),
        Dtype::F16 => Values::F32(pairs().map(half_precision).collect()),
        _ => return None,
    };
    Some(Array { shape: view.shape().to_vec(), values })
}

pub(super) fn bytes(weights: &Weights) -> Vec<u8> {
    let arrays = weights.arrays.iter().map(|(name, array)| {
        let (dtype, bytes): (_, Vec<u8>) = match &array.values {
            Values::F32(values) => (Dtype::F32, values.iter().flat_map(|x| x.to_le_bytes()).collect()),
            Values::F64(values) => (Dtype::F64, values.iter().flat_map(|x| x.to_le_bytes()).collect()),
        };
        (name, dtype, &array.shape, bytes)
    });
    let arrays: Vec<_> = arrays.collect();
    let views = arrays.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.to_vec(), bytes).expect("as many numbers as the shape says");
        (name.as_str(), view)
    });
    safetensors::serialize(views, None).expect("named tensors")
}
