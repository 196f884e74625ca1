//! Byte-level BPE vocabularies.

use super::tokenizer::{Tokenizer, TokenizerError};
use super::{Charset, read_lines};
use crate::{Limits, Origin, elided, read_text};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, Tokenizer as Inner};

/// How byte pairs are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BytePairOptions {
    /// A blank before the first word, so that it has the token it would have in the middle of a sentence.
    pub prefix_space: bool,
    /// Texts stand between `<s>` and `</s>` (RoBERTa); without, no special tokens are added, and those in a text are split like any
    /// text (GPT-2).
    pub roberta: bool,
}

impl Tokenizer {
    /// GPT-2's or RoBERTa's tokens from `vocab.json` (token to id) and `merges.txt` (a pair a line, in the order of their rank; lines that
    /// begin with `#version` do not count).
    ///
    /// # Errors
    /// When a file cannot be read; two tokens have one id; a merge is no pair, joins or makes what the vocabulary lacks, or joins what
    /// only a later merge makes; `<s>` or `</s>` is asked for and not there.
    pub fn byte_pairs(vocab: &Path, merges: &Path, options: &BytePairOptions) -> Result<Self, TokenizerError> {
        let ids = vocabulary(vocab)?;
        let pairs = pairs(merges, vocab, &ids)?;
        let special = |token: &str| {
            ids.get(token).map(|id| (token.to_string(), *id)).ok_or_else(|| {
                let found = format!("a vocabulary of {} tokens without {token}", ids.len());
                TokenizerError::from(Origin::file(vocab).malformed(found, "<s> and </s> among RoBERTa's tokens"))
            })
        };
        let ends = if options.roberta { Some((special("</s>")?, special("<s>")?)) } else { None };
        let known = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"].into_iter().filter(|t| ids.contains_key(*t));
        let known: Vec<AddedToken> = known.map(|token| AddedToken::from(token, true)).collect();
        // every pair and its result is in the vocabulary, so that this does not fail
        let mut inner = Inner::new(BPE::new(ids.into_iter().collect(), pairs));
        inner.with_pre_tokenizer(Some(ByteLevel::new(options.prefix_space, true, true)));
        inner.with_decoder(Some(ByteLevel::default()));
        match ends {
            Some((sep, cls)) => {
                let processor = RobertaProcessing::new(sep, cls).add_prefix_space(options.prefix_space);
                inner.with_post_processor(Some(processor));
                inner.add_special_tokens(&known);
            }
            None => drop(inner.with_post_processor(Some(ByteLevel::default().trim_offsets(false)))),
        }
        Ok(Self::of(inner))
    }
}

fn vocabulary(path: &Path) -> Result<HashMap<String, u32>, TokenizerError> {
    let bytes = read_text(path, &Limits::default())?;
    let allowed = "a JSON object of tokens and their ids, each id once";
    let wrong = |found: String| TokenizerError::from(Origin::file(path).malformed(found, allowed));
    let ids: HashMap<String, u32> = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    if ids.is_empty() {
        return Err(wrong("no token".into()));
    }
    let mut tokens: HashMap<u32, &str> = HashMap::with_capacity(ids.len());
    for (token, id) in &ids {
        if let Some(other) = tokens.insert(*id, token) {
            let mut both = [elided(token, 40), elided(other, 40)];
            both.sort_unstable();
            return Err(wrong(format!("id {id} of both {:?} and {:?}", both[0], both[1])));
        }
    }
    Ok(ids)
}

fn pairs(path: &Path, vocab: &Path, ids: &HashMap<String, u32>) -> Result<Vec<(String, String)>, TokenizerError> {
    let lines = read_lines(path, &Limits::default(), Charset::Utf8)?.lines;
    let made: Vec<Option<String>> =
        lines.iter().map(|line| line.split_once(' ').map(|(a, b)| format!("{a}{b}"))).collect();
    let all: HashSet<&str> = made.iter().flatten().map(String::as_str).collect();
    let (mut pairs, mut done) = (Vec::with_capacity(lines.len()), HashSet::<&str>::new());
    for (at, line) in lines.iter().enumerate() {
        let rest = lines[at..].iter().all(|line| line.trim().is_empty());
        if line.starts_with("#version") || rest {
            continue;
        }
        let wrong =
            |found: String, allowed: &str| TokenizerError::from(Origin::line(path, at + 1).malformed(found, allowed));
        let (Some((a, b)), Some(both)) = (line.split_once(' '), made[at].as_deref()) else {
            return Err(wrong(format!("{:?}", elided(line, 60)), "two tokens with one blank between them"));
        };
        if a.is_empty() || b.is_empty() || b.contains(' ') {
            return Err(wrong(format!("{:?}", elided(line, 60)), "two tokens with one blank between them"));
        }
        for token in [a, b, both] {
            if !ids.contains_key(token) {
                let file = vocab.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let allowed = format!("merges whose parts and result are in {}", elided(&file, 60));
                return Err(wrong(format!("token {:?} is not in the vocabulary", elided(token, 40)), &allowed));
            }
        }
        for part in [a, b] {
            if part.chars().nth(1).is_some() && all.contains(part) && !done.contains(part) {
                let found = format!("{:?} is joined here, and only a later merge makes it", elided(part, 40));
                return Err(wrong(
                    found,
                    "merges in the order of their rank: each joins characters and what earlier ones made",
                ));
            }
        }
        done.insert(both);
        pairs.push((a.to_string(), b.to_string()));
    }
    Ok(pairs)
}
