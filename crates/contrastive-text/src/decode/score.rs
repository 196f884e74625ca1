//! How probable texts are under a model, and how alike its states.

use super::distribution::{Distribution, host};
use super::{DecodeError, Prompts};
use contrastive_eval::EvalError;
use contrastive_eval::isotropy::isotropy;
use contrastive_nn::Ragged;
use contrastive_nn::encoder::Cache;
use contrastive_nn::model::LanguageModel;
use ndarray::Array2;

/// The natural logarithm of the probability of each token of a continuation, given its prompt and the tokens before it.
///
/// # Errors
/// When a token is not in the vocabulary, a text has more tokens than the model has positions, or logits are not finite.
///
/// # Panics
/// When there is not one continuation for each prompt.
pub fn token_log_probabilities<M: LanguageModel>(
    model: &M,
    prompts: &Prompts,
    continuations: &[Vec<u32>],
) -> Result<Vec<Vec<f64>>, DecodeError> {
    assert_eq!(prompts.len(), continuations.len(), "prompts and continuations");
    let whole = prompts.lists().iter().zip(continuations).map(|(prompt, new)| [&prompt[..], new].concat());
    let whole = Prompts::new(whole.collect())?;
    whole.check(model.vocabulary(), model.positions(), 0)?;
    let of = |(row, (list, new)): (usize, (&Vec<u32>, &Vec<u32>))| {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let read = list.len() - 1;
        let hidden = model.hidden(&list[..read], &Ragged::even(1, read), &mut Cache::new(1));
        let logits = model.logits(hidden.narrow(0, read - new.len(), new.len()));
        let distributions = Distribution::rows(logits, &vec![row; new.len()], 0)?;
        Ok(distributions.iter().zip(new).map(|(of, token)| of.log(*token)).collect())
    };
    whole.lists().iter().zip(continuations).enumerate().map(of).collect()
}

/// The mean over texts of a continuation's mean log-probability given its prompt: "coherence" under a second model. Continuations
/// without tokens are left out; NaN when all are.
///
/// # Errors
/// As [`token_log_probabilities`].
///
/// # Panics
/// As [`token_log_probabilities`].
pub fn mean_log_probability<M: LanguageModel>(
    model: &M,
    prompts: &Prompts,
    continuations: &[Vec<u32>],
) -> Result<f64, DecodeError> {
    let all = token_log_probabilities(model, prompts, continuations)?;
    let means = all.iter().filter(|logs| !logs.is_empty()).map(|logs| logs.iter().sum::<f64>() / logs.len() as f64);
    let means: Vec<f64> = means.collect();
    Ok(means.iter().sum::<f64>() / means.len() as f64)
}

/// The isotropy of a model's last hidden states on texts: check it before contrastive search, which needs more than
/// [`LOW_ISOTROPY`](super::LOW_ISOTROPY).
///
/// # Errors
/// When no text has two tokens, or states are not finite.
///
/// # Panics
/// When a token is not in the vocabulary or a text longer than the model's positions.
pub fn states_isotropy<M: LanguageModel>(model: &M, texts: &Prompts) -> Result<f64, EvalError> {
    let (ids, lists) = texts.packed();
    let hidden = model.hidden(&ids, &lists, &mut Cache::new(texts.len()));
    let [rows, width] = hidden.dims();
    let states = Array2::from_shape_vec((rows, width), host(hidden)).expect("rows");
    isotropy(states.view(), lists.offsets())
}
