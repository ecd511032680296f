//! The command line: one file a subcommand, text for people and JSON for programs.
//!
//! Exit codes: 1 usage, configuration or fault; else 3 refused, held or waiting; else 2 loaded with rejects; else 0.

mod again;
mod check;
mod complete;
mod decide;
mod deliveries;
mod infer;
mod init;
mod load;
mod log;
mod output;
mod preview;
mod progress;
mod reconcile;
mod recovered;
mod rejects;
mod run;
mod schema;
mod show;
mod status;
mod summary;
mod test;
mod validate;

use std::{ffi::OsString, io, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use thiserror::Error;

use crate::{
    exchange::{EngineError, preview::PreviewError},
    ledger::LedgerError,
    mapping::{Look, MappingError, Problems, Site},
    model::Outcome,
    targets::TargetError,
    validate::ValidateError,
    wire::WireError,
};
use output::Output;

/// Files in, rows out, rejects back: every file ends in one recorded outcome.
#[derive(Debug, Parser)]
#[command(name = "wharf", version, max_term_width = 100, propagate_version = true)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command understands.
#[derive(Args, Debug, Clone)]
struct Common {
    /// The site's folder
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    site: PathBuf,
    /// Write JSON, for programs
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new site with a commented mapping and a sample file
    Init(init::Options),
    /// Draft a mapping from samples of a feed
    Infer(infer::Options),
    /// Check wharf.toml, every mapping, and the tables they load into
    Check(check::Options),
    /// Run the mappings on their sample files and compare with what is expected
    Test(test::Options),
    /// Validate files and write reject reports; no database, no ledger
    Validate(validate::Options),
    /// Show what loading files would do: first rejects, counts, and what would be inserted, changed and deleted
    Preview(preview::Options),
    /// Validate files and load their good rows
    Load(load::Options),
    /// Watch the sources and load what arrives, until told to stop
    Run(run::Options),
    /// What runs, what waits and why, what has been loaded, and what needs a person
    Status,
    /// List deliveries, the latest first
    Deliveries(deliveries::Options),
    /// The story of one delivery: counts, events, reports and some of its rows
    Show(show::Options),
    /// List deliveries with rejects, show those of one, or ignore some
    Rejects(rejects::Options),
    /// Load what was corrected in reject reports
    Resubmit(load::Resubmit),
    /// Try the open rejects of a delivery again, under its mapping as it is today
    Replay(again::Replay),
    /// Load the archived file of a delivery once more, under its mapping as it is today
    Rerun(again::Rerun),
    /// Compare what the ledger has as loaded with what the databases know, as after restoring one from a backup
    Reconcile(reconcile::Options),
    /// Try a failed or held delivery again
    Retry(decide::Delivery),
    /// Load a held delivery with the rejects it has
    Approve(decide::Delivery),
    /// End a held or failed delivery without loading it
    Decline(decide::Delivery),
    /// Print the JSON Schema of mappings (or of wharf.toml) for editors
    Schema(schema::Options),
    /// Print shell completions
    Completions(complete::Options),
}

/// Why a command could not do its work.
#[derive(Debug, Error)]
enum CommandError {
    #[error("{0}")]
    Problems(#[from] Problems),
    #[error(transparent)]
    Mapping(#[from] MappingError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error(transparent)]
    Validate(#[from] ValidateError),
    #[error(transparent)]
    Report(#[from] crate::rejects::ReportError),
    #[error(transparent)]
    Inspect(#[from] crate::exchange::inspect::InspectError),
    #[error(transparent)]
    Draft(#[from] crate::exchange::infer::DraftError),
    /// The terminal or pipe that we write to.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
    /// Anything else that the person at the terminal can mend.
    #[error("{0}")]
    Usage(String),
}

impl From<PreviewError> for CommandError {
    fn from(error: PreviewError) -> Self {
        match error {
            PreviewError::Inspect(error) => error.into(),
            PreviewError::Target(error) => error.into(),
            PreviewError::Ledger(error) => error.into(),
        }
    }
}

impl CommandError {
    fn problems(&self) -> Option<&Problems> {
        match self {
            Self::Problems(problems)
            | Self::Mapping(MappingError::Problems(problems))
            | Self::Engine(
                EngineError::Problems(problems) | EngineError::Mapping(MappingError::Problems(problems)),
            ) => Some(problems),
            _ => None,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Wire(error) | Self::Engine(EngineError::Wire(error)) => error.help().map(str::to_owned),
            Self::Ledger(error) | Self::Engine(EngineError::Ledger(error)) => error.help().map(str::to_owned),
            _ => None,
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exit {
    Clean,
    Rejects,
    Stopped,
    Fault,
}

impl Exit {
    fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Fault => 1,
            Self::Rejects => 2,
            Self::Stopped => 3,
        }
    }

    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Loaded | Outcome::Duplicate | Outcome::Overtaken => Self::Clean,
            Outcome::LoadedWithRejects => Self::Rejects,
            Outcome::Refused | Outcome::Held | Outcome::Taken | Outcome::Waiting | Outcome::Running => {
                Self::Stopped
            }
            Outcome::Failed => Self::Fault,
        }
    }
}

/// Runs the command line `arguments`, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = match Arguments::try_parse_from(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version go to standard output and are no error.
            let asked_for = !error.use_stderr();
            let printed = error.print();
            return if asked_for && printed.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(Exit::Fault.code())
            };
        }
    };
    let mut output = Output::new(parsed.common.json, &parsed.common.site);
    let result = dispatch(&parsed, &mut output).and_then(|exit| match output.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(exit),
    });
    match result {
        Ok(exit) => ExitCode::from(exit.code()),
        // Whoever reads our output has enough.
        Err(CommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            // If the error cannot be shown, the exit code still tells.
            let _ = output.flush();
            let _ = show_error(&error, &mut output);
            ExitCode::from(Exit::Fault.code())
        }
    }
}

fn dispatch(arguments: &Arguments, output: &mut Output) -> Result<Exit, CommandError> {
    let common = &arguments.common;
    match &arguments.command {
        Command::Init(options) => init::run(options, output),
        Command::Infer(options) => infer::run(common, options, output),
        Command::Check(options) => check::run(common, options, output),
        Command::Test(options) => test::run(common, options, output),
        Command::Validate(options) => validate::run(common, options, output),
        Command::Preview(options) => preview::run(common, options, output),
        Command::Load(options) => load::run(common, options, output),
        Command::Run(options) => run::run(common, options, output),
        Command::Status => status::run(common, output),
        Command::Deliveries(options) => deliveries::run(common, options, output),
        Command::Show(options) => show::run(common, options, output),
        Command::Rejects(options) => rejects::run(common, options, output),
        Command::Resubmit(options) => load::resubmit(common, options, output),
        Command::Replay(options) => again::replay(common, options, output),
        Command::Rerun(options) => again::rerun(common, options, output),
        Command::Reconcile(options) => reconcile::run(common, options, output),
        Command::Retry(options) => decide::retry(common, options, output),
        Command::Approve(options) => decide::approve(common, options, output),
        Command::Decline(options) => decide::decline(common, options, output),
        Command::Schema(options) => schema::run(options, output),
        Command::Completions(options) => complete::run(options, output),
    }
}

fn show_error(error: &CommandError, output: &mut Output) -> io::Result<()> {
    if let Some(problems) = error.problems() {
        return show_problems(problems, output);
    }
    if output.json() {
        let help = error.help();
        return output.object(&serde_json::json!({ "error": error.to_string(), "help": help }));
    }
    output.complain(&format!("error: {error}"))?;
    if let Some(help) = error.help() {
        output.complain(&format!("help: {help}"))?;
    }
    Ok(())
}

fn show_problems(problems: &Problems, output: &mut Output) -> io::Result<()> {
    if output.json() {
        return output.object(&serde_json::json!({ "problems": problems }));
    }
    let look = if output.colours_errors() { Look::Styled } else { Look::Plain };
    let count = problems.len();
    output.complain(&problems.render(look))?;
    output.complain(&format!("\n{count} problem{} found", if count == 1 { "" } else { "s" }))
}

/// The site that the command is about.
fn open_site(common: &Common) -> Result<Site, CommandError> {
    Ok(Site::open(&common.site)?)
}

/// The ledger of the site, for reading.
fn open_ledger(site: &Site) -> Result<crate::ledger::LedgerReader, CommandError> {
    Ok(crate::ledger::LedgerReader::open(&site.settings.store.join("ledger.db"))?)
}
