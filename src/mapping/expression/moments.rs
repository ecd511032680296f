//! Arithmetic on dates, times, timestamps and intervals.

use std::sync::Arc;

use super::{
    arithmetic::{BY_ZERO, NO_INTERVAL, Operation},
    cast::NO_INTEGER,
    interval::Interval,
    node::Run,
    rows::Failure,
    time::{DAY, day_of},
    types::Type,
    vector::Vector,
};
use crate::model::value::temporal::{FIRST_DAY, LAST_DAY, date_of, day_number};

pub(super) const NO_DAY: Failure = Failure::Borrowed("the result is not a day of the years 1 to 9999");

/// What an operation does with these types, and the type of its result; none when it does nothing with them.
pub(super) fn operation(operation: Operation, left: Type, right: Type) -> Option<(Run, Type)> {
    use Operation::{Add, Divide, Multiply, Subtract};
    let is_moment = |of: Type| matches!(of, Type::Local | Type::TIMESTAMP);
    Some(match (operation, left, right) {
        (Add, Type::DATE, Type::INTEGER) => (add_days(1, false), Type::DATE),
        (Add, Type::INTEGER, Type::DATE) => (add_days(1, true), Type::DATE),
        (Subtract, Type::DATE, Type::INTEGER) => (add_days(-1, false), Type::DATE),
        (Subtract, Type::DATE, Type::DATE) => (days_between(), Type::INTEGER),
        (Add, Type::DATE, Type::TIME) => (at_time(false), Type::Local),
        (Add, Type::TIME, Type::DATE) => (at_time(true), Type::Local),
        (Add, Type::TIME, Type::Interval) => (shift_time(false, false), Type::TIME),
        (Add, Type::Interval, Type::TIME) => (shift_time(false, true), Type::TIME),
        (Subtract, Type::TIME, Type::Interval) => (shift_time(true, false), Type::TIME),
        (Subtract, Type::TIME, Type::TIME) => (times_between(), Type::Interval),
        (Add, Type::DATE, Type::Interval) => (shift(false, false), Type::Local),
        (Add, Type::Interval, Type::DATE) => (shift(false, true), Type::Local),
        (Subtract, Type::DATE, Type::Interval) => (shift(true, false), Type::Local),
        (Add, of, Type::Interval) if is_moment(of) => (shift(false, false), of),
        (Add, Type::Interval, of) if is_moment(of) => (shift(false, true), of),
        (Subtract, of, Type::Interval) if is_moment(of) => (shift(true, false), of),
        (Subtract, a, b) if (is_moment(a) || a == Type::DATE) && (is_moment(b) || b == Type::DATE) => {
            (moments_between(), Type::Interval)
        }
        (Add, Type::Interval, Type::Interval) => (intervals(Interval::add), Type::Interval),
        (Subtract, Type::Interval, Type::Interval) => {
            (intervals(|a, b| b.negate().and_then(|b| a.add(b))), Type::Interval)
        }
        (Multiply, Type::Interval, number) if number.is_number() => (scaled(false, false), Type::Interval),
        (Multiply, number, Type::Interval) if number.is_number() => (scaled(false, true), Type::Interval),
        (Divide, Type::Interval, number) if number.is_number() => (scaled(true, false), Type::Interval),
        _ => return None,
    })
}

/// The two arguments, the other way round when the first is not the one that matters.
fn pair(arguments: &[Vector], swapped: bool) -> Option<(&Vector, &Vector)> {
    match arguments {
        [a, b] if swapped => Some((b, a)),
        [a, b] => Some((a, b)),
        _ => None,
    }
}

fn add_days(sign: i64, swapped: bool) -> Run {
    Arc::new(move |rows, arguments| match pair(arguments, swapped) {
        Some((Vector::Date(days), Vector::Integer(more))) => Vector::Date(rows.map(arguments, |row| {
            let day = more.get(row).checked_mul(sign).and_then(|more| more.checked_add(days.get(row).into()));
            day.and_then(|day| i32::try_from(day).ok()).and_then(on_calendar).map(Some).ok_or(NO_DAY)
        })),
        _ => Vector::null(Type::DATE),
    })
}

fn on_calendar(day: i32) -> Option<i32> {
    (FIRST_DAY..=LAST_DAY).contains(&day).then_some(day)
}

/// A moment that our dates reach.
pub(super) fn in_range(micros: i64) -> Option<i64> {
    on_calendar(i32::try_from(micros.div_euclid(DAY)).ok()?).map(|_| micros)
}

fn days_between() -> Run {
    Arc::new(|rows, arguments| match arguments {
        [Vector::Date(a), Vector::Date(b)] => Vector::Integer(rows.map(arguments, |row| {
            i64::from(a.get(row)).checked_sub(b.get(row).into()).map(Some).ok_or(NO_INTEGER)
        })),
        _ => Vector::null(Type::INTEGER),
    })
}

fn at_time(swapped: bool) -> Run {
    Arc::new(move |rows, arguments| match pair(arguments, swapped) {
        Some((Vector::Date(days), Vector::Time(times))) => Vector::Timestamp(rows.map(arguments, |row| {
            Ok(i64::from(days.get(row)).checked_mul(DAY).and_then(|day| day.checked_add(times.get(row))))
        })),
        _ => Vector::null(Type::Local),
    })
}

fn shift_time(back: bool, swapped: bool) -> Run {
    Arc::new(move |rows, arguments| match pair(arguments, swapped) {
        Some((Vector::Time(times), Vector::Interval(by))) => Vector::Time(rows.map(arguments, |row| {
            // The clock goes round: only what is left of whole days matters.
            let by = Interval::unpack(by.get(row)).micros.rem_euclid(DAY);
            let time = times.get(row);
            Ok(Some(if back { (time - by).rem_euclid(DAY) } else { (time + by).rem_euclid(DAY) }))
        })),
        _ => Vector::null(Type::TIME),
    })
}

fn times_between() -> Run {
    Arc::new(|rows, arguments| match arguments {
        [Vector::Time(a), Vector::Time(b)] => Vector::Interval(rows.map(arguments, |row| {
            let micros = a.get(row).saturating_sub(b.get(row));
            Ok(Some(Interval { micros, ..Interval::default() }.pack()))
        })),
        _ => Vector::null(Type::Interval),
    })
}

/// The microseconds of a date or timestamp.
pub(super) fn micros_of(vector: &Vector, row: usize) -> Option<i64> {
    match vector {
        Vector::Timestamp(values) => values.at(row),
        Vector::Date(days) => days.at(row).map(|day| i64::from(day).saturating_mul(DAY)),
        _ => None,
    }
}

fn moments_between() -> Run {
    Arc::new(|rows, arguments| match arguments {
        [a, b] => Vector::Interval(rows.map(arguments, |row| {
            let (Some(a), Some(b)) = (micros_of(a, row), micros_of(b, row)) else { return Ok(None) };
            let micros = a.checked_sub(b).ok_or(NO_INTERVAL)?;
            let days = i32::try_from(micros / DAY).map_err(|_| NO_INTERVAL)?;
            Ok(Some(Interval { months: 0, days, micros: micros % DAY }.pack()))
        })),
        _ => Vector::null(Type::Interval),
    })
}

fn shift(back: bool, swapped: bool) -> Run {
    Arc::new(move |rows, arguments| match pair(arguments, swapped) {
        Some((moments, Vector::Interval(by))) => Vector::Timestamp(rows.map(arguments, |row| {
            let Some(micros) = micros_of(moments, row) else { return Ok(None) };
            let by = Interval::unpack(by.get(row));
            let by = if back { by.negate() } else { Some(by) };
            by.and_then(|by| shifted(micros, by)).map(Some).ok_or(NO_DAY)
        })),
        _ => Vector::null(Type::Local),
    })
}

/// A moment shifted by months (to the last day of a month that is too short), then days, then microseconds.
pub(super) fn shifted(micros: i64, by: Interval) -> Option<i64> {
    let (mut day, clock) = (day_of(micros), micros.rem_euclid(DAY));
    if by.months != 0 {
        let (year, month, of_month) = date_of(day);
        let months = i64::from(year) * 12 + i64::from(month) - 1 + i64::from(by.months);
        let year = u16::try_from(months.div_euclid(12)).ok()?;
        let month = u16::try_from(months.rem_euclid(12)).ok()? + 1;
        let last = (1..=u16::from(of_month)).rev().find_map(|of_month| day_number(year, month, of_month));
        day = last?;
    }
    let day = i64::from(day).checked_add(by.days.into())?;
    in_range(day.checked_mul(DAY)?.checked_add(clock)?.checked_add(by.micros)?)
}

fn intervals(of: impl Fn(Interval, Interval) -> Option<Interval> + Send + Sync + 'static) -> Run {
    Arc::new(move |rows, arguments| match arguments {
        [Vector::Interval(a), Vector::Interval(b)] => Vector::Interval(rows.map(arguments, |row| {
            let value = of(Interval::unpack(a.get(row)), Interval::unpack(b.get(row)));
            value.map(|interval| Some(interval.pack())).ok_or(NO_INTERVAL)
        })),
        _ => Vector::null(Type::Interval),
    })
}

fn scaled(divides: bool, swapped: bool) -> Run {
    Arc::new(move |rows, arguments| match pair(arguments, swapped) {
        Some((Vector::Interval(values), Vector::Float(by))) => Vector::Interval(rows.map(arguments, |row| {
            let (interval, by) = (Interval::unpack(values.get(row)), by.get(row));
            if divides && by == 0.0 {
                return Err(BY_ZERO);
            }
            let value = if divides { interval.over(by) } else { interval.times(by) };
            value.map(|interval| Some(interval.pack())).ok_or(NO_INTERVAL)
        })),
        _ => Vector::null(Type::Interval),
    })
}
