//! Random tensors from a seed, and the seam through which tests hand them in.

use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::VecDeque;

/// Rows that are drawn together.
const ROWS: usize = 1024;

/// A source of random tensors: a seed, or what a test hands in.
///
/// Every element is a hash of the seed, the number of the tensor and its own place: the same for any number of threads, and nothing is
/// stored. Golden tests of a random method hand in the numbers that the reference drew ([`Noise::given`]).
#[derive(Clone, Debug)]
pub struct Noise(Source);

#[derive(Clone, Debug)]
enum Source {
    Seeded { seed: u64, drawn: u64 },
    Given(VecDeque<Tensor<2>>),
}

impl Noise {
    /// From a seed.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded { seed, drawn: 0 })
    }

    /// These tensors, one after the other, in place of draws.
    pub fn given(tensors: impl IntoIterator<Item = Tensor<2>>) -> Self {
        Self(Source::Given(tensors.into_iter().collect()))
    }

    /// Starts anew from a seed that a generator gives; tensors that were [given](Self::given) stay.
    pub fn reseed(&mut self, rng: &mut ChaCha8Rng) {
        if let Source::Seeded { seed, drawn } = &mut self.0 {
            (*seed, *drawn) = (rng.next_u64(), 0);
        }
    }

    /// Uniform in `[0, 1)`, of the shape, type and device of `like`, outside of autodiff.
    ///
    /// # Panics
    /// When tensors were given and none is left, or one has another shape.
    pub fn uniform_like(&mut self, like: &Tensor<2>) -> Tensor<2> {
        let shape = like.dims();
        match &mut self.0 {
            Source::Given(tensors) => {
                let next = tensors.pop_front().expect("a tensor of noise was handed in for each draw");
                assert_eq!(next.dims(), shape, "the shapes of the noise handed in and of what it is for");
                next
            }
            Source::Seeded { seed, drawn } => {
                *drawn += 1;
                let values = uniform(shape, mixed(*seed ^ mixed(*drawn)));
                Tensor::from_data(TensorData::new(values, shape), (&like.device().inner(), like.dtype()))
            }
        }
    }

    /// [`uniform_like`](Self::uniform_like) with rows scaled to length 1.
    ///
    /// # Panics
    /// As [`uniform_like`](Self::uniform_like).
    pub fn unit_rows_like(&mut self, like: &Tensor<2>) -> Tensor<2> {
        let noise = self.uniform_like(like);
        let length = (noise.clone() * noise.clone()).sum_dim(1).sqrt().clamp_min(1e-12);
        noise / length
    }
}

/// The finaliser of SplitMix64.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn uniform([rows, columns]: [usize; 2], key: u64) -> Vec<f32> {
    let mut values = vec![0f32; rows * columns];
    let size = (ROWS * columns).max(1);
    values.par_chunks_mut(size).enumerate().for_each(|(chunk, values)| {
        for (at, value) in values.iter_mut().enumerate() {
            let place = ((chunk * size + at) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            *value = (mixed(key.wrapping_add(place)) >> 40) as f32 * (1.0 / (1u64 << 24) as f32);
        }
    });
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::to_array;
    use burn::tensor::Device;
    use rand::SeedableRng;

    fn like(rows: usize) -> Tensor<2> {
        Tensor::zeros([rows, 8], &Device::default())
    }

    /// Moments of the uniform distribution, and no correlation between neighbours or draws.
    #[test]
    fn draws_are_uniform_independent_and_follow_the_seed() {
        let mut noise = Noise::seeded(3);
        let (a, b) = (to_array(&noise.uniform_like(&like(5000))), to_array(&noise.uniform_like(&like(5000))));
        let centred = |x: &ndarray::Array2<f32>| x.iter().map(|v| f64::from(*v) - 0.5).collect::<Vec<_>>();
        let (a, b) = (centred(&a), centred(&b));
        let mean = |products: Vec<f64>| products.iter().sum::<f64>() / products.len() as f64;
        // standard deviations of the means over 40,000: .0014, .0004 and .0004
        assert!(mean(a.clone()).abs() < 0.006);
        assert!((mean(a.iter().map(|x| x * x).collect()) - 1.0 / 12.0).abs() < 0.002);
        assert!(mean(a.iter().zip(&b).map(|(x, y)| x * y).collect()).abs() < 0.002);
        assert!(mean(a.iter().zip(&a[1..]).map(|(x, y)| x * y).collect()).abs() < 0.002);
        assert!(a.iter().all(|v| (-0.5..0.5).contains(v)));
        assert_eq!(a, centred(&to_array(&Noise::seeded(3).uniform_like(&like(5000)))));
        let [mut x, mut y] = [3, 4].map(|seed| {
            let mut noise = Noise::seeded(9);
            noise.reseed(&mut ChaCha8Rng::seed_from_u64(seed));
            noise
        });
        assert_ne!(to_array(&x.uniform_like(&like(2))), to_array(&y.uniform_like(&like(2))));
    }

    #[test]
    fn rows_have_length_one_and_given_noise_is_taken() {
        let unit = to_array(&Noise::seeded(3).unit_rows_like(&like(50)));
        assert!(unit.rows().into_iter().all(|row| (row.dot(&row) - 1.0).abs() < 1e-5));
        let mut given = Noise::given([like(2) + 0.25]);
        given.reseed(&mut ChaCha8Rng::seed_from_u64(1));
        assert!(to_array(&given.uniform_like(&like(2))).iter().all(|v| *v == 0.25));
    }
}
