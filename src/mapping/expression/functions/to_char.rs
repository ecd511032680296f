//! TO_CHAR: dates and timestamps as text.

use std::{fmt::Write, sync::Arc};

use super::{Given, Made, Wrong, extract};
use crate::{
    mapping::expression::{
        Type,
        moments::micros_of,
        node::Run,
        time::{DAY, HOUR, MINUTE, SECOND, day_of},
        vector::Vector,
    },
    model::value::temporal::date_of,
};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/// Names in full are as wide as the longest of them.
const NAME_WIDTH: usize = 9;

/// The parts of patterns: what is written, and what it stands for. Longer ones come before those they begin with.
pub(in crate::mapping::expression) const PARTS: &[(&str, &str)] = &[
    ("YYYY", "the year, four digits"),
    ("YY", "its last two digits"),
    ("IYYY", "the year that the ISO week belongs to"),
    ("IW", "the ISO week"),
    ("ID", "the day of the week, Monday is 1"),
    ("Q", "the quarter"),
    ("MONTH", "the name of the month, as wide as the longest; `Month` and `month` in other letters"),
    ("MON", "its first three letters; `Mon` and `mon` in other letters"),
    ("MM", "the month, two digits"),
    ("MI", "the minutes"),
    ("MS", "the milliseconds"),
    ("DAY", "the name of the day, as wide as the longest; `Day` and `day` in other letters"),
    ("DDD", "the day of the year, three digits"),
    ("DD", "the day of the month, two digits"),
    ("DY", "the first three letters of the day's name; `Dy` and `dy` in other letters"),
    ("D", "the day of the week, Sunday is 1"),
    ("HH24", "the hour, 00 to 23"),
    ("HH12", "the hour, 01 to 12"),
    ("HH", "the same"),
    ("SS", "the seconds"),
    ("US", "the microseconds"),
    ("AM", "AM or PM, whichever is written; `am` in small letters"),
    ("PM", "the same"),
    ("FM", "before a part: without zeros before it and spaces behind it"),
    ("\"...\"", "the text itself; what is no letter needs no quotes"),
];

/// An item of a pattern.
#[derive(Clone, Debug)]
enum Item {
    Text(String),
    /// A part as it stands in the table, whether it is filled up, and the letters of names.
    Part {
        name: &'static str,
        filled: bool,
        letters: Letters,
    },
}

#[derive(Clone, Copy, Debug)]
enum Letters {
    Capitals,
    Title,
    Small,
}

pub(super) fn make(given: &[Given]) -> Made {
    let written = given.get(1).and_then(|given| given.text.as_deref()).unwrap_or_default();
    let items = parse(written).map_err(|message| Wrong {
        argument: 1,
        message,
        help: Some(
            "letters that stand for themselves go in double quotes: 'YYYY-MM-DD\"T\"HH24:MI:SS'".into(),
        ),
    })?;
    let run: Run = Arc::new(move |rows, arguments| {
        let Some(moments) = arguments.first() else { return Vector::null(Type::TEXT) };
        Vector::Text(rows.write(arguments, |row, out| {
            let Some(micros) = micros_of(moments, row) else { return Ok(false) };
            for item in &items {
                match item {
                    Item::Text(text) => out.push_str(text),
                    Item::Part { name, filled, letters } => write_part(name, *filled, *letters, micros, out),
                }
            }
            Ok(true)
        }))
    });
    Ok((Type::TEXT, run))
}

fn parse(pattern: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let mut filled = true;
    let mut rest = pattern;
    while let Some(character) = rest.chars().next() {
        if character == '"' {
            let (text, behind) =
                rest.get(1..).and_then(|rest| rest.split_once('"')).ok_or("a quote is not closed")?;
            items.push(Item::Text(text.to_owned()));
            rest = behind;
            continue;
        }
        if !character.is_ascii_alphabetic() {
            items.push(Item::Text(character.into()));
            rest = rest.get(character.len_utf8()..).unwrap_or_default();
            continue;
        }
        let found = PARTS
            .iter()
            .map(|(name, _)| *name)
            .find(|name| rest.get(..name.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(name)));
        let Some(name) = found else {
            let word: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
            return Err(format!("there is no part `{word}` in patterns"));
        };
        let (begin, behind) = rest.split_at_checked(name.len()).unwrap_or((rest, ""));
        rest = behind;
        if name == "FM" {
            filled = false;
            continue;
        }
        let mut found = begin.chars().map(|letter| letter.is_ascii_uppercase());
        let letters = match (found.next(), found.next()) {
            (Some(true), Some(false)) => Letters::Title,
            (Some(true), _) => Letters::Capitals,
            _ => Letters::Small,
        };
        items.push(Item::Part { name, filled, letters });
        filled = true;
    }
    Ok(items)
}

fn write_part(name: &str, filled: bool, letters: Letters, micros: i64, out: &mut String) {
    let day = day_of(micros);
    let clock = micros.rem_euclid(DAY);
    let (year, month, of_month) = date_of(day);
    let month_name = || MONTHS.get(usize::from(month) - 1).copied().unwrap_or_default();
    let day_name = || {
        let weekday = usize::try_from(extract::iso_weekday(day) - 1).unwrap_or_default();
        DAYS.get(weekday).copied().unwrap_or_default()
    };
    let short = |name: &'static str| name.get(..3).unwrap_or(name);
    let half = if clock < 12 * HOUR { "am" } else { "pm" };
    let word = match name {
        "MONTH" => Some((month_name(), NAME_WIDTH)),
        "MON" => Some((short(month_name()), 0)),
        "DAY" => Some((day_name(), NAME_WIDTH)),
        "DY" => Some((short(day_name()), 0)),
        "AM" | "PM" => Some((half, 0)),
        _ => None,
    };
    if let Some((word, width)) = word {
        let width = if filled { width } else { 0 };
        let word = match letters {
            Letters::Small => word.to_ascii_lowercase(),
            Letters::Title if word != half => word.to_owned(),
            _ => word.to_ascii_uppercase(),
        };
        let _ = write!(out, "{word:width$}"); // a String takes everything
        return;
    }
    let (number, width): (i64, usize) = match name {
        "YYYY" => (year.into(), 4),
        "YY" => (year.rem_euclid(100).into(), 2),
        "IYYY" => (extract::iso_week(day).0.into(), 4),
        "IW" => (extract::iso_week(day).1.into(), 2),
        "ID" => (extract::iso_weekday(day).into(), 1),
        "Q" => ((i64::from(month) - 1) / 3 + 1, 1),
        "MM" => (month.into(), 2),
        "DDD" => (extract::day_of_year(day).into(), 3),
        "DD" => (of_month.into(), 2),
        "D" => ((extract::iso_weekday(day) % 7 + 1).into(), 1),
        "HH24" => (clock / HOUR, 2),
        "HH12" | "HH" => ((clock / HOUR + 11) % 12 + 1, 2),
        "MI" => (clock / MINUTE % 60, 2),
        "SS" => (clock / SECOND % 60, 2),
        "MS" => (clock / 1000 % 1000, 3),
        _ => (clock % SECOND, 6),
    };
    // The digits of a fraction are no number with zeros before it: they stay.
    let width = if filled || matches!(name, "MS" | "US") { width } else { 0 };
    let _ = write!(out, "{number:0width$}"); // a String takes everything
}
