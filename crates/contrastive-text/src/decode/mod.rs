//! Decoding: from a language model and prompts to texts.
//!
//! | I want | [`Decoding`] |
//! |---|---|
//! | fluent text that does not repeat itself, the same at every run | [`Contrastive`](Decoding::Contrastive), where the model's states are isotropic |
//! | the most probable next token each time | [`Greedy`](Decoding::Greedy) |
//! | the most probable whole text (translation, code) | [`Beam`](Decoding::Beam) |
//! | varied text | [`Nucleus`](Decoding::Nucleus), [`TopK`](Decoding::TopK), [`Typical`](Decoding::Typical) |
//!
//! All run over any [`LanguageModel`], several prompts of different lengths at once: rows are packed, so there is no padding to
//! mask, and a text that has ended leaves the batch. A prompt is continued in the same way alone and among others.
//!
//! ```
//! use burn::tensor::Device;
//! use contrastive_nn::encoder::{TokenEncoderConfig, TransformerConfig};
//! use contrastive_text::decode::{ContrastiveSearch, Decoder, Decoding, Prompts};
//! use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
//!
//! let model = TokenEncoderConfig::gpt2(50, 32, TransformerConfig::gpt2(16, 2, 1))
//!     .init(&mut ChaCha8Rng::seed_from_u64(7), &Device::default())?;
//! let search = ContrastiveSearch::new(5, 0.6);
//! let prompts = Prompts::new(vec![vec![1, 2, 3], vec![4]])?;
//! let decoded = Decoder::new(Decoding::Contrastive(search), 8).decode(&model, &prompts)?;
//! assert_eq!(decoded.texts[1].tokens.len(), 8);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod beam;
mod contrastive;
mod distribution;
mod error;
mod prompts;
mod score;
mod simple;

pub use contrastive::{Candidates, ContrastiveSearch, DiverseStart, LOW_ISOTROPY, UnitRows};
pub use error::{DecodeError, DecodeNote};
pub use prompts::Prompts;
pub use score::{mean_log_probability, states_isotropy, token_log_probabilities};

use contrastive_nn::model::LanguageModel;
use contrastive_train::{Check, SettingError};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Decoding {
    /// The most probable token; of equal ones the first.
    Greedy,
    /// The most probable text that a search with so many hypotheses finds.
    Beam {
        /// Hypotheses, at least 1. 1 is greedy search.
        width: usize,
        /// A text's score is its log-probability divided by its length to this power: 0 compares sums, 1 means; finite.
        length_penalty: f64,
    },
    /// Drawn among the k most probable tokens (Fan et al., 2018).
    TopK {
        /// 1 to the vocabulary.
        k: usize,
    },
    /// Drawn among the fewest tokens that hold the probability p (Holtzman et al., 2020).
    Nucleus {
        /// Above 0, at most 1.
        p: f64,
    },
    /// Drawn among the tokens whose information is closest to the entropy, the fewest that hold this probability (Meister et al.,
    /// 2023).
    Typical {
        /// Above 0, at most 1.
        mass: f64,
    },
    /// Contrastive search (Su et al., NeurIPS 2022).
    Contrastive(ContrastiveSearch),
}

/// A way of decoding, and when it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decoder {
    decoding: Decoding,
    max_new: usize,
    end: Option<u32>,
    temperature: f64,
    seed: u64,
    first_row: u64,
}

/// What was written after one prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Continuation {
    /// The new tokens, without the end token.
    pub tokens: Vec<u32>,
    /// The natural logarithm of each one's probability under the model, over the whole vocabulary and without temperature.
    pub log_probabilities: Vec<f64>,
    /// Was there an end token?
    pub ended: bool,
}

/// What was written after all prompts, in their order, and what there is to say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// One for each prompt.
    pub texts: Vec<Continuation>,
    /// Notes.
    pub notes: Vec<DecodeNote>,
}

impl Decoder {
    /// At most `max_new` tokens after each prompt; no end token, a temperature of 1, seed 0.
    pub fn new(decoding: Decoding, max_new: usize) -> Self {
        Self { decoding, max_new, end: None, temperature: 1.0, seed: 0, first_row: 0 }
    }

    /// A text ends with this token.
    #[must_use]
    pub fn with_end(mut self, token: u32) -> Self {
        self.end = Some(token);
        self
    }

    /// Divides the logits of what is drawn from; above 0. Without effect on greedy, beam and contrastive search.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// What is drawn, is drawn from this seed and the number of the prompt.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The number of the first prompt: a part of a larger set draws what it would draw in the whole.
    #[must_use]
    pub fn with_first_row(mut self, row: u64) -> Self {
        self.first_row = row;
        self
    }

    /// How the next token is chosen.
    pub fn decoding(&self) -> &Decoding {
        &self.decoding
    }

    /// Checks the settings for a vocabulary.
    ///
    /// # Errors
    /// With the setting that is out of its range.
    pub fn validate(&self, vocabulary: usize) -> Result<(), SettingError> {
        let check = Check::new("decoder");
        check.count("max_new", self.max_new)?;
        check.positive("temperature", self.temperature)?;
        let end = self.end.map_or(0, |end| end as usize);
        check.that(end < vocabulary, "end", end, format!("a token below the vocabulary {vocabulary}"))?;
        let share =
            |name: &str, value: f64| check.that(value > 0.0 && value <= 1.0, name, value, "above 0 and at most 1");
        let of_vocabulary = |name: &str, k: usize| {
            check.that((1..=vocabulary).contains(&k), name, k, format!("1 to the vocabulary {vocabulary}"))
        };
        match self.decoding {
            Decoding::Greedy => Ok(()),
            Decoding::Beam { width, length_penalty } => {
                check.count("width", width)?;
                check.that(length_penalty.is_finite(), "length_penalty", length_penalty, "a finite number")
            }
            Decoding::TopK { k } => of_vocabulary("k", k),
            Decoding::Nucleus { p } => share("p", p),
            Decoding::Typical { mass } => share("mass", mass),
            Decoding::Contrastive(search) => {
                of_vocabulary("k", search.k)?;
                check.probability("alpha", search.alpha)?;
                search.start.map_or(Ok(()), |start| share("p of the diverse start", start.p))
            }
        }
    }

    /// Continues each prompt.
    ///
    /// # Errors
    /// When a setting is out of its range, a token of a prompt is not in the vocabulary, a prompt with its continuation has more
    /// tokens than the model has positions, or the model's logits are NaN.
    pub fn decode<M: LanguageModel>(&self, model: &M, prompts: &Prompts) -> Result<Decoded, DecodeError> {
        self.validate(model.vocabulary())?;
        prompts.check(model.vocabulary(), model.positions(), self.max_new)?;
        match self.decoding {
            Decoding::Contrastive(search) => contrastive::decode(self, &search, model, prompts),
            Decoding::Beam { width, length_penalty } => beam::decode(self, width, length_penalty, model, prompts),
            _ => simple::decode(self, model, prompts),
        }
    }

    /// The generator of a prompt.
    fn rng(&self, row: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.first_row + row as u64);
        rng
    }
}

impl Continuation {
    /// Takes a token in; is it the end?
    fn takes(&mut self, token: u32, log_probability: f64, end: Option<u32>) -> bool {
        self.ended = Some(token) == end;
        if !self.ended {
            self.tokens.push(token);
            self.log_probabilities.push(log_probability);
        }
        self.ended
    }

    /// The sum of the log-probabilities of its tokens.
    pub fn log_probability(&self) -> f64 {
        self.log_probabilities.iter().sum()
    }
}
