//! AMCL: worked values, limits, and gradients of rows, temperatures and their network.

use crate::common::*;
use crate::synthesis::inputs::*;
use crate::unpaired::support::*;
use burn::module::Param;
use burn::tensor::Tensor;
use contrastive_core::head::MultiHeadConfig;
use contrastive_core::objective::Direction;
use contrastive_core::similarity::unit_rows;
use contrastive_core::synthesis::*;

/// Views of the heads of the worked example, with their temperatures.
fn worked_heads() -> (Vec<AmclHead>, Vec<Tensor<2>>) {
    let heads = (0..2).map(|c| {
        let phase = 0.5 * f64::from(c);
        let view = |phase| tracked(worked(4, 3, phase), [4, 3], wide());
        AmclHead { first: view(phase), second: view(phase + 0.35) }
    });
    let temperatures = (0..2).map(|c| {
        let tau = (0..16).map(|at| 0.2 + 0.1 * f64::from(c) + 0.05 * f64::from((at / 4 + at % 4) % 3));
        tracked(tau.collect(), [4, 4], wide())
    });
    (heads.collect(), temperatures.collect())
}

fn forward(beta: f64) -> Amcl {
    Amcl::new(beta).unwrap().with_direction(Direction::Forward)
}

/// `[n, n]` similarities and temperatures: the definition in plain tensors.
fn dense(s: Tensor<2>, tau: Tensor<2>, beta: f64, width: usize, positives: bool) -> Tensor<1> {
    let n = s.dims()[0];
    let eye: Vec<f64> = (0..n * n).map(|at| f64::from(at / n == at % n)).collect();
    let eye = constant(eye, [n, n]);
    let omega = tau.clone().recip() + tau.clone().log() * (0.5 * width as f64);
    let logits = s / tau - omega * beta;
    let own = (logits.clone() * eye.clone()).sum_dim(1);
    let among = if positives { logits } else { logits - eye * 1e6 };
    let top = among.clone().detach().max_dim(1);
    ((among - top.clone()).exp().sum_dim(1).log() + top - own).mean()
}

#[test]
fn amcls_worked_values() {
    let (heads, tau) = worked_heads();
    let value = |amcl: Amcl| amcl.evaluate_given(&heads, &tau).unwrap().loss;
    near_value("max", value(forward(0.1).with_form(AmclForm::Max)), -2.048553497);
    near_value("max, no regulariser", value(forward(0.0).with_form(AmclForm::Max)), -2.071309725);
    near_value("smooth", value(forward(0.1)), -1.517772527);
    let flat = vec![constant(vec![0.2; 16], [4, 4]); 2];
    let plain = forward(0.0).evaluate_given(&heads, &flat).unwrap();
    near_value("constant", plain.loss, -2.270748463);
    close("temperatures", &plain.heads[0][1..], &[0.2, 0.2], 1e-6, 0.0);
    // heads in another order
    let swapped = forward(0.1).evaluate_given(&[heads[1].clone(), heads[0].clone()], &[tau[1].clone(), tau[0].clone()]);
    near_value("swapped", swapped.unwrap().loss, -1.517772527);
    // two identical heads
    let single = forward(0.1).evaluate_given(&heads[..1], &tau[..1]).unwrap();
    let double = [heads[0].clone(), heads[0].clone()];
    let double = forward(0.1).evaluate_given(&double, &[tau[0].clone(), tau[0].clone()]).unwrap();
    near_value("twice", double.loss, 2.0 * one(single.loss));
    // both directions: the mean of the two, the second with the matrix turned
    let back: Vec<AmclHead> =
        heads.iter().map(|h| AmclHead { first: h.second.clone(), second: h.first.clone() }).collect();
    let turned: Vec<Tensor<2>> = tau.iter().map(|t| t.clone().transpose()).collect();
    let other = one(forward(0.1).evaluate_given(&back, &turned).unwrap().loss);
    near_value("both", value(Amcl::new(0.1).unwrap()), 0.5 * (other - 1.517772527));
}

#[test]
fn smooth_with_one_temperature_is_decoupled() {
    let [a, b] = views();
    let head = [AmclHead { first: a.clone(), second: b.clone() }];
    let tau = [constant(vec![0.3; 16], [4, 4])];
    let got = one(forward(0.0).evaluate_given(&head, &tau).unwrap().loss);
    // cross-view negatives only, the positive left out
    let (a, b) = (values(&a), values(&b));
    let expected: f64 = (0..4)
        .map(|i| {
            let s = |j: usize| dot(&a[i * 3..i * 3 + 3], &b[j * 3..j * 3 + 3]) / 0.3;
            (0..4).filter(|j| *j != i).map(|j| s(j).exp()).sum::<f64>().ln() - s(i)
        })
        .sum();
    near("decoupled", got, expected / 4.0, bound());
}

#[test]
fn amcl_is_its_dense_definition() {
    let (n, d) = (7, 5);
    let network = PairTemperatureConfig::new(d).with_rank(3).init(2, (&device().autodiff(), wide())).unwrap();
    let shapes = [[n, d], [n, d], [d, 3]];
    for (positives, beta) in [(false, 0.1), (true, 0.3), (false, 0.0)] {
        let amcl = if positives { forward(beta).with_positives() } else { forward(beta) };
        let with = |x: &[Tensor<2>]| {
            let mut network = network.clone();
            network.phi.weight = Param::from_tensor(x[2].clone());
            network.slope = Param::from_tensor(tracked(vec![1.7], [1], wide()));
            network.offset = Param::from_tensor(tracked(vec![-0.4], [1], wide()));
            let [first, second] = [0, 1].map(|k| unit_rows(x[k].clone()));
            (network, AmclHead { first, second })
        };
        let streamed = |x: &[Tensor<2>]| {
            let (network, head) = with(x);
            (amcl.loss(&[head], &network).unwrap(), network)
        };
        let oracle = |x: &[Tensor<2>]| {
            let (network, head) = with(x);
            let tau = network.dense(network.features(head.first.clone()), network.features(head.second.clone()));
            (dense(head.first.matmul(head.second.transpose()), tau, beta, d, positives), network)
        };
        let leaves = || shapes.iter().enumerate().map(|(k, s)| rows(k as u64, *s)).collect::<Vec<_>>();
        let (a, b) = (leaves(), leaves());
        let ((got, net), (expected, other)) = (streamed(&a), oracle(&b));
        let tolerance = if has_f64() { 1e-11 } else { 1e-4 };
        near("value", one(got.clone()), one(expected.clone()), tolerance);
        let (got, expected) = (got.backward(), expected.backward());
        for (k, (a, b)) in a.iter().zip(&b).enumerate() {
            let (a, b) = (values(&a.grad(&got).unwrap()), values(&b.grad(&expected).unwrap()));
            close(&format!("gradient {k}"), &a, &b, tolerance, tolerance);
        }
        for (a, b) in [(&net.slope, &other.slope), (&net.offset, &other.offset)] {
            let (a, b) = (values(&a.val().grad(&got).unwrap()), values(&b.val().grad(&expected).unwrap()));
            assert!(b[0].abs() > 1e-6);
            close("b and w", &a, &b, tolerance, tolerance);
        }
        differences("AMCL", &shapes, |x| streamed(x).0);
    }
    let given = [[n, d], [n, d], [n, n]];
    let mut data: Vec<Vec<f64>> = (0..3).map(|k| normal(k, given[k as usize][0] * given[k as usize][1])).collect();
    data[2].iter_mut().for_each(|tau| *tau = 0.3 + 0.1 * tau.abs());
    for form in [AmclForm::Smooth, AmclForm::Max] {
        let amcl = Amcl::new(0.2).unwrap().with_form(form);
        differences_at("AMCL of given temperatures", &given, data.clone(), |x| {
            let head = AmclHead { first: unit_rows(x[0].clone()), second: unit_rows(x[1].clone()) };
            amcl.evaluate_given(&[head], &x[2..]).unwrap().loss
        });
    }
    differences("AMCL for SimSiam", &[[n, d], [n, d]], |x| {
        let z = [rows(8, [n, d]), rows(9, [n, d])];
        Amcl::new(0.1).unwrap().simsiam_loss([x[0].clone(), x[1].clone()], z, &network)
    });
}

#[test]
fn more_rows_than_a_block_holds() {
    // 2,500 x 2,500 similarities: more than one block
    let (n, d) = (2500, 4);
    let network = PairTemperatureConfig::new(d).init(2, (&device(), wide())).unwrap();
    let view = |seed| plain(units(normal(seed, n * d), d), [n, d]);
    let (first, second) = (view(1), view(2));
    let tau = network.dense(network.features(first.clone()), network.features(second.clone()));
    let expected = dense(
        Tensor::from_inner(first.clone().matmul(second.clone().transpose())),
        Tensor::from_inner(tau.clone()),
        0.1,
        d,
        false,
    );
    let result = forward(0.1).evaluate(&[AmclHead { first, second }], &network).unwrap();
    let tolerance = if has_f64() { 1e-10 } else { 1e-4 };
    near("value", one(result.loss), one(expected), tolerance);
    let tau = values(&tau);
    let own: f64 = (0..n).map(|i| tau[i * n + i]).sum();
    let rest = (tau.iter().sum::<f64>() - own) / (n * (n - 1)) as f64;
    close("mean temperatures", &result.heads[0][1..], &[own / n as f64, rest], 1e-4, 0.0);
}

#[test]
fn the_best_temperature_is_the_variance() {
    let (s, d) = (0.6, 8);
    let amcl = Amcl::new(1.0).unwrap();
    // gradient descent on the logarithm of the temperature
    let mut log = 0.0f64;
    for _ in 0..400 {
        let tau = tracked(vec![log.exp()], [1], wide());
        let value = amcl.pair_terms(constant(vec![s], [1]), tau.clone(), d).sum();
        log -= 0.1 * values(&tau.grad(&value.backward()).unwrap())[0] * log.exp();
    }
    near("2 (1 - s) / d", log.exp(), 2.0 * (1.0 - s) / d as f64, if has_f64() { 1e-9 } else { 1e-4 });
    let best = 2.0 / d as f64;
    near("smallest omega", Amcl::omega(best, d), 0.5 * d as f64 * (1.0 + best.ln()), 1e-12);
    assert!([0.9, 1.1].iter().all(|f| Amcl::omega(best * f, d) > Amcl::omega(best, d)));
    let terms = values(&amcl.pair_terms(constant(vec![0.2], [1]), constant(vec![0.4], [1]), d));
    near("a pair", terms[0], -0.2 / 0.4 + Amcl::omega(0.4, d), 1e-5);
    differences_at("pair terms", &[[3, 1], [3, 1]], vec![normal(1, 3), vec![0.2, 0.5, 1.3]], |x| {
        let line = |x: &Tensor<2>| x.clone().reshape([3]);
        (Amcl::new(0.3).unwrap().pair_terms(line(&x[0]), line(&x[1]), d) * constant(vec![1.0, -2.0, 0.7], [3])).sum()
    });
}

#[test]
fn temperatures_stay_in_their_range() {
    let network = PairTemperatureConfig::new(4).init(3, (&device().autodiff(), wide())).unwrap();
    for size in [1.0, 30.0, 1e4] {
        let rows = rows(1, [6, 4]) * size;
        let tau = values(&network.dense(network.features(rows.clone()), network.features(rows)));
        let slack = 1e-6;
        assert!(tau.iter().all(|t| (0.05 - slack..=1.0 + slack).contains(t)), "{tau:?}");
    }
    // more alike, smaller: the minus sign
    let unit = unit_rows(rows(1, [6, 4]));
    let features = network.features(unit);
    let tau = values(&network.of_pairs(&features, &features));
    let opposite = values(&network.of_pairs(&features, &(features.clone() * -1.0)));
    assert!(tau.iter().zip(&opposite).all(|(near, far)| near < far));
    let dense = values(&network.dense(features.clone(), features));
    close("diagonal", &tau, &(0..6).map(|i| dense[7 * i]).collect::<Vec<_>>(), 1e-6, 0.0);
    let config = PairTemperatureConfig::new(4);
    says(config.clone().with_lowest(0.0).validate().unwrap_err(), "lowest temperature 0");
    says(config.clone().with_lowest(1.0).validate().unwrap_err(), "lowest temperature 1");
    says(config.clone().with_highest(f64::NAN).validate().unwrap_err(), "highest temperature NaN");
    says(config.with_rank(0).validate().unwrap_err(), "rank 0");
    says(Amcl::new(-0.1).unwrap_err(), "beta of the regulariser -0.1");
    let head = AmclHead { first: constant(vec![1.0; 4], [1, 4]), second: constant(vec![1.0; 4], [1, 4]) };
    says(Amcl::new(0.1).unwrap().loss(&[head], &network).unwrap_err(), "1 rows of a batch: at least 2");
    says(Amcl::new(0.1).unwrap().loss(&[], &network).unwrap_err(), "0 heads");
}

#[test]
fn equal_heads_stay_equal_and_others_do_not() {
    let (n, d) = (8, 6);
    let network = PairTemperatureConfig::new(4).init(3, (&device().autodiff(), wide())).unwrap();
    let config = MultiHeadConfig::new(d).with_heads(2).with_hidden(5).with_output(4);
    let amcl = Amcl::new(0.1).unwrap();
    let (a, b) = (rows(1, [n, d]).detach(), rows(2, [n, d]).detach());
    let gap = |equal: bool| {
        let mut heads = config.init(7, (&device().autodiff(), wide())).unwrap();
        if equal {
            heads.heads[1] = heads.heads[0].clone();
        }
        let own = |x: &Param<Tensor<2>>| Param::from_tensor(x.val().detach().require_grad());
        for head in &mut heads.heads {
            head.maps.iter_mut().for_each(|map| map.weight = own(&map.weight));
        }
        for _ in 0..10 {
            let views = heads.forward(a.clone()).into_iter().zip(heads.forward(b.clone()));
            let views: Vec<AmclHead> = views.map(|(first, second)| AmclHead { first, second }).collect();
            let gradients = amcl.loss(&views, &network).unwrap().backward();
            for map in heads.heads.iter_mut().flat_map(|head| &mut head.maps) {
                let weight = map.weight.val();
                let step = Tensor::from_inner(weight.grad(&gradients).unwrap() * 0.1);
                map.weight = Param::from_tensor((weight - step).detach().require_grad());
            }
        }
        let [x, y] = [0, 1].map(|c: usize| values(&heads.heads[c].maps[0].weight.val()));
        x.iter().zip(&y).fold(0f64, |a, (x, y)| a.max((x - y).abs()))
    };
    assert!(gap(true) < 1e-6, "{}", gap(true));
    assert!(gap(false) > 0.1);
}
