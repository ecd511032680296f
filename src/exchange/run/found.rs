//! What a run found when it began, kept for whoever asks later; and what it notices of the databases: that they do not answer,
//! or have forgotten what they knew.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Runner,
    work::{Done, Unfinished, caught},
};
use crate::{
    exchange::{DeliveryReport, Engine, EngineError, live::LiveDatabase},
    ledger::{NAMED, Recovery},
    model::{Outcome, printable},
};

/// How often the databases are asked for the latest delivery of each mapping: one short question for each.
const REMEMBERING_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// What was found at the start, as far as it is known.
#[derive(Debug)]
pub(super) struct Kept {
    found: Recovery,
    number: Option<u64>,
    changed: bool,
}

impl Kept {
    pub(super) fn new(found: Recovery) -> Self {
        Self { changed: !found.is_empty(), found, number: None }
    }

    /// A source was told of a file that an earlier run had taken.
    pub(super) fn settled(&mut self, path: &Path) {
        self.found.files_settled += 1;
        name(&mut self.found.settled, path);
        self.changed = true;
    }
}

fn name(names: &mut Vec<String>, path: &Path) {
    if names.len() < NAMED {
        names.push(path.to_string_lossy().into_owned());
    }
}

/// What the databases have forgotten.
#[derive(Debug, Default)]
pub(super) struct Remembering {
    /// A sentence each.
    pub(super) forgotten: Vec<String>,
    due: Duration,
    asking: bool,
}

impl Runner<'_> {
    /// Files that an earlier run had claimed have their own names again.
    pub(super) fn were_put_back(&mut self, source: usize, paths: Vec<PathBuf>) {
        let source = self.watched.get(source).map(|watched| watched.source.name()).unwrap_or_default();
        for path in paths {
            tracing::info!(source, file = %path.display(), "was claimed before and not taken; given back");
            self.recovery.found.files_put_back += 1;
            name(&mut self.recovery.found.put_back, &path);
            self.recovery.changed = true;
        }
    }

    /// Keeps what was found, when there is news of it.
    pub(super) fn keep_found(&mut self) -> Result<(), EngineError> {
        if std::mem::take(&mut self.recovery.changed) {
            let mut ledger = self.engine.ledger();
            match self.recovery.number {
                Some(number) => ledger.amend_recovery(number, &self.recovery.found)?,
                None => self.recovery.number = Some(ledger.keep_recovery(&self.recovery.found)?),
            }
        }
        Ok(())
    }

    /// A delivery has come to rest: if it is loaded, its database answers.
    pub(super) fn has_gone_on(&mut self, job: &Unfinished, report: &DeliveryReport) {
        if matches!(report.outcome, Outcome::Loaded | Outcome::LoadedWithRejects) {
            self.databases.retain(|database| database.connection != job.connection);
        }
    }

    /// A fault that may pass keeps a delivery from being loaded.
    pub(super) fn does_not_go_on(&mut self, job: &Unfinished, trouble: &str) {
        let since_millis = self.engine.clock.unix_millis();
        match self.databases.iter_mut().find(|database| database.connection == job.connection) {
            Some(known) => trouble.clone_into(&mut known.trouble),
            None => self.databases.push(LiveDatabase {
                connection: job.connection.clone(),
                since_millis,
                trouble: trouble.to_owned(),
            }),
        }
    }

    /// The databases of which that is still true: something waits to be loaded into them.
    pub(super) fn troubled_databases(&mut self) -> Vec<LiveDatabase> {
        if self.lanes.running() == 0 {
            let lanes = &self.lanes;
            self.databases
                .retain(|database| lanes.queue().any(|(job, _)| job.plan.connection == database.connection));
        }
        self.databases.clone()
    }

    /// Asks the databases now and then whether they know what was loaded last.
    pub(super) fn start_remembering(&mut self, now: Duration) {
        if self.options.once || self.remembering.asking || now < self.remembering.due {
            return;
        }
        self.remembering.asking = true;
        self.remembering.due = now + REMEMBERING_INTERVAL;
        let engine = std::sync::Arc::clone(&self.engine);
        self.work(move || Done::Remembered {
            forgotten: caught(|| engine.latest_forgotten()).unwrap_or_default(),
        });
    }

    /// The databases have answered.
    pub(super) fn remembered(&mut self, forgotten: Vec<String>) {
        self.remembering.asking = false;
        for sentence in forgotten.iter().filter(|sentence| !self.remembering.forgotten.contains(sentence)) {
            tracing::error!("{sentence}");
        }
        self.remembering.forgotten = forgotten;
    }
}

impl Engine {
    /// Of each mapping the delivery that was loaded last, if its database does not know it: a sentence for people. What cannot
    /// be asked is told when it is loaded into.
    fn latest_forgotten(&self) -> Vec<String> {
        let mut forgotten = Vec::new();
        for plan in self.site.catalog.iter().filter_map(|entry| entry.plan.as_ref().ok()) {
            let latest = self.ledger().view().latest_loaded(&plan.name);
            let Some(latest) = latest.ok().flatten().and_then(|latest| self.known(latest.delivery).ok())
            else {
                continue;
            };
            if self.is_forgotten(&latest).unwrap_or(false) {
                let at = printable::moment(latest.changed_at_millis);
                forgotten.push(format!(
                    "the database of table {} does not know {} ({}), which was loaded at {at}: was it put back to an older \
                     state? `wharf reconcile` tells what is missing",
                    plan.table.table, latest.file, latest.id
                ));
            }
        }
        forgotten
    }
}
