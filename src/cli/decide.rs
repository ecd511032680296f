//! `wharf retry`, `approve` and `decline`: what a person decides about a delivery that waits for one.

use clap::Args;

use super::{CommandError, Common, Exit, load::Terminal, open_site, output::Output};
use crate::exchange::{Engine, Observer, clock::SystemClock};

/// Which delivery.
#[derive(Args, Debug)]
pub struct Delivery {
    /// The delivery's id, or the beginning of it
    id: String,
}

fn engine(common: &Common, command: &str) -> Result<Engine, CommandError> {
    Ok(Engine::open(open_site(common)?, command, Box::new(SystemClock::default()))?)
}

/// Who is at the terminal, for the story.
fn person() -> String {
    std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "somebody at the command line".into())
}

/// Tries a failed or held delivery again.
///
/// # Errors
/// When there is none of this id, or it is neither.
pub fn retry(common: &Common, options: &Delivery, output: &mut Output) -> Result<Exit, CommandError> {
    let mut engine = engine(common, "wharf retry")?;
    let mut terminal = Terminal::new(output);
    let report = engine.retry(&options.id, &person(), &mut terminal)?;
    terminal.ended(report);
    terminal.finish()
}

/// Loads a held delivery with the rejects it has.
///
/// # Errors
/// When there is none of this id, or it is not held.
pub fn approve(common: &Common, options: &Delivery, output: &mut Output) -> Result<Exit, CommandError> {
    let mut engine = engine(common, "wharf approve")?;
    let mut terminal = Terminal::new(output);
    let report = engine.approve(&options.id, &person(), &mut terminal)?;
    terminal.ended(report);
    terminal.finish()
}

/// Ends a held or failed delivery.
///
/// # Errors
/// When there is none of this id, or it is neither.
pub fn decline(common: &Common, options: &Delivery, output: &mut Output) -> Result<Exit, CommandError> {
    let mut engine = engine(common, "wharf decline")?;
    let mut terminal = Terminal::new(output);
    let report = engine.decline(&options.id, &person())?;
    terminal.ended(report);
    // What was asked for was done.
    terminal.finish().map(|_| Exit::Clean)
}
