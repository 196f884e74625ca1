//! What a program says when it fails.

use std::error::Error;
use std::process::ExitCode;

/// The end of a program: success, or one sentence on standard error, with the causes that it does not tell itself, and exit code 1.
///
/// Returned from `main`, an error would be printed as Rust code.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     contrastive::exit_code(run())
/// }
///
/// fn run() -> Result<(), Box<dyn std::error::Error>> {
///     Ok(())
/// }
/// ```
pub fn exit_code(outcome: Result<(), Box<dyn Error>>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    // a closed standard error is no reason to fail in another way
    let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("error: {text}\n").as_bytes());
    ExitCode::FAILURE
}
