//! Conversions between types, as functions on columns.

use std::sync::Arc;

use super::{
    decimal,
    interval::Interval,
    node::Run,
    rows::{Failure, Rows},
    time::{self, DAY},
    types::Type,
    vector::{Fixed, Texts, Vector},
};
use crate::model::value::{
    ValueType,
    json::check_json,
    number::{NumberFormat, decimal_text},
    temporal::{Ambiguous, DateParser, TimeParser, TimestampParser},
    uuid::parse_uuid,
};

pub(super) const NO_INTEGER: Failure = Failure::Borrowed("the result does not fit an integer");
pub(super) const NO_DECIMAL: Failure =
    Failure::Borrowed("the result has more digits than a decimal can have");

/// The conversion from one type to another; none when there is none.
pub(super) fn cast(from: Type, to: Type) -> Option<Run> {
    if let (Some((_, scale)), Some((precision, to_scale))) = (from.digits(), to.digits()) {
        return Some(match (from, to) {
            (_, Type::INTEGER) => to_integer(scale),
            _ => rescale(scale, precision, to_scale),
        });
    }
    match (from, to) {
        (_, Type::TEXT) => Some(to_text(from)),
        (Type::TEXT, _) => from_text(to),
        (Type::FLOAT, Type::INTEGER) => Some(unary(|argument, rows| {
            let Vector::Float(values) = argument else { return Vector::null(Type::INTEGER) };
            Vector::Integer(rows.map(std::slice::from_ref(argument), |row| {
                let value = values.get(row).round_ties_even();
                let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value);
                if fits { Ok(Some(value as i64)) } else { Err(NO_INTEGER) }
            }))
        })),
        (Type::FLOAT, Type::Value(ValueType::Decimal { precision, scale })) => {
            Some(unary(move |argument, rows| {
                let Vector::Float(values) = argument else { return Vector::Decimal(Fixed::One(None)) };
                Vector::Decimal(rows.map(std::slice::from_ref(argument), |row| {
                    let value = decimal::from_float(values.get(row), scale);
                    value
                        .and_then(|value| decimal::fits_in(value, precision))
                        .map(Some)
                        .ok_or_else(|| misfit(precision, scale))
                }))
            }))
        }
        (_, Type::FLOAT) => from.digits().map(|(_, scale)| to_float(scale)),
        (Type::DATE, Type::Local | Type::TIMESTAMP) => Some(unary(|argument, rows| {
            let Vector::Date(days) = argument else { return Vector::Timestamp(Fixed::One(None)) };
            Vector::Timestamp(rows.map(std::slice::from_ref(argument), |row| {
                Ok(Some(i64::from(days.get(row)).saturating_mul(DAY)))
            }))
        })),
        (Type::Local, Type::TIMESTAMP) | (Type::TIMESTAMP, Type::Local) => {
            Some(unary(|argument, _| argument.clone()))
        }
        (Type::Local | Type::TIMESTAMP, Type::DATE) => Some(unary(|argument, rows| {
            let Vector::Timestamp(values) = argument else { return Vector::Date(Fixed::One(None)) };
            Vector::Date(
                rows.map(std::slice::from_ref(argument), |row| Ok(Some(time::day_of(values.get(row))))),
            )
        })),
        (Type::Local | Type::TIMESTAMP, Type::TIME) => Some(unary(|argument, rows| {
            let Vector::Timestamp(values) = argument else { return Vector::Time(Fixed::One(None)) };
            Vector::Time(
                rows.map(std::slice::from_ref(argument), |row| Ok(Some(values.get(row).rem_euclid(DAY)))),
            )
        })),
        (Type::TIME, Type::Interval) => Some(unary(|argument, rows| {
            let Vector::Time(values) = argument else { return Vector::Interval(Fixed::One(None)) };
            Vector::Interval(rows.map(std::slice::from_ref(argument), |row| {
                Ok(Some(Interval { micros: values.get(row), ..Interval::default() }.pack()))
            }))
        })),
        _ => None,
    }
}

/// An operation on one argument.
fn unary(run: impl Fn(&Vector, &Rows<'_>) -> Vector + Send + Sync + 'static) -> Run {
    Arc::new(move |rows, arguments| match arguments {
        [argument] => run(argument, rows),
        _ => Vector::null(Type::Unknown),
    })
}

fn misfit(precision: u8, scale: u8) -> Failure {
    format!("the result does not fit decimal({precision},{scale})").into()
}

/// An exact number of a column, as one of another scale and precision; rounds.
fn rescale(scale: u8, precision: u8, to_scale: u8) -> Run {
    exact_run(
        move |value| {
            let value = decimal::rescale(value, scale, to_scale)?;
            decimal::fits_in(value, precision)
        },
        misfit(precision, to_scale),
    )
}

/// An exact number as the value of a column: a digit that does not fit is a failure, never rounded.
pub(super) fn exact(scale: u8, to: Type) -> Run {
    let (precision, to_scale) = to.digits().unwrap_or((38, 0));
    let is_integer = to == Type::INTEGER;
    let run = Arc::new(move |value: i128| -> Result<i128, Failure> {
        let Some(exact) = decimal::exactly(value, scale, to_scale) else {
            let cut = decimal::truncate(value, scale, to_scale);
            return Err(match cut.filter(|_| to_scale < scale) {
                Some(_) if to_scale == 0 => "the result has digits after the point, and the column has none; \
                    `round(..., 0)` rounds it".into(),
                Some(_) => format!(
                    "the result has more than {to_scale} digit{} after the point; `round(..., {to_scale})` rounds it",
                    if to_scale == 1 { "" } else { "s" }
                ).into(),
                None => misfit(precision, to_scale),
            });
        };
        if is_integer {
            return i64::try_from(exact).map(i128::from).map_err(|_| NO_INTEGER);
        }
        decimal::fits_in(exact, precision).ok_or_else(|| misfit(precision, to_scale))
    });
    unary(move |argument, rows| {
        let arguments = std::slice::from_ref(argument);
        match argument {
            Vector::Integer(values) => {
                Vector::Decimal(rows.map(arguments, |row| run(values.get(row).into()).map(Some)))
            }
            Vector::Decimal(values) if is_integer => Vector::Integer(
                rows.map(arguments, |row| run(values.get(row)).map(|value| i64::try_from(value).ok())),
            ),
            Vector::Decimal(values) => {
                Vector::Decimal(rows.map(arguments, |row| run(values.get(row)).map(Some)))
            }
            _ => Vector::null(to),
        }
    })
}

fn exact_run(convert: impl Fn(i128) -> Option<i128> + Send + Sync + 'static, failure: Failure) -> Run {
    unary(move |argument, rows| {
        let arguments = std::slice::from_ref(argument);
        let of = |value: i128| convert(value).map(Some).ok_or_else(|| failure.clone());
        Vector::Decimal(match argument {
            Vector::Integer(values) => rows.map(arguments, |row| of(values.get(row).into())),
            Vector::Decimal(values) => rows.map(arguments, |row| of(values.get(row))),
            _ => Fixed::One(None),
        })
    })
}

fn to_integer(scale: u8) -> Run {
    unary(move |argument, rows| {
        let Vector::Decimal(values) = argument else { return argument.clone() };
        Vector::Integer(rows.map(std::slice::from_ref(argument), |row| {
            let whole = decimal::rescale(values.get(row), scale, 0);
            whole.and_then(|whole| i64::try_from(whole).ok()).map(Some).ok_or(NO_INTEGER)
        }))
    })
}

fn to_float(scale: u8) -> Run {
    unary(move |argument, rows| {
        let arguments = std::slice::from_ref(argument);
        Vector::Float(match argument {
            Vector::Integer(values) => rows.map(arguments, |row| Ok(Some(values.get(row) as f64))),
            Vector::Decimal(values) => {
                rows.map(arguments, |row| Ok(Some(decimal::to_float(values.get(row), scale))))
            }
            _ => Fixed::One(None),
        })
    })
}

/// Any value as text, as PostgreSQL writes it in UTC.
fn to_text(from: Type) -> Run {
    let scale = from.digits().map_or(0, |(_, scale)| scale);
    unary(move |argument, rows| {
        if let Vector::Text(_) = argument {
            return argument.clone();
        }
        Vector::Text(rows.write(std::slice::from_ref(argument), |row, out| {
            write(argument, row, from, scale, out);
            Ok(true)
        }))
    })
}

/// Writes the text of a known value.
pub(super) fn write(vector: &Vector, row: usize, of: Type, scale: u8, out: &mut String) {
    use std::fmt::Write;
    match vector {
        Vector::Text(texts) => out.push_str(texts.get(row)),
        Vector::Boolean(bits) => out.push_str(if bits.at(row) == Some(true) { "true" } else { "false" }),
        Vector::Integer(values) => {
            let _ = write!(out, "{}", values.get(row)); // a String takes everything
        }
        Vector::Decimal(values) => decimal_text(values.get(row), scale, out),
        Vector::Float(values) => float_text(values.get(row), out),
        Vector::Date(days) => crate::model::value::temporal::date_text(days.get(row), out),
        Vector::Time(values) => time::write_clock(values.get(row), out),
        Vector::Timestamp(values) => {
            let micros = values.get(row);
            crate::model::value::temporal::date_text(time::day_of(micros), out);
            out.push(' ');
            time::write_clock(micros.rem_euclid(DAY), out);
            if of != Type::Local {
                out.push_str("+00");
            }
        }
        Vector::Interval(values) => Interval::unpack(values.get(row)).write(out),
    }
}

/// Writes the fewest digits that say which float it is; with an exponent below 0.0001 and from 10^15 on.
fn float_text(value: f64, out: &mut String) {
    use std::fmt::Write;
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        out.push_str(&scientific);
        return;
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    // A String takes everything.
    let _ = if (-4..15).contains(&exponent) {
        write!(out, "{value}")
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{digits}e{sign}{:02}", exponent.unsigned_abs())
    };
}

/// Text as a value of another type.
fn from_text(to: Type) -> Option<Run> {
    fn read<T: arrow_buffer::ArrowNativeType>(
        make: impl Fn(Fixed<T>) -> Vector + Send + Sync + 'static,
        parse: impl Fn(&str) -> Result<T, Failure> + Send + Sync + 'static,
    ) -> Run {
        unary(move |argument, rows| {
            let Vector::Text(texts) = argument else { return make(Fixed::One(None)) };
            make(rows.map(std::slice::from_ref(argument), |row| {
                parse(texts.get(row).trim_matches(|c: char| c.is_ascii_whitespace())).map(Some)
            }))
        })
    }
    let why = |error: crate::model::value::ValueError| Failure::from(format!("the text {error}"));
    let numbers = NumberFormat::default();
    Some(match to {
        Type::INTEGER => read(Vector::Integer, move |text| numbers.integer(text).map_err(why)),
        Type::FLOAT => read(Vector::Float, move |text| numbers.float(text).map_err(why)),
        Type::Value(ValueType::Decimal { precision, scale }) => {
            read(Vector::Decimal, move |text| decimal_of(text, &numbers, precision, scale))
        }
        Type::DATE => {
            let parser = DateParser::new(&[], None).ok()?;
            read(Vector::Date, move |text| parser.parse(text).map_err(why))
        }
        Type::TIME => {
            let parser = TimeParser::new(&[]).ok()?;
            read(Vector::Time, move |text| parser.parse(text).map_err(why))
        }
        Type::TIMESTAMP | Type::Local => {
            // ISO 8601 with `T` or a space; without an offset it is UTC, and a day alone is its midnight.
            let moments = TimestampParser::new(&[], None, None, Ambiguous::Reject).ok()?;
            let days = DateParser::new(&[], None).ok()?;
            read(Vector::Timestamp, move |text| match days.parse(text) {
                Ok(day) => Ok(i64::from(day).saturating_mul(DAY)),
                Err(_) => moments.parse(text).map_err(why),
            })
        }
        Type::Interval => read(Vector::Interval, |text| {
            let found = Interval::read(text, None).map(Interval::pack);
            found.ok_or(Failure::Borrowed("the text is not an interval like `1 month 3 days 04:05:06`"))
        }),
        Type::Value(ValueType::Boolean) => unary(|argument, rows| {
            let Vector::Text(texts) = argument else { return Vector::null(Type::BOOLEAN) };
            Vector::Boolean(rows.decide(std::slice::from_ref(argument), |row| {
                boolean(texts.get(row))
                    .map(Some)
                    .ok_or(Failure::Borrowed("the text is neither true nor false"))
            }))
        }),
        Type::Value(ValueType::Uuid) => checked_text(move |text, out| {
            parse_uuid(text.trim_matches(|c: char| c.is_ascii_whitespace()), out).map_err(why)
        }),
        Type::Value(ValueType::Json) => checked_text(move |text, out| {
            check_json(text).map_err(why)?;
            out.push_str(text);
            Ok(())
        }),
        Type::Value(ValueType::Text) | Type::Unknown => return None,
    })
}

fn checked_text(write: impl Fn(&str, &mut String) -> Result<(), Failure> + Send + Sync + 'static) -> Run {
    unary(move |argument, rows| {
        let Vector::Text(texts) = argument else { return Vector::Text(Texts::One(None)) };
        Vector::Text(
            rows.write(std::slice::from_ref(argument), |row, out| write(texts.get(row), out).map(|()| true)),
        )
    })
}

/// A text as a decimal; digits that are too many after the point round, as CAST says so.
fn decimal_of(text: &str, numbers: &NumberFormat, precision: u8, scale: u8) -> Result<i128, Failure> {
    let wide = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let wide = u8::try_from(wide).ok().filter(|wide| *wide <= 38).unwrap_or(38).max(scale);
    let value =
        numbers.decimal(text, 38, wide).map_err(|error| Failure::from(format!("the text {error}")))?;
    let value = decimal::rescale(value, wide, scale);
    value.and_then(|value| decimal::fits_in(value, precision)).ok_or_else(|| misfit(precision, scale))
}

/// The words for true and false, which may be cut short: `t`, `tru`, `yes`, `on`, `1`.
fn boolean(text: &str) -> Option<bool> {
    let word = text.trim_matches(|c: char| c.is_ascii_whitespace()).to_ascii_lowercase();
    let begins = |whole: &str, least: usize| word.len() >= least && whole.starts_with(&word);
    if begins("true", 1) || begins("yes", 1) || word == "on" || word == "1" {
        return Some(true);
    }
    (begins("false", 1) || begins("no", 1) || begins("off", 2) || word == "0").then_some(false)
}
