//! What comes in: sentences, scored pairs, triples of inference, labelled sentences, and the tokens they are made of; code with what describes it;
//! running text.
//!
//! | I have ... | use ... |
//! |---|---|
//! | a sentence a line, or a column of a table | [`read_sentences`] |
//! | STS12 to STS16 as SentEval's folders | [`read_sts`] |
//! | the STS Benchmark, SICK | [`read_sts_benchmark`], [`read_sick`] |
//! | SNLI as parallel files | [`read_inference`] |
//! | MR, CR, TREC, SST-2, SST-5 | [`read_transfer`] |
//! | code with what describes it; code and web queries | [`code`] |
//! | running text | [`read_words`] |
//! | nothing | [`generate`], [`code::generated_functions`], [`generated_words`] |
//!
//! What is learnt from is a [`Corpus`]: texts in one, two or three columns, and their [`Tokens`].

pub mod code;
mod corpus;
mod error;
pub mod generate;
mod inference;
mod note;
mod sentences;
mod sts;
mod tokens;
mod transfer;
mod vocabulary;
mod wikitext;

pub use corpus::{Corpus, Validation};
pub use error::TextDataError;
pub use inference::{Inference, Judgement, read_inference};
pub use note::Note;
pub use sentences::{Sentences, read_sentences};
pub use sts::{ScoredPairs, StsSet, read_sick, read_sts, read_sts_benchmark};
pub use tokens::Tokens;
pub use transfer::{Labelled, Task, Transfer, read_transfer};
pub use vocabulary::Vocabulary;
pub use wikitext::{END_OF_LINE, TokenStream, UNKNOWN, generated_words, read_words};

use contrastive_data::Limits;
use contrastive_data::text::{Charset, read_lines};
use std::path::Path;

/// The lines of a file, and what was in doubt.
fn lines_of(path: &Path) -> Result<(Vec<String>, Vec<Note>), TextDataError> {
    let read = read_lines(path, &Limits::default(), Charset::Detect)?;
    Ok((read.lines, read.notes.into_iter().map(Note::from).collect()))
}

/// A sentence with single blanks between its words and none around it.
fn joined(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn bad_line(path: &Path, line: usize, problem: impl Into<String>, allowed: impl Into<String>) -> TextDataError {
    TextDataError::BadLine { path: path.to_path_buf(), line, problem: problem.into(), allowed: allowed.into() }
}
