//! Crop, mask, reorder (CL4SRec, Xie et al. 2022), substitute and insert (CoSeRec, Liu et al. 2021).

use super::Neighbours;
use burn::config::Config;
use contrastive_train::{Check, SettingError};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// An edit of a list of n items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Operator {
    /// Keeps `floor(keep n)` consecutive items, at least one.
    Crop,
    /// Masks `floor(share n)` items; the length stays.
    Mask,
    /// Shuffles `floor(share n)` consecutive items.
    Reorder,
    /// Replaces `floor(share n)` items by the item that most often stands near them.
    Substitute,
    /// Puts, after `floor(share n)` items, the item that most often stands near them; the list grows and keeps its last L items.
    Insert,
}

/// What stands where an item is masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum MaskWith {
    /// A token of its own, V + 1, which is learnt (CL4SRec).
    #[default]
    Token,
    /// The padding item 0: attention passes over it (MCLRec, ICLRec).
    Padding,
}

/// Shares of the edits. The defaults are CL4SRec's.
#[derive(Config, Debug, PartialEq)]
pub struct EditsConfig {
    /// The share that a crop keeps (eta), 0 to 1; at least one item is kept.
    #[config(default = 0.6)]
    pub crop: f64,
    /// The share that is masked (gamma), 0 to 1.
    #[config(default = 0.3)]
    pub mask: f64,
    /// The share that is reordered (beta), 0 to 1.
    #[config(default = 0.6)]
    pub reorder: f64,
    /// The share that is substituted, 0 to 1.
    #[config(default = 0.2)]
    pub substitute: f64,
    /// The share after which something is inserted, 0 to 1.
    #[config(default = 0.2)]
    pub insert: f64,
    /// What masks.
    #[config(default = "MaskWith::Token")]
    pub mask_with: MaskWith,
    /// The edits that two different ones are drawn from.
    #[config(default = "vec![Operator::Crop, Operator::Mask, Operator::Reorder]")]
    pub operators: Vec<Operator>,
}

impl EditsConfig {
    /// MCLRec's: crops that keep half, half masked with padding, 0.8 reordered.
    pub fn mclrec() -> Self {
        Self::new().with_crop(0.5).with_mask(0.5).with_reorder(0.8).with_mask_with(MaskWith::Padding)
    }

    /// Checks the shares.
    ///
    /// # Errors
    /// When one is not in 0 to 1, or there are fewer than two different edits.
    pub fn validate(&self) -> Result<(), SettingError> {
        let check = Check::new("edits");
        let shares = [
            ("crop", self.crop),
            ("mask", self.mask),
            ("reorder", self.reorder),
            ("substitute", self.substitute),
            ("insert", self.insert),
        ];
        for (name, share) in shares {
            check.probability(name, share)?;
        }
        let repeated = (1..self.operators.len()).any(|i| self.operators[..i].contains(&self.operators[i]));
        let good = self.operators.len() > 1 && !repeated;
        check.that(good, "operators", format!("{:?}", self.operators), "two or more different ones")
    }

    /// Is a mask token among what these edits put into lists?
    pub fn needs_mask_token(&self) -> bool {
        self.mask_with == MaskWith::Token && self.operators.contains(&Operator::Mask)
    }

    /// Do these edits need to know which items stand near each other?
    pub fn needs_neighbours(&self) -> bool {
        self.operators.iter().any(|operator| matches!(operator, Operator::Substitute | Operator::Insert))
    }
}

/// Edits of the lists of one catalogue.
#[derive(Clone, Debug)]
pub struct Edits {
    config: EditsConfig,
    max_len: usize,
    mask: u32,
    neighbours: Option<Arc<Neighbours>>,
}

impl Edits {
    /// Edits of lists of items 1 to `items`, of which at most the last `max_len` are kept.
    ///
    /// # Errors
    /// When a setting is out of its range, or substitutes or inserts are wanted and no neighbours given.
    pub fn new(
        config: &EditsConfig,
        items: usize,
        max_len: usize,
        neighbours: Option<Arc<Neighbours>>,
    ) -> Result<Self, SettingError> {
        config.validate()?;
        let known = !config.needs_neighbours() || neighbours.is_some();
        Check::new("edits").that(
            known,
            "operators",
            format!("{:?}", config.operators),
            "neighbours of the items too",
        )?;
        let mask = match config.mask_with {
            MaskWith::Token => items as u32 + 1,
            MaskWith::Padding => 0,
        };
        Ok(Self { config: config.clone(), max_len, mask, neighbours })
    }

    /// Two views by two different edits, drawn without replacement; a list of one item stays as it is.
    ///
    /// # Panics
    /// When the list is empty.
    pub fn two_views(&self, list: &[u32], rng: &mut ChaCha8Rng) -> [Vec<u32>; 2] {
        assert!(!list.is_empty(), "views of an empty list");
        if list.len() == 1 {
            return [list.to_vec(), list.to_vec()];
        }
        let of = &self.config.operators;
        let first = rng.random_range(0..of.len());
        let second = (first + rng.random_range(1..of.len())) % of.len();
        [first, second].map(|at| self.apply(of[at], list, rng))
    }

    /// One edit.
    ///
    /// # Panics
    /// When the list is empty, or neighbours are needed and not there.
    pub fn apply(&self, operator: Operator, list: &[u32], rng: &mut ChaCha8Rng) -> Vec<u32> {
        assert!(!list.is_empty(), "an edit of an empty list");
        let n = list.len();
        let count = |share: f64| ((share * n as f64).floor() as usize).min(n);
        let mut out = list.to_vec();
        match operator {
            Operator::Crop => {
                let m = count(self.config.crop).max(1);
                let start = rng.random_range(0..=n - m);
                out.truncate(start + m);
                out.drain(..start);
            }
            Operator::Mask => {
                for at in some_of(n, count(self.config.mask), rng) {
                    out[at] = self.mask;
                }
            }
            Operator::Reorder => {
                let m = count(self.config.reorder);
                let start = rng.random_range(0..=n - m);
                out[start..start + m].shuffle(rng);
            }
            Operator::Substitute => {
                for at in some_of(n, count(self.config.substitute), rng) {
                    out[at] = self.near(list[at]);
                }
            }
            Operator::Insert => {
                let places = some_of(n, count(self.config.insert), rng);
                let with = |at: usize| {
                    let more = places.binary_search(&at).is_ok().then(|| self.near(list[at]));
                    std::iter::once(list[at]).chain(more)
                };
                out = (0..n).flat_map(with).collect();
                out.drain(..out.len().saturating_sub(self.max_len));
            }
        }
        out
    }

    fn near(&self, item: u32) -> u32 {
        self.neighbours.as_ref().expect("neighbours, as checked when made").of(item)
    }
}

/// `count` different numbers below `n`, ascending.
fn some_of(n: usize, count: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    let _ = all.partial_shuffle(rng, count);
    // what was drawn stands at the end
    let mut drawn = all.split_off(n - count);
    drawn.sort_unstable();
    drawn
}
