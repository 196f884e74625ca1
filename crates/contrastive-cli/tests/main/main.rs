//! The command as its users see it.

mod errors;
mod info;
mod paths;
mod report;
mod settings;
mod smoke;
mod tables;
mod transcript;

#[path = "../../../../tests/golden/mod.rs"]
mod golden;

use std::path::Path;
use std::process::{Command, Output};

/// Runs the binary in a folder.
fn contrastive(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_contrastive"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the binary runs")
}

/// Standard output of a command that must succeed.
fn done(folder: &Path, arguments: &[&str]) -> String {
    let output = contrastive(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "contrastive {}: {:?}\n{said}", arguments.join(" "), output.status);
    String::from_utf8(output.stdout).expect("text")
}

/// Exit code and standard error of a command that must fail with one sentence that holds no Rust.
fn fails(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = contrastive(folder, arguments);
    let said = String::from_utf8(output.stderr).expect("text");
    let code = output.status.code().expect("it ends by itself");
    assert_ne!(code, 0, "contrastive {} should fail: {said}", arguments.join(" "));
    for rust in ["panicked", "Some(", "Err(", "Error {", "{ path", "unwrap"] {
        assert!(!said.contains(rust), "contrastive {} says Rust: {said}", arguments.join(" "));
    }
    (code, said)
}

/// Ratings of 40 users, whose ids are not numbers from 0: even ones take even films, odd ones odd films.
fn ratings(folder: &Path) {
    let mut text = String::from("user,movie,stars\n");
    for user in 0..40 {
        for film in 0..12 {
            let item = 2 * ((7 * user + 4 * film) % 15) + user % 2;
            text.push_str(&format!("{},film-{item:03},{}\n", user + 2, 1 + (user + film) % 5));
        }
    }
    std::fs::write(folder.join("ratings.csv"), text).expect("a temporary file");
}
