//! Texts to token ids.

use super::TextDataError;
use contrastive_data::text::{Hashing, Tokenizer, TokenizerError, WordVocabulary, split_words};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::path::Path;

/// What makes token ids of texts. A text of blanks has one token.
#[derive(Clone, Debug)]
pub enum Tokens {
    /// The words of a corpus; other words fall by hash into rows behind them.
    Words {
        /// The words.
        vocabulary: WordVocabulary,
        /// Where other words fall.
        unknown: Hashing,
    },
    /// Words, or words and n-grams, by hash.
    Hashed(Hashing),
    /// The vocabulary of another library.
    Library(Box<Tokenizer>),
}

impl Tokens {
    /// The words of these texts that stand in at least `least` of them; all others fall into `unknown` rows (at least 1).
    ///
    /// # Errors
    /// When no word is left, or there is no row for others.
    pub fn words<T: AsRef<str>>(
        texts: impl IntoIterator<Item = T>,
        least: usize,
        unknown: usize,
    ) -> Result<Self, TextDataError> {
        let vocabulary = WordVocabulary::from_texts(texts, least, u32::MAX as usize / 2)?;
        Ok(Self::Words { vocabulary, unknown: Hashing::words(unknown + 1)? })
    }

    /// Rows that a table of embeddings must have.
    pub fn size(&self) -> usize {
        match self {
            Self::Words { vocabulary, unknown } => vocabulary.size() + unknown.rows() - 1,
            Self::Hashed(hashing) => hashing.rows(),
            Self::Library(tokenizer) => tokenizer.size(),
        }
    }

    /// The tokens of a text, at most `most`, one at least.
    ///
    /// # Errors
    /// When the vocabulary of another library cannot encode the text.
    pub fn encode(&self, text: &str, most: Option<usize>) -> Result<Vec<u32>, TokenizerError> {
        let mut tokens = match self {
            Self::Words { vocabulary, unknown } => {
                let behind = vocabulary.size() as u32 - 1;
                let number = |word: &String| vocabulary.number(word).unwrap_or_else(|| behind + unknown.word(word));
                split_words(text).iter().map(number).collect()
            }
            Self::Hashed(hashing) => hashing.encode(text),
            Self::Library(tokenizer) => {
                let tokens = tokenizer.encode(text, most)?;
                if !tokens.is_empty() {
                    return Ok(tokens);
                }
                let end = tokenizer.id("<|endoftext|>").ok_or_else(|| TokenizerError::Text {
                    text: text.chars().take(60).collect(),
                    problem: "it has no token, and the vocabulary has no <|endoftext|> to stand for it".into(),
                })?;
                return Ok(vec![end]);
            }
        };
        if tokens.is_empty() {
            tokens.push(0);
        }
        tokens.truncate(most.unwrap_or(usize::MAX).max(1));
        Ok(tokens)
    }

    /// Those of many texts, by several threads.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn encode_all<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        most: Option<usize>,
    ) -> Result<Vec<Vec<u32>>, TokenizerError> {
        texts.par_iter().map(|text| self.encode(text.as_ref(), most)).collect()
    }

    /// The token that stands for a hidden one (`[MASK]`, `<mask>`).
    pub fn mask(&self) -> Option<u32> {
        match self {
            Self::Library(tokenizer) => tokenizer.id("[MASK]").or_else(|| tokenizer.id("<mask>")),
            _ => None,
        }
    }

    /// Is this one of the special tokens that stand around a text?
    pub fn is_special(&self, token: u32) -> bool {
        const SPECIAL: [&str; 8] = ["[CLS]", "[SEP]", "[PAD]", "[UNK]", "<s>", "</s>", "<pad>", "<unk>"];
        match self {
            Self::Library(tokenizer) => SPECIAL.iter().any(|name| tokenizer.id(name) == Some(token)),
            _ => token == 0,
        }
    }

    /// The smoothed inverse document frequency of each token over these lists: `log((1 + n) / (1 + lists with the token)) + 1`.
    pub fn idf<L: AsRef<[u32]>>(&self, lists: &[L]) -> Vec<f32> {
        let mut with = vec![0u32; self.size()];
        for list in lists {
            let mut tokens = list.as_ref().to_vec();
            tokens.sort_unstable();
            tokens.dedup();
            tokens.iter().for_each(|token| with[*token as usize] += 1);
        }
        let all = lists.len() as f64;
        with.iter().map(|n| (((1.0 + all) / (1.0 + f64::from(*n))).ln() + 1.0) as f32).collect()
    }

    /// All that [`from_json`](Self::from_json) needs.
    ///
    /// # Errors
    /// When the vocabulary of another library cannot be written.
    pub fn to_json(&self) -> Result<Value, TokenizerError> {
        Ok(match self {
            Self::Words { vocabulary, unknown } => {
                let with: Vec<u32> = (1..vocabulary.size() as u32).map(|token| vocabulary.texts_with(token)).collect();
                json!({ "words": vocabulary.words(), "texts_with": with, "texts": vocabulary.texts(), "unknown": unknown.rows() })
            }
            Self::Hashed(hashing) => json!({ "rows": hashing.rows(), "n_grams": hashing.lengths() }),
            Self::Library(tokenizer) => json!({ "tokenizer": tokenizer.to_json()? }),
        })
    }

    /// From what [`to_json`](Self::to_json) gave; `of` names the file in messages.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_json(value: &Value, of: &Path) -> Result<Self, TextDataError> {
        let wrong = || TextDataError::nothing("tokens of a model", "neither words nor hashing nor a tokenizer");
        if let Some(text) = value["tokenizer"].as_str() {
            return Ok(Self::Library(Box::new(Tokenizer::from_json(text.as_bytes(), of)?)));
        }
        let number = |key: &str| value[key].as_u64().map(|n| n as usize).ok_or_else(wrong);
        if let Some(words) = value["words"].as_array() {
            let words: Option<Vec<String>> = words.iter().map(|word| Some(word.as_str()?.to_string())).collect();
            let with = value["texts_with"].as_array().ok_or_else(wrong)?;
            let with: Option<Vec<u32>> = with.iter().map(|n| u32::try_from(n.as_u64()?).ok()).collect();
            let (words, with) = (words.ok_or_else(wrong)?, with.ok_or_else(wrong)?);
            if words.len() != with.len() {
                return Err(wrong());
            }
            let vocabulary = WordVocabulary::new(words, with, number("texts")? as u32);
            return Ok(Self::Words { vocabulary, unknown: Hashing::words(number("unknown")?)? });
        }
        let rows = number("rows")?;
        Ok(Self::Hashed(match value["n_grams"].as_array() {
            None => Hashing::words(rows)?,
            Some(lengths) => {
                let length = |at: usize| lengths.get(at).and_then(Value::as_u64).map(|n| n as usize).ok_or_else(wrong);
                Hashing::n_grams(rows, length(0)?, length(1)?)?
            }
        }))
    }
}
