//! What is the same when every anchor has one positive: SupCon and InfoNCE, and the two denominators with positives. Values and gradients,
//! over random shapes, pairs and choices, in every type and body.

use crate::common::*;
use crate::dense_streaming::{lists, normal};
use burn::tensor::{DType, Int, Tensor, TensorData};
use contrastive_core::objective::*;
use contrastive_core::pairs::{Exclusions, PairLists, Pairs};
use contrastive_core::similarity::Similarity;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Numbers and their shape.
type Table = (Vec<f64>, [usize; 2]);

/// A name, and a value of tracked tables.
type Form<'a> = (&'a str, &'a dyn Fn(&[Tensor<2>]) -> Tensor<1>);

/// Asserts that at the same tables all forms have the value and the gradients of the first, in every type of the device.
fn same(what: &str, tables: &[Table], forms: &[Form]) {
    let types = if has_f64() { vec![(DType::F64, 1e-10), (DType::F32, 5e-4)] } else { vec![(DType::F32, 5e-4)] };
    for (dtype, tolerance) in types {
        let run = |form: &Form| {
            let leaves: Vec<Tensor<2>> =
                tables.iter().map(|(numbers, shape)| tracked(numbers.clone(), *shape, dtype)).collect();
            let value = (form.1)(&leaves);
            // an upstream factor other than 1
            let all = (value.clone() * -1.5).backward();
            let zeros = |x: &Tensor<2>| vec![0.0; x.dims().iter().product()];
            let of = |x: &Tensor<2>| x.grad(&all).map_or_else(|| zeros(x), |g| values(&g));
            (values(&value)[0], leaves.iter().map(of).collect::<Vec<_>>())
        };
        let (value, gradients) = run(&forms[0]);
        assert!(value.is_finite(), "{what}: {value}");
        for form in &forms[1..] {
            let (got, found) = run(form);
            let what = format!("{what}, {} in {dtype:?}", form.0);
            close(&format!("{what}, value"), &[got], &[value], tolerance, tolerance);
            for (k, (found, gradient)) in found.iter().zip(&gradients).enumerate() {
                let largest = gradient.iter().fold(0.1f64, |a, g| a.max(g.abs()));
                close(&format!("{what}, gradient {k}"), found, gradient, tolerance * largest, tolerance);
            }
        }
    }
}

fn shuffled(rng: &mut ChaCha8Rng, count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    (1..count).rev().for_each(|k| order.swap(k, rng.random_range(0..=k)));
    order
}

/// These rows, differentiable.
fn picked(x: &Tensor<2>, rows: &[usize]) -> Tensor<2> {
    let at: Vec<i32> = rows.iter().map(|&i| i as i32).collect();
    x.clone().select(0, Tensor::<1, Int>::from_data(TensorData::new(at, [rows.len()]), &x.device()))
}

fn within(x: &[Tensor<2>]) -> Inputs {
    Inputs::self_contrast(x[0].clone())
}

fn between(x: &[Tensor<2>]) -> Inputs {
    Inputs::new(x[0].clone(), x[1].clone())
}

/// Two rows of each class in a random order: SupCon, InfoNCE of each row's partner, and NT-Xent of the two halves, by views and by labels.
/// SupCon is the paper's equation 2. Its released code multiplies that by temperature / base temperature: the identity holds where the two
/// are the same, and the library has no such factor.
#[test]
fn supcon_of_pairs_is_nt_xent() {
    for seed in 0..18 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (n, d) = (rng.random_range(2..40usize), rng.random_range(2..12usize));
        let temperature = [0.07, 0.2, 1.0][seed as usize % 3];
        let order = shuffled(&mut rng, 2 * n);
        let (mut labels, mut partners) = (vec![0i64; 2 * n], vec![0u32; 2 * n]);
        for (k, &row) in order.iter().enumerate() {
            labels[row] = 7 * (k % n) as i64 - 3;
            partners[row] = order[(k + n) % (2 * n)] as u32;
        }
        let sup_con = SupCon::new(temperature).unwrap().objective(&labels);
        let info_nce = InfoNce::new(temperature).unwrap().objective().clone().with_pairs(Pairs::one_each(partners));
        let beside_itself = info_nce.clone().with_exclusions(Exclusions::own_row(0));
        let nt_xent = NtXent::new(temperature).unwrap();
        let halves = |x: &[Tensor<2>]| [picked(&x[0], &order[..n]), picked(&x[0], &order[n..])];
        let forms: [Form; 8] = [
            ("SupCon, dense", &|x| sup_con.dense(&within(x))),
            ("SupCon", &|x| sup_con.loss(&within(x))),
            ("SupCon, portable", &|x| contrastive_core::testing::portably(|| sup_con.loss(&within(x)))),
            ("InfoNCE", &|x| info_nce.loss(&within(x))),
            ("InfoNCE, portable", &|x| contrastive_core::testing::portably(|| info_nce.loss(&within(x)))),
            ("InfoNCE of a table beside itself", &|x| beside_itself.loss(&Inputs::new(x[0].clone(), x[0].clone()))),
            ("NT-Xent", &|x| {
                let [first, second] = halves(x);
                nt_xent.loss(first, second)
            }),
            ("NT-Xent of labels", &|x| nt_xent.loss_with_labels(x[0].clone(), &labels)),
        ];
        let what = format!("{n} pairs of width {d} at {temperature}, seed {seed}");
        same(&what, &[(normal(&mut rng, 2 * n * d, 0.7), [2 * n, d])], &forms);
    }
}

/// One candidate of each anchor's class among candidates of no anchor's class: SupCon between two tables is InfoNCE, and where there are no
/// others, in both directions it is CLIP.
#[test]
fn supcon_of_pairs_between_two_tables_is_infonce() {
    for seed in 0..18 {
        let mut rng = ChaCha8Rng::seed_from_u64(100 + seed);
        let (n, d) = (rng.random_range(1..40usize), rng.random_range(2..12usize));
        let square = seed % 2 == 0;
        let m = if square { n } else { n + rng.random_range(1..25usize) };
        let temperature = [0.07, 0.2, 1.0][seed as usize % 3];
        // candidate order[i] belongs to anchor i
        let order = shuffled(&mut rng, m);
        let anchors: Vec<i64> = (0..n as i64).collect();
        let mut candidates = vec![0i64; m];
        order.iter().enumerate().for_each(|(class, &j)| candidates[j] = class as i64);
        let pairs = Pairs::labels_between(&anchors, &candidates);
        let sup_con = SupCon::new(temperature).unwrap().objective(&anchors).with_pairs(pairs);
        let both = sup_con.clone().with_direction(Direction::Both);
        let info_nce = InfoNce::new(temperature).unwrap();
        let clip = Clip::new(temperature).unwrap();
        let tables = [(normal(&mut rng, n * d, 0.7), [n, d]), (normal(&mut rng, m * d, 0.7), [m, d])];
        let what = format!("{n} among {m} of width {d} at {temperature}, seed {seed}");
        let forms: [Form; 4] = [
            ("SupCon, dense", &|x| sup_con.dense(&between(x))),
            ("SupCon", &|x| sup_con.loss(&between(x))),
            ("SupCon, portable", &|x| contrastive_core::testing::portably(|| sup_con.loss(&between(x)))),
            ("InfoNCE", &|x| info_nce.objective().loss(&Inputs::new(x[0].clone(), picked(&x[1], &order)))),
        ];
        same(&what, &tables, &forms);
        if square {
            let forms: [Form; 4] = [
                ("SupCon, dense", &|x| both.dense(&between(x))),
                ("SupCon", &|x| both.loss(&between(x))),
                ("SupCon, portable", &|x| contrastive_core::testing::portably(|| both.loss(&between(x)))),
                ("CLIP", &|x| clip.loss(x[0].clone(), picked(&x[1], &order))),
            ];
            same(&format!("both directions of {what}"), &tables, &forms);
        }
    }
}

/// What a table of numbers is to an objective.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Anchors,
    Candidates,
    Paired,
    Scale,
    Bias,
}

/// Tables by their roles; scales and biases are columns.
fn inputs(roles: &[Role], x: &[Tensor<2>]) -> Inputs {
    let of = |role: Role| roles.iter().position(|r| *r == role).map(|k| x[k].clone());
    let flat = |column: Tensor<2>| -> Tensor<1> {
        let n = column.dims()[0];
        column.reshape([n])
    };
    let anchors = of(Role::Anchors).expect("anchors");
    let mut inputs = match of(Role::Candidates) {
        Some(candidates) => Inputs::new(anchors, candidates),
        None => Inputs::self_contrast(anchors),
    };
    if let Some(paired) = of(Role::Paired) {
        inputs = inputs.with_paired(paired);
    }
    if let Some(scale) = of(Role::Scale) {
        inputs = inputs.with_scale(flat(scale));
    }
    if let Some(bias) = of(Role::Bias) {
        inputs = inputs.with_bias(flat(bias));
    }
    inputs
}

/// Pairs that give an anchor one positive at most, of n anchors and m candidates: within one table if m is `None`.
fn one_positive(rng: &mut ChaCha8Rng, kind: usize, n: usize, m: Option<usize>) -> (&'static str, Pairs) {
    let order = shuffled(rng, m.unwrap_or(n));
    let weights = (0..n).map(|_| 0.2 + rng.random::<f64>()).collect();
    let Some(m) = m else {
        // classes of two rows, and with an odd one out of two classes of one row
        let mut labels = vec![0i64; n];
        order
            .iter()
            .enumerate()
            .for_each(|(k, &row)| labels[row] = if kind == 3 && k == 0 { -1 } else { k as i64 / 2 });
        return match kind {
            0 => ("two views", Pairs::TwoViews),
            1 => ("views", Pairs::Views(2)),
            2 => ("classes of two", Pairs::labels(&labels)),
            _ => ("classes of one and two", Pairs::labels(&labels)),
        };
    };
    let columns: Vec<u32> = (0..n).map(|_| rng.random_range(0..m as u32)).collect();
    let classes: Vec<i64> = (0..n as i64).collect();
    let mut candidates = vec![0i64; m];
    order.iter().enumerate().for_each(|(class, &j)| candidates[j] = class as i64);
    match kind {
        0 => ("the diagonal", Pairs::Diagonal),
        1 => ("classes", Pairs::labels_between(&classes, &candidates)),
        2 => ("one each", Pairs::one_each(columns)),
        _ => {
            let lists = PairLists::new((0..=n).collect(), columns, Some(weights)).unwrap();
            ("weighted lists", Pairs::Lists(Arc::new(lists)))
        }
    }
}

/// With one positive for each anchor, "itself and the negatives" is "all candidates": [`Denominator::OwnPositive`] is
/// [`Denominator::WithPositives`] for every kind of pairs, weights, reduction, similarity, scale and clamp.
#[test]
fn own_denominators_of_one_positive_are_the_ordinary_ones() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for round in 0..80 {
        let (group, kind) = (round % 4, round / 4 % 4);
        let (itself, beside, both) = (group == 0, group == 2, group == 3);
        let mut n = rng.random_range(1..24usize);
        if itself {
            n = 2 * n.max(2);
        }
        let m = if both { n } else { n + rng.random_range(0..20usize) };
        let d = rng.random_range(2..10usize);
        // both directions of lists have several positives in the second
        let kind = if both { kind % 2 } else { kind };
        let (name, pairs) = match beside {
            true => ("beside", Pairs::Beside),
            false => one_positive(&mut rng, kind, n, (!itself).then_some(m)),
        };
        let listed = name == "weighted lists";
        let mut roles = vec![Role::Anchors];
        let mut tables = vec![(normal(&mut rng, n * d, 0.5), [n, d])];
        if !itself {
            roles.push(Role::Candidates);
            tables.push((normal(&mut rng, m * d, 0.5), [m, d]));
        }
        if beside {
            roles.push(Role::Paired);
            tables.push((normal(&mut rng, n * d, 0.5), [n, d]));
        }
        let temperature = [0.07, 0.5, 1.0][round % 3];
        let mut objective = PairObjective::new(temperature).unwrap();
        if rng.random::<bool>() {
            objective = PairObjective::with_input_scale();
            let scales = if both || rng.random() { 1 } else { n };
            roles.push(Role::Scale);
            let scale = (0..scales).map(|_| (0.5 + rng.random::<f64>()) / temperature).collect();
            tables.push((scale, [scales, 1]));
        }
        if !both && !itself && rng.random::<bool>() {
            roles.push(Role::Bias);
            tables.push((normal(&mut rng, m, 0.5), [m, 1]));
        }
        let similarities = [Similarity::Cosine, Similarity::Dot, Similarity::NegativeSquaredDistance];
        objective = objective.with_pairs(pairs).with_similarity(similarities[rng.random_range(0..3usize)]);
        objective = match rng.random_range(0..3usize) {
            _ if listed => objective.with_positive_weights(PositiveWeights::Listed),
            0 => objective.with_positive_weights(PositiveWeights::Sum),
            1 if !both => objective.with_positive_weights(PositiveWeights::PerAnchor(Arc::new(
                (0..n).map(|_| 0.2 + rng.random::<f64>()).collect(),
            ))),
            _ => objective,
        };
        objective = match rng.random_range(0..5usize) {
            0 => objective.with_reduction(Reduction::Sum),
            1 => objective.with_reduction(Reduction::MeanWithPositives),
            2 => objective.with_reduction(Reduction::MeanOverPairs),
            3 if !both => {
                objective.with_reduction(Reduction::Weighted(Arc::new((0..n).map(|_| rng.random::<f64>()).collect())))
            }
            _ => objective,
        };
        if !itself && rng.random::<f64>() < 0.3 {
            // of negatives, and of some anchors' only positive
            objective = objective.with_exclusions(Exclusions::lists(lists(&mut rng, n, m, 0.3, false)));
        }
        if rng.random::<f64>() < 0.25 {
            objective = objective.with_positive_clamp(1.5).unwrap();
        }
        if both {
            objective = objective.with_direction(Direction::Both);
        }
        let own = objective.clone().with_denominator(Denominator::OwnPositive);
        objective = objective.with_denominator(Denominator::WithPositives);
        let forms: [Form; 6] = [
            ("with positives, dense", &|x| objective.dense(&inputs(&roles, x))),
            ("with positives", &|x| objective.loss(&inputs(&roles, x))),
            ("with positives, portable", &|x| {
                contrastive_core::testing::portably(|| objective.loss(&inputs(&roles, x)))
            }),
            ("own positive, dense", &|x| own.dense(&inputs(&roles, x))),
            ("own positive", &|x| own.loss(&inputs(&roles, x))),
            ("own positive, portable", &|x| contrastive_core::testing::portably(|| own.loss(&inputs(&roles, x)))),
        ];
        same(&format!("round {round}, {name}, {n} among {m} of width {d}: {objective:?}"), &tables, &forms);
    }
}
