//! Every loss against its definition and finite differences.

use super::*;
use std::sync::Arc;

fn numbers(len: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    (0..len).map(|_| next()).collect()
}

fn units(n: usize, d: usize, seed: u64) -> Vec<f64> {
    crate::unit::unit_rows(&numbers(n * d, seed), d, 1e-12).0
}

/// Rows of `classes` labels in turn.
fn sets(n: usize, classes: usize) -> (Vec<u32>, Vec<usize>, Vec<u32>) {
    let groups = (0..n).map(|i| (i % classes) as u32).collect();
    let lists: Vec<Vec<u32>> = (0..classes).map(|c| (c..n).step_by(classes).map(|i| i as u32).collect()).collect();
    let mut offsets = vec![0];
    lists.iter().for_each(|l| offsets.push(offsets[offsets.len() - 1] + l.len()));
    (groups, offsets, lists.concat())
}

/// A table compared with itself.
fn within<'a, T>(x: &'a [T], width: usize, positives: RowSets<'a>) -> RowProblem<'a, T> {
    RowProblem {
        anchors: x,
        candidates: x,
        width,
        positives,
        excluded: None,
        self_offset: Some(0),
        wanted: Wanted::ALL,
    }
}

fn multi_similarity(beta: f64, epsilon: Option<f64>) -> MultiSimilarity {
    MultiSimilarity { alpha: 2.0, beta, bases: [0.5; 2], weights: [0.5, 1.0 / beta], epsilon }
}

/// Gradient of a table compared with itself, against finite differences of its value.
fn check<L: RowLoss<f64> + RowLoss<f32>>(name: &str, loss: &L, tolerance: f64) {
    for (n, d, classes) in [(7, 3, 3), (40, 5, 4), (9, 4, 9), (6, 4, 1), (1, 2, 1)] {
        let (groups, offsets, columns) = sets(n, classes);
        let positives = RowSets::new(Some(&groups), &offsets, &columns);
        let x = units(n, d, 3);
        let out = evaluate(&within(&x, d, positives), loss);
        let rows: f64 = out.rows.iter().sum();
        assert!(
            (rows - out.value).abs() < 1e-12 * (1.0 + rows.abs()),
            "{name}: rows add up to {rows}, not {}",
            out.value
        );
        let value_alone = evaluate(&RowProblem { wanted: Wanted::VALUE, ..within(&x, d, positives) }, loss);
        assert_eq!((value_alone.value, value_alone.anchors.len()), (out.value, 0), "{name}");
        for at in 0..x.len().min(40) {
            let step = 1e-6;
            let value = |by: f64| {
                let mut y = x.clone();
                y[at] += by;
                evaluate(&RowProblem { wanted: Wanted::VALUE, ..within(&y, d, positives) }, loss).value
            };
            let difference = (value(step) - value(-step)) / (2.0 * step);
            let gradient = out.anchors[at] + out.candidates[at];
            let gap = (gradient - difference).abs();
            assert!(
                gap < tolerance * (1.0 + difference.abs()),
                "{name}, n = {n}: {gradient} at {at}, not {difference}"
            );
        }
        let single: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let problem = within(&single, d, positives);
        let close = evaluate(&problem, loss);
        assert!((close.value - out.value).abs() < 2e-5 * (1.0 + out.value.abs()), "{name} in f32: {}", close.value);
        let size = out.anchors.iter().fold(1.0, |a: f64, g| a.max(g.abs()));
        let gap = close.anchors.iter().zip(&out.anchors).fold(0.0, |a: f64, (x, y)| a.max((f64::from(*x) - y).abs()));
        assert!(gap < 1e-3 * size, "{name}, n = {n}: gradients in f32 differ by {gap} of {size}");
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    check("sigmoid", &Sigmoid { scale: 10.0, bias: -3.0, weights: [1.0; 2] }, 1e-6);
    check("weighted sigmoid", &Sigmoid { scale: 4.0, bias: -1.0, weights: [0.7, 0.2] }, 1e-6);
    check("margins", &Margins { measure: Measure::Distance, positive: 0.1, negative: 1.1, weights: [0.5, 0.25] }, 1e-5);
    let margins = Margins { measure: Measure::Similarity, positive: 0.8, negative: -0.1, weights: [0.5, 0.25] };
    check("margins of similarities", &margins, 1e-5);
    check("multi-similarity", &multi_similarity(50.0, None), 1e-5);
    check("mined", &multi_similarity(10.0, Some(0.1)), 1e-5);
    let proxies = MultiSimilarity { alpha: 4.0, beta: 6.0, bases: [0.3, -0.2], weights: [0.7, 0.1], epsilon: None };
    check("two bases and weights", &proxies, 1e-5);
    check("tuplet margin", &TupletMargin { margin: 0.1, scale: 8.0 }, 1e-5);
    check("squared margins", &SquaredMargins { positive: 0.4, negative: -0.1, weights: [0.5, 0.25] }, 1e-6);
    check("FastAP", &FastAp { bins: 10 }, 1e-5);
    check("FastAP with one bin", &FastAp { bins: 1 }, 1e-5);
    check("expected similarity", &ExpectedSimilarity { sharpness: 4.0, detached: false }, 1e-6);
    check("mean similarity", &ExpectedSimilarity { sharpness: 0.0, detached: true }, 1e-6);
    for margin in [TargetMargin::Cosine(0.35), TargetMargin::Angle(0.5), TargetMargin::Angle(2.5)] {
        check("margin softmax", &MarginSoftmax { scale: 8.0, margin }, 1e-5);
    }
    check("lifted structure", &LiftedStructure { margin: 1.0 }, 1e-5);
    for mining in MININGS {
        check("triplets", &triplets(mining, false), 1e-5);
        check("smooth triplets", &triplets(mining, true), 1e-5);
    }
    let ranked = RankedList { margin: 0.4, alpha: 1.3, weights: [0.3, 0.7], temperatures: [2.0, 5.0] };
    check("ranked list", &ranked, 1e-5);
    let betas: Arc<[f64]> = (0..40).map(|i| 1.0 + 0.01 * i as f64).collect();
    check("margin-based", &MarginBased { margin: 0.2, betas, by_beta: false }, 1e-5);
    let costs = [RankCost::Negatives, RankCost::Logarithm, RankCost::Power(2.0), RankCost::Increasing];
    for cost in costs.into_iter().chain([RankCost::AveragePrecision, RankCost::Bounded(2.0)]) {
        check("ranks of positives", &PositiveRanks { temperature: 0.1, cost }, 1e-5);
    }
}

/// Three classes of three centres each.
#[test]
fn classes_are_as_similar_as_their_centers() {
    let (n, d, each) = (7, 4, 3);
    let (rows, centers) = (units(n, d, 3), units(3 * each, d, 8));
    let groups: Vec<u32> = (0..n).map(|i| (i % 3) as u32).collect();
    let (offsets, columns): (Vec<usize>, Vec<u32>) = ((0..=3).map(|c| c * each).collect(), (0..9).collect());
    let positives = RowSets::new(Some(&groups), &offsets, &columns);
    for pool in [CenterPool::Nearest, CenterPool::Soft(10.0)] {
        let softmax = MarginSoftmax { scale: 8.0, margin: TargetMargin::Angle(0.5) };
        let loss = CenterSoftmax { softmax, centers: each, pool };
        let output = |x: &[f64], c: &[f64]| {
            let among = within(x, d, positives);
            evaluate(&RowProblem { candidates: c, self_offset: None, ..among }, &loss)
        };
        let out = output(&rows, &centers);
        for at in 0..(n + 9) * d {
            let value = |by: f64| {
                let (mut x, mut c) = (rows.clone(), centers.clone());
                if at < n * d {
                    x[at] += by
                } else {
                    c[at - n * d] += by
                }
                output(&x, &c).value
            };
            let difference = (value(1e-6) - value(-1e-6)) / 2e-6;
            let gradient = if at < n * d { out.anchors[at] } else { out.candidates[at - n * d] };
            assert!(
                (gradient - difference).abs() < 1e-6 * (1.0 + difference.abs()),
                "{gradient} at {at}, not {difference}"
            );
        }
    }
}

/// Similarities are minus half the squared distances of points of the plane on a parabola: (x, -|x|^2 / 2, 1) and (y, 1, -|y|^2 / 2).
#[test]
fn hard_triplets_are_those_of_the_definition() {
    let (n, d) = (23, 2);
    let points = numbers(n * d, 5);
    let (groups, offsets, columns) = sets(n, 6);
    let half = |i: usize| -0.5 * points[i * d..(i + 1) * d].iter().map(|x| x * x).sum::<f64>();
    let lift = |tail: &dyn Fn(f64) -> [f64; 2]| -> Vec<f64> {
        (0..n).flat_map(|i| points[i * d..(i + 1) * d].iter().copied().chain(tail(half(i)))).collect()
    };
    let (anchors, candidates) = (lift(&|h| [h, 1.0]), lift(&|h| [1.0, h]));
    let problem = RowProblem {
        anchors: &anchors,
        candidates: &candidates,
        ..within(&anchors, d + 2, RowSets::new(Some(&groups), &offsets, &columns))
    };
    let distance =
        |i: usize, j: usize| (0..d).map(|c| (points[i * d + c] - points[j * d + c]).powi(2)).sum::<f64>().sqrt();
    for margin in [None, Some(0.2)] {
        let cost = |gap: f64| margin.map_or(gap.exp().ln_1p(), |m: f64| (gap + m).max(0.0));
        let (mut hard, mut semi, mut pairs) = (0.0, 0.0, 0.0);
        for i in 0..n {
            let near: Vec<f64> = (0..n).filter(|&j| j != i && groups[j] == groups[i]).map(|j| distance(i, j)).collect();
            let far: Vec<f64> = (0..n).filter(|&j| groups[j] != groups[i]).map(|j| distance(i, j)).collect();
            let least = |x: &[f64]| x.iter().copied().fold(f64::INFINITY, f64::min);
            let most = |x: &[f64]| x.iter().copied().fold(0.0, f64::max);
            hard += cost(most(&near) - least(&far));
            for p in near {
                let beyond: Vec<f64> = far.iter().copied().filter(|f| *f > p).collect();
                semi += cost(p - if beyond.is_empty() { most(&far) } else { least(&beyond) });
                pairs += 1.0;
            }
        }
        for (negative, want, count) in [(HardNegative::Nearest, hard, n as f64), (HardNegative::Semihard, semi, pairs)]
        {
            let out = evaluate(&problem, &HardTriplet { margin, negative });
            assert!((out.value - want).abs() < 1e-10, "{margin:?} {negative:?}: {} instead of {want}", out.value);
            assert_eq!(out.sums[0], count);
        }
    }
}

const MININGS: [Mining; 6] =
    [Mining::All, Mining::Hard, Mining::Semihard, Mining::Easy, Mining::BatchHard, Mining::BatchEasySemihard];

fn triplets(mining: Mining, smooth: bool) -> Triplets {
    Triplets { margin: 0.2, mining, smooth, unit: true, points: None, swap: false }
}

/// Triplets one by one: value, how many are above 0, how many count.
fn sum_of_triplets(loss: &Triplets, distance: impl Fn(usize, usize) -> f64, groups: &[u32]) -> [f64; 3] {
    let mut sums = [0.0; 3];
    let n = groups.len();
    for a in 0..n {
        let near = (0..n).filter(|&p| p != a && groups[p] == groups[a]);
        let of_p = |p| (0..n).filter(|&m| groups[m] != groups[a]).map(move |m| (p, m));
        let all: Vec<[f64; 3]> =
            near.flat_map(of_p).map(|(p, m)| [distance(a, p), distance(a, m), distance(p, m)]).collect();
        let gap = |t: &&[f64; 3]| t[1] - t[0];
        let nearest = all.iter().map(|t| t[0]).fold(f64::INFINITY, f64::min);
        let least = |t: &&[f64; 3], s: &&[f64; 3]| gap(t).total_cmp(&gap(s));
        let chosen: Vec<&[f64; 3]> = match loss.mining {
            Mining::All => all.iter().collect(),
            Mining::Hard => all.iter().filter(|t| gap(t) <= 0.0).collect(),
            Mining::Semihard => all.iter().filter(|t| gap(t) > 0.0 && gap(t) <= loss.margin).collect(),
            Mining::Easy => all.iter().filter(|t| gap(t) > loss.margin).collect(),
            Mining::BatchHard => all.iter().min_by(least).into_iter().collect(),
            Mining::BatchEasySemihard => {
                all.iter().filter(|t| t[0] == nearest && gap(t) > 0.0).min_by(least).into_iter().collect()
            }
        };
        for t in chosen {
            let over = t[0] - if loss.swap { t[1].min(t[2]) } else { t[1] } + loss.margin;
            let cost = if loss.smooth { over.exp().ln_1p() } else { over.max(0.0) };
            let more = [cost, f64::from(u8::from(cost > 0.0)), 1.0];
            sums.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
    }
    sums
}

#[test]
fn triplets_are_those_of_the_definition() {
    // few positives of each row, and many
    for (n, d, classes) in [(31, 3, 6), (150, 4, 2)] {
        let (groups, offsets, columns) = sets(n, classes);
        let positives = RowSets::new(Some(&groups), &offsets, &columns);
        let x = units(n, d, 7);
        let distance = |i: usize, j: usize| (0..d).map(|c| (x[i * d + c] - x[j * d + c]).powi(2)).sum::<f64>().sqrt();
        for (mining, smooth) in MININGS.into_iter().flat_map(|mining| [(mining, false), (mining, true)]) {
            let mut cases = vec![triplets(mining, smooth)];
            if mining == Mining::All {
                let points = Points { rows: x.as_slice().into(), width: d };
                cases.push(Triplets { swap: true, points: Some(points), ..cases[0].clone() });
            }
            for loss in cases {
                let want = sum_of_triplets(&loss, distance, &groups);
                let out = evaluate(&within(&x, d, positives), &loss);
                assert!((out.value - want[0]).abs() < 1e-9 * (1.0 + want[0]), "{loss:?}: {}, not {want:?}", out.value);
                assert_eq!(out.sums[..2], want[1..], "{loss:?}");
            }
        }
    }
}

/// A row with as many positives as make the hinge search has the same triplets one by one.
#[test]
fn a_search_finds_what_each_pair_has() {
    let m = 300;
    // some equal
    let similarities: Vec<f64> = numbers(m, 3).iter().map(|s| (s * 200.0).round() / 150.0).collect();
    let positives: Vec<u32> = (0..m as u32).filter(|j| j % 3 == 1).collect();
    let pairs = RowPairs { positives: &positives, excluded: &[5, 7], own: Some(4) };
    for mining in &MININGS[..4] {
        let loss = triplets(*mining, false);
        let of = |searched: bool| {
            let (mut row, mut kept) = (similarities.clone(), Vec::new());
            hide(pairs, &mut row, &mut kept);
            let sums = match searched {
                true => loss.searched(pairs, &mut row, &mut kept),
                false => loss.each(pairs, &mut row, &mut kept),
            };
            (sums, row)
        };
        let ((sums, row), (want, each)) = (of(true), of(false));
        assert!((sums[0] - want[0]).abs() < 1e-9 * (1.0 + want[0]), "{mining:?}: {sums:?}, not {want:?}");
        assert_eq!(sums[1..], want[1..], "{mining:?}");
        let gap = row.iter().zip(&each).fold(0.0, |gap: f64, (x, y)| gap.max((x - y).abs()));
        assert!(gap < 1e-9 * (m as f64), "{mining:?}: {gap}");
        assert!(*mining == Mining::Easy || row.iter().any(|g| *g > 0.0) && row.iter().any(|g| *g < 0.0));
        assert_eq!([row[4], row[5], row[7]], [0.0; 3]);
    }
}

/// The sums of the sigmoid loss are the derivatives of scale and bias.
#[test]
fn sigmoid_sums_are_derivatives() {
    let (n, d) = (30, 6);
    let (x, y) = (units(n, d, 1), units(n, d, 2));
    let (offsets, columns): (Vec<usize>, Vec<u32>) = ((0..=n).collect(), (0..n as u32).collect());
    let problem = RowProblem {
        anchors: &x,
        candidates: &y,
        width: d,
        positives: RowSets::new(None, &offsets, &columns),
        excluded: None,
        self_offset: None,
        wanted: Wanted::ALL,
    };
    let at = |scale: f64, bias: f64| evaluate(&problem, &Sigmoid { scale, bias, weights: [0.5, 2.0] });
    let step = 1e-6;
    let difference = |high: f64, low: f64| (high - low) / (2.0 * step);
    let by_scale = difference(at(9.0 + step, -2.0).value, at(9.0 - step, -2.0).value);
    let by_bias = difference(at(9.0, -2.0 + step).value, at(9.0, -2.0 - step).value);
    let sums = at(9.0, -2.0).sums;
    assert!((sums[0] - by_scale).abs() < 1e-6 && (sums[1] - by_bias).abs() < 1e-6, "{sums:?}, {by_scale}, {by_bias}");
}

/// NaN reaches the value, in any column: of short rows, and in the vectors and the rest of long ones.
#[test]
fn nan_is_not_swallowed() {
    macro_rules! swallowed {
        ($type:ident, $n:ident, $bad:ident) => {{
            let (n, bad) = ($n, $bad);
            let d = 2;
            let (groups, offsets, columns) = sets(n, 2);
            let mut x: Vec<$type> = units(n, d, 4).iter().map(|&x| x as $type).collect();
            x[bad * d] = $type::NAN;
            let problem = within(&x, d, RowSets::new(Some(&groups), &offsets, &columns));
            let margins = |measure| Margins { measure, positive: 0.0, negative: 0.5, weights: [1.0; 2] };
            let squared = SquaredMargins { positive: 0.4, negative: -0.1, weights: [1.0; 2] };
            let betas: Arc<[f64]> = vec![1.0; n].into();
            let levels = LiftedPairs { positive: 0.0, negative: 1.0, levels: None };
            let known: Arc<[f64]> = evaluate(&problem, &levels).rows.iter().map(|l| f64::from(*l)).collect();
            let values = [
                ("sigmoid", evaluate(&problem, &Sigmoid { scale: 10.0, bias: 0.0, weights: [1.0; 2] }).value),
                ("distances", evaluate(&problem, &margins(Measure::Distance)).value),
                ("similarities", evaluate(&problem, &margins(Measure::Similarity)).value),
                ("multi-similarity", evaluate(&problem, &multi_similarity(50.0, None)).value),
                ("tuplet", evaluate(&problem, &TupletMargin { margin: 0.1, scale: 8.0 }).value),
                ("squared", evaluate(&problem, &squared).value),
                ("FastAP", evaluate(&problem, &FastAp { bins: 10 }).value),
                ("expected", evaluate(&problem, &ExpectedSimilarity { sharpness: 4.0, detached: true }).value),
                ("circle", evaluate(&problem, &Circle { margin: 0.4, gamma: 80.0 }).value),
                ("lifted", evaluate(&problem, &LiftedStructure { margin: 1.0 }).value),
                ("levels", evaluate(&problem, &levels).value),
                ("lifted pairs", evaluate(&problem, &LiftedPairs { levels: Some(known), ..levels.clone() }).value),
                ("margin-based", evaluate(&problem, &MarginBased { margin: 0.2, betas, by_beta: false }).value),
            ];
            values.into_iter().filter(|(_, value)| !value.is_nan()).map(|(name, _)| name).collect::<Vec<_>>()
        }};
    }
    for (n, bad) in (0..6).map(|bad| (6, bad)).chain([(35, 3), (35, 20), (35, 33)]) {
        let none: Vec<&str> = Vec::new();
        assert_eq!(swallowed!(f64, n, bad), none, "row {bad} of {n}");
        assert_eq!(swallowed!(f32, n, bad), none, "row {bad} of {n} in f32");
    }
}

/// Of two rows of one label and no others, and where all positives are none.
#[test]
fn nan_is_not_swallowed_among_positives_alone() {
    let lists = (vec![0u32, 0], vec![0, 2], vec![0u32, 1]);
    let x = [1.0, 0.0, f64::NAN, 0.0];
    let problem = within(&x, 2, RowSets::new(Some(&lists.0), &lists.1, &lists.2));
    assert!(evaluate(&problem, &LiftedStructure { margin: 1.0 }).value.is_nan());
}

/// A hinge at exactly 0 has no slope, in either type: what is nearest and the positive are equally far.
#[test]
fn ties_cost_nothing() {
    macro_rules! run {
        ($type:ident) => {{
            let x: Vec<$type> = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0].to_vec();
            let lists = (vec![0u32, 0, 1], vec![0, 2, 3], vec![0u32, 1, 2]);
            let problem = within(&x, 3, RowSets::new(Some(&lists.0), &lists.1, &lists.2));
            let out = evaluate(&problem, &LiftedStructure { margin: 0.0 });
            (out.value, out.anchors)
        }};
    }
    let (single, double) = (run!(f32), run!(f64));
    assert_eq!((single.0, double.0), (0.0, 0.0));
    assert!(single.1.iter().all(|g| *g == 0.0) && double.1.iter().all(|g| *g == 0.0));
}

/// What is hidden stays so at settings beyond reason.
#[test]
fn hidden_pairs_never_count() {
    let (n, d) = (20, 4);
    let (groups, offsets, columns) = sets(n, 4);
    let mut x = units(n, d, 5);
    let near = evaluate(&within(&x, d, RowSets::new(Some(&groups), &offsets, &columns)), &{
        MarginBased { margin: 2e15, betas: vec![1.0; n].into(), by_beta: false }
    });
    // of 20 rows each with 4 positives and 15 negatives, every triplet's two terms are above 0
    assert_eq!(near.sums[0], (20 * 4 * 15 * 2) as f64);
    // all similarities 0
    x.fill(0.0);
    (0..n).for_each(|i| x[i * d + i % 4] = 1.0);
    let problem = within(&x, d, RowSets::new(Some(&groups), &offsets, &columns));
    let out = evaluate(&problem, &Circle { margin: 0.25, gamma: 1e32 });
    assert!(out.value.is_finite() && out.anchors.iter().all(|g| g.is_finite()));
}

/// The same numbers for any number of threads.
#[test]
fn results_do_not_depend_on_threads() {
    let (n, d) = (700, 16);
    let (groups, offsets, columns) = sets(n, 50);
    let x: Vec<f32> = units(n, d, 9).iter().map(|&x| x as f32).collect();
    let problem = within(&x, d, RowSets::new(Some(&groups), &offsets, &columns));
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| evaluate(&problem, &Sigmoid { scale: 10.0, bias: -10.0, weights: [1.0; 2] }))
    };
    let (one, three) = (run(1), run(3));
    assert_eq!((one.value, one.anchors, one.candidates), (three.value, three.anchors, three.candidates));
}

/// The best negatives below a limit are those of a sorted row, for any k.
#[test]
fn negatives_below_a_limit() {
    let (n, d, k) = (130, 5, 4);
    let (groups, offsets, columns) = sets(n, 7);
    let x = units(n, d, 6);
    let limits = numbers(n, 8);
    let got = best_below(&within(&x, d, RowSets::new(Some(&groups), &offsets, &columns)), &limits, k);
    for i in 0..n {
        let s = |j: usize| (0..d).map(|c| x[i * d + c] * x[j * d + c]).sum::<f64>();
        let mut all: Vec<usize> = (0..n).filter(|j| groups[*j] != groups[i] && s(*j) < limits[i]).collect();
        all.sort_by(|a, b| s(*b).total_cmp(&s(*a)));
        let want: Vec<u32> = all.into_iter().take(k).map(|j| j as u32).collect();
        assert_eq!(got.row(i).0, want, "row {i}");
    }
    let mut bad = x.clone();
    bad[3 * d] = f64::NAN;
    let got = best_below(&within(&bad, d, RowSets::new(Some(&groups), &offsets, &columns)), &limits, 2);
    assert!(got.row(0).0[0] == 3 && got.row(0).1[0].is_nan());
}
