//! Running text that is split into words already: WikiText.

use super::Vocabulary;
use contrastive_data::{FileError, Limits, Origin, all_lines, read_text};
use contrastive_train::SettingError;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::path::Path;

/// The word for words that are not in the vocabulary.
pub const UNKNOWN: &str = "<unk>";
/// The word at the end of each line.
pub const END_OF_LINE: &str = "<eos>";

/// The words of a file as WikiText has them (Merity et al., 2017): split at blanks, an end mark after each line, blank lines too.
///
/// # Errors
/// When the file cannot be read, is empty, or a line is not UTF-8.
pub fn read_words(path: &Path) -> Result<Vec<String>, FileError> {
    let bytes = read_text(path, &Limits::default())?;
    let mut words = Vec::new();
    for (number, line) in all_lines(&bytes) {
        let found = "bytes that are not UTF-8";
        let line =
            std::str::from_utf8(line).map_err(|_| FileError::NotText { origin: Origin::line(path, number), found })?;
        words.extend(line.split_ascii_whitespace().map(String::from));
        words.push(END_OF_LINE.into());
    }
    match words.is_empty() {
        true => Err(FileError::Empty { path: path.to_path_buf(), expected: "words with blanks between them".into() }),
        false => Ok(words),
    }
}

/// Sentences of six words and a point from a small grammar, for examples without data.
pub fn generated_words(sentences: usize, seed: u64) -> Vec<String> {
    let lists = [
        ["the", "a", "one", "this"],
        ["old", "red", "small", "quiet"],
        ["fox", "river", "house", "road"],
        ["sees", "leaves", "likes", "hides"],
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sentence = |_| {
        let words = [0, 1, 2, 3, 0, 2].map(|list: usize| lists[list][rng.random_range(0..4)]);
        words.into_iter().chain(["."]).map(String::from)
    };
    (0..sentences).flat_map(&mut sentence).collect()
}

/// Text as one list of tokens, a part to train on and one to validate on.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenStream {
    /// Its name, for messages and files.
    pub name: String,
    /// Tokens of the model.
    pub vocabulary: usize,
    /// What is trained on.
    pub train: Vec<u32>,
    /// What is validated on; may be empty.
    pub validation: Vec<u32>,
}

impl TokenStream {
    /// Words of two parts, with a vocabulary from the first: the words that are there at least `least` times, at most `most` of them,
    /// [`UNKNOWN`] and [`END_OF_LINE`].
    ///
    /// # Errors
    /// When `least` is 0.
    pub fn of_words(
        name: &str,
        train: &[String],
        validation: &[String],
        least: usize,
        most: usize,
    ) -> Result<(Self, Vocabulary), SettingError> {
        let vocabulary = Vocabulary::build(&[UNKNOWN, END_OF_LINE], train.iter().map(String::as_str), least, most)?;
        let ids = |words: &[String]| words.iter().map(|word| vocabulary.id(word)).collect();
        let stream =
            Self { name: name.into(), vocabulary: vocabulary.len(), train: ids(train), validation: ids(validation) };
        Ok((stream, vocabulary))
    }

    /// So many lists of `length` tokens, from evenly spaced places of the validation part.
    ///
    /// # Panics
    /// When the part is shorter than `count * length` or a number is 0.
    pub fn prompts(&self, count: usize, length: usize) -> Vec<Vec<u32>> {
        let all = &self.validation;
        assert!(count > 0 && length > 0 && count * length <= all.len(), "{count} prompts of {length} in {}", all.len());
        let between = (all.len() - length) / count.max(2).saturating_sub(1).max(1);
        (0..count).map(|k| (k * between).min(all.len() - length)).map(|at| all[at..at + length].to_vec()).collect()
    }
}
