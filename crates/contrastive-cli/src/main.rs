//! The command `contrastive`.

fn main() -> std::process::ExitCode {
    contrastive_cli::run(std::env::args_os())
}
