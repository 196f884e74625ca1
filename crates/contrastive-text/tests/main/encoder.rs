//! The small encoder against its definition, dropout, saved and loaded models.

use crate::common::*;
use burn::module::Module;
use contrastive_nn::Pass;
use contrastive_text::data::Tokens;
use contrastive_text::encoder::*;
use contrastive_text::method::{Head, SimCseConfig};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::sync::Arc;

fn encoder(layers: usize, dropout: f64) -> SmallEncoder {
    let config = small_encoder(dropout).with_layers(layers);
    config.init(20, &mut ChaCha8Rng::seed_from_u64(3), &device()).unwrap()
}

fn batch() -> TokenBatch {
    TokenBatch::new([&[3u32, 4, 3][..], &[7], &[1, 2, 3, 4, 5]])
}

#[test]
fn a_bag_is_the_weighted_mean_of_its_rows() {
    let encoder = encoder(0, 0.3);
    let table = values(&encoder.embedding.weight.val());
    let weights: Vec<f32> = (0..20).map(|token| 0.5 + token as f32).collect();
    let equal = vec![1.0f32; 20];
    for (encoder, weights) in [(encoder.clone(), &equal), (encoder.with_weights(weights.clone()), &weights)] {
        let got = values(&encoder.forward(&batch(), &mut Pass::evaluation()));
        for (text, range) in batch().lists.ranges().enumerate() {
            let ids = &batch().ids[range];
            let total: f64 = ids.iter().map(|id| f64::from(weights[*id as usize])).sum();
            for column in 0..8 {
                let row = |id: &u32| f64::from(weights[*id as usize]) * table[*id as usize * 8 + column];
                close("mean", got[text * 8 + column], ids.iter().map(row).sum::<f64>() / total, 1e-6);
            }
        }
    }
}

#[test]
fn a_text_is_the_same_alone_and_in_a_batch() {
    for layers in [0, 2] {
        let encoder = SentenceEncoder::Small(encoder(layers, 0.3));
        let lists = [vec![3u32, 4, 3], vec![7], vec![1, 2, 3, 4, 5]];
        let together = encoder.embed_lists(&lists, |rows| rows);
        for (at, list) in lists.iter().enumerate() {
            let alone = encoder.embed_lists(std::slice::from_ref(list), |rows| rows);
            for (a, b) in alone.row(0).iter().zip(together.row(at)) {
                assert!((a - b).abs() < 1e-6, "{layers} layers, text {at}: {a} and {b}");
            }
        }
    }
}

/// Check 2 of SimCSE: two copies in one pass differ, the same seed and step repeat, another step does not.
#[test]
fn dropout_is_a_function_of_seed_step_and_place() {
    let encoder = encoder(1, 0.2);
    let two = TokenBatch::new([&[3u32, 4][..], &[3, 4]]);
    let encode = |seed, step| values(&encoder.forward(&two, &mut Pass::training(seed, step)));
    let first = encode(1, 0);
    assert_ne!(first[..8], first[8..]);
    assert_eq!(first, encode(1, 0));
    assert_ne!(first, encode(1, 1));
    assert_ne!(first, encode(2, 0));
    let threads = |count| rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap().install(|| encode(1, 0));
    assert_eq!(threads(1), threads(3));
    let plain = values(&encoder.forward(&two, &mut Pass::evaluation()));
    assert_eq!(plain[..8], plain[8..]);
}

#[test]
fn embedders_come_back_from_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = corpus();
    let texts = ["the man carries the ball", "", "a zebra", "in the street"];
    for (head, layers) in [(Head::Kept, 0), (Head::TrainingOnly, 1)] {
        let settings = small_encoder(0.1).with_layers(layers);
        let config = SimCseConfig::new().with_encoder(settings.clone()).with_head(head);
        let (_, model) = config.parts(&corpus, 4, &device()).unwrap();
        let embedder = model.embedder(&settings, head == Head::Kept, &corpus);
        let path = folder.path().join("m.safetensors");
        embedder.save(&path).unwrap();
        let (again, notes) = Embedder::read(&path, &BertOptions::default(), &device()).unwrap();
        assert_eq!((again.embed(&texts).unwrap(), notes.len()), (embedder.embed(&texts).unwrap(), 0));
        // an empty text is a token, not a row of zeros
        assert!(again.embed(&texts).unwrap().row(1).iter().any(|x| *x != 0.0));
    }
    // weights of tokens are part of a model
    let tokens = corpus.tokens().clone();
    let weights = tokens.idf(corpus.lists(0));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let bag = small_encoder(0.0).init(tokens.size(), &mut rng, &device()).unwrap().with_weights(weights);
    let bag = Embedder::small(&SentenceEncoder::Small(bag), None, &small_encoder(0.0), tokens);
    let path = folder.path().join("bag.safetensors");
    bag.save(&path).unwrap();
    assert_eq!(Embedder::load(&path, &device()).unwrap().embed(&texts).unwrap(), bag.embed(&texts).unwrap());
}

/// A folder made here: its weights come back, and its poolers are what their names say.
#[test]
fn a_folder_in_the_layout_of_hugging_face() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let config = r#"{"model_type": "bert", "vocab_size": 6, "hidden_size": 4, "num_hidden_layers": 2, "num_attention_heads": 2,
        "intermediate_size": 8, "max_position_embeddings": 5, "type_vocab_size": 2}"#;
    std::fs::write(at.join("config.json"), config).unwrap();
    std::fs::write(at.join("vocab.txt"), "[UNK]\n[CLS]\n[SEP]\na\nb\nc\n").unwrap();
    std::fs::create_dir(at.join("1_Pooling")).unwrap();
    std::fs::write(at.join("1_Pooling/config.json"), r#"{"pooling_mode_mean_tokens": true}"#).unwrap();
    let shape = BertConfig::read(&at.join("config.json")).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let written = BertEncoder::new(&shape, Pool::Mean, &mut rng, &device()).unwrap();
    written.weights().write_safetensors(&at.join("model.safetensors")).unwrap();
    let (read, notes) = Embedder::read(at, &BertOptions::default(), &device()).unwrap();
    assert_eq!(notes.len(), 1, "the case of the vocabulary is in doubt");
    let lists = [vec![1u32, 3, 4, 2], vec![1, 2]];
    let want = SentenceEncoder::Bert(written.clone()).embed_lists(&lists, |rows| rows);
    assert_eq!(read.embed(&["A b", ""]).unwrap(), want);
    // cut at the positions: [CLS] a b c [SEP]
    assert_eq!(read.embed(&["a b c a b c"]).unwrap(), read.embed(&["a b c"]).unwrap());
    let path = at.join("own.safetensors");
    read.save(&path).unwrap();
    assert_eq!(
        Embedder::load(&path, &device()).unwrap().embed(&["c", "b a"]).unwrap(),
        read.embed(&["c", "b a"]).unwrap()
    );
    assert_eq!(read.encoder().clone().num_params(), written.num_params());
    let tokens: Arc<Tokens> = read.tokens().clone();
    assert_eq!((tokens.size(), tokens.mask()), (6, None));
}
