//! The search for a trigger against the training itself: an encoder is trained on what the trigger poisons, and the trigger moved so that
//! marked images of any class lie where the target's do. In turn, and with first derivatives alone.

use super::differentiable::Differentiable;
use super::trigger::{Generator, Trigger};
use super::{Audit, Search, at_epoch_start};
use crate::VisionError;
use crate::method::{Settings, VisionModel};
use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use contrastive_core::similarity::unit_rows;
use contrastive_data::image::ImageSet;
use contrastive_train::{MethodConfig, OptimiserConfig, Parameters, State, Trainee};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::hash::{DefaultHasher, Hasher};

/// A round of the search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// The mean cosine of marked images and references before and after the outer steps, on one batch.
    pub objective: [f64; 2],
    /// Whether the surrogate began anew.
    pub restarted: bool,
    /// Digests of the surrogate before and after the outer steps: equal.
    pub surrogate: [u64; 2],
    /// Digests of the trigger before and after the inner steps: equal.
    pub trigger: [u64; 2],
}

fn digest(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, data) in state {
        hasher.write(name.as_bytes());
        hasher.write(data.as_bytes());
    }
    hasher.finish()
}

/// The outer objective: the mean cosine of views of marked images with the mean direction of the references, `[1]`.
pub(super) fn outer(
    generator: &Generator,
    budget: f64,
    images: Tensor<4>,
    views: &Differentiable,
    embed: &dyn Fn(Tensor<4>) -> Tensor<2>,
    towards: &Tensor<2>,
    rng: &mut ChaCha8Rng,
) -> Tensor<1> {
    let marked = views.view(generator.forward(images, budget), rng);
    (unit_rows(embed(marked)) * towards.clone()).sum_dim(1).mean()
}

impl<S: Settings> Audit<S> {
    /// An optimised trigger for poisoning `rows` of `set`, which has no labels, towards the images `references` of it.
    pub(super) fn search(
        &self,
        set: &ImageSet,
        rows: &[usize],
        references: &[usize],
        seed: u64,
        device: &Device,
    ) -> Result<(Trigger, Vec<Round>), VisionError> {
        let Search { rounds, inner, outer: steps, budget, rate, width, restart, batch } = self.search;
        let (plain, on) = (device.clone().inner(), (device.clone().inner().autodiff(), DType::F32));
        let views = Differentiable::new(&self.frame.views.each[0], self.straight_through)?;
        let generator = Generator::new(set.shape()[0], width, seed ^ 0x9e4, &on);
        let mut trigger = Parameters::new(generator, &OptimiserConfig::adam(), &[])?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5ea);
        let config = self.frame.train(self.settings.clone());
        let mut surrogate: Option<State> = None;
        let mut found = Vec::with_capacity(rounds);
        let tensor = |images: &[usize], device: &Device| pictures(set, images, device);
        for round in 0..rounds {
            let restarted = round % restart == 0;
            let now = Trigger::Optimised { generator: trigger.model().valid(), budget };
            let poisoned = now.on(set, rows, seed, &plain)?;
            let mut training =
                config.build(&poisoned, seed.wrapping_add(7919 * (1 + round / restart) as u64), device)?;
            if let Some(state) = surrogate.take().filter(|_| !restarted) {
                training.load_state(at_epoch_start(state))?;
            }
            let before = digest(&trigger.tensors());
            for _ in 0..inner {
                training.train_step()?;
            }
            let trigger_digests = [before, digest(&trigger.tensors())];

            let state = training.state();
            let encoder = training.model().encoder();
            let embed = |images: Tensor<4>| encoder.forward(images);
            let still = training.trained_model();
            let many: Vec<usize> = (0..batch).map(|_| references[rng.random_range(0..references.len())]).collect();
            let shown = views.view(tensor(&many, &plain), &mut rng);
            let mean = unit_rows(still.encoder().forward(shown)).mean_dim(0);
            let towards = Tensor::from_inner(unit_rows(mean));
            let draw =
                |rng: &mut ChaCha8Rng| -> Vec<usize> { (0..batch).map(|_| rng.random_range(0..set.len())).collect() };
            let (watched, watch) = (tensor(&draw(&mut rng), &on.0), rng.clone());
            let value = |generator: &Generator| {
                let loss = outer(generator, budget, watched.clone(), &views, &embed, &towards, &mut watch.clone());
                loss.into_data().iter::<f64>().next().unwrap_or(f64::NAN)
            };
            let first = value(trigger.model());
            for _ in 0..steps {
                let images = tensor(&draw(&mut rng), &on.0);
                let loss = outer(trigger.model(), budget, images, &views, &embed, &towards, &mut rng).neg();
                trigger.optimizer_step(&loss, rate);
            }
            let objective = [first, value(trigger.model())];
            if let Some((name, value)) = trigger.first_not_finite() {
                return Err(VisionError::images(
                    set.name(),
                    format!("the search for a trigger: {name} is {value} in round {round}"),
                ));
            }
            let surrogate_digests = [digest(&state), digest(&training.state())];
            found.push(Round { objective, restarted, surrogate: surrogate_digests, trigger: trigger_digests });
            surrogate = Some(state);
        }
        Ok((Trigger::Optimised { generator: trigger.into_model().valid(), budget }, found))
    }
}

/// Images of a set on a device, `[n, channels, height, width]`.
pub(super) fn pictures(set: &ImageSet, images: &[usize], device: &Device) -> Tensor<4> {
    let ([c, h, w], white) = (set.shape(), f32::from(set.white()));
    let pixels: Vec<f32> =
        images.iter().flat_map(|image| set.bytes(*image)).map(|byte| f32::from(*byte) / white).collect();
    Tensor::from_data(TensorData::new(pixels, [images.len(), c, h, w]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoder::EncoderConfig;
    use burn::optim::GradientsParams;
    use contrastive_core::modules::{each_float, map_floats};
    use contrastive_data::augment::presets;

    /// Blto-audit.md, check 3: the gradient of the outer objective with respect to the trigger, against differences in f64.
    #[test]
    fn outer_gradients_are_derivatives() {
        let on = (Device::default().autodiff(), DType::F64);
        let generator = Generator::new(1, 3, 5, &on);
        let encoder = EncoderConfig::mlp(&[12, 6]).init([1, 8, 8], 7, &on).unwrap();
        let views = Differentiable::new(&presets::d8(0.6), false).unwrap();
        let pixels: Vec<f64> = (0..5 * 64).map(|at| ((at * 29) % 23) as f64 / 30.0 + 0.1).collect();
        let images = Tensor::<4>::from_data(TensorData::new(pixels, [5, 1, 8, 8]), (&on.0, on.1));
        let towards = Tensor::<2>::from_data(TensorData::new(vec![0.4f64; 6], [1, 6]), (&on.0, on.1));
        let value = |generator: &Generator| {
            let mut rng = ChaCha8Rng::seed_from_u64(2);
            outer(generator, 0.05, images.clone(), &views, &|x| encoder.forward(x), &towards, &mut rng)
        };
        let number = |generator: &Generator| value(generator).into_data().iter::<f64>().next().unwrap();
        let gradients = GradientsParams::from_grads(value(&generator).backward(), &generator);
        let (mut along, mut size) = (0.0, 0.0f64);
        each_float(&generator, |float| {
            let gradient: Vec<f64> = float.gradient(&gradients).unwrap().into_data().iter::<f64>().collect();
            gradient.iter().enumerate().for_each(|(at, g)| along += g * ((at % 7) as f64 / 3.0 - 1.0));
            size += gradient.iter().map(|g| g * g).sum::<f64>();
        });
        let moved = |h: f64| {
            map_floats(generator.clone(), |float| {
                float.replace(|old| {
                    let values: Vec<f64> = old.clone().into_data().iter::<f64>().collect();
                    let new = values
                        .iter()
                        .enumerate()
                        .map(|(at, x)| x + h * ((at % 7) as f64 / 3.0 - 1.0))
                        .collect::<Vec<_>>();
                    Tensor::from_data(TensorData::new(new, old.shape()), (&old.device(), old.dtype()))
                });
            })
        };
        let h = 1e-6;
        let slope = (number(&moved(h)) - number(&moved(-h))) / (2.0 * h);
        assert!(size > 0.0 && (slope - along).abs() < 1e-4 * size.sqrt(), "{slope} and {along}");
    }
}
