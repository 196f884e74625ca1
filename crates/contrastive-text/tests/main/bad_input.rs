//! What is refused, and in which words.

use crate::common::*;
use contrastive_text::TextError;
use contrastive_text::data::*;
use contrastive_text::encoder::*;
use contrastive_text::method::debcse::PoolConfig;
use contrastive_text::method::*;
use contrastive_train::MethodConfig;
use contrastive_train::testing::settings_are_refused;
use ndarray::Array2;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn written(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

#[track_caller]
fn refused<T>(result: Result<T, impl Into<TextError>>, words: &str) {
    match result {
        Ok(_) => panic!("accepted, instead of {words:?}"),
        Err(error) => {
            let text = error.into().to_string();
            assert!(text.contains(words), "{text:?} instead of {words:?}");
            assert!(text.len() < 500, "{} characters: {text}", text.len());
        }
    }
}

#[test]
fn files_of_pairs_are_refused_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    refused(read_sts(&at.join("none")), "no such file");
    refused(read_sts(at), "no STS set here");
    let sts = |input: &str, gold: &str| {
        written(at, "s/STS.input.x.txt", input);
        written(at, "s/STS.gs.x.txt", gold);
        read_sts(&at.join("s"))
    };
    refused(sts("a\tb\nc\td\n", "1\n"), "STS.input.x.txt has 2 lines and");
    refused(sts("a b\n", "1\n"), "STS.input.x.txt:1: \"a b\"; allowed: two sentences with a tab");
    refused(sts("a\tb\n", "5.5\n"), "STS.gs.x.txt:1: score \"5.5\"; allowed: a number from 0 to 5");
    refused(sts("a\tb\n", "NaN\n"), "score \"NaN\"");
    refused(sts("a\tb\n", "\n"), "no pair has a score");
    written(at, "t/STS.input.x.txt", "a\tb\n");
    refused(read_sts(&at.join("t")), "STS.gs.x.txt: no such file");
    refused(read_sts_benchmark(&written(at, "b.csv", "g\tf\ty\t1\t3\tone\n")), "b.csv:1: 6 columns; allowed: genre");
    refused(read_sts_benchmark(&written(at, "b.csv", "g\tf\ty\t1\tx\tone\ttwo\n")), "score \"x\"");
    refused(read_sts_benchmark(&written(at, "b.csv", "")), "empty: nothing to read");
    let header = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n";
    refused(
        read_sick(&written(at, "k.txt", format!("{header}1\ta\tb\t0.5\tN\n"))),
        "k.txt:2: score \"0.5\"; allowed: a number from 1 to 5",
    );
    written(at, "s1.dev", "a\nb\n");
    written(at, "s2.dev", "a\n");
    written(at, "labels.dev", "neutral\nx\n");
    refused(read_inference(at, "dev"), "s2.dev has 1; line i of both belongs together");
    written(at, "s2.dev", "a\nb\n");
    refused(read_inference(at, "dev"), "labels.dev:2: label \"x\"; allowed: entailment, neutral or contradiction");
    written(at, "TREC/train_5500.label", "WHAT:x y\n");
    refused(read_transfer(at, Task::Trec), "train_5500.label:1: \"WHAT:x y\"; allowed: KIND:kind question");
    written(at, "SST/Fine-Grained/sentiment-train", "5 x\n");
    refused(read_transfer(at, Task::Sst5), "a number from 0 to 4");
    refused(read_transfer(at, Task::Mr), "rt-polarity.neg: no such file");
    refused(read_sentences(&written(at, "e.txt", ""), None), "e.txt: empty");
}

/// Damaged files give an error or data, never a panic.
#[test]
fn readers_survive_damaged_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (input, gold) = (b"one two\tthree\nfour\tfive six\n".to_vec(), b"1.0\n4.5\n".to_vec());
    let mut state = 9u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize
    };
    for _ in 0..200 {
        let mut damage = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            for _ in 0..1 + next() % 3 {
                let place = next() % bytes.len();
                bytes[place] = next() as u8;
            }
            bytes.truncate(1 + next() % bytes.len());
            bytes
        };
        written(at, "f/STS.input.x.txt", damage(&input));
        written(at, "f/STS.gs.x.txt", damage(&gold));
        let _ = read_sts(&at.join("f"));
        let line = written(at, "f/b.csv", damage(b"g\tf\ty\t1\t3.0\tone\ttwo\n"));
        let _ = (read_sts_benchmark(&line), read_sick(&line), read_sentences(&line, None));
        let _ = read_sentences(&line, Some(&contrastive_data::Column::Index(1)));
    }
}

#[test]
fn corpora_of_unequal_or_no_texts_are_refused() {
    let tokens = Arc::new(Tokens::words(["a b"], 1, 1).unwrap());
    let text = |text: &str| vec![text.to_string()];
    refused(Corpus::from_columns("c", vec![], tokens.clone(), 9), "0 columns");
    refused(Corpus::from_columns("c", vec![text("a"); 4], tokens.clone(), 9), "4 columns");
    refused(Corpus::from_columns("c", vec![text("a"), vec![]], tokens.clone(), 9), "0 of them, and 1 in the first");
    refused(Corpus::sentences("c", [" "], tokens.clone(), 9), "not one text");
    refused(Corpus::from_columns("c", vec![text("a")], tokens, 0), "at most 0 tokens");
    refused(Tokens::words([" ", ""], 1, 1), "no word stands in at least 1 of 2 texts");
    // a text of 100,000 words and one of blanks
    let tokens = Arc::new(Tokens::words(["a b"], 1, 1).unwrap());
    let corpus = Corpus::from_columns("c", vec![vec!["a ".repeat(100_000), " ".into()]], tokens, 32).unwrap();
    assert_eq!((corpus.lists(0)[0].len(), corpus.lists(0)[1].as_slice()), (32, &[0][..]));
    assert!(corpus.notes()[0].to_string().contains("1 texts without a word"));
}

#[test]
fn settings_out_of_range_are_named() {
    let simcse = || SimCseConfig::new().with_encoder(small_encoder(0.1)).with_training(small_training());
    settings_are_refused([
        (simcse().with_temperature(0.0), "simcse: temperature is 0; allowed is a finite number above 0"),
        (simcse().with_hard_negative_weight(-1.0), "hard_negative_weight is -1"),
        (simcse().with_masked_weight(f64::NAN), "masked_weight is NaN"),
        (simcse().with_masked_share(1.0), "masked_share is 1; allowed is between 0 and 1"),
        (simcse().with_encoder(small_encoder(1.0)), "dropout is 1; allowed is 0 to 1, 1 excluded"),
        (simcse().with_encoder(small_encoder(0.1).with_width(0)), "width is 0"),
        (simcse().with_encoder(small_encoder(0.1).with_deviation(0.0)), "deviation is 0"),
        (
            simcse().with_encoder(small_encoder(0.1).with_layers(1).with_heads(3)),
            "heads is 3; allowed is a divisor of the width 8",
        ),
        (simcse().with_training(small_training().with_batch_size(0)), "batch_size is 0"),
    ]);
    let white = || WhitenedCseConfig::new().with_encoder(small_encoder(0.1)).with_training(small_training());
    settings_are_refused([
        (white().with_views(1), "whitenedcse: views is 1; allowed is 2 or more"),
        (white().with_groups(0), "groups is 0"),
        (white().with_epsilon(-1.0), "epsilon is -1"),
        (white().with_temperature(f64::INFINITY), "temperature is inf"),
    ]);
    let deb = || DebCseConfig::new().with_encoder(small_encoder(0.1)).with_training(small_training());
    let pools = |pools: PoolConfig| deb().with_pools(pools);
    settings_are_refused([
        (deb().with_drawn_share(1.5), "debcse: drawn_share is 1.5; allowed is 0 to 1"),
        (pools(PoolConfig::new().with_nearest(0).with_surface(0).with_random(0)), "candidates is 0"),
        (pools(PoolConfig::new().with_least_positive(Some(0.0))), "least_positive is 0"),
        (pools(PoolConfig::new().with_most_negative(1.0)), "most_negative is 1"),
        (pools(PoolConfig::new().with_surface_temperature(0.0)), "surface_temperature is 0"),
        (pools(PoolConfig::new().with_relevance(-0.5)), "relevance is -0.5"),
        (pools(PoolConfig::new().with_floor(1.5)), "floor is 1.5"),
        (pools(PoolConfig::new().with_duplicate(0.0)), "duplicate is 0"),
        (pools(PoolConfig::new().with_length_power(f64::NAN)), "length_power is NaN"),
    ]);
}

#[test]
fn settings_that_do_not_fit_the_data_are_named() {
    let (corpus, triples, device) = (corpus(), triples(), device());
    let one = SimCseConfig::new().with_encoder(small_encoder(0.1)).with_training(small_training().with_batch_size(1));
    refused(one.build(&corpus, 1, &device), "batch_size is 1; allowed is 2 or more without hard negatives");
    assert!(one.build(&triples, 1, &device).is_ok());
    refused(one.with_hard_negative_weight(0.0).build(&triples, 1, &device), "batch_size is 1");
    let masked = SimCseConfig::new().with_encoder(small_encoder(0.1)).with_masked_weight(0.1);
    refused(masked.build(&corpus, 1, &device), "masked_weight is 0.1; allowed is 0 unless the vocabulary has a mask");
    let white = |groups: usize, batch: usize| {
        let training = small_training().with_batch_size(batch);
        WhitenedCseConfig::new().with_encoder(small_encoder(0.1)).with_groups(groups).with_training(training)
    };
    refused(white(3, 16).build(&corpus, 1, &device), "groups is 3; allowed is a divisor of the width 8");
    refused(white(1, 8).build(&corpus, 1, &device), "batch_size is 8; allowed is more than the 8 channels of a group");
    refused(white(4, 16).build(&triples, 1, &device), "columns of the corpus is 3");
    let teacher = Array2::from_elem((corpus.len(), 3), 1.0f32);
    refused(DebCseData::new(triples, &teacher), "a corpus of 3 columns");
    refused(DebCseData::new(corpus.clone(), &Array2::ones((4, 3))), "rows of the teacher: 4 of them, and");
    let mut zero = teacher.clone();
    zero.row_mut(5).fill(0.0);
    refused(DebCseData::new(corpus.clone(), &zero), "row 5 of the teacher has length 0");
    // an encoder of fewer rows than the corpus has tokens
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let few = SentenceEncoder::Small(small_encoder(0.1).init(3, &mut rng, &device.clone().autodiff()).unwrap());
    refused(SimCseConfig::new().with_parts(few, &corpus, &mut rng), "at most the 3 rows of the encoder");
}

#[test]
fn folders_that_are_no_models_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (at, device) = (folder.path(), device());
    let read = || read_bert(at, &BertOptions { pool: Some(Pool::Mean) }, &device);
    refused(read(), "config.json: no such file");
    written(at, "config.json", "{");
    refused(read(), "not JSON");
    written(at, "config.json", r#"{"model_type": "t5"}"#);
    refused(read(), "its model_type is \"t5\"; allowed: bert, roberta");
    let config = |change: &str| {
        let text = r#"{"model_type": "bert", "vocab_size": 6, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 8, "max_position_embeddings": 5, "type_vocab_size": 2, "hidden_act": "gelu"}"#;
        let (from, to) = change.split_once("=>").unwrap_or(("", ""));
        written(at, "config.json", text.replacen(from, to, 1));
    };
    config("\"hidden_size\": 4=>\"hidden_size\": 5");
    refused(read(), "heads is 2; allowed is a divisor of the width 5");
    config("\"gelu\"=>\"swiglu\"");
    refused(read(), "hidden_act is \"swiglu\"");
    config("\"vocab_size\": 6,=>");
    refused(read(), "vocab_size is null");
    config("");
    refused(read(), "no vocabulary here");
    written(at, "vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\nb\nc\nd\n");
    refused(read(), "a vocabulary of 7 tokens and vocab_size 6");
    written(at, "vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\nb\nc\n");
    refused(read(), "no weights; allowed: model.safetensors or pytorch_model.bin");
    written(at, "model.safetensors", "what");
    refused(read(), "model.safetensors");
    let shape = BertConfig::read(&at.join("config.json")).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let other = BertConfig { inner: 9, ..shape.clone() };
    let other = BertEncoder::new(&other, Pool::Mean, &mut rng, &device).unwrap();
    other.weights().write_safetensors(&at.join("model.safetensors")).unwrap();
    refused(read(), "of another shape");
    let deeper = BertConfig { layers: 2, ..shape.clone() };
    let deeper = BertEncoder::new(&deeper, Pool::Mean, &mut rng, &device).unwrap();
    deeper.weights().write_safetensors(&at.join("model.safetensors")).unwrap();
    refused(read(), "unused");
    let fine = BertEncoder::new(&shape, Pool::ClsHead, &mut rng, &device).unwrap();
    fine.weights().write_safetensors(&at.join("model.safetensors")).unwrap();
    assert!(read().is_ok(), "the pooler's map is passed over where it is not used");
    refused(
        read_bert(at, &BertOptions::default(), &device).map(|(_, _, _, notes)| assert_eq!(notes.len(), 2)).and_then(
            |()| {
                written(
                    at,
                    "1_Pooling/config.json",
                    r#"{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true}"#,
                );
                read_bert(at, &BertOptions::default(), &device)
            },
        ),
        "one of the poolers cls, mean and max is allowed",
    );
    refused(Embedder::load(written(at, "own.safetensors", "x"), &device), "own.safetensors");
}
