//! WordPiece vocabularies.

use super::tokenizer::{Tokenizer, TokenizerError, internal};
use super::{Charset, read_lines};
use crate::{Limits, Origin, elided};
use std::collections::HashMap;
use std::path::Path;
use tokenizers::decoders::wordpiece::WordPiece as WordPieceDecoder;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{AddedToken, Tokenizer as Inner};

/// How BERT's words are made of characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WordPieceOptions {
    /// Lower case (uncased models).
    pub lowercase: bool,
    /// Accents taken away; as `lowercase` without.
    pub strip_accents: Option<bool>,
    /// Each Chinese character a word.
    pub chinese_characters: bool,
}

impl Default for WordPieceOptions {
    /// Uncased.
    fn default() -> Self {
        Self { lowercase: true, strip_accents: None, chinese_characters: true }
    }
}

impl Tokenizer {
    /// BERT's tokens from a `vocab.txt`: one token a line, the line's number (from 0) its id. Texts stand between `[CLS]` and
    /// `[SEP]`; a word of more than 100 characters, or one that cannot be put together, is `[UNK]`.
    ///
    /// # Errors
    /// When the file cannot be read, holds an empty line, a token twice, or lacks `[UNK]`, `[CLS]` or `[SEP]`.
    pub fn word_piece(path: &Path, options: &WordPieceOptions) -> Result<Self, TokenizerError> {
        let mut lines = read_lines(path, &Limits::default(), Charset::Utf8)?.lines;
        while lines.last().is_some_and(|line| line.trim_end().is_empty()) {
            lines.pop();
        }
        let mut ids: HashMap<&str, u32> = HashMap::with_capacity(lines.len());
        for (at, line) in lines.iter().enumerate() {
            let token = line.trim_end();
            let wrong = |found: String| {
                TokenizerError::from(Origin::line(path, at + 1).malformed(found, "one token a line, each once"))
            };
            if token.is_empty() {
                return Err(wrong("an empty line".into()));
            }
            if let Some(first) = ids.insert(token, at as u32) {
                return Err(wrong(format!("token {:?} again, which is line {} already", elided(token, 40), first + 1)));
            }
        }
        let special = |token: &str| {
            ids.get(token).copied().ok_or_else(|| {
                let found = format!("a vocabulary of {} tokens without {token}", ids.len());
                TokenizerError::from(Origin::file(path).malformed(found, "[UNK], [CLS] and [SEP] among the tokens"))
            })
        };
        special("[UNK]")?;
        let (cls, sep) = (special("[CLS]")?, special("[SEP]")?);
        let vocabulary = lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n");
        let vocabulary = WordPiece::read_bytes(vocabulary.as_bytes()).map_err(internal)?;
        let mut inner = Inner::new(WordPiece::builder().vocab(vocabulary).build().map_err(internal)?);
        let normalizer =
            BertNormalizer::new(true, options.chinese_characters, options.strip_accents, options.lowercase);
        inner.with_normalizer(Some(normalizer));
        inner.with_pre_tokenizer(Some(BertPreTokenizer));
        inner.with_post_processor(Some(BertProcessing::new(("[SEP]".into(), sep), ("[CLS]".into(), cls))));
        inner.with_decoder(Some(WordPieceDecoder::default()));
        let present = ["[UNK]", "[SEP]", "[CLS]", "[PAD]", "[MASK]"].into_iter().filter(|t| ids.contains_key(t));
        inner.add_special_tokens(&present.map(|token| AddedToken::from(token, true)).collect::<Vec<_>>());
        Ok(Self::of(inner))
    }
}
