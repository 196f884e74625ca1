//! Which samples meet in a batch, and batches made ahead of time.

use crate::config::{Check, SettingError};
use contrastive_core::sampler::{BalancedSampler, HierarchicalSampler, MixedSource, PerClassSampler};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How the samples of an epoch become batches, positions in the data set each.
///
/// ```
/// use contrastive_train::{Batches, epoch_rng};
///
/// let batches = Batches::shuffled(10, 4)?.dropping_last();
/// let epoch = batches.epoch(1, &mut epoch_rng(7, 1));
/// assert_eq!(epoch.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
/// assert_eq!(epoch, batches.epoch(1, &mut epoch_rng(7, 1)));
/// # Ok::<(), contrastive_train::SettingError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Batches {
    /// Every sample once, in random order.
    Shuffled {
        /// Number of samples.
        samples: usize,
        /// Samples in a batch.
        batch_size: usize,
        /// Leaves out what does not fill a batch at the end.
        drop_last: bool,
    },
    /// Every sample once, those of similar length together; batches in random order.
    Buckets {
        /// The length of each sample.
        lengths: Vec<usize>,
        /// Samples in a batch.
        batch_size: usize,
        /// Batches whose samples are sorted by length together: 1 is a plain shuffle, more make batches more even.
        window: usize,
        /// Leaves out what does not fill a batch at the end.
        drop_last: bool,
    },
    /// All classes equally often.
    Balanced(BalancedSampler),
    /// So many classes, and so many samples of each.
    PerClass(PerClassSampler),
    /// Few groups of related classes.
    Hierarchical(HierarchicalSampler),
    /// Real and generated samples in exact shares.
    Mixed(MixedSource),
}

impl Batches {
    /// Every sample once, in random order; the last batch may be smaller.
    ///
    /// # Errors
    /// When there are no samples, or none in a batch.
    pub fn shuffled(samples: usize, batch_size: usize) -> Result<Self, SettingError> {
        let check = Check::new("batches");
        check.count("samples", samples)?;
        check.count("batch_size", batch_size)?;
        Ok(Self::Shuffled { samples, batch_size, drop_last: false })
    }

    /// Every sample once, those of similar length together: the samples are shuffled, `window` batches of them at a time sorted by
    /// length, and the batches shuffled again.
    ///
    /// # Errors
    /// When there are no samples, none in a batch, or no batches in a window.
    pub fn by_length(lengths: Vec<usize>, batch_size: usize, window: usize) -> Result<Self, SettingError> {
        let check = Check::new("batches");
        check.count("samples", lengths.len())?;
        check.count("batch_size", batch_size)?;
        check.count("window", window)?;
        Ok(Self::Buckets { lengths, batch_size, window, drop_last: false })
    }

    /// Leaves out what does not fill a batch at the end of an epoch; another epoch leaves out others. Without effect on the samplers
    /// of classes, whose batches are all full.
    #[must_use]
    pub fn dropping_last(mut self) -> Self {
        if let Self::Shuffled { drop_last, .. } | Self::Buckets { drop_last, .. } = &mut self {
            *drop_last = true;
        }
        self
    }

    /// The batches of an epoch, counted from 1. Samplers of classes and of mixtures draw from their own seed and the number of the epoch, the others
    /// from `rng`.
    pub fn epoch(&self, epoch: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
        let order = |samples: usize, rng: &mut ChaCha8Rng| {
            let mut order: Vec<usize> = (0..samples).collect();
            order.shuffle(rng);
            order
        };
        let cut = |order: &[usize], size: usize, drop_last: bool| -> Vec<Vec<usize>> {
            let whole = if drop_last { order.len() - order.len() % size } else { order.len() };
            order[..whole].chunks(size).map(<[usize]>::to_vec).collect()
        };
        match self {
            Self::Shuffled { samples, batch_size, drop_last } => cut(&order(*samples, rng), *batch_size, *drop_last),
            Self::Buckets { lengths, batch_size, window, drop_last } => {
                let mut order = order(lengths.len(), rng);
                order.chunks_mut(batch_size * window).for_each(|some| some.sort_by_key(|sample| lengths[*sample]));
                let mut batches = cut(&order, *batch_size, *drop_last);
                batches.shuffle(rng);
                batches
            }
            Self::Balanced(sampler) => sampler.epoch(epoch),
            Self::PerClass(sampler) => sampler.epoch(epoch),
            Self::Hierarchical(sampler) => sampler.epoch(epoch),
            Self::Mixed(sampler) => sampler.epoch(epoch),
        }
    }
}

/// Items `0..count` made ahead of time by several threads, in bounded memory, and handed out in their order. Each item is a
/// function of its number alone ([`Step::rng`](crate::Step::rng) gives a generator for it), so that the number of threads
/// changes nothing.
///
/// ```
/// use contrastive_train::Prefetch;
///
/// for threads in [0, 1, 3] {
///     let squares: Vec<usize> = Prefetch::new(5, threads, 2, |k| k * k).collect();
///     assert_eq!(squares, [0, 1, 4, 9, 16]);
/// }
/// ```
pub struct Prefetch<T> {
    shared: Arc<Shared<T>>,
    workers: Vec<JoinHandle<()>>,
}

type Outcome<T> = Result<T, Box<dyn Any + Send>>;

struct Shared<T> {
    make: Box<dyn Fn(usize) -> T + Send + Sync>,
    count: usize,
    ahead: usize,
    state: Mutex<Stock<T>>,
    changed: Condvar,
}

struct Stock<T> {
    /// The next item to be made, and the next to be handed out.
    next: usize,
    taken: usize,
    ready: BTreeMap<usize, Outcome<T>>,
    stop: bool,
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Stock<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, stock: MutexGuard<'a, Stock<T>>) -> MutexGuard<'a, Stock<T>> {
        self.changed.wait(stock).unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let mut stock = self.lock();
            while !stock.stop && stock.next < self.count && stock.next >= stock.taken + self.ahead {
                stock = self.wait(stock);
            }
            if stock.stop || stock.next >= self.count {
                return;
            }
            let number = stock.next;
            stock.next += 1;
            drop(stock);
            let made = catch_unwind(AssertUnwindSafe(|| (self.make)(number)));
            self.lock().ready.insert(number, made);
            self.changed.notify_all();
        }
    }
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts `threads` threads (0: each item is made when it is asked for) that keep at most `ahead` items (at least 1) made
    /// or in the making.
    pub fn new(count: usize, threads: usize, ahead: usize, make: impl Fn(usize) -> T + Send + Sync + 'static) -> Self {
        let state = Mutex::new(Stock { next: 0, taken: 0, ready: BTreeMap::new(), stop: false });
        let shared =
            Arc::new(Shared { make: Box::new(make), count, ahead: ahead.max(1), state, changed: Condvar::new() });
        let start = |_| {
            let shared = shared.clone();
            std::thread::spawn(move || shared.work())
        };
        let workers = (0..threads).map(start).collect();
        Self { shared, workers }
    }
}

impl<T> Iterator for Prefetch<T> {
    type Item = T;

    /// # Panics
    /// When making the item has panicked.
    fn next(&mut self) -> Option<T> {
        let mut stock = self.shared.lock();
        let number = stock.taken;
        if number >= self.shared.count {
            return None;
        }
        if self.workers.is_empty() {
            stock.taken += 1;
            drop(stock);
            return Some((self.shared.make)(number));
        }
        let made = loop {
            match stock.ready.remove(&number) {
                Some(made) => break made,
                None => stock = self.shared.wait(stock),
            }
        };
        stock.taken += 1;
        drop(stock);
        self.shared.changed.notify_all();
        Some(made.unwrap_or_else(|panic| resume_unwind(panic)))
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        for worker in self.workers.drain(..) {
            worker.join().ok();
        }
    }
}

impl<T> std::fmt::Debug for Prefetch<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (count, ahead) = (self.shared.count, self.shared.ahead);
        f.debug_struct("Prefetch").field("count", &count).field("ahead", &ahead).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fit::epoch_rng;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn every_sample_comes_once_and_buckets_are_even() {
        let lengths: Vec<usize> = (0..103).map(|k| (k * 37) % 50).collect();
        for batches in [Batches::shuffled(103, 8).unwrap(), Batches::by_length(lengths.clone(), 8, 100).unwrap()] {
            let epoch = batches.epoch(1, &mut epoch_rng(1, 1));
            let mut all: Vec<usize> = epoch.concat();
            all.sort_unstable();
            assert_eq!(all, (0..103).collect::<Vec<_>>());
            assert_ne!(epoch, batches.epoch(2, &mut epoch_rng(1, 2)));
            let full = batches.dropping_last().epoch(1, &mut epoch_rng(1, 1));
            assert!(full.len() == 12 && full.iter().all(|batch| batch.len() == 8));
        }
        // sorted as a whole, neighbours of 103 lengths within 0..50 differ by at most 4 in a batch of 8
        let even = Batches::by_length(lengths.clone(), 8, 100).unwrap().epoch(1, &mut epoch_rng(1, 1));
        for batch in even {
            let of = |sample: &usize| lengths[*sample];
            assert!(batch.iter().map(of).max().unwrap() - batch.iter().map(of).min().unwrap() <= 4);
        }
    }

    #[test]
    fn prefetching_is_bounded_and_in_order() {
        for threads in [1, 4] {
            let (started, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (counter, taken) = (started.clone(), Arc::new(AtomicUsize::new(0)));
            let (seen, peak) = (taken.clone(), most.clone());
            let items = Prefetch::new(40, threads, 3, move |k| {
                let ahead = counter.fetch_add(1, Ordering::SeqCst) + 1 - seen.load(Ordering::SeqCst).min(k);
                peak.fetch_max(ahead, Ordering::SeqCst);
                std::thread::sleep(std::time::Duration::from_micros((k as u64 * 7919) % 400));
                k
            });
            for (at, item) in items.enumerate() {
                assert_eq!(at, item);
                taken.store(at + 1, Ordering::SeqCst);
            }
            assert_eq!(started.load(Ordering::SeqCst), 40);
            // one more than `ahead`: an item may have been handed out and not yet counted here
            assert!(most.load(Ordering::SeqCst) <= 4, "{}", most.load(Ordering::SeqCst));
        }
    }

    #[test]
    fn dropping_early_and_panics_end_the_threads() {
        let mut items = Prefetch::new(1_000_000, 2, 4, |k| vec![k; 10]);
        assert_eq!(items.next().unwrap()[0], 0);
        drop(items);
        let mut items = Prefetch::new(3, 2, 2, |k| if k == 1 { panic!("item {k}") } else { k });
        assert_eq!(items.next(), Some(0));
        let panic = catch_unwind(AssertUnwindSafe(|| items.next())).unwrap_err();
        assert_eq!(panic.downcast_ref::<String>().unwrap(), "item 1");
    }
}
