//! Networks without a graph.

use super::activation::{Activation, ActivationLayer};
use super::error::{Check, EncoderError};
use super::input::NodeInput;
use super::linear::{Initial, LinearMap, dropout};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;

/// Settings of [`Mlp`].
#[derive(Config, Debug, PartialEq)]
pub struct MlpConfig {
    /// Widths from the input to the output: at least two. GRACE's projector is `[d, p, d]` with ELU, PamC's encoder
    /// `[features, 500, 500, 2000, 10]`.
    pub widths: Vec<usize>,
    /// What follows each map but the last.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
    /// Whether biases are added.
    #[config(default = true)]
    pub bias: bool,
    /// Share of numbers dropped after each activation, in training.
    #[config(default = 0.0)]
    pub dropout: f64,
    /// How weights and biases start.
    #[config(default = "Initial::Glorot")]
    pub initial: Initial,
}

impl MlpConfig {
    /// Checks widths and shares.
    ///
    /// # Errors
    /// When there are fewer than two widths or one is 0, or the dropout is not in `0..1`.
    pub fn validate(&self) -> Result<(), EncoderError> {
        let check = Check("mlp");
        check.that(self.widths.len() >= 2, "number of widths", self.widths.len(), "2 or more")?;
        self.widths.iter().try_for_each(|&width| check.width("width", width))?;
        check.dropout("dropout", self.dropout)?;
        self.activation.validate(&check)
    }

    /// The network.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, device: &Device) -> Result<Mlp, EncoderError> {
        self.validate()?;
        let start = match self.initial {
            Initial::Glorot => LinearMap::new,
            Initial::FanIn => LinearMap::fan_in,
        };
        let map = |pair: &[usize]| start(pair[0], pair[1], self.bias, rng, device);
        let maps = self.widths.windows(2).map(map).collect();
        Ok(Mlp { maps, activation: self.activation.init(device), dropout: self.dropout })
    }
}

/// Linear maps with an activation after each but the last.
#[derive(Module, Debug)]
pub struct Mlp {
    /// The maps, from the input to the output.
    pub maps: Vec<LinearMap>,
    /// What follows each but the last; one parameter serves all.
    pub activation: ActivationLayer,
    dropout: f64,
}

impl Mlp {
    /// Without dropout.
    ///
    /// # Shapes
    /// - input: `[nodes, first width]`
    /// - output: `[nodes, last width]`
    ///
    /// # Panics
    /// When the input has another width.
    pub fn forward(&self, input: &NodeInput) -> Tensor<2> {
        self.after_first(self.maps[0].forward(input), None)
    }

    /// With dropout drawn from `rng`.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_training(&self, input: &NodeInput, rng: &mut ChaCha8Rng) -> Tensor<2> {
        self.after_first(self.maps[0].forward(input), Some(rng))
    }

    /// All that follows the first map.
    pub(super) fn after_first(&self, mut x: Tensor<2>, mut rng: Option<&mut ChaCha8Rng>) -> Tensor<2> {
        for map in &self.maps[1..] {
            x = dropout(self.activation.forward(x), self.dropout, rng.as_deref_mut());
            x = map.forward(&x.into());
        }
        x
    }
}
