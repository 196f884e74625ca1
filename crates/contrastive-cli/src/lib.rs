#![doc = include_str!("../README.md")]

pub mod args;
mod command;
pub mod domain;
pub mod failure;
pub mod reading;
pub mod registry;
pub mod run;
pub mod settings;
pub mod table;

pub use burn::tensor::Device;

use args::{Cli, Command};
use clap::{CommandFactory, Parser};
use failure::Failure;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// What a command answers: for people, and for programs.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Lines of text.
    pub text: String,
    /// The same as JSON.
    pub json: serde_json::Value,
}

/// Runs a command line, the program's name first, and returns its exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // help and version are no errors
        Err(error) => {
            let code = u8::try_from(error.exit_code()).unwrap_or(failure::USAGE);
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let json = cli.json;
    match answer(cli) {
        Ok(answer) => {
            let text = if json { format!("{}\n", answer.json) } else { answer.text };
            // a closed pipe is the reader's choice
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            let text = match json {
                true => format!("{}\n", serde_json::json!({"error": failure.message, "code": failure.code})),
                false => format!("error: {failure}\n"),
            };
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::from(failure.code)
        }
    }
}

/// Does what a command line asks for.
///
/// # Errors
/// With a sentence and an exit code.
pub fn answer(cli: Cli) -> Result<Answer, Failure> {
    match cli.command {
        Command::Methods(args) => command::methods(&args),
        Command::Train(args) => command::train(&args),
        Command::Evaluate(args) => command::evaluate(&args),
        Command::Embed(args) => command::embed(&args),
        Command::Recommend(args) => command::recommend(&args),
        Command::Neighbors(args) => command::neighbors(&args),
        Command::Info(args) => command::info(&args),
        Command::Report(args) => command::report(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "contrastive", &mut script);
            let text = String::from_utf8(script).expect("scripts are text");
            Ok(Answer { json: serde_json::json!({"shell": shell.to_string(), "script": text}), text })
        }
    }
}
