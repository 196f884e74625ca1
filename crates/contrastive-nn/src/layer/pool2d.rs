//! Pooling over the positions of images, channels last.

use super::image_ops::ImageOps;
use crate::native::is_native;
use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor, TensorData};
use contrastive_kernels::image::{Pooling, Windows};
use std::ops::Range;
use std::sync::Arc;

/// Windows of a pooling with one kernel; pairs are row and column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2dOptions {
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// Rows and columns between two windows.
    pub stride: [usize; 2],
    /// Rows and columns that are thought of at every border, less than the kernel. They never are a maximum.
    pub padding: [usize; 2],
    /// Does a last window count that the image fills in part only?
    pub ceil: bool,
    /// Are positions of the padding counted by the average, as zeros?
    pub count_padding: bool,
}

impl Pool2dOptions {
    /// Square windows side by side, rests left out.
    pub fn square(side: usize) -> Self {
        Self { kernel: [side; 2], stride: [side; 2], padding: [0; 2], ceil: false, count_padding: true }
    }

    /// The pooling of ResNet's ImageNet stem: windows of 3 at stride 2 with a padding of 1.
    pub fn stem() -> Self {
        Self { kernel: [3; 2], stride: [2; 2], padding: [1; 2], ..Self::square(3) }
    }

    /// The windows of an axis, and the numbers that the average divides by.
    fn windows(&self, axis: usize, length: usize) -> Windows {
        let (kernel, stride, padding) = (self.kernel[axis], self.stride[axis], self.padding[axis]);
        assert!(kernel > 0 && stride > 0 && padding < kernel, "pooling with {self:?}");
        let whole = length + 2 * padding;
        assert!(whole >= kernel, "pooling of {length} positions with {self:?}");
        let rest = whole - kernel;
        let mut count = rest / stride + 1;
        // a window that begins in the padding behind the image is none
        if self.ceil && !rest.is_multiple_of(stride) && count * stride < length + padding {
            count += 1;
        }
        let real = |k: usize| {
            let start = k * stride;
            start.saturating_sub(padding)..(start + kernel).saturating_sub(padding).min(length)
        };
        let ranges: Vec<_> = (0..count).map(real).collect();
        let divisors = match self.count_padding {
            // as torch: what lies beyond the padding is not counted
            true => (0..count).map(|k| (k * stride + kernel).min(whole) - k * stride).collect(),
            false => ranges.iter().map(Range::len).collect(),
        };
        Windows { ranges, divisors }
    }
}

/// So many windows that cover an axis, `floor(i length / count) .. ceil((i + 1) length / count)`; they may share positions.
fn covering(length: usize, count: usize) -> Windows {
    assert!(count > 0 && length > 0, "adaptive pooling of {length} positions to {count}");
    let ranges: Vec<_> = (0..count).map(|i| i * length / count..((i + 1) * length).div_ceil(count)).collect();
    let divisors = ranges.iter().map(Range::len).collect();
    Windows { ranges, divisors }
}

/// `[windows, length]`: one over the divisor where a window is.
fn shares(windows: &Windows, length: usize, like: &Tensor<4>) -> Tensor<2> {
    let count = windows.ranges.len();
    let mut shares = vec![0.0f64; count * length];
    for ((row, range), &divisor) in shares.chunks_exact_mut(length).zip(&windows.ranges).zip(&windows.divisors) {
        row[range.clone()].fill(1.0 / divisor as f64);
    }
    let data = TensorData::new(shares, [count, length]).convert_dtype(like.dtype());
    Tensor::from_data(data, (&like.device(), like.dtype()))
}

/// The positions of all windows, each as long as the longest: what a shorter one lacks is its last position again.
fn positions(windows: &Windows, like: &Tensor<4>) -> (Tensor<1, Int>, usize) {
    let longest = windows.ranges.iter().map(Range::len).max().unwrap_or(0);
    let of = |range: &Range<usize>| {
        let last = range.end - 1;
        (range.start..range.start + longest).map(|at| at.min(last) as i32).collect::<Vec<_>>()
    };
    let all: Vec<i32> = windows.ranges.iter().flat_map(of).collect();
    let count = all.len();
    (Tensor::from_data(TensorData::new(all, [count]), &like.device()), longest)
}

fn both(x: &Tensor<4>, options: Pool2dOptions) -> [Windows; 2] {
    let [_, height, width, _] = x.dims();
    [options.windows(0, height), options.windows(1, width)]
}

/// The average of each window and channel.
///
/// # Shapes
/// - x: `[batch, height, width, channels]`
/// - output: `[batch, height', width', channels]`
///
/// # Panics
/// When a window does not fit into the padded image, or the padding is as large as the kernel.
pub fn avg_pool2d(x: Tensor<4>, options: Pool2dOptions) -> Tensor<4> {
    let windows = both(&x, options);
    pool(x, windows, false)
}

/// The maximum of each window and channel; the gradient goes to the first one, row by row.
///
/// # Shapes
/// - x: `[batch, height, width, channels]`
/// - output: `[batch, height', width', channels]`
///
/// # Panics
/// As [`avg_pool2d`].
pub fn max_pool2d(x: Tensor<4>, options: Pool2dOptions) -> Tensor<4> {
    let windows = both(&x, options);
    pool(x, windows, true)
}

/// The average over windows that cover the image, as many as asked for.
///
/// # Shapes
/// - x: `[batch, height, width, channels]`
/// - output: `[batch, size 0, size 1, channels]`
///
/// # Panics
/// When a size is 0.
pub fn adaptive_avg_pool2d(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let windows = adaptive(&x, size);
    pool(x, windows, false)
}

/// The maximum over windows that cover the image, as many as asked for.
///
/// # Shapes
/// - x: `[batch, height, width, channels]`
/// - output: `[batch, size 0, size 1, channels]`
///
/// # Panics
/// When a size is 0.
pub fn adaptive_max_pool2d(x: Tensor<4>, size: [usize; 2]) -> Tensor<4> {
    let windows = adaptive(&x, size);
    pool(x, windows, true)
}

/// The average over all positions: `[batch, height, width, channels]` to `[batch, channels]` (global average pooling).
pub fn mean_positions(x: Tensor<4>) -> Tensor<2> {
    let [batch, _, _, channels] = x.dims();
    adaptive_avg_pool2d(x, [1, 1]).reshape([batch, channels])
}

fn adaptive(x: &Tensor<4>, size: [usize; 2]) -> [Windows; 2] {
    let [_, height, width, _] = x.dims();
    [covering(height, size[0]), covering(width, size[1])]
}

fn pool(x: Tensor<4>, windows: [Windows; 2], largest: bool) -> Tensor<4> {
    if is_native(&x) {
        let ([batch, height, width, channels], [rows, columns]) = (x.dims(), windows);
        let on = Pooling { batch, image: [height, width], channels, rows, columns };
        return Tensor::from_dispatch(Dispatch::image_pool(Arc::new(on), largest, x.into_dispatch()));
    }
    if largest { maximum(x, &windows) } else { average(x, &windows) }
}

/// An average is one product for each axis.
fn average(x: Tensor<4>, [rows, columns]: &[Windows; 2]) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    let (of_rows, of_columns) = (shares(rows, height, &x), shares(columns, width, &x));
    let x = of_rows.unsqueeze::<3>().matmul(x.reshape([batch, height, width * channels]));
    let x = of_columns.unsqueeze::<3>().matmul(x.reshape([batch * rows.ranges.len(), width, channels]));
    x.reshape([batch, rows.ranges.len(), columns.ranges.len(), channels])
}

fn maximum(x: Tensor<4>, [rows, columns]: &[Windows; 2]) -> Tensor<4> {
    let [batch, _, _, channels] = x.dims();
    let ((of_rows, high), (of_columns, wide)) = (positions(rows, &x), positions(columns, &x));
    let x = x.select(1, of_rows).select(2, of_columns);
    let x: Tensor<6> =
        x.reshape([batch, rows.ranges.len(), high, columns.ranges.len(), wide, channels]).permute([0, 1, 3, 2, 4, 5]);
    let x = x.reshape([batch * rows.ranges.len() * columns.ranges.len(), high * wide, channels]).max_dim(1);
    x.reshape([batch, rows.ranges.len(), columns.ranges.len(), channels])
}
