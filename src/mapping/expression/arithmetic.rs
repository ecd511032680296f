//! `+ - * / %` on numbers. An overflow or a division by zero is a failure of its record.

use std::sync::Arc;

use sqlparser::ast::BinaryOperator;

use super::{
    cast::{NO_DECIMAL, NO_INTEGER},
    decimal,
    interval::Interval,
    node::Run,
    rows::Failure,
    types::Type,
    vector::Vector,
};

pub(super) const BY_ZERO: Failure = Failure::Borrowed("division by zero");
pub(super) const NO_FLOAT: Failure = Failure::Borrowed("the result does not fit a float");
pub(super) const NO_INTERVAL: Failure = Failure::Borrowed("the result does not fit an interval");

/// One of the five operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

impl Operation {
    pub(super) fn of(operator: &BinaryOperator) -> Option<Self> {
        Some(match operator {
            BinaryOperator::Plus => Self::Add,
            BinaryOperator::Minus => Self::Subtract,
            BinaryOperator::Multiply => Self::Multiply,
            BinaryOperator::Divide => Self::Divide,
            BinaryOperator::Modulo => Self::Modulo,
            _ => return None,
        })
    }

    pub(super) fn sign(self) -> char {
        match self {
            Self::Add => '+',
            Self::Subtract => '-',
            Self::Multiply => '*',
            Self::Divide => '/',
            Self::Modulo => '%',
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
            Self::Modulo => "modulo",
        }
    }

    /// What it takes, for sentences.
    pub(super) fn takes(self) -> &'static str {
        match self {
            Self::Add => "numbers, or a date or time and an interval or a number of days",
            Self::Subtract => "numbers, dates, times and intervals",
            Self::Multiply | Self::Divide => "numbers, or an interval and a number",
            Self::Modulo => "numbers",
        }
    }
}

/// On integers; division cuts off.
pub(super) fn integers(operation: Operation) -> Run {
    fn run(of: impl Fn(i64, i64) -> Result<i64, Failure> + Send + Sync + 'static) -> Run {
        Arc::new(move |rows, arguments| match arguments {
            [Vector::Integer(a), Vector::Integer(b)] => {
                Vector::Integer(rows.map(arguments, |row| of(a.get(row), b.get(row)).map(Some)))
            }
            _ => Vector::null(Type::INTEGER),
        })
    }
    match operation {
        Operation::Add => run(|a, b| a.checked_add(b).ok_or(NO_INTEGER)),
        Operation::Subtract => run(|a, b| a.checked_sub(b).ok_or(NO_INTEGER)),
        Operation::Multiply => run(|a, b| a.checked_mul(b).ok_or(NO_INTEGER)),
        Operation::Divide => {
            run(|a, b| if b == 0 { Err(BY_ZERO) } else { a.checked_div(b).ok_or(NO_INTEGER) })
        }
        Operation::Modulo => run(|a, b| if b == 0 { Err(BY_ZERO) } else { Ok(a.wrapping_rem(b)) }),
    }
}

/// On decimals with these scales, with a result of `scale`.
pub(super) fn decimals(operation: Operation, s: u8, t: u8, scale: u8) -> Run {
    fn run(of: impl Fn(i128, i128) -> Result<i128, Failure> + Send + Sync + 'static) -> Run {
        Arc::new(move |rows, arguments| match arguments {
            [Vector::Decimal(a), Vector::Decimal(b)] => {
                Vector::Decimal(rows.map(arguments, |row| of(a.get(row), b.get(row)).map(Some)))
            }
            _ => Vector::null(Type::decimal(38, 0)),
        })
    }
    let (left, right) = (decimal::power(scale.saturating_sub(s)), decimal::power(scale.saturating_sub(t)));
    let fit = |value: Option<i128>| value.and_then(decimal::fits).ok_or(NO_DECIMAL);
    let both = move |a: i128, b: i128| Some((decimal::multiply(a, left)?, decimal::multiply(b, right)?));
    match operation {
        Operation::Add => run(move |a, b| fit(both(a, b).and_then(|(a, b)| a.checked_add(b)))),
        Operation::Subtract => run(move |a, b| fit(both(a, b).and_then(|(a, b)| a.checked_sub(b)))),
        Operation::Multiply => run(move |a, b| fit(decimal::multiply(a, b))),
        Operation::Divide => {
            run(
                move |a, b| {
                    if b == 0 { Err(BY_ZERO) } else { decimal::divide(a, s, b, t, scale).ok_or(NO_DECIMAL) }
                },
            )
        }
        Operation::Modulo => {
            run(
                move |a, b| {
                    if b == 0 { Err(BY_ZERO) } else { decimal::remainder(a, s, b, t).ok_or(NO_DECIMAL) }
                },
            )
        }
    }
}

/// On floats. A result that is too large is a failure, and so is one that is too small to be told from zero.
pub(super) fn floats(operation: Operation) -> Run {
    fn run(of: impl Fn(f64, f64) -> Result<f64, Failure> + Send + Sync + 'static) -> Run {
        Arc::new(move |rows, arguments| match arguments {
            [Vector::Float(a), Vector::Float(b)] => Vector::Float(rows.map(arguments, |row| {
                let (a, b) = (a.get(row), b.get(row));
                let value = of(a, b)?;
                if value.is_infinite() && a.is_finite() && b.is_finite() {
                    Err(NO_FLOAT)
                } else {
                    Ok(Some(value))
                }
            })),
            _ => Vector::null(Type::FLOAT),
        })
    }
    match operation {
        Operation::Add => run(|a, b| Ok(a + b)),
        Operation::Subtract => run(|a, b| Ok(a - b)),
        Operation::Multiply => run(|a, b| {
            let value = a * b;
            if value == 0.0 && a != 0.0 && b != 0.0 { Err(NO_FLOAT) } else { Ok(value) }
        }),
        Operation::Divide | Operation::Modulo => run(|a, b| {
            let value = a / b;
            match b == 0.0 {
                true => Err(BY_ZERO),
                false if value == 0.0 && a != 0.0 && b.is_finite() => Err(NO_FLOAT),
                false => Ok(value),
            }
        }),
    }
}

/// The number or interval with the other sign.
pub(super) fn negate() -> Run {
    Arc::new(|rows, arguments| match arguments {
        [Vector::Integer(values)] => Vector::Integer(
            rows.map(arguments, |row| values.get(row).checked_neg().map(Some).ok_or(NO_INTEGER)),
        ),
        [Vector::Decimal(values)] => Vector::Decimal(
            rows.map(arguments, |row| values.get(row).checked_neg().map(Some).ok_or(NO_DECIMAL)),
        ),
        [Vector::Float(values)] => Vector::Float(rows.map(arguments, |row| Ok(Some(-values.get(row))))),
        [Vector::Interval(values)] => Vector::Interval(rows.map(arguments, |row| {
            let negative = Interval::unpack(values.get(row)).negate();
            negative.map(|interval| Some(interval.pack())).ok_or(NO_INTERVAL)
        })),
        _ => Vector::null(Type::Unknown),
    })
}
