//! Comparisons that adapt to the pair: AMCL's heads and temperatures, Hydra's gates.

use super::*;
use contrastive_core::head::{MultiHead, MultiHeadConfig};
use contrastive_core::synthesis::*;
use std::cell::Cell;

#[derive(Module, Debug)]
struct Heads {
    encoder: Mlp,
    heads: MultiHead,
    temperature: PairTemperature,
}

impl Heads {
    fn features(&self, x: Tensor<2>) -> Tensor<2> {
        relu(self.encoder.forward(x))
    }
}

/// Class means, and the mean temperatures of positives and negatives.
fn amcl(study: &Study, heads: usize, constant: Option<f64>, seed: u64) -> (f64, [f64; 2]) {
    let device = device().autodiff();
    let config = MultiHeadConfig::new(64).with_heads(heads).with_hidden(64).with_output(32);
    let model = Heads {
        encoder: Mlp::new(&[64, 192, 64], seed, &device),
        heads: config.init(50 + seed, &device).unwrap(),
        temperature: PairTemperatureConfig::new(32).init(seed, &device).unwrap(),
    };
    let objective = Amcl::new(if constant.is_some() { 0.0 } else { 0.1 }).unwrap();
    let seen = Cell::new([0.0; 2]);
    let loss = |model: &Heads, [a, b]: [Tensor<2>; 2], _: Batch| {
        let n = a.dims()[0];
        let [a, b] = [a, b].map(|x| model.heads.forward(model.features(x)));
        let views: Vec<AmclHead> = a.into_iter().zip(b).map(|(first, second)| AmclHead { first, second }).collect();
        let found = match constant {
            Some(t) => objective.evaluate_given(&views, &vec![Tensor::full([n, n], t, &device); heads]),
            None => objective.evaluate(&views, &model.temperature),
        };
        let found = found.unwrap();
        seen.set([1, 2].map(|k| found.heads.iter().map(|head| head[k]).sum::<f64>() / heads as f64));
        found.loss
    };
    let model = study.train(Run::new(400, seed), model, loss, |model| model).valid();
    (study.class_means(|x| model.features(x)), seen.get())
}

#[test]
fn several_heads_and_their_temperatures() {
    let Some(study) = Study::load() else { return };
    let mean = |heads: usize, constant: Option<f64>| {
        let runs = [0, 1].map(|seed| amcl(&study, heads, constant, seed));
        let accuracy = runs.iter().map(|r| r.0).sum::<f64>() / 2.0;
        println!(
            "{heads} heads, temperature {constant:?}: class means {accuracy:.1}, last temperatures {:.3?}",
            runs[0].1
        );
        (accuracy, runs[0].1)
    };
    let (three, one) = (mean(3, Some(0.525)).0, mean(1, Some(0.525)).0);
    let (adaptive, [near, far]) = mean(3, None);
    let single = mean(1, Some(0.2)).0;
    assert!(three >= one - 1.0, "{three} against {one}");
    assert!(adaptive >= single - 1.5, "{adaptive} against {single}");
    assert!(near < far, "positives have the smaller temperatures: {near} and {far}");
}

#[derive(Module, Debug)]
struct Gated {
    network: Network,
    gate: PairGate,
}

#[test]
fn gates_make_arbitrary_pairs_of_classes_useful() {
    let Some(study) = Study::load() else { return };
    let learn = |gated: bool| {
        let device = device().autodiff();
        let gate = PairGateConfig::new(10, 32).with_embedding(64).with_hidden(128).init(3, &device).unwrap();
        let model = Gated { network: Network::new(0), gate };
        let objective = Hydra::new(0.1).unwrap();
        let seen = Cell::new([0.0; 2]);
        let loss = |model: &Gated, [a, b]: [Tensor<2>; 2], batch: Batch| {
            let labels: Vec<i64> = batch.places.iter().map(|i| study.train.labels[*i] as i64).collect();
            let paired = ClassPairs::Arbitrary.draw(&labels, 10, batch.step, 17).unwrap();
            let (a, b) = (model.network.project(a), model.network.project(b));
            let gates = if gated { model.gate.forward(&labels, &paired).unwrap() } else { a.ones_like().detach() };
            let (value, report) = objective.loss(a, b, gates, &labels, &paired).unwrap();
            seen.set([report.gate_mean, report.gate_entropy]);
            value
        };
        let model = study.train(Run::new(400, 0), model, loss, |model| model).valid();
        (study.class_means(|x| model.network.features(x)), seen.get())
    };
    let ((gated, [mean, entropy]), (open, _)) = (learn(true), learn(false));
    println!("arbitrary pairs: gates {gated:.1} (mean {mean:.3}, entropy {entropy:.3}), open {open:.1}");
    assert!(gated >= open + 6.0, "{gated} against {open}");
    assert!(mean > 0.0 && mean < 1.0);
}
