//! Comparisons.

use std::{cmp::Ordering, sync::Arc};

use super::{
    decimal,
    interval::Interval,
    node::Run,
    rows::Rows,
    vector::{Bits, Vector},
};

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    #[inline]
    pub(super) fn holds(self, found: Ordering) -> bool {
        match self {
            Self::Equal => found.is_eq(),
            Self::Unequal => found.is_ne(),
            Self::Less => found.is_lt(),
            Self::LessOrEqual => found.is_le(),
            Self::Greater => found.is_gt(),
            Self::GreaterOrEqual => found.is_ge(),
        }
    }
}

/// Compares values of the same type; decimals may have these two scales.
pub(super) fn run(comparison: Comparison, scales: (u8, u8)) -> Run {
    Arc::new(move |rows, arguments| {
        let [a, b] = arguments else { return Vector::Boolean(Bits::One(None)) };
        Vector::Boolean(compare(rows, a, b, scales, arguments, |found| Some(comparison.holds(found))))
    })
}

/// IS DISTINCT FROM, or its opposite: NULL is a value like others.
pub(super) fn distinct(wanted: bool, scales: (u8, u8)) -> Run {
    Arc::new(move |rows, arguments| {
        let [a, b] = arguments else { return Vector::Boolean(Bits::One(None)) };
        let equal = compare(rows, a, b, scales, arguments, |found| Some(found.is_eq()));
        let bits = rows.decide(&[], |row| {
            let same = equal.at(row).unwrap_or_else(|| !a.is_known(row) && !b.is_known(row));
            Ok(Some(same != wanted))
        });
        Vector::Boolean(bits)
    })
}

/// Looks at the order of each row's two values. Rows without both are NULL.
fn compare(
    rows: &Rows<'_>,
    a: &Vector,
    b: &Vector,
    (a_scale, b_scale): (u8, u8),
    arguments: &[Vector],
    holds: impl Fn(Ordering) -> Option<bool>,
) -> Bits {
    match (a, b) {
        (Vector::Integer(a), Vector::Integer(b))
        | (Vector::Time(a), Vector::Time(b))
        | (Vector::Timestamp(a), Vector::Timestamp(b)) => {
            rows.decide(arguments, |row| Ok(holds(a.get(row).cmp(&b.get(row)))))
        }
        (Vector::Date(a), Vector::Date(b)) => {
            rows.decide(arguments, |row| Ok(holds(a.get(row).cmp(&b.get(row)))))
        }
        (Vector::Decimal(a), Vector::Decimal(b)) => rows
            .decide(arguments, |row| Ok(holds(decimal::compare(a.get(row), a_scale, b.get(row), b_scale)))),
        (Vector::Float(a), Vector::Float(b)) => {
            rows.decide(arguments, |row| Ok(holds(floats(a.get(row), b.get(row)))))
        }
        (Vector::Text(a), Vector::Text(b)) => {
            rows.decide(arguments, |row| Ok(holds(a.get(row).cmp(b.get(row)))))
        }
        (Vector::Boolean(a), Vector::Boolean(b)) => {
            rows.decide(arguments, |row| Ok(holds(a.at(row).cmp(&b.at(row)))))
        }
        (Vector::Interval(a), Vector::Interval(b)) => rows.decide(arguments, |row| {
            Ok(holds(Interval::unpack(a.get(row)).cmp_length(Interval::unpack(b.get(row)))))
        }),
        // The checker brings both sides to one type.
        _ => Bits::One(None),
    }
}

/// The order of floats; no reader of ours gives one that is not a number.
#[inline]
pub(super) fn floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}
