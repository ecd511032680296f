//! `wharf load`: takes files, validates them and loads their good rows.

use std::{
    io,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{CommandError, Common, Exit, open_site, output::Output, progress::Progress, summary};
use crate::exchange::{DeliveryReport, Engine, Observer, Step, clock::SystemClock, take::LoadOptions};

/// Options of `wharf load`.
#[derive(Args, Debug)]
pub struct Options {
    /// The files; they stay where they are. Without any, only what an earlier run left unfinished is finished
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Use this mapping, whatever the files are called: a name, or the path of a mapping file
    #[arg(long, value_name = "NAME-or-PATH")]
    mapping: Option<String>,
    /// Load files whose bytes were loaded before
    #[arg(long)]
    again: bool,
}

/// Runs the command.
///
/// # Errors
/// When the site cannot be worked on.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let mapping = options.mapping.as_deref().map(|mapping| site.mapping(mapping)).transpose()?;
    let load = LoadOptions { mapping, again: options.again };
    let mut engine = Engine::open(site, "wharf load", Box::new(SystemClock::default()))?;
    let mut terminal = Terminal::new(output);
    engine.load(&options.files, &load, &mut terminal)?;
    if options.files.is_empty() && !terminal.shown {
        terminal.note("no files were named, and nothing was left unfinished");
    }
    terminal.finish()
}

/// Shows deliveries as they end.
pub struct Terminal<'a> {
    output: &'a mut Output,
    progress: Progress,
    exit: Exit,
    shown: bool,
    failed: Option<io::Error>,
}

impl<'a> Terminal<'a> {
    /// Shows on `output`.
    pub fn new(output: &'a mut Output) -> Self {
        let progress = Progress::new(output.shows_progress());
        Self { output, progress, exit: Exit::Clean, shown: false, failed: None }
    }

    /// The exit code of all that was shown.
    ///
    /// # Errors
    /// When something could not be shown.
    pub fn finish(mut self) -> Result<Exit, CommandError> {
        self.progress.clear();
        match self.failed {
            // Whoever reads our output has enough; how the deliveries ended is told all the same.
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(self.exit),
        }
    }
}

impl Observer for Terminal<'_> {
    fn progress(&mut self, file: &Path, step: Step, done: u64, total: u64) {
        self.progress.advance(file, step, done, total);
    }

    fn ended(&mut self, report: DeliveryReport) {
        self.progress.clear();
        self.shown = true;
        self.exit = self.exit.max(Exit::of(report.outcome));
        // Loading goes on although nobody can watch it: the ledger has it all.
        if let Err(error) = summary::write(&report, self.output).and_then(|()| self.output.flush()) {
            self.failed.get_or_insert(error);
        }
    }

    fn note(&mut self, text: &str) {
        self.progress.clear();
        if let Err(error) = self.output.complain(&format!("note: {text}")) {
            self.failed.get_or_insert(error);
        }
    }
}
