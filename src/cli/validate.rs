//! `wharf validate`: what a load would say, without a database and without a ledger.

use std::{
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use super::{CommandError, Common, Exit, open_site, output::Output, progress::Progress, summary};
use crate::{
    exchange::{
        DeliveryReport,
        clock::{Clock, SystemClock},
        facts,
        inspect::{InspectError, Inspection, Inspector, passing_ids},
        report::SAMPLE_REJECTS,
        take::with_help,
    },
    ledger::Reports,
    mapping::{Choice, Plan, Site},
    model::{FileName, Outcome, Reason},
    rejects::{Context, NOTHING_LOADED, write_reports},
    wire,
};

/// Options of `wharf validate`.
#[derive(Args, Debug)]
pub struct Options {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the reject reports into this folder
    #[arg(long, value_name = "DIR")]
    reports: Option<PathBuf>,
    /// Use this mapping, whatever the files are called: a name, or the path of a mapping file
    #[arg(long, value_name = "NAME-or-PATH")]
    mapping: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When the site or the mapping cannot be read, or the reports not be written.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let inspector = Inspector::new(&site)?;
    let mut exit = Exit::Clean;
    for file in &options.files {
        for plan in plans(&site, options.mapping.as_deref(), file)? {
            let report = match plan {
                Ok(plan) => one(&site, &inspector, &plan, file, options, output)?,
                Err((reason, message)) => {
                    let mut report = DeliveryReport::new(None, file, None, stopped(reason));
                    (report.reason, report.message) = (Some(reason), Some(message));
                    report
                }
            };
            exit = exit.max(Exit::of(report.outcome));
            summary::write_validation(&report, output)?;
        }
    }
    Ok(exit)
}

type PlanOrRefusal = Result<Arc<Plan>, (Reason, String)>;

/// How a file ends that no mapping can be found for.
#[must_use]
pub fn stopped(reason: Reason) -> Outcome {
    if reason == Reason::Fault { Outcome::Failed } else { Outcome::Refused }
}

/// The mappings to validate `file` under. Of a file that is not there, that is said, and not that no mapping takes it.
pub fn plans(site: &Site, mapping: Option<&str>, file: &Path) -> Result<Vec<PlanOrRefusal>, CommandError> {
    if let Some(mapping) = mapping {
        return Ok(vec![Ok(site.mapping(mapping)?)]);
    }
    if let Err(error) = wire::open_regular(file) {
        return Ok(vec![Err((Reason::Fault, with_help(&error)))]);
    }
    let name = FileName::new(file.file_name().unwrap_or(file.as_os_str()).as_bytes());
    Ok(match site.catalog.choose(&name.to_text(), None) {
        Choice::One(plan) => vec![Ok(plan)],
        Choice::Several(plans) => plans.into_iter().map(Ok).collect(),
        Choice::None => {
            let message = "no mapping takes a file of this name; name one with --mapping".to_owned();
            vec![Err((Reason::NoMapping, message))]
        }
        Choice::Ambiguous(names) => {
            let message =
                format!("the mappings {} all take this file; name one with --mapping", names.join(" and "));
            vec![Err((Reason::Ambiguous, message))]
        }
        Choice::Broken(_) => return Err(site.catalog.problems().into()),
    })
}

fn one(
    site: &Site,
    inspector: &Inspector,
    plan: &Arc<Plan>,
    file: &Path,
    options: &Options,
    output: &Output,
) -> Result<DeliveryReport, CommandError> {
    let mut progress = Progress::new(output.shows_progress());
    let facts = facts::of_file(file, plan, SystemClock::default().unix_millis());
    let inspected = inspector.inspect(plan, file, &facts, false, &mut |step, done, total| {
        progress.advance(file, step, done, total);
    });
    progress.clear();
    let inspection = match inspected {
        Ok(inspection) => inspection,
        Err(InspectError::Wire(error)) => {
            let mut report = DeliveryReport::new(None, file, Some(&plan.name), Outcome::Failed);
            (report.reason, report.message) = (Some(Reason::Fault), Some(with_help(&error)));
            return Ok(report);
        }
        Err(error) => return Err(error.into()),
    };
    let mut report = DeliveryReport::new(None, file, Some(&plan.name), inspection.outcome);
    report.sample = inspection.sample(SAMPLE_REJECTS)?;
    report.reports = write(site, &inspection, file, options)?;
    (report.reason, report.message, report.tally) = (inspection.reason, inspection.message, inspection.tally);
    Ok(report)
}

fn write(
    site: &Site,
    inspection: &Inspection,
    file: &Path,
    options: &Options,
) -> Result<Reports, CommandError> {
    let (Some(folder), Some(work)) = (&options.reports, &inspection.work) else {
        return Ok(Reports::default());
    };
    if work.seal.rejected == 0 {
        return Ok(Reports::default());
    }
    let ids = passing_ids()?;
    let refused = inspection.outcome == Outcome::Refused;
    let context = Context {
        seal: &work.seal,
        ids: &ids,
        report_max: site.settings.report_max,
        refused: refused.then_some(NOTHING_LOADED),
        corrects: false,
    };
    let name = FileName::new(file.file_name().unwrap_or(file.as_os_str()).as_bytes());
    let paths = write_reports(folder, &name, work, context)?;
    let shown = |path: &Path| Some(path.to_string_lossy().into_owned());
    Ok(Reports { rejects: shown(&paths.rejects), errors: shown(&paths.errors), differences: None })
}
