//! Losses of rows by tensor operations where they need several blocks of anchors, against the native kernels.

use crate::common::*;
use crate::unpaired::support::*;
use burn::tensor::Tensor;
use contrastive_core::objective::*;
use contrastive_core::pairs::Pairs;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows of a table: 2,300 x 2,300 pairs are more than the 2^22 of a block, which takes 1,823 anchors, and the next one 477.
const ROWS: usize = 2_300;

/// Four rows a class, more or less.
fn labels() -> Vec<i64> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    (0..ROWS).map(|_| rng.random_range(0..ROWS as i64 / 4)).collect()
}

/// Asserts that two bodies have the same value and, relative to its largest number, the same gradient of every table.
fn agree(what: &str, shapes: &[[usize; 2]], bodies: [crate::row_losses::forms::Form; 2]) {
    let tolerance = if has_f64() { 1e-9 } else { 1e-3 };
    let [(value, gradients), (got, found)] = bodies.map(|body| {
        let leaves: Vec<Tensor<2>> = shapes.iter().zip(40..).map(|(shape, seed)| rows(seed, *shape)).collect();
        let value = body(&leaves);
        let all = (value.clone() * 1.5).backward();
        let of = |x: &Tensor<2>| values(&x.grad(&all).expect("a gradient"));
        (one(value), leaves.iter().map(of).collect::<Vec<_>>())
    });
    close(what, &[got], &[value], 0.0, tolerance);
    for (k, (found, gradient)) in found.iter().zip(&gradients).enumerate() {
        let largest = gradient.iter().fold(0f64, |a, g| a.max(g.abs()));
        assert!(largest > 0.0, "{what}: gradient {k} is zero");
        close(&format!("{what}, gradient {k}"), found, gradient, tolerance * largest, 0.0);
    }
}

#[test]
fn siglip_of_several_blocks() {
    // scale and bias as tables of one number
    let [native, portable] = [false, true].map(|portable| {
        move |x: &[Tensor<2>]| {
            let _bodies = contrastive_core::testing::portable(portable);
            let number = |k: usize| -> Tensor<1> { x[k].clone().reshape([1]) };
            SigLip::new().loss(x[0].clone(), x[1].clone(), number(2) + 5.0, number(3) - 5.0)
        }
    });
    agree("SigLIP", &[[ROWS, 3], [ROWS, 3], [1, 1], [1, 1]], [&native, &portable]);
}

#[test]
fn losses_under_labels_of_several_blocks() {
    let y = labels();
    macro_rules! compare {
        ($objective:expr) => {{
            let objective = $objective;
            let loss = |x: &[Tensor<2>]| objective.loss(x[0].clone(), &y);
            let other = |x: &[Tensor<2>]| contrastive_core::testing::portably(|| loss(x));
            agree(stringify!($objective), &[[ROWS, 3]], [&loss, &other]);
        }};
    }
    compare!(MultiSimilarity::new(2.0, 50.0, 0.5).unwrap());
    compare!(MultiSimilarity::new(2.0, 50.0, 0.5).unwrap().with_mining(0.1).unwrap());
    compare!(Circle::new(0.4, 80.0).unwrap());
}

/// Its first pass counts over all blocks.
#[test]
fn pairs_of_several_blocks() {
    let y = labels();
    let objective = PairContrastive::of_similarities(0.9, 0.5).unwrap().with_pairs(Pairs::labels(&y));
    let loss = |x: &[Tensor<2>]| objective.loss(&Inputs::self_contrast(x[0].clone()));
    let other = |x: &[Tensor<2>]| contrastive_core::testing::portably(|| loss(x));
    agree("contrastive", &[[ROWS, 3]], [&loss, &other]);
}
