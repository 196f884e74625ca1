//! A full disk, a limit on file sizes, folders that cannot be written: typed errors, and nothing is lost.

use crate::common::*;
use contrastive_train::*;
use std::fs;
use std::path::Path;

/// Trains a run with checkpoints that grow by 8 KiB an epoch until writing one fails; returns the error and the trainee.
#[cfg(unix)]
fn train_until_full(dir: &Path) -> (TrainError, Logistic) {
    let mut trainee = Logistic::new(0.05);
    trainee.ballast = [0, 2048];
    let error = fit(&mut trainee, &options(40).run_dir(dir)).unwrap_err();
    (error, trainee)
}

/// The error names a file of the run, the checkpoint is that of the epoch before, the trainee keeps what it has computed.
#[cfg(unix)]
fn check_error(dir: &Path, error: &TrainError, trainee: &Logistic, code: i32) {
    let TrainError::Write { path, source } = error else { panic!("{error}") };
    assert_eq!(source.raw_os_error(), Some(code), "{error}");
    assert!(path.starts_with(dir) && error.to_string().contains(path.to_str().unwrap()), "{error}");
    let kept = checkpoint_epoch(&dir.join("checkpoint.safetensors")).unwrap();
    assert!(kept >= 1);
    assert_eq!(trainee.values(), uninterrupted(kept + 1));
    let hidden = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().to_string_lossy().starts_with('.');
    assert!(!fs::read_dir(dir).unwrap().any(hidden), "half a file was left behind");
}

/// With more room the run goes on from its checkpoint to the same end.
#[cfg(unix)]
fn go_on(dir: &Path) {
    let kept = checkpoint_epoch(&dir.join("checkpoint.safetensors")).unwrap();
    let mut trainee = Logistic::new(0.05);
    trainee.ballast = [0, 2048];
    let report = fit(&mut trainee, &options(40).run_dir(dir).resume(true)).unwrap();
    assert_eq!((report.resumed_from, trainee.values()), (Some(kept), uninterrupted(40)));
}

/// The limit is set by the shell, and its signal ignored, so that a write past it fails.
#[cfg(unix)]
#[test]
fn a_limit_on_file_sizes() {
    const EFBIG: i32 = 27;
    if let Some(folder) = child_folder() {
        let (error, trainee) = train_until_full(&folder);
        check_error(&folder, &error, &trainee, EFBIG);
        println!("failed as it should: {error}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let limited = child("disk::a_limit_on_file_sizes", dir.path());
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -S -f 100; exec \"$0\" \"$@\""]).arg(limited.get_program());
    let output = shell.args(limited.get_args()).env("CONTRASTIVE_TRAIN_CHILD", dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("failed as it should"), "{text}");
    go_on(dir.path());
}

/// A file system of 256 KiB in a mount namespace of the child's own.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk() {
    const ENOSPC: i32 = 28;
    let Some(folder) = child_folder() else {
        let dir = tempfile::tempdir().unwrap();
        let run = child("disk::a_full_disk", dir.path());
        let script = "mount -t tmpfs -o size=256k tmpfs \"$CONTRASTIVE_TRAIN_CHILD\" || exit 77; exec \"$0\" \"$@\"";
        let mut unshare = std::process::Command::new("unshare");
        unshare.args(["-rm", "sh", "-c", script]).arg(run.get_program()).args(run.get_args());
        match unshare.env("CONTRASTIVE_TRAIN_CHILD", dir.path()).output() {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let errors = String::from_utf8_lossy(&output.stderr);
                if !text.contains("running 1 test") && (errors.contains("unshare") || output.status.code() == Some(77))
                {
                    println!("no file system can be mounted here, not tested: {errors}");
                    return;
                }
                assert!(output.status.success() && text.contains("went on with more room"), "{text}{errors}");
                println!("{text}");
            }
            Err(error) => println!("unshare is missing, not tested: {error}"),
        }
        return;
    };
    let (error, trainee) = train_until_full(&folder);
    check_error(&folder, &error, &trainee, ENOSPC);
    println!("{error}");
    let more = std::process::Command::new("mount").args(["-o", "remount,size=16m"]).arg(&folder).status();
    assert!(more.unwrap().success());
    go_on(&folder);
    println!("went on with more room");
}

#[test]
fn folders_that_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"x").unwrap();
    for folder in [file.clone(), file.join("below"), dir.path().join("n".repeat(300))] {
        match fit(&mut Logistic::new(0.05), &options(1).run_dir(&folder)).unwrap_err() {
            TrainError::Write { path, .. } => assert_eq!(path, folder),
            other => panic!("{other}"),
        }
    }
    // A folder where a file should go: the error comes at the end, and what was computed is there.
    let run = dir.path().join("run");
    fs::create_dir_all(run.join("report.json/x")).unwrap();
    let mut trainee = Logistic::new(0.05);
    match fit(&mut trainee, &options(2).run_dir(&run).resume(true)).unwrap_err() {
        TrainError::Write { path, .. } => assert_eq!(path, run.join("report.json")),
        other => panic!("{other}"),
    }
    assert_eq!(trainee.values(), uninterrupted(2));
    assert_eq!(checkpoint_epoch(&run.join("checkpoint.safetensors")).unwrap(), 2);
    assert!(run.join("model.safetensors").exists());
}

#[test]
fn an_atomic_write_that_fails_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    atomic_write(&path, |out| out.write_all(b"old")).unwrap();
    let error = atomic_write(&path, |out| {
        out.write_all(&[0; 1 << 21])?;
        Err(std::io::Error::other("the source ran dry"))
    });
    assert_eq!(error.unwrap_err().to_string(), format!("cannot write {}: the source ran dry", path.display()));
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}
