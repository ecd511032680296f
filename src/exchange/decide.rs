//! What a person decides about a delivery that waits for one: retry, approve, decline. The same for a command that works by
//! itself and for a request to the engine that runs.

use super::{
    DeliveryReport, Engine, EngineError, Observer, batches::Part, lanes::Lanes, recover::Plans,
    take::TakenFile,
};
use crate::{
    ledger::{Answer, DeliveryState, Event, Filter, IllegalTransition, LedgerError, Stop, Wish},
    model::{DeliveryId, Reason, State},
    targets::{Remembered, TargetError},
};

/// What came of a decision.
#[derive(Debug)]
pub enum Decided {
    /// The delivery waits for its turn again.
    GoesOn,
    /// It has ended.
    Ended(Box<DeliveryReport>),
}

impl Engine {
    /// Carries out a decision, after everything that was left unfinished, and then whatever it let go on. `id` is the
    /// delivery's id or the beginning of it.
    ///
    /// # Errors
    /// [`LedgerError`] when there is no such delivery or it does not wait for this decision; [`EngineError::Decision`] when
    /// it would do harm.
    pub fn decide(&self, wish: &Wish, by: &str, observer: &mut dyn Observer) -> Result<(), EngineError> {
        let mut recovered = self.recover_and_keep(observer)?;
        for report in recovered.set_aside {
            observer.ended(report);
        }
        if wish.takes() {
            match self.take_wished(wish, None)? {
                TakenFile::Jobs(jobs) => jobs.into_iter().for_each(|job| recovered.lanes.push(job, None)),
                TakenFile::Ended(report) => observer.ended(*report),
            }
        } else if let Decided::Ended(report) = self.carry_out(wish, by, None, &mut recovered.lanes)? {
            observer.ended(*report);
        }
        self.drain(&mut recovered.lanes, observer)?;
        self.drain_lacking(&mut recovered.lanes, observer)?;
        self.end_in_order();
        Ok(())
    }

    /// Records a decision, with the answer to the request that asked for it, and lets the lanes know.
    pub(super) fn carry_out(
        &self,
        wish: &Wish,
        by: &str,
        request: Option<u64>,
        lanes: &mut Lanes,
    ) -> Result<Decided, EngineError> {
        let (id, event) = match wish {
            Wish::Load { .. } | Wish::Replay { .. } | Wish::Rerun { .. } | Wish::Unknown => {
                return Err(EngineError::Decision("this is no decision about a delivery".to_owned()));
            }
            Wish::Retry { delivery } => (*delivery, Event::Retried { by: by.to_owned() }),
            Wish::Approve { delivery, rejected, deletes } => {
                let (rejected, deletes, by) = (*rejected, *deletes, by.to_owned());
                (*delivery, Event::Approved { rejected, deletes, by })
            }
            Wish::Decline { delivery } => return self.decline(*delivery, by, request, lanes),
            Wish::Ignore { delivery, records, reason } => {
                let events = self.ignore(*delivery, records.as_ref(), by, reason)?;
                self.record_answering(*delivery, events, &answers(request, None))?;
                return Ok(Decided::GoesOn);
            }
        };
        let delivery = self.known(id)?;
        self.refuse_older(&delivery)?;
        self.record_answering(id, vec![event], &answers(request, Some(id)))?;
        lanes.unblock(id);
        let delivery = self.known(id)?;
        match self.job_again(&delivery)? {
            Ok(job) => {
                lanes.push(job, None);
                Ok(Decided::GoesOn)
            }
            Err(problem) => {
                let message = format!("the mapping it was taken under does not run any more: {problem}");
                if let Some((lane, blocker)) = self.blocker_of(&delivery, None) {
                    lanes.block(&lane, blocker);
                }
                self.set_aside(&delivery, &message, true).map(|report| Decided::Ended(Box::new(report)))
            }
        }
    }

    pub(super) fn known(&self, id: DeliveryId) -> Result<DeliveryState, EngineError> {
        let found = self.ledger().view().by_id(id)?;
        Ok(found.ok_or_else(|| LedgerError::Unknown { wanted: id.to_string() })?)
    }

    /// A delivery of the same mapping that came later and is loaded, if there is one.
    pub(super) fn loaded_after(
        &self,
        delivery: &DeliveryState,
    ) -> Result<Option<DeliveryState>, EngineError> {
        let loaded = Filter {
            states: vec![State::Loaded, State::LoadedWithRejects],
            mapping: delivery.mapping.clone(),
            since_millis: Some(delivery.taken_at_millis),
            ..Filter::default()
        };
        let later = self.ledger().view().list(&loaded)?;
        for later in later.into_iter().filter(|later| later.corrects.is_none() && !later.is_shadow()) {
            // What stands for another came when that one came.
            let came = match later.reruns.filter(|_| later.restores) {
                Some(first) => self.known(first)?.arrival,
                None => later.arrival,
            };
            if came > delivery.arrival {
                return Ok(Some(later));
            }
        }
        Ok(None)
    }

    /// Old values must not replace new ones without anybody noticing. Of a correction that is seen row by row.
    fn refuse_older(&self, delivery: &DeliveryState) -> Result<(), EngineError> {
        let later = if delivery.corrects.is_some() { None } else { self.loaded_after(delivery)? };
        match later {
            Some(later) if delivery.state.needs_attention() => Err(EngineError::Decision(format!(
                "{} ({}) came later and is loaded already, so loading {} now would put older values over newer ones; \
                 `decline` this one, or `wharf load --again` the later file after it",
                later.file, later.id, delivery.id
            ))),
            _ => Ok(()),
        }
    }

    /// Ends a held or failed delivery without loading it, unless its rows are in the target.
    fn decline(
        &self,
        id: DeliveryId,
        by: &str,
        request: Option<u64>,
        lanes: &mut Lanes,
    ) -> Result<Decided, EngineError> {
        let delivery = self.known(id)?;
        if !delivery.state.needs_attention() {
            let state = delivery.state;
            return Err(
                LedgerError::from(IllegalTransition::Not { delivery: id, state, event: "declined" }).into()
            );
        }
        let plan = self.plan_of(&delivery, &mut Plans::new())?;
        let is_loaded = match plan.as_ref().map(|plan| self.remembered_of(id, plan)) {
            Ok(Ok(found)) => found == Remembered::Whole,
            // It may have the rows, and answers later.
            Ok(Err(error @ TargetError::Passing(_))) => {
                return Err(EngineError::Decision(format!(
                    "the database cannot be asked whether it has the rows of {id}, so it cannot be declined now: {error}"
                )));
            }
            Ok(Err(_)) | Err(_) => false,
        };
        if is_loaded || delivery.tally.is_some_and(|tally| tally.loaded() > 0 && tally.withheld == 0) {
            return Err(EngineError::Decision(format!(
                "the rows of {id} are in the database already, only its reports or its record are missing: mend the cause, then \
                 retry it"
            )));
        }
        let part = plan.ok().and_then(|plan| self.part_in_target(id, &plan));
        let stays = part.map_or_else(String::new, |part| format!("; {}", part.stays()));
        let stop = Stop {
            reason: delivery.reason.unwrap_or(Reason::Fault),
            message: format!(
                "declined by {by}{stays}; before: {}",
                delivery.message.as_deref().unwrap_or("no message")
            ),
            tally: delivery
                .tally
                .filter(|tally| tally.read > 0)
                .or_else(|| part.map(Part::tally_alone))
                .unwrap_or_default(),
            deletes: 0,
            reports: delivery.reports.clone(),
            worked_millis: delivery.worked_millis.unwrap_or(0),
        };
        let (message, tally) = (stop.message.clone(), stop.tally);
        self.record_answering(id, vec![Event::Refused(stop)], &answers(request, Some(id)))?;
        lanes.unblock(id);
        self.forget_refusals(id);
        self.forget_work(id);
        let mut report = DeliveryReport::of(&delivery, State::Refused);
        (report.message, report.tally) = (Some(message), tally);
        Ok(Decided::Ended(Box::new(report)))
    }
}

fn answers(request: Option<u64>, delivery: Option<DeliveryId>) -> Vec<(u64, Answer)> {
    let deliveries = delivery.into_iter().collect();
    request.map(|number| (number, Answer::Accepted { deliveries })).into_iter().collect()
}
