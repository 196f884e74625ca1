//! Where one loss is a case of another, and what leaves all of them as they are.

use crate::common::close;
use crate::common::numeric::same;
use crate::pml_more::*;
use contrastive_core::similarity::unit_rows;

const LABELS: [i64; 8] = [0, 1, 2, 0, 1, 2, 0, 3];
const D: usize = 5;

fn rows() -> Vec<f64> {
    waves(LABELS.len(), D, 1.9, 0.2)
}

fn equal(what: &str, tables: &[Vec<f64>], a: Form, b: Form) {
    needs_f64!();
    let [a, b] = [a, b].map(|f| evaluated(tables, D, DType::F64, &f));
    assert!(a.0.abs() > 1e-6, "{what}: {}", a.0);
    same(what, a, b, 1e-10);
}

#[test]
fn one_center_is_the_class() {
    let tables = [rows(), waves(4, D, 2.3, 0.5)];
    equal(
        "sub-centre ArcFace is ArcFace",
        &tables,
        form(|x| SubCenterArcFace::new(0.5, 16.0, 1).unwrap().loss(x[0].clone(), &LABELS, x[1].clone())),
        form(|x| ClassMargin::arcface(0.5, 16.0).unwrap().loss(x[0].clone(), &LABELS, x[1].clone())),
    );
    equal(
        "SoftTriple is CosFace",
        &tables,
        form(|x| SoftTriple::new(20.0, 0.1, 0.01, 1).unwrap().loss(x[0].clone(), &LABELS, x[1].clone())),
        form(|x| ClassMargin::cosface(0.01, 20.0).unwrap().loss(x[0].clone(), &LABELS, x[1].clone())),
    );
    // equal centres count as one
    equal(
        "centres that coincide",
        &tables,
        form(|x| {
            let [c, d] = x[1].dims();
            let three = x[1].clone().reshape([c, 1, d]).repeat_dim(1, 3).reshape([c * 3, d]);
            SoftTriple::new(20.0, 0.1, 0.0, 3).unwrap().loss(x[0].clone(), &LABELS, three)
        }),
        form(|x| ClassMargin::normalized_softmax(0.05).unwrap().loss(x[0].clone(), &LABELS, x[1].clone())),
    );
}

#[test]
fn soft_centers_become_the_nearest() {
    let tables = [rows(), waves(12, D, 2.3, 0.5)];
    let [soft, nearest] = [
        form(|x| SoftTriple::new(8.0, 1e-4, 0.0, 3).unwrap().loss(x[0].clone(), &LABELS, x[1].clone())),
        form(|x| SubCenterArcFace::new(0.0, 8.0, 3).unwrap().loss(x[0].clone(), &LABELS, x[1].clone())),
    ];
    equal("gamma near 0", &tables, soft, nearest);
}

#[test]
fn angles_taken_once_are_plain_softmax() {
    let tables = [rows(), waves(4, D, 2.3, 0.5)];
    equal(
        "SphereFace of unit rows is normalised softmax",
        &tables,
        form(|x| SphereFace::new(1, 6.0).unwrap().loss(unit_rows(x[0].clone()), &LABELS, x[1].clone())),
        form(|x| ClassMargin::normalized_softmax(1.0 / 6.0).unwrap().loss(x[0].clone(), &LABELS, x[1].clone())),
    );
    for m in [1, 3, 5, 8] {
        equal(
            "large-margin softmax of unit weights is SphereFace",
            &tables,
            form(move |x| {
                LargeMarginSoftmax::new(m, 2.0).unwrap().loss(x[0].clone(), &LABELS, unit_rows(x[1].clone()))
            }),
            form(move |x| SphereFace::new(m, 2.0).unwrap().loss(x[0].clone(), &LABELS, x[1].clone())),
        );
    }
}

/// A margin never helps: psi falls below the cosine, and falls on.
#[test]
fn larger_multiples_cost_more() {
    needs_f64!();
    let tables = [rows(), waves(4, D, 2.3, 0.5)];
    let of = |m: usize| {
        let loss = form(move |x| SphereFace::new(m, 2.0).unwrap().loss(x[0].clone(), &LABELS, x[1].clone()));
        evaluated(&tables, D, DType::F64, &loss).0
    };
    let values: Vec<f64> = (1..=16).map(of).collect();
    assert!(values.is_sorted_by(|a, b| a < b), "{values:?}");
}

/// Comparisons that are steps: the average precision that is counted, and the negatives that stand before a positive.
#[test]
fn ranks_at_low_temperature_are_average_precision() {
    needs_f64!();
    let x = rows();
    let unit: Vec<Vec<f64>> = x
        .chunks(D)
        .map(|r| {
            let length = r.iter().map(|x| x * x).sum::<f64>().sqrt();
            r.iter().map(|x| x / length).collect()
        })
        .collect();
    let s = |i: usize, j: usize| unit[i].iter().zip(&unit[j]).map(|(a, b)| a * b).sum::<f64>();
    let n = LABELS.len();
    let (mut precision, mut before) = (0.0, 0.0);
    // the last row is alone with its label
    for i in 0..n - 1 {
        let own: Vec<usize> = (0..n).filter(|&j| LABELS[j] == LABELS[i]).collect();
        for &j in &own {
            let rank = |among: &[usize]| 1 + among.iter().filter(|&&k| k != j && s(i, k) > s(i, j)).count();
            let all: Vec<usize> = (0..n).collect();
            precision += rank(&own) as f64 / rank(&all) as f64 / own.len() as f64;
            before += (rank(&all) - rank(&own)) as f64 / own.len() as f64;
        }
    }
    let of = |f: Form| evaluated(std::slice::from_ref(&x), D, DType::F64, &f).0;
    let smooth = of(form(|x| SmoothAp::new(1e-5).unwrap().loss(x[0].clone(), &LABELS)));
    close("average precision", &[1.0 - smooth], &[precision / (n - 1) as f64], 1e-9, 0.0);
    let negatives = of(form(|x| Pnp::new(1e-5).unwrap().loss(x[0].clone(), &LABELS)));
    close("negatives before positives", &[negatives], &[before / (n - 1) as f64], 1e-9, 0.0);
}

/// Two bundles of rows, wide apart: nothing costs.
#[test]
fn classes_far_apart_cost_nothing() {
    needs_f64!();
    let labels = [0, 1, 0, 1, 0, 1];
    let x: Vec<f64> = (0..6).flat_map(|i| [1.0 - 2.0 * (i % 2) as f64, 1e-3 * i as f64, 0.0, 0.0, 0.0]).collect();
    let of = |f: Form| evaluated(std::slice::from_ref(&x), D, DType::F64, &f).0;
    assert!(of(form(move |x| Histogram::new(10).unwrap().loss(x[0].clone(), &labels))) < 1e-12);
    assert_eq!(of(form(move |x| RankedList::new(0.4, 10.0).unwrap().loss(x[0].clone(), &labels))), 0.0);
    assert_eq!(of(form(move |x| LiftedStructuredEmbedding::new(0.1).unwrap().loss(x[0].clone(), &labels))), 0.0);
    assert!(of(form(move |x| SmoothAp::new(0.01).unwrap().loss(x[0].clone(), &labels))) < 1e-12);
    assert!(of(form(move |x| Angular::new(0.6).unwrap().loss(x[0].clone(), &labels))) < 0.06);
    let margin = MarginBased::new(0.2).unwrap();
    assert_eq!(
        of(form(move |x| margin.loss(x[0].clone(), &labels, x[0].clone().slice([0..1, 0..1]).reshape([1])))),
        0.0
    );
}

/// Weights of e^900 and more: the worst negative alone counts.
#[test]
fn hot_lists_are_their_worst() {
    needs_f64!();
    let (x, n) = (rows(), LABELS.len());
    let hot = RankedList::new(0.4, 3000.0).unwrap().with_imbalance(1.0).unwrap();
    let forms = both!(hot.clone(), |o, x| o.loss(x[0].clone(), &LABELS));
    let length = |r: &[f64]| r.iter().map(|x| x * x).sum::<f64>().sqrt();
    let cosine = |i: usize, j: usize| {
        let (a, b) = (&x[i * D..][..D], &x[j * D..][..D]);
        a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>() / (length(a) * length(b))
    };
    let worst = |i: usize| {
        let costs = (0..n).filter(|&j| LABELS[j] != LABELS[i]).map(|j| 1.2 - (2.0 - 2.0 * cosine(i, j)).sqrt());
        costs.fold(0.0, f64::max)
    };
    let expected = (0..n).map(worst).sum::<f64>() / n as f64;
    for form in &forms {
        let (value, gradients) = evaluated(std::slice::from_ref(&x), D, DType::F64, form);
        close("the worst", &[value], &[expected], 1e-4, 0.0);
        assert!(gradients[0].iter().all(|g| g.is_finite()));
    }
}

/// Rows in another order, with their labels: the same value, the gradients in that order.
#[test]
fn order_does_not_matter() {
    needs_f64!();
    let n = LABELS.len();
    let order = [3, 7, 0, 5, 1, 2, 6, 4];
    let moved: Vec<f64> = order.iter().flat_map(|&i| rows()[i * D..(i + 1) * D].to_vec()).collect();
    let labels: Vec<i64> = order.iter().map(|&i| LABELS[i]).collect();
    type Loss = fn(Tensor<2>, &[i64]) -> Tensor<1>;
    let losses: [Loss; 8] = [
        |x, l| Angular::new(0.7).unwrap().loss(x, l),
        |x, l| LiftedStructuredEmbedding::new(1.0).unwrap().loss(x, l),
        |x, l| Histogram::new(30).unwrap().loss(x, l),
        |x, l| RankedList::new(0.4, 10.0).unwrap().loss(x, l),
        |x, l| SmoothAp::new(0.1).unwrap().loss(x, l),
        |x, l| Pnp::new(0.1).unwrap().with_increasing_cost().loss(x, l),
        |x, l| SignalToNoise::new(0.1, 1.2).unwrap().loss(x, l),
        |x, l| {
            let betas = Tensor::<1>::from_data([1.0, 1.1, 1.2, 1.3], (&x.device(), x.dtype()));
            MarginBased::new(0.2).unwrap().loss(x, l, betas)
        },
    ];
    for (k, loss) in losses.into_iter().enumerate() {
        let (value, gradients) = evaluated(&[rows()], D, DType::F64, &form(move |x| loss(x[0].clone(), &LABELS)));
        let there = labels.clone();
        let (other, turned) =
            evaluated(std::slice::from_ref(&moved), D, DType::F64, &form(move |x| loss(x[0].clone(), &there)));
        close(&format!("loss {k}"), &[other], &[value], 1e-12, 1e-12);
        for (to, from) in (0..n).zip(order) {
            let [a, b] = [(&turned, to), (&gradients, from)].map(|(g, i)| &g[0][i * D..(i + 1) * D]);
            close(&format!("loss {k}, row {from}"), a, b, 1e-11, 1e-11);
        }
    }
}

/// The histogram is all there is: read back, it goes on as before; rows that are not finite do not enter it.
#[test]
fn dynamic_soft_margin_keeps_its_state() {
    let dtype = types()[0];
    let rows = |shift: f64| tracked(waves(6, D, 1.7, shift), [6, D], dtype);
    let mut objective = DynamicSoftMargin::new(16, 0.1).unwrap();
    objective.loss(rows(0.0), rows(0.4)).unwrap();
    let total: f64 = objective.histogram().iter().sum();
    assert!((total - 1.0).abs() < 1e-9, "shares add up to {total}");
    let mut read: DynamicSoftMargin = serde_json::from_str(&serde_json::to_string(&objective).unwrap()).unwrap();
    assert_eq!(read, objective);
    let bad = tracked([vec![f64::NAN; D], waves(5, D, 1.0, 0.0)].concat(), [6, D], dtype);
    let message = objective.loss(bad, rows(0.4)).unwrap_err().to_string();
    assert!(message.contains("not finite"), "{message}");
    assert_eq!(read, objective);
    let [a, b] = [&mut objective, &mut read].map(|o| values(&o.loss(rows(1.0), rows(1.2)).unwrap()));
    assert_eq!(a, b);
}

/// Labels of each row's own: the library's instance loss is InfoNCE of a table with itself, the row among its candidates.
#[test]
fn instances_are_classes_of_their_own() {
    equal(
        "instance loss",
        &[rows()],
        form(|x| {
            let places = (0..LABELS.len() as u32).collect();
            let objective = PairObjective::new(1.0 / 64.0).unwrap();
            let pairs = contrastive_core::pairs::Pairs::one_each(places);
            objective.with_pairs(pairs).loss(&Inputs::new(x[0].clone() * 1.0, x[0].clone())) + first_column(&x[0]).sum()
        }),
        form(|x| InfoNce::new(1.0 / 64.0).unwrap().loss(x[0].clone(), x[0].clone()) + first_column(&x[0]).sum()),
    );
}
