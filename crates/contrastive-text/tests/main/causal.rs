//! Models of the GPT-2 family from a folder.

use crate::golden::{cases, close, computed_in, golden, numbers, shared};
use crate::support::{device, values};
use burn::tensor::DType;
use contrastive_nn::Ragged;
use contrastive_nn::encoder::Cache;
use contrastive_nn::model::LanguageModel;
use contrastive_nn::weights::{KeyMap, Weights};
use contrastive_text::encoder::CausalModel;
use serde_json::{Value, json};
use std::path::Path;

/// A folder as transformers writes it, from a golden case.
fn folder(case: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let weights = shared().unwrap().join("golden").join(case["params"]["weights"].as_str().unwrap());
    std::fs::copy(weights, folder.path().join("model.safetensors")).unwrap();
    let mut config = case["params"]["config"].clone();
    config["model_type"] = "gpt2".into();
    write(folder.path(), &config);
    folder
}

fn write(folder: &Path, config: &Value) {
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
}

#[test]
fn golden_gpt2_tiny_from_a_folder() {
    let Some(file) = golden("gpt2_tiny") else { return };
    computed_in(8);
    for case in cases(&file)
        .iter()
        .filter(|case| case["expected"].get("logits").is_some() && case["inputs"].get("attention_mask").is_none())
    {
        let folder = folder(case);
        let model = CausalModel::from_folder(folder.path(), (&device(), DType::F64)).unwrap();
        let shape = numbers(&case["inputs"]["input_ids"]["shape"]);
        let (rows, width) = (shape[0] as usize, shape[1] as usize);
        let ids: Vec<u32> = numbers(&case["inputs"]["input_ids"]).iter().map(|id| *id as u32).collect();
        let (logits, hidden) = model.forward(&ids, &Ragged::even(rows, width), &mut Cache::new(rows));
        close("logits", &values(logits), &numbers(&case["expected"]["logits"]), 1e-9, 1e-9);
        close("states", &values(hidden), &numbers(&case["expected"]["last_hidden"]), 1e-9, 1e-9);
        // an output matrix of its own, which is the table here
        let mut weights: Vec<_> = read(folder.path()).collect();
        let table = weights.iter().find(|(name, _)| name.ends_with("wte.weight")).unwrap().1.clone();
        weights.push(("lm_head.weight".into(), table));
        Weights::new("test", weights).write_safetensors(&folder.path().join("model.safetensors")).unwrap();
        let mut config = case["params"]["config"].clone();
        config["model_type"] = "gpt2".into();
        for tied in [false, true] {
            config["tie_word_embeddings"] = tied.into();
            write(folder.path(), &config);
            let model = CausalModel::from_folder(folder.path(), (&device(), DType::F64)).unwrap();
            assert_eq!(model.head.is_none(), tied);
            let (logits, _) = model.forward(&ids, &Ragged::even(rows, width), &mut Cache::new(rows));
            close("own head", &values(logits), &numbers(&case["expected"]["logits"]), 1e-9, 1e-9);
            assert_eq!(model.output_rows().dims()[0], model.vocabulary());
        }
    }
}

fn read(folder: &Path) -> impl Iterator<Item = (String, contrastive_nn::weights::Array)> {
    let weights = Weights::read(&folder.join("model.safetensors")).unwrap();
    let names: Vec<String> = weights.names().map(String::from).collect();
    names.into_iter().map(move |name| (name.clone(), weights.get(&name).unwrap().clone()))
}

#[test]
fn folders_that_are_no_model_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |words: &str| {
        let error = CausalModel::from_folder(folder.path(), &device()).unwrap_err().to_string();
        assert!(error.contains(words) && error.len() < 700, "{error:?} instead of {words:?}");
    };
    refused("config.json");
    std::fs::write(folder.path().join("config.json"), "{\n nothing").unwrap();
    refused("config.json:2: not JSON");
    let good = json!({
        "model_type": "gpt2", "vocab_size": 11, "n_positions": 9, "n_embd": 8, "n_layer": 1, "n_head": 2,
    });
    let with = |key: &str, value: Value| {
        let mut config = good.clone();
        config[key] = value;
        write(folder.path(), &config);
    };
    with("model_type", "bert".into());
    refused("model_type: \"bert\"; allowed: \"gpt2\"");
    with("n_head", 3.into());
    refused("n_head: 3; allowed: a divisor of n_embd 8");
    with("vocab_size", 0.into());
    refused("vocab_size: 0");
    with("vocab_size", (-4).into());
    refused("vocab_size: -4");
    with("activation_function", "gelu_other".into());
    refused("gelu_other");
    with("scale_attn_by_inverse_layer_idx", true.into());
    refused("scale_attn_by_inverse_layer_idx: true; allowed: false");
    with("resid_pdrop", 1.5.into());
    refused("resid_pdrop: 1.5");
    with("layer_norm_epsilon", 0.into());
    refused("layer_norm_epsilon: 0");
    write(folder.path(), &good);
    refused("model.safetensors or pytorch_model.bin");
    // a vocabulary that does not fit the weights, a missing tensor, one too many
    let config = CausalModel::config_of(folder.path()).unwrap();
    let mut rng = <rand_chacha::ChaCha8Rng as rand_chacha::rand_core::SeedableRng>::seed_from_u64(1);
    let model = config.init(&mut rng, &device()).unwrap();
    let path = folder.path().join("model.safetensors");
    Weights::of(&model.encoder, &KeyMap::gpt2()).write_safetensors(&path).unwrap();
    assert!(CausalModel::from_folder(folder.path(), &device()).is_ok());
    with("vocab_size", 12.into());
    refused("wte.weight [11, 8] instead of [12, 8]");
    with("n_layer", 2.into());
    refused("missing");
    write(folder.path(), &good);
    let more = read(folder.path()).chain([(
        "extra".to_string(),
        contrastive_nn::weights::Array { shape: vec![1], values: contrastive_nn::weights::Values::F32(vec![0.0]) },
    )]);
    Weights::new("test", more.collect::<Vec<_>>()).write_safetensors(&path).unwrap();
    refused("1 unused (extra)");
    std::fs::write(&path, b"not a file of weights").unwrap();
    refused("model.safetensors");
}
