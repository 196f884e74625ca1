//! Candidates of each sentence: which may be positives, which hard negatives, and the law they are drawn by.

use super::propensity::{Propensity, Side};
use super::surface::Surfaces;
use crate::TextError;
use crate::data::{Note, TextDataError};
use burn::config::Config;
use contrastive_kernels::top_k::top_k;
use contrastive_train::{Check, SettingError};
use ndarray::Array2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

/// Settings of [`Pools`].
#[derive(Config, Debug, PartialEq)]
pub struct PoolConfig {
    /// M: nearest sentences by the teacher.
    #[config(default = 64)]
    pub nearest: usize,
    /// Sentences of the most similar surface beside them.
    #[config(default = 16)]
    pub surface: usize,
    /// Random ones beside these.
    #[config(default = 16)]
    pub random: usize,
    /// t_pos: least semantic similarity of positives, in (0, 1]; `None`: 0.7, or the 99.9 % quantile of random pairs if that is larger.
    #[config(default = "None")]
    pub least_positive: Option<f64>,
    /// t_neg: largest semantic similarity of negatives, in [0, 1).
    #[config(default = 0.5)]
    pub most_negative: f64,
    /// Positives whose surface is more similar than this are duplicates and left out; in (0, 1].
    #[config(default = 0.95)]
    pub duplicate: f64,
    /// q: the power of the agreement of lengths, at least 0.
    #[config(default = 0.5)]
    pub length_power: f64,
    /// T_s, above 0; infinite: no debiasing.
    #[config(default = 0.1)]
    pub surface_temperature: f64,
    /// g: the power of the relevance, at least 0.
    #[config(default = 2.0)]
    pub relevance: f64,
    /// Least propensity as a share of `1 / pool`, in [0, 1].
    #[config(default = 0.05)]
    pub floor: f64,
    /// Seed of random candidates and random pairs.
    #[config(default = 0)]
    pub seed: u64,
}

impl PoolConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// With the first that is out of its range.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("debcse pools");
        check.count("candidates", self.nearest + self.surface + self.random)?;
        if let Some(least) = self.least_positive {
            check.that(least > 0.0 && least <= 1.0, "least_positive", least, "above 0, at most 1")?;
        }
        check.share("most_negative", self.most_negative)?;
        let duplicate = self.duplicate;
        check.that(duplicate > 0.0 && duplicate <= 1.0, "duplicate", duplicate, "above 0, at most 1")?;
        check.weight("length_power", self.length_power)?;
        let temperature = self.surface_temperature;
        check.that(temperature > 0.0, "surface_temperature", temperature, "a number above 0, or infinity")?;
        check.weight("relevance", self.relevance)?;
        check.probability("floor", self.floor)
    }

    /// The law of the draws.
    pub fn propensity(&self) -> Propensity {
        Propensity { temperature: self.surface_temperature, relevance: self.relevance, floor: self.floor }
    }
}

/// A pool of a sentence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pool {
    /// The sentences.
    pub ids: Vec<u32>,
    /// The teacher's similarity to each, in [0, 1].
    pub semantic: Vec<f64>,
    /// The surface's, in [0, 1].
    pub surface: Vec<f64>,
    /// pi: with which probability each is drawn; sums to 1.
    pub law: Vec<f64>,
}

/// The pools of all sentences.
#[derive(Clone, Debug)]
pub struct Pools {
    /// Positives of each sentence.
    pub positives: Vec<Pool>,
    /// Hard negatives of each sentence.
    pub negatives: Vec<Pool>,
    /// t_pos as it was taken.
    pub least_positive: f64,
    /// What was changed, or came out empty.
    pub notes: Vec<Note>,
}

impl Pools {
    /// Of these texts and the teacher's rows `[N, D_t]`, which are brought to unit length.
    ///
    /// # Errors
    /// When a setting is out of its range, there are fewer than two sentences, the rows are not as many, or one has no length.
    pub fn new<T: AsRef<str> + Sync>(
        texts: &[T],
        teacher: &Array2<f32>,
        config: &PoolConfig,
    ) -> Result<Self, TextError> {
        config.validate()?;
        let n = texts.len();
        if n < 2 {
            return Err(TextDataError::nothing("debcse", format!("{n} sentences; at least 2 are needed")).into());
        }
        let teacher = unit_rows(teacher, n)?;
        let (width, flat) = (teacher.ncols(), teacher.as_slice().expect("standard layout"));
        let mut notes = Vec::new();
        let mut nearest = config.nearest;
        if nearest > n - 1 {
            let what = format!("debcse pools: nearest is {nearest}, taken as {}: there are {n} sentences", n - 1);
            notes.push(Note::Changed { what });
            nearest = n - 1;
        }
        let least_positive = config.least_positive.unwrap_or_else(|| quantile(&teacher, config.seed).max(0.7));
        let surfaces = Surfaces::new(texts, config.length_power);
        // two more: the sentence itself, and one that equals it
        let best = top_k(flat, flat, width, (nearest + 2).min(n), None);
        let law = config.propensity();
        let pools = |i: usize| {
            let own = |j: &u32| *j as usize == i;
            let near = best.row(i).0.iter().copied().filter(|j| !own(j)).take(nearest);
            let mut ids: Vec<u32> = near.collect();
            ids.sort_unstable();
            ids.extend(surfaces.nearest(i, config.surface, 512, &ids));
            let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
            rng.set_stream(1 + i as u64);
            ids.extend((0..config.random).map(|_| rng.random_range(0..n as u32)).filter(|j| !own(j)));
            ids.sort_unstable();
            ids.dedup();
            let semantic = |j: u32| f64::from(teacher.row(i).dot(&teacher.row(j as usize))).clamp(0.0, 1.0);
            let pairs: Vec<(u32, f64, f64)> =
                ids.into_iter().map(|j| (j, semantic(j), surfaces.similarity(i, j as usize))).collect();
            let pool = |side: Side, kept: &dyn Fn(f64, f64) -> bool| {
                let pairs: Vec<_> = pairs.iter().filter(|(_, sem, sur)| kept(*sem, *sur)).collect();
                let ids: Vec<u32> = pairs.iter().map(|pair| pair.0).collect();
                let semantic: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
                let surface: Vec<f64> = pairs.iter().map(|pair| pair.2).collect();
                Pool { law: law.law(side, &semantic, &surface), ids, semantic, surface }
            };
            let duplicate = config.duplicate;
            [
                pool(Side::Positives, &|sem, sur| sem >= least_positive && sur <= duplicate),
                pool(Side::Negatives, &|sem, _| sem <= config.most_negative),
            ]
        };
        let pools: Vec<[Pool; 2]> = (0..n).into_par_iter().map(pools).collect();
        let (positives, negatives): (Vec<Pool>, Vec<Pool>) = pools.into_iter().map(|[a, b]| (a, b)).unzip();
        let empty = |pools: &[Pool]| pools.iter().filter(|pool| pool.ids.is_empty()).count();
        for (name, empty) in [("positive", empty(&positives)), ("negative", empty(&negatives))] {
            let what = match empty {
                0 => continue,
                all if all == n => format!("debcse: no sentence has a {name} in its pool: that part is SimCSE's"),
                some => format!("debcse: {some} of {n} sentences have no {name} in their pools"),
            };
            notes.push(Note::Changed { what });
        }
        Ok(Self { positives, negatives, least_positive, notes })
    }
}

/// Rows of unit length.
pub(super) fn unit_rows(teacher: &Array2<f32>, n: usize) -> Result<Array2<f32>, TextDataError> {
    if teacher.nrows() != n {
        let (what, of) = ("rows of the teacher", "sentences");
        return Err(TextDataError::Unequal { what, found: teacher.nrows(), of, expected: n });
    }
    let mut teacher = teacher.as_standard_layout().into_owned();
    for (at, mut row) in teacher.rows_mut().into_iter().enumerate() {
        let length = row.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        if !(length.is_finite() && length > 0.0) {
            let problem =
                format!("row {at} of the teacher has length {length}; rows must have a finite length above 0");
            return Err(TextDataError::nothing("debcse", problem));
        }
        row.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
    Ok(teacher)
}

/// The 99.9 % quantile of the similarity of 100,000 random pairs.
fn quantile(teacher: &Array2<f32>, seed: u64) -> f64 {
    let (n, mut rng) = (teacher.nrows(), ChaCha8Rng::seed_from_u64(seed));
    let pair = |_| {
        let i = rng.random_range(0..n);
        let j = (i + 1 + rng.random_range(0..n - 1)) % n;
        f64::from(teacher.row(i).dot(&teacher.row(j))).clamp(0.0, 1.0)
    };
    let mut pairs: Vec<f64> = (0..100_000).map(pair).collect();
    pairs.sort_unstable_by(f64::total_cmp);
    pairs[99_900]
}
