//! One direction of the softmax family against its definition over the whole matrix, in `f64`.

use crate::support::{Case, Sets, Source, Weights, assert_agree, dense};
use contrastive_kernels::softmax::{Denominator, Placement, SoftmaxOutput, Wanted, rows};

const CHOICES: [(Denominator, Placement); 5] = [
    (Denominator::WithPositives, Placement::Outside),
    (Denominator::NegativesOnly, Placement::Outside),
    (Denominator::OwnPositive, Placement::Outside),
    (Denominator::WithPositives, Placement::Inside),
    (Denominator::NegativesOnly, Placement::Inside),
];

/// A description for a failure message: everything but the long vectors.
fn describe(case: &Case<f64>, seed: u64) -> String {
    format!(
        "seed {seed}: {} x {} x {}, {:?} {:?}, scale {:?}{}, positives {:?}, paired {}, excluded {}, self {:?}, bias {}, weights {}, row weights {}, \
         denominator weights {}, offset {}, clamp {:?}",
        case.n,
        case.m,
        case.width,
        case.denominator,
        case.placement,
        case.scale[0],
        if case.scale.len() > 1 { " per row" } else { "" },
        case.positives.as_ref().map(|p| (p.groups.is_some(), p.columns.len())),
        case.paired.is_some(),
        case.excluded.is_some(),
        case.self_offset,
        case.bias.is_some(),
        match case.weights {
            Weights::Mean => "mean",
            Weights::One => "one",
            Weights::PerRow(_) => "per row",
            Weights::Each(_) => "each",
        },
        case.row_weights.is_some(),
        case.denominator_weights.is_some(),
        case.offset,
        case.positive_clamp,
    )
}

fn check_double(case: &Case<f64>, what: &str) {
    assert_agree(&rows(&case.problem()), &dense(case), 1e-10, 1.0, what);
}

fn check_single(case: &Case<f64>, what: &str) {
    let floor = case.largest_scale().max(1.0);
    assert_agree(&rows(&case.single().problem()), &dense(case), case.single_tolerance(), floor, what);
}

#[test]
fn every_choice_on_small_random_problems_equals_the_definition() {
    for seed in 0..600 {
        let mut source = Source::new(seed);
        let (n, m, d) = (1 + source.below(40), 1 + source.below(60), 1 + source.below(20));
        for (denominator, placement) in CHOICES {
            let case = source.any_case(n, m, d, denominator, placement);
            let what = describe(&case, seed);
            check_double(&case, &what);
            check_single(&case, &what);
        }
    }
}

#[test]
fn several_blocks_and_stripes_equal_the_definition() {
    // 512 rows a block; from 4,096 columns a stripe is 1,024 wide
    let sizes =
        [(513, 65, 3), (600, 1025, 5), (1, 3000, 7), (40, 4200, 2), (1030, 130, 1), (3, 70, 200), (129, 257, 64)];
    for (seed, (n, m, d)) in (1000..).zip(sizes) {
        let mut source = Source::new(seed);
        for (denominator, placement) in CHOICES {
            let case = source.any_case(n, m, d, denominator, placement);
            let what = describe(&case, seed);
            check_double(&case, &what);
            check_single(&case, &what);
        }
    }
}

#[test]
fn dense_gradients_equal_central_differences() {
    let step = 1e-5;
    for seed in 0..60 {
        let mut source = Source::new(5000 + seed);
        let (n, m, d) = (1 + source.below(5), 1 + source.below(7), 1 + source.below(3));
        for (denominator, placement) in CHOICES {
            let mut case = source.any_case(n, m, d, denominator, placement);
            case.scale.iter_mut().for_each(|s| *s = s.min(14.0));
            let got = rows(&case.problem());
            let what = describe(&case, seed);
            let check = |part: &str, gradient: &[f64], vary: &dyn Fn(&mut Case<f64>, usize, f64)| {
                for (k, &g) in gradient.iter().enumerate() {
                    let mut moved = case.clone();
                    vary(&mut moved, k, step);
                    let up = dense(&moved).value;
                    vary(&mut moved, k, -2.0 * step);
                    let slope = (up - dense(&moved).value) / (2.0 * step);
                    assert!((slope - g).abs() < 2e-6 * (1.0 + g.abs()), "{what}: {part} {k}: {g} instead of {slope}");
                }
            };
            check("anchors", &got.anchors, &|c, k, h| c.anchors[k] += h);
            check("candidates", &got.candidates, &|c, k, h| c.candidates[k] += h);
            check("paired", &got.paired, &|c, k, h| c.paired.as_mut().unwrap()[k] += h);
            check("bias", &got.bias, &|c, k, h| c.bias.as_mut().unwrap()[k] += h);
            if case.scale.len() == n {
                check("scale", &got.scale, &|c, k, h| c.scale[k] += h);
            } else {
                check("scale", &[got.scale.iter().sum()], &|c, k, h| c.scale[k] += h);
            }
        }
    }
}

#[test]
fn far_apart_logits_keep_their_logarithm() {
    // logits between -600 and 600: naive exponentials overflow, even in f64
    for seed in 0..20 {
        let mut source = Source::new(7000 + seed);
        for (denominator, placement) in CHOICES {
            let mut case = source.case(9, 37, 3, 200.0);
            case.anchors.iter_mut().for_each(|x| *x *= 3.0);
            case.positives = Some(source.lists(9, 37, 4.0));
            (case.denominator, case.placement) = (denominator, placement);
            let what = describe(&case, seed);
            check_double(&case, &what);
            check_single(&case, &what);
        }
    }
}

#[test]
fn positives_far_below_everything_keep_their_own_denominator() {
    let mut case = Source::new(1).case(1, 3, 1, 200.0);
    case.anchors = vec![1.0];
    case.candidates = vec![3.0, -3.0, -3.25];
    case.positives = Some(Sets::of(&[vec![0, 1]]));
    case.denominator = Denominator::OwnPositive;
    check_double(&case, "two positives 1,200 apart");
    check_single(&case, "two positives 1,200 apart");
    let want = 0.5 * (1.0 + (-50f64).exp()).ln();
    assert!((rows(&case.problem()).value - want).abs() < 1e-12);
}

#[test]
fn rows_without_positives_or_denominator_have_no_value_and_no_gradient() {
    for (denominator, placement) in CHOICES {
        let mut case = Source::new(3).case(4, 6, 2, 5.0);
        (case.denominator, case.placement) = (denominator, placement);
        // row 0: no positive; 1: all but its positive excluded; 2: everything excluded; 3: ordinary
        case.positives = Some(Sets::of(&[vec![], vec![1], vec![2], vec![3]]));
        case.excluded = Some(Sets::of(&[vec![], vec![0, 2, 3, 4, 5], vec![0, 1, 2, 3, 4, 5], vec![]]));
        check_double(&case, "empty rows");
        let out = rows(&case.problem());
        assert_eq!(out.rows[..3], [0.0; 3], "{denominator:?} {placement:?}");
        assert!(out.anchors[..6].iter().all(|g| g.abs() < 1e-15));
        assert!(out.rows[3] != 0.0 && out.anchors[6] != 0.0);
    }
}

#[test]
fn zero_rows_and_zero_columns_are_allowed() {
    let mut case = Source::new(4).case(0, 5, 3, 2.0);
    let out = rows(&case.problem());
    assert_eq!((out.value, out.candidates), (0.0, vec![0.0; 15]));
    case = Source::new(4).case(3, 5, 3, 2.0);
    case.m = 0;
    case.candidates.clear();
    case.positives = None;
    assert_eq!(rows(&case.problem()).rows, vec![0.0; 3]);
    case.paired = Some(Source::new(5).unit_rows(3, 3));
    check_double(&case, "paired positives alone");
}

#[test]
fn candidates_of_weight_zero_are_like_excluded_ones() {
    for (denominator, placement) in CHOICES {
        let mut case = Source::new(8).case(20, 90, 4, 10.0);
        (case.denominator, case.placement) = (denominator, placement);
        let mut bias = Source::new(9).vector(90, -1.0, 1.0);
        bias[40..].fill(f64::NEG_INFINITY);
        let mut excluded = case.clone();
        excluded.excluded = Some(Sets::of(&vec![(40..90).collect(); 20]));
        excluded.bias = Some(bias.iter().map(|b| b.max(-1.0)).collect());
        case.bias = Some(bias);
        assert_agree(&rows(&case.problem()), &dense(&excluded), 1e-12, 1.0, "bias of -inf");
    }
}

#[test]
fn all_positive_weights_zero_is_a_row_without_positives() {
    for (denominator, placement) in CHOICES {
        let mut case = Source::new(10).case(6, 30, 4, 10.0);
        (case.denominator, case.placement) = (denominator, placement);
        case.weights = Weights::PerRow(vec![0.0, 1.0, 0.0, 2.0, 0.5, 0.0]);
        check_double(&case, "weights of zero");
        assert_eq!(rows(&case.problem()).rows[0], 0.0);
    }
}

#[test]
fn nan_is_never_hidden() {
    for (denominator, placement) in CHOICES {
        for poison in [f64::NAN, f64::INFINITY] {
            let mut case = Source::new(11).case(5, 70, 4, 10.0);
            (case.denominator, case.placement) = (denominator, placement);
            case.anchors[9] = poison;
            let out = rows(&case.problem());
            assert!(out.value.is_nan() && out.rows[2].is_nan(), "{denominator:?} {placement:?}: {}", out.rows[2]);
            assert!(out.rows[1].is_finite() && rows(&case.single().problem()).value.is_nan());
        }
    }
}

#[test]
fn parts_that_were_not_wanted_are_empty_and_change_nothing() {
    for seed in 0..40 {
        let mut source = Source::new(9000 + seed);
        for (denominator, placement) in CHOICES {
            let mut case = source.any_case(30, 100, 6, denominator, placement);
            let all = rows(&case.problem());
            case.wanted = Wanted::VALUE;
            let value = rows(&case.problem());
            assert_eq!((value.value, &value.rows), (all.value, &all.rows));
            assert!(
                [&value.anchors, &value.candidates, &value.paired, &value.scale, &value.bias]
                    .iter()
                    .all(|v| v.is_empty())
            );
            case.wanted = Wanted { anchors: true, candidates: false };
            let anchors = rows(&case.problem());
            // with the candidates' gradient the positives of a full panel are summed in another order
            let gap = |a: &[f64], b: &[f64]| {
                a.iter().zip(b).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f64::max)
            };
            assert!(gap(&anchors.anchors, &all.anchors) < 1e-12, "{:e}", gap(&anchors.anchors, &all.anchors));
            assert_eq!(anchors.anchors.len(), all.anchors.len());
            assert_eq!((&anchors.paired, &anchors.scale, &anchors.bias), (&all.paired, &all.scale, &all.bias));
            assert!(anchors.candidates.is_empty());
            case.wanted = Wanted { anchors: false, candidates: true };
            let candidates = rows(&case.problem());
            assert_eq!(candidates.candidates, all.candidates);
            assert!(candidates.anchors.is_empty() && candidates.paired.is_empty() && candidates.scale.is_empty());
        }
    }
}

fn bits(out: &SoftmaxOutput<f32>) -> Vec<u64> {
    let parts = [&out.rows, &out.anchors, &out.candidates, &out.paired, &out.scale, &out.bias];
    let single = parts.into_iter().flatten().map(|x| u64::from(x.to_bits()));
    std::iter::once(out.value.to_bits()).chain(single).collect()
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let pools: Vec<_> = [1, 2, 3].map(|t| rayon::ThreadPoolBuilder::new().num_threads(t).build().unwrap()).into();
    for seed in 0..6 {
        let mut source = Source::new(11_000 + seed);
        for (denominator, placement) in CHOICES {
            let case = source
                .any_case(530 + source_size(seed), 1100 + 13 * source_size(seed), 16, denominator, placement)
                .single();
            let outputs: Vec<_> = pools.iter().map(|p| bits(&p.install(|| rows(&case.problem())))).collect();
            assert!(outputs[0] == outputs[1] && outputs[0] == outputs[2], "seed {seed} {denominator:?} {placement:?}");
        }
    }
}

fn source_size(seed: u64) -> usize {
    (seed as usize * 37) % 101
}
