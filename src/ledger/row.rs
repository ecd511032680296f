//! A delivery's state as a row of the table of deliveries, both ways.

use std::{collections::BTreeMap, ffi::OsString, os::unix::ffi::OsStringExt, path::PathBuf};

use rusqlite::{
    Connection, Row, params_from_iter,
    types::{FromSql, FromSqlError, FromSqlResult, Type, Value, ValueRef},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    event::Reports,
    state::{DeliveryState, RejectCounts},
};
use crate::model::{ContentHash, DeliveryId, FileName, Tally};

/// Every stored column, in the order of [`values`] and [`read`].
macro_rules! columns {
    () => {
        "arrival, id, file, source, source_path, stamp, evidence, size, hash, archive, mapping, taken_at, \
         plan, state, attempts, reason, message, retryable, other, approved_rejects, changed_at, settled, \
         worked_millis, rejects_report, errors_report, tables, violations, \
         read, inserted, updated, unchanged, superseded, filtered, rejected, withheld, deleted, exact, \
         modified, not_before, unended, postponed, \
         corrects, returned, reruns, open, corrected, overtaken, ignored, place, missing, approved_deletes, deletes, lookups, restores"
    };
}

/// Reads whole rows; a condition can be appended.
pub(super) const SELECT: &str = concat!("SELECT ", columns!(), " FROM deliveries");

/// Reads the row of one delivery.
pub(super) const SELECT_BY_ID: &str = concat!("SELECT ", columns!(), " FROM deliveries WHERE id = ?1");

/// Writes a whole row; what came with the file never changes afterwards.
const WRITE: &str = concat!(
    "INSERT INTO deliveries (",
    columns!(),
    ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
     ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (arrival) DO UPDATE SET plan = excluded.plan, state = excluded.state,
     attempts = excluded.attempts, reason = excluded.reason, message = excluded.message,
     retryable = excluded.retryable, other = excluded.other, approved_rejects = excluded.approved_rejects,
     changed_at = excluded.changed_at, settled = excluded.settled, worked_millis = excluded.worked_millis,
     rejects_report = excluded.rejects_report, errors_report = excluded.errors_report, tables = excluded.tables,
     violations = excluded.violations, read = excluded.read, inserted = excluded.inserted,
     updated = excluded.updated, unchanged = excluded.unchanged, superseded = excluded.superseded,
     filtered = excluded.filtered, rejected = excluded.rejected, withheld = excluded.withheld,
     deleted = excluded.deleted, exact = excluded.exact, not_before = excluded.not_before,
     unended = excluded.unended, postponed = excluded.postponed, open = excluded.open,
     corrected = excluded.corrected, overtaken = excluded.overtaken, ignored = excluded.ignored,
     place = excluded.place, missing = excluded.missing,
     approved_deletes = excluded.approved_deletes, deletes = excluded.deletes, lookups = excluded.lookups"
);

/// Writes the row of a delivery, whether it is new or not.
pub(super) fn write(connection: &Connection, state: &DeliveryState) -> rusqlite::Result<()> {
    let values = values(state)?;
    connection.prepare_cached(WRITE)?.execute(params_from_iter(values)).map(|_| ())
}

/// SQLite's integers are signed; no count, length or time of ours comes near the end of them.
pub(super) fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A count, length, number or time as it is read.
pub(super) struct Unsigned(pub u64);

impl FromSql for Unsigned {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let stored = i64::column_result(value)?;
        u64::try_from(stored).map(Self).map_err(|_| FromSqlError::OutOfRange(stored))
    }
}

fn values(state: &DeliveryState) -> rusqlite::Result<[Value; 54]> {
    let number = |value: u64| Value::Integer(integer(value));
    let name = |delivery: Option<DeliveryId>| {
        delivery.map_or(Value::Null, |delivery| Value::Blob(delivery.as_bytes().to_vec()))
    };
    let count =
        |part: fn(&Tally) -> u64| state.tally.as_ref().map_or(Value::Null, |tally| number(part(tally)));
    Ok([
        number(state.arrival),
        Value::Blob(state.id.as_bytes().to_vec()),
        Value::Blob(state.file.as_bytes().to_vec()),
        Value::Text(state.source.clone()),
        state.source_path.clone().map_or(Value::Null, |path| Value::Blob(path.into_os_string().into_vec())),
        state.stamp.clone().into(),
        state.evidence.clone().into(),
        number(state.size),
        Value::Blob(state.hash.0.to_vec()),
        Value::Text(state.archive.clone()),
        state.mapping.clone().into(),
        number(state.taken_at_millis),
        state.plan.clone().into(),
        Value::Text(state.state.code().to_owned()),
        Value::Integer(state.attempts.into()),
        state.reason.map(|reason| word(&reason)).transpose()?.into(),
        state.message.clone().into(),
        state.retryable.into(),
        name(state.other),
        state.approved_rejects.map(integer).into(),
        number(state.changed_at_millis),
        state.settled.map(integer).into(),
        state.worked_millis.map(integer).into(),
        state.reports.rejects.clone().into(),
        state.reports.errors.clone().into(),
        json(&state.tables)?,
        json(&state.violations)?,
        count(|tally| tally.read),
        count(|tally| tally.inserted),
        count(|tally| tally.updated),
        count(|tally| tally.unchanged),
        count(|tally| tally.superseded),
        count(|tally| tally.filtered),
        count(|tally| tally.rejected),
        count(|tally| tally.withheld),
        count(|tally| tally.deleted),
        state.tally.map(|tally| tally.exact).into(),
        state.modified_nanos.into(),
        state.not_before_millis.map(integer).into(),
        Value::Integer(state.unended.into()),
        Value::Integer(state.postponed.into()),
        name(state.corrects),
        state.returned.clone().into(),
        name(state.reruns),
        number(state.rejects.open),
        number(state.rejects.corrected),
        number(state.rejects.overtaken),
        number(state.rejects.ignored),
        state.place.clone().into(),
        json(&state.missing)?,
        state.approved_deletes.map(integer).into(),
        number(state.deletes),
        state.lookups.clone().into(),
        state.restores.into(),
    ])
}

/// Reads a row of [`SELECT`].
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<DeliveryState> {
    let mut row = Reader { row, next: 0 };
    Ok(DeliveryState {
        arrival: row.number()?,
        id: DeliveryId::from_bytes(row.take()?),
        file: FileName::new(row.take::<Vec<u8>>()?),
        source: row.take()?,
        source_path: row.take::<Option<Vec<u8>>>()?.map(|bytes| PathBuf::from(OsString::from_vec(bytes))),
        stamp: row.take()?,
        evidence: row.take()?,
        size: row.number()?,
        hash: ContentHash(row.take()?),
        archive: row.take()?,
        mapping: row.take()?,
        taken_at_millis: row.number()?,
        plan: row.take()?,
        state: row.word()?,
        attempts: row.take()?,
        reason: row.optional_word()?,
        message: row.take()?,
        retryable: row.take()?,
        other: row.delivery()?,
        approved_rejects: row.optional_number()?,
        changed_at_millis: row.number()?,
        settled: row.optional_number()?,
        worked_millis: row.optional_number()?,
        reports: Reports { rejects: row.take()?, errors: row.take()?, differences: None },
        tables: row.json()?,
        violations: row.json()?,
        tally: row.tally()?,
        modified_nanos: row.take()?,
        not_before_millis: row.optional_number()?,
        unended: row.take()?,
        postponed: row.take()?,
        corrects: row.delivery()?,
        returned: row.take()?,
        reruns: row.delivery()?,
        rejects: RejectCounts {
            open: row.number()?,
            corrected: row.number()?,
            overtaken: row.number()?,
            ignored: row.number()?,
        },
        place: row.take()?,
        missing: row.json()?,
        approved_deletes: row.optional_number()?,
        deletes: row.number()?,
        lookups: row.take()?,
        restores: row.take()?,
    })
}

/// Goes through a row's columns from left to right.
struct Reader<'r, 's> {
    row: &'r Row<'s>,
    next: usize,
}

impl Reader<'_, '_> {
    fn take<T: FromSql>(&mut self) -> rusqlite::Result<T> {
        let index = self.next;
        self.next += 1;
        self.row.get(index)
    }

    fn number(&mut self) -> rusqlite::Result<u64> {
        self.take().map(|Unsigned(value)| value)
    }

    fn delivery(&mut self) -> rusqlite::Result<Option<DeliveryId>> {
        self.take::<Option<[u8; 16]>>().map(|bytes| bytes.map(DeliveryId::from_bytes))
    }

    fn optional_number(&mut self) -> rusqlite::Result<Option<u64>> {
        self.take::<Option<Unsigned>>().map(|value| value.map(|Unsigned(value)| value))
    }

    fn word<T: DeserializeOwned>(&mut self) -> rusqlite::Result<T> {
        let index = self.next;
        from_word(index, self.take()?)
    }

    fn optional_word<T: DeserializeOwned>(&mut self) -> rusqlite::Result<Option<T>> {
        let index = self.next;
        self.take::<Option<String>>()?.map(|word| from_word(index, word)).transpose()
    }

    fn json<T: DeserializeOwned>(&mut self) -> rusqlite::Result<BTreeMap<String, T>> {
        let index = self.next;
        match self.take::<Option<String>>()? {
            Some(text) => serde_json::from_str(&text).map_err(|cause| unreadable(index, cause)),
            None => Ok(BTreeMap::new()),
        }
    }

    fn tally(&mut self) -> rusqlite::Result<Option<Tally>> {
        const COLUMNS_AFTER_READ: usize = 9;
        let Some(read) = self.optional_number()? else {
            self.next += COLUMNS_AFTER_READ;
            return Ok(None);
        };
        Ok(Some(Tally {
            read,
            inserted: self.number()?,
            updated: self.number()?,
            unchanged: self.number()?,
            superseded: self.number()?,
            filtered: self.number()?,
            rejected: self.number()?,
            withheld: self.number()?,
            deleted: self.number()?,
            exact: self.take()?,
        }))
    }
}

fn from_word<T: DeserializeOwned>(index: usize, word: String) -> rusqlite::Result<T> {
    serde_json::from_value(serde_json::Value::String(word)).map_err(|cause| unreadable(index, cause))
}

/// The word by which a value without content is known in JSON.
fn word<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        Ok(other) => Ok(other.to_string()),
        Err(cause) => Err(rusqlite::Error::ToSqlConversionFailure(cause.into())),
    }
}

/// A map as JSON, nothing when it is empty.
fn json<T: Serialize>(map: &BTreeMap<String, T>) -> rusqlite::Result<Value> {
    if map.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::to_string(map)
        .map(Value::Text)
        .map_err(|cause| rusqlite::Error::ToSqlConversionFailure(cause.into()))
}

/// The content of a column makes no sense.
pub(super) fn unreadable(index: usize, cause: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, Type::Text, cause.into())
}
