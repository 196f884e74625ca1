//! Changes of single series.

use crate::data::{SeriesError, check, normal};
use ndarray::{Array2, ArrayView2, s};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// A random change of a series `[T, F]`. Any method may draw from a list of them ([`Augmentations`]). Missing values stay missing, except
/// where time is moved, which takes them along.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Augmentation {
    /// Normal noise of this deviation on every value.
    Jitter(f64),
    /// Each channel times a normal number of mean 1 and this deviation.
    Scale(f64),
    /// Cut into up to so many segments of random length, which change places.
    Permute(usize),
    /// A random stretch of this share of the steps to all of them, brought back to the length by linear interpolation.
    Crop(f64),
    /// Time runs at a speed that is 1 on average and changes smoothly between so many knots, with this deviation.
    TimeWarp {
        /// Knots, at least 2.
        knots: usize,
        /// Deviation of the speed at a knot.
        deviation: f64,
    },
    /// This share of all frequencies is taken out of every channel.
    FrequencyMask(f64),
    /// All vectors of three channels turned by one random rotation; the channels must be a multiple of three.
    Rotation,
    /// With probability 1/2 joints (groups of three channels) are set to 0 for the whole clip, else multiplied by a random 3 x 3 matrix
    /// with entries in [-1, 1] (HaLP); so many joints, or all if there are fewer.
    JointMask(usize),
    /// Groups of three channels times a matrix with ones on the diagonal and entries within this of 0 beside it.
    Shear(f64),
    /// One of these, each as likely as the others.
    Either(Vec<Augmentation>),
}

/// A 3 x 3 rotation, uniform on SO(3) (Shoemake 1992): from a random unit quaternion.
pub fn random_rotation(rng: &mut ChaCha8Rng) -> [[f64; 3]; 3] {
    let q: [f64; 4] = std::array::from_fn(|_| normal(rng));
    let length = q.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
    let [w, x, y, z] = q.map(|v| v / length);
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
        [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
        [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
    ]
}

/// Every group of three channels times a matrix, from the left.
pub fn turn(x: &mut Array2<f32>, matrix: &[[f64; 3]; 3]) {
    for mut row in x.rows_mut() {
        for joint in 0..row.len() / 3 {
            let v = [0, 1, 2].map(|c| f64::from(row[3 * joint + c]));
            for (c, m) in matrix.iter().enumerate() {
                row[3 * joint + c] = (m[0] * v[0] + m[1] * v[1] + m[2] * v[2]) as f32;
            }
        }
    }
}

/// The series at these times, between two steps by linear interpolation.
fn at_times(x: ArrayView2<'_, f32>, times: &[f64]) -> Array2<f32> {
    let last = x.nrows() - 1;
    Array2::from_shape_fn((times.len(), x.ncols()), |(k, c)| {
        let time = times[k].clamp(0.0, last as f64);
        let low = (time.floor() as usize).min(last);
        let share = (time - low as f64) as f32;
        if share == 0.0 { x[[low, c]] } else { x[[low, c]] * (1.0 - share) + x[[low + 1, c]] * share }
    })
}

impl Augmentation {
    /// Checks the numbers, for series of so many channels.
    ///
    /// # Errors
    /// When one is out of its range, or channels do not come in threes where they must.
    pub fn validate(&self, channels: usize) -> Result<(), SeriesError> {
        let of = "augmentation";
        let not_negative =
            |name, v: f64| check(of, name, v, v >= 0.0 && v.is_finite(), "a finite number of at least 0");
        match *self {
            Self::Either(ref list) => {
                check(of, "number of alternatives", list.len(), !list.is_empty(), "at least 1")?;
                list.iter().try_for_each(|one| one.validate(channels))
            }
            Self::Jitter(v) => not_negative("jitter", v),
            Self::Scale(v) => not_negative("scale", v),
            Self::Shear(v) => {
                not_negative("shear", v)?;
                check(of, "channels", channels, channels.is_multiple_of(3), "a multiple of 3")
            }
            Self::Permute(n) => check(of, "segments", n, n > 0, "at least 1"),
            Self::Crop(v) => check(of, "crop", v, v > 0.0 && v <= 1.0, "above 0 and at most 1"),
            Self::FrequencyMask(v) => check(of, "share of frequencies", v, (0.0..=1.0).contains(&v), "in [0, 1]"),
            Self::TimeWarp { knots, deviation } => {
                check(of, "knots", knots, knots > 1, "at least 2")?;
                not_negative("deviation of the speed", deviation)
            }
            Self::Rotation | Self::JointMask(_) => {
                check(of, "channels", channels, channels.is_multiple_of(3), "a multiple of 3")
            }
        }
    }

    /// A changed copy of `x`, `[T, F]`.
    pub fn apply(&self, x: ArrayView2<'_, f32>, rng: &mut ChaCha8Rng) -> Array2<f32> {
        let (t, f) = x.dim();
        let mut out = x.to_owned();
        match *self {
            Self::Either(ref list) => {
                if !list.is_empty() {
                    out = list[rng.random_range(0..list.len())].apply(x, rng);
                }
            }
            Self::Jitter(deviation) => out.mapv_inplace(|v| v + (deviation * normal(rng)) as f32),
            Self::Scale(deviation) => {
                for mut column in out.columns_mut() {
                    let factor = (1.0 + deviation * normal(rng)) as f32;
                    column.mapv_inplace(|v| v * factor);
                }
            }
            Self::Permute(segments) => {
                let mut cuts: Vec<usize> = (1..segments).map(|_| rng.random_range(0..t)).collect();
                cuts.extend([0, t]);
                cuts.sort_unstable();
                cuts.dedup();
                let mut order: Vec<usize> = (0..cuts.len() - 1).collect();
                for k in (1..order.len()).rev() {
                    order.swap(k, rng.random_range(0..=k));
                }
                let mut to = 0;
                for segment in order {
                    let part = x.slice(s![cuts[segment]..cuts[segment + 1], ..]);
                    out.slice_mut(s![to..to + part.nrows(), ..]).assign(&part);
                    to += part.nrows();
                }
            }
            Self::Crop(least) => {
                let share = least + (1.0 - least) * rng.random::<f64>();
                let length = share * (t - 1) as f64;
                let from = rng.random::<f64>() * ((t - 1) as f64 - length);
                let times: Vec<f64> = (0..t).map(|k| from + length * k as f64 / (t.max(2) - 1) as f64).collect();
                out = at_times(x, &times);
            }
            Self::TimeWarp { knots, deviation } => {
                let speeds: Vec<f64> = (0..knots).map(|_| (1.0 + deviation * normal(rng)).max(0.05)).collect();
                let mut times = vec![0.0];
                for k in 1..t {
                    let at = (k as f64 - 0.5) / t as f64 * (knots - 1) as f64;
                    let (low, share) = ((at as usize).min(knots - 2), at.fract());
                    times.push(times[k - 1] + speeds[low] * (1.0 - share) + speeds[low + 1] * share);
                }
                let stretch = (t - 1) as f64 / times[t - 1].max(1e-12);
                times.iter_mut().for_each(|time| *time *= stretch);
                out = at_times(x, &times);
            }
            Self::FrequencyMask(share) => {
                let taken: Vec<usize> = (0..=t / 2).filter(|_| rng.random::<f64>() < share).collect();
                for c in 0..f {
                    if x.column(c).iter().any(|v| v.is_nan()) {
                        continue;
                    }
                    for &k in &taken {
                        let angle = |s: usize| TAU * (k * s % t) as f64 / t as f64;
                        let [mut re, mut im] = [0.0, 0.0];
                        for (s, &v) in x.column(c).iter().enumerate() {
                            re += f64::from(v) * angle(s).cos();
                            im += f64::from(v) * angle(s).sin();
                        }
                        let once = k == 0 || 2 * k == t;
                        let weight = if once { 1.0 } else { 2.0 } / t as f64;
                        for s in 0..t {
                            out[[s, c]] -= (weight * (re * angle(s).cos() + im * angle(s).sin())) as f32;
                        }
                    }
                }
            }
            Self::Rotation => turn(&mut out, &random_rotation(rng)),
            Self::JointMask(joints) => {
                let mut order: Vec<usize> = (0..f / 3).collect();
                for k in (1..order.len()).rev() {
                    order.swap(k, rng.random_range(0..=k));
                }
                let zero = rng.random::<bool>();
                let matrix: [[f64; 3]; 3] =
                    std::array::from_fn(|_| std::array::from_fn(|_| rng.random::<f64>() * 2.0 - 1.0));
                for joint in order.into_iter().take(joints) {
                    let mut part = out.slice(s![.., 3 * joint..3 * joint + 3]).to_owned();
                    if zero {
                        part.fill(0.0)
                    } else {
                        turn(&mut part, &matrix)
                    }
                    out.slice_mut(s![.., 3 * joint..3 * joint + 3]).assign(&part);
                }
            }
            Self::Shear(within) => {
                let matrix: [[f64; 3]; 3] = std::array::from_fn(|r| {
                    std::array::from_fn(|c| if r == c { 1.0 } else { (rng.random::<f64>() * 2.0 - 1.0) * within })
                });
                turn(&mut out, &matrix);
            }
        }
        out
    }
}

/// Several augmentations, one after the other, each with a probability of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Augmentations(pub Vec<(f64, Augmentation)>);

impl Augmentations {
    /// All of them, every time.
    pub fn always(list: Vec<Augmentation>) -> Self {
        Self(list.into_iter().map(|one| (1.0, one)).collect())
    }

    /// Checks every one.
    ///
    /// # Errors
    /// As [`Augmentation::validate`], and for a probability outside of [0, 1].
    pub fn validate(&self, channels: usize) -> Result<(), SeriesError> {
        self.0.iter().try_for_each(|(p, one)| {
            check("augmentation", "probability", p, (0.0..=1.0).contains(p), "in [0, 1]")?;
            one.validate(channels)
        })
    }

    /// A changed copy of `x`, `[T, F]`.
    pub fn apply(&self, x: ArrayView2<'_, f32>, rng: &mut ChaCha8Rng) -> Array2<f32> {
        self.0
            .iter()
            .fold(x.to_owned(), |x, (p, one)| if rng.random::<f64>() < *p { one.apply(x.view(), rng) } else { x })
    }
}
