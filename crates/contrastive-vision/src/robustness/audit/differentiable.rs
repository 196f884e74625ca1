//! The recipe's views as tensor operations, for the outer loop, whose gradient passes through them.

use crate::VisionError;
use burn::tensor::{Int, Tensor, TensorData};
use contrastive_data::augment::{Affine, Augmentation, Chance, Step};
use contrastive_data::image::Picture;
use contrastive_train::Check;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A recipe whose steps have derivatives, or stand in for themselves: a step without one is applied, and its gradient passed on as it is.
#[derive(Clone, Debug)]
pub(super) struct Differentiable {
    recipe: Augmentation,
}

impl Differentiable {
    /// Steps with a derivative: affine, flip, light, noise, block.
    pub fn new(recipe: &Augmentation, straight_through: bool) -> Result<Self, VisionError> {
        let smooth = |chance: &&Chance| {
            !matches!(chance.step, Step::Affine { .. } | Step::Flip | Step::Light(_) | Step::Noise(_) | Step::Block(_))
        };
        if let Some(chance) = recipe.steps.iter().find(smooth).filter(|_| !straight_through) {
            let step = format!("{:?}", chance.step);
            let name = step.split([' ', '(']).next().unwrap_or_default();
            let allowed =
                "steps with a derivative in the outer loop: affine, flip, light, noise, block; or straight_through";
            Check::new("audit").that(false, "a view", name, allowed)?;
        }
        Ok(Self { recipe: recipe.clone() })
    }

    /// A view of each image, `[n, channels, height, width]`.
    pub fn view(&self, mut images: Tensor<4>, rng: &mut ChaCha8Rng) -> Tensor<4> {
        for chance in &self.recipe.steps {
            let n = images.dims()[0];
            let taken: Vec<bool> = (0..n).map(|_| rng.random::<f64>() < chance.probability).collect();
            images = apply(&chance.step, images, &taken, rng);
        }
        images
    }
}

fn about(rng: &mut ChaCha8Rng, reach: f64) -> f64 {
    reach * (2.0 * rng.random::<f64>() - 1.0)
}

fn apply(step: &Step, images: Tensor<4>, taken: &[bool], rng: &mut ChaCha8Rng) -> Tensor<4> {
    let [n, channels, height, width] = images.dims();
    let area = height * width;
    let on = (images.device(), images.dtype());
    let tensor =
        |values: Vec<f32>, shape: [usize; 4]| Tensor::<4>::from_data(TensorData::new(values, shape), (&on.0, on.1));
    match step {
        Step::Affine { turn, scale, shear, shift } => {
            let taps: Vec<Vec<[(usize, f64); 4]>> = taken
                .iter()
                .map(|taken| {
                    let by = Affine {
                        turn: about(rng, *turn),
                        scale: 1.0 + about(rng, *scale),
                        shear: [about(rng, *shear), 0.0],
                        shift: [about(rng, *shift), about(rng, *shift)],
                    };
                    if *taken { by } else { Affine::default() }.taps([height, width])
                })
                .collect();
            gathered(images, &taps)
        }
        Step::Flip => {
            let place =
                |flipped: bool, at: usize| if flipped { at / width * width + width - 1 - at % width } else { at };
            let tap = |flipped: bool, at: usize| [(place(flipped, at), 1.0), (0, 0.0), (0, 0.0), (0, 0.0)];
            let taps: Vec<_> = taken.iter().map(|t| (0..area).map(|at| tap(*t, at)).collect()).collect();
            gathered(images, &taps)
        }
        Step::Light(reach) => {
            let factor = |taken: &bool| (1.0 + if *taken { about(rng, *reach) } else { 0.0 }) as f32;
            let factors = taken.iter().map(factor).collect();
            images * tensor(factors, [n, 1, 1, 1])
        }
        Step::Noise(deviation) => {
            let mut noise = Vec::with_capacity(n * channels * area);
            for taken in taken {
                let deviation = if *taken { *deviation } else { 0.0 };
                noise.extend((0..channels * area).map(|_| (deviation * contrastive_nn::init::normal(rng)) as f32));
            }
            (images + tensor(noise, [n, channels, height, width])).clamp_min(0.0)
        }
        Step::Block(side) => {
            let mut mask = vec![1.0; n * area];
            for (image, taken) in taken.iter().enumerate() {
                let (top, left) = (rng.random_range(0..=height - side), rng.random_range(0..=width - side));
                if *taken {
                    let inside = (0..side * side).map(|at| (top + at / side) * width + left + at % side);
                    inside.for_each(|at| mask[image * area + at] = 0.0);
                }
            }
            images * tensor(mask, [n, 1, height, width])
        }
        other => {
            let recipe = Augmentation { size: [height, width], steps: vec![other.clone().always()] };
            let before: Vec<f32> = images.clone().inner().into_data().iter::<f32>().collect();
            let mut after = Vec::with_capacity(before.len());
            for (pixels, taken) in before.chunks(channels * area).zip(taken) {
                let view = recipe.apply(Picture::new([channels, height, width], pixels.to_vec()), rng);
                after.extend(if *taken { view.picture.data } else { pixels.to_vec() });
            }
            let change: Vec<f32> = after.iter().zip(&before).map(|(a, b)| a - b).collect();
            images + tensor(change, [n, channels, height, width])
        }
    }
}

/// Each pixel the weighted sum of four of its image.
fn gathered(images: Tensor<4>, taps: &[Vec<[(usize, f64); 4]>]) -> Tensor<4> {
    let [n, channels, height, width] = images.dims();
    let (rows, area, on) = (n * channels, height * width, (images.device(), images.dtype()));
    let flat = images.reshape([rows, area]);
    let part = |k: usize| {
        let each = || (0..rows).flat_map(|row| &taps[row / channels]);
        let places: Vec<i64> = each().map(|taps| taps[k].0 as i64).collect();
        let weights: Vec<f32> = each().map(|taps| taps[k].1 as f32).collect();
        let places = Tensor::<2, Int>::from_data(TensorData::new(places, [rows, area]), &on.0);
        flat.clone().gather(1, places) * Tensor::<2>::from_data(TensorData::new(weights, [rows, area]), (&on.0, on.1))
    };
    (part(0) + part(1) + part(2) + part(3)).reshape([n, channels, height, width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use contrastive_data::augment::{Interpolation, affine, presets};
    use rand_chacha::rand_core::SeedableRng;

    /// Oracle: the warp on the host.
    #[test]
    fn taps_are_the_warp() {
        let device = Device::default();
        let pixels: Vec<f32> = (0..2 * 3 * 30).map(|at| ((at * 31) % 17) as f32 / 17.0).collect();
        let by = [
            Affine { turn: 20.0, scale: 1.2, shear: [7.0, 0.0], shift: [0.7, -1.1] },
            Affine { turn: -75.0, scale: 0.6, shear: [0.0, 3.0], shift: [2.0, 0.0] },
        ];
        let images = Tensor::<4>::from_data(TensorData::new(pixels.clone(), [2, 3, 5, 6]), &device);
        let taps: Vec<_> = by.iter().map(|by| by.taps([5, 6])).collect();
        let got: Vec<f32> = gathered(images, &taps).into_data().iter::<f32>().collect();
        let want = pixels.chunks(90).zip(&by).flat_map(|(pixels, by)| {
            affine(&Picture::new([3, 5, 6], pixels.to_vec()), by, Interpolation::Bilinear, None).data
        });
        assert!(got.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    /// The same distribution as the recipe on the host: means over many views of one image.
    #[test]
    fn views_are_those_of_the_recipe() {
        let device = Device::default();
        let recipe = presets::d8(0.6);
        let pixels: Vec<f32> = (0..64).map(|at| if (at / 8 + at % 8) % 5 < 2 { 0.9 } else { 0.1 }).collect();
        let n = 4000;
        let images = Tensor::<4>::from_data(TensorData::new(pixels.repeat(n), [n, 1, 8, 8]), &device);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let ours = Differentiable::new(&recipe, false).unwrap().view(images, &mut rng);
        let ours: Vec<f32> = ours.mean_dim(0).into_data().iter::<f32>().collect();
        let mut theirs = vec![0.0; 64];
        for _ in 0..n {
            let view = recipe.apply(Picture::new([1, 8, 8], pixels.clone()), &mut rng).picture.data;
            theirs.iter_mut().zip(view).for_each(|(sum, x)| *sum += x / n as f32);
        }
        let off = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 0.03, "{off}");
    }

    #[test]
    fn other_steps_are_declared() {
        let recipe = Augmentation::new(8).then(Step::Solarise(0.5).always());
        let error = Differentiable::new(&recipe, false).unwrap_err().to_string();
        assert!(error.contains("Solarise") && error.contains("straight_through"), "{error}");
        // straight through: the value of the step, the gradient of nothing at all
        let device = Device::default().autodiff();
        let images = Tensor::<4>::full([1, 1, 8, 8], 0.8, &device).require_grad();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let view = Differentiable::new(&recipe, true).unwrap().view(images.clone(), &mut rng);
        let values: Vec<f32> = view.clone().into_data().iter::<f32>().collect();
        assert!(values.iter().all(|x| (x - 0.2).abs() < 1e-6));
        let gradients = view.sum().backward();
        let gradient: Vec<f32> = images.grad(&gradients).unwrap().into_data().iter::<f32>().collect();
        assert_eq!(gradient, [1.0; 64]);
    }
}
