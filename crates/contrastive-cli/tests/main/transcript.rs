//! The transcript of docs/guide.md, run.

use crate::golden::shared;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The commands of a transcript with what they print: fenced blocks called `console`, in which `$ ` begins a command.
fn commands(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for block in text.split("```console\n").skip(1) {
        for line in block.split("```").next().unwrap_or_default().lines() {
            match (line.strip_prefix("$ "), found.last_mut()) {
                (Some(command), _) => found.push((command.to_string(), Vec::new())),
                (None, Some((_, printed))) => printed.push(line.to_string()),
                (None, None) => panic!("the transcript begins with what no command printed: {line}"),
            }
        }
    }
    found
}

/// Numbers of a line apart from the rest of it.
fn taken_apart(line: &str) -> (String, Vec<f64>) {
    let (mut words, mut numbers) = (Vec::new(), Vec::new());
    for word in line.split([' ', ',', ':']).filter(|word| !word.is_empty()) {
        match word.parse::<f64>() {
            Ok(number) => numbers.push(number),
            Err(_) => words.push(word),
        }
    }
    (words.join(" "), numbers)
}

/// Text as it stands; numbers up to what another processor may round.
fn same(command: &str, expected: &[String], found: &str) {
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found.len(), expected.len(), "{command} prints\n{}", found.join("\n"));
    for (expected, found) in expected.iter().zip(found) {
        let ((words, numbers), (found_words, found_numbers)) = (taken_apart(expected), taken_apart(found));
        // the last items of a ranking may change places
        let ranked = command.contains("recommend");
        assert!(words == found_words, "{command} prints\n{found}\ninstead of\n{expected}");
        assert_eq!(numbers.len(), found_numbers.len(), "{command}: {found}");
        for (a, b) in numbers.iter().zip(&found_numbers) {
            assert!(
                ranked || (a - b).abs() <= 0.01 + 0.02 * a.abs(),
                "{command} prints\n{found}\ninstead of\n{expected}"
            );
        }
    }
}

/// Starts a training, interrupts it after two epochs, and returns what it says.
#[cfg(unix)]
fn interrupted(folder: &Path, arguments: &[&str], run: &Path) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_contrastive"))
        .args(arguments)
        .current_dir(folder)
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let start = Instant::now();
    let epochs = || std::fs::read_to_string(run.join("metrics.jsonl")).map_or(0, |text| text.lines().count());
    while epochs() < 2 && start.elapsed() < Duration::from_secs(300) {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be interrupted");
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = i32::try_from(child.id()).expect("a process id");
    // SAFETY: a signal to a child process that has not been waited for, so that its number is its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let output = child.wait_with_output().expect("it ends");
    (output.status.code().expect("it ends by itself"), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[cfg(unix)]
#[test]
fn golden_transcript_of_the_guide_holds() {
    let Some(lastfm) = shared().map(|path| path.join("data/lightgcn-lastfm")).filter(|path| path.is_dir()) else {
        return;
    };
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide.md");
    let Ok(text) = std::fs::read_to_string(guide) else { return };
    let commands = commands(&text);
    assert!(commands.len() >= 5, "the guide has {} commands", commands.len());
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(lastfm, folder.path().join("lightgcn-lastfm")).unwrap();
    let mut stopped = 0;
    for (command, printed) in commands {
        let (command, comment) = command.split_once("  #").unwrap_or((&command, ""));
        let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
        if comment.contains("Ctrl-C") {
            let at = arguments.iter().position(|word| *word == "--run-dir").expect("a run folder") + 1;
            let (code, said) = interrupted(folder.path(), &arguments, &folder.path().join(arguments[at]));
            assert_eq!(code, 130, "{said}");
            let last = said.lines().last().unwrap_or_default();
            assert_eq!(taken_apart(last).0, taken_apart(printed.last().unwrap()).0, "{said}");
            stopped += 1;
            continue;
        }
        let output = Command::new(env!("CARGO_BIN_EXE_contrastive"))
            .args(&arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let found = String::from_utf8(output.stdout).unwrap();
        // which epoch was the last before the interruption depends on the machine
        let without = |text: &str| {
            text.lines().filter(|line| !line.starts_with("went on from epoch")).map(String::from).collect::<Vec<_>>()
        };
        same(command, &without(&printed.join("\n")), &without(&found).join("\n"));
    }
    assert_eq!(stopped, 1, "one command of the transcript is interrupted");
}
