//! Episodes of saved features, with class means as they are or moved to the queries.

use crate::VisionError;
use contrastive_core::opta::{OpTa, class_means, standardised};
use contrastive_eval::few_shot::{Episode, Episodes, FewShot};
use contrastive_eval::ndarray::{Array2, ArrayView1, ArrayView2, Axis};
use contrastive_eval::probe::{LogisticRegression, Targets};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

/// How queries are classified by the class means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByMeans {
    /// The nearest one.
    #[default]
    Nearest,
    /// Multinomial logistic regression on the means, C = 1 (BECLR's paper).
    Logistic,
}

/// N-way K-shot episodes of features standardised row by row, with [`OpTa`] or without.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FewShotTask {
    /// Classes of an episode.
    pub ways: usize,
    /// Labelled rows of each.
    pub shots: usize,
    /// Rows to be classified of each class: from so many to so many.
    pub queries: [usize; 2],
    /// Episodes.
    pub count: usize,
    /// Where the draws begin.
    pub seed: u64,
    /// How queries are classified.
    pub by: ByMeans,
}

impl FewShotTask {
    /// 200 five-way episodes of 15 queries a class.
    pub fn new(shots: usize) -> Self {
        Self { ways: 5, shots, queries: [15, 15], count: 200, seed: 0, by: ByMeans::Nearest }
    }

    /// With unequal numbers of queries, uniform between the two.
    #[must_use]
    pub fn with_queries(mut self, from: usize, to: usize) -> Self {
        self.queries = [from, to];
        self
    }

    /// The accuracy over the episodes of features `[n, d]` with labels, any numbers. With `moved` the class means are moved to the queries of
    /// the episode, all of them at once.
    ///
    /// # Errors
    /// When an episode cannot be drawn, the range of queries is empty, or a feature is not finite.
    pub fn evaluate(
        &self,
        features: ArrayView2<'_, f32>,
        labels: &[u32],
        moved: Option<&OpTa>,
    ) -> Result<FewShot, VisionError> {
        let [from, to] = self.queries;
        if from == 0 || from > to {
            let what = format!("{from} to {to} queries a class: allowed is 1 and more, in order");
            return Err(VisionError::images("episodes", what));
        }
        if features.nrows() != labels.len() {
            let what = format!("{} labels for {} rows", labels.len(), features.nrows());
            return Err(VisionError::images("episodes", what));
        }
        let x = standardised(features);
        let drawn = Episodes::new(self.ways, self.shots).with_queries(to).with_count(self.count).with_seed(self.seed);
        let episodes = drawn.draw(labels)?;
        let accuracy = |(at, episode): (usize, &Episode)| self.accuracy(&x, at, episode, moved);
        let accuracies = episodes.par_iter().enumerate().map(accuracy).collect::<Result<Vec<f64>, VisionError>>()?;
        Ok(FewShot::of(accuracies))
    }

    fn accuracy(
        &self,
        x: &Array2<f64>,
        at: usize,
        episode: &Episode,
        moved: Option<&OpTa>,
    ) -> Result<f64, VisionError> {
        let [from, to] = self.queries;
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(at as u64 | 1 << 40);
        let (mut queries, mut answers) = (Vec::new(), Vec::new());
        for (class, all) in episode.queries.chunks_exact(to).enumerate() {
            let count = if from == to { to } else { rng.random_range(from..=to) };
            queries.extend_from_slice(&all[..count]);
            answers.extend(std::iter::repeat_n(class as u32, count));
        }
        let queries = x.select(Axis(0), &queries);
        let own: Vec<u32> = (0..self.ways * self.shots).map(|row| (row / self.shots) as u32).collect();
        let mut means = class_means(x.select(Axis(0), &episode.support).view(), &own, self.ways)?;
        if let Some(opta) = moved {
            means = opta.align(means.view(), queries.view())?;
        }
        let found = match self.by {
            ByMeans::Nearest => nearest(&means, &queries),
            ByMeans::Logistic => {
                let classes: Vec<u32> = (0..self.ways as u32).collect();
                let model = LogisticRegression::new(1.0).fit(means.view(), Targets::single(&classes, self.ways))?;
                model.predict(queries.view())?
            }
        };
        let right = found.iter().zip(&answers).filter(|(found, answer)| found == answer).count();
        Ok(right as f64 / answers.len() as f64)
    }
}

fn nearest(means: &Array2<f64>, queries: &Array2<f64>) -> Vec<u32> {
    let of = |query: ArrayView1<'_, f64>| {
        let apart = |mean: ArrayView1<'_, f64>| -> f64 { mean.iter().zip(query).map(|(a, b)| (a - b) * (a - b)).sum() };
        let distances: Vec<f64> = means.rows().into_iter().map(apart).collect();
        (0..distances.len()).min_by(|a, b| distances[*a].total_cmp(&distances[*b])).unwrap_or(0) as u32
    };
    queries.rows().into_iter().map(of).collect()
}
