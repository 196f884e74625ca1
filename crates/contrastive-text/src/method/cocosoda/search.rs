//! Which code answers a query, in a whole codebase.

use super::CodeEncoder;
use crate::TextError;
use crate::bm25::Bm25;
use crate::data::code::{CodePair, CodeTokenizer, Language, WebQueries, code_words, query_words};
use contrastive_eval::ranking::{ItemSets, RankingError, Seen, TargetRanks};

/// Queries, each with the number of the code that answers it in a codebase. Every query ranks all codes; equal scores count against the model.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeSearch {
    /// Its name, for tables.
    pub name: String,
    queries: Vec<String>,
    answers: Vec<u32>,
    codebase: Vec<(Language, String)>,
}

impl CodeSearch {
    /// Pairs: each description looks for its code among those of all.
    pub fn of_pairs(name: &str, pairs: &[CodePair]) -> Self {
        Self {
            name: name.into(),
            queries: pairs.iter().map(|pair| pair.query.clone()).collect(),
            answers: (0..pairs.len() as u32).collect(),
            codebase: pairs.iter().map(|pair| (pair.language, pair.code.clone())).collect(),
        }
    }

    /// Queries of people, over a codebase of one language.
    pub fn of_web_queries(name: &str, queries: &WebQueries, language: Language, codebase: &[String]) -> Self {
        Self {
            name: name.into(),
            queries: queries.queries.clone(),
            answers: queries.codes.clone(),
            codebase: codebase.iter().map(|code| (language, code.clone())).collect(),
        }
    }

    /// Number of queries.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// The rank of each query's code by inner products of an encoder's rows.
    ///
    /// # Errors
    /// When there are no queries, one has no code in the codebase, or rows are not finite.
    pub fn ranks(&self, encoder: &CodeEncoder, tokenizer: &CodeTokenizer) -> Result<TargetRanks, TextError> {
        let queries: Vec<_> = self.queries.iter().map(|query| tokenizer.query(query)).collect();
        let codes: Vec<_> = self.codebase.iter().map(|(language, code)| tokenizer.code(*language, code)).collect();
        let queries = encoder.encode(&queries.iter().map(|tokens| tokens.ids()).collect::<Vec<_>>());
        let codes = encoder.encode(&codes.iter().map(|tokens| tokens.ids()).collect::<Vec<_>>());
        Ok(TargetRanks::of_pairs(queries.view(), codes.view(), &self.answers)?)
    }

    /// The rank of each query's code by [`Bm25`] with k1 = 1.2 and b = 0.75 over the words that the encoder reads too.
    ///
    /// # Errors
    /// As [`ranks`](Self::ranks).
    pub fn bm25_ranks(&self) -> Result<TargetRanks, TextError> {
        let words = |(language, code): &(Language, String)| {
            code_words(*language, code).into_iter().map(|(word, _)| word).collect::<Vec<_>>()
        };
        let bm25 = Bm25::new(&self.codebase.iter().map(words).collect::<Vec<_>>(), 1.2, 0.75)?;
        let (offsets, none) = (vec![0; self.len() + 1], []);
        let sets = ItemSets::new(&offsets, &none).map_err(RankingError::from)?;
        let score = |query: usize, scores: &mut [f64]| bm25.score(&query_words(&self.queries[query]), scores);
        Ok(TargetRanks::of_scores(self.codebase.len(), &self.answers, sets, Seen::Keep, score)?)
    }
}
