//! What can be wrong with prompts, and what there is to say about a decoding.

use contrastive_train::SettingError;
use std::fmt;
use thiserror::Error;

/// Why nothing was decoded. Prompts and their tokens are counted from 0.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum DecodeError {
    /// A setting outside of its range.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// Nothing to continue.
    #[error("no prompts; at least one is needed")]
    NoPrompts,
    /// A prompt without tokens.
    #[error("prompt {row} has no tokens; at least one is needed")]
    EmptyPrompt {
        /// Which.
        row: usize,
    },
    /// A padded prompt of which nothing is left.
    #[error("prompt {row}: all of its {width} tokens are masked; at least one must not be")]
    AllMasked {
        /// Which.
        row: usize,
        /// Tokens in a row.
        width: usize,
    },
    /// A padded batch whose parts do not fit.
    #[error(
        "{ids} tokens and {mask} marks of a mask in rows of {width}; allowed are as many marks as tokens, and whole rows"
    )]
    PaddedShape {
        /// Tokens.
        ids: usize,
        /// Marks.
        mask: usize,
        /// Tokens in a row.
        width: usize,
    },
    /// A token that the model does not know.
    #[error("prompt {row}, token {at}: {id}; allowed are those below the vocabulary {vocabulary}")]
    UnknownToken {
        /// Which prompt.
        row: usize,
        /// Its token.
        at: usize,
        /// The token.
        id: u32,
        /// Tokens of the model.
        vocabulary: usize,
    },
    /// A prompt that leaves no room.
    #[error("prompt {row}: {prompt} tokens and {new} new ones; the model has {positions} positions")]
    TooLong {
        /// Which.
        row: usize,
        /// Its tokens.
        prompt: usize,
        /// Tokens to be written.
        new: usize,
        /// Positions of the model.
        positions: usize,
    },
    /// A model whose logits are NaN or infinite.
    #[error("prompt {row}, new token {step}: the model's logits are not finite")]
    NotFinite {
        /// Which.
        row: usize,
        /// The token to be written.
        step: usize,
    },
}

/// What there is to say about a decoding.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DecodeNote {
    /// States that are nearly all alike.
    LowIsotropy {
        /// Isotropy of the prompts' states.
        isotropy: f64,
    },
}

impl fmt::Display for DecodeNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::LowIsotropy { isotropy } = self;
        write!(
            f,
            "isotropy of the prompts' states is {isotropy:.3}, below {}: the penalty is nearly the same for all candidates, and \
             contrastive search comes close to greedy search (SimCTG training raises isotropy)",
            super::LOW_ISOTROPY
        )
    }
}
