//! The buffers that ranks send.

use burn::tensor::{DType, Device, Shape, Tensor, TensorData};

/// A buffer of numbers, single or double.
#[derive(Clone, Debug, PartialEq)]
pub enum Floats {
    /// Of 4 bytes.
    F32(Vec<f32>),
    /// Of 8 bytes.
    F64(Vec<f64>),
}

/// The same expression for either type.
macro_rules! either {
    ($value:expr, $v:ident => $body:expr) => {
        match $value {
            Floats::F32($v) => $body,
            Floats::F64($v) => $body,
        }
    };
}

impl Floats {
    /// Number of values.
    pub fn len(&self) -> usize {
        either!(self, v => v.len())
    }

    /// No values?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of bytes.
    pub fn bytes(&self) -> usize {
        either!(self, v => size_of_val(v.as_slice()))
    }

    /// `"f32"` or `"f64"`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
        }
    }

    /// The values of a tensor, row by row: f64 as they are, every other type in f32.
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let dtype = tensor.dtype();
        let data = tensor.inner().into_data();
        match dtype {
            DType::F64 => Self::F64(data.try_into_vec().expect("the type that was matched")),
            _ => Self::F32(data.convert_dtype(DType::F32).try_into_vec().expect("the type it was converted to")),
        }
    }

    /// A plain tensor of these values.
    ///
    /// # Panics
    /// When the shape has another number of values.
    pub fn tensor<const D: usize>(self, shape: [usize; D], device: &Device) -> Tensor<D> {
        let dtype = if matches!(self, Self::F64(_)) { DType::F64 } else { DType::F32 };
        let shape = Shape::from(shape.to_vec());
        Tensor::from_data(either!(self, v => TensorData::new(v, shape)), (device, dtype))
    }

    /// All values in f64.
    pub fn into_f64(self) -> Vec<f64> {
        match self {
            Self::F32(v) => v.into_iter().map(f64::from).collect(),
            Self::F64(v) => v,
        }
    }

    /// These, then `more`, which is converted if it is of the other type.
    pub fn append(&mut self, more: Self) {
        match (self, more) {
            (Self::F32(v), Self::F32(more)) => v.extend(more),
            (Self::F32(v), Self::F64(more)) => v.extend(more.into_iter().map(|x| x as f32)),
            (Self::F64(v), more) => v.extend(more.into_f64()),
        }
    }

    /// The values from `at` on are taken off and returned.
    ///
    /// # Panics
    /// When there are fewer than `at`.
    pub fn split_off(&mut self, at: usize) -> Self {
        match self {
            Self::F32(v) => Self::F32(v.split_off(at)),
            Self::F64(v) => Self::F64(v.split_off(at)),
        }
    }

    /// Adds `other`, elementwise.
    ///
    /// # Panics
    /// When type or length differ.
    pub fn add(&mut self, other: &Self) {
        fn add<T: Copy + std::ops::AddAssign>(to: &mut [T], from: &[T]) {
            assert_eq!(to.len(), from.len(), "the lengths of buffers that are added");
            to.iter_mut().zip(from).for_each(|(t, f)| *t += *f);
        }
        match (&mut *self, other) {
            (Self::F32(to), Self::F32(from)) => add(to, from),
            (Self::F64(to), Self::F64(from)) => add(to, from),
            _ => panic!("adding {} to {}", other.kind(), self.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_joined_cut_and_added() {
        let mut single = Floats::F32(vec![1.0, 2.0]);
        single.append(Floats::F64(vec![3.0, 4.5]));
        assert_eq!((single.len(), single.bytes(), single.kind()), (4, 16, "f32"));
        let mut rest = single.split_off(2);
        rest.add(&single);
        assert_eq!(rest, Floats::F32(vec![4.0, 6.5]));
        assert_eq!(rest.into_f64(), [4.0, 6.5]);
    }
}
