//! What the last start found unfinished, and what became of it: the ledger has kept what was found, and the deliveries' own
//! stories tell the rest.

use std::io;

use serde_json::{Value, json};

use super::{
    output::{Output, counted, moment, thousands},
    summary::state_words,
};
use crate::{
    exchange::clock::{Clock, SystemClock},
    ledger::{DeliveryState, Event, LedgerError, Recovery, View},
    model::{State, printable},
};

/// Somebody comes back from a long weekend and asks what happened; later nobody does.
const SHOWN_MILLIS: u64 = 7 * 24 * 60 * 60 * 1000;

/// The last start that found something.
pub struct Recovered {
    found: Recovery,
    deliveries: Vec<Delivery>,
}

struct Delivery {
    now: DeliveryState,
    was: State,
    /// What its story says since.
    notes: Vec<String>,
}

/// The last start that found something, with what became of it.
///
/// # Errors
/// When the ledger cannot be read.
pub fn latest(view: View<'_>) -> Result<Option<Recovered>, LedgerError> {
    let Some(found) = view.recoveries(1)?.pop() else { return Ok(None) };
    let mut deliveries = Vec::new();
    for known in &found.deliveries {
        let Some(now) = view.by_id(known.delivery)? else { continue };
        let story = view.story(known.delivery)?;
        let since = story.into_iter().filter(|entry| entry.place.sequence > known.seen);
        let notes = since.filter_map(|entry| match entry.event {
            Event::Noted { text } => Some(text),
            _ => None,
        });
        deliveries.push(Delivery { now, was: known.was, notes: notes.collect() });
    }
    Ok(Some(Recovered { found, deliveries }))
}

/// As `status --json` tells it.
pub fn to_json(recovered: &Recovered) -> Value {
    let Recovered { found, deliveries } = recovered;
    let one = |delivery: &Delivery| {
        json!({
            "delivery": delivery.now.id.to_string(),
            "file": delivery.now.file.to_string(),
            "mapping": delivery.now.mapping,
            "was": delivery.was,
            "now": delivery.now.state,
            "notes": delivery.notes,
        })
    };
    json!({
        "at": moment(found.at_millis),
        "command": found.command,
        "unfinished": found.unfinished,
        "deliveries": deliveries.iter().map(one).collect::<Vec<_>>(),
        "waiting": found.waiting,
        "requests": found.requests,
        "removed": found.removed,
        "put_back": { "files": found.files_put_back, "names": found.put_back },
        "settled": { "files": found.files_settled, "names": found.settled },
    })
}

/// As `status` tells it.
///
/// # Errors
/// What the stream says.
pub fn write(recovered: &Recovered, output: &mut Output) -> io::Result<()> {
    let Recovered { found, deliveries } = recovered;
    if SystemClock::default().unix_millis() > found.at_millis.saturating_add(SHOWN_MILLIS) {
        return Ok(());
    }
    let command = printable::text(&found.command);
    output.line(format!(
        "found unfinished at {} ({command}), and what became of it:",
        moment(found.at_millis)
    ))?;
    for Delivery { now, was, notes } in deliveries {
        let file = printable::short(&now.file.to_string(), 50);
        let notes: String = notes.iter().map(|note| format!("{}; ", printable::text(note))).collect();
        let was = if *was == State::Taken { "taken and not begun" } else { was.code() };
        output.line(format!("  {}  {file}: {was}; {notes}now {}", now.id, state_words(now)))?;
    }
    let more = found.unfinished.saturating_sub(deliveries.len() as u64);
    if more > 0 {
        output.line(format!("  and {} more unfinished deliveries", thousands(more)))?;
    }
    if found.waiting > 0 {
        output.line(format!("  {} waited for their turn, and went on waiting", thousands(found.waiting)))?;
    }
    files(
        "claimed and not taken, given back to their source",
        found.files_put_back,
        &found.put_back,
        output,
    )?;
    files("taken, of which their source was told now", found.files_settled, &found.settled, output)?;
    if found.requests > 0 {
        output.line(format!(
            "  {} of other commands unanswered: carried out, or told to ask again",
            counted(found.requests, "request")
        ))?;
    }
    if found.removed > 0 {
        output.line(format!("  {} in the making removed", counted(found.removed, "file")))?;
    }
    Ok(())
}

fn files(what: &str, count: u64, names: &[String], output: &mut Output) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    let shown: Vec<String> = names.iter().map(|name| printable::short(name, 80)).collect();
    let more = count.saturating_sub(names.len() as u64);
    let more = if more > 0 { format!(" and {} more", thousands(more)) } else { String::new() };
    output.line(format!("  {} {what}: {}{more}", counted(count, "file"), shown.join(", ")))
}
