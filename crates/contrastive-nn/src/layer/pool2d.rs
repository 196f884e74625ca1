//! Pooling over the positions of images, channels last.

use burn::tensor::{Int, Tensor, TensorData};
use std::ops::Range;

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

/// The windows along an axis.
#[derive(Clone, Debug)]
struct Windows {
    ranges: Vec<Range<usize>>,
    divisors: Vec<usize>,
}

impl Windows {
    /// So many windows that cover an axis, `floor(i length / count) .. ceil((i + 1) length / count)`; they may share positions.
    fn adaptive(length: usize, count: usize) -> Self {
        assert!(count > 0 && length > 0, "adaptive pooling of {length} positions to {count}");
        let ranges: Vec<_> = (0..count).map(|i| i * length / count..((i + 1) * length).div_ceil(count)).collect();
        let divisors = ranges.iter().map(Range::len).collect();
        Self { ranges, divisors }
    }

    fn len(&self) -> usize {
        self.ranges.len()
    }

    /// `[windows, length]`: one over the divisor where a window is.
    fn shares(&self, length: usize, like: &Tensor<4>) -> Tensor<2> {
        let mut shares = vec![0.0f64; self.len() * length];
        for ((row, range), &divisor) in shares.chunks_exact_mut(length).zip(&self.ranges).zip(&self.divisors) {
            row[range.clone()].fill(1.0 / divisor as f64);
        }
        let data = TensorData::new(shares, [self.len(), length]).convert_dtype(like.dtype());
        Tensor::from_data(data, (&like.device(), like.dtype()))
    }

    /// The positions of all windows, each as long as the longest: what a shorter one lacks is its last position again.
    fn positions(&self, like: &Tensor<4>) -> (Tensor<1, Int>, usize) {
        let longest = self.ranges.iter().map(Range::len).max().unwrap_or(0);
        let of = |range: &Range<usize>| {
            let last = range.end - 1;
            (range.start..range.start + longest).map(|at| at.min(last) as i32).collect::<Vec<_>>()
        };
        let all: Vec<i32> = self.ranges.iter().flat_map(of).collect();
        let count = all.len();
        (Tensor::from_data(TensorData::new(all, [count]), &like.device()), longest)
    }
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
    average(x, &windows)
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
    maximum(x, &windows)
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
    average(x, &windows)
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
    maximum(x, &windows)
}

/// The average over all positions: `[batch, height, width, channels]` to `[batch, channels]` (global average pooling).
pub fn mean_positions(x: Tensor<4>) -> Tensor<2> {
    let [batch, height, width, channels] = x.dims();
    x.reshape([batch, height * width, channels]).mean_dim(1).reshape([batch, channels])
}

fn adaptive(x: &Tensor<4>, size: [usize; 2]) -> [Windows; 2] {
    let [_, height, width, _] = x.dims();
    [Windows::adaptive(height, size[0]), Windows::adaptive(width, size[1])]
}

/// An average is one product for each axis.
fn average(x: Tensor<4>, [rows, columns]: &[Windows; 2]) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    let (of_rows, of_columns) = (rows.shares(height, &x), columns.shares(width, &x));
    let x = of_rows.unsqueeze::<3>().matmul(x.reshape([batch, height, width * channels]));
    let x = of_columns.unsqueeze::<3>().matmul(x.reshape([batch * rows.len(), width, channels]));
    x.reshape([batch, rows.len(), columns.len(), channels])
}

fn maximum(x: Tensor<4>, [rows, columns]: &[Windows; 2]) -> Tensor<4> {
    let [batch, _, _, channels] = x.dims();
    let ((of_rows, high), (of_columns, wide)) = (rows.positions(&x), columns.positions(&x));
    let x = x.select(1, of_rows).select(2, of_columns);
    let x: Tensor<6> = x.reshape([batch, rows.len(), high, columns.len(), wide, channels]).permute([0, 1, 3, 2, 4, 5]);
    let x = x.reshape([batch * rows.len() * columns.len(), high * wide, channels]).max_dim(1);
    x.reshape([batch, rows.len(), columns.len(), channels])
}
