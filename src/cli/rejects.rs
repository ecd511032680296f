//! `wharf rejects`: which deliveries have rejects, and what is wrong with the rejects of one.

use std::fs::File;

use clap::Args;
use serde_json::json;

use super::{
    CommandError, Common, Exit, deliveries, open_ledger, open_site,
    output::{Output, counted, moment, table, thousands},
    summary::outcome_words,
};
use crate::{
    exchange::report::sample_of,
    ledger::{Filter, RejectCounts, View},
    mapping::Site,
    model::{State, printable},
    rejects::shown_value,
    validate::work::RejectFile,
};

/// Options of `wharf rejects`.
#[derive(Args, Debug)]
pub struct Options {
    /// The delivery's id, or the beginning of it; left out: all deliveries with rejects
    id: Option<String>,
    /// Show at most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
}

/// Runs the command.
///
/// # Errors
/// When there is no ledger yet, or the rejects cannot be read.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let reader = open_ledger(&site)?;
    match &options.id {
        Some(id) => one(&site, reader.view(), id, options.limit, output),
        None => all(reader.view(), options.limit, output),
    }
}

/// How many rejects stand where, in words.
#[must_use]
pub fn standing(counts: &RejectCounts) -> String {
    let parts = [
        (counts.open, "open"),
        (counts.corrected, "corrected"),
        (counts.overtaken, "overtaken"),
        (counts.ignored, "ignored"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, name)| *count > 0 || *name == "open")
        .map(|(count, name)| format!("{} {name}", thousands(*count)))
        .collect();
    parts.join(", ")
}

fn all(view: View<'_>, limit: u32, output: &mut Output) -> Result<Exit, CommandError> {
    let states = vec![State::LoadedWithRejects, State::Held, State::Refused, State::Failed];
    let found = view.list(&Filter { states, limit: Some(limit), ..Filter::default() })?;
    let with_rejects: Vec<_> =
        found.into_iter().filter(|delivery| delivery.tally.is_some_and(|tally| tally.rejected > 0)).collect();
    if output.json() {
        for delivery in &with_rejects {
            output.object(&deliveries::to_json(delivery))?;
        }
        return Ok(Exit::Clean);
    }
    if with_rejects.is_empty() {
        output.line("no rejects")?;
        return Ok(Exit::Clean);
    }
    let rows = with_rejects
        .iter()
        .map(|delivery| {
            vec![
                delivery.id.to_string(),
                moment(delivery.changed_at_millis),
                outcome_words(delivery.state).to_owned(),
                delivery.tally.map_or_else(String::new, |tally| thousands(tally.rejected)),
                printable::short(&delivery.file.to_string(), 50),
                delivery.reports.rejects.clone().unwrap_or_default(),
            ]
        })
        .collect();
    output.line(table(&["delivery", "when", "outcome", "rejects", "file", "report"], rows))?;
    Ok(Exit::Clean)
}

fn one(site: &Site, view: View<'_>, id: &str, limit: u32, output: &mut Output) -> Result<Exit, CommandError> {
    let delivery = view.delivery(id)?;
    let rejected = delivery.tally.map_or(0, |tally| tally.rejected);
    if rejected == 0 {
        if !output.json() {
            output.line(format!("{}: no rejects", delivery.file))?;
        }
        return Ok(Exit::Clean);
    }
    let path = site.settings.store.join("rejects").join(format!("{}.rejects", delivery.id));
    let file = File::open(&path).map_err(|error| {
        CommandError::Usage(format!("the rejects kept in {} cannot be read: {error}", path.display()))
    })?;
    let kept = RejectFile::open(file)?;
    if !output.json() {
        output.line(format!("{}: {} rejected", delivery.file, counted(rejected, "record")))?;
    }
    for reject in kept.rejects()?.take(limit as usize) {
        let reject = reject?;
        if output.json() {
            let violations: Vec<_> = reject
                .violations
                .iter()
                .map(|violation| {
                    let column = violation.column.and_then(|column| kept.seal.columns.get(usize::from(column)));
                    let value = shown_value(&kept.seal, violation.column, &violation.value);
                    json!({ "column": column, "value": value, "rule": violation.rule.code(), "message": violation.message })
                })
                .collect();
            let position = &reject.position;
            output.object(&json!({
                "record": position.record, "line": position.line, "byte": position.byte, "violations": violations,
            }))?;
            continue;
        }
        for finding in sample_of(&kept.seal, &reject) {
            let subject = match (finding.column.as_str(), finding.value.as_str()) {
                ("", value) => format!("the record `{value}`"),
                (column, "") => column.to_owned(),
                (column, value) => format!("{column} \"{value}\""),
            };
            output.line(format!("  line {}: {subject} {}", finding.line, finding.message))?;
        }
    }
    if !output.json() && rejected > u64::from(limit) {
        output.line(format!("  and {} more (--limit)", thousands(rejected - u64::from(limit))))?;
    }
    Ok(Exit::Clean)
}
