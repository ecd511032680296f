//! Where the engine stands: whether there is more to do, when, and what `status` is told.

use std::time::Duration;

use super::{
    Busy, LIVE_INTERVAL, ONCE_PATIENCE, REQUEST_INTERVAL, Runner,
    watched::{self, Watched},
};
use crate::exchange::live::{Live, LiveAside, LiveSource};

/// Files left alone that `status` names.
const MOST_ASIDES: usize = 20;

impl Runner<'_> {
    /// Nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        let Busy { looks, takes, asked, settling } = &self.busy;
        looks + takes + asked + self.lanes.running() == 0 && settling.is_empty()
    }

    /// Everything that was there is done, or can only be done when somebody does something.
    pub(super) fn is_drained(&self) -> bool {
        let now = self.engine.clock.elapsed();
        let patience = now < self.started + self.patience();
        let looked =
            self.watched.iter().all(|watched| watched.looks > 0 && !(patience && watched.is_outdated()));
        let settling = self
            .watched
            .iter()
            .flat_map(|watched| &watched.seen.settling)
            .any(|settling| settling.due.is_some() && patience);
        let untaken = (0..self.watched.len())
            .any(|source| self.intake.waiting(source) > self.intake.troubles(source).count() && patience);
        let more = self
            .watched
            .iter()
            .enumerate()
            .any(|(source, watched)| watched.seen.more && self.intake.waiting(source) < watched::BACKLOG);
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
            let settling = watched.seen.settling.iter().filter(|settling| settling.due.is_some());
            left.extend(settling.map(|settling| LiveAside {
                file: settling.path.to_string_lossy().into_owned(),
                why: "it is still being written".to_owned(),
            }));
        }
        left
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
            settling: watched.seen.settling.len() as u64,
            asides: watched
                .asides()
                .chain(self.broken.get(index).into_iter().flatten().cloned())
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
            trouble: self.store_trouble.as_ref().map(|(_, why, _)| why.clone()),
        };
        if live != self.live {
            live.at_millis = self.engine.clock.unix_millis();
            live.write(&self.engine.folders.live());
            self.live = live;
        }
    }
}
