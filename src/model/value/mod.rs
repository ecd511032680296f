//! The types a column can have, and how the texts of real systems become values of them.
//!
//! Parsers are compiled once from a mapping and then called for every field: they take the trimmed text, allocate
//! nothing when it is good, and say what is wrong in words for the person who has to correct it. Numbers are exact:
//! a decimal never passes through a float, and more digits than declared is an error, never a rounding.

pub mod boolean;
pub mod json;
pub mod kind;
pub mod number;
pub mod temporal;
pub mod text;
pub mod uuid;

use std::{fmt, str::FromStr};

use arrow_schema::{DataType, TimeUnit};

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// Text, the default.
    Text,
    /// Whole number of 64 bits.
    Integer,
    /// Exact number: `precision` digits in all, `scale` of them after the point.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, 0 to `precision`.
        scale: u8,
    },
    /// IEEE 754 double.
    Float,
    /// True or false.
    Boolean,
    /// A day of the Gregorian calendar, 0001-01-01 to 9999-12-31.
    Date,
    /// A time of day, to the microsecond.
    Time,
    /// An instant, to the microsecond, kept in UTC.
    Timestamp,
    /// A UUID, in lower case with hyphens.
    Uuid,
    /// A JSON text, checked and kept as it came.
    Json,
}

impl ValueType {
    /// The Arrow type of a column of this type.
    ///
    /// Text, UUID and JSON are `Utf8`; integers `Int64`; decimals `Decimal128`; dates `Date32`; times
    /// `Time64(Microsecond)`; timestamps `Timestamp(Microsecond, "UTC")`.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text | Self::Uuid | Self::Json => DataType::Utf8,
            Self::Integer => DataType::Int64,
            Self::Decimal { precision, scale } => DataType::Decimal128(precision, scale.cast_signed()),
            Self::Float => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        }
    }
}

/// The names a mapping may use; `decimal` takes its digits in parentheses.
pub const TYPE_NAMES: &[&str] =
    &["text", "integer", "decimal(p,s)", "float", "boolean", "date", "time", "timestamp", "uuid", "json"];

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Integer => f.write_str("integer"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Float => f.write_str("float"),
            Self::Boolean => f.write_str("boolean"),
            Self::Date => f.write_str("date"),
            Self::Time => f.write_str("time"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Uuid => f.write_str("uuid"),
            Self::Json => f.write_str("json"),
        }
    }
}

impl FromStr for ValueType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        Ok(match text {
            "text" => Self::Text,
            "integer" => Self::Integer,
            "float" => Self::Float,
            "boolean" => Self::Boolean,
            "date" => Self::Date,
            "time" => Self::Time,
            "timestamp" => Self::Timestamp,
            "uuid" => Self::Uuid,
            "json" => Self::Json,
            _ => return decimal(text),
        })
    }
}

fn decimal(text: &str) -> Result<ValueType, String> {
    let Some(digits) = text.strip_prefix("decimal") else {
        return Err(format!("there is no type `{text}`"));
    };
    let parsed = digits
        .trim()
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .and_then(|inner| inner.split_once(','))
        .and_then(|(p, s)| Some((p.trim().parse::<u8>().ok()?, s.trim().parse::<u8>().ok()?)));
    match parsed {
        Some((precision @ 1..=38, scale)) if scale <= precision => {
            Ok(ValueType::Decimal { precision, scale })
        }
        _ => {
            Err("a decimal is written decimal(p,s): p digits in all (1 to 38), s of them after the point"
                .into())
        }
    }
}

/// Why a text is not a value of its column's type: the rest of a sentence that begins with the column's name,
/// such as "is not a whole number". It never repeats the value, which may be sensitive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError(pub std::borrow::Cow<'static, str>);

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
