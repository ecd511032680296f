//! Rows and mappings made by hand, and loads of them.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow_schema::{Field, Schema, SchemaRef};
use wharf::{
    model::{Batch, ContentHash, DeliveryId, Origin, Tally, value::ValueType},
    targets::{
        Begun, Change, Commit, Difference, Fit, Load, LoadId, Mode, OnNull, RowRefusal, TableSpec, Target,
        TargetColumn, TargetError, WriteWhen,
    },
};

use super::Database;

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Decimal(i128),
    Float(f64),
    Boolean(bool),
    Date(i32),
    Micros(i64),
}

pub fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// A delivery nobody has loaded yet.
pub fn fresh() -> DeliveryId {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    DeliveryId::new(NEXT.fetch_add(1, Ordering::Relaxed), &[0; 10])
}

pub fn begin(target: &dyn Target, spec: &TableSpec, delivery: DeliveryId) -> Result<Begun, TargetError> {
    target.begin(LoadId { site: "site", delivery }, spec, schema(spec))
}

#[track_caller]
pub fn open(target: &dyn Target, spec: &TableSpec, delivery: DeliveryId) -> Box<dyn Load> {
    match begin(target, spec, delivery).unwrap() {
        Begun::Open(load) => load,
        _ => panic!("the delivery is new"),
    }
}

/// Writes batches, whose records have different numbers, and all that the target has put aside; gives what was refused, in the
/// order of the file.
pub fn write(load: &mut dyn Load, batches: &[Batch]) -> Result<Vec<RowRefusal>, TargetError> {
    let mut refused = Vec::new();
    for batch in batches {
        refused.extend(load.write(batch)?);
    }
    let origins: BTreeMap<u64, Origin> =
        batches.iter().flat_map(|batch| &batch.origins).map(|origin| (origin.record, *origin)).collect();
    refused.extend(load.finish()?.into_iter().map(|(record, refusal)| refusal.of(origins[&record])));
    refused.sort_by_key(|refusal| refusal.origin.record);
    Ok(refused)
}

/// The same rows as if they came later in the file.
pub fn later(mut batch: Batch, records: u64) -> Batch {
    for origin in &mut batch.origins {
        origin.record += records;
    }
    batch
}

/// The balanced tally of a load of which `rejected` rows were refused.
pub fn balanced(load: &dyn Load, rejected: usize) -> Tally {
    let mut tally = load.counts();
    tally.rejected = rejected as u64;
    tally.read = tally.loaded() + tally.superseded + tally.rejected;
    tally
}

/// Seals and commits a load of which `rejected` rows were refused.
#[track_caller]
pub fn finish(mut load: Box<dyn Load>, rejected: usize) -> Tally {
    // Where rows were written, this was done already, and nothing is left to do.
    assert_eq!(load.finish().unwrap(), []);
    let tally = balanced(&*load, rejected);
    load.seal(&tally, ContentHash([0; 32])).unwrap();
    load.commit().unwrap();
    tally
}

/// Loads rows as a delivery of their own, in one batch.
#[track_caller]
pub fn load(database: &dyn Database, spec: &TableSpec, rows: &[Vec<Cell>]) -> (Tally, Vec<RowRefusal>) {
    let mut load = open(&*database.target(), spec, fresh());
    let refusals = write(&mut *load, &[batch(spec, rows)]).unwrap();
    let tally = finish(load, refusals.len());
    assert_eq!(tally.read, rows.len() as u64, "every row is counted or refused");
    (tally, refusals)
}

/// Compares rows with the table: the counts and every difference.
#[track_caller]
pub fn compared(target: &dyn Target, spec: &TableSpec, batches: &[Batch]) -> (Tally, Vec<Difference>) {
    let mut differences = Vec::new();
    let mut comparison = target.compare(spec, schema(spec)).unwrap();
    for batch in batches {
        let refusals = comparison.compare(batch, Some(&mut |found| differences.push(found))).unwrap();
        assert!(refusals.is_empty(), "{refusals:?}");
    }
    let tally = comparison.finish().unwrap();
    (tally, differences)
}

pub fn change(column: u16, stored: Option<&str>, new: Option<&str>) -> Change {
    Change { column, stored: stored.map(str::to_owned), new: new.map(str::to_owned) }
}

pub fn column(name: &str, value_type: ValueType) -> TargetColumn {
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
pub fn spec(columns: Vec<TargetColumn>, key: usize) -> TableSpec {
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
pub fn pair() -> TableSpec {
    spec(vec![column("k", ValueType::Text), column("v", ValueType::Text)], 1)
}

pub fn pairs(rows: &[(&str, &str)]) -> Vec<Vec<Cell>> {
    rows.iter().map(|(k, v)| vec![text(k), text(v)]).collect()
}

/// One type of each kind, in the order in which docs/mapping.md has them.
pub const TYPES: [ValueType; 10] = [
    ValueType::Text,
    ValueType::Integer,
    ValueType::Decimal { precision: 10, scale: 2 },
    ValueType::Float,
    ValueType::Boolean,
    ValueType::Date,
    ValueType::Time,
    ValueType::Timestamp,
    ValueType::Uuid,
    ValueType::Json,
];

pub fn schema(spec: &TableSpec) -> SchemaRef {
    let field = |column: &TargetColumn| Field::new(&column.name, column.value_type.arrow(), !column.required);
    Arc::new(Schema::new(spec.columns.iter().map(field).collect::<Vec<_>>()))
}

pub fn batch(spec: &TableSpec, rows: &[Vec<Cell>]) -> Batch {
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
#[track_caller]
pub fn misfit(fit: Fit) -> Vec<String> {
    match fit {
        Fit::Misfit(lines) => lines,
        other => panic!("expected a misfit, got {other:?}"),
    }
}

/// The words of a fault that is there to stay.
#[track_caller]
pub fn lasting<T>(result: Result<T, TargetError>) -> String {
    match result {
        Err(TargetError::Lasting(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it began"),
    }
}
