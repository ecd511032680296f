//! `wharf test`: runs each mapping on its sample files and compares with what is expected of them, for the admin's own
//! checks before a mapping goes live.
//!
//! The samples of a mapping are the files in `mappings/samples` whose names it takes; what is expected of them stands
//! beside the mapping, in `mappings/inbound/NAME.expected.json`, and `--accept` writes it.

use std::{
    collections::BTreeMap,
    io::Write,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CommandError, Common, Exit, open_site, output::Output};
use crate::{
    exchange::{Step, facts, inspect::Inspector},
    mapping::{Plan, Site},
    model::{FileName, Outcome, Reason},
    wire::{AtomicFile, WireError},
};

/// Options of `wharf test`.
#[derive(Args, Debug)]
pub struct Options {
    /// Only this mapping
    #[arg(value_name = "MAPPING")]
    mapping: Option<String>,
    /// Write what comes out now as what is expected
    #[arg(long)]
    accept: bool,
}

/// What is expected of one sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    /// How its load ends, if the target takes every row.
    outcome: Outcome,
    /// Why it is refused or held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    /// Records read.
    read: u64,
    /// Every violation: line, column, rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rejects: Vec<ExpectedReject>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedReject {
    line: u64,
    column: String,
    rule: String,
}

/// Violations listed for one sample; a sample that needs more is no sample.
const MOST_REJECTS: usize = 10_000;

/// Runs the command.
///
/// # Errors
/// When the site cannot be read, or a mapping is not valid.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let problems = site.catalog.problems();
    if !problems.is_empty() && options.mapping.is_none() {
        return Err(problems.into());
    }
    let plans: Vec<Arc<Plan>> = match &options.mapping {
        Some(name) => vec![site.mapping(name)?],
        None => site.catalog.iter().filter_map(|entry| entry.plan.as_ref().ok()).cloned().collect(),
    };
    let inspector = Inspector::new(&site)?;
    let samples = samples(&site)?;
    let (mut passed, mut failed) = (0, 0);
    for plan in plans {
        let takes = |sample: &&PathBuf| {
            let name =
                FileName::new(sample.file_name().unwrap_or_default().as_bytes()).to_text().into_owned();
            plan.matches.iter().any(|pattern| pattern.matches(&name).is_some())
        };
        let mut found = BTreeMap::new();
        for sample in samples.iter().filter(takes) {
            let name = sample.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.insert(name, inspect(&inspector, &plan, sample)?);
        }
        let path = site.dir.join("mappings/inbound").join(format!("{}.expected.json", plan.name));
        if options.accept {
            accept(&path, &found, output)?;
            passed += found.len();
            continue;
        }
        let expected = expectations(&path)?;
        let differences = compare(&plan.name, &expected, &found);
        failed += differences.len();
        passed += found.keys().filter(|name| expected.get(*name) == found.get(*name)).count();
        for (sample, difference) in differences {
            if output.json() {
                output
                    .object(&json!({ "mapping": plan.name, "sample": sample, "difference": difference }))?;
            } else {
                output.line(format!("{}: {sample}: {difference}", plan.name))?;
            }
        }
    }
    if output.json() {
        output.object(&json!({ "passed": passed, "failed": failed }))?;
    } else {
        output.line(format!("{passed} passed, {failed} failed"))?;
    }
    Ok(if failed == 0 { Exit::Clean } else { Exit::Fault })
}

/// The sample files of a site, by name.
fn samples(site: &Site) -> Result<Vec<PathBuf>, CommandError> {
    let folder = site.dir.join("mappings/samples");
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(&folder).min_depth(1).max_depth(1).sort_by_file_name() {
        match entry {
            Ok(entry) if entry.file_type().is_file() => files.push(entry.into_path()),
            Ok(_) => {}
            // A site without samples has nothing to test.
            Err(error) if error.io_error().is_some_and(|io| io.kind() == std::io::ErrorKind::NotFound) => {}
            Err(error) => {
                return Err(CommandError::Usage(format!("cannot list {}: {error}", folder.display())));
            }
        }
    }
    Ok(files)
}

fn inspect(inspector: &Inspector, plan: &Arc<Plan>, sample: &Path) -> Result<Expected, CommandError> {
    let inspection =
        inspector.inspect(plan, sample, &facts::of_sample(sample, plan), false, &mut |_: Step, _, _| {})?;
    let mut rejects = Vec::new();
    if let Some(work) = &inspection.work {
        for reject in work.rejects()?.take(MOST_REJECTS) {
            let reject = reject?;
            for violation in &reject.violations {
                let column = violation.column.and_then(|column| work.seal.columns.get(usize::from(column)));
                rejects.push(ExpectedReject {
                    line: reject.position.line,
                    column: column.cloned().unwrap_or_default(),
                    rule: violation.rule.code().to_owned(),
                });
            }
        }
    }
    Ok(Expected {
        outcome: inspection.outcome,
        reason: inspection.reason,
        read: inspection.tally.read,
        rejects,
    })
}

type Samples = BTreeMap<String, Expected>;

fn expectations(path: &Path) -> Result<Samples, CommandError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Samples::new()),
        Err(error) => return Err(WireError::io("read", path, error).into()),
    };
    serde_json::from_str(&text)
        .map_err(|error| CommandError::Usage(format!("{} cannot be read: {error}", path.display())))
}

fn accept(path: &Path, found: &Samples, output: &mut Output) -> Result<(), CommandError> {
    if found.is_empty() {
        return Ok(());
    }
    let mut file = AtomicFile::create(path)?;
    let write = |cause| WireError::io("write", path, cause);
    serde_json::to_writer_pretty(&mut file, found).map_err(|error| write(error.into()))?;
    file.write_all(b"\n").map_err(write)?;
    file.commit_replace()?;
    Ok(output.line(format!(
        "{}: {} written",
        path.display(),
        super::output::counted(found.len() as u64, "sample")
    ))?)
}

/// (sample, what is different), for each that differs.
fn compare(mapping: &str, expected: &Samples, found: &Samples) -> Vec<(String, String)> {
    let mut differences = Vec::new();
    for (name, found) in found {
        match expected.get(name) {
            None => {
                let help = format!(
                    "nothing is expected of it yet; `wharf test --accept {mapping}` writes what comes out"
                );
                differences.push((name.clone(), help));
            }
            Some(expected) if expected != found => {
                differences.push((name.clone(), difference(expected, found)))
            }
            Some(_) => {}
        }
    }
    for name in expected.keys().filter(|name| !found.contains_key(*name)) {
        differences.push((
            name.clone(),
            "is expected, but mappings/samples has no such file for this mapping".into(),
        ));
    }
    differences
}

fn difference(expected: &Expected, found: &Expected) -> String {
    if expected.outcome != found.outcome || expected.reason != found.reason {
        let why = found.reason.and_then(|reason| serde_json::to_value(reason).ok());
        let why =
            why.as_ref().and_then(|why| why.as_str()).map(|why| format!(" ({why})")).unwrap_or_default();
        return format!("{} expected, but it is {}{why}", expected.outcome.code(), found.outcome.code());
    }
    if expected.read != found.read {
        return format!("{} records expected, but {} were read", expected.read, found.read);
    }
    let shown = |reject: &ExpectedReject| format!("line {} {} {}", reject.line, reject.column, reject.rule);
    let missing = expected.rejects.iter().find(|reject| !found.rejects.contains(reject));
    let extra = found.rejects.iter().find(|reject| !expected.rejects.contains(reject));
    match (missing, extra) {
        (Some(missing), Some(extra)) => format!("expected {}, found {}", shown(missing), shown(extra)),
        (Some(missing), None) => format!("expected {}, which passes now", shown(missing)),
        (None, Some(extra)) => format!("found {}, which is not expected", shown(extra)),
        (None, None) => "the rejects stand in another order".to_owned(),
    }
}
