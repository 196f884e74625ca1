//! What a language model wrote: how often it repeats itself.
//!
//! ```
//! use contrastive_eval::generation::{NGrams, Repetition};
//!
//! let texts = [vec![1u32, 2, 3, 1, 2, 3], vec![4, 5, 6, 7]];
//! let repetition = Repetition::of(&texts, NGrams::All);
//! // of 8 pairs of neighbours 6 are different within their text
//! assert_eq!(repetition.rep(2), 25.0);
//! assert!((repetition.diversity() - 0.75 * (5.0 / 6.0) * 1.0).abs() < 1e-12);
//! ```

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;

/// Which n-grams of a text count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NGrams {
    /// All.
    #[default]
    All,
    /// All but the last of each text, as in the released code of SimCTG, whose loop ends one too early.
    WithoutLast,
}

/// `rep-n` and diversity of generated texts (Su et al., NeurIPS 2022, section 4.2): unique n-grams are counted within each text and
/// summed over texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repetition {
    /// Unique and all n-grams for n = 2, 3, 4.
    counts: [[usize; 2]; 3],
}

impl Repetition {
    /// Of texts of tokens (or words). Texts shorter than n have no n-gram.
    pub fn of<T: Eq + Hash>(texts: &[Vec<T>], which: NGrams) -> Self {
        let count = |n: usize| {
            texts.iter().fold([0, 0], |[unique, all], text| {
                let grams = text.windows(n).len() - usize::from(which == NGrams::WithoutLast && text.len() >= n);
                let different: HashSet<&[T]> = text.windows(n).take(grams).collect();
                [unique + different.len(), all + grams]
            })
        };
        Self { counts: [count(2), count(3), count(4)] }
    }

    /// `100 (1 - unique / all)` of n-grams, in per cent; 0 where there are none.
    ///
    /// # Panics
    /// When n is not 2, 3 or 4.
    pub fn rep(&self, n: usize) -> f64 {
        assert!((2..=4).contains(&n), "rep-{n}: n is 2, 3 or 4");
        match self.counts[n - 2] {
            [_, 0] => 0.0,
            [unique, all] => 100.0 * (1.0 - unique as f64 / all as f64),
        }
    }

    /// The product of `1 - rep-n / 100` for n = 2, 3, 4: 1 without a repetition.
    pub fn diversity(&self) -> f64 {
        (2..=4).map(|n| 1.0 - self.rep(n) / 100.0).product()
    }
}

impl fmt::Display for Repetition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [two, three, four] = [2, 3, 4].map(|n| self.rep(n));
        write!(f, "rep-2 {two:.2}, rep-3 {three:.2}, rep-4 {four:.2}, diversity {:.4}", self.diversity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts by hand.
    #[test]
    fn repetition_counts_within_texts() {
        let loops = vec![vec![1, 2, 1, 2, 1, 2], vec![1, 2]];
        let all = Repetition::of(&loops, NGrams::All);
        // pairs: 2 of 5 and 1 of 1; triples: 2 of 4; quadruples: 2 of 3
        assert!((all.rep(2) - 50.0).abs() < 1e-12 && (all.rep(3) - 50.0).abs() < 1e-12);
        assert!((all.rep(4) - 100.0 / 3.0).abs() < 1e-9);
        assert!((all.diversity() - 0.5 * 0.5 * 2.0 / 3.0).abs() < 1e-12);
        // without the last: 2 of 4 and 0 of 0; 2 of 3; 2 of 2
        let less = Repetition::of(&loops, NGrams::WithoutLast);
        assert!((less.rep(2) - 50.0).abs() < 1e-12 && (less.rep(3) - 100.0 / 3.0).abs() < 1e-9);
        assert_eq!(less.rep(4), 0.0);
        assert_eq!(Repetition::of(&[Vec::<u32>::new(), vec![7]], NGrams::WithoutLast).diversity(), 1.0);
        assert_eq!(Repetition::of(&[(0..50).collect::<Vec<u32>>()], NGrams::All).diversity(), 1.0);
    }
}
