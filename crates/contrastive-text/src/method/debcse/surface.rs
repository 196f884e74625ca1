//! How much of its words a pair of sentences shares.

use contrastive_data::text::split_words;
use std::collections::HashMap;

/// Sentences as sorted lists of word numbers, and the sentences of each word.
#[derive(Clone, Debug)]
pub struct Surfaces {
    words: Vec<Vec<u32>>,
    sentences: Vec<Vec<u32>>,
    exponent: f64,
}

impl Surfaces {
    /// Of these texts; `exponent` is q, the power of the agreement of lengths.
    pub fn new<T: AsRef<str>>(texts: &[T], exponent: f64) -> Self {
        let mut numbers = HashMap::<String, u32>::new();
        let words: Vec<Vec<u32>> = texts
            .iter()
            .map(|text| {
                let mut words: Vec<u32> = split_words(text.as_ref())
                    .into_iter()
                    .map(|word| {
                        let next = numbers.len() as u32;
                        *numbers.entry(word).or_insert(next)
                    })
                    .collect();
                words.sort_unstable();
                words
            })
            .collect();
        let mut sentences = vec![Vec::new(); numbers.len()];
        for (at, words) in words.iter().enumerate() {
            for word in words.chunk_by(|a, b| a == b) {
                sentences[word[0] as usize].push(at as u32);
            }
        }
        Self { words, sentences, exponent }
    }

    /// `2 |w_i n w_j| / (|w_i| + |w_j|)` over multisets of words, times `(min / max of the lengths)^q`: 1 for the same words, 0 without a
    /// common one, and for a sentence without words.
    ///
    /// # Panics
    /// When there is no such sentence.
    pub fn similarity(&self, i: usize, j: usize) -> f64 {
        let (a, b) = (&self.words[i], &self.words[j]);
        let (mut x, mut y, mut common) = (0, 0, 0usize);
        while x < a.len() && y < b.len() {
            match a[x].cmp(&b[y]) {
                std::cmp::Ordering::Less => x += 1,
                std::cmp::Ordering::Greater => y += 1,
                std::cmp::Ordering::Equal => {
                    common += 1;
                    x += 1;
                    y += 1;
                }
            }
        }
        if common == 0 {
            return 0.0;
        }
        let overlap = 2.0 * common as f64 / (a.len() + b.len()) as f64;
        overlap * (a.len().min(b.len()) as f64 / a.len().max(b.len()) as f64).powf(self.exponent)
    }

    /// The words of a sentence.
    pub fn length(&self, i: usize) -> usize {
        self.words[i].len()
    }

    /// The `count` sentences most like sentence `i` among those with which it shares one of its rarest words, best first, without `i` and
    /// those in `left_out` (sorted). Words are taken from the rarest on until `reach` sentences have been looked at.
    pub fn nearest(&self, i: usize, count: usize, reach: usize, left_out: &[u32]) -> Vec<u32> {
        let mut words: Vec<u32> = self.words[i].clone();
        words.dedup();
        words.sort_by_key(|word| self.sentences[*word as usize].len());
        let (mut found, mut looked) = (Vec::new(), 0);
        for word in words {
            let list = &self.sentences[word as usize];
            // the rarest word counts, however common it is
            if looked > 0 && looked + list.len() > reach {
                break;
            }
            looked += list.len();
            found.extend(list.iter().take(reach));
        }
        found.sort_unstable();
        found.dedup();
        let others = found.into_iter().filter(|j| *j as usize != i && left_out.binary_search(j).is_err());
        let mut scored: Vec<(f64, u32)> = others.map(|j| (self.similarity(i, j as usize), j)).collect();
        scored.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        scored.into_iter().take(count).map(|(_, j)| j).collect()
    }
}
