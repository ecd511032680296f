//! The types of expressions: those of columns, and some that a column cannot have.

use std::fmt;

use crate::model::value::ValueType;

/// The type of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// That of a bare NULL, which fits every type.
    Unknown,
    /// A type that a column can have.
    Value(ValueType),
    /// A date and a time of day without a time zone, such as what `AT TIME ZONE` makes of a timestamp. Beside a
    /// timestamp it is taken as UTC.
    Local,
    /// A length of time: months, days and microseconds.
    Interval,
}

/// The most digits a decimal has.
pub(super) const MAX_DIGITS: u8 = 38;

impl Type {
    pub(super) const TEXT: Self = Self::Value(ValueType::Text);
    pub(super) const INTEGER: Self = Self::Value(ValueType::Integer);
    pub(super) const FLOAT: Self = Self::Value(ValueType::Float);
    pub(super) const BOOLEAN: Self = Self::Value(ValueType::Boolean);
    pub(super) const DATE: Self = Self::Value(ValueType::Date);
    pub(super) const TIME: Self = Self::Value(ValueType::Time);
    pub(super) const TIMESTAMP: Self = Self::Value(ValueType::Timestamp);

    /// A decimal; more digits than fit are cut to what there can be.
    pub(super) fn decimal(precision: u8, scale: u8) -> Self {
        let scale = scale.min(MAX_DIGITS);
        Self::Value(ValueType::Decimal { precision: precision.clamp(scale.max(1), MAX_DIGITS), scale })
    }

    /// Digits in all and after the point, of numbers that are exact.
    pub(super) fn digits(self) -> Option<(u8, u8)> {
        match self {
            Self::Value(ValueType::Decimal { precision, scale }) => Some((precision, scale)),
            Self::Value(ValueType::Integer) => Some((19, 0)),
            _ => None,
        }
    }

    /// True for integers, decimals and floats.
    pub(super) fn is_number(self) -> bool {
        self == Self::FLOAT || self.digits().is_some()
    }

    /// The type with its article, for sentences: "an integer", "text".
    pub(super) fn phrase(self) -> String {
        match self {
            Self::Unknown => "NULL".into(),
            Self::Value(ValueType::Text | ValueType::Json) => self.to_string(),
            Self::Value(ValueType::Integer) | Self::Interval => format!("an {self}"),
            Self::Value(_) | Self::Local => format!("a {self}"),
        }
    }

    /// The type in which values of both can stand side by side, without losing anything: what CASE gives, and what is
    /// compared.
    pub(super) fn common(self, other: Self) -> Option<Self> {
        if self == other || other == Self::Unknown {
            return Some(self);
        }
        if self == Self::Unknown {
            return Some(other);
        }
        if self.is_number() && other.is_number() {
            let (Some((p, s)), Some((q, t))) = (self.digits(), other.digits()) else {
                return Some(Self::FLOAT);
            };
            let scale = s.max(t);
            return Some(Self::decimal(
                p.saturating_sub(s).max(q.saturating_sub(t)).saturating_add(scale),
                scale,
            ));
        }
        let rank = |of: Self| match of {
            Self::DATE => Some(0),
            Self::Local => Some(1),
            Self::TIMESTAMP => Some(2),
            _ => None,
        };
        let (a, b) = (rank(self)?, rank(other)?);
        Some(if a > b { self } else { other })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("NULL"),
            Self::Value(value_type) => value_type.fmt(f),
            Self::Local => f.write_str("local timestamp"),
            Self::Interval => f.write_str("interval"),
        }
    }
}
