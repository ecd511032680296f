//! What other commands ask of the engine while it runs.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    super::{
        Engine, EngineError,
        decide::Decided,
        take::{LoadOptions, TakenFile},
    },
    Runner,
    board::Unseen,
    work::{Done, caught},
};
use crate::{
    ledger::{Answer, Request, Wish},
    mapping::{Plan, compile},
    model::{DeliveryId, Reason},
    wire::fail::{self, Point},
};

/// Requests looked at at once; the others follow when these are answered.
const MOST_AT_ONCE: u32 = 100;

/// A request that is older than this when the engine begins is nobody's wish any more: who waits for an answer notices the
/// end of an engine at once, and files may have changed since.
const LONGEST_WAIT_MILLIS: u64 = 60_000;

/// The number of what nobody has asked for; those of requests begin with 1.
pub(super) const NOBODYS: u64 = 0;

/// The requests that are being worked on.
#[derive(Debug, Default)]
pub(super) struct Requests {
    next_glance: Duration,
    /// The ledger's mark when it was looked at last.
    seen: Option<u32>,
    in_hand: BTreeSet<u64>,
}

impl Requests {
    /// A request has been answered.
    pub(super) fn done(&mut self, number: u64) {
        self.in_hand.remove(&number);
        // There may be more than were looked at.
        (self.seen, self.next_glance) = (None, Duration::ZERO);
    }
}

impl Runner<'_> {
    /// Sees whether somebody has asked for something, and does it.
    pub(super) fn answer_requests(&mut self, now: Duration) -> Result<(), EngineError> {
        if now < self.requests.next_glance {
            return Ok(());
        }
        self.requests.next_glance = now + super::REQUEST_INTERVAL;
        let mark = self.engine.ledger().written_by_others()?;
        if self.requests.seen == Some(mark) {
            return Ok(());
        }
        self.requests.seen = Some(mark);
        let open = self.engine.ledger().view().open_requests(MOST_AT_ONCE)?;
        for request in open {
            // Files are taken one after the other, in the order in which they were asked for.
            let waits = request.wish.takes() && self.busy.asked > 0;
            if !waits && self.requests.in_hand.insert(request.number) {
                self.answer(request)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, request: Request) -> Result<(), EngineError> {
        let Request { number, by, wish, at_millis } = request;
        fail::moment(Point::RequestFound);
        if at_millis.saturating_add(LONGEST_WAIT_MILLIS) < self.started_millis {
            let message = "it was asked of an engine that ended before it could be done: ask again";
            return self.deny(number, message.to_owned());
        }
        tracing::info!(request = number, by, "asked: {}", words(&wish));
        if wish == Wish::Unknown {
            return self.deny(number, "this version of wharf does not know how to do that".to_owned());
        }
        if let Wish::Load { file, plan, again, corrected } = wish {
            let mapping = match plan.map(|fingerprint| self.kept_plan(&fingerprint)).transpose()? {
                Some(Err(message)) => return self.deny(number, message),
                Some(Ok(plan)) => Some(plan),
                None => None,
            };
            let options = LoadOptions { mapping, again, corrected, request: Some(number) };
            let engine = Arc::clone(&self.engine);
            self.busy.asked += 1;
            self.work(move || {
                let taken = caught(|| engine.take(&file, &options, &mut Unseen));
                let deny = |why| engine.not_taken(&file, options.request, Reason::Fault, why);
                Done::Asked { number, result: taken.unwrap_or_else(deny) }
            });
            return Ok(());
        }
        if wish.takes() {
            let engine = Arc::clone(&self.engine);
            self.busy.asked += 1;
            self.work(move || {
                let taken = caught(|| engine.take_wished(&wish, Some(number)));
                let result = match taken {
                    Ok(Err(EngineError::Ledger(error))) if error.is_passing() => Err(error.into()),
                    Ok(Err(error)) => engine.denied(number, error.to_string()),
                    Ok(taken) => taken,
                    Err(why) => engine.denied(number, why),
                };
                Done::Asked { number, result }
            });
            return Ok(());
        }
        match self.engine.carry_out(&wish, &by, Some(number), &mut self.lanes) {
            Ok(Decided::GoesOn) => self.requests.done(number),
            Ok(Decided::Ended(report)) => {
                self.requests.done(number);
                self.has_ended(*report);
            }
            Err(EngineError::Ledger(error)) if error.is_passing() => return Err(error.into()),
            Err(error) => return self.deny(number, error.to_string()),
        }
        Ok(())
    }

    /// Rejects may load now, by what was loaded just before: they are tried again.
    pub(super) fn try_lacking(&mut self, delivery: DeliveryId) {
        if !self.lacking.contains(&delivery) {
            self.lacking.push_back(delivery);
        }
    }

    /// Begins to try the rejects of the next delivery again.
    pub(super) fn start_trying(&mut self) {
        if self.trying {
            return;
        }
        let Some(delivery) = self.lacking.pop_front() else { return };
        let engine = Arc::clone(&self.engine);
        self.trying = true;
        self.busy.asked += 1;
        self.work(move || {
            let taken = caught(|| engine.take_lacking(delivery, &mut Unseen));
            let result = taken.unwrap_or_else(|why| {
                tracing::error!(%delivery, "its rejects are not tried again: {why}");
                Ok(TakenFile::Jobs(Vec::new()))
            });
            Done::Asked { number: NOBODYS, result }
        });
    }

    fn kept_plan(&self, fingerprint: &str) -> Result<Result<Arc<Plan>, String>, EngineError> {
        let Some(kept) = self.engine.ledger().view().plan(fingerprint)? else {
            return Ok(Err("its mapping is not in the ledger".to_owned()));
        };
        let plan = compile(&kept.name, &kept.name, &kept.toml, &self.engine.site.settings.connections);
        Ok(plan.map(Arc::new).map_err(|broken| broken.problems.to_string()))
    }

    fn deny(&mut self, number: u64, message: String) -> Result<(), EngineError> {
        tracing::warn!(request = number, "denied: {message}");
        self.engine.denied(number, message)?;
        self.requests.done(number);
        Ok(())
    }
}

impl Engine {
    /// Answers a request that cannot be carried out.
    fn denied(&self, number: u64, message: String) -> Result<TakenFile, EngineError> {
        let now = self.clock.unix_millis();
        self.ledger().append_answering(now, &[], &[(number, Answer::Denied { message })])?;
        Ok(TakenFile::Jobs(Vec::new()))
    }
}

fn words(wish: &Wish) -> String {
    match wish {
        Wish::Load { file, .. } => format!("load {}", file.display()),
        Wish::Retry { delivery } => format!("retry {delivery}"),
        Wish::Approve { delivery, .. } => format!("approve {delivery}"),
        Wish::Decline { delivery } => format!("decline {delivery}"),
        Wish::Replay { delivery, .. } => format!("replay {delivery}"),
        Wish::Rerun { delivery, .. } => format!("rerun {delivery}"),
        Wish::Ignore { delivery, .. } => format!("ignore rejects of {delivery}"),
        Wish::Unknown => "something that this version does not know".to_owned(),
    }
}
