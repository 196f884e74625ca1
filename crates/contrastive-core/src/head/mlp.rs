//! Projectors and predictors: a few linear maps.

use super::seeded::Seeded;
use super::{HeadError, at_least};
use burn::config::Config;
use burn::module::Module;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::{Tensor, TensorCreationOptions, activation};

/// What follows the last linear map.
#[derive(Config, Debug, Copy, PartialEq)]
pub enum OutputNorm {
    /// Nothing.
    None,
    /// A batch norm without scale and shift (SimSiam's projector).
    Plain,
    /// A batch norm with scale and shift.
    Affine,
}

/// What follows every other linear map.
#[derive(Config, Debug, Copy, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x Phi(x)`, the exact form.
    Gelu,
}

/// A head of linear maps with batch norms and activations between them. The published heads are functions of this type; any
/// of their choices can be changed with `with_*`.
#[derive(Config, Debug, PartialEq)]
pub struct MlpHeadConfig {
    /// Width of the rows that come in.
    pub input: usize,
    /// Width between the maps.
    pub hidden: usize,
    /// Width of the rows that leave.
    pub output: usize,
    /// Number of linear maps, at least 1.
    #[config(default = 2)]
    pub layers: usize,
    /// A batch norm after every linear map but the last?
    #[config(default = true)]
    pub hidden_norm: bool,
    /// A bias in every linear map but the last?
    #[config(default = false)]
    pub hidden_bias: bool,
    /// What follows the last map.
    #[config(default = "OutputNorm::None")]
    pub output_norm: OutputNorm,
    /// A bias in the last map?
    #[config(default = true)]
    pub output_bias: bool,
    /// What follows every map but the last.
    #[config(default = "Activation::Relu")]
    pub activation: Activation,
}

impl MlpHeadConfig {
    /// SimCLR (Chen et al. 2020, section 4.2): linear, batch norm, ReLU, linear; hidden width as the input, 128 out. Three
    /// layers in SimCLR v2.
    pub fn simclr(input: usize) -> Self {
        Self::new(input, input, 128)
    }

    /// MoCo v2 (Chen et al. 2020): linear, ReLU, linear with biases and no batch norm; hidden width as the input, 128 out.
    pub fn moco_v2(input: usize) -> Self {
        Self::new(input, input, 128).with_hidden_norm(false).with_hidden_bias(true)
    }

    /// SwAV (Caron et al. 2020): linear, batch norm, ReLU, linear; 2048 hidden, 128 out.
    pub fn swav(input: usize) -> Self {
        Self::new(input, 2048, 128).with_hidden_bias(true)
    }

    /// SimSiam's projector (Chen and He 2021): three linear maps without bias, each with a batch norm, the last one without
    /// scale and shift; `width` hidden and out (paper: 2048).
    pub fn simsiam_projector(input: usize, width: usize) -> Self {
        Self::new(input, width, width).with_layers(3).with_output_norm(OutputNorm::Plain).with_output_bias(false)
    }

    /// SimSiam's predictor: a bottleneck of a quarter of `width` (paper: 2048 to 512 and back).
    pub fn simsiam_predictor(width: usize) -> Self {
        Self::new(width, width / 4, width)
    }

    /// BYOL's projector (Grill et al. 2020): linear, batch norm, ReLU, linear without bias; 4096 hidden, 256 out.
    pub fn byol_projector(input: usize) -> Self {
        Self::new(input, 4096, 256).with_hidden_bias(true).with_output_bias(false)
    }

    /// BYOL's predictor: the same on the projections.
    pub fn byol_predictor() -> Self {
        Self::byol_projector(256)
    }

    /// Another width between the maps.
    pub fn with_hidden(mut self, hidden: usize) -> Self {
        self.hidden = hidden;
        self
    }

    /// Another width of the rows that leave.
    pub fn with_output(mut self, output: usize) -> Self {
        self.output = output;
        self
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// When a width is 0, or there is no layer.
    pub fn validate(&self) -> Result<(), HeadError> {
        let hidden = if self.layers == 1 { 1 } else { self.hidden };
        at_least(&[
            ("input width", self.input, 1),
            ("hidden width", hidden, 1),
            ("output width", self.output, 1),
            ("layers", self.layers, 1),
        ])
    }

    /// The head on a device, of that device's float type unless one is given (`(&device, DType::F64)`). Weights and biases
    /// are uniform in `[-1, 1] / sqrt(inputs of the map)`.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, seed: u64, on: impl Into<TensorCreationOptions>) -> Result<MlpHead, HeadError> {
        self.build(Seeded::new(seed, on), |seeded, from, to, bias| seeded.linear(from, to, bias))
    }

    /// The head with linear maps of the caller's making.
    pub(super) fn build(
        &self,
        mut seeded: Seeded,
        linear: impl Fn(&mut Seeded, usize, usize, bool) -> Linear,
    ) -> Result<MlpHead, HeadError> {
        self.validate()?;
        let (mut maps, mut norms) = (Vec::new(), Vec::new());
        for layer in 0..self.layers {
            let last = layer + 1 == self.layers;
            let from = if layer == 0 { self.input } else { self.hidden };
            let to = if last { self.output } else { self.hidden };
            maps.push(linear(&mut seeded, from, to, if last { self.output_bias } else { self.hidden_bias }));
            let affine = !last || self.output_norm == OutputNorm::Affine;
            let norm = if last { self.output_norm != OutputNorm::None } else { self.hidden_norm };
            norms.push(norm.then(|| seeded.batch_norm(to, affine)));
        }
        Ok(MlpHead { maps, norms, gelu: self.activation == Activation::Gelu })
    }
}

/// A head of linear maps; see [`MlpHeadConfig`].
#[derive(Module, Debug)]
pub struct MlpHead {
    /// The linear maps, first to last.
    pub maps: Vec<Linear>,
    /// The batch norm after each map, where there is one.
    pub norms: Vec<Option<BatchNorm>>,
    gelu: bool,
}

impl MlpHead {
    /// Rows through the head.
    ///
    /// # Shapes
    /// - x: `[n, input]`; where there are batch norms in training, a batch of one row becomes their shift
    /// - output: `[n, output]`
    ///
    /// # Panics
    /// When the width of the rows is not that of the input.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let last = self.maps.len() - 1;
        let layers = self.maps.iter().zip(&self.norms).enumerate();
        layers.fold(x, |x, (k, (map, norm))| {
            let x = map.forward(x);
            let x = match norm {
                Some(norm) => norm.forward(x),
                None => x,
            };
            match (k == last, self.gelu) {
                (true, _) => x,
                (false, true) => activation::gelu(x),
                (false, false) => activation::relu(x),
            }
        })
    }
}
