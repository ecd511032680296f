//! `wharf run`: watches the sources, takes what arrives, and goes on until it is told to stop.

use clap::Args;

use super::{CommandError, Common, Exit, load::Terminal, log::Log, open_site, output::Output};
use crate::exchange::{
    Observer,
    clock::SystemClock,
    run::{self, RunOptions},
};

/// Options of `wharf run`.
#[derive(Args, Debug)]
pub struct Options {
    /// Take and load what is there, then end with the exit code of the worst outcome
    #[arg(long)]
    once: bool,
}

/// Runs the command.
///
/// # Errors
/// When the site cannot be worked on.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    Log::new(output.json(), Box::new(SystemClock::default())).install();
    for entry in site.catalog.iter().filter(|entry| entry.plan.is_err()) {
        tracing::error!(
            mapping = entry.name,
            "this mapping is not valid, so its files are left alone; run `wharf check`"
        );
    }
    let once = options.once;
    let mut terminal = Terminal::new(output);
    let ran = run::serve(&site, RunOptions { once }, || Box::new(SystemClock::default()), &mut |report| {
        if once {
            terminal.ended(report);
        }
    })?;
    let exit = terminal.finish()?;
    for left in &ran.left {
        tracing::error!(file = left.file, "left where it is: {}", left.why);
    }
    let exit = if once && ran.stopped && ran.unfinished > 0 { exit.max(Exit::Stopped) } else { exit };
    Ok(if ran.left.is_empty() { exit } else { exit.max(Exit::Fault) })
}
