//! `wharf replay` and `wharf rerun`: what was rejected, or a whole file, once more under the mapping as it is today.

use clap::Args;

use super::{
    CommandError, Common, Exit,
    load::{Terminal, at_work, person},
    open_ledger, open_site,
    output::Output,
};
use crate::{
    exchange::{
        Folders, Observer, ask,
        clock::{Clock, SystemClock},
    },
    ledger::{DeliveryState, Filter, View, Wish},
    mapping::Site,
    model::{DeliveryId, State},
    wire::SiteLock,
};

/// Options of `wharf replay`.
#[derive(Args, Debug)]
pub struct Replay {
    /// The id of a delivery, or the beginning of it; the name of a mapping stands for all its deliveries with open rejects
    #[arg(required = true, value_name = "ID-or-MAPPING")]
    ids: Vec<String>,
}

/// Options of `wharf rerun`.
#[derive(Args, Debug)]
pub struct Rerun {
    /// The ids of deliveries, or their beginnings; loaded in the order in which they were the first time
    #[arg(required = true)]
    ids: Vec<String>,
    /// Do it even though later files have been loaded, whose rows then get the older values
    #[arg(long)]
    older: bool,
}

/// Tries open rejects again.
///
/// # Errors
/// When there is no such delivery, or its mapping is not valid.
pub fn replay(common: &Common, options: &Replay, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let reader = open_ledger(&site)?;
    let mut deliveries: Vec<DeliveryState> = Vec::new();
    for id in &options.ids {
        for delivery in wanted(&site, reader.view(), id)? {
            if !deliveries.iter().any(|known| known.id == delivery.id) {
                deliveries.push(delivery);
            }
        }
    }
    let mut terminal = Terminal::new(output);
    let (open, done): (Vec<_>, Vec<_>) =
        deliveries.into_iter().partition(|delivery| delivery.rejects.open > 0);
    for delivery in done {
        terminal.note(&format!("{} ({}) has no open rejects: nothing to do", delivery.file, delivery.id));
    }
    let wish = |delivery: &DeliveryState, plan| Wish::Replay { delivery: delivery.id, plan };
    carry_out(&site, "wharf replay", &open, wish, &mut terminal)?;
    terminal.finish()
}

/// Loads archived files once more, one after the other: those that ended first come first, in whatever order they are named.
///
/// # Errors
/// When there is no such delivery, or it would do harm.
pub fn rerun(common: &Common, options: &Rerun, output: &mut Output) -> Result<Exit, CommandError> {
    let site = open_site(common)?;
    let reader = open_ledger(&site)?;
    let mut deliveries: Vec<DeliveryState> = Vec::new();
    for id in &options.ids {
        let named = reader.view().delivery(id)?;
        // What stands for another is that one, loaded again.
        let first = match named.reruns.filter(|_| named.restores) {
            Some(first) => reader.view().by_id(first)?,
            None => None,
        };
        let delivery = first.unwrap_or(named);
        if !deliveries.iter().any(|known| known.id == delivery.id) {
            deliveries.push(delivery);
        }
    }
    // Values are put over those that came before them, as they were the first time.
    deliveries.sort_by_key(|delivery| (delivery.settled, delivery.arrival));
    let mut terminal = Terminal::new(output);
    let mut stopped: Vec<(DeliveryState, DeliveryId)> = Vec::new();
    for (at, delivery) in deliveries.iter().enumerate() {
        if let Some((_, by)) = stopped.iter().find(|(before, _)| is_same_table(&site, before, delivery)) {
            terminal.left(&format!(
                "{} ({}) is not run again, as {by} comes before it and is not loaded",
                delivery.file, delivery.id
            ));
            continue;
        }
        let wish = |delivery: &DeliveryState, plan| Wish::Rerun {
            delivery: delivery.id,
            plan,
            older: options.older,
        };
        let before = reader.view().reruns_of(delivery.id)?.len();
        let done = carry_out(&site, "wharf rerun", std::slice::from_ref(delivery), wish, &mut terminal);
        if let Err(error) = done {
            let left = deliveries.len() - at - 1;
            if left > 0 {
                terminal.note(&format!("{left} more were named and are not run again, because of this:"));
            }
            return Err(error);
        }
        let again = reader.view().reruns_of(delivery.id)?.into_iter().skip(before).next_back();
        if let Some(again) = again.filter(|again| !again.state.is_final() || again.state == State::Refused) {
            stopped.push((delivery.clone(), again.id));
        }
    }
    terminal.finish()
}

/// True when two deliveries go to the same table, as far as their mappings tell.
fn is_same_table(site: &Site, one: &DeliveryState, other: &DeliveryState) -> bool {
    let place = |delivery: &DeliveryState| {
        let plan = site.catalog.get(delivery.mapping.as_deref()?).ok()?;
        let key = site.settings.table_key(plan.connection.as_deref(), &plan.table.table);
        Some((plan.connection.clone(), key))
    };
    one.mapping == other.mapping || place(one).is_some_and(|place_of_one| Some(place_of_one) == place(other))
}

/// The deliveries that an argument of `replay` stands for.
fn wanted(site: &Site, view: View<'_>, id: &str) -> Result<Vec<DeliveryState>, CommandError> {
    if !site.catalog.iter().any(|entry| entry.name == id) {
        return Ok(vec![view.delivery(id)?]);
    }
    let filter = Filter { mapping: Some(id.to_owned()), open: true, ..Filter::default() };
    let mut open = view.list(&filter)?;
    open.reverse();
    Ok(open)
}

fn carry_out(
    site: &Site,
    command: &str,
    deliveries: &[DeliveryState],
    wish: impl Fn(&DeliveryState, Option<String>) -> Wish,
    observer: &mut dyn Observer,
) -> Result<(), CommandError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let folders = Folders::of(site);
    let is_running = SiteLock::holder(&folders.lock())?.is_some();
    let now = SystemClock::default().unix_millis();
    let mut wishes = Vec::new();
    for delivery in deliveries {
        // The mapping as it stands in the file today, not as an engine has read it some time ago.
        let plan = match &delivery.mapping {
            Some(mapping) if is_running => Some(ask::keep_plan(&folders, &*site.catalog.get(mapping)?, now)?),
            _ => None,
        };
        wishes.push(wish(delivery, plan));
    }
    let by = person();
    at_work(site, command, wishes, &by, observer, |engine, wishes, observer| {
        wishes.iter().try_for_each(|wish| engine.decide(wish, &by, observer))
    })
}
