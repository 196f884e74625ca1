//! Layers of images, `[batch, height, width, channel]`: convolutions, norms of channels and pooling, value and gradient.
//!
//! With the channels last the taps of a row of a kernel lie next to each other in the image, and a row of outputs is one product of the
//! register blocks of [`product`](crate::product): its depth is a row of taps times the channels, its blocks the rows of the kernel. The
//! padded image is copied once, nothing else is. Where rows of outputs are short (small maps with many channels) the taps of some
//! hundred positions, of several images if need be, are gathered first, so that the weights are read once for all of them.
//!
//! Images are cut among the threads; what is summed over images (gradients of weights, statistics) is summed over blocks whose
//! number depends on the shape alone, in order, so that results do not depend on the number of threads.

mod convolution;
mod norm;
mod pass;
mod pool;

pub use convolution::Convolution2d;
pub use norm::{ChannelGradients, ChannelNorm};
pub use pool::{Pooling, Windows};

use crate::vector::Element;

/// The layers of images of one element type, compiled here and once.
pub trait Images: Element {
    /// The output `[batch, height', width', outputs]` of a convolution.
    ///
    /// # Panics
    /// When a slice does not have the number of elements of its shape, or a size is 0.
    fn convolve_images(on: &Convolution2d, x: &[Self], weight: &[Self], bias: Option<&[Self]>) -> Vec<Self>;

    /// The gradient of the images.
    ///
    /// # Panics
    /// As [`convolve_images`](Self::convolve_images).
    fn images_gradient(on: &Convolution2d, output: &[Self], weight: &[Self]) -> Vec<Self>;

    /// The gradient of the weight.
    ///
    /// # Panics
    /// As [`convolve_images`](Self::convolve_images).
    fn kernel_gradient(on: &Convolution2d, x: &[Self], output: &[Self]) -> Vec<Self>;

    /// The sum of each channel (the gradient of a bias).
    ///
    /// # Panics
    /// When the numbers are not whole rows of channels.
    fn channel_sums(x: &[Self], channels: usize) -> Vec<Self>;

    /// Mean and biased variance of each channel over each ghost: `[ghosts, 2, channels]`, of ghosts of so many rows.
    ///
    /// # Panics
    /// When the ghosts do not cover the rows, or one is empty.
    fn channel_moments(x: &[Self], channels: usize, ghosts: &[usize]) -> Vec<Self>;

    /// The norm of each channel.
    ///
    /// # Panics
    /// When a list is of another length.
    fn channel_norm(norm: ChannelNorm<'_, Self>, x: &[Self]) -> Vec<Self>;

    /// The gradients of a norm of channels.
    ///
    /// # Panics
    /// When a list is of another length.
    fn channel_norm_backward(norm: ChannelNorm<'_, Self>, x: &[Self], gradient: &[Self]) -> ChannelGradients<Self>;

    /// The maximum of each window.
    ///
    /// # Panics
    /// When the numbers do not fit the shape.
    fn max_pool(on: &Pooling, x: &[Self]) -> Vec<Self>;

    /// The gradient of [`max_pool`](Self::max_pool): it goes to the first maximum of a window.
    ///
    /// # Panics
    /// When the numbers do not fit the shape.
    fn max_pool_backward(on: &Pooling, x: &[Self], gradient: &[Self]) -> Vec<Self>;

    /// The average of each window.
    ///
    /// # Panics
    /// When the numbers do not fit the shape.
    fn average_pool(on: &Pooling, x: &[Self]) -> Vec<Self>;

    /// The gradient of [`average_pool`](Self::average_pool).
    ///
    /// # Panics
    /// When the numbers do not fit the shape.
    fn average_pool_backward(on: &Pooling, gradient: &[Self]) -> Vec<Self>;
}

macro_rules! images {
    ($($t:ty),*) => {$(
        impl Images for $t {
            fn convolve_images(on: &Convolution2d, x: &[Self], weight: &[Self], bias: Option<&[Self]>) -> Vec<Self> {
                convolution::value(on, x, weight, bias)
            }
            fn images_gradient(on: &Convolution2d, output: &[Self], weight: &[Self]) -> Vec<Self> {
                convolution::images_gradient(on, output, weight)
            }
            fn kernel_gradient(on: &Convolution2d, x: &[Self], output: &[Self]) -> Vec<Self> {
                convolution::kernel_gradient(on, x, output)
            }
            fn channel_sums(x: &[Self], channels: usize) -> Vec<Self> {
                norm::sums(x, channels)
            }
            fn channel_moments(x: &[Self], channels: usize, ghosts: &[usize]) -> Vec<Self> {
                norm::moments(x, channels, ghosts)
            }
            fn channel_norm(norm: ChannelNorm<'_, Self>, x: &[Self]) -> Vec<Self> {
                norm::forward(norm, x)
            }
            fn channel_norm_backward(
                norm: ChannelNorm<'_, Self>,
                x: &[Self],
                gradient: &[Self],
            ) -> ChannelGradients<Self> {
                norm::backward(norm, x, gradient)
            }
            fn max_pool(on: &Pooling, x: &[Self]) -> Vec<Self> {
                pool::maximum(on, x)
            }
            fn max_pool_backward(on: &Pooling, x: &[Self], gradient: &[Self]) -> Vec<Self> {
                pool::maximum_backward(on, x, gradient)
            }
            fn average_pool(on: &Pooling, x: &[Self]) -> Vec<Self> {
                pool::average(on, x)
            }
            fn average_pool_backward(on: &Pooling, gradient: &[Self]) -> Vec<Self> {
                pool::average_backward(on, gradient)
            }
        }
    )*};
}

images!(f32, f64);
