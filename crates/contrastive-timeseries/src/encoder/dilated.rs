//! TS2Vec's net: residual blocks of dilated convolutions.

use super::Steps;
use crate::data::{SeriesError, check};
use burn::config::Config;
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use contrastive_nn::Pass;
use contrastive_nn::init::Initial;
use contrastive_nn::layer::{Conv1d, Conv1dConfig, Linear, LinearConfig, Padding, dropout, gelu};
use rand_chacha::ChaCha8Rng;

/// Settings of [`DilatedNet`]; the defaults are those of the paper's experiments.
#[derive(Config, Debug, PartialEq)]
pub struct DilatedNetConfig {
    /// Width of the representation, D.
    #[config(default = 320)]
    pub output: usize,
    /// Width of the blocks, H.
    #[config(default = 64)]
    pub hidden: usize,
    /// Blocks of width H; one of width D follows. Block i has dilation `2^i`.
    #[config(default = 10)]
    pub depth: usize,
    /// Share of the output that is dropped in training.
    #[config(default = 0.1)]
    pub dropout: f64,
}

impl DilatedNetConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`SeriesError::Setting`] naming the first one outside of its range.
    pub fn validate(&self) -> Result<(), SeriesError> {
        let of = "dilated net";
        check(of, "output", self.output, self.output > 0, "at least 1")?;
        check(of, "hidden", self.hidden, self.hidden > 0, "at least 1")?;
        check(of, "depth", self.depth, self.depth <= 20, "at most 20: dilations double")?;
        check(of, "dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "in [0, 1)")
    }

    /// A net for series of so many channels, with weights as PyTorch draws them, from this generator.
    ///
    /// # Errors
    /// As [`validate`](Self::validate), and for 0 channels.
    pub fn init(&self, channels: usize, rng: &mut ChaCha8Rng, device: &Device) -> Result<DilatedNet, SeriesError> {
        self.validate()?;
        check("dilated net", "channels", channels, channels > 0, "at least 1")?;
        let linear = |input, output, rng: &mut ChaCha8Rng| {
            let config = LinearConfig::new(input, output).with_initial(Initial::FanIn);
            config.init(rng, device).expect("checked widths")
        };
        let conv = |input, output, dilation, rng: &mut ChaCha8Rng| {
            let config = Conv1dConfig::new(input, output, 3).with_dilation(dilation);
            config.init(rng, device).expect("checked widths")
        };
        let projection = linear(channels, self.hidden, rng);
        let blocks = (0..=self.depth).map(|i| {
            let (last, dilation) = (i == self.depth, 1 << i);
            let output = if last { self.output } else { self.hidden };
            Block {
                conv1: conv(self.hidden, output, dilation, rng),
                conv2: conv(output, output, dilation, rng),
                skip: last.then(|| linear(self.hidden, output, rng)),
            }
        });
        Ok(DilatedNet { projection, blocks: blocks.collect(), dropout: self.dropout })
    }
}

/// `conv2(gelu(conv1(gelu(x)))) + skip(x)`.
#[derive(Module, Debug)]
pub struct Block {
    /// To the width of the block.
    pub conv1: Conv1d,
    /// Of that width.
    pub conv2: Conv1d,
    /// In the last block; the others add x itself.
    pub skip: Option<Linear>,
}

impl Block {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let inner = self.conv2.forward(gelu(self.conv1.forward(gelu(x.clone()))));
        match &self.skip {
            Some(skip) => inner + skip.forward(x),
            None => inner + x,
        }
    }

    /// The block at every second step, the last one among them, of steps that lie `dilation` apart.
    fn decimated(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, n, h] = x.dims();
        let inner = gelu(self.conv1.forward_with(gelu(x.clone()), 1, 1, Padding::Same));
        let first = (n - 1) % 2;
        let inner = self.conv2.forward_with(inner, 1, 2, Padding::Explicit(1 - first, 1));
        let count = inner.dims()[1];
        let kept: Tensor<3> = match (first, n) {
            (0, 1) => x,
            // pairs that end with a kept step, the first kept one being alone where their number is odd
            (1, _) => x.reshape([b, count, 2, h]).slice([0..b, 0..count, 1..2, 0..h]).reshape([b, count, h]),
            _ => {
                let start = x.clone().slice([0..b, 0..1, 0..h]);
                let rest = x.slice([0..b, 1..n, 0..h]).reshape([b, count - 1, 2, h]);
                Tensor::cat(vec![start, rest.slice([0..b, 0..count - 1, 1..2, 0..h]).reshape([b, count - 1, h])], 1)
            }
        };
        match &self.skip {
            Some(skip) => inner + skip.forward(kept),
            None => inner + kept,
        }
    }
}

/// The encoder of TS2Vec (Yue et al. 2022): a linear map of each step, masked steps set to 0 after it, then `depth + 1` blocks of two
/// convolutions of three taps whose dilation doubles from block to block. Not normalised; not causal.
///
/// Taps outside of the series are never multiplied: of a window of 201 steps the net of the paper costs 57.7 million multiply-adds instead of
/// 127.6.
#[derive(Module, Debug)]
pub struct DilatedNet {
    /// Of each step.
    pub projection: Linear,
    /// Dilations 1, 2, 4, ...
    pub blocks: Vec<Block>,
    #[module(skip)]
    dropout: f64,
}

impl DilatedNet {
    /// Channels of the input.
    pub fn channels(&self) -> usize {
        self.projection.shape()[0]
    }

    /// Width of the output.
    pub fn width(&self) -> usize {
        self.blocks.last().and_then(|block| block.skip.as_ref()).map_or(0, |skip| skip.shape()[1])
    }

    /// How far an output looks to either side: `2 (2^(depth + 1) - 1)` steps.
    pub fn reach(&self) -> usize {
        2 * ((1 << self.blocks.len()) - 1)
    }

    fn projected(&self, x: &Steps) -> Tensor<3> {
        let [b, t, f] = x.dims();
        assert_eq!(f, self.channels(), "series [{b}, {t}, {f}] for a net of {} channels", self.channels());
        let h = self.projection.forward(x.values.clone());
        match &x.seen {
            Some(seen) => h * seen.clone(),
            None => h,
        }
    }

    /// # Shapes
    /// - x: `[B, T, F]`
    /// - output: `[B, T, D]`
    ///
    /// # Panics
    /// When the channels differ.
    pub fn forward(&self, x: &Steps, pass: &mut Pass) -> Tensor<3> {
        let h = self.blocks.iter().fold(self.projected(x), |h, block| block.forward(h));
        dropout(h, self.dropout, pass)
    }

    /// The representation of the last step of each series alone, `[B, D]`, without dropout: the numbers that
    /// [`forward`](Self::forward) gives there, from the cone of steps that they depend on. Block i is needed at every `2^(i+1)`-th step
    /// from the end: 7.5 instead of 127.6 million multiply-adds for a window of 201 steps.
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn last(&self, x: &Steps) -> Tensor<2> {
        let h = self.blocks.iter().fold(self.projected(x), |h, block| block.decimated(h));
        let [b, n, d] = h.dims();
        h.slice([0..b, n - 1..n, 0..d]).reshape([b, d])
    }
}
