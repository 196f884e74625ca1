//! CACR: the checks of its specification.

use crate::common::*;
use crate::row_losses::Case;
use crate::row_losses::forms::Form;
use crate::unpaired::support::*;
use burn::tensor::{DType, Tensor};
use contrastive_core::objective::*;

/// `rownorm(G(n, d, phase))`, the inputs of the specification's own values.
fn sines(n: usize, d: usize, phase: f64) -> Vec<f64> {
    let row = |i: usize| -> Vec<f64> {
        let at = |j: usize| (0.7 * i as f64 + 1.3 * j as f64 + 0.2 * (i * j) as f64 + phase).sin();
        let row: Vec<f64> = (0..d).map(at).collect();
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        row.into_iter().map(|x| x / length).collect()
    };
    (0..n).flat_map(row).collect()
}

fn views(count: usize) -> Vec<Tensor<2>> {
    [0.0, 0.35, -0.4][..count].iter().map(|phase| tracked(sines(4, 3, *phase), [4, 3], wide())).collect()
}

fn near(what: &str, got: f64, want: f64) {
    close(what, &[got], &[want], if has_f64() { 1e-9 } else { 1e-6 }, 0.0);
}

fn parts(objective: &Cacr, views: &[Tensor<2>]) -> [f64; 2] {
    let result = objective.evaluate(views, false);
    assert!(result.gradients.is_empty());
    near("the sum", one(result.value), result.attraction + result.repulsion);
    [result.attraction, result.repulsion]
}

#[test]
fn golden_cacr() {
    Case::each("cacr", &["cacr"], |case| {
        let names: Vec<String> = (0..case.number("views") as usize).map(|v| format!("z{v}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut objective = Cacr::new(case.number("tau_pos"), case.number("tau_neg")).unwrap();
        objective = objective.with_costs(case.number("alpha"), case.number("beta")).unwrap();
        if case.case["params"]["debiased"].as_bool().unwrap() {
            objective = objective.with_released_debiasing(case.number("tau_plus")).unwrap();
        }
        let forms: [Form; 3] =
            [&|x| objective.loss(x), &|x| contrastive_core::testing::portably(|| objective.loss(x)), &|x| {
                objective.dense(x)
            }];
        // a difference of costs of 2: what f32 is off is that of the costs
        case.check(&names, 1.0, &forms);
        let leaves: Vec<Tensor<2>> = names.iter().map(|i| matrix(&case.case["inputs"][*i], case.dtype)).collect();
        let result = objective.evaluate(&leaves, false);
        let tight = if case.dtype == DType::F64 { 1e-12 } else { 1e-5 };
        for (what, got) in [("attraction", result.attraction), ("repulsion", result.repulsion)] {
            close(what, &[got], &[case.case["expected"][what].as_f64().unwrap()], 0.0, tight);
        }
    });
}

#[test]
fn values_of_the_specification() {
    let sharp = Cacr::new(1.0, 2.0).unwrap();
    let [attraction, repulsion] = parts(&sharp, &views(2));
    near("attraction of two views", attraction, 0.126241844);
    near("repulsion of two views", repulsion, -0.847895377);
    let [attraction, repulsion] = parts(&sharp, &views(3));
    near("attraction of three views", attraction, 0.310125665);
    near("repulsion of three views", repulsion, -0.677015381);
    let [attraction, repulsion] = parts(&Cacr::new(0.0, 0.0).unwrap(), &views(3));
    near("uniform attraction", attraction, 0.280382213);
    near("uniform repulsion", repulsion, -1.726414392);
    let v = views(3);
    let loss = CacrInfoNce::new(0.2).unwrap().loss(&[v[0].clone(), v[2].clone()], &v[1]);
    near("InfoNCE towards the farthest view", one(loss), 0.403022817);
}

/// The weights go to the nearest negative and the farthest positive; two views have one positive, whatever its weight.
#[test]
fn sharpness_and_its_limits() {
    let v = views(3);
    let rows: Vec<Vec<f64>> = v.iter().map(values).collect();
    let cost = |x: usize, i: usize, y: usize, j: usize| {
        (0..3).map(|c| (rows[x][i * 3 + c] - rows[y][j * 3 + c]).powi(2)).sum::<f64>()
    };
    let mut farthest = 0.0;
    for (x, i) in (0..12).map(|at| (at / 4, at % 4)) {
        farthest += (0..3).filter(|y| *y != x).map(|y| cost(x, i, y, i)).fold(0.0, f64::max) / 12.0;
    }
    let mut nearest = 0.0;
    for (x, y) in [(0, 1), (0, 2), (1, 2)] {
        for i in 0..4 {
            nearest -= (0..4).filter(|j| *j != i).map(|j| cost(x, i, y, j)).fold(f64::INFINITY, f64::min) / 12.0;
        }
    }
    let [attraction, repulsion] = parts(&Cacr::new(1e6, 1e6).unwrap(), &v);
    near("the farthest positive", attraction, farthest);
    near("the nearest negative", repulsion, nearest);
    let uniform = parts(&Cacr::new(0.0, 0.0).unwrap(), &v);
    let small = parts(&Cacr::new(1e-9, 1e-9).unwrap(), &v);
    close("towards uniform weights", &small, &uniform, 1e-6, 0.0);
    for sharpness in [0.3, 1.0, 7.0] {
        let [a, r] = parts(&Cacr::new(sharpness, sharpness).unwrap(), &v);
        assert!(uniform[0] <= a && a <= 4.0, "attraction {a} of sharpness {sharpness}");
        assert!(uniform[1] <= r && r <= 0.0, "repulsion {r} of sharpness {sharpness}");
        let [two, _] = parts(&Cacr::new(sharpness, 1.0).unwrap(), &v[..2]);
        near("two views", two, 0.126241844);
    }
    let weighted = parts(&Cacr::new(1.0, 2.0).unwrap().with_costs(3.0, 0.5).unwrap(), &v);
    close("alpha and beta", &weighted, &[3.0 * 0.310125665, -0.5 * 0.677015381], 1e-6, 0.0);
}

#[test]
fn weights_add_up_to_one() {
    let objective = Cacr::new(1.0, 2.0).unwrap();
    let v = views(3);
    for weights in objective.evaluate(&v, false).positive_weights {
        assert_eq!(weights.dims(), [4, 2]);
        close("positives", &values(&weights.sum_dim(1)), &[1.0; 4], 1e-6, 0.0);
    }
    let negatives = objective.negative_weights(&v[0], &v[1]);
    close("negatives", &values(&negatives.clone().sum_dim(1)), &[1.0; 4], 1e-6, 0.0);
    let diagonal: Vec<f64> = values(&negatives).into_iter().step_by(5).collect();
    assert_eq!(diagonal, [0.0; 4]);
}

/// With the right sign a correction takes repulsion from a batch whose positives are far apart; uniform costs say how much.
#[test]
fn correction_for_false_negatives() {
    let v = views(2);
    let [attraction, repulsion] = parts(&Cacr::new(1.0, 2.0).unwrap(), &v);
    let corrected = |o: Cacr| parts(&o, &v)[1];
    let right = corrected(Cacr::new(1.0, 2.0).unwrap().with_debiasing(0.1).unwrap());
    near("derived", right, (repulsion + 0.1 * attraction) / 0.9);
    let wrong = corrected(Cacr::new(1.0, 2.0).unwrap().with_released_debiasing(0.1).unwrap());
    near("released", wrong, (repulsion - 0.1 * attraction) / 0.9);
}

#[test]
fn gradients_with_and_without_those_of_the_weights() {
    let shapes = [[7, 3]; 3];
    for objective in [
        Cacr::new(1.0, 2.0).unwrap(),
        Cacr::new(3.0, 0.9).unwrap().with_costs(0.7, 1.3).unwrap().with_debiasing(0.1).unwrap(),
        Cacr::new(0.0, 0.0).unwrap().with_detached_weights(true),
    ] {
        differences("CACR", &shapes, |x| objective.loss(x));
    }
    // constants to the gradient: at the same point the derivative of the costs under fixed weights
    let fixed = Cacr::new(1.0, 2.0).unwrap().with_detached_weights(true);
    let gradients = |objective: &Cacr| -> Vec<f64> {
        let result = objective.evaluate(&views(3), true);
        result.gradients.iter().flat_map(values).collect()
    };
    let (held, free) = (gradients(&fixed), gradients(&Cacr::new(1.0, 2.0).unwrap()));
    let apart = held.iter().zip(&free).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart > 1e-2, "the two gradients are {apart} apart");
    let leaves = views(3);
    let tape = fixed.dense(&leaves).backward();
    let dense: Vec<f64> = leaves.iter().flat_map(|x| values(&x.grad(&tape).unwrap())).collect();
    close("with constant weights", &held, &dense, if has_f64() { 1e-12 } else { 1e-5 }, 0.0);
}

#[test]
fn dense_is_streaming() {
    for (seed, shape, count) in [(1, [2, 3], 2), (2, [40, 5], 2), (3, [17, 8], 4), (4, [150, 4], 3)] {
        for objective in [
            Cacr::new(1.0, 2.0).unwrap(),
            Cacr::new(0.0, 30.0).unwrap().with_detached_weights(true),
            Cacr::new(2.0, 0.5).unwrap().with_debiasing(0.3).unwrap(),
        ] {
            crate::row_losses::forms::agree(
                &format!("{count} views {shape:?}, {objective:?}"),
                &vec![shape; count],
                seed,
                &[&|x| objective.dense(x), &|x| objective.loss(x), &|x| {
                    contrastive_core::testing::portably(|| objective.loss(x))
                }],
            );
        }
    }
}

/// The form with a queue, written out with whole matrices.
fn queue_by_hand(q: &[Tensor<2>], keys: &[Tensor<2>], queue: &Tensor<2>, held: bool) -> Tensor<1> {
    let unit = |x: &Tensor<2>| contrastive_core::similarity::unit_rows(x.clone());
    let n = q[0].dims()[0];
    let hold = |x: Tensor<2>| if held { x.detach() } else { x };
    let mut total = q[0].clone().sum() * 0.0;
    for x in 0..q.len() {
        let cost = |k: &Tensor<2>| (unit(&q[x]) * unit(k)).sum_dim(1) * -2.0 + 2.0;
        let cost = Tensor::cat((0..q.len()).filter(|y| *y != x).map(|y| cost(&keys[y])).collect(), 1);
        let e = cost.clone().exp();
        total = total + (hold(e.clone() / e.sum_dim(1)) * cost).sum();
        let all = Tensor::cat(vec![unit(&q[x]), unit(queue)], 0);
        let cost = unit(&q[x]).matmul(all.transpose()) * -2.0 + 2.0;
        let own = Tensor::<2>::eye(n, &cost.device()).cast(cost.dtype());
        let rest = Tensor::<2>::zeros([n, queue.dims()[0]], (&cost.device(), cost.dtype()));
        let others = Tensor::cat(vec![own, rest], 1) * -1.0 + 1.0;
        let e = (cost.clone() * -2.0).exp() * others;
        total = total - (hold(e.clone() / e.sum_dim(1)) * cost).sum();
    }
    total * (1.0 / (q.len() * n) as f64)
}

#[test]
fn form_with_a_queue() {
    let (keys, queue) = ([rows(7, [5, 3]), rows(8, [5, 3]), rows(6, [5, 3])], rows(9, [11, 3]));
    for held in [true, false] {
        let objective = Cacr::new(1.0, 2.0).unwrap();
        let objective = if held { objective } else { objective.with_detached_weights(false) };
        crate::row_losses::forms::agree(
            &format!("queue, constant weights: {held}"),
            &[[5, 3]; 3],
            5,
            &[&|q| queue_by_hand(q, &keys, &queue, held), &|q| objective.loss_with_queue(q, &keys, &queue), &|q| {
                contrastive_core::testing::portably(|| objective.loss_with_queue(q, &keys, &queue))
            }],
        );
    }
    let loss = Cacr::new(1.0, 2.0).unwrap().loss_with_queue(&[rows(1, [5, 3]), rows(2, [5, 3])], &keys[..2], &queue);
    let gradients = loss.backward();
    assert!(keys[0].grad(&gradients).is_none() && queue.grad(&gradients).is_none(), "only queries have gradients");
}

#[test]
fn farthest_view_weights_are_constants() {
    let objective = CacrInfoNce::new(0.5).unwrap();
    let key = rows(3, [6, 4]);
    let by_hand = |q: &[Tensor<2>]| {
        let unit = |x: &Tensor<2>| contrastive_core::similarity::unit_rows(x.clone());
        let cost = |q: &Tensor<2>| (unit(q) * unit(&key)).sum_dim(1) * -2.0 + 2.0;
        let e = Tensor::cat(q.iter().map(cost).collect(), 1).mul_scalar(2.0).exp().detach();
        let p = e.clone() / e.sum_dim(1);
        let part = |(a, q): (usize, &Tensor<2>)| {
            let s = unit(q).matmul(unit(&key).transpose()) * 2.0;
            let own = Tensor::<2>::eye(6, &s.device()).cast(s.dtype());
            let all = s.clone().exp().sum_dim(1).log() - (s * own).sum_dim(1);
            (all * p.clone().slice([0..6, a..a + 1])).sum() * (2.0 * 0.5 / 6.0)
        };
        q.iter().enumerate().map(part).reduce(|a, b| a + b).unwrap()
    };
    crate::row_losses::forms::agree("weighted InfoNCE", &[[6, 4]; 2], 11, &[&by_hand, &|q| objective.loss(q, &key)]);
}

#[test]
#[should_panic(expected = "at least two")]
fn one_view_is_refused() {
    Cacr::new(1.0, 2.0).unwrap().loss(&views(1));
}

#[test]
#[should_panic(expected = "at least two rows")]
fn one_row_is_refused() {
    Cacr::new(1.0, 2.0).unwrap().loss(&[rows(1, [1, 3]), rows(2, [1, 3])]);
}

/// Rows of zero length are nowhere, a NaN row is seen, equal rows are finite.
#[test]
fn degenerate_rows() {
    let objective = Cacr::new(1.0, 2.0).unwrap();
    for fill in [0.0, 1.0] {
        let x = [(); 2].map(|_| tracked(vec![fill; 12], [4, 3], wide()));
        let loss = objective.loss(&x);
        close("equal rows", &[one(loss.clone())], &[0.0], 1e-6, 0.0);
        let gradients = loss.backward();
        assert!(values(&x[0].grad(&gradients).unwrap()).iter().all(|g| g.is_finite()));
    }
    let mut bad = normal(3, 12);
    bad[5] = f64::NAN;
    assert!(one(objective.loss(&[rows(1, [4, 3]), tracked(bad, [4, 3], wide())])).is_nan());
}
