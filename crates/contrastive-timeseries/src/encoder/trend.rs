//! AutoTCL's encoder: the dilated net and causal averages of its output.

use super::{DilatedNet, DilatedNetConfig, SeriesEncoder, Steps};
use crate::data::{SeriesError, check};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_nn::Pass;
use contrastive_nn::layer::{Conv1d, Conv1dConfig, Conv1dOptions, Padding, conv1d};
use rand_chacha::ChaCha8Rng;

/// The dilated net followed by the mean of causal convolutions of 1, 2, 4, ... taps of its output (the trend branch of CoST, Woo et al.
/// 2022, as AutoTCL uses it). The mean of the eight is one convolution of 128 taps, and is computed as one: half the products.
#[derive(Module, Debug)]
pub struct TrendNet {
    /// Before the trend.
    pub net: DilatedNet,
    /// Of 1, 2, 4, ... taps.
    pub trends: Vec<Conv1d>,
}

impl TrendNet {
    /// With `kernels` convolutions, of 1 to `2^(kernels - 1)` taps (paper: 8, up to 128).
    ///
    /// # Errors
    /// As [`DilatedNetConfig::init`], and when there are no kernels or more than 12.
    pub fn init(
        config: &DilatedNetConfig,
        kernels: usize,
        channels: usize,
        rng: &mut ChaCha8Rng,
        device: &Device,
    ) -> Result<Self, SeriesError> {
        check("trend net", "kernels", kernels, (1..=12).contains(&kernels), "from 1 to 12")?;
        let net = config.init(channels, rng, device)?;
        let width = config.output;
        let trend = |k: usize| {
            let config = Conv1dConfig::new(width, width, 1 << k).with_padding(Padding::Causal);
            config.init(rng, device).expect("checked widths")
        };
        Ok(Self { net, trends: (0..kernels).map(trend).collect() })
    }

    /// The mean of the branches, one by one: the definition.
    pub fn branches(&self, h: Tensor<3>) -> Tensor<3> {
        let share = 1.0 / self.trends.len() as f64;
        let each = self.trends.iter().map(|trend| trend.forward(h.clone()));
        each.reduce(|a, b| a + b).expect("at least one kernel") * share
    }

    /// The mean of the branches as one convolution.
    pub fn trend(&self, h: Tensor<3>) -> Tensor<3> {
        let share = 1.0 / self.trends.len() as f64;
        let longest = 1usize << (self.trends.len() - 1);
        let mut weight: Option<Tensor<3>> = None;
        let mut bias: Option<Tensor<1>> = None;
        for trend in &self.trends {
            let own = trend.weight.val();
            let [taps, d, e] = own.dims();
            // the last tap is the step itself in all of them
            let own = match longest - taps {
                0 => own,
                more => {
                    let zeros = Tensor::<3>::zeros([more, d, e], (&own.device().inner(), own.dtype()));
                    let zeros = if own.is_autodiff() { Tensor::from_inner(zeros) } else { zeros };
                    Tensor::cat(vec![zeros, own], 0)
                }
            };
            weight = Some(weight.map_or(own.clone(), |sum| sum + own));
            if let Some(own) = &trend.bias {
                bias = Some(bias.map_or(own.val(), |sum| sum + own.val()));
            }
        }
        let weight = weight.expect("at least one kernel") * share;
        let options = Conv1dOptions { padding: Padding::Causal, ..Conv1dOptions::default() };
        conv1d(h, weight, bias.map(|bias| bias * share), options)
    }
}

impl SeriesEncoder for TrendNet {
    fn channels(&self) -> usize {
        self.net.channels()
    }

    fn width(&self) -> usize {
        self.net.width()
    }

    fn forward(&self, x: &Steps, pass: &mut Pass) -> Tensor<3> {
        self.trend(self.net.forward(x, pass))
    }
}
