//! What pixels are changed to. All as torchvision's functional forms on float images; results stay within 0 and 1.

use crate::image::Picture;
use num_traits::Float;

fn of<T: Float>(value: f64) -> T {
    T::from(value).expect("a finite number")
}

fn clamped<T: Float>(value: T) -> T {
    value.max(T::zero()).min(T::one())
}

/// torchvision's weights of red, green and blue, which sum to 0.9999.
const GREY: [f64; 3] = [0.2989, 0.587, 0.114];

/// The grey values of a picture, `height x width` of them: those of a grey one, or `0.2989 R + 0.587 G + 0.114 B`.
fn luminance<T: Float>(picture: &Picture<T>) -> Vec<T> {
    let area = picture.area();
    match picture.channels {
        3 => {
            let [r, g, b] = GREY.map(of::<T>);
            let (red, rest) = picture.data.split_at(area);
            let (green, blue) = rest.split_at(area);
            red.iter().zip(green).zip(blue).map(|((x, y), z)| r * *x + g * *y + b * *z).collect()
        }
        _ => picture.data[..area].to_vec(),
    }
}

/// The picture in grey, in as many channels.
pub fn grey<T: Float>(picture: &mut Picture<T>) {
    let values = luminance(picture);
    picture.data.chunks_exact_mut(values.len()).for_each(|channel| channel.copy_from_slice(&values));
}

/// `factor x`.
pub fn adjust_brightness<T: Float>(picture: &mut Picture<T>, factor: f64) {
    let factor = of(factor);
    picture.data.iter_mut().for_each(|x| *x = clamped(*x * factor));
}

/// `factor x + (1 - factor) mean of the grey values`.
pub fn adjust_contrast<T: Float>(picture: &mut Picture<T>, factor: f64) {
    let values = luminance(picture);
    let mean = values.iter().fold(T::zero(), |sum, x| sum + *x) / of(values.len() as f64);
    let (factor, rest) = (of::<T>(factor), of::<T>(1.0 - factor) * mean);
    picture.data.iter_mut().for_each(|x| *x = clamped(factor * *x + rest));
}

/// `factor x + (1 - factor) grey value of the pixel`; nothing for a grey picture.
pub fn adjust_saturation<T: Float>(picture: &mut Picture<T>, factor: f64) {
    if picture.channels != 3 {
        return;
    }
    let values = luminance(picture);
    let (factor, rest) = (of::<T>(factor), of::<T>(1.0 - factor));
    for channel in picture.data.chunks_exact_mut(values.len()) {
        channel.iter_mut().zip(&values).for_each(|(x, grey)| *x = clamped(factor * *x + rest * *grey));
    }
}

/// The hue of every pixel turned by `by` turns, in HSV; nothing for a grey picture.
pub fn adjust_hue<T: Float>(picture: &mut Picture<T>, by: f64) {
    if picture.channels != 3 {
        return;
    }
    let area = picture.area();
    let (six, by) = (of::<T>(6.0), of::<T>(by));
    let (zero, one) = (T::zero(), T::one());
    let (red, rest) = picture.data.split_at_mut(area);
    let (green, blue) = rest.split_at_mut(area);
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        let (high, low) = (r.max(*g).max(*b), r.min(*g).min(*b));
        if high == low {
            continue;
        }
        let spread = high - low;
        let saturation = spread / high;
        let sector = if *r == high {
            (*g - *b) / spread
        } else if *g == high {
            of::<T>(2.0) + (*b - *r) / spread
        } else {
            of::<T>(4.0) + (*r - *g) / spread
        };
        let turned = sector / six + by;
        let hue = (turned - turned.floor()) * six;
        let whole = hue.floor();
        let part = hue - whole;
        let p = clamped(high * (one - saturation));
        let q = clamped(high * (one - saturation * part));
        let t = clamped(high * (one - saturation * (one - part)));
        let (x, y, z) = match whole.max(zero).to_u8().unwrap_or(0) % 6 {
            0 => (high, t, p),
            1 => (q, high, p),
            2 => (p, high, t),
            3 => (p, q, high),
            4 => (t, p, high),
            _ => (high, p, q),
        };
        (*r, *g, *b) = (x, y, z);
    }
}

/// `1 - x` from `threshold` on.
pub fn solarise<T: Float>(picture: &mut Picture<T>, threshold: f64) {
    let threshold = of(threshold);
    picture.data.iter_mut().filter(|x| **x >= threshold).for_each(|x| *x = T::one() - *x);
}

/// The window `[top, left, height, width]` filled with a value.
///
/// # Panics
/// When it leaves the picture.
pub fn erase<T: Float>(picture: &mut Picture<T>, [top, left, height, width]: [usize; 4], value: f64) {
    let inside = top + height <= picture.height && left + width <= picture.width;
    assert!(inside, "{height} x {width} at row {top}, column {left} of {} x {}", picture.height, picture.width);
    let (side, area, value) = (picture.width, picture.area(), of(value));
    for channel in picture.data.chunks_exact_mut(area) {
        channel[top * side..(top + height) * side]
            .chunks_exact_mut(side)
            .for_each(|line| line[left..left + width].fill(value));
    }
}
