//! Contrastive search: among the probable tokens the one whose state is least like those before.

use super::distribution::{Distribution, host};
use super::{Continuation, DecodeError, DecodeNote, Decoded, Decoder, Prompts};
use burn::tensor::Tensor;
use contrastive_core::linear::gather_rows;
use contrastive_eval::isotropy::isotropy;
use contrastive_nn::Ragged;
use contrastive_nn::encoder::{BesideRows, Cache};
use contrastive_nn::model::LanguageModel;
use ndarray::ArrayView2;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// Isotropy below which contrastive search says that it comes close to greedy search.
pub const LOW_ISOTROPY: f64 = 0.3;

/// How the candidates are run through the model. All give the same tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Candidates {
    /// All at once, each reading the keys and values of its prompt where they are.
    #[default]
    Viewed,
    /// All at once, on a cache that is repeated for each: k times its memory (the released code).
    Expanded,
    /// One after the other: the least memory, k passes.
    OneByOne,
    /// Without a cache, every prefix anew: the definition.
    Recomputed,
}

/// The first tokens of a text drawn from a nucleus, for a variety of texts after the same prompt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DiverseStart {
    /// How many; 2 in the paper.
    pub tokens: usize,
    /// Probability of the nucleus, above 0 and at most 1; 0.95 in the paper.
    pub p: f64,
}

/// Contrastive search (Su et al., NeurIPS 2022, equation 5; Su and Collier, TMLR 2023):
///
/// ```text
/// x_t = argmax over the k most probable v of (1 - alpha) p(v | x_<t) - alpha max_{j < t} cos(h_v, h_{x_j})
/// ```
///
/// p is the probability over the whole vocabulary, h the last hidden state after the final norm: `h_v` that of `v` when it follows `x_<t`.
/// Of equal scores the more probable token wins. Without `alpha`, or with k = 1, this is greedy search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContrastiveSearch {
    /// Candidates: 1 to the vocabulary; 3 to 10 in the papers.
    pub k: usize,
    /// Weight of the penalty, 0 to 1; 0.5 to 0.8 in the papers.
    pub alpha: f64,
    /// How the candidates are run.
    pub candidates: Candidates,
    /// Tokens drawn at the start, if any.
    pub start: Option<DiverseStart>,
}

impl ContrastiveSearch {
    /// With so many candidates and this weight of the penalty.
    pub fn new(k: usize, alpha: f64) -> Self {
        Self { k, alpha, candidates: Candidates::Viewed, start: None }
    }

    /// Another way to run the candidates.
    #[must_use]
    pub fn with_candidates(mut self, candidates: Candidates) -> Self {
        self.candidates = candidates;
        self
    }

    /// With the first tokens drawn.
    #[must_use]
    pub fn with_start(mut self, start: DiverseStart) -> Self {
        self.start = Some(start);
        self
    }

    /// The scores of candidates: their probabilities, and their states `[candidates, width]` against those of the context.
    ///
    /// # Panics
    /// When there is not one state for each probability.
    pub fn scores(&self, context: &UnitRows, states: &[f64], probabilities: &[f64]) -> Vec<f64> {
        assert_eq!(states.len(), probabilities.len() * context.width, "states and probabilities of candidates");
        let score = |(state, p): (&[f64], &f64)| (1.0 - self.alpha) * p - self.alpha * context.most_alike(state);
        states.chunks(context.width).zip(probabilities).map(score).collect()
    }
}

/// States of a context, scaled to length 1 once, in f32. A state of zeros stays as it is: its cosine with any other is 0.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitRows {
    width: usize,
    numbers: Vec<f32>,
}

impl UnitRows {
    /// Rows `[n, width]`.
    ///
    /// # Panics
    /// When there are no whole rows.
    pub fn new(width: usize, rows: &[f64]) -> Self {
        assert!(width > 0 && rows.len().is_multiple_of(width), "{} numbers in rows of {width}", rows.len());
        let mut all = Self { width, numbers: Vec::with_capacity(rows.len()) };
        rows.chunks(width).for_each(|row| all.push(row));
        all
    }

    /// One more.
    pub fn push(&mut self, row: &[f64]) {
        self.numbers.extend(unit(row));
    }

    /// The largest cosine of a state with those here, -1 to 1; 0 where there are none.
    pub fn most_alike(&self, state: &[f64]) -> f64 {
        let state: Vec<f32> = unit(state).collect();
        let dot = |row: &[f32]| row.iter().zip(&state).map(|(a, b)| a * b).sum::<f32>();
        let most = self.numbers.chunks(self.width).map(dot).reduce(f32::max);
        most.map_or(0.0, |most| f64::from(most.clamp(-1.0, 1.0)))
    }
}

fn unit(row: &[f64]) -> impl Iterator<Item = f32> {
    let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
    let factor = if length > 0.0 { length.recip() } else { 0.0 };
    row.iter().map(move |x| (x * factor) as f32)
}

/// The rows that go on.
struct Live {
    /// Their prompts.
    prompts: Vec<usize>,
    cache: Cache,
    contexts: Vec<UnitRows>,
    /// Prompt and text of each, where prefixes are computed anew.
    prefixes: Vec<Vec<u32>>,
}

/// The states of candidates, and what makes the cache of those that are chosen.
struct Run {
    hidden: Tensor<2>,
    states: Vec<f64>,
    /// The states of the prefix of each candidate, where they were computed anew.
    contexts: Option<Vec<UnitRows>>,
    cached: Cached,
}

enum Cached {
    Beside(BesideRows),
    Expanded(Cache),
    Nothing,
}

pub(super) fn decode<M: LanguageModel>(
    decoder: &Decoder,
    search: &ContrastiveSearch,
    model: &M,
    prompts: &Prompts,
) -> Result<Decoded, DecodeError> {
    let (ids, lists) = prompts.packed();
    let mut cache = Cache::new(prompts.len());
    let hidden = model.hidden(&ids, &lists, &mut cache);
    let mut logits = model.logits(gather_rows(hidden.clone(), &lists.last_rows()));
    let [_, width] = hidden.dims();
    let states = host(hidden);
    let contexts = lists.ranges().map(|range| UnitRows::new(width, &states[range.start * width..range.end * width]));
    let contexts: Vec<UnitRows> = contexts.collect();
    let notes = low_isotropy(width, &states, &lists).into_iter().collect();
    let mut texts = vec![Continuation::default(); prompts.len()];
    let mut rngs: Vec<ChaCha8Rng> = (0..prompts.len()).map(|row| decoder.rng(row)).collect();
    let mut live = Live { prompts: (0..prompts.len()).collect(), cache, contexts, prefixes: prompts.lists().to_vec() };
    for step in 0..decoder.max_new {
        let distributions = Distribution::rows(logits, &live.prompts, step)?;
        let drawn = search.start.filter(|start| step < start.tokens);
        let candidates: Vec<u32> = match drawn {
            Some(start) => {
                let draw = |(of, &row): (&Distribution, &usize)| {
                    of.at(decoder.temperature).draw_nucleus(start.p, &mut rngs[row])
                };
                distributions.iter().zip(&live.prompts).map(draw).collect()
            }
            None => distributions.iter().flat_map(|of| of.top(search.k)).collect(),
        };
        let each = candidates.len() / live.prompts.len();
        let run = live.run(model, search.candidates, &candidates, each);
        let (mut chosen, mut kept) = (Vec::new(), Vec::new());
        for (at, of) in distributions.iter().enumerate() {
            let choice = if each == 1 { 0 } else { live.best(search, &run, of, &candidates, at, each) };
            let token = candidates[at * each + choice];
            chosen.push(choice);
            if !texts[live.prompts[at]].takes(token, of.log(token), decoder.end) {
                kept.push(at);
            }
        }
        if kept.is_empty() || step + 1 == decoder.max_new {
            break;
        }
        let rows: Vec<u32> = kept.iter().map(|at| (at * each + chosen[*at]) as u32).collect();
        logits = model.logits(gather_rows(run.hidden.clone(), &rows));
        live.advance(run, &candidates, &chosen, each);
        if kept.len() < live.prompts.len() {
            live.keep(&kept);
        }
    }
    Ok(Decoded { texts, notes })
}

fn low_isotropy(width: usize, states: &[f64], lists: &Ragged) -> Option<DecodeNote> {
    let states = ArrayView2::from_shape((lists.total(), width), states).expect("rows of states");
    // prompts of one token each say nothing
    let isotropy = isotropy(states, lists.offsets()).ok()?;
    (isotropy < LOW_ISOTROPY).then_some(DecodeNote::LowIsotropy { isotropy })
}

impl Live {
    /// Runs `each` candidates of each row.
    fn run<M: LanguageModel>(&self, model: &M, mode: Candidates, candidates: &[u32], each: usize) -> Run {
        let rows = self.prompts.len();
        let (hidden, cached) = match mode {
            Candidates::Viewed => {
                let (hidden, beside) = model.hidden_beside(candidates, &self.cache);
                (hidden, Cached::Beside(beside))
            }
            Candidates::OneByOne => {
                let run = |k: usize| {
                    let ids: Vec<u32> = (0..rows).map(|row| candidates[row * each + k]).collect();
                    model.hidden_beside(&ids, &self.cache)
                };
                let (hidden, parts): (Vec<_>, Vec<_>) = (0..each).map(run).unzip();
                // candidate by candidate to row by row
                let order: Vec<u32> = (0..rows * each).map(|at| ((at % each) * rows + at / each) as u32).collect();
                (gather_rows(Tensor::cat(hidden, 0), &order), Cached::Beside(BesideRows::joined(&parts)))
            }
            Candidates::Expanded => {
                let repeated: Vec<usize> = (0..rows * each).map(|at| at / each).collect();
                let mut cache = self.cache.select(&repeated);
                let hidden = model.hidden(candidates, &Ragged::even(candidates.len(), 1), &mut cache);
                (hidden, Cached::Expanded(cache))
            }
            Candidates::Recomputed => return self.recomputed(model, candidates, each),
        };
        Run { states: host(hidden.clone()), hidden, contexts: None, cached }
    }

    fn recomputed<M: LanguageModel>(&self, model: &M, candidates: &[u32], each: usize) -> Run {
        let lists: Vec<Vec<u32>> = candidates
            .iter()
            .enumerate()
            .map(|(at, token)| self.prefixes[at / each].iter().copied().chain([*token]).collect())
            .collect();
        let ragged = Ragged::from_lengths(&lists.iter().map(Vec::len).collect::<Vec<_>>());
        let all = model.hidden(&lists.concat(), &ragged, &mut Cache::new(lists.len()));
        let hidden = gather_rows(all.clone(), &ragged.last_rows());
        let ([_, width], all) = (all.dims(), host(all));
        let context =
            |range: std::ops::Range<usize>| UnitRows::new(width, &all[range.start * width..(range.end - 1) * width]);
        let contexts = Some(ragged.ranges().map(context).collect());
        Run { states: host(hidden.clone()), hidden, contexts, cached: Cached::Nothing }
    }

    /// Which candidate of row `at` has the highest score.
    fn best(
        &self,
        search: &ContrastiveSearch,
        run: &Run,
        of: &Distribution,
        candidates: &[u32],
        at: usize,
        each: usize,
    ) -> usize {
        let context = |k: usize| run.contexts.as_ref().map_or(&self.contexts[at], |all| &all[at * each + k]);
        let width = context(0).width;
        let score = |k: usize| {
            let row = at * each + k;
            let state = &run.states[row * width..(row + 1) * width];
            search.scores(context(k), state, &[of.log(candidates[row]).exp()])[0]
        };
        let scores: Vec<f64> = (0..each).map(score).collect();
        (1..each).fold(0, |best, k| if scores[k] > scores[best] { k } else { best })
    }

    /// The chosen candidates join their rows.
    fn advance(&mut self, run: Run, candidates: &[u32], chosen: &[usize], each: usize) {
        match run.cached {
            Cached::Beside(rows) => self.cache.append(&rows, chosen),
            Cached::Expanded(cache) => {
                let rows: Vec<usize> = chosen.iter().enumerate().map(|(at, k)| at * each + k).collect();
                self.cache = cache.select(&rows);
            }
            Cached::Nothing => (),
        }
        for (at, k) in chosen.iter().enumerate() {
            let (row, width) = (at * each + k, self.contexts[at].width);
            self.contexts[at].push(&run.states[row * width..(row + 1) * width]);
            self.prefixes[at].push(candidates[row]);
        }
    }

    /// Only these rows go on.
    fn keep(&mut self, rows: &[usize]) {
        // where prefixes are computed anew the cache holds the prompts alone, and is not read
        self.cache = self.cache.select(rows);
        self.prompts = rows.iter().map(|at| self.prompts[*at]).collect();
        self.contexts = rows.iter().map(|at| self.contexts[*at].clone()).collect();
        self.prefixes = rows.iter().map(|at| self.prefixes[*at].clone()).collect();
    }
}
