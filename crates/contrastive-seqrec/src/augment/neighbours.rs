//! Which item most often stands near another.

use std::collections::HashMap;

/// For each item the one most often found near it in training lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbours {
    /// By item; 0 stands for itself.
    nearest: Vec<u32>,
}

/// Items this far apart in a list are near.
const WINDOW: usize = 5;

impl Neighbours {
    /// Counts, for items 1 to `items`, how often two different ones stand at most five places apart, each pair of a list of n events with
    /// weight `1 / ln(1 + n)`, so that long lists do not decide alone (CoSeRec's weighting). An item without neighbours has itself; of
    /// equal ones the smallest number is taken.
    pub fn new<'a>(lists: impl Iterator<Item = &'a [u32]>, items: usize) -> Self {
        let mut counts: HashMap<(u32, u32), f64> = HashMap::new();
        for list in lists {
            let weight = 1.0 / (1.0 + list.len() as f64).ln();
            for (at, &a) in list.iter().enumerate() {
                for &b in list[at + 1..].iter().take(WINDOW).filter(|b| **b != a) {
                    *counts.entry((a, b)).or_default() += weight;
                    *counts.entry((b, a)).or_default() += weight;
                }
            }
        }
        let mut best = vec![(0.0, 0u32); items + 1];
        for (&(a, b), &count) in &counts {
            let own = &mut best[a as usize];
            if count > own.0 || (count == own.0 && b < own.1) {
                *own = (count, b);
            }
        }
        Self { nearest: best.into_iter().map(|best| best.1).collect() }
    }

    /// The item near `item`; itself where there is none.
    ///
    /// # Panics
    /// When there is no such item.
    pub fn of(&self, item: u32) -> u32 {
        match self.nearest[item as usize] {
            0 => item,
            near => near,
        }
    }
}
