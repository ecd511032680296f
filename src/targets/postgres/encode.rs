//! Rows in the binary form of COPY, straight from the arrays of a batch
//! (<https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format").

use std::collections::BTreeMap;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    cast::AsArray,
    types::{
        Date32Type, Decimal128Type, Float64Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
    },
};
use bytes::Bytes;

use super::{kinds::Form, numeric, plan::Column};
use crate::targets::Refusal;

/// Rows are sent in buffers of about this size: large enough that sending costs little, small enough that the server has
/// something to do while the next one is written.
const BUFFER_BYTES: usize = 256 << 10;
/// What stands before the rows: signature, flags, and the length of more that does not follow.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What stands where another row would begin.
const TRAILER: [u8; 2] = (-1i16).to_be_bytes();
/// The server keeps no value, and no row, of a gigabyte (MaxAllocSize).
const MOST_ROW_BYTES: usize = 1_000_000_000;
/// From the first day of 1970 to that of 2000, from which PostgreSQL counts.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = EPOCH_DAYS as i64 * 86_400_000_000;

/// The cells of one column, and the form in which they are sent.
struct Cells<'a> {
    values: Values<'a>,
    form: Form,
}

enum Values<'a> {
    Text(&'a StringArray),
    Integer(&'a Int64Array),
    Decimal(&'a Decimal128Array),
    Float(&'a Float64Array),
    Boolean(&'a BooleanArray),
    Date(&'a Date32Array),
    Time(&'a Time64MicrosecondArray),
    Timestamp(&'a TimestampMicrosecondArray),
}

impl<'a> Values<'a> {
    fn of(array: &'a ArrayRef) -> Option<Self> {
        None.or_else(|| array.as_string_opt().map(Self::Text))
            .or_else(|| array.as_primitive_opt::<Int64Type>().map(Self::Integer))
            .or_else(|| array.as_primitive_opt::<Decimal128Type>().map(Self::Decimal))
            .or_else(|| array.as_primitive_opt::<Float64Type>().map(Self::Float))
            .or_else(|| array.as_boolean_opt().map(Self::Boolean))
            .or_else(|| array.as_primitive_opt::<Date32Type>().map(Self::Date))
            .or_else(|| array.as_primitive_opt::<Time64MicrosecondType>().map(Self::Time))
            .or_else(|| array.as_primitive_opt::<TimestampMicrosecondType>().map(Self::Timestamp))
    }
}

/// A batch on its way to the server.
pub(super) struct Encoder<'a> {
    cells: Vec<Cells<'a>>,
    /// The number that goes before the columns of each row, where one does.
    numbers: Option<&'a [u64]>,
}

impl<'a> Encoder<'a> {
    /// For rows with these columns; none when they are of other types than the load began with. `numbers` are written before
    /// the columns, one a row.
    pub(super) fn new(rows: &'a RecordBatch, columns: &[Column], numbers: Option<&'a [u64]>) -> Option<Self> {
        let cells = rows.columns().iter().zip(columns).map(|(array, column)| {
            let cells = Cells { values: Values::of(array)?, form: column.form };
            cells.fits().then_some(cells)
        });
        Some(Self { cells: cells.collect::<Option<_>>()?, numbers })
    }

    /// The rows that need not be sent, as the server could not keep them.
    pub(super) fn unkeepable(&self, rows: usize, columns: &[Column]) -> BTreeMap<usize, Refusal> {
        let mut refused = BTreeMap::new();
        for (cells, column) in self.cells.iter().zip(columns) {
            cells.unkeepable(rows, &mut |row, why| {
                refused.entry(row).or_insert_with(|| Refusal::target(Some(column.spec), why));
            });
        }
        refused
    }

    /// Gives the rows of these numbers in buffers, and none after the last.
    pub(super) fn buffers<'e>(&'e self, rows: &'e [usize]) -> impl FnMut() -> Option<Bytes> + 'e {
        let mut rows = rows.iter();
        let (mut begun, mut ended) = (false, false);
        move || {
            if ended {
                return None;
            }
            let mut buffer = Vec::with_capacity(BUFFER_BYTES + BUFFER_BYTES / 8);
            if !begun {
                begun = true;
                buffer.extend_from_slice(HEADER);
            }
            while buffer.len() < BUFFER_BYTES {
                let Some(row) = rows.next() else {
                    ended = true;
                    buffer.extend_from_slice(&TRAILER);
                    break;
                };
                self.push(&mut buffer, *row);
            }
            Some(Bytes::from(buffer))
        }
    }

    fn push(&self, out: &mut Vec<u8>, row: usize) {
        let number = self.numbers.and_then(|numbers| numbers.get(row));
        let fields = self.cells.len() + usize::from(number.is_some());
        // A table has 1,600 columns at most.
        out.extend_from_slice(&(fields as i16).to_be_bytes());
        if let Some(number) = number {
            push(out, number.to_be_bytes());
        }
        for cells in &self.cells {
            cells.push(out, row);
        }
    }
}

impl Cells<'_> {
    /// True where values of this kind can be sent in this form.
    fn fits(&self) -> bool {
        match self.values {
            Values::Text(_) => matches!(self.form, Form::Text | Form::Uuid | Form::Jsonb),
            Values::Integer(_) => {
                matches!(self.form, Form::Int2 | Form::Int4 | Form::Int8 | Form::Numeric(0))
            }
            Values::Decimal(_) => matches!(self.form, Form::Numeric(_)),
            Values::Float(_) => self.form == Form::Float8,
            Values::Boolean(_) => self.form == Form::Boolean,
            Values::Date(_) => self.form == Form::Date,
            Values::Time(_) => self.form == Form::Time,
            Values::Timestamp(_) => self.form == Form::Timestamp,
        }
    }

    fn unkeepable(&self, rows: usize, refuse: &mut dyn FnMut(usize, &'static str)) {
        match (&self.values, self.form) {
            (Values::Text(array), form) => {
                // One look at all of them, as there hardly ever is one.
                let has_nul = memchr::memchr(0, array.value_data()).is_some();
                if !has_nul && array.value_data().len() < MOST_ROW_BYTES && form != Form::Uuid {
                    return;
                }
                for row in (0..rows.min(array.len())).filter(|row| array.is_valid(*row)) {
                    let text = array.value(row);
                    if text.contains('\0') {
                        refuse(row, "holds a NUL character, which PostgreSQL cannot keep");
                    } else if text.len() >= MOST_ROW_BYTES {
                        refuse(row, "is larger than PostgreSQL can keep");
                    } else if form == Form::Uuid && uuid::Uuid::try_parse(text).is_err() {
                        refuse(row, "is not of the type that the table asks for");
                    }
                }
            }
            (Values::Integer(array), Form::Int4) => {
                outside(array, i64::from(i32::MIN)..=i64::from(i32::MAX), refuse);
            }
            (Values::Integer(array), Form::Int2) => {
                outside(array, i64::from(i16::MIN)..=i64::from(i16::MAX), refuse);
            }
            _ => {}
        }
    }

    fn push(&self, out: &mut Vec<u8>, row: usize) {
        let value = match &self.values {
            Values::Text(array) if array.is_valid(row) => return self.push_text(out, array.value(row)),
            Values::Integer(array) if array.is_valid(row) => array.value(row),
            Values::Decimal(array) if array.is_valid(row) => {
                let scale = if let Form::Numeric(scale) = self.form { scale } else { 0 };
                return numeric::push(out, array.value(row), scale);
            }
            Values::Float(array) if array.is_valid(row) => return push(out, array.value(row).to_be_bytes()),
            Values::Boolean(array) if array.is_valid(row) => return push(out, [u8::from(array.value(row))]),
            // Days and instants of the calendar's years 1 to 9999 do not come near the ends of these numbers.
            Values::Date(array) if array.is_valid(row) => {
                return push(out, array.value(row).saturating_sub(EPOCH_DAYS).to_be_bytes());
            }
            Values::Time(array) if array.is_valid(row) => return push(out, array.value(row).to_be_bytes()),
            Values::Timestamp(array) if array.is_valid(row) => {
                return push(out, array.value(row).saturating_sub(EPOCH_MICROS).to_be_bytes());
            }
            _ => return out.extend_from_slice(&(-1i32).to_be_bytes()),
        };
        // What does not fit was taken out before.
        match self.form {
            Form::Int2 => push(out, (value as i16).to_be_bytes()),
            Form::Int4 => push(out, (value as i32).to_be_bytes()),
            Form::Numeric(_) => numeric::push(out, i128::from(value), 0),
            _ => push(out, value.to_be_bytes()),
        }
    }

    fn push_text(&self, out: &mut Vec<u8>, text: &str) {
        match self.form {
            Form::Uuid => push(out, uuid::Uuid::try_parse(text).unwrap_or_default().into_bytes()),
            Form::Jsonb => {
                out.extend_from_slice(&(text.len() as i32 + 1).to_be_bytes());
                // The only version of the form there is.
                out.push(1);
                out.extend_from_slice(text.as_bytes());
            }
            _ => {
                out.extend_from_slice(&(text.len() as i32).to_be_bytes());
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// A value of a fixed length, with that before it.
fn push<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&(N as i32).to_be_bytes());
    out.extend_from_slice(&bytes);
}

fn outside(
    array: &Int64Array,
    range: std::ops::RangeInclusive<i64>,
    refuse: &mut dyn FnMut(usize, &'static str),
) {
    for (row, value) in array.iter().enumerate() {
        if value.is_some_and(|value| !range.contains(&value)) {
            refuse(row, "is out of the range of the table's column");
        }
    }
}
