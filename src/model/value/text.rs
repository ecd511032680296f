//! Values as text, for people: the canonical forms that stand in the docs.

use arrow_array::{Array, ArrayRef, cast::AsArray, types};
use arrow_schema::{DataType, TimeUnit};

use super::{number, temporal};

/// The text of one value of a column of one of the types of [`super::ValueType::arrow`]; none for NULL.
#[must_use]
pub fn text(array: &ArrayRef, row: usize) -> Option<String> {
    if row >= array.len() || array.is_null(row) {
        return None;
    }
    let mut text = String::new();
    match array.data_type() {
        DataType::Utf8 => text.push_str(array.as_string::<i32>().value(row)),
        DataType::Int64 => text = array.as_primitive::<types::Int64Type>().value(row).to_string(),
        DataType::Float64 => text = array.as_primitive::<types::Float64Type>().value(row).to_string(),
        DataType::Boolean => text = array.as_boolean().value(row).to_string(),
        DataType::Decimal128(_, scale) => {
            let value = array.as_primitive::<types::Decimal128Type>().value(row);
            number::decimal_text(value, scale.unsigned_abs(), &mut text);
        }
        DataType::Date32 => {
            temporal::date_text(array.as_primitive::<types::Date32Type>().value(row), &mut text)
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            temporal::time_text(array.as_primitive::<types::Time64MicrosecondType>().value(row), &mut text);
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            temporal::timestamp_text(
                array.as_primitive::<types::TimestampMicrosecondType>().value(row),
                &mut text,
            );
        }
        _ => return None,
    }
    Some(text)
}
