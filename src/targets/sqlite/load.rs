//! One load: a transaction from BEGIN IMMEDIATE to COMMIT on a connection of its own, or one for each batch. Closing the
//! connection undoes what was not committed.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use rusqlite::Connection;

use super::{
    errors::Faults,
    idle::{self, FileId, Idle, Open},
    loads::Loads,
    lookup::Lookup,
    mirror::Mirroring,
    plan::{Known, Plan, Purpose},
    shape::Shape,
    write::Writer,
};
use crate::{
    model::{Batch, ContentHash, Tally},
    targets::{Load, LoadId, Mark, Progress, RowRefusal, TableSpec, TargetError, Vanishing},
};

/// A log of more bytes is copied into the database when a load ends. Each copy costs two fsyncs, more than a small load
/// does; SQLite by itself lets a log grow to as much.
const LARGE_LOG_BYTES: u64 = 4 << 20;

/// An open load.
pub(super) struct SqliteLoad {
    open: Open,
    idle: Idle,
    faults: Faults,
    loads_table: String,
    site: String,
    delivery: String,
    plan: Plan,
    mirroring: Option<Mirroring>,
    /// Rows of the table refer to other rows of it.
    defers_references: bool,
    unix_millis: u64,
    counts: Tally,
    /// The schema for which the statements were made.
    schema_version: i64,
    sealed: bool,
}

impl SqliteLoad {
    /// A load on a connection whose transaction is open and has the delivery's row in the loads table. `shape` is that
    /// of a table that fits `spec`, `memory_bytes` the memory in which it may remember rows.
    pub(super) fn new(
        open: Open,
        idle: Idle,
        faults: Faults,
        loads_table: String,
        load: LoadId<'_>,
        (spec, shape): (&TableSpec, &Shape),
        (schema, memory_bytes): (SchemaRef, u64),
    ) -> Result<Self, TargetError> {
        let known = Known::look(&open.connection, spec, shape).map_err(|error| faults.fault(&error))?;
        let plan = Plan::new(spec, &known, schema, Purpose::Load)?;
        let schema_version = idle::schema_version(&open.connection).map_err(|error| faults.fault(&error))?;
        Ok(Self {
            schema_version,
            mirroring: Mirroring::new(spec, &known, &plan, memory_bytes)?,
            defers_references: shape.refers_to_itself,
            unix_millis: load.delivery.unix_millis(),
            plan,
            open,
            idle,
            faults,
            loads_table,
            site: load.site.to_owned(),
            delivery: load.delivery.to_string(),
            counts: Tally::default(),
            sealed: false,
        })
    }

    /// Size of the write-ahead log; 0 where there is none.
    fn log_bytes(&self) -> u64 {
        let mut log = self.faults.path().as_os_str().to_owned();
        log.push("-wal");
        std::fs::metadata(log).map_or(0, |log| log.len())
    }

    fn loads(&self) -> Loads<'_> {
        Loads { connection: &self.open.connection, table: &self.loads_table, faults: &self.faults }
    }

    /// Goes on after what was committed.
    pub(super) fn resume(&mut self, progress: &Progress) {
        self.counts = progress.counts;
    }

    /// Makes the transaction at hand durable.
    fn commit_transaction(&self) -> Result<(), TargetError> {
        // Rows committed into a file that no longer bears the name would be gone.
        if FileId::at(self.faults.path()) != Some(self.open.file) {
            return Err(self.faults.replaced());
        }
        self.open.connection.execute_batch("COMMIT").map_err(|error| self.faults.commit(&error))?;
        // The log holds this load and smaller ones before it. Copying a large one into the database now keeps it from
        // slowing readers down; whoever is in the way does it later, so there is nothing to wait for and no error.
        if self.log_bytes() > LARGE_LOG_BYTES
            && let Ok(waits) =
                self.open.connection.query_row("PRAGMA busy_timeout", [], |row| row.get::<_, u32>(0))
            && self.open.connection.busy_timeout(Duration::ZERO).is_ok()
        {
            let _ = self.open.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
            let waits = Duration::from_millis(waits.into());
            self.open.connection.busy_timeout(waits).map_err(|error| self.faults.fault(&error))?;
        }
        Ok(())
    }

    /// What follows on a lost transaction would be written outside any.
    fn still_open(&self) -> Result<(), TargetError> {
        if self.open.connection.is_autocommit() { Err(self.faults.lost()) } else { Ok(()) }
    }
}

impl Load for SqliteLoad {
    fn write(&mut self, batch: &Batch) -> Result<Vec<RowRefusal>, TargetError> {
        self.still_open()?;
        let cells = self.plan.cells(batch)?;
        let rows = u32::try_from(batch.rows.num_rows()).map_err(|_| contract("a batch is too large"))?;
        let plan = &self.plan;
        let lookup = Lookup { cells: &cells, rows, terms: &plan.terms };
        let mirroring = &mut self.mirroring;
        let decisions = lookup
            .decide(&self.open.connection, &plan.finder, &mut |_, stored, _| match mirroring {
                Some(mirroring) => mirroring.found(&plan.terms, stored),
                None => Ok(()),
            })
            .map_err(|error| self.faults.fault(&error))?;
        let writer =
            Writer::new(&self.open.connection, &plan.statements, &plan.refusals, &self.faults, &cells)?;
        let written = writer.write(&decisions)?;
        self.counts.inserted += written.inserted;
        self.counts.updated += written.updated;
        self.counts.unchanged += written.unchanged;
        self.counts.superseded += written.superseded;
        if let Some(mirroring) = &mut self.mirroring {
            let mut numbers = written.numbers.into_iter();
            let noted =
                mirroring.batch(&lookup).and_then(|()| numbers.try_for_each(|new| mirroring.inserted(new)));
            noted.map_err(|error| self.faults.fault(&error))?;
        }
        let refused = written
            .refused
            .into_iter()
            .filter_map(|(row, refusal)| Some(refusal.of(*batch.origins.get(row)?)));
        Ok(refused.collect())
    }

    fn counts(&self) -> Tally {
        self.counts
    }

    fn mark(&mut self, mark: &Mark) -> Result<(), TargetError> {
        self.still_open()?;
        if self.mirroring.is_some() {
            return Err(contract("a mirror is committed as a whole"));
        }
        let progress = Progress { mark: *mark, counts: self.counts };
        self.loads().advance((&self.site, &self.delivery), &progress)?;
        self.commit_transaction()?;
        go_on(&self.open.connection, &self.faults, self.schema_version)
    }

    fn start_over(&mut self) -> Result<(), TargetError> {
        self.counts = Tally::default();
        Ok(())
    }

    fn present(&mut self, keys: &RecordBatch) -> Result<(), TargetError> {
        self.still_open()?;
        match &mut self.mirroring {
            Some(mirroring) => mirroring.rejected(&self.open.connection, keys, &self.faults),
            None => Ok(()),
        }
    }

    fn vanishing(&mut self) -> Result<Option<Vanishing>, TargetError> {
        self.still_open()?;
        match &mut self.mirroring {
            Some(mirroring) => {
                mirroring.look(&self.open.connection).map_err(|error| self.faults.fault(&error))
            }
            None => Ok(Some(Vanishing::default())),
        }
    }

    fn vanish(&mut self) -> Result<(), TargetError> {
        self.still_open()?;
        let Some(mirroring) = &self.mirroring else { return Ok(()) };
        if self.defers_references {
            // A parent and its child may vanish in any order.
            let defer = self.open.connection.execute_batch("PRAGMA defer_foreign_keys = ON");
            defer.map_err(|error| self.faults.fault(&error))?;
        }
        let vanished = mirroring.carry_out(&self.open.connection, self.unix_millis);
        self.counts.deleted += vanished.map_err(|error| self.faults.kept(&error))?;
        self.still_open()
    }

    fn seal(&mut self, tally: &Tally, rejects: ContentHash) -> Result<(), TargetError> {
        self.still_open()?;
        if !tally.balances() {
            return Err(contract("the tally does not balance"));
        }
        self.loads().complete((&self.site, &self.delivery), tally, rejects)?;
        self.sealed = true;
        Ok(())
    }

    fn commit(self: Box<Self>) -> Result<(), TargetError> {
        self.still_open()?;
        if !self.sealed {
            return Err(contract("the load was not sealed"));
        }
        self.commit_transaction()?;
        self.idle.keep(self.open);
        Ok(())
    }
}

/// Begins the next transaction of a load whose statements were made for a schema of this number.
pub(super) fn go_on(
    connection: &Connection,
    faults: &Faults,
    schema_version: i64,
) -> Result<(), TargetError> {
    let found = connection
        .execute_batch("BEGIN IMMEDIATE")
        .and_then(|()| idle::schema_version(connection))
        .map_err(|error| faults.fault(&error))?;
    if found == schema_version {
        return Ok(());
    }
    Err(TargetError::Passing(format!(
        "{} was changed while rows were loaded, so its table has to be looked at again",
        faults.database()
    )))
}

/// The error for a caller that does not keep to what [`Load`] says.
pub(super) fn contract(what: &str) -> TargetError {
    TargetError::Lasting(format!(
        "nothing was loaded, as {what}; this is a mistake in Wharf: please report it"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_changes_between_two_marks_ends_the_load_for_another_attempt() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch("CREATE TABLE t (k TEXT PRIMARY KEY, v TEXT)").unwrap();
        let faults = Faults::new(path.clone());
        let version = idle::schema_version(&connection).unwrap();
        go_on(&connection, &faults, version).unwrap();
        connection.execute_batch("COMMIT").unwrap();
        Connection::open(&path).unwrap().execute_batch("ALTER TABLE t ADD COLUMN other").unwrap();
        let error = go_on(&connection, &faults, version).unwrap_err();
        assert!(matches!(error, TargetError::Passing(_)), "{error:?}");
    }
}
