//! Rejects that only lacked a row of another table (a foreign key of the target, a lookup) are tried again by themselves when a
//! delivery has loaded rows into that table.
//!
//! Nothing is tried for ever: what would load now is found out by a load that is undone again, and only that makes a delivery.
//! Where nothing lacks anything, all this costs is one look into an index of the ledger.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Engine, EngineError, Observer,
    deliver::{Fault, Mode},
    rows::write_all,
    take::{Job, TakenFile},
};
use crate::{
    ledger::Event,
    mapping::{Plan, plan::LookupSource},
    model::{DeliveryId, Reject, Rule, Tally},
    targets::{Begun, LoadId, MISSING_PARENT},
    validate::WorkFile,
};

/// The source of deliveries that try rejects again by themselves.
pub const RETRIED: &str = "tried again by itself";

/// True when all that is wrong with a record is that a row of another table was not there.
fn only_lacks(reject: &Reject) -> bool {
    !reject.violations.is_empty()
        && reject.violations.iter().all(|violation| {
            violation.rule == Rule::Lookup
                || (violation.rule == Rule::Target && &*violation.message == MISSING_PARENT)
        })
}

impl Engine {
    /// How many rejects of a delivery only lack a row of which table.
    pub(super) fn missing(&self, plan: &Plan, work: &WorkFile) -> Result<BTreeMap<String, u64>, Fault> {
        let mut missing = BTreeMap::new();
        let by_target = work.target_rejects()?.iter().any(only_lacks);
        if !by_target && !work.seal.violations.contains_key("lookup") {
            return Ok(missing);
        }
        let parents = if by_target { self.parents(plan)? } else { BTreeSet::new() };
        for reject in work.rejects()? {
            let reject = reject?;
            if !only_lacks(&reject) {
                continue;
            }
            let mut places: BTreeSet<String> = BTreeSet::new();
            for violation in &reject.violations {
                match violation.rule {
                    Rule::Target => places.extend(parents.iter().cloned()),
                    _ => places.extend(looked_up(plan, violation.column)),
                }
            }
            for place in places {
                *missing.entry(place).or_default() += 1;
            }
        }
        Ok(missing)
    }

    /// The tables that the foreign keys of a plan's table refer to.
    fn parents(&self, plan: &Plan) -> Result<BTreeSet<String>, Fault> {
        let target = self.targets.get(&self.site.settings, plan.connection.as_deref())?;
        let parents = target.parents(&plan.table.table)?;
        Ok(parents.iter().map(|table| place(plan.connection.as_deref(), table)).collect())
    }

    /// The deliveries with rejects that may have waited for what this load has brought.
    pub(super) fn waiting_for(&self, job: &Job, tally: &Tally) -> Result<Vec<DeliveryId>, EngineError> {
        if job.plan.shadow || tally.inserted + tally.updated == 0 {
            return Ok(Vec::new());
        }
        let place = self.place(&job.plan);
        let lacking = self.ledger().view().lacking()?;
        let waits = lacking.into_iter().filter(|delivery| delivery.missing.contains_key(&place));
        Ok(waits.map(|delivery| delivery.id).collect())
    }

    /// Takes the rejects of a delivery that only lacked a row of another table, if at least one of them loads now.
    ///
    /// # Errors
    /// When the ledger or the store fails.
    pub(super) fn take_lacking(
        &self,
        delivery: DeliveryId,
        observer: &mut dyn Observer,
    ) -> Result<TakenFile, EngineError> {
        let nothing = Ok(TakenFile::Jobs(Vec::new()));
        let former = self.known(delivery)?;
        let plan = match self.plan_of_today(&former, None) {
            Ok(plan) => plan,
            Err(error) => {
                observer
                    .note(&format!("rejects of {} ({delivery}) are not tried again: {error}", former.file));
                return nothing;
            }
        };
        let correction = self.open_correction(&former, &plan, &mut only_lacks)?;
        if correction.is_empty() {
            // Nobody has to look again.
            if let Some(place) = former.place.filter(|_| former.rejects.open > 0) {
                self.record(delivery, vec![Event::RejectsOpened { place, missing: BTreeMap::new() }])?;
            }
            return nothing;
        }
        let tried = self.replay_job(&former, &correction, &plan, RETRIED)?;
        let failing = self.would_fail(&tried, observer);
        // Nothing was recorded, so nobody will ever ask for the copy.
        let _ = std::fs::remove_file(&tried.archive);
        let failing = match failing {
            Ok(failing) if failing.len() < correction.len() => failing,
            Ok(_) => return nothing,
            Err(Fault::Ledger(error)) => return Err(error.into()),
            Err(fault) => {
                observer.note(&format!(
                    "rejects of {} ({delivery}) cannot be tried again now: {fault}",
                    former.file
                ));
                return nothing;
            }
        };
        // What still lacks something stays as it is, and is not told of once more.
        let mut loads = |reject: &Reject| only_lacks(reject) && !failing.contains(&reject.position.record);
        let correction = self.open_correction(&former, &plan, &mut loads)?;
        let job = self.replay_job(&former, &correction, &plan, RETRIED)?;
        self.taken_jobs(vec![job], None)
    }

    /// The records of a delivery that would not load now: it is loaded, and undone again.
    fn would_fail(&self, job: &Job, observer: &mut dyn Observer) -> Result<BTreeSet<u64>, Fault> {
        let all = |records: &dyn Fn() -> Result<Vec<u64>, Fault>| Ok(records()?.into_iter().collect());
        let read = || self.records_of(job);
        if job.plan.shadow {
            return all(&read);
        }
        let share = self.memory.share(job.size, false);
        let Ok(mut work) = self.validate(job, Mode::Beside, &share, observer)? else { return all(&read) };
        let mut failing: BTreeSet<u64> = work
            .rejects()?
            .map(|reject| reject.map(|reject| reject.position.record))
            .collect::<Result<_, _>>()?;
        if work.seal.good == 0 {
            return Ok(failing);
        }
        let connection = job.plan.connection.as_deref();
        let target = self.targets.get(&self.site.settings, connection)?;
        let schema = job.plan.row_schema(&work.seal.layout);
        let load = LoadId { site: &self.identity.id, delivery: job.id };
        let _turn = self.site.settings.connection(connection).map(|found| self.targets.turn(&found.path));
        let Begun::Open(mut open) = target.begin(load, &job.plan.table, schema)? else { return all(&read) };
        let mut refusals = Vec::new();
        if !write_all(&mut *open, work.rows()?, &mut refusals, &mut |_| {})? {
            return all(&read);
        }
        failing.extend(refusals.iter().map(|refusal| refusal.origin.record));
        Ok(failing)
    }
}

/// The table that a column is looked up in, as the ledger names it; none for files, which no delivery loads.
fn looked_up(plan: &Plan, column: Option<u16>) -> Option<String> {
    let lookup = plan.columns.get(usize::from(column?))?.lookup.as_ref()?;
    match &plan.lookups.get(lookup.table)?.source {
        LookupSource::Table { connection, table } => Some(place(connection.as_deref(), table)),
        LookupSource::File(_) => None,
    }
}

/// A table as the ledger names it.
pub(super) fn place(connection: Option<&str>, table: &str) -> String {
    format!("{}/{}", connection.unwrap_or_default(), table.to_lowercase())
}
