//! The example `distributed_infonce` as processes under `mpirun`:
//! `cargo test --release --features mpi --test mpi`, which builds the example, too. Without `mpirun` it says so and passes.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The example under `mpirun`; `None` where there is none.
fn run(ranks: usize, arguments: &[&str]) -> Option<Output> {
    let test = std::env::current_exe().expect("the path of this test");
    let profile: PathBuf = test.ancestors().nth(2).expect("a target directory").into();
    let example = profile.join("examples/distributed_infonce");
    assert!(example.exists(), "{} is not built", example.display());
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe", "-np", &ranks.to_string()]).arg(example);
    match command.args(["--pairs", "512", "--width", "16"]).args(arguments).env("RAYON_NUM_THREADS", "1").output() {
        Ok(output) => Some(output),
        Err(error) => {
            println!("mpirun: {error}; nothing compared");
            None
        }
    }
}

/// The number after `name` in a line of the report.
fn number(line: &str, name: &str) -> f64 {
    let after = line.split(name).nth(1).unwrap_or_else(|| panic!("no {name:?} in {line:?}")).trim_start();
    let end = after.find([',', ' ', ')']).unwrap_or(after.len());
    after[..end].parse().unwrap_or_else(|e| panic!("{name:?} in {line:?}: {e}"))
}

#[test]
fn ranks_agree_with_one_process() {
    for ranks in [2, 4] {
        for exchange in ["gathered", "ring"] {
            for (precision, allowed) in [(&["--double"][..], 1e-10), (&[][..], 1e-5)] {
                let Some(output) = run(ranks, &[&["--exchange", exchange], precision].concat()) else { return };
                let text = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
                let lines: Vec<&str> = text.lines().filter(|l| l.starts_with("rank ")).collect();
                assert_eq!(lines.len(), ranks, "{text}");
                for line in lines {
                    let (loss, whole) = (number(line, "loss "), number(line, "one process "));
                    assert!((loss - whole).abs() <= allowed * whole.abs().max(1.0), "{line}");
                    assert!(number(line, "off by ") <= allowed && number(line, "off by ") >= 0.0, "{line}");
                }
            }
        }
    }
}

#[test]
fn a_lost_rank_ends_the_run() {
    for exchange in ["gathered", "ring"] {
        for fail in ["exit", "panic", "error"] {
            let start = Instant::now();
            let Some(output) = run(4, &["--exchange", exchange, "--fail", fail]) else { return };
            assert!(!output.status.success(), "{fail}, {exchange}");
            assert!(start.elapsed() < Duration::from_secs(60), "{fail}, {exchange}: {:?}", start.elapsed());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains(if fail == "exit" { "Exit code" } else { "as --fail wanted" }), "{said}");
        }
    }
}
