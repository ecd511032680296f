//! What a delivery came to: one block of text, or one JSON object.

use std::{io, os::unix::ffi::OsStrExt, path::Path};

use serde_json::json;

use super::output::{Output, counted, seconds, thousands};
use crate::{
    exchange::{DeliveryReport, Sample},
    ledger::DeliveryState,
    model::{FileName, Outcome, Reason, Tally},
};

/// Writes a delivery's end.
///
/// # Errors
/// What the stream says.
pub fn write(report: &DeliveryReport, output: &mut Output) -> io::Result<()> {
    if output.json() {
        return output.object(&to_json(report));
    }
    for line in block(report, output.command()) {
        output.line(line)?;
    }
    output.line("")
}

/// The JSON object of a delivery.
#[must_use]
pub fn to_json(report: &DeliveryReport) -> serde_json::Value {
    let mut reports = json!({ "rejects": report.reports.rejects, "errors": report.reports.errors });
    if report.shadow {
        reports["differences"] = json!(report.reports.differences);
    }
    json!({
        "delivery": report.delivery.map(|id| id.to_string()),
        "file": file_name(&report.file),
        "mapping": report.mapping,
        "corrects": report.corrects.map(|of| of.to_string()),
        "outcome": report.outcome,
        "reason": report.reason,
        "message": report.message,
        "tally": report.tally,
        "tables": report.tables,
        "reports": reports,
        "seconds": report.worked_millis as f64 / 1_000.0,
    })
}

/// What an outcome is called on a terminal.
#[must_use]
pub fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::LoadedWithRejects => "loaded with rejects",
        Outcome::Failed => "failed",
        other => other.code(),
    }
}

/// What became of a delivery that is compared and not loaded.
pub const COMPARED: &str = "compared, nothing written";

/// What the state of a delivery is called on a terminal.
#[must_use]
pub fn state_words(delivery: &DeliveryState) -> &'static str {
    if delivery.is_shadow() { COMPARED } else { outcome_words(delivery.state) }
}

/// The counts of a delivery as a sum that balances.
#[must_use]
pub fn balance(tally: &Tally) -> String {
    let parts = [
        (tally.inserted, "inserted"),
        (tally.updated, "updated"),
        (tally.unchanged, "unchanged"),
        (tally.superseded, "superseded"),
        (tally.filtered, "filtered"),
        (tally.rejected, "rejected"),
        (tally.withheld, "withheld"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(count, name)| *count > 0 || matches!(*name, "inserted" | "rejected") && tally.withheld == 0)
        .map(|(count, name)| format!("{} {name}", thousands(*count)))
        .collect();
    let deleted =
        if tally.deleted > 0 { format!("; {} deleted", thousands(tally.deleted)) } else { String::new() };
    format!("{} = {}{deleted}", counted(tally.read, "record"), parts.join(" + "))
}

/// Writes what validation alone came to.
///
/// # Errors
/// What the stream says.
pub fn write_validation(report: &DeliveryReport, output: &mut Output) -> io::Result<()> {
    if output.json() {
        return output.object(&to_json(report));
    }
    for line in validation_block(report) {
        output.line(line)?;
    }
    output.line("")
}

/// What validation alone came to, as text.
fn validation_block(report: &DeliveryReport) -> Vec<String> {
    let verdict = match report.outcome {
        Outcome::Loaded => "every record passes",
        Outcome::LoadedWithRejects => "some records do not pass",
        Outcome::Refused => "would be refused",
        Outcome::Held => "would be held",
        other => outcome_words(other),
    };
    let mut lines = vec![headline(report, verdict)];
    let mut add = |name: &str, text: String| lines.push(labelled(name, &text));
    if let Some(message) = &report.message {
        add("why", message.clone());
    }
    if let Some(mapping) = &report.mapping {
        add("mapping", mapping.clone());
    }
    let tally = &report.tally;
    let others: String = [(tally.superseded, "superseded"), (tally.filtered, "filtered")]
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!(" + {} {name}", thousands(*count)))
        .collect();
    add(
        "counts",
        format!(
            "{} = {} good{others} + {} rejected",
            counted(tally.read, "record"),
            thousands(tally.withheld),
            thousands(tally.rejected)
        ),
    );
    add_rejects(&report.sample, report.tally.rejected, &mut add);
    add_reports(report, &mut add);
    if report.outcome != Outcome::Failed {
        add("next", "nothing was loaded; `wharf load` does that".to_owned());
    }
    lines
}

fn headline(report: &DeliveryReport, verdict: &str) -> String {
    format!("{}: {verdict}", file_name(&report.file))
}

/// A file as it was named, safe to show.
#[must_use]
pub fn file_name(path: &Path) -> String {
    FileName::new(path.as_os_str().as_bytes()).to_string()
}

/// A line under the head of a block.
#[must_use]
pub fn labelled(name: &str, text: &str) -> String {
    format!("  {:<9} {text}", if name.is_empty() { String::new() } else { format!("{name}:") })
}

fn add_reports(report: &DeliveryReport, add: &mut impl FnMut(&str, String)) {
    if let Some(rejects) = &report.reports.rejects {
        add("reports", format!("{rejects} (for people)"));
    }
    if let Some(errors) = &report.reports.errors {
        add("", format!("{errors} (for programs)"));
    }
    if let Some(differences) = &report.reports.differences {
        add("compared", format!("{differences} (with what the table differs)"));
    }
}

fn block(report: &DeliveryReport, wharf: &str) -> Vec<String> {
    let outcome = if report.shadow { COMPARED } else { outcome_words(report.outcome) };
    let mut lines = vec![headline(report, outcome)];
    let mut add = |name: &str, text: String| lines.push(labelled(name, &text));
    if let Some(message) = &report.message {
        add("why", message.clone());
    }
    if let Some(of) = &report.corrects {
        add("corrects", of.to_string());
    }
    let tables: Vec<&str> = report.tables.keys().map(String::as_str).collect();
    if let Some(mapping) = &report.mapping {
        let table = if tables.is_empty() { String::new() } else { format!(", table {}", tables.join(", ")) };
        add("mapping", format!("{mapping}{table}"));
    }
    if report.tally.read > 0 || report.outcome == Outcome::Loaded {
        add("counts", format!("{} ({})", balance(&report.tally), seconds(report.worked_millis)));
    }
    add_rejects(&report.sample, report.tally.rejected, &mut add);
    add_reports(report, &mut add);
    if let Some(next) = next(report, wharf) {
        add("next", next);
    }
    lines
}

/// The first of `rejected` rejects, and how many more there are.
pub fn add_rejects(sample: &[Sample], rejected: u64, add: &mut impl FnMut(&str, String)) {
    let mut name = "rejects";
    let mut shown = 0;
    let mut last_line = None;
    for found in sample {
        if last_line != Some(found.line) {
            shown += 1;
            last_line = Some(found.line);
        }
        add(name, finding(found));
        name = "";
    }
    if rejected > shown && shown > 0 {
        add("", format!("and {} more", thousands(rejected - shown)));
    }
}

/// A violation as a sentence.
#[must_use]
pub fn finding(found: &Sample) -> String {
    let subject = match (found.column.as_str(), found.value.as_str()) {
        ("", "") => "the record".to_owned(),
        ("", value) => format!("the record `{value}`"),
        (column, "") => column.to_owned(),
        (column, value) => format!("{column} \"{value}\""),
    };
    let link = if found.is_sentence { ": " } else { " " };
    format!("line {}: {subject}{link}{}", found.line, found.message)
}

/// What the person at the terminal does now.
fn next(report: &DeliveryReport, wharf: &str) -> Option<String> {
    let id = report.delivery.map(|id| id.to_string());
    let show = id.as_deref().map(|id| format!("`{wharf} show {id}`"));
    if report.shadow {
        let rejects = if report.tally.rejected > 0 {
            "; its rejects are for looking at only, as nothing is loaded that they could be added to"
        } else {
            ""
        };
        return Some(format!(
            "compare for as long as you need, then take `shadow` out of the mapping{rejects}; {}",
            show?
        ));
    }
    Some(match (report.outcome, report.reason) {
        (Outcome::Loaded, _) => format!("nothing to do; {} tells its story", show?),
        (Outcome::LoadedWithRejects, _) => {
            format!(
                "correct the rows in the first report and send it back (`wharf resubmit`, or drop it where files arrive); {}",
                show?
            )
        }
        (Outcome::Duplicate, _) => {
            format!("to load the same bytes all the same: `{wharf} load --again FILE`")
        }
        (Outcome::Held, _) => {
            format!("look at the reports, then `{wharf} approve {0}` or `{wharf} decline {0}`", id?)
        }
        (Outcome::Refused, Some(Reason::NoMapping)) => {
            format!("`{wharf} load --mapping NAME FILE`, or write a mapping")
        }
        (Outcome::Refused, _) if report.tally.loaded() > 0 => {
            "it is loaded in part: mend what is wrong and send the file again".to_owned()
        }
        (Outcome::Refused, Some(Reason::RejectLimit | Reason::TargetLimit)) => {
            "nothing was loaded: have the file corrected and send it again whole".to_owned()
        }
        (Outcome::Refused, _) => "nothing was loaded: mend what is wrong and load the file again".to_owned(),
        (Outcome::Failed, _) => match id {
            Some(id) => format!("mend the cause, then `{wharf} retry {id}`"),
            None => "nothing was taken: mend the cause and load the file again".to_owned(),
        },
        _ => return None,
    })
}
