//! SQLite: the database that is there without a server.
//!
//! A load has a connection and a transaction of its own, with `synchronous = FULL` in WAL mode: others read on while it
//! runs, and see all of it or nothing. Counts are exact: rows are looked up by key, compared, and only those that are
//! new or differ are written. A row that the database refuses is left out alone.
//!
//! Tables that others made are taken as they are if they fit; [`Target::fit`] names every difference. Values are kept
//! as [`cells`] says.

mod cells;
mod comparison;
mod errors;
mod fit;
mod idle;
mod load;
mod loads;
mod lookup;
mod mirror;
mod plan;
mod read;
mod scopes;
mod shape;
mod snapshot;
mod sql;
mod stored;
mod write;

use std::{io::ErrorKind, path::Path, time::Duration};

use arrow_schema::SchemaRef;
use rusqlite::{Connection, OpenFlags, ffi};

use self::{
    comparison::SqliteComparison,
    errors::Faults,
    idle::{FileId, Fitting, Idle, Open},
    load::SqliteLoad,
    loads::{Entered, Loads},
    snapshot::Snapshot,
};
use super::{
    Begun, Capability, Comparison, Fit, LoadId, ReadSpec, Remembered, RowSink, TableSpec, Target, TargetError,
};
use crate::{model::DeliveryId, wire::folder};

/// How a database is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqliteOptions {
    /// The table in which loads are remembered; created when it is missing.
    pub loads_table: String,
    /// Memory for pages, in bytes. A load whose changes do not fit writes them to the log early.
    pub cache_bytes: u64,
    /// How long to wait for other writers.
    pub busy_timeout: Duration,
    /// The folder of the database is made by somebody else before the first load, so that it may be missing until then.
    pub folder_follows: bool,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            loads_table: "_wharf_loads".to_owned(),
            cache_bytes: 64 << 20,
            busy_timeout: Duration::from_secs(5),
            folder_follows: false,
        }
    }
}

/// An SQLite database as a target.
#[derive(Clone, Debug)]
pub struct SqliteTarget {
    options: SqliteOptions,
    faults: Faults,
    idle: Idle,
}

impl SqliteTarget {
    /// The database at `path`. The file need not exist yet, its folder must; it is made by the first load that may
    /// create its table.
    ///
    /// # Errors
    /// [`TargetError::Lasting`] when the path or the name of the loads table cannot be one.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, TargetError> {
        let path = path.as_ref();
        // An absolute path is never one of SQLite's special names, such as `:memory:` or `file:...?mode=`.
        let absolute = std::path::absolute(path).map_err(|error| {
            TargetError::Lasting(format!("`{}` is no path of a database: {error}", path.display()))
        })?;
        let table = &options.loads_table;
        if table.is_empty() || table.contains('\0') || table.to_ascii_lowercase().starts_with("sqlite_") {
            return Err(TargetError::Lasting(format!(
                "`loads_table` cannot be `{}` in SQLite: choose another name, or leave it out",
                crate::model::printable::short(table, 100)
            )));
        }
        Ok(Self { options, faults: Faults::new(absolute), idle: Idle::default() })
    }

    /// The memory for a set of rows in mode mirror, of which a load has two: beside the pages that are kept.
    fn row_memory(&self) -> u64 {
        self.options.cache_bytes / 8
    }

    /// Asks the loads table; `otherwise` where there is no database.
    fn ask_loads<T>(
        &self,
        otherwise: T,
        ask: impl FnOnce(&Loads<'_>) -> Result<T, TargetError>,
    ) -> Result<T, TargetError> {
        if !self.exists()? {
            return Ok(otherwise);
        }
        let waiting = self.idle.take(self.faults.path());
        let fresh = match &waiting {
            Some(_) => None,
            None => Some(self.connect(OpenFlags::empty()).map_err(|error| self.faults.fault(&error))?),
        };
        let Some(connection) = waiting.as_ref().map(|open| &open.connection).or(fresh.as_ref()) else {
            return Ok(otherwise);
        };
        let answer = ask(&Loads { connection, table: &self.options.loads_table, faults: &self.faults });
        if let Some(open) = waiting {
            self.idle.keep(open);
        }
        answer
    }

    /// True when the file is there.
    fn exists(&self) -> Result<bool, TargetError> {
        let path = self.faults.path();
        let cannot = |error: std::io::Error| {
            TargetError::Lasting(format!("{} cannot be reached: {error}", self.faults.database()))
        };
        match path.metadata() {
            Ok(found) if found.is_dir() => Err(TargetError::Lasting(format!(
                "{} is a folder: name a file in it",
                self.faults.database()
            ))),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = path.parent().map_or(Ok(true), Path::try_exists).map_err(cannot)?;
                if folder || self.options.folder_follows {
                    return Ok(false);
                }
                Err(TargetError::Lasting(format!(
                    "the {} for {} does not exist: create it, or correct the path",
                    self.faults.folder(),
                    self.faults.database()
                )))
            }
            Err(error) => Err(cannot(error)),
        }
    }

    fn connect(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(
            self.faults.path(),
            flags | OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        // A file that may only be read is opened all the same, and the log that SQLite would put beside it could not be
        // written either, even after somebody has put the file itself right.
        if connection.is_readonly("main")? {
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), None));
        }
        connection.busy_timeout(self.options.busy_timeout)?;
        let cache_kibibytes = (self.options.cache_bytes / 1024).clamp(1024, 1 << 30);
        connection.execute_batch(&format!(
            "PRAGMA cache_size = -{cache_kibibytes}; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"
        ))?;
        Ok(connection)
    }

    /// A connection that writes, in its transaction. Checkpoints are left to the end of the load, where they can move
    /// every page once.
    fn transaction(&self, create: bool) -> Result<Open, TargetError> {
        let fault = |error: rusqlite::Error| self.faults.fault(&error);
        if let Some(open) = self.idle.take(self.faults.path()) {
            open.connection.busy_timeout(self.options.busy_timeout).map_err(fault)?;
            open.connection.execute_batch("BEGIN IMMEDIATE").map_err(fault)?;
            return Ok(open);
        }
        let flags = if create { OpenFlags::SQLITE_OPEN_CREATE } else { OpenFlags::empty() };
        let connection = self.connect(flags).map_err(fault)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0; BEGIN IMMEDIATE;",
            )
            .map_err(fault)?;
        // Database and log are there by now, perhaps made by a process that came to its end before their names were durable.
        folder::sync_beside(self.faults.path()).map_err(|cause| TargetError::Passing(cause.to_string()))?;
        let file = FileId::at(self.faults.path()).ok_or_else(|| self.faults.replaced())?;
        Ok(Open { connection, file, fitting: Fitting::default() })
    }
}

impl Target for SqliteTarget {
    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::Atomic, Capability::ExactCounts, Capability::Delete, Capability::Resumable]
    }

    fn fit(&self, spec: &TableSpec) -> Result<Fit, TargetError> {
        let loads_table = &self.options.loads_table;
        if !self.exists()? {
            return Ok(fit::compare_nothing(spec, loads_table));
        }
        // Opened for writing, as a log left by a crash may have to be played back before anything can be read.
        let fit = self.connect(OpenFlags::empty()).and_then(|connection| {
            connection.execute_batch("PRAGMA query_only = ON; BEGIN;")?;
            fit::compare(&connection, spec, loads_table)
        });
        fit.map_err(|error| self.faults.fault(&error))
    }

    fn statements(&self, _: &TableSpec) -> Result<Vec<String>, TargetError> {
        Ok(Vec::new())
    }

    fn parents(&self, table: &str) -> Result<Vec<String>, TargetError> {
        if !self.exists()? {
            return Ok(Vec::new());
        }
        let parents = self.connect(OpenFlags::empty()).and_then(|connection| {
            connection.execute_batch("PRAGMA query_only = ON")?;
            let sql = "SELECT DISTINCT \"table\" FROM pragma_foreign_key_list(?1)";
            connection.prepare(sql)?.query_map([table], |row| row.get(0))?.collect()
        });
        parents.map_err(|error| self.faults.fault(&error))
    }

    fn remembers(&self, load: LoadId<'_>) -> Result<Remembered, TargetError> {
        self.ask_loads(Remembered::Nothing, |loads| loads.remembers(load))
    }

    fn remembered(
        &self,
        site: &str,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryId>, TargetError> {
        self.ask_loads(Vec::new(), |loads| loads.of_site(site, after, limit))
    }

    fn begin(&self, load: LoadId<'_>, spec: &TableSpec, schema: SchemaRef) -> Result<Begun, TargetError> {
        let fault = |error: rusqlite::Error| self.faults.fault(&error);
        let loads_table = &self.options.loads_table;
        if !self.exists()?
            && let Fit::Misfit(differences) = fit::compare_nothing(spec, loads_table)
        {
            return Err(TargetError::Misfit(differences));
        }
        let mut open = self.transaction(spec.create)?;
        let connection = &open.connection;
        let known = open.fitting.recall(connection, spec).map_err(fault)?;
        let loads = Loads { connection, table: loads_table, faults: &self.faults };
        if known.is_none() {
            loads.create()?;
        }
        let resumed = match loads.enter(load)? {
            Entered::New => None,
            Entered::Part(progress) => Some(progress),
            Entered::Done(committed) => return Ok(Begun::Already(committed)),
        };
        let mut is_new = false;
        let shape = if let Some(shape) = known {
            shape
        } else {
            match fit::compare(connection, spec, loads_table).map_err(fault)? {
                Fit::Fits => {}
                Fit::WouldCreate => {
                    fit::create(connection, spec).map_err(fault)?;
                    is_new = true;
                }
                Fit::Misfit(differences) => return Err(TargetError::Misfit(differences)),
            }
            let shape = shape::read(connection, &spec.table).map_err(fault)?;
            let shape = shape.ok_or_else(|| load::contract("its table is not there"))?;
            open.fitting.note(connection, spec, &shape).map_err(fault)?;
            shape
        };
        let is_lost = match &resumed {
            Some(progress) if progress.is_of_rows() && !is_new => {
                sql::is_empty(connection, &spec.table).map_err(fault)?
            }
            Some(_) => is_new,
            None => false,
        };
        let mut load = SqliteLoad::new(
            open,
            self.idle.clone(),
            self.faults.clone(),
            loads_table.clone(),
            load,
            (spec, &shape),
            (schema, self.row_memory()),
        )?;
        Ok(match resumed {
            Some(progress) => {
                load.resume(&progress);
                if is_lost {
                    return Ok(Begun::Lost(Box::new(load), progress));
                }
                Begun::Resumed(Box::new(load), progress)
            }
            None => Begun::Open(Box::new(load)),
        })
    }

    fn compare(&self, spec: &TableSpec, schema: SchemaRef) -> Result<Box<dyn Comparison>, TargetError> {
        let snapshot = if self.exists()? {
            let connection = self.connect(OpenFlags::empty());
            let opened = Snapshot::new(self.faults.path(), connection, self.options.busy_timeout);
            Some(opened.map_err(|error| self.faults.fault(&error))?)
        } else {
            None
        };
        let loads_table = &self.options.loads_table;
        let comparison = SqliteComparison::new(
            snapshot,
            self.faults.clone(),
            loads_table,
            spec,
            schema,
            self.row_memory(),
        )?;
        Ok(Box::new(comparison))
    }

    fn read(&self, spec: ReadSpec<'_>, sink: &mut dyn RowSink) -> Result<(), TargetError> {
        if !self.exists()? {
            return Err(TargetError::NoTable(format!("{} is not there", self.faults.database())));
        }
        let connection = self.connect(OpenFlags::empty());
        let opened = Snapshot::new(self.faults.path(), connection, self.options.busy_timeout);
        let snapshot = opened.map_err(|error| self.faults.fault(&error))?;
        read::read(&snapshot.connection, &self.faults, spec, sink)?;
        snapshot.finish(&self.faults)
    }
}
