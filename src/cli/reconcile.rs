//! `wharf reconcile`: what the ledger has as loaded, held against what the databases know.
//!
//! Exit codes: 0 when both agree, 3 when they differ, 1 when a database cannot be asked.

use clap::Args;
use serde_json::{Value, json};

use super::{
    CommandError, Common, Exit, open_ledger, open_site,
    output::{Output, counted, moment, thousands},
    summary::balance,
};
use crate::{
    exchange::reconcile::{self, Database, Reconciliation, Step, Table, Wanted},
    ledger::DeliveryState,
    mapping::Site,
    model::{DeliveryId, printable},
};

/// Deliveries shown of a table, and named in one command. What is beyond comes up when these are done.
const SHOWN: usize = 50;

/// Options of `wharf reconcile`.
#[derive(Args, Debug)]
pub struct Options {
    /// Only the database of this connection
    #[arg(long, value_name = "NAME")]
    connection: Option<String>,
    /// Only deliveries of this mapping
    #[arg(long, value_name = "NAME")]
    mapping: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// When the site or its ledger cannot be read.
pub fn run(common: &Common, options: &Options, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    refuse_unknown(&site, options)?;
    let reader = open_ledger(&site)?;
    let wanted = Wanted { connection: options.connection.clone(), mapping: options.mapping.clone() };
    let told = reconcile::reconcile(&site, &reader, &wanted)?;
    if output.json() {
        let databases: Vec<Value> =
            told.databases.iter().map(|database| to_json(database, output.command())).collect();
        output.object(&json!({ "databases": databases, "untold": told.untold }))?;
    } else {
        told.databases.iter().try_for_each(|database| write(database, output))?;
        if told.untold > 0 {
            output.line(format!(
                "{} of which nobody can tell the database any more: neither the mapping as it was nor as it is today makes sense",
                deliveries(told.untold)
            ))?;
        }
    }
    Ok(exit(&told))
}

fn refuse_unknown(site: &Site, options: &Options) -> Result<(), CommandError> {
    if let Some(name) = &options.connection
        && !site.settings.connections.contains_key(name)
    {
        let known: Vec<&str> = site.settings.connections.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(CommandError::Usage(format!(
            "wharf.toml has no connection `{}`; it has: {known}",
            printable::short(name, 100)
        )));
    }
    if let Some(name) = &options.mapping
        && !site.catalog.iter().any(|entry| entry.name == *name)
    {
        return Err(CommandError::Usage(format!(
            "there is no mapping `{}` in mappings/inbound",
            printable::short(name, 100)
        )));
    }
    Ok(())
}

fn exit(told: &Reconciliation) -> Exit {
    if told.untold > 0 || told.databases.iter().any(|database| database.trouble.is_some()) {
        Exit::Fault
    } else if told.databases.iter().all(Database::agrees) {
        Exit::Clean
    } else {
        Exit::Stopped
    }
}

fn deliveries(count: u64) -> String {
    if count == 1 { "1 delivery".to_owned() } else { format!("{} deliveries", thousands(count)) }
}

fn write(database: &Database, output: &mut Output) -> Result<(), CommandError> {
    let name = match &database.connection {
        Some(name) => format!("connection {name}"),
        None => "the site's own database".to_owned(),
    };
    if let Some(trouble) = &database.trouble {
        return Ok(output.line(format!("{name}: cannot be asked: {}", printable::text(trouble)))?);
    }
    let forgotten =
        database.more + database.tables.iter().map(|table| table.forgotten().count() as u64).sum::<u64>();
    let differs = match (forgotten, database.unknown) {
        (0, 0) => String::new(),
        (forgotten, 0) => format!("; it does not know {}", deliveries(forgotten)),
        (0, unknown) => format!("; the ledger does not know {}", deliveries(unknown)),
        (forgotten, unknown) => {
            format!(
                "; it does not know {}, and the ledger not {}",
                deliveries(forgotten),
                deliveries(unknown)
            )
        }
    };
    output.line(format!("{name}: {} known to both{differs}", deliveries(database.agreed)))?;
    for table in &database.tables {
        write_table(table, output)?;
    }
    if database.more > 0 {
        output.line(format!("  and {} more: look again when these are loaded", deliveries(database.more)))?;
    }
    if database.unknown > 0 {
        write_strangers(database, output)?;
    }
    Ok(())
}

fn write_table(table: &Table, output: &mut Output) -> Result<(), CommandError> {
    output
        .line(format!("\n  table {}: loaded once, says the ledger, and not in the database:", table.name))?;
    let mut forgotten: Vec<(&DeliveryState, Option<&Step>)> = table
        .steps
        .iter()
        .filter(|step| step.forgotten)
        .map(|step| (&step.delivery, Some(step)))
        .chain(table.void.iter().map(|delivery| (delivery, None)))
        .collect();
    forgotten.sort_by_key(|(delivery, _)| std::cmp::Reverse(delivery.settled));
    for (delivery, step) in forgotten.iter().take(SHOWN) {
        let file = printable::short(&delivery.file.to_string(), 50);
        let mapping = delivery.mapping.as_deref().unwrap_or_default();
        let what =
            if delivery.corrects.is_some() { format!("correction, {mapping}") } else { mapping.to_owned() };
        let at = delivery.finished_at_millis().map(moment).unwrap_or_default();
        output.line(format!("    {}  {at}  {file} ({what})", delivery.id))?;
        if let Some(tally) = &delivery.tally {
            output.line(format!("        {}", balance(tally)))?;
        }
        match step {
            None => output.line("        a later file is the whole truth, so nothing has to be done")?,
            Some(step) if !step.archived => output.line(
                "        its archived copy is gone: load the original file again, before those that came after it",
            )?,
            Some(_) => {}
        }
    }
    if forgotten.len() > SHOWN {
        output.line(format!("    and {} before these", deliveries((forgotten.len() - SHOWN) as u64)))?;
    }
    let Some((command, rest)) = command(table, output.command()) else { return Ok(()) };
    if table.older {
        let again = table.steps.iter().filter(|step| !step.forgotten).count() as u64;
        output.line(format!(
            "    {} that the database has came later, and {} put over them again",
            deliveries(again),
            if again == 1 { "is" } else { "are" }
        ))?;
    }
    output.line(format!("    next: {command}"))?;
    if rest > 0 {
        output.line(format!("    then look again: {} are left", deliveries(rest)))?;
    }
    Ok(())
}

/// What loads the forgotten deliveries of a table, in order; and how many are left after that.
fn command(table: &Table, wharf: &str) -> Option<(String, u64)> {
    let ids = table.ids();
    if ids.is_empty() {
        return None;
    }
    let older = if table.older { " --older" } else { "" };
    let named: Vec<String> = ids.iter().take(SHOWN).map(DeliveryId::to_string).collect();
    let rest = ids.len().saturating_sub(SHOWN) as u64;
    Some((format!("{wharf} rerun{older} {}", named.join(" ")), rest))
}

fn write_strangers(database: &Database, output: &mut Output) -> Result<(), CommandError> {
    output.line(format!(
        "\n  loaded into it by this site, and not in the ledger ({}): was the ledger put back to an older state? Their rows are \
         there, and their files may come again; what the ledger told of their rejects is lost",
        counted(database.unknown, "load")
    ))?;
    for id in database.strangers.iter().rev().take(SHOWN) {
        output.line(format!("    {id}  taken at {}", moment(id.unix_millis())))?;
    }
    if database.unknown > SHOWN as u64 {
        output.line(format!("    and {} before these", thousands(database.unknown - SHOWN as u64)))?;
    }
    Ok(())
}

fn to_json(database: &Database, wharf: &str) -> Value {
    let one = |delivery: &DeliveryState, archived: Option<bool>| {
        json!({
            "delivery": delivery.id.to_string(),
            "file": delivery.file.to_string(),
            "mapping": delivery.mapping,
            "corrects": delivery.corrects.map(|of| of.to_string()),
            "loaded_at": delivery.finished_at_millis().map(moment),
            "tally": delivery.tally,
            "archived": archived,
        })
    };
    let table = |table: &Table| {
        let forgotten: Vec<Value> = table
            .steps
            .iter()
            .filter(|step| step.forgotten)
            .map(|step| one(&step.delivery, Some(step.archived)))
            .collect();
        let again: Vec<Value> = table
            .steps
            .iter()
            .filter(|step| !step.forgotten)
            .map(|step| one(&step.delivery, Some(step.archived)))
            .collect();
        let void: Vec<Value> = table.void.iter().map(|delivery| one(delivery, None)).collect();
        let (command, left) = command(table, wharf).unzip();
        json!({
            "table": table.name,
            "forgotten": forgotten,
            "again": again,
            "void": void,
            "older": table.older,
            "command": command,
            "left": left.unwrap_or_default(),
        })
    };
    json!({
        "connection": database.connection,
        "trouble": database.trouble,
        "agreed": database.agreed,
        "tables": database.tables.iter().map(table).collect::<Vec<_>>(),
        "more": database.more,
        "unknown": database.unknown,
        "strangers": database.strangers.iter().map(DeliveryId::to_string).collect::<Vec<_>>(),
    })
}
