//! Loaded once more: the archived file of a delivery, or its corrections, because a person wants it so.
//!
//! Where the target has forgotten a delivery, as a database does that was put back to an older state, the new delivery stands
//! for it from then on: it is in its turn, takes over what became of its rejects, and lets rows vanish if that one did.
//! Otherwise it is what it is: older values, put over newer ones only if whoever asks says that this is known.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use super::{
    Engine, EngineError,
    corrections::{REPLAY, corrected_plan},
    reconcile::LoadsOf,
    recover::Plans,
    retrying::RETRIED,
    take::{Archived, Job, Origin, TakenFile},
};
use crate::{
    ledger::{Closing, DeliveryState, Event},
    mapping::Plan,
    model::{DeliveryId, State},
    targets::{LoadId, Mode, Remembered, Target},
};

/// The source of files that are loaded once more from the archive.
pub const RERUN: &str = "rerun";

/// Deliveries looked at together.
const PAGE: u32 = 1_000;

impl Engine {
    /// Takes the archived file of a delivery, or its corrections, once more, as a new delivery under its mapping as it is
    /// today.
    ///
    /// # Errors
    /// When the copy is gone, the mapping is not valid, its target cannot be asked, or newer values are in the way and `older`
    /// does not say that this is known.
    pub(super) fn take_rerun(
        &self,
        delivery: DeliveryId,
        plan: Option<&str>,
        older: bool,
        request: Option<u64>,
    ) -> Result<TakenFile, EngineError> {
        let named = self.known(delivery)?;
        // What stands for another is that one, loaded again.
        let former = match named.reruns.filter(|_| named.restores) {
            Some(first) => self.known(first)?,
            None => named,
        };
        if !former.state.is_final() {
            return Err(EngineError::Decision(format!(
                "{delivery} has not come to its end: `retry`, `approve` or `decline` it first"
            )));
        }
        let forgotten = self.is_forgotten(&former)?;
        let job = match former.corrects {
            Some(of) => self.corrections_again(&former, of, plan, older, forgotten)?,
            None => self.file_again(&former, plan, older, forgotten)?,
        };
        self.taken_jobs(vec![job], request)
    }

    fn file_again(
        &self,
        former: &DeliveryState,
        plan: Option<&str>,
        older: bool,
        forgotten: bool,
    ) -> Result<Job, EngineError> {
        let delivery = former.id;
        let later = if forgotten { self.later_in_target(former)? } else { self.loaded_after(former)? };
        if let Some(later) = later.as_ref().filter(|_| !older) {
            return Err(EngineError::Decision(format!(
                "{} ({}) came later and is loaded already, so loading {delivery} again would put older values over newer \
                 ones; if that is what you want, `wharf rerun --older {delivery}`, and then rerun the later files in their \
                 order",
                later.file, later.id
            )));
        }
        let corrected = self.corrected_by_people(former, forgotten)?;
        if corrected > 0 && !older {
            return Err(EngineError::Decision(format!(
                "{corrected} of its rejects have been corrected and loaded since, so loading {delivery} again may put the values \
                 of the file over those of people; if that is what you want, `wharf rerun --older {delivery}`"
            )));
        }
        let plan = self.plan_of_today(former, plan)?;
        // Rows vanish only for whoever is in its turn.
        let restores = forgotten && (later.is_none() || plan.table.mirror.is_none());
        let mut job = self.archived_job(former, &plan)?;
        (job.again, job.verify, job.reruns, job.restores) = (true, true, Some(delivery), restores);
        for event in &mut job.pending {
            if let Event::Taken(taken) = event {
                (taken.reruns, taken.restores) = (Some(delivery), restores);
            }
        }
        Ok(job)
    }

    fn corrections_again(
        &self,
        former: &DeliveryState,
        of: DeliveryId,
        plan: Option<&str>,
        older: bool,
        forgotten: bool,
    ) -> Result<Job, EngineError> {
        let delivery = former.id;
        if !forgotten && !older {
            return Err(EngineError::Decision(format!(
                "{delivery} is a correction, and no whole file: `wharf rerun {of}` loads the file that it corrects, `wharf \
                 replay {of}` what is still open of it"
            )));
        }
        let corrects = self.stands_for(of)?;
        if self.is_forgotten(&corrects)? {
            return Err(EngineError::Decision(format!(
                "{delivery} corrects {of}, which the database does not have either: `wharf rerun {of} {delivery}`"
            )));
        }
        let plan = self.plan_of_today(former, plan)?;
        let mut job = self.archived_job(former, &plan)?;
        let modified_nanos = corrects.modified_nanos.unwrap_or_default().into();
        job.order = plan.order_key(&corrects.file.to_text(), modified_nanos);
        (job.name, job.plan) = (corrects.file.clone(), corrected_plan(&plan, BTreeMap::new()));
        job.waits_until = self.clock.elapsed();
        (job.again, job.verify, job.corrects) = (true, true, Some(corrects.id));
        (job.reruns, job.restores) = (Some(delivery), forgotten);
        for event in &mut job.pending {
            if let Event::Taken(taken) = event {
                (taken.corrects, taken.returned) = (Some(corrects.id), former.returned.clone());
                (taken.reruns, taken.restores) = (Some(delivery), forgotten);
            }
        }
        Ok(job)
    }

    /// A delivery of the bytes that the archive has of a former one.
    fn archived_job(&self, former: &DeliveryState, plan: &Arc<Plan>) -> Result<Job, EngineError> {
        let path = self.folders.archive().join(&former.archive);
        let gone = || {
            let shown = self.folders.from_site(&path);
            EngineError::Decision(format!("the archived copy {shown} is gone; load the original file again"))
        };
        if !path.is_file() {
            return Err(gone());
        }
        let name = former.file.to_string();
        let origin = Origin {
            source: RERUN,
            path: former.source_path.as_deref().unwrap_or(Path::new(&name)),
            name: &former.file,
            modified_nanos: former.modified_nanos.unwrap_or_default().into(),
            stamp: None,
            evidence: None,
        };
        let (id, hash, size) = (self.new_id()?, former.hash, former.size);
        let archived = Archived { id, hash, size, path: path.clone(), is_new: false, copied: None };
        self.jobs(&origin, &archived, std::slice::from_ref(plan))?.pop().ok_or_else(gone)
    }

    /// This delivery, and those that loaded it once more.
    pub(super) fn standing_for(
        &self,
        delivery: DeliveryId,
    ) -> Result<BTreeSet<DeliveryId>, crate::ledger::LedgerError> {
        let again = self.ledger().view().reruns_of(delivery)?;
        Ok(again.into_iter().map(|found| found.id).chain([delivery]).collect())
    }

    /// The delivery that loaded this one last: itself, or a rerun of it.
    fn stands_for(&self, delivery: DeliveryId) -> Result<DeliveryState, EngineError> {
        let mut again = self.ledger().view().reruns_of(delivery)?;
        again.retain(is_loaded);
        again.pop().map_or_else(|| self.known(delivery), Ok)
    }

    /// The target of a delivery, as its plan was when it was loaded or else is today.
    fn target_of(&self, delivery: &DeliveryState) -> Result<Arc<dyn Target>, EngineError> {
        let plan = match self.plan_of(delivery, &mut Plans::new())? {
            Ok(plan) => plan,
            Err(_) => self.plan_of_today(delivery, None)?,
        };
        Ok(self.targets.get(&self.site.settings, plan.connection.as_deref())?)
    }

    /// True when a delivery brought something into its target, and the target does not know it any more, nor any delivery that
    /// loaded it once more.
    ///
    /// # Errors
    /// When the target cannot be asked.
    pub(super) fn is_forgotten(&self, delivery: &DeliveryState) -> Result<bool, EngineError> {
        if !is_loaded(delivery) || !delivery.has_brought() {
            return Ok(false);
        }
        let target = self.target_of(delivery)?;
        for id in self.standing_for(delivery.id)? {
            if target.remembers(LoadId { site: &self.identity.id, delivery: id })? == Remembered::Whole {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A delivery of the same mapping that was loaded after this one, and that the target has.
    fn later_in_target(&self, former: &DeliveryState) -> Result<Option<DeliveryState>, EngineError> {
        let Some(place) = former.settled else { return Ok(None) };
        let mode = self.plan_of_today(former, None).map(|plan| plan.table.mode);
        if matches!(mode, Ok(Mode::Insert)) {
            return Ok(None); // rows that are there are never replaced
        }
        let mut later: BTreeMap<DeliveryId, DeliveryState> = BTreeMap::new();
        let mut after = place;
        loop {
            let page = self.ledger().view().loaded_after(former.mapping.as_deref(), after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = last.settled.unwrap_or(u64::MAX);
            for found in page.into_iter().filter(|found| found.corrects.is_none()) {
                let first = match found.reruns.filter(|_| found.restores) {
                    Some(first) => self.known(first)?.settled,
                    None => found.settled,
                };
                if first > Some(place) {
                    later.insert(found.id, found);
                }
            }
        }
        let Some((first, _)) = later.first_key_value() else { return Ok(None) };
        let target = self.target_of(former)?;
        let mut loads = LoadsOf::from(&*target, &self.identity.id, *first);
        while let Some(id) = loads.next()? {
            if let Some(found) = later.remove(&id) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// How many rejects of a delivery have been loaded with values that people gave; of one that is `forgotten`, only what the
    /// target still has counts.
    fn corrected_by_people(&self, delivery: &DeliveryState, forgotten: bool) -> Result<u64, EngineError> {
        let closed = self.ledger().view().reject_states(delivery.id)?;
        let mut count = 0;
        for (closing, records) in closed.closed() {
            let Closing::Corrected { delivery: by } = closing else { continue };
            let Some(by) = self.ledger().view().by_id(*by)? else { continue };
            let by_itself = [REPLAY, RETRIED].contains(&by.source.as_str());
            if by_itself || (forgotten && self.is_forgotten(&by)?) {
                continue;
            }
            count += records.count();
        }
        Ok(count)
    }
}

fn is_loaded(delivery: &DeliveryState) -> bool {
    matches!(delivery.state, State::Loaded | State::LoadedWithRejects) && !delivery.is_shadow()
}
