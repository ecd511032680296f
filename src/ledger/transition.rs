//! The one transition function: what a delivery is, is what its events make of it.
//!
//! ```text
//! (nothing) -> taken -> waiting -> running -> loaded | loaded_with_rejects
//! taken, waiting, running, held, failed    -> refused | overtaken
//! taken, waiting, running                  -> duplicate
//! taken, waiting, held, failed, running    -> running          (an attempt begins; again after a crash)
//! running                                  -> held | failed
//! running                                  -> waiting          (postponed by a fault; interrupted)
//! held                                     -> waiting          (approved)
//! held, failed                             -> waiting          (another attempt was asked for)
//! ```
//!
//! A delivery has at most one outcome: after it only reports and notes are added. A tally that does not balance is
//! not accepted.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{
    closing::{Closing, Ranges},
    event::{Event, Stop},
    state::{DeliveryState, Place},
};
use crate::model::{DeliveryId, Reason, State, Tally};

/// An event that cannot happen to a delivery as it stands: an error of the program or a damaged ledger.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IllegalTransition {
    /// The first event must be `taken`.
    #[error("delivery {delivery} cannot be `{event}`: it was never taken")]
    Unknown {
        /// The delivery.
        delivery: DeliveryId,
        /// The event.
        event: &'static str,
    },
    /// Its state does not allow it.
    #[error("delivery {delivery} is `{}`, so it cannot be `{event}`", state.code())]
    Not {
        /// The delivery.
        delivery: DeliveryId,
        /// Where it stands.
        state: State,
        /// The event.
        event: &'static str,
    },
    /// Attempts are counted without gaps.
    #[error("delivery {delivery}: attempt {found} cannot follow {before} earlier ones")]
    Attempt {
        /// The delivery.
        delivery: DeliveryId,
        /// Attempts so far.
        before: u32,
        /// The number given.
        found: u32,
    },
    /// More rejects are closed than are open.
    #[error("delivery {delivery}: {closed} rejects cannot be closed when {open} are open")]
    Rejects {
        /// The delivery.
        delivery: DeliveryId,
        /// Its open rejects.
        open: u64,
        /// Those that were to be closed.
        closed: u64,
    },
    /// Records are lost or counted twice.
    #[error("delivery {delivery}: the counts of {what} do not balance: {tally:?}")]
    Unbalanced {
        /// The delivery.
        delivery: DeliveryId,
        /// "the delivery", or the table.
        what: String,
        /// The counts.
        tally: Tally,
    },
}

/// What an event makes of a delivery. The only place where a state changes.
///
/// # Errors
/// When the event cannot follow those before it, or its counts do not balance.
pub fn apply(
    state: Option<DeliveryState>,
    place: Place,
    event: &Event,
) -> Result<DeliveryState, IllegalTransition> {
    let Some(mut state) = state else {
        return match event {
            Event::Taken(taken) => Ok(DeliveryState::new(place, taken)),
            other => Err(IllegalTransition::Unknown { delivery: place.delivery, event: other.name() }),
        };
    };
    if !allowed(state.state, event) {
        let (delivery, state) = (state.id, state.state);
        return Err(IllegalTransition::Not { delivery, state, event: event.name() });
    }
    match event {
        Event::Taken(_) | Event::Noted { .. } => {}
        Event::Waiting { blocker, why } => {
            state.enter(State::Waiting, place);
            state.other = *blocker;
            state.message.clone_from(why);
        }
        Event::Postponed { message, not_before, worked_millis } => {
            state.enter(State::Waiting, place);
            state.message = Some(message.clone());
            state.not_before_millis = Some(*not_before);
            state.postponed += 1;
            state.worked_millis = Some(*worked_millis);
        }
        Event::Interrupted => {
            state.enter(State::Waiting, place);
            state.attempts = state.attempts.saturating_sub(1);
        }
        Event::Started { attempt, plan, lookups } => {
            start(&mut state, place, *attempt, plan.as_ref())?;
            // An attempt that only settles what an earlier one did looks nothing up.
            if plan.is_some() {
                state.lookups.clone_from(lookups);
            }
        }
        Event::Validated { violations, .. } => state.violations.clone_from(violations),
        Event::Loaded { tally, tables, message, reports, worked_millis } => {
            check_loaded(state.id, tally, tables)?;
            let clean = tally.rejected == 0;
            state.enter(if clean { State::Loaded } else { State::LoadedWithRejects }, place);
            state.tally = Some(*tally);
            state.tables.clone_from(tables);
            state.message.clone_from(message);
            state.reports = reports.clone();
            state.worked_millis = Some(*worked_millis);
            // What a correction could not load stays a reject of the delivery it corrects, and a shadow run has loaded
            // nothing.
            let is_open = state.corrects.is_none() && !tables.is_empty();
            state.rejects.open = if is_open { tally.rejected } else { 0 };
        }
        Event::RejectsOpened { place, missing } => {
            state.place = Some(place.clone());
            state.missing.clone_from(missing);
        }
        Event::RejectsTried { .. } => {}
        Event::RejectsClosed { how, records } => close(&mut state, how, records)?,
        Event::Refused(stop) => stopped(&mut state, State::Refused, place, stop)?,
        Event::Held(stop) => stopped(&mut state, State::Held, place, stop)?,
        Event::Failed { stop, retryable } => {
            stopped(&mut state, State::Failed, place, stop)?;
            state.retryable = *retryable;
        }
        Event::Duplicate { of } => {
            state.enter(State::Duplicate, place);
            state.reason = Some(Reason::SameContent);
            state.other = Some(*of);
        }
        Event::Overtaken { by, .. } => {
            state.enter(State::Overtaken, place);
            state.other = Some(*by);
        }
        Event::Approved { rejected, deletes, .. } => {
            state.enter(State::Waiting, place);
            (state.approved_rejects, state.approved_deletes) = (Some(*rejected), Some(*deletes));
            state.postponed = 0;
        }
        Event::Retried { .. } => {
            state.enter(State::Waiting, place);
            state.postponed = 0;
        }
        Event::ReportsWritten { reports } => state.reports = reports.clone(),
    }
    Ok(state)
}

fn allowed(state: State, event: &Event) -> bool {
    use State::{Failed, Held, Running, Taken, Waiting};
    match event {
        Event::Taken(_) => false,
        Event::Waiting { .. } => matches!(state, Taken | Waiting),
        Event::Started { .. } | Event::Refused(_) | Event::Overtaken { .. } => !state.is_final(),
        Event::Duplicate { .. } => matches!(state, Taken | Waiting | Running),
        Event::Validated { .. }
        | Event::Loaded { .. }
        | Event::Held(_)
        | Event::Failed { .. }
        | Event::Postponed { .. }
        | Event::Interrupted => state == Running,
        Event::Approved { .. } => state == Held,
        Event::Retried { .. } => matches!(state, Held | Failed),
        Event::ReportsWritten { .. } => state != Taken && state != Waiting,
        Event::RejectsOpened { .. } | Event::RejectsTried { .. } | Event::RejectsClosed { .. } => {
            state == State::LoadedWithRejects
        }
        Event::Noted { .. } => true,
    }
}

fn close(state: &mut DeliveryState, how: &Closing, records: &Ranges) -> Result<(), IllegalTransition> {
    let counts = &mut state.rejects;
    let (delivery, open, closed) = (state.id, counts.open, records.count());
    counts.open = open.checked_sub(closed).ok_or(IllegalTransition::Rejects { delivery, open, closed })?;
    match how {
        Closing::Corrected { .. } => counts.corrected += closed,
        Closing::Overtaken { .. } => counts.overtaken += closed,
        Closing::Ignored { .. } => counts.ignored += closed,
    }
    if counts.open == 0 {
        state.missing.clear();
    }
    Ok(())
}

fn start(
    state: &mut DeliveryState,
    place: Place,
    attempt: u32,
    plan: Option<&String>,
) -> Result<(), IllegalTransition> {
    if state.attempts.checked_add(1) != Some(attempt) {
        let (delivery, before) = (state.id, state.attempts);
        return Err(IllegalTransition::Attempt { delivery, before, found: attempt });
    }
    state.enter(State::Running, place);
    state.attempts = attempt;
    state.unended += 1;
    (state.tally, state.worked_millis) = (None, None);
    state.tables.clear();
    state.violations.clear();
    if let Some(plan) = plan {
        state.plan = Some(plan.clone());
    }
    Ok(())
}

fn stopped(state: &mut DeliveryState, to: State, place: Place, stop: &Stop) -> Result<(), IllegalTransition> {
    balance(state.id, "the delivery", &stop.tally)?;
    state.stop(to, place, stop);
    Ok(())
}

/// A loaded delivery withholds nothing, and its books balance, as a whole and by table.
fn check_loaded(
    delivery: DeliveryId,
    tally: &Tally,
    tables: &BTreeMap<String, Tally>,
) -> Result<(), IllegalTransition> {
    balance(delivery, "the delivery", tally)?;
    if tally.withheld != 0 {
        return Err(IllegalTransition::Unbalanced { delivery, what: "the delivery".into(), tally: *tally });
    }
    tables.iter().try_for_each(|(table, tally)| balance(delivery, &format!("table {table}"), tally))
}

fn balance(delivery: DeliveryId, what: &str, tally: &Tally) -> Result<(), IllegalTransition> {
    if tally.balances() {
        return Ok(());
    }
    Err(IllegalTransition::Unbalanced { delivery, what: what.into(), tally: *tally })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::{Reports, event::tests::every};

    /// (state, event, states it may lead to): the design's table, written a second time.
    const TABLE: &[(&str, &str, &[&str])] = &[
        ("", "taken", &["taken"]),
        ("taken", "waiting", &["waiting"]),
        ("taken", "started", &["running"]),
        ("taken", "refused", &["refused"]),
        ("taken", "duplicate", &["duplicate"]),
        ("taken", "overtaken", &["overtaken"]),
        ("waiting", "waiting", &["waiting"]),
        ("waiting", "started", &["running"]),
        ("waiting", "refused", &["refused"]),
        ("waiting", "duplicate", &["duplicate"]),
        ("waiting", "overtaken", &["overtaken"]),
        ("running", "started", &["running"]),
        ("running", "validated", &["running"]),
        ("running", "loaded", &["loaded", "loaded_with_rejects"]),
        ("running", "refused", &["refused"]),
        ("running", "duplicate", &["duplicate"]),
        ("running", "overtaken", &["overtaken"]),
        ("running", "held", &["held"]),
        ("running", "failed", &["failed"]),
        ("running", "postponed", &["waiting"]),
        ("running", "interrupted", &["waiting"]),
        ("held", "approved", &["waiting"]),
        ("held", "retried", &["waiting"]),
        ("held", "started", &["running"]),
        ("held", "refused", &["refused"]),
        ("held", "overtaken", &["overtaken"]),
        ("failed", "retried", &["waiting"]),
        ("failed", "started", &["running"]),
        ("failed", "refused", &["refused"]),
        ("failed", "overtaken", &["overtaken"]),
    ];

    fn place(sequence: u64) -> Place {
        Place { sequence, delivery: DeliveryId::new(7, &[7; 10]), at_millis: 1000 + sequence }
    }

    fn may_lead_to(from: &str, event: &str) -> Vec<&'static str> {
        match event {
            "noted" if !from.is_empty() => vec!["same"],
            "reports_written" if !["", "taken", "waiting"].contains(&from) => vec!["same"],
            "rejects_opened" | "rejects_tried" | "rejects_closed" if from == "loaded_with_rejects" => {
                vec!["same"]
            }
            _ => TABLE
                .iter()
                .filter(|row| row.0 == from && row.1 == event)
                .flat_map(|row| row.2)
                .copied()
                .collect(),
        }
    }

    fn run(events: &[Event]) -> Result<DeliveryState, IllegalTransition> {
        let mut state = None;
        for (event, sequence) in events.iter().zip(1..) {
            state = Some(apply(state, place(sequence), event)?);
        }
        Ok(state.unwrap())
    }

    fn pick(name: &str, number: u32) -> Event {
        every(number).into_iter().find(|event| event.name() == name).unwrap()
    }

    fn story(names: &[&str]) -> Vec<Event> {
        names.iter().map(|name| pick(name, 1)).collect()
    }

    proptest! {
        #[test]
        fn no_sequence_of_events_leaves_the_table_or_gives_two_outcomes(
            steps in prop::collection::vec((0usize..19, 1u32..4), 1..60)
        ) {
            let mut state: Option<DeliveryState> = None;
            let mut outcomes = 0;
            for ((which, number), sequence) in steps.into_iter().zip(1..) {
                let event = every(number).swap_remove(which);
                let from = state.as_ref().map_or("", |state| state.state.code());
                let legal = may_lead_to(from, event.name());
                let was_final = state.as_ref().is_some_and(|state| state.state.is_final());
                match apply(state.clone(), place(sequence), &event) {
                    Ok(after) => {
                        let to = if after.state.code() == from && legal == ["same"] { "same" } else { after.state.code() };
                        prop_assert!(legal.contains(&to), "{from} -{}-> {to}", event.name());
                        prop_assert!(after.tally.is_none_or(|tally| tally.balances()));
                        prop_assert_eq!(after.settled.is_some(), after.state.is_final());
                        outcomes += usize::from(after.state.is_final() && !was_final);
                        state = Some(after);
                    }
                    Err(IllegalTransition::Attempt { .. }) => prop_assert!(event.name() == "started"),
                    Err(IllegalTransition::Rejects { open, closed, .. }) => prop_assert!(closed > open),
                    Err(_) => prop_assert!(legal.is_empty(), "{from} -{}-> refused", event.name()),
                }
            }
            prop_assert!(outcomes <= 1);
        }
    }

    #[test]
    fn an_ordinary_night_ends_loaded_with_its_figures() {
        let state =
            run(&[pick("taken", 1), pick("started", 1), pick("validated", 1), pick("loaded", 2)]).unwrap();
        assert_eq!(state.state, State::Loaded);
        assert_eq!(state.plan.as_deref(), Some("beef"));
        assert_eq!(state.finished_at_millis(), Some(1004));
        assert_eq!((state.attempts, state.settled, state.worked_millis), (1, Some(4), Some(1250)));
        assert_eq!(state.tally.unwrap().inserted, 5);
        assert_eq!(state.violations["type"], 2);
        assert_eq!(state.tables.keys().collect::<Vec<_>>(), ["orders"]);
    }

    #[test]
    fn one_reject_makes_it_loaded_with_rejects() {
        assert_eq!(run(&story(&["taken", "started", "loaded"])).unwrap().state, State::LoadedWithRejects);
    }

    #[test]
    fn an_approved_delivery_runs_again_and_forgets_why_it_was_held() {
        let mut events = story(&["taken", "started", "held"]);
        let held = run(&events).unwrap();
        assert_eq!((held.state, held.reason), (State::Held, Some(Reason::RejectHold)));
        assert_eq!(held.tally.unwrap().withheld, 3);
        events.push(pick("approved", 1));
        let approved = run(&events).unwrap();
        assert_eq!(
            (approved.state, approved.reason, approved.approved_rejects, approved.approved_deletes),
            (State::Waiting, None, Some(2), Some(7))
        );
        assert_eq!((held.deletes, approved.deletes), (7, 0));
        events.push(pick("started", 2));
        let running = run(&events).unwrap();
        assert_eq!((running.state, running.attempts, running.tally), (State::Running, 2, None));
        assert_eq!(running.approved_rejects, Some(2));
    }

    #[test]
    fn an_attempt_is_counted_once() {
        let error = run(&story(&["taken", "started", "started"])).unwrap_err();
        assert_eq!(error, IllegalTransition::Attempt { delivery: place(0).delivery, before: 1, found: 1 });
    }

    #[test]
    fn books_that_do_not_balance_are_not_accepted() {
        let good = Tally { read: 5, inserted: 5, ..Tally::default() };
        let lost = Tally { read: 5, inserted: 4, ..Tally::default() };
        let withheld = Tally { read: 5, inserted: 4, withheld: 1, ..Tally::default() };
        let loaded = |tally, table| Event::Loaded {
            message: None,
            tally,
            tables: BTreeMap::from([("orders".into(), table)]),
            reports: Reports::default(),
            worked_millis: 0,
        };
        for (event, what) in [
            (loaded(lost, good), "the delivery"),
            (loaded(good, lost), "table orders"),
            (loaded(withheld, good), "the delivery"),
        ] {
            let error = run(&[pick("taken", 1), pick("started", 1), event]).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
        let mut stop = crate::ledger::event::tests::stop(Reason::Fault);
        stop.tally.rejected += 1;
        for event in
            [Event::Refused(stop.clone()), Event::Held(stop.clone()), Event::Failed { stop, retryable: true }]
        {
            let error = run(&[pick("taken", 1), pick("started", 1), event]).unwrap_err();
            assert!(matches!(error, IllegalTransition::Unbalanced { .. }), "{error}");
        }
    }

    #[test]
    fn errors_name_the_delivery_where_it_stands_and_what_was_tried() {
        let error = run(&story(&["taken", "duplicate", "started"])).unwrap_err();
        assert!(error.to_string().ends_with("is `duplicate`, so it cannot be `started`"), "{error}");
        let error = run(&story(&["started"])).unwrap_err();
        assert!(error.to_string().ends_with("cannot be `started`: it was never taken"), "{error}");
    }
}
