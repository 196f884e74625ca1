//! A copy of a network that follows it slowly.

use super::{Projected, VisionModel};
use burn::module::Module;
use burn::tensor::Tensor;
use contrastive_core::memory::Ema;
use contrastive_train::{State, TrainError, load_module, save_module};

/// A momentum copy of a network: its parameters follow, its batch norms go on by its own batches (in training mode, as MoCo's and BYOL's
/// released codes have it), and no gradient reaches it.
#[derive(Debug)]
pub struct Momentum<M: Module = Projected> {
    network: M,
    ema: Ema,
}

impl<M: Module> Momentum<M> {
    /// A copy of a network on autodiff, equal to it at first.
    pub fn of(network: &M, ema: Ema) -> Self {
        Self { network: network.clone().valid().train().no_grad(), ema }
    }

    /// The copy.
    pub fn network(&self) -> &M {
        &self.network
    }

    /// Follows the network after step `step` of the run.
    pub fn follow(&mut self, network: &M, step: usize) {
        self.network = self.ema.update_parameters(network, self.network.clone(), step);
    }

    /// Adds the copy to a state.
    pub fn save(&self, state: &mut State) {
        save_module(&self.network, "momentum", state);
    }

    /// Takes over what [`save`](Self::save) added, removing it.
    ///
    /// # Errors
    /// When a tensor is missing or does not fit.
    pub fn load(&mut self, state: &mut State) -> Result<(), TrainError> {
        self.network = load_module(self.network.clone(), "momentum", state)?;
        Ok(())
    }
}

impl<M: VisionModel> Momentum<M> {
    /// What the copy makes of images, without a gradient.
    pub fn project(&self, images: Tensor<4>) -> Tensor<2> {
        self.network.project(images).detach()
    }
}
