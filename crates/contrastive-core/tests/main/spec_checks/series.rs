//! TS2Vec's two crops.

use crate::common::*;
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::tensor::{Tensor, TensorData};
use contrastive_core::objective::Ts2Vec;
use contrastive_core::sampler::{OverlappingCrops, SamplerError};

/// `x[b, t] = 1000 b + t`.
fn clock(batch: usize, length: usize) -> Tensor<3> {
    let times = (0..batch * length).map(|at| (1000 * (at / length) + at % length) as f32).collect::<Vec<_>>();
    Tensor::from_data(TensorData::new(times, [batch, length, 1]), &device())
}

fn times(x: &Tensor<3>) -> Vec<f64> {
    x.clone().into_data().iter::<f64>().collect()
}

#[test]
fn both_crops_share_their_time_steps() {
    let (batch, length) = (5, 23);
    let (mut lengths, mut whole, mut moved) = (vec![0; length + 1], 0, 0);
    for (unit, step) in [0, 1, 2].into_iter().flat_map(|unit| (0..400).map(move |step| (unit, step))) {
        let crops = OverlappingCrops::draw(length, unit, batch, step, 3).unwrap();
        assert_eq!(crops, OverlappingCrops::draw(length, unit, batch, step, 3).unwrap(), "a seed and a step decide");
        let (first, second) = (crops.first(clock(batch, length)), crops.second(clock(batch, length)));
        // the encoder that gives its input back
        let [a, b] = crops.common(first.clone(), second.clone());
        assert_eq!(times(&a), times(&b), "the same absolute time steps");
        let shared = crops.shared();
        assert!(shared >= 2 << unit && shared <= length);
        assert_eq!(a.dims(), [batch, shared, 1]);
        lengths[shared] += usize::from(unit == 0);
        // each series' own times, one after the other, within the series
        for (b, steps) in times(&first).chunks(first.dims()[1]).enumerate() {
            assert!(steps.windows(2).all(|w| w[1] == w[0] + 1.0));
            assert!(steps[0] >= 1000.0 * b as f64 && steps[steps.len() - 1] < (1000 * b + length) as f64);
        }
        // what is not shared is before it in the first crop, after it in the second
        let (before, after) = (first.dims()[1] - shared, second.dims()[1] - shared);
        assert!(before + shared + after <= length);
        whole += usize::from(before + shared + after == length);
        let starts: Vec<f64> =
            times(&first).chunks(first.dims()[1]).enumerate().map(|(b, s)| s[0] - 1000.0 * b as f64).collect();
        moved += usize::from(starts.iter().any(|s| *s != starts[0]));
    }
    // 22 lengths in 400 draws
    assert!(lengths[2..].iter().all(|n| (3..50).contains(n)), "{lengths:?}");
    assert!(whole > 10 && moved > 300, "{whole} {moved}");
    let draw = |step, seed| OverlappingCrops::draw(length, 0, batch, step, seed).unwrap();
    assert_ne!(draw(1, 3), draw(2, 3));
    assert_ne!(draw(1, 3), draw(1, 4));
}

#[test]
fn series_that_cannot_be_cropped_are_refused() {
    let error = |length, unit, batch| OverlappingCrops::draw(length, unit, batch, 0, 1).unwrap_err();
    assert_eq!(error(1, 0, 2), SamplerError::Short { length: 1, needed: 2 });
    says(error(15, 3, 2), "series of 15 time steps: two crops that share 16 steps");
    says(error(15, 63, 2), "share");
    says(error(15, 200, 2), "share");
    says(error(15, 0, 0), "series of a batch: at least 1");
    // nothing but the whole series
    let crops = OverlappingCrops::draw(16, 3, 2, 0, 1).unwrap();
    assert_eq!(crops.shared(), 16);
    assert_eq!(times(&crops.first(clock(2, 16))), times(&crops.second(clock(2, 16))));
}

#[test]
#[should_panic(expected = "series and series the crops were drawn for")]
fn another_batch_is_refused() {
    OverlappingCrops::draw(9, 0, 3, 0, 1).unwrap().first(clock(2, 9));
}

#[test]
fn what_is_not_finite_is_no_loss() {
    for bad in [f64::INFINITY, f64::NAN] {
        let mut x = normal(1, 2 * 4 * 3);
        x[5] = bad;
        let z = |values: Vec<f64>| tracked(values, [2, 4, 3], wide());
        let value = one(Ts2Vec::default().loss(z(x), z(normal(2, 24))));
        assert!(!value.is_finite(), "{value}");
    }
}
