//! Training triples: a user, an item the user touched, and an item to rank below it.
//!
//! Two published epochs are offered. [`PairSampler`] (SGL, SIGIR 2021; LightGCL, ICLR 2023) visits every training pair
//! once, in random order. [`UniformUserSampler`] (the PyTorch release of LightGCN, SIGIR 2020) draws as many times as
//! there are pairs: a uniform user, then a uniform item of that user, so that rare users weigh as much as busy ones.
//!
//! Negatives that avoid the user's training items are drawn directly from the complement: a uniform rank among the
//! `J - d_u` untouched items, found by one binary search in the user's sorted items. That is the distribution of
//! rejection sampling, in bounded time even for a user who left a single item untouched.

use rand_chacha::ChaCha8Rng;

use super::error::DataError;
use super::interactions::Interactions;
use crate::draw::{below, shuffle};

/// Which items may be negatives of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NegativePolicy {
    /// Uniform over the items that the user has not touched in training (the published methods).
    #[default]
    Reject,
    /// Uniform over all items, training items included: cheaper to reason about, slightly worse to train with.
    Unchecked,
}

/// Triples of one epoch, as three parallel lists. Buffers are reused from epoch to epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Triples {
    /// The users.
    pub users: Vec<u32>,
    /// For each, an item of the user.
    pub positives: Vec<u32>,
    /// For each, an item drawn under the sampler's [`NegativePolicy`].
    pub negatives: Vec<u32>,
}

/// A consecutive part of [`Triples`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TripleBatch<'a> {
    /// The users.
    pub users: &'a [u32],
    /// Their positive items.
    pub positives: &'a [u32],
    /// Their negative items.
    pub negatives: &'a [u32],
}

impl Triples {
    /// Number of triples.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is no triple.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Number of batches that [`batches`](Self::batches) yields.
    pub fn num_batches(&self, size: usize) -> usize {
        self.len().div_ceil(size)
    }

    /// Batch number `index` of the given size; the last one may be shorter.
    ///
    /// # Panics
    /// When `size` is 0 or the batch starts beyond the end.
    pub fn batch(&self, index: usize, size: usize) -> TripleBatch<'_> {
        assert!(size > 0 && index * size < self.len(), "batch {index} of size {size} in {} triples", self.len());
        let range = index * size..self.len().min((index + 1) * size);
        TripleBatch {
            users: &self.users[range.clone()],
            positives: &self.positives[range.clone()],
            negatives: &self.negatives[range],
        }
    }

    /// Consecutive batches of the given size; the last one may be shorter.
    ///
    /// # Panics
    /// When `size` is 0.
    pub fn batches(&self, size: usize) -> impl Iterator<Item = TripleBatch<'_>> {
        self.users
            .chunks(size)
            .zip(self.positives.chunks(size))
            .zip(self.negatives.chunks(size))
            .map(|((users, positives), negatives)| TripleBatch { users, positives, negatives })
    }

    /// Renames every node to its entry in the lists of new numbers.
    ///
    /// # Panics
    /// When a list is too short.
    pub fn renumber(&mut self, users: &[u32], items: &[u32]) {
        self.users.iter_mut().for_each(|user| *user = users[*user as usize]);
        self.positives.iter_mut().chain(&mut self.negatives).for_each(|item| *item = items[*item as usize]);
    }

    fn clear(&mut self) {
        self.users.clear();
        self.positives.clear();
        self.negatives.clear();
    }
}

/// Checks once what sampling relies on.
fn checked(interactions: &Interactions, policy: NegativePolicy) -> Result<(), DataError> {
    if interactions.is_empty() {
        return Err(DataError::NothingToSample);
    }
    let items = interactions.num_items();
    if policy == NegativePolicy::Reject
        && let Some(user) = (0..interactions.num_users() as u32).find(|&user| interactions.degree(user) == items)
    {
        return Err(DataError::NoNegative { user, items });
    }
    Ok(())
}

/// One negative for a user with the given (sorted) items.
#[inline]
fn negative(rng: &mut ChaCha8Rng, policy: NegativePolicy, touched: &[u32], items: u32) -> u32 {
    match policy {
        NegativePolicy::Unchecked => below(rng, items),
        NegativePolicy::Reject => {
            let rank = below(rng, items - touched.len() as u32);
            // `touched[k] - k` untouched items lie before `touched[k]`; count the touched ones before the answer.
            let (mut low, mut high) = (0, touched.len());
            while low < high {
                let middle = (low + high) / 2;
                if touched[middle] - middle as u32 <= rank { low = middle + 1 } else { high = middle }
            }
            rank + low as u32
        }
    }
}

/// Every training pair once per epoch, in random order, each with one negative.
#[derive(Clone, Debug)]
pub struct PairSampler {
    interactions: Interactions,
    policy: NegativePolicy,
}

impl PairSampler {
    /// A sampler over the pairs (memory is shared, not copied).
    ///
    /// # Errors
    /// [`DataError::NothingToSample`] without pairs; under [`NegativePolicy::Reject`], [`DataError::NoNegative`] when a
    /// user has touched every item.
    pub fn new(interactions: &Interactions, policy: NegativePolicy) -> Result<Self, DataError> {
        checked(interactions, policy)?;
        Ok(Self { interactions: interactions.clone(), policy })
    }

    /// Triples per epoch: the number of pairs.
    pub fn epoch_len(&self) -> usize {
        self.interactions.len()
    }

    /// Draws one epoch into `out`, replacing what it held. Equal generator states give equal epochs.
    pub fn epoch(&self, rng: &mut ChaCha8Rng, out: &mut Triples) {
        let data = &self.interactions;
        let items = data.num_items() as u32;
        // Negatives user by user, while the user's items are in cache; then one gather in shuffled order.
        let mut drawn: Vec<(u32, u32)> = Vec::with_capacity(data.len());
        for user in 0..data.num_users() as u32 {
            let touched = data.items(user);
            drawn.extend(touched.iter().map(|_| (user, negative(rng, self.policy, touched, items))));
        }
        let mut order: Vec<u32> = (0..data.len() as u32).collect();
        shuffle(rng, &mut order);
        out.clear();
        out.users.extend(order.iter().map(|&pair| drawn[pair as usize].0));
        out.positives.extend(order.iter().map(|&pair| data.indices()[pair as usize]));
        out.negatives.extend(order.iter().map(|&pair| drawn[pair as usize].1));
    }
}

/// As many draws per epoch as there are pairs: a uniform user, a uniform item of the user, one negative.
///
/// Users without training items are left out of the draw; all others are equally likely.
#[derive(Clone, Debug)]
pub struct UniformUserSampler {
    interactions: Interactions,
    active: Vec<u32>,
    policy: NegativePolicy,
}

impl UniformUserSampler {
    /// A sampler over the pairs (memory is shared, not copied).
    ///
    /// # Errors
    /// As [`PairSampler::new`].
    pub fn new(interactions: &Interactions, policy: NegativePolicy) -> Result<Self, DataError> {
        checked(interactions, policy)?;
        let active = (0..interactions.num_users() as u32).filter(|&user| interactions.degree(user) > 0).collect();
        Ok(Self { interactions: interactions.clone(), active, policy })
    }

    /// Triples per epoch: the number of pairs.
    pub fn epoch_len(&self) -> usize {
        self.interactions.len()
    }

    /// Draws one epoch into `out`, replacing what it held. Equal generator states give equal epochs.
    pub fn epoch(&self, rng: &mut ChaCha8Rng, out: &mut Triples) {
        let items = self.interactions.num_items() as u32;
        out.clear();
        for _ in 0..self.epoch_len() {
            let user = self.active[below(rng, self.active.len() as u32) as usize];
            let touched = self.interactions.items(user);
            out.users.push(user);
            out.positives.push(touched[below(rng, touched.len() as u32) as usize]);
            out.negatives.push(negative(rng, self.policy, touched, items));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn negatives_are_uniform_over_the_untouched_items() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let touched = [0, 3, 4, 9];
        let mut counts = [0u32; 10];
        for _ in 0..60_000 {
            counts[negative(&mut rng, NegativePolicy::Reject, &touched, 10) as usize] += 1;
        }
        for item in 0..10u32 {
            let count = f64::from(counts[item as usize]);
            if touched.contains(&item) {
                assert_eq!(count, 0.0, "item {item} was touched");
            } else {
                // 6 standard deviations of a binomial(60000, 1/6).
                assert!((count - 10_000.0).abs() < 6.0 * 91.3, "item {item}: {count}");
            }
        }
    }

    #[test]
    fn a_single_untouched_item_is_found_at_once() {
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        for hole in [0u32, 1, 500, 998, 999] {
            let touched: Vec<u32> = (0..1000).filter(|&item| item != hole).collect();
            assert_eq!(negative(&mut rng, NegativePolicy::Reject, &touched, 1000), hole);
        }
    }

    #[test]
    fn batches_cover_all_triples_in_order() {
        let numbers: Vec<u32> = (0..10).collect();
        let triples = Triples { users: numbers.clone(), positives: numbers.clone(), negatives: numbers.clone() };
        let batches: Vec<_> = triples.batches(4).collect();
        assert_eq!(batches.len(), triples.num_batches(4));
        assert_eq!(batches.iter().flat_map(|batch| batch.users.to_vec()).collect::<Vec<_>>(), numbers);
        for (index, batch) in batches.iter().enumerate() {
            assert_eq!(*batch, triples.batch(index, 4));
        }
        assert_eq!(batches[2].negatives, [8, 9]);
    }

    #[test]
    fn data_that_cannot_be_sampled_is_refused() {
        let full = Interactions::from_pairs(2, 2, [(0, 0), (1, 0), (1, 1)]).unwrap();
        let message = PairSampler::new(&full, NegativePolicy::Reject).unwrap_err().to_string();
        assert!(message.starts_with("user 1 has consumed all 2 items"), "{message}");
        assert!(UniformUserSampler::new(&full, NegativePolicy::Reject).is_err());
        assert!(PairSampler::new(&full, NegativePolicy::Unchecked).is_ok());
        let empty = Interactions::from_pairs(2, 2, []).unwrap();
        assert!(matches!(PairSampler::new(&empty, NegativePolicy::Reject), Err(DataError::NothingToSample)));
    }
}
