//! Where pixels come from: crops, flips, affine maps.

use crate::image::Picture;
use num_traits::Float;
use serde::{Deserialize, Serialize};

/// How values between pixels are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest,
    /// Linear in both directions.
    #[default]
    Bilinear,
    /// Cubic (Keys, a = -0.5 with antialiasing, -0.75 without).
    Bicubic,
}

fn of<T: Float>(value: f64) -> T {
    T::from(value).expect("a finite number")
}

fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    match x {
        x if x < 1.0 => ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0,
        x if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * a,
        _ => 0.0,
    }
}

/// For each of `to` pixels along an axis of `from`: the first pixel it is made of, and the weights.
fn weights<T: Float>(from: usize, to: usize, how: Interpolation, antialias: bool) -> Vec<(usize, Vec<T>)> {
    let scale = from as f64 / to as f64;
    let plan = |k: usize| -> (usize, Vec<f64>) {
        let centre = scale * (k as f64 + 0.5);
        match (how, antialias) {
            (Interpolation::Nearest, _) => ((centre.floor() as usize).min(from - 1), vec![1.0]),
            (_, true) => {
                let reach = if how == Interpolation::Bilinear { 1.0 } else { 2.0 };
                let (support, inverse) = if scale >= 1.0 { (reach * scale, 1.0 / scale) } else { (reach, 1.0) };
                let first = (centre - support + 0.5).max(0.0) as usize;
                let last = ((centre + support + 0.5) as usize).min(from);
                let weight = |j: usize| {
                    let x = (j as f64 - centre + 0.5) * inverse;
                    if how == Interpolation::Bilinear { (1.0 - x.abs()).max(0.0) } else { cubic(x, -0.5) }
                };
                let all: Vec<f64> = (first..last).map(weight).collect();
                let sum: f64 = all.iter().sum();
                (first, all.into_iter().map(|w| w / sum).collect())
            }
            (Interpolation::Bilinear, false) => {
                let x = (centre - 0.5).max(0.0);
                let first = (x as usize).min(from - 1);
                match first + 1 < from {
                    true => (first, vec![1.0 - x.fract(), x.fract()]),
                    false => (first, vec![1.0]),
                }
            }
            (Interpolation::Bicubic, false) => {
                let x = centre - 0.5;
                let base = x.floor();
                let (mut first, mut found) = (from, vec![0.0; 4]);
                let clamp = |j: f64| j.clamp(0.0, from as f64 - 1.0) as usize;
                for j in -1..=2 {
                    first = first.min(clamp(base + f64::from(j)));
                }
                for j in -1..=2 {
                    let at = base + f64::from(j);
                    found[clamp(at) - first] += cubic(x - at, -0.75);
                }
                found.truncate(from - first);
                (first, found)
            }
        }
    };
    (0..to).map(plan).map(|(first, all)| (first, all.into_iter().map(of).collect())).collect()
}

/// The window `[top, left, height, width]` of a picture, scaled to `[height, width]`. Pixels are areas: centres lie at halves, and corners
/// are not aligned. With `antialias` a smaller picture averages over all it covers. As torchvision's `resized_crop`.
///
/// # Panics
/// When the window leaves the picture, or a side is 0.
pub fn resized_crop<T: Float>(
    picture: &Picture<T>,
    [top, left, height, width]: [usize; 4],
    [to_height, to_width]: [usize; 2],
    how: Interpolation,
    antialias: bool,
) -> Picture<T> {
    let inside = top + height <= picture.height && left + width <= picture.width;
    let sides = height > 0 && width > 0 && to_height > 0 && to_width > 0;
    assert!(
        inside && sides,
        "the window {height} x {width} at row {top}, column {left} of {} x {} pixels, to {to_height} x {to_width}",
        picture.height,
        picture.width
    );
    let (c, area) = (picture.channels, picture.area());
    let row = |channel: usize, y: usize| &picture.data[channel * area + (top + y) * picture.width + left..][..width];
    if [height, width] == [to_height, to_width] {
        let data = (0..c).flat_map(|channel| (0..height).flat_map(move |y| row(channel, y))).copied().collect();
        return Picture::new([c, height, width], data);
    }
    let (across, down) =
        (weights::<T>(width, to_width, how, antialias), weights::<T>(height, to_height, how, antialias));
    let mut lines = vec![T::zero(); height * to_width];
    let mut data = vec![T::zero(); c * to_height * to_width];
    for channel in 0..c {
        for (y, line) in lines.chunks_exact_mut(to_width).enumerate() {
            let from = row(channel, y);
            for (value, (first, weights)) in line.iter_mut().zip(&across) {
                let pixels = &from[*first..*first + weights.len()];
                *value = pixels.iter().zip(weights).fold(T::zero(), |sum, (p, w)| sum + *p * *w);
            }
        }
        let out = &mut data[channel * to_height * to_width..][..to_height * to_width];
        for (out, (first, weights)) in out.chunks_exact_mut(to_width).zip(&down) {
            for (at, weight) in weights.iter().enumerate() {
                let line = &lines[(first + at) * to_width..][..to_width];
                out.iter_mut().zip(line).for_each(|(out, value)| *out = *out + *value * *weight);
            }
        }
    }
    Picture::new([c, to_height, to_width], data)
}

/// The picture with left and right exchanged.
pub fn flip<T: Float>(picture: &Picture<T>) -> Picture<T> {
    let mut out = picture.clone();
    out.data.chunks_exact_mut(picture.width).for_each(<[T]>::reverse);
    out
}

/// An affine map about the centre of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Affine {
    /// Degrees, clockwise.
    pub turn: f64,
    /// Pixels to the right and down.
    pub shift: [f64; 2],
    /// Larger than 1 enlarges.
    pub scale: f64,
    /// Degrees, along x and along y.
    pub shear: [f64; 2],
}

impl Default for Affine {
    fn default() -> Self {
        Self { turn: 0.0, shift: [0.0; 2], scale: 1.0, shear: [0.0; 2] }
    }
}

impl Affine {
    /// From places in the result to places in the picture, both measured from the centre: `[a, b, c; d, e, f]` by rows.
    fn inverse(&self) -> [f64; 6] {
        let (turn, [sx, sy]) = (self.turn.to_radians(), self.shear.map(f64::to_radians));
        let a = (turn - sy).cos() / sy.cos();
        let b = -(turn - sy).cos() * sx.tan() / sy.cos() - turn.sin();
        let c = (turn - sy).sin() / sy.cos();
        let d = -(turn - sy).sin() * sx.tan() / sy.cos() + turn.cos();
        let [p, q, r, s] = [d, -b, -c, a].map(|value| value / self.scale);
        let [tx, ty] = self.shift;
        [p, q, -p * tx - q * ty, r, s, -r * tx - s * ty]
    }
}

impl Affine {
    /// Where the bilinear [`affine`] without a fill takes each pixel of the result from, by rows: four places `row * width + column` of the
    /// picture and their weights, 0 beyond its border. The map as a sparse matrix, for those who differentiate through it.
    pub fn taps(&self, [height, width]: [usize; 2]) -> Vec<[(usize, f64); 4]> {
        let [a, b, c, d, e, f] = self.inverse();
        let [cx, cy] = [width, height].map(|side| (side as f64 - 1.0) / 2.0);
        let tap = |at: usize| {
            let (x, y) = ((at % width) as f64 - cx, (at / width) as f64 - cy);
            let (x, y) = (a * x + b * y + c + cx, d * x + e * y + f + cy);
            let (x0, y0) = (x.floor(), y.floor());
            let (u, v) = (x - x0, y - y0);
            [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)].map(|(dx, dy)| {
                let (x, y) = (x0 + dx, y0 + dy);
                let weight = if dx == 0.0 { 1.0 - u } else { u } * if dy == 0.0 { 1.0 - v } else { v };
                match x >= 0.0 && y >= 0.0 && x < width as f64 && y < height as f64 {
                    true => (y as usize * width + x as usize, weight),
                    false => (0, 0.0),
                }
            })
        };
        (0..height * width).map(tap).collect()
    }
}

/// The picture moved by an affine map (torchvision's `affine`). Beyond its border the picture is `fill`; where a place lies between border and
/// picture, `m (v - fill) + fill` with the share m of picture and v the sum over its pixels, as torchvision mixes. `fill` `None` is plain
/// zero padding.
pub fn affine<T: Float>(picture: &Picture<T>, by: &Affine, how: Interpolation, fill: Option<T>) -> Picture<T> {
    let [a, b, c, d, e, f] = by.inverse();
    let (height, width, area) = (picture.height, picture.width, picture.area());
    let [cx, cy] = [width, height].map(|side| (side as f64 - 1.0) / 2.0);
    let mut out = Picture::new(picture.shape(), vec![T::zero(); picture.data.len()]);
    let inside = |x: f64, y: f64| x >= 0.0 && y >= 0.0 && x < width as f64 && y < height as f64;
    for row in 0..height {
        for column in 0..width {
            let (x, y) = (column as f64 - cx, row as f64 - cy);
            let (x, y) = (a * x + b * y + c + cx, d * x + e * y + f + cy);
            let at = row * width + column;
            if how == Interpolation::Nearest {
                let (x, y) = (x.round_ties_even(), y.round_ties_even());
                for channel in 0..picture.channels {
                    out.data[channel * area + at] = match inside(x, y) {
                        true => picture.data[channel * area + y as usize * width + x as usize],
                        false => fill.unwrap_or_else(T::zero),
                    };
                }
                continue;
            }
            let (x0, y0) = (x.floor(), y.floor());
            let (u, v) = (x - x0, y - y0);
            let corners = [
                (0.0, 0.0, (1.0 - u) * (1.0 - v)),
                (1.0, 0.0, u * (1.0 - v)),
                (0.0, 1.0, (1.0 - u) * v),
                (1.0, 1.0, u * v),
            ];
            let (mut places, mut mask) = ([(0, T::zero()); 4], 0.0);
            for (place, (dx, dy, weight)) in places.iter_mut().zip(corners) {
                if inside(x0 + dx, y0 + dy) {
                    *place = ((y0 + dy) as usize * width + (x0 + dx) as usize, of(weight));
                    mask += weight;
                }
            }
            for channel in 0..picture.channels {
                let pixels = &picture.data[channel * area..][..area];
                let value = places.iter().fold(T::zero(), |sum, (at, weight)| sum + pixels[*at] * *weight);
                out.data[channel * area + at] = match fill {
                    None => value,
                    Some(fill) => of::<T>(mask) * (value - fill) + fill,
                };
            }
        }
    }
    out
}
