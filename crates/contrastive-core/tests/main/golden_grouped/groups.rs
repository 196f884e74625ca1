//! A group axis is a loop over groups.

use crate::golden_grouped::*;
use rand::RngExt;

/// A named objective of groups: compared within one table?, lists of each group's own, the objective.
type Case = (&'static str, bool, Option<Vec<Pairs>>, PairObjective);

/// What there is to compare in groups of n anchors and m candidates, with random labels, weights and lists.
fn objectives(rng: &mut ChaCha8Rng, [groups, n, m]: [usize; 3]) -> Vec<Case> {
    let lists = |g: usize| {
        // some anchors without a positive
        let offsets = (0..=n).map(|i| i.div_ceil(2)).collect();
        let columns = (0..n.div_ceil(2)).map(|q| ((g + q * q) % m) as u32).collect();
        Pairs::Lists(Arc::new(PairLists::new(offsets, columns, None).unwrap()))
    };
    let base = || PairObjective::new(0.3).unwrap();
    let weights = Arc::new((0..n).map(|_| 0.1 + rng.random::<f64>()).collect::<Vec<_>>());
    let classes = n.div_ceil(2) as i64;
    let labels: Vec<i64> = (0..n).map(|_| rng.random_range(0..classes)).collect();
    let of_labels = || base().with_pairs(Pairs::labels(&labels));
    vec![
        ("InfoNCE", false, None, base()),
        ("both directions", false, None, base().with_pairs(Pairs::Diagonal).with_direction(Direction::Both)),
        ("NT-Xent", true, None, base().with_pairs(Pairs::TwoViews)),
        ("inner products", true, None, base().with_pairs(Pairs::TwoViews).with_similarity(Similarity::Dot)),
        ("SupCon", true, None, of_labels().with_reduction(Reduction::MeanWithPositives)),
        ("own denominators", true, None, of_labels().with_denominator(Denominator::OwnPositive)),
        ("DCL", false, None, base().with_denominator(Denominator::NegativesOnly)),
        (
            "one other row",
            true,
            None,
            base().with_pairs(Pairs::labels(&vec![0; n])).with_denominator(Denominator::NegativesOnly),
        ),
        (
            "weighted rows",
            false,
            None,
            base().with_reduction(Reduction::Weighted(weights)).with_exclusions(Exclusions::own_row(2)),
        ),
        ("lists", false, Some((0..groups).map(lists).collect()), base().with_positive_weights(PositiveWeights::Sum)),
        (
            "lists inside",
            false,
            Some((0..groups).map(lists).collect()),
            base().with_placement(Placement::Inside).with_reduction(Reduction::MeanWithPositives),
        ),
        ("beside", false, None, base().with_pairs(Pairs::Beside)),
        ("beside, DCL", false, None, base().with_pairs(Pairs::Beside).with_denominator(Denominator::NegativesOnly)),
    ]
}

/// One shape, one seed, one type: the group axis in both bodies against a loop over the groups' dense definitions.
fn loop_over_groups(dtype: DType, [groups, n, m, d]: [usize; 4], seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let tables = [n, m, n].map(|rows| numeric::normal(&mut rng, groups * rows, d));
    let shares: Vec<f64> = (0..groups).map(|g| 0.3 + (g % 5) as f64).collect();
    for (name, itself, pairs, objective) in objectives(&mut rng, [groups, n, m]) {
        let beside = name.starts_with("beside");
        let square = name == "both directions";
        for weighted in [false, true] {
            let (value, slopes) = gradients_in(dtype, &tables, d, |x| {
                let terms = (0..groups).map(|g| {
                    let own = group_of(&x[0], groups, g);
                    let mut inputs = match (itself, square) {
                        (true, _) => Inputs::self_contrast(own),
                        (false, true) => Inputs::new(own, group_of(&x[2], groups, g)),
                        (false, false) => Inputs::new(own, group_of(&x[1], groups, g)),
                    };
                    if beside {
                        inputs = inputs.with_paired(group_of(&x[2], groups, g));
                    }
                    let objective = match &pairs {
                        Some(pairs) => objective.clone().with_pairs(pairs[g].clone()),
                        None => objective.clone(),
                    };
                    objective.dense(&inputs) * if weighted { shares[g] } else { 1.0 / groups as f64 }
                });
                terms.reduce(|a, b| a + b).unwrap()
            });
            for portable in [false, true] {
                let _bodies = contrastive_core::testing::portable(portable);
                let mut grouped = Grouped::new(objective.clone());
                if let Some(pairs) = &pairs {
                    grouped = grouped.with_pairs(pairs.clone());
                }
                if weighted {
                    grouped = grouped.with_weights(shares.clone());
                }
                let (got, found) = gradients_in(dtype, &tables, d, |x| {
                    let other = if square { &x[2] } else { &x[1] };
                    let mut inputs = match itself {
                        true => GroupedInputs::self_contrast(three(&x[0], groups)),
                        false => GroupedInputs::new(three(&x[0], groups), three(other, groups)),
                    };
                    if beside {
                        inputs = inputs.with_paired(three(&x[2], groups));
                    }
                    grouped.loss(&inputs)
                });
                let what = format!(
                    "{name}, [{groups}, {n}, {m}, {d}], seed {seed}, {dtype:?}, portable {portable}, weighted {weighted}"
                );
                let tolerance = if dtype == DType::F64 { 1e-11 } else { 5e-4 };
                close(&what, &[got], &[value], tolerance, tolerance);
                for (k, (found, slopes)) in found.iter().zip(&slopes).enumerate() {
                    let largest = slopes.iter().fold(1f64, |a, g| a.max(g.abs()));
                    close(&format!("{what}, gradient {k}"), found, slopes, tolerance * largest, tolerance);
                }
            }
        }
    }
}

/// Over shapes from a single small group to many and to wide ones, seeds, and all types of the device.
#[test]
fn a_group_axis_is_a_loop_over_groups() {
    for shape in [[1, 2, 2, 2], [5, 6, 9, 4], [3, 4, 4, 7], [17, 8, 11, 3], [2, 40, 53, 17], [2, 130, 131, 5]] {
        for seed in 1..4 {
            types().into_iter().for_each(|dtype| loop_over_groups(dtype, shape, seed));
        }
    }
}

#[test]
fn groups_share_a_learned_temperature() {
    needs_f64!();
    let (groups, n, d) = (4, 5, 3);
    let (a, b) = (random(groups * n * d, 1), random(groups * n * d, 2));
    let value = |portable: bool, log_scale: f64| {
        let _bodies = contrastive_core::testing::portable(portable);
        let scale = tracked(vec![log_scale], [1], DType::F64);
        let table = |x: &[f64]| Tensor::from_inner(tracked(x.to_vec(), [groups, n, d], DType::F64).inner());
        let inputs = GroupedInputs::new(table(&a), table(&b)).with_scale(scale.clone().exp());
        let loss = Grouped::new(PairObjective::with_input_scale()).loss(&inputs);
        let slope = scale.grad(&loss.backward()).map(|g| values(&g)[0]);
        (one(&loss), slope.expect("a gradient of the scale"))
    };
    for portable in [false, true] {
        let h = 1e-5;
        let difference = (value(portable, 0.7 + h).0 - value(portable, 0.7 - h).0) / (2.0 * h);
        close("scale", &[value(portable, 0.7).1], &[difference], 1e-8, 0.0);
    }
    close("bodies", &[value(false, 0.7).0], &[value(true, 0.7).0], 1e-12, 0.0);
}

#[test]
fn groups_over_several_blocks_and_types() {
    // 3 blocks of groups portably, and f32 against f64
    let (groups, n, d) = (2100, 64, 3);
    let data = random(groups * n * d, 3);
    let objective = PairObjective::new(0.5).unwrap().with_pairs(Pairs::TwoViews);
    let run = |dtype: DType, portable: bool| {
        let _bodies = contrastive_core::testing::portable(portable);
        let x = tracked(data.clone(), [groups, n, d], dtype);
        let loss = Grouped::new(objective.clone()).loss(&GroupedInputs::self_contrast(x.clone()));
        let value = one(&loss);
        let scaled = loss * (groups * n) as f64;
        (value, values(&x.grad(&scaled.backward()).unwrap()))
    };
    let (value, slopes) = run(wide(), false);
    for (dtype, portable) in [(wide(), true), (DType::F32, false), (DType::F32, true)] {
        let (v, s) = run(dtype, portable);
        let tolerance = if dtype == DType::F64 { 1e-11 } else { 2e-4 };
        close(&format!("{dtype:?} {portable}"), &[v], &[value], tolerance, 0.0);
        close(&format!("{dtype:?} {portable} gradients"), &s, &slopes, tolerance, tolerance);
    }
}
