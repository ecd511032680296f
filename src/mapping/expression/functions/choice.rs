//! Functions that choose among their arguments.

use std::sync::Arc;

use super::{Function, Kind, Make};
use crate::mapping::expression::{
    Type,
    compare::floats,
    decimal,
    interval::Interval,
    node::Run,
    vector::{Fixed, Vector},
};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "coalesce",
        also: &[],
        written: &["coalesce(value, ...)"],
        takes: &[Kind::Any],
        least: 1,
        repeats: true,
        meaning: "the first value that is not NULL",
        examples: &[("coalesce(NULL, 'none')", "none"), ("coalesce(NULL, 2, 3)", "2")],
        make: Make::Coalesce,
    },
    Function {
        name: "nullif",
        also: &[],
        written: &["nullif(value, other)"],
        takes: &[Kind::Any, Kind::Any],
        least: 2,
        repeats: false,
        meaning: "NULL if both are equal, else the first",
        examples: &[("nullif('n/a', 'n/a')", "NULL"), ("nullif(5, 0)", "5")],
        make: Make::NullIf,
    },
    Function {
        name: "greatest",
        also: &[],
        written: &["greatest(value, ...)"],
        takes: &[Kind::Any],
        least: 1,
        repeats: true,
        meaning: "the largest value; NULLs do not count",
        examples: &[("greatest(1, 3, NULL, 2)", "3"), ("greatest('a', 'b')", "b")],
        make: Make::Extreme { greatest: true },
    },
    Function {
        name: "least",
        also: &[],
        written: &["least(value, ...)"],
        takes: &[Kind::Any],
        least: 1,
        repeats: true,
        meaning: "the smallest value; NULLs do not count",
        examples: &[("least(date '2025-12-31', date '2025-02-01')", "2025-02-01")],
        make: Make::Extreme { greatest: false },
    },
];

/// GREATEST or LEAST of values of one type.
pub(in crate::mapping::expression) fn extreme(greatest: bool, of: Type) -> Run {
    /// The row's values that are known, the best by this order.
    fn best<T: Copy>(values: impl Iterator<Item = Option<T>>, better: impl Fn(T, T) -> bool) -> Option<T> {
        values.flatten().reduce(|best, next| if better(next, best) { next } else { best })
    }
    macro_rules! fixed {
        ($rows:ident, $arguments:ident, $kind:ident, $less:expr) => {{
            let columns: Vec<&Fixed<_>> = $arguments
                .iter()
                .filter_map(|argument| if let Vector::$kind(values) = argument { Some(values) } else { None })
                .collect();
            let less = $less;
            Vector::$kind($rows.map(&[], |row| {
                let values = columns.iter().map(|values| values.at(row));
                Ok(best(values, |a, b| if greatest { less(b, a) } else { less(a, b) }))
            }))
        }};
    }
    Arc::new(move |rows, arguments| match Vector::null(of) {
        Vector::Integer(_) => fixed!(rows, arguments, Integer, |a: i64, b: i64| a < b),
        Vector::Time(_) => fixed!(rows, arguments, Time, |a: i64, b: i64| a < b),
        Vector::Timestamp(_) => fixed!(rows, arguments, Timestamp, |a: i64, b: i64| a < b),
        Vector::Decimal(_) => fixed!(rows, arguments, Decimal, |a: i128, b: i128| a < b),
        Vector::Date(_) => fixed!(rows, arguments, Date, |a: i32, b: i32| a < b),
        Vector::Float(_) => fixed!(rows, arguments, Float, |a: f64, b: f64| floats(a, b).is_lt()),
        Vector::Interval(_) => fixed!(rows, arguments, Interval, |a: i128, b: i128| {
            Interval::unpack(a).cmp_length(Interval::unpack(b)).is_lt()
        }),
        Vector::Boolean(_) => Vector::Boolean(rows.decide(&[], |row| {
            let bits = arguments.iter().map(|argument| match argument {
                Vector::Boolean(bits) => bits.at(row),
                _ => None,
            });
            Ok(best(bits, |next, _| next == greatest))
        })),
        Vector::Text(_) => Vector::Text(rows.write(&[], |row, out| {
            let texts = arguments.iter().map(|argument| match argument {
                Vector::Text(texts) => texts.at(row),
                _ => None,
            });
            let found = best(texts, |a, b| if greatest { b < a } else { a < b });
            out.push_str(found.unwrap_or_default());
            Ok(found.is_some())
        })),
    })
}

/// NULLIF: the first of three values (the first, and both as they are compared) unless the others are equal.
pub(in crate::mapping::expression) fn null_if((scale, other): (u8, u8)) -> Run {
    Arc::new(move |rows, arguments| {
        let [value, a, b] = arguments else { return Vector::null(Type::Unknown) };
        let equal = |row: usize| {
            a.is_known(row)
                && b.is_known(row)
                && match (a, b) {
                    (Vector::Integer(a), Vector::Integer(b))
                    | (Vector::Time(a), Vector::Time(b))
                    | (Vector::Timestamp(a), Vector::Timestamp(b)) => a.get(row) == b.get(row),
                    (Vector::Decimal(a), Vector::Decimal(b)) => {
                        decimal::compare(a.get(row), scale, b.get(row), other).is_eq()
                    }
                    (Vector::Float(a), Vector::Float(b)) => floats(a.get(row), b.get(row)).is_eq(),
                    (Vector::Date(a), Vector::Date(b)) => a.get(row) == b.get(row),
                    (Vector::Boolean(a), Vector::Boolean(b)) => a.at(row) == b.at(row),
                    (Vector::Text(a), Vector::Text(b)) => a.get(row) == b.get(row),
                    (Vector::Interval(a), Vector::Interval(b)) => {
                        Interval::unpack(a.get(row)).cmp_length(Interval::unpack(b.get(row))).is_eq()
                    }
                    _ => false,
                }
        };
        let only = std::slice::from_ref(value);
        macro_rules! fixed {
            ($kind:ident, $values:ident) => {
                Vector::$kind(rows.map(only, |row| Ok((!equal(row)).then(|| $values.get(row)))))
            };
        }
        match value {
            Vector::Integer(values) => fixed!(Integer, values),
            Vector::Time(values) => fixed!(Time, values),
            Vector::Timestamp(values) => fixed!(Timestamp, values),
            Vector::Decimal(values) => fixed!(Decimal, values),
            Vector::Interval(values) => fixed!(Interval, values),
            Vector::Float(values) => fixed!(Float, values),
            Vector::Date(values) => fixed!(Date, values),
            Vector::Boolean(bits) => {
                Vector::Boolean(rows.decide(only, |row| Ok(bits.at(row).filter(|_| !equal(row)))))
            }
            Vector::Text(texts) => Vector::Text(rows.write(only, |row, out| {
                out.push_str(texts.get(row));
                Ok(!equal(row))
            })),
        }
    })
}
