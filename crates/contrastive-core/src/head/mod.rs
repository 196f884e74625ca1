//! What stands between an encoder and an objective: projection and prediction heads, prototypes, a whitening layer.
//!
//! Every head draws its first weights from an explicit seed, in the order of its layers, and is evaluated (batch statistics
//! replaced by running ones) where Burn evaluates: outside autodiff, or when frozen. Downstream tasks read the encoder, not
//! the head.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use contrastive_core::head::MlpHeadConfig;
//!
//! let device = Device::default().autodiff();
//! let projector = MlpHeadConfig::simclr(512).init(7, &device)?;
//! let rows = Tensor::<2>::ones([4, 512], &device);
//! assert_eq!(projector.forward(rows).dims(), [4, 128]);
//! # Ok::<(), contrastive_core::head::HeadError>(())
//! ```

mod dino;
mod mlp;
mod multi;
mod prototypes;
pub(crate) mod seeded;
mod whitening;

pub use dino::{DinoHead, DinoHeadConfig};
pub use mlp::{Activation, MlpHead, MlpHeadConfig, OutputNorm};
pub use multi::{MultiHead, MultiHeadConfig};
pub use prototypes::Prototypes;
pub use whitening::WhiteningLayer;

use thiserror::Error;

/// Settings that no head can be built from.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum HeadError {
    /// A width or a number of layers, heads, prototypes or classes that is too small.
    #[error("{name} {value}: at least {least} is needed")]
    Size {
        /// What the number is.
        name: &'static str,
        /// The number.
        value: usize,
        /// The smallest that is allowed.
        least: usize,
    },
    /// A number outside the interval it may come from.
    #[error("{name} {value}: it must lie in {allowed}")]
    Outside {
        /// What the number is.
        name: &'static str,
        /// The number.
        value: f64,
        /// The interval.
        allowed: &'static str,
    },
    /// Columns that do not fall into groups of one size.
    #[error("{columns} columns do not fall into {groups} groups of one size")]
    Groups {
        /// Columns.
        columns: usize,
        /// Groups.
        groups: usize,
    },
}

/// `Ok` when every number reaches its least value.
pub(crate) fn at_least(sizes: &[(&'static str, usize, usize)]) -> Result<(), HeadError> {
    match sizes.iter().find(|(_, value, least)| value < least) {
        Some(&(name, value, least)) => Err(HeadError::Size { name, value, least }),
        None => Ok(()),
    }
}
