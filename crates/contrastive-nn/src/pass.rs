//! One forward pass, with dropout or without.

use contrastive_kernels::layer::dropout::mix;

/// Where a forward pass takes its dropout masks from.
///
/// A mask is a function of (seed, step, layer, element): the same for any number of threads, made again in the backward pass
/// instead of stored, and the same again when the pass is. Layers count themselves: each takes the [next key](Self::next_key), so
/// that two encodings in one pass differ in their masks, and a [clone](Clone) of a pass repeats them.
///
/// ```
/// use contrastive_nn::Pass;
///
/// let mut first = Pass::training(7, 0);
/// let mut again = first.clone();
/// assert_eq!(first.next_key(), again.next_key());
/// assert_ne!(first.next_key(), Pass::training(7, 1).next_key());
/// assert_eq!(Pass::evaluation().next_key(), None);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    key: Option<u64>,
    layer: u64,
}

/// What the mask of one layer in one pass is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DropoutKey(u64);

impl Pass {
    /// Without dropout.
    pub fn evaluation() -> Self {
        Self { key: None, layer: 0 }
    }

    /// With the dropout of this step of a training; `step` counts over the whole training, not over an epoch.
    pub fn training(seed: u64, step: u64) -> Self {
        Self { key: Some(mix(mix(seed) ^ step)), layer: 0 }
    }

    /// Is there dropout?
    pub fn is_training(&self) -> bool {
        self.key.is_some()
    }

    /// The key of the next layer; `None` in evaluation.
    pub fn next_key(&mut self) -> Option<DropoutKey> {
        let key = self.key?;
        self.layer += 1;
        Some(DropoutKey(mix(key.wrapping_add(mix(self.layer)))))
    }
}

impl DropoutKey {
    /// The key as a number.
    pub fn get(self) -> u64 {
        self.0
    }
}
