//! Taking what has arrived in a source: claim, copy while hashing, look again, fsync, ledger; then, and only then, the
//! source is told. Several small files go through these steps together, so that they share the durable ones.

use std::{path::PathBuf, sync::Arc};

use super::super::{
    DeliveryReport, Engine, EngineError, Observer,
    returned::{self, ComesTo, Corrections},
    take::{self, Archived, Job, NotTaken, Origin, UNRECORDED, ended, stop},
};
use crate::{
    ledger::Event,
    mapping::Plan,
    model::{DeliveryId, Reason},
    sources::{Claimed, Ready, Source, SourceError},
    wire,
};

/// A file that is to be taken.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) ready: Ready,
    pub(super) verdict: Verdict,
}

/// What becomes of a file, by its name.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// It runs under these.
    Runs(Vec<Arc<Plan>>),
    /// It is taken, and refused.
    Refused(Reason, String),
}

/// What came of one file.
#[derive(Debug)]
pub(super) enum Arrived {
    /// It is taken.
    Taken(Vec<Job>),
    /// It is taken, and refused.
    Refused(Box<DeliveryReport>),
    /// It was still written to, or is gone, or was taken before: nothing is to be done, and the next look tells more.
    Nothing(String),
    /// It cannot be taken now.
    Trouble(String),
}

/// What came of several files.
#[derive(Debug, Default)]
pub(super) struct TakenBatch {
    pub(super) results: Vec<(PathBuf, Arrived)>,
    /// The site's own store cannot take anything now; files without a result are where they were.
    pub(super) store_trouble: Option<String>,
    /// What a person should read in the log.
    pub(super) warnings: Vec<(PathBuf, String)>,
}

/// A file that is claimed and copied, before the ledger knows.
struct Held {
    claimed: Claimed,
    archived: Archived,
    fate: Fate,
}

/// What becomes of a file, by its name or, of a corrected report, by what it holds.
enum Fate {
    Runs(Vec<Arc<Plan>>),
    Corrects(Corrections),
    Refused(Reason, String),
}

impl Engine {
    /// Takes files of a source, in their order.
    ///
    /// # Errors
    /// When the ledger fails: the files are then where they were, or claimed, and the next look finds them.
    pub(super) fn take_arrived(
        &self,
        source: &dyn Source,
        arrivals: Vec<Arrival>,
        observer: &mut dyn Observer,
    ) -> Result<TakenBatch, EngineError> {
        let mut batch = TakenBatch::default();
        let mut held = Vec::new();
        for arrival in arrivals {
            if self.is_stopping() || batch.store_trouble.is_some() {
                break;
            }
            let path = arrival.ready.path.clone();
            match self.hold(source, arrival, observer)? {
                Ok(one) => held.push(one),
                Err(Refusal::Store(message)) => batch.store_trouble = Some(message),
                Err(Refusal::Result(result)) => batch.results.push((path, result)),
            }
        }
        let copies = held.iter_mut().filter_map(|one| one.archived.copied.take()).collect();
        if let Err(error) = wire::sync_all(copies) {
            batch.store_trouble = Some(take::with_help(&error));
            give_back(source, held, &mut batch);
            return Ok(batch);
        }
        source.secure(&mut held.iter().map(|one| &one.claimed));
        let recorded = self.record_arrived(source.name(), &held);
        let taken = match recorded {
            Ok(taken) => taken,
            Err(error) => {
                give_back(source, held, &mut batch);
                return Err(error);
            }
        };
        for (one, result) in held.into_iter().zip(taken) {
            let path = one.claimed.listed.path.clone();
            let result = self.tell_source(source, one.claimed, result, &mut batch)?;
            batch.results.push((path, result));
        }
        Ok(batch)
    }

    /// Claims one file and copies it.
    fn hold(
        &self,
        source: &dyn Source,
        arrival: Arrival,
        observer: &mut dyn Observer,
    ) -> Result<Result<Held, Refusal>, EngineError> {
        let Arrival { ready, verdict } = arrival;
        let claimed = match source.claim(&ready) {
            Ok(claimed) => claimed,
            Err(error @ (SourceError::Changed(_) | SourceError::Gone(_))) => {
                return Ok(Err(Refusal::Result(Arrived::Nothing(error.to_string()))));
            }
            Err(error) => return Ok(Err(Refusal::Result(Arrived::Trouble(in_words(&error))))),
        };
        let is_returned = returned::shows_returned(&claimed.file);
        match self.archive(&claimed.file, &ready.path, &ready.name, observer)? {
            Ok(archived) if is_returned => self.hold_returned(source, claimed, archived),
            Ok(archived) => {
                let fate = match verdict {
                    Verdict::Runs(plans) => Fate::Runs(plans),
                    Verdict::Refused(reason, message) => Fate::Refused(reason, message),
                };
                Ok(Ok(Held { claimed, archived, fate }))
            }
            Err(why) => {
                let back = source.put_back(claimed).map_err(|error| in_words(&error));
                let also = back.err().map(|error| format!("; {error}")).unwrap_or_default();
                Ok(Err(match why {
                    NotTaken::Changed => Refusal::Result(Arrived::Nothing(format!(
                        "it was written to while it was read, so nothing was taken and it was put back{also}"
                    ))),
                    NotTaken::Store(_) => Refusal::Store(why.message() + &also),
                    NotTaken::Source(_) | NotTaken::Large { .. } => {
                        Refusal::Result(Arrived::Trouble(why.message() + &also))
                    }
                }))
            }
        }
    }

    /// A corrected report tells itself what it corrects, whatever its name.
    fn hold_returned(
        &self,
        source: &dyn Source,
        claimed: Claimed,
        mut archived: Archived,
    ) -> Result<Result<Held, Refusal>, EngineError> {
        // These are rare: they need not share their durable writes with others.
        let copied = archived.copied.take().map_or(Ok(()), wire::Copied::sync);
        let read = copied.map_err(EngineError::from).and_then(|()| self.read_returned(&archived.path));
        let fate = match read {
            Ok(ComesTo::Corrections(corrections)) => Fate::Corrects(corrections),
            Ok(ComesTo::Refused(reason, message)) => Fate::Refused(reason, message),
            Err(EngineError::Ledger(error)) => return Err(error.into()),
            Err(error) => return Ok(Err(not_now(source, claimed, &archived, &error))),
        };
        Ok(Ok(Held { claimed, archived, fate }))
    }

    /// Records all of them, or none.
    fn record_arrived(&self, source: &str, held: &[Held]) -> Result<Vec<Arrived>, EngineError> {
        let mut taken = Vec::new();
        let mut events: Vec<(DeliveryId, Event)> = Vec::new();
        for Held { claimed, archived, fate } in held {
            let listed = &claimed.listed;
            let origin = Origin {
                source,
                path: &listed.path,
                name: &listed.name,
                modified_nanos: listed.modified_nanos,
                stamp: Some(listed.stamp.clone()),
                evidence: Some(listed.evidence.clone()),
            };
            match fate {
                Fate::Runs(_) | Fate::Corrects(_) => {
                    let mut jobs = match fate {
                        Fate::Corrects(corrections) => self.jobs_of(corrections, &origin, archived)?,
                        Fate::Runs(plans) => self.jobs(&origin, archived, plans)?,
                        Fate::Refused(..) => Vec::new(),
                    };
                    for job in &mut jobs {
                        let pending = std::mem::take(&mut job.pending);
                        events.extend(pending.into_iter().map(|event| (job.id, event)));
                    }
                    taken.push(Arrived::Taken(jobs));
                }
                Fate::Refused(reason, message) => {
                    events.push((archived.id, self.taken(&origin, archived, None)));
                    events.push((archived.id, Event::Refused(stop(*reason, message, 0))));
                    let report = ended(archived.id, &listed.path, *reason, message.clone(), 0);
                    taken.push(Arrived::Refused(Box::new(report)));
                }
            }
        }
        let recorded = self.ledger().append(self.clock.unix_millis(), &events);
        let sequences = recorded.inspect_err(|error| {
            for one in held.iter().filter(|one| one.archived.is_new && error.is_passing()) {
                // Nothing was recorded, so nobody will ever ask for the copy.
                wire::discard(&one.archived.path);
            }
        })?;
        let numbers: std::collections::HashMap<DeliveryId, u64> =
            events.iter().map(|(id, _)| *id).zip(sequences).rev().collect();
        for arrived in &mut taken {
            if let Arrived::Taken(jobs) = arrived {
                for job in jobs {
                    job.arrival = numbers.get(&job.id).copied().unwrap_or(UNRECORDED);
                }
            }
        }
        Ok(taken)
    }

    /// The source may let go of the file. If it was written to until this moment, what was copied is not the whole of it:
    /// nothing of the copy is loaded, and the file comes again.
    fn tell_source(
        &self,
        source: &dyn Source,
        claimed: Claimed,
        taken: Arrived,
        batch: &mut TakenBatch,
    ) -> Result<Arrived, EngineError> {
        let path = claimed.listed.path.clone();
        match source.settle(claimed) {
            Ok(()) => Ok(taken),
            Err(SourceError::Changed(_)) => {
                let Arrived::Taken(jobs) = taken else { return Ok(taken) };
                let message = take::WRITTEN_TO;
                let stopped = || Event::Refused(stop(Reason::Changed, message, 0));
                let events: Vec<_> = jobs.iter().map(|job| (job.id, stopped())).collect();
                self.ledger().append(self.clock.unix_millis(), &events)?;
                let Some(job) = jobs.first() else { return Ok(Arrived::Nothing(message.to_owned())) };
                let report = ended(job.id, &path, Reason::Changed, message.to_owned(), 0);
                Ok(Arrived::Refused(Box::new(report)))
            }
            Err(error) => {
                let message = format!(
                    "it is taken, but the source cannot be told: {}; Wharf keeps trying, and does not take it twice",
                    in_words(&error)
                );
                batch.warnings.push((path, message));
                Ok(taken)
            }
        }
    }

    /// Tells the source of a file that an earlier engine took, but could not tell it.
    pub(super) fn settle_known(&self, source: &dyn Source, ready: &Ready) -> Result<(), String> {
        let claimed = match source.claim(ready) {
            Ok(claimed) => claimed,
            Err(SourceError::Gone(_)) => return Ok(()),
            Err(error) => return Err(in_words(&error)),
        };
        source.settle(claimed).map_err(|error| in_words(&error))
    }
}

/// Why a file is not held.
enum Refusal {
    Result(Arrived),
    Store(String),
}

/// A corrected report that cannot be read now goes back to where it was.
fn not_now(source: &dyn Source, claimed: Claimed, archived: &Archived, error: &EngineError) -> Refusal {
    returned::discard(archived);
    let back = source.put_back(claimed).map_err(|error| in_words(&error));
    let also = back.err().map(|error| format!("; {error}")).unwrap_or_default();
    Refusal::Result(Arrived::Trouble(format!("{error}{also}")))
}

fn give_back(source: &dyn Source, held: Vec<Held>, batch: &mut TakenBatch) {
    for one in held {
        let path = one.claimed.listed.path.clone();
        if let Err(error) = source.put_back(one.claimed) {
            batch.warnings.push((path, in_words(&error)));
        }
    }
}

/// An error of a source with what can be done about it.
pub(super) fn in_words(error: &SourceError) -> String {
    match error {
        SourceError::Wire(error) => take::with_help(error),
        SourceError::Away(_) => {
            format!("{error}; it is looked for again, and taken from when it is back")
        }
        other => other.to_string(),
    }
}
