//! Pairs of code and query as tokens.

use crate::TextError;
use crate::data::code::{CodePair, CodeTokenizer, CodeTokens, Language, TokenType};
use crate::method::cocosoda::ReplacementTokens;
use contrastive_data::Digest;
use contrastive_train::Check;
use std::collections::HashMap;
use std::hash::Hash;

/// A pair as tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenPair {
    /// The code.
    pub code: CodeTokens,
    /// The query.
    pub query: CodeTokens,
    /// Its language.
    pub language: Language,
    /// Pairs with the same code or the same query, directly or through others, have the same number: they are no negatives of each other.
    pub group: i64,
}

/// What [`CoCoSoDa`](super::CoCoSoDa) is trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeCorpus {
    /// Its name, for messages and files.
    pub name: String,
    /// Tokens of the encoder.
    pub vocabulary: usize,
    /// What replacements use.
    pub tokens: ReplacementTokens,
    /// What is trained on.
    pub train: Vec<TokenPair>,
    /// What is validated on, each query against all codes; may be empty.
    pub validation: Vec<TokenPair>,
}

impl CodeCorpus {
    /// Pairs of two parts as a tokenizer makes tokens of them.
    ///
    /// # Errors
    /// When there are no pairs to train on, or the tokenizer has no words.
    pub fn new(
        name: &str,
        tokenizer: &CodeTokenizer,
        train: &[CodePair],
        validation: &[CodePair],
    ) -> Result<Self, TextError> {
        let check = Check::new("code corpus");
        check.count("number of training pairs", train.len())?;
        let (special, all) = (tokenizer.vocabulary().special(), tokenizer.vocabulary().len());
        check.that(special < all, "words of the tokenizer", all - special, "1 or more")?;
        let tokens = ReplacementTokens {
            mask: tokenizer.mask(),
            types: TokenType::ALL.map(|kind| tokenizer.type_token(kind)).to_vec(),
            ordinary: special as u32..all as u32,
        };
        let pairs = |pairs: &[CodePair]| {
            let mut pairs: Vec<TokenPair> = pairs
                .iter()
                .map(|pair| TokenPair {
                    code: tokenizer.code(pair.language, &pair.code),
                    query: tokenizer.query(&pair.query),
                    language: pair.language,
                    group: 0,
                })
                .collect();
            let groups = groups(&pairs);
            pairs.iter_mut().zip(groups).for_each(|(pair, group)| pair.group = group);
            pairs
        };
        let (train, validation) = (pairs(train), pairs(validation));
        Ok(Self { name: name.into(), vocabulary: all, tokens, train, validation })
    }

    /// The training pairs of each language that is there.
    pub(super) fn by_language(&self) -> Vec<Vec<usize>> {
        let of = |language: Language| {
            let pairs = self.train.iter().enumerate().filter(move |(_, pair)| pair.language == language);
            pairs.map(|(at, _)| at).collect::<Vec<_>>()
        };
        Language::ALL.into_iter().map(of).filter(|pairs| !pairs.is_empty()).collect()
    }

    pub(super) fn digest(&self) -> String {
        let pairs = self.train.iter().chain(&self.validation);
        let digest = pairs.fold(Digest::new(), |digest, pair| digest.u32s(pair.code.ids()).u32s(pair.query.ids()));
        digest.to_string()
    }
}

/// Connected parts of pairs that share a code or a query, by their first pair.
fn groups(pairs: &[TokenPair]) -> Vec<i64> {
    let mut parents: Vec<usize> = (0..pairs.len()).collect();
    fn root(parents: &mut [usize], mut at: usize) -> usize {
        while parents[at] != at {
            parents[at] = parents[parents[at]];
            at = parents[at];
        }
        at
    }
    fn join<K: Eq + Hash>(parents: &mut [usize], keys: impl Iterator<Item = K>) {
        let mut first: HashMap<K, usize> = HashMap::new();
        for (at, key) in keys.enumerate() {
            let (a, b) = (root(parents, *first.entry(key).or_insert(at)), root(parents, at));
            parents[a.max(b)] = a.min(b);
        }
    }
    join(&mut parents, pairs.iter().map(|pair| pair.code.ids()));
    join(&mut parents, pairs.iter().map(|pair| pair.query.ids()));
    (0..pairs.len()).map(|at| root(&mut parents, at) as i64).collect()
}
