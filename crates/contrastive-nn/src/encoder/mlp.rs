//! Linear maps one after the other.

use crate::error::Check;
use crate::init::Initial;
use crate::layer::{Activation, ActivationLayer, Linear, LinearConfig, dropout};
use crate::{Pass, SettingError};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions};
use rand_chacha::ChaCha8Rng;

/// Settings of [`Mlp`].
#[derive(Config, Debug, PartialEq)]
pub struct MlpConfig {
    /// Widths from the input to the output: at least two.
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
    #[config(default = "Initial::GlorotUniform")]
    pub initial: Initial,
}

impl MlpConfig {
    /// Checks widths and shares.
    ///
    /// # Errors
    /// When there are fewer than two widths or one is 0, or the dropout is not in `0..1`.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("mlp");
        check.that(self.widths.len() >= 2, "number of widths", self.widths.len(), "2 or more")?;
        self.widths.iter().try_for_each(|&width| check.count("width", width))?;
        check.share("dropout", self.dropout)?;
        self.activation.validate()
    }

    /// The network, its maps drawn from the first to the last.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, on: impl Into<TensorCreationOptions>) -> Result<Mlp, SettingError> {
        self.validate()?;
        let on = on.into();
        let map = |pair: &[usize]| {
            let config = LinearConfig::new(pair[0], pair[1]).with_bias(self.bias).with_initial(self.initial);
            config.init(rng, on.clone())
        };
        let maps = self.widths.windows(2).map(map).collect::<Result<_, _>>()?;
        Ok(Mlp { maps, activation: self.activation.init(on), dropout: self.dropout })
    }
}

/// Linear maps with an activation after each but the last.
#[derive(Module, Debug)]
pub struct Mlp {
    /// The maps, from the input to the output.
    pub maps: Vec<Linear>,
    /// What follows each but the last; one parameter serves all.
    pub activation: ActivationLayer,
    dropout: f64,
}

impl Mlp {
    /// # Shapes
    /// - x: `[n, first width]`
    /// - output: `[n, last width]`
    ///
    /// # Panics
    /// When the input has another width.
    pub fn forward(&self, x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        self.after_first(self.maps[0].forward(x), pass)
    }

    /// All that follows the first map: for an input that meets its weight in another way (a sparse matrix, say).
    ///
    /// # Panics
    /// When the rows do not have the width of the first map's output.
    pub fn after_first(&self, mut x: Tensor<2>, pass: &mut Pass) -> Tensor<2> {
        for map in &self.maps[1..] {
            x = map.forward(dropout(self.activation.forward(x), self.dropout, pass));
        }
        x
    }
}
