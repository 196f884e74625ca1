//! The checks of SimCSE's specification that belong to the method (1, 2, 4, 7; 3 and 6 are the core's, 5 is in `evaluate`).

use crate::common::*;
use burn::tensor::Tensor;
use contrastive_core::objective::InfoNce;
use contrastive_text::method::*;
use contrastive_train::{Method, MethodConfig};

fn method(config: SimCseConfig) -> SimCse {
    let config = config.with_encoder(small_encoder(0.1)).with_training(small_training());
    config.parts(&triples(), 1, &device()).unwrap().0
}

/// Check 1: equations 4 and 5 written out.
#[test]
fn the_contrast_is_the_papers_equations() {
    let (n, d) = (5, 4);
    let [z, p, h] = [1, 2, 3].map(|seed| rows(seed, [n, d]));
    let cosines = |a: &Tensor<2>, b: &Tensor<2>, i: usize, j: usize| {
        let (a, b) = (values(a), values(b));
        cosine(&a[i * d..(i + 1) * d], &b[j * d..(j + 1) * d]) / 0.05
    };
    for alpha in [0.0, 0.5, 1.0, 2.0] {
        let simcse = method(SimCseConfig::new().with_hard_negative_weight(alpha));
        let plain = value(&simcse.contrast([z.clone(), p.clone()], None, None));
        close("equation 4", plain, value(&InfoNce::new(0.05).unwrap().loss(z.clone(), p.clone())), 1e-12);
        let term = |i: usize| {
            let weight = |j: usize| if i == j { alpha } else { 1.0 };
            let all = (0..n).map(|j| cosines(&z, &p, i, j).exp() + weight(j) * cosines(&z, &h, i, j).exp());
            all.sum::<f64>().ln() - cosines(&z, &p, i, i)
        };
        let want = (0..n).map(term).sum::<f64>() / n as f64;
        let got = value(&simcse.contrast([z.clone(), p.clone()], Some(h.clone()), None));
        close(&format!("equation 5, alpha {alpha}"), got, want, 1e-10);
        // the same with ids that all differ
        let ids: Vec<i64> = (0..3 * n as i64).collect();
        let got = value(&simcse.contrast([z.clone(), p.clone()], Some(h.clone()), Some(&ids)));
        close("different ids", got, want, 1e-10);
    }
    // alpha -> 0 with one sample: nothing to be told from
    let simcse = method(SimCseConfig::new().with_hard_negative_weight(0.0));
    let [z, p, h] = [1, 2, 3].map(|seed| rows(seed, [1, d]));
    assert_eq!(value(&simcse.contrast([z, p], Some(h), None)), 0.0);
}

/// Check 2: without dropout both copies are equal, and the loss is that of the cosines alone.
#[test]
fn without_dropout_only_uniformity_is_left() {
    let config = SimCseConfig::new().with_head(Head::None).with_training(small_training());
    let run = |dropout: f64| {
        let config = config.clone().with_encoder(small_encoder(dropout));
        let (mut method, model) = config.parts(&corpus(), 2, &device()).unwrap();
        method.begin_epoch(1, contrastive_train::epoch_rng(2, 1)).unwrap();
        let batch = method.batch(first_step()).unwrap();
        let loss = value(&method.losses(&model, &batch, first_step()).unwrap()[0].1);
        let rows = values(&model.encoder.forward(&batch.0.tokens, &mut contrastive_nn::Pass::evaluation()));
        (loss, rows, batch.0.rows.len())
    };
    let (loss, rows, n) = run(0.0);
    let row = |i: usize| &rows[i * 8..(i + 1) * 8];
    let others =
        |i: usize| (0..n).filter(|j| *j != i).map(|j| (20.0 * (cosine(row(i), row(j)) - 1.0)).exp()).sum::<f64>();
    close("log(1 + sum)", loss, (0..n).map(|i| others(i).ln_1p()).sum::<f64>() / n as f64, 1e-4);
    assert!((run(0.3).0 - loss).abs() > 1e-3, "dropout changes the loss");
}

/// Check 4: one sample, and equal samples.
#[test]
fn single_and_equal_samples() {
    let simcse = method(SimCseConfig::new());
    let (z, p) = (rows(1, [1, 4]), rows(2, [1, 4]));
    let loss = simcse.contrast([z.clone(), p], None, None);
    assert_eq!(value(&loss), 0.0);
    let gradient = z.grad(&loss.backward()).map(|gradient| values(&gradient)).unwrap_or_default();
    assert!(gradient.iter().all(|x| *x == 0.0), "{gradient:?}");
    // three equal samples: log 3 at least without a mask, 0 with it
    let equal = |seed| Tensor::cat(vec![rows(seed, [1, 4]); 3], 0);
    let free = value(&simcse.contrast([equal(1), equal(2)], None, None));
    close("false negatives", free, 3f64.ln(), 1e-10);
    assert_eq!(value(&simcse.contrast([equal(1), equal(2)], None, Some(&[7; 6]))), 0.0);
}

/// The setting masks equal texts of a batch; the head is used in training, and after it where it is kept.
#[test]
fn duplicates_and_heads() {
    let tokens = words_of(&small());
    let text = "the man carries the ball in the street".to_string();
    let columns = vec![vec![text.clone(); 4], vec![text; 4]];
    let corpus = contrastive_text::data::Corpus::from_columns("equal", columns, tokens, 32).unwrap();
    let loss = |mask: bool| {
        let config = SimCseConfig::new().with_encoder(small_encoder(0.0)).with_mask_duplicates(mask);
        let (mut method, model) = config.with_training(small_training()).parts(&corpus, 2, &device()).unwrap();
        method.begin_epoch(1, contrastive_train::epoch_rng(2, 1)).unwrap();
        let batch = method.batch(first_step()).unwrap();
        value(&method.losses(&model, &batch, first_step()).unwrap()[0].1)
    };
    close("all equal", loss(false), 4f64.ln(), 1e-5);
    assert_eq!(loss(true), 0.0);
    for (head, there) in [(Head::None, false), (Head::TrainingOnly, true), (Head::Kept, true)] {
        let config = SimCseConfig::new().with_encoder(small_encoder(0.1)).with_head(head);
        assert_eq!(config.parts(&corpus, 1, &device()).unwrap().1.head.is_some(), there);
    }
    let training = SimCseConfig::new().with_encoder(small_encoder(0.1)).build(&triples(), 1, &device()).unwrap();
    assert_eq!(training.method().settings().head, Head::TrainingOnly);
}
