//! Signals at random moments, sent to child processes that train: at most the epoch in progress is lost.

use crate::common::*;
use contrastive_train::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const EPOCHS: usize = 25;
const DONE: i32 = 10;
const INTERRUPTED: i32 = 11;

/// What a child does: resumes the run in the folder; exits with DONE or INTERRUPTED.
#[test]
fn child_trains() {
    let Some(folder) = child_folder() else { return };
    let mut trainee = Logistic::new(0.05);
    let number = |name: &str| std::env::var(name).map_or(0, |text| text.parse::<u64>().unwrap());
    trainee.pause = Duration::from_micros(number("PAUSE_US"));
    trainee.ballast = [number("BALLAST") as usize, 0];
    trainee.marker = Some(folder.join("begun"));
    match fit(&mut trainee, &options(EPOCHS).run_dir(folder.join("run")).resume(true)) {
        Ok(report) => {
            assert_eq!(report.epochs, EPOCHS);
            std::process::exit(DONE)
        }
        Err(error @ TrainError::Interrupted { .. }) => {
            println!("{error}");
            std::process::exit(INTERRUPTED)
        }
        Err(other) => panic!("{other}"),
    }
}

fn start(folder: &Path, pause_us: u64, ballast: usize) -> Child {
    command(folder, pause_us, ballast).spawn().unwrap()
}

fn command(folder: &Path, pause_us: u64, ballast: usize) -> Command {
    fs::remove_file(folder.join("begun")).ok();
    let mut command = child("interrupt::child_trains", folder);
    command.env("PAUSE_US", pause_us.to_string()).env("BALLAST", ballast.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// The epoch that the child has begun, once it has.
fn begun(folder: &Path, child: &mut Child) -> Option<usize> {
    let start = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(folder.join("begun")) {
            return Some(text.parse().unwrap());
        }
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the child does not start");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status();
    assert!(sent.unwrap().success() || name == "KILL", "kill -{name} failed");
}

/// The epochs that a resumption would find, from the checkpoint or the one before it.
fn saved(folder: &Path) -> usize {
    let path = folder.join("run/checkpoint.safetensors");
    match checkpoint_epoch(&path) {
        Ok(epoch) => epoch,
        Err(TrainError::Read { .. }) => 0,
        Err(error) => panic!("a killed process must not leave a damaged checkpoint: {error}"),
    }
}

/// Starts and signals children until one completes; returns how many were stopped.
fn train_under_fire(folder: &Path, seed: u64, name: &str, pause_us: u64, ballast: usize) -> usize {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut stopped = 0;
    for _ in 0..200 {
        let before = saved(folder);
        let mut child = start(folder, pause_us, ballast);
        if let Some(first) = begun(folder, &mut child) {
            assert!(first > before, "epoch {first} was begun again, {before} were saved");
            // Some epochs later, and then at any moment of an epoch: counted in epochs, not in seconds, so that several
            // signals fit into a run on a machine of any speed.
            let target = first + rng.random_range(0..4);
            while begun(folder, &mut child).is_some_and(|epoch| epoch < target) && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(Duration::from_micros(rng.random_range(0..6 * pause_us + 20_000)));
            if child.try_wait().unwrap().is_none() {
                signal(&child, name);
            }
        }
        let status = child.wait().unwrap();
        let last = fs::read_to_string(folder.join("begun")).map_or(EPOCHS + 1, |text| text.parse().unwrap());
        let kept = saved(folder);
        assert!(kept + 1 >= last, "epoch {last} had begun, but only {kept} epochs are saved");
        if status.code() == Some(DONE) {
            println!("{stopped} processes were stopped");
            return stopped;
        }
        // The signal may come when the run is over and the process is not: then it has its usual effect.
        if !(status.code() == Some(130) && folder.join("run/report.json").exists()) {
            check_end(status, name);
        }
        stopped += 1;
    }
    panic!("no child completed");
}

fn check_end(status: ExitStatus, name: &str) {
    use std::os::unix::process::ExitStatusExt;
    match name {
        "KILL" => assert_eq!(status.signal(), Some(9)),
        _ => assert_eq!(status.code(), Some(INTERRUPTED), "{status}"),
    }
}

fn check_result(folder: &Path) {
    let (model, _) = read_safetensors(&folder.join("run/model.safetensors")).unwrap();
    assert_eq!(model["weights"].as_slice::<f32>().unwrap(), uninterrupted(EPOCHS));
    let epochs: Vec<usize> = metrics_lines(&folder.join("run")).iter().map(|record| record.epoch).collect();
    assert_eq!(epochs, (1..=EPOCHS).collect::<Vec<_>>());
    let left: Vec<String> = fs::read_dir(folder.join("run"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".contrastive") || name.ends_with(".damaged"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn sigint_at_random_moments_loses_at_most_the_current_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let stopped = train_under_fire(dir.path(), 1, "INT", 2_000, 0);
    assert!(stopped >= 2, "only {stopped} were stopped");
    check_result(dir.path());
}

#[test]
fn sigkill_at_random_moments_loses_at_most_the_current_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let stopped = train_under_fire(dir.path(), 2, "KILL", 2_000, 0);
    assert!(stopped >= 2, "only {stopped} were killed");
    check_result(dir.path());
}

#[test]
fn sigkill_while_checkpoints_are_written_leaves_a_loadable_one() {
    let dir = tempfile::tempdir().unwrap();
    // 8 MB a checkpoint and steps without a pause: nearly all time is spent writing.
    let stopped = train_under_fire(dir.path(), 3, "KILL", 0, 2_000_000);
    assert!(stopped >= 2, "only {stopped} were killed");
    check_result(dir.path());
}

#[test]
fn an_interrupted_run_says_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = start(dir.path(), 5_000, 0);
    while begun(dir.path(), &mut child) < Some(3) {
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(INTERRUPTED));
    let text = String::from_utf8(output.stdout).unwrap();
    let epoch = saved(dir.path());
    assert!(epoch >= 2);
    assert!(text.contains(&format!("interrupted after epoch {epoch}; ")), "{text}");
    assert!(text.contains("run again with resume(true) and run_dir("), "{text}");
}

/// As under `nohup`: SIGHUP stays without effect, the others end the run in good order.
#[test]
fn signals_ignored_from_the_start_stay_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command(dir.path(), 5_000, 0);
    starts_with(&mut command, libc::SIG_IGN, &[libc::SIGHUP]);
    let mut child = command.spawn().unwrap();
    while begun(dir.path(), &mut child) < Some(2) {
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(&child, "HUP");
    let epoch = begun(dir.path(), &mut child);
    while begun(dir.path(), &mut child) == epoch {
        std::thread::sleep(Duration::from_millis(1));
    }
    signal(&child, "TERM");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(INTERRUPTED));
}

#[test]
fn the_second_interruption_exits_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = start(dir.path(), 20_000_000, 0);
    begun(dir.path(), &mut child);
    std::thread::sleep(Duration::from_millis(50));
    let start = Instant::now();
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the first one waits for the step");
    signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// In a child, because a request reaches every run of its process.
#[test]
fn child_requests_a_stop() {
    if child_folder().is_none() {
        let dir = tempfile::tempdir().unwrap();
        let output = child("interrupt::child_requests_a_stop", dir.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("stopped and went on"), "{text}");
        return;
    }
    let asker = std::thread::spawn(|| {
        std::thread::sleep(Duration::from_millis(40));
        request_stop();
    });
    let mut trainee = Logistic::new(0.05);
    trainee.pause = Duration::from_millis(1);
    let error = fit(&mut trainee, &options(100_000).handle_interrupt(false)).unwrap_err();
    asker.join().unwrap();
    match error {
        TrainError::Interrupted { resume, .. } => assert_eq!(resume, "nothing was saved: the run has no run_dir"),
        other => panic!("{other}"),
    }
    // The request does not reach a run that starts later.
    fit(&mut Logistic::new(0.05), &options(2)).unwrap();
    println!("stopped and went on");
}
