//! Stored values as texts: as PostgreSQL writes them under [`WRITING`], and from there in Wharf's canonical form.

use super::shape::StoredColumn;
use crate::{model::value::ValueType, targets::Compares};

/// The settings under which the server's texts mean one thing only, whatever it or the user is set to.
pub(super) const WRITING: &str =
    "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO'; SET LOCAL extra_float_digits = 1";

/// A stored value, as the server writes it, in the canonical form of a column's type. What is no value of that type is shown
/// as it is stored.
pub(super) fn canonical(stored: &str, value_type: ValueType) -> String {
    match value_type {
        ValueType::Decimal { scale, .. } => decimal(stored, usize::from(scale)),
        ValueType::Float => match stored.parse::<f64>() {
            // Zero has two signs, which are one value.
            Ok(value) => (value + 0.0).to_string(),
            Err(_) => stored.to_owned(),
        },
        ValueType::Time => six_digits(stored),
        ValueType::Timestamp => instant(stored).unwrap_or_else(|| stored.to_owned()),
        _ => stored.to_owned(),
    }
}

/// A value of a column as others look it up in.
pub(super) fn plain(stored: &str, column: &StoredColumn) -> String {
    match column.type_name.as_str() {
        "timestamptz" => instant(stored).unwrap_or_else(|| stored.to_owned()),
        _ => stored.to_owned(),
    }
}

/// How the values of a column compare.
pub(super) fn compares(column: &StoredColumn) -> Compares {
    match column.type_name.as_str() {
        "int2" | "int4" | "int8" | "numeric" | "float4" | "float8" | "oid" => Compares::Number,
        "date" => Compares::Date,
        "timestamptz" | "timestamp" => Compares::Timestamp,
        _ => Compares::Text,
    }
}

/// With so many digits after the point, as long as that is the same number.
fn decimal(stored: &str, scale: usize) -> String {
    if !stored.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.')) {
        return stored.to_owned();
    }
    let (whole, fraction) = stored.split_once('.').unwrap_or((stored, ""));
    let (kept, beyond) = fraction.split_at(fraction.len().min(scale));
    if beyond.bytes().any(|byte| byte != b'0') {
        return stored.to_owned();
    }
    if scale == 0 { whole.to_owned() } else { format!("{whole}.{kept:0<scale$}") }
}

/// An instant of the years 1 to 9999: `2026-11-20 17:45:30.5+00` is `2026-11-20T17:45:30.500000Z`.
fn instant(stored: &str) -> Option<String> {
    let (day, time) = stored.strip_suffix("+00")?.split_once(' ')?;
    (day.len() == 10).then(|| format!("{day}T{}Z", six_digits(time)))
}

/// A fraction of a second has six digits, or there is none.
fn six_digits(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, fraction)) if fraction.len() <= 6 => format!("{whole}.{fraction:0<6}"),
        _ => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_values_are_shown_in_canonical_form_and_others_as_they_are() {
        let decimal = |scale| ValueType::Decimal { precision: 38, scale };
        for (stored, value_type, shown) in [
            ("1.5", decimal(2), "1.50"),
            ("-0.5000", decimal(2), "-0.50"),
            ("3", decimal(2), "3.00"),
            ("3.00", decimal(0), "3"),
            ("1.505", decimal(2), "1.505"),
            ("NaN", decimal(2), "NaN"),
            ("1e+300", ValueType::Float, &format!("1{}", "0".repeat(300))),
            ("-0", ValueType::Float, "0"),
            ("Infinity", ValueType::Float, "inf"),
            ("01:02:03", ValueType::Time, "01:02:03"),
            ("01:02:03.5", ValueType::Time, "01:02:03.500000"),
            ("2026-11-20 17:45:30+00", ValueType::Timestamp, "2026-11-20T17:45:30Z"),
            ("0001-01-01 00:00:00.000001+00", ValueType::Timestamp, "0001-01-01T00:00:00.000001Z"),
            ("infinity", ValueType::Timestamp, "infinity"),
            ("0044-03-15 00:00:00+00 BC", ValueType::Timestamp, "0044-03-15 00:00:00+00 BC"),
            ("2026-11-20 17:45:30", ValueType::Timestamp, "2026-11-20 17:45:30"),
            (" a ", ValueType::Text, " a "),
            ("true", ValueType::Boolean, "true"),
        ] {
            assert_eq!(canonical(stored, value_type), shown, "{stored}");
        }
    }
}
