//! The portable body where it needs several blocks of anchors, against the native kernels: value and all gradients.

use crate::common::*;
use crate::dense_streaming::{Case, normal};
use burn::tensor::DType;
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, Pairs};
use contrastive_core::similarity::Similarity;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows of a table: 2,300 x 2,300 pairs are more than the 2^22 of a block, which takes 1,823 anchors, and the next one 477.
const ROWS: usize = 2_300;

/// An objective of random rows of width 3: among others or, without, among themselves.
fn case(name: &str, objective: PairObjective, [n, m]: [usize; 2], itself: bool) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(30);
    Case {
        name: name.to_string(),
        objective,
        n,
        m,
        d: 3,
        anchors: normal(&mut rng, n * 3, 0.7),
        candidates: (!itself).then(|| normal(&mut rng, m * 3, 0.7)),
        paired: None,
        scale: None,
        bias: None,
        terms: None,
    }
}

fn among_others(name: &str, objective: PairObjective) -> Case {
    case(name, objective, [ROWS; 2], false)
}

fn among_themselves(name: &str, objective: PairObjective) -> Case {
    case(name, objective, [ROWS; 2], true)
}

fn scales(count: usize) -> Option<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(31);
    Some((0..count).map(|_| 3.0 + 4.0 * rng.random::<f64>()).collect())
}

/// Four rows a class, more or less.
fn labels(count: usize, seed: u64) -> Vec<i64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random_range(0..count as i64 / 4)).collect()
}

/// Asserts that the native and the portable body agree, relative to the largest number of each gradient.
fn agree(case: &Case) {
    let (dtype, tolerance) = if has_f64() { (DType::F64, 1e-9) } else { (DType::F32, 1e-3) };
    let (value, gradients) = case.run(dtype, |objective, inputs| objective.loss(inputs));
    let (portable, found) =
        case.run(dtype, |objective, inputs| contrastive_core::testing::portably(|| objective.loss(inputs)));
    close(&case.name, &[portable], &[value], 0.0, tolerance);
    for (k, (found, gradient)) in found.iter().zip(&gradients).enumerate() {
        let largest = gradient.iter().fold(0f64, |a, g| a.max(g.abs()));
        assert!(largest > 0.0, "{}: gradient {k} is zero", case.name);
        close(&format!("{}, gradient {k}", case.name), found, gradient, tolerance * largest, 0.0);
    }
}

#[test]
fn two_tables_of_several_blocks() {
    let base = || PairObjective::new(0.2).unwrap();
    agree(&among_others("InfoNCE", base()));
    agree(&among_others("CLIP", Clip::new(0.2).unwrap().objective().clone()));
    // blocks of another height in the second direction
    let [first, second] = [labels(2_000, 1), labels(ROWS, 2)];
    let between = base().with_pairs(Pairs::labels_between(&first, &second)).with_direction(Direction::Both);
    agree(&case("classes in both directions", between, [2_000, ROWS], false));
    let ids = labels(ROWS, 3);
    let masked = base().with_exclusions(Exclusions::same_ids(&ids, &ids)).with_denominator(Denominator::NegativesOnly);
    agree(&among_others("negatives that may be the same sample", masked));
}

#[test]
fn a_table_of_several_blocks_with_itself() {
    let y = labels(ROWS, 4);
    let base = || PairObjective::new(0.2).unwrap();
    agree(&among_themselves("NT-Xent", NtXent::new(0.2).unwrap().objective().clone()));
    agree(&among_themselves("SupCon", SupCon::new(0.2).unwrap().objective(&y)));
    let own = base().with_pairs(Pairs::labels(&y)).with_denominator(Denominator::OwnPositive);
    let own = own.with_positive_weights(PositiveWeights::Sum).with_reduction(Reduction::MeanOverPairs);
    agree(&among_themselves("own denominators", own));
    let inside = base().with_pairs(Pairs::labels(&y)).with_placement(Placement::Inside);
    agree(&among_themselves("the sum inside", inside.with_reduction(Reduction::MeanWithPositives)));
}

#[test]
fn scales_and_biases_over_several_blocks() {
    let learned = PairObjective::with_input_scale;
    let bias = normal(&mut ChaCha8Rng::seed_from_u64(32), ROWS, 0.5);
    let one_scale = among_others("one scale and a bias", learned());
    agree(&Case { scale: scales(1), bias: Some(bias.clone()), ..one_scale });
    let own_scales = among_others("a scale for each anchor", learned());
    agree(&Case { scale: scales(ROWS), ..own_scales });
    let within = learned().with_pairs(Pairs::TwoViews).with_similarity(Similarity::Dot);
    agree(&Case { scale: scales(ROWS), ..among_themselves("a scale for each anchor of a table", within) });
    let beside = among_others("positives beside the candidates", learned().with_pairs(Pairs::Beside));
    let paired = Some(normal(&mut ChaCha8Rng::seed_from_u64(33), ROWS * 3, 0.7));
    agree(&Case { paired, scale: scales(ROWS), bias: Some(bias), ..beside });
}
