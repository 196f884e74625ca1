//! Encoders of series: `[B, T, F]` to `[B, T, D]`, a vector for each time step.
//!
//! | encoder | of |
//! |---|---|
//! | [`DilatedNet`] | TS2Vec and COMET |
//! | [`TrendNet`] | AutoTCL |
//!
//! [`ClipEncoder`] (HaLP) gives a vector for a whole series instead; [`WordTable`] one for a text (UniMTS, whose signals go through
//! [`StGcn`](contrastive_nn::encoder::StGcn)).

mod clip;
mod dilated;
mod infer;
mod steps;
mod trend;
mod words;

pub(crate) use clip::clips;
pub use clip::{ClipEncoder, ClipEncoderConfig, ClipNet, embed_clips};
pub use dilated::{Block, DilatedNet, DilatedNetConfig};
pub use infer::{Pooling, embed, embed_windows, last_steps, pooled};
pub use steps::Steps;
pub use trend::TrendNet;
pub use words::{Vocabulary, WordTable};

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;
use contrastive_nn::Pass;

/// What a method asks of an encoder of series.
pub trait SeriesEncoder: Module + ModuleDisplay {
    /// Channels of the input.
    fn channels(&self) -> usize;

    /// Width of the output, D.
    fn width(&self) -> usize;

    /// # Shapes
    /// - x: `[B, T, F]`
    /// - output: `[B, T, D]`
    ///
    /// # Panics
    /// When the channels differ.
    fn forward(&self, x: &Steps, pass: &mut Pass) -> Tensor<3>;

    /// The representation of the last step of each series, `[B, D]`, without dropout.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    fn last(&self, x: &Steps) -> Tensor<2> {
        let h = self.forward(x, &mut Pass::evaluation());
        let [b, t, d] = h.dims();
        h.slice([0..b, t - 1..t, 0..d]).reshape([b, d])
    }
}

impl SeriesEncoder for DilatedNet {
    fn channels(&self) -> usize {
        DilatedNet::channels(self)
    }

    fn width(&self) -> usize {
        DilatedNet::width(self)
    }

    fn forward(&self, x: &Steps, pass: &mut Pass) -> Tensor<3> {
        DilatedNet::forward(self, x, pass)
    }

    fn last(&self, x: &Steps) -> Tensor<2> {
        DilatedNet::last(self, x)
    }
}
