//! Both directions at once, and a table against itself, against the definition of each direction in `f64`.

use crate::support::{Case, Sets, Source, Weights, dense, difference};
use contrastive_kernels::rowwise::{RowLoss, RowProblem, evaluate, evaluate_table};
use contrastive_kernels::softmax::{
    Debiased, Denominator, RowSets, RowValue, SoftmaxOutput, TwoSidedOutput, TwoSidedProblem, Wanted, rows, two_sided,
};
use contrastive_kernels::vector::Element;

const DENOMINATORS: [Denominator; 2] = [Denominator::WithPositives, Denominator::NegativesOnly];

/// A comparison in both directions; without `columns`, a table against itself.
struct Both {
    rows: Case<f64>,
    columns: Option<Case<f64>>,
    mean: bool,
}

struct Flat<T> {
    anchors: Vec<T>,
    candidates: Vec<T>,
    row_weights: Vec<T>,
    column_weights: Vec<T>,
    scale: T,
}

impl Both {
    fn flat<T: Element>(&self) -> Flat<T> {
        let of = |v: &[f64]| v.iter().map(|&x| T::of(x)).collect::<Vec<T>>();
        Flat {
            anchors: of(&self.rows.anchors),
            candidates: of(&self.rows.candidates),
            row_weights: of(self.rows.row_weights.as_ref().unwrap()),
            column_weights: self.columns.as_ref().map_or(Vec::new(), |c| of(c.row_weights.as_ref().unwrap())),
            scale: T::of(self.rows.scale[0]),
        }
    }

    fn run<T: Element>(&self) -> TwoSidedOutput<T> {
        let flat = self.flat::<T>();
        two_sided(&TwoSidedProblem {
            anchors: &flat.anchors,
            candidates: self.columns.is_some().then_some(&flat.candidates[..]),
            width: self.rows.width,
            scale: flat.scale,
            positives: self.rows.positives.as_ref().unwrap().view(),
            column_positives: self.columns.as_ref().map(|c| c.positives.as_ref().unwrap().view()),
            mean: self.mean,
            value: RowValue::LogRatio,
            denominator: self.rows.denominator,
            row_weights: &flat.row_weights,
            column_weights: &flat.column_weights,
            gradients: true,
        })
    }

    /// The two directions by `one`, added.
    fn apart(&self, one: impl Fn(&Case<f64>) -> SoftmaxOutput<f64>) -> TwoSidedOutput<f64> {
        let add = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).map(|(a, b)| a + b).collect::<Vec<f64>>();
        let first = one(&self.rows);
        let scale = first.scale.iter().sum::<f64>();
        let Some(columns) = &self.columns else {
            return TwoSidedOutput {
                value: first.value,
                rows: first.rows,
                columns: Vec::new(),
                anchors: add(first.anchors, first.candidates),
                candidates: Vec::new(),
                scale,
            };
        };
        let second = one(columns);
        TwoSidedOutput {
            value: first.value + second.value,
            rows: first.rows,
            columns: second.rows,
            anchors: add(first.anchors, second.candidates),
            candidates: add(first.candidates, second.anchors),
            scale: scale + second.scale.iter().sum::<f64>(),
        }
    }

    fn describe(&self, seed: u64) -> String {
        let c = &self.rows;
        let kind = if self.columns.is_some() { "both directions" } else { "symmetric" };
        format!(
            "seed {seed}: {kind} {} x {} x {}, {:?}, scale {}, mean {}",
            c.n, c.m, c.width, c.denominator, c.scale[0], self.mean
        )
    }

    fn check(&self, seed: u64) {
        let what = self.describe(seed);
        let want = self.apart(dense);
        assert_agree(&self.run::<f64>(), &want, 1e-10, 1.0, &what);
        assert_agree(&self.run::<f64>(), &self.apart(|c| rows(&c.problem())), 1e-10, 1.0, &what);
        let floor = self.rows.largest_scale().max(1.0);
        assert_agree(&self.run::<f32>(), &want, self.rows.single_tolerance(), floor, &what);
    }
}

fn assert_agree<T: Element>(
    got: &TwoSidedOutput<T>,
    want: &TwoSidedOutput<f64>,
    tolerance: f64,
    floor: f64,
    what: &str,
) {
    let spread = want.rows.iter().chain(&want.columns).map(|l| l.abs()).sum::<f64>().max(1.0);
    assert!(
        (got.value - want.value).abs() <= tolerance * spread,
        "{what}: value {} instead of {}",
        got.value,
        want.value
    );
    // the derivative of the scale is a sum over all rows, each of order 1
    let apart = (got.scale.f64() - want.scale).abs() / spread.max(want.scale.abs());
    assert!(apart <= tolerance, "{what}: scale {} instead of {}", got.scale, want.scale);
    for (part, got, want) in [
        ("rows", &got.rows, &want.rows),
        ("columns", &got.columns, &want.columns),
        ("anchors", &got.anchors, &want.anchors),
        ("candidates", &got.candidates, &want.candidates),
    ] {
        assert_eq!(got.len(), want.len(), "{what}: length of {part}");
        let apart = difference(got, want, floor);
        assert!(apart <= tolerance, "{what}: {part} differ by {apart:e}");
    }
}

fn weights(mean: bool) -> Weights<f64> {
    if mean { Weights::Mean } else { Weights::One }
}

/// CLIP and its relatives: random, diagonal or label positives, some rows and columns without any.
fn rectangle(source: &mut Source, n: usize, m: usize, d: usize, scale: f64, denominator: Denominator) -> Both {
    let mean = source.chance(0.5);
    let mut rows = source.case(n, m, d, scale);
    let classes = 1 + (n.max(m) / 5).min(30) as u32;
    let (of_rows, of_columns) = (source.labels(n, classes), source.labels(m, classes));
    rows.positives = Some(match source.below(3) {
        0 => Sets::diagonal(n, source.below(m), m),
        1 => source.lists(n, m, 3.0),
        _ => Sets::labels(&of_rows, &of_columns, classes),
    });
    (rows.denominator, rows.weights) = (denominator, weights(mean));
    rows.row_weights = Some(source.vector(n, 0.0, 1.0));
    if source.chance(0.3) {
        rows.row_weights.as_mut().unwrap().iter_mut().step_by(2).for_each(|w| *w = 0.0);
    }
    let mut columns = rows.clone();
    (columns.n, columns.m) = (m, n);
    std::mem::swap(&mut columns.anchors, &mut columns.candidates);
    columns.positives = Some(rows.positives.as_ref().unwrap().transposed(n, m));
    columns.row_weights = Some(source.vector(m, 0.0, 1.0));
    Both { rows, columns: Some(columns), mean }
}

/// NT-Xent and SupCon: views of one table, or labels.
fn table(source: &mut Source, n: usize, d: usize, scale: f64, denominator: Denominator) -> Both {
    let mean = source.chance(0.5);
    let mut rows = source.case(n, n, d, scale);
    rows.candidates = rows.anchors.clone();
    rows.self_offset = Some(0);
    let classes = 1 + (n / 5).min(30) as u32;
    let labels = source.labels(n, classes);
    rows.positives = Some(if n.is_multiple_of(2) && source.chance(0.5) {
        Sets::diagonal(n, n / 2, n)
    } else {
        Sets::labels(&labels, &labels, classes)
    });
    (rows.denominator, rows.weights) = (denominator, weights(mean));
    rows.row_weights = Some(source.vector(n, 0.0, 1.0));
    Both { rows, columns: None, mean }
}

#[test]
fn small_random_problems_equal_both_directions_apart() {
    for seed in 0..300 {
        let mut source = Source::new(20_000 + seed);
        let (n, m, d) = (1 + source.below(40), 1 + source.below(60), 1 + source.below(20));
        let scale = [0.5, 3.0, 14.0, 200.0][source.below(4)];
        for denominator in DENOMINATORS {
            rectangle(&mut source, n, m, d, scale, denominator).check(seed);
            table(&mut source, n, d, scale, denominator).check(seed);
        }
    }
}

#[test]
fn several_tiles_equal_both_directions_apart() {
    for (seed, (n, m, d)) in (21_000..).zip([(513, 65, 3), (600, 1025, 5), (1, 1100, 7), (1030, 513, 2), (3, 70, 200)])
    {
        let mut source = Source::new(seed);
        let scale = [2.0, 14.0, 200.0][source.below(3)];
        for denominator in DENOMINATORS {
            rectangle(&mut source, n, m, d, scale, denominator).check(seed);
            table(&mut source, n.max(m), d, scale, denominator).check(seed);
        }
    }
}

#[test]
fn logits_too_far_apart_for_one_exponential() {
    // lengths from 0.01 to 4 at scale 200: maxima of rows and columns thousands apart
    for seed in 0..30 {
        let mut source = Source::new(22_000 + seed);
        for denominator in DENOMINATORS {
            let mut both = rectangle(&mut source, 30, 45, 4, 200.0, denominator);
            let lengths = source.vector(30, 0.01, 4.0);
            for (row, length) in both.rows.anchors.chunks_exact_mut(4).zip(&lengths) {
                row.iter_mut().for_each(|x| *x = f64::from((*x * length) as f32));
            }
            both.columns.as_mut().unwrap().candidates = both.rows.anchors.clone();
            both.check(seed);
            let mut both = table(&mut source, 30, 4, 200.0, denominator);
            for (row, length) in both.rows.anchors.chunks_exact_mut(4).zip(&lengths) {
                row.iter_mut().for_each(|x| *x = f64::from((*x * length) as f32));
            }
            both.rows.candidates = both.rows.anchors.clone();
            both.check(seed);
        }
    }
}

#[test]
fn a_pair_of_views_alone_has_no_loss() {
    // N = 1 with two views: the only candidate is the positive
    let mut both = table(&mut Source::new(5), 2, 3, 7.0, Denominator::WithPositives);
    both.rows.positives = Some(Sets::diagonal(2, 1, 2));
    both.rows.row_weights = Some(vec![1.0; 2]);
    let out = both.run::<f64>();
    assert!(out.value.abs() < 1e-14 && out.anchors.iter().all(|g| g.abs() < 1e-14) && out.scale.abs() < 1e-14);
    both.rows.denominator = Denominator::NegativesOnly;
    let out = both.run::<f64>();
    assert_eq!((out.value, out.rows), (0.0, vec![0.0; 2]));
}

#[test]
fn nan_is_never_hidden() {
    for denominator in DENOMINATORS {
        for scale in [3.0, 200.0] {
            let mut both = rectangle(&mut Source::new(6), 30, 20, 4, scale, denominator);
            both.rows.positives = Some(Sets::diagonal(30, 0, 20));
            both.columns.as_mut().unwrap().positives = Some(both.rows.positives.as_ref().unwrap().transposed(30, 20));
            both.rows.anchors[9] = f64::NAN;
            let out = both.run::<f32>();
            assert!(out.value.is_nan() && out.rows[2].is_nan() && out.columns[3].is_nan(), "{denominator:?} {scale}");
            assert!(out.rows[1].is_finite());
            let mut both = table(&mut Source::new(7), 30, 4, scale, denominator);
            both.rows.positives = Some(Sets::diagonal(30, 15, 30));
            both.rows.anchors.fill(f64::NAN);
            let out = both.run::<f32>();
            assert!(out.value.is_nan() && out.rows[1].is_nan() && out.anchors[0].is_nan(), "{denominator:?} {scale}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let pools = [1, 2, 3].map(|t| rayon::ThreadPoolBuilder::new().num_threads(t).build().unwrap());
    let rows = Source::new(28_000).unit_rows(1500, 16);
    let views = Sets::diagonal(1500, 750, 1500);
    let loss = Debiased { scale: 5.0, tau_plus: 0.1, hardness: 1.0 };
    let hard = || debiased::<f32>([&rows, &rows], 16, loss, [views.view(), views.view()], true);
    for (seed, denominator) in (23_000..).zip(DENOMINATORS) {
        let mut source = Source::new(seed);
        for both in
            [rectangle(&mut source, 700, 1300, 16, 14.0, denominator), table(&mut source, 1500, 16, 14.0, denominator)]
        {
            let bits = |out: TwoSidedOutput<f32>| {
                let parts = [out.rows, out.columns, out.anchors, out.candidates, vec![out.scale]];
                (out.value.to_bits(), parts.map(|p| p.iter().map(|x| x.to_bits()).collect::<Vec<u32>>()))
            };
            let outputs: Vec<_> = pools.iter().map(|p| bits(p.install(|| both.run::<f32>()))).collect();
            assert!(outputs[0] == outputs[1] && outputs[0] == outputs[2], "{denominator:?}");
            let outputs: Vec<_> = pools.iter().map(|p| bits(p.install(hard))).collect();
            assert!(outputs[0] == outputs[1] && outputs[0] == outputs[2], "hard negatives");
        }
    }
}

/// Debiased values of both directions, each row and each column with one positive or none.
fn debiased<T: Element>(
    [anchors, candidates]: [&[f64]; 2],
    d: usize,
    loss: Debiased,
    [of_rows, of_columns]: [RowSets<'_>; 2],
    table: bool,
) -> TwoSidedOutput<T> {
    let [a, c] = [anchors, candidates].map(|v| v.iter().map(|&x| T::of(x)).collect::<Vec<T>>());
    let ones = vec![T::one(); a.len().max(c.len()) / d];
    two_sided(&TwoSidedProblem {
        anchors: &a,
        candidates: (!table).then_some(&c),
        width: d,
        scale: T::of(loss.scale),
        positives: of_rows,
        column_positives: (!table).then_some(of_columns),
        mean: false,
        value: RowValue::Debiased(loss),
        denominator: Denominator::NegativesOnly,
        row_weights: &ones[..a.len() / d],
        column_weights: if table { &[] } else { &ones[..c.len() / d] },
        gradients: true,
    })
}

/// Each direction by itself, row by row.
fn row_by_row(
    [anchors, candidates]: [&[f64]; 2],
    d: usize,
    loss: Debiased,
    [of_rows, of_columns]: [RowSets<'_>; 2],
    table: bool,
) -> TwoSidedOutput<f64> {
    let direction = |anchors, candidates, positives| {
        let self_offset = table.then_some(0);
        let problem =
            RowProblem { anchors, candidates, width: d, positives, excluded: None, self_offset, wanted: Wanted::ALL };
        evaluate(&problem, &loss)
    };
    let add = |a: Vec<f64>, b: Vec<f64>| a.iter().zip(&b).map(|(a, b)| a + b).collect::<Vec<f64>>();
    let there = direction(anchors, candidates, of_rows);
    if table {
        let anchors = add(there.anchors, there.candidates);
        return TwoSidedOutput { value: there.value, rows: there.rows, anchors, ..TwoSidedOutput::default() };
    }
    let back = direction(candidates, anchors, of_columns);
    TwoSidedOutput {
        value: there.value + back.value,
        rows: there.rows,
        columns: back.rows,
        anchors: add(there.anchors, back.candidates),
        candidates: add(there.candidates, back.anchors),
        scale: 0.0,
    }
}

const CORRECTED: [(f64, f64); 5] = [(0.0, 0.0), (0.1, 0.0), (0.1, 1.0), (0.05, 0.3), (0.6, 2.0)];

#[test]
fn debiased_values_equal_those_row_by_row() {
    for (seed, (n, m, d)) in
        (24_000..).zip([(2usize, 2usize, 3usize), (7, 12, 4), (40, 33, 9), (300, 290, 8), (1030, 700, 5)])
    {
        let mut source = Source::new(seed);
        for (tau_plus, hardness) in CORRECTED {
            // the last just within the range of both exponentials
            for scale in [0.5, 3.0, 29.9 / (1.0 + hardness)] {
                let scale = f64::from(scale as f32);
                let loss = Debiased { scale, tau_plus, hardness };
                for table in [true, false] {
                    let what = format!("{n} x {m} x {d}, {loss:?}, table {table}");
                    let (n, m) = if table { (n.next_multiple_of(2), n.next_multiple_of(2)) } else { (n, m) };
                    let a = source.unit_rows(n, d);
                    let c = if table { a.clone() } else { source.unit_rows(m, d) };
                    // of two directions, what exceeds the other side has no positive
                    let positives = match table {
                        true => Sets::diagonal(n, n / 2, n),
                        false => {
                            Sets::of(&(0..n).map(|i| Vec::from_iter((i < m).then_some(i as u32))).collect::<Vec<_>>())
                        }
                    };
                    let transposed = positives.transposed(n, m);
                    let sets = [positives.view(), transposed.view()];
                    let want = row_by_row([&a, &c], d, loss, sets, table);
                    let got = debiased::<f64>([&a, &c], d, loss, sets, table);
                    let mut single = debiased::<f32>([&a, &c], d, loss, sets, table);
                    let want = TwoSidedOutput { scale: got.scale, ..want };
                    single.scale = got.scale as f32;
                    assert_agree(&got, &want, 1e-10, 1.0, &what);
                    assert_agree(&single, &want, 1e-4, scale.max(1.0), &what);
                }
            }
        }
    }
}

#[test]
fn debiased_values_of_logits_too_far_apart_for_one_exponential() {
    // lengths from 0.01 to 4 at scale 200, several tiles
    let mut source = Source::new(27_000);
    let (n, d) = (600, 5);
    let (mut rows, lengths) = (source.unit_rows(n, d), source.vector(n, 0.01, 4.0));
    for (row, length) in rows.chunks_exact_mut(d).zip(&lengths) {
        row.iter_mut().for_each(|x| *x = f64::from((*x * length) as f32));
    }
    let positives = Sets::diagonal(n, n / 2, n);
    let sets = [positives.view(), positives.view()];
    let loss = Debiased { scale: 200.0, tau_plus: 0.1, hardness: 0.0 };
    let want = row_by_row([&rows, &rows], d, loss, sets, true);
    let mut got = debiased::<f64>([&rows, &rows], d, loss, sets, true);
    got.scale = 0.0;
    assert_agree(&got, &want, 1e-10, 1.0, "f64");
    let mut single = debiased::<f32>([&rows, &rows], d, loss, sets, true);
    single.scale = 0.0;
    assert_agree(&single, &want, 1e-3, 200.0, "f32");
}

#[test]
fn the_scale_of_debiased_values_agrees_with_differences() {
    let mut source = Source::new(25_000);
    let (n, d) = (30, 6);
    let table = source.unit_rows(n, d);
    let positives = Sets::diagonal(n, n / 2, n);
    for (tau_plus, hardness) in [(0.0, 0.0), (0.01, 0.0), (0.01, 1.0), (0.0, 0.3)] {
        let at = |scale: f64| {
            let sets = [positives.view(), positives.view()];
            debiased::<f64>([&table, &table], d, Debiased { scale, tau_plus, hardness }, sets, true)
        };
        let (scale, step) = (1.5, 1e-5);
        let slope = (at(scale + step).value - at(scale - step).value) / (2.0 * step);
        let got = at(scale).scale;
        assert!((got - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{tau_plus} {hardness}: {got} instead of {slope}");
        let sets = [positives.view(), positives.view()];
        let single = debiased::<f32>([&table, &table], d, Debiased { scale, tau_plus, hardness }, sets, true).scale;
        assert!(
            (f64::from(single) - slope).abs() < 1e-4 * (1.0 + slope.abs()),
            "{tau_plus} {hardness}: {single} in f32"
        );
    }
}

#[test]
fn a_table_against_itself_is_evaluated_the_same_either_way() {
    // at scale 30 with hardness the exponentials do not share a reference: row by row
    let mut source = Source::new(26_000);
    let (n, d) = (90, 5);
    let rows = source.unit_rows(n, d);
    for scale in [2.0, 30.0] {
        for (tau_plus, hardness) in CORRECTED {
            // pairs of views; two positives in a row; a relation that is not symmetric; no positives; some pairs of views; groups whose
            // lists are not those of pairs
            let lists = |f: &dyn Fn(u32) -> Vec<u32>| Sets::of(&(0..n as u32).map(f).collect::<Vec<_>>());
            let of_three = |i: u32| (i / 3 * 3..i / 3 * 3 + 3).filter(|&j| j != i).collect();
            let cases = [
                Sets::diagonal(n, n / 2, n),
                lists(&of_three),
                lists(&|i| vec![(i + 1) % n as u32]),
                lists(&|_| vec![]),
            ];
            let none = lists(&|i| if i % 2 == 0 { vec![(i + 2) % n as u32] } else { vec![] });
            for (case, positives) in cases.iter().enumerate() {
                for excluded in [None, Some(none.view())] {
                    let loss = Debiased { scale, tau_plus, hardness };
                    let problem = RowProblem {
                        anchors: &rows[..],
                        candidates: &rows[..],
                        width: d,
                        positives: positives.view(),
                        excluded,
                        self_offset: Some(0),
                        wanted: Wanted::ALL,
                    };
                    let (got, want) = (evaluate_table(&problem, &loss), evaluate(&problem, &loss));
                    let what = format!("{loss:?}, case {case}, excluded {}", excluded.is_some());
                    let by_tiles = excluded.is_none() && [0, 3, 4].contains(&case) && (hardness == 0.0 || scale == 2.0);
                    assert_eq!(RowLoss::<f64>::table(&loss, &problem).is_some(), by_tiles, "{what}");
                    let whole: Vec<f64> = want.anchors.iter().zip(&want.candidates).map(|(a, c)| a + c).collect();
                    assert!((got.value - want.value).abs() < 1e-10 * (1.0 + want.value.abs()), "{what}");
                    assert!(difference(&got.rows, &want.rows, 1.0) < 1e-10, "{what}");
                    assert!(difference(&got.anchors, &whole, 1.0) < 1e-10, "{what}");
                    let value = evaluate_table(&RowProblem { wanted: Wanted::VALUE, ..problem }, &loss);
                    assert!((value.value - want.value).abs() < 1e-10 * (1.0 + want.value.abs()), "{what}");
                    assert!(value.anchors.is_empty(), "{what}");
                }
            }
        }
    }
}
