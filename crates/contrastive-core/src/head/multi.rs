//! Several projectors side by side.

use super::{HeadError, MlpHead, MlpHeadConfig, at_least};
use crate::similarity::unit_rows;
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Tensor, TensorCreationOptions};

/// The C projectors of AMCL (Wang et al. 2024): linear, ReLU, linear each, with first weights of their own; equal heads would
/// stay equal.
#[derive(Config, Debug, PartialEq)]
pub struct MultiHeadConfig {
    /// Width of the rows that come in.
    pub input: usize,
    /// Number of heads C, at least 1.
    #[config(default = 3)]
    pub heads: usize,
    /// Hidden width of each.
    #[config(default = 512)]
    pub hidden: usize,
    /// Output width of each.
    #[config(default = 128)]
    pub output: usize,
}

impl MultiHeadConfig {
    fn head(&self) -> MlpHeadConfig {
        MlpHeadConfig::new(self.input, self.hidden, self.output).with_hidden_norm(false).with_hidden_bias(true)
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// When there is no head, or a width is 0.
    pub fn validate(&self) -> Result<(), HeadError> {
        at_least(&[("heads", self.heads, 1)])?;
        self.head().validate()
    }

    /// The heads on a device, of that device's float type unless one is given; head c has the seed `seed + c`.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, seed: u64, on: impl Into<TensorCreationOptions>) -> Result<MultiHead, HeadError> {
        self.validate()?;
        let on = on.into();
        let heads: Result<Vec<_>, _> =
            (0..self.heads).map(|c| self.head().init(seed.wrapping_add(c as u64), on.clone())).collect();
        Ok(MultiHead { heads: heads? })
    }
}

/// See [`MultiHeadConfig`].
#[derive(Module, Debug)]
pub struct MultiHead {
    /// The heads.
    pub heads: Vec<MlpHead>,
}

impl MultiHead {
    /// Rows `[n, input]` through every head, brought to length 1: C times `[n, output]`.
    ///
    /// # Panics
    /// When the width of the rows is not that of the input.
    pub fn forward(&self, x: Tensor<2>) -> Vec<Tensor<2>> {
        self.heads.iter().map(|head| unit_rows(head.forward(x.clone()))).collect()
    }
}
