//! Reads the lookup tables of a plan, as they stand when its delivery begins.

use std::{fs::File, io, ops::ControlFlow, path::Path, sync::Arc};

use thiserror::Error;

use crate::{
    mapping::{
        lookups::FOLDER,
        plan::{LookupSource, LookupTable, Plan},
    },
    model::{printable, reject::MASK},
    targets::{Compares, ReadSpec, RowSink, Target, TargetError},
    validate::{
        keys::KeyHash,
        lookup::{BuildError, Builder, Keys, Snapshot, Snapshots},
    },
    wire::{self, WireError},
};

/// So much of a key is shown.
const SHOWN_CHARACTERS: usize = 60;

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

/// Where lookup tables are found, and what reading them may take.
pub struct Reader<'a> {
    /// The site's folder.
    pub site: &'a Path,
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
            let share = left / (plan.lookups.len() - index).max(1);
            let snapshot = self.snapshot(table, share, is_sensitive(plan, index))?;
            left = left.saturating_sub(snapshot.memory_bytes());
            snapshots.0.push(Arc::new(snapshot));
        }
        Ok(Arc::new(snapshots))
    }

    fn snapshot(
        &self,
        table: &LookupTable,
        memory_bytes: usize,
        is_sensitive: bool,
    ) -> Result<Snapshot, LookupError> {
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
            Err(BuildError::Twice(key)) => {
                let mut search = Search { keys, key, found: None, buffer: String::new() };
                self.read(table, &mut search)?;
                let found = if is_sensitive { MASK.to_owned() } else { search.found.unwrap_or_default() };
                Err(wrong(format!(
                    "the key `{found}` stands in it more than once, with different values beside it; nobody can tell which is \
                     meant: correct it"
                )))
            }
        }
    }

    /// Finds out whether a lookup table has the columns that are asked for.
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
        self.read(table, &mut Nothing)
    }

    fn read(&self, table: &LookupTable, sink: &mut dyn RowSink) -> Result<(), LookupError> {
        let columns: Vec<String> = table.keys.iter().chain(&table.values).cloned().collect();
        match &table.source {
            LookupSource::File(name) => read_file(&self.site.join(FOLDER).join(name), name, &columns, sink),
            LookupSource::Table { connection, table: name } => {
                let spec = ReadSpec { table: name, columns: &columns };
                let read = (self.open)(connection.as_deref()).and_then(|target| target.read(spec, sink));
                read.map_err(|error| match error {
                    TargetError::Passing(message) => LookupError::Away(name.clone(), message),
                    other => LookupError::Wrong(name.clone(), other.to_string()),
                })
            }
        }
    }
}

/// True when a column that is looked up in this table is sensitive.
fn is_sensitive(plan: &Plan, table: usize) -> bool {
    let of_table = |lookup: &crate::mapping::plan::Lookup| lookup.table == table;
    plan.columns.iter().any(|column| column.sensitive && column.lookup.as_ref().is_some_and(of_table))
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

/// Looks for the row of a key, to say its name.
struct Search {
    keys: Keys,
    key: KeyHash,
    found: Option<String>,
    buffer: String,
}

impl RowSink for Search {
    fn begin(&mut self, _compares: &[Compares]) {}

    fn row(&mut self, row: &[Option<&str>]) -> ControlFlow<()> {
        let key = row.get(..self.keys.width()).unwrap_or_default();
        let parts: Vec<&str> = key.iter().copied().flatten().collect();
        if parts.len() == key.len() && self.keys.hash(parts.iter().copied(), &mut self.buffer) == self.key {
            self.found = Some(printable::short(&parts.join(" / "), SHOWN_CHARACTERS));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// Reads a CSV file with a header, whose names are compared as those of files that are loaded. An empty field is no value.
fn read_file(path: &Path, name: &str, columns: &[String], sink: &mut dyn RowSink) -> Result<(), LookupError> {
    let away = |error: WireError| LookupError::Away(name.to_owned(), super::take::with_help(&error));
    let wrong = |message: String| LookupError::Wrong(name.to_owned(), message);
    let file: File = wire::open_regular(path).map_err(away)?;
    let mut reader = csv::ReaderBuilder::new().from_reader(io::BufReader::with_capacity(1 << 16, file));
    let unreadable = |error: csv::Error| match error.kind() {
        csv::ErrorKind::Io(_) => LookupError::Away(name.to_owned(), printable::text(&error.to_string())),
        _ => LookupError::Wrong(
            name.to_owned(),
            format!("it is no CSV file in UTF-8 with commas: {}", printable::text(&error.to_string())),
        ),
    };
    let header = reader.headers().map_err(unreadable)?;
    let plain = |name: &str| name.trim_start_matches('\u{feff}').trim().to_lowercase();
    let found: Vec<String> = header.iter().map(plain).collect();
    let mut places = Vec::with_capacity(columns.len());
    for column in columns {
        match found.iter().position(|found| *found == plain(column)) {
            Some(place) => places.push(place),
            None => {
                let column = printable::short(column, SHOWN_CHARACTERS);
                return Err(wrong(format!("it has no column `{column}`: its first line names the columns")));
            }
        }
    }
    sink.begin(&vec![Compares::Text; columns.len()]);
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(unreadable)? {
        let field = |place: &usize| record.get(*place).map(str::trim).filter(|field| !field.is_empty());
        let row: Vec<Option<&str>> = places.iter().map(field).collect();
        if sink.row(&row).is_break() {
            break;
        }
    }
    Ok(())
}
