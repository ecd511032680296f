//! Values that a mapping itself writes (defaults, bounds, listed words), read as the column would read them.

use super::plan::{Bound, Bounds, TextRule, ValueParser};
use crate::model::value::{
    ValueError, ValueType,
    json::check_json,
    number::{self, NumberFormat},
    temporal::{self, Ambiguous, DateParser, TimeParser, TimestampParser},
    uuid::parse_uuid,
};

/// A value in the unit of its column's Arrow type, as far as bounds can be compared with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Read {
    /// An integer, a day, or microseconds.
    Integer(i64),
    /// Units of a decimal's last digit.
    Decimal(i128),
    /// A float.
    Float(f64),
    /// A value that has no bounds.
    Unbounded,
}

impl Read {
    fn integer(self) -> Option<i64> {
        if let Self::Integer(value) = self { Some(value) } else { None }
    }

    fn decimal(self) -> Option<i128> {
        if let Self::Decimal(value) = self { Some(value) } else { None }
    }

    fn float(self) -> Option<f64> {
        if let Self::Float(value) = self { Some(value) } else { None }
    }
}

/// Reads `text` as a column would.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence.
pub fn read(parser: &ValueParser, value_type: ValueType, text: &str) -> Result<Read, ValueError> {
    match parser {
        ValueParser::Text => Ok(Read::Unbounded),
        ValueParser::Integer(format) => format.integer(text).map(Read::Integer),
        ValueParser::Decimal(format) => match value_type {
            ValueType::Decimal { precision, scale } => {
                format.decimal(text, precision, scale).map(Read::Decimal)
            }
            _ => Ok(Read::Unbounded),
        },
        ValueParser::Float(format) => format.float(text).map(Read::Float),
        ValueParser::Boolean(words) => words.parse(text).map(|_| Read::Unbounded),
        ValueParser::Date(parser) => parser.parse(text).map(|days| Read::Integer(days.into())),
        ValueParser::Time(parser) => parser.parse(text).map(Read::Integer),
        ValueParser::Timestamp(parser) => parser.parse(text).map(Read::Integer),
        ValueParser::Uuid => parse_uuid(text, &mut String::new()).map(|()| Read::Unbounded),
        ValueParser::Json => check_json(text).map(|()| Read::Unbounded),
    }
}

/// The one text of a value that has several; none for types of which all texts differ.
pub fn canonical(value_type: ValueType, value: Read) -> Option<String> {
    let mut text = String::new();
    match (value_type, value) {
        (ValueType::Integer, Read::Integer(number)) => text = number.to_string(),
        (ValueType::Float, Read::Float(number)) => text = number.to_string(),
        (ValueType::Decimal { scale, .. }, Read::Decimal(units)) => {
            number::decimal_text(units, scale, &mut text)
        }
        (ValueType::Date, Read::Integer(days)) => temporal::date_text(i32::try_from(days).ok()?, &mut text),
        (ValueType::Time, Read::Integer(micros)) => temporal::time_text(micros, &mut text),
        (ValueType::Timestamp, Read::Integer(micros)) => temporal::timestamp_text(micros, &mut text),
        _ => return None,
    }
    Some(text)
}

/// The parser of bounds: numbers with a point, dates and times in ISO 8601, whatever the file writes. None for types
/// that have no order.
pub fn plain_parser(value_type: ValueType, timezone: Option<&str>) -> Option<ValueParser> {
    Some(match value_type {
        ValueType::Integer => ValueParser::Integer(NumberFormat::default()),
        ValueType::Decimal { .. } => ValueParser::Decimal(NumberFormat::default()),
        ValueType::Float => ValueParser::Float(NumberFormat::default()),
        ValueType::Date => ValueParser::Date(DateParser::new(&[], None).ok()?),
        ValueType::Time => ValueParser::Time(TimeParser::new(&[]).ok()?),
        ValueType::Timestamp => {
            ValueParser::Timestamp(TimestampParser::new(&[], None, timezone, Ambiguous::default()).ok()?)
        }
        ValueType::Text | ValueType::Boolean | ValueType::Uuid | ValueType::Json => return None,
    })
}

/// A bound as read, with its text as written.
pub type ReadBound = Option<(Read, String)>;

/// The bounds of a column of this type.
pub fn bounds(value_type: ValueType, least: &ReadBound, most: &ReadBound) -> Bounds {
    fn bound<T>(read: &ReadBound, value: fn(Read) -> Option<T>) -> Option<Bound<T>> {
        let (read, written) = read.as_ref()?;
        Some(Bound { value: value(*read)?, written: written.as_str().into() })
    }
    if least.is_none() && most.is_none() {
        return Bounds::None;
    }
    match value_type {
        ValueType::Integer | ValueType::Date | ValueType::Time | ValueType::Timestamp => {
            Bounds::Integer { min: bound(least, Read::integer), max: bound(most, Read::integer) }
        }
        ValueType::Decimal { .. } => {
            Bounds::Decimal { min: bound(least, Read::decimal), max: bound(most, Read::decimal) }
        }
        ValueType::Float => Bounds::Float { min: bound(least, Read::float), max: bound(most, Read::float) },
        ValueType::Text | ValueType::Boolean | ValueType::Uuid | ValueType::Json => Bounds::None,
    }
}

/// What is wrong with a text under rules and bounds, as the rest of a sentence; none when nothing is.
pub fn complaint(rules: &[TextRule], bounds: &Bounds, text: &str, value: Read) -> Option<String> {
    let length = text.chars().count();
    let broken = rules.iter().find_map(|rule| match rule {
        TextRule::MinLength(least) => (length < *least).then(|| format!("has fewer than {least} characters")),
        TextRule::MaxLength(most) => (length > *most).then(|| format!("has more than {most} characters")),
        TextRule::Pattern(regex, _) => {
            (!regex.is_match(text)).then(|| "does not match the pattern".to_owned())
        }
        TextRule::OneOf(words) => {
            (!words.iter().any(|word| **word == *text)).then(|| "is not in one_of".to_owned())
        }
        TextRule::Is(kind) => kind.check(text).err().map(|error| error.to_string()),
    });
    broken.or_else(|| outside(bounds, value))
}

fn outside(bounds: &Bounds, value: Read) -> Option<String> {
    fn compare<T: PartialOrd>(
        least: Option<&Bound<T>>,
        most: Option<&Bound<T>>,
        value: &T,
    ) -> Option<String> {
        if let Some(least) = least.filter(|least| *value < least.value) {
            return Some(format!("is less than {}", least.written));
        }
        most.filter(|most| *value > most.value).map(|most| format!("is more than {}", most.written))
    }
    match (bounds, value) {
        (Bounds::Integer { min, max }, Read::Integer(value)) => compare(min.as_ref(), max.as_ref(), &value),
        (Bounds::Decimal { min, max }, Read::Decimal(value)) => compare(min.as_ref(), max.as_ref(), &value),
        (Bounds::Float { min, max }, Read::Float(value)) => compare(min.as_ref(), max.as_ref(), &value),
        _ => None,
    }
}
