//! First weights, from an explicit generator: the same for any number of threads and on any device.

use burn::module::Param;
use burn::tensor::{Tensor, TensorCreationOptions, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// How weights are drawn; `inputs` and `outputs` are those of the map that they belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Initial {
    /// Uniform within `sqrt(6 / (inputs + outputs))` of 0 (Glorot and Bengio, 2010: Xavier).
    #[default]
    GlorotUniform,
    /// Normal of variance `2 / (inputs + outputs)`.
    GlorotNormal,
    /// Uniform within `sqrt(6 / inputs)` of 0 (He et al., 2015: Kaiming, for rectifiers).
    KaimingUniform,
    /// Normal of variance `2 / inputs`.
    KaimingNormal,
    /// Uniform within `1 / sqrt(inputs)` of 0, as a linear layer of PyTorch starts.
    FanIn,
    /// Uniform within this bound of 0.
    Uniform(f64),
    /// Normal of this standard deviation (0.02 in BERT, GPT-2 and SASRec).
    Normal(f64),
    /// Normal of this standard deviation, drawn again beyond two of them.
    TruncatedNormal(f64),
    /// Zeros.
    Zeros,
    /// Ones.
    Ones,
}

impl Initial {
    /// A tensor of such weights, drawn in the order of its elements.
    pub fn tensor<const D: usize>(
        &self,
        shape: [usize; D],
        [inputs, outputs]: [usize; 2],
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Tensor<D> {
        let (inputs, outputs) = (inputs.max(1) as f64, outputs as f64);
        let mut uniform = |bound: f64| (2.0 * rng.random::<f64>() - 1.0) * bound;
        let count = shape.iter().product();
        let values: Vec<f64> = match *self {
            Self::GlorotUniform => (0..count).map(|_| uniform((6.0 / (inputs + outputs)).sqrt())).collect(),
            Self::KaimingUniform => (0..count).map(|_| uniform((6.0 / inputs).sqrt())).collect(),
            Self::FanIn => (0..count).map(|_| uniform(1.0 / inputs.sqrt())).collect(),
            Self::Uniform(bound) => (0..count).map(|_| uniform(bound)).collect(),
            Self::GlorotNormal => (0..count).map(|_| normal(rng) * (2.0 / (inputs + outputs)).sqrt()).collect(),
            Self::KaimingNormal => (0..count).map(|_| normal(rng) * (2.0 / inputs).sqrt()).collect(),
            Self::Normal(deviation) => (0..count).map(|_| normal(rng) * deviation).collect(),
            Self::TruncatedNormal(deviation) => {
                let mut draw = || loop {
                    let x = normal(rng);
                    if x.abs() <= 2.0 {
                        break x * deviation;
                    }
                };
                (0..count).map(|_| draw()).collect()
            }
            Self::Zeros => vec![0.0; count],
            Self::Ones => vec![1.0; count],
        };
        Tensor::from_data(TensorData::new(values, shape), on)
    }

    /// [`tensor`](Self::tensor) as a parameter.
    pub fn param<const D: usize>(
        &self,
        shape: [usize; D],
        fans: [usize; 2],
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Param<Tensor<D>> {
        Param::from_tensor(self.tensor(shape, fans, rng, on))
    }
}

/// A parameter of one value.
pub fn constant<const D: usize>(
    value: f64,
    shape: [usize; D],
    on: impl Into<TensorCreationOptions>,
) -> Param<Tensor<D>> {
    let values = vec![value; shape.iter().product()];
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), on))
}

/// A standard normal number (Box and Muller).
pub fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    // 1 - u is never 0
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
