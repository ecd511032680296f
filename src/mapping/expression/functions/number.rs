//! Functions on numbers.

use std::sync::Arc;

use super::{Function, Given, Kind, Made, Make, Wrong};
use crate::mapping::expression::{
    Type,
    cast::{NO_DECIMAL, NO_INTEGER},
    decimal,
    node::Run,
    rows::Failure,
    types::MAX_DIGITS,
    vector::Vector,
};

use Kind::{Number, WrittenInteger};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "abs",
        also: &[],
        written: &["abs(number)"],
        takes: &[Number],
        least: 1,
        repeats: false,
        meaning: "the number without its sign",
        examples: &[("abs(-12.50)", "12.50")],
        make: Make::Plain(|given| {
            let of = first(given);
            Ok((
                of,
                numbers(
                    |i| i.checked_abs().ok_or(NO_INTEGER),
                    |d| d.checked_abs().ok_or(NO_DECIMAL),
                    f64::abs,
                ),
            ))
        }),
    },
    Function {
        name: "sign",
        also: &[],
        written: &["sign(number)"],
        takes: &[Number],
        least: 1,
        repeats: false,
        meaning: "-1, 0 or 1",
        examples: &[("sign(-12.50)", "-1"), ("sign(3)", "1")],
        make: Make::Plain(|given| {
            let of = if first(given).digits().is_some() && first(given) != Type::INTEGER {
                Type::decimal(1, 0)
            } else {
                first(given)
            };
            let float = |value: f64| if value == 0.0 { 0.0 } else { value.signum() };
            Ok((of, numbers(|i| Ok(i.signum()), |d| Ok(d.signum()), float)))
        }),
    },
    Function {
        name: "round",
        also: &[],
        written: &["round(number)", "round(number, digits)"],
        takes: &[Number, WrittenInteger],
        least: 1,
        repeats: false,
        meaning: "the nearest number with so many digits after the point, or none; halves away from zero, those of \
                  floats to the even number",
        examples: &[("round(2.345, 2)", "2.35"), ("round(-2.5)", "-3"), ("round(1234, -2)", "1200")],
        make: Make::Plain(|given| digits(given, decimal::rescale, f64::round_ties_even)),
    },
    Function {
        name: "trunc",
        also: &[],
        written: &["trunc(number)", "trunc(number, digits)"],
        takes: &[Number, WrittenInteger],
        least: 1,
        repeats: false,
        meaning: "the number cut off behind so many digits after the point, or at it",
        examples: &[("trunc(2.349, 2)", "2.34"), ("trunc(-2.9)", "-2")],
        make: Make::Plain(|given| digits(given, decimal::truncate, f64::trunc)),
    },
    Function {
        name: "floor",
        also: &[],
        written: &["floor(number)"],
        takes: &[Number],
        least: 1,
        repeats: false,
        meaning: "the largest whole number that is not larger",
        examples: &[("floor(-2.1)", "-3")],
        make: Make::Plain(|given| Ok(whole(given, false))),
    },
    Function {
        name: "ceil",
        also: &["ceiling"],
        written: &["ceil(number)"],
        takes: &[Number],
        least: 1,
        repeats: false,
        meaning: "the smallest whole number that is not smaller",
        examples: &[("ceil(2.1)", "3")],
        make: Make::Plain(|given| Ok(whole(given, true))),
    },
    Function {
        name: "mod",
        also: &[],
        written: &["mod(number, by)"],
        takes: &[Number, Number],
        least: 2,
        repeats: false,
        meaning: "what is left of a division, with the sign of the first; the same as `%`",
        examples: &[("mod(-7, 3)", "-1"), ("mod(7.5, 2)", "1.5")],
        make: Make::Modulo,
    },
];

fn first(given: &[Given]) -> Type {
    given.first().map_or(Type::FLOAT, |given| given.of)
}

/// An operation that gives numbers of the kind it takes.
fn numbers(
    integer: fn(i64) -> Result<i64, Failure>,
    exact: impl Fn(i128) -> Result<i128, Failure> + Send + Sync + 'static,
    float: fn(f64) -> f64,
) -> Run {
    Arc::new(move |rows, arguments| match arguments.first() {
        Some(Vector::Integer(values)) => {
            Vector::Integer(rows.map(arguments, |row| integer(values.get(row)).map(Some)))
        }
        Some(Vector::Decimal(values)) => {
            Vector::Decimal(rows.map(arguments, |row| exact(values.get(row)).map(Some)))
        }
        Some(Vector::Float(values)) => {
            Vector::Float(rows.map(arguments, |row| Ok(Some(float(values.get(row))))))
        }
        _ => Vector::null(Type::FLOAT),
    })
}

/// FLOOR or CEIL.
fn whole(given: &[Given], up: bool) -> (Type, Run) {
    let of = first(given);
    let float = if up { f64::ceil } else { f64::floor };
    match of.digits() {
        Some((precision, scale)) if of != Type::INTEGER => {
            let exact = move |value| decimal::whole(value, scale, up).ok_or(NO_DECIMAL);
            (Type::decimal(precision.saturating_sub(scale).saturating_add(1), 0), numbers(Ok, exact, float))
        }
        _ => (of, numbers(Ok, Ok, float)),
    }
}

/// ROUND or TRUNC, by how a number gets another scale.
fn digits(given: &[Given], cut: fn(i128, u8, u8) -> Option<i128>, float: fn(f64) -> f64) -> Made {
    let of = first(given);
    let Some((precision, scale)) = of.digits() else {
        if given.len() > 1 {
            let message = "a float has no digits that could be counted".to_owned();
            let help = Some("`CAST(... AS decimal(12,2))` rounds it to two digits".to_owned());
            return Err(Wrong { argument: 0, message, help });
        }
        return Ok((of, numbers(Ok, Ok, float)));
    };
    let Some(wanted) = given.get(1) else {
        if of == Type::INTEGER {
            return Ok((of, numbers(Ok, Ok, float)));
        }
        let exact = move |value| cut(value, scale, 0).ok_or(NO_DECIMAL);
        return Ok((
            Type::decimal(precision.saturating_sub(scale).saturating_add(1), 0),
            numbers(Ok, exact, float),
        ));
    };
    let limit = i64::from(MAX_DIGITS);
    let Some(wanted) = wanted.integer.filter(|wanted| (-limit..=limit).contains(wanted)) else {
        let message = format!("the digits are a number from -{limit} to {limit}");
        return Err(Wrong { argument: 1, message, help: None });
    };
    // Not more than 38 either way.
    let places = wanted.unsigned_abs() as u8;
    let whole = precision.saturating_sub(scale).saturating_add(1);
    let run = if wanted >= 0 {
        exact(move |value| cut(value, scale, places))
    } else {
        // Taken for a number with more digits after the point, it loses them before the point.
        let from = scale.saturating_add(places);
        exact(move |value| {
            let cut = if from > MAX_DIGITS { Some(0) } else { cut(value, from, 0) };
            cut?.checked_mul(decimal::power(places)).and_then(decimal::fits)
        })
    };
    let scale = if wanted >= 0 { places } else { 0 };
    Ok((Type::decimal(whole.saturating_add(scale).min(MAX_DIGITS), scale), run))
}

/// An operation on exact numbers that gives decimals.
fn exact(of: impl Fn(i128) -> Option<i128> + Send + Sync + 'static) -> Run {
    Arc::new(move |rows, arguments| {
        let of = |value: i128| of(value).map(Some).ok_or(NO_DECIMAL);
        match arguments.first() {
            Some(Vector::Integer(values)) => {
                Vector::Decimal(rows.map(arguments, |row| of(values.get(row).into())))
            }
            Some(Vector::Decimal(values)) => Vector::Decimal(rows.map(arguments, |row| of(values.get(row)))),
            _ => Vector::null(Type::decimal(38, 0)),
        }
    })
}
