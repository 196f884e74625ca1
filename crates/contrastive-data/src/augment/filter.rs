//! Blur.

use crate::image::Picture;
use num_traits::Float;

/// A Gaussian blur: `kernel` pixels across and down (odd), deviations `sigma` in pixels, across and down. The kernel is sampled at whole
/// pixels and normalised; the picture is reflected at its borders, without repeating the edge. As torchvision's `gaussian_blur`.
///
/// # Panics
/// When a kernel is even, or reaches over more than the side, or a sigma is not above 0.
pub fn gaussian_blur<T: Float>(picture: &Picture<T>, kernel: [usize; 2], sigma: [f64; 2]) -> Picture<T> {
    let sides = [picture.width, picture.height];
    for axis in 0..2 {
        let (k, side) = (kernel[axis], sides[axis]);
        assert!(
            k % 2 == 1 && k / 2 < side && sigma[axis] > 0.0,
            "a blur of {k} pixels, sigma {}, on {side}",
            sigma[axis]
        );
    }
    let weights = |axis: usize| -> Vec<T> {
        let reach = (kernel[axis] / 2) as f64;
        let all: Vec<f64> =
            (0..kernel[axis]).map(|k| (-0.5 * ((k as f64 - reach) / sigma[axis]).powi(2)).exp()).collect();
        let sum: f64 = all.iter().sum();
        all.iter().map(|w| T::from(w / sum).expect("a finite weight")).collect()
    };
    let reflected = |at: isize, side: usize| -> usize {
        let last = side as isize - 1;
        (if at < 0 {
            -at
        } else if at > last {
            2 * last - at
        } else {
            at
        }) as usize
    };
    let (width, height) = (picture.width, picture.height);
    let [across, down] = [0, 1].map(weights);
    let mut out = picture.clone();
    let mut middle = vec![T::zero(); picture.area()];
    for (from, to) in picture.data.chunks_exact(picture.area()).zip(out.data.chunks_exact_mut(picture.area())) {
        for (line, blurred) in from.chunks_exact(width).zip(middle.chunks_exact_mut(width)) {
            for (x, value) in blurred.iter_mut().enumerate() {
                let reach = (across.len() / 2) as isize;
                *value = across
                    .iter()
                    .enumerate()
                    .fold(T::zero(), |sum, (k, w)| sum + line[reflected(x as isize + k as isize - reach, width)] * *w);
            }
        }
        for (y, line) in to.chunks_exact_mut(width).enumerate() {
            line.fill(T::zero());
            let reach = (down.len() / 2) as isize;
            for (k, w) in down.iter().enumerate() {
                let from = &middle[reflected(y as isize + k as isize - reach, height) * width..][..width];
                line.iter_mut().zip(from).for_each(|(out, value)| *out = *out + *value * *w);
            }
        }
    }
    out
}
