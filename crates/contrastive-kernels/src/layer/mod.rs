//! Layers of neural networks on plain slices, value and gradient.
//!
//! [`Layers`] has one function a layer, compiled here for `f32` and `f64`, so that no other crate compiles them again.

pub mod activation;
pub mod attention;
pub mod dropout;
pub mod norm;

use activation::{Normal, Smooth};
use attention::{Attention, AttentionGradients, Rows};
use dropout::Mask;
use norm::{Norm, NormGradients};

/// The layers of one element type.
pub trait Layers: Normal {
    /// `out = x * mask`: each element set to 0 or multiplied by the mask's factor. The gradient is the same function of the
    /// upstream gradient.
    ///
    /// # Panics
    /// When the lengths differ.
    fn dropout(x: &[Self], mask: Mask, out: &mut [Self]);

    /// `out = residual + x * mask`.
    ///
    /// # Panics
    /// When the lengths differ.
    fn dropout_add(x: &[Self], residual: &[Self], mask: Mask, out: &mut [Self]);

    /// A function of each element, and its derivative where that is wanted.
    ///
    /// # Panics
    /// When the lengths differ.
    fn smooth(function: Smooth, x: &[Self], out: &mut [Self], slope: Option<&mut [Self]>);

    /// The norm of each row.
    ///
    /// # Panics
    /// When the lengths do not fit the width.
    fn norm(norm: Norm<Self>, x: &[Self], out: &mut [Self]);

    /// The gradients of a norm from the rows and the gradient of its results.
    ///
    /// # Panics
    /// When the lengths do not fit the width.
    fn norm_backward(norm: Norm<Self>, x: &[Self], gradient: &[Self]) -> NormGradients<Self>;

    /// Attention: queries, keys and values to `[queries, width]`.
    ///
    /// # Panics
    /// When a table is too short, the heads do not divide the width, or a query sees more keys than there are.
    fn attention(problem: Attention, tables: [Rows<Self>; 3], out: &mut [Self]);

    /// The gradients of queries, keys and values from the gradient `[queries, width]` of the output; as one table `[n, 3 width]` if
    /// `packed`.
    ///
    /// # Panics
    /// As [`attention`](Self::attention), and when `packed` queries and keys are not the same lists.
    fn attention_backward(
        problem: Attention,
        tables: [Rows<Self>; 3],
        gradient: &[Self],
        packed: bool,
    ) -> AttentionGradients<Self>;
}

macro_rules! layers {
    ($($element:ty),*) => {$(
        impl Layers for $element {
            fn dropout(x: &[Self], mask: Mask, out: &mut [Self]) {
                dropout::apply(x, None, mask, out)
            }

            fn dropout_add(x: &[Self], residual: &[Self], mask: Mask, out: &mut [Self]) {
                dropout::apply(x, Some(residual), mask, out)
            }

            fn smooth(function: Smooth, x: &[Self], out: &mut [Self], slope: Option<&mut [Self]>) {
                activation::apply(function, x, out, slope)
            }

            fn norm(norm: Norm<Self>, x: &[Self], out: &mut [Self]) {
                norm::forward(norm, x, out)
            }

            fn norm_backward(norm: Norm<Self>, x: &[Self], gradient: &[Self]) -> NormGradients<Self> {
                norm::backward(norm, x, gradient)
            }

            fn attention(problem: Attention, tables: [Rows<Self>; 3], out: &mut [Self]) {
                attention::forward(problem, tables, out)
            }

            fn attention_backward(
                problem: Attention,
                tables: [Rows<Self>; 3],
                gradient: &[Self],
                packed: bool,
            ) -> AttentionGradients<Self> {
                attention::backward(problem, tables, gradient, packed)
            }
        }
    )*};
}

layers!(f32, f64);
