//! Classification of classes from a few labelled rows each: episodes, and Omniglot's one-shot runs.
//!
//! ```
//! use contrastive_eval::few_shot::Episodes;
//! use contrastive_eval::ndarray::array;
//!
//! let x = array![[1.0, 0.1], [0.9, 0.0], [1.0, -0.1], [0.0, 1.0], [0.1, 0.9], [-0.1, 1.0]];
//! let episodes = Episodes::new(2, 1).with_queries(2).with_count(20);
//! let result = episodes.nearest_means(x.view(), &[0, 0, 0, 7, 7, 7])?;
//! assert_eq!((result.mean, result.interval), (1.0, 0.0));
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

use crate::error::{EvalError, check_enough, check_length, check_setting};
use crate::neighbours::argmax;
use crate::rows::{Rows, add, check_width, unit};
use crate::similarity::{Scorer, Similarity};
use contrastive_kernels::Real;
use ndarray::ArrayView2;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// N-way K-shot episodes with Q queries a class (Vinyals et al., 2016): in each, some classes are drawn, and of each some rows to learn
/// from and some others to be classified. Episode `i` depends on the seed and `i` alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Episodes {
    ways: usize,
    shots: usize,
    queries: usize,
    count: usize,
    seed: u64,
}

/// One episode. Rows are those of the table that the labels are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// The classes drawn, `ways`.
    pub classes: Vec<u32>,
    /// The rows to learn from, `shots` of each class, class after class.
    pub support: Vec<usize>,
    /// The rows to be classified, class after class.
    pub queries: Vec<usize>,
}

/// The accuracy over episodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FewShot {
    /// The share of queries whose class was found, for each episode.
    pub accuracies: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Half the width of the 95 % interval of the mean over episodes, `1.96 s / sqrt(episodes)` with `s^2` over `episodes - 1`; 0 for one.
    pub interval: f64,
}

impl FewShot {
    /// Of the accuracies of some episodes.
    ///
    /// # Panics
    /// When there are none.
    pub fn of(accuracies: Vec<f64>) -> Self {
        assert!(!accuracies.is_empty(), "the accuracy of no episodes");
        let n = accuracies.len() as f64;
        let mean = accuracies.iter().sum::<f64>() / n;
        let squares: f64 = accuracies.iter().map(|a| (a - mean) * (a - mean)).sum();
        let interval = if n > 1.0 { 1.96 * (squares / (n - 1.0) / n).sqrt() } else { 0.0 };
        Self { accuracies, mean, interval }
    }
}

/// `0.7430 +- 0.0081 (600 episodes)`.
impl fmt::Display for FewShot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.4} +- {:.4} ({} episodes)", self.mean, self.interval, self.accuracies.len())
    }
}

impl Episodes {
    /// 600 episodes of 15 queries a class, of seed 0.
    pub fn new(ways: usize, shots: usize) -> Self {
        Self { ways, shots, queries: 15, count: 600, seed: 0 }
    }

    /// Queries of each class.
    pub fn with_queries(mut self, queries: usize) -> Self {
        self.queries = queries;
        self
    }

    /// Episodes.
    pub fn with_count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    /// Where the draws begin.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The episodes of rows with these labels, any numbers.
    ///
    /// # Errors
    /// [`EvalError::Setting`] for fewer than two ways, and none of the others; [`EvalError::TooFew`] for fewer classes than ways, or a
    /// class with fewer rows than shots and queries.
    pub fn draw(&self, labels: &[u32]) -> Result<Vec<Episode>, EvalError> {
        let members = self.members(labels)?;
        Ok((0..self.count).map(|episode| self.episode(&members, episode)).collect())
    }

    fn members(&self, labels: &[u32]) -> Result<BTreeMap<u32, Vec<usize>>, EvalError> {
        check_setting("ways", self.ways as f64, self.ways >= 2, "at least 2")?;
        let others = [("shots", self.shots), ("queries", self.queries), ("episodes", self.count)];
        for (name, value) in others {
            check_setting(name, value as f64, value > 0, "at least 1")?;
        }
        let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        labels.iter().enumerate().for_each(|(row, &label)| members.entry(label).or_default().push(row));
        check_enough("classes of an episode", self.ways, members.len())?;
        for rows in members.values() {
            check_enough("rows of each class", self.shots + self.queries, rows.len())?;
        }
        Ok(members)
    }

    fn episode(&self, members: &BTreeMap<u32, Vec<usize>>, episode: usize) -> Episode {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(episode as u64);
        let mut classes: Vec<u32> = members.keys().copied().collect();
        let classes = classes.partial_shuffle(&mut rng, self.ways).0.to_vec();
        let (mut support, mut queries) = (Vec::new(), Vec::new());
        for class in &classes {
            let mut rows = members[class].clone();
            let (chosen, _) = rows.partial_shuffle(&mut rng, self.shots + self.queries);
            support.extend_from_slice(&chosen[..self.shots]);
            queries.extend_from_slice(&chosen[self.shots..]);
        }
        Episode { classes, support, queries }
    }

    /// The accuracy of a classifier that answers each episode with the place of a class (`0..ways`) for each query. Episodes are
    /// classified by all threads at once.
    ///
    /// # Errors
    /// As [`draw`](Self::draw); [`EvalError::LengthMismatch`] for another number of answers than queries; the classifier's own.
    pub fn evaluate(
        &self,
        labels: &[u32],
        classify: impl Fn(&Episode) -> Result<Vec<usize>, EvalError> + Sync,
    ) -> Result<FewShot, EvalError> {
        let members = self.members(labels)?;
        let accuracy = |episode| {
            let episode = self.episode(&members, episode);
            let answers = classify(&episode)?;
            check_length("answers", answers.len(), "queries", episode.queries.len())?;
            let hits = answers.iter().enumerate().filter(|(k, place)| **place == k / self.queries).count();
            Ok(hits as f64 / answers.len() as f64)
        };
        let accuracies = (0..self.count).into_par_iter().map(accuracy).collect::<Result<_, EvalError>>()?;
        Ok(FewShot::of(accuracies))
    }

    /// The accuracy of nearest class means (Snell et al., 2017, with cosines): the rows to learn from are divided by their lengths and
    /// averaged, a query is given the class of the mean with the largest cosine, the first of equals.
    ///
    /// * `x`, `[n, D]`, with `labels`, any numbers.
    ///
    /// # Errors
    /// As [`draw`](Self::draw), and [`EvalError::Empty`], [`EvalError::BadNumber`], [`EvalError::LengthMismatch`].
    pub fn nearest_means<T: Real>(&self, x: ArrayView2<'_, T>, labels: &[u32]) -> Result<FewShot, EvalError> {
        check_length("labels", labels.len(), "rows", x.nrows())?;
        let mut x = Rows::new("embeddings", x)?;
        x.unit();
        self.evaluate(labels, |episode| {
            let mut means = vec![0.0; self.ways * x.width];
            for (rows, mean) in episode.support.chunks_exact(self.shots).zip(means.chunks_exact_mut(x.width)) {
                rows.iter().for_each(|&row| add(mean, x.row(row)));
                unit(mean);
            }
            let answer = |&row: &usize| {
                let cosine = |mean: &[f64]| contrastive_kernels::vector::dot(mean, x.row(row));
                let scores: Vec<f64> = means.chunks_exact(x.width).map(cosine).collect();
                argmax(&scores) as usize
            };
            Ok(episode.queries.iter().map(answer).collect())
        })
    }
}

/// The share of queries whose most similar candidate is not the one they belong to: a one-shot run, as Omniglot's twenty of 20 test
/// against 20 training images (Lake et al., 2015).
///
/// * `queries`, `[n, D]`; `candidates`, `[m, D]`, one for each class; `of`: the candidate that each query belongs to.
///
/// # Errors
/// [`EvalError::LengthMismatch`], [`EvalError::RowOutOfRange`] for a candidate that there is not, [`EvalError::Empty`],
/// [`EvalError::WidthMismatch`], [`EvalError::BadNumber`].
pub fn one_shot_error<T: Real>(
    queries: ArrayView2<'_, T>,
    candidates: ArrayView2<'_, T>,
    of: &[u32],
    similarity: Similarity,
) -> Result<f64, EvalError> {
    check_length("candidates that queries belong to", of.len(), "queries", queries.nrows())?;
    check_width("queries", queries.ncols(), "candidates", candidates.ncols())?;
    let rows = candidates.nrows();
    if let Some(&row) = of.iter().find(|row| **row as usize >= rows) {
        return Err(EvalError::RowOutOfRange { what: "candidates that queries belong to", row, rows });
    }
    let scorer = Scorer::between(similarity, queries, candidates)?;
    let wrong = scorer.map(|query, scores| argmax(scores) != of[query]);
    Ok(wrong.iter().filter(|wrong| **wrong).count() as f64 / of.len() as f64)
}
