//! The examples as a user runs them: on data they cannot read they print one sentence and exit with a code above 0; nothing that
//! they print is Rust's own notation.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// An example's binary. `cargo test` builds them beside the tests.
fn binary(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let binary = tests.parent().unwrap().parent().unwrap().join("examples").join(name);
    assert!(binary.is_file(), "{} is not there: build it with cargo build --release --examples", binary.display());
    binary
}

fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(binary(name)).args(arguments).output().unwrap()
}

fn case(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("crates/contrastive-graph/tests/cases").join(path).display().to_string()
}

/// Marks of `{:?}`: fields of a struct, options and results.
fn assert_plain(text: &str) {
    for mark in ["Error {", "Io {", "Some(", "Err(", "Os {", "kind:", "panicked", "PathBuf", "Missing {"] {
        assert!(!text.contains(mark), "{mark:?} in: {text}");
    }
}

/// The one sentence of a failed run.
fn sentence(name: &str, data: &str, more: &[&str]) -> String {
    let mut arguments = vec!["--data", data];
    arguments.extend(more);
    let output = run(name, &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && output.status.code().is_some_and(|code| code > 0), "{data}: {said}");
    assert_plain(&said);
    assert_plain(&String::from_utf8_lossy(&output.stdout));
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("note: ")).collect();
    assert!(lines.len() == 1 && lines[0].starts_with("error: ") && lines[0].chars().count() < 520, "{data}: {said}");
    lines[0].to_owned()
}

#[test]
fn recommenders_refuse_with_a_sentence() {
    for (path, part) in [
        ("faults/csv-unclosed-quote", "a quote that is opened and never closed"),
        ("faults/npz-bomb", "no supported interaction data here"),
        ("lost", "--user-column"),
        ("nowhere", "no such file or directory"),
        ("karate/karate.edgelist/inside", "no such file or directory"),
    ] {
        let said = sentence("lightgcl", &case(path), &["--epochs", "1"]);
        assert!(said.contains(part), "{path}: {said}");
    }
    let said = sentence("mf_bpr", &case("selfrec"), &["--epochs", "1", "--device", "abacus"]);
    assert!(said.contains("abacus"), "{said}");
    let said = sentence("lightgcl", &case("bar"), &["--epochs", "1", "--lr=-1"]);
    assert!(said.contains("-1"), "{said}");
}

#[test]
fn graph_examples_refuse_with_a_sentence() {
    for path in ["mat-bomb", "npz-bomb", "npz-labels", "npz-name-flip", "geom-gcn-wide", "planetoid-classes"]
        .map(|n| format!("faults/{n}"))
    {
        let said = sentence("grace_cora", &case(&path), &["--epochs", "1"]);
        assert!(said.contains("allowed"), "{path}: {said}");
    }
}

#[test]
fn every_reading_option_has_a_flag() {
    let help = String::from_utf8(run("lightgcl", &["--help"]).stdout).unwrap();
    for flag in [
        "--format",
        "--ids",
        "--user-column",
        "--item-column",
        "--rating-column",
        "--time-column",
        "--header",
        "--delimiter",
        "--min-rating",
        "--split",
        "--test-fraction",
        "--validation-fraction",
        "--split-seed",
        "--max-bytes",
        "--strict",
    ] {
        assert!(help.contains(flag), "{flag} is not in: {help}");
    }
    let lost = case("lost");
    let flags = ["--user-column", "0", "--item-column", "1", "--test-fraction", "0.5", "--epochs", "1", "--dim", "4"];
    let output = run("mf_bpr", &[&["--data", &lost[..]], &flags[..]].concat());
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(printed.contains("3 users, 3 items, 3 + 3 pairs"), "{printed}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_graph_that_cannot_be_probed_is_trained() {
    for path in ["karate", "nx"] {
        let output = run("grace_cora", &["--data", &case(path), "--epochs", "2", "--dim", "8"]);
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{path}: {said}");
        assert!(
            said.contains("34 nodes, 78 edges") && said.contains("note: the graph has no features"),
            "{path}: {said}"
        );
        assert!(path != "nx" || said.contains("no probe: the graph has no labels"), "{path}: {said}");
        assert_plain(&said);
    }
}
