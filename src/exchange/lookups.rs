//! Reads the lookup tables of a plan, as they stand when its delivery begins.

use std::{
    cell::Cell,
    collections::BTreeSet,
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

use super::lookup_files;
use crate::{
    mapping::{
        Catalog,
        lookups::FOLDER,
        plan::{LookupSource, LookupTable, Plan},
    },
    targets::{Compares, ReadSpec, RowSink, Target, TargetError},
    validate::{
        keys::KeyHash,
        lookup::{BuildError, Builder, Keys, Snapshot, Snapshots},
    },
    wire::fail::{self, Point},
};

/// A file up to this size is read whole to find out whether it can be used: a blink of an eye for `wharf check`, and larger
/// than the tables that people keep by hand.
const LOOKED_THROUGH_BYTES: u64 = 16 << 20;

/// Why a lookup table could not be read. None of it is the fault of the file that is to be loaded.
#[derive(Debug, Error)]
pub enum LookupError {
    /// It is not there, or cannot be asked now: the same may go well later.
    #[error("the lookup table {0}: {1}")]
    Away(String, String),
    /// It will not go well by itself.
    #[error("the lookup table {0}: {1}")]
    Wrong(String, String),
    /// The disk of the work folder.
    #[error("cannot put a lookup table aside: {0}")]
    Disk(#[from] io::Error),
}

/// Opens the database of a connection; none is the site's own.
pub type OpenTarget<'a> = dyn Fn(Option<&str>) -> Result<Arc<dyn Target>, TargetError> + 'a;

/// The tables that the mappings of a site create. One that no load has created yet is as good as empty: rows that look
/// something up in it are rejects that load when it comes.
#[derive(Debug)]
pub struct Created(BTreeSet<(Option<String>, String)>);

impl Created {
    /// Those of a site's mappings that are valid.
    #[must_use]
    pub fn of(catalog: &Catalog) -> Self {
        let plans = catalog.iter().filter_map(|entry| entry.plan.as_ref().ok());
        let creating = plans.filter(|plan| plan.table.create && !plan.shadow);
        Self(creating.map(|plan| (plan.connection.clone(), plan.table.table.to_lowercase())).collect())
    }

    fn has(&self, connection: Option<&str>, table: &str) -> bool {
        self.0.contains(&(connection.map(str::to_owned), table.to_lowercase()))
    }
}

/// Where lookup tables are found, and what reading them may take.
pub struct Reader<'a> {
    /// The site's folder.
    pub site: &'a Path,
    /// Tables that count as empty where they are not there.
    pub created: &'a Created,
    /// Opens the database of a connection.
    pub open: &'a OpenTarget<'a>,
    /// Where what is beyond the memory goes.
    pub work_folder: &'a Path,
    /// Memory for all of them together, in bytes.
    pub memory_bytes: u64,
    /// Keys the hashes of keys.
    pub secret: [u64; 2],
}

impl Reader<'_> {
    /// Reads all lookup tables of `plan`.
    ///
    /// # Errors
    /// The first that cannot be read.
    pub fn snapshots(&self, plan: &Plan) -> Result<Arc<Snapshots>, LookupError> {
        let mut left = usize::try_from(self.memory_bytes).unwrap_or(usize::MAX);
        let mut snapshots = Snapshots::default();
        for (index, table) in plan.lookups.iter().enumerate() {
            fail::step(Point::LookupRead)?;
            let share = left / (plan.lookups.len() - index).max(1);
            let snapshot = self.snapshot(table, share)?;
            left = left.saturating_sub(snapshot.memory_bytes());
            snapshots.0.push(Arc::new(snapshot));
        }
        Ok(Arc::new(snapshots))
    }

    fn snapshot(&self, table: &LookupTable, memory_bytes: usize) -> Result<Snapshot, LookupError> {
        let mut building = Building { reader: self, table, memory_bytes, builder: None, error: None };
        self.read(table, &mut building)?;
        if let Some(error) = building.error {
            return Err(error.into());
        }
        let wrong = |message: String| LookupError::Wrong(table.source.name().to_owned(), message);
        let Some(builder) = building.builder else { return Err(wrong("it cannot be read".to_owned())) };
        let keys = builder.keys().clone();
        match builder.finish() {
            Ok(snapshot) => Ok(snapshot),
            Err(BuildError::Disk(error)) => Err(error.into()),
            Err(BuildError::Twice(key)) => Err(wrong(self.contradiction(table, keys, key)?)),
        }
    }

    /// Says where a lookup table contradicts itself, without the key: it may be what nobody is to read in a log.
    fn contradiction(&self, table: &LookupTable, keys: Keys, key: KeyHash) -> Result<String, LookupError> {
        let what = "with different values beside it; nobody can tell which is meant: correct it";
        let columns = table.keys.join(", ");
        Ok(match &table.source {
            LookupSource::File(name) => {
                let line = Cell::new(0);
                let mut search =
                    Search { keys, key, line: &line, first: None, second: None, buffer: String::new() };
                self.read_file(table, name, &line, &mut search)?;
                let first = search.first.map_or(0, |(line, _)| line);
                let second = search.second.unwrap_or(first);
                format!("lines {first} and {second} have the same key ({columns}), {what}")
            }
            LookupSource::Table { table: name, .. } => format!(
                "a key stands in it more than once, {what}. Such keys are found by: SELECT {columns} FROM {name} GROUP BY \
                 {columns} HAVING count(*) > 1"
            ),
        })
    }

    /// Finds out whether a lookup table can be used: that it has the columns that are asked for, and of a file that is not
    /// large, whether anything in it is wrong.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn look(&self, table: &LookupTable) -> Result<(), LookupError> {
        struct Nothing;
        impl RowSink for Nothing {
            fn begin(&mut self, _compares: &[Compares]) {}
            fn row(&mut self, _row: &[Option<&str>]) -> ControlFlow<()> {
                ControlFlow::Break(())
            }
        }
        if let LookupSource::File(name) = &table.source
            && self.file(name).metadata().is_ok_and(|found| found.len() <= LOOKED_THROUGH_BYTES)
        {
            let memory_bytes = usize::try_from(self.memory_bytes).unwrap_or(usize::MAX);
            return self.snapshot(table, memory_bytes).map(drop);
        }
        self.read(table, &mut Nothing)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.site.join(FOLDER).join(name)
    }

    fn read_file(
        &self,
        table: &LookupTable,
        name: &str,
        line: &Cell<u64>,
        sink: &mut dyn RowSink,
    ) -> Result<(), LookupError> {
        let columns: Vec<String> = table.keys.iter().chain(&table.values).cloned().collect();
        lookup_files::read(&self.file(name), name, &columns, line, sink)
    }

    fn read(&self, table: &LookupTable, sink: &mut dyn RowSink) -> Result<(), LookupError> {
        let columns: Vec<String> = table.keys.iter().chain(&table.values).cloned().collect();
        match &table.source {
            LookupSource::File(name) => self.read_file(table, name, &Cell::new(0), sink),
            LookupSource::Table { connection, table: name } => {
                let spec = ReadSpec { table: name, columns: &columns };
                let read = (self.open)(connection.as_deref()).and_then(|target| target.read(spec, sink));
                match read {
                    Err(TargetError::NoTable(_)) if self.created.has(connection.as_deref(), name) => {
                        sink.begin(&vec![Compares::Text; columns.len()]);
                        Ok(())
                    }
                    read => read.map_err(|error| match error {
                        TargetError::Passing(message) | TargetError::NoTable(message) => {
                            LookupError::Away(name.clone(), message)
                        }
                        other => LookupError::Wrong(name.clone(), other.to_string()),
                    }),
                }
            }
        }
    }
}

/// Puts rows into a builder.
struct Building<'a> {
    reader: &'a Reader<'a>,
    table: &'a LookupTable,
    memory_bytes: usize,
    builder: Option<Builder>,
    error: Option<io::Error>,
}

impl RowSink for Building<'_> {
    fn begin(&mut self, compares: &[Compares]) {
        let keys = compares.get(..self.table.keys.len()).unwrap_or_default();
        let keys = Keys::new(keys, self.reader.secret);
        let name = self.table.source.name();
        let width = self.table.values.len();
        self.builder = Some(Builder::new(name, keys, width, self.reader.work_folder, self.memory_bytes));
    }

    fn row(&mut self, row: &[Option<&str>]) -> ControlFlow<()> {
        match self.builder.as_mut().map(|builder| builder.push(row)) {
            Some(Ok(())) => ControlFlow::Continue(()),
            Some(Err(error)) => {
                self.error = Some(error);
                ControlFlow::Break(())
            }
            None => ControlFlow::Break(()),
        }
    }
}

/// Looks for the two lines of a file that have one key, and different values beside it.
struct Search<'a> {
    keys: Keys,
    key: KeyHash,
    line: &'a Cell<u64>,
    /// The first line, and the values on it.
    first: Option<(u64, Vec<Option<String>>)>,
    second: Option<u64>,
    buffer: String,
}

impl RowSink for Search<'_> {
    fn begin(&mut self, _compares: &[Compares]) {}

    fn row(&mut self, row: &[Option<&str>]) -> ControlFlow<()> {
        let (key, values) = row.split_at_checked(self.keys.width()).unwrap_or((row, &[]));
        let parts: Vec<&str> = key.iter().copied().flatten().collect();
        if parts.len() != key.len() || self.keys.hash(parts.iter().copied(), &mut self.buffer) != self.key {
            return ControlFlow::Continue(());
        }
        match &self.first {
            None => {
                let values = values.iter().map(|value| value.map(str::to_owned)).collect();
                self.first = Some((self.line.get(), values));
            }
            Some((_, first)) if first.iter().map(Option::as_deref).ne(values.iter().copied()) => {
                self.second = Some(self.line.get());
                return ControlFlow::Break(());
            }
            Some(_) => {}
        }
        ControlFlow::Continue(())
    }
}
