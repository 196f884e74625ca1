//! Words and character n-grams without a vocabulary.

use super::split_words;
use super::tokenizer::TokenizerError;

/// Tokens by hash: each word, and the n-grams of its characters with `<` and `>` around it (Bojanowski et al., 2017: fastText), fall
/// into one of a fixed number of rows. Nothing is learnt and nothing is unknown; two words may share a row. Token 0 is kept for a text
/// without words.
///
/// ```
/// use contrastive_data::text::Hashing;
///
/// let words = Hashing::words(1000)?;
/// assert_eq!(words.encode("The cat."), words.encode("the  CAT"));
/// let grams = Hashing::n_grams(1000, 3, 4)?;
/// // <at>: the word, 3-grams "<at" and "at>", and the 4-gram "<at>", which is the word with its ends
/// assert_eq!(grams.encode("at").len(), 4);
/// assert_eq!(grams.encode(""), [0]);
/// # Ok::<(), contrastive_data::text::TokenizerError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashing {
    rows: usize,
    grams: Option<(usize, usize)>,
}

impl Hashing {
    /// Words alone, into this many rows, row 0 included.
    ///
    /// # Errors
    /// When there are fewer than two rows, or more than 2^32.
    pub fn words(rows: usize) -> Result<Self, TokenizerError> {
        Self::checked(rows, None)
    }

    /// Words and their n-grams of `shortest` to `longest` characters.
    ///
    /// # Errors
    /// As [`words`](Self::words), and when the shortest n-gram has no character or is longer than the longest.
    pub fn n_grams(rows: usize, shortest: usize, longest: usize) -> Result<Self, TokenizerError> {
        Self::checked(rows, Some((shortest, longest)))
    }

    fn checked(rows: usize, grams: Option<(usize, usize)>) -> Result<Self, TokenizerError> {
        let problem = match grams {
            _ if rows < 2 || u32::try_from(rows - 1).is_err() => format!("{rows} rows; allowed: 2 to 2^32"),
            Some((shortest, longest)) if shortest == 0 || shortest > longest => {
                format!("n-grams of {shortest} to {longest} characters; allowed: at least 1, the longest not below it")
            }
            _ => return Ok(Self { rows, grams }),
        };
        Err(TokenizerError::Vocabulary { problem })
    }

    /// Rows, row 0 included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The lengths of the n-grams, shortest and longest, if there are any.
    pub fn lengths(&self) -> Option<(usize, usize)> {
        self.grams
    }

    /// The row of a whole word, written as [`split_words`] writes it.
    pub fn word(&self, word: &str) -> u32 {
        self.row(word.as_bytes(), 0)
    }

    /// The tokens of a text: of each word itself, then its n-grams; one at least.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        for word in split_words(text) {
            tokens.push(self.word(&word));
            let Some((shortest, longest)) = self.grams else { continue };
            let characters: Vec<char> = std::iter::once('<').chain(word.chars()).chain(['>']).collect();
            for length in shortest..=longest.min(characters.len()) {
                let gram = |window: &[char]| self.row(window.iter().collect::<String>().as_bytes(), 1);
                tokens.extend(characters.windows(length).map(gram));
            }
        }
        if tokens.is_empty() { vec![0] } else { tokens }
    }

    /// FNV-1a in 64 bits, words and n-grams apart, the halves folded together.
    fn row(&self, bytes: &[u8], kind: u8) -> u32 {
        let hash = bytes
            .iter()
            .chain(&[kind])
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
        1 + ((hash ^ (hash >> 32)) % (self.rows as u64 - 1)) as u32
    }
}
