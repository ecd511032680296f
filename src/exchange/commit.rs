//! A commit of which nobody said whether it happened: the target is asked, not guessed at.

use std::time::Duration;

use super::{Engine, Observer, deliver::Fault, take::Job};
use crate::{
    ledger::Event,
    targets::{Begun, Load, Progress, TargetError},
};

/// What is said of a delivery whose commit happened although nobody was told.
const IN_AFTER_ALL: &str = "the reply to the commit was lost, and the database has the rows";
/// A server that is started again, or a connection that is cut, is back within seconds most of the time; what takes longer is for
/// the next attempt.
const COMMIT_PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// Begins a load, also once more.
pub(super) type Begin<'a> = &'a dyn Fn() -> Result<Begun, TargetError>;

impl Engine {
    /// The reply to a commit was lost: the target is asked whether it happened, before anything else. Beginning again waits for
    /// the first attempt's fate, if the target is still at it.
    pub(super) fn settle_commit(
        &self,
        job: &Job,
        lost: &str,
        begin: Begin<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(), Fault> {
        match self.begun_again(lost, begin)? {
            Begun::Already(_) => {
                observer.note(&format!("{} ({}): {IN_AFTER_ALL}", job.name, job.id));
                self.record(job.id, vec![Event::Noted { text: IN_AFTER_ALL.to_owned() }])?;
                Ok(())
            }
            Begun::Open(_) | Begun::Resumed(..) | Begun::Lost(..) => Err(Fault::Passing(lost.to_owned())),
        }
    }

    /// The same for the commit of a batch. If it happened, the load goes on after it, and is given.
    pub(super) fn settle_mark(
        &self,
        job: &Job,
        lost: &str,
        progress: &Progress,
        begin: Begin<'_>,
    ) -> Result<Box<dyn Load>, Fault> {
        match self.begun_again(lost, begin)? {
            Begun::Resumed(open, found) if found == *progress => {
                self.record(job.id, vec![Event::Noted { text: IN_AFTER_ALL.to_owned() }])?;
                Ok(open)
            }
            _ => Err(Fault::Passing(lost.to_owned())),
        }
    }

    fn begun_again(&self, lost: &str, begin: Begin<'_>) -> Result<Begun, Fault> {
        for pause in COMMIT_PAUSES {
            std::thread::sleep(pause);
            match begin() {
                Ok(begun) => return Ok(begun),
                Err(TargetError::Passing(_)) if !self.is_stopping() => {}
                Err(_) => break,
            }
        }
        Err(Fault::Passing(format!("{lost}; the next attempt finds out whether the rows are in")))
    }
}
