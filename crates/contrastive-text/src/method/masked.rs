//! Masked language modelling as an auxiliary term (Devlin et al., 2019; SimCSE, section 4.3).

use crate::data::Tokens;
use crate::encoder::{SentenceEncoder, TokenBatch};
use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorCreationOptions};
use contrastive_core::linear::gather_rows;
use contrastive_core::objective::{Inputs, PairObjective};
use contrastive_core::pairs::Pairs;
use contrastive_core::similarity::Similarity;
use contrastive_nn::layer::{LayerNorm, LayerNormConfig, Linear, LinearConfig, gelu};
use contrastive_nn::{Pass, SettingError, init};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A map, GELU and a norm; the scores are products with the rows of the tokens, and a bias.
#[derive(Module, Debug)]
pub struct MaskedHead {
    /// `[d, d]`.
    pub dense: Linear,
    /// The norm behind it.
    pub norm: LayerNorm,
    /// `[tokens]`.
    pub bias: Param<Tensor<1>>,
}

/// Texts of which some tokens are hidden.
#[derive(Clone, Debug, PartialEq)]
pub struct MaskedBatch {
    /// The texts, some tokens replaced.
    pub tokens: TokenBatch,
    /// Rows of the batch that are to be told, ascending.
    pub places: Vec<u32>,
    /// The tokens that stood there.
    pub targets: Vec<u32>,
}

/// Hides each token that is not a special one with probability `share`: 80 % become the mask, 10 % any token, 10 % stay.
///
/// # Panics
/// When the vocabulary has no mask.
pub fn mask_tokens(batch: &TokenBatch, tokens: &Tokens, share: f64, rng: &mut ChaCha8Rng) -> MaskedBatch {
    let mask = tokens.mask().expect("a vocabulary with a mask");
    let (mut masked, mut places, mut targets) = (batch.clone(), Vec::new(), Vec::new());
    for (at, id) in masked.ids.iter_mut().enumerate() {
        if tokens.is_special(*id) || rng.random::<f64>() >= share {
            continue;
        }
        places.push(at as u32);
        targets.push(*id);
        match rng.random_range(0..10) {
            0..8 => *id = mask,
            8 => *id = rng.random_range(0..tokens.size() as u32),
            _ => {}
        }
    }
    MaskedBatch { tokens: masked, places, targets }
}

impl MaskedHead {
    /// For states of this width and so many tokens.
    ///
    /// # Errors
    /// When one is 0.
    pub fn new(
        width: usize,
        tokens: usize,
        rng: &mut ChaCha8Rng,
        on: impl Into<TensorCreationOptions>,
    ) -> Result<Self, SettingError> {
        let on = on.into();
        let dense = LinearConfig::new(width, width).with_initial(init::Initial::Normal(0.02)).init(rng, on.clone())?;
        let norm = LayerNormConfig::new(width).with_epsilon(1e-12).init(on.clone())?;
        Ok(Self { dense, norm, bias: init::constant(0.0, [tokens], on) })
    }

    /// `[1]`: the mean cross-entropy of the hidden tokens, without the hidden x vocabulary matrix; 0 where nothing is hidden.
    ///
    /// # Panics
    /// When the shapes of encoder and head do not fit.
    pub fn loss(&self, encoder: &SentenceEncoder, batch: &MaskedBatch, pass: &mut Pass) -> Tensor<1> {
        let states = encoder.states(&batch.tokens, pass);
        if batch.places.is_empty() {
            return (states * 0.0).sum();
        }
        let states = gather_rows(states, &batch.places);
        let anchors = self.norm.forward(gelu(self.dense.forward(states)));
        let objective = PairObjective::new(1.0).expect("a temperature of 1").with_similarity(Similarity::Dot);
        let objective = objective.with_pairs(Pairs::one_each(batch.targets.clone()));
        objective.loss(&Inputs::new(anchors, encoder.table()).with_bias(self.bias.val()))
    }
}
