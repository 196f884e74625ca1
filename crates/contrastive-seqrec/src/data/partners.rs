//! Samples that lead to the same next item.

use super::samples::Samples;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Which of the samples with the same target, but another list, is a sample's partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum PartnerRule {
    /// Each with the same probability, drawn anew each time (as the papers of DuoRec and ICSRec have it).
    #[default]
    Uniform,
    /// The last one (ICSRec's released loop, which does not stop at the first).
    Last,
}

/// Samples by target: who can be whose partner.
#[derive(Clone, Debug)]
pub struct Partners {
    offsets: Vec<usize>,
    rows: Vec<u32>,
    alone: Vec<bool>,
}

/// Draws before all partners of a sample are listed.
const TRIES: usize = 8;

impl Partners {
    /// Sorts the samples by their last targets.
    pub fn new(samples: &Samples) -> Self {
        let items = samples.split().num_items();
        let mut offsets = vec![0usize; items + 2];
        (0..samples.len()).for_each(|i| offsets[samples.target(i) as usize + 1] += 1);
        (0..=items).for_each(|v| offsets[v + 1] += offsets[v]);
        let mut next = offsets.clone();
        let mut rows = vec![0; samples.len()];
        for i in 0..samples.len() {
            let at = &mut next[samples.target(i) as usize];
            rows[*at] = i as u32;
            *at += 1;
        }
        let mut partners = Self { offsets, rows, alone: Vec::new() };
        let alone = (0..samples.len()).map(|i| {
            let own = samples.get(i).input;
            partners.bucket(samples, i).iter().all(|&other| samples.get(other as usize).input == own)
        });
        partners.alone = alone.collect();
        partners
    }

    /// All samples with the target of sample `i`, itself among them.
    pub fn bucket(&self, samples: &Samples, i: usize) -> &[u32] {
        let target = samples.target(i) as usize;
        &self.rows[self.offsets[target]..self.offsets[target + 1]]
    }

    /// Has sample `i` no partner but itself?
    pub fn is_alone(&self, i: usize) -> bool {
        self.alone[i]
    }

    /// The share of samples that are their own partners.
    pub fn share_alone(&self) -> f64 {
        self.alone.iter().filter(|alone| **alone).count() as f64 / self.alone.len().max(1) as f64
    }

    /// A partner of sample `i`: a sample with the same target and another list; the sample itself where there is none.
    pub fn partner(&self, samples: &Samples, i: usize, rule: PartnerRule, rng: &mut ChaCha8Rng) -> usize {
        if self.is_alone(i) {
            return i;
        }
        let (own, bucket) = (samples.get(i).input, self.bucket(samples, i));
        let other = |row: u32| samples.get(row as usize).input != own;
        if rule == PartnerRule::Last {
            return bucket.iter().rev().copied().find(|row| other(*row)).map_or(i, |row| row as usize);
        }
        for _ in 0..TRIES {
            let row = bucket[rng.random_range(0..bucket.len())];
            if other(row) {
                return row as usize;
            }
        }
        let others: Vec<u32> = bucket.iter().copied().filter(|row| other(*row)).collect();
        others[rng.random_range(0..others.len())] as usize
    }
}
