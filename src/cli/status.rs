//! `wharf status`: the site at a glance, and what needs a person.

use serde_json::json;

use super::{
    CommandError, Common, Exit, open_site,
    output::{Output, counted, moment, thousands},
    summary::{balance, outcome_words},
};
use crate::{
    ledger::{DeliveryState, Filter, LedgerError, LedgerReader, View},
    mapping::Site,
    model::{State, printable},
};

/// Deliveries shown as the latest.
const LATEST: u32 = 5;
/// Deliveries shown as needing a person; the rest is counted.
const ATTENTION: u32 = 20;

/// Runs the command.
///
/// # Errors
/// When the site cannot be read.
pub fn run(common: &Common, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let broken = site.catalog.iter().filter(|entry| entry.plan.is_err()).count();
    let reader = match LedgerReader::open(&site.settings.store.join("ledger.db")) {
        Ok(reader) => reader,
        Err(LedgerError::Missing { .. }) => {
            if output.json() {
                output.object(
                    &json!({ "deliveries": {}, "attention": [], "latest": [], "broken_mappings": broken }),
                )?;
            } else {
                mappings(&site, output)?;
                output.line("nothing has been loaded here yet; begin with `wharf load FILE`")?;
            }
            return Ok(Exit::Clean);
        }
        Err(error) => return Err(error.into()),
    };
    let view = reader.view();
    let attention = list(view, vec![State::Held, State::Failed], ATTENTION)?;
    let unfinished = list(view, vec![State::Taken, State::Waiting, State::Running], ATTENTION)?;
    let latest = list(view, Vec::new(), LATEST)?;
    let counts = view.counts_by_state()?;
    if output.json() {
        let brief = |deliveries: &[DeliveryState]| {
            deliveries.iter().map(super::deliveries::to_json).collect::<Vec<_>>()
        };
        let counts: serde_json::Map<String, serde_json::Value> =
            counts.iter().map(|(state, count)| (state.code().to_owned(), json!(count))).collect();
        output.object(&json!({
            "deliveries": counts,
            "attention": brief(&attention),
            "unfinished": brief(&unfinished),
            "latest": brief(&latest),
            "broken_mappings": broken,
        }))?;
        return Ok(Exit::Clean);
    }
    mappings(&site, output)?;
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let parts: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("{} {}", thousands(*count), outcome_words(*state)))
        .collect();
    let total = counted(total, "delivery").replace("deliverys", "deliveries");
    output.line(format!("{total}: {}", parts.join(", ")))?;
    section("needs a person", &attention, output)?;
    let title = format!(
        "not finished: running now, or left by a run that was ended (`{} load` finishes it)",
        output.command()
    );
    section(&title, &unfinished, output)?;
    section("latest", &latest, output)?;
    if attention.is_empty() && unfinished.is_empty() && broken == 0 {
        output.line("\nnothing needs a person")?;
    }
    Ok(Exit::Clean)
}

fn list(view: View<'_>, states: Vec<State>, limit: u32) -> Result<Vec<DeliveryState>, CommandError> {
    Ok(view.list(&Filter { states, limit: Some(limit), ..Filter::default() })?)
}

fn mappings(site: &Site, output: &mut Output) -> Result<(), CommandError> {
    let names: Vec<String> = site
        .catalog
        .iter()
        .map(
            |entry| {
                if entry.plan.is_err() { format!("{} (not valid)", entry.name) } else { entry.name.clone() }
            },
        )
        .collect();
    let listed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    output.line(format!("mappings: {listed}"))?;
    if site.catalog.iter().any(|entry| entry.plan.is_err()) {
        output.line("  `wharf check` tells what is wrong")?;
    }
    Ok(())
}

fn section(title: &str, deliveries: &[DeliveryState], output: &mut Output) -> Result<(), CommandError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    output.line(format!("\n{title}:"))?;
    for delivery in deliveries {
        let file = printable::short(&delivery.file.to_string(), 50);
        let at = moment(delivery.changed_at_millis);
        output.line(format!("  {}  {at}  {file}: {}", delivery.id, outcome_words(delivery.state)))?;
        if let Some(tally) = delivery.tally.filter(|tally| tally.read > 0) {
            output.line(format!("      {}", balance(&tally)))?;
        }
        if let Some(message) = &delivery.message {
            output.line(format!("      {message}"))?;
        }
        let next = match delivery.state {
            State::Held => "look at the reports, then `WHARF approve ID` or `WHARF decline ID`",
            State::Failed => "mend the cause, then `WHARF retry ID`, or `WHARF decline ID`",
            _ => continue,
        };
        let next = next.replace("ID", &delivery.id.to_string()).replace("WHARF", output.command());
        output.line(format!("      next: {next}"))?;
    }
    Ok(())
}
