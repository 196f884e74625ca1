//! Sums over the mixtures of each query, without the mixtures.

use super::Mixtures;
use contrastive_kernels::vector::{self, Element};
use rayon::prelude::*;

/// Of each query's mixtures: log-sum-exp of the logits, largest similarity, and their mean under the softmax.
pub(super) struct MixtureSums<T> {
    pub log_sums: Vec<f64>,
    pub largest: Vec<f64>,
    /// n x d.
    pub mean: Vec<T>,
}

/// Squared lengths below this have no direction.
const SHORTEST: f64 = 1e-12;

/// One mixture at a time in d numbers: about 10 d operations each, and no row is kept. (256 queries with 768 mixtures of width
/// 128 in f32 on two cores: about 15 ms, against 110 ms for making the rows and multiplying with them.) Queries are n x d, the
/// table m x d, both of unit rows. A thread owns its queries.
///
/// # Panics
/// When the mixtures are not those of n queries, or name rows that are not there.
pub(super) fn mixture_sums<T: Element>(
    mixtures: &Mixtures,
    queries: &[T],
    table: &[T],
    width: usize,
    temperature: f64,
) -> MixtureSums<T> {
    let n = queries.len() / width;
    let (s, with_query) = mixtures.each(n);
    let mut mean = vec![T::zero(); n * width];
    let row = |j: u32| &table[j as usize * width..][..width];
    let sums: Vec<(f64, f64)> = mean
        .par_chunks_mut(width)
        .enumerate()
        .map_init(
            || vec![T::zero(); width],
            |mixed, (i, mean)| {
                let q = &queries[i * width..][..width];
                let mut sum = Running { top: f64::NEG_INFINITY, sum: 0.0, mean };
                let mut add = |x: &[T], y: &[T], share: f64, lost: &[T]| {
                    vector::scaled(mixed, T::of(share), x);
                    vector::axpy(mixed, T::of(1.0 - share), y);
                    let square = vector::dot(mixed, mixed).f64();
                    match square < SHORTEST {
                        true => sum.add(lost, vector::dot(q, lost).f64(), 1.0, temperature),
                        false => {
                            let length = square.sqrt();
                            sum.add(mixed, vector::dot(q, mixed).f64() / length, length, temperature);
                        }
                    }
                };
                for k in i * s..(i + 1) * s {
                    let [x, y] = mixtures.pairs[k].map(row);
                    add(x, y, mixtures.pair_shares[k], x);
                }
                for k in i * with_query..(i + 1) * with_query {
                    let x = row(mixtures.partners[k]);
                    add(q, x, mixtures.query_shares[k], x);
                }
                sum.finish(temperature)
            },
        )
        .collect();
    let (log_sums, largest) = sums.into_iter().unzip();
    MixtureSums { log_sums, largest, mean }
}

/// A log-sum-exp, and the sum of rows under the same weights, relative to the largest similarity so far.
struct Running<'a, T> {
    top: f64,
    sum: f64,
    mean: &'a mut [T],
}

impl<T: Element> Running<'_, T> {
    /// Takes in `row / length`, of this similarity.
    fn add(&mut self, row: &[T], similarity: f64, length: f64, temperature: f64) {
        if similarity > self.top {
            let factor = ((self.top - similarity) / temperature).exp();
            self.sum *= factor;
            vector::scale(self.mean, T::of(factor));
            self.top = similarity;
        }
        let weight = ((similarity - self.top) / temperature).exp();
        self.sum += weight;
        vector::axpy(self.mean, T::of(weight / length), row);
    }

    /// The log-sum-exp and the largest similarity; what was summed up becomes the mean.
    fn finish(self, temperature: f64) -> (f64, f64) {
        if self.sum > 0.0 {
            vector::scale(self.mean, T::of(1.0 / self.sum));
        }
        (self.sum.ln() + if self.sum > 0.0 { self.top / temperature } else { 0.0 }, self.top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_those_of_the_rows() {
        let table = [0.6, 0.8, -0.6, -0.8, 0.0, 1.0, 1.0, 0.0];
        let queries = [1.0, 0.0, 0.6, 0.8];
        let t = 0.2;
        // the first pair has no direction: its first row; so has the query with its opposite: the negative
        let mixtures = Mixtures {
            pairs: vec![[0, 1], [2, 3], [1, 0], [3, 0]],
            pair_shares: vec![0.5, 0.3, 0.5, 0.9],
            partners: vec![2, 1],
            query_shares: vec![0.4, 0.5],
        };
        let unit = |x: f64, y: f64| [x / x.hypot(y), y / x.hypot(y)];
        let mixed = |a: f64, x: [f64; 2], y: [f64; 2]| unit(a * x[0] + (1.0 - a) * y[0], a * x[1] + (1.0 - a) * y[1]);
        let rows = [
            [[0.6, 0.8], mixed(0.3, [0.0, 1.0], [1.0, 0.0]), mixed(0.4, [1.0, 0.0], [0.0, 1.0])],
            [[-0.6, -0.8], mixed(0.9, [1.0, 0.0], [0.6, 0.8]), [-0.6, -0.8]],
        ];
        let check = |got: MixtureSums<f64>, bound: f64| {
            for (i, rows) in rows.iter().enumerate() {
                let s = rows.map(|h| h[0] * queries[2 * i] + h[1] * queries[2 * i + 1]);
                let sum: f64 = s.iter().map(|s| (s / t).exp()).sum();
                assert!((got.log_sums[i] - sum.ln()).abs() < bound);
                assert!((got.largest[i] - s.into_iter().fold(f64::MIN, f64::max)).abs() < bound);
                for c in 0..2 {
                    let mean: f64 = rows.iter().zip(s).map(|(h, s)| h[c] * (s / t).exp() / sum).sum();
                    assert!((got.mean[2 * i + c] - mean).abs() < bound);
                }
            }
        };
        check(mixture_sums(&mixtures, &queries, &table, 2, t), 1e-12);
        let [narrow_queries, narrow_table] =
            [&queries[..], &table[..]].map(|x| x.iter().map(|v| *v as f32).collect::<Vec<f32>>());
        let narrow = mixture_sums(&mixtures, &narrow_queries, &narrow_table, 2, t);
        let mean = narrow.mean.iter().map(|v| f64::from(*v)).collect();
        check(MixtureSums { log_sums: narrow.log_sums, largest: narrow.largest, mean }, 1e-5);
        let none = mixture_sums(&Mixtures::default(), &queries, &table, 2, t);
        assert_eq!(none.log_sums, [f64::NEG_INFINITY; 2]);
        assert_eq!(none.mean, [0.0; 4]);
    }
}
