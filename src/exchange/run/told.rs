//! What has come of things, as the log tells it, and what follows from it for what comes next.

use std::{os::unix::ffi::OsStrExt, path::PathBuf, time::Duration};

use super::{
    FIRST_PAUSE, Runner,
    arrivals::{Arrived, TakenBatch},
    survey::{Identity, Survey},
    work::Unfinished,
};
use crate::{
    exchange::{
        DeliveryReport, EngineError, backoff,
        deliver::Delivered,
        live::LiveAside,
        load, recover,
        take::{self, Job},
    },
    model::{FileName, Outcome, Tally},
};

impl Runner<'_> {
    /// Files of a source were taken, or not.
    pub(super) fn took(&mut self, source: usize, batch: TakenBatch, now: Duration) {
        let name =
            self.watched.get(source).map(|watched| watched.source.name().to_owned()).unwrap_or_default();
        for (path, warning) in batch.warnings {
            tracing::warn!(source = name, file = %path.display(), "{warning}");
        }
        for (path, arrived) in batch.results {
            match arrived {
                Arrived::Taken(jobs) => {
                    self.intake.well(source, &path);
                    jobs.into_iter().for_each(|job| self.taken(job, Some(&name)));
                }
                Arrived::Refused(report) => {
                    self.intake.well(source, &path);
                    self.has_ended(*report);
                }
                Arrived::Nothing(why) => {
                    self.intake.well(source, &path);
                    tracing::info!(source = name, file = %path.display(), "not taken yet: {why}");
                }
                Arrived::Trouble(why) => {
                    let until = |failures| now + backoff::pause(FIRST_PAUSE, failures, 0);
                    let failures = self.intake.failed(source, path.clone(), why.clone(), until);
                    if failures == 1 {
                        tracing::error!(source = name, file = %path.display(), "cannot be taken: {why}; it is tried again");
                    }
                    // Nothing may tell that it could be taken now.
                    if let Some(watched) = self.watched.get_mut(source) {
                        watched.look_at(now + FIRST_PAUSE);
                    }
                }
            }
        }
        match (batch.store_trouble, self.store_trouble.take()) {
            (Some(why), before) => {
                let failures = before.map_or(1, |(_, _, failures)| failures + 1);
                if failures == 1 {
                    tracing::error!(
                        "nothing can be taken: {why}; files stay where they are, and it is tried again"
                    );
                }
                self.store_trouble = Some((now + backoff::pause(FIRST_PAUSE, failures, 0), why, failures));
                // What was not taken is found again by a look.
                if let Some(watched) = self.watched.get_mut(source) {
                    watched.look_at(now + FIRST_PAUSE);
                }
            }
            (None, Some(_)) => tracing::info!("files can be taken again"),
            (None, None) => {}
        }
    }

    /// It has been found out what a source's folder is.
    pub(super) fn surveyed(&mut self, source: usize, survey: Survey, now: Duration) {
        if let Some(watched) = self.watched.get_mut(source) {
            watched.surveyed(survey, now);
        }
        // Two names of one folder: a link, or a mount.
        let mut known: Vec<(Identity, String)> = Vec::new();
        for watched in &mut self.watched {
            let Some(identity) = watched.identity else { continue };
            match known.iter().find(|(of, _)| *of == identity) {
                Some((_, other)) => watched.is_twin_of(other),
                None => known.push((identity, watched.source.name().to_owned())),
            }
        }
    }

    /// A delivery is taken and waits for its turn.
    pub(super) fn taken(&mut self, job: Job, source: Option<&str>) {
        let source = source.unwrap_or(take::COMMAND_LINE);
        tracing::info!(
            delivery = %job.id, file = %job.name, source, mapping = job.plan.name, bytes = job.size, "taken"
        );
        self.lanes.push(job, None);
    }

    /// A source was told of a file that it was not told of before, or could not be told.
    pub(super) fn settled(
        &mut self,
        source: usize,
        path: PathBuf,
        result: Result<(), String>,
        now: Duration,
    ) {
        let Some(watched) = self.watched.get_mut(source) else { return };
        let name = watched.source.name();
        match result {
            Ok(()) => {
                tracing::info!(source = name, file = %path.display(), "was taken before; now settled");
                if self.unsettled.remove(&path).is_none() {
                    self.recovery.settled(&path);
                }
            }
            Err(why) => {
                if self.unsettled.get(&path) != Some(&why) {
                    tracing::warn!(source = name, file = %path.display(), "was taken before; {why}");
                }
                self.unsettled.insert(path, why);
                // Nothing tells when it could be told.
                watched.look_at(now + FIRST_PAUSE);
            }
        }
    }

    /// A delivery has stopped running.
    pub(super) fn delivered(&mut self, job: Unfinished, delivered: Delivered) {
        match delivered {
            Delivered::Ended { report, blocks, overtaken, wanted_by } => {
                self.has_gone_on(&job, &report);
                for delivery in overtaken {
                    self.lanes.remove(delivery);
                    self.lanes.unblock(delivery);
                }
                if let Some(blocker) = blocks {
                    self.lanes.block(&job.lane, blocker);
                }
                self.has_ended(*report);
                wanted_by.into_iter().for_each(|delivery| self.try_lacking(delivery));
            }
            Delivered::Postponed { job: again, pause, message } => {
                self.does_not_go_on(&job, &message);
                let seconds = pause.as_secs();
                tracing::warn!(
                    delivery = %again.id, file = %again.name, attempt = again.attempts, "{message}; tried again in {seconds} s"
                );
                self.lanes.push(*again, Some(self.engine.clock.elapsed() + pause));
            }
            Delivered::Interrupted => {
                tracing::info!(delivery = %job.id, "broken off before anything was loaded; the next run takes it up");
            }
        }
    }

    /// A delivery has come to rest: the log tells, and whoever wants to know.
    pub(super) fn has_ended(&mut self, report: DeliveryReport) {
        let delivery = report.delivery.map(|id| id.to_string()).unwrap_or_default();
        let file = report.file.file_name().unwrap_or(report.file.as_os_str());
        let file = FileName::new(file.as_bytes()).to_string();
        let outcome = report.outcome.code();
        let mapping = report.mapping.clone().unwrap_or_default();
        let message = report.message.clone().unwrap_or_default();
        let Tally { read, inserted, updated, unchanged, rejected, .. } = report.tally;
        let millis = report.worked_millis;
        match report.outcome {
            Outcome::Failed | Outcome::Held => {
                tracing::error!(delivery, file, mapping, read, rejected, millis, "{outcome}: {message}");
            }
            Outcome::Refused => {
                tracing::warn!(delivery, file, mapping, read, rejected, millis, "{outcome}: {message}");
            }
            Outcome::Loaded | Outcome::LoadedWithRejects => tracing::info!(
                delivery,
                file,
                mapping,
                read,
                inserted,
                updated,
                unchanged,
                rejected,
                millis,
                "{outcome}"
            ),
            _ => tracing::info!(delivery, file, mapping, "{message}"),
        }
        (self.ended)(report);
    }

    /// Records what waits for another delivery.
    pub(super) fn record_waiting(&mut self) -> Result<(), EngineError> {
        let news = self.lanes.newly_waiting();
        let mut events = Vec::new();
        for (delivery, wait) in &news {
            tracing::info!(%delivery, "{}", load::words(wait).1);
            events.push((*delivery, recover::waiting(wait)));
        }
        let now = self.engine.clock.unix_millis();
        self.engine.ledger().append(now, &events)?;
        Ok(())
    }

    /// Tells of the deliveries that still wait, as they do for what only a person can end.
    pub(super) fn tell_waiting(&mut self) -> Result<(), EngineError> {
        let waiting: Vec<_> = self.lanes.queue().map(|(job, _)| job.id).collect();
        for id in waiting {
            let found = self.engine.ledger().view().by_id(id)?;
            if let Some(delivery) = found {
                (self.ended)(DeliveryReport::of(&delivery, Outcome::Waiting));
            }
        }
        Ok(())
    }

    /// Files whose mapping is not valid stay where they are; it is said once.
    pub(super) fn note_broken(&mut self, source: usize, broken: Vec<LiveAside>) {
        let Some(before) = self.broken.get_mut(source) else { return };
        for aside in broken.iter().filter(|aside| !before.contains(aside)) {
            tracing::error!(file = aside.file, "left alone: {}", aside.why);
        }
        *before = broken;
    }
}
