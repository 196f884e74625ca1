//! Rows of a table by index.

use crate::error::Check;
use crate::{SettingError, init::Initial};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorCreationOptions, TensorData};
use contrastive_core::linear::gather_rows;
use rand_chacha::ChaCha8Rng;

/// Settings of [`Embedding`].
#[derive(Config, Debug, PartialEq)]
pub struct EmbeddingConfig {
    /// Rows of the table.
    pub rows: usize,
    /// Their width.
    pub width: usize,
    /// The row that starts as zeros and never gets a gradient.
    #[config(default = "None")]
    pub padding: Option<usize>,
    /// How the others start.
    #[config(default = "Initial::Normal(0.02)")]
    pub initial: Initial,
}

impl EmbeddingConfig {
    /// Checks the sizes.
    ///
    /// # Errors
    /// When one is 0, or the padding row is not in the table.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("embedding");
        check.count("rows", self.rows)?;
        check.count("width", self.width)?;
        let padding = self.padding.unwrap_or(0);
        check.that(padding < self.rows, "padding row", padding, format!("below the number of rows {}", self.rows))
    }

    /// The table.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(&self, rng: &mut ChaCha8Rng, on: impl Into<TensorCreationOptions>) -> Result<Embedding, SettingError> {
        self.validate()?;
        let on = on.into();
        let mut weight = self.initial.tensor([self.rows, self.width], [self.rows, self.width], rng, on.clone());
        if let Some(row) = self.padding {
            weight = weight.slice_assign([row..row + 1, 0..self.width], Tensor::zeros([1, self.width], on));
        }
        Ok(Embedding { weight: Param::from_tensor(weight), padding: self.padding })
    }
}

/// A table of which a step takes some rows. The gradient of a row is the sum over the places where it was taken, in their order.
#[derive(Module, Debug)]
pub struct Embedding {
    /// `[rows, width]`.
    pub weight: Param<Tensor<2>>,
    padding: Option<usize>,
}

impl Embedding {
    /// The rows of these ids. The padding row is read like any other, but its gradient is 0.
    ///
    /// # Shapes
    /// - output: `[ids.len(), width]`
    ///
    /// # Panics
    /// When an id is not below the number of rows.
    pub fn forward(&self, ids: &[u32]) -> Tensor<2> {
        let rows = gather_rows(self.weight.val(), ids);
        match self.padding.filter(|&padding| ids.contains(&(padding as u32))) {
            None => rows,
            Some(padding) => {
                let learns: Vec<f32> = ids.iter().map(|&id| f32::from(u8::from(id as usize != padding))).collect();
                let learns = TensorData::new(learns, [ids.len(), 1]);
                let learns = Tensor::from_data(learns, (&rows.device(), rows.dtype()));
                rows.clone() * learns.clone() + rows.detach() * (-learns + 1.0)
            }
        }
    }
}
