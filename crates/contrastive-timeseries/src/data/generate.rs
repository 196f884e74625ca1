//! Series made by rule, for examples and tests that need no files.

use super::error::SeriesError;
use super::series::{Names, Series};
use ndarray::Array2;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::f64::consts::TAU;

/// A standard normal number (Box and Muller).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (TAU * v).cos()
}

/// Univariate series of three classes: a season of period 16, one of period 25, and none, each in autoregressive noise that is stronger
/// than the season, at a random phase.
pub fn seasonal(count: usize, length: usize, seed: u64) -> Result<Series, SeriesError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut each, mut classes) = (Vec::new(), Vec::new());
    for i in 0..count {
        let (class, phase) = (i % 3, rng.random::<f64>() * TAU);
        let mut noise = 0.0;
        let values = (0..length).map(|t| {
            noise = 0.7 * noise + 0.6 * normal(&mut rng);
            let period = [16.0, 25.0, f64::INFINITY][class];
            ((TAU * t as f64 / period + phase).sin() * f64::from(u8::from(class < 2)) + noise) as f32
        });
        each.push(Array2::from_shape_vec((length, 1), values.collect()).expect("one channel"));
        classes.push(class.to_string());
    }
    Series::new(each)?.with_labels(Names::new(&classes))
}

/// Recordings of persons who walk, run or rest: three channels; each person has a rhythm and an amplitude of its own. Labels, persons and
/// recordings are given.
pub fn gaits(persons: usize, recordings: usize, length: usize, seed: u64) -> Result<Series, SeriesError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut each, mut labels, mut who, mut which) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for person in 0..persons {
        let (tempo, force) = (0.8 + 0.4 * rng.random::<f64>(), 0.7 + 0.6 * rng.random::<f64>());
        for recording in 0..recordings {
            for (activity, [rate, size]) in [("rest", [0.5, 0.2]), ("run", [3.0, 1.5]), ("walk", [1.6, 1.0])] {
                let phase = rng.random::<f64>() * TAU;
                let tilt = rng.random::<f64>() * 0.6;
                let values = (0..length).flat_map(|t| {
                    let angle = TAU * rate * tempo * t as f64 / 32.0 + phase;
                    let (a, b) = (angle.sin() * size * force, (2.0 * angle).sin() * 0.5 * size * force);
                    let own = [a * tilt.cos() - b * tilt.sin(), a * tilt.sin() + b * tilt.cos(), 0.3 * a];
                    own.map(|v| (v + 0.5 * normal(&mut rng)) as f32)
                });
                each.push(Array2::from_shape_vec((length, 3), values.collect()).expect("three channels"));
                labels.push(activity.to_string());
                who.push(format!("p{person}"));
                which.push(format!("p{person}-{activity}-{recording}"));
            }
        }
    }
    Series::new(each)?
        .with_labels(Names::new(&labels))?
        .with_persons(Names::new(&who))?
        .with_recordings(Names::new(&which))
}

/// One long univariate series with a daily and a weekly season, a slow trend and autoregressive noise, hourly times from 2020 on.
pub fn daily(length: usize, seed: u64) -> Result<Series, SeriesError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut noise = 0.0;
    let values: Vec<f32> = (0..length)
        .map(|t| {
            noise = 0.9 * noise + 0.3 * normal(&mut rng);
            let t = t as f64;
            ((TAU * t / 24.0).sin() + 0.5 * (TAU * t / 168.0).cos() + noise) as f32
        })
        .collect();
    let times = (0..length as i64).map(|t| 1_577_836_800 + 3600 * t).collect();
    Series::new(vec![Array2::from_shape_vec((length, 1), values).expect("one channel")])?.with_times(vec![times])
}
