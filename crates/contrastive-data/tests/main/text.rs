//! Vocabularies against the `tokenizers` library's ids, damaged vocabularies, lines, words.

use crate::golden::{cases, golden, present, shared};
use contrastive_data::Limits;
use contrastive_data::text::*;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

fn lists(value: &Value) -> Vec<Vec<u32>> {
    let ids = |list: &Value| list.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
    value.as_array().unwrap().iter().map(ids).collect()
}

fn file(name: &Value) -> PathBuf {
    shared().unwrap().join(name.as_str().unwrap())
}

#[test]
fn golden_wordpiece() {
    let Some(golden) = golden("wordpiece") else { return };
    for case in cases(&golden) {
        let (params, inputs, expected) = (&case["params"], &case["inputs"], &case["expected"]);
        let options = WordPieceOptions {
            lowercase: params["lowercase"].as_bool().unwrap(),
            strip_accents: params["strip_accents"].as_bool(),
            chinese_characters: params["handle_chinese_chars"].as_bool().unwrap(),
        };
        let tokenizer = Tokenizer::word_piece(&file(&params["vocab"]), &options).unwrap();
        let name = case["name"].as_str().unwrap();
        if name.starts_with("pairs") {
            let most = params["max_length"].as_u64().unwrap() as usize;
            let truncation = match params["truncation"].as_str().unwrap() {
                "only_second" => Truncation::OnlySecond,
                _ => Truncation::LongestFirst,
            };
            let of = |what: &str| lists(&Value::Array(vec![expected[what]["data"].clone()])).remove(0);
            let (ids, types, mask) = (of("ids"), of("token_type_ids"), of("attention_mask"));
            let pairs = texts(&inputs["first"]).into_iter().zip(texts(&inputs["second"]));
            for (row, (first, second)) in pairs.enumerate() {
                let encoded = tokenizer.encode_pair(first, second, Some(most), truncation).unwrap();
                // the reference pads to the limit; here lists have their own lengths
                let kept: Vec<usize> = (row * most..(row + 1) * most).filter(|at| mask[*at] == 1).collect();
                let take = |list: &[u32]| kept.iter().map(|at| list[*at]).collect::<Vec<_>>();
                assert_eq!((encoded.ids, encoded.types), (take(&ids), take(&types)), "{name}, pair {row}");
            }
            continue;
        }
        let wanted = lists(&expected["ids"]);
        assert_eq!(tokenizer.encode_all(&texts(&inputs["texts"]), None).unwrap(), wanted, "{name}");
        for (ids, tokens) in wanted.iter().zip(expected["tokens"].as_array().unwrap()) {
            let got: Vec<String> = ids.iter().map(|id| tokenizer.token(*id).unwrap()).collect();
            assert_eq!(got, texts(tokens), "{name}");
        }
    }
}

#[test]
fn golden_bpe() {
    let Some(golden) = golden("bpe") else { return };
    for case in cases(&golden) {
        let (params, expected) = (&case["params"], &case["expected"]);
        let options = BytePairOptions { prefix_space: params["add_prefix_space"].as_bool().unwrap(), roberta: false };
        let tokenizer = Tokenizer::byte_pairs(&file(&params["vocab"]), &file(&params["merges"]), &options).unwrap();
        let ids = tokenizer.encode_all(&texts(&case["inputs"]["texts"]), None).unwrap();
        assert_eq!(ids, lists(&expected["ids"]));
        let decoded: Vec<String> = ids.iter().map(|ids| tokenizer.decode(ids).unwrap()).collect();
        assert_eq!(decoded, texts(&expected["decoded"]));
        let shorter = ids.iter().map(|ids| tokenizer.decode(&ids[..ids.len().saturating_sub(1)]).unwrap());
        assert_eq!(shorter.collect::<Vec<_>>(), texts(&expected["decoded_without_last"]));
        for (ids, tokens) in ids.iter().zip(expected["tokens"].as_array().unwrap()) {
            assert_eq!(ids.iter().map(|id| tokenizer.token(*id).unwrap()).collect::<Vec<_>>(), texts(tokens));
        }
    }
}

fn written(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

const WORDS: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\ncat\ndog\n##s\n";

#[test]
fn vocabularies_are_found_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let error = Tokenizer::read(at).unwrap_err().to_string();
    assert!(error.contains("no vocabulary here") && error.contains("vocab.json with merges.txt"), "{error}");
    written(at, "vocab.txt", WORDS.replace('\n', "\r\n"));
    let cats = |tokenizer: &Tokenizer| tokenizer.encode("Cats dog bird", None).unwrap();
    let tokenizer = Tokenizer::read(at).unwrap();
    assert_eq!(cats(&tokenizer), [2, 4, 6, 5, 1, 3]);
    assert!(tokenizer.notes()[0].to_string().contains("lower case"));
    written(at, "tokenizer_config.json", r#"{"do_lower_case": false}"#);
    let cased = Tokenizer::read(at).unwrap();
    assert_eq!((cats(&cased), cased.notes().len()), (vec![2, 1, 5, 1, 3], 0));
    // a text of blanks is the special tokens, a limit keeps the last one
    assert_eq!(cased.encode(" \t ", None).unwrap(), [2, 3]);
    assert_eq!(cased.encode("dog dog dog", Some(4)).unwrap(), [2, 5, 5, 3]);
    assert!(cased.encode("dog", Some(2)).unwrap_err().to_string().contains("a limit of 2 tokens"));
    assert_eq!(cased.encode(&"dog ".repeat(100_000), None).unwrap().len(), 100_002);
    assert_eq!((cased.size(), cased.id("dog"), cased.decode(&[2, 4, 6, 3]).unwrap()), (7, Some(5), "cats".into()));
}

#[test]
fn damaged_vocabularies_are_refused_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let word_piece = |text: &[u8]| {
        let path = written(at, "v.txt", text);
        Tokenizer::word_piece(&path, &WordPieceOptions::default()).unwrap_err().to_string()
    };
    let bytes = |vocab: &str, merges: &str| {
        let (vocab, merges) = (written(at, "v.json", vocab), written(at, "m.txt", merges));
        Tokenizer::byte_pairs(&vocab, &merges, &BytePairOptions::default()).unwrap_err().to_string()
    };
    let small = r#"{"a": 0, "b": 1, "ab": 2, "aba": 3}"#;
    let json = written(at, "tokenizer.json", "{}");
    for (error, words) in [
        (word_piece(b"[UNK]\n[CLS]\n[SEP]\ncat\ncat\n"), "v.txt:5: token \"cat\" again, which is line 4"),
        (word_piece(b"[UNK]\n\n[CLS]\n"), "v.txt:2: an empty line"),
        (word_piece(b"cat\ndog\n"), "without [UNK]; allowed"),
        (word_piece(b"[UNK]\n[SEP]\n"), "without [CLS]"),
        (word_piece(b"[UNK]\n\xff\xfe\n"), "v.txt:2: bytes that are not UTF-8"),
        (bytes("[1, 2]", ""), "v.json: invalid type"),
        (bytes("{}", ""), "no token"),
        (bytes(r#"{"a": 0, "b": 0}"#, ""), "id 0 of both \"a\" and \"b\""),
        (bytes(small, "#version: 0.2\nab\n"), "m.txt:2: \"ab\"; allowed: two tokens"),
        (bytes(small, "a b\na c\n"), "m.txt:2: token \"c\" is not in the vocabulary"),
        (bytes(small, "ab a\na b\n"), "m.txt:1: \"ab\" is joined here, and only a later merge makes it"),
        (Tokenizer::read(&json).unwrap_err().to_string(), "tokenizer.json: "),
        (Tokenizer::read(&at.join("none.txt")).unwrap_err().to_string(), "no such file"),
    ] {
        assert!(error.contains(words), "{error:?} instead of {words:?}");
        assert!(error.len() < 500, "{error}");
    }
    // no byte of what a vocabulary may hold brings a reader down
    let mut state = 7u64;
    for _ in 0..300 {
        let mut text = WORDS.as_bytes().to_vec();
        for _ in 0..3 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let (place, byte) = ((state >> 33) as usize % text.len(), (state >> 24) as u8);
            text[place] = byte;
        }
        let path = written(at, "f.txt", &text);
        if let Ok(tokenizer) = Tokenizer::word_piece(&path, &WordPieceOptions::default()) {
            assert!(!tokenizer.encode("cats", None).unwrap().is_empty());
        }
        text.truncate((state >> 40) as usize % text.len());
        Tokenizer::json(&written(at, "f.json", &text)).unwrap_err();
    }
}

#[test]
fn lines_in_both_charsets() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), "t.txt", b"plain\r\n\r\ncaf\xe9\n");
    let limits = Limits::default();
    let error = read_lines(&path, &limits, Charset::Utf8).unwrap_err().to_string();
    assert!(error.contains("t.txt:3: bytes that are not UTF-8"), "{error}");
    let read = read_lines(&path, &limits, Charset::Detect).unwrap();
    assert_eq!(read.lines, ["plain", "", "café"]);
    assert!(read.notes[0].to_string().contains("line 3 is not UTF-8"), "{}", read.notes[0]);
    assert_eq!(read_lines(&path, &limits, Charset::Latin1).unwrap().notes, []);
    let Some(trec) = shared().map(|s| s.join("data/senteval-transfer/TREC/train_5500.label")).and_then(present) else {
        return;
    };
    let read = read_lines(&trec, &limits, Charset::Detect).unwrap();
    assert_eq!((read.lines.len(), read.notes.len()), (5452, 1));
}

#[test]
fn hashing_and_words() {
    for rows in [0, 1] {
        assert!(Hashing::words(rows).unwrap_err().to_string().contains("allowed: 2 to"));
    }
    assert!(Hashing::n_grams(10, 4, 3).unwrap_err().to_string().contains("n-grams of 4 to 3"));
    let grams = Hashing::n_grams(1 << 20, 3, 5).unwrap();
    let (a, b): (Vec<u32>, Vec<u32>) = (grams.encode("walking"), grams.encode("walked"));
    assert!(a.iter().filter(|row| b.contains(row)).count() >= 6, "<wa wal alk, <wal walk, <walk");
    assert!(a.iter().all(|row| (1..1 << 20).contains(row)));
    let none: [&str; 2] = [" ", "\t"];
    assert!(WordVocabulary::from_texts(none, 1, 9).unwrap_err().to_string().contains("at least 1 of 2 texts"));
    let words = WordVocabulary::from_texts(["b a a", "b c", "b c"], 2, 9).unwrap();
    assert_eq!(words.words(), ["b", "c"]);
    assert_eq!(words.encode("c a b"), [2, 0, 1]);
    let idf = words.idf();
    let want = [4f64.ln() + 1.0, 1.0, (4f64 / 3.0).ln() + 1.0];
    assert!(idf.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-12), "{idf:?}");
}
