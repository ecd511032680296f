//! What an expression may ask of the file and the delivery besides the record's own columns.

use super::{
    types::Type,
    vector::{Fixed, Texts, Vector},
};
use crate::model::value::ValueType;

/// What is known of the file and its delivery; the same for all records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// `file.name`: the file's name, without folders.
    pub file_name: String,
    /// `file.size`: bytes, as they came.
    pub file_size: Option<u64>,
    /// `file.modified`: microseconds since 1970-01-01, UTC.
    pub file_modified: Option<i64>,
    /// `file.source`: the source's name; none for a file that a person named.
    pub file_source: Option<String>,
    /// `file.path`: where the file was found.
    pub file_path: Option<String>,
    /// `file.NAME`: what the captures of the file's pattern took. One that is missing here, or is of another type
    /// than its [`Capture`] says, is NULL.
    pub captures: Vec<(String, CaptureValue)>,
    /// `delivery.id`, a UUID.
    pub delivery_id: String,
    /// `delivery.mapping`: the mapping's name.
    pub mapping: String,
    /// `now()`: microseconds since 1970-01-01, UTC; fixed once a delivery.
    pub now: i64,
}

/// A capture of the patterns of file names, as `file.NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Its name.
    pub name: String,
    /// `Text`, or `Date` or `Timestamp` for a pattern with a format that has all their parts.
    pub value_type: ValueType,
}

/// What a capture took from a file name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureValue {
    /// A text.
    Text(String),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01, UTC.
    Timestamp(i64),
}

/// One of the facts.
#[derive(Clone, Debug)]
pub(super) enum Fact {
    Name,
    Size,
    Modified,
    Source,
    Path,
    Capture(Box<str>, ValueType),
    DeliveryId,
    Mapping,
    Now,
    Today,
}

/// The names behind `file.`, captures apart.
pub(super) const FILE: &[(&str, Fact, &str)] = &[
    ("name", Fact::Name, "the file's name, without folders"),
    ("size", Fact::Size, "its size in bytes, as it came"),
    ("modified", Fact::Modified, "when it was last changed"),
    ("source", Fact::Source, "the name of its source; NULL for a file that a person named"),
    ("path", Fact::Path, "where it was found"),
];

/// The names behind `delivery.`.
pub(super) const DELIVERY: &[(&str, Fact, &str)] =
    &[("id", Fact::DeliveryId, "the delivery's id"), ("mapping", Fact::Mapping, "the name of the mapping")];

impl Fact {
    /// Its type.
    pub(super) fn value_type(&self) -> Type {
        match self {
            Self::Name | Self::Source | Self::Path | Self::Mapping => Type::TEXT,
            Self::Size => Type::INTEGER,
            Self::Modified | Self::Now => Type::TIMESTAMP,
            Self::Today => Type::DATE,
            Self::DeliveryId => Type::Value(ValueType::Uuid),
            Self::Capture(_, value_type) => Type::Value(*value_type),
        }
    }

    /// Its value.
    pub(super) fn value(&self, facts: &Facts) -> Vector {
        let text = |text: Option<&str>| Vector::Text(Texts::One(text.map(Into::into)));
        match self {
            Self::Name => text(Some(&facts.file_name)),
            Self::Source => text(facts.file_source.as_deref()),
            Self::Path => text(facts.file_path.as_deref()),
            Self::Mapping => text(Some(&facts.mapping)),
            Self::DeliveryId => text(Some(&facts.delivery_id)),
            Self::Size => {
                Vector::Integer(Fixed::One(facts.file_size.and_then(|size| i64::try_from(size).ok())))
            }
            Self::Modified => Vector::Timestamp(Fixed::One(facts.file_modified)),
            Self::Now => Vector::Timestamp(Fixed::One(Some(facts.now))),
            Self::Today => {
                // An i64 of microseconds is 107 million days: it fits.
                let day = facts.now.div_euclid(super::time::DAY) as i32;
                Vector::Date(Fixed::One(Some(day)))
            }
            Self::Capture(name, value_type) => {
                let found =
                    facts.captures.iter().find(|(known, _)| **known == **name).map(|(_, value)| value);
                match (found, value_type) {
                    (Some(CaptureValue::Text(value)), ValueType::Text) => text(Some(value)),
                    (Some(CaptureValue::Date(day)), ValueType::Date) => Vector::Date(Fixed::One(Some(*day))),
                    (Some(CaptureValue::Timestamp(at)), ValueType::Timestamp) => {
                        Vector::Timestamp(Fixed::One(Some(*at)))
                    }
                    _ => Vector::null(Type::Value(*value_type)),
                }
            }
        }
    }
}
