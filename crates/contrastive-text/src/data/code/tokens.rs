//! Code and queries as numbers, each token with its type.

use super::{Language, TokenType, lex};
use crate::data::Vocabulary;
use contrastive_train::{Check, SettingError};
use thiserror::Error;

/// The tokens that every sequence starts with: start, mode, separator (UniXcoder's `<s> <encoder-only> </s>`). They are never augmented.
pub const SPECIAL_TOKENS: usize = 3;

const UNKNOWN: &str = "<unk>";
const START: [&str; SPECIAL_TOKENS] = ["<s>", "<encoder-only>", "</s>"];
const MASK: &str = "<mask>";

/// A type that is none.
#[derive(Clone, Debug, Error, PartialEq)]
#[error("token {at} has the type {found}; allowed are 0 to {}", TokenType::ALL.len() - 1)]
pub struct UnknownTypeError {
    /// Which token.
    pub at: usize,
    /// Its type.
    pub found: u8,
}

/// A sequence of tokens and what each is in its language.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeTokens {
    ids: Vec<u32>,
    types: Vec<u8>,
    special: usize,
}

impl CodeTokens {
    /// Tokens, each with the number of its [`TokenType`]; the first `special` are never augmented.
    ///
    /// # Errors
    /// When a type is none.
    ///
    /// # Panics
    /// When there are not as many types as tokens, or more special tokens than tokens.
    pub fn new(ids: Vec<u32>, types: Vec<u8>, special: usize) -> Result<Self, UnknownTypeError> {
        assert_eq!(ids.len(), types.len(), "tokens and their types");
        assert!(special <= ids.len(), "{special} special tokens of {}", ids.len());
        match types.iter().position(|kind| *kind as usize >= TokenType::ALL.len()) {
            Some(at) => Err(UnknownTypeError { at, found: types[at] }),
            None => Ok(Self { ids, types, special }),
        }
    }

    /// The tokens.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The number of each one's [`TokenType`]; of the special ones any.
    pub fn types(&self) -> &[u8] {
        &self.types
    }

    /// How many tokens at the start are never augmented.
    pub fn special(&self) -> usize {
        self.special
    }
}

/// The parts of a name or a text, in lower case: split where it is not a letter or digit, between a small and a capital letter, before
/// the last of several capitals (`HTTPServer`), and between letters and digits.
pub fn sub_words(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let (mut parts, mut part) = (Vec::new(), String::new());
    for (at, &c) in characters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| characters[before]);
        let after = characters.get(at + 1);
        let splits = before.is_some_and(|before| {
            (before.is_lowercase() && c.is_uppercase())
                || (before.is_uppercase() && c.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
                || (before.is_numeric() != c.is_numeric())
        });
        if (splits || !c.is_alphanumeric()) && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
        }
        if c.is_alphanumeric() {
            part.extend(c.to_lowercase());
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// The [`sub_words`] of code with the types of the tokens that they are from, without comments, and without operators, separators and what the
/// language does not know.
pub fn code_words(language: Language, code: &str) -> Vec<(String, TokenType)> {
    let left_out = [TokenType::Comment, TokenType::Operator, TokenType::Separator, TokenType::Other];
    let tokens = lex(language, code).into_iter().filter(|token| !left_out.contains(&token.kind));
    tokens.flat_map(|token| sub_words(token.text).into_iter().map(move |word| (word, token.kind))).collect()
}

/// The [`sub_words`] of a description.
pub fn query_words(query: &str) -> Vec<String> {
    sub_words(query)
}

/// Words to numbers: an unknown word, the three special tokens, a mask, a token for each type, then the words of a corpus.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeTokenizer {
    vocabulary: Vocabulary,
    max_code: usize,
    max_query: usize,
}

impl CodeTokenizer {
    /// The words of pairs of code and description that are there at least `least` times, at most `most` of them; at most 256 tokens of
    /// code and 128 of a query.
    ///
    /// # Errors
    /// When `least` is 0.
    pub fn build(pairs: &[super::CodePair], least: usize, most: usize) -> Result<Self, SettingError> {
        let of_pair = |pair: &super::CodePair| {
            let code = code_words(pair.language, &pair.code).into_iter().map(|(word, _)| word);
            code.chain(query_words(&pair.query)).collect::<Vec<_>>()
        };
        let words: Vec<String> = pairs.iter().flat_map(of_pair).collect();
        let types: Vec<String> = TokenType::ALL.iter().map(|kind| format!("<{}>", kind.name())).collect();
        let special: Vec<&str> =
            [UNKNOWN].into_iter().chain(START).chain([MASK]).chain(types.iter().map(String::as_str)).collect();
        let vocabulary = Vocabulary::build(&special, words.iter().map(String::as_str), least, most)?;
        Ok(Self { vocabulary, max_code: 256, max_query: 128 })
    }

    /// At most so many tokens of code and of a query, the special ones among them.
    ///
    /// # Errors
    /// When one is not above the number of special tokens.
    pub fn with_lengths(mut self, max_code: usize, max_query: usize) -> Result<Self, SettingError> {
        for (name, length) in [("max_code", max_code), ("max_query", max_query)] {
            let allowed = format!("above the {SPECIAL_TOKENS} special tokens");
            Check::new("code tokenizer").that(length > SPECIAL_TOKENS, name, length, allowed)?;
        }
        (self.max_code, self.max_query) = (max_code, max_query);
        Ok(self)
    }

    /// The words.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The mask.
    pub fn mask(&self) -> u32 {
        1 + SPECIAL_TOKENS as u32
    }

    /// The token of a type.
    pub fn type_token(&self, kind: TokenType) -> u32 {
        self.mask() + 1 + u32::from(kind.id())
    }

    fn tokens(&self, words: impl Iterator<Item = (String, TokenType)>, most: usize) -> CodeTokens {
        let known = words.map(|(word, kind)| (self.vocabulary.id(&word), kind.id()));
        let start = (1..=SPECIAL_TOKENS as u32).map(|id| (id, TokenType::Other.id()));
        let (ids, types) = start.chain(known).take(most).unzip();
        CodeTokens::new(ids, types, SPECIAL_TOKENS).expect("types of the lexer")
    }

    /// Code. Empty code is the special tokens alone.
    pub fn code(&self, language: Language, code: &str) -> CodeTokens {
        self.tokens(code_words(language, code).into_iter(), self.max_code)
    }

    /// A description; all of its words count as identifiers. An empty one is the special tokens alone.
    pub fn query(&self, query: &str) -> CodeTokens {
        self.tokens(query_words(query).into_iter().map(|word| (word, TokenType::Identifier)), self.max_query)
    }
}
