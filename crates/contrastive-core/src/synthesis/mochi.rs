//! MoCHi: the hardest negatives of a query are mixed with each other, and with the query.

use super::joined::{JoinedInfoNce, Negatives, nothing, products};
use super::mixture_sums::mixture_sums;
use super::random::generator;
use super::{SynthesisError, places, rows_of};
use crate::error::{ObjectiveError, positive};
use crate::host::to_f64;
use crate::memory::Queue;
use crate::objective::{check_types, computed_in};
use crate::pairs::Exclusions;
use crate::similarity::unit_rows;
use burn::tensor::{DType, Element, Tensor, TensorData};
use contrastive_kernels::top_k::{ItemSets, NO_ITEM, Score, TopK, top_k};
use contrastive_kernels::vector::Element as VectorElement;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// MoCHi, hard negative mixing (Kalantidis et al. 2020): MoCo's objective with synthetic negatives for each query, of its N hardest in
/// the queue (n = length 1):
///
/// ```text
/// s  of  h  = n(a Q_x + (1 - a) Q_y),   x != y drawn from the N hardest, a uniform in (0, 1)
/// s' of  h' = n(b q   + (1 - b) Q_x),   x drawn from the N hardest,      b uniform in (0, 0.5)
/// l_i = log(e^{q.k / T} + sum over the queue + sum over h and h') - q.k / T
/// ```
///
/// All synthetic rows are constants, the query inside h' too. The paper's settings (N, s, s') are (1024, 512, 256) and their like for
/// queues of 16,384 to 65,536 rows; the N hardest come from an exact streaming top-k. The queue takes in keys, never synthetic
/// rows.
///
/// A query and an antipodal pair are safe: where a mixture has no direction it is Q_x itself.
#[derive(Clone, Debug)]
pub struct Mochi {
    objective: JoinedInfoNce,
    temperature: f64,
    hardest: usize,
    mixed: usize,
    with_query: usize,
    largest_share: f64,
    warm_up: usize,
    query_warm_up: usize,
}

/// Which rows of a queue are mixed in which shares: the synthetic negatives of n queries.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mixtures {
    /// n x s: pairs of rows of the queue.
    pub pairs: Vec<[u32; 2]>,
    /// n x s: the share of the first.
    pub pair_shares: Vec<f64>,
    /// n x s': rows of the queue that are mixed with the query.
    pub partners: Vec<u32>,
    /// n x s': the share of the query.
    pub query_shares: Vec<f64>,
}

/// Value and mechanism of a step.
#[derive(Clone, Debug)]
pub struct MochiEvaluation {
    /// `[1]`: the mean over queries.
    pub loss: Tensor<1>,
    /// The share of queries whose key is nearer than every negative, synthetic ones included (the paper's proxy task).
    pub proxy_accuracy: f64,
    /// The mean over queries of the largest similarity with a row of the queue.
    pub hardest_real: f64,
    /// The same with synthetic negatives; minus infinity where there are none.
    pub hardest_synthetic: f64,
}

/// Mixtures shorter than this have no direction.
const SHORTEST: f64 = 1e-6;

impl Mochi {
    /// At this temperature (paper: 0.2), with the `hardest` N negatives of a query as the pool, `mixed` s mixtures of two of them
    /// and `with_query` s' mixtures with the query.
    ///
    /// # Errors
    /// When the temperature is zero, negative, infinite or NaN, or the pool is too small: two rows for mixtures of two, one for
    /// those with the query.
    pub fn new(temperature: f64, hardest: usize, mixed: usize, with_query: usize) -> Result<Self, ObjectiveError> {
        let objective = JoinedInfoNce::new(temperature)?;
        if mixed > 0 && hardest < 2 {
            return Err(ObjectiveError::Contradiction("mixtures of two negatives need a pool of at least 2"));
        }
        if with_query > 0 && hardest == 0 {
            return Err(ObjectiveError::Contradiction("mixtures with the query need a pool of at least 1"));
        }
        Ok(Self {
            objective,
            temperature,
            hardest,
            mixed,
            with_query,
            largest_share: 0.5,
            warm_up: 0,
            query_warm_up: 0,
        })
    }

    /// The query's share lies below this (paper: 0.5, so that a mixture stays nearer to the negative).
    ///
    /// # Errors
    /// When it is not in `(0, 1]`.
    pub fn with_largest_share(mut self, share: f64) -> Result<Self, ObjectiveError> {
        positive("largest share of the query", share)?;
        if share > 1.0 {
            let allowed = "(0, 1]";
            return Err(ObjectiveError::Outside { name: "largest share of the query", value: share, allowed });
        }
        self.largest_share = share;
        Ok(self)
    }

    /// Plain MoCo in the first steps (the paper: 10 epochs): mixtures of bad features are near positives.
    pub fn with_warm_up(mut self, steps: usize) -> Self {
        self.warm_up = steps;
        self
    }

    /// No mixtures with the query in the first steps.
    pub fn with_query_warm_up(mut self, steps: usize) -> Self {
        self.query_warm_up = steps;
        self
    }

    /// (s, s') of a step.
    fn counts(&self, step: usize) -> (usize, usize) {
        let mixing = step >= self.warm_up;
        let query = mixing && step >= self.query_warm_up;
        (if mixing { self.mixed } else { 0 }, if query { self.with_query } else { 0 })
    }

    /// Queries `[n, d]` and their keys `[n, d]` against a queue at a step, counted from 0; brought to length 1 here. The draws
    /// follow from seed and step.
    ///
    /// # Errors
    /// When the queue holds fewer rows than the pool.
    ///
    /// # Panics
    /// When the shapes do not fit.
    pub fn loss(
        &self,
        queries: Tensor<2>,
        keys: Tensor<2>,
        queue: &Queue,
        step: usize,
        seed: u64,
    ) -> Result<Tensor<1>, SynthesisError> {
        Ok(self.evaluate(queries, keys, queue, None, step, seed)?.loss)
    }

    /// The same with what the paper watches. With `ids`, rows of the queue that carry a query's id are neither compared with it nor
    /// mixed for it: former keys of the same image in a queue of several epochs, or, with classes as ids, the paper's
    /// oracle.
    ///
    /// # Errors
    /// When a query has fewer negatives than the pool.
    ///
    /// # Panics
    /// When the shapes do not fit, or there are ids and the queue has none.
    pub fn evaluate(
        &self,
        queries: Tensor<2>,
        keys: Tensor<2>,
        queue: &Queue,
        ids: Option<&[i64]>,
        step: usize,
        seed: u64,
    ) -> Result<MochiEvaluation, SynthesisError> {
        let [n, d] = queries.dims();
        assert!(n > 0 && d > 0 && [n, d] == keys.dims(), "queries [{n}, {d}] and keys {:?}", keys.dims());
        check_types(&[("queries", queries.dtype()), ("keys", keys.dtype()), ("the queue", queue.dtype())]);
        let Some(rows) = queue.rows() else {
            let loss = nothing([&queries, &keys]);
            let none = f64::NEG_INFINITY;
            return Ok(MochiEvaluation { loss, proxy_accuracy: 1.0, hardest_real: none, hardest_synthetic: none });
        };
        let dtype = computed_in(queries.dtype());
        let table = unit_rows(rows.cast(dtype));
        let (q, k) = (unit_rows(queries), unit_rows(keys));
        let held = q.clone().inner().cast(dtype);
        let exclusions = match ids {
            Some(ids) => Exclusions::same_ids(ids, queue.labels().expect("ids of the queries, and of the queue")),
            None => Exclusions::none(),
        };
        let (s, with_query) = self.counts(step);
        let synthetic = s + with_query > 0;
        let best = hardest_rows(&held, &table, if synthetic { self.hardest } else { 1 }, &exclusions);
        let mixtures = match synthetic {
            true => self.draw(&best, (s, with_query), &mut generator(seed, step))?,
            false => Mixtures::default(),
        };
        let positives = products(&q, &k);
        let similar = to_f64(positives.clone().inner());
        let own = mixtures.summed(&q, &held, &table, self.temperature);
        let shared = Negatives::Shared { anchors: q, candidates: table, exclusions };
        let result = self.objective.evaluate(positives, &[shared, own]);
        let real = |i: usize| best.row(i).1.first().copied().unwrap_or(f64::NEG_INFINITY);
        let made = &result.largest[1];
        let nearest = (0..n).filter(|&i| similar[i] > real(i).max(made[i])).count();
        let mean = |f: &dyn Fn(usize) -> f64| (0..n).map(f).sum::<f64>() / n as f64;
        Ok(MochiEvaluation {
            loss: result.loss,
            proxy_accuracy: nearest as f64 / n as f64,
            hardest_real: mean(&real),
            hardest_synthetic: mean(&|i| made[i]),
        })
    }

    /// Mixtures from each query's pool.
    fn draw(
        &self,
        best: &TopK<f64>,
        (s, with_query): (usize, usize),
        rng: &mut ChaCha8Rng,
    ) -> Result<Mixtures, SynthesisError> {
        let mut mixtures = Mixtures::default();
        for query in 0..best.rows() {
            let pool = best.row(query).0;
            if pool.len() < self.hardest {
                return Err(SynthesisError::Pool { query, available: pool.len(), hardest: self.hardest });
            }
            for _ in 0..s {
                let x = rng.random_range(0..pool.len());
                let y = (x + rng.random_range(1..pool.len())) % pool.len();
                mixtures.pairs.push([pool[x], pool[y]]);
                mixtures.pair_shares.push(rng.random());
            }
            for _ in 0..with_query {
                mixtures.partners.push(pool[rng.random_range(0..pool.len())]);
                mixtures.query_shares.push(rng.random::<f64>() * self.largest_share);
            }
        }
        Ok(mixtures)
    }

    /// The mixtures of queries `[n, d]` and a queue `[m, d]`, both of unit rows, at a step: what [`loss`](Self::loss) draws.
    ///
    /// # Errors
    /// When the queue holds fewer rows than the pool.
    ///
    /// # Panics
    /// When the widths differ.
    pub fn mixtures(
        &self,
        queries: &Tensor<2>,
        queue: &Tensor<2>,
        step: usize,
        seed: u64,
    ) -> Result<Mixtures, SynthesisError> {
        check_types(&[("queries", queries.dtype()), ("the queue", queue.dtype())]);
        let dtype = computed_in(queries.dtype());
        let plain = |x: &Tensor<2>| x.clone().inner().cast(dtype);
        let best = hardest_rows(&plain(queries), &plain(queue), self.hardest, &Exclusions::none());
        self.draw(&best, self.counts(step), &mut generator(seed, step))
    }
}

impl Mixtures {
    /// (s, s') of n queries.
    ///
    /// # Panics
    /// When the lists are not those of n queries.
    pub(super) fn each(&self, n: usize) -> (usize, usize) {
        let (s, with_query) = (self.pairs.len() / n, self.partners.len() / n);
        let lists = [self.pairs.len(), self.pair_shares.len(), self.partners.len(), self.query_shares.len()];
        assert_eq!(lists, [n * s, n * s, n * with_query, n * with_query], "mixtures of {n} queries");
        (s, with_query)
    }

    /// The mixtures as negatives of `anchors`, which are the plain `queries` with their gradient.
    fn summed(
        &self,
        anchors: &Tensor<2>,
        queries: &Tensor<2>,
        table: &Tensor<2>,
        temperature: f64,
    ) -> Negatives<'static> {
        let [n, d] = queries.dims();
        let (q, rows) = (queries.to_data(), table.to_data());
        let on = (&queries.device(), queries.dtype());
        let sums = match queries.dtype() {
            DType::F64 => self.sums::<f64>(&q, &rows, d, temperature),
            _ => self.sums::<f32>(&q, &rows, d, temperature),
        };
        let (log_sums, largest, mean) = sums;
        let mean = Tensor::from_data(mean, on);
        debug_assert_eq!(mean.dims(), [n, d]);
        Negatives::Summed { anchors: anchors.clone(), log_sums, largest, mean }
    }

    fn sums<T: VectorElement + Element>(
        &self,
        queries: &TensorData,
        table: &TensorData,
        width: usize,
        temperature: f64,
    ) -> (Vec<f64>, Vec<f64>, TensorData) {
        let (q, rows) = slices::<T>(queries, table);
        let sums = mixture_sums(self, q, rows, width, temperature);
        (sums.log_sums, sums.largest, TensorData::new(sums.mean, [q.len() / width, width]))
    }

    /// `[range, s + s', d]`: the synthetic negatives of a range of the n queries `[n, d]`, from a queue `[m, d]`; both of unit
    /// rows. Of length 1 too, first mixtures of two, then those with the query; constants.
    ///
    /// # Panics
    /// When the lists are not those of n queries, or name rows that are not there.
    pub fn rows(&self, range: Range<usize>, n: usize, queries: &Tensor<2>, queue: &Tensor<2>) -> Tensor<3> {
        let (b, [m, d]) = (range.len(), queue.dims());
        let (s, with_query) = self.each(n);
        assert_eq!(queries.dims(), [n, d], "the shape of the queries, of a queue [{m}, {d}]");
        let queue = queue.clone().inner();
        let gather = |rows: Vec<u32>, each: usize| -> Tensor<3> {
            queue.clone().select(0, places(&rows, &queue)).reshape([b, each, d])
        };
        let shares = |all: &[f64], each: usize| -> Tensor<3> {
            let own = all[range.start * each..range.end * each].to_vec();
            Tensor::from_data(TensorData::new(own, [b, each, 1]), (&queue.device(), queue.dtype()))
        };
        let mut parts = Vec::new();
        if s > 0 {
            let pairs = &self.pairs[range.start * s..range.end * s];
            let side = |k: usize| gather(pairs.iter().map(|pair| pair[k]).collect(), s);
            parts.push(mixture(side(0), side(1), shares(&self.pair_shares, s), true));
        }
        if with_query > 0 {
            let partners = self.partners[range.start * with_query..range.end * with_query].to_vec();
            let own = rows_of(&queries.clone().inner(), &range).cast(queue.dtype()).reshape([b, 1, d]);
            let own = own.expand([b, with_query, d]);
            parts.push(mixture(own, gather(partners, with_query), shares(&self.query_shares, with_query), false));
        }
        match parts.is_empty() {
            true => Tensor::zeros([b, 0, d], (&queue.device(), queue.dtype())),
            false => Tensor::cat(parts, 1),
        }
    }
}

/// `n(share x + (1 - share) y)`; one of the two where that has no direction.
fn mixture(x: Tensor<3>, y: Tensor<3>, share: Tensor<3>, else_first: bool) -> Tensor<3> {
    let mixed = x.clone() * share.clone() + y.clone() * (share * -1.0 + 1.0);
    let length = (mixed.clone() * mixed.clone()).sum_dim(2).sqrt();
    let lost = length.clone().lower_elem(SHORTEST).expand(mixed.dims());
    (mixed / length.clamp_min(SHORTEST)).mask_where(lost, if else_first { x } else { y })
}

/// The numbers of two tensors of this type.
fn slices<'a, T: Element>(first: &'a TensorData, second: &'a TensorData) -> (&'a [T], &'a [T]) {
    let slice = |data: &'a TensorData| data.as_slice::<T>().expect("the type that was matched");
    (slice(first), slice(second))
}

/// The `k` rows of the table with the largest inner products for every query, without the matrix.
pub(super) fn hardest_rows(queries: &Tensor<2>, table: &Tensor<2>, k: usize, exclusions: &Exclusions) -> TopK<f64> {
    fn native<T: Score + Element>(q: &Tensor<2>, table: &Tensor<2>, k: usize, exclusions: &Exclusions) -> TopK<f64> {
        let ([n, d], m) = (q.dims(), table.dims()[0]);
        let (rows, among) = (q.to_data(), table.to_data());
        let (rows, among) = slices::<T>(&rows, &among);
        let lists = exclusions.resolve(n, m, None);
        let groups: Vec<u32> = match lists.as_ref().and_then(|lists| lists.groups.clone()) {
            Some(groups) => groups,
            None => (0..n as u32).collect(),
        };
        let sets = lists.as_ref().map(|lists| {
            let sets = ItemSets::new(&lists.offsets, &lists.columns).expect("lists that ascend strictly");
            (sets, &groups[..])
        });
        let best = top_k(rows, among, d, k, sets);
        let scores = best.scores.iter().map(|s| s.elem::<f64>()).collect();
        TopK { k: best.k, indices: best.indices, scores }
    }
    let k = k.min(table.dims()[0]).max(1);
    let best = match queries.dtype() {
        DType::F64 => native::<f64>(queries, table, k, exclusions),
        _ => native::<f32>(queries, table, k, exclusions),
    };
    debug_assert!(best.indices.iter().all(|&i| i == NO_ITEM || (i as usize) < table.dims()[0]));
    best
}
