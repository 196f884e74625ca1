//! Sentences and tokens: lines of a text file, vocabularies of other libraries, hashed words, batches of similar length.
//!
//! | I have ... | use ... |
//! |---|---|
//! | a file with a sentence on each line, in UTF-8 or ISO-8859-1 | [`read_lines`] with a [`Charset`] |
//! | `tokenizer.json`, `vocab.txt`, or `vocab.json` with `merges.txt` | [`Tokenizer`] |
//! | a corpus, and no vocabulary | [`WordVocabulary`], or [`Hashing`] of words and character n-grams |
//! | texts of different lengths to encode | [`length_batches`] |
//!
//! A text of blanks gets the special tokens of the vocabulary alone, or the token 0 of [`WordVocabulary`] and [`Hashing`]; only a
//! vocabulary that adds no special tokens (GPT-2) gives it none.

mod batches;
mod byte_pairs;
mod charset;
mod hashing;
mod tokenizer;
mod word_piece;
mod words;

pub use batches::length_batches;
pub use byte_pairs::BytePairOptions;
pub use charset::{Charset, TextLines, read_lines};
pub use hashing::Hashing;
pub use tokenizer::{Encoded, Tokenizer, TokenizerError, Truncation};
pub use word_piece::WordPieceOptions;
pub use words::{WordVocabulary, split_words};
