//! Every loss against its definition and finite differences.

use super::*;

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
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    check("sigmoid", &Sigmoid { scale: 10.0, bias: -3.0 }, 1e-6);
    check("margins", &Margins { measure: Measure::Distance, positive: 0.1, negative: 1.1, weights: [0.5, 0.25] }, 1e-5);
    let margins = Margins { measure: Measure::Similarity, positive: 0.8, negative: -0.1, weights: [0.5, 0.25] };
    check("margins of similarities", &margins, 1e-5);
    check("multi-similarity", &MultiSimilarity { alpha: 2.0, beta: 50.0, base: 0.5, epsilon: None }, 1e-5);
    check("mined", &MultiSimilarity { alpha: 2.0, beta: 10.0, base: 0.5, epsilon: Some(0.1) }, 1e-5);
    for margin in [TargetMargin::Cosine(0.35), TargetMargin::Angle(0.5), TargetMargin::Angle(2.5)] {
        check("margin softmax", &MarginSoftmax { scale: 8.0, margin }, 1e-5);
    }
    check("lifted structure", &LiftedStructure { margin: 1.0 }, 1e-5);
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
    let at = |scale: f64, bias: f64| evaluate(&problem, &Sigmoid { scale, bias });
    let step = 1e-6;
    let difference = |high: f64, low: f64| (high - low) / (2.0 * step);
    let by_scale = difference(at(9.0 + step, -2.0).value, at(9.0 - step, -2.0).value);
    let by_bias = difference(at(9.0, -2.0 + step).value, at(9.0, -2.0 - step).value);
    let sums = at(9.0, -2.0).sums;
    assert!((sums[0] - by_scale).abs() < 1e-6 && (sums[1] - by_bias).abs() < 1e-6, "{sums:?}, {by_scale}, {by_bias}");
}

/// A number that is none reaches the value, in any column.
#[test]
fn nan_is_not_swallowed() {
    let (n, d) = (6, 2);
    let (groups, offsets, columns) = sets(n, 2);
    for bad in 0..n {
        let mut x = units(n, d, 4);
        x[bad * d] = f64::NAN;
        let problem = within(&x, d, RowSets::new(Some(&groups), &offsets, &columns));
        assert!(evaluate(&problem, &Sigmoid { scale: 10.0, bias: 0.0 }).value.is_nan());
        assert!(
            evaluate(
                &problem,
                &Margins { measure: Measure::Distance, positive: 0.0, negative: 1.0, weights: [1.0; 2] }
            )
            .value
            .is_nan()
        );
        let multi = MultiSimilarity { alpha: 2.0, beta: 50.0, base: 0.5, epsilon: None };
        assert!(evaluate(&problem, &multi).value.is_nan());
        assert!(evaluate(&problem, &Circle { margin: 0.4, gamma: 80.0 }).value.is_nan());
        assert!(evaluate(&problem, &LiftedStructure { margin: 1.0 }).value.is_nan());
    }
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
        pool.install(|| evaluate(&problem, &Sigmoid { scale: 10.0, bias: -10.0 }))
    };
    let (one, three) = (run(1), run(3));
    assert_eq!((one.value, one.anchors, one.candidates), (three.value, three.anchors, three.candidates));
}
