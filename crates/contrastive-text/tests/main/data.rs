//! Readers on files made here, corpora, tokens, generated sentences.

use crate::common::*;
use contrastive_data::Column;
use contrastive_data::text::Hashing;
use contrastive_text::data::generate::{GenerateOptions, paraphrases};
use contrastive_text::data::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn written(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn sts_folders_take_two_columns_and_leave_out_what_is_not_scored() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    written(at, "STS.input.b.txt", "A \"man\" \tthe  man\nx\ty\textra\t1\n");
    written(at, "STS.gs.b.txt", "4.5\n\n");
    written(at, "STS.input.a.txt", "one\ttwo\r\nthree\tfour\r\n");
    written(at, "STS.gs.a.txt", "0\r\n5.0\r\n");
    let set = read_sts(at).unwrap();
    let names: Vec<&str> = set.subsets.iter().map(|subset| subset.name.as_str()).collect();
    assert_eq!((names, set.pairs()), (vec!["a", "b"], 3));
    assert_eq!(set.subsets[1].pairs, [["A \"man\"".to_string(), "the man".to_string()]]);
    assert_eq!(set.subsets[1].notes[0].to_string(), "STS.gs.b.txt: 1 pairs without a gold score are left out");
    assert_eq!(set.subsets[0].at_least(4.0), [["three".to_string(), "four".to_string()]]);
    assert_eq!((set.sentences().count(), set.subsets[1].all_sentences().count()), (6, 4));
}

#[test]
fn benchmark_sick_and_snli() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let benchmark = "main\tf\t2012\t1\t2.500\tA \"b\".\tC.\nmain\tf\t2012\t2\t5\tD\tE\tnote\tnote\n";
    let read = read_sts_benchmark(&written(at, "b.csv", benchmark)).unwrap();
    assert_eq!(read.gold, [2.5, 5.0]);
    assert_eq!(read.pairs[0], ["A \"b\".", "C."]);
    let sick = "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\r\n1\tA\tB\t3.2\tNEUTRAL\r\n";
    let read = read_sick(&written(at, "s.txt", sick)).unwrap();
    assert_eq!((read.gold, read.pairs), (vec![3.2], vec![["A".to_string(), "B".to_string()]]));
    written(at, "s1.dev", "p\np\np\nq\n");
    written(at, "s2.dev", "e1\nc1\ne2\ne3\n");
    written(at, "labels.dev", "entailment\ncontradiction\nentailment\nentailment\n");
    let inference = read_inference(at, "dev").unwrap();
    assert_eq!(inference.entailments().len(), 3);
    assert_eq!(inference.triples(), [["p", "e1", "c1"].map(String::from)]);
}

#[test]
fn transfer_tasks_in_their_formats() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    written(at, "TREC/train_5500.label", b"DESC:manner How did caf\xe9s begin ?\nNUM:dist How far ?\n");
    written(at, "TREC/TREC_10.label", "HUM:ind Who ?\n");
    let trec = read_transfer(at, Task::Trec).unwrap();
    assert_eq!(trec.train.labels, [1, 5]);
    assert_eq!(trec.train.texts[0], "How did cafés begin ?");
    assert!(trec.notes[0].to_string().contains("ISO-8859-1"));
    for name in ["train", "dev", "test"] {
        written(at, &format!("SST/Binary/sentiment-{name}"), "good film . \t1\nbad\t0\n");
        written(at, &format!("SST/Fine-Grained/sentiment-{name}"), "4 a film\n0 bad\n");
    }
    assert_eq!(read_transfer(at, Task::Sst2).unwrap().train.labels, [1, 0]);
    assert_eq!(read_transfer(at, Task::Sst5).unwrap().test.unwrap().labels, [4, 0]);
    written(at, "MR/rt-polarity.neg", "dull . \n");
    written(at, "MR/rt-polarity.pos", "fine . \nfun\n");
    let mr = read_transfer(at, Task::Mr).unwrap();
    assert_eq!((mr.train.labels, mr.train.texts[0].as_str()), (vec![0, 1, 1], "dull ."));
}

#[test]
fn sentences_keep_their_lines_and_corpora_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let read = read_sentences(&written(at, "l.txt", "one\r\n  \nthree\n"), None).unwrap();
    assert_eq!(read.texts, ["one", "", "three"]);
    assert!(read.notes[0].to_string().contains("1 texts without a word, the first is number 2"));
    let table = written(at, "t.csv", "id,text\n1,\"a, b\"\n2,c\n");
    let column = |name: &str| read_sentences(&table, Some(&name.parse::<Column>().unwrap()));
    assert_eq!(column("text").unwrap().texts, ["a, b", "c"]);
    assert!(
        column("body").unwrap_err().to_string().contains("no sentence (\"body\") column"),
        "{}",
        column("body").unwrap_err()
    );
    let tokens = Arc::new(Tokens::words(["a b c"], 1, 3).unwrap());
    let corpus = Corpus::sentences("c", ["a b", " ", "b", "a b"], tokens.clone(), 1).unwrap();
    assert_eq!((corpus.len(), corpus.lists(0)), (2, &[vec![1], vec![2]][..]));
    let notes: Vec<String> = corpus.notes().iter().map(Note::to_string).collect();
    assert_eq!(notes, ["c: 1 blank texts are left out", "c: 1 texts that are there already are left out"]);
    // no text is without a token, and an unknown word falls behind the known ones
    assert_eq!(tokens.encode(" ", None).unwrap(), [0]);
    let unknown = tokens.encode("zebra", None).unwrap();
    assert!((4..tokens.size() as u32).contains(&unknown[0]), "{unknown:?} of {}", tokens.size());
}

#[test]
fn tokens_survive_their_json() {
    let texts = ["the cat", "a dog and the cat", "what"];
    let words = Tokens::words(texts, 1, 5).unwrap();
    for tokens in
        [words, Tokens::Hashed(Hashing::words(50).unwrap()), Tokens::Hashed(Hashing::n_grams(50, 2, 3).unwrap())]
    {
        let again = Tokens::from_json(&tokens.to_json().unwrap(), Path::new("m")).unwrap();
        assert_eq!(again.size(), tokens.size());
        let all = ["the cat was here", ""];
        assert_eq!(again.encode_all(&all, None).unwrap(), tokens.encode_all(&all, None).unwrap());
    }
    assert!(Tokens::from_json(&serde_json::json!({"words": 3}), Path::new("m")).is_err());
}

#[test]
fn idf_is_the_smoothed_one() {
    let tokens = Tokens::words(["a b", "a"], 1, 1).unwrap();
    let lists = [vec![1, 2], vec![1, 1], vec![1]];
    let idf = tokens.idf(&lists);
    // token 1 in all three lists, token 2 in one, others in none
    for (token, with) in [(0usize, 0.0), (1, 3.0), (2, 1.0)] {
        close("idf", f64::from(idf[token]), (4.0f64 / (1.0 + with)).ln() + 1.0, 1e-6);
    }
}

#[test]
fn generated_pairs_are_as_similar_as_their_meanings() {
    let options = GenerateOptions { sentences: 50, pairs: 200, triples: 10, seed: 3 };
    let generated = paraphrases(&options);
    assert_eq!(generated, paraphrases(&options));
    assert_ne!(generated, paraphrases(&GenerateOptions { seed: 4, ..options }));
    assert!(generated.validation.gold.iter().all(|gold| (gold / 1.25).fract() == 0.0 && (0.0..=5.0).contains(gold)));
    let distinct: std::collections::BTreeSet<u64> =
        generated.validation.gold.iter().map(|gold| gold.to_bits()).collect();
    assert_eq!(distinct.len(), 5);
    assert_eq!((generated.test.pairs(), generated.sentences.len(), generated.triples.len()), (200, 50, 10));
}
