//! `wharf show`: the whole story of one delivery, for whoever is called at night.

use std::{fs::File, io::Read, sync::Arc};

use clap::Args;
use serde_json::json;

use super::{
    CommandError, Common, Exit, deliveries, open_ledger, open_site,
    output::{Output, counted, moment, seconds, size, table, thousands},
    summary::{balance, state_words},
};
use crate::{
    exchange::{
        corrections::corrected_plan,
        facts,
        inspect::{Inspector, LoadedRow},
    },
    ledger::{Closing, DeliveryState, Entry, Event, Ranges, Stop, View},
    mapping::{Plan, Site, compile},
    model::{Reject, State, printable, reject::MASK},
    validate::work::RejectFile,
};

/// Loaded rows shown.
const ROWS: usize = 5;
/// So much of the archived file is read to find them.
const SEARCHED_BYTES: u64 = 64 << 20;
/// Longest value shown in a row.
const CELL_CHARACTERS: usize = 40;

/// Options of `wharf show`.
#[derive(Args, Debug)]
pub struct Options {
    /// The delivery's id, or the beginning of it
    id: String,
}

/// Runs the command.
///
/// # Errors
/// When there is no such delivery, or the ledger cannot be read.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let reader = open_ledger(&site)?;
    let view = reader.view();
    let delivery = view.delivery(&options.id)?;
    let story = view.story(delivery.id)?;
    let rows = rows(&site, view, &delivery);
    if output.json() {
        let mut object = deliveries::to_json(&delivery);
        if let Some(fields) = object.as_object_mut() {
            fields.insert("violations".into(), json!(delivery.violations));
            fields.insert("archive".into(), json!(archive(&site, &delivery)));
            fields.insert("story".into(), story.iter().map(event_json).collect());
            if let Ok(Some((columns, rows))) = &rows {
                let rows: Vec<_> =
                    rows.iter().map(|row| json!({ "record": row.record, "values": row.cells })).collect();
                fields.insert("columns".into(), json!(columns));
                fields.insert("rows".into(), json!(rows));
            }
        }
        output.object(&object)?;
        return Ok(Exit::Clean);
    }
    head(&site, &delivery, output)?;
    output.line("\nstory:")?;
    let is_trying = |entry: &Entry| matches!(entry.event, Event::RejectsTried { .. });
    for (index, entry) in story.iter().enumerate() {
        // Of tries in a row the last says it all.
        if !is_trying(entry) || !story.get(index + 1).is_some_and(is_trying) {
            output.line(format!("  {}  {}", moment(entry.place.at_millis), sentence(&entry.event)))?;
        }
    }
    match rows {
        Ok(Some((columns, rows))) => show_rows(&delivery, &columns, &rows, output)?,
        Ok(None) => {}
        Err(message) => output.line(format!("\nits rows cannot be shown: {message}"))?,
    }
    Ok(Exit::Clean)
}

fn archive(site: &Site, delivery: &DeliveryState) -> String {
    site.settings.store.join("archive").join(&delivery.archive).to_string_lossy().into_owned()
}

fn head(site: &Site, delivery: &DeliveryState, output: &mut Output) -> Result<(), CommandError> {
    output.line(format!("{}: {}", delivery.file, state_words(delivery)))?;
    let mut add = |name: &str, text: String| output.line(format!("  {:<11} {text}", format!("{name}:")));
    add("delivery", delivery.id.to_string())?;
    if let Some(message) = &delivery.message {
        add("why", message.clone())?;
    }
    if let Some(other) = &delivery.other {
        add("see also", other.to_string())?;
    }
    if let Some(of) = &delivery.corrects {
        add("corrects", of.to_string())?;
    }
    if let Some(of) = &delivery.reruns {
        add("reruns", of.to_string())?;
    }
    if let Some(mapping) = &delivery.mapping {
        let tables: Vec<&str> = delivery.tables.keys().map(String::as_str).collect();
        let tables = if tables.is_empty() { String::new() } else { format!(", table {}", tables.join(", ")) };
        add("mapping", format!("{mapping}{tables}"))?;
    }
    let from = delivery.source_path.as_ref().map(|path| printable::text(&path.to_string_lossy()));
    add(
        "source",
        [Some(delivery.source.clone()), from].into_iter().flatten().collect::<Vec<_>>().join(": "),
    )?;
    if let Some(evidence) = &delivery.evidence {
        add("complete", printable::text(evidence))?;
    }
    add("content", format!("{}, BLAKE3 {}", size(delivery.size), delivery.hash))?;
    add("archive", archive(site, delivery))?;
    if let Some(tally) = &delivery.tally {
        add("counts", balance(tally))?;
    }
    if delivery.state == State::LoadedWithRejects && delivery.corrects.is_none() {
        add("rejects", {
            if delivery.is_shadow() {
                "for looking at only, as nothing of a shadow run is loaded".to_owned()
            } else {
                super::rejects::standing(&delivery.rejects)
            }
        })?;
    }
    if delivery.deletes > 0 {
        add("would vanish", counted(delivery.deletes, "row"))?;
    }
    for (rule, count) in &delivery.violations {
        add("violations", format!("{} {rule}", thousands(*count)))?;
    }
    for report in [&delivery.reports.rejects, &delivery.reports.errors].into_iter().flatten() {
        add("report", report.clone())?;
    }
    if let Some(millis) = delivery.worked_millis {
        add("took", seconds(millis))?;
    }
    let next = match delivery.state {
        State::Held => {
            format!("look at the reports, then `wharf approve {0}` or `wharf decline {0}`", delivery.id)
        }
        State::Failed => {
            format!("mend the cause, then `wharf retry {0}`, or `wharf decline {0}`", delivery.id)
        }
        State::Taken | State::Waiting | State::Running => {
            "the engine that runs goes on with it, or else the next `wharf load` or `wharf run`".to_owned()
        }
        _ => return Ok(()),
    };
    Ok(add("next", next)?)
}

fn event_json(entry: &Entry) -> serde_json::Value {
    json!({ "at": moment(entry.place.at_millis), "event": entry.event, "text": sentence(&entry.event) })
}

fn rejects_closed(how: &Closing, records: &Ranges) -> String {
    let count = counted(records.count(), "reject");
    match how {
        Closing::Corrected { delivery } => format!("{count} corrected by {delivery}"),
        Closing::Overtaken { same_file: true, .. } => {
            format!("{count} overtaken: other rows of the same file were loaded with their keys")
        }
        Closing::Overtaken { delivery, .. } => {
            format!("{count} overtaken: {delivery} has loaded rows with their keys")
        }
        Closing::Ignored { person, reason } => {
            format!("{count} ignored by {}: {}", printable::text(person), printable::text(reason))
        }
    }
}

/// An event as a sentence.
fn sentence(event: &Event) -> String {
    let stopped = |what: &str, stop: &Stop| format!("{what}: {}", stop.message);
    match event {
        Event::Taken(taken) => {
            let evidence = taken.evidence.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
            format!("taken from {}{evidence}: {} archived", taken.source, size(taken.size))
        }
        Event::Waiting { why: Some(why), .. } => why.clone(),
        Event::Waiting { blocker: Some(blocker), .. } => format!("waits for {blocker}"),
        Event::Waiting { blocker: None, .. } => "waits for its turn".to_owned(),
        Event::Postponed { message, not_before, .. } => {
            format!("a fault: {message}; tried again at {}", moment(*not_before))
        }
        Event::Interrupted => {
            "broken off, as the program was told to stop; the attempt does not count".to_owned()
        }
        Event::Started { attempt, .. } => format!("attempt {attempt} began"),
        Event::Validated { read, good, filtered, rejected, before, .. } => {
            let left_out = match filtered {
                0 => String::new(),
                filtered => format!(" {} filtered,", thousands(*filtered)),
            };
            let before = if *before { " by the attempt before" } else { "" };
            format!(
                "validated{before}: {} records read, {} good,{left_out} {} rejected",
                thousands(*read),
                thousands(*good),
                thousands(*rejected)
            )
        }
        Event::Loaded { tally, tables, worked_millis, .. } if tables.is_empty() => format!(
            "shadow run: compared in {}, nothing written; a load would have come to: {}",
            seconds(*worked_millis),
            balance(tally)
        ),
        Event::Loaded { tally, worked_millis, .. } => {
            format!("loaded in {}: {}", seconds(*worked_millis), balance(tally))
        }
        Event::Refused(stop) => stopped("refused", stop),
        Event::Duplicate { of } => format!("the same bytes were loaded by {of}: nothing to do"),
        Event::Overtaken { by, newer } => {
            let what = if *newer { "a newer file that is the whole truth" } else { "these bytes" };
            format!("overtaken by {by}, which loaded {what}")
        }
        Event::Held(stop) => stopped("held", stop),
        Event::Failed { stop, retryable } => {
            stopped(if *retryable { "failed (may go well later)" } else { "failed" }, stop)
        }
        Event::Approved { rejected, deletes, by } => {
            let vanish = match deletes {
                0 => String::new(),
                rows => format!(" and {} that vanish", counted(*rows, "row")),
            };
            format!("approved by {by} with {} rejects{vanish}", thousands(*rejected))
        }
        Event::Retried { by } => format!("another attempt asked for by {by}"),
        Event::ReportsWritten { .. } => "reports written again".to_owned(),
        Event::RejectsOpened { .. } => "its rejects can be corrected and sent back".to_owned(),
        Event::RejectsTried { .. } => {
            "its rejects that lack a row of another table were tried again".to_owned()
        }
        Event::RejectsClosed { how, records } => rejects_closed(how, records),
        Event::Noted { text } => text.clone(),
    }
}

type Rows = (Vec<String>, Vec<LoadedRow>);

/// The first rows that were loaded: read again from the archive under the mapping that was in force.
fn rows(site: &Site, view: View<'_>, delivery: &DeliveryState) -> Result<Option<Rows>, String> {
    let loaded = matches!(delivery.state, State::Loaded | State::LoadedWithRejects);
    if !loaded || delivery.size == 0 {
        return Ok(None);
    }
    let mut plan = kept_plan(site, view, delivery)?;
    if delivery.corrects.is_some() {
        plan = corrected_plan(&plan, std::collections::BTreeMap::new());
    }
    let path = site.settings.store.join("archive").join(&delivery.archive);
    let file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let inspector = Inspector::new(site).map_err(|error| error.to_string())?;
    let refused = refused(site, delivery);
    let mut rows = inspector
        .first_rows(
            &plan,
            Box::new(file.take(SEARCHED_BYTES)),
            &facts::of_delivery(delivery, &plan),
            ROWS + refused.len(),
        )
        .map_err(|error| error.to_string())?;
    rows.retain(|row| !refused.contains(&row.record));
    rows.truncate(ROWS);
    let names: Vec<String> = rows.first().map(|row| row.columns.clone()).unwrap_or_default();
    let sensitive =
        |name: &String| plan.columns.iter().any(|column| column.sensitive && column.name == *name);
    let masked: Vec<bool> = names.iter().map(sensitive).collect();
    for row in &mut rows {
        for (cell, _) in row.cells.iter_mut().zip(&masked).filter(|(_, masked)| **masked) {
            *cell = cell.as_ref().map(|_| MASK.to_owned());
        }
    }
    Ok(Some((names, rows)))
}

fn kept_plan(site: &Site, view: View<'_>, delivery: &DeliveryState) -> Result<Arc<Plan>, String> {
    let fingerprint = delivery.plan.as_deref().unwrap_or_default();
    let kept =
        view.plan(fingerprint).map_err(|error| error.to_string())?.ok_or("its mapping was not kept")?;
    compile(&kept.name, &kept.name, &kept.toml, &site.settings.connections)
        .map(Arc::new)
        .map_err(|broken| broken.problems.to_string())
}

/// Records that pass when they are read again and were not loaded all the same: those that only the database refused and, of a
/// correction, those that were open no more. None when there are no kept rejects.
fn refused(site: &Site, delivery: &DeliveryState) -> Vec<u64> {
    let path = site.settings.store.join("rejects").join(format!("{}.rejects", delivery.id));
    let Ok(file) = File::open(path) else { return Vec::new() };
    let rejects = RejectFile::open(file).and_then(|file| {
        if delivery.corrects.is_some() { file.rejects()?.collect() } else { file.target_rejects() }
    });
    let rejects: Vec<Reject> = rejects.unwrap_or_default();
    rejects.into_iter().map(|reject| reject.position.record).collect()
}

fn show_rows(
    delivery: &DeliveryState,
    columns: &[String],
    rows: &[LoadedRow],
    output: &mut Output,
) -> Result<(), CommandError> {
    if rows.is_empty() {
        return Ok(());
    }
    let done = if delivery.is_shadow() { "compared" } else { "loaded" };
    output.line(format!("\nfirst {} as {done}:", counted(rows.len() as u64, "row")))?;
    let header: Vec<&str> = columns.iter().map(String::as_str).collect();
    let shown = |cell: &Option<String>| match cell {
        Some(text) => printable::short(text, CELL_CHARACTERS),
        None => "-".to_owned(),
    };
    let rows = rows.iter().map(|row| row.cells.iter().map(shown).collect()).collect();
    output.line(table(&header, rows))?;
    Ok(())
}
