//! MoCo on digits, and what MoCHi, feature transformation and the Hallucinator change.

use super::*;
use contrastive_core::memory::{Queue, update_target_parameters};
use contrastive_core::objective::*;
use contrastive_core::similarity::unit_rows;
use contrastive_core::synthesis::*;
use std::cell::{Cell, RefCell};

const TEMPERATURE: f64 = 0.1;

/// What a run ended with: class means, and of the last 100 steps the means of four numbers the method reports.
struct Ended {
    accuracy: f64,
    seen: [f64; 4],
}

/// A queue of 1,024 keys of a momentum copy (0.99), batches of 64, 600 steps. The loss gets unit queries and keys and the queue, and gives
/// what is to be watched beside its value.
fn learn<M: Module>(
    study: &Study,
    model: M,
    network: impl Fn(&M) -> &Network,
    loss: impl Fn(&M, Tensor<2>, Tensor<2>, &Queue, usize) -> (Tensor<1>, [f64; 4]),
) -> Ended {
    let run = Run { batch: 64, ..Run::new(600, 0) };
    let queue = RefCell::new(
        Queue::random_units(1024, 32, 3, &device()).unwrap().with_dataset_size(study.train.images.len()).unwrap(),
    );
    let keys = RefCell::new(Some(network(&model).clone().no_grad()));
    let seen = Cell::new([0.0; 4]);
    let step = |model: &M, [a, b]: [Tensor<2>; 2], batch: Batch| {
        let copy = update_target_parameters(network(model), keys.take().unwrap(), 0.99);
        let k = unit_rows(copy.project(b)).detach();
        keys.replace(Some(copy));
        let q = unit_rows(network(model).project(a));
        let (value, now) = loss(model, q, k.clone(), &queue.borrow(), batch.step);
        queue.borrow_mut().push(k);
        if batch.step >= 500 {
            let mut all = seen.get();
            all.iter_mut().zip(now).for_each(|(s, x)| *s += x / 100.0);
            seen.set(all);
        }
        value
    };
    let model = study.train(run, model, step, |model| model).valid();
    Ended { accuracy: study.class_means(|x| network(&model).features(x)), seen: seen.get() }
}

fn itself(network: &Network) -> &Network {
    network
}

#[test]
fn mixtures_make_the_task_of_moco_harder() {
    let Some(study) = Study::load() else { return };
    let run = |mixed: [usize; 2]| {
        let mochi = Mochi::new(TEMPERATURE, 64, mixed[0], mixed[1]).unwrap().with_warm_up(100);
        learn(&study, Network::new(0), itself, |_, q, k, queue, step| {
            let found = mochi.evaluate(q, k, queue, None, step, 11).unwrap();
            (found.loss, [found.proxy_accuracy, found.hardest_real.max(found.hardest_synthetic), 0.0, 0.0])
        })
    };
    let (plain, mixed) = (run([0, 0]), run([32, 16]));
    for (name, ended) in [("MoCo", &plain), ("MoCHi", &mixed)] {
        let [proxy, hardest, ..] = ended.seen;
        println!("{name}: class means {:.1}, proxy accuracy {proxy:.3}, hardest negative {hardest:.3}", ended.accuracy);
    }
    assert!(mixed.seen[0] < plain.seen[0] && mixed.seen[1] > plain.seen[1]);
    assert!((mixed.accuracy - plain.accuracy).abs() <= 2.0);

    // FT: interpolated negatives alone, and extrapolated positives alone
    let transformed = |positives: Option<f64>, negatives: Option<f64>| {
        let ft = FeatureTransform::new(TEMPERATURE).unwrap();
        let ft = ft.with_extrapolation(positives).unwrap().with_interpolation(negatives).unwrap();
        learn(&study, Network::new(0), itself, |_, q, k, queue, step| {
            let rows = queue.rows().unwrap();
            let draw = ft.draw(q.dims(), rows.dims()[0], step, 13).unwrap();
            let raw = (q.clone() * k.clone()).sum_dim(1).into_data().iter::<f64>().collect::<Vec<_>>();
            let (value, trace) = ft.loss_of(q, k, rows, &draw).unwrap();
            let lambda = draw.extrapolation[0];
            // at every step what the transformation takes from a positive is 2 lambda (lambda - 1) (1 - s)
            for (s, pushed) in raw.iter().zip(&trace.positive) {
                let below = s - 2.0 * lambda * (lambda - 1.0) * (1.0 - s);
                assert!((pushed - below).abs() < 1e-4, "{pushed} instead of {below}");
            }
            (value, [raw.iter().sum::<f64>() / raw.len() as f64, trace.summary().positive_mean, 0.0, 0.0])
        })
    };
    let (negatives, positives) = (transformed(None, Some(1.6)), transformed(Some(2.0), None));
    for (name, ended) in [("interpolated negatives", &negatives), ("extrapolated positives", &positives)] {
        let [raw, seen, ..] = ended.seen;
        println!("{name}: class means {:.1}, positive scores {raw:.3} raw, {seen:.3} as compared", ended.accuracy);
    }
    assert!(negatives.accuracy >= plain.accuracy - 1.5, "{} against {}", negatives.accuracy, plain.accuracy);
    assert!(positives.seen[1] < positives.seen[0]);
}

#[derive(Module, Debug)]
struct Hallucinating {
    network: Network,
    hallucinator: Hallucinator,
}

#[test]
fn hallucinated_queries_close_the_gap() {
    let Some(study) = Study::load() else { return };
    let moco = Moco::new(TEMPERATURE).unwrap();
    let model = Hallucinating {
        network: Network::new(0),
        hallucinator: HallucinatorConfig::new(32).init(9, &device().autodiff()).unwrap(),
    };
    let first = Cell::new([0.0; 2]);
    let cosines = |a: &Tensor<2>, b: &Tensor<2>| {
        let products = (unit_rows(a.clone().inner()) * unit_rows(b.clone().inner())).sum_dim(1).mean();
        products.into_data().iter::<f64>().next().unwrap()
    };
    let ended = learn(
        &study,
        model,
        |model| &model.network,
        |model, q, k, queue, step| {
            let r = model.hallucinator.extrapolation(step, 4);
            let h = model.hallucinator.forward(q.clone(), k.clone(), r);
            let now = [cosines(&h, &k), cosines(&q, &k), cosines(&h, &q), 0.0];
            if step == 0 {
                first.set([now[0], now[1]]);
            }
            (model.hallucinator.moco_loss(&moco, q, k, queue, r), now)
        },
    );
    let plain = learn(&study, Network::new(0), itself, |_, q, k, queue, _| (moco.loss(q, k, queue), [0.0; 4]));
    let [h, q, own, _] = ended.seen;
    let [h0, q0] = first.get();
    println!(
        "cosines with the key, h and q: first {h0:.3} and {q0:.3}, at the end {h:.3} and {q:.3}; h and q {own:.3}"
    );
    println!("class means: with {:.1}, without {:.1}", ended.accuracy, plain.accuracy);
    assert!(h0 < q0 && q - h < q0 - h0, "the gap closes");
    assert!(own < 0.999, "{own}");
    assert!(ended.accuracy >= plain.accuracy - 1.5);
}
