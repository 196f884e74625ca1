//! Words and their numbers.

use contrastive_train::{Check, SettingError};
use std::collections::HashMap;

/// A word for each number: special ones first, the first of which stands for unknown words; then the others, frequent ones first.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    words: Vec<String>,
    ids: HashMap<String, u32>,
    special: usize,
}

impl Vocabulary {
    /// The special words, and at most `most` others that are there at least `least` times; of equally frequent ones the first by
    /// spelling.
    ///
    /// # Errors
    /// When there is no special word or one is there twice, or `least` is 0.
    pub fn build<'a>(
        special: &[&str],
        words: impl IntoIterator<Item = &'a str>,
        least: usize,
        most: usize,
    ) -> Result<Self, SettingError> {
        let check = Check::new("vocabulary");
        check.count("number of special words", special.len())?;
        check.count("least", least)?;
        let mut counts: HashMap<&str, usize> = HashMap::new();
        words.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
        for (at, word) in special.iter().enumerate() {
            check.that(!special[..at].contains(word), "special word", word, "one that is there once")?;
            counts.remove(word);
        }
        let mut counts: Vec<(&str, usize)> = counts.into_iter().filter(|(_, count)| *count >= least).collect();
        counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        counts.truncate(most);
        let words: Vec<String> =
            special.iter().copied().chain(counts.into_iter().map(|(word, _)| word)).map(String::from).collect();
        let ids = words.iter().zip(0..).map(|(word, id)| (word.clone(), id)).collect();
        Ok(Self { words, ids, special: special.len() })
    }

    /// Words, special ones among them.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// How many special words there are: the numbers below.
    pub fn special(&self) -> usize {
        self.special
    }

    /// The number of a word; of an unknown one 0.
    pub fn id(&self, word: &str) -> u32 {
        self.get(word).unwrap_or(0)
    }

    /// The number of a word that is there.
    pub fn get(&self, word: &str) -> Option<u32> {
        self.ids.get(word).copied()
    }

    /// A word.
    ///
    /// # Panics
    /// When there is no such number.
    pub fn word(&self, id: u32) -> &str {
        &self.words[id as usize]
    }

    /// Words with blanks between them.
    ///
    /// # Panics
    /// When there is no such number.
    pub fn text(&self, ids: &[u32]) -> String {
        ids.iter().map(|id| self.word(*id)).collect::<Vec<_>>().join(" ")
    }
}
