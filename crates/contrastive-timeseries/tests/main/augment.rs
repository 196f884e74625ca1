//! Masks and augmentations.

use crate::{generator, uniform};
use contrastive_timeseries::augment::{Augmentation, Augmentations, TimeMask, random_rotation};
use ndarray::{Array2, s};

#[test]
fn masks_hide_what_they_say() {
    let mut rng = generator(1);
    let shares: Vec<bool> = TimeMask::BINOMIAL.draw(100, 100, &mut rng).unwrap();
    let hidden = shares.iter().filter(|m| !**m).count();
    assert!((4_700..5_300).contains(&hidden), "{hidden} of 10,000 at 1/2");
    for series in TimeMask::CONTINUOUS.draw(50, 64, &mut rng).unwrap().chunks(64) {
        let hidden = series.iter().filter(|m| !**m).count();
        assert!((6..=30).contains(&hidden), "five spans of 6 steps, which may overlap: {hidden}");
        // runs are at least as long as a span
        let runs = series.split(|m| *m).map(<[bool]>::len).filter(|n| *n > 0);
        assert!(runs.min().unwrap() >= 6);
    }
    let last = TimeMask::Last.draw(2, 3, &mut rng).unwrap();
    assert_eq!(last, [true, true, false, true, true, false]);
    assert!(TimeMask::None.draw(2, 3, &mut rng).is_none());
    assert!(TimeMask::Bernoulli(1.5).validate().unwrap_err().to_string().contains("probability is 1.5"));
}

fn clip() -> Array2<f32> {
    uniform((1, 40, 6), 2).slice(s![0, .., ..]).to_owned()
}

#[test]
fn rotations_are_orthogonal_and_even() {
    let mut rng = generator(3);
    let mut mean = [[0.0; 3]; 3];
    for _ in 0..10_000 {
        let q = random_rotation(&mut rng);
        for a in 0..3 {
            for b in 0..3 {
                mean[a][b] += q[a][b] / 1e4;
                let dot: f64 = (0..3).map(|k| q[a][k] * q[b][k]).sum();
                assert!((dot - f64::from(u8::from(a == b))).abs() < 1e-9);
            }
        }
        let det = q[0][0] * (q[1][1] * q[2][2] - q[1][2] * q[2][1]) - q[0][1] * (q[1][0] * q[2][2] - q[1][2] * q[2][0])
            + q[0][2] * (q[1][0] * q[2][1] - q[1][1] * q[2][0]);
        assert!((det - 1.0).abs() < 1e-9);
    }
    assert!(mean.iter().flatten().all(|m| m.abs() < 0.03), "{mean:?}");
}

#[test]
fn what_augmentations_keep() {
    let x = clip();
    let mut rng = generator(4);
    let norms = |x: &Array2<f32>, joint: usize| -> Vec<f32> {
        x.rows().into_iter().map(|r| r.slice(s![3 * joint..3 * joint + 3]).mapv(|v| v * v).sum().sqrt()).collect()
    };
    let near = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    let turned = Augmentation::Rotation.apply(x.view(), &mut rng);
    assert!(near(&norms(&turned, 0), &norms(&x, 0)) && near(&norms(&turned, 1), &norms(&x, 1)) && turned != x);
    let sorted = |x: &Array2<f32>| {
        let mut v = x.column(0).to_vec();
        v.sort_by(f32::total_cmp);
        v
    };
    assert_eq!(sorted(&Augmentation::Permute(5).apply(x.view(), &mut rng)), sorted(&x));
    for still in [
        Augmentation::Jitter(0.0),
        Augmentation::Scale(0.0),
        Augmentation::Shear(0.0),
        Augmentation::Crop(1.0),
        Augmentation::FrequencyMask(0.0),
        Augmentation::JointMask(0),
    ] {
        let same = still.apply(x.view(), &mut rng);
        assert!(same.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-4), "{still:?}");
    }
    // all frequencies taken out leave nothing
    let none = Augmentation::FrequencyMask(1.0).apply(x.view(), &mut rng);
    assert!(none.iter().all(|v| v.abs() < 1e-4));
    // time warps keep the ends and the range
    let warped = Augmentation::TimeWarp { knots: 5, deviation: 0.3 }.apply(x.view(), &mut rng);
    assert!((warped[[0, 0]] - x[[0, 0]]).abs() < 1e-5 && (warped[[39, 0]] - x[[39, 0]]).abs() < 1e-3);
    // scaling is one factor a channel
    let scaled = Augmentation::Scale(0.5).apply(x.view(), &mut rng);
    let factor = scaled[[0, 2]] / x[[0, 2]];
    assert!((0..40).all(|t| (scaled[[t, 2]] - factor * x[[t, 2]]).abs() < 1e-5));
    let all = Augmentations::always(vec![Augmentation::Jitter(0.1), Augmentation::JointMask(1)]);
    assert_eq!(all.apply(x.view(), &mut generator(9)), all.apply(x.view(), &mut generator(9)));
    let channels = Augmentation::Rotation.validate(4).unwrap_err().to_string();
    assert!(channels.contains("channels is 4") && channels.contains("multiple of 3"), "{channels}");
}
