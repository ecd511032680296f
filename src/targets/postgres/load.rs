//! One load: a transaction on a connection of its own, from BEGIN to COMMIT, or one for each batch. Closing the connection undoes
//! what was not committed.
//!
//! Nothing of a transaction outlives a mark: the next one begins when there is something to write, with limits, temporary tables
//! and locks of its own, on whatever connection a pooler gives it. It goes on only if table and loads table are as they were left.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use super::{
    copy::Copier,
    encode::Encoder,
    errors::{Failure, Faults},
    loads::Loads,
    mirror::Mirroring,
    name::TableName,
    plan::{Plan, contract},
    refusals::Refusals,
    session::Session,
    shape::{self, Shape},
    stage::{LOCK, Staged},
};
use crate::{
    model::{Batch, ContentHash, Tally},
    targets::{
        Commit, Load, LoadId, Mark, Mode, Progress, Refusal, RowRefusal, TableSpec, TargetError, Vanishing,
    },
};

/// The way that rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Straight into the table, which was empty.
    Straight,
    /// Into a temporary table, which holds so many by now.
    Staged(u64),
}

/// Where a load happens.
pub(super) struct Place {
    /// The connection, whose transaction is open.
    pub session: Session,
    /// The statements that begin another transaction.
    pub begin: String,
    /// Makes errors of what the server says.
    pub faults: Faults,
    /// The table in which loads are remembered.
    pub loads_table: String,
}

/// An open load.
pub(super) struct PostgresLoad {
    session: Session,
    begin: String,
    faults: Faults,
    loads_table: String,
    /// The table's name as the mapping has it.
    table: String,
    shape: Shape,
    by_batch: bool,
    site: String,
    delivery: String,
    plan: Plan,
    refusals: Refusals,
    mirroring: Option<Mirroring>,
    unix_millis: u64,
    way: Way,
    counts: Tally,
    /// No transaction is open, as the last one ended with this mark.
    marked: Option<Progress>,
    finished: bool,
    sealed: bool,
    /// Something failed that the transaction has not survived.
    lost: bool,
}

impl PostgresLoad {
    /// A load whose transaction has the delivery's row in the loads table. `shape` is that of a table that fits `spec`.
    pub(super) fn new(
        Place { session, begin, faults, loads_table }: Place,
        load: LoadId<'_>,
        (spec, shape): (&TableSpec, Shape),
        schema: SchemaRef,
    ) -> Result<Self, TargetError> {
        let plan = Plan::new(spec, &shape, schema)?;
        let mut load = Self {
            refusals: Refusals::new(spec, &shape),
            mirroring: Mirroring::new(spec, &shape, &plan),
            unix_millis: load.delivery.unix_millis(),
            session,
            begin,
            faults,
            loads_table,
            table: spec.table.clone(),
            shape,
            by_batch: spec.commit == Commit::Batch,
            site: load.site.to_owned(),
            delivery: load.delivery.to_string(),
            plan,
            way: Way::Straight,
            counts: Tally::default(),
            marked: None,
            finished: false,
            sealed: false,
            lost: false,
        };
        load.prepare(false).map_err(|failure| load.faults.fault(&failure))?;
        Ok(load)
    }

    /// Prepares a transaction. Where the load itself has filled a table that was empty, its rows go straight into it as before.
    fn prepare(&mut self, was_straight: bool) -> Result<(), Failure> {
        let shape = &self.shape;
        // What is checked by the end of a statement can be told of a row; what rows of the file refer to in one another cannot.
        let early: Vec<&str> =
            shape.deferrable.iter().filter(|one| !one.is_to_itself).map(|one| one.name.as_str()).collect();
        if !early.is_empty() {
            self.session.run(&format!("SET CONSTRAINTS {} IMMEDIATE", early.join(", ")))?;
        }
        let may_copy = self.plan.may_copy && !self.plan.folds_keys;
        let mut straight = may_copy && (was_straight || self.is_empty()?);
        if straight && self.mirroring.is_some() {
            // What others put there now, the file might have or not: nobody could tell any more.
            self.session.run(&format!("LOCK TABLE {} {LOCK}", self.plan.table))?;
            straight = self.is_empty()?;
        }
        if !straight {
            self.session.run(&self.plan.create_stage())?;
            self.mirroring.as_ref().map_or(Ok(()), |mirroring| mirroring.prepare(&self.session))?;
        }
        self.way = if straight { Way::Straight } else { Way::Staged(0) };
        Ok(())
    }

    fn is_empty(&self) -> Result<bool, Failure> {
        let empty = format!("SELECT NOT EXISTS (SELECT FROM {})", self.plan.table);
        Ok(self.session.row(&empty, &[])?.try_get(0)?)
    }

    /// Goes on after what was committed.
    pub(super) fn resume(&mut self, progress: &Progress) {
        self.counts = progress.counts;
    }

    fn loads(&self) -> Loads<'_> {
        Loads(&self.loads_table)
    }

    fn delivery(&self) -> (&str, &str) {
        (&self.site, &self.delivery)
    }

    /// Sees to it that a transaction is open. What follows on a lost one would not be undone with it.
    fn ready(&mut self) -> Result<(), TargetError> {
        if self.lost || self.session.is_closed() {
            return Err(self.faults.lost());
        }
        let Some(progress) = self.marked.take() else { return Ok(()) };
        let begun = self.begin_another(&progress);
        self.lost = begun.is_err();
        begun
    }

    /// Begins the transaction after a mark.
    fn begin_another(&mut self, progress: &Progress) -> Result<(), TargetError> {
        let fault = |failure: Failure| self.faults.fault(&failure);
        self.session.run(&self.begin).map_err(fault)?;
        self.loads().hold(&self.session, self.delivery(), progress, &self.faults)?;
        let shape = shape::read(&self.session, TableName::of(&self.table)).map_err(fault)?;
        if shape.as_ref() != Some(&self.shape) {
            return Err(self.faults.changed());
        }
        let prepared = self.prepare(self.way == Way::Straight);
        prepared.map_err(|failure| self.faults.fault(&failure))
    }

    /// Has all rules of the table hold that wait for the end of the transaction.
    fn check_deferred(&mut self) -> Result<(), TargetError> {
        let Err(failure) = self.session.run("SET CONSTRAINTS ALL IMMEDIATE") else { return Ok(()) };
        self.lost = true;
        Err(match self.refusals.refusal(&failure) {
            Some(refusal) => self.faults.deferred(&refusal.message, self.by_batch),
            None => self.faults.fault(&failure),
        })
    }

    /// The fault that a failure stands for, which ends the load.
    fn fail(&mut self, failure: &Failure) -> TargetError {
        self.lost = true;
        self.faults.fault(failure)
    }

    /// Sends rows the way they go; those that it is not for are given back.
    fn send(&mut self, rows: &RecordBatch, records: &[u64]) -> Result<Vec<(usize, Refusal)>, TargetError> {
        let other = || contract("a batch has other columns than the load began with");
        let columns = &self.plan.columns;
        if self.way == Way::Straight {
            let encoder = Encoder::new(rows, columns, None).ok_or_else(other)?;
            let copier = Copier {
                session: &self.session,
                sql: &self.plan.copy(),
                refusals: &self.refusals,
                leaves_known_keys: self.plan.mode == Mode::Upsert,
            };
            let copied = copier.copy(&encoder, rows.num_rows(), columns);
            let copied = copied.map_err(|failure| self.fail(&failure))?;
            self.counts.inserted += copied.rows;
            let mut refused: Vec<(usize, Refusal)> = copied.refused.into_iter().collect();
            if !copied.left.is_empty() {
                // Somebody else has put rows into the table meanwhile.
                let stage = self.session.run(&self.plan.create_stage());
                stage.map_err(|failure| self.fail(&failure))?;
                self.way = Way::Staged(0);
                refused.extend(self.send_some(rows, records, &copied.left)?);
            }
            return Ok(refused);
        }
        self.stage(rows, records)
    }

    fn send_some(
        &mut self,
        rows: &RecordBatch,
        records: &[u64],
        picked: &[usize],
    ) -> Result<Vec<(usize, Refusal)>, TargetError> {
        let other = || contract("a batch is too large");
        let indices = picked.iter().map(|row| u32::try_from(*row)).collect::<Result<Vec<_>, _>>();
        let indices = arrow_array::UInt32Array::from(indices.map_err(|_| other())?);
        let rows = arrow_select::take::take_record_batch(rows, &indices).map_err(|_| other())?;
        let records: Vec<u64> = picked.iter().filter_map(|row| records.get(*row).copied()).collect();
        let refused = self.stage(&rows, &records)?;
        Ok(refused.into_iter().filter_map(|(row, refusal)| Some((*picked.get(row)?, refusal))).collect())
    }

    fn stage(&mut self, rows: &RecordBatch, records: &[u64]) -> Result<Vec<(usize, Refusal)>, TargetError> {
        let other = || contract("a batch has other columns than the load began with");
        let columns = &self.plan.columns;
        let encoder = Encoder::new(rows, columns, Some(records)).ok_or_else(other)?;
        let copier = Copier {
            session: &self.session,
            sql: &self.plan.copy_staged(),
            refusals: &self.refusals,
            leaves_known_keys: false,
        };
        let copied = copier.copy(&encoder, rows.num_rows(), columns);
        let copied = copied.map_err(|failure| self.fail(&failure))?;
        if let Some(mirroring) = &self.mirroring {
            let refused: Vec<usize> = copied.refused.keys().copied().collect();
            let kept = mirroring.refused(&self.session, (&self.plan, &self.refusals), rows, &refused);
            kept.map_err(|failure| self.fail(&failure))?;
        }
        if let Way::Staged(staged) = &mut self.way {
            *staged += copied.rows;
        }
        Ok(copied.refused.into_iter().collect())
    }
}

impl Load for PostgresLoad {
    fn write(&mut self, batch: &Batch) -> Result<Vec<RowRefusal>, TargetError> {
        self.ready()?;
        if batch.rows.num_rows() != batch.origins.len() {
            return Err(contract("a batch has rows without an origin"));
        }
        if batch.rows.schema_ref().fields() != self.plan.schema.fields() {
            return Err(contract("a batch has other columns than the load began with"));
        }
        let records: Vec<u64> = batch.origins.iter().map(|origin| origin.record).collect();
        let refused = self.send(&batch.rows, &records)?;
        let refused =
            refused.into_iter().filter_map(|(row, refusal)| Some(refusal.of(*batch.origins.get(row)?)));
        Ok(refused.collect())
    }

    fn finish(&mut self) -> Result<Vec<(u64, Refusal)>, TargetError> {
        self.ready()?;
        self.finished = true;
        let Way::Staged(rows) = self.way else { return Ok(Vec::new()) };
        self.way = Way::Staged(0);
        if rows > 0
            && let Some(mirroring) = &mut self.mirroring
            && let Err(failure) = mirroring.before_writing(&self.session)
        {
            return Err(self.fail(&failure));
        }
        let staged = Staged {
            session: &self.session,
            plan: &self.plan,
            refusals: &self.refusals,
            faults: &self.faults,
            rows,
        };
        match staged.merge() {
            Ok(merged) => {
                self.counts.inserted += merged.counts.inserted;
                self.counts.updated += merged.counts.updated;
                self.counts.unchanged += merged.counts.unchanged;
                self.counts.superseded += merged.counts.superseded;
                Ok(merged.refused.into_iter().collect())
            }
            Err(error) => {
                self.lost = true;
                Err(error)
            }
        }
    }

    fn counts(&self) -> Tally {
        self.counts
    }

    fn note(&self) -> Option<String> {
        let rewritten = self.plan.has_before_triggers && self.counts.updated > 0;
        rewritten.then(|| {
            format!(
                "the table {} has triggers that can change rows before they are written: a row that they change differs \
                 from the file's for ever, so it counts as updated each time",
                self.plan.table
            )
        })
    }

    fn mark(&mut self, mark: &Mark) -> Result<(), TargetError> {
        self.ready()?;
        if self.mirroring.is_some() {
            return Err(contract("a mirror is committed as a whole"));
        }
        if !self.finished {
            return Err(contract("what was put aside was not written before a mark"));
        }
        self.check_deferred()?;
        let progress = Progress { mark: *mark, counts: self.counts };
        let advanced = self.loads().advance(&self.session, self.delivery(), &progress, &self.faults);
        self.lost = advanced.is_err();
        advanced?;
        if let Err(failure) = self.session.run("COMMIT") {
            self.lost = true;
            return Err(self.faults.committing(&failure));
        }
        (self.marked, self.finished) = (Some(progress), false);
        Ok(())
    }

    fn start_over(&mut self) -> Result<(), TargetError> {
        self.counts = Tally::default();
        Ok(())
    }

    fn present(&mut self, keys: &RecordBatch) -> Result<(), TargetError> {
        self.ready()?;
        // A table that was empty has nothing that could vanish.
        let (Some(mirroring), Way::Staged(_)) = (&self.mirroring, self.way) else { return Ok(()) };
        let kept = mirroring.present(&self.session, &self.refusals, keys);
        kept.map_err(|failure| self.fail(&failure))
    }

    fn vanishing(&mut self) -> Result<Option<Vanishing>, TargetError> {
        self.ready()?;
        let (Some(mirroring), Way::Staged(_)) = (&self.mirroring, self.way) else {
            return Ok(Some(Vanishing::default()));
        };
        let vanishing = mirroring.look(&self.session, self.counts.inserted);
        vanishing.map_err(|failure| self.fail(&failure))
    }

    fn vanish(&mut self) -> Result<(), TargetError> {
        self.ready()?;
        let (Some(mirroring), Way::Staged(_)) = (&self.mirroring, self.way) else { return Ok(()) };
        match mirroring.carry_out(&self.session, self.unix_millis) {
            Ok(vanished) => {
                self.counts.deleted += vanished;
                Ok(())
            }
            Err(failure) => {
                self.lost = true;
                Err(self.faults.kept(&failure))
            }
        }
    }

    fn seal(&mut self, tally: &Tally, rejects: ContentHash) -> Result<(), TargetError> {
        self.ready()?;
        if !tally.balances() {
            return Err(contract("the tally does not balance"));
        }
        if !self.finished {
            return Err(contract("the load was not finished"));
        }
        self.check_deferred()?;
        let completed = self.loads().complete(&self.session, self.delivery(), tally, rejects, &self.faults);
        match completed {
            Ok(()) => self.sealed = true,
            Err(_) => self.lost = true,
        }
        completed
    }

    fn commit(mut self: Box<Self>) -> Result<(), TargetError> {
        self.ready()?;
        if !self.sealed {
            return Err(contract("the load was not sealed"));
        }
        let committed = self.session.run("COMMIT");
        self.lost = true; // there is nothing more to undo
        committed.map_err(|failure| self.faults.committing(&failure))
    }
}

impl Drop for PostgresLoad {
    /// Whoever begins again need not wait for the server to notice that the connection is closed.
    fn drop(&mut self) {
        if !self.lost && self.marked.is_none() && !self.session.is_closed() {
            let _ = self.session.run("ROLLBACK");
        }
    }
}
