//! Which keys go with which types, and the parser that they make together.

use super::{
    plan::ValueParser,
    written::{ColumnWritten, Texts},
};
use crate::model::value::{
    ValueType,
    boolean::BooleanWords,
    number::NumberFormat,
    temporal::{DateParser, FormatProblem, TimeParser, TimestampParser},
};

/// Keys that mean something for some types only, with the names of those types.
pub const KEYS_OF_TYPES: &[(&str, &[&str])] = &[
    ("case", &["text"]),
    ("is", &["text"]),
    ("format", &["date", "time", "timestamp"]),
    ("pivot", &["date", "timestamp"]),
    ("timezone", &["timestamp"]),
    ("ambiguous", &["timestamp"]),
    ("min", BOUNDED),
    ("max", BOUNDED),
    ("decimal_mark", NUMBERS),
    ("group_mark", NUMBERS),
    ("negative", NUMBERS),
    ("strip", NUMBERS),
    ("true", &["boolean"]),
    ("false", &["boolean"]),
];

const NUMBERS: &[&str] = &["integer", "decimal", "float"];
const BOUNDED: &[&str] = &["integer", "decimal", "float", "date", "time", "timestamp"];

/// The name of a type without its digits.
pub fn family(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Text => "text",
        ValueType::Integer => "integer",
        ValueType::Decimal { .. } => "decimal",
        ValueType::Float => "float",
        ValueType::Boolean => "boolean",
        ValueType::Date => "date",
        ValueType::Time => "time",
        ValueType::Timestamp => "timestamp",
        ValueType::Uuid => "uuid",
        ValueType::Json => "json",
    }
}

/// How a bound of this type is written.
pub fn bound_help(value_type: ValueType) -> Option<&'static str> {
    match value_type {
        ValueType::Integer | ValueType::Decimal { .. } | ValueType::Float => {
            Some("write a bound with a point and without group marks, whatever the file writes")
        }
        ValueType::Date => Some("write a bound as \"2025-12-31\", whatever the file writes"),
        ValueType::Time => Some("write a bound as \"23:59:00\", whatever the file writes"),
        ValueType::Timestamp => Some("write a bound as \"2025-12-31T23:59:00Z\", whatever the file writes"),
        ValueType::Text | ValueType::Boolean | ValueType::Uuid | ValueType::Json => None,
    }
}

/// A key whose value makes no sense: the key, the item of its list, and what is wrong.
pub type Wrong = (&'static str, Option<usize>, String);

/// The parser of a column.
///
/// # Errors
/// Everything that is wrong with its keys.
pub fn compile(written: &ColumnWritten, value_type: ValueType) -> Result<ValueParser, Vec<Wrong>> {
    match value_type {
        ValueType::Text => Ok(ValueParser::Text),
        ValueType::Integer => number(written).map(ValueParser::Integer),
        ValueType::Decimal { .. } => number(written).map(ValueParser::Decimal),
        ValueType::Float => number(written).map(ValueParser::Float),
        ValueType::Boolean => boolean(written).map(ValueParser::Boolean),
        ValueType::Date => {
            temporal(written, |formats| DateParser::new(formats, written.pivot)).map(ValueParser::Date)
        }
        ValueType::Time => temporal(written, TimeParser::new).map(ValueParser::Time),
        ValueType::Timestamp => timestamp(written).map(ValueParser::Timestamp),
        ValueType::Uuid => Ok(ValueParser::Uuid),
        ValueType::Json => Ok(ValueParser::Json),
    }
}

fn number(written: &ColumnWritten) -> Result<NumberFormat, Vec<Wrong>> {
    let decimal_mark =
        written.decimal_mark.unwrap_or(if written.group_mark == Some('.') { ',' } else { '.' });
    let with = |strip| NumberFormat::new(decimal_mark, written.group_mark, written.negative, strip);
    let key = match with(Vec::new()) {
        Ok(_) => "strip",
        Err(_) if written.decimal_mark.is_some() => "decimal_mark",
        Err(_) => "group_mark",
    };
    with(texts(written.strip.as_ref()).to_vec()).map_err(|message| vec![(key, None, message)])
}

fn boolean(written: &ColumnWritten) -> Result<BooleanWords, Vec<Wrong>> {
    let (yes, no) = (texts(written.true_words.as_ref()), texts(written.false_words.as_ref()));
    let key = if BooleanWords::new(yes, &[]).is_err() { "true" } else { "false" };
    BooleanWords::new(yes, no).map_err(|message| vec![(key, None, message)])
}

/// A parser of all formats of a column; each that is wrong is told on its own.
fn temporal<T>(
    written: &ColumnWritten,
    parser: impl Fn(&[String]) -> Result<T, FormatProblem>,
) -> Result<T, Vec<Wrong>> {
    let formats = texts(written.format.as_ref());
    let is_list = matches!(written.format, Some(Texts::Many(_)));
    let alone = formats.iter().enumerate().filter_map(|(index, format)| {
        let problem = parser(std::slice::from_ref(format)).err()?;
        Some(("format", is_list.then_some(index), problem.message))
    });
    let mut wrong: Vec<Wrong> = alone.collect();
    if written.pivot.is_some() && !formats.iter().any(|format| format.contains("%y")) {
        wrong.push(("pivot", None, "this is for years of two digits, and no format has %y".to_owned()));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    parser(formats).map_err(|problem| vec![("format", None, problem.message)])
}

fn timestamp(written: &ColumnWritten) -> Result<TimestampParser, Vec<Wrong>> {
    let in_zone =
        |formats: &[String], zone| TimestampParser::new(formats, written.pivot, zone, written.ambiguous);
    let zone = written.timezone.as_deref();
    let zone_problem = in_zone(&[], zone).err().map(|problem| ("timezone", None, problem.message));
    match (temporal(written, |formats| in_zone(formats, None)), zone_problem) {
        (Ok(_), None) => temporal(written, |formats| in_zone(formats, zone)),
        (other, zone_problem) => Err(other.err().into_iter().flatten().chain(zone_problem).collect()),
    }
}

fn texts(written: Option<&Texts>) -> &[String] {
    written.map(Texts::as_slice).unwrap_or_default()
}
