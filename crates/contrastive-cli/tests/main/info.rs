//! What `info` takes files for.

use crate::golden::shared;
use crate::{contrastive, done, ratings};
use serde_json::Value;
use std::path::Path;

fn facts(folder: &Path, path: &str, kind: &str, more: &[&str]) -> Value {
    let answer = done(folder, &[&["--json", "info", path, "--as", kind][..], more].concat());
    serde_json::from_str::<Value>(&answer).unwrap()["read"][0].clone()
}

#[test]
fn a_csv_of_ratings_is_users_and_items() {
    let folder = tempfile::tempdir().unwrap();
    ratings(folder.path());
    let read = facts(folder.path(), "ratings.csv", "interactions", &[]);
    assert_eq!((&read["facts"]["users"], &read["facts"]["items"]), (&Value::from(40), &Value::from(30)));
    let text = done(folder.path(), &["info", "ratings.csv"]);
    assert!(text.contains("can be read as interactions") && text.contains("methods: mf_bpr"), "{text}");
}

/// The layouts that users bring, with the sizes that were computed apart; a note says what was passed over.
#[test]
fn golden_cases_are_taken_for_what_they_are() {
    let Some(cases) = shared().map(|path| path.join("cases/readers")) else { return };
    let numbers = |case: &str, kind: &str, names: [&str; 2], more: &[&str]| {
        let read = facts(&cases, case, kind, more);
        names.map(|name| read["facts"][name].as_u64().unwrap_or_else(|| panic!("{case}: {read}")))
    };
    let interactions = |case: &str| numbers(case, "interactions", ["train", "test"], &["--split", "none"]);
    assert_eq!(interactions("selfrec"), [60, 24]);
    assert_eq!(numbers("hetrec", "interactions", ["users", "items"], &[]), [12, 28]);
    assert_eq!(numbers("lightgcl_pkl", "interactions", ["users", "items"], &[]), [8, 12]);
    let nodes = |case: &str| numbers(case, "nodes", ["nodes", "edges"], &[]);
    assert_eq!(nodes("musae_node12"), [90, 360]);
    assert_eq!(nodes("karate"), [34, 78]);
    assert_eq!(nodes("plan2"), [12, 12]);
    assert_eq!(numbers("wikics", "nodes", ["nodes", "classes"], &[]), [3, 2]);
}

/// No folder of the cases ends in a panic or in Rust, whatever it is asked as.
#[test]
fn golden_cases_and_faults_end_in_sentences() {
    let Some(cases) = shared().map(|path| path.join("cases")) else { return };
    for part in ["readers", "faults"] {
        let Ok(entries) = std::fs::read_dir(cases.join(part)) else { continue };
        for entry in entries.flatten() {
            let path = entry.path().display().to_string();
            let output = contrastive(&cases, &["info", &path, "--max-bytes", "20000000"]);
            let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
            assert!(matches!(output.status.code(), Some(0 | 1)), "{path}: {:?}\n{said}", output.status);
            for rust in ["panicked", "Some(", "Error {", "Err("] {
                assert!(!said.contains(rust), "{path}: {said}");
            }
        }
    }
}
