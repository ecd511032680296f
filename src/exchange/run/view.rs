//! Where the engine stands: whether there is more to do, when, and what `status` is told.

use std::{path::PathBuf, time::Duration};

use super::{
    Busy, LIVE_INTERVAL, ONCE_PATIENCE, REQUEST_INTERVAL, Runner, STOP_PATIENCE,
    intake::MOST_WAITING,
    watched::{self, Watched},
};
use crate::{
    exchange::live::{Live, LiveAside, LiveSource},
    sources::Settling,
};

/// Files left alone that `status` names.
const MOST_ASIDES: usize = 20;

impl Runner<'_> {
    /// Nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        let Busy { looks, takes, asked, settling } = &self.busy;
        looks + takes + asked + self.lanes.running() == 0 && settling.is_empty() && self.lacking.is_empty()
    }

    /// Told to stop, nothing is under way any more that has to be waited for.
    pub(super) fn has_stopped(&mut self) -> bool {
        let now = self.engine.clock.elapsed();
        let since = *self.stopping.get_or_insert(now);
        let Busy { takes, asked, settling, .. } = &self.busy;
        let is_taking = takes + asked > 0 || !settling.is_empty();
        if is_taking && now > since + STOP_PATIENCE {
            tracing::warn!("a source does not answer while files are taken from it: ending all the same");
        }
        self.lanes.running() == 0 && (!is_taking || now > since + STOP_PATIENCE)
    }

    /// Everything that was there is done, or can only be done when somebody does something.
    pub(super) fn is_drained(&self) -> bool {
        let now = self.engine.clock.elapsed();
        let patience = now < self.started + self.patience();
        let watched = || self.watched.iter().filter(|watched| watched.twin_of.is_none());
        let looked = watched().all(|watched| watched.looks > 0 && !(patience && watched.is_outdated()));
        let settling = self
            .watched
            .iter()
            .flat_map(|watched| &watched.seen.settling)
            .any(|settling| settling.due.is_some() && patience);
        let untaken = (0..self.watched.len())
            .any(|source| self.intake.waiting(source) > self.intake.troubles(source).count() && patience);
        let more = self.watched.iter().enumerate().any(|(source, watched)| {
            patience && watched.seen.more && self.intake.waiting(source) < watched::BACKLOG
        });
        let later = self.lanes.queue().any(|(_, not_before)| not_before.is_some_and(|due| now < due));
        looked && !settling && !untaken && !more && !later && self.is_idle() && !self.intake.is_busy()
    }

    pub(super) fn patience(&self) -> Duration {
        let quiet = self.watched.iter().map(Watched::quiet).max().unwrap_or_default();
        quiet * 2 + ONCE_PATIENCE
    }

    /// Files that are left where they are.
    pub(super) fn left(&self) -> Vec<LiveAside> {
        let mut left: Vec<LiveAside> = self.broken.iter().flatten().cloned().collect();
        left.extend(self.store_trouble.iter().map(|(_, why, _)| LiveAside {
            file: self.engine.folders.store.to_string_lossy().into_owned(),
            why: why.clone(),
        }));
        for (index, watched) in self.watched.iter().enumerate() {
            left.extend(watched.trouble.iter().map(|why| LiveAside {
                file: watched.options.folder.to_string_lossy().into_owned(),
                why: why.clone(),
            }));
            left.extend(self.intake.troubles(index).map(|(path, trouble)| LiveAside {
                file: path.to_string_lossy().into_owned(),
                why: trouble.why.clone(),
            }));
            let behind = self.intake.waiting(index).saturating_sub(self.intake.troubles(index).count());
            left.extend((behind > 0).then(|| LiveAside {
                file: watched.options.folder.to_string_lossy().into_owned(),
                why: format!("{behind} files of it wait for others; `wharf status` tells for which"),
            }));
            left.extend(watched.asides());
            left.extend(watched.seen.settling.iter().map(still_written));
        }
        left.extend(self.unsettled.iter().map(unsettled));
        left
    }

    /// Why nothing is taken at the moment, if that is so.
    fn trouble(&self) -> Option<String> {
        let full = || {
            let waiting = self.lanes.waiting();
            (waiting >= MOST_WAITING).then(|| {
                format!("{waiting} deliveries wait, and no more may: see to the held and failed ones that they wait for")
            })
        };
        self.store_trouble.as_ref().map(|(_, why, _)| why.clone()).or_else(full)
    }

    /// When something is due that nobody tells us about.
    pub(super) fn next_due(&self) -> Duration {
        let now = self.engine.clock.elapsed();
        let mut due = vec![now + REQUEST_INTERVAL];
        if !self.engine.is_stopping() {
            due.extend(self.watched.iter().map(Watched::next_due));
            due.extend(self.lanes.next_due(now));
            due.extend(self.intake.next_due(now));
            due.extend(self.store_trouble.as_ref().map(|(until, ..)| *until).filter(|until| *until > now));
        }
        due.into_iter().min().unwrap_or(now)
    }

    /// Writes down what `status` shows, if it is time and something has changed.
    pub(super) fn publish(&mut self) {
        let now = self.engine.clock.elapsed();
        if now < self.live_due {
            return;
        }
        self.live_due = now + LIVE_INTERVAL;
        let sources = self.watched.iter().enumerate().map(|(index, watched)| LiveSource {
            name: watched.source.name().to_owned(),
            place: watched.options.folder.to_string_lossy().into_owned(),
            watched: watched.watched_how(),
            trouble: watched.trouble.clone(),
            files: watched.seen.files,
            ready: self.intake.waiting(index) as u64,
            settling: watched.seen.settling.iter().filter(|file| file.due.is_some()).count() as u64,
            asides: watched
                .asides()
                .chain(self.broken.get(index).into_iter().flatten().cloned())
                .chain(watched.seen.settling.iter().filter(|file| file.due.is_none()).map(still_written))
                .chain(
                    self.unsettled
                        .iter()
                        .filter(|(path, _)| path.starts_with(&watched.options.folder))
                        .map(unsettled),
                )
                .chain(self.intake.troubles(index).map(|(path, trouble)| LiveAside {
                    file: path.to_string_lossy().into_owned(),
                    why: trouble.why.clone(),
                }))
                .take(MOST_ASIDES)
                .collect(),
        });
        let mut live = Live {
            process: std::process::id(),
            at_millis: self.live.at_millis,
            sources: sources.collect(),
            running: self.board.all(now),
            queued: self.lanes.waiting() as u64,
            trouble: self.trouble(),
            started_millis: self.live.started_millis,
            databases: self.troubled_databases(),
            forgotten: self.remembering.forgotten.clone(),
            mappings: self.live.mappings.clone(),
        };
        if live != self.live {
            live.at_millis = self.engine.clock.unix_millis();
            live.write(&self.engine.folders.live());
            self.live = live;
        }
    }
}

/// A file that may still be written to, or that waits for another.
fn still_written(file: &Settling) -> LiveAside {
    let why = if file.due.is_some() {
        "it is still being written"
    } else {
        "it waits for its marker, for the rest of its list, or for an earlier file of its name"
    };
    LiveAside { file: file.path.to_string_lossy().into_owned(), why: why.to_owned() }
}

/// A file that is taken and still stands in its source.
fn unsettled((path, why): (&PathBuf, &String)) -> LiveAside {
    LiveAside { file: path.to_string_lossy().into_owned(), why: format!("it is taken, but {why}") }
}
