//! Settings from their defaults, a file and the command line.

use contrastive_cli::failure::{Failure, USAGE};
use contrastive_cli::settings::settings;
use serde_json::Value;
use serde_json::json;

fn defaults() -> Value {
    json!({"layers": 3, "temperature": 0.2, "table": {"dim": 64, "training": {"budget": {"epochs": 40}, "rate": 0.001}}})
}

/// Stands for serde: `layers` is a whole number, a budget has one of two names.
fn check(value: &Value) -> Result<(), String> {
    value["layers"].as_u64().ok_or("expected a whole number")?;
    let budget = value["table"]["training"]["budget"].as_object().ok_or("expected a budget")?;
    match budget.keys().next().map(String::as_str) {
        Some("epochs" | "steps") => Ok(()),
        other => Err(format!("unknown budget {other:?}")),
    }
}

fn set(sets: &[&str]) -> Result<Value, Failure> {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    settings("lightgcn", &defaults(), None, &sets, &check)
}

#[test]
fn a_setting_is_named_by_its_path_or_the_end_of_it() {
    let changed = set(&["table.dim=32", "rate=0.01", "layers=2", "budget.steps=7"]).unwrap();
    assert_eq!(
        changed,
        json!({"layers": 2, "temperature": 0.2, "table": {"dim": 32, "training": {"budget": {"steps": 7}, "rate": 0.01}}})
    );
}

#[test]
fn an_unknown_key_names_the_nearest_and_all_that_are_allowed() {
    let failure = set(&["layrs=2"]).unwrap_err();
    assert_eq!(
        failure.message,
        "--set layrs=2: lightgcn has no setting \"layrs\"; the nearest is \"layers\"; allowed are layers, \
         table.training.rate, table.dim, table.training.budget.epochs, temperature"
    );
    assert_eq!(failure.code, USAGE);
    assert!(set(&["tabel.dimm=3"]).unwrap_err().message.contains("the nearest is \"table.dim\""));
    assert!(set(&["layers"]).unwrap_err().message.contains("allowed is key=value"));
}

#[test]
fn a_value_of_another_type_names_the_setting() {
    let failure = set(&["layers=many"]).unwrap_err();
    assert_eq!(failure.message, "--set layers=many: layers cannot be \"many\": expected a whole number");
    let failure = set(&["budget.hours=3"]).unwrap_err();
    assert!(failure.message.contains("no setting \"budget.hours\""), "{failure}");
}

#[test]
fn a_file_comes_before_the_command_line() {
    let file = Some(("my.toml", "layers = 1\n[table]\ndim = 8\n[table.training.budget]\nsteps = 5\n"));
    let changed = settings("lightgcn", &defaults(), file, &["layers=2".into()], &check).unwrap();
    assert_eq!(changed["layers"], 2);
    assert_eq!(changed["table"]["dim"], 8);
    assert_eq!(changed["table"]["training"]["budget"], json!({"steps": 5}));
    for (text, said) in [("layers = ", "my.toml is not TOML"), ("[table]\ndam = 3", "no setting \"table.dam\"")] {
        let failure = settings("lightgcn", &defaults(), Some(("my.toml", text)), &[], &check).unwrap_err();
        assert!(failure.message.contains(said), "{failure}");
    }
}
