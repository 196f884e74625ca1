//! Rendered shapes: data of known factors where no file is at hand.

use super::{ImageSet, Images};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The shapes, which are the classes.
pub const SHAPES: [&str; 6] = ["disc", "square", "triangle", "cross", "ring", "bars"];

/// `count` colour images of `side x side` pixels: a shape (the class) of random place, size, turn and colour on a background of random
/// colour, with noise. The same for a seed.
///
/// # Panics
/// When there is no image, or the side is below 4.
pub fn shapes(count: usize, side: usize, seed: u64) -> ImageSet {
    assert!(count > 0 && side >= 4, "{count} shapes of {side} x {side} pixels");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pixels = Vec::with_capacity(count * 3 * side * side);
    let mut labels = Vec::with_capacity(count);
    for _ in 0..count {
        let shape = rng.random_range(0..SHAPES.len());
        let s = side as f32;
        let radius = rng.random_range(0.22..0.38f32) * s;
        let [x0, y0] = [0; 2].map(|_| rng.random_range(0.38..0.62f32) * s);
        let (sine, cosine) = rng.random_range(0.0..std::f32::consts::TAU).sin_cos();
        let ink: [f32; 3] = std::array::from_fn(|_| rng.random_range(0.5..1.0));
        let ground: [f32; 3] = std::array::from_fn(|_| rng.random_range(0.0..0.4));
        let inside: Vec<bool> = (0..side * side)
            .map(|at| {
                let (dx, dy) = ((at % side) as f32 + 0.5 - x0, (at / side) as f32 + 0.5 - y0);
                let (u, v) = ((cosine * dx + sine * dy) / radius, (cosine * dy - sine * dx) / radius);
                let r = u.hypot(v);
                match shape {
                    0 => r < 1.0,
                    1 => u.abs().max(v.abs()) < 0.85,
                    2 => v > -0.6 && v < 1.2 - 2.0 * u.abs(),
                    3 => u.abs().min(v.abs()) < 0.3 && u.abs().max(v.abs()) < 1.0,
                    4 => r < 1.0 && r > 0.55,
                    _ => u.abs().max(v.abs()) < 1.0 && (v * 1.5 + 10.0).fract() < 0.5,
                }
            })
            .collect();
        for c in 0..3 {
            for shown in &inside {
                let value = if *shown { ink[c] } else { ground[c] } + rng.random_range(-0.08..0.08);
                pixels.push((value.clamp(0.0, 1.0) * 255.0) as u8);
            }
        }
        labels.push(shape as i32);
    }
    ImageSet::new(Images {
        name: "rendered shapes".into(),
        shape: [3, side, side],
        white: 255,
        pixels,
        labels,
        classes: SHAPES.map(String::from).to_vec(),
        ids: (0..count).map(|image| format!("shape {image}")).collect(),
        notes: Vec::new(),
    })
    .expect("rendered images fit together")
}
