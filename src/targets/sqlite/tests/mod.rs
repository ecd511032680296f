//! Loads into real database files.

mod batches;
mod comparing;
mod counts;
mod faults;
mod mirrors;
mod misfits;
mod newer;
mod refusals;
mod values;

use std::{path::PathBuf, sync::Arc, time::Duration};

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow_schema::{Field, Schema, SchemaRef};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{SqliteOptions, SqliteTarget};
use crate::{
    model::{Batch, ContentHash, DeliveryId, Origin, Tally, value::ValueType},
    targets::{
        Begun, Commit, Difference, Fit, Load, LoadId, Mode, OnNull, RowRefusal, TableSpec, Target,
        TargetColumn, TargetError, WriteWhen,
    },
};

/// A cell of a test.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Decimal(i128),
    Float(f64),
    Boolean(bool),
    Date(i32),
    Micros(i64),
}

pub(super) fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// A folder with a database in it.
pub(super) struct Place {
    _folder: TempDir,
    pub path: PathBuf,
}

impl Place {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("warehouse.db");
        Self { _folder: folder, path }
    }

    /// A place whose database was made by `sql`.
    pub(super) fn with(sql: &str) -> Self {
        let place = Self::new();
        place.run(sql);
        place
    }

    pub(super) fn target(&self) -> SqliteTarget {
        let options = SqliteOptions { busy_timeout: Duration::from_millis(5), ..SqliteOptions::default() };
        SqliteTarget::open(&self.path, options).unwrap()
    }

    pub(super) fn run(&self, sql: &str) {
        Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
    }

    /// The rows of a query, as SQLite quotes their values, with commas between.
    pub(super) fn rows(&self, columns: &[&str], rest: &str) -> Vec<String> {
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
        let connection = Connection::open(&self.path).unwrap();
        let mut statement = connection.prepare(&format!("SELECT {} {rest}", quoted.join("||','||"))).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Loads rows as a delivery of their own, in one batch.
    pub(super) fn load(&self, spec: &TableSpec, rows: &[Vec<Cell>]) -> (Tally, Vec<RowRefusal>) {
        let mut load = open(&self.target(), spec, fresh());
        let refusals = load.write(&batch(spec, rows)).unwrap();
        let tally = finish(load, refusals.len());
        assert_eq!(tally.read, rows.len() as u64, "every row is counted or refused");
        (tally, refusals)
    }
}

/// A delivery nobody has loaded yet.
pub(super) fn fresh() -> DeliveryId {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    DeliveryId::new(NEXT.fetch_add(1, Ordering::Relaxed), &[0; 10])
}

pub(super) fn begin(
    target: &SqliteTarget,
    spec: &TableSpec,
    delivery: DeliveryId,
) -> Result<Begun, TargetError> {
    target.begin(LoadId { site: "site", delivery }, spec, schema(spec))
}

pub(super) fn open(target: &SqliteTarget, spec: &TableSpec, delivery: DeliveryId) -> Box<dyn Load> {
    match begin(target, spec, delivery).unwrap() {
        Begun::Open(load) => load,
        Begun::Resumed(..) | Begun::Already(_) => panic!("the delivery is new"),
    }
}

/// Seals and commits a load of which `rejected` rows were refused.
pub(super) fn finish(mut load: Box<dyn Load>, rejected: usize) -> Tally {
    let mut tally = load.counts();
    tally.rejected = rejected as u64;
    tally.read = tally.loaded() + tally.superseded + tally.rejected;
    load.seal(&tally, ContentHash([0; 32])).unwrap();
    load.commit().unwrap();
    tally
}

/// Compares rows with the table: the counts and every difference.
pub(super) fn compared(
    target: &SqliteTarget,
    spec: &TableSpec,
    batches: &[Batch],
) -> (Tally, Vec<Difference>) {
    let mut differences = Vec::new();
    let mut comparison = target.compare(spec, schema(spec)).unwrap();
    for batch in batches {
        let refusals = comparison.compare(batch, Some(&mut |found| differences.push(found))).unwrap();
        assert!(refusals.is_empty(), "{refusals:?}");
    }
    let tally = comparison.finish().unwrap();
    (tally, differences)
}

pub(super) fn column(name: &str, value_type: ValueType) -> TargetColumn {
    TargetColumn {
        name: name.to_owned(),
        value_type,
        required: false,
        max_length: None,
        compare: true,
        write: WriteWhen::Always,
        on_null: OnNull::Write,
    }
}

/// A mapping to table `t` whose first `key` columns are the key.
pub(super) fn spec(columns: Vec<TargetColumn>, key: usize) -> TableSpec {
    let mut spec = TableSpec {
        table: "t".to_owned(),
        columns,
        key: (0..key).collect(),
        mode: Mode::Upsert,
        create: true,
        newer: None,
        mirror: None,
        commit: Commit::Delivery,
    };
    for column in spec.columns.iter_mut().take(key) {
        column.required = true;
    }
    spec
}

/// Table `t` with a key `k` and a value `v`, both text.
pub(super) fn pair() -> TableSpec {
    spec(vec![column("k", ValueType::Text), column("v", ValueType::Text)], 1)
}

pub(super) fn pairs(rows: &[(&str, &str)]) -> Vec<Vec<Cell>> {
    rows.iter().map(|(k, v)| vec![text(k), text(v)]).collect()
}

pub(super) fn schema(spec: &TableSpec) -> SchemaRef {
    let field = |column: &TargetColumn| Field::new(&column.name, column.value_type.arrow(), !column.required);
    Arc::new(Schema::new(spec.columns.iter().map(field).collect::<Vec<_>>()))
}

pub(super) fn batch(spec: &TableSpec, rows: &[Vec<Cell>]) -> Batch {
    let array = |(at, column): (usize, &TargetColumn)| {
        let cells: Vec<&Cell> = rows.iter().map(|row| &row[at]).collect();
        array(column.value_type, &cells)
    };
    let arrays = spec.columns.iter().enumerate().map(array).collect();
    let origin = |record: u64| Origin { record, line: record + 1, byte: record * 10, length: 9 };
    Batch {
        rows: RecordBatch::try_new(schema(spec), arrays).unwrap(),
        origins: (1..=rows.len() as u64).map(origin).collect(),
    }
}

fn array(value_type: ValueType, cells: &[&Cell]) -> ArrayRef {
    macro_rules! of {
        ($array:ty, $kind:path) => {
            cells
                .iter()
                .map(|cell| match cell {
                    $kind(value) => Some(value.clone()),
                    Cell::Null => None,
                    other => panic!("{other:?} in a column of type {value_type}"),
                })
                .collect::<$array>()
        };
    }
    match value_type {
        ValueType::Text | ValueType::Uuid | ValueType::Json => Arc::new(of!(StringArray, Cell::Text)),
        ValueType::Integer => Arc::new(of!(Int64Array, Cell::Integer)),
        ValueType::Decimal { precision, scale } => Arc::new(
            of!(Decimal128Array, Cell::Decimal)
                .with_precision_and_scale(precision, scale.cast_signed())
                .unwrap(),
        ),
        ValueType::Float => Arc::new(of!(Float64Array, Cell::Float)),
        ValueType::Boolean => Arc::new(of!(BooleanArray, Cell::Boolean)),
        ValueType::Date => Arc::new(of!(Date32Array, Cell::Date)),
        ValueType::Time => Arc::new(of!(Time64MicrosecondArray, Cell::Micros)),
        ValueType::Timestamp => Arc::new(of!(TimestampMicrosecondArray, Cell::Micros).with_timezone("UTC")),
    }
}

/// The lines of a misfit.
pub(super) fn misfit(fit: Fit) -> Vec<String> {
    match fit {
        Fit::Misfit(lines) => lines,
        other => panic!("expected a misfit, got {other:?}"),
    }
}
