//! Settings that methods on nodes share.

use contrastive_train::{Budget, OptimiserConfig, TrainingConfig};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// Steps of the whole graph, one an epoch, by Adam with coupled decay.
pub(super) fn full_batch(epochs: usize, rate: f64, decay: f64) -> TrainingConfig {
    let adam = OptimiserConfig::adam().with_weight_decay(decay);
    TrainingConfig::new(Budget::Epochs(epochs), 1, rate).with_optimiser(adam)
}

/// The generator that parameters are drawn from: a stream that no epoch has.
pub(super) fn parameter_rng(seed: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::MAX);
    rng
}
