//! The ways of a new user, from a file to an answer.

use crate::{contrastive, done, ratings};
use serde_json::Value;

/// "Recommendations for user 42 from my own CSV as a CSV file".
#[test]
fn recommendations_from_a_csv_as_a_csv() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ratings(at);
    done(
        at,
        &[
            "train",
            "lightgcn",
            "--data",
            "ratings.csv",
            "--run-dir",
            "runs/mine",
            "--epochs",
            "60",
            "--set",
            "learning_rate=0.05",
            "--quiet",
        ],
    );
    let said = done(at, &["recommend", "runs/mine", "--user", "41", "--out", "user41.csv"]);
    assert_eq!(said, "10 rows to user41.csv\n");
    let text = std::fs::read_to_string(at.join("user41.csv")).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0], ["user", "rank", "item", "score"]);
    assert_eq!(rows.len(), 11);
    // user 41 is one of the odd half; none of the films that it has is recommended, and the first ones are of its own half
    let own = std::fs::read_to_string(at.join("ratings.csv")).unwrap();
    let has = |film: &str| own.lines().any(|line| line.starts_with(&format!("41,{film},")));
    let odd = |film: &str| film.trim_start_matches("film-").parse::<u32>().unwrap() % 2 == 1;
    assert!(odd(rows[1][2]) && odd(rows[2][2]), "{text}");
    // two of its twelve films are held out for testing; the ten others are never recommended
    let again = rows[1..].iter().filter(|row| has(row[2])).count();
    assert!(again <= 3, "{text}");
    for (rank, row) in rows[1..].iter().enumerate() {
        assert_eq!((row[0], row[1]), ("41", (rank + 1).to_string().as_str()));
    }
}

/// "The ten nearest sentences", of the file and of a text that is not in it.
#[test]
fn the_nearest_sentences() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut text = String::new();
    for n in 0..40 {
        text.push_str(&format!(
            "the {} dog runs over field {n}\na {} boat lies in harbour {n}\n\n",
            ["small", "old"][n % 2],
            ["red", "blue"][n % 2]
        ));
    }
    std::fs::write(at.join("lines.txt"), text).unwrap();
    done(at, &["train", "simcse", "--data", "lines.txt", "--run-dir", "runs/lines", "--epochs", "3", "--quiet"]);
    let near = done(at, &["neighbors", "runs/lines", "--text", "a dog in a field", "-k", "10"]);
    let rows: Vec<&str> = near.lines().collect();
    assert_eq!(rows[0], "query,rank,id,score,text");
    assert_eq!(rows.len(), 11);
    assert!(rows[1..].iter().all(|row| row.contains("dog")), "{near}");
    // line 1 of the file is known by its number; it is not its own neighbour, and blank lines are none
    let near = done(at, &["--json", "neighbors", "runs/lines", "--id", "1", "-k", "5"]);
    let near: Value = serde_json::from_str(&near).unwrap();
    let ids: Vec<u32> = near["neighbors"][0]["neighbors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["id"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(ids.iter().all(|id| *id != 1 && id % 3 == 1), "{ids:?}");
    // other sentences with the same model
    std::fs::write(at.join("more.txt"), "an old dog\na blue boat\n").unwrap();
    done(at, &["embed", "runs/lines", "--data", "more.txt", "--out", "more.npy"]);
    let near = done(at, &["neighbors", "more.npy", "--id", "2", "-k", "1"]);
    assert!(near.lines().nth(1).unwrap().starts_with("2,1,1,"), "{near}");
}

/// What was interrupted by a setting (an end after few epochs) and resumed is what ran through; a resumed run needs only its folder.
#[test]
fn a_resumed_run_ends_where_an_uninterrupted_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ratings(at);
    let train = |run: &str, more: &[&str]| {
        let base = ["--json", "train", "--run-dir", run, "--quiet"];
        done(at, &[&base[..], more].concat())
    };
    train("whole", &["xsimgcl", "--data", "ratings.csv", "--epochs", "6", "--set", "dim=16"]);
    train("parts", &["xsimgcl", "--data", "ratings.csv", "--epochs", "2", "--set", "dim=16"]);
    let resumed = train("parts", &["--resume", "--epochs", "6"]);
    let resumed: Value = serde_json::from_str(&resumed).unwrap();
    assert_eq!(resumed["report"]["resumed_from"], 2);
    for name in ["users", "items"] {
        let bytes = |run: &str| std::fs::read(at.join(run).join(format!("embeddings/{name}.npy"))).unwrap();
        assert_eq!(bytes("whole"), bytes("parts"), "{name}");
    }
}

/// What is given wins over the file, which wins over the defaults; the record of the run holds it all.
#[test]
fn settings_come_from_the_file_and_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ratings(at);
    std::fs::write(at.join("mine.toml"), "layers = 1\n[table]\ndim = 8\n[table.training]\nbatch_size = 100\n").unwrap();
    let base = [
        "train",
        "lightgcn",
        "--data",
        "ratings.csv",
        "--config",
        "mine.toml",
        "--set",
        "layers=2",
        "--epochs",
        "1",
        "--quiet",
    ];
    done(at, &base);
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(at.join("runs/lightgcn/command.json")).unwrap()).unwrap();
    assert_eq!(record["settings"]["layers"], 2);
    assert_eq!(record["settings"]["table"]["dim"], 8);
    assert_eq!(record["settings"]["table"]["training"]["batch_size"], 100);
    let shape = done(at, &["--json", "embed", "runs/lightgcn", "--table", "items", "--out", "items.safetensors"]);
    assert_eq!(serde_json::from_str::<Value>(&shape).unwrap()["shape"][1], 8);
}

#[test]
fn completion_scripts_name_commands_and_methods() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = done(folder.path(), &["completions", shell]);
        assert!(script.contains("neighbors") && (shell == "fish" || script.contains("lightgcn")), "{shell}");
    }
    let help = done(folder.path(), &["train", "--help"]);
    assert!(help.contains("xsimgcl") && help.contains("--resume"));
    assert!(contrastive(folder.path(), &["--version"]).status.success());
}
