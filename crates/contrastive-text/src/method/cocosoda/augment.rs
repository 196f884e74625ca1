//! Soft data augmentation: tokens hidden, or replaced by what they are.

use crate::data::code::{CodeTokens, TokenType};
use contrastive_train::{Check, SettingError};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The four replacements (CoCoSoDa, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Replacement {
    /// Dynamic masking: of the picked tokens 80 % become the mask, 10 % any token, 10 % stay (BERT's rule).
    Masking,
    /// Dynamic replacement: of the picked tokens 80 % become the token of their type, the others stay.
    ByType,
    /// Dynamic replacement of one type, drawn for the batch: its picked tokens become the token of the type.
    OneTypeByType,
    /// Dynamic masking of one type, drawn for the batch: its picked tokens become the mask.
    OneTypeMasking,
}

impl Replacement {
    /// All, in the order in which the released code cycles through them.
    pub const ALL: [Self; 4] = [Self::Masking, Self::ByType, Self::OneTypeByType, Self::OneTypeMasking];
}

/// Which numbers tokens have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacementTokens {
    /// The mask.
    pub mask: u32,
    /// The token of each type, by the type's number.
    pub types: Vec<u32>,
    /// What a token may become at random: neither special nor the token of a type.
    pub ordinary: Range<u32>,
}

/// CoCoSoDa's soft data augmentation: each token, special ones apart, is picked with the same probability, and replaced in one of four
/// ways. Lengths stay, and what is drawn comes from the generator alone.
#[derive(Clone, Debug, PartialEq)]
pub struct SoftAugment {
    rate: f64,
    tokens: ReplacementTokens,
}

impl SoftAugment {
    /// Picks with this probability: 0.15 in the paper, 0.1 in the released code.
    ///
    /// # Errors
    /// When the rate is not in 0 to 1, there is not a token for each type, or there are no ordinary tokens.
    pub fn new(rate: f64, tokens: ReplacementTokens) -> Result<Self, SettingError> {
        let check = Check::new("soft data augmentation");
        check.probability("rate", rate)?;
        let types = TokenType::ALL.len();
        check.that(tokens.types.len() == types, "number of type tokens", tokens.types.len(), format!("{types}"))?;
        let ordinary = tokens.ordinary.len();
        check.that(ordinary > 0, "number of ordinary tokens", ordinary, "1 or more")?;
        Ok(Self { rate, tokens })
    }

    /// The tokens of a batch after one replacement.
    pub fn apply(&self, batch: &[&CodeTokens], replacement: Replacement, rng: &mut ChaCha8Rng) -> Vec<Vec<u32>> {
        let one_type = match replacement {
            Replacement::OneTypeByType | Replacement::OneTypeMasking => Some(drawn_type(batch, rng)),
            _ => None,
        };
        let mut token = |id: u32, kind: u8| {
            if one_type.is_some_and(|one| one != Some(kind)) || rng.random::<f64>() >= self.rate {
                return id;
            }
            let by_type = self.tokens.types[kind as usize];
            match replacement {
                Replacement::Masking => match rng.random::<f64>() {
                    share if share < 0.8 => self.tokens.mask,
                    share if share < 0.9 => rng.random_range(self.tokens.ordinary.clone()),
                    _ => id,
                },
                Replacement::ByType if rng.random::<f64>() < 0.8 => by_type,
                Replacement::ByType => id,
                Replacement::OneTypeByType => by_type,
                Replacement::OneTypeMasking => self.tokens.mask,
            }
        };
        let sequence = |tokens: &&CodeTokens| {
            let (special, rest) = tokens.ids().split_at(tokens.special());
            let rest = rest.iter().zip(&tokens.types()[tokens.special()..]).map(|(id, kind)| token(*id, *kind));
            special.iter().copied().chain(rest).collect()
        };
        batch.iter().map(sequence).collect()
    }
}

/// One of the types that are there, special tokens apart; all alike.
fn drawn_type(batch: &[&CodeTokens], rng: &mut ChaCha8Rng) -> Option<u8> {
    let mut there = [false; TokenType::ALL.len()];
    for tokens in batch {
        tokens.types()[tokens.special()..].iter().for_each(|kind| there[*kind as usize] = true);
    }
    let types: Vec<u8> = (0..there.len() as u8).filter(|kind| there[*kind as usize]).collect();
    (!types.is_empty()).then(|| types[rng.random_range(0..types.len())])
}
