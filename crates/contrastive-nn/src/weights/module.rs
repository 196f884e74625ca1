//! Modules and named tensors.

use super::keys::Source;
use super::{Array, KeyMap, Values, Weights, WeightsError};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{DType, Tensor, TensorData};
use std::collections::{BTreeMap, BTreeSet};

/// Where a walk over a module is.
#[derive(Default)]
struct Path {
    names: Vec<String>,
    containers: Vec<String>,
}

impl Path {
    fn enter(&mut self, name: &str, container: &str) {
        self.names.push(name.into());
        self.containers.push(container.into());
    }

    fn exit(&mut self) {
        self.names.pop();
        self.containers.pop();
    }

    fn name(&self) -> String {
        self.names.join(".")
    }

    /// Is this the weight of a linear map?
    fn is_linear(&self) -> bool {
        self.names.last().is_some_and(|name| name == "weight")
            && self.containers.last().is_some_and(|container| container == "Struct:Linear")
    }
}

/// A parameter: its name, shape, and whether it is the weight of a linear map.
struct Parameter {
    name: String,
    shape: Vec<usize>,
    linear: bool,
}

#[derive(Default)]
struct Parameters {
    path: Path,
    found: Vec<Parameter>,
    /// Their numbers, where they are wanted.
    values: Option<Vec<Values>>,
}

impl ModuleVisitor for Parameters {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let shape = tensor.dims().to_vec();
        self.found.push(Parameter { name: self.path.name(), shape, linear: self.path.is_linear() });
        if let Some(values) = &mut self.values {
            values.push(match tensor.dtype() {
                DType::F64 => Values::F64(tensor.into_data().iter::<f64>().collect()),
                _ => Values::F32(tensor.into_data().iter::<f32>().collect()),
            });
        }
    }
}

pub(super) fn save(module: &impl Module, keys: &KeyMap) -> Weights {
    let mut parameters = Parameters { values: Some(Vec::new()), ..Parameters::default() };
    module.visit(&mut parameters);
    let values = parameters.values.unwrap_or_default();
    let mut arrays = BTreeMap::new();
    for (parameter, values) in parameters.found.iter().zip(values) {
        let source = keys.source(&parameter.name, parameter.linear);
        let whole = Array { shape: parameter.shape.clone(), values };
        let whole = if source.transposed { transposed(&whole) } else { whole };
        let parts = source.names.len();
        let mut shape = whole.shape.clone();
        if let Some(rows) = shape.first_mut() {
            *rows /= parts;
        }
        let count = whole.values.len() / parts;
        for (k, name) in source.names.into_iter().enumerate() {
            let values = whole.values.take(k * count..(k + 1) * count);
            arrays.insert(name, Array { shape: shape.clone(), values });
        }
    }
    Weights { of: "a module".into(), arrays }
}

/// A matrix `[a, b]` as `[b, a]`.
fn transposed(array: &Array) -> Array {
    let [a, b] = [array.shape[0], array.shape[1]];
    let places = (0..b).flat_map(|column| (0..a).map(move |row| row * b + column));
    Array { shape: vec![b, a], values: array.values.take(places) }
}

/// A shape without axes of length 1.
fn squeezed(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&n| n != 1).collect()
}

/// The tensor of the parameter's shape that these make, or what the shape of one should be.
fn assemble(parts: &[&Array], parameter: &Parameter, source: &Source) -> Result<Array, (usize, Vec<usize>)> {
    let wanted: Vec<usize> = match source.transposed {
        true => vec![parameter.shape[1], parameter.shape[0]],
        false => parameter.shape.clone(),
    };
    // each of several has its share of the outputs
    let mut share = wanted.clone();
    if let Some(first) = share.first_mut() {
        *first /= parts.len();
    }
    for (k, part) in parts.iter().enumerate() {
        // axes of length 1, and those a kernel has for each input, are one axis of inputs
        let inputs = part.shape.get(1..).map_or(1, |rest| rest.iter().product());
        let flat = source.transposed && part.shape.first() == share.first() && share.get(1) == Some(&inputs);
        if !flat && squeezed(&part.shape) != squeezed(&share) {
            return Err((k, share));
        }
    }
    let values = Values::joined(&parts.iter().map(|part| &part.values).collect::<Vec<_>>());
    let whole = Array { shape: wanted, values };
    Ok(if source.transposed { transposed(&whole) } else { whole })
}

pub(super) fn load<M: Module>(weights: &Weights, module: M, keys: &KeyMap) -> Result<M, WeightsError> {
    let mut parameters = Parameters::default();
    module.visit(&mut parameters);
    let sources: Vec<Source> = parameters.found.iter().map(|p| keys.source(&p.name, p.linear)).collect();
    let prefix = keys.prefix(weights.arrays.keys().map(String::as_str), &sources);
    let (mut missing, mut shapes, mut used) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut loaded = BTreeMap::new();
    for (parameter, source) in parameters.found.iter().zip(&sources) {
        // heads of a model may have no prefix
        let of_file = |name: &String| match weights.arrays.contains_key(name) {
            true => name.clone(),
            false => format!("{prefix}{name}"),
        };
        let names: Vec<String> = source.names.iter().map(of_file).collect();
        let parts: Vec<&Array> = names.iter().filter_map(|name| weights.arrays.get(name)).collect();
        missing.extend(names.iter().filter(|name| !weights.arrays.contains_key(*name)).cloned());
        if parts.len() == names.len() {
            match assemble(&parts, parameter, source) {
                Ok(array) => drop(loaded.insert(parameter.name.clone(), array)),
                Err((k, want)) => shapes.push((names[k].clone(), parts[k].shape.clone(), want)),
            }
        }
        used.extend(names);
    }
    let left_over = |name: &&String| {
        !used.contains(*name)
            && !keys.ignores(name.strip_prefix(prefix.as_str()).unwrap_or(name))
            && !keys.ignores(name)
    };
    let unused: Vec<String> = weights.arrays.keys().filter(left_over).cloned().collect();
    if !(missing.is_empty() && unused.is_empty() && shapes.is_empty()) {
        return Err(WeightsError::Mismatch { of: weights.of.clone(), missing, unused, shapes });
    }
    Ok(module.map(&mut Loader { path: Path::default(), loaded }))
}

struct Loader {
    path: Path,
    loaded: BTreeMap<String, Array>,
}

impl ModuleMapper for Loader {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(array) = self.loaded.remove(&self.path.name()) else { return param };
        param.map(|old| {
            let shape = old.dims();
            let data = match array.values {
                Values::F32(values) => TensorData::new(values, shape),
                Values::F64(values) => TensorData::new(values, shape),
            };
            let new = Tensor::from_data(data.convert_dtype(old.dtype()), (&old.device(), old.dtype()));
            new.set_require_grad(old.is_require_grad())
        })
    }
}
