//! What an engine finds when it begins: deliveries that an earlier one left unfinished, and those that wait for a person.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use super::{
    DeliveryReport, Engine, EngineError, Observer, backoff,
    corrections::corrected_plan,
    lanes::{Blocker, LaneId, Lanes, Wait},
    load,
    take::{self, Job},
};
use crate::{
    ledger::{DeliveryState, Event, Found, NAMED, Recovery, Stop},
    mapping::{compile, plan::Plan},
    model::{DeliveryId, Reason, State},
    sources::folder,
    wire,
};

/// An answer is kept for a day: whoever asked has read it by then.
const ANSWER_MILLIS: u64 = 24 * 60 * 60 * 1000;
/// A delivery that ended the program so often in a row is not picked up again by itself: it would keep all others waiting.
const MOST_UNENDED: u32 = 3;

/// What was found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// What waits for its turn, and what keeps others waiting.
    pub lanes: Lanes,
    /// Deliveries that were set aside, as they ended the program too often or cannot run any more.
    pub set_aside: Vec<DeliveryReport>,
    /// The same for people.
    pub found: Recovery,
}

/// Plans by fingerprint; those that do not run any more with the reason.
pub(super) type Plans = HashMap<String, Result<Arc<Plan>, String>>;

impl Engine {
    /// Finds what an earlier run was kept from finishing, and puts it in its lanes. `note` is told in words.
    ///
    /// # Errors
    /// When the site itself fails.
    pub fn recover(&self, note: &mut dyn FnMut(&str)) -> Result<Recovered, EngineError> {
        let now_millis = self.clock.unix_millis();
        let mut found =
            Recovery { at_millis: now_millis, command: self.command.clone(), ..Recovery::default() };
        if self.was_left_behind() {
            found.removed = self.sweep(note)?;
        }
        self.ledger().forget_answers(now_millis.saturating_sub(ANSWER_MILLIS))?;
        let unfinished = self.ledger().view().unfinished()?;
        let seen = self.ledger().view().last_event()?;
        self.sweep_work(&unfinished);
        let (mut recovered, mut plans) = (Recovered::default(), Plans::new());
        let mut picked_up = Vec::new();
        for delivery in &unfinished {
            let plan = self.plan_of(delivery, &mut plans)?;
            if delivery.state.needs_attention() {
                if let Some((lane, blocker)) = self.blocker_of(delivery, plan.as_deref().ok()) {
                    recovered.lanes.block(&lane, blocker);
                }
                continue;
            }
            if delivery.state == State::Waiting {
                found.waiting += 1;
            } else {
                found.unfinished += 1;
                if found.deliveries.len() < NAMED {
                    found.deliveries.push(Found { delivery: delivery.id, was: delivery.state, seen });
                    note(&format!(
                        "{} ({}) was left {} by an earlier run; finishing it",
                        delivery.file,
                        delivery.id,
                        delivery.state.code()
                    ));
                }
            }
            if let Some(report) = self.half_taken(delivery)? {
                recovered.set_aside.push(report);
                continue;
            }
            let ends_us = delivery.state == State::Running && delivery.unended >= MOST_UNENDED;
            let stopped = match &plan {
                // What is in the database only has to be reported and recorded.
                _ if ends_us && !plan.as_ref().is_ok_and(|plan| self.is_in_target(delivery.id, plan)) => {
                    let part = plan.as_ref().ok().and_then(|plan| self.part_in_target(delivery.id, plan));
                    let goes_on = part.map_or_else(String::new, |part| {
                        format!("; {}, and `retry` goes on there", part.stays())
                    });
                    let message = format!(
                        "{MOST_UNENDED} attempts in a row ended without an outcome, so it is set aside; other files go on{goes_on}"
                    );
                    Err((message, false))
                }
                // What it has come to stays open: whatever is wrong can be put right.
                Err(problem) => {
                    Err((format!("the mapping it was taken under does not run any more: {problem}"), true))
                }
                Ok(plan) => Ok(self.job_of(delivery, plan)?),
            };
            match stopped {
                Ok(job) => {
                    if delivery.state == State::Running {
                        let text = "picked up again: the run before ended without finishing it".to_owned();
                        picked_up.push((delivery.id, Event::Noted { text }));
                    }
                    let due = delivery.not_before_millis.map(|due| self.due(due));
                    recovered.lanes.push(job, due);
                }
                Err((message, retryable)) => {
                    recovered.set_aside.push(self.set_aside(delivery, &message, retryable)?);
                    if let Some((lane, blocker)) = self.blocker_of(delivery, plan.as_deref().ok()) {
                        recovered.lanes.block(&lane, blocker);
                    }
                }
            }
        }
        let more = found.unfinished.saturating_sub(found.deliveries.len() as u64);
        if more > 0 {
            note(&format!("and {more} more were left unfinished; finishing them"));
        }
        let waits = recovered.lanes.newly_waiting();
        let known: HashMap<DeliveryId, Option<DeliveryId>> =
            unfinished.iter().map(|delivery| (delivery.id, delivery.other)).collect();
        let news = waits.iter().filter(|(id, wait)| known.get(id) != Some(&Some(load::words(wait).0)));
        picked_up.extend(news.map(|(id, wait)| (*id, waiting(wait))));
        self.ledger().append(now_millis, &picked_up)?;
        recovered.found = found;
        Ok(recovered)
    }

    /// [`Engine::recover`] for a command that looks at no source: what was found is kept at once, if it is anything.
    ///
    /// # Errors
    /// When the site itself fails.
    pub(super) fn recover_and_keep(&self, observer: &mut dyn Observer) -> Result<Recovered, EngineError> {
        let recovered = self.recover(&mut |text| observer.note(text))?;
        if !recovered.found.is_empty() {
            self.ledger().keep_recovery(&recovered.found)?;
        }
        Ok(recovered)
    }

    /// Ends a delivery whose file was written to after it was copied, as far as its source still shows it: nothing of the copy
    /// is loaded, and the file comes again.
    fn half_taken(&self, delivery: &DeliveryState) -> Result<Option<DeliveryReport>, EngineError> {
        let (Some(path), Some(stamp)) = (&delivery.source_path, &delivery.stamp) else { return Ok(None) };
        if delivery.attempts > 0 || !folder::was_written_to(path, stamp) {
            return Ok(None);
        }
        self.record(delivery.id, vec![Event::Refused(take::stop(Reason::Changed, take::WRITTEN_TO, 0))])?;
        let mut report = DeliveryReport::of(delivery, State::Refused);
        (report.reason, report.message) = (Some(Reason::Changed), Some(take::WRITTEN_TO.to_owned()));
        Ok(Some(report))
    }

    /// When something may be tried again, by the clock that never goes back. The wall clock may have been set meanwhile: no
    /// pause is ever longer than the longest.
    fn due(&self, not_before_millis: u64) -> Duration {
        let left = Duration::from_millis(not_before_millis.saturating_sub(self.clock.unix_millis()));
        self.clock.elapsed() + left.min(backoff::LONGEST)
    }

    /// Removes files in the making that a killed run left behind. Whole files are never removed, known or not.
    fn sweep(&self, note: &mut dyn FnMut(&str)) -> Result<u64, EngineError> {
        let mut removed = 0;
        let folders = &self.folders;
        let reports = [folders.all_reports(), folders.all_shadow_reports()];
        for root in [folders.rejects(), folders.archive(), folders.work()].into_iter().chain(reports) {
            for entry in walkdir::WalkDir::new(root).into_iter().flatten() {
                if entry.file_type().is_dir() {
                    removed += wire::atomic::remove_leftovers(entry.path())?;
                }
            }
        }
        if removed > 0 {
            note(&format!("removed {removed} unfinished files that an earlier run left behind"));
        }
        Ok(removed)
    }

    /// The plan that is in force for a delivery, or why there is none.
    pub(super) fn plan_of(
        &self,
        delivery: &DeliveryState,
        plans: &mut Plans,
    ) -> Result<Result<Arc<Plan>, String>, EngineError> {
        let fingerprint = delivery.plan.clone().unwrap_or_default();
        let entry = match plans.entry(fingerprint) {
            Entry::Occupied(known) => return Ok(known.get().clone()),
            Entry::Vacant(entry) => entry,
        };
        let plan = match self.ledger().view().plan(entry.key())? {
            Some(kept) => {
                let file = format!("{}.toml (as it was)", kept.name);
                compile(&kept.name, &file, &kept.toml, &self.site.settings.connections)
                    .map(Arc::new)
                    .map_err(|broken| broken.problems.to_string())
            }
            None => Err("the ledger does not have it".to_owned()),
        };
        Ok(entry.insert(plan).clone())
    }

    /// The delivery as it will run from the archive under the plan that was in force.
    pub(super) fn job_of(&self, delivery: &DeliveryState, plan: &Arc<Plan>) -> Result<Job, EngineError> {
        // A correction has the place and the name of the file that it corrects.
        let corrects = match delivery.corrects {
            Some(of) => Some(self.known(of)?),
            None => None,
        };
        let of = corrects.as_ref().unwrap_or(delivery);
        let modified_nanos = of.modified_nanos.unwrap_or_default().into();
        let waited = Duration::from_millis(self.clock.unix_millis().saturating_sub(delivery.taken_at_millis));
        Ok(Job {
            id: delivery.id,
            arrival: delivery.arrival,
            file: delivery.source_path.clone().unwrap_or_else(|| PathBuf::from(delivery.file.to_string())),
            name: of.file.clone(),
            source: delivery.source.clone(),
            modified_nanos: delivery.modified_nanos,
            size: delivery.size,
            hash: delivery.hash,
            archive: self.folders.archive().join(&delivery.archive),
            verify: true,
            plan: match delivery.corrects {
                Some(_) => corrected_plan(plan, BTreeMap::new()),
                None => Arc::clone(plan),
            },
            lane: self.lane(plan),
            order: plan.order_key(&of.file.to_text(), modified_nanos),
            waits_until: self.clock.elapsed() + plan.wait_limit.saturating_sub(waited),
            new_copy: false,
            pending: Vec::new(),
            attempts: delivery.attempts,
            postponed: delivery.postponed,
            approved_rejects: delivery.approved_rejects,
            approved_deletes: delivery.approved_deletes,
            // A person asked for the same bytes once more.
            again: delivery.reruns.is_some(),
            corrects: delivery.corrects,
            reruns: delivery.reruns,
            restores: delivery.restores,
        })
    }

    /// The job of a delivery that a person lets go on.
    pub(super) fn job_again(&self, delivery: &DeliveryState) -> Result<Result<Job, String>, EngineError> {
        let plan = self.plan_of(delivery, &mut Plans::new())?;
        Ok(match plan {
            Ok(plan) => Ok(self.job_of(delivery, &plan)?),
            Err(problem) => Err(problem),
        })
    }

    /// What a held or failed delivery is to the others of its table. Without its own plan, the mapping as it is today
    /// tells the table.
    pub(super) fn blocker_of(
        &self,
        delivery: &DeliveryState,
        plan: Option<&Plan>,
    ) -> Option<(LaneId, Blocker)> {
        let mapping = delivery.mapping.clone().filter(|_| delivery.corrects.is_none())?;
        let lane = match plan {
            Some(plan) => self.lane(plan),
            None => self.lane(&*self.site.catalog.get(&mapping).ok()?),
        };
        let modified_nanos = delivery.modified_nanos.unwrap_or_default().into();
        let order = plan.map(|plan| plan.order_key(&delivery.file.to_text(), modified_nanos));
        Some((
            lane,
            Blocker { id: delivery.id, arrival: delivery.arrival, order, mapping, hash: delivery.hash },
        ))
    }

    /// Records that a delivery cannot be brought to its end, and leaves it to a person.
    pub(super) fn set_aside(
        &self,
        delivery: &DeliveryState,
        message: &str,
        retryable: bool,
    ) -> Result<DeliveryReport, EngineError> {
        let stop = Stop {
            reason: Reason::Fault,
            message: message.to_owned(),
            tally: delivery.tally.unwrap_or_default(),
            deletes: 0,
            reports: delivery.reports.clone(),
            worked_millis: 0,
        };
        let mut events = Vec::new();
        if delivery.state != State::Running {
            events.push(Event::Started { attempt: delivery.attempts + 1, plan: None, lookups: None });
        }
        events.push(Event::Failed { stop, retryable });
        self.record(delivery.id, events)?;
        let mut report = DeliveryReport::of(delivery, State::Failed);
        (report.reason, report.message) = (Some(Reason::Fault), Some(message.to_owned()));
        Ok(report)
    }
}

/// The event that says what a delivery waits for.
pub(super) fn waiting(wait: &Wait) -> Event {
    let (blocker, why) = load::words(wait);
    Event::Waiting { blocker: Some(blocker), why: Some(why) }
}
