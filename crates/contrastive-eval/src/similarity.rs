//! How alike two rows are, and blocks of such scores.

use crate::error::EvalError;
use crate::rows::{Rows, check_width};
use contrastive_kernels::Real;
use contrastive_kernels::real::gemm;
use ndarray::ArrayView2;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// How alike two embeddings are; larger is more alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Similarity {
    /// The cosine of their angle; 0 where one of them is a row of zeros.
    Cosine,
    /// Their inner product.
    Dot,
    /// Minus their squared Euclidean distance.
    Euclidean,
}

/// Scores that a thread holds at a time, unless one query has more: 32 MiB.
const SCORES: usize = 1 << 22;

/// Scores that make a block worth a task.
const BLOCK: usize = 1 << 16;

/// Below this share of the lengths, a squared distance got from lengths and inner product has lost its digits.
const CANCELLED: f64 = 1e-6;

/// Two tables prepared for scoring one against the other.
pub(crate) struct Scorer<'a> {
    queries: Cow<'a, Rows>,
    /// None: the queries themselves.
    candidates: Option<Cow<'a, Rows>>,
    /// Squared lengths of both, for distances.
    squares: Option<[Vec<f64>; 2]>,
}

impl<'a> Scorer<'a> {
    /// Every row of `queries` against every row of `candidates`.
    pub fn between<T: Real>(
        similarity: Similarity,
        queries: ArrayView2<'_, T>,
        candidates: ArrayView2<'_, T>,
    ) -> Result<Self, EvalError> {
        let (queries, candidates) = (Rows::new("queries", queries)?, Rows::new("candidates", candidates)?);
        check_width("queries", queries.width, "candidates", candidates.width)?;
        Ok(Self::new(similarity, queries, Some(candidates)))
    }

    /// Every row of `x` against all of them.
    pub fn within<T: Real>(similarity: Similarity, x: ArrayView2<'_, T>) -> Result<Self, EvalError> {
        Ok(Self::new(similarity, Rows::new("embeddings", x)?, None))
    }

    /// From checked rows of one width.
    pub fn new(similarity: Similarity, mut queries: Rows, mut candidates: Option<Rows>) -> Self {
        let mut squares = None;
        match similarity {
            Similarity::Dot => {}
            Similarity::Cosine => {
                queries.unit();
                candidates.iter_mut().for_each(Rows::unit);
            }
            Similarity::Euclidean => {
                // distances do not see the origin; near the data, they lose the fewest digits
                let origin = candidates.as_ref().unwrap_or(&queries).origin();
                queries.shift(&origin);
                candidates.iter_mut().for_each(|rows| rows.shift(&origin));
                squares = Some([queries.squares(), candidates.as_ref().map_or_else(Vec::new, Rows::squares)]);
            }
        }
        Self { queries: Cow::Owned(queries), candidates: candidates.map(Cow::Owned), squares }
    }

    /// Inner products of borrowed rows.
    pub fn dots(queries: &'a Rows, candidates: &'a Rows) -> Self {
        Self { queries: Cow::Borrowed(queries), candidates: Some(Cow::Borrowed(candidates)), squares: None }
    }

    pub fn queries(&self) -> usize {
        self.queries.len()
    }

    pub fn candidates(&self) -> usize {
        self.table().len()
    }

    fn table(&self) -> &Rows {
        self.candidates.as_ref().unwrap_or(&self.queries)
    }

    /// Applies `each(query, scores)` to all queries, a block at a time in parallel; the results in their order.
    pub fn map<R: Send>(&self, each: impl Fn(usize, &[f64]) -> R + Sync) -> Vec<R> {
        let m = self.candidates();
        map_blocks(self.queries(), m, |first, block| self.fill(first, block), |query, scores| each(query, scores))
    }

    /// Scores of the queries from `first` on, `[rows, candidates]`.
    pub fn fill(&self, first: usize, block: &mut [f64]) {
        let (table, width) = (self.table(), self.queries.width);
        let m = table.len();
        let rows = block.len() / m;
        let queries = &self.queries.values[first * width..][..rows * width];
        gemm([rows, m, width], block, [m, 1], queries, [width, 1], &table.values, [1, width], 0.0, 1.0);
        let Some([of_queries, of_candidates]) = &self.squares else { return };
        let of_candidates = if self.candidates.is_some() { of_candidates } else { of_queries };
        for (row, scores) in block.chunks_exact_mut(m).enumerate() {
            let (query, own) = (self.queries.row(first + row), of_queries[first + row]);
            for (j, score) in scores.iter_mut().enumerate() {
                let lengths = own + of_candidates[j];
                let mut distance = lengths - 2.0 * *score;
                if distance < CANCELLED * lengths {
                    distance = query.iter().zip(table.row(j)).map(|(a, b)| (a - b) * (a - b)).sum();
                }
                *score = -distance;
            }
        }
    }
}

/// Fills blocks of an n x m matrix with `fill(first row, block)`, applies `each(row, entries)`, in parallel; the results by row.
/// The size of a block does not depend on the number of threads, so that results do not either.
pub(crate) fn map_blocks<R: Send>(
    n: usize,
    m: usize,
    fill: impl Fn(usize, &mut [f64]) + Sync,
    each: impl Fn(usize, &[f64]) -> R + Sync,
) -> Vec<R> {
    let threads = rayon::current_num_threads();
    let block = (BLOCK / m).max(64).min(SCORES / m).max(1);
    let step = block * threads;
    let mut results = Vec::with_capacity(n);
    let mut buffers = vec![vec![0.0; block * m]; threads.min(n.div_ceil(block))];
    for start in (0..n).step_by(step) {
        let parts = buffers.par_iter_mut().enumerate().map(|(b, buffer)| {
            let first = (start + b * block).min(n);
            let rows = block.min(n - first);
            let buffer = &mut buffer[..rows * m];
            if rows > 0 {
                fill(first, buffer);
            }
            buffer.chunks_exact(m).enumerate().map(|(row, entries)| each(first + row, entries)).collect::<Vec<R>>()
        });
        let parts: Vec<Vec<R>> = parts.collect();
        results.extend(parts.into_iter().flatten());
    }
    results
}
