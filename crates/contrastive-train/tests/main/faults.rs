//! What killed runs, closed streams and damaged files must not do.

use crate::common::*;
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
