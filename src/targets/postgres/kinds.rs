//! Which types of PostgreSQL take which values of a mapping, and in which form values are sent to them. What would not arrive
//! as it is, is not sent: it is a difference between table and mapping.

use super::shape::StoredColumn;
use crate::{model::value::ValueType, targets::TargetColumn};

/// The form in which the values of a column are sent: that of the type's own binary input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Bytes of UTF-8: text and what is read from it.
    Text,
    /// A whole number of 2 bytes.
    Int2,
    /// A whole number of 4 bytes.
    Int4,
    /// A whole number of 8 bytes.
    Int8,
    /// A number of any size, from whole ones or decimals of this scale.
    Numeric(u8),
    /// A double.
    Float8,
    /// A byte.
    Boolean,
    /// Days since 2000.
    Date,
    /// Microseconds of the day.
    Time,
    /// Microseconds since 2000, UTC.
    Timestamp,
    /// 16 bytes.
    Uuid,
    /// JSON in the server's own form, sent as text.
    Jsonb,
}

/// The type under which a column is created.
pub(super) fn declared(value_type: ValueType) -> String {
    match value_type {
        ValueType::Text => "text".to_owned(),
        ValueType::Integer => "bigint".to_owned(),
        ValueType::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        ValueType::Float => "double precision".to_owned(),
        ValueType::Boolean => "boolean".to_owned(),
        ValueType::Date => "date".to_owned(),
        ValueType::Time => "time".to_owned(),
        ValueType::Timestamp => "timestamptz".to_owned(),
        ValueType::Uuid => "uuid".to_owned(),
        ValueType::Json => "jsonb".to_owned(),
    }
}

/// What values of a type are called.
pub(super) fn described(value_type: ValueType) -> String {
    match value_type {
        ValueType::Text => "a text".to_owned(),
        ValueType::Integer => "a whole number".to_owned(),
        ValueType::Decimal { .. } => format!("a {value_type}"),
        ValueType::Float => "a float".to_owned(),
        ValueType::Boolean => "a boolean".to_owned(),
        ValueType::Date => "a date".to_owned(),
        ValueType::Time => "a time".to_owned(),
        ValueType::Timestamp => "an instant".to_owned(),
        ValueType::Uuid => "a uuid".to_owned(),
        ValueType::Json => "a JSON text".to_owned(),
    }
}

/// The form for the values of `column` in `stored`; or what would become of them there.
pub(super) fn form(column: &TargetColumn, stored: &StoredColumn) -> Result<Form, String> {
    let wrong = |what: &str| Err(what.to_owned());
    let is_text = matches!(stored.type_name.as_str(), "text" | "varchar" | "bpchar" | "citext");
    match (column.value_type, stored.type_name.as_str()) {
        (ValueType::Text, _) if is_text => too_long(column, stored).map_or(Ok(Form::Text), Err),
        (ValueType::Text, _) if stored.is_enum => Ok(Form::Text),
        (ValueType::Uuid, "uuid") => Ok(Form::Uuid),
        // Both are of one length, or of any that text can have.
        (ValueType::Uuid, "text" | "citext") | (ValueType::Json, "text" | "json") => Ok(Form::Text),
        (ValueType::Uuid, "varchar") if stored.modifier == -1 || stored.modifier >= 36 + 4 => Ok(Form::Text),
        (ValueType::Json, "varchar") if stored.modifier == -1 => Ok(Form::Text),
        (ValueType::Json, "jsonb") => Ok(Form::Jsonb),
        (ValueType::Integer, "int8") => Ok(Form::Int8),
        // Numbers beyond these are refused row by row.
        (ValueType::Integer, "int4") => Ok(Form::Int4),
        (ValueType::Integer, "int2") => Ok(Form::Int2),
        (ValueType::Integer, "numeric") => Ok(Form::Numeric(0)),
        (ValueType::Decimal { precision, scale }, "numeric") => {
            narrow(precision, scale, stored.modifier).map_or(Ok(Form::Numeric(scale)), Err)
        }
        (ValueType::Integer | ValueType::Decimal { .. }, "float4" | "float8" | "money") => {
            wrong("would become a float or money and could lose digits")
        }
        (ValueType::Decimal { .. }, "int2" | "int4" | "int8") => wrong("would be rounded to a whole number"),
        (ValueType::Float, "float8") => Ok(Form::Float8),
        (ValueType::Float, "float4") => wrong("would lose digits"),
        (ValueType::Boolean, "bool") => Ok(Form::Boolean),
        (ValueType::Date, "date") => Ok(Form::Date),
        (ValueType::Date, "timestamp" | "timestamptz") => wrong("would become an instant"),
        (ValueType::Time, "time") if is_exact(stored) => Ok(Form::Time),
        (ValueType::Timestamp, "timestamptz") if is_exact(stored) => Ok(Form::Timestamp),
        (ValueType::Time, "time") | (ValueType::Timestamp, "timestamptz") => {
            wrong("would lose parts of a second")
        }
        (ValueType::Timestamp, "timestamp") => wrong("would lose its time zone"),
        (ValueType::Timestamp, "date") => wrong("would lose its time of day"),
        (ValueType::Text, "int2" | "int4" | "int8" | "numeric" | "float4" | "float8") => {
            wrong("that looks like a number would become one (00123 would become 123)")
        }
        (_, _) if is_text => wrong("would become text"),
        _ => wrong("does not belong"),
    }
}

/// Microseconds are kept: no precision, or six digits.
fn is_exact(stored: &StoredColumn) -> bool {
    stored.modifier == -1 || stored.modifier >= 6
}

fn too_long(column: &TargetColumn, stored: &StoredColumn) -> Option<String> {
    // Length and four bytes of the header.
    let most = usize::try_from(stored.modifier.checked_sub(4)?).ok().filter(|_| stored.modifier > 4)?;
    if column.max_length.is_some_and(|length| length <= most) {
        return None;
    }
    Some(format!("of more than {most} characters does not fit (add `max_length = {most}`)"))
}

/// What a declared precision and scale do to decimals of these digits; none where all of them fit.
fn narrow(precision: u8, scale: u8, modifier: i32) -> Option<String> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    // <https://github.com/postgres/postgres/blob/REL_15_STABLE/src/backend/utils/adt/numeric.c>, make_numeric_typmod: the
    // scale has 11 bits with a sign.
    let (stored_precision, stored_scale) = ((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 0x400) - 0x400);
    if i32::from(scale) > stored_scale {
        return Some(format!("would be rounded to {stored_scale} digits after the point"));
    }
    let (whole, stored_whole) = (i32::from(precision) - i32::from(scale), stored_precision - stored_scale);
    (whole > stored_whole)
        .then(|| format!("of more than {stored_whole} digits before the point does not fit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modifier(precision: i32, scale: i32) -> i32 {
        ((precision << 16) | (scale & 0x7ff)) + 4
    }

    #[test]
    fn a_decimal_fits_where_all_its_digits_do() {
        assert_eq!(narrow(12, 4, -1), None);
        assert_eq!(narrow(12, 4, modifier(12, 4)), None);
        assert_eq!(narrow(12, 4, modifier(20, 6)), None);
        assert!(narrow(12, 4, modifier(12, 2)).unwrap().contains("rounded to 2"));
        assert!(narrow(12, 4, modifier(12, 6)).unwrap().contains("more than 6 digits"));
        assert!(narrow(12, 4, modifier(5, -3)).unwrap().contains("rounded to -3"));
        assert_eq!(narrow(3, 0, modifier(3, 0)), None);
    }
}
