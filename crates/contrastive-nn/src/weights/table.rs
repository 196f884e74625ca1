//! Named tensors on the host.

use super::{KeyMap, WeightsError, module, safetensors};
use burn::module::Module;
use contrastive_data::{Limits, TorchValues, is_zip, torch_tensors};
use std::collections::BTreeMap;
use std::path::Path;

/// The numbers of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Single precision; half precision is read as such.
    F32(Vec<f32>),
    /// Double precision.
    F64(Vec<f64>),
}

impl Values {
    /// How many numbers there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
        }
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers at these places.
    pub(super) fn take(&self, places: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::F32(values) => Self::F32(places.map(|at| values[at]).collect()),
            Self::F64(values) => Self::F64(places.map(|at| values[at]).collect()),
        }
    }

    /// One after the other; double precision as soon as one is.
    pub(super) fn joined(parts: &[&Self]) -> Self {
        let all_single = parts.iter().all(|part| matches!(part, Self::F32(_)));
        match all_single {
            true => Self::F32(parts.iter().flat_map(|part| part.singles()).collect()),
            false => Self::F64(parts.iter().flat_map(|part| part.doubles()).collect()),
        }
    }

    fn singles(&self) -> Vec<f32> {
        match self {
            Self::F32(values) => values.clone(),
            Self::F64(values) => values.iter().map(|&x| x as f32).collect(),
        }
    }

    /// In double precision.
    pub fn doubles(&self) -> Vec<f64> {
        match self {
            Self::F32(values) => values.iter().map(|&x| f64::from(x)).collect(),
            Self::F64(values) => values.clone(),
        }
    }
}

/// A tensor of a file, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its numbers, as many as the shape says.
    pub values: Values,
}

/// Named tensors, and where they are from.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// The file, for messages.
    pub(super) of: String,
    pub(super) arrays: BTreeMap<String, Array>,
}

impl Weights {
    /// These tensors; `of` names them in messages.
    ///
    /// # Panics
    /// When an array does not have as many numbers as its shape says.
    pub fn new(of: impl Into<String>, arrays: impl IntoIterator<Item = (String, Array)>) -> Self {
        let arrays: BTreeMap<_, _> = arrays.into_iter().collect();
        for (name, array) in &arrays {
            let (count, shape) = (array.values.len(), &array.shape);
            assert_eq!(count, shape.iter().product::<usize>(), "{name}: numbers of a tensor of shape {shape:?}");
        }
        Self { of: of.into(), arrays }
    }

    /// The tensors of a file: safetensors, or what `torch.save` wrote (a zip archive, whose pickle is read but never run; dictionaries in
    /// dictionaries have dots between their names). Floats of 16, 32 and 64 bits; tensors of other types, position ids say, are left
    /// out.
    ///
    /// # Errors
    /// When it cannot be read, or is no such file.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let io = |source| WeightsError::Io { path: path.to_path_buf(), source };
        let bytes = std::fs::read(path).map_err(io)?;
        if !is_zip(&bytes) {
            return safetensors::read(path, &bytes);
        }
        let arrays = torch_tensors(path, &bytes, &Limits::default())?.into_iter().map(|tensor| {
            let values = match tensor.values {
                TorchValues::F32(values) => Values::F32(values),
                TorchValues::F64(values) => Values::F64(values),
            };
            (tensor.name, Array { shape: tensor.shape, values })
        });
        Ok(Self::new(path.display().to_string(), arrays))
    }

    /// The names of all tensors, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// A tensor by its name.
    pub fn get(&self, name: &str) -> Option<&Array> {
        self.arrays.get(name)
    }

    /// The module with these weights, on its device and in its float type.
    ///
    /// # Errors
    /// When tensors are missing, not used, or of another shape: then nothing is loaded.
    pub fn load<M: Module>(&self, module: M, keys: &KeyMap) -> Result<M, WeightsError> {
        module::load(self, module, keys)
    }

    /// The parameters of a module, under the names of the map.
    pub fn of(module: &impl Module, keys: &KeyMap) -> Self {
        module::save(module, keys)
    }

    /// Writes them as safetensors. Equal weights give equal bytes.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_safetensors(&self, path: &Path) -> Result<(), WeightsError> {
        let io = |source| WeightsError::Io { path: path.to_path_buf(), source };
        std::fs::write(path, safetensors::bytes(self)).map_err(io)
    }
}
