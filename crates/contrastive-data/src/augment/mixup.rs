//! Mixup (Zhang et al. 2018): images and what they are labelled with, mixed in pairs.

use super::AugmentError;
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How strongly images are mixed: the share of the first one is drawn from Beta(alpha, alpha), and the larger of it and its rest is taken.
///
/// ```
/// use contrastive_data::augment::Mixup;
/// use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
///
/// let mix = Mixup::new(1.0)?.draw(4, &mut ChaCha8Rng::seed_from_u64(1));
/// assert!(mix.share >= 0.5 && mix.partners.len() == 4);
/// let labels = mix.rows(&[1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0], 2);
/// assert!(labels.chunks(2).all(|row| (row[0] + row[1] - 1.0).abs() < 1e-6));
/// # Ok::<(), contrastive_data::augment::AugmentError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mixup {
    alpha: f64,
}

/// One draw: row i becomes `share` of itself and the rest of row `partners[i]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    /// 0.5 to 1.
    pub share: f64,
    /// A permutation of the rows.
    pub partners: Vec<usize>,
}

impl Mixup {
    /// With this alpha, above 0 (1: uniform).
    ///
    /// # Errors
    /// When it is not a finite number above 0.
    pub fn new(alpha: f64) -> Result<Self, AugmentError> {
        match alpha > 0.0 && alpha.is_finite() {
            true => Ok(Self { alpha }),
            false => Err(AugmentError {
                step: "mixup",
                setting: "alpha",
                value: alpha.to_string(),
                allowed: "a finite number above 0".into(),
            }),
        }
    }

    /// A share and partners for so many rows.
    pub fn draw(&self, rows: usize, rng: &mut ChaCha8Rng) -> Mix {
        let share = beta(self.alpha, rng);
        let mut partners: Vec<usize> = (0..rows).collect();
        partners.shuffle(rng);
        Mix { share: share.max(1.0 - share), partners }
    }
}

impl Mix {
    /// No mixing: all of each row.
    pub fn none(rows: usize) -> Self {
        Self { share: 1.0, partners: (0..rows).collect() }
    }

    /// The rows, of `width` numbers each, mixed: pixels of images as well as rows of a label matrix. With a share of 1 they are the same
    /// bit by bit.
    ///
    /// # Panics
    /// When there are fewer rows than partners.
    pub fn rows(&self, rows: &[f32], width: usize) -> Vec<f32> {
        let (own, other) = (self.share as f32, (1.0 - self.share) as f32);
        if other == 0.0 {
            return rows.to_vec();
        }
        let of = |row: usize| &rows[row * width..][..width];
        let pairs = self.partners.iter().enumerate();
        pairs
            .flat_map(|(row, &partner)| of(row).iter().zip(of(partner)).map(move |(a, b)| own * a + other * b))
            .collect()
    }
}

/// A Beta(a, a) number: uniform at 1, else the ratio of two gamma numbers (Marsaglia and Tsang 2000), in logarithms, so that a small `a`
/// does not divide 0 by 0.
pub(super) fn beta(a: f64, rng: &mut ChaCha8Rng) -> f64 {
    if a == 1.0 {
        return rng.random();
    }
    let [x, y] = [0; 2].map(|_| log_gamma_number(a, rng));
    1.0 / (1.0 + (y - x).exp())
}

/// The logarithm of a Gamma(a, 1) number.
fn log_gamma_number(a: f64, rng: &mut ChaCha8Rng) -> f64 {
    // Gamma(a) is Gamma(a + 1) times a power of a uniform number
    let more = if a < 1.0 { (1.0 - rng.random::<f64>()).ln() / a } else { 0.0 };
    let d = if a < 1.0 { a + 1.0 } else { a } - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = super::steps::normal(rng);
        let v = (1.0 + c * x).powi(3);
        let u: f64 = 1.0 - rng.random::<f64>();
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln() + more;
        }
    }
}
