//! What comes in: sentences, scored pairs, triples of inference, labelled sentences.

mod error;
mod note;
mod sentences;

pub use error::TextDataError;
pub use note::Note;
pub use sentences::{Sentences, read_sentences};
