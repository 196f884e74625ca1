//! The examples `distributed_infonce` and `simclr_mlp` as processes under `mpirun`:
//! `cargo test --release --features mpi --test mpi`, which builds the example, too. Without `mpirun` it says so and passes.

use std::path::{Path, PathBuf};
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

/// The example `simclr_mlp` on so many ranks (0: without `mpirun`); its output, and the parameters it wrote.
fn digits(ranks: usize, folder: &Path, arguments: &[&str]) -> Option<(Output, contrastive::train::State)> {
    let test = std::env::current_exe().expect("the path of this test");
    let profile: PathBuf = test.ancestors().nth(2).expect("a target directory").into();
    let example = profile.join("examples/simclr_mlp");
    assert!(example.exists(), "{} is not built", example.display());
    let mut command = match ranks {
        0 => Command::new(&example),
        ranks => {
            let mut command = Command::new("mpirun");
            command.args(["--allow-run-as-root", "--oversubscribe", "-np", &ranks.to_string()]).arg(&example);
            command
        }
    };
    command.args(["--batch", "64", "--resume", "--run-dir"]).arg(folder).args(arguments);
    match command.env("RAYON_NUM_THREADS", "1").output() {
        Ok(output) => {
            let model = contrastive::train::read_safetensors(&folder.join("model.safetensors"));
            Some((output, model.map(|(state, _)| state).unwrap_or_default()))
        }
        Err(error) => {
            println!("mpirun: {error}; nothing compared");
            None
        }
    }
}

/// The largest difference of two models.
fn difference(a: &contrastive::train::State, b: &contrastive::train::State) -> f64 {
    assert!(!a.is_empty() && a.keys().eq(b.keys()), "{:?} and {:?}", a.keys(), b.keys());
    let each = a.iter().map(|(name, data)| {
        let pairs = data.iter::<f64>().zip(b[name].iter::<f64>());
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    });
    each.fold(0.0, f64::max)
}

/// 50 steps of SimCLR and of MoCo: by 2 and 4 ranks, and by 2 ranks stopped within an epoch and resumed by 4, give the parameters of one
/// process. In f32 after 5 steps: Adam divides by the size of a gradient, so that the rounding of one that is nearly 0 moves a weight by
/// as much as the learning rate, and after 50 steps two orders of one sum are .007 apart, on one process as well.
#[test]
fn ranks_train_what_one_process_trains() {
    for queue in [&["--queue", "256"][..], &[]] {
        for (precision, allowed, [part, steps]) in
            [(&["--double"][..], 1e-10, ["37", "50"]), (&[][..], 1e-4, ["3", "5"])]
        {
            let folder = tempfile::tempdir().expect("a folder");
            let all = [&["--steps", steps], queue, precision].concat();
            let at = |name: &str| folder.path().join(name);
            let Some((output, one)) = digits(0, &at("one"), &all) else { return };
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            for ranks in [2, 4] {
                let Some((output, some)) = digits(ranks, &at(&ranks.to_string()), &all) else { return };
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                println!("{ranks} ranks {all:?}: off by {:e}", difference(&one, &some));
                assert!(difference(&one, &some) <= allowed, "{ranks} ranks, {all:?}: {:e}", difference(&one, &some));
            }
            let part = [&["--steps", part], queue, precision].concat();
            let Some((output, _)) = digits(2, &at("both"), &part) else { return };
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let Some((output, both)) = digits(4, &at("both"), &all) else { return };
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            println!("2 ranks, then 4, {all:?}: off by {:e}", difference(&one, &both));
            assert!(difference(&one, &both) <= allowed, "resumed, {all:?}: {:e}", difference(&one, &both));
        }
    }
}

#[test]
fn a_rank_that_is_lost_ends_the_training() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = Instant::now();
    let Some((output, _)) = digits(4, folder.path(), &["--steps", "50", "--fail-at", "3"]) else { return };
    assert!(!output.status.success() && start.elapsed() < Duration::from_secs(60));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("as --fail-at wanted"), "{said}");
}
