//! `wharf status`: the site at a glance: what runs, what waits and why, and what needs a person.

use std::io;

use serde_json::json;

use super::{
    CommandError, Common, Exit, open_site,
    output::{Output, counted, moment, seconds, size, thousands},
    recovered,
    summary::{COMPARED, balance, outcome_words, state_words},
};
use crate::{
    exchange::{
        Folders, Step, ask,
        live::{Live, LiveDatabase, LiveDelivery, LiveSource},
    },
    ledger::{DeliveryState, Filter, LedgerError, LedgerReader, View},
    mapping::{Entry, Site},
    model::{State, printable},
    wire::{Holder, SiteLock},
};

/// Deliveries shown as the latest.
const LATEST: u32 = 5;
/// Deliveries of each kind shown; the rest is counted.
const SHOWN: u32 = 20;

/// Runs the command.
///
/// # Errors
/// When the site cannot be read.
pub fn run(common: &Common, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let engine = Engine::of(&site)?;
    let broken = site.catalog.iter().filter(|entry| entry.plan.is_err()).count();
    let reader = match LedgerReader::open(&Folders::of(&site).ledger()) {
        Ok(reader) => reader,
        Err(LedgerError::Missing { .. }) => {
            if output.json() {
                output.object(&json!({
                    "engine": engine.json(), "deliveries": {}, "attention": [], "unfinished": [], "latest": [],
                    "open_rejects": { "deliveries": 0, "rejects": 0 },
                    "broken_mappings": broken, "recovery": null,
                }))?;
            } else {
                engine.write(output)?;
                mappings(&site, output)?;
                output.line("nothing has been loaded here yet; begin with `wharf load FILE`")?;
            }
            return Ok(Exit::Clean);
        }
        Err(error) => return Err(error.into()),
    };
    let view = reader.view();
    let attention = list(view, vec![State::Held, State::Failed], SHOWN)?;
    let unfinished = list(view, vec![State::Taken, State::Waiting, State::Running], SHOWN)?;
    let latest = list(view, Vec::new(), LATEST)?;
    let counts = view.counts_by_state()?;
    let (with_open, open) = view.open_rejects()?;
    if output.json() {
        let brief = |deliveries: &[DeliveryState]| {
            deliveries.iter().map(super::deliveries::to_json).collect::<Vec<_>>()
        };
        let counts: serde_json::Map<String, serde_json::Value> =
            counts.iter().map(|(state, count)| (state.code().to_owned(), json!(count))).collect();
        output.object(&json!({
            "engine": engine.json(),
            "deliveries": counts,
            "attention": brief(&attention),
            "unfinished": brief(&unfinished),
            "latest": brief(&latest),
            "open_rejects": { "deliveries": with_open, "rejects": open },
            "broken_mappings": broken,
            "recovery": recovered::latest(view)?.as_ref().map(recovered::to_json),
        }))?;
        return Ok(Exit::Clean);
    }
    engine.write(output)?;
    if let Some(recovered) = recovered::latest(view)? {
        recovered::write(&recovered, output)?;
    }
    mappings(&site, output)?;
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let shadow_runs = view.shadow_runs()?;
    let compared: u64 = shadow_runs.iter().map(|(_, count)| count).sum();
    let written = counts.iter().map(|(state, count)| {
        let shadow = shadow_runs.iter().find(|(of, _)| of == state).map_or(0, |(_, count)| *count);
        (count.saturating_sub(shadow), outcome_words(*state))
    });
    let parts: Vec<String> = written
        .chain([(compared, COMPARED)])
        .filter(|(count, _)| *count > 0)
        .map(|(count, words)| format!("{} {words}", thousands(count)))
        .collect();
    let parts = if parts.is_empty() { vec!["none yet".to_owned()] } else { parts };
    let total = counted(total, "delivery").replace("deliverys", "deliveries");
    output.line(format!("{total}: {}", parts.join(", ")))?;
    if open > 0 {
        let deliveries = if with_open == 1 {
            "1 delivery".to_owned()
        } else {
            format!("{} deliveries", thousands(with_open))
        };
        output.line(format!(
            "open rejects: {} in {deliveries} (`{} rejects --state open`)",
            thousands(open),
            output.command()
        ))?;
    }
    let count =
        |states: &[State]| counts.iter().filter(|(state, _)| states.contains(state)).map(|(_, n)| n).sum();
    section("needs a person", &attention, count(&[State::Held, State::Failed]), output)?;
    let title = if engine.holder.is_some() {
        "not finished".to_owned()
    } else {
        format!(
            "not finished: left by a run that was ended, or waiting (`{0} load` or `{0} run` goes on with it)",
            output.command()
        )
    };
    section(&title, &unfinished, count(&[State::Taken, State::Waiting, State::Running]), output)?;
    section("latest", &latest, 0, output)?;
    if attention.is_empty() && unfinished.is_empty() && broken == 0 && !engine.needs_a_person() {
        output.line("\nnothing needs a person")?;
    }
    Ok(Exit::Clean)
}

/// The engine that is at work, if one is.
struct Engine {
    holder: Option<Holder>,
    live: Option<Live>,
    /// Mappings that it knows in another form than they have now.
    changed: Vec<String>,
}

impl Engine {
    fn of(site: &Site) -> Result<Self, CommandError> {
        let folders = Folders::of(site);
        let holder = SiteLock::holder(&folders.lock())?;
        // What an engine wrote that was killed says nothing about now.
        let mine = |live: &Live| holder.as_ref().is_some_and(|holder| holder.pid == Some(live.process));
        let live = Live::read(&folders.live()).filter(mine);
        let changed = live.as_ref().map(|live| live.changed_mappings(&site.catalog)).unwrap_or_default();
        Ok(Self { holder, live, changed })
    }

    fn needs_a_person(&self) -> bool {
        let source = |source: &LiveSource| source.trouble.is_some() || !source.asides.is_empty();
        self.is_silent()
            || self.live.as_ref().is_some_and(|live| {
                let databases = live.databases.len() + live.forgotten.len();
                live.trouble.is_some() || databases > 0 || live.sources.iter().any(source)
            })
    }

    /// An engine runs and nobody can tell what it does.
    fn is_silent(&self) -> bool {
        let runs = self.holder.as_ref().is_some_and(|holder| holder.command.as_deref() == Some(ask::RUN));
        runs && self.live.is_none()
    }

    fn json(&self) -> serde_json::Value {
        let Some(holder) = &self.holder else { return serde_json::Value::Null };
        json!({
            "process": holder.pid,
            "command": holder.command,
            "at": self.live.as_ref().map(|live| moment(live.at_millis)),
            "running": self.live.as_ref().map(|live| &live.running),
            "queued": self.live.as_ref().map(|live| live.queued),
            "sources": self.live.as_ref().map(|live| &live.sources),
            "trouble": self.live.as_ref().map(|live| &live.trouble),
            "started": self.live.as_ref().map(|live| moment(live.started_millis)),
            "databases": self.live.as_ref().map(|live| {
                let one = |database: &LiveDatabase| {
                    json!({
                        "connection": database.connection,
                        "since": moment(database.since_millis),
                        "trouble": database.trouble,
                    })
                };
                live.databases.iter().map(one).collect::<Vec<_>>()
            }),
            "forgotten": self.live.as_ref().map(|live| &live.forgotten),
            "changed_mappings": self.changed,
        })
    }

    fn write(&self, output: &mut Output) -> io::Result<()> {
        let Some(holder) = &self.holder else {
            return output.line(format!("no engine runs here; `{} run` starts one", output.command()));
        };
        let process = holder.pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
        let command = holder.command.as_deref().unwrap_or(ask::RUN);
        let since = self.live.as_ref().map(|live| format!(", since {}", moment(live.started_millis)));
        output.line(format!(
            "at work: {process} ({}){}",
            printable::text(command),
            since.unwrap_or_default()
        ))?;
        if self.is_silent() {
            output.line(
                "  what it does is not known: it has just begun, or cannot write live.json; see its log",
            )?;
        }
        let Some(live) = &self.live else { return Ok(()) };
        if let Some(trouble) = &live.trouble {
            output.line(format!("  nothing can be taken: {}", printable::text(trouble)))?;
        }
        for sentence in &live.forgotten {
            output.line(format!("  {}", printable::text(sentence)))?;
        }
        for database in &live.databases {
            let name = match &database.connection {
                Some(name) => format!("connection {name}"),
                None => "the site's own database".to_owned(),
            };
            let (since, trouble) = (moment(database.since_millis), printable::text(&database.trouble));
            output.line(format!("  {name} takes nothing since {since}: {trouble}"))?;
        }
        if !self.changed.is_empty() {
            output.line(format!(
                "  mappings changed since it began, and in force only when it is started again: {}",
                self.changed.join(", ")
            ))?;
        }
        for source in &live.sources {
            write_source(source, output)?;
        }
        for delivery in &live.running {
            output.line(format!("  {}", running(delivery)))?;
        }
        if live.queued > 0 {
            output.line(format!("  {} in the queue", counted(live.queued, "file")))?;
        }
        Ok(())
    }
}

fn write_source(source: &LiveSource, output: &mut Output) -> io::Result<()> {
    let place = printable::text(&source.place);
    output.line(format!("source {}: {place}, watched {}", source.name, printable::text(&source.watched)))?;
    if let Some(trouble) = &source.trouble {
        output.line(format!("  trouble: {}", printable::text(trouble)))?;
    }
    let counts = [(source.ready, "to be taken"), (source.settling, "may still be written to")];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        output.line(format!("  {}: {what}", counted(count, "file")))?;
    }
    for aside in &source.asides {
        let (file, why) = (printable::text(&aside.file), printable::text(&aside.why));
        output.line(format!("  left alone: {file}: {why}"))?;
    }
    Ok(())
}

/// One line on a delivery that runs: how far it is, how fast it goes, how long it will take.
fn running(delivery: &LiveDelivery) -> String {
    let file =
        std::path::Path::new(&delivery.file).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let verb = match delivery.step {
        Step::Taking => "taking",
        Step::Validating => "checking",
        Step::Loading => "loading",
    };
    let amount = |units: u64| match delivery.step {
        Step::Loading => counted(units, "row"),
        Step::Taking | Step::Validating => size(units),
    };
    let head =
        format!("{verb} {} ({}, {})", printable::short(&file, 50), delivery.mapping, delivery.delivery);
    let Some(total) = delivery.total else { return head };
    let progress = format!("{head}: {} of {}", amount(delivery.done), amount(total));
    match delivery.pace() {
        Some((rate, left)) => format!(
            "{progress}, {} a second, about {} left",
            amount(rate as u64),
            seconds((left * 1_000.0) as u64)
        ),
        None => progress,
    }
}

fn list(view: View<'_>, states: Vec<State>, limit: u32) -> Result<Vec<DeliveryState>, CommandError> {
    Ok(view.list(&Filter { states, limit: Some(limit), ..Filter::default() })?)
}

fn mappings(site: &Site, output: &mut Output) -> Result<(), CommandError> {
    let name = |entry: &Entry| {
        if entry.plan.is_err() { format!("{} (not valid)", entry.name) } else { entry.name.clone() }
    };
    let names: Vec<String> = site.catalog.iter().map(name).collect();
    let listed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    output.line(format!("mappings: {listed}"))?;
    if site.catalog.iter().any(|entry| entry.plan.is_err()) {
        output.line("  `wharf check` tells what is wrong")?;
    }
    Ok(())
}

/// Shows deliveries; `all` is how many there are.
fn section(
    title: &str,
    deliveries: &[DeliveryState],
    all: u64,
    output: &mut Output,
) -> Result<(), CommandError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    output.line(format!("\n{title}:"))?;
    for delivery in deliveries {
        let file = printable::short(&delivery.file.to_string(), 50);
        let at = moment(delivery.changed_at_millis);
        output.line(format!("  {}  {at}  {file}: {}", delivery.id, state_words(delivery)))?;
        if let Some(tally) = delivery.tally.filter(|tally| tally.read > 0) {
            output.line(format!("      {}", balance(&tally)))?;
        }
        if let Some(message) = &delivery.message {
            output.line(format!("      {}", printable::text(message)))?;
        }
        if let Some(due) = delivery.not_before_millis {
            output.line(format!("      tried again at {}", moment(due)))?;
        }
        let next = match delivery.state {
            State::Held => "look at the reports, then `WHARF approve ID` or `WHARF decline ID`",
            State::Failed => "mend the cause, then `WHARF retry ID`, or `WHARF decline ID`",
            _ => continue,
        };
        let next = next.replace("ID", &delivery.id.to_string()).replace("WHARF", output.command());
        output.line(format!("      next: {next}"))?;
    }
    let shown = deliveries.len() as u64;
    if all > shown {
        output.line(format!("  and {} more: `{} deliveries`", thousands(all - shown), output.command()))?;
    }
    Ok(())
}
