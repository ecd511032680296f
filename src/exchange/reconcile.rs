//! The ledger held against the targets: which deliveries the ledger has as loaded and the target does not know, as after a
//! database was put back to an older state, and which loads a target knows and the ledger does not. Reads only.
//!
//! Both sides are gone through in the order of the deliveries' ids, a page at a time, so that memory does not depend on how
//! many they are; what differs is kept, up to a limit.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    vec,
};

use super::{Folders, target};
use crate::{
    ledger::{DeliveryState, LedgerError, LedgerReader, View},
    mapping::{Plan, Site, compile},
    model::DeliveryId,
    targets::{LoadId, Mode, Remembered, Target, TargetError},
};

/// Deliveries looked at together.
const PAGE: u32 = 1_000;
/// So many differences are kept of a database; the others are counted, and found when these are dealt with.
pub const MOST_KEPT: usize = 10_000;

/// The loads that a target has of a site, in the order of their ids.
pub(super) struct LoadsOf<'a> {
    target: &'a dyn Target,
    site: &'a str,
    after: Option<DeliveryId>,
    page: vec::IntoIter<DeliveryId>,
    ended: bool,
}

impl<'a> LoadsOf<'a> {
    /// All of them.
    pub(super) fn all(target: &'a dyn Target, site: &'a str) -> Self {
        Self { target, site, after: None, page: Vec::new().into_iter(), ended: false }
    }

    /// Those from this one on.
    pub(super) fn from(target: &'a dyn Target, site: &'a str, first: DeliveryId) -> Self {
        let before = u128::from_be_bytes(*first.as_bytes()).checked_sub(1);
        let after = before.map(|before| DeliveryId::from_bytes(before.to_be_bytes()));
        Self { after, ..Self::all(target, site) }
    }

    /// The next one.
    ///
    /// # Errors
    /// When the target cannot be asked.
    pub(super) fn next(&mut self) -> Result<Option<DeliveryId>, TargetError> {
        if let Some(next) = self.page.next() {
            return Ok(Some(next));
        }
        if self.ended {
            return Ok(None);
        }
        let page = self.target.remembered(self.site, self.after, PAGE)?;
        (self.after, self.ended) = (page.last().copied(), page.is_empty());
        self.page = page.into_iter();
        Ok(self.page.next())
    }
}

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only this connection.
    pub connection: Option<String>,
    /// Only deliveries of this mapping.
    pub mapping: Option<String>,
}

/// How ledger and targets stand to each other.
#[derive(Debug, Default)]
pub struct Reconciliation {
    /// The databases, each once.
    pub databases: Vec<Database>,
    /// Loaded deliveries of which nobody knows any more into which database.
    pub untold: u64,
}

/// A database that is loaded into.
#[derive(Debug, Default)]
pub struct Database {
    /// Its connection; none for the site's own.
    pub connection: Option<String>,
    /// Why it could not be asked.
    pub trouble: Option<String>,
    /// Deliveries that both sides know.
    pub agreed: u64,
    /// What it has forgotten, by table.
    pub tables: Vec<Table>,
    /// Forgotten deliveries beyond those that are told.
    pub more: u64,
    /// Loads that the ledger does not know; the first of them.
    pub strangers: Vec<DeliveryId>,
    /// How many those are.
    pub unknown: u64,
}

/// A table some of whose deliveries are forgotten.
#[derive(Debug)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// What has to be loaded once more, in this order.
    pub steps: Vec<Step>,
    /// Some of that puts older values over newer ones first, which the later steps put right.
    pub older: bool,
    /// Forgotten, but later whole files have made them void.
    pub void: Vec<DeliveryState>,
}

/// A delivery that has to be loaded once more.
#[derive(Debug)]
pub struct Step {
    /// The delivery.
    pub delivery: DeliveryState,
    /// The database does not know it; else it has to be put over the others again.
    pub forgotten: bool,
    /// The archive still has its bytes.
    pub archived: bool,
}

impl Table {
    /// The deliveries that can be loaded once more from the archive, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<DeliveryId> {
        self.steps.iter().filter(|step| step.archived).map(|step| step.delivery.id).collect()
    }

    /// The deliveries that the database does not know.
    pub fn forgotten(&self) -> impl Iterator<Item = &DeliveryState> {
        self.steps.iter().filter(|step| step.forgotten).map(|step| &step.delivery).chain(&self.void)
    }
}

impl Database {
    /// True when both sides say the same.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.trouble.is_none() && self.tables.is_empty() && self.more + self.unknown == 0
    }
}

/// What matters here of a plan.
#[derive(Clone, Debug)]
struct Facts {
    mapping: String,
    connection: Option<String>,
    table: String,
    /// The same, by whatever name it is called.
    key: String,
    mode: Mode,
    /// Each file is the whole truth about the table.
    is_complete: bool,
}

impl Facts {
    fn of(site: &Site, plan: &Plan) -> Self {
        let scopes = plan.table.mirror.as_ref().map(|mirror| mirror.scope.is_empty());
        Self {
            mapping: plan.name.clone(),
            connection: plan.connection.clone(),
            table: plan.table.table.clone(),
            key: site.settings.table_key(plan.connection.as_deref(), &plan.table.table),
            mode: plan.table.mode,
            is_complete: scopes == Some(true),
        }
    }

    fn is_same_table(&self, other: &Self) -> bool {
        self.connection == other.connection && self.key == other.key
    }
}

/// Holds the ledger against the targets.
///
/// # Errors
/// When the ledger cannot be read. That a target cannot be asked is told of that one.
pub fn reconcile(site: &Site, reader: &LedgerReader, wanted: &Wanted) -> Result<Reconciliation, LedgerError> {
    let view = reader.view();
    let asking = Asking { site, view, id: view.site()?.id, facts: facts(site, view)?, wanted };
    let today = site.catalog.iter().filter_map(|entry| entry.plan.as_ref().ok());
    let connections: BTreeSet<Option<String>> = asking
        .facts
        .values()
        .flatten()
        .map(|facts| facts.connection.clone())
        .chain(today.map(|plan| plan.connection.clone()))
        .filter(|connection| wanted.connection.is_none() || *connection == wanted.connection)
        .collect();
    let mut told = Reconciliation { untold: asking.untold()?, ..Reconciliation::default() };
    for connection in connections {
        let mut database = Database { connection, ..Database::default() };
        match asking.ask(&mut database) {
            Ok(()) => {}
            Err(Trouble::Ledger(error)) => return Err(error),
            Err(Trouble::Target(error)) => {
                database = Database {
                    trouble: Some(error.to_string()),
                    connection: database.connection,
                    ..Database::default()
                };
            }
        }
        told.databases.push(database);
    }
    Ok(told)
}

/// The plans that anything was loaded under, by fingerprint; none where a plan does not make sense any more.
fn facts(site: &Site, view: View<'_>) -> Result<HashMap<String, Option<Facts>>, LedgerError> {
    let mut facts = HashMap::new();
    for fingerprint in view.loaded_plans()? {
        let kept = view.plan(&fingerprint)?;
        let found = kept.and_then(|kept| {
            let plan = compile(&kept.name, &kept.name, &kept.toml, &site.settings.connections);
            // Whatever is wrong with it by now, the mapping of that name most likely still loads into that table.
            let facts = plan.ok().map(|plan| Facts::of(site, &plan));
            facts.or_else(|| Some(Facts::of(site, &*site.catalog.get(&kept.name).ok()?)))
        });
        facts.insert(fingerprint, found);
    }
    Ok(facts)
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Target(#[from] TargetError),
}

struct Asking<'a> {
    site: &'a Site,
    view: View<'a>,
    /// The site's own identity.
    id: String,
    facts: HashMap<String, Option<Facts>>,
    wanted: &'a Wanted,
}

impl Asking<'_> {
    fn facts_of(&self, plan: Option<&str>) -> Option<&Facts> {
        plan.and_then(|plan| self.facts.get(plan)).and_then(Option::as_ref)
    }

    /// Loaded deliveries whose plan tells no database any more.
    fn untold(&self) -> Result<u64, LedgerError> {
        if self.facts.values().all(Option::is_some) {
            return Ok(0);
        }
        let (mut count, mut after) = (0, None);
        loop {
            let page = self.view.brought(after, PAGE)?;
            let Some(last) = page.last() else { return Ok(count) };
            after = Some(last.delivery);
            count +=
                page.iter().filter(|found| self.facts_of(found.plan.as_deref()).is_none()).count() as u64;
        }
    }

    /// Goes through both sides together.
    fn ask(&self, database: &mut Database) -> Result<(), Trouble> {
        let target = target::open(&self.site.settings, database.connection.as_deref())?;
        // What an engine loads from here on may be seen on one side only.
        let seen = self.view.last_event()?;
        let mut loads = LoadsOf::all(&*target, &self.id);
        let mut load = loads.next()?;
        let (mut missing, mut after) = (Vec::new(), None);
        loop {
            let page = self.view.brought(after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(last.delivery);
            for found in page {
                let Some(facts) = self.facts_of(found.plan.as_deref()) else { continue };
                let is_wanted = self.wanted.mapping.as_ref().is_none_or(|mapping| facts.mapping == *mapping);
                if facts.connection != database.connection || !is_wanted {
                    continue;
                }
                while let Some(other) = load.filter(|load| *load < found.delivery) {
                    self.meet_other(other, database)?;
                    load = loads.next()?;
                }
                let is_known = load == Some(found.delivery);
                if is_known {
                    load = loads.next()?;
                }
                // What stands for another is asked for, and counted, with that one.
                match (found.restores, is_known) {
                    (true, _) => {}
                    (false, true) => database.agreed += 1,
                    (false, false) => missing.push(found.delivery),
                }
            }
        }
        while let Some(other) = load {
            self.meet_other(other, database)?;
            load = loads.next()?;
        }
        self.sort_out(&*target, (missing, seen), database)
    }

    /// A load that is none of the ledger's loaded deliveries.
    fn meet_other(&self, load: DeliveryId, database: &mut Database) -> Result<(), LedgerError> {
        // One that the ledger knows in another state is settled by the next engine, or waits for a person.
        if self.wanted.mapping.is_none() && self.view.by_id(load)?.is_none() {
            database.unknown += 1;
            if database.strangers.len() < MOST_KEPT {
                database.strangers.push(load);
            }
        }
        Ok(())
    }

    /// Sorts what is missing by table, and finds out what has to be done.
    fn sort_out(
        &self,
        target: &dyn Target,
        (missing, seen): (Vec<DeliveryId>, u64),
        database: &mut Database,
    ) -> Result<(), Trouble> {
        let mut tables: BTreeMap<String, (Facts, Vec<DeliveryState>)> = BTreeMap::new();
        let mut kept = 0;
        for delivery in missing {
            let again = self.view.reruns_of(delivery)?;
            let mut stands = again.iter().map(|again| LoadId { site: &self.id, delivery: again.id });
            if stands.try_fold(false, |found, load| {
                Ok::<_, TargetError>(found || target.remembers(load)? == Remembered::Whole)
            })? {
                database.agreed += 1;
                continue;
            }
            let found = self.view.by_id(delivery)?;
            let Some(found) = found.filter(|found| found.settled <= Some(seen)) else { continue };
            if kept >= MOST_KEPT {
                database.more += 1;
                continue;
            }
            let Some(facts) = self.facts_of(found.plan.as_deref()) else { continue };
            kept += 1;
            let of_table = tables.entry(facts.key.clone()).or_insert_with(|| (facts.clone(), Vec::new()));
            of_table.1.push(found);
        }
        for (facts, forgotten) in tables.into_values() {
            database.tables.push(self.table(&facts, forgotten)?);
        }
        Ok(())
    }

    /// What has to be done about the forgotten deliveries of a table.
    fn table(&self, of: &Facts, mut forgotten: Vec<DeliveryState>) -> Result<Table, LedgerError> {
        forgotten.sort_by_key(|delivery| delivery.settled);
        let ids: HashSet<DeliveryId> = forgotten.iter().map(|delivery| delivery.id).collect();
        let first = forgotten.first().and_then(|delivery| delivery.settled).unwrap_or_default();
        let later = self.later(of, first, &ids)?;
        let mut table = Table { name: of.table.clone(), steps: Vec::new(), older: false, void: Vec::new() };
        // The last whole file of each mapping makes void what came before it.
        let mut whole: HashMap<String, u64> = HashMap::new();
        for delivery in forgotten.iter().chain(&later).filter(|delivery| delivery.corrects.is_none()) {
            let is_complete = self.facts_of(delivery.plan.as_deref()).is_some_and(|facts| facts.is_complete);
            if let Some((mapping, settled)) =
                delivery.mapping.clone().zip(delivery.settled).filter(|_| is_complete)
            {
                let last = whole.entry(mapping).or_default();
                *last = settled.max(*last);
            }
        }
        let is_void = |delivery: &DeliveryState| {
            let last = delivery.mapping.as_ref().and_then(|mapping| whole.get(mapping));
            last.zip(delivery.settled).is_some_and(|(last, settled)| settled < *last)
        };
        let (void, needed): (Vec<_>, Vec<_>) = forgotten.into_iter().partition(is_void);
        table.void = void;
        let since = needed.first().and_then(|delivery| delivery.settled);
        // Rows that are only ever inserted are never put over others.
        let later = later.into_iter().filter(|delivery| {
            let facts = self.facts_of(delivery.plan.as_deref());
            facts.is_some_and(|facts| facts.mode != Mode::Insert)
                && since.is_some_and(|since| delivery.settled > Some(since))
        });
        let folders = Folders::of(self.site);
        let step = |delivery: DeliveryState, forgotten| {
            let archived = folders.archive().join(&delivery.archive).is_file();
            Step { delivery, forgotten, archived }
        };
        let mut steps: Vec<Step> = needed.into_iter().map(|delivery| step(delivery, true)).collect();
        let again: Vec<Step> = later.map(|delivery| step(delivery, false)).collect();
        table.older = !again.is_empty();
        steps.extend(again);
        steps.sort_by_key(|step| step.delivery.settled);
        table.steps = steps;
        Ok(table)
    }

    /// What the target has of a table that was loaded after something that it has forgotten.
    fn later(
        &self,
        of: &Facts,
        since: u64,
        forgotten: &HashSet<DeliveryId>,
    ) -> Result<Vec<DeliveryState>, LedgerError> {
        let (mut later, mut after) = (Vec::new(), since);
        loop {
            let page = self.view.loaded_after(None, after, PAGE)?;
            let Some(last) = page.last() else { return Ok(later) };
            after = last.settled.unwrap_or(u64::MAX);
            for found in page {
                let facts = self.facts_of(found.plan.as_deref());
                let is_of_table = facts.is_some_and(|facts| facts.is_same_table(of));
                // What stands for another came when that one came, and is known as that one.
                if is_of_table && !found.restores && !forgotten.contains(&found.id) && later.len() < MOST_KEPT
                {
                    later.push(found);
                }
            }
        }
    }
}
