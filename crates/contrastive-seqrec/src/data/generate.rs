//! Generated sequences whose best possible hit rate is known.
//!
//! Each user follows one of a few hidden intents; an intent is a Markov chain over the items, and after each event the user changes to
//! another intent with a small probability. The same item leads elsewhere under another intent, so that the last item alone is not enough
//! to know what comes next. Given all, the best prediction is that of the filter which keeps a belief over the intents, and its hit rate
//! is what no method can pass. Numbers measured on such data say nothing about a real catalogue.

use super::error::SequenceError;
use super::sequences::Sequences;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Size and shape.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateOptions {
    /// Number of users, at least 1.
    pub users: usize,
    /// Number of items, at least 4.
    pub items: usize,
    /// Number of intents, at least 1.
    pub intents: usize,
    /// Shortest and longest list, at least 3.
    pub length: (usize, usize),
    /// Probability of another intent after an event, 0 to 1.
    pub change: f64,
    /// Probability that an event is any item, 0 to 1.
    pub noise: f64,
    /// Of everything.
    pub seed: u64,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self { users: 1500, items: 200, intents: 6, length: (6, 20), change: 0.05, noise: 0.1, seed: 7 }
    }
}

/// What follows an item under an intent, and how probable it is.
const SUCCESSORS: [f64; 3] = [0.6, 0.3, 0.1];

/// Generated sequences and what made them.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The lists.
    pub sequences: Sequences,
    options: GenerateOptions,
    /// `[intents, items, 3]`: items from 0.
    next: Vec<u32>,
}

/// Generates.
///
/// # Errors
/// When an option is out of its range.
pub fn markov_intents(options: &GenerateOptions) -> Result<Generated, SequenceError> {
    let o = options;
    let at_least = |name, value: usize, least, allowed| {
        if value < least { Err(SequenceError::setting(name, value, allowed)) } else { Ok(()) }
    };
    at_least("users", o.users, 1, "at least 1")?;
    at_least("items", o.items, 4, "at least 4")?;
    at_least("intents", o.intents, 1, "at least 1")?;
    at_least("length", o.length.0, 3, "3 or more, the shortest first")?;
    at_least("length", o.length.1, o.length.0, "3 or more, the shortest first")?;
    for (name, share) in [("change", o.change), ("noise", o.noise)] {
        if !(0.0..=1.0).contains(&share) {
            return Err(SequenceError::setting(name, share, "0 to 1"));
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(o.seed);
    let mut next = Vec::with_capacity(o.intents * o.items * SUCCESSORS.len());
    for _ in 0..o.intents * o.items {
        let mut own = [u32::MAX; SUCCESSORS.len()];
        for k in 0..own.len() {
            own[k] = loop {
                let item = rng.random_range(0..o.items as u32);
                if !own.contains(&item) {
                    break item;
                }
            };
        }
        next.extend(own);
    }
    let mut lists = Vec::with_capacity(o.users);
    for _ in 0..o.users {
        let length = rng.random_range(o.length.0..=o.length.1);
        let mut intent = rng.random_range(0..o.intents);
        let mut list = vec![rng.random_range(0..o.items as u32)];
        while list.len() < length {
            if rng.random::<f64>() < o.change {
                intent = rng.random_range(0..o.intents);
            }
            let last = *list.last().expect("not empty") as usize;
            let mut left = rng.random::<f64>();
            let way = SUCCESSORS.iter().position(|p| {
                left -= p;
                left < 0.0
            });
            list.push(match rng.random::<f64>() < o.noise {
                true => rng.random_range(0..o.items as u32),
                false => next[(intent * o.items + last) * SUCCESSORS.len() + way.unwrap_or(0)],
            });
        }
        lists.push(list.iter().map(|item| item + 1).collect::<Vec<u32>>());
    }
    let sequences = Sequences::from_lists("generated Markov intents", &lists, o.items)?;
    Ok(Generated { sequences, options: o.clone(), next })
}

impl Generated {
    /// Probability of going from item `from` to `to` (from 0) under an intent.
    fn step(&self, intent: usize, from: usize, to: u32) -> f64 {
        let o = &self.options;
        let own = &self.next[(intent * o.items + from) * SUCCESSORS.len()..][..SUCCESSORS.len()];
        let follows = own.iter().position(|item| *item == to).map_or(0.0, |k| SUCCESSORS[k]);
        o.noise / o.items as f64 + (1.0 - o.noise) * follows
    }

    /// The probabilities of all items (from 0) after a list (items from 1), given everything but the intents.
    ///
    /// # Panics
    /// When the list is empty, or holds other items.
    pub fn after(&self, list: &[u32]) -> Vec<f64> {
        let o = &self.options;
        let k = o.intents as f64;
        let mut belief = vec![1.0 / k; o.intents];
        for pair in list.windows(2) {
            let all: f64 = belief.iter().sum();
            for (intent, b) in belief.iter_mut().enumerate() {
                let moved = *b * (1.0 - o.change) + all * o.change / k;
                *b = moved * self.step(intent, pair[0] as usize - 1, pair[1] - 1);
            }
            let sum: f64 = belief.iter().sum();
            belief.iter_mut().for_each(|b| *b /= sum);
        }
        let last = *list.last().expect("a list of at least one item") as usize - 1;
        let mut out = vec![o.noise / o.items as f64; o.items];
        for (intent, b) in belief.iter().enumerate() {
            let share = (b * (1.0 - o.change) + o.change / k) * (1.0 - o.noise);
            let own = &self.next[(intent * o.items + last) * SUCCESSORS.len()..][..SUCCESSORS.len()];
            own.iter().zip(SUCCESSORS).for_each(|(item, p)| out[*item as usize] += share * p);
        }
        out
    }

    /// The highest hit rate that any method can expect at `k` when nothing is excluded: the mean over the lists of the k largest
    /// probabilities of what comes next.
    ///
    /// # Panics
    /// When there are no lists.
    pub fn best_hit_rate<'a>(&self, inputs: impl Iterator<Item = &'a [u32]>, k: usize) -> f64 {
        let each = inputs.map(|list| {
            let mut next = self.after(list);
            next.sort_unstable_by(|a, b| b.total_cmp(a));
            next[..k.min(next.len())].iter().sum::<f64>()
        });
        let each: Vec<f64> = each.collect();
        assert!(!each.is_empty(), "the best hit rate of no lists");
        each.iter().sum::<f64>() / each.len() as f64
    }
}
