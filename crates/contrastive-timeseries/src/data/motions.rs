//! Signals of sensors on joints, with captions.

use super::body::{JOINTS, Matrix, about, posed};
use super::error::{SeriesError, check, quoted};
use super::imu::Simulator;
use super::series::{Names, Series};
use ndarray::{Array3, ArrayView3, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::{PI, TAU};

/// The signals of one motion.
#[derive(Clone, Debug, PartialEq)]
pub struct Motion {
    /// The joints that have a sensor, in ascending order.
    pub joints: Vec<usize>,
    /// `[L, joints, C]`: acceleration in m/s2, and with C = 6 angular rate in rad/s.
    pub signals: Array3<f32>,
    /// What is said of it: one text or more.
    pub captions: Vec<String>,
}

/// Motions of one number of channels, 3 or 6, at one rate; never empty, never NaN or infinite.
#[derive(Clone, Debug)]
pub struct Motions {
    each: Vec<Motion>,
    channels: usize,
}

impl Motions {
    /// Checks them.
    ///
    /// # Errors
    /// When there are none, a joint is 22 or above or named twice, shapes do not fit, channels are neither 3 nor 6 or differ, a number is not
    /// finite, or a motion has no caption.
    pub fn new(each: Vec<Motion>) -> Result<Self, SeriesError> {
        let channels = each.first().map_or(0, |motion| motion.signals.dim().2);
        if each.is_empty() {
            return Err(SeriesError::series("no motions; at least one is needed"));
        }
        check("motions", "channels of a joint", channels, [3, 6].contains(&channels), "3 or 6")?;
        for (i, motion) in each.iter().enumerate() {
            let (steps, joints, own) = motion.signals.dim();
            let of = &motion.joints;
            if steps == 0 || joints == 0 || joints != of.len() || own != channels {
                let count = of.len();
                return Err(SeriesError::series(format!(
                    "motion {i}: signals [{steps}, {joints}, {own}] of {count} joints, among motions of {channels} channels"
                )));
            }
            if let Some(joint) = of.iter().find(|joint| **joint >= JOINTS) {
                return Err(SeriesError::series(format!("motion {i}: joint {joint}; joints are 0 to {}", JOINTS - 1)));
            }
            if let Some(pair) = of.windows(2).find(|pair| pair[0] >= pair[1]) {
                return Err(SeriesError::series(format!(
                    "motion {i}: joint {} after {}; they ascend",
                    pair[1], pair[0]
                )));
            }
            if let Some(((step, joint, channel), v)) = motion.signals.indexed_iter().find(|(_, v)| !v.is_finite()) {
                let what = format!("{v}; signals of sensors must be finite");
                return Err(SeriesError::Value { series: i, step, channel: joint * channels + channel, what });
            }
            if motion.captions.iter().all(|caption| caption.trim().is_empty()) {
                return Err(SeriesError::series(format!("motion {i} has no caption")));
            }
        }
        Ok(Self { each, channels })
    }

    /// Every motion capture with its captions through the simulator; the ones shorter than 4 frames are left out and counted. With
    /// `gyroscope` angular rates go beside accelerations.
    ///
    /// # Errors
    /// As [`new`](Self::new) and [`Simulator::body`].
    pub fn simulated(
        captures: &[(Array3<f32>, Vec<String>)],
        simulator: &Simulator,
        gyroscope: bool,
    ) -> Result<(Self, usize), SeriesError> {
        let (mut each, mut short) = (Vec::new(), 0);
        for (positions, captions) in captures {
            if positions.dim().0 < 4 {
                short += 1;
                continue;
            }
            let measured = simulator.body(positions.view())?;
            let signals = if gyroscope { measured } else { measured.slice(s![.., .., 0..3]).to_owned() };
            each.push(Motion { joints: (0..JOINTS).collect(), signals, captions: captions.clone() });
        }
        Ok((Self::new(each)?, short))
    }

    /// Series of real sensors: groups of 3 or 6 channels belong to `joints`, in this order (m/s2, rad/s). Resampled from `rate` to 20 a
    /// second; the caption of each is the name of its label, in small letters, with blanks for underscores.
    ///
    /// # Errors
    /// As [`new`](Self::new); when the channels are neither 3 nor 6 for each joint, there are no labels, or a rate is not above 0.
    pub fn from_series(series: &Series, joints: &[usize], rate: f64) -> Result<Self, SeriesError> {
        check("motions", "rate", rate, rate > 0.0 && rate.is_finite(), "a finite number above 0")?;
        check("motions", "number of joints", joints.len(), !joints.is_empty(), "at least 1")?;
        let (channels, count) = (series.channels(), joints.len());
        let each_has = channels / count;
        let fits = channels.is_multiple_of(count) && [3, 6].contains(&each_has);
        check("motions", "channels", channels, fits, &format!("3 or 6 for each of {count} joints"))?;
        let labels = series.labels()?;
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by_key(|&k| joints[k]);
        let motion = |(i, one): (usize, ndarray::ArrayView2<'_, f32>)| {
            let values = resampled(one, rate, 20.0);
            let signals = Array3::from_shape_fn((values.nrows(), count, each_has), |(t, k, c)| {
                values[[t, order[k] * each_has + c]]
            });
            let caption = spoken(&labels.names[labels.ids[i] as usize]);
            Motion { joints: order.iter().map(|&k| joints[k]).collect(), signals, captions: vec![caption] }
        };
        Self::new(series.iter().enumerate().map(motion).collect())
    }

    /// Number of motions.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Channels of a joint: 3 or 6.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Motion `i`.
    pub fn of(&self, i: usize) -> &Motion {
        &self.each[i]
    }

    /// All motions.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Motion> {
        self.each.iter()
    }

    /// These motions, in this order.
    ///
    /// # Errors
    /// When there are none, or a row is out of range.
    pub fn select(&self, rows: &[usize]) -> Result<Self, SeriesError> {
        match rows.iter().find(|&&row| row >= self.len()) {
            Some(row) => Err(SeriesError::series(format!("motion {row} is out of range; there are {}", self.len()))),
            None => Self::new(rows.iter().map(|&row| self.each[row].clone()).collect()),
        }
    }

    /// The motions with each sensor mounted anew: every joint's vectors turned by one random rotation a motion.
    pub fn remounted(&self, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut turned = self.clone();
        for motion in &mut turned.each {
            for joint in 0..motion.joints.len() {
                let by = crate::augment::random_rotation(&mut rng);
                rotate_joint(&mut motion.signals, joint, &by);
            }
        }
        turned
    }
}

/// Acceleration and angular rate of joint `at` of `[L, joints, C]`, turned.
pub(crate) fn rotate_joint(signals: &mut Array3<f32>, at: usize, by: &Matrix) {
    let (steps, _, channels) = signals.dim();
    for t in 0..steps {
        for from in (0..channels).step_by(3) {
            let v = [0, 1, 2].map(|c| f64::from(signals[[t, at, from + c]]));
            for (c, row) in by.iter().enumerate() {
                signals[[t, at, from + c]] = (row[0] * v[0] + row[1] * v[1] + row[2] * v[2]) as f32;
            }
        }
    }
}

/// A name as it is said: small letters, blanks for underscores.
pub(crate) fn spoken(name: &str) -> String {
    name.replace('_', " ").to_lowercase()
}

/// `[L, ...]` brought to `length` steps: cut from `from` on where it is longer, repeated from its beginning where it is shorter.
pub(crate) fn wrapped(signals: ArrayView3<'_, f32>, length: usize, from: usize) -> Array3<f32> {
    let (steps, joints, channels) = signals.dim();
    Array3::from_shape_fn((length, joints, channels), |(t, k, c)| signals[[(from + t) % steps, k, c]])
}

/// A series at another rate, by a windowed sinc that lets through what both rates can hold; beyond the ends the first and last values go on.
pub(crate) fn resampled(x: ndarray::ArrayView2<'_, f32>, from: f64, to: f64) -> ndarray::Array2<f32> {
    let (steps, channels) = x.dim();
    if from == to {
        return x.to_owned();
    }
    let count = ((steps as f64 * to / from).round() as usize).max(1);
    // zero crossings on each side, wider where the rate goes down
    let (cut, reach) = ((to / from).min(1.0), 8.0 / (to / from).min(1.0));
    let sinc = |v: f64| if v.abs() < 1e-12 { 1.0 } else { (PI * v).sin() / (PI * v) };
    let mut out = ndarray::Array2::zeros((count, channels));
    for k in 0..count {
        let at = k as f64 * from / to;
        let (low, high) = ((at - reach).ceil() as i64, (at + reach).floor() as i64);
        let weights: Vec<f64> = (low..=high)
            .map(|t| {
                let v = t as f64 - at;
                sinc(v * cut) * (0.5 + 0.5 * (PI * v / (reach + 1.0)).cos())
            })
            .collect();
        let total: f64 = weights.iter().sum();
        for c in 0..channels {
            let value = |t: i64| f64::from(x[[t.clamp(0, steps as i64 - 1) as usize, c]]);
            out[[k, c]] = ((low..=high).zip(&weights).map(|(t, w)| w * value(t)).sum::<f64>() / total) as f32;
        }
    }
    out
}

/// So many motions of each label, chosen at random: k shots.
///
/// # Errors
/// When k is 0, or a class has fewer.
pub fn shots(labels: &Names, k: usize, seed: u64) -> Result<Vec<usize>, SeriesError> {
    check("shots", "k", k, k > 0, "at least 1")?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = Vec::new();
    for (class, name) in labels.names.iter().enumerate() {
        let mut own: Vec<usize> = (0..labels.ids.len()).filter(|&i| labels.ids[i] as usize == class).collect();
        if own.len() < k {
            let found = own.len();
            return Err(SeriesError::series(format!("{k} shots of class {}, which has {found}", quoted(name))));
        }
        for at in 0..k {
            let other = rng.random_range(at..own.len());
            own.swap(at, other);
        }
        rows.extend(&own[..k]);
    }
    rows.sort_unstable();
    Ok(rows)
}

/// Motion captures made by rule, `[frames, 22, 3]` at 20 frames a second with captions: a body that waves an arm, walks on the spot, bows or
/// stands, each person with lengths, tempo and reach of their own. For examples and tests that need no files.
pub fn generated_captures(count: usize, frames: usize, seed: u64) -> Vec<(Array3<f32>, Vec<String>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let says = [
        ["a person waves an arm", "someone is waving"],
        ["a person walks on the spot", "someone is walking"],
        ["a person bows", "someone is bowing down"],
        ["a person stands still", "someone is standing"],
    ];
    let axis_x = [1.0, 0.0, 0.0];
    (0..count)
        .map(|i| {
            let kind = i % says.len();
            let scale = 0.9 + 0.2 * rng.random::<f64>();
            let lengths = [
                0.2, 0.1, 0.4, 0.42, 0.14, 0.1, 0.4, 0.42, 0.14, 0.12, 0.14, 0.06, 0.2, 0.1, 0.1, 0.1, 0.28, 0.26, 0.1,
                0.1, 0.28, 0.26,
            ]
            .map(|l: f64| l * scale);
            let (tempo, reach) = (0.7 + 0.6 * rng.random::<f64>(), 0.7 + 0.6 * rng.random::<f64>());
            let (phase, facing, side) = (rng.random::<f64>() * TAU, rng.random::<f64>() * TAU, rng.random::<bool>());
            let mut positions = Array3::zeros((frames, JOINTS, 3));
            for t in 0..frames {
                let angle = TAU * tempo * t as f64 / 20.0 + phase;
                let mut turns = [super::body::IDENTITY; JOINTS];
                turns[0] = about([0.0, 1.0, 0.0], facing);
                let sway = 0.02 * (0.5 * angle).sin();
                turns[9] = about(axis_x, sway);
                match kind {
                    0 => {
                        let shoulder = if side { 15 } else { 19 };
                        turns[shoulder] = about([0.0, 0.0, 1.0], if side { 2.4 } else { -2.4 });
                        turns[shoulder + 1] = about([0.0, 0.0, 1.0], 0.6 * reach * (1.5 * angle).sin());
                    }
                    1 => {
                        for (hip, sign) in [(1, 1.0), (5, -1.0)] {
                            turns[hip] = about(axis_x, -0.5 * reach * sign * angle.sin());
                            turns[hip + 1] = about(axis_x, 0.5 * reach * (1.0 + sign * angle.cos()));
                        }
                        turns[15] = about(axis_x, 0.4 * reach * angle.sin());
                        turns[19] = about(axis_x, -0.4 * reach * angle.sin());
                    }
                    2 => turns[9] = about(axis_x, 0.6 * reach * (1.0 - (0.5 * angle).cos())),
                    _ => {}
                }
                for (joint, at) in posed(&lengths, [0.0, 0.95 * scale, 0.0], &turns).into_iter().enumerate() {
                    for axis in 0..3 {
                        positions[[t, joint, axis]] = at[axis] as f32;
                    }
                }
            }
            (positions, says[kind].map(str::to_string).to_vec())
        })
        .collect()
}
