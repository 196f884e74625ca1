//! Hydra: worked values, the filter of features, gates, and who takes part.

use crate::common::*;
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use contrastive_core::head::HeadError;
use contrastive_core::synthesis::*;

const LABELS: [i64; 4] = [0, 1, 0, 2];
const PAIRED: [i64; 4] = [1, 0, 2, 2];

fn worked_gates() -> Tensor<2> {
    let gates = (0..12).map(|at| 0.5 + 0.4 * ((at / 3) as f64 + 2.0 * (at % 3) as f64).sin());
    tracked(gates.collect(), [4, 3], wide())
}

fn hydra(similarity: GatedSimilarity, average: HydraAverage) -> Hydra {
    Hydra::new(0.1).unwrap().with_similarity(similarity).with_average(average)
}

const FORMS: [GatedSimilarity; 2] = [GatedSimilarity::Projected, GatedSimilarity::Cosine];
const AVERAGES: [HydraAverage; 2] = [HydraAverage::Anchors, HydraAverage::Entries];

/// The definition, in loops: similarities of the form, means as said.
fn by_loops(
    form: GatedSimilarity,
    average: HydraAverage,
    same_view: bool,
    [z1, z2, g]: [&[f64]; 3],
    labels: &[i64],
    paired: &[i64],
    t: f64,
) -> (f64, usize) {
    let (n, d) = (labels.len(), z1.len() / labels.len());
    let row = |x: &[f64], i: usize| x[i * d..(i + 1) * d].to_vec();
    let gated =
        |x: &[f64], g: &[f64], power: i32| -> Vec<f64> { x.iter().zip(g).map(|(x, g)| x * g.powi(power)).collect() };
    let logit = |i: usize, j: usize| {
        let (a, c, g) = (row(z1, i), row(z2, j), row(g, i));
        match form {
            GatedSimilarity::Projected => dot(&gated(&units(a, d), &g, 2), &units(c, d)) / t,
            GatedSimilarity::Cosine => dot(&units(gated(&a, &g, 1), d), &units(gated(&c, &g, 1), d)) / t,
        }
    };
    let mut anchors = Vec::new();
    for i in 0..n {
        let positives: Vec<usize> = (0..n).filter(|&j| labels[j] == paired[i] && !(same_view && i == j)).collect();
        let negatives: f64 =
            (0..n).filter(|&j| labels[j] != paired[i] && labels[j] != labels[i]).map(|j| logit(i, j).exp()).sum();
        if negatives > 0.0 && !positives.is_empty() {
            anchors.push(
                positives.iter().map(|&j| (logit(i, j).exp() + negatives).ln() - logit(i, j)).collect::<Vec<_>>(),
            );
        }
    }
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let value = match average {
        HydraAverage::Anchors => mean(&anchors.iter().map(|a| mean(a)).collect::<Vec<_>>()),
        HydraAverage::Entries => mean(&anchors.concat()),
    };
    (value, anchors.len())
}

#[test]
fn hydras_worked_values() {
    let [a, b] = views();
    let open = || constant(vec![1.0; 12], [4, 3]);
    let expected = [
        (GatedSimilarity::Projected, [0.928430227, 0.761908926]),
        (GatedSimilarity::Cosine, [0.695235444, 0.556743333]),
    ];
    for (form, values) in expected {
        for (average, value) in AVERAGES.into_iter().zip(values) {
            let hydra = hydra(form, average);
            let (loss, report) = hydra.loss(a.clone(), b.clone(), worked_gates(), &LABELS, &PAIRED).unwrap();
            near_value("gated", loss, value);
            assert_eq!([report.anchors, report.skipped], [4, 0]);
        }
        for (average, value) in AVERAGES.into_iter().zip([1.405088055, 1.124110879]) {
            let (loss, report) = hydra(form, average).loss(a.clone(), b.clone(), open(), &LABELS, &PAIRED).unwrap();
            near_value("open", loss, value);
            close("report", &[report.gate_mean, report.gate_entropy], &[1.0, 0.0], 1e-12, 0.0);
        }
    }
    let (_, report) =
        hydra(FORMS[0], AVERAGES[0]).loss(a.clone(), b.clone(), worked_gates(), &LABELS, &PAIRED).unwrap();
    let gates = values(&worked_gates());
    let entropy = gates.iter().map(|g| -g * g.ln() - (1.0 - g) * (1.0 - g).ln()).sum::<f64>() / 12.0;
    close("report", &[report.gate_mean, report.gate_entropy], &[gates.iter().sum::<f64>() / 12.0, entropy], 1e-6, 0.0);
    // the penalty
    let plain =
        one(hydra(FORMS[0], AVERAGES[0]).loss(a.clone(), b.clone(), worked_gates(), &LABELS, &PAIRED).unwrap().0);
    let with = hydra(FORMS[0], AVERAGES[0]).with_gate_penalty(0.7).unwrap();
    let expected = plain + 0.7 * gates.iter().map(|g| g * (1.0 - g)).sum::<f64>() / 12.0;
    near_value("penalty", with.loss(a, b, worked_gates(), &LABELS, &PAIRED).unwrap().0, expected);
}

/// A batch in which some anchors have no positive, some no negative.
fn batch(seed: u64) -> (Vec<i64>, Vec<i64>) {
    let labels = vec![0, 1, 2, 0, 1, 0, 3, 2, 0];
    let mut paired = ClassPairs::Arbitrary.draw(&labels, 5, 0, seed).unwrap();
    (paired[0], paired[4]) = (4, 4);
    (labels, paired)
}

#[test]
fn hydra_is_its_definition_in_loops() {
    let (n, d) = (9, 4);
    for seed in 0..4 {
        let (labels, paired) = batch(seed);
        let gates = tracked(normal(seed + 9, n * d).iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect(), [n, d], wide());
        let (a, b) = (rows(seed, [n, d]), rows(seed + 50, [n, d]));
        for (form, average, same) in
            FORMS.iter().flat_map(|f| AVERAGES.iter().flat_map(move |v| [(*f, *v, false), (*f, *v, true)]))
        {
            let (hydra, second) = (hydra(form, average), if same { a.clone() } else { b.clone() });
            let hydra = if same { hydra.with_same_view() } else { hydra };
            let (loss, report) = hydra.loss(a.clone(), second.clone(), gates.clone(), &labels, &paired).unwrap();
            let tables = [values(&a), values(&second), values(&gates)];
            let tables = [&tables[0][..], &tables[1], &tables[2]];
            let (expected, anchors) = by_loops(form, average, same, tables, &labels, &paired, 0.1);
            near("loops", one(loss), expected, if has_f64() { 1e-10 } else { 1e-4 });
            assert_eq!([report.anchors, report.skipped], [anchors, n - anchors]);
            assert!(report.skipped >= 2);
            // in another order of the batch
            let order: Vec<usize> = (0..n).map(|i| (i * 4 + 1) % n).collect();
            let pick =
                |x: &Tensor<2>| Tensor::cat(order.iter().map(|&i| x.clone().slice([i..i + 1, 0..d])).collect(), 0);
            let of = |x: &[i64]| order.iter().map(|&i| x[i]).collect::<Vec<i64>>();
            let (moved, _) = hydra.loss(pick(&a), pick(&second), pick(&gates), &of(&labels), &of(&paired)).unwrap();
            near("order", one(moved), expected, if has_f64() { 1e-10 } else { 1e-4 });
        }
    }
}

#[test]
fn finite_differences_of_hydra() {
    let (n, d) = (9, 3);
    let (labels, paired) = batch(1);
    for (form, average) in FORMS.iter().flat_map(|f| AVERAGES.iter().map(move |a| (*f, *a))) {
        let hydra = hydra(form, average).with_gate_penalty(0.5).unwrap();
        // gates away from 0, where a squared gate has no slope
        let gates: Vec<f64> = normal(5, n * d).iter().map(|v| 0.2 + 0.7 / (1.0 + v.exp())).collect();
        let data = vec![normal(1, n * d), normal(2, n * d), gates];
        differences_at("Hydra", &[[n, d]; 3], data.clone(), |x| {
            hydra.loss(x[0].clone(), x[1].clone(), x[2].clone(), &labels, &paired).unwrap().0
        });
        differences_at("Hydra, one view", &[[n, d]; 2], vec![data[0].clone(), data[2].clone()], |x| {
            let hydra = hydra.clone().with_same_view();
            hydra.loss(x[0].clone(), x[0].clone(), x[1].clone(), &labels, &paired).unwrap().0
        });
    }
}

#[test]
fn a_shut_dimension_is_not_seen() {
    let (n, d) = (9, 4);
    let (labels, paired) = batch(2);
    let mut gates = vec![0.7; n * d];
    gates.iter_mut().skip(1).step_by(d).for_each(|g| *g = 0.0);
    let gates = constant(gates, [n, d]);
    let moved = |x: &Tensor<2>| {
        let mut all = values(x);
        all.iter_mut().skip(1).step_by(d).enumerate().for_each(|(i, v)| *v = 3.0 - i as f64);
        constant(all, [n, d])
    };
    let (a, b) = (rows(1, [n, d]), rows(2, [n, d]));
    let hydra = hydra(GatedSimilarity::Cosine, HydraAverage::Anchors);
    let value = |a: Tensor<2>, b: Tensor<2>| one(hydra.loss(a, b, gates.clone(), &labels, &paired).unwrap().0);
    near("shut", value(moved(&a), moved(&b)), value(a.clone(), b.clone()), 1e-6);
    // everything shut: logits of 0, the plateau log(1 + negatives)
    let shut = constant(vec![0.0; n * d], [n, d]);
    for form in FORMS {
        let hydra = self::hydra(form, HydraAverage::Anchors);
        let (loss, _) = hydra.loss(a.clone(), b.clone(), shut.clone(), &labels, &paired).unwrap();
        let zeros = vec![1.0; n * d];
        let same = [&zeros[..], &zeros[..], &zeros[..]];
        let (expected, _) =
            by_loops(GatedSimilarity::Cosine, HydraAverage::Anchors, false, same, &labels, &paired, 0.1);
        near("plateau", one(loss.clone()), expected, 1e-5);
        let gradient = a.grad(&loss.backward()).map_or(vec![0.0], |g| values(&g));
        assert!(gradient.iter().all(|g| g.is_finite()));
    }
}

#[test]
fn gates_are_symmetric_and_open() {
    let config = PairGateConfig::new(5, 6).with_embedding(8).with_hidden(7);
    for fuse in [true, false] {
        let gate = config.clone().with_fuse(fuse).init(3, (&device().autodiff(), wide())).unwrap();
        let (y, other) = ([0, 1, 2, 3, 4, 0, 2], [1, 1, 0, 4, 2, 3, 2]);
        let (g, back) = (gate.forward(&y, &other).unwrap(), gate.forward(&other, &y).unwrap());
        assert_eq!(g.dims(), [7, 6]);
        close("symmetry", &values(&g), &values(&back), 1e-6, 0.0);
        assert!(values(&g).iter().all(|g| *g > 0.0 && *g < 1.0));
        // the same pairs again in evaluation, one at a time
        let evaluation = gate.valid();
        let all = values(&evaluation.forward(&y, &other).unwrap());
        for i in 0..7 {
            let own = values(&evaluation.forward(&y[i..=i], &other[i..=i]).unwrap());
            close("alone", &own, &all[6 * i..6 * i + 6], 1e-6, 0.0);
        }
        let weights = plain(normal(4, 42), [7, 6]);
        differences("gates", &[[5, 8], [8, 7]], |x| {
            let mut gate = gate.clone();
            gate.embedding = Param::from_tensor(x[0].clone());
            gate.maps[0].weight = Param::from_tensor(x[1].clone());
            (gate.forward(&y, &other).unwrap() * weights.clone()).sum()
        });
        says(gate.forward(&[0, 5], &[0, 1]).unwrap_err(), "label 5 of row 1: it must lie in 0..5");
        says(gate.forward(&[0, 1], &[-1, 1]).unwrap_err(), "label -1 of row 0");
    }
    let size = PairGateConfig::new(0, 6).validate().unwrap_err();
    assert_eq!(size, HeadError::Size { name: "classes", value: 0, least: 1 });
}

#[test]
fn pairs_of_classes_are_drawn_and_counted() {
    assert_eq!([1, 2, 10, 1000].map(class_pairs), [1, 3, 55, 500_500]);
    let labels: Vec<i64> = (0..60).map(|i| [0, 0, 1, 2, 4][i % 5]).collect();
    let draw = |pairs: ClassPairs, step| pairs.draw(&labels, 5, step, 3).unwrap();
    assert_eq!(draw(ClassPairs::Identical, 0), labels);
    let sorted = |mut x: Vec<i64>| {
        x.sort_unstable();
        x
    };
    let arbitrary = draw(ClassPairs::Arbitrary, 0);
    assert_eq!(sorted(arbitrary.clone()), sorted(labels.clone()), "a permutation");
    assert_ne!(arbitrary, labels);
    assert_eq!(arbitrary, draw(ClassPairs::Arbitrary, 0));
    assert_ne!(arbitrary, draw(ClassPairs::Arbitrary, 1));
    let mut seen = [[0usize; 5]; 5];
    for step in 0..50 {
        for (own, other) in labels.iter().zip(draw(ClassPairs::Distinct, step)) {
            seen[*own as usize][other as usize] += 1;
        }
    }
    assert!((0..5).all(|c| seen[c][c] == 0 && seen[c][3] == 0), "another class of the batch");
    assert!((1..5).filter(|c| *c != 3).all(|c| seen[0][c].abs_diff(400) < 100), "{:?}", seen[0]);
    says(ClassPairs::Arbitrary.draw(&[0, 1], 5, 0, 1).unwrap_err(), "2 rows of a batch: at least 3");
    says(ClassPairs::Arbitrary.draw(&[0, 1, 1], 2, 0, 1).unwrap_err(), "2 classes: at least 3");
    says(ClassPairs::Distinct.draw(&[1, 1, 1], 4, 0, 1).unwrap_err(), "1 classes in the batch");
    says(ClassPairs::Identical.draw(&[0, 1, 7], 5, 0, 1).unwrap_err(), "label 7 of row 2");
    // nobody takes part
    let [a, b] = views();
    let alone = Hydra::new(0.1).unwrap().loss(a.clone(), b.clone(), worked_gates(), &[0, 0, 1, 1], &[1, 1, 0, 0]);
    says(alone.unwrap_err(), "none of 4 anchors");
    let two = constant(vec![1.0; 4], [2, 2]);
    let few = Hydra::new(0.1).unwrap().loss(two.clone(), two.clone(), two, &[0, 1], &[1, 0]);
    says(few.unwrap_err(), "2 rows of a batch");
    says(Hydra::new(f64::NAN).unwrap_err(), "temperature NaN");
    says(Hydra::new(0.1).unwrap().with_gate_penalty(-1.0).unwrap_err(), "gate penalty -1");
}

#[test]
fn near_classes_are_drawn_more_often() {
    // class 3 is not in the batch
    let labels = [0, 1, 2, 0, 1, 2];
    let distances: Vec<f64> = (0..16).map(|at| f64::from(i32::abs(at / 4 - at % 4))).collect();
    let near_classes = NearClasses::new(&distances, 4, 2.0).unwrap();
    let (mut seen, steps) = ([0.0; 4], 4000);
    for step in 0..steps {
        let paired = near_classes.draw(&labels, step, 5).unwrap();
        assert_eq!(paired, near_classes.draw(&labels, step, 5).unwrap());
        [0, 3].iter().for_each(|&row| seen[paired[row] as usize] += 0.5 / steps as f64);
    }
    // weights 1, 1/4 and 1/9
    let total = 1.0 + 0.25 + 1.0 / 9.0;
    close("shares", &seen, &[1.0 / total, 0.25 / total, 1.0 / 9.0 / total, 0.0], 0.03, 0.0);
    says(NearClasses::new(&distances, 3, 2.0).unwrap_err(), "16 distances of 3 classes");
    says(NearClasses::new(&distances, 4, -1.0).unwrap_err(), "exponent of the distances -1");
    says(NearClasses::new(&[0.0, f64::NAN, 1.0, 0.0], 2, 1.0).unwrap_err(), "distance of two classes NaN");
    says(near_classes.draw(&[0, 1, 4], 0, 1).unwrap_err(), "label 4 of row 2");
}
