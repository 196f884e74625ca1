//! Gated recurrent units.

use crate::error::Check;
use crate::layer::{Linear, LinearConfig};
use crate::{SettingError, init::Initial};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions, TensorData, activation};
use rand_chacha::ChaCha8Rng;

/// In which directions a [`Gru`] runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Directions {
    /// From the first step to the last.
    #[default]
    Forward,
    /// Forward, and from the last step to the first, side by side.
    Both,
    /// Two that run forward side by side. What HaLP's released code does: it feeds a bidirectional net one frame at a time and carries the
    /// states of both directions from frame to frame.
    BothForward,
}

impl Directions {
    /// 1 or 2.
    pub fn count(self) -> usize {
        if self == Self::Forward { 1 } else { 2 }
    }
}

/// Settings of a [`Gru`].
#[derive(Config, Debug, PartialEq)]
pub struct GruConfig {
    /// Width of the input, F.
    pub input: usize,
    /// Width of a state, H.
    pub hidden: usize,
    /// Layers; one above the first reads the states of all directions below it.
    #[config(default = 1)]
    pub layers: usize,
    /// Directions.
    #[config(default = "Directions::Forward")]
    pub directions: Directions,
}

impl GruConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// When one is 0.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("gru");
        check.count("input", self.input)?;
        check.count("hidden", self.hidden)?;
        check.count("layers", self.layers)
    }

    /// The net; weights and biases uniform within `1 / sqrt(H)`.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, on: impl Into<TensorCreationOptions>) -> Result<Gru, SettingError> {
        self.validate()?;
        let (on, count, hidden) = (on.into(), self.directions.count(), self.hidden);
        let bound = Initial::Uniform(1.0 / (hidden as f64).sqrt());
        let map = |input: usize, rng: &mut ChaCha8Rng| -> Result<Linear, SettingError> {
            let mut map = LinearConfig::new(input, 3 * hidden).with_initial(bound).init(rng, on.clone())?;
            map.bias = Some(bound.param([3 * hidden], [hidden, hidden], rng, on.clone()));
            Ok(map)
        };
        let mut cells = Vec::new();
        for layer in 0..self.layers {
            let input = if layer == 0 { self.input } else { count * hidden };
            for _ in 0..count {
                cells.push(GruCell { input: map(input, rng)?, state: map(hidden, rng)? });
            }
        }
        Ok(Gru { cells, hidden, directions: self.directions })
    }
}

/// One layer in one direction.
#[derive(Module, Debug)]
pub struct GruCell {
    /// `[F, 3 H]`: columns of the reset gate, the update gate and the new state.
    pub input: Linear,
    /// `[H, 3 H]`, in the same order.
    pub state: Linear,
}

impl GruCell {
    /// The state `[B, H]` after an input `[B, F]`.
    fn step(&self, x: Tensor<2>, state: Tensor<2>) -> Tensor<2> {
        let width = state.dims()[1];
        let (from_input, from_state) = (self.input.forward(x), self.state.forward(state.clone()));
        let part = |x: &Tensor<2>, from: usize, parts: usize| x.clone().narrow(1, from * width, parts * width);
        let gates = activation::sigmoid(part(&from_input, 0, 2) + part(&from_state, 0, 2));
        let (reset, update) = (part(&gates, 0, 1), part(&gates, 1, 1));
        let new = (part(&from_input, 2, 1) + reset * part(&from_state, 2, 1)).tanh();
        new.clone() + update * (state - new)
    }
}

/// A gated recurrent net (Cho et al. 2014, with the reset gate behind the state's map, as every library has it):
///
/// ```text
/// r = sigmoid(W_r x + b_r + U_r h + c_r)     z = sigmoid(W_z x + b_z + U_z h + c_z)
/// n = tanh(W_n x + b_n + r (U_n h + c_n))    h' = (1 - z) n + z h
/// ```
#[derive(Module, Debug)]
pub struct Gru {
    /// Layer by layer, in each the directions.
    pub cells: Vec<GruCell>,
    #[module(skip)]
    hidden: usize,
    #[module(skip)]
    directions: Directions,
}

/// What a [`Gru`] gives.
#[derive(Clone, Debug)]
pub struct GruOutput {
    /// `[B, T, directions H]`: the states of the last layer at every step, zeros behind the end of a shorter list.
    pub steps: Tensor<3>,
    /// `[layers directions, B, H]`: the last state of each layer and direction.
    pub last: Tensor<3>,
    directions: usize,
}

impl GruOutput {
    /// `[B, directions H]`: the last states of the last layer beside each other. Of [`Directions::Both`] these are the forward state of the
    /// last step and the backward state of the first one.
    pub fn summary(&self) -> Tensor<2> {
        let [count, b, width] = self.last.dims();
        let state = |k: usize| self.last.clone().slice([k..k + 1, 0..b, 0..width]).reshape([b, width]);
        Tensor::cat((count - self.directions..count).map(state).collect(), 1)
    }
}

impl Gru {
    /// Width of a step of the output: directions x H.
    pub fn width(&self) -> usize {
        self.directions.count() * self.hidden
    }

    /// Series of one length from zero states.
    ///
    /// # Shapes
    /// - x: `[B, T, F]`
    ///
    /// # Panics
    /// When the width differs, or there is no step.
    pub fn forward(&self, x: Tensor<3>) -> GruOutput {
        self.forward_from(x, None, None)
    }

    /// From given states, and of series that are padded behind their ends.
    ///
    /// # Shapes
    /// - x: `[B, T, F]`
    /// - start: `[layers directions, B, H]`; zeros without
    /// - lengths: B numbers of 1 to T; T without
    ///
    /// # Panics
    /// When the shapes do not fit, or a length is out of range.
    pub fn forward_from(&self, x: Tensor<3>, start: Option<Tensor<3>>, lengths: Option<&[usize]>) -> GruOutput {
        let [b, t, f] = x.dims();
        let (count, hidden) = (self.directions.count(), self.hidden);
        assert!(t > 0 && f == self.cells[0].input.shape()[0], "series [{b}, {t}, {f}] for a GRU");
        if let Some(lengths) = lengths {
            let fits = lengths.len() == b && lengths.iter().all(|l| (1..=t).contains(l));
            assert!(fits, "lengths {lengths:?} of {b} series of {t} steps");
        }
        if let Some(start) = &start {
            assert_eq!(start.dims(), [self.cells.len(), b, hidden], "the shape of the first states");
        }
        let kind = (&x.device(), x.dtype());
        // 1 where a series still goes on; none where all do
        let alive: Vec<Option<Tensor<2>>> = (0..t)
            .map(|step| {
                let lengths = lengths.filter(|lengths| lengths.iter().any(|l| *l <= step))?;
                let on: Vec<f32> = lengths.iter().map(|l| f32::from(u8::from(*l > step))).collect();
                Some(Tensor::from_data(TensorData::new(on, [b, 1]).convert_dtype(x.dtype()), kind))
            })
            .collect();
        let mut inputs: Vec<Tensor<2>> =
            (0..t).map(|step| x.clone().slice([0..b, step..step + 1, 0..f]).reshape([b, f])).collect();
        let mut last = Vec::new();
        for layer in 0..self.cells.len() / count {
            let mut outputs: Vec<Vec<Tensor<2>>> = vec![Vec::new(); t];
            for direction in 0..count {
                let at = layer * count + direction;
                let mut state = match &start {
                    Some(start) => start.clone().slice([at..at + 1, 0..b, 0..hidden]).reshape([b, hidden]),
                    None => Tensor::zeros([b, hidden], kind),
                };
                let backward = direction == 1 && self.directions == Directions::Both;
                for k in 0..t {
                    let step = if backward { t - 1 - k } else { k };
                    let new = self.cells[at].step(inputs[step].clone(), state.clone());
                    let (kept, shown) = match &alive[step] {
                        None => (new.clone(), new),
                        Some(on) => (state.clone() + (new.clone() - state) * on.clone(), new * on.clone()),
                    };
                    state = kept;
                    outputs[step].push(shown);
                }
                last.push(state);
            }
            let beside = |mut parts: Vec<Tensor<2>>| if count == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) };
            inputs = outputs.into_iter().map(beside).collect();
        }
        GruOutput { steps: Tensor::stack(inputs, 1), last: Tensor::stack(last, 0), directions: count }
    }
}
