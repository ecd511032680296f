//! Rows that wait in a temporary table until all are there, and are then held against the table: only those that are new or
//! differ are written.
//!
//! What is to be done is found out without a lock. Then the table is locked against other writers, and written to; what others
//! did in between shows in the numbers of rows written, and has it all found out again, behind the lock this time.

use std::collections::BTreeMap;

use tokio_postgres::types::Type;

use super::{
    errors::{Failure, Faults},
    merge::{Merge, Wanted},
    plan::Plan,
    refusals::Refusals,
    session::Session,
};
use crate::{
    model::{Rule, Tally},
    targets::{MOST_REFUSALS, Mode, Refusal, TargetError},
};

/// The table in which rows wait: `n` is the number of the record, the others are named by the index of the spec's column.
pub(super) const STAGE: &str = "_wharf_stage";
/// The table of what is to be done with them.
pub(super) const WORK: &str = "_wharf_work";
/// Memory for holding the rows against the table's: the planner would else cut both into parts on the disk.
const WORK_MEMORY: &str = "SET LOCAL work_mem = '128MB'";
/// Keeps other writers away, and lets readers go on.
pub(super) const LOCK: &str = "IN SHARE ROW EXCLUSIVE MODE";

/// What became of the rows that waited.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// Inserted, updated, unchanged and superseded rows.
    pub counts: Tally,
    /// Rows that were not taken, by the numbers of their records.
    pub refused: BTreeMap<u64, Refusal>,
}

/// Rows that wait.
pub(super) struct Staged<'a> {
    /// The connection.
    pub session: &'a Session,
    /// How rows are found and written.
    pub plan: &'a Plan,
    /// Makes refusals of what the server says.
    pub refusals: &'a Refusals,
    /// Makes errors of what the server says.
    pub faults: &'a Faults,
    /// How many rows wait.
    pub rows: u64,
}

impl Staged<'_> {
    /// Writes what has to be written.
    pub(super) fn merge(mut self) -> Result<Merged, TargetError> {
        let faults = self.faults;
        self.merged().map_err(|failure| faults.fault(&failure))
    }

    fn merged(&mut self) -> Result<Merged, Failure> {
        let mut merged = Merged::default();
        if self.rows == 0 {
            return Ok(merged);
        }
        if self.plan.folds_keys {
            self.refuse_repeated_keys(&mut merged)?;
        }
        self.session.run(&format!("ANALYZE {STAGE} (n, {})", self.plan.staged_key()))?;
        self.session.run(WORK_MEMORY)?;
        if self.plan.is_view {
            self.refuse_ambiguous(&mut merged)?;
        }
        let mut wanted = self.find_out(true)?;
        if self.plan.mode == Mode::Insert {
            self.refuse_known(&mut merged, &wanted)?;
        }
        if merged.refused.len() > MOST_REFUSALS {
            return Ok(merged);
        }
        let mut unchanged = self.rows.saturating_sub(wanted.all());
        let merge =
            Merge { session: self.session, plan: self.plan, refusals: self.refusals, rows: self.rows };
        if wanted.writes() {
            // Rows are only ever added in mode insert, and the index of the key says no by itself.
            if self.plan.mode != Mode::Insert {
                self.session.run(&format!("LOCK TABLE {} {LOCK}", self.plan.table))?;
            }
            if !merge.at_once(&wanted)? {
                wanted = self.find_out(false)?;
                if self.plan.mode == Mode::Insert {
                    self.refuse_known(&mut merged, &wanted)?;
                }
                unchanged = self.rows.saturating_sub(wanted.all());
                merge.in_parts(&mut wanted, &mut merged.refused)?;
            }
        }
        merged.counts = Tally {
            inserted: wanted.inserts,
            updated: wanted.updates,
            superseded: wanted.superseded,
            unchanged,
            ..Tally::default()
        };
        Ok(merged)
    }

    /// Finds out what is to be done, for the first time or again.
    fn find_out(&self, first: bool) -> Result<Wanted, Failure> {
        if !first {
            self.session.run(&format!("DROP TABLE {WORK}"))?;
        }
        self.session.run(&self.plan.create_work())?;
        let rows = self.session.rows(&format!("SELECT what::text, count(*) FROM {WORK} GROUP BY 1"), &[])?;
        let mut wanted = Wanted::default();
        for row in rows {
            let (what, count): (&str, i64) = (row.try_get(0)?, row.try_get(1)?);
            let place = match what {
                "i" => &mut wanted.inserts,
                "u" => &mut wanted.updates,
                "s" => &mut wanted.superseded,
                _ => &mut wanted.known,
            };
            *place = count.unsigned_abs();
        }
        Ok(wanted)
    }

    /// Two records of the file are one key to the table: the first one stays.
    fn refuse_repeated_keys(&mut self, merged: &mut Merged) -> Result<(), Failure> {
        let found = self.session.rows(&limited(&self.plan.repeated_keys()), &[])?;
        for row in &found {
            let (record, first): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            let message = format!("repeats the key of record {first}, as the table compares keys");
            merged.refuse(record, Refusal { rule: Rule::Key, ..Refusal::target(None, message) });
        }
        self.forget(merged)
    }

    /// Keys that a view has more than once: nobody could tell which row is meant.
    fn refuse_ambiguous(&mut self, merged: &mut Merged) -> Result<(), Failure> {
        let found = self.session.rows(&limited(&self.plan.ambiguous()), &[])?;
        for row in &found {
            let message = "has a key that stands in the view more than once";
            merged.refuse(row.try_get(0)?, Refusal { rule: Rule::Key, ..Refusal::target(None, message) });
        }
        self.forget(merged)
    }

    fn refuse_known(&self, merged: &mut Merged, wanted: &Wanted) -> Result<(), Failure> {
        if wanted.known == 0 {
            return Ok(());
        }
        let known = format!("SELECT n FROM {WORK} WHERE what = 'k' ORDER BY n");
        for row in self.session.rows(&limited(&known), &[])? {
            merged.refuse(row.try_get(0)?, Refusal::known_key());
        }
        Ok(())
    }

    /// Takes the rows that are refused out of those that wait.
    fn forget(&mut self, merged: &Merged) -> Result<(), Failure> {
        let records: Vec<i64> = merged.refused.keys().map(|record| record.cast_signed()).collect();
        if records.is_empty() {
            return Ok(());
        }
        let delete = format!("DELETE FROM {STAGE} WHERE n = ANY ($1)");
        let gone = self.session.execute(&delete, &[(&records, Type::INT8_ARRAY)])?;
        self.rows = self.rows.saturating_sub(gone);
        Ok(())
    }
}

impl Merged {
    fn refuse(&mut self, record: i64, refusal: Refusal) {
        self.refused.entry(record.cast_unsigned()).or_insert(refusal);
    }
}

/// One more than may be refused is enough to know.
fn limited(select: &str) -> String {
    format!("{select} LIMIT {}", MOST_REFUSALS + 1)
}
