//! `wharf preview`: what a load would do, before anybody says yes; and what today's mapping says of a delivery of the past.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{
    CommandError, Common, Exit, open_ledger, open_site,
    output::{Output, counted, thousands},
    progress::Progress,
    summary::{self, labelled},
    validate::{plans, stopped},
};
use crate::{
    exchange::{
        DeliveryReport, Folders, Sample,
        against::{Against, Records, against, was_validated},
        facts,
        inspect::{InspectError, Inspector},
        preview::{ChangeShown, Preview, PreviewError, RowShown, preview},
        take::with_help,
    },
    ledger::DeliveryState,
    mapping::{Plan, Site},
    model::{Outcome, Reason, Tally, printable},
};

/// Longest value shown on a terminal.
const CELL_CHARACTERS: usize = 40;

/// Options of `wharf preview`.
#[derive(Args, Debug)]
pub struct Options {
    /// The files
    #[arg(required_unless_present = "against", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Run an archived delivery, by its id or the beginning of it, under today's mapping: which of its records would newly pass
    /// or fail
    #[arg(long, value_name = "ID", conflicts_with = "files")]
    against: Option<String>,
    /// Use this mapping, whatever the files are called: a name, or the path of a mapping file
    #[arg(long, value_name = "NAME-or-PATH")]
    mapping: Option<String>,
    /// Show so many rejects, and so many rows of each kind
    #[arg(long, value_name = "N", default_value_t = 5)]
    limit: usize,
}

/// Runs the command.
///
/// # Errors
/// When the site, the mapping or a table cannot be read.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let inspector = Inspector::new(&site)?;
    if let Some(id) = &options.against {
        return archived(&site, &inspector, id, options, output);
    }
    let mut exit = Exit::Clean;
    for file in &options.files {
        for plan in plans(&site, options.mapping.as_deref(), file)? {
            let ended = match plan {
                Ok(plan) => {
                    let mut progress = Progress::new(output.shows_progress());
                    let found =
                        preview(&site, &inspector, &plan, file, options.limit, &mut |step, done, total| {
                            progress.advance(file, step, done, total);
                        });
                    progress.clear();
                    match found {
                        Ok(found) => {
                            exit = exit.max(Exit::of(found.outcome));
                            show(file, &plan, &found, output)?;
                            continue;
                        }
                        Err(PreviewError::Inspect(InspectError::Wire(error))) => {
                            (Outcome::Failed, Reason::Fault, with_help(&error))
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                Err((reason, message)) => (stopped(reason), reason, message),
            };
            exit = exit.max(Exit::of(ended.0));
            let mut report = DeliveryReport::new(None, file, options.mapping.as_deref(), ended.0);
            (report.reason, report.message) = (Some(ended.1), Some(ended.2));
            summary::write_validation(&report, output)?;
        }
    }
    Ok(exit)
}

fn show(file: &Path, plan: &Plan, found: &Preview, output: &mut Output) -> Result<(), CommandError> {
    if output.json() {
        output.object(&to_json(file, plan, found))?;
        return Ok(());
    }
    let wharf = output.command().to_owned();
    for line in lines(file, plan, found, &wharf) {
        output.line(line)?;
    }
    output.line("")?;
    Ok(())
}

fn to_json(file: &Path, plan: &Plan, found: &Preview) -> serde_json::Value {
    json!({
        "file": summary::file_name(file),
        "mapping": plan.name,
        "table": plan.table.table,
        "shadow": plan.shadow,
        "outcome": found.outcome,
        "reason": found.reason,
        "message": found.message,
        "tally": found.tally,
        "loaded_by": found.loaded_by.map(|id| id.to_string()),
        "rejects": found.rejects.iter().map(sample_json).collect::<Vec<_>>(),
        "inserted": found.inserted,
        "updated": found.updated,
        "deleted": found.deleted,
    })
}

fn sample_json(sample: &Sample) -> serde_json::Value {
    json!({ "line": sample.line, "column": sample.column, "value": sample.value, "message": sample.message })
}

/// What would happen, as text.
fn lines(file: &Path, plan: &Plan, found: &Preview, wharf: &str) -> Vec<String> {
    let verdict = match found.outcome {
        Outcome::Loaded | Outcome::LoadedWithRejects | Outcome::Held if plan.shadow => {
            "would be compared, nothing would be written"
        }
        Outcome::Loaded => "would be loaded",
        Outcome::LoadedWithRejects => "would be loaded with rejects",
        Outcome::Held => "would be held",
        Outcome::Refused => "would be refused",
        other => summary::outcome_words(other),
    };
    let mut lines = vec![format!("{}: {verdict}", summary::file_name(file))];
    let mut add = |name: &str, text: String| lines.push(labelled(name, &text));
    if let Some(message) = &found.message {
        let would = if plan.shadow && found.outcome == Outcome::Held { "a load would be held: " } else { "" };
        add("why", format!("{would}{message}"));
    }
    add("mapping", format!("{}, table {}", plan.name, plan.table.table));
    add("counts", summary::balance(&found.tally));
    summary::add_rejects(&found.rejects, found.tally.rejected, &mut add);
    let Tally { inserted, updated, unchanged, deleted, .. } = found.tally;
    rows("insert", &found.inserted, inserted, &mut add);
    rows("change", &found.updated, updated, &mut add);
    rows("delete", &found.deleted, deleted, &mut add);
    if unchanged > 0 {
        add("alone", format!("{} as the table has them already", counted(unchanged, "row")));
    }
    let path = summary::file_name(file);
    add(
        "next",
        match &found.loaded_by {
            Some(by) => format!(
                "nothing was written; {by} loaded these bytes, so only `{wharf} load --again {path}` does this"
            ),
            None if plan.shadow => format!(
                "nothing was written, and nothing will be while the mapping says `shadow = true`; `{wharf} load {path}` \
                 compares and writes the differences down"
            ),
            None => format!("nothing was written; `{wharf} load {path}` does this"),
        },
    );
    lines
}

fn rows(name: &str, rows: &[RowShown], count: u64, add: &mut impl FnMut(&str, String)) {
    let mut label = name;
    for row in rows {
        let line = row.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let key: Vec<String> = row.key.iter().map(|text| printable::short(text, CELL_CHARACTERS)).collect();
        let changes: Vec<String> = row.changes.iter().map(change).collect();
        let changes = if changes.is_empty() { String::new() } else { format!(": {}", changes.join("; ")) };
        add(label, format!("{line}{}{changes}", key.join(" / ")));
        label = "";
    }
    let more = count.saturating_sub(rows.len() as u64);
    if more > 0 {
        let text =
            if rows.is_empty() { counted(count, "row") } else { format!("and {} more", thousands(more)) };
        add(label, text);
    }
}

fn change(change: &ChangeShown) -> String {
    let shown = |text: &Option<String>| match text {
        Some(text) => format!("\"{}\"", printable::short(text, CELL_CHARACTERS)),
        None => "nothing".to_owned(),
    };
    format!("{} from {} to {}", change.column, shown(&change.from), shown(&change.to))
}

/// `preview --against`
fn archived(
    site: &Site,
    inspector: &Inspector,
    id: &str,
    options: &Options,
    output: &mut Output,
) -> Result<Exit, CommandError> {
    let reader = open_ledger(site)?;
    let delivery = reader.view().delivery(id)?;
    let name = match (&options.mapping, &delivery.mapping) {
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => {
            let message = format!("no mapping took {}; name one with --mapping", delivery.file);
            return Err(CommandError::Usage(message));
        }
    };
    let plan = site.mapping(name)?;
    if !was_validated(&delivery) {
        return Err(CommandError::Usage(format!(
            "{} was never validated record by record ({}), so there is nothing to compare with; `preview` its archived copy {}",
            delivery.id,
            delivery.message.as_deref().unwrap_or(summary::outcome_words(delivery.state)),
            archive(site, &delivery).display(),
        )));
    }
    let kept = Folders::of(site).reject_file(delivery.id);
    let rejected = delivery.tally.is_some_and(|tally| tally.rejected > 0);
    if rejected && !kept.exists() {
        return Err(CommandError::Usage(format!(
            "the rejects of {} are not kept any more, so nobody can tell which of its records passed",
            delivery.id
        )));
    }
    let mut progress = Progress::new(output.shows_progress());
    let path = archive(site, &delivery);
    let found = against(
        inspector,
        &plan,
        (&path, &facts::of_delivery(&delivery, &plan)),
        (delivery.tally.unwrap_or_default(), rejected.then_some(kept.as_path())),
        options.limit,
        &mut |step, done, total| progress.advance(&path, step, done, total),
    );
    progress.clear();
    let found = found?;
    if output.json() {
        output.object(&against_json(&delivery, &plan, &found))?;
    } else {
        for line in against_lines(&delivery, &plan, &found) {
            output.line(line)?;
        }
    }
    Ok(Exit::of(found.inspection.outcome))
}

fn archive(site: &Site, delivery: &DeliveryState) -> PathBuf {
    Folders::of(site).archive().join(&delivery.archive)
}

fn against_json(delivery: &DeliveryState, plan: &Plan, found: &Against) -> serde_json::Value {
    let records = |records: &Records| json!({ "count": records.count, "first": records.first.iter().map(sample_json).collect::<Vec<_>>() });
    json!({
        "delivery": delivery.id.to_string(),
        "file": delivery.file.to_string(),
        "mapping": plan.name,
        "changed": delivery.plan.as_deref() != Some(&plan.fingerprint),
        "outcome": found.inspection.outcome,
        "reason": found.inspection.reason,
        "message": found.inspection.message,
        "tally": found.inspection.tally,
        "then": delivery.tally,
        "newly_passing": records(&found.newly_passing),
        "newly_failing": records(&found.newly_failing),
        "newly_filtered": { "rejects": found.filtered_rejects, "rows": found.filtered_rows },
        "still_failing": found.still_failing,
        "refused_by_target": found.refused_by_target,
    })
}

fn against_lines(delivery: &DeliveryState, plan: &Plan, found: &Against) -> Vec<String> {
    let mut lines = vec![format!("{}: {} under today's {}", delivery.file, delivery.id, plan.name)];
    let mut add = |name: &str, text: String| lines.push(labelled(name, &text));
    if delivery.plan.as_deref() == Some(&plan.fingerprint) {
        add("mapping", "the same as then".to_owned());
    }
    if let Some(message) = &found.inspection.message {
        let what = if found.inspection.outcome == Outcome::Refused { "refused" } else { "held" };
        add("now", format!("would be {what}: {message}"));
    }
    let then = delivery.tally.unwrap_or_default();
    let counts = |tally: Tally| {
        let filtered = match tally.filtered {
            0 => String::new(),
            filtered => format!(", {} filtered", thousands(filtered)),
        };
        format!("{} read, {} rejected{filtered}", thousands(tally.read), thousands(tally.rejected))
    };
    add("then", counts(then));
    add("today", counts(found.inspection.tally));
    records("would now pass", &found.newly_passing, "was wrong", &mut add);
    records("would now fail", &found.newly_failing, "is wrong", &mut add);
    if found.filtered_rejects > 0 {
        let left_out = counted(found.filtered_rejects, "record");
        add("", format!("{left_out} rejected then would now be left out by the filter"));
    }
    if let Some(rows @ 1..) = found.filtered_rows {
        add("", format!("{} passed then would now be left out by the filter", counted(rows, "record")));
    }
    add("same", format!("{} would fail again", counted(found.still_failing, "record")));
    if found.refused_by_target > 0 {
        let refused = counted(found.refused_by_target, "record");
        add("", format!("{refused} only the database refused; whether it would again is not known"));
    }
    add("next", "nothing was written".to_owned());
    lines
}

fn records(what: &str, records: &Records, wrong: &str, add: &mut impl FnMut(&str, String)) {
    add("records", format!("{} {what}", counted(records.count, "record")));
    let mut lines = std::collections::BTreeSet::new();
    for sample in &records.first {
        lines.insert(sample.line);
        add("", format!("  {wrong}: {}", summary::finding(sample)));
    }
    let more = records.count.saturating_sub(lines.len() as u64);
    if more > 0 && !records.first.is_empty() {
        add("", format!("  and {} more", thousands(more)));
    }
}
