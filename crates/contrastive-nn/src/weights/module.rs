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

    /// Is this the weight of a linear map or of a convolution, `[taps.., input, output]` here and `[output, input, taps..]` elsewhere?
    fn is_map(&self) -> bool {
        let maps = ["Struct:Linear", "Struct:Conv1d", "Struct:Conv2d"];
        self.names.last().is_some_and(|name| name == "weight")
            && self.containers.last().is_some_and(|container| maps.contains(&container.as_str()))
    }
}

/// A parameter: its name, shape, and whether it is the weight of a linear map or of a convolution.
struct Parameter {
    name: String,
    shape: Vec<usize>,
    map: bool,
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
        self.found.push(Parameter { name: self.path.name(), shape, map: self.path.is_map() });
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
        let source = keys.source(&parameter.name, parameter.map);
        let whole = Array { shape: parameter.shape.clone(), values };
        let whole = if source.transposed { turned_out(&whole) } else { whole };
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

/// `[taps.., input, output]` as `[output, input, taps..]`.
fn turned_out(array: &Array) -> Array {
    let (taps, last) = array.shape.split_at(array.shape.len() - 2);
    let ([inputs, outputs], count) = ([last[0], last[1]], taps.iter().product::<usize>());
    let of_output = move |o| (0..inputs).flat_map(move |i| (0..count).map(move |tap| (tap * inputs + i) * outputs + o));
    let values = array.values.take((0..outputs).flat_map(of_output));
    Array { shape: [&[outputs, inputs], taps].concat(), values }
}

/// `[output, input, taps..]` as `[taps.., input, output]`.
fn turned_in(array: &Array) -> Array {
    let (first, taps) = array.shape.split_at(2);
    let ([outputs, inputs], count) = ([first[0], first[1]], taps.iter().product::<usize>());
    let of_tap = move |tap| (0..inputs).flat_map(move |i| (0..outputs).map(move |o| (o * inputs + i) * count + tap));
    let values = array.values.take((0..count).flat_map(of_tap));
    Array { shape: [taps, &[inputs, outputs]].concat(), values }
}

/// A shape without axes of length 1.
fn squeezed(shape: &[usize]) -> Vec<usize> {
    shape.iter().copied().filter(|&n| n != 1).collect()
}

/// The tensor of the parameter's shape that these make, or what the shape of one should be.
fn assemble(parts: &[&Array], parameter: &Parameter, source: &Source) -> Result<Array, (usize, Vec<usize>)> {
    let wanted: Vec<usize> = match source.transposed {
        true => {
            let (taps, last) = parameter.shape.split_at(parameter.shape.len() - 2);
            [&[last[1], last[0]], taps].concat()
        }
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
        let flat = source.transposed
            && share.len() == 2
            && part.shape.first() == share.first()
            && share.get(1) == Some(&inputs);
        if !flat && squeezed(&part.shape) != squeezed(&share) {
            return Err((k, share));
        }
    }
    let values = Values::joined(&parts.iter().map(|part| &part.values).collect::<Vec<_>>());
    let whole = Array { shape: wanted, values };
    Ok(if source.transposed { turned_in(&whole) } else { whole })
}

pub(super) fn load<M: Module>(weights: &Weights, module: M, keys: &KeyMap) -> Result<M, WeightsError> {
    let mut parameters = Parameters::default();
    module.visit(&mut parameters);
    let sources: Vec<Source> = parameters.found.iter().map(|p| keys.source(&p.name, p.map)).collect();
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
