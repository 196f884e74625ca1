//! What goes wrong is said in a sentence, with an exit code.

use crate::{done, fails, ratings};
use serde_json::Value;

#[test]
fn mistakes_on_the_command_line_exit_with_2_and_name_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ratings(at);
    let train = ["train", "lightgcn", "--data", "ratings.csv", "--epochs", "1", "--quiet"];
    let with = |more: &[&'static str]| [&train[..], more].concat();
    for (arguments, said) in [
        (vec!["train", "lightgnc", "--data", "ratings.csv"], "lightgcn"),
        (vec!["train", "lightgcn"], "--data"),
        (with(&["--set", "layrs=2"]), "the nearest is \"layers\"; allowed are layers, "),
        (with(&["--set", "layers"]), "allowed is key=value"),
        (with(&["--set", "layers=two"]), "layers cannot be \"two\""),
        (with(&["--format", "excel"]), "allowed: light-gcn"),
        (with(&["--core", "5"]), "--core does not apply to interactions"),
        (with(&["--steps", "3"]), "cannot be used with"),
        (vec!["train", "grace", "--generated", "--patience", "2"], "--metric"),
        (vec!["recommend", "runs/none"], "--user"),
    ] {
        let (code, message) = fails(at, &arguments);
        assert_eq!(code, 2, "{message}");
        assert!(message.contains(said), "{arguments:?} should say {said:?}: {message}");
        assert!(said == "lightgcn" || message.len() < 500, "{message}");
    }
}

#[test]
fn what_is_wrong_with_data_settings_and_files_exits_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ratings(at);
    std::fs::write(at.join("words.csv"), "just,one\n").unwrap();
    std::fs::write(at.join("bad.toml"), "layers = = 2\n").unwrap();
    done(at, &["train", "mf_bpr", "--data", "ratings.csv", "--epochs", "1", "--quiet", "--run-dir", "runs/mine"]);
    let train = |data: &'static str, more: &[&'static str]| {
        [&["train", "lightgcn", "--quiet", "--epochs", "1", "--data", data][..], more].concat()
    };
    for (arguments, said) in [
        (train("none.csv", &[]), "none.csv"),
        (train("ratings.csv", &["--set", "dim=0"]), "dim"),
        (train("ratings.csv", &["--config", "bad.toml"]), "bad.toml is not TOML"),
        (train("ratings.csv", &["--config", "absent.toml"]), "absent.toml"),
        (train("ratings.csv", &["--run-dir", "runs/mine"]), "--overwrite replaces it"),
        (train("ratings.csv", &["--device", "abacus"]), "abacus"),
        (train("ratings.csv", &["--user-column", "reader"]), "reader"),
        (vec!["evaluate", "runs/none"], "not a run"),
        (vec!["recommend", "runs/mine", "--user", "1000"], "the nearest is"),
        (vec!["info", "nothing-here"], "no such file"),
    ] {
        let (code, message) = fails(at, &arguments);
        assert_eq!(code, 1, "{message}");
        assert!(message.contains(said), "{arguments:?} should say {said:?}: {message}");
        assert_eq!(message.matches("error: ").count(), 1, "{message}");
    }
}

/// A run whose folder stands is not touched by a training that is refused; one whose data changed says so.
#[test]
fn a_run_is_not_mixed_with_another() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ratings(at);
    done(at, &["train", "mf_bpr", "--data", "ratings.csv", "--epochs", "1", "--quiet"]);
    let record = || std::fs::read_to_string(at.join("runs/mf_bpr/command.json")).unwrap();
    let before = record();
    fails(at, &["train", "mf_bpr", "--data", "ratings.csv", "--epochs", "9", "--quiet"]);
    assert_eq!(record(), before);
    let (code, message) =
        fails(at, &["train", "--resume", "--run-dir", "runs/mf_bpr", "--epochs", "2", "--set", "dim=5", "--quiet"]);
    assert_eq!(code, 1);
    assert!(message.contains("dim was 64, is 5") && message.contains("--allow-change"), "{message}");
    assert_eq!(record(), before);
    let more = std::fs::read_to_string(at.join("ratings.csv")).unwrap() + "99,film-new,3\n";
    std::fs::write(at.join("ratings.csv"), more).unwrap();
    let (code, message) = fails(at, &["evaluate", "runs/mf_bpr"]);
    assert_eq!(code, 1);
    assert!(message.contains("the data has changed"), "{message}");
}

#[test]
fn with_json_an_error_is_an_object() {
    let folder = tempfile::tempdir().unwrap();
    let (code, message) = fails(folder.path(), &["--json", "evaluate", "runs/none"]);
    let value: Value = serde_json::from_str(&message).unwrap();
    assert_eq!((code, &value["code"]), (1, &Value::from(1)));
    assert!(value["error"].as_str().unwrap().contains("runs/none"));
}
