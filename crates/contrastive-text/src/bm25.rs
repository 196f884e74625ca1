//! BM25: the words that a query and a document share, the measure that learnt search is held against.

use contrastive_train::{Check, SettingError};
use std::collections::HashMap;

/// Okapi BM25 (Robertson et al., 1994), with Lucene's inverse document frequency `log(1 + (N - n + 0.5) / (n + 0.5))`, which is never
/// negative.
///
/// ```
/// use contrastive_text::bm25::Bm25;
///
/// let documents = [vec!["read", "a", "file"], vec!["write", "a", "file", "file"], vec!["sort"]];
/// let bm25 = Bm25::new(&documents, 1.2, 0.75)?;
/// let mut scores = [0.0; 3];
/// bm25.score(&["read", "file"], &mut scores);
/// assert!(scores[0] > scores[1] && scores[2] == 0.0);
/// # Ok::<(), contrastive_train::SettingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bm25 {
    /// For each word the documents with it, and its part of their scores.
    postings: HashMap<String, Vec<(u32, f64)>>,
    documents: usize,
}

impl Bm25 {
    /// Documents as words; `k1` (1.2 usually) says how much a repeated word counts, `b` (0.75 usually), 0 to 1, how much long
    /// documents are held back.
    ///
    /// # Errors
    /// When `k1` is negative or not finite, or `b` not in 0 to 1.
    pub fn new<W: AsRef<str>>(documents: &[Vec<W>], k1: f64, b: f64) -> Result<Self, SettingError> {
        let check = Check::new("bm25");
        check.weight("k1", k1)?;
        check.probability("b", b)?;
        let count = documents.len();
        let mean = documents.iter().map(Vec::len).sum::<usize>() as f64 / count.max(1) as f64;
        let mut frequencies: HashMap<&str, Vec<(u32, f64)>> = HashMap::new();
        for (number, document) in documents.iter().enumerate() {
            for word in document {
                let list = frequencies.entry(word.as_ref()).or_default();
                match list.last_mut() {
                    Some((last, times)) if *last == number as u32 => *times += 1.0,
                    _ => list.push((number as u32, 1.0)),
                }
            }
        }
        let weigh = |(word, list): (&str, Vec<(u32, f64)>)| {
            let with = list.len() as f64;
            let rarity = (1.0 + (count as f64 - with + 0.5) / (with + 0.5)).ln();
            let part = |(number, times): (u32, f64)| {
                let length = documents[number as usize].len() as f64 / mean;
                (number, rarity * times * (k1 + 1.0) / (times + k1 * (1.0 - b + b * length)))
            };
            (word.to_string(), list.into_iter().map(part).collect())
        };
        Ok(Self { postings: frequencies.into_iter().map(weigh).collect(), documents: count })
    }

    /// The score of each document for a query; a word that is there twice counts twice.
    ///
    /// # Panics
    /// When there is not a place for each document.
    pub fn score<W: AsRef<str>>(&self, query: &[W], scores: &mut [f64]) {
        assert_eq!(scores.len(), self.documents, "scores of documents");
        scores.fill(0.0);
        for word in query {
            for (number, part) in self.postings.get(word.as_ref()).into_iter().flatten() {
                scores[*number as usize] += part;
            }
        }
    }
}
