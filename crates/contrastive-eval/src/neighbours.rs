//! Classification by the nearest rows of a labelled bank: no training, and quick enough to follow a run with.
//!
//! ```
//! use contrastive_eval::ndarray::array;
//! use contrastive_eval::neighbours::Knn;
//!
//! let bank = array![[1.0f32, 0.1], [0.9, 0.0], [0.0, 1.0]];
//! let votes = Knn::new(2).classify(array![[1.0f32, 0.0], [0.1, 2.0]].view(), bank.view(), &[0, 0, 1], 2)?;
//! assert_eq!(votes.predictions(), [0, 1]);
//! assert_eq!(votes.score(&[0, 1])?.accuracy(), 1.0);
//! # Ok::<(), contrastive_eval::EvalError>(())
//! ```

use crate::error::{EvalError, check_enough, check_labels, check_length, check_setting};
use crate::ranking::{ItemSets, Score};
use crate::rows::{Rows, add, check_width, unit};
use crate::scores::Classification;
use crate::similarity::{Scorer, Similarity};
use contrastive_kernels::top_k::{TopK, top_k, top_k_scores};
use ndarray::{Array2, ArrayView2};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// What a neighbour's vote weighs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Weight {
    Equal,
    /// `exp(similarity / temperature)`
    Exponential(f64),
}

/// The k-nearest-neighbour classifier of Wu et al. 2018 (InstDisc), as used with MoCo and its successors: the score of a class is the
/// sum of `exp(similarity / temperature)` over the `k` most similar rows of the bank that have it.
///
/// Equally similar rows come in the order of their indices, equal scores in that of the classes.
#[derive(Debug, Clone)]
pub struct Knn {
    k: usize,
    similarity: Similarity,
    weight: Weight,
}

/// The neighbours of each query and the votes that their labels give.
#[derive(Debug, Clone, PartialEq)]
pub struct Votes {
    neighbours: TopK<f64>,
    /// `[queries, classes]`
    shares: Array2<f64>,
    log_totals: Vec<f64>,
}

impl Knn {
    /// `k` neighbours by cosine, votes with temperature 0.07.
    pub fn new(k: usize) -> Self {
        Self { k, similarity: Similarity::Cosine, weight: Weight::Exponential(0.07) }
    }

    /// Another similarity. Distances and inner products have no natural scale: choose the temperature for them, or
    /// [`Knn::with_equal_votes`].
    pub fn with_similarity(mut self, similarity: Similarity) -> Self {
        self.similarity = similarity;
        self
    }

    /// Weighs votes by `exp(similarity / temperature)`; above 0.
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.weight = Weight::Exponential(temperature);
        self
    }

    /// Counts all `k` votes alike.
    pub fn with_equal_votes(mut self) -> Self {
        self.weight = Weight::Equal;
        self
    }

    /// Classifies `queries`, `[n, D]`, by `bank`, `[m, D]`, whose `labels` are in `0..classes`.
    ///
    /// Time `2 n m D` operations; memory linear in `n + m`. With the cosine, a row of zeros has similarity 0 to all.
    ///
    /// # Errors
    /// [`EvalError::Setting`]; [`EvalError::TooFew`] when `k` is above `m`; [`EvalError::Empty`], [`EvalError::WidthMismatch`],
    /// [`EvalError::LengthMismatch`], [`EvalError::LabelOutOfRange`], [`EvalError::BadNumber`].
    pub fn classify<T: Score>(
        &self,
        queries: ArrayView2<'_, T>,
        bank: ArrayView2<'_, T>,
        labels: &[u32],
        classes: usize,
    ) -> Result<Votes, EvalError> {
        check_length("labels", labels.len(), "rows of the bank", bank.nrows())?;
        self.check(bank.nrows(), labels, classes)?;
        check_width("queries", queries.ncols(), "bank", bank.ncols())?;
        let best = self.search(queries, Some(bank), None)?;
        Ok(self.vote(best, labels, classes))
    }

    /// Classifies every row of `x` by the others.
    ///
    /// # Errors
    /// As [`Knn::classify`], where a bank of `rows - 1` is at hand.
    pub fn leave_one_out<T: Score>(
        &self,
        x: ArrayView2<'_, T>,
        labels: &[u32],
        classes: usize,
    ) -> Result<Votes, EvalError> {
        check_length("labels", labels.len(), "rows", x.nrows())?;
        self.check(labels.len().saturating_sub(1), labels, classes)?;
        let own: Vec<u32> = (0..x.nrows() as u32).collect();
        let offsets: Vec<usize> = (0..=x.nrows()).collect();
        let itself = ItemSets::new(&offsets, &own)?;
        let best = self.search(x, None, Some((itself, &own)))?;
        Ok(self.vote(best, labels, classes))
    }

    fn check(&self, available: usize, labels: &[u32], classes: usize) -> Result<(), EvalError> {
        check_setting("k", self.k as f64, self.k > 0, "at least 1")?;
        if let Weight::Exponential(temperature) = self.weight {
            check_setting(
                "temperature",
                temperature,
                temperature > 0.0 && temperature.is_finite(),
                "above 0 and finite",
            )?;
        }
        check_labels("bank", labels, classes)?;
        check_enough("neighbours", self.k, available)
    }

    fn search<T: Score>(
        &self,
        queries: ArrayView2<'_, T>,
        bank: Option<ArrayView2<'_, T>>,
        seen: Option<(ItemSets<'_>, &[u32])>,
    ) -> Result<TopK<f64>, EvalError> {
        let queries = Rows::new("queries", queries)?;
        let bank = bank.map(|bank| Rows::new("bank", bank)).transpose()?;
        match self.similarity {
            Similarity::Euclidean => Ok(self.search_scores(&Scorer::new(self.similarity, queries, bank), seen)),
            Similarity::Dot => Ok(self.search_products::<f64>(queries, bank, seen)),
            // unit rows cannot overflow, and half the bits are half the time
            Similarity::Cosine => Ok(self.search_products::<T>(queries, bank, seen)),
        }
    }

    fn search_products<T: Score>(
        &self,
        mut queries: Rows,
        mut bank: Option<Rows>,
        seen: Option<(ItemSets<'_>, &[u32])>,
    ) -> TopK<f64> {
        if self.similarity == Similarity::Cosine {
            queries.unit();
            bank.iter_mut().for_each(Rows::unit);
        }
        let table = |rows: &Rows| rows.values.iter().map(|&value| T::of(value)).collect::<Vec<T>>();
        let (width, queries, bank) = (queries.width, table(&queries), bank.as_ref().map(table));
        let best = top_k(&queries, bank.as_ref().unwrap_or(&queries), width, self.k, seen);
        let scores = best.scores.iter().map(|score| score.f64()).collect();
        TopK { k: best.k, indices: best.indices, scores }
    }

    /// The largest scores, for a block of queries at a time.
    fn search_scores(&self, scorer: &Scorer<'_>, seen: Option<(ItemSets<'_>, &[u32])>) -> TopK<f64> {
        let rows = scorer.map(|query, scores| {
            let seen = seen.map(|(sets, rows)| (sets, &rows[query..=query]));
            top_k_scores(scores, scores.len(), self.k, seen)
        });
        let mut all = TopK { k: self.k, indices: Vec::new(), scores: Vec::new() };
        for row in rows {
            all.indices.extend(row.indices);
            all.scores.extend(row.scores);
        }
        all
    }

    fn vote(&self, neighbours: TopK<f64>, labels: &[u32], classes: usize) -> Votes {
        let n = neighbours.rows();
        let mut shares = Array2::zeros((n, classes));
        let mut log_totals = vec![0.0; n];
        let rows = shares.as_slice_mut().expect("a new array").par_chunks_exact_mut(classes).zip(&mut log_totals);
        rows.enumerate().for_each(|(query, (shares, log_total))| {
            let (indices, scores) = neighbours.row(query);
            // relative to the nearest, which keeps the exponentials finite
            let of_nearest = |score: f64| match self.weight {
                Weight::Equal => [1.0, 0.0],
                Weight::Exponential(temperature) => {
                    [((score - scores[0]) / temperature).exp(), scores[0] / temperature]
                }
            };
            for (&index, &score) in indices.iter().zip(scores) {
                shares[labels[index as usize] as usize] += of_nearest(score)[0];
            }
            let total: f64 = shares.iter().sum();
            shares.iter_mut().for_each(|share| *share /= total);
            *log_total = of_nearest(scores[0])[1] + total.ln();
        });
        Votes { neighbours, shares, log_totals }
    }
}

impl Votes {
    /// The neighbours of each query in the bank and their similarities, the most similar first.
    pub fn neighbours(&self) -> &TopK<f64> {
        &self.neighbours
    }

    /// The share of the votes of each class, `[queries, classes]`; rows sum to 1.
    pub fn shares(&self) -> &Array2<f64> {
        &self.shares
    }

    /// The logarithm of the sum of all votes of each query: `shares * exp(log_totals)` are the sums of `exp(similarity / temperature)`.
    pub fn log_totals(&self) -> &[f64] {
        &self.log_totals
    }

    /// The class with the most votes, for each query; the smaller one of equals.
    pub fn predictions(&self) -> Vec<u32> {
        self.shares.rows().into_iter().map(|row| argmax(row.as_slice().expect("standard layout"))).collect()
    }

    /// The predictions against labels of the queries.
    ///
    /// # Errors
    /// [`EvalError::LengthMismatch`], [`EvalError::LabelOutOfRange`].
    pub fn score(&self, labels: &[u32]) -> Result<Classification, EvalError> {
        Classification::single(labels, &self.predictions(), self.shares.ncols())
    }
}

/// The accuracy of nearest class means with few labels: for each draw, `per_class` rows of every class are drawn, divided by their
/// lengths and averaged; each row of `x` is given the class of the mean with the largest cosine. One accuracy for each draw.
///
/// * `bank`, `[m, D]`, with `bank_labels` in `0..classes`; `x`, `[n, D]`, with `labels`.
/// * `draws`: repetitions; draw `i` depends on the seed and `i` alone.
///
/// # Errors
/// [`EvalError::Setting`], [`EvalError::TooFew`] for a class with fewer rows than `per_class`, and as [`Knn::classify`].
pub fn nearest_centroids<T: Score>(
    x: ArrayView2<'_, T>,
    labels: &[u32],
    bank: ArrayView2<'_, T>,
    bank_labels: &[u32],
    classes: usize,
    per_class: usize,
    draws: usize,
    seed: u64,
) -> Result<Vec<f64>, EvalError> {
    check_setting("per_class", per_class as f64, per_class > 0, "at least 1")?;
    check_length("labels", labels.len(), "rows", x.nrows())?;
    check_length("labels", bank_labels.len(), "rows of the bank", bank.nrows())?;
    check_labels("embeddings", labels, classes)?;
    check_labels("bank", bank_labels, classes)?;
    let (mut x, mut bank) = (Rows::new("embeddings", x)?, Rows::new("bank", bank)?);
    check_width("embeddings", x.width, "bank", bank.width)?;
    x.unit();
    bank.unit();
    let mut members = vec![Vec::new(); classes];
    bank_labels.iter().enumerate().for_each(|(row, &label)| members[label as usize].push(row));
    for rows in &members {
        check_enough("labelled rows of each class", per_class, rows.len())?;
    }
    let draw = |draw: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(draw as u64);
        let mut means = Rows { values: vec![0.0; classes * x.width], width: x.width };
        for (rows, mean) in members.iter().zip(means.values.chunks_exact_mut(x.width)) {
            let mut rows = rows.clone();
            let (chosen, _) = rows.partial_shuffle(&mut rng, per_class);
            chosen.iter().for_each(|&row| add(mean, bank.row(row)));
            unit(mean);
        }
        let hits = Scorer::dots(&x, &means).map(|row, scores| argmax(scores) == labels[row]);
        hits.iter().filter(|&&hit| hit).count() as f64 / labels.len() as f64
    };
    Ok((0..draws).map(draw).collect())
}

/// The index of the largest value, the first of equals.
pub(crate) fn argmax(values: &[f64]) -> u32 {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = at;
        }
    }
    best as u32
}
