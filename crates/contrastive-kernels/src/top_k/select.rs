//! The running best of a block of rows.

use super::NO_ITEM;
use super::lanes::Lanes;
use super::tile::PANEL;

/// For each row of a block: candidates that may still be among its best, and the score that a newcomer must exceed.
///
/// Candidates collect in a buffer that is cut to the best `k` when it is full. Against a heap this takes a few more
/// candidates in, each for a fraction of the cost. Within a row, candidates must be offered in ascending index order:
/// then whoever equals the k-th best loses the tie, and the cursor into the seen items only moves forward.
pub struct Selection<'a, T: Lanes> {
    k: usize,
    capacity: usize,
    keys: Vec<T::Key>,
    rows: Vec<Row<'a, T>>,
}

struct Row<'a, T> {
    /// NaN until `k` candidates are known: nothing is at most that, so all are taken in.
    threshold: T,
    len: usize,
    /// Seen items from the last candidate on.
    seen: &'a [u32],
}

impl<'a, T: Lanes> Selection<'a, T> {
    /// Room for the best `k` of `candidates` in each of at most `rows` rows.
    pub fn new(rows: usize, k: usize, candidates: usize) -> Self {
        let capacity = (2 * k.min(candidates) + PANEL).min(candidates.max(1));
        Self { k, capacity, keys: vec![T::Key::default(); rows * capacity], rows: Vec::with_capacity(rows) }
    }

    /// Starts a block anew; `seen` gives each row the sorted items that it must not take.
    pub fn begin(&mut self, rows: usize, seen: impl Fn(usize) -> &'a [u32]) {
        self.rows.clear();
        self.rows.extend((0..rows).map(|row| Row { threshold: T::nan(), len: 0, seen: seen(row) }));
    }

    /// What a score of this row must exceed.
    #[inline(always)]
    pub fn threshold(&self, row: usize) -> T {
        self.rows[row].threshold
    }

    /// Takes in the candidates `first + b` for each bit `b` set in `bits`, with their scores `scores[b]`.
    #[inline(never)]
    pub fn offer(&mut self, row: usize, first: usize, scores: &[T], mut bits: u64) {
        let state = &mut self.rows[row];
        let keys = &mut self.keys[row * self.capacity..(row + 1) * self.capacity];
        while bits != 0 {
            let lane = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            let index = (first + lane) as u32;
            while let Some((&next, rest)) = state.seen.split_first()
                && next < index
            {
                state.seen = rest;
            }
            if state.seen.first() == Some(&index) {
                continue;
            }
            if state.len == self.capacity {
                state.len = self.k;
                state.threshold = cut::<T>(keys, self.k);
            }
            keys[state.len] = scores[lane].key(index);
            state.len += 1;
        }
        // The first threshold comes as early as it can: until then every tile of the row is taken apart.
        if state.threshold.is_nan() && state.len >= self.k {
            state.threshold = cut::<T>(&mut keys[..state.len], self.k);
            state.len = self.k;
        }
    }

    /// Writes the best of each row, best first, into rows of `k`; what is left of a row is filled up.
    pub fn finish(&mut self, indices: &mut [u32], scores: &mut [T]) {
        let rows = indices.chunks_exact_mut(self.k).zip(scores.chunks_exact_mut(self.k));
        for ((indices, scores), (row, keys)) in
            rows.zip(self.rows.iter().zip(self.keys.chunks_exact_mut(self.capacity)))
        {
            let keys = &mut keys[..row.len];
            keys.sort_unstable();
            indices.fill(NO_ITEM);
            scores.fill(T::neg_infinity());
            for (&key, (index, score)) in keys.iter().zip(indices.iter_mut().zip(scores)) {
                (*score, *index) = T::candidate(key);
            }
        }
    }
}

/// Moves the best `k` keys to the front and returns the score of the last of them.
fn cut<T: Lanes>(keys: &mut [T::Key], k: usize) -> T {
    let (_, last, _) = keys.select_nth_unstable(k - 1);
    T::candidate(*last).0
}
