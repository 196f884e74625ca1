//! SimCTG: the values of its specification, its gradient, its training.

use crate::support::{device, values};
use burn::tensor::{DType, Tensor, TensorData};
use contrastive_core::objective::SimCtg;
use contrastive_nn::Ragged;
use contrastive_text::data::TokenStream;
use contrastive_text::encoder::CausalConfig;
use contrastive_text::method::{CausalTraining, CausalTrainingConfig};
use contrastive_train::{Budget, MethodConfig, Training, TrainingConfig, testing};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

fn states(numbers: Vec<f64>, width: usize) -> Tensor<2> {
    let rows = numbers.len() / width;
    let device = device().autodiff();
    Tensor::from_data(TensorData::new(numbers, [rows, width]), (&device, DType::F64)).require_grad()
}

fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| rng.random::<f64>() * 2.0 - 0.7).collect()
}

fn one(x: Tensor<1>) -> f64 {
    values(x)[0]
}

fn loss(margin: f64, x: &Tensor<2>, lists: &Ragged) -> f64 {
    one(SimCtg::new(margin).unwrap().loss(x.clone(), lists.offsets()))
}

/// Numbers of the specification.
#[test]
fn three_states() {
    let x = states(vec![1.0, 0.0, 0.6, 0.8, 0.0, 1.0], 2);
    let lists = Ragged::even(1, 3);
    assert!((loss(0.5, &x, &lists) - 0.133_333_333).abs() < 1e-8);
    assert!(loss(0.0, &x, &lists).abs() < 1e-12);
    let rising: Vec<f64> = (0..=20).map(|k| loss(0.1 * f64::from(k), &x, &lists)).collect();
    assert!(rising.windows(2).all(|pair| pair[1] >= pair[0]) && rising[20] > rising[5]);
    // equal states: the margin
    let alike = states(vec![0.3, 0.4, 0.6, 0.8, 3.0, 4.0], 2);
    assert!((loss(0.5, &alike, &lists) - 0.5).abs() < 1e-12);
    // a token alone, and no token, have no pairs
    for lists in [vec![1, 1, 1], vec![0, 1, 1, 1, 0]] {
        let (x, lists) = (states(vec![1.0, 0.0, 0.6, 0.8, 0.0, 1.0], 2), Ragged::from_lengths(&lists));
        assert_eq!(loss(0.5, &x, &lists), 0.0);
        let gradients = SimCtg::new(0.5).unwrap().loss(x.clone(), lists.offsets()).backward();
        assert!(x.grad(&gradients).is_none_or(|g| values(g).iter().all(|g| *g == 0.0)));
    }
    // a state of zeros is like none
    assert_eq!(loss(0.5, &states(vec![0.0, 0.0, 1.0, 0.0], 2), &Ragged::even(1, 2)), 0.0);
}

/// Pairs of all sequences count alike; sequences do not see each other; an empty list (padding alone) changes nothing.
#[test]
fn sequences_are_pooled_by_pairs() {
    let (a, b) = (noise(4 * 3, 1), noise(7 * 3, 2));
    let of = |x: &[f64], n: usize| loss(0.5, &states(x.to_vec(), 3), &Ragged::even(1, n));
    let both = states([&a[..], &b].concat(), 3);
    let want = (of(&a, 4) * 12.0 + of(&b, 7) * 42.0) / 54.0;
    for lengths in [vec![4, 7], vec![0, 4, 0, 7, 0]] {
        assert!((loss(0.5, &both, &Ragged::from_lengths(&lengths)) - want).abs() < 1e-12);
    }
}

/// Oracle: the dense form under autodiff, and finite differences; sequences longer than a block.
#[test]
fn value_and_gradient_are_those_of_the_dense_form() {
    for (lengths, width, margin) in [(vec![5, 1, 0, 3], 4, 0.5), (vec![300, 129, 128], 6, 0.4), (vec![9], 3, 2.0)] {
        let lists = Ragged::from_lengths(&lengths);
        let numbers = noise(lists.total() * width, 7);
        let objective = SimCtg::new(margin).unwrap();
        let (x, y) = (states(numbers.clone(), width), states(numbers, width));
        let (got, want) = (objective.loss(x.clone(), lists.offsets()), objective.dense(y.clone(), lists.offsets()));
        assert!((one(got.clone()) - one(want.clone())).abs() < 1e-12 && one(got.clone()) > 0.0);
        let (got, want) = ((got * 3.0).backward(), (want * 3.0).backward());
        let (got, want) = (values(x.grad(&got).unwrap()), values(y.grad(&want).unwrap()));
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-12));
    }
    let (numbers, lists) = (noise(6 * 3, 9), Ragged::from_lengths(&[4, 2]));
    let x = states(numbers.clone(), 3);
    let gradients = SimCtg::new(0.5).unwrap().loss(x.clone(), lists.offsets()).backward();
    let slopes = values(x.grad(&gradients).unwrap());
    for at in 0..numbers.len() {
        let moved = |by: f64| {
            let mut moved = numbers.clone();
            moved[at] += by;
            loss(0.5, &states(moved, 3), &lists)
        };
        assert!(((moved(1e-6) - moved(-1e-6)) / 2e-6 - slopes[at]).abs() < 1e-7);
    }
}

#[test]
fn margins_out_of_range_are_named() {
    for margin in [-0.1, 2.1, f64::NAN] {
        let error = SimCtg::new(margin).unwrap_err().to_string();
        assert!(error.contains("margin") && error.contains("0 to 2"), "{error}");
    }
}

/// Text in which each token is followed by one of two.
fn stream(tokens: usize, vocabulary: u32) -> TokenStream {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut token = 0;
    let mut next = || {
        token = (token * 5 + 1 + rng.random_range(0..2)) % vocabulary;
        token
    };
    let train = (0..tokens).map(|_| next()).collect();
    TokenStream {
        name: "generated".into(),
        vocabulary: vocabulary as usize,
        train,
        validation: (0..200).map(|_| next()).collect(),
    }
}

fn config(margin: f64) -> CausalTrainingConfig {
    let model = CausalConfig::small(20, 24).with_dropout(0.1);
    let training = TrainingConfig::new(Budget::Steps(50), 8, 3e-3);
    CausalTrainingConfig::new(model).with_margin(margin).with_length(12).with_training(training)
}

fn training(margin: f64) -> Training<CausalTraining> {
    config(margin).build(&stream(400, 20), 5, &device()).unwrap()
}

#[test]
fn a_resumed_training_equals_an_uninterrupted_one() {
    testing::resumes_bit_for_bit(&|| training(0.5), 6);
}

#[test]
fn gradients_of_the_training_are_derivatives() {
    testing::gradients_are_derivatives(&|| training(0.5), 0.02);
}

#[test]
fn settings_and_data_out_of_range_are_named() {
    let mut open = CausalConfig::small(20, 24);
    open.encoder.transformer.causal = false;
    testing::settings_are_refused([
        (config(0.5).with_margin(-1.0), "margin is -1; allowed is 0 to 2"),
        (config(0.5).with_length(1), "length is 1; allowed is 2 to the model's positions 24"),
        (config(0.5).with_length(25), "length is 25"),
        (CausalTrainingConfig { model: open, ..config(0.5) }, "causal"),
    ]);
    let refused = |data: TokenStream, words: &str| {
        let error = config(0.5).build(&data, 1, &device()).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    };
    refused(stream(12, 20), "number of training tokens is 12");
    refused(stream(100, 19), "vocabulary is 20; allowed is that of the data, 19");
    let mut data = stream(100, 20);
    data.validation[3] = 20;
    refused(data, "below the vocabulary 20");
}

/// The entropy of the next token is log 2.
#[test]
fn a_model_learns_and_the_contrast_keeps_states_apart() {
    let run = |margin: f64| {
        let mut training = config(margin).build(&stream(4000, 20), 5, &device()).unwrap();
        (0..3).for_each(|_| drop(training.train_epoch().unwrap()));
        let model = training.trained_model();
        training.method().validation(&model).unwrap().unwrap()
    };
    let ([plain, plain_isotropy], [loss, isotropy]) = (run(0.0), run(0.5));
    println!("loss {plain:.3} and {loss:.3}, isotropy {plain_isotropy:.3} and {isotropy:.3}");
    assert!(plain < 1.0 && loss < 1.1, "{plain} and {loss}, at best {}", 2f64.ln());
    assert!(isotropy > plain_isotropy);
}
