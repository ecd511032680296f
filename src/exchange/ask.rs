//! The other side of a request: a command that finds an engine running puts what it wants into the ledger and follows what
//! becomes of it.

use std::{path::Path, thread, time::Duration};

use super::{DeliveryReport, EngineError, Folders, Observer, live::Live};
use crate::{
    ledger::{Answer, DeliveryState, Ledger, LedgerReader, View, Wish},
    model::{DeliveryId, Outcome, State},
    wire::SiteLock,
};

/// How often the ledger is looked at. A person does not notice, and it costs next to nothing.
const GLANCE: Duration = Duration::from_millis(50);

/// The command under which an engine runs that answers requests.
pub const RUN: &str = "wharf run";

/// How following ended.
#[derive(Debug)]
pub enum Followed {
    /// Everything that was asked has come to rest.
    Done,
    /// The engine ended before it took these up, and what it took up is left to the next.
    EngineGone(Vec<Wish>),
}

/// A request that is followed.
struct Open {
    number: u64,
    wish: Wish,
}

/// Asks the engine that runs in the site, and tells `observer` what becomes of it. `by` is who asks.
///
/// # Errors
/// When the ledger cannot be written or read, or the engine denies what was asked.
pub fn ask(
    folders: &Folders,
    wishes: Vec<Wish>,
    by: &str,
    now_millis: u64,
    observer: &mut dyn Observer,
) -> Result<Followed, EngineError> {
    let mut ledger = Ledger::open(&folders.ledger(), now_millis)?;
    let numbers = ledger.ask(now_millis, by, &wishes)?;
    let reader = LedgerReader::open(&folders.ledger())?;
    let mut open: Vec<Open> =
        numbers.into_iter().zip(wishes).map(|(number, wish)| Open { number, wish }).collect();
    let (mut running, mut denied) = (Vec::new(), None);
    loop {
        // Looked at before the ledger: whatever an engine did until then is seen below.
        let gone = SiteLock::holder(&folders.lock())?.is_none();
        answered(reader.view(), &mut open, &mut running, &mut denied, observer)?;
        rested(reader.view(), folders, &mut running, observer)?;
        if open.is_empty() && running.is_empty() {
            return denied.map_or(Ok(Followed::Done), |message| Err(EngineError::Decision(message)));
        }
        if gone {
            let mut left = Vec::new();
            for Open { number, wish } in open {
                if ledger.withdraw(number)? {
                    left.push(wish);
                }
            }
            return Ok(Followed::EngineGone(left));
        }
        progress(folders, &running, observer);
        thread::sleep(GLANCE);
    }
}

/// Keeps a mapping's text where the engine finds it.
///
/// # Errors
/// When the ledger cannot be written.
pub fn keep_plan(
    folders: &Folders,
    plan: &crate::mapping::Plan,
    now_millis: u64,
) -> Result<String, EngineError> {
    Ledger::open(&folders.ledger(), now_millis)?.keep_plan(&plan.fingerprint, &plan.name, &plan.source)?;
    Ok(plan.fingerprint.clone())
}

/// Goes through the requests that have been answered by now.
fn answered(
    view: View<'_>,
    open: &mut Vec<Open>,
    running: &mut Vec<DeliveryId>,
    denied: &mut Option<String>,
    observer: &mut dyn Observer,
) -> Result<(), EngineError> {
    let mut left = Vec::new();
    for request in std::mem::take(open) {
        match view.answer(request.number)? {
            None => left.push(request),
            Some(Answer::Accepted { deliveries }) => running.extend(deliveries),
            Some(Answer::Denied { message }) => *denied = Some(message),
            Some(Answer::NotTaken { reason, message }) => {
                let file = match &request.wish {
                    Wish::Load { file, .. } => file.as_path(),
                    _ => Path::new(""),
                };
                let mut report = DeliveryReport::new(None, file, None, Outcome::Failed);
                (report.reason, report.message) = (Some(reason), Some(message));
                observer.ended(report);
            }
        }
    }
    *open = left;
    Ok(())
}

/// Reports deliveries that have come to rest.
fn rested(
    view: View<'_>,
    folders: &Folders,
    running: &mut Vec<DeliveryId>,
    observer: &mut dyn Observer,
) -> Result<(), EngineError> {
    let mut left = Vec::new();
    for id in std::mem::take(running) {
        match view.by_id(id)? {
            Some(delivery) if is_at_rest(view, &delivery)? => {
                let mut report = DeliveryReport::of(&delivery, delivery.state);
                if delivery.state == State::Duplicate
                    && let Some(of) = delivery.other
                {
                    report.message = Some(format!("duplicate of {of}, nothing to do"));
                }
                report.add_sample(&folders.reject_file(id));
                observer.ended(report);
            }
            Some(_) => left.push(id),
            None => {}
        }
    }
    *running = left;
    Ok(())
}

/// A longer chain of deliveries that wait for one another is not followed to its end.
const MOST_LINKS: usize = 100;

/// True when nothing more happens to it until a person decides about it or about the one that it waits for in the end.
fn is_at_rest(view: View<'_>, delivery: &DeliveryState) -> Result<bool, EngineError> {
    let (mut state, mut other) = (delivery.state, delivery.other);
    for _ in 0..MOST_LINKS {
        if state != State::Waiting {
            let is_first = state == delivery.state;
            return Ok(state.needs_attention() || (is_first && state.is_final()));
        }
        let Some(next) = other.map(|other| view.by_id(other)).transpose()?.flatten() else {
            return Ok(false);
        };
        (state, other) = (next.state, next.other);
    }
    Ok(false)
}

fn progress(folders: &Folders, running: &[DeliveryId], observer: &mut dyn Observer) {
    let Some(live) = Live::read(&folders.live()) else { return };
    for delivery in live.running.iter().filter(|delivery| running.contains(&delivery.delivery)) {
        if let Some(total) = delivery.total {
            observer.progress(Path::new(&delivery.file), delivery.step, delivery.done, total);
        }
    }
}
