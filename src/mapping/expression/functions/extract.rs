//! EXTRACT: the parts of dates, times and intervals, as exact numbers.

use std::sync::Arc;

use super::{Given, Made, Wrong};
use crate::{
    mapping::{
        expression::{
            Type,
            interval::Interval,
            moments::micros_of,
            node::Run,
            time::{DAY, HOUR, MINUTE, SECOND, day_of},
            vector::Vector,
        },
        nearest::nearest,
    },
    model::value::temporal::{date_of, day_number},
};

/// A part: its names, digits before and after the point, and what has it.
struct Part {
    names: &'static [&'static str],
    scale: u8,
    has: &'static [Has],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    Days,
    Clock,
    Interval,
}

use Has::{Clock, Days, Interval as Length};

const PARTS: &[Part] = &[
    Part { names: &["year", "years"], scale: 0, has: &[Days, Length] },
    Part { names: &["quarter"], scale: 0, has: &[Days, Length] },
    Part { names: &["month", "months"], scale: 0, has: &[Days, Length] },
    Part { names: &["week", "weeks"], scale: 0, has: &[Days] },
    Part { names: &["day", "days"], scale: 0, has: &[Days, Length] },
    Part { names: &["dow"], scale: 0, has: &[Days] },
    Part { names: &["isodow"], scale: 0, has: &[Days] },
    Part { names: &["doy"], scale: 0, has: &[Days] },
    Part { names: &["isoyear"], scale: 0, has: &[Days] },
    Part { names: &["decade"], scale: 0, has: &[Days, Length] },
    Part { names: &["century"], scale: 0, has: &[Days, Length] },
    Part { names: &["hour", "hours"], scale: 0, has: &[Clock, Length] },
    Part { names: &["minute", "minutes"], scale: 0, has: &[Clock, Length] },
    Part { names: &["second", "seconds"], scale: 6, has: &[Clock, Length] },
    Part { names: &["milliseconds", "millisecond"], scale: 3, has: &[Clock, Length] },
    Part { names: &["microseconds", "microsecond"], scale: 0, has: &[Clock, Length] },
    Part { names: &["epoch"], scale: 6, has: &[Days, Clock, Length] },
];

pub(super) fn make(given: &[Given]) -> Made {
    let written =
        given.first().and_then(|given| given.text.as_deref()).unwrap_or_default().to_ascii_lowercase();
    let wrong = |message: String, help: Option<String>| Wrong { argument: 0, message, help };
    let Some(part) = PARTS.iter().find(|part| part.names.contains(&written.as_str())) else {
        let names = || PARTS.iter().filter_map(|part| part.names.first().copied());
        let help = match nearest(&written, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
        };
        return Err(wrong(format!("there is no part `{}`", written.escape_debug()), Some(help)));
    };
    let of = given.get(1).map_or(Type::TIMESTAMP, |given| given.of);
    let has: &[Has] = match of {
        Type::DATE => &[Days],
        Type::TIME => &[Clock],
        Type::Interval => &[Length],
        _ => &[Days, Clock],
    };
    if !has.iter().any(|has| part.has.contains(has)) {
        return Err(wrong(format!("{} has no part `{written}`", of.phrase()), None));
    }
    let name = part.names.first().copied().unwrap_or_default();
    // The seconds of a date are whole.
    let scale = if of == Type::DATE { 0 } else { part.scale };
    let run: Run = Arc::new(move |rows, arguments| {
        let Some(value) = arguments.get(1) else { return Vector::null(Type::decimal(20, scale)) };
        Vector::Decimal(rows.map(arguments, |row| {
            Ok(match value {
                Vector::Interval(values) => Some(of_interval(name, Interval::unpack(values.get(row)))),
                Vector::Time(values) => Some(of_clock(name, values.get(row))),
                Vector::Date(days) if name == "epoch" => Some(i128::from(days.get(row)) * 86_400),
                moments => micros_of(moments, row).map(|micros| of_moment(name, micros)),
            })
        }))
    });
    Ok((Type::decimal(20 + scale, scale), run))
}

/// Of the clock, in units of the part's last digit.
fn of_clock(part: &str, micros: i64) -> i128 {
    i128::from(match part {
        "hour" => micros / HOUR,
        "minute" => micros / MINUTE % 60,
        "epoch" => micros,
        _ => micros % MINUTE,
    })
}

fn of_moment(part: &str, micros: i64) -> i128 {
    let day = day_of(micros);
    match part {
        "epoch" => i128::from(micros),
        "hour" | "minute" | "second" | "milliseconds" | "microseconds" => {
            of_clock(part, micros.rem_euclid(DAY))
        }
        _ => i128::from(of_day(part, day)),
    }
}

fn of_day(part: &str, day: i32) -> i32 {
    let (year, month, of_month) = date_of(day);
    match part {
        "year" => year,
        "quarter" => (i32::from(month) - 1) / 3 + 1,
        "month" => month.into(),
        "day" => of_month.into(),
        "dow" => iso_weekday(day) % 7,
        "isodow" => iso_weekday(day),
        "doy" => day_of_year(day),
        "week" => iso_week(day).1,
        "isoyear" => iso_week(day).0,
        "decade" => year.div_euclid(10),
        // The first century has the years 1 to 100.
        _ => (year - 1).div_euclid(100) + 1,
    }
}

/// Of an interval, in units of the part's last digit.
fn of_interval(part: &str, interval: Interval) -> i128 {
    let (years, months) = (interval.months / 12, interval.months % 12);
    match part {
        "year" => years.into(),
        "quarter" => (months / 3 + 1).into(),
        "month" => months.into(),
        "day" => interval.days.into(),
        "decade" => (interval.months / 120).into(),
        "century" => (interval.months / 1200).into(),
        "hour" => (interval.micros / HOUR).into(),
        "minute" => (interval.micros / MINUTE % 60).into(),
        // A year has 365.25 days, a month 30.
        "epoch" => {
            let quarters_of_days =
                i128::from(years) * 1461 + i128::from(months) * 120 + i128::from(interval.days) * 4;
            quarters_of_days * i128::from(DAY / 4) + i128::from(interval.micros)
        }
        _ => (interval.micros % (60 * SECOND)).into(),
    }
}

/// Monday is 1, Sunday 7.
pub(super) fn iso_weekday(day: i32) -> i32 {
    // 1970-01-01 was a Thursday.
    day.saturating_add(3).rem_euclid(7) + 1
}

/// The day of its year, from 1.
pub(super) fn day_of_year(day: i32) -> i32 {
    let (year, _, _) = date_of(day);
    let first = u16::try_from(year).ok().and_then(|year| day_number(year, 1, 1));
    first.map_or(0, |first| day - first + 1)
}

/// The year and the week of ISO 8601: a week belongs to the year of its Thursday.
pub(super) fn iso_week(day: i32) -> (i32, i32) {
    let thursday = day.saturating_sub(iso_weekday(day)).saturating_add(4);
    let (year, _, _) = date_of(thursday);
    (year, (day_of_year(thursday) - 1) / 7 + 1)
}
