//! DINO's head: a bottleneck, unit length, and a wide map of unit columns.

use super::seeded::Seeded;
use super::{Activation, HeadError, MlpHead, MlpHeadConfig, at_least};
use crate::similarity::unit_rows;
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorCreationOptions};

/// The head of DINO (Caron et al. 2021, appendix C): linear maps with GELU to a bottleneck, length 1, then a linear map without
/// bias whose columns are weight-normalised. Weights start normal with deviation 0.02, biases at 0.
#[derive(Config, Debug, PartialEq)]
pub struct DinoHeadConfig {
    /// Width of the rows that come in.
    pub input: usize,
    /// Number of outputs K.
    #[config(default = 65536)]
    pub output: usize,
    /// Width between the maps.
    #[config(default = 2048)]
    pub hidden: usize,
    /// Width of the bottleneck.
    #[config(default = 256)]
    pub bottleneck: usize,
    /// Linear maps up to the bottleneck.
    #[config(default = 3)]
    pub layers: usize,
    /// Batch norms between them?
    #[config(default = false)]
    pub hidden_norm: bool,
    /// Do the columns of the last map stay at length 1, instead of a trained length each?
    #[config(default = true)]
    pub unit_output: bool,
}

impl DinoHeadConfig {
    fn mlp(&self) -> MlpHeadConfig {
        MlpHeadConfig::new(self.input, self.hidden, self.bottleneck)
            .with_layers(self.layers)
            .with_hidden_norm(self.hidden_norm)
            .with_hidden_bias(true)
            .with_activation(Activation::Gelu)
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// When a width is 0, or there is no layer.
    pub fn validate(&self) -> Result<(), HeadError> {
        at_least(&[("outputs", self.output, 1)])?;
        self.mlp().validate()
    }

    /// The head on a device, of that device's float type unless one is given.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, seed: u64, on: impl Into<TensorCreationOptions>) -> Result<DinoHead, HeadError> {
        self.validate()?;
        let on = on.into();
        let mlp = self.mlp().build(Seeded::new(seed, on.clone()), |s, from, to, _| s.normal_linear(from, to, 0.02))?;
        // a stream of its own, so that the widths before it do not matter
        let mut seeded = Seeded::new(seed ^ 0xD1_40, on.clone());
        let directions = Param::from_tensor(seeded.normal([self.output, self.bottleneck], 0.02));
        let lengths = (!self.unit_output).then(|| Param::from_tensor(Tensor::<2>::ones([1, self.output], on)));
        Ok(DinoHead { mlp, directions, lengths })
    }
}

/// See [`DinoHeadConfig`].
#[derive(Module, Debug)]
pub struct DinoHead {
    /// Up to the bottleneck.
    pub mlp: MlpHead,
    /// `[K, bottleneck]`: the directions of the last map's columns.
    pub directions: Param<Tensor<2>>,
    /// `[1, K]`: their lengths, where they are trained.
    pub lengths: Option<Param<Tensor<2>>>,
}

impl DinoHead {
    /// Rows through the head.
    ///
    /// # Shapes
    /// - x: `[n, input]`
    /// - output: `[n, K]`: cosines of bottleneck and columns, times the columns' lengths
    ///
    /// # Panics
    /// When the width of the rows is not that of the input.
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.through(x, |t| t)
    }

    /// The same without a gradient of the last map, as during the first epoch of DINO's training.
    ///
    /// # Panics
    /// When the width of the rows is not that of the input.
    pub fn forward_with_fixed_output(&self, x: Tensor<2>) -> Tensor<2> {
        self.through(x, Tensor::detach)
    }

    fn through(&self, x: Tensor<2>, last: impl Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2> {
        let columns = unit_rows(last(self.directions.val()));
        let scores = unit_rows(self.mlp.forward(x)).matmul(columns.transpose());
        match &self.lengths {
            Some(lengths) => scores * last(lengths.val()),
            None => scores,
        }
    }
}
