//! `wharf deliveries`: the deliveries of a site, the latest first.

use clap::Args;
use serde_json::json;

use super::{
    CommandError, Common, Exit, open_ledger, open_site,
    output::{Output, moment, table, thousands},
    summary::state_words,
};
use crate::{
    ledger::{DeliveryState, Filter},
    model::{State, printable},
};

/// Options of `wharf deliveries`.
#[derive(Args, Debug)]
pub struct Options {
    /// Only those in this state; may be given several times
    #[arg(long, value_name = "STATE", value_parser = state)]
    state: Vec<State>,
    /// Only those of this mapping
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,
    /// Only those whose file name holds this
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only those taken on this day (UTC) or later
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    since: Option<u64>,
    /// Only those taken before this day (UTC)
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    until: Option<u64>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Leave out the first so many
    #[arg(long, value_name = "N", default_value_t = 0)]
    offset: u32,
}

fn state(text: &str) -> Result<State, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|_| {
        "the states are taken, waiting, running, loaded, loaded_with_rejects, refused, duplicate, overtaken, held, failed"
            .to_owned()
    })
}

fn day(text: &str) -> Result<u64, String> {
    let date: jiff::civil::Date = text.parse().map_err(|_| "a day is written 2026-01-31".to_owned())?;
    let start = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(|error| error.to_string())?;
    u64::try_from(start.timestamp().as_millisecond()).map_err(|_| "a day before 1970".to_owned())
}

/// Runs the command.
///
/// # Errors
/// When there is no ledger yet, or it cannot be read.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let reader = open_ledger(&site)?;
    let filter = Filter {
        states: options.state.clone(),
        mapping: options.mapping.clone(),
        name_contains: options.name.clone(),
        since_millis: options.since,
        until_millis: options.until,
        open: false,
        limit: Some(options.limit),
        offset: options.offset,
    };
    let deliveries = reader.view().list(&filter)?;
    if output.json() {
        for delivery in &deliveries {
            output.object(&to_json(delivery))?;
        }
        return Ok(Exit::Clean);
    }
    if deliveries.is_empty() {
        output.line("no deliveries")?;
        return Ok(Exit::Clean);
    }
    let rows = deliveries.iter().map(row).collect();
    output.line(table(&["delivery", "taken", "outcome", "mapping", "read", "rejected", "file"], rows))?;
    if deliveries.len() as u64 == u64::from(options.limit) {
        output.line(format!("\nthe latest {}; more with --limit and --offset", options.limit))?;
    }
    Ok(Exit::Clean)
}

fn row(delivery: &DeliveryState) -> Vec<String> {
    let count = |of: fn(&crate::model::Tally) -> u64| {
        delivery.tally.as_ref().map_or_else(String::new, |tally| thousands(of(tally)))
    };
    vec![
        delivery.id.to_string(),
        moment(delivery.taken_at_millis),
        state_words(delivery).to_owned(),
        delivery.mapping.clone().unwrap_or_default(),
        count(|tally| tally.read),
        count(|tally| tally.rejected),
        printable::short(&delivery.file.to_string(), 60),
    ]
}

/// A delivery as JSON.
#[must_use]
pub fn to_json(delivery: &DeliveryState) -> serde_json::Value {
    json!({
        "delivery": delivery.id.to_string(),
        "file": delivery.file.to_string(),
        "mapping": delivery.mapping,
        "source": delivery.source,
        "evidence": delivery.evidence,
        "size": delivery.size,
        "hash": delivery.hash.to_string(),
        "outcome": delivery.state,
        "reason": delivery.reason,
        "message": delivery.message,
        "corrects": delivery.corrects.map(|of| of.to_string()),
        "reruns": delivery.reruns.map(|of| of.to_string()),
        "rejects": delivery.rejects,
        "other": delivery.other.map(|other| other.to_string()),
        "tally": delivery.tally,
        "tables": delivery.tables,
        "shadow": delivery.is_shadow(),
        "reports": { "rejects": delivery.reports.rejects, "errors": delivery.reports.errors },
        "taken": moment(delivery.taken_at_millis),
        "finished": delivery.finished_at_millis().map(moment),
        "seconds": delivery.worked_millis.map(|millis| millis as f64 / 1_000.0),
    })
}
