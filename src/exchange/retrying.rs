//! Rejects that only lacked a row of another table (a foreign key of the target, a lookup) are tried again by themselves when a
//! delivery has loaded rows into that table.
//!
//! Nothing is tried for ever: what would load now is found out by a load that is undone again, and only that makes a delivery.
//! Where nothing lacks anything, all this costs is one look into an index of the ledger.
//!
//! Nothing is forgotten either: the ledger knows up to which load rejects were tried. Whoever was kept from trying them, by a
//! crash or a fault, leaves it to the next engine that starts.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Engine, EngineError, Observer,
    deliver::{Fault, Mode},
    lanes::Lanes,
    rows::{Written, finish, write_all},
    take::{Job, TakenFile},
};
use crate::{
    ledger::{DeliveryState, Event},
    mapping::{Plan, plan::LookupSource},
    model::{DeliveryId, Reject, Rule, Tally},
    targets::{Begun, LoadId, MISSING_PARENT, RowRefusal},
    validate::WorkFile,
    wire,
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

/// Records that would not load now.
#[derive(Default)]
struct Failing {
    /// They still only lack a row of another table.
    lacking: BTreeSet<u64>,
    /// Of these something else is wrong, which nobody knew.
    otherwise: BTreeSet<u64>,
}

impl Failing {
    fn lack(records: Vec<u64>) -> Self {
        Self { lacking: records.into_iter().collect(), ..Self::default() }
    }

    fn add(&mut self, record: u64, only_lacks: bool) {
        if only_lacks { &mut self.lacking } else { &mut self.otherwise }.insert(record);
    }
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
                    _ => places.extend(self.looked_up(plan, violation.column)),
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
        Ok(parents.iter().map(|table| self.place_of(plan.connection.as_deref(), table)).collect())
    }

    /// The deliveries with rejects that may have waited for what this load has brought; and the one whose rejects it tells
    /// of, if what they lack has come meanwhile.
    pub(super) fn waiting_for(&self, job: &Job, tally: &Tally) -> Result<Vec<DeliveryId>, EngineError> {
        if job.plan.shadow {
            return Ok(Vec::new());
        }
        let mut waiting: BTreeSet<DeliveryId> = BTreeSet::new();
        if tally.inserted + tally.updated > 0 {
            let place = self.place(&job.plan);
            let lacking = self.ledger().view().lacking()?;
            let waits = lacking.into_iter().filter(|delivery| delivery.missing.contains_key(&place));
            waiting.extend(waits.map(|delivery| delivery.id));
        }
        if job.corrects.is_some() || tally.rejected > 0 {
            let of = job.corrects.unwrap_or(job.id);
            let found = self.ledger().view().by_id(of)?;
            if let Some(found) = found.filter(|found| !found.missing.is_empty() && found.rejects.open > 0)
                && self.is_due(&found, &self.mappings_by_place())?
            {
                waiting.insert(of);
            }
        }
        Ok(waiting.into_iter().collect())
    }

    /// The deliveries with rejects that lack a row of a table into which rows were loaded since they were tried.
    pub(super) fn due_lacking(&self) -> Result<Vec<DeliveryId>, EngineError> {
        let lacking = self.ledger().view().lacking()?;
        if lacking.is_empty() {
            return Ok(Vec::new());
        }
        let mappings = self.mappings_by_place();
        let mut due = Vec::new();
        for delivery in lacking {
            if self.is_due(&delivery, &mappings)? {
                due.push(delivery.id);
            }
        }
        Ok(due)
    }

    /// Tries again, one delivery after the other, what an earlier engine was kept from trying.
    pub(super) fn drain_lacking(
        &self,
        lanes: &mut Lanes,
        observer: &mut dyn Observer,
    ) -> Result<(), EngineError> {
        for delivery in self.due_lacking()? {
            if let TakenFile::Jobs(jobs) = self.take_lacking(delivery, observer)? {
                jobs.into_iter().for_each(|job| lanes.push(job, None));
                self.drain(lanes, observer)?;
            }
        }
        Ok(())
    }

    fn is_due(
        &self,
        delivery: &DeliveryState,
        mappings: &BTreeMap<String, Vec<String>>,
    ) -> Result<bool, EngineError> {
        let ledger = self.ledger();
        let view = ledger.view();
        let tried = view.tried_up_to(delivery.id)?;
        for mapping in delivery.missing.keys().filter_map(|place| mappings.get(place)).flatten() {
            if view.brought_after(mapping, tried)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The mappings of the site by the table that they load into.
    fn mappings_by_place(&self) -> BTreeMap<String, Vec<String>> {
        let mut mappings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for entry in self.site.catalog.iter() {
            if let Ok(plan) = &entry.plan {
                mappings.entry(self.place(plan)).or_default().push(plan.name.clone());
            }
        }
        mappings
    }

    /// Takes the rejects of a delivery that only lacked a row of another table, if something has become of at least one of
    /// them: it loads now, or something else is wrong with it.
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
        if former.rejects.open == 0 {
            return nothing;
        }
        let (seen, corrections) = {
            let ledger = self.ledger();
            (ledger.view().last_event()?, ledger.view().corrections_of(delivery)?)
        };
        if corrections.iter().any(|found| !found.state.is_final() && !found.state.needs_attention()) {
            // When that one ends, it is looked at again.
            return nothing;
        }
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
            if let Some(place) = former.place {
                self.record(delivery, vec![Event::RejectsOpened { place, missing: BTreeMap::new() }])?;
            }
            return nothing;
        }
        let tried = self.replay_job(&former, &correction, &plan, RETRIED)?;
        let failing = self.would_fail(&tried, observer);
        // Nothing was recorded, so nobody will ever ask for the copy.
        wire::discard(&tried.archive);
        let lacking = match failing {
            Ok(failing) if failing.lacking.len() < correction.len() => failing.lacking,
            Ok(_) => {
                self.record(delivery, vec![Event::RejectsTried { seen }])?;
                return nothing;
            }
            Err(Fault::Ledger(error)) => return Err(error.into()),
            Err(fault) => {
                observer.note(&format!(
                    "rejects of {} ({delivery}) cannot be tried again now: {fault}",
                    former.file
                ));
                return nothing;
            }
        };
        // What still lacks something stays as it is, and is not told of once more. Of what fails for another reason that
        // reason is kept, so that it is not tried for ever: a second row with a key of the file would load one day.
        let mut tells = |reject: &Reject| only_lacks(reject) && !lacking.contains(&reject.position.record);
        let correction = self.open_correction(&former, &plan, &mut tells)?;
        let mut jobs = vec![self.replay_job(&former, &correction, &plan, RETRIED)?];
        self.record_taken_with(&mut jobs, &[], vec![(delivery, Event::RejectsTried { seen })])?;
        Ok(TakenFile::Jobs(jobs))
    }

    /// The records of a delivery that would not load now: it is loaded, and undone again.
    fn would_fail(&self, job: &Job, observer: &mut dyn Observer) -> Result<Failing, Fault> {
        let all = || Ok(Failing::lack(self.records_of(job)?));
        if job.plan.shadow {
            return all();
        }
        let share = self.memory.share(job.size, false);
        let Ok(mut work) = self.validate(job, Mode::Beside, &share, None, observer)? else { return all() };
        let mut failing = Failing::default();
        for reject in work.rejects()? {
            let reject = reject?;
            failing.add(reject.position.record, only_lacks(&reject));
        }
        if work.seal.good == 0 {
            return Ok(failing);
        }
        let connection = job.plan.connection.as_deref();
        let target = self.targets.get(&self.site.settings, connection)?;
        let schema = job.plan.row_schema(&work.seal.layout);
        let load = LoadId { site: &self.identity.id, delivery: job.id };
        let _turn = self.site.settings.connection(connection).and_then(|found| self.targets.turn(found));
        let Begun::Open(mut open) = target.begin(load, &job.plan.table, schema)? else { return all() };
        let mut refusals = Vec::new();
        let written = write_all(&mut open, work.rows()?, None, &mut refusals, &mut |_| {})?;
        if !matches!(written, Written::All) || !finish(&mut *open, &mut work, &mut refusals)? {
            return all();
        }
        let no_parent =
            |refusal: &RowRefusal| refusal.rule == Rule::Target && refusal.message == MISSING_PARENT;
        for refusal in &refusals {
            failing.add(refusal.origin.record, no_parent(refusal));
        }
        Ok(failing)
    }

    /// The table that a column is looked up in, as the ledger names it; none for files, which no delivery loads.
    fn looked_up(&self, plan: &Plan, column: Option<u16>) -> Option<String> {
        let lookup = plan.columns.get(usize::from(column?))?.lookup.as_ref()?;
        match &plan.lookups.get(lookup.table)?.source {
            LookupSource::Table { connection, table } => Some(self.place_of(connection.as_deref(), table)),
            LookupSource::File(_) => None,
        }
    }

    /// A table as the ledger names it.
    pub(super) fn place_of(&self, connection: Option<&str>, table: &str) -> String {
        let key = self.site.settings.table_key(connection, table);
        format!("{}/{key}", connection.unwrap_or_default())
    }
}
