//! `wharf completions`: what shells need to complete our command line.

use clap::{Args, CommandFactory};

use super::{Arguments, CommandError, Exit, output::Output};

/// Options of `wharf completions`.
#[derive(Args, Debug)]
pub struct Options {
    /// The shell
    shell: clap_complete::Shell,
}

/// Runs the command.
///
/// # Errors
/// What the stream says.
pub fn run(options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "wharf", &mut script);
    output.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Clean)
}
