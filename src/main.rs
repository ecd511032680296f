//! The `wharf` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    wharf::cli::run(std::env::args_os())
}
