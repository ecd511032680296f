//! The cells of a batch as SQLite stores them: text, uuid and json as TEXT, integers as INTEGER, decimals as TEXT with
//! all the digits of their scale, floats as REAL, booleans as 0 and 1, dates, times and timestamps (UTC) as ISO TEXT.
//! And how they compare with what is stored.

use std::cmp::Ordering;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
    Time64MicrosecondArray, TimestampMicrosecondArray,
    builder::StringBuilder,
    cast::AsArray,
    types::{
        Date32Type, Decimal128Type, Float64Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
    },
};
use rusqlite::types::ValueRef;

use super::stored::{decimal, instant, is_date};
use crate::model::value::{ValueType, number, temporal};

/// One column of a batch.
pub(super) enum Cells<'a> {
    Text(&'a StringArray),
    Integer(&'a Int64Array),
    Decimal(&'a Decimal128Array, u8),
    Float(&'a Float64Array),
    Boolean(&'a BooleanArray),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Timestamp(&'a TimestampMicrosecondArray),
}

impl<'a> Cells<'a> {
    /// The cells of `array`, or none when it is not of the Arrow type of `value_type`.
    pub(super) fn of(array: &'a ArrayRef, value_type: ValueType) -> Option<Self> {
        Some(match value_type {
            ValueType::Text | ValueType::Uuid | ValueType::Json => Self::Text(array.as_string_opt()?),
            ValueType::Integer => Self::Integer(array.as_primitive_opt::<Int64Type>()?),
            ValueType::Decimal { scale, .. } => {
                Self::Decimal(array.as_primitive_opt::<Decimal128Type>()?, scale)
            }
            ValueType::Float => Self::Float(array.as_primitive_opt::<Float64Type>()?),
            ValueType::Boolean => Self::Boolean(array.as_boolean_opt()?),
            ValueType::Date => Self::Date(array.as_primitive_opt::<Date32Type>()?),
            ValueType::Time => Self::Time(array.as_primitive_opt::<Time64MicrosecondType>()?),
            ValueType::Timestamp => Self::Timestamp(array.as_primitive_opt::<TimestampMicrosecondType>()?),
        })
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Text(array) => array.is_null(row),
            Self::Integer(array) => array.is_null(row),
            Self::Decimal(array, _) => array.is_null(row),
            // SQLite has no NaN and stores NULL for it.
            Self::Float(array) => array.is_null(row) || array.value(row).is_nan(),
            Self::Boolean(array) => array.is_null(row),
            Self::Date(array) => array.is_null(row),
            Self::Time(array) => array.is_null(row),
            Self::Timestamp(array) => array.is_null(row),
        }
    }

    /// The cell as SQLite stores it. `text` is room for forms that have to be written out.
    pub(super) fn value<'v>(&'v self, row: usize, text: &'v mut String) -> ValueRef<'v> {
        if self.is_null(row) {
            return ValueRef::Null;
        }
        text.clear();
        match self {
            Self::Text(array) => return ValueRef::Text(array.value(row).as_bytes()),
            Self::Integer(array) => return ValueRef::Integer(array.value(row)),
            Self::Float(array) => return ValueRef::Real(array.value(row)),
            Self::Boolean(array) => return ValueRef::Integer(i64::from(array.value(row))),
            Self::Decimal(array, scale) => number::decimal_text(array.value(row), *scale, text),
            Self::Date(array) => temporal::date_text(array.value(row), text),
            Self::Time(array) => temporal::time_text(array.value(row), text),
            Self::Timestamp(array) => temporal::timestamp_text(array.value(row), text),
        }
        ValueRef::Text(text.as_bytes())
    }

    /// True when `stored` is the same value as the cell: numbers by value, instants by UTC, text bytewise. A NULL cell
    /// is also the same as anything when `null_keeps`.
    pub(super) fn same(&self, row: usize, stored: ValueRef<'_>, null_keeps: bool, text: &mut String) -> bool {
        if self.is_null(row) {
            return null_keeps || stored == ValueRef::Null;
        }
        match self {
            Self::Decimal(array, scale) => decimal(stored, *scale) == Some(array.value(row)),
            Self::Timestamp(array) => {
                let ValueRef::Text(bytes) = stored else { return false };
                text.clear();
                temporal::timestamp_text(array.value(row), text);
                text.as_bytes() == bytes || instant(bytes) == Some(array.value(row))
            }
            Self::Integer(_) | Self::Float(_) | Self::Boolean(_) => {
                order(self.value(row, text), stored).is_eq()
            }
            Self::Text(_) | Self::Date(_) | Self::Time(_) => self.value(row, text) == stored,
        }
    }

    /// True when the cell is larger than `stored`, by the order of its type. Where nothing is stored, or no value of that
    /// type, every cell is; else NULL is not.
    pub(super) fn is_newer(&self, row: usize, stored: ValueRef<'_>, text: &mut String) -> bool {
        let with = |stored: Option<Ordering>| stored.is_none_or(Ordering::is_gt);
        let null = |known: bool| known.then_some(Ordering::Less);
        let is_null = self.is_null(row);
        match (self, stored) {
            (_, ValueRef::Null) => true,
            (Self::Decimal(array, scale), _) => {
                let stored = decimal(stored, *scale);
                with(if is_null {
                    null(stored.is_some())
                } else {
                    stored.map(|old| array.value(row).cmp(&old))
                })
            }
            (Self::Timestamp(array), ValueRef::Text(bytes)) => {
                let stored = instant(bytes);
                with(if is_null {
                    null(stored.is_some())
                } else {
                    stored.map(|old| array.value(row).cmp(&old))
                })
            }
            (Self::Date(_), ValueRef::Text(bytes)) if is_date(bytes) => {
                !is_null && order(self.value(row, text), stored).is_gt()
            }
            (
                Self::Integer(_) | Self::Float(_) | Self::Boolean(_),
                ValueRef::Integer(_) | ValueRef::Real(_),
            )
            | (Self::Text(_) | Self::Time(_), ValueRef::Text(_)) => {
                !is_null && order(self.value(row, text), stored).is_gt()
            }
            _ => true,
        }
    }
}

/// Key columns of a batch in the form in which they are stored, so that they sort as the table's index does.
pub(super) struct KeyCells(Vec<KeyColumn>);

enum KeyColumn {
    Text(StringArray),
    Integer(Int64Array),
    Boolean(BooleanArray),
    Float(Float64Array),
}

impl KeyCells {
    /// Writes out those columns whose stored form is not that of the batch.
    pub(super) fn of<'a>(columns: impl Iterator<Item = &'a Cells<'a>>) -> Self {
        Self(columns.map(KeyColumn::of).collect())
    }

    /// The key of a row, column by column.
    pub(super) fn values(&self, row: usize) -> impl Iterator<Item = ValueRef<'_>> {
        self.0.iter().map(move |column| column.value(row))
    }

    /// The numbers of the rows in the order of their keys.
    pub(super) fn sorted(&self, rows: u32) -> Vec<u32> {
        let mut sorted: Vec<u32> = (0..rows).collect();
        match self.0.as_slice() {
            // The common keys, without the detour over SQLite's rules.
            [KeyColumn::Text(array)] => {
                sorted.sort_by(|a, b| array.value(*a as usize).cmp(array.value(*b as usize)))
            }
            [KeyColumn::Integer(array)] => sorted.sort_by_key(|row| array.value(*row as usize)),
            _ => sorted.sort_by(|a, b| self.order(*a as usize, self.values(*b as usize))),
        }
        sorted
    }

    /// Compares the key of a row with another one.
    pub(super) fn order<'a>(&self, row: usize, other: impl Iterator<Item = ValueRef<'a>>) -> Ordering {
        self.values(row)
            .zip(other)
            .map(|(mine, theirs)| order(mine, theirs))
            .find(|ordering| ordering.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl KeyColumn {
    fn of(cells: &Cells<'_>) -> Self {
        match cells {
            Cells::Text(array) => Self::Text((*array).clone()),
            Cells::Integer(array) => Self::Integer((*array).clone()),
            Cells::Boolean(array) => Self::Boolean((*array).clone()),
            Cells::Float(array) => Self::Float((*array).clone()),
            Cells::Decimal(array, _) => Self::written(cells, array.len()),
            Cells::Date(array) => Self::written(cells, array.len()),
            Cells::Time(array) => Self::written(cells, array.len()),
            Cells::Timestamp(array) => Self::written(cells, array.len()),
        }
    }

    fn written(cells: &Cells<'_>, rows: usize) -> Self {
        let mut text = String::new();
        let mut builder = StringBuilder::with_capacity(rows, rows * 16);
        for row in 0..rows {
            builder.append_option(cells.value(row, &mut text).as_str().ok());
        }
        Self::Text(builder.finish())
    }

    fn value(&self, row: usize) -> ValueRef<'_> {
        match self {
            Self::Text(array) if array.is_valid(row) => ValueRef::Text(array.value(row).as_bytes()),
            Self::Integer(array) if array.is_valid(row) => ValueRef::Integer(array.value(row)),
            Self::Boolean(array) if array.is_valid(row) => ValueRef::Integer(i64::from(array.value(row))),
            Self::Float(array) if array.is_valid(row) && !array.value(row).is_nan() => {
                ValueRef::Real(array.value(row))
            }
            _ => ValueRef::Null,
        }
    }
}

/// SQLite's own order of values under the collation BINARY: NULL, numbers, texts, blobs
/// (<https://sqlite.org/datatype3.html>, section 4.1).
fn order(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    use ValueRef::{Blob, Integer, Real, Text};
    match (a, b) {
        (Text(a), Text(b)) | (Blob(a), Blob(b)) => a.cmp(b),
        (Integer(a), Integer(b)) => a.cmp(&b),
        (Real(a), Real(b)) => a.partial_cmp(&b).unwrap_or(Ordering::Equal),
        (Integer(a), Real(b)) => whole_and_float(a, b),
        (Real(a), Integer(b)) => whole_and_float(b, a).reverse(),
        _ => class(a).cmp(&class(b)),
    }
}

fn class(value: ValueRef<'_>) -> u8 {
    match value {
        ValueRef::Null => 0,
        ValueRef::Integer(_) | ValueRef::Real(_) => 1,
        ValueRef::Text(_) => 2,
        ValueRef::Blob(_) => 3,
    }
}

/// Compares exactly: a float of 2^53 and more cannot tell neighbouring integers apart.
fn whole_and_float(whole: i64, float: f64) -> Ordering {
    // 2^63 is a float, i64::MAX is not.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() || float < -BEYOND {
        return Ordering::Greater;
    }
    if float >= BEYOND {
        return Ordering::Less;
    }
    #[allow(clippy::cast_possible_truncation)]
    let floor = float.floor() as i64;
    whole.cmp(&floor).then(if float.fract() == 0.0 { Ordering::Equal } else { Ordering::Less })
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, types::ToSqlOutput};

    use super::*;

    #[test]
    fn values_are_ordered_as_sqlite_orders_them() {
        let values = [
            ValueRef::Null,
            ValueRef::Integer(i64::MIN),
            ValueRef::Integer(-1),
            ValueRef::Integer(0),
            ValueRef::Integer(9_007_199_254_740_993),
            ValueRef::Integer(i64::MAX),
            ValueRef::Real(-1e300),
            ValueRef::Real(-0.5),
            ValueRef::Real(-0.0),
            ValueRef::Real(9_007_199_254_740_992.0),
            ValueRef::Real(9_223_372_036_854_775_808.0),
            ValueRef::Real(f64::INFINITY),
            ValueRef::Text(b""),
            ValueRef::Text(b"A"),
            ValueRef::Text(b"a"),
            ValueRef::Text(b"a\0b"),
            ValueRef::Text("ä".as_bytes()),
            ValueRef::Text("\u{ffff}".as_bytes()),
            ValueRef::Text("\u{10000}".as_bytes()),
            ValueRef::Blob(b""),
            ValueRef::Blob(b"a"),
        ];
        let connection = Connection::open_in_memory().unwrap();
        // ORDER BY knows where NULL stands, comparisons do not.
        let mut statement = connection
            .prepare("SELECT group_concat(n) FROM (SELECT n FROM (SELECT ?1 v, 1 n UNION ALL SELECT ?2, 2) ORDER BY v, n)")
            .unwrap();
        for a in values {
            for b in values {
                let mut ask = |a, b| -> String {
                    let bound = (ToSqlOutput::Borrowed(a), ToSqlOutput::Borrowed(b));
                    statement.query_row(bound, |row| row.get(0)).unwrap()
                };
                let expected = match (ask(a, b).as_str(), ask(b, a).as_str()) {
                    ("1,2", "1,2") => Ordering::Equal,
                    ("1,2", _) => Ordering::Less,
                    _ => Ordering::Greater,
                };
                assert_eq!(order(a, b), expected, "{a:?} {b:?}");
            }
        }
    }
}
