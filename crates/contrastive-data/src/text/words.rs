//! Words of a corpus.

use super::TokenizerError;
use std::collections::HashMap;

/// The words of a text: runs of letters and digits, in lower case. A text without any is split into its characters that are not
/// blank.
///
/// ```
/// use contrastive_data::text::split_words;
///
/// assert_eq!(split_words("It's 7 o'clock."), ["it", "s", "7", "o", "clock"]);
/// assert_eq!(split_words(" ?! "), ["?", "!"]);
/// assert!(split_words(" \t").is_empty());
/// ```
pub fn split_words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<String> = words.map(str::to_lowercase).collect();
    match words.is_empty() {
        true => text.chars().filter(|c| !c.is_whitespace()).map(String::from).collect(),
        false => words,
    }
}

/// The words of a corpus, each with a number and the number of texts it stands in. Token 0 stands for words that are not there, and
/// for a text without words.
///
/// ```
/// use contrastive_data::text::WordVocabulary;
///
/// let vocabulary = WordVocabulary::from_texts(["a cat", "a dog", "a cat again"], 1, 100)?;
/// assert_eq!(vocabulary.encode("A cat, a bird"), [1, 2, 1, 0]);
/// assert_eq!(vocabulary.encode("  "), [0]);
/// assert_eq!((vocabulary.size(), vocabulary.texts_with(2)), (5, 2));
/// # Ok::<(), contrastive_data::text::TokenizerError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct WordVocabulary {
    words: Vec<String>,
    texts_with: Vec<u32>,
    texts: u32,
    numbers: HashMap<String, u32>,
}

impl WordVocabulary {
    /// The words that stand in at least `least` texts, at most `most` of them: those of most texts first, equal ones in the order
    /// of the alphabet.
    ///
    /// # Errors
    /// When no word is left.
    pub fn from_texts<T: AsRef<str>>(
        texts: impl IntoIterator<Item = T>,
        least: usize,
        most: usize,
    ) -> Result<Self, TokenizerError> {
        let (mut counts, mut total) = (HashMap::<String, u32>::new(), 0u32);
        for text in texts {
            let mut words = split_words(text.as_ref());
            words.sort_unstable();
            words.dedup();
            words.into_iter().for_each(|word| *counts.entry(word).or_default() += 1);
            total += 1;
        }
        let mut counts: Vec<(String, u32)> = counts.into_iter().filter(|(_, n)| *n as usize >= least).collect();
        counts.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts.truncate(most);
        if counts.is_empty() {
            let problem = format!("no word stands in at least {least} of {total} texts");
            return Err(TokenizerError::Vocabulary { problem });
        }
        let (words, texts_with): (Vec<String>, Vec<u32>) = counts.into_iter().unzip();
        Ok(Self::new(words, texts_with, total))
    }

    /// These words as tokens 1, 2, ..., with the number of texts each stands in, of so many.
    ///
    /// # Panics
    /// When the lists have different lengths.
    pub fn new(words: Vec<String>, texts_with: Vec<u32>, texts: u32) -> Self {
        assert_eq!(words.len(), texts_with.len(), "words, and the numbers of their texts");
        let numbers = (1u32..).zip(&words).map(|(number, word)| (word.clone(), number)).collect();
        Self { words, texts_with, texts, numbers }
    }

    /// The tokens of a text, one for each word; one at least.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let tokens: Vec<u32> = split_words(text).iter().map(|word| self.number(word).unwrap_or(0)).collect();
        if tokens.is_empty() { vec![0] } else { tokens }
    }

    /// The token of a word, written as [`split_words`] writes it.
    pub fn number(&self, word: &str) -> Option<u32> {
        self.numbers.get(word).copied()
    }

    /// Tokens, token 0 included.
    pub fn size(&self) -> usize {
        self.words.len() + 1
    }

    /// The words of tokens 1, 2, ...
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Texts that the vocabulary was made of.
    pub fn texts(&self) -> u32 {
        self.texts
    }

    /// In how many of the texts the word of a token stands; 0 for token 0.
    ///
    /// # Panics
    /// When there is no such token.
    pub fn texts_with(&self, token: u32) -> u32 {
        assert!((token as usize) < self.size(), "token {token} of {}", self.size());
        if token == 0 { 0 } else { self.texts_with[token as usize - 1] }
    }

    /// `log((1 + texts) / (1 + texts with the word)) + 1` of every token, token 0 first (the smoothed inverse document frequency of
    /// scikit-learn's `TfidfTransformer`).
    pub fn idf(&self) -> Vec<f64> {
        let all = f64::from(self.texts);
        (0..self.size() as u32)
            .map(|token| ((1.0 + all) / (1.0 + f64::from(self.texts_with(token)))).ln() + 1.0)
            .collect()
    }
}
