//! Every method of the registry, by the same commands.

use clap::Parser;
use contrastive_cli::args::Cli;
use contrastive_cli::failure::Failure;
use contrastive_cli::{Answer, answer, registry, run::Run};
use std::path::Path;

fn run(arguments: &[&str]) -> Result<Answer, Failure> {
    let all = std::iter::once("contrastive").chain(arguments.iter().copied());
    answer(Cli::try_parse_from(all).unwrap_or_else(|error| panic!("{error}")))
}

/// Sizes with which an epoch of the generated data takes little time.
fn small(domain: &str) -> &'static [&'static str] {
    match domain {
        "series" => &["--set", "net.output=8", "--set", "net.hidden=4", "--set", "net.depth=2"],
        "images" => &["--set", "encoder.conv.widths=[4,8]"],
        "interactions" => &["--set", "table.dim=8"],
        _ => &[],
    }
}

fn smoke(domain: &str) {
    let folder = tempfile::tempdir().unwrap();
    let methods: Vec<_> = registry::methods().into_iter().filter(|method| method.domain.name() == domain).collect();
    assert!(!methods.is_empty(), "the registry has no method on {domain}");
    for method in methods {
        let at = folder.path().join(method.name);
        let path = at.to_str().unwrap();
        let mut train = vec!["train", method.name, "--generated", "--run-dir", path, "--epochs", "1", "--quiet"];
        train.extend(small(domain));
        if method.name == "pamc" {
            train.extend(["--set", "hidden=[16]"]);
        }
        let trained = run(&train).unwrap_or_else(|failure| panic!("{}: {failure}", method.name));
        assert_eq!(trained.json["report"]["epochs"], 1, "{}", method.name);
        let scores =
            run(&["evaluate", path, "--at", "5"]).unwrap_or_else(|failure| panic!("{}: {failure}", method.name));
        let scores = scores.json["scores"].as_object().unwrap().clone();
        assert!(!scores.is_empty() && scores.values().all(|value| value.is_number()), "{}: {scores:?}", method.name);
        used(&Run::open(Path::new(path), &burn_device()).unwrap(), path);
    }
}

fn burn_device() -> contrastive_cli::Device {
    contrastive_cli::Device::default()
}

/// Every table is written and searched; the first neighbour is the best.
fn used(run_of: &Run, path: &str) {
    for name in run_of.table_names() {
        let table = run_of.table(Some(&name)).unwrap();
        let out = format!("{path}/{name}-out.csv");
        run(&["embed", path, "--table", &name, "--out", &out]).unwrap();
        assert_eq!(std::fs::read_to_string(out).unwrap().lines().count(), 1 + table.ids.len());
        let near = run(&["neighbors", path, "--table", &name, "--id", &table.ids[0], "-k", "3"]).unwrap();
        let near: Vec<f64> = near.json["neighbors"][0]["neighbors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["score"].as_f64().unwrap())
            .collect();
        assert!(
            near.len() == 3 && near[0] >= near[1] && near[1] >= near[2] && near[0] <= 1.0 + 1e-5,
            "{name}: {near:?}"
        );
    }
    if run_of.table_names().iter().any(|name| name == "users") {
        let users = run_of.table(Some("users")).unwrap();
        let best = run(&["recommend", path, "--user", &users.ids[3], "-k", "4"]).unwrap();
        assert_eq!(best.json["recommendations"][0]["user"], users.ids[3].as_str());
        assert_eq!(best.json["recommendations"][0]["items"].as_array().unwrap().len(), 4);
    } else {
        let failure = run(&["recommend", path, "--user", "1"]).unwrap_err();
        assert!(failure.message.contains("neighbors"), "{failure}");
    }
}

#[test]
fn recommenders_train_score_and_recommend() {
    smoke("interactions");
}

#[test]
fn node_methods_train_and_score() {
    smoke("nodes");
}

#[test]
fn sequence_methods_train_score_and_recommend() {
    smoke("sequences");
}

#[test]
fn series_methods_train_and_score() {
    smoke("series");
}

#[test]
fn sentence_methods_train_and_score() {
    smoke("sentences");
}

#[test]
fn image_methods_train_and_score() {
    smoke("images");
}

/// Names are distinct, every domain has a method, and defaults are settings.
#[test]
fn the_registry_is_sound() {
    let all = registry::methods();
    let mut names: Vec<&str> = all.iter().map(|method| method.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len());
    for domain in contrastive_cli::domain::domains() {
        assert!(all.iter().any(|method| method.domain.name() == domain.name()), "{}", domain.name());
    }
    for method in &all {
        (method.check)(&method.defaults).unwrap_or_else(|error| panic!("{}: {error}", method.name));
        // what `methods NAME` prints is a file for --config
        let printed = run(&["methods", method.name]).unwrap().text;
        let read = contrastive_cli::settings::settings(
            method.name,
            &method.defaults,
            Some(("printed", &printed)),
            &[],
            &|value| (method.check)(value),
        );
        assert_eq!(read.unwrap_or_else(|failure| panic!("{}: {failure}\n{printed}", method.name)), method.defaults);
    }
}

/// The table of docs/methods.md that the registry makes is the one that stands there.
#[test]
fn the_documentation_lists_the_methods_of_the_registry() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/methods.md");
    let Ok(text) = std::fs::read_to_string(path) else { return };
    for method in registry::methods() {
        let row = format!("| `{}` | {} | {} |", method.name, method.domain.name(), method.about);
        assert!(text.contains(&row), "docs/methods.md lacks the row\n{row}");
    }
}
