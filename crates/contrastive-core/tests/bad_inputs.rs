//! What bad input does to every objective: a table of (objective, input, outcome) that is itself the test.
//!
//! Finite input never gives NaN: degenerate rows, classes and denominators have a defined value and gradient. Input that is
//! not finite gives a value that is not finite (objectives with memory refuse it), never a number that looks sound;
//! training stops at it with an error that names the step. Shapes and labels that do not fit panic with both. Settings
//! that cannot be are errors that say what is allowed.

mod common;

use burn::tensor::{DType, Tensor};
use common::{tracked, values};
use contrastive_core::memory::Queue;
use contrastive_core::objective::*;
use contrastive_core::optimal_transport::OptimalTransport;
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use contrastive_core::similarity::Similarity;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A loss of two tables of equal size and the labels of the rows.
type Loss = Box<dyn Fn(Tensor<2>, Tensor<2>, &[i64]) -> Tensor<1>>;

/// A loss, and what is special about it.
struct Entry {
    name: &'static str,
    loss: Loss,
    /// What one row does.
    one_row: Outcome,
    /// What rows do that are not finite.
    not_finite: Outcome,
    /// Does it take one table under labels?
    labelled: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Outcome {
    /// Value and gradients are finite.
    Finite,
    /// The value is NaN or infinite.
    NotFinite,
    /// A panic whose message contains this.
    Panics(&'static str),
}
use Outcome::*;

fn entry(name: &'static str, loss: impl Fn(Tensor<2>, Tensor<2>, &[i64]) -> Tensor<1> + 'static) -> Entry {
    Entry { name, loss: Box::new(loss), one_row: Finite, not_finite: NotFinite, labelled: false }
}

fn labelled(name: &'static str, loss: impl Fn(Tensor<2>, &[i64]) -> Tensor<1> + 'static) -> Entry {
    Entry { labelled: true, ..entry(name, move |a, _, labels| loss(a, labels)) }
}

/// One row panics with this message.
fn alone(message: &'static str, entry: Entry) -> Entry {
    Entry { one_row: Panics(message), ..entry }
}

/// Rows that are not finite panic with this message.
fn refusing(message: &'static str, entry: Entry) -> Entry {
    Entry { not_finite: Panics(message), ..entry }
}

fn scalar(value: f64, like: &Tensor<2>) -> Tensor<1> {
    Tensor::from_data([value], (&like.device(), like.dtype()))
}

fn queue(of: &Tensor<2>) -> Queue {
    let [n, d] = of.dims();
    let mut queue = Queue::new(n.max(1), d, (&of.device(), of.dtype())).unwrap();
    queue.push(of.clone());
    queue
}

/// Rows for 6 classes, `each` for each.
fn class_rows(like: &Tensor<2>, each: usize) -> Tensor<2> {
    Tensor::<2>::ones([6 * each, like.dims()[1]], (&like.device(), like.dtype())).cumsum(1)
}

fn entries() -> Vec<Entry> {
    let cosine = |t: f64| PairObjective::new(t).unwrap();
    let uniform = || Uniformity::new(2.0).unwrap();
    vec![
        entry("InfoNCE", |a, c, _| InfoNce::new(0.1).unwrap().loss(a, c)),
        entry("InfoNCE of distances", move |a, c, _| {
            cosine(0.1).similarity(Similarity::NegativeSquaredDistance).loss(&Inputs::new(a, c))
        }),
        entry("InfoNCE, tiny temperature", |a, c, _| InfoNce::new(0.001).unwrap().loss(a, c)),
        entry("InfoNCE with pair terms", move |a, c, _| {
            let n = a.dims()[0];
            let table = Tensor::from_data([[1.5]], (&a.device(), a.dtype()));
            let term = PairTerm::classes(table, vec![0; n], vec![0; n]);
            cosine(0.1).loss(&Inputs::new(a, c).with_pair_scale(term))
        }),
        alone("two things at least", entry("NT-Xent", |a, c, _| NtXent::new(0.1).unwrap().loss(a, c))),
        entry("CLIP", |a, c, _| Clip::new(0.1).unwrap().loss(a, c)),
        alone("two things at least", entry("DCL", |a, c, _| Dcl::new(0.1).unwrap().loss(a, c))),
        alone("two things", entry("DCLW", |a, c, _| Dcl::new(0.1).unwrap().weighted(0.5).unwrap().loss(a, c))),
        entry("GRACE", |a, c, _| Grace::new(0.4).unwrap().loss(a, c)),
        entry("debiased", |a, c, _| DebiasedInfoNce::new(0.5, 0.1).unwrap().loss(a, c)),
        entry("hard negatives", |a, c, _| {
            DebiasedInfoNce::new(0.5, 0.1).unwrap().with_hardness(1.0).unwrap().loss(a, c)
        }),
        entry("MoCo", |a, c, _| Moco::new(0.1).unwrap().loss(a, c.clone(), &queue(&c))),
        entry("NNCLR", |a, c, _| NnClr::new(0.1).unwrap().loss(a, c.clone(), &queue(&c))),
        entry("ReSSL", |a, c, _| ReSsl::new(0.1, 0.04).unwrap().loss(a, c.clone(), &queue(&c))),
        entry("ranking", |a, c, _| MultipleNegativesRanking::new(0.05).unwrap().loss(a, c)),
        entry("bilinear", |a, c, _| {
            let w = Tensor::<2>::eye(a.dims()[1], &a.device());
            BilinearInfoNce::new().loss(a, c, w)
        }),
        entry("1-to-K", |a, c, _| {
            let [n, d] = c.dims();
            OneToK::new(0.1).unwrap().loss(a, c.reshape([n, 1, d]), None, None).unwrap()
        }),
        entry("SigLIP", |a, c, _| {
            let (scale, bias) = (scalar(10.0, &a), scalar(-10.0, &a));
            SigLip::new().loss(a, c, scale, bias)
        }),
        labelled("SupCon", |a, labels| SupCon::new(0.1).unwrap().loss(a, labels)),
        labelled("NT-Xent of labels", |a, labels| NtXent::new(0.1).unwrap().loss_with_labels(a, labels)),
        labelled("multi-similarity", |a, labels| MultiSimilarity::new(2.0, 50.0, 0.5).unwrap().loss(a, labels)),
        labelled("circle", |a, labels| Circle::new(0.4, 80.0).unwrap().loss(a, labels)),
        labelled("lifted structure", |a, labels| LiftedStructure::new(1.0).unwrap().loss(a, labels)),
        labelled("contrastive", |a, labels| {
            let objective = PairContrastive::of_distances(0.0, 1.0).unwrap().pairs(Pairs::labels(labels));
            objective.loss(&Inputs::within(a))
        }),
        labelled("NCA", |a, labels| Nca::new(10.0).unwrap().loss(a, labels)),
        labelled("triplet, all", |a, labels| Triplet::new(0.05).unwrap().loss(a, labels)),
        labelled("triplet, hard", |a, labels| {
            Triplet::new(0.05).unwrap().with_mining(Mining::Hard).unwrap().loss(a, labels)
        }),
        labelled("tuplet margin", |a, labels| TupletMargin::new(0.1, 64.0).unwrap().loss(a, labels)),
        labelled("FastAP", |a, labels| FastAp::new(10).unwrap().loss(a, labels)),
        labelled("intra-pair variance", |a, labels| IntraPairVariance::new(0.01, 0.01).unwrap().loss(a, labels)),
        labelled("hard triplets", |a, labels| HardTriplet::new(5.0).unwrap().loss(a, labels)),
        labelled("Proxy-Anchor", |a, labels| {
            let d = a.dims()[1];
            let proxies = Tensor::<2>::ones([6, d], (&a.device(), a.dtype())).cumsum(0);
            ProxyAnchor::new(0.1, 32.0).unwrap().loss(a, labels, proxies)
        }),
        labelled("ArcFace", |a, labels| {
            let d = a.dims()[1];
            let weights = Tensor::<2>::ones([6, d], (&a.device(), a.dtype())).cumsum(1);
            ClassMargin::arcface(0.5, 30.0).unwrap().loss(a, labels, weights)
        }),
        labelled("angular", |a, labels| Angular::new(0.7).unwrap().loss(a, labels)),
        labelled("lifted pairs", |a, labels| LiftedStructuredEmbedding::new(1.0).unwrap().loss(a, labels)),
        labelled("margin-based", |a, labels| {
            let betas = Tensor::<1>::from_data([1.2], (&a.device(), a.dtype()));
            MarginBased::new(0.2).unwrap().with_penalty(0.1).unwrap().loss(a, labels, betas)
        }),
        labelled("margin-based of classes", |a, labels| {
            let betas = class_rows(&a, 1).narrow(1, 0, 1).reshape([6]);
            MarginBased::new(0.2).unwrap().loss(a, labels, betas)
        }),
        labelled("ranked list", |a, labels| RankedList::new(0.4, 10.0).unwrap().loss(a, labels)),
        labelled("Smooth-AP", |a, labels| SmoothAp::new(0.01).unwrap().loss(a, labels)),
        labelled("PNP", |a, labels| Pnp::new(0.01).unwrap().loss(a, labels)),
        labelled("PNP, increasing", |a, labels| Pnp::new(0.01).unwrap().increasing().loss(a, labels)),
        labelled("histogram", |a, labels| Histogram::new(100).unwrap().loss(a, labels)),
        labelled("signal to noise", |a, labels| SignalToNoise::new(0.0, 1.0).unwrap().loss(a, labels)),
        labelled("threshold-consistent margin", |a, labels| {
            let objective = PairContrastive::of_similarities(0.9, 0.5).unwrap().weights(1.0, 2.0).unwrap();
            objective.pairs(Pairs::labels(labels)).loss(&Inputs::within(a))
        }),
        labelled("SoftTriple", |a, labels| {
            let (objective, centers) = (SoftTriple::new(20.0, 0.1, 0.01, 3).unwrap(), class_rows(&a, 3));
            objective.loss(a, labels, centers.clone()) + objective.regularizer(centers)
        }),
        labelled("sub-centre ArcFace", |a, labels| {
            let centers = class_rows(&a, 3);
            SubCenterArcFace::new(0.5, 64.0, 3).unwrap().loss(a, labels, centers)
        }),
        labelled("SphereFace", |a, labels| {
            let weights = class_rows(&a, 1);
            SphereFace::new(4, 1.0).unwrap().loss(a, labels, weights)
        }),
        labelled("large-margin softmax", |a, labels| {
            let weights = class_rows(&a, 1);
            LargeMarginSoftmax::new(4, 1.0).unwrap().loss(a, labels, weights)
        }),
        labelled("P2SGrad", |a, labels| {
            let weights = class_rows(&a, 1);
            P2sGrad::new().loss(a, labels, weights)
        }),
        refusing(
            "not finite",
            entry("dynamic soft margin", |a, c, _| {
                DynamicSoftMargin::new(10, 0.01).unwrap().loss(a, c).unwrap_or_else(|e| panic!("{e}"))
            }),
        ),
        labelled("Jensen-Shannon", |a, labels| {
            JensenShannon::new().pairs(Pairs::labels(labels)).loss(&Inputs::within(a))
        }),
        entry("N-pairs", |a, c, _| NPairs::new(0.02).unwrap().loss(a, c)),
        alone("at least two rows", entry("CACR", |a, c, _| Cacr::new(1.0, 2.0).unwrap().loss(&[a, c]))),
        entry("CACR with queries", |a, c, _| CacrInfoNce::new(0.1).unwrap().loss(&[a], &c)),
        entry("hard contrastive", |a, c, _| HardContrastive::new(0.2, 0.5).unwrap().loss(a, c)),
        entry("CoSENT", |a, c, labels| {
            let labels: Vec<f64> = labels.iter().map(|l| *l as f64).collect();
            CoSent::new(20.0).unwrap().loss(a, c, &labels)
        }),
        entry("AnglE", |a, c, labels| {
            let labels: Vec<f64> = labels.iter().map(|l| *l as f64).collect();
            AnglE::new(20.0).unwrap().loss(a, c, &labels)
        }),
        entry("listed pairs", |a, c, labels| {
            let alike: Vec<bool> = labels.iter().map(|l| *l == 0).collect();
            ListedPairs::new(0.5).unwrap().loss(a, c, &alike)
        }),
        refusing(
            "finite numbers",
            alone(
                "it must lie in 2 and more",
                entry("GroCo", |a, c, _| {
                    let k = (a.dims()[0] - 1).clamp(1, 3);
                    GroCo::new(k).unwrap().loss(&[a.clone(), c.clone(), a * 0.9, c * 1.1], 2)
                }),
            ),
        ),
        entry("TS2Vec", |a, c, _| {
            let cube = |x: Tensor<2>| {
                let [n, d] = x.dims();
                x.reshape([1, n, d])
            };
            Ts2Vec::new(0.5, 0).unwrap().loss(cube(a), cube(c))
        }),
        refusing(
            "are not finite",
            alone(
                "it needs at least 2 samples",
                entry("SogCLR", |a, c, labels| {
                    let samples: Vec<usize> = (0..labels.len()).collect();
                    SogClr::new(16, 0.1, Views::Alike).unwrap().loss(a, c, &samples).unwrap_or_else(|e| panic!("{e}"))
                }),
            ),
        ),
        refusing(
            "are not finite",
            alone(
                "it needs at least 2 samples",
                entry("iSogCLR", |a, c, labels| {
                    let samples: Vec<usize> = (0..labels.len()).collect();
                    let rule = TemperatureRule::bimodal();
                    ISogClr::new(16, rule, Views::Modalities)
                        .unwrap()
                        .loss(a, c, &samples)
                        .unwrap_or_else(|e| panic!("{e}"))
                }),
            ),
        ),
        entry("alignment", |a, c, _| Alignment::new(2.0).unwrap().loss(a, c)),
        alone("two at least", entry("uniformity", move |a, _, _| uniform().loss(a))),
        entry("Barlow Twins", |a, c, _| BarlowTwins::new(5e-3).unwrap().loss(a, c)),
        alone("two rows at least", entry("VICReg", |a, c, _| VicReg::default().loss(a, c))),
        entry("SimSiam", |a, c, _| negative_cosine(a, c)),
        labelled("PamC", |a, labels| {
            let n = a.dims()[0];
            let own: Vec<(u32, u32, f64)> = (0..n as u32).map(|i| (i, (i + 1) % n as u32, 1.0)).collect();
            let positives = contrastive_kernels::sparse::Csr::from_triplets(n, n, &own).unwrap();
            let clusters: Vec<u32> = labels.iter().map(|l| *l as u32).collect();
            PamC::new(0.5).unwrap().loss(&a, &SparsePositives::new(positives).unwrap(), &MetaNodes::new(&clusters))
        }),
    ]
}

/// What a loss does with rows `a` and `c`.
fn outcome(
    entry: &Entry,
    a: Vec<f64>,
    c: Vec<f64>,
    shapes: [[usize; 2]; 2],
    labels: &[i64],
) -> Result<Outcome, String> {
    let run = || {
        let [a, c] = [tracked(a, shapes[0], DType::F32), tracked(c, shapes[1], DType::F32)];
        let value = (entry.loss)(a.clone(), c.clone(), labels);
        let number = values(&value)[0];
        let tape = value.backward();
        let slopes: Vec<f64> = [a, c].iter().filter_map(|x| x.grad(&tape)).flat_map(|g| values(&g)).collect();
        (number, slopes)
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok((value, _)) if !value.is_finite() => Ok(NotFinite),
        Ok((value, slopes)) if value.is_finite() && slopes.iter().all(|g| g.is_finite()) => Ok(Finite),
        Ok((value, slopes)) => {
            let wrong = slopes.iter().filter(|g| !g.is_finite()).count();
            Err(format!("value {value}, {wrong} of {} gradients not finite", slopes.len()))
        }
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()))
            .unwrap_or_default()),
    }
}

fn expect(entry: &Entry, what: &str, want: Outcome, got: Result<Outcome, String>, wrong: &mut Vec<String>) {
    let fits = match (&got, want) {
        (Ok(got), want) => *got == want,
        (Err(message), Panics(part)) => message.contains(part),
        (Err(_), _) => false,
    };
    if !fits {
        wrong.push(format!("{}, {what}: {got:?} instead of {want:?}", entry.name));
    }
}

/// n rows of width 4, all different.
fn rows(n: usize, shift: f64) -> Vec<f64> {
    (0..n * 4).map(|k| ((k as f64 + shift) * 1.7).sin()).collect()
}

#[test]
fn degenerate_rows_have_a_defined_value() {
    let (n, labels) = (6, [0, 0, 1, 1, 2, 2]);
    let shapes = [[n, 4]; 2];
    let mut wrong = Vec::new();
    for entry in entries() {
        let mut finite = |what: &str, a: Vec<f64>, c: Vec<f64>, labels: &[i64]| {
            expect(&entry, what, Finite, outcome(&entry, a, c, shapes, labels), &mut wrong);
        };
        finite("sound rows", rows(n, 0.0), rows(n, 0.3), &labels);
        let mut zero = rows(n, 0.0);
        zero[..4].fill(0.0);
        finite("a row of zeros", zero, rows(n, 0.3), &labels);
        finite("only zeros", vec![0.0; n * 4], vec![0.0; n * 4], &labels);
        let same: Vec<f64> = rows(1, 0.0).repeat(n);
        finite("equal rows", same.clone(), same.clone(), &labels);
        finite("opposite rows", same.clone(), same.iter().map(|x| -x).collect(), &labels);
        finite("large rows", rows(n, 0.0).iter().map(|x| x * 1e3).collect(), rows(n, 0.3), &labels);
        finite("small rows", rows(n, 0.0).iter().map(|x| x * 1e-8).collect(), rows(n, 0.3), &labels);
        finite("no positives in some rows", rows(n, 0.0), rows(n, 0.3), &[0, 0, 1, 2, 3, 4]);
        finite("no positives at all", rows(n, 0.0), rows(n, 0.3), &[0, 1, 2, 3, 4, 5]);
        finite("no negatives", rows(n, 0.0), rows(n, 0.3), &[0; 6]);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_row_and_two() {
    let mut wrong = Vec::new();
    for entry in entries() {
        let one = outcome(&entry, rows(1, 0.0), rows(1, 0.3), [[1, 4]; 2], &[0]);
        expect(&entry, "one row", entry.one_row, one, &mut wrong);
        let two = outcome(&entry, rows(2, 0.0), rows(2, 0.3), [[2, 4]; 2], &[0, 0]);
        expect(&entry, "two rows", Finite, two, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_no_number_stays_none() {
    let (n, labels) = (6, [0, 0, 1, 1, 2, 2]);
    let mut wrong = Vec::new();
    for entry in entries() {
        for (what, bad) in [("NaN", f64::NAN), ("inf", f64::INFINITY), ("-inf", f64::NEG_INFINITY)] {
            for at in [0, 5 * 4 + 2] {
                let mut a = rows(n, 0.0);
                a[at] = bad;
                let got = outcome(&entry, a, rows(n, 0.3), [[n, 4]; 2], &labels);
                expect(&entry, &format!("{what} at {at}"), entry.not_finite, got, &mut wrong);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn shapes_that_do_not_fit_panic() {
    let mut wrong = Vec::new();
    for entry in entries() {
        let none = outcome(&entry, Vec::new(), Vec::new(), [[0, 4]; 2], &[]);
        if none.is_ok() {
            wrong.push(format!("{}, no rows: {none:?}", entry.name));
        }
        if entry.labelled {
            let few = outcome(&entry, rows(4, 0.0), rows(4, 0.3), [[4, 4]; 2], &[0, 0, 1]);
            if few.is_ok() {
                wrong.push(format!("{}, three labels of four rows: {few:?}", entry.name));
            }
        } else if entry.name != "uniformity" {
            let wide: Vec<f64> = rows(5, 0.3);
            let widths = outcome(&entry, rows(4, 0.0), wide, [[4, 4], [4, 5]], &[0, 0, 1, 1]);
            let shown = widths.as_ref().err().is_some_and(|m| m.contains('4') && m.contains('5'));
            if !shown {
                wrong.push(format!("{}, widths 4 and 5: {widths:?}", entry.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn settings_that_cannot_be_are_errors() {
    let message = |e: Result<String, String>| e.unwrap_err();
    fn of<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<String, String> {
        result.map(|_| String::new()).map_err(|e| e.to_string())
    }
    let lists = |offsets: Vec<usize>, columns: Vec<u32>, weights: Option<Vec<f64>>| {
        of(PairLists::new(offsets, columns, weights))
    };
    let mut table: Vec<(Result<String, String>, &str)> = Vec::new();
    for t in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        table.push((of(InfoNce::new(t)), "temperature"));
        table.push((of(NtXent::new(t)), "temperature"));
        table.push((of(SupCon::new(t)), "temperature"));
        table.push((of(Clip::new(t)), "temperature"));
        table.push((of(Dcl::new(t)), "temperature"));
        table.push((of(Moco::new(t)), "temperature"));
        table.push((of(OneToK::new(t)), "temperature"));
        table.push((of(LogSums::new(t)), "temperature"));
        table.push((of(ReSsl::new(0.1, t)), "temperature"));
        table.push((of(PamC::new(t)), "tau"));
        table.push((of(Uniformity::new(t)), "above 0"));
    }
    table.push((lists(vec![0, 1], vec![0], Some(vec![-0.5])), "weight -0.5 of entry 0"));
    table.push((lists(vec![0, 2], vec![3, 3], None), "not strictly ascending"));
    table.push((of(PairObjective::new(0.1).unwrap().denominator_offset(-1.0)), "denominator offset -1"));
    table.push((of(PairObjective::new(0.1).unwrap().positive_clamp(0.0)), "clamp of the positive logits 0"));
    table.push((of(PairObjective::new(0.1).unwrap().direction_weights(f64::NAN, 1.0)), "weight of a direction NaN"));
    let inside = PairObjective::new(0.1).unwrap().placement(Placement::Inside).denominator(Denominator::OwnPositive);
    table.push((of(inside.validate()), "no sum inside the logarithm"));
    table.push((of(Queue::new(0, 4, &common::device())), "at least 1"));
    table.push((of(Triplet::new(-0.1)), "margin"));
    table.push((of(Angular::new(2.0)), "alpha 2"));
    table.push((of(SubCenterArcFace::new(0.5, 64.0, 0)), "1 and more"));
    table.push((of(SphereFace::new(0, 1.0)), "1 to 16"));
    table.push((of(DebiasedInfoNce::new(0.5, 1.0)), "positives"));
    table.push((of(GroCo::new(6).unwrap().validate(6, 4, 2)), "one less than the images"));
    table.push((of(SogClr::new(0, 0.1, Views::Alike)), "0"));
    // a plan that two iterations cannot reach, and masses that differ
    let plan = |rows: [f64; 2], iterations: usize| {
        let device = common::device();
        let cost = Tensor::<2>::from_data([[0.0, 1.0], [0.7, 0.1]], &device);
        let masses = |m: [f64; 2]| Tensor::<1>::from_data(m, &device);
        let transport = OptimalTransport::new(0.01).unwrap().with_iterations(iterations).unwrap();
        of(transport.plan(cost, masses(rows), masses([0.5, 0.5])))
    };
    table.push((plan([0.2, 0.8], 2), "2 iterations"));
    table.push((plan([0.2, 0.7], 100), "sum"));
    for (got, part) in table {
        let message = message(got);
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

#[test]
#[should_panic(expected = "candidate Some(7)")]
fn ids_beyond_the_rows_panic() {
    let rows = tracked(rows(4, 0.0), [4, 4], DType::F32);
    let lists = PairLists::one_each(vec![0, 1, 2, 7]);
    PairObjective::new(0.1).unwrap().pairs(Pairs::Lists(Arc::new(lists))).loss(&Inputs::new(rows.clone(), rows));
}

#[test]
fn rows_that_are_compared_with_nothing_count_for_nothing() {
    let n = 4;
    let x = tracked(rows(n, 0.0), [n, 4], DType::F32);
    let all =
        PairLists::new((0..=n).map(|i| i * n).collect(), (0..n).flat_map(|_| 0..n as u32).collect(), None).unwrap();
    for denominator in [Denominator::WithPositives, Denominator::NegativesOnly, Denominator::OwnPositive] {
        let objective = PairObjective::new(0.1).unwrap().denominator(denominator);
        let objective = objective.exclusions(Exclusions::lists(all.clone()));
        let value = objective.loss(&Inputs::new(x.clone(), x.clone()));
        assert_eq!(values(&value), [0.0], "{denominator:?}");
        let gradient = x.grad(&value.backward()).expect("a gradient");
        assert!(values(&gradient).iter().all(|g| *g == 0.0), "{denominator:?}");
    }
}
