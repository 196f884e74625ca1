//! One-dimensional convolutions over series, `[batch, time, channel]`: value and all gradients, each tap over the steps where it meets
//! the series.
//!
//! A tap that reaches outside the series is not multiplied with zeros but left out: with dilation 64 a series of 94 steps pays for
//! the middle tap and a third of the two outer ones. The steps of a series fall into runs that have the same taps; a run is one
//! product of the register blocks of [`product`](crate::product), its taps being the blocks. Nothing of the input is packed or copied.
//!
//! ```text
//! value       y[b, t]  = bias + sum over taps j of x[b, t stride + j dilation - before] W_j
//! of x        dx[b, s] = sum over taps, taken the other way round, of dy W_j^T
//! of W        dW_j     = sum over b, t of x[b, t stride + j dilation - before]^T dy[b, t]
//! ```
//!
//! Outputs are cut among the threads; results do not depend on their number.

mod passes;

pub(crate) use passes::{multiply, pack as pack_lines};

use crate::product::Lanes;

/// What a convolution does, and to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Series.
    pub batch: usize,
    /// Time steps of a series.
    pub length: usize,
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Taps of the kernel.
    pub taps: usize,
    /// Steps between two taps, at least 1.
    pub dilation: usize,
    /// Steps between two outputs, at least 1.
    pub stride: usize,
    /// Zeros that are thought of before a series.
    pub before: usize,
    /// And behind it.
    pub after: usize,
    /// Groups of channels that do not meet; both numbers of channels are multiples of it.
    pub groups: usize,
}

impl Convolution {
    /// Steps of the output: `(before + length + after - (taps - 1) dilation - 1) / stride + 1`, 0 where the kernel does not fit.
    pub fn output_length(&self) -> usize {
        let reach = (self.taps.max(1) - 1) * self.dilation + 1;
        (self.before + self.length + self.after).checked_sub(reach).map_or(0, |rest| rest / self.stride + 1)
    }

    /// Multiply-adds of the value; each gradient has as many.
    pub fn multiply_adds(&self) -> u64 {
        let met: usize = (0..self.taps).map(|tap| self.met(tap).len()).sum();
        (self.batch * met * (self.inputs / self.groups)) as u64 * self.outputs as u64
    }

    /// The first step of the input that tap `tap` meets at output 0, which may lie before the series.
    fn offset(&self, tap: usize) -> isize {
        (tap * self.dilation) as isize - self.before as isize
    }

    /// The outputs at which a tap meets the series.
    fn met(&self, tap: usize) -> std::ops::Range<usize> {
        let offset = self.offset(tap);
        let stride = self.stride as isize;
        // 0 <= t stride + offset < length
        let first = (-offset).max(0).unsigned_abs().div_ceil(self.stride);
        let end = (self.length as isize - offset + stride - 1).div_euclid(stride).max(0) as usize;
        let end = end.min(self.output_length());
        first.min(end)..end
    }

    fn check(&self) {
        let Self { inputs, outputs, taps, dilation, stride, groups, .. } = *self;
        assert!(taps > 0 && dilation > 0 && stride > 0 && groups > 0, "a convolution of {self:?}");
        assert!(inputs % groups == 0 && outputs % groups == 0, "{inputs} and {outputs} channels in {groups} groups");
    }
}

/// The element types that convolutions are compiled for, here and once.
///
/// # Shapes
/// - x: `[batch, length, inputs]`
/// - weight: `[taps, inputs / groups, outputs]`
/// - bias: `[outputs]`
/// - output and its gradient: `[batch, output length, outputs]`
pub trait Convolve: Lanes {
    /// The output.
    ///
    /// # Panics
    /// When a slice does not have the number of elements of its shape, or channels do not divide into the groups.
    fn convolve(on: &Convolution, x: &[Self], weight: &[Self], bias: Option<&[Self]>) -> Vec<Self>;

    /// The gradient of the input.
    ///
    /// # Panics
    /// As [`convolve`](Self::convolve).
    fn input_gradient(on: &Convolution, output: &[Self], weight: &[Self]) -> Vec<Self>;

    /// The gradient of the weight.
    ///
    /// # Panics
    /// As [`convolve`](Self::convolve).
    fn weight_gradient(on: &Convolution, x: &[Self], output: &[Self]) -> Vec<Self>;

    /// The gradient of the bias.
    ///
    /// # Panics
    /// As [`convolve`](Self::convolve).
    fn bias_gradient(on: &Convolution, output: &[Self]) -> Vec<Self>;
}

macro_rules! convolve {
    ($t:ty) => {
        impl Convolve for $t {
            fn convolve(on: &Convolution, x: &[Self], weight: &[Self], bias: Option<&[Self]>) -> Vec<Self> {
                passes::value(on, x, weight, bias)
            }
            fn input_gradient(on: &Convolution, output: &[Self], weight: &[Self]) -> Vec<Self> {
                passes::input_gradient(on, output, weight)
            }
            fn weight_gradient(on: &Convolution, x: &[Self], output: &[Self]) -> Vec<Self> {
                passes::weight_gradient(on, x, output)
            }
            fn bias_gradient(on: &Convolution, output: &[Self]) -> Vec<Self> {
                passes::bias_gradient(on, output)
            }
        }
    };
}

convolve!(f32);
convolve!(f64);

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, step by step and channel by channel.
    fn plain(on: &Convolution, x: &[f64], w: &[f64], bias: &[f64]) -> Vec<f64> {
        let (t_out, cin, cout) = (on.output_length(), on.inputs / on.groups, on.outputs / on.groups);
        let mut y = vec![0.0; on.batch * t_out * on.outputs];
        for b in 0..on.batch {
            for t in 0..t_out {
                for o in 0..on.outputs {
                    let mut sum = bias[o];
                    for j in 0..on.taps {
                        let s = (t * on.stride) as isize + on.offset(j);
                        if s < 0 || s >= on.length as isize {
                            continue;
                        }
                        for c in 0..cin {
                            let at = (b * on.length + s as usize) * on.inputs + o / cout * cin + c;
                            sum += x[at] * w[(j * cin + c) * on.outputs + o];
                        }
                    }
                    y[(b * t_out + t) * on.outputs + o] = sum;
                }
            }
        }
        y
    }

    fn filled(n: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / 2f64.powi(23) - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    fn cases() -> Vec<Convolution> {
        let base = Convolution {
            batch: 3,
            length: 17,
            inputs: 6,
            outputs: 4,
            taps: 3,
            dilation: 1,
            stride: 1,
            before: 1,
            after: 1,
            groups: 1,
        };
        vec![
            base,
            Convolution { dilation: 4, before: 4, after: 4, ..base },
            Convolution { dilation: 40, before: 40, after: 40, outputs: 70, ..base },
            Convolution { taps: 5, dilation: 3, before: 12, after: 0, inputs: 1, ..base },
            Convolution { stride: 2, ..base },
            Convolution { stride: 3, dilation: 2, taps: 4, before: 0, after: 0, outputs: 35, ..base },
            Convolution { groups: 2, dilation: 2, before: 3, after: 1, ..base },
            Convolution { before: 7, after: 0, ..base },
            Convolution { taps: 1, before: 0, after: 0, outputs: 40, ..base },
            Convolution {
                length: 300,
                batch: 1,
                inputs: 64,
                outputs: 64,
                dilation: 128,
                before: 128,
                after: 128,
                ..base
            },
            Convolution { length: 2, taps: 4, before: 0, after: 0, ..base },
        ]
    }

    #[test]
    fn value_and_gradients_are_those_of_the_definition() {
        for on in cases() {
            let (x, w) =
                (filled(on.batch * on.length * on.inputs, 1), filled(on.taps * on.inputs / on.groups * on.outputs, 2));
            let bias = filled(on.outputs, 3);
            let y = f64::convolve(&on, &x, &w, Some(&bias));
            let want = plain(&on, &x, &w, &bias);
            assert_eq!(y.len(), want.len(), "{on:?}");
            y.iter().zip(&want).for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{on:?}: {a} instead of {b}"));
            // the output is linear in each argument: gradients by adjointness, <dy, A x> = <A^T dy, x>, for every unit vector
            let dy = filled(y.len(), 4);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let (dx, dw) = (f64::input_gradient(&on, &dy, &w), f64::weight_gradient(&on, &x, &dy));
            let db = f64::bias_gradient(&on, &dy);
            let none = vec![0.0; on.outputs];
            let check = |got: &[f64], of: &dyn Fn(&[f64]) -> Vec<f64>| {
                let mut unit = vec![0.0; got.len()];
                for k in (0..got.len()).step_by(1 + got.len() / 300) {
                    unit[k] = 1.0;
                    let want = dot(&dy, &of(&unit));
                    assert!((got[k] - want).abs() < 1e-10, "{on:?} at {k}: {} instead of {want}", got[k]);
                    unit[k] = 0.0;
                }
            };
            check(&dx, &|x| plain(&on, x, &w, &none));
            check(&dw, &|w| plain(&on, &x, w, &none));
            check(&db, &|bias| plain(&on, &vec![0.0; x.len()], &w, bias));
        }
    }

    #[test]
    fn single_precision_is_the_double_one_rounded() {
        for on in cases() {
            let narrow = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<f32>>();
            let x = filled(on.batch * on.length * on.inputs, 5);
            let w = filled(on.taps * on.inputs / on.groups * on.outputs, 6);
            let y = f64::convolve(&on, &x, &w, None);
            let single = f32::convolve(&on, &narrow(&x), &narrow(&w), None);
            y.iter().zip(&single).for_each(|(a, b)| assert!((a - f64::from(*b)).abs() < 1e-4, "{on:?}: {b} and {a}"));
            let dw = f64::weight_gradient(&on, &x, &y);
            let single = f32::weight_gradient(&on, &narrow(&x), &narrow(&y));
            dw.iter().zip(&single).for_each(|(a, b)| assert!((a - f64::from(*b)).abs() < 1e-2, "{on:?}: {b} and {a}"));
        }
    }

    #[test]
    fn counts_leave_padding_out() {
        let on = Convolution { dilation: 40, before: 40, after: 40, ..cases()[0] };
        assert_eq!(on.multiply_adds(), 3 * 17 * 6 * 4, "only the middle tap meets a series of 17");
        assert_eq!(cases()[0].multiply_adds(), 3 * (17 + 16 + 16) * 6 * 4);
    }
}
