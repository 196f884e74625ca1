//! Tokens by the vocabularies of other libraries.

use super::{BytePairOptions, WordPieceOptions};
use crate::{FileError, FileNote, Limits, Origin, elided, file_name, read_text};
use rayon::prelude::*;
use std::path::Path;
use thiserror::Error;
use tokenizers::{
    Encoding, PostProcessor, Tokenizer as Inner, TruncationParams, TruncationStrategy, truncate_encodings,
};

/// Why a vocabulary was refused, or a text could not be encoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A vocabulary from which nothing can be made.
    #[error("vocabulary: {problem}")]
    Vocabulary {
        /// What is wrong.
        problem: String,
    },
    /// A text that the tokenizer refuses: an unknown token without an entry for unknown ones, say.
    #[error("text {text:?} cannot be encoded: {problem}")]
    Text {
        /// The text, shortened.
        text: String,
        /// The tokenizer's reason.
        problem: String,
    },
}

/// An error of the library that no file is to blame for.
pub(super) fn internal(error: impl std::fmt::Display) -> TokenizerError {
    TokenizerError::Vocabulary { problem: elided(&error.to_string(), 300) }
}

/// Which of two texts is cut when both are too long together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Truncation {
    /// Tokens are taken from the longer one until both fit.
    #[default]
    LongestFirst,
    /// From the second alone.
    OnlySecond,
}

/// The tokens of a text, or of a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids, special tokens included.
    pub ids: Vec<u32>,
    /// For each, 0 in the first text and 1 in the second.
    pub types: Vec<u32>,
}

/// Texts to token ids and back, by a vocabulary of another library: `tokenizer.json`, WordPiece or byte-level BPE.
///
/// A file's own padding and truncation are left aside: lists have their own lengths here, and a limit is given where texts are encoded.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: Inner,
    notes: Vec<FileNote>,
}

impl Tokenizer {
    pub(super) fn of(inner: Inner) -> Self {
        Self { inner, notes: Vec::new() }
    }

    /// Reads a vocabulary: a file `*.json` that is a whole tokenizer, a WordPiece `*.txt` (uncased), or a folder with `tokenizer.json`,
    /// else `vocab.txt` (cased or not by its `tokenizer_config.json`), else `vocab.json` and `merges.txt` (RoBERTa's form if it has
    /// `<s>`, else GPT-2's).
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn read(path: &Path) -> Result<Self, TokenizerError> {
        if !path.is_dir() {
            return match path.extension().is_some_and(|end| end == "txt") {
                true => Self::word_piece(path, &WordPieceOptions::default()),
                false => Self::json(path),
            };
        }
        let (json, words) = (path.join("tokenizer.json"), path.join("vocab.txt"));
        let (vocab, merges) = (path.join("vocab.json"), path.join("merges.txt"));
        if json.is_file() {
            return Self::json(&json);
        }
        if words.is_file() {
            let (options, note) = word_piece_options(path)?;
            let mut tokenizer = Self::word_piece(&words, &options)?;
            tokenizer.notes.extend(note);
            return Ok(tokenizer);
        }
        if vocab.is_file() && merges.is_file() {
            let gpt2 = Self::byte_pairs(&vocab, &merges, &BytePairOptions::default())?;
            let roberta = gpt2.id("<s>").is_some() && gpt2.id("</s>").is_some();
            return match roberta {
                true => Self::byte_pairs(&vocab, &merges, &BytePairOptions { roberta, ..BytePairOptions::default() }),
                false => Ok(gpt2),
            };
        }
        let looked_for = "tokenizer.json; vocab.txt; or vocab.json with merges.txt".to_string();
        let mut found: Vec<String> = std::fs::read_dir(path)
            .map_err(|source| FileError::Io { path: path.to_path_buf(), source })?
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .collect();
        found.sort_unstable();
        let found = crate::listed(&found);
        Err(FileError::Unrecognised { path: path.to_path_buf(), what: "vocabulary", found, looked_for }.into())
    }

    /// A whole tokenizer, as the `tokenizers` library writes it.
    ///
    /// # Errors
    /// When the file cannot be read or is none.
    pub fn json(path: &Path) -> Result<Self, TokenizerError> {
        let bytes = read_text(path, &Limits::default())?;
        Self::from_json(&bytes, path)
    }

    /// The same from the bytes of such a file; `of` names it in messages.
    ///
    /// # Errors
    /// When they are none.
    pub fn from_json(bytes: &[u8], of: &Path) -> Result<Self, TokenizerError> {
        let mut inner = Inner::from_bytes(bytes).map_err(|error| {
            let found = elided(&error.to_string(), 160);
            TokenizerError::from(Origin::file(of).malformed(found, "a tokenizer.json of the tokenizers library"))
        })?;
        let mut notes = Vec::new();
        if let Some(limit) = inner.get_truncation() {
            let taken =
                format!("its limit of {} tokens is not applied; give one where texts are encoded", limit.max_length);
            notes.push(FileNote::Layout { file: file_name(of), taken });
        }
        inner.with_padding(None);
        inner.with_truncation(None).map_err(internal)?;
        Ok(Self { inner, notes })
    }

    /// The whole tokenizer as a `tokenizer.json`.
    ///
    /// # Errors
    /// When a part of it cannot be written.
    pub fn to_json(&self) -> Result<String, TokenizerError> {
        self.inner.to_string(false).map_err(internal)
    }

    /// What was in doubt, or left aside.
    pub fn notes(&self) -> &[FileNote] {
        &self.notes
    }

    /// One more than the largest id: what a table of embeddings must have at least.
    pub fn size(&self) -> usize {
        self.inner.get_vocab(true).into_values().max().map_or(0, |id| id as usize + 1)
    }

    /// The id of a token, written as in the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id, written as in the vocabulary.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The tokens of a text with the special tokens of the vocabulary, the end cut so that there are at most `most`. A text of blanks
    /// has the special tokens alone, and no token where the vocabulary adds none (GPT-2).
    ///
    /// # Errors
    /// When the text holds what the vocabulary does not know and has no token for, or `most` leaves no room for the special tokens.
    pub fn encode(&self, text: &str, most: Option<usize>) -> Result<Vec<u32>, TokenizerError> {
        Ok(self.encoded([text, ""], false, most, Truncation::LongestFirst)?.get_ids().to_vec())
    }

    /// Those of many texts, by several threads.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), for the first text.
    pub fn encode_all<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        most: Option<usize>,
    ) -> Result<Vec<Vec<u32>>, TokenizerError> {
        texts.par_iter().map(|text| self.encode(text.as_ref(), most)).collect()
    }

    /// The tokens of two texts together.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and when cutting the second alone cannot make them fit.
    pub fn encode_pair(
        &self,
        first: &str,
        second: &str,
        most: Option<usize>,
        truncation: Truncation,
    ) -> Result<Encoded, TokenizerError> {
        let encoding = self.encoded([first, second], true, most, truncation)?;
        Ok(Encoded { ids: encoding.get_ids().to_vec(), types: encoding.get_type_ids().to_vec() })
    }

    /// The text of tokens, special ones left out; bytes cut off within a character become U+FFFD.
    ///
    /// # Errors
    /// When the decoder of the vocabulary refuses them.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TokenizerError> {
        self.inner.decode(ids, true).map_err(internal)
    }

    fn encoded(
        &self,
        [first, second]: [&str; 2],
        pair: bool,
        most: Option<usize>,
        truncation: Truncation,
    ) -> Result<Encoding, TokenizerError> {
        let plain = |text: &str| self.inner.encode_fast(text, false).map_err(|error| refused(text, error));
        let (mut one, mut two) = (plain(first)?, if pair { Some(plain(second)?) } else { None });
        if let Some(most) = most {
            let added = self.inner.get_post_processor().map_or(0, |processor| processor.added_tokens(pair));
            let Some(max_length) = most.checked_sub(added).filter(|room| *room > 0) else {
                return Err(refused(first, format!("a limit of {most} tokens, of which {added} are special ones")));
            };
            let strategy = match truncation {
                Truncation::LongestFirst => TruncationStrategy::LongestFirst,
                Truncation::OnlySecond => TruncationStrategy::OnlySecond,
            };
            let params = TruncationParams { max_length, strategy, ..TruncationParams::default() };
            (one, two) = truncate_encodings(one, two, &params).map_err(|error| refused(first, error))?;
        }
        self.inner.post_process(one, two, true).map_err(|error| refused(first, error))
    }
}

fn refused(text: &str, error: impl std::fmt::Display) -> TokenizerError {
    TokenizerError::Text { text: elided(text, 60), problem: elided(&error.to_string(), 200) }
}

/// What `tokenizer_config.json` says of the case; a note where there is none.
fn word_piece_options(folder: &Path) -> Result<(WordPieceOptions, Option<FileNote>), TokenizerError> {
    let path = folder.join("tokenizer_config.json");
    if !path.is_file() {
        let taken = "no tokenizer_config.json beside it: texts are put into lower case".to_string();
        return Ok((WordPieceOptions::default(), Some(FileNote::Layout { file: "vocab.txt".into(), taken })));
    }
    let bytes = read_text(&path, &Limits::default())?;
    let config: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| {
        TokenizerError::from(Origin::file(&path).malformed(error.to_string(), "a JSON object of settings"))
    })?;
    let flag = |name: &str| config.get(name).and_then(serde_json::Value::as_bool);
    let options = WordPieceOptions {
        lowercase: flag("do_lower_case").unwrap_or(true),
        strip_accents: flag("strip_accents"),
        chinese_characters: flag("tokenize_chinese_chars").unwrap_or(true),
    };
    Ok((options, None))
}
