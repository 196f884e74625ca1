//! Models of another library, read as folders, against its values.

use crate::common::device;
use crate::golden::{cases, close, computed_in, golden, numbers, shared};
use contrastive_nn::Pass;
use contrastive_text::data::read_sts_benchmark;
use contrastive_text::encoder::*;
use contrastive_text::evaluate::{cosines, pair_cosines, sts_pairs};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A folder as people have it, of a case's weights.
fn folder_of(case: &Value, at: &Path, roberta: bool) {
    let mut config = case["params"]["config"].clone();
    config["model_type"] = json!(if roberta { "roberta" } else { "bert" });
    std::fs::write(at.join("config.json"), config.to_string()).unwrap();
    let size = config["vocab_size"].as_u64().unwrap() as usize;
    let words = ["[UNK]", "[CLS]", "[SEP]"].map(String::from).into_iter().chain((3..size).map(|n| format!("w{n}")));
    std::fs::write(at.join("vocab.txt"), words.collect::<Vec<_>>().join("\n")).unwrap();
    let weights = shared().unwrap().join("golden").join(case["params"]["weights"].as_str().unwrap());
    std::fs::copy(weights, at.join("model.safetensors")).unwrap();
}

fn lists(value: &Value, keep: &[bool], width: usize) -> Vec<Vec<u32>> {
    let all = numbers(value);
    let line = |row: usize| {
        (row * width..(row + 1) * width).filter(|at| keep[*at]).map(|at| all[at] as u32).collect::<Vec<u32>>()
    };
    (0..all.len() / width).map(line).collect()
}

fn family(name: &str, roberta: bool) {
    let Some(file) = golden(name) else { return };
    computed_in(4);
    let mut compared = 0;
    for case in cases(&file) {
        let name = case["name"].as_str().unwrap();
        let pool = match name.rsplit_once("_s").unwrap().0 {
            "pool_cls" => Pool::Cls,
            "pool_cls_tanh" => Pool::ClsHead,
            "pool_mean" => Pool::Mean,
            "pool_max" => Pool::Max,
            "pool_first_last_mean" => Pool::FirstLast,
            "pool_last_two_mean" => Pool::LastTwo,
            _ => continue,
        };
        let folder = tempfile::tempdir().unwrap();
        folder_of(case, folder.path(), roberta);
        let (encoder, _, _, _) = read_bert(folder.path(), &BertOptions { pool: Some(pool) }, &device()).unwrap();
        let inputs = &case["inputs"];
        let width = inputs["input_ids"]["shape"][1].as_u64().unwrap() as usize;
        let keep: Vec<bool> = numbers(&inputs["attention_mask"]).iter().map(|x| *x == 1.0).collect();
        let ids = lists(&inputs["input_ids"], &keep, width);
        let mut batch = TokenBatch::new(ids.iter().map(Vec::as_slice));
        batch.types = inputs.get("token_type_ids").map(|types| lists(types, &keep, width).concat());
        let got = encoder.forward(&batch, &mut Pass::evaluation());
        let got: Vec<f64> = got.into_data().iter::<f64>().collect();
        close(name, &got, &numbers(&case["expected"]["output"]), 1e-5, 1e-5);
        compared += 1;
    }
    assert!(compared > 8, "{compared} cases of {name}");
}

#[test]
fn golden_bert_folders() {
    family("bert_tiny", false);
}

#[test]
fn golden_roberta_folders() {
    family("roberta_tiny", true);
}

/// The folder of all-MiniLM-L6-v2 under `$CONTRASTIVE_MODELS`: itself, or a folder in it.
fn minilm() -> Option<PathBuf> {
    let root = std::env::var_os("CONTRASTIVE_MODELS").map(PathBuf::from);
    let found = root
        .into_iter()
        .flat_map(|root| [root.join("all-MiniLM-L6-v2"), root])
        .find(|at| at.join("config.json").is_file());
    if found.is_none() {
        println!("skipped: no all-MiniLM-L6-v2 under $CONTRASTIVE_MODELS");
    }
    found
}

#[test]
fn golden_minilm() {
    let (Some(folder), Some(file)) = (minilm(), golden("minilm")) else { return };
    computed_in(4);
    let (model, _) = Embedder::read(&folder, &BertOptions { pool: Some(Pool::Mean) }, &device()).unwrap();
    for case in cases(&file) {
        let (name, expected) = (case["name"].as_str().unwrap(), &case["expected"]);
        if let Some(texts) = case["inputs"]["texts"].as_array() {
            let texts: Vec<&str> = texts.iter().map(|text| text.as_str().unwrap()).collect();
            let rows = model.embed(&texts).unwrap();
            let mut first = Vec::new();
            for row in rows.rows() {
                let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
                first.extend(row.iter().take(16).map(|x| f64::from(*x) / length));
            }
            close(name, &first, &numbers(&expected["first_16"]), 1e-4, 0.0);
            continue;
        }
        let pairs = read_sts_benchmark(&shared().unwrap().join(case["inputs"]["file"].as_str().unwrap())).unwrap();
        let correlation = sts_pairs(&model, &pairs).unwrap();
        println!("{name}: {correlation:.4}");
        close(name, &[correlation], &[expected["spearman"].as_f64().unwrap()], 1e-3, 0.0);
        let ten = pair_cosines(&model, &pairs.pairs[..10]).unwrap();
        close(name, &ten, &numbers(&expected["first_cosines"]), 1e-4, 0.0);
    }
    let twice = model.embed(&["a", "a"]).unwrap();
    assert!((cosines(&twice, &twice)[0] - 1.0).abs() < 1e-6);
}
