//! What is known of a delivery: the sum of its events.

use std::{collections::BTreeMap, path::PathBuf};

use super::event::{Reports, Stop, Taken};
use crate::model::{ContentHash, DeliveryId, FileName, Reason, State, Tally};

/// Where an event stands in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number among all events; rising, not always without gaps.
    pub sequence: u64,
    /// The delivery it belongs to.
    pub delivery: DeliveryId,
    /// When it was written, in milliseconds since 1970.
    pub at_millis: u64,
}

/// What is known of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryState {
    /// Its name.
    pub id: DeliveryId,
    /// Sequence number of its first event: deliveries in the order of their arrival, whatever the clock did.
    pub arrival: u64,
    /// The file's name as it came.
    pub file: FileName,
    /// The source that it came from.
    pub source: String,
    /// Where it stood there.
    pub source_path: Option<PathBuf>,
    /// By what the source can tell that the file there is still the one taken.
    pub stamp: Option<String>,
    /// Why it was held to be complete.
    pub evidence: Option<String>,
    /// Its length in bytes.
    pub size: u64,
    /// Last change of its content by the clock of whoever wrote it, in nanoseconds since 1970.
    pub modified_nanos: Option<i64>,
    /// BLAKE3 of its bytes.
    pub hash: ContentHash,
    /// Its copy, relative to the site's archive.
    pub archive: String,
    /// The mapping it is loaded under.
    pub mapping: Option<String>,
    /// Fingerprint of the plan in force: that of the last attempt, else the one at arrival.
    pub plan: Option<String>,
    /// Hash of the files that values were looked up in, as the last attempt found them.
    pub lookups: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Attempts so far.
    pub attempts: u32,
    /// Attempts in a row that the program began and did not end in any way.
    pub unended: u32,
    /// Attempts in a row that a fault which may pass had stopped.
    pub postponed: u32,
    /// Why it did not load.
    pub reason: Option<Reason>,
    /// The same in words.
    pub message: Option<String>,
    /// When it may be tried again, in milliseconds since 1970, if a fault made it wait.
    pub not_before_millis: Option<u64>,
    /// For a failed one: the same may go well later.
    pub retryable: bool,
    /// The delivery it waits for, is a duplicate of, or was overtaken by.
    pub other: Option<DeliveryId>,
    /// So many rejects a person has accepted.
    pub approved_rejects: Option<u64>,
    /// So many rows a person has accepted to vanish.
    pub approved_deletes: Option<u64>,
    /// For a held one: rows that would vanish from the table.
    pub deletes: u64,
    /// What became of its records, once that is known.
    pub tally: Option<Tally>,
    /// The same for each table.
    pub tables: BTreeMap<String, Tally>,
    /// Violations by rule code, as of the last validation.
    pub violations: BTreeMap<String, u64>,
    /// What was written for people.
    pub reports: Reports,
    /// When it came, in milliseconds since 1970.
    pub taken_at_millis: u64,
    /// When it came into its present state, in milliseconds since 1970.
    pub changed_at_millis: u64,
    /// Sequence number of its outcome: deliveries in the order in which they ended.
    pub settled: Option<u64>,
    /// How long the last attempt worked, in milliseconds.
    pub worked_millis: Option<u64>,
    /// The delivery some of whose rejects it brings corrected.
    pub corrects: Option<DeliveryId>,
    /// The archived copy of the file that the correction came as.
    pub returned: Option<String>,
    /// The delivery whose archived file it loads once more.
    pub reruns: Option<DeliveryId>,
    /// It stands for that delivery, which the target had forgotten.
    pub restores: bool,
    /// What has become of its rejects.
    pub rejects: RejectCounts,
    /// The table that its open rejects belong to: connection, slash, name.
    pub place: Option<String>,
    /// Rejects that only lacked a row of a table when they were last seen, by that table.
    pub missing: BTreeMap<String, u64>,
}

/// How many rejects of a delivery stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RejectCounts {
    /// They can be corrected.
    pub open: u64,
    /// A correction loaded them.
    pub corrected: u64,
    /// A later delivery loaded their key.
    pub overtaken: u64,
    /// Nothing has to become of them.
    pub ignored: u64,
}

impl DeliveryState {
    /// True when it read records, or made rows vanish: then its target knows it.
    #[must_use]
    pub fn has_brought(&self) -> bool {
        self.tally.is_some_and(|tally| tally.read > 0 || tally.deleted > 0)
    }

    /// When it had its outcome, in milliseconds since 1970.
    #[must_use]
    pub fn finished_at_millis(&self) -> Option<u64> {
        self.state.is_final().then_some(self.changed_at_millis)
    }

    /// True when it was compared with the table and nothing was written: what is loaded names its tables, a shadow run none.
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        matches!(self.state, State::Loaded | State::LoadedWithRejects) && self.tables.is_empty()
    }

    pub(super) fn new(place: Place, taken: &Taken) -> Self {
        Self {
            id: place.delivery,
            arrival: place.sequence,
            file: taken.file.clone(),
            source: taken.source.clone(),
            source_path: taken.source_path.clone(),
            stamp: taken.stamp.clone(),
            evidence: taken.evidence.clone(),
            size: taken.size,
            modified_nanos: taken.modified_nanos,
            hash: taken.hash,
            archive: taken.archive.clone(),
            mapping: taken.mapping.clone(),
            plan: taken.plan.clone(),
            lookups: None,
            state: State::Taken,
            attempts: 0,
            unended: 0,
            postponed: 0,
            reason: None,
            message: None,
            not_before_millis: None,
            retryable: false,
            other: None,
            approved_rejects: None,
            approved_deletes: None,
            deletes: 0,
            tally: None,
            tables: BTreeMap::new(),
            violations: BTreeMap::new(),
            reports: Reports::default(),
            taken_at_millis: place.at_millis,
            changed_at_millis: place.at_millis,
            settled: None,
            worked_millis: None,
            corrects: taken.corrects,
            returned: taken.returned.clone(),
            reruns: taken.reruns,
            restores: taken.restores,
            rejects: RejectCounts::default(),
            place: None,
            missing: BTreeMap::new(),
        }
    }

    /// Comes into a state. What was said about the former one no longer holds.
    pub(super) fn enter(&mut self, state: State, place: Place) {
        self.state = state;
        self.changed_at_millis = place.at_millis;
        self.settled = state.is_final().then_some(place.sequence);
        (self.reason, self.message, self.other, self.not_before_millis) = (None, None, None, None);
        if state != State::Running {
            self.unended = 0;
        }
        if !matches!(state, State::Running | State::Waiting) {
            self.postponed = 0;
        }
        (self.retryable, self.deletes) = (false, 0);
    }

    pub(super) fn stop(&mut self, state: State, place: Place, stop: &Stop) {
        self.enter(state, place);
        self.reason = Some(stop.reason);
        self.message = Some(stop.message.clone());
        self.tally = Some(stop.tally);
        self.deletes = stop.deletes;
        self.reports = stop.reports.clone();
        self.worked_millis = Some(stop.worked_millis);
    }
}
