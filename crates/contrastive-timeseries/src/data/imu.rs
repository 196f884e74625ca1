//! What inertial sensors on a moving body measure.

use super::body::{JOINTS, Matrix, Vector, orientations, product, rotation_vector, times, transposed};
use super::error::{SeriesError, check};
use super::generate::normal;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, s};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Acceleration of gravity, m/s2, along -y.
pub const GRAVITY: f64 = 9.81;

/// How acceleration is taken from positions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Derivative {
    /// The second derivative of a natural cubic spline through the positions.
    #[default]
    Spline,
    /// `(p(t+1) - 2 p(t) + p(t-1)) / dt^2`.
    Differences,
}

/// A simulator of ideal sensors (UniMTS, section 3.1): in the frame of the sensor
///
/// ```text
/// f(t) = R(t)^T (p''(t) - g)        w(t) = Log(R(t)^T R(t+dt)) / dt
/// ```
///
/// p'' at both ends is that of the frame beside them, w at the last frame that of the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Simulator {
    /// Frames a second, above 0 (HumanML3D: 20).
    pub rate: f64,
    /// How acceleration is taken.
    pub derivative: Derivative,
    /// Deviations of white noise on acceleration (m/s2) and angular rate (rad/s).
    pub noise: [f64; 2],
    /// Of the noise.
    pub seed: u64,
}

impl Default for Simulator {
    /// 20 frames a second, splines, no noise.
    fn default() -> Self {
        Self { rate: 20.0, derivative: Derivative::Spline, noise: [0.0; 2], seed: 0 }
    }
}

/// The fewest frames: below, no spline has a curvature within.
const LEAST: usize = 4;

impl Simulator {
    fn validate(&self, frames: usize) -> Result<(), SeriesError> {
        check("simulator", "rate", self.rate, self.rate > 0.0 && self.rate.is_finite(), "a finite number above 0")?;
        for noise in self.noise {
            check("simulator", "noise", noise, noise >= 0.0 && noise.is_finite(), "a finite number of at least 0")?;
        }
        if frames < LEAST {
            return Err(SeriesError::series(format!("a motion of {frames} frames; the simulator needs {LEAST}")));
        }
        Ok(())
    }

    /// One sensor: its positions `[L, 3]` in metres, y up, and its orientations, sensor to world, as rows of matrices; `[L, 6]`, specific
    /// force in m/s2 and angular rate in rad/s. At rest it measures `R^T (0, 9.81, 0)` and 0.
    ///
    /// # Errors
    /// When there are fewer than 4 frames, not one orientation each, a number is not finite, or a setting is out of range.
    pub fn sensor(
        &self,
        positions: ArrayView2<'_, f64>,
        orientations: &[[[f64; 3]; 3]],
    ) -> Result<Array2<f64>, SeriesError> {
        let (frames, axes) = positions.dim();
        self.validate(frames)?;
        if axes != 3 || orientations.len() != frames {
            let found = orientations.len();
            return Err(SeriesError::series(format!("positions [{frames}, {axes}] with {found} orientations")));
        }
        if let Some(((step, channel), v)) = positions.indexed_iter().find(|(_, v)| !v.is_finite()) {
            return Err(SeriesError::Value { series: 0, step, channel, what: format!("a position of {v}") });
        }
        let mut acceleration = Array2::zeros((frames, 3));
        for axis in 0..3 {
            let p: Vec<f64> = positions.column(axis).to_vec();
            for (t, a) in second_derivative(&p, self.rate, self.derivative).into_iter().enumerate() {
                acceleration[[t, axis]] = a;
            }
        }
        let mut out = Array2::zeros((frames, 6));
        for t in 0..frames {
            let into = transposed(&orientations[t]);
            let a = [acceleration[[t, 0]], acceleration[[t, 1]] + GRAVITY, acceleration[[t, 2]]];
            let from = t.min(frames - 2);
            let step = product(&transposed(&orientations[from]), &orientations[from + 1]);
            let (force, turn) = (times(&into, a), rotation_vector(&step));
            for axis in 0..3 {
                out[[t, axis]] = force[axis];
                out[[t, 3 + axis]] = turn[axis] * self.rate;
            }
        }
        Ok(out)
    }

    /// A sensor on every joint of a body: positions `[L, 22, 3]` in metres, y up, in the order of
    /// [`JOINT_NAMES`](super::JOINT_NAMES), to `[L, 22, 6]`. The sensor of a joint is fixed to the bone from it to the next joint, or to its parent's bone where
    /// it is an end.
    ///
    /// # Errors
    /// As [`sensor`](Self::sensor), and when there are not 22 joints.
    pub fn body(&self, positions: ArrayView3<'_, f32>) -> Result<Array3<f32>, SeriesError> {
        let (frames, joints, axes) = positions.dim();
        self.validate(frames)?;
        if (joints, axes) != (JOINTS, 3) {
            return Err(SeriesError::series(format!(
                "positions of {joints} joints in {axes} axes; 22 in 3 are needed"
            )));
        }
        if let Some(((step, joint, axis), v)) = positions.indexed_iter().find(|(_, v)| !v.is_finite()) {
            let what = format!("a position of {v}; joint {joint}");
            return Err(SeriesError::Value { series: 0, step, channel: 3 * joint + axis, what });
        }
        let at = |t: usize, joint: usize| -> Vector { [0, 1, 2].map(|axis| f64::from(positions[[t, joint, axis]])) };
        let frames_of: Vec<[Matrix; JOINTS]> =
            (0..frames).map(|t| orientations(&std::array::from_fn(|joint| at(t, joint)))).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let mut out = Array3::zeros((frames, JOINTS, 6));
        for joint in 0..JOINTS {
            let turns: Vec<Matrix> = frames_of.iter().map(|all| all[joint]).collect();
            let path = positions.slice(s![.., joint, ..]).mapv(f64::from);
            let measured = self.sensor(path.view(), &turns)?;
            for ((t, channel), v) in measured.indexed_iter() {
                let noise = self.noise[channel / 3];
                let noise = if noise > 0.0 { noise * normal(&mut rng) } else { 0.0 };
                out[[t, joint, channel]] = (v + noise) as f32;
            }
        }
        Ok(out)
    }
}

fn second_derivative(p: &[f64], rate: f64, by: Derivative) -> Vec<f64> {
    let n = p.len();
    let difference = |t: usize| (p[t + 1] - 2.0 * p[t] + p[t - 1]) * rate * rate;
    let mut inside: Vec<f64> = (1..n - 1).map(difference).collect();
    if by == Derivative::Spline {
        // curvatures m of a natural spline: (m[t-1] + 4 m[t] + m[t+1]) / 6 = the difference (Thomas's algorithm)
        let (mut factor, mut kept) = (0.0, vec![0.0; inside.len()]);
        for t in 0..inside.len() {
            let before = if t == 0 { 0.0 } else { inside[t - 1] };
            let pivot = 4.0 - factor;
            inside[t] = (6.0 * inside[t] - before) / pivot;
            factor = 1.0 / pivot;
            kept[t] = factor;
        }
        for t in (0..inside.len().saturating_sub(1)).rev() {
            inside[t] -= kept[t] * inside[t + 1];
        }
    }
    let (first, last) = (inside[0], inside[inside.len() - 1]);
    std::iter::once(first).chain(inside).chain([last]).collect()
}
