//! HaLP's positives: made on the sphere between a key and a prototype.

use super::SynthesisError;
use super::random::generator;
use crate::attach::constant_beside;
use crate::error::ObjectiveError;
use crate::objective::check_types;
use crate::similarity::unit_rows;
use burn::tensor::{Tensor, TensorData};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// How far a positive goes on its way to the border of its prototype's cell, which lies at `t_max`.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Reach {
    /// `t = (1 - u) t_max`, u uniform in `[0, lambda]`: 0 is the border itself, the hardest.
    Uniform(f64),
    /// `t = t_max - gap`, at least 0.
    Short(f64),
}

/// Extra positives of a key, made in latent space (HaLP, Shah et al. 2023): from the key k along the great circle towards a prototype p drawn
/// at random, no further than where p becomes as near as the key's own prototype p0.
///
/// ```text
/// W = arccos(k p)   kappa = (1 - p p0) / (k p0 - k p)   t_max = atan2(sin W, kappa + cos W) / W
/// g = sin((1 - t) W) / sin W k + sin(t W) / sin W p
/// ```
///
/// One is kept if p0 is still its nearest prototype. Nothing here is learned and no gradient flows into keys or prototypes; since the loss
/// sees a query's kept positives through their sum alone, and each lies in the plane of a key and a prototype, no positive is ever written
/// down: the filter takes `O(B n M)` from the products of keys and prototypes, the sums `O(B M D)`.
///
/// (The released code has the arc tangent of the quotient in place of atan2, which moves away from p where `kappa + cos W` is negative.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentPositives {
    count: usize,
    reach: Reach,
    nearest: usize,
}

/// The kept positives of a batch of keys, in the form that the loss needs.
#[derive(Clone, Debug)]
pub struct KeptPositives {
    /// `[B, D]`: for each key the sum of its kept positives; a constant.
    pub sums: Tensor<2>,
    /// For each key how many are kept.
    pub kept: Vec<usize>,
    /// Positives drawn for each key.
    pub count: usize,
}

/// One positive, as coefficients of its key and of a prototype.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatentPositive {
    /// The prototype that it goes towards.
    pub target: usize,
    /// How far the border is, in (0, 1].
    pub t_max: f64,
    /// How far it goes.
    pub t: f64,
    /// The factor of the key.
    pub key: f64,
    /// The factor of the prototype.
    pub prototype: f64,
    /// Whether no third prototype has become nearer.
    pub kept: bool,
}

/// Rows may be this far from length 1.
const UNIT: f64 = 1e-3;
/// Below this angle the great circle is a straight line.
const STRAIGHT: f64 = 1e-4;

impl LatentPositives {
    /// So many positives of each key, with the paper's reach (`lambda` 0.8), towards the 20 nearest prototypes after the own one.
    ///
    /// # Errors
    /// When the number is 0.
    pub fn new(count: usize) -> Result<Self, ObjectiveError> {
        if count == 0 {
            return Err(ObjectiveError::NotPositive { name: "positives of each key", value: 0.0 });
        }
        Ok(Self { count, reach: Reach::Uniform(0.8), nearest: 20 })
    }

    /// Another reach.
    ///
    /// # Errors
    /// When lambda or the gap is not in [0, 1].
    pub fn with_reach(self, reach: Reach) -> Result<Self, ObjectiveError> {
        let (Reach::Uniform(value) | Reach::Short(value)) = reach;
        if !(0.0..=1.0).contains(&value) {
            return Err(ObjectiveError::Outside { name: "reach of latent positives", value, allowed: "[0, 1]" });
        }
        Ok(Self { reach, ..self })
    }

    /// Targets are drawn from so many prototypes, the most similar ones to the key after its own.
    ///
    /// # Errors
    /// When the number is 0.
    pub fn with_nearest(self, nearest: usize) -> Result<Self, ObjectiveError> {
        if nearest == 0 {
            return Err(ObjectiveError::NotPositive { name: "prototypes that targets are drawn from", value: 0.0 });
        }
        Ok(Self { nearest, ..self })
    }

    /// The share `t_max` of the way from a key to a prototype at which the prototype becomes as near as the key's own one, from the cosines
    /// of key and prototype, key and own prototype, prototype and own prototype. `None` where key and prototype are opposite.
    pub fn border(key_target: f64, key_own: f64, target_own: f64) -> Option<f64> {
        let (cosine, rise) = (key_target.clamp(-1.0, 1.0), 1.0 - target_own);
        // how much nearer the own one is: kappa = rise / fall, multiplied out, so that 0 is no quotient
        let fall = (key_own - key_target).max(0.0);
        let angle = cosine.acos();
        if std::f64::consts::PI - angle < STRAIGHT {
            return None;
        }
        if rise + fall <= 0.0 {
            return Some(1.0);
        }
        if angle < STRAIGHT {
            return Some(fall / (fall + rise));
        }
        Some((angle.sin() * fall).atan2(rise + cosine * fall) / angle)
    }

    /// The positives of each key, from the cosines of keys and prototypes `[B, M]` and of the prototypes with each other `[M, M]`, row-major.
    /// A target opposite to its key gives a positive that is the key itself and not kept.
    fn draw(&self, key: &[f64], gram: &[f64], prototypes: usize, rng: &mut ChaCha8Rng) -> Vec<LatentPositive> {
        let m = prototypes;
        let mut order: Vec<usize> = (0..m).collect();
        order.sort_by(|&a, &b| key[b].total_cmp(&key[a]).then(a.cmp(&b)));
        let (own, others) = (order[0], &order[1..m.min(self.nearest + 1)]);
        let one = |_| {
            let (target, u) = (others[rng.random_range(0..others.len())], rng.random::<f64>());
            let between = gram[target * m + own];
            let Some(t_max) = Self::border(key[target], key[own], between) else {
                return LatentPositive { target, t_max: 0.0, t: 0.0, key: 1.0, prototype: 0.0, kept: false };
            };
            let t = match self.reach {
                Reach::Uniform(lambda) => (1.0 - lambda * u) * t_max,
                Reach::Short(gap) => (t_max - gap).max(0.0),
            };
            let (cosine, angle) = (key[target].clamp(-1.0, 1.0), key[target].clamp(-1.0, 1.0).acos());
            let [a, b] = match angle < STRAIGHT {
                true => [1.0 - t, t],
                false => [((1.0 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()],
            };
            let length = (a * a + b * b + 2.0 * a * b * cosine).sqrt().max(f64::MIN_POSITIVE);
            let [a, b] = [a / length, b / length];
            let near = |j: usize| a * key[j] + b * gram[target * m + j];
            let best = near(own);
            // the border is where the target itself is as near, up to rounding
            let kept = (0..m).all(|j| j == own || j == target || near(j) <= best);
            LatentPositive { target, t_max, t, key: a, prototype: b, kept }
        };
        (0..self.count).map(one).collect()
    }

    /// Every positive of every key, in their order, kept or not: for looking at. Equal seeds and steps give equal draws.
    ///
    /// # Errors
    /// As [`make`](Self::make).
    ///
    /// # Panics
    /// As [`make`](Self::make).
    pub fn each(
        &self,
        keys: &Tensor<2>,
        prototypes: &Tensor<2>,
        seed: u64,
        step: usize,
    ) -> Result<Vec<Vec<LatentPositive>>, SynthesisError> {
        let ([b, d], [m, e]) = (keys.dims(), prototypes.dims());
        assert!(d == e && b > 0, "keys [{b}, {d}] and prototypes [{m}, {e}]");
        check_types(&[("keys", keys.dtype()), ("prototypes", prototypes.dtype())]);
        if m < 2 {
            return Err(SynthesisError::Rows { what: "prototypes", rows: m, least: 2 });
        }
        let (keys, prototypes) = (keys.clone().inner(), prototypes.clone().inner());
        unit("keys", &keys)?;
        unit("prototypes", &prototypes)?;
        let near = numbers(keys.matmul(prototypes.clone().transpose()));
        let gram = numbers(prototypes.clone().matmul(prototypes.transpose()));
        let mut rng = generator(seed, step);
        Ok(near.chunks_exact(m).map(|key| self.draw(key, &gram, m, &mut rng)).collect())
    }

    /// The kept positives of keys `[B, D]` among prototypes `[M, D]`, rows of length 1. Equal seeds and steps give equal draws.
    ///
    /// # Errors
    /// When there are fewer than two prototypes, or a row is not of length 1 (to 1e-3; a NaN is not).
    ///
    /// # Panics
    /// When the widths differ, or there are no keys.
    pub fn make(
        &self,
        keys: &Tensor<2>,
        prototypes: &Tensor<2>,
        seed: u64,
        step: usize,
    ) -> Result<KeptPositives, SynthesisError> {
        let each = self.each(keys, prototypes, seed, step)?;
        let ([b, _], [m, _]) = (keys.dims(), prototypes.dims());
        let (mut of_key, mut of_prototypes) = (vec![0.0; b], vec![0.0; b * m]);
        for (i, positives) in each.iter().enumerate() {
            for one in positives.iter().filter(|one| one.kept) {
                of_key[i] += one.key;
                of_prototypes[i * m + one.target] += one.prototype;
            }
        }
        let kept = each.iter().map(|one| one.iter().filter(|one| one.kept).count()).collect();
        let (keys, prototypes) = (keys.clone().inner(), prototypes.clone().inner());
        let like = |values: Vec<f64>, shape: [usize; 2]| {
            let data = TensorData::new(values, shape).convert_dtype(keys.dtype());
            Tensor::<2>::from_data(data, (&keys.device(), keys.dtype()))
        };
        let sums = keys.clone() * like(of_key, [b, 1]) + like(of_prototypes, [b, m]).matmul(prototypes);
        Ok(KeptPositives { sums, kept, count: self.count })
    }

    /// Pulls queries `[B, D]` (of any length; their directions count) towards their kept positives, and nothing apart:
    ///
    /// ```text
    /// L = - sum_b q_b sum_r g_br / (tau (kept + 1e-8))
    /// ```
    ///
    /// The value is `[1]`, differentiable in the queries; 0 where none is kept.
    ///
    /// # Errors
    /// When the temperature is not between 1e-9 and 1e9.
    ///
    /// # Panics
    /// When the shapes differ, or there are no queries.
    pub fn loss(
        &self,
        queries: Tensor<2>,
        positives: &KeptPositives,
        temperature: f64,
    ) -> Result<Tensor<1>, ObjectiveError> {
        if !(1e-9..=1e9).contains(&temperature) {
            return Err(ObjectiveError::Temperature(temperature));
        }
        assert_eq!(queries.dims(), positives.sums.dims(), "the shapes of queries and of their positives");
        check_types(&[("queries", queries.dtype()), ("their positives", positives.sums.dtype())]);
        assert!(queries.dims()[0] > 0, "no queries: {:?}", queries.dims());
        let sums = constant_beside(positives.sums.clone(), &queries);
        let kept = positives.kept.iter().sum::<usize>() as f64;
        Ok((unit_rows(queries) * sums).sum() * (-1.0 / (temperature * (kept + 1e-8))))
    }
}

impl KeptPositives {
    /// The share of all positives that is kept.
    pub fn share(&self) -> f64 {
        self.kept.iter().sum::<usize>() as f64 / (self.kept.len() * self.count).max(1) as f64
    }
}

fn numbers(x: Tensor<2>) -> Vec<f64> {
    x.into_data().iter::<f64>().collect()
}

fn unit(what: &'static str, rows: &Tensor<2>) -> Result<(), SynthesisError> {
    let lengths = numbers((rows.clone() * rows.clone()).sum_dim(1).sqrt());
    match lengths.iter().position(|length| length.is_nan() || (length - 1.0).abs() > UNIT) {
        Some(row) => Err(SynthesisError::NotUnit { what, row, length: lengths[row] }),
        None => Ok(()),
    }
}
