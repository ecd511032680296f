//! What the table holds, read back as values of the mapping's types.

use rusqlite::types::ValueRef;

use crate::model::value::{ValueType, number, temporal};

/// A stored value in the canonical form of a column's type; none for NULL. What is no value of that type is shown as it
/// is stored.
pub(super) fn text(stored: ValueRef<'_>, value_type: ValueType) -> Option<String> {
    let mut text = String::new();
    match (value_type, stored) {
        (_, ValueRef::Null) => return None,
        (ValueType::Decimal { scale, .. }, _) => {
            let Some(value) = decimal(stored, scale) else { return Some(as_stored(stored)) };
            number::decimal_text(value, scale, &mut text);
        }
        (ValueType::Timestamp, ValueRef::Text(bytes)) => {
            let Some(value) = instant(bytes) else { return Some(as_stored(stored)) };
            temporal::timestamp_text(value, &mut text);
        }
        (ValueType::Boolean, ValueRef::Integer(value @ (0 | 1))) => return Some((value == 1).to_string()),
        _ => return Some(as_stored(stored)),
    }
    Some(text)
}

fn as_stored(stored: ValueRef<'_>) -> String {
    match stored {
        ValueRef::Null => String::new(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => value.to_string(),
        ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}

/// A stored number in units of the last digit of `scale`; none when it is no exact number or has more digits.
pub(super) fn decimal(stored: ValueRef<'_>, scale: u8) -> Option<i128> {
    let unit = 10_i128.checked_pow(u32::from(scale))?;
    let bytes = match stored {
        ValueRef::Integer(whole) => return i128::from(whole).checked_mul(unit),
        ValueRef::Text(bytes) => bytes,
        _ => return None,
    };
    let (negative, digits) = match bytes {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (mut value, mut after_point, mut any) = (0_i128, None, false);
    for byte in digits {
        match byte {
            b'.' if after_point.is_none() => after_point = Some(0_u8),
            b'0'..=b'9' => {
                any = true;
                if after_point.is_some_and(|count| count >= scale) {
                    if *byte != b'0' {
                        return None;
                    }
                    continue;
                }
                after_point = after_point.map(|count| count + 1);
                value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
            }
            _ => return None,
        }
    }
    let missing = scale.checked_sub(after_point.unwrap_or(0))?;
    let value = value.checked_mul(10_i128.checked_pow(u32::from(missing))?)?;
    any.then_some(if negative { -value } else { value })
}

/// A stored instant in microseconds since 1970; none when it is not one that names its offset.
pub(super) fn instant(bytes: &[u8]) -> Option<i64> {
    let timestamp: jiff::Timestamp = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    (timestamp.subsec_nanosecond() % 1_000 == 0).then(|| timestamp.as_microsecond())
}

/// True for a day as it is stored: `2026-11-20`, which sorts as days do.
pub(super) fn is_date(bytes: &[u8]) -> bool {
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_the_same_by_value() {
        let text = |text: &'static str| decimal(ValueRef::Text(text.as_bytes()), 2);
        assert_eq!(text("1.50"), Some(150));
        assert_eq!(text("1.5"), Some(150));
        assert_eq!(text("-001.5000"), Some(-150));
        assert_eq!(text("7"), Some(700));
        assert_eq!(text(".5"), Some(50));
        assert_eq!(decimal(ValueRef::Integer(3), 2), Some(300));
        for none in ["1.505", "", "-", ".", "1e2", "1.5.0", " 1", "1,5"] {
            assert_eq!(text(none), None, "{none}");
        }
        assert_eq!(decimal(ValueRef::Real(1.5), 2), None);
        let largest = "9".repeat(38);
        assert_eq!(decimal(ValueRef::Text(largest.as_bytes()), 0), Some(10_i128.pow(38) - 1));
        assert_eq!(decimal(ValueRef::Text("9".repeat(60).as_bytes()), 0), None);
        assert_eq!(decimal(ValueRef::Text(b"0"), 38), Some(0));
    }

    #[test]
    fn instants_are_the_same_by_utc() {
        assert_eq!(instant(b"1970-01-01T00:00:01Z"), Some(1_000_000));
        assert_eq!(instant(b"1970-01-01 01:00:01+01:00"), Some(1_000_000));
        assert_eq!(instant(b"1970-01-01T00:00:01"), None);
        assert_eq!(instant(b"1970-01-01T00:00:01.0000005Z"), None);
        assert_eq!(instant(b"\xff"), None);
    }

    #[test]
    fn stored_values_are_shown_in_canonical_form_and_others_as_they_are() {
        let decimal = ValueType::Decimal { precision: 10, scale: 2 };
        for (stored, value_type, shown) in [
            (ValueRef::Text(b"1.5"), decimal, Some("1.50")),
            (ValueRef::Integer(3), decimal, Some("3.00")),
            (ValueRef::Text(b"n/a"), decimal, Some("n/a")),
            (
                ValueRef::Text(b"1970-01-01 01:00:01+01:00"),
                ValueType::Timestamp,
                Some("1970-01-01T00:00:01Z"),
            ),
            (ValueRef::Text(b"yesterday"), ValueType::Timestamp, Some("yesterday")),
            (ValueRef::Integer(1), ValueType::Boolean, Some("true")),
            (ValueRef::Integer(7), ValueType::Boolean, Some("7")),
            (ValueRef::Text(b"a\xff"), ValueType::Text, Some("a\u{fffd}")),
            (ValueRef::Blob(b"abc"), ValueType::Text, Some("3 bytes")),
            (ValueRef::Null, ValueType::Text, None),
        ] {
            assert_eq!(text(stored, value_type).as_deref(), shown);
        }
    }
}
