//! What killed runs, closed streams and damaged files must not do.

use crate::common::*;
use crate::golden_values::shared;
use contrastive_train::*;
use std::collections::BTreeMap;
use std::fs;

/// The standard error stream is a full disk: training goes on in silence.
#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_error_does_not_stop_training() {
    if let Some(folder) = child_folder() {
        fit(&mut Logistic::new(0.05), &options(3).progress(true).run_dir(folder.join("run")).resume(true)).unwrap();
        println!("trained all the same");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut run = child("faults::a_full_standard_error_does_not_stop_training", dir.path());
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = run.stderr(full).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("trained all the same"), "{text}");
}

/// A file of ours whose metadata key is damaged is damaged: its checksum is not skipped.
#[test]
fn a_damaged_metadata_key_does_not_switch_the_checksum_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    let state = State::from([("a".to_string(), burn::tensor::TensorData::new(vec![1f32, 2.0], [2]))]);
    write_safetensors(&path, &state, &BTreeMap::from([("k".to_string(), "v".to_string())])).unwrap();
    let good = fs::read(&path).unwrap();
    let places = |word: &[u8]| -> Vec<usize> {
        good.windows(word.len())
            .enumerate()
            .filter(|(_, w)| *w == word)
            .flat_map(|(at, _)| at..at + word.len())
            .collect()
    };
    let mut flipped = 0;
    for at in [places(b"contrastive"), places(b"checksum")].concat() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            fs::write(&path, &bad).unwrap();
            assert!(matches!(read_safetensors(&path), Err(TrainError::Corrupt { .. })), "byte {at}, bit {bit}");
            flipped += 1;
        }
    }
    assert_eq!(flipped, 8 * ("contrastive".len() + "checksum".len()));
}

/// Two faults in one file: its metadata key, and a byte of its data. The file without them is read.
#[test]
fn golden_fault_of_a_damaged_model_is_named() {
    let Some(folder) = shared().map(|path| path.join("cases/faults/damaged-model")) else { return };
    let (state, metadata) = read_safetensors(&folder.join("st-original.safetensors")).unwrap();
    assert_eq!(state.keys().map(String::as_str).collect::<Vec<_>>(), ["items", "users"]);
    assert_eq!(metadata["trainee"], "lightgcl");
    let path = folder.join("st-diff-29439");
    let Err(TrainError::Corrupt { path: named, reason }) = read_safetensors(&path) else { panic!("read") };
    assert_eq!((named, reason.as_str()), (path, r#"the key "contraqtive" of its metadata should be "contrastive""#));
}

/// A file with one tensor as this crate writes it, and its bytes with words replaced by words of the same length.
fn replaced(words: &[(&str, &str)]) -> Result<(State, BTreeMap<String, String>), TrainError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    let state = State::from([("a".to_string(), burn::tensor::TensorData::new(vec![1f32, 2.0], [2]))]);
    write_safetensors(&path, &state, &BTreeMap::from([("k".to_string(), "v".to_string())])).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    for (before, after) in words {
        assert_eq!(before.len(), after.len());
        let at = bytes.windows(before.len()).position(|w| w == before.as_bytes()).unwrap();
        bytes[at..at + after.len()].copy_from_slice(after.as_bytes());
    }
    fs::write(&path, bytes).unwrap();
    read_safetensors(&path)
}

/// Several faults at once do not make a file of ours one of another program.
#[test]
fn faults_in_several_keys_at_once_are_still_faults() {
    replaced(&[]).unwrap();
    let (key, sum) = (("contrastive", "contraqtive"), ("checksum", "chequsum"));
    let faults: [&[(&str, &str)]; 8] = [
        &[key, sum],
        &[("contrastive", "bontraqtive"), sum],
        // the key is another word, and its value still ours, whole or not
        &[("contrastive", "description")],
        &[("contrastive", "description"), ("checksum", "bhecksum")],
        &[("contrastive", "description"), ("\\\"k\\\"", "kkkkk")],
        &[("contrastive", "description"), ("{\\\"checksum", "[\\\"checksum")],
        &[sum],
        &[("__metadata__", "__metbdata__")],
    ];
    for words in faults {
        let read = replaced(words);
        assert!(matches!(read, Err(TrainError::Corrupt { .. })), "{words:?}: {read:?}");
    }
    let named = |words: &[(&str, &str)]| replaced(words).unwrap_err().to_string();
    assert!(named(&[key, sum]).contains("\"contraqtive\" of its metadata should be \"contrastive\""));
    assert!(named(&[sum]).contains("the key \"checksum\" is missing"));
}

/// Files of other programs have no checksum, and are read, whatever they write about themselves.
#[test]
fn files_of_other_programs_are_read_without_a_checksum() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    let values = [0u8, 0, 128, 63];
    for (key, value) in [
        ("format", "pt"),
        ("checksum", "8ce2aba380a12213"),
        ("info", r#"{"checksum":"sha256 8ce2aba380a12213"}"#),
        ("contrastive_loss", r#"{"temperature":"0.1"}"#),
        ("tags", r#"{"a":{"b":1}}"#),
    ] {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &values).unwrap();
        let header = std::collections::HashMap::from([(key.to_string(), value.to_string())]);
        fs::write(&path, safetensors::serialize([("a", view)], Some(header)).unwrap()).unwrap();
        let (state, metadata) = read_safetensors(&path).unwrap();
        assert_eq!((state["a"].iter::<f32>().next(), metadata[key].as_str()), (Some(1.0), value));
    }
}

/// Temporary files that a killed process of the same id has left do not stand in the way.
#[test]
fn leftovers_of_a_killed_run_are_passed_over_or_removed() {
    let dir = tempfile::tempdir().unwrap();
    let ours = |n: usize| format!(".contrastive-{}-{n}.tmp", std::process::id());
    for n in 0..2000 {
        fs::write(dir.path().join(ours(n)), b"half").unwrap();
    }
    let path = dir.path().join("x");
    atomic_write(&path, |out| out.write_all(b"whole")).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"whole");

    let run = dir.path().join("run");
    fit(&mut Logistic::new(0.05), &options(2).run_dir(&run)).unwrap();
    let left = [
        "checkpoint.safetensors.link",
        "best.safetensors.link",
        ".contrastive-1-1.tmp",
        "embeddings/.contrastive-1-2.tmp",
    ];
    left.iter().for_each(|name| fs::write(run.join(name), b"half").unwrap());
    fit(&mut Logistic::new(0.05), &options(3).run_dir(&run).resume(true)).unwrap();
    assert!(left.iter().all(|name| !run.join(name).exists()));
}

#[test]
fn overwriting_removes_the_embeddings_of_the_run_before() {
    let dir = tempfile::tempdir().unwrap();
    fit(&mut Logistic::new(0.05), &options(2).run_dir(dir.path())).unwrap();
    let embeddings = dir.path().join("embeddings");
    fs::write(embeddings.join("old.npy"), b"of another method").unwrap();
    fs::write(embeddings.join("notes.txt"), b"of the user").unwrap();
    fit(&mut Logistic::new(0.05), &options(1).run_dir(dir.path()).overwrite(true)).unwrap();
    assert!(!embeddings.join("old.npy").exists() && embeddings.join("weights.npy").exists());
    assert!(embeddings.join("notes.txt").exists());
}

/// A trainee that does not check itself: its state is checked before it replaces the good one.
#[test]
fn a_state_that_is_not_finite_is_not_saved() {
    let dir = tempfile::tempdir().unwrap();
    let mut trainee = Logistic::new(0.05);
    trainee.infinite_from = Some(3);
    let error = fit(&mut trainee, &options(5).run_dir(dir.path())).unwrap_err();
    let TrainError::NonFiniteParameter { epoch: 3, step: 5, tensor, value } = &error else { panic!("{error}") };
    assert_eq!((tensor.as_str(), *value), ("ballast", f64::INFINITY));
    assert!(error.to_string().contains("the last checkpoint is of epoch 2"), "{error}");
    assert_eq!(checkpoint_epoch(&dir.path().join("checkpoint.safetensors")).unwrap(), 2);
}
