//! Two views and what they make of digits: SimCLR, CACR, GroCo, SwAV, SimSiam with and without its stopped gradient.

use super::*;
use burn::tensor::activation::softmax;
use contrastive_core::head::{OutputNorm, Prototypes};
use contrastive_core::objective::*;
use contrastive_core::similarity::unit_rows;
use std::cell::Cell;

fn untrained(study: &Study, seed: u64) -> f64 {
    let network = Network::new(seed).valid();
    study.class_means(|x| network.features(x))
}

#[test]
fn simclr_and_cacr_learn_digits() {
    let Some(study) = Study::load() else { return };
    let (run, nt_xent) = (Run::new(600, 0), NtXent::new(0.2).unwrap());
    let before = untrained(&study, 0);
    let (_, simclr) = two_views(&study, run, |a, b| nt_xent.loss(a, b));
    let cacr = |repulsion: f64| {
        let objective = Cacr::new(1.0, repulsion).unwrap();
        two_views(&study, run, |a, b| objective.loss(&[a, b])).1
    };
    let (sharp, uniform) = (cacr(2.0), cacr(0.0));
    println!("untrained {before:.1}, SimCLR {simclr:.1}, CACR {sharp:.1}, with uniform repulsion {uniform:.1}");
    assert!(simclr >= before + 8.0 && simclr >= 84.0);
    assert!(sharp >= uniform + 3.0, "{sharp} against {uniform}");
    assert!((sharp - simclr).abs() <= 2.0, "{sharp} against {simclr}");
}

/// NT-Xent that sees what GroCo sees: the 10 most similar other images of the same view, and only the anchor moves.
fn among_the_hardest(objective: &InfoNce, anchors: &Tensor<2>, positives: &Tensor<2>) -> Tensor<1> {
    let ([n, d], k) = (anchors.dims(), 10);
    let rows = unit_rows(anchors.clone().inner());
    let own = Tensor::<2>::eye(n, &rows.device()) * -2.0;
    let (_, places) = (rows.clone().matmul(rows.clone().transpose()) + own).topk_with_indices(k, 1);
    let hardest: Tensor<3> = rows.select(0, places.reshape([n * k])).reshape([n, k, d]);
    objective.loss_with_own_negatives(anchors.clone(), positives.clone().detach(), Tensor::from_inner(hardest))
}

#[test]
fn sorting_learns_as_much_as_nt_xent_among_the_same_negatives() {
    let Some(study) = Study::load() else { return };
    let (run, before) = (Run::new(600, 0), untrained(&study, 0));
    let groco = GroCo::new(10).unwrap();
    let (sorted, by_sorting) = two_views(&study, run, |a, b| groco.loss(&[a, b], 2));
    let info_nce = InfoNce::new(0.2).unwrap();
    let hard = |a: Tensor<2>, b: Tensor<2>| {
        (among_the_hardest(&info_nce, &a, &b) + among_the_hardest(&info_nce, &b, &a)) * 0.5
    };
    let (softmaxed, by_softmax) = two_views(&study, run, hard);
    let near = [&sorted, &softmaxed].map(|network| study.neighbours(|x| network.features(x)));
    println!(
        "untrained {before:.1}; class means: GroCo {by_sorting:.1}, NT-Xent {by_softmax:.1}; neighbours: {near:.1?}"
    );
    assert!(by_sorting >= before + 8.0 && by_softmax >= before + 8.0);
    assert!((by_sorting - by_softmax).abs() <= 2.0 && (near[0] - near[1]).abs() <= 1.5);
}

#[derive(Module, Debug)]
struct Clustering {
    network: Network,
    prototypes: Prototypes,
}

#[test]
fn even_codes_keep_prototypes_in_use() {
    let Some(study) = Study::load() else { return };
    let (count, epsilon, t) = (60, 0.05, 0.1);
    let swav = SwAv::new(t, Sinkhorn::new(epsilon, 3).unwrap()).unwrap();
    let learn = |even: bool| {
        let used = Cell::new(0);
        let model = Clustering {
            network: Network::new(0),
            prototypes: Prototypes::new(count, 32, 7, &device().autodiff()).unwrap(),
        };
        let loss = |model: &Clustering, views: [Tensor<2>; 2], _: Batch| {
            let [a, b] = views.map(|x| model.prototypes.scores(model.network.project(x)));
            let own = |s: &Tensor<2>| softmax(s.clone().inner() * (1.0 / epsilon), 1);
            let codes = if even { Sinkhorn::new(epsilon, 3).unwrap().codes(a.clone()) } else { own(&a) };
            let mut seen = vec![false; count];
            codes.argmax(1).into_data().iter::<i64>().for_each(|k| seen[k as usize] = true);
            used.set(seen.iter().filter(|s| **s).count());
            match even {
                true => swav.loss(&[a, b], &[]),
                false => {
                    let swapped = |q: &Tensor<2>, s: &Tensor<2>| soft_cross_entropy(own(q), s.clone(), t).unwrap();
                    (swapped(&a, &b) + swapped(&b, &a)) * 0.5
                }
            }
        };
        let after = |model: Clustering| Clustering { prototypes: model.prototypes.normalised(), ..model };
        let model = study.train(Run::new(600, 0), model, loss, after).valid();
        (used.get(), study.class_means(|x| model.network.features(x)))
    };
    let (even, uneven) = (learn(true), learn(false));
    println!("prototypes in use and class means: even codes {even:?}, softmax {uneven:?}");
    assert!(even.0 >= 30 && uneven.0 <= 5, "{even:?} and {uneven:?}");
    assert!(even.1 >= uneven.1 + 10.0, "{even:?} and {uneven:?}");
}

#[derive(Module, Debug)]
struct Predicting {
    network: Network,
    predictor: MlpHead,
}

#[test]
fn simsiam_stands_by_its_stopped_gradient() {
    let Some(study) = Study::load() else { return };
    let learn = |stopped: bool, normed: bool| {
        let spread = Cell::new(0.0);
        let projector = MlpHeadConfig::simsiam_projector(64, 64);
        let projector = if normed { projector } else { projector.with_output_norm(OutputNorm::None) };
        let model = Predicting {
            network: Network::with_head(0, projector),
            predictor: MlpHeadConfig::simsiam_predictor(64).init(5, &device().autodiff()).unwrap(),
        };
        let loss = |model: &Predicting, views: [Tensor<2>; 2], _: Batch| {
            let [z0, z1] = views.map(|x| model.network.project(x));
            let [p0, p1] = [&z0, &z1].map(|z| model.predictor.forward(z.clone()));
            spread.set(deviation(&unit_rows(z0.clone().inner())));
            let meet = |p: Tensor<2>, z: Tensor<2>| (unit_rows(p) * unit_rows(z)).sum_dim(1).mean() * -0.5;
            match stopped {
                true => simsiam(p0, p1, z0, z1),
                false => meet(p0, z1) + meet(p1, z0),
            }
        };
        study.train(Run::new(300, 0), model, loss, |model| model);
        spread.get()
    };
    // a last batch norm without parameters holds the columns' variances at 1: less than a collapse is left to see
    for (normed, most) in [(false, 0.02), (true, 0.1)] {
        let (stopped, free) = (learn(true, normed), learn(false, normed));
        println!("last batch norm {normed}: mean deviation of unit projections {stopped:.4} stopped, {free:.4} free");
        assert!(stopped > 0.05 && free < most && free < 0.9 * stopped, "{stopped} and {free}");
    }
}

/// The mean over columns of the standard deviation.
fn deviation(x: &Tensor<2>) -> f64 {
    let [n, d] = x.dims();
    let gap = x.clone() - x.clone().sum_dim(0) * (1.0 / n as f64);
    let columns = ((gap.clone() * gap).sum_dim(0) * (1.0 / n as f64)).sqrt();
    columns.into_data().iter::<f64>().sum::<f64>() / d as f64
}
