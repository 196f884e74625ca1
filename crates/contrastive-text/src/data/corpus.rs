//! What is learnt from.

use super::{Note, ScoredPairs, TextDataError, Tokens, sentences};
use contrastive_data::Digest;
use std::collections::HashSet;
use std::sync::Arc;

/// Pairs that a training is evaluated on, as tokens of full length.
#[derive(Clone, Debug)]
pub struct Validation {
    /// The tokens of the first and of the second sentences.
    pub sides: [Vec<Vec<u32>>; 2],
    /// The gold score of each pair.
    pub gold: Vec<f64>,
}

/// Texts in one column (each is its own positive), two (text and positive) or three (text, positive, hard negative), as tokens.
/// A clone shares the tokens.
#[derive(Clone, Debug)]
pub struct Corpus {
    name: String,
    tokens: Arc<Tokens>,
    texts: Arc<Vec<Vec<String>>>,
    lists: Arc<Vec<Vec<Vec<u32>>>>,
    validation: Option<Arc<Validation>>,
    notes: Vec<Note>,
}

impl Corpus {
    /// Different sentences: blank ones and repeated ones are left out, with a note. At most `most` tokens of each count (32 in SimCSE).
    ///
    /// # Errors
    /// When none is left, or a text cannot be encoded.
    pub fn sentences<T: AsRef<str>>(
        name: impl Into<String>,
        texts: impl IntoIterator<Item = T>,
        tokens: Arc<Tokens>,
        most: usize,
    ) -> Result<Self, TextDataError> {
        let name = name.into();
        let texts: Vec<String> = texts.into_iter().map(|text| text.as_ref().trim().to_string()).collect();
        let blank = sentences::blanks(&name, &texts);
        let (all, mut seen) = (texts.len(), HashSet::new());
        let kept: Vec<String> =
            texts.into_iter().filter(|text| !text.is_empty() && seen.insert(text.clone())).collect();
        let blanks = match &blank {
            Some(Note::Blank { count, .. }) => *count,
            _ => 0,
        };
        let mut corpus = Self::from_columns(name.clone(), vec![kept], tokens, most)?;
        let repeated = all - blanks - corpus.len();
        if blanks > 0 {
            corpus.notes.push(Note::Changed { what: format!("{name}: {blanks} blank texts are left out") });
        }
        if repeated > 0 {
            corpus.notes.push(Note::Repeated { name, count: repeated });
        }
        Ok(corpus)
    }

    /// Texts and their positives.
    ///
    /// # Errors
    /// As [`from_columns`](Self::from_columns).
    pub fn pairs(
        name: impl Into<String>,
        pairs: &[[String; 2]],
        tokens: Arc<Tokens>,
        most: usize,
    ) -> Result<Self, TextDataError> {
        Self::from_columns(name, columns(pairs), tokens, most)
    }

    /// Texts, their positives and their hard negatives.
    ///
    /// # Errors
    /// As [`from_columns`](Self::from_columns).
    pub fn triples(
        name: impl Into<String>,
        triples: &[[String; 3]],
        tokens: Arc<Tokens>,
        most: usize,
    ) -> Result<Self, TextDataError> {
        Self::from_columns(name, columns(triples), tokens, most)
    }

    /// One, two or three columns of texts. Nothing is left out.
    ///
    /// # Errors
    /// When there is no text, another number of columns, columns of unequal length, `most` is 0, or a text cannot be encoded.
    pub fn from_columns(
        name: impl Into<String>,
        columns: Vec<Vec<String>>,
        tokens: Arc<Tokens>,
        most: usize,
    ) -> Result<Self, TextDataError> {
        let name = name.into();
        if !(1..=3).contains(&columns.len()) || most == 0 {
            let problem =
                format!("{} columns of at most {most} tokens; 1 to 3 and at least 1 are allowed", columns.len());
            return Err(TextDataError::nothing(name, problem));
        }
        let expected = columns[0].len();
        if let Some(other) = columns.iter().find(|column| column.len() != expected) {
            let (what, of) = ("texts of another column", "in the first");
            return Err(TextDataError::Unequal { what, found: other.len(), of, expected });
        }
        if expected == 0 {
            return Err(TextDataError::nothing(name, "not one text; at least one is needed"));
        }
        let lists: Result<Vec<_>, _> = columns.iter().map(|texts| tokens.encode_all(texts, Some(most))).collect();
        let notes = columns.iter().filter_map(|texts| sentences::blanks(&name, texts)).collect();
        let (texts, lists) = (Arc::new(columns), Arc::new(lists?));
        Ok(Self { name, tokens, texts, lists, validation: None, notes })
    }

    /// With pairs to evaluate on, encoded at full length.
    ///
    /// # Errors
    /// When a text cannot be encoded.
    pub fn with_validation(mut self, pairs: &ScoredPairs) -> Result<Self, TextDataError> {
        let side = |at: usize| {
            let texts: Vec<&str> = pairs.pairs.iter().map(|pair| pair[at].as_str()).collect();
            self.tokens.encode_all(&texts, None)
        };
        self.validation = Some(Arc::new(Validation { sides: [side(0)?, side(1)?], gold: pairs.gold.clone() }));
        Ok(self)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What makes the tokens.
    pub fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }

    /// Samples.
    pub fn len(&self) -> usize {
        self.texts[0].len()
    }

    /// Are there none? (Never.)
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The columns: 1, 2 or 3.
    pub fn width(&self) -> usize {
        self.texts.len()
    }

    /// The texts of a column.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn texts(&self, column: usize) -> &[String] {
        &self.texts[column]
    }

    /// The tokens of a column.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn lists(&self, column: usize) -> &[Vec<u32>] {
        &self.lists[column]
    }

    /// Pairs to evaluate on.
    pub fn validation(&self) -> Option<&Validation> {
        self.validation.as_deref()
    }

    /// What was left out, or in doubt.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Name, size and digest, for checkpoints.
    pub fn identity(&self) -> serde_json::Value {
        let mut digest = Digest::new();
        for list in self.lists.iter().flatten() {
            digest = digest.u32s(list);
        }
        if let Some(validation) = &self.validation {
            for list in validation.sides.iter().flatten() {
                digest = digest.u32s(list);
            }
            digest = digest.u64s(validation.gold.iter().map(|gold| gold.to_bits()));
        }
        let (columns, tokens) = (self.width(), self.tokens.size());
        serde_json::json!({ "name": self.name, "samples": self.len(), "columns": columns, "tokens": tokens, "digest": digest.to_string() })
    }
}

/// Rows to columns.
fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<Vec<String>> {
    (0..N).map(|at| rows.iter().map(|row| row[at].clone()).collect()).collect()
}
