//! Spatial-temporal graph convolutions.

use super::SkeletonGraph;
use crate::SettingError;
use crate::error::Check;
use crate::init::{self, Initial};
use crate::layer::{Conv1d, Conv1dConfig, Linear, LinearConfig, Padding, RowNorm};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorCreationOptions, activation};
use rand_chacha::ChaCha8Rng;

/// Settings of [`StGcn`]; the defaults are the ten layers of Yan et al. (2018) as UniMTS has them.
#[derive(Config, Debug, PartialEq)]
pub struct StGcnConfig {
    /// Channels of a joint, C.
    pub channels: usize,
    /// Channels after each layer.
    #[config(default = "vec![64, 64, 64, 64, 128, 128, 128, 256, 256, 512]")]
    pub widths: Vec<usize>,
    /// Steps between two outputs of each layer.
    #[config(default = "vec![1, 1, 1, 1, 2, 1, 1, 2, 1, 1]")]
    pub strides: Vec<usize>,
    /// Taps of the convolutions over time, odd.
    #[config(default = 9)]
    pub taps: usize,
}

impl StGcnConfig {
    /// Four layers of width 32, the first of stride 4: 60 times fewer products than the ten.
    pub fn small(channels: usize) -> Self {
        Self::new(channels).with_widths(vec![32; 4]).with_strides(vec![4, 1, 1, 1])
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// When one is 0, there are not as many strides as widths, or the taps are even.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("st-gcn");
        check.count("channels", self.channels)?;
        check.count("number of widths", self.widths.len())?;
        let (strides, widths) = (self.strides.len(), self.widths.len());
        check.that(strides == widths, "number of strides", strides, format!("that of the widths, {widths}"))?;
        self.widths.iter().try_for_each(|&width| check.count("width", width))?;
        self.strides.iter().try_for_each(|&stride| check.count("stride", stride))?;
        check.that(self.taps % 2 == 1, "taps", self.taps, "odd")
    }

    /// The net on a graph of joints.
    ///
    /// # Errors
    /// As [`validate`](Self::validate).
    pub fn init(
        &self,
        graph: &SkeletonGraph,
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<StGcn, SettingError> {
        self.validate()?;
        let (on, mut input) = (on.into(), self.channels);
        let norm = RowNorm::new(graph.joints() * self.channels, on.clone())?;
        let mut blocks = Vec::new();
        for (layer, (&width, &stride)) in self.widths.iter().zip(&self.strides).enumerate() {
            let skip = match layer {
                0 => Skip::None,
                _ if width == input && stride == 1 => Skip::Identity,
                _ => Skip::Convolved,
            };
            blocks.push(StGcnBlock::new([input, width], self.taps, stride, skip, graph, rng, on.clone())?);
            input = width;
        }
        Ok(StGcn { norm, blocks, graph: graph.clone() })
    }
}

/// What is added to the output of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// Nothing.
    None,
    /// Its input.
    Identity,
    /// Its input through a convolution of one tap and a batch norm.
    Convolved,
}

/// The way of [`Skip::Convolved`].
#[derive(Module, Debug)]
pub struct SkipMap {
    /// One tap.
    pub map: Conv1d,
    /// Behind it.
    pub norm: RowNorm,
}

/// A layer: a graph convolution, then one over time, each joint's for itself.
///
/// ```text
/// y_w = sum_k sum_v (W_k x_v + b_k) A_k[v, w] M_k[v, w]
/// output = relu(norm(conv(relu(norm(y)))) + skip)
/// ```
#[derive(Module, Debug)]
pub struct StGcnBlock {
    /// `[C, K C']`: `W_k` beside each other.
    pub spatial: Linear,
    /// `[K, V, V]`: M, from ones on.
    pub importance: Param<Tensor<3>>,
    /// Before the convolution over time.
    pub inner: RowNorm,
    /// Over time.
    pub temporal: Conv1d,
    /// Behind it.
    pub outer: RowNorm,
    /// For [`Skip::Convolved`].
    pub skip_map: Option<SkipMap>,
    #[module(skip)]
    identity: bool,
}

impl StGcnBlock {
    /// A block from `widths[0]` to `widths[1]` channels.
    ///
    /// # Errors
    /// When a number is 0, or [`Skip::Identity`] meets other widths or a stride.
    pub fn new(
        widths: [usize; 2],
        taps: usize,
        stride: usize,
        skip: Skip,
        graph: &SkeletonGraph,
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<Self, SettingError> {
        let ([input, output], on) = (widths, on.into());
        let (parts, joints) = (graph.parts(), graph.joints());
        let fits = skip != Skip::Identity || (input == output && stride == 1);
        Check::new("st-gcn block").that(fits, "skip", "identity", "used where neither width nor length changes")?;
        let spatial = LinearConfig::new(input, parts * output).with_initial(Initial::FanIn);
        let skip_map = match skip {
            Skip::Convolved => {
                let map = Conv1dConfig::new(input, output, 1).with_stride(stride).with_padding(Padding::Valid);
                Some(SkipMap { map: map.init(rng, on.clone())?, norm: RowNorm::new(output, on.clone())? })
            }
            _ => None,
        };
        Ok(Self {
            spatial: spatial.init(rng, on.clone())?,
            importance: init::constant(1.0, [parts, joints, joints], on.clone()),
            inner: RowNorm::new(output, on.clone())?,
            temporal: Conv1dConfig::new(output, output, taps).with_stride(stride).init(rng, on.clone())?,
            outer: RowNorm::new(output, on)?,
            skip_map,
            identity: skip == Skip::Identity,
        })
    }

    /// The graph convolution alone: joints first, so that one product mixes them for all series and steps.
    fn mixed(&self, x: Tensor<4>, adjacency: Tensor<3>) -> Tensor<4> {
        let [v, b, t, c] = x.dims();
        let [parts, _, _] = adjacency.dims();
        let output = self.spatial.shape()[1] / parts;
        // into [K, to, from], once for all
        let weights = (adjacency * self.importance.val()).swap_dims(1, 2);
        let rows: Tensor<2> = x.reshape([v, b * t * c]);
        let matrix = self.spatial.weight.val();
        let mut sum: Option<Tensor<2>> = None;
        for k in 0..parts {
            let to_from: Tensor<2> = weights.clone().slice([k..k + 1, 0..v, 0..v]).reshape([v, v]);
            let moved = to_from.matmul(rows.clone()).reshape([v * b * t, c]);
            let part = moved.matmul(matrix.clone().narrow(1, k * output, output));
            sum = Some(match sum {
                Some(sum) => sum + part,
                None => part,
            });
        }
        let mut sum: Tensor<4> = sum.expect("a part").reshape([v, b, t, output]);
        if let Some(bias) = &self.spatial.bias {
            let arriving: Tensor<2> = weights.sum_dim(2).reshape([parts, v]).transpose();
            let bias = arriving.matmul(bias.val().reshape([parts, output]));
            sum = sum + bias.reshape([v, 1, 1, output]);
        }
        sum
    }

    /// # Shapes
    /// - x: `[V, B, T, C]`, joints first
    /// - adjacency: `[K, V, V]` ([`SkeletonGraph::tensor`])
    /// - output: `[V, B, T', C']`, T' the steps at the stride
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn forward(&self, x: Tensor<4>, adjacency: Tensor<3>) -> Tensor<4> {
        let [v, b, t, c] = x.dims();
        assert_eq!(adjacency.dims(), self.importance.val().dims(), "the shapes of adjacency and importance");
        let mixed = self.mixed(x.clone(), adjacency);
        let output = mixed.dims()[3];
        let inner = activation::relu(self.inner.forward(mixed)).reshape([v * b, t, output]);
        let mut out = self.outer.forward(self.temporal.forward(inner));
        let series = || x.clone().reshape([v * b, t, c]);
        match &self.skip_map {
            Some(skip) => out = out + skip.norm.forward(skip.map.forward(series())),
            None if self.identity => out = out + series(),
            None => {}
        }
        let steps = out.dims()[1];
        activation::relu(out).reshape([v, b, steps, output])
    }
}

/// A spatial-temporal graph convolutional net (ST-GCN, Yan et al. 2018): batch norm over joints and channels, blocks, the mean over joints
/// and time.
#[derive(Module, Debug)]
pub struct StGcn {
    /// Of the input, over `V C` columns.
    pub norm: RowNorm,
    /// From the input to the output.
    pub blocks: Vec<StGcnBlock>,
    #[module(skip)]
    graph: SkeletonGraph,
}

impl StGcn {
    /// The joints and their parts.
    pub fn graph(&self) -> &SkeletonGraph {
        &self.graph
    }

    /// Width of the output, D.
    pub fn width(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.outer.gain.val().dims()[0])
    }

    /// # Shapes
    /// - x: `[B, T, V, C]`
    /// - output: `[B, D]`
    ///
    /// # Panics
    /// When joints or channels differ.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let [b, t, v, c] = x.dims();
        assert_eq!(v, self.graph.joints(), "joints of series [{b}, {t}, {v}, {c}]");
        let x: Tensor<4> = self.norm.forward(x.reshape([b * t, v * c])).reshape([b, t, v, c]);
        let adjacency = self.graph.tensor(&x);
        let first = x.permute([2, 0, 1, 3]);
        let out = self.blocks.iter().fold(first, |x, block| block.forward(x, adjacency.clone()));
        let width = out.dims()[3];
        out.mean_dim(0).mean_dim(2).reshape([b, width])
    }
}
