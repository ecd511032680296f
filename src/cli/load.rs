//! `wharf load`: takes files, validates them and loads their good rows.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{
    CommandError, Common, Exit, open_ledger, open_site, output::Output, progress::Progress, summary,
};
use crate::{
    exchange::{
        DeliveryReport, Engine, EngineError, Folders, Observer, Step,
        ask::{self, Followed},
        clock::{Clock, SystemClock},
        live::Live,
        take::LoadOptions,
    },
    ledger::Wish,
    mapping::{Plan, Site},
    model::natural,
    wire::{SiteLock, WireError},
};

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

/// Options of `wharf resubmit`.
#[derive(Args, Debug)]
pub struct Resubmit {
    /// Reject reports that somebody has corrected, as any program saved them; they stay where they are
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Loads what was corrected in reject reports.
///
/// # Errors
/// When the site cannot be worked on.
pub fn resubmit(common: &Common, options: &Resubmit, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let mut terminal = Terminal::new(output);
    let options = Options { files: options.files.clone(), mapping: None, again: false };
    load(&site, "wharf resubmit", &options, true, &mut terminal)?;
    terminal.finish()
}

/// Runs the command.
///
/// # Errors
/// When the site cannot be worked on.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let mut terminal = Terminal::new(output);
    if options.files.is_empty() {
        finish_unfinished(&site, &mut terminal)?;
        return terminal.finish();
    }
    load(&site, "wharf load", options, false, &mut terminal)?;
    terminal.finish()
}

/// Loads files; `corrected`: only reject reports that somebody has corrected.
fn load(
    site: &Site,
    command: &str,
    options: &Options,
    corrected: bool,
    terminal: &mut Terminal<'_>,
) -> Result<(), CommandError> {
    let mapping = options.mapping.as_deref().map(|mapping| site.mapping(mapping)).transpose()?;
    let wishes = wishes(site, options, mapping.as_deref(), corrected)?;
    terminal.name(&options.files);
    at_work(site, command, wishes, &person(), terminal, |engine, wishes, observer| {
        // Named as they were, in whatever order they are left.
        let wanted = |file: &&PathBuf| {
            let absolute = std::path::absolute(file).ok();
            wishes
                .iter()
                .any(|wish| matches!(wish, Wish::Load { file, .. } if Some(file) == absolute.as_ref()))
        };
        let files: Vec<PathBuf> = options.files.iter().filter(wanted).cloned().collect();
        engine.load(
            &files,
            &LoadOptions { mapping: mapping.clone(), again: options.again, corrected, request: None },
            observer,
        )
    })
}

/// Loads nothing new.
fn finish_unfinished(site: &Site, terminal: &mut Terminal<'_>) -> Result<(), CommandError> {
    let engine = Engine::open(site.clone(), "wharf load", Box::new(SystemClock::default()))?;
    engine.load(&[], &LoadOptions::default(), terminal)?;
    if !terminal.shown {
        terminal.note("no files were named, and nothing was left unfinished");
        drop(engine);
        let reader = open_ledger(site)?;
        let unfinished = reader.view().unfinished()?;
        let waiting: Vec<_> = unfinished.iter().filter(|delivery| delivery.state.needs_attention()).collect();
        if let Some(first) = waiting.first() {
            let more = match waiting.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            terminal.note(&format!(
                "but {} ({}) is {} and waits for a person{more}: `wharf status`",
                first.file,
                first.id,
                first.state.code()
            ));
        }
    }
    Ok(())
}

/// What is asked of an engine that runs: the files in the order of their names.
fn wishes(
    site: &Site,
    options: &Options,
    mapping: Option<&Plan>,
    corrected: bool,
) -> Result<Vec<Wish>, CommandError> {
    let folders = Folders::of(site);
    let is_running = SiteLock::holder(&folders.lock())?.is_some();
    let now = SystemClock::default().unix_millis();
    let plan = match mapping {
        Some(plan) if is_running => Some(ask::keep_plan(&folders, plan, now)?),
        _ => None,
    };
    let mut files: Vec<&PathBuf> = options.files.iter().collect();
    files.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
    let wish = |file: &PathBuf| -> Result<Wish, CommandError> {
        let absolute = std::path::absolute(file)
            .map_err(|error| CommandError::Usage(format!("`{}` is no path: {error}", file.display())))?;
        Ok(Wish::Load { file: absolute, plan: plan.clone(), again: options.again, corrected })
    };
    files.into_iter().map(wish).collect()
}

/// Who is at the terminal, for the story.
pub fn person() -> String {
    std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| "somebody at the command line".into())
}

/// Has the wishes carried out: by the engine that runs in the site, or else by one of our own, as `alone` says.
///
/// # Errors
/// When the site cannot be worked on, or a wish is denied.
pub fn at_work(
    site: &Site,
    command: &str,
    mut wishes: Vec<Wish>,
    by: &str,
    observer: &mut dyn Observer,
    alone: impl Fn(&Engine, &[Wish], &mut dyn Observer) -> Result<(), EngineError>,
) -> Result<(), CommandError> {
    loop {
        let clock = SystemClock::default();
        let now = clock.unix_millis();
        match Engine::open(site.clone(), command, Box::new(clock)) {
            Ok(engine) => return Ok(alone(&engine, &wishes, observer)?),
            Err(EngineError::Wire(WireError::Held(holder)))
                if holder.command.as_deref() == Some(ask::RUN) => {}
            Err(error) => return Err(error.into()),
        }
        let live = Live::read(&Folders::of(site).live());
        let changed = live.map(|live| live.changed_mappings(&site.catalog)).unwrap_or_default();
        if !changed.is_empty() {
            observer.note(&format!(
                "changed since the engine that runs here began, and in force for files only when it is started again: the mappings {}",
                changed.join(", ")
            ));
        }
        match ask::ask(&Folders::of(site), wishes, by, now, observer)? {
            Followed::Done => return Ok(()),
            // What it took up, the next engine finishes: ours, if there is no other by now.
            Followed::EngineGone(left) => wishes = left,
        }
    }
}

/// Shows deliveries as they end.
pub struct Terminal<'a> {
    output: &'a mut Output,
    progress: Progress,
    exit: Exit,
    shown: bool,
    failed: Option<io::Error>,
    /// What files are called by whoever named them, by their absolute paths.
    named: HashMap<PathBuf, PathBuf>,
}

impl<'a> Terminal<'a> {
    /// Shows on `output`.
    pub fn new(output: &'a mut Output) -> Self {
        let progress = Progress::new(output.shows_progress());
        Self { output, progress, exit: Exit::Clean, shown: false, failed: None, named: HashMap::new() }
    }

    /// Calls these files as they are named here, wherever they were loaded.
    fn name(&mut self, files: &[PathBuf]) {
        let absolute = |file: &PathBuf| Some((std::path::absolute(file).ok()?, file.clone()));
        self.named = files.iter().filter_map(absolute).collect();
    }

    /// Shows a delivery's end, whatever it means for the exit code.
    pub fn show(&mut self, report: &DeliveryReport) {
        self.progress.clear();
        self.shown = true;
        // Loading goes on although nobody can watch it: the ledger has it all.
        if let Err(error) = summary::write(report, self.output).and_then(|()| self.output.flush()) {
            self.failed.get_or_insert(error);
        }
    }

    /// Says that something that was asked for is not done, because of what came before it.
    pub fn left(&mut self, text: &str) {
        self.exit = self.exit.max(Exit::Stopped);
        self.note(text);
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

    fn ended(&mut self, mut report: DeliveryReport) {
        self.exit = self.exit.max(Exit::of(report.outcome));
        // An engine that runs elsewhere only knows absolute paths.
        if let Some(named) = self.named.get(&report.file) {
            report.file.clone_from(named);
        }
        self.show(&report);
    }

    fn note(&mut self, text: &str) {
        self.progress.clear();
        if let Err(error) = self.output.complain(&format!("note: {text}")) {
            self.failed.get_or_insert(error);
        }
    }
}
