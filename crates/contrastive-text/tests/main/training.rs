//! Trainings: resume, gradients, learning.

use crate::common::*;
use burn::tensor::{Device, Tensor};
use contrastive_nn::encoder::TokenEncoder;
use contrastive_text::TextError;
use contrastive_text::data::generate::{GenerateOptions, paraphrases};
use contrastive_text::data::{Corpus, Tokens};
use contrastive_text::encoder::*;
use contrastive_text::evaluate::{Protocol, sts_set};
use contrastive_text::method::*;
use contrastive_train::testing::{gradients_are_derivatives, in_f64, resumes_bit_for_bit};
use contrastive_train::{Budget, Method, MethodConfig, Schedule, Training, TrainingConfig};
use ndarray::Array2;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::sync::Arc;

fn deb_data() -> DebCseData {
    let corpus = corpus();
    let teacher = Array2::from_shape_fn((corpus.len(), 4), |(i, k)| ((i * 5 + k) as f32).cos() + 0.5);
    DebCseData::new(corpus, &teacher).unwrap()
}

fn simcse(dropout: f64) -> SimCseConfig {
    SimCseConfig::new().with_encoder(small_encoder(dropout)).with_training(small_training())
}

fn whitened(dropout: f64) -> WhitenedCseConfig {
    WhitenedCseConfig::new().with_encoder(small_encoder(dropout)).with_groups(4).with_training(small_training())
}

fn debcse(dropout: f64) -> DebCseConfig {
    DebCseConfig::new().with_encoder(small_encoder(dropout)).with_negatives(2).with_training(small_training())
}

/// Dropout, samples, orders, draws and the optimiser go on where they stopped.
#[test]
fn resumed_runs_equal_uninterrupted_ones() {
    let steps = 8;
    let attention = simcse(0.2).with_encoder(small_encoder(0.2).with_layers(1).with_heads(2));
    resumes_bit_for_bit(&|| attention.build(&corpus(), 3, &device()).unwrap(), steps);
    resumes_bit_for_bit(&|| simcse(0.2).build(&triples(), 3, &device()).unwrap(), steps);
    resumes_bit_for_bit(&|| whitened(0.2).build(&corpus(), 3, &device()).unwrap(), steps);
    resumes_bit_for_bit(&|| whitened(0.2).with_reference_layout(true).build(&corpus(), 3, &device()).unwrap(), 6);
    resumes_bit_for_bit(&|| debcse(0.2).build(&deb_data(), 3, &device()).unwrap(), steps);
    resumes_bit_for_bit(&|| debcse(0.2).with_weighting(true).build(&deb_data(), 3, &device()).unwrap(), 6);
}

/// Without dropout the gradient in chunks is that of the whole batch; with it the same seed gives the same training.
#[test]
fn batches_pass_in_chunks() {
    let table = |training: Training<SimCse>, steps: usize| {
        let mut training = training;
        (0..steps).for_each(|_| drop(training.train_step().unwrap()));
        values(&training.trained_model().encoder.table())
    };
    for corpus in [corpus(), triples()] {
        let with = |dropout: f64| {
            let config = simcse(dropout).with_encoder(small_encoder(dropout).with_layers(1).with_heads(2));
            config.build(&corpus, 3, &device()).unwrap()
        };
        let whole = table(with(0.0), 3);
        for rows in [1, 5, 1000] {
            let chunked = table(with(0.0).with_gradient_cache(rows).unwrap(), 3);
            for (a, b) in whole.iter().zip(&chunked) {
                close(&format!("chunks of {rows}"), *b, *a, 1e-5);
            }
        }
        let [a, b] = [(); 2].map(|()| table(with(0.2).with_gradient_cache(5).unwrap(), 3));
        assert_eq!(a, b);
        assert_ne!(a, whole);
    }
    let masked = simcse(0.1).with_encoder(small_encoder(0.1).with_layers(1).with_heads(2)).with_masked_weight(0.1);
    if let Ok(training) = masked.build(&corpus(), 3, &device()) {
        let said = training.with_gradient_cache(5).unwrap().train_step().unwrap_err().to_string();
        assert!(said.contains("masked_weight") && said.contains("0 when batches pass in chunks"), "{said}");
    }
}

fn derivatives<M: Method<Model = SentenceModel>>(
    build: impl Fn() -> Result<(M, SentenceModel), TextError>,
    training: &TrainingConfig,
) {
    let in_double = || {
        let (method, model) = build().unwrap();
        Training::new(method, in_f64(model), training, 4).unwrap()
    };
    gradients_are_derivatives(&in_double, 1e-5);
}

/// Oracle: differences in f64. (WhitenedCSE's root is constant to the gradient on purpose: see the core's tests of it.)
#[test]
fn gradients_are_the_derivatives() {
    let training = small_training();
    derivatives(|| simcse(0.2).parts(&corpus(), 3, &device()), &training);
    derivatives(|| simcse(0.2).with_hard_negative_weight(0.5).parts(&triples(), 3, &device()), &training);
    derivatives(|| debcse(0.2).parts(&deb_data(), 3, &device()), &training);
    derivatives(|| debcse(0.2).with_weighting(true).parts(&deb_data(), 3, &device()), &training);
}

fn tiny_bert(device: &Device) -> (BertEncoder, Arc<Tokens>) {
    let folder = tempfile::tempdir().unwrap();
    let generated = small();
    let mut words: Vec<String> =
        generated.sentences.iter().flat_map(|text| text.split(' ')).map(String::from).collect();
    words.sort_unstable();
    words.dedup();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let vocabulary = [&special[..], &words].concat();
    std::fs::write(folder.path().join("vocab.txt"), vocabulary.join("\n")).unwrap();
    let tokenizer = contrastive_data::text::Tokenizer::read(folder.path()).unwrap();
    let config = BertConfig {
        family: Family::Bert,
        vocabulary: vocabulary.len(),
        width: 8,
        layers: 1,
        heads: 2,
        inner: 16,
        positions: 40,
        types: 2,
        epsilon: 1e-12,
        activation: "gelu".into(),
        dropout: 0.1,
        attention_dropout: 0.1,
    };
    let encoder = BertEncoder::new(&config, Pool::Cls, &mut ChaCha8Rng::seed_from_u64(2), &device.clone().autodiff());
    (encoder.unwrap(), Arc::new(Tokens::Library(Box::new(tokenizer))))
}

/// An encoder of the BERT family in training, with masked tokens as a second term.
#[test]
fn bert_learns_with_masked_tokens() {
    let (encoder, tokens) = tiny_bert(&device());
    let _: &TokenEncoder = &encoder.encoder;
    let corpus = Corpus::sentences("small", &small().sentences, tokens, 32).unwrap();
    let config = SimCseConfig::bert_base().with_masked_weight(0.1).with_training(small_training());
    let parts = || {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        config.with_parts(SentenceEncoder::Bert(encoder.clone()), &corpus, &mut rng)
    };
    derivatives(parts, &config.training);
    let build = || {
        let (method, model) = parts().unwrap();
        Training::new(method, model, &config.training, 4).unwrap()
    };
    resumes_bit_for_bit(&build, 6);
    let mut training = build();
    let first = training.train_epoch().unwrap();
    (0..12).for_each(|_| drop(training.train_epoch().unwrap()));
    let last = training.train_epoch().unwrap();
    assert_eq!(first.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["loss", "contrast", "masked"]);
    assert!(last[1].1 < first[1].1 && last[2].1 < first[2].1, "{first:?} to {last:?}");
    // about 15 % of the tokens are hidden, never a special one
    let batch = TokenBatch::new(corpus.lists(0).iter().map(Vec::as_slice));
    let masked = mask_tokens(&batch, corpus.tokens(), 0.15, &mut ChaCha8Rng::seed_from_u64(1));
    let share = masked.places.len() as f64 / (batch.ids.len() - 2 * batch.len()) as f64;
    assert!((share - 0.15).abs() < 0.05, "{share}");
    assert!(masked.targets.iter().all(|token| !corpus.tokens().is_special(*token)));
    let hidden = masked.places.iter().filter(|at| masked.tokens.ids[**at as usize] == 4).count();
    assert!((hidden as f64 / masked.places.len() as f64 - 0.8).abs() < 0.12);
}

#[test]
fn equal_seeds_give_equal_runs_and_others_do_not() {
    let run = |seed: u64| debcse(0.2).build(&deb_data(), seed, &device()).unwrap().train_epoch().unwrap();
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

/// On generated paraphrases each method finds more of the meaning than the encoder it starts from.
#[test]
fn methods_learn_what_templates_hide() {
    let generated = paraphrases(&GenerateOptions { sentences: 2000, pairs: 300, triples: 800, seed: 2 });
    let tokens = Arc::new(Tokens::words(&generated.sentences, 1, 4).unwrap());
    let corpus = Corpus::sentences("generated", &generated.sentences, tokens.clone(), 32).unwrap();
    let triples = Corpus::triples("triples", &generated.triples, tokens, 32).unwrap();
    let encoder = SmallEncoderConfig::new().with_width(32);
    let training = TrainingConfig::new(Budget::Epochs(4), 64, 3e-3).with_schedule(Schedule::linear(0.0));
    let score = |model: &SentenceModel, keep: bool| {
        sts_set(&model.embedder(&encoder, keep, &corpus), &generated.test, Protocol::All).unwrap()
    };
    fn trained<M: Method<Model = SentenceModel>>(mut training: Training<M>) -> SentenceModel {
        (0..4).for_each(|_| drop(training.train_epoch().unwrap()));
        training.model().clone()
    }
    let config = SimCseConfig::new().with_encoder(encoder.clone()).with_training(training.clone());
    let untrained = score(&config.parts(&corpus, 1, &device()).unwrap().1, false);
    let simcse = score(&trained(config.build(&corpus, 1, &device()).unwrap()), false);
    let kept = config.clone().with_head(Head::Kept);
    let supervised = score(&trained(kept.build(&triples, 1, &device()).unwrap()), true);
    let white = WhitenedCseConfig::new().with_encoder(encoder.clone()).with_groups(8).with_training(training.clone());
    let whitened = score(&trained(white.build(&corpus, 1, &device()).unwrap()), false);
    let weights = corpus.tokens().idf(corpus.lists(0));
    let bag = encoder.init(corpus.tokens().size(), &mut ChaCha8Rng::seed_from_u64(9), &device()).unwrap();
    let bag = SentenceEncoder::Small(bag.with_weights(weights));
    let teacher = bag.embed_lists(corpus.lists(0), |rows: Tensor<2>| rows);
    let data = DebCseData::new(corpus.clone(), &teacher).unwrap();
    let deb = DebCseConfig::new().with_encoder(encoder.clone()).with_training(training);
    let debiased = score(&trained(deb.build(&data, 1, &device()).unwrap()), false);
    println!(
        "untrained {untrained:.3}, SimCSE {simcse:.3}, WhitenedCSE {whitened:.3}, DebCSE {debiased:.3}, supervised {supervised:.3}"
    );
    assert!(simcse > untrained + 0.03 && whitened > untrained + 0.03 && debiased > untrained + 0.03);
    assert!(supervised > simcse + 0.05);
}
