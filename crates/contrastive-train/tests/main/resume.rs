//! A resumed run equals an uninterrupted one bit by bit; damaged and foreign checkpoints are told apart.

use crate::common::*;
use contrastive_train::*;
use std::fs;
use std::path::Path;

fn run_to(dir: &Path, epochs: usize) -> (Vec<f32>, RunReport) {
    let mut trainee = Logistic::new(0.05);
    let report = fit(&mut trainee, &options(epochs).run_dir(dir).resume(true)).unwrap();
    (trainee.values(), report)
}

#[test]
fn a_resumed_run_is_bitwise_equal() {
    let whole = tempfile::tempdir().unwrap();
    let (want, full) = run_to(whole.path(), 9);
    assert_eq!(want, uninterrupted(9), "writing files must not change the numbers");
    assert!(full.losses["logistic"] < full.history[0].losses["logistic"]);
    assert!(full.metrics.as_ref().unwrap()["accuracy"] > 0.7, "{full:?}");

    let parts = tempfile::tempdir().unwrap();
    run_to(parts.path(), 2);
    let (_, middle) = run_to(parts.path(), 5);
    assert_eq!(middle.resumed_from, Some(2));
    // What a killed process may have written after its last checkpoint.
    let metrics = parts.path().join("metrics.jsonl");
    let torn = fs::read_to_string(&metrics).unwrap() + "{\"epoch\":6,\"ste";
    fs::write(&metrics, torn).unwrap();
    fs::write(parts.path().join(".contrastive-1-2.tmp"), b"left behind").unwrap();
    let (got, report) = run_to(parts.path(), 9);
    assert_eq!(report.resumed_from, Some(5));
    assert_eq!(got, want);
    assert_eq!(numbers(&report.history), numbers(&full.history));
    assert_eq!(metrics_lines(parts.path()), report.history);
    for file in ["model.safetensors", "embeddings/weights.npy"] {
        assert_eq!(fs::read(parts.path().join(file)).unwrap(), fs::read(whole.path().join(file)).unwrap(), "{file}");
    }
    assert!(!parts.path().join(".contrastive-1-2.tmp").exists());
}

#[test]
fn another_seed_gives_other_numbers() {
    let mut trainee = Logistic::new(0.05);
    fit(&mut trainee, &options(3).seed(6)).unwrap();
    assert_ne!(trainee.values(), uninterrupted(3));
}

#[test]
fn a_complete_run_is_only_reported() {
    let dir = tempfile::tempdir().unwrap();
    let (want, first) = run_to(dir.path(), 3);
    let mut trainee = Logistic::new(0.05);
    trainee.forbid_work = true;
    let report = fit(&mut trainee, &options(3).run_dir(dir.path()).resume(true)).unwrap();
    assert_eq!((trainee.values(), report.resumed_from), (want, Some(3)));
    assert_eq!((report.history, report.metrics), (first.history, first.metrics));
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    run_to(dir.path(), 2);
    let before = fs::read(dir.path().join("checkpoint.safetensors")).unwrap();
    let error = fit(&mut Logistic::new(0.1), &options(4).seed(9).run_dir(dir.path()).resume(true)).unwrap_err();
    assert!(error.to_string().ends_with("is of another run: config.lr was 0.05, is 0.1; seed was 5, is 9"), "{error}");
    match error {
        TrainError::OtherConfig { keys, .. } => assert_eq!(keys.len(), 2),
        other => panic!("{other}"),
    }
    let error = fit(&mut Logistic::new(0.05), &options(1).run_dir(dir.path()).resume(true)).unwrap_err();
    assert_eq!(error.to_string(), "training: epochs is 1; allowed is at least 2, the epochs of the checkpoint");
    assert_eq!(fs::read(dir.path().join("checkpoint.safetensors")).unwrap(), before);
}

/// What can happen to a file.
fn damages(good: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let flipped = |at: usize| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 0x10;
        bytes
    };
    let header = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    let epoch = good.windows(10).position(|w| w == b"epoch\\\\\\\":").expect("the record of the run") + 10;
    let mut other_epoch = good.to_vec();
    other_epoch[epoch] = b'9';
    vec![
        ("empty", Vec::new()),
        ("four bytes", good[..4].to_vec()),
        ("half", good[..good.len() / 2].to_vec()),
        ("last byte missing", good[..good.len() - 1].to_vec()),
        ("one byte more", [good, b"x"].concat()),
        ("wrong magic", [b"PK\x03\x04\x14\x00\x06\x00".as_slice(), &good[8..]].concat()),
        ("text", b"not a checkpoint at all".to_vec()),
        ("zeros", vec![0; good.len()]),
        ("a bit in the length", flipped(0)),
        ("a bit in the header", flipped(12)),
        ("a number in the header", other_epoch),
        ("a bit in the first tensor", flipped(8 + header)),
        ("a bit in the last byte", flipped(good.len() - 1)),
    ]
}

#[test]
fn damaged_checkpoints_fall_back_or_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoint.safetensors");
    let prev = dir.path().join("checkpoint.safetensors.prev");
    run_to(dir.path(), 4);
    let (good, good_prev) = (fs::read(&path).unwrap(), fs::read(&prev).unwrap());
    assert_eq!((checkpoint_epoch(&path).unwrap(), checkpoint_epoch(&prev).unwrap()), (4, 3));
    let want = uninterrupted(6);
    for (what, bytes) in damages(&good) {
        fs::write(&path, &bytes).unwrap();
        fs::write(&prev, &bytes).unwrap();
        let error = fit(&mut Logistic::new(0.05), &options(6).run_dir(dir.path()).resume(true)).unwrap_err();
        assert!(matches!(&error, TrainError::Corrupt { path: p, .. } if *p == path), "{what}: {error}");
        assert_eq!(fs::read(&path).unwrap(), bytes, "{what}: an error must not change files");

        fs::write(&prev, &good_prev).unwrap();
        let (got, report) = run_to(dir.path(), 6);
        assert_eq!(got, want, "{what}");
        assert_eq!(report.resumed_from, Some(3), "{what}");
        assert!(report.notes[0].contains("checkpoint.safetensors.prev (epoch 3)"), "{what}: {:?}", report.notes);
        assert_eq!(fs::read(dir.path().join("checkpoint.safetensors.damaged")).unwrap(), bytes);

        fs::write(&path, &bytes).unwrap();
        fs::remove_file(&prev).unwrap();
        let error = fit(&mut Logistic::new(0.05), &options(6).run_dir(dir.path()).resume(true)).unwrap_err();
        assert!(error.to_string().ends_with("there is no earlier checkpoint"), "{what}: {error}");
    }
    fs::remove_file(&path).unwrap();
    fs::write(&prev, &good_prev).unwrap();
    assert_eq!(run_to(dir.path(), 6).0, want, "the current one is missing");
    fs::remove_file(&path).unwrap();
    fs::remove_file(&prev).unwrap();
    let (got, report) = run_to(dir.path(), 6);
    assert_eq!((got, report.resumed_from), (want, None));
    assert!(report.notes[0].ends_with("has no checkpoint: started anew"));
}

#[test]
fn no_single_flipped_byte_passes_unnoticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    run_to(dir.path(), 1);
    let good = fs::read(dir.path().join("checkpoint.safetensors")).unwrap();
    fs::write(&path, &good).unwrap();
    let want = read_safetensors(&path).unwrap();
    let mut refused = 0;
    for at in 0..good.len() {
        let mask = [0x01, 0x20, 0x80][at % 3];
        let mut bytes = good.clone();
        bytes[at] ^= mask;
        fs::write(&path, &bytes).unwrap();
        match read_safetensors(&path) {
            Err(TrainError::Corrupt { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
            // A letter of an escape sequence, a space of the padding: other bytes for the same contents. In the name of
            // the metadata: a file of another program, which is no checkpoint.
            Ok(found) => assert!(found == want || !found.1.contains_key("run"), "byte {at} with {mask:#x}"),
        }
    }
    assert!(refused > good.len() * 9 / 10, "{refused} of {}", good.len());
}

#[test]
fn tensors_of_every_type_come_back() {
    use burn::tensor::{DType, TensorData};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.safetensors");
    let mut state = State::from([
        ("bool".into(), TensorData::new(vec![true, false, true], [3])),
        ("empty".into(), TensorData::new(Vec::<f32>::new(), [0, 4])),
        ("scalar".into(), TensorData::new(vec![2.5f64], [1])),
        ("u64".into(), TensorData::new(vec![u64::MAX], [1])),
    ]);
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16, DType::I64, DType::I32, DType::I16, DType::I8] {
        state.insert(format!("{dtype:?}"), TensorData::new(vec![1.0f32, -2.0, 3.0], [3, 1]).convert_dtype(dtype));
    }
    let metadata = [("b".to_string(), "1".to_string()), ("a".to_string(), "ä \"quoted\"".to_string())].into();
    write_safetensors(&path, &state, &metadata).unwrap();
    let first = fs::read(&path).unwrap();
    assert_eq!(read_safetensors(&path).unwrap(), (state.clone(), metadata.clone()));
    write_safetensors(&path, &state, &metadata).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first, "equal contents, equal bytes");
}
