//! Columns of values while an expression runs: one value for all rows, or one a row. A value that is the same for all
//! rows is never written out for each of them.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, BooleanArray, PrimitiveArray, StringArray, cast::AsArray, types,
};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, NullBuffer, ScalarBuffer};

use super::types::Type;
use crate::model::value::ValueType;

/// Values of a fixed width.
#[derive(Clone, Debug)]
pub(super) enum Fixed<T: ArrowNativeType> {
    /// The same for all rows.
    One(Option<T>),
    /// One a row, with a set bit for each that is not NULL.
    Many(ScalarBuffer<T>, Option<NullBuffer>),
}

impl<T: ArrowNativeType> Fixed<T> {
    /// The value of a row; something for NULL.
    #[inline]
    pub(super) fn get(&self, row: usize) -> T {
        match self {
            Self::One(value) => value.unwrap_or_default(),
            Self::Many(values, _) => values.get(row).copied().unwrap_or_default(),
        }
    }

    /// The value of a row, none for NULL.
    #[inline]
    pub(super) fn at(&self, row: usize) -> Option<T> {
        match self {
            Self::One(value) => *value,
            Self::Many(values, nulls) => {
                let known = nulls.as_ref().is_none_or(|nulls| row < nulls.len() && nulls.is_valid(row));
                values.get(row).copied().filter(|_| known)
            }
        }
    }

    fn of<P: ArrowPrimitiveType<Native = T>>(array: &ArrayRef) -> Self {
        let array = array.as_primitive::<P>();
        Self::Many(array.values().clone(), array.nulls().cloned())
    }

    fn into_array<P: ArrowPrimitiveType<Native = T>>(self, rows: usize) -> PrimitiveArray<P> {
        match self {
            Self::One(Some(value)) => PrimitiveArray::new(vec![value; rows].into(), None),
            Self::One(None) => PrimitiveArray::new_null(rows),
            Self::Many(values, nulls) => PrimitiveArray::new(values, nulls),
        }
    }
}

/// Truth values.
#[derive(Clone, Debug)]
pub(super) enum Bits {
    /// The same for all rows.
    One(Option<bool>),
    /// One a row, with a set bit for each that is not NULL.
    Many(BooleanBuffer, Option<NullBuffer>),
}

impl Bits {
    /// The value of a row, none for NULL.
    #[inline]
    pub(super) fn at(&self, row: usize) -> Option<bool> {
        match self {
            Self::One(value) => *value,
            Self::Many(values, nulls) => {
                let known = nulls.as_ref().is_none_or(|nulls| row < nulls.len() && nulls.is_valid(row));
                (known && row < values.len()).then(|| values.value(row))
            }
        }
    }

    /// The rows that are true, as bits.
    pub(super) fn truths(&self, rows: usize) -> BooleanBuffer {
        match self {
            Self::One(Some(true)) => BooleanBuffer::new_set(rows),
            Self::One(_) => BooleanBuffer::new_unset(rows),
            Self::Many(values, None) => values.clone(),
            Self::Many(values, Some(nulls)) => values & nulls.inner(),
        }
    }

    /// The rows that are false, as bits.
    pub(super) fn lies(&self, rows: usize) -> BooleanBuffer {
        match self {
            Self::One(Some(false)) => BooleanBuffer::new_set(rows),
            Self::One(_) => BooleanBuffer::new_unset(rows),
            Self::Many(values, None) => !values,
            Self::Many(values, Some(nulls)) => &!values & nulls.inner(),
        }
    }
}

/// Texts.
#[derive(Clone, Debug)]
pub(super) enum Texts {
    /// The same for all rows.
    One(Option<Arc<str>>),
    /// One a row.
    Many(StringArray),
}

impl Texts {
    /// The text of a row; something for NULL.
    #[inline]
    pub(super) fn get(&self, row: usize) -> &str {
        match self {
            Self::One(text) => text.as_deref().unwrap_or_default(),
            Self::Many(array) if row < array.len() => array.value(row),
            Self::Many(_) => "",
        }
    }

    /// The text of a row, none for NULL.
    #[inline]
    pub(super) fn at(&self, row: usize) -> Option<&str> {
        match self {
            Self::One(text) => text.as_deref(),
            Self::Many(array) => (row < array.len() && array.is_valid(row)).then(|| array.value(row)),
        }
    }
}

/// Values of one type. NULL without a type is a text.
#[derive(Clone, Debug)]
pub(super) enum Vector {
    Boolean(Bits),
    Integer(Fixed<i64>),
    /// In units of the last digit of the type's scale.
    Decimal(Fixed<i128>),
    Float(Fixed<f64>),
    /// Texts, UUIDs and JSON.
    Text(Texts),
    /// Days since 1970-01-01.
    Date(Fixed<i32>),
    /// Microseconds since midnight.
    Time(Fixed<i64>),
    /// Microseconds since 1970-01-01, of instants and of local timestamps.
    Timestamp(Fixed<i64>),
    /// Packed by [`super::interval::Interval`].
    Interval(Fixed<i128>),
}

/// The values that are not NULL: those of no row, of all, or of some.
pub(super) enum Known<'a> {
    None,
    All,
    Some(&'a NullBuffer),
}

impl Vector {
    /// The values of a column of the file.
    pub(super) fn of(array: &ArrayRef, value_type: ValueType) -> Self {
        // A column of another type than was promised counts as NULL; none of ours is.
        if *array.data_type() != value_type.arrow() {
            return Self::null(Type::Value(value_type));
        }
        match value_type {
            ValueType::Text | ValueType::Uuid | ValueType::Json => {
                Self::Text(Texts::Many(array.as_string().clone()))
            }
            ValueType::Integer => Self::Integer(Fixed::of::<types::Int64Type>(array)),
            ValueType::Decimal { .. } => Self::Decimal(Fixed::of::<types::Decimal128Type>(array)),
            ValueType::Float => Self::Float(Fixed::of::<types::Float64Type>(array)),
            ValueType::Boolean => {
                let array = array.as_boolean();
                Self::Boolean(Bits::Many(array.values().clone(), array.nulls().cloned()))
            }
            ValueType::Date => Self::Date(Fixed::of::<types::Date32Type>(array)),
            ValueType::Time => Self::Time(Fixed::of::<types::Time64MicrosecondType>(array)),
            ValueType::Timestamp => Self::Timestamp(Fixed::of::<types::TimestampMicrosecondType>(array)),
        }
    }

    /// NULL in all rows.
    pub(super) fn null(of: Type) -> Self {
        match of {
            Type::Unknown | Type::Value(ValueType::Text | ValueType::Uuid | ValueType::Json) => {
                Self::Text(Texts::One(None))
            }
            Type::Value(ValueType::Boolean) => Self::Boolean(Bits::One(None)),
            Type::Value(ValueType::Integer) => Self::Integer(Fixed::One(None)),
            Type::Value(ValueType::Decimal { .. }) => Self::Decimal(Fixed::One(None)),
            Type::Value(ValueType::Float) => Self::Float(Fixed::One(None)),
            Type::Value(ValueType::Date) => Self::Date(Fixed::One(None)),
            Type::Value(ValueType::Time) => Self::Time(Fixed::One(None)),
            Type::Value(ValueType::Timestamp) | Type::Local => Self::Timestamp(Fixed::One(None)),
            Type::Interval => Self::Interval(Fixed::One(None)),
        }
    }

    /// One text for all rows.
    pub(super) fn text(text: &str) -> Self {
        Self::Text(Texts::One(Some(text.into())))
    }

    /// True when all rows have the same value.
    pub(super) fn is_one(&self) -> bool {
        match self {
            Self::Boolean(bits) => matches!(bits, Bits::One(_)),
            Self::Integer(values) | Self::Time(values) | Self::Timestamp(values) => {
                matches!(values, Fixed::One(_))
            }
            Self::Decimal(values) | Self::Interval(values) => matches!(values, Fixed::One(_)),
            Self::Float(values) => matches!(values, Fixed::One(_)),
            Self::Text(texts) => matches!(texts, Texts::One(_)),
            Self::Date(values) => matches!(values, Fixed::One(_)),
        }
    }

    /// Which values are not NULL.
    pub(super) fn known(&self) -> Known<'_> {
        fn fixed<T: ArrowNativeType>(values: &Fixed<T>) -> Known<'_> {
            match values {
                Fixed::One(None) => Known::None,
                Fixed::One(Some(_)) | Fixed::Many(_, None) => Known::All,
                Fixed::Many(_, Some(nulls)) => Known::Some(nulls),
            }
        }
        match self {
            Self::Boolean(Bits::One(None)) | Self::Text(Texts::One(None)) => Known::None,
            Self::Boolean(Bits::One(Some(_)) | Bits::Many(_, None)) | Self::Text(Texts::One(Some(_))) => {
                Known::All
            }
            Self::Boolean(Bits::Many(_, Some(nulls))) => Known::Some(nulls),
            Self::Text(Texts::Many(array)) => array.nulls().map_or(Known::All, Known::Some),
            Self::Integer(values) | Self::Time(values) | Self::Timestamp(values) => fixed(values),
            Self::Decimal(values) | Self::Interval(values) => fixed(values),
            Self::Float(values) => fixed(values),
            Self::Date(values) => fixed(values),
        }
    }

    /// True when the value of a row is not NULL.
    #[inline]
    pub(super) fn is_known(&self, row: usize) -> bool {
        match self.known() {
            Known::None => false,
            Known::All => true,
            Known::Some(nulls) => row < nulls.len() && nulls.is_valid(row),
        }
    }

    /// The value of the first row, for all rows.
    pub(super) fn into_one(self) -> Self {
        match self {
            Self::Boolean(bits) => Self::Boolean(Bits::One(bits.at(0))),
            Self::Integer(values) => Self::Integer(Fixed::One(values.at(0))),
            Self::Decimal(values) => Self::Decimal(Fixed::One(values.at(0))),
            Self::Float(values) => Self::Float(Fixed::One(values.at(0))),
            Self::Text(texts) => Self::Text(Texts::One(texts.at(0).map(Into::into))),
            Self::Date(values) => Self::Date(Fixed::One(values.at(0))),
            Self::Time(values) => Self::Time(Fixed::One(values.at(0))),
            Self::Timestamp(values) => Self::Timestamp(Fixed::One(values.at(0))),
            Self::Interval(values) => Self::Interval(Fixed::One(values.at(0))),
        }
    }

    /// The values as an Arrow array of so many rows, of the type that columns of `value_type` have.
    pub(super) fn into_array(self, value_type: ValueType, rows: usize) -> ArrayRef {
        match self {
            Self::Boolean(Bits::One(Some(value))) => Arc::new(BooleanArray::from(vec![value; rows])),
            Self::Boolean(Bits::One(None)) => Arc::new(BooleanArray::new_null(rows)),
            Self::Boolean(Bits::Many(values, nulls)) => Arc::new(BooleanArray::new(values, nulls)),
            Self::Text(Texts::One(Some(text))) => {
                Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
            }
            Self::Text(Texts::One(None)) => Arc::new(StringArray::new_null(rows)),
            Self::Text(Texts::Many(array)) => Arc::new(array),
            Self::Integer(values) => Arc::new(values.into_array::<types::Int64Type>(rows)),
            // An interval is no type of a column.
            Self::Decimal(values) | Self::Interval(values) => {
                let array = values.into_array::<types::Decimal128Type>(rows);
                Arc::new(array.with_data_type(match value_type {
                    ValueType::Decimal { .. } => value_type.arrow(),
                    _ => ValueType::Decimal { precision: 38, scale: 0 }.arrow(),
                }))
            }
            Self::Float(values) => Arc::new(values.into_array::<types::Float64Type>(rows)),
            Self::Date(values) => Arc::new(values.into_array::<types::Date32Type>(rows)),
            Self::Time(values) => Arc::new(values.into_array::<types::Time64MicrosecondType>(rows)),
            Self::Timestamp(values) => {
                let array = values.into_array::<types::TimestampMicrosecondType>(rows);
                Arc::new(array.with_data_type(ValueType::Timestamp.arrow()))
            }
        }
    }
}
