//! Cases that are not the same for every objective.

use crate::bad_inputs::{Seen, panics, rows, seen, text};
use crate::common::{device, tracked, values};
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::cluster::{KMeans, k_means};
use contrastive_core::memory::Queue;
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use contrastive_core::similarity::Similarity;
use contrastive_core::synthesis::Mochi;
use std::collections::BTreeMap;
use std::sync::Arc;

fn table(n: usize, shift: f64) -> Tensor<2> {
    tracked(rows(n, 4, shift), [n, 4], DType::F32)
}

/// Everything, for each of n anchors.
fn all(n: usize, m: usize) -> PairLists {
    PairLists::new((0..=n).map(|i| i * m).collect(), (0..n).flat_map(|_| 0..m as u32).collect(), None).unwrap()
}

fn message<T>(f: impl FnOnce() -> T) -> String {
    panics(f).err().unwrap_or_default()
}

/// Is value and gradient of these inputs 0?
#[track_caller]
fn zero(value: Tensor<1>, of: &[&Tensor<2>], what: &str) {
    let number = values(&value)[0];
    let tape = value.backward();
    let slopes: Vec<f64> = of.iter().filter_map(|x| x.grad(&tape)).flat_map(|g| values(&g)).collect();
    assert_eq!(number, 0.0, "{what}");
    assert!(slopes.iter().all(|g| *g == 0.0), "{what}: {slopes:?}");
}

#[test]
fn rows_that_are_compared_with_nothing_count_for_nothing() {
    let n = 4;
    let (a, c) = (table(n, 0.0), table(n, 0.3));
    let exclusions = || Exclusions::lists(all(n, n));
    for portable in [false, true] {
        let _bodies = contrastive_core::testing::portable(portable);
        for denominator in [Denominator::WithPositives, Denominator::NegativesOnly, Denominator::OwnPositive] {
            for direction in [Direction::Forward, Direction::Both] {
                let objective =
                    PairObjective::new(0.1).unwrap().with_denominator(denominator).with_direction(direction);
                let value = objective.with_exclusions(exclusions());
                let what = format!("{denominator:?}, {direction:?}, portable: {portable}");
                zero(value.loss(&Inputs::new(a.clone(), c.clone())), &[&a, &c], &what);
            }
        }
        let objective = PairObjective::new(0.1).unwrap().with_placement(Placement::Inside);
        let value = objective.with_exclusions(exclusions()).loss(&Inputs::new(a.clone(), c.clone()));
        zero(value, &[&a, &c], "inside");

        for form in [HardContrastive::new(0.2, 0.5).unwrap(), HardContrastive::simple(1.0, 0.5).unwrap()] {
            let inputs = Inputs::new(a.clone(), c.clone());
            let value = form.loss_of(&inputs, &Pairs::Diagonal, &exclusions());
            zero(value, &[&a, &c], &format!("hard contrastive, portable: {portable}"));
        }
        for form in [PairContrastive::of_distances(0.0, 2.0), PairContrastive::of_similarities(0.9, -0.9)] {
            let form = form.unwrap().with_exclusions(exclusions());
            let value = form.loss(&Inputs::new(a.clone(), c.clone()));
            zero(value, &[&a, &c], &format!("pair contrastive, portable: {portable}"));
        }
        let sums = LogSums::new(0.1).unwrap().with_exclusions(exclusions());
        let inputs = Inputs::new(a.clone(), c.clone());
        assert_eq!(sums.values(&inputs), [f64::NEG_INFINITY; 4], "log-sums of nothing");
        zero(sums.loss(&inputs, vec![1.0; n]), &[&a, &c], "log-sums of nothing");
    }
    let cube = |x: &Tensor<2>| -> Tensor<3> { x.clone().reshape([2, 2, 4]) };
    let groups = Grouped::new(PairObjective::new(0.1).unwrap().with_exclusions(Exclusions::lists(all(2, 2))));
    zero(groups.loss(&GroupedInputs::new(cube(&a), cube(&c))), &[&a, &c], "groups");
    // MoCHi has no pool then
    let mut queue = Queue::labelled(4, 4, (&device(), DType::F32)).unwrap();
    queue.push_labelled(table(4, 0.7), &[0; 4]);
    let mochi = Mochi::new(0.2, 3, 2, 1).unwrap();
    let error = mochi.evaluate(a, c, &queue, Some(&[0; 4]), 0, 0).unwrap_err().to_string();
    assert!(error.contains("query 0: 0 negatives for a pool of the 3 hardest"), "{error}");
}

#[test]
fn ids_and_weights_of_another_number_panic() {
    let (a, c) = (table(4, 0.0), table(5, 0.3));
    let inputs = || Inputs::new(a.clone(), c.clone());
    let cosine = || PairObjective::new(0.1).unwrap();
    let weights = |n: usize| Arc::new(vec![1.0; n]);
    let far = Pairs::one_each(vec![0, 1, 2, 7]);
    let long = Pairs::one_each(vec![0, 1, 2, 3, 4]);
    let beyond = Exclusions::lists(PairLists::one_each(vec![0, 1, 2, 9]));
    let table: Vec<(&str, PairObjective, &[&str])> = vec![
        ("a candidate beyond", cosine().with_pairs(far), &["candidate Some(7)", "there are 5"]),
        ("lists of five", cosine().with_pairs(long), &["for 5 anchors", "4 anchors"]),
        ("labels of few", cosine().with_pairs(Pairs::labels_between(&[0; 3], &[0; 5])), &["[3, 5]", "[4, 5]"]),
        ("labels of many", cosine().with_pairs(Pairs::labels_between(&[0; 4], &[0; 6])), &["[4, 6]", "[4, 5]"]),
        ("an exclusion beyond", cosine().with_exclusions(beyond), &["candidate Some(9)", "there are 5"]),
        ("ids of many", cosine().with_exclusions(Exclusions::same_ids(&[0; 5], &[0; 5])), &["[5, 5]", "[4, 5]"]),
        ("row weights", cosine().with_reduction(Reduction::Weighted(weights(5))), &["5", "4"]),
        ("positive weights", cosine().with_positive_weights(PositiveWeights::PerAnchor(weights(3))), &["3", "4"]),
        ("denominator weights", cosine().with_denominator_weights(weights(5)), &["5", "4"]),
        ("views", cosine().with_pairs(Pairs::TwoViews), &["4 anchors", "5 candidates"]),
        ("paired positives", cosine().with_pairs(Pairs::Beside), &["positives beside the candidates"]),
    ];
    for (what, objective, parts) in table {
        let message = message(|| objective.loss(&inputs()));
        assert!(parts.iter().all(|part| message.contains(part)), "{what}: {message:?}");
    }
    let marks = message(|| ListedPairs::new(0.5).unwrap().loss(a.clone(), a.clone(), &[true; 5]));
    assert!(marks.contains('5') && marks.contains('4'), "{marks:?}");
    let real = message(|| sampled_bce(a.clone(), a.clone(), a.clone(), &[true; 5]));
    assert!(real.contains('5') && real.contains('4'), "{real:?}");
    let samples = SogClr::new(16, 0.1, Views::Alike).unwrap().loss(a.clone(), a.clone(), &[0, 1, 2]);
    assert!(samples.unwrap_err().to_string().contains("3 sample numbers for 4 rows"));
    let beyond = SogClr::new(16, 0.1, Views::Alike).unwrap().loss(a.clone(), a.clone(), &[0, 1, 2, 16]);
    assert!(beyond.unwrap_err().to_string().contains("sample 16"));
    let scores = message(|| CoSent::new(20.0).unwrap().loss(a.clone(), a.clone(), &[0.0; 5]));
    assert!(scores.contains('5') && scores.contains('4'), "{scores:?}");
}

#[test]
fn queues_are_no_larger_than_their_data() {
    let queue = |capacity| Queue::new(capacity, 4, &device()).unwrap();
    let error = queue(11).with_dataset_size(10).unwrap_err().to_string();
    assert!(error.contains("a queue of 11 rows for a data set of 10 samples"), "{error}");
    assert_eq!(queue(10).with_dataset_size(10).unwrap().capacity(), 10);
    let queues = |capacity| SwAvQueues::new(2, capacity, 4, 4, &device()).unwrap();
    let error = queues(12).with_dataset_size(10).unwrap_err().to_string();
    assert!(error.contains("a queue of 12 rows for a data set of 10 samples"), "{error}");
    assert!(queues(8).with_dataset_size(10).is_ok());
    let error = SwAvQueues::new(2, 10, 4, 4, &device()).unwrap_err().to_string();
    assert!(error.contains("10 rows and batches of 4"), "{error}");
}

/// Queues that hold nothing yet.
#[test]
fn empty_queues() {
    let (a, c) = (table(3, 0.0), table(3, 0.3));
    let queue = Queue::new(8, 4, (&device(), DType::F32)).unwrap();
    zero(Moco::new(0.1).unwrap().loss(a.clone(), c.clone(), &queue), &[&a, &c], "MoCo");
    let mochi = Mochi::new(0.2, 3, 2, 1).unwrap();
    zero(mochi.loss(a.clone(), c.clone(), &queue, 0, 0).unwrap(), &[&a, &c], "MoCHi");
    let nnclr = message(|| NnClr::new(0.1).unwrap().loss(a.clone(), c.clone(), &queue));
    assert!(nnclr.contains("[3, 4] rows in an empty support"), "{nnclr:?}");
    let ressl = message(|| ReSsl::new(0.1, 0.04).unwrap().loss(a.clone(), c.clone(), &queue));
    assert!(ressl.contains("[3, 4] rows to an empty queue"), "{ressl:?}");
    // a pool larger than the queue
    let mut few = queue;
    few.push(table(2, 0.7));
    let error = mochi.loss(a, c, &few, 0, 0).unwrap_err().to_string();
    assert!(error.contains("2 negatives for a pool of the 3 hardest"), "{error}");
}

#[test]
fn more_wanted_than_there_is() {
    let mut x = rows(6, 4, 0.0);
    let labels = [0, 0, 1, 1, 1, 2];
    let inputs = |x: &[f64]| Inputs::self_contrast(tracked(x.to_vec(), [6, 4], DType::F32));
    let pairs = Pairs::labels(&labels);
    let counts = |found: &TopK<f64>| (0..6).map(|i| found.row(i).0.len()).collect::<Vec<_>>();
    assert_eq!(counts(&hardest_negatives(&inputs(&x), &pairs, Similarity::Cosine, 50)), [4, 4, 3, 3, 3, 5]);
    assert_eq!(counts(&hardest_positives(&inputs(&x), &pairs, Similarity::Cosine, 50)), [1, 1, 2, 2, 2, 0]);
    let below = negatives_below(&inputs(&x), &pairs, Similarity::Cosine, &[2.0; 6], 50);
    assert_eq!(counts(&below), [4, 4, 3, 3, 3, 5]);
    assert_eq!(counts(&semi_hard_negatives(&inputs(&x), &pairs, Similarity::Cosine, 50))[5], 0);
    // NaN comes first
    x[4 * 4] = f64::NAN;
    let found = hardest_negatives(&inputs(&x), &pairs, Similarity::Cosine, 2);
    assert_eq!((found.row(0).0[0], found.row(0).1[0].is_nan()), (4, true));

    let error = k_means(&table(6, 0.0), &KMeans::new(7, 0)).unwrap_err().to_string();
    assert!(error.contains('7') && error.contains('6'), "{error}");
    let error = k_means(&table(6, 0.0), &KMeans::new(0, 0)).unwrap_err().to_string();
    assert!(error.contains('0') && error.contains('6'), "{error}");
    assert!(k_means(&table(6, 0.0), &KMeans::new(6, 0)).is_ok());
    let error = k_means(&tracked(x, [6, 4], DType::F32), &KMeans::new(2, 0)).unwrap_err().to_string();
    assert!(error.contains('4') && error.contains("NaN"), "{error}");
}

/// The inverse temperature as an input.
#[test]
fn scales_that_cannot_be() {
    let (a, c) = (table(4, 0.0), table(4, 0.3));
    let run = |objective: &PairObjective, scale: &[f64]| {
        seen(|| {
            let scale = tracked(scale.to_vec(), [scale.len()], DType::F32);
            Ok((objective.loss(&Inputs::new(a.clone(), c.clone()).with_scale(scale)), vec![a.clone(), c.clone()]))
        })
    };
    let one_way = PairObjective::with_input_scale();
    let both = PairObjective::with_input_scale().with_direction(Direction::Both);
    let offset = PairObjective::with_input_scale().with_denominator_offset(1e-8).unwrap();
    for bad in [0.0, -1.0, f64::INFINITY, 1e-10, 3e9] {
        for objective in [&one_way, &both, &offset] {
            let seen = run(objective, &[bad]);
            let named = matches!(&seen, Seen::Panic(m) if m.contains("scale") && m.contains("outside 1e-9 to 2e9"));
            assert!(named, "{bad}: {seen:?}");
        }
        let seen = run(&one_way, &[10.0, bad, 10.0, 10.0]);
        let named = matches!(&seen, Seen::Panic(m) if m.contains("of row 1 "));
        assert!(named, "{bad}: {seen:?}");
        let seen = seen_versions(bad);
        assert!(matches!(&seen, Seen::Panic(m) if m.contains("scale")), "1-to-K, {bad}: {seen:?}");
    }
    for objective in [&one_way, &both, &offset] {
        let seen = run(objective, &[f64::NAN]);
        assert!(matches!(&seen, Seen::NoNumber), "NaN: {seen:?}");
    }
    let seen = run(&one_way, &[10.0, f64::NAN, 10.0, 10.0]);
    assert!(matches!(&seen, Seen::NoNumber), "NaN in a row: {seen:?}");
    // tensor operations do not wait for the device to look at it: the value is NaN
    let _bodies = contrastive_core::testing::portable(true);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-10, 3e9] {
        for scales in [vec![bad], vec![10.0, bad, 10.0, 10.0]] {
            let seen = run(&one_way, &scales);
            assert!(matches!(seen, Seen::NoNumber), "{scales:?}: {seen:?}");
        }
    }
    // one that is missing, and one too many
    let missing = message(|| PairObjective::with_input_scale().loss(&Inputs::new(a.clone(), c.clone())));
    assert!(missing.contains("the inputs have none"), "{missing:?}");
    let twice = run(&PairObjective::new(0.1).unwrap(), &[1.0]);
    assert!(matches!(&twice, Seen::Panic(m) if m.contains("0.1") && m.contains("scale")), "{twice:?}");
    let three = run(&PairObjective::with_input_scale(), &[1.0; 3]);
    assert!(matches!(&three, Seen::Panic(m) if m.contains('3') && m.contains('4')), "{three:?}");
}

fn seen_versions(scale: f64) -> Seen {
    seen(|| {
        let (a, c) = (table(4, 0.0), table(4, 0.3));
        let scale = tracked(vec![scale], [1], DType::F32);
        let versions = c.clone().reshape([4, 1, 4]);
        let value = text(OneToK::with_input_scale().loss(a.clone(), versions, Some(scale), None))?;
        Ok((value, vec![a, c]))
    })
}

#[test]
fn versions_that_are_not_there_are_errors() {
    let a = table(3, 0.0);
    let objective = || OneToK::new(0.1).unwrap();
    for present in [None, Some(&[][..])] {
        let none = Tensor::<3>::zeros([3, 0, 4], (&a.device(), a.dtype()));
        let error = objective().loss(a.clone(), none, None, present).unwrap_err().to_string();
        assert!(error.contains("instances without versions"), "{error}");
    }
    let two = table(6, 0.3).reshape([3, 2, 4]);
    let present = [true, false, false, false, true, true];
    let error = objective().loss(a, two, None, Some(&present)).unwrap_err().to_string();
    assert!(error.contains("instance 1 has no version"), "{error}");
}

/// Weights of positives inside the logarithm.
#[test]
fn weights_inside_the_logarithm() {
    let (a, c) = (table(4, 0.0), table(4, 0.3));
    let of = |weights: &[f64]| {
        let weights = PositiveWeights::PerAnchor(Arc::new(weights.to_vec()));
        PairObjective::new(0.1).unwrap().with_placement(Placement::Inside).with_positive_weights(weights)
    };
    let inputs = Inputs::new(a.clone(), c.clone());
    let negative = message(|| of(&[1.0, 1.0, -1.0, 1.0]).loss(&inputs));
    assert!(negative.contains("negative weights of positives need the sum outside"), "{negative:?}");
    // a row whose weights are all 0 has the value 0
    let weights = [1.0, 0.0, 1.0, 1.0];
    let native = of(&weights).evaluate(&inputs, Wanted::ALL);
    let portable = contrastive_core::testing::portably(|| of(&weights).evaluate(&inputs, Wanted::ALL));
    for result in [&native, &portable] {
        assert_eq!(values(&result.rows)[1], 0.0);
        let slopes = values(result.gradients.anchors.as_ref().unwrap());
        assert!(slopes[4..8].iter().all(|g| *g == 0.0), "{slopes:?}");
    }
    let dense = values(&of(&weights).dense(&inputs))[0];
    for value in [values(&native.value)[0], values(&portable.value)[0]] {
        assert!((value - dense).abs() < 1e-5 * (1.0 + dense.abs()), "{value}, not {dense}");
    }
    zero(of(&[0.0; 4]).loss(&inputs), &[&a, &c], "only weights of 0");
}

/// A row that takes part in no comparison that counts has no value of its own, but no gradients that are numbers either: it shows.
#[test]
fn rows_that_are_no_numbers_and_are_compared_with_nothing() {
    let run = |bad: usize, portable: bool| {
        let _bodies = contrastive_core::testing::portable(portable);
        let mut x = rows(4, 4, 0.0);
        x[bad * 4] = f64::NAN;
        let a = tracked(x, [4, 4], DType::F32);
        // anchor 3 has no positives
        let pairs = Pairs::Lists(Arc::new(PairLists::new(vec![0, 1, 2, 3, 3], vec![0, 1, 2], None).unwrap()));
        let objective = PairObjective::new(0.1).unwrap().with_pairs(pairs).with_reduction(Reduction::MeanWithPositives);
        let c = table(4, 0.3);
        seen(|| Ok((objective.loss(&Inputs::new(a.clone(), c.clone())), vec![a, c])))
    };
    for (bad, portable) in [(2, false), (2, true), (3, false), (3, true)] {
        let seen = run(bad, portable);
        assert!(matches!(seen, Seen::NoNumber), "anchor {bad}, portable {portable}: {seen:?}");
    }
    let x = tracked([vec![f64::NAN; 4], rows(1, 4, 0.0)].concat(), [2, 4], DType::F32);
    let alone = seen(|| Ok((SupCon::new(0.1).unwrap().loss(x.clone(), &[0, 1]), vec![x])));
    assert!(matches!(alone, Seen::NoNumber), "{alone:?}");
    // among its own kind it is everybody's candidate
    let mut x = rows(5, 4, 0.0);
    x[4 * 4] = f64::NAN;
    let x = tracked(x, [5, 4], DType::F32);
    let seen = seen(|| Ok((SupCon::new(0.1).unwrap().loss(x.clone(), &[0, 0, 1, 1, 2]), vec![x])));
    assert!(matches!(seen, Seen::NoNumber), "{seen:?}");
}

/// A row without positives is no anchor of the mean, but a candidate of the others.
#[test]
fn rows_without_positives_stay_candidates() {
    let (n, labels) = (5, [0, 0, 1, 1, 2]);
    let run = |objective: &PairObjective, x: &Tensor<2>, itself: bool| {
        let inputs = match itself {
            true => Inputs::self_contrast(x.clone()),
            false => Inputs::new(x.clone().slice([0..n - 1, 0..4]), x.clone()),
        };
        let value = objective.loss(&inputs);
        let tape = value.backward();
        (values(&value)[0], values(&x.grad(&tape).expect("a gradient")))
    };
    let of_labels = NtXent::new(0.1).unwrap().objective().clone().with_denominator(Denominator::OwnPositive);
    let of_labels = of_labels.with_positive_weights(PositiveWeights::Sum).with_reduction(Reduction::MeanOverPairs);
    for objective in [SupCon::new(0.1).unwrap().objective(&labels), of_labels.with_pairs(Pairs::labels(&labels))] {
        let x = table(n, 0.0);
        let whole = run(&objective, &x, true);
        let others = objective.with_pairs(Pairs::labels_between(&labels[..n - 1], &labels));
        let without = run(&others.with_exclusions(Exclusions::own_row(0)), &x, false);
        let gap = whole.1.iter().zip(&without.1).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!((whole.0 - without.0).abs() < 1e-5 && gap < 1e-5, "{} and {}, gradients {gap:e}", whole.0, without.0);
    }
    let (x, n) = (table(5, 0.0), 5);
    let value = values(&NtXent::new(0.1).unwrap().loss_with_labels(x.clone(), &labels))[0];
    let objective = NtXent::new(0.1).unwrap().objective().clone().with_denominator(Denominator::OwnPositive);
    let objective = objective.with_positive_weights(PositiveWeights::Sum).with_reduction(Reduction::MeanOverPairs);
    let again = values(&objective.with_pairs(Pairs::labels(&labels)).loss(&Inputs::self_contrast(x)))[0];
    assert!((value - again).abs() < 1e-6, "{value} and {again} of {n} rows");
}

/// Padding is left out: value and gradients are those of the batch without it.
#[test]
fn padding_is_left_out() {
    let x = [table(5, 0.0), table(5, 0.3), table(5, 0.6)];
    let run = |x: &[Tensor<2>; 3], real: &[bool]| {
        let [s, p, n] = x.clone();
        let value = sampled_bce(s, p, n, real);
        let tape = value.backward();
        let slopes: Vec<Vec<f64>> = x.iter().map(|x| values(&x.grad(&tape).expect("a gradient"))).collect();
        (values(&value)[0], slopes)
    };
    let (value, slopes) = run(&x, &[true, true, true, true, false]);
    let short = [0.0, 0.3, 0.6].map(|shift| tracked(rows(5, 4, shift)[..16].to_vec(), [4, 4], DType::F32));
    let (wanted, without) = run(&short, &[true; 4]);
    assert!((value - wanted).abs() < 1e-6, "{value}, not {wanted}");
    for (slopes, without) in slopes.iter().zip(&without) {
        assert!(slopes[..16].iter().zip(without).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!(slopes[16..].iter().all(|g| *g == 0.0), "{slopes:?}");
    }
    let (value, slopes) = run(&x, &[false; 5]);
    assert!(value == 0.0 && slopes.iter().flatten().all(|g| *g == 0.0), "only padding: {value}");
}

#[test]
fn ranking_and_penalties_of_no_rows_panic() {
    let none = || Tensor::<2>::zeros([0, 4], (&device(), DType::F32));
    let scores = || Tensor::<1>::zeros([0], (&device(), DType::F32));
    assert!(message(|| bpr(none(), none(), none())).contains("no rows"));
    assert!(message(|| bpr_from_scores(scores(), scores())).contains("no rows"));
    assert!(message(|| embedding_penalty(vec![none()])).contains("no rows"));
    assert!(message(|| embedding_penalty(Vec::new())).contains("at least one table"));
}

/// Objectives that know neither scales nor terms of pairs do not pass over them.
#[test]
fn inputs_that_an_objective_does_not_know_panic() {
    let (a, c) = (table(4, 0.0), table(4, 0.3));
    let plain = || Inputs::new(a.clone(), c.clone());
    let term = || PairTerm::matrix(Tensor::ones([4, 4], (&device(), DType::F32)));
    let one = || Tensor::<1>::ones([1], (&device(), DType::F32));
    let kinds: [(&str, &dyn Fn() -> Inputs); 4] = [
        ("a scale of pairs", &|| plain().with_pair_scale(term())),
        ("a bias of pairs", &|| plain().with_pair_bias(term())),
        ("a scale", &|| plain().with_scale(one())),
        ("a bias", &|| plain().with_bias(Tensor::ones([4], (&device(), DType::F32)))),
    ];
    for (kind, inputs) in kinds {
        let hard = HardContrastive::new(0.2, 0.5).unwrap();
        let table = [
            ("Jensen-Shannon", message(|| JensenShannon::new().loss(&inputs()))),
            ("contrastive", message(|| PairContrastive::of_distances(0.0, 1.0).unwrap().loss(&inputs()))),
            ("hard contrastive", message(|| hard.loss_of(&inputs(), &Pairs::Diagonal, &Exclusions::none()))),
            ("mining", message(|| hardest_negatives(&inputs(), &Pairs::Diagonal, Similarity::Cosine, 2))),
        ];
        for (objective, message) in table {
            assert!(message.contains("scale") && message.contains("bias"), "{objective}, {kind}: {message:?}");
        }
    }
    // and a term of other pairs
    let term = PairTerm::matrix(Tensor::ones([4, 5], (&device(), DType::F32)));
    let other = message(|| PairObjective::new(0.1).unwrap().loss(&plain().with_pair_scale(term)));
    assert!(other.contains("[4, 5]") && other.contains("[4, 4]"), "{other:?}");
}

/// Noise samples where the model has no density, and a NaN normaliser.
#[test]
fn densities_of_nothing() {
    let column = |values: [f64; 3]| tracked(values.to_vec(), [3], DType::F32);
    let noise = || column([f64::NEG_INFINITY, 0.2, -0.4]);
    let step = Meco::new(0.1).unwrap().loss(column([0.1; 3]), noise(), column([0.0; 3])).unwrap();
    assert!(values(&step.loss)[0].is_finite());
    assert_eq!(step.seen.weights[0], 0.0);
    let nce = |c: f64| {
        let c = tracked(vec![c], [1], DType::F32);
        let value = BinaryNce.loss([column([0.1; 3]), column([0.0; 3])], [noise(), column([0.0; 3])], c);
        values(&value.unwrap())[0]
    };
    assert!(nce(0.5).is_finite());
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(!nce(bad).is_finite(), "a normaliser of {bad}");
    }
    // the average stays as it was
    let mut meco = Meco::new(0.1).unwrap();
    meco.observe(&[0.3, 0.1]).unwrap();
    let before = meco.log_normaliser();
    assert!(meco.observe(&[f64::NAN]).is_err() && meco.observe(&[f64::NEG_INFINITY]).is_err());
    assert_eq!(meco.log_normaliser(), before);
}

#[test]
fn states_that_do_not_fit_are_errors() {
    let mut queues = SwAvQueues::new(2, 8, 4, 4, (&device(), DType::F32)).unwrap();
    queues.push(&[table(4, 0.0), table(4, 0.3)]);
    let with = |name: &str| -> BTreeMap<String, TensorData> {
        let mut state = queues.state();
        state.insert(name.to_string(), TensorData::new(vec![1i64], [1]));
        state
    };
    for name in ["2.rows", "rows", "x.rows"] {
        let error = queues.clone().load_state(&with(name)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("2 queues"), "{error}");
    }
    let error = queues.clone().load_state(&with("1.labels")).unwrap_err().to_string();
    assert!(error.contains("this queue has none"), "{error}");
    let mut missing = queues.state();
    missing.remove("1.rows");
    let error = queues.clone().load_state(&missing).unwrap_err().to_string();
    assert!(error.contains("rows is missing"), "{error}");
    assert!(queues.clone().load_state(&queues.state()).is_ok());
}
