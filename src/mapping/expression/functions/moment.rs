//! Functions on dates, times and intervals.

use std::sync::Arc;

use super::{Function, Given, Kind, Made, Make, Wrong, extract, to_char};
use crate::{
    mapping::{
        expression::{
            Type,
            moments::{NO_DAY, micros_of},
            node::Run,
            time::{DAY, HOUR, MINUTE, SECOND, day_of},
            vector::Vector,
        },
        nearest::nearest,
    },
    model::value::temporal::{date_of, day_number},
};

use Kind::{Moment, Temporal, WrittenText};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "now",
        also: &["current_timestamp"],
        written: &["now()"],
        takes: &[],
        least: 0,
        repeats: false,
        meaning: "the time at which the delivery began; the same for all of its records",
        examples: &[("now() >= timestamp '2020-01-01 00:00:00Z'", "true")],
        make: Make::Now,
    },
    Function {
        name: "current_date",
        also: &[],
        written: &["current_date"],
        takes: &[],
        least: 0,
        repeats: false,
        meaning: "the day of `now()`, in UTC",
        examples: &[("current_date = CAST(now() AS date)", "true")],
        make: Make::Today,
    },
    Function {
        name: "age_in_days",
        also: &[],
        written: &["age_in_days(date)"],
        takes: &[Moment],
        least: 1,
        repeats: false,
        meaning: "the days from then to `current_date`, below zero for what is to come; PostgreSQL does not have it",
        examples: &[("age_in_days(current_date - 30)", "30")],
        make: Make::AgeInDays,
    },
    Function {
        name: "extract",
        also: &[],
        written: &["EXTRACT(part FROM value)"],
        takes: &[WrittenText, Temporal],
        least: 2,
        repeats: false,
        meaning: "a part of a date, time or interval, as a decimal: `year`, `quarter`, `month`, `week` (ISO), `day`, \
                  `dow` (Sunday is 0), `isodow` (Sunday is 7), `doy`, `isoyear`, `decade`, `century`, `hour`, `minute`, \
                  `second` (with its fraction), `milliseconds`, `microseconds`, and `epoch`: the seconds since 1970, or \
                  those of an interval",
        examples: &[
            ("EXTRACT(year FROM date '2025-12-31')", "2025"),
            ("EXTRACT(week FROM date '2025-12-31')", "1"),
            ("EXTRACT(second FROM time '17:45:30.5')", "30.500000"),
            ("EXTRACT(epoch FROM interval '1 hour')", "3600.000000"),
        ],
        make: Make::Plain(extract::make),
    },
    Function {
        name: "date_trunc",
        also: &[],
        written: &["date_trunc('unit', date)"],
        takes: &[WrittenText, Moment],
        least: 2,
        repeats: false,
        meaning: "the beginning, as a timestamp, of the `second`, `minute`, `hour`, `day`, `week` (Monday), `month`, \
                  `quarter`, `year`, `decade` or `century` that it is in",
        examples: &[
            ("CAST(date_trunc('month', date '2025-12-31') AS date)", "2025-12-01"),
            ("date_trunc('hour', timestamp '2025-12-31 17:45:30Z')", "2025-12-31T17:00:00Z"),
        ],
        make: Make::Plain(truncate),
    },
    Function {
        name: "to_char",
        also: &[],
        written: &["to_char(date, 'pattern')"],
        takes: &[Moment, WrittenText],
        least: 2,
        repeats: false,
        meaning: "a date or timestamp as text, by a pattern of the parts below",
        examples: &[
            ("to_char(date '2025-02-01', 'DD.MM.YYYY')", "01.02.2025"),
            ("to_char(timestamp '2025-02-01 07:05:09Z', 'YYYY-MM-DD\"T\"HH24:MI')", "2025-02-01T07:05"),
            ("to_char(date '2025-02-01', 'FMDay, DD FMMonth')", "Saturday, 01 February"),
        ],
        make: Make::Plain(to_char::make),
    },
];

/// The units of DATE_TRUNC.
const UNITS: &[&str] = &[
    "microseconds",
    "milliseconds",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "decade",
    "century",
];

fn truncate(given: &[Given]) -> Made {
    let written =
        given.first().and_then(|given| given.text.as_deref()).unwrap_or_default().to_ascii_lowercase();
    let Some(unit) = UNITS.iter().copied().find(|unit| *unit == written) else {
        let help = match nearest(&written, UNITS.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are {}", UNITS.join(", ")),
        };
        let message = format!("there is no unit `{}`", written.escape_debug());
        return Err(Wrong { argument: 0, message, help: Some(help) });
    };
    let of = match given.get(1).map(|given| given.of) {
        Some(Type::Local) => Type::Local,
        _ => Type::TIMESTAMP,
    };
    let run: Run = Arc::new(move |rows, arguments| {
        let Some(moments) = arguments.get(1) else { return Vector::null(of) };
        Vector::Timestamp(rows.map(arguments, |row| {
            let Some(micros) = micros_of(moments, row) else { return Ok(None) };
            begin(micros, unit).map(Some).ok_or(NO_DAY)
        }))
    });
    Ok((of, run))
}

/// The beginning of a unit.
fn begin(micros: i64, unit: &str) -> Option<i64> {
    let within = |length: i64| micros.checked_sub(micros.rem_euclid(length));
    match unit {
        "microseconds" => return Some(micros),
        "milliseconds" => return within(1000),
        "second" => return within(SECOND),
        "minute" => return within(MINUTE),
        "hour" => return within(HOUR),
        "day" => return within(DAY),
        _ => {}
    }
    let day = day_of(micros);
    let (year, month, _) = date_of(day);
    let first =
        |year: i32, month: u8| u16::try_from(year).ok().and_then(|year| day_number(year, month.into(), 1));
    let day = match unit {
        "week" => day.checked_sub(extract::iso_weekday(day) - 1)?,
        "month" => first(year, month)?,
        "quarter" => first(year, (month - 1) / 3 * 3 + 1)?,
        "decade" => first(year - year.rem_euclid(10), 1)?,
        // The first century has the years 1 to 100.
        "century" => first(year - (year - 1).rem_euclid(100), 1)?,
        _ => first(year, 1)?,
    };
    i64::from(day).checked_mul(DAY)
}
