//! What spreadsheets read and show in the countries where people correct files: marks of numbers, order of dates, words.

use super::number::{self, Shown};

/// The order of a date's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    DayMonthYear,
    MonthDayYear,
    YearMonthDay,
}

/// How spreadsheets of one country write.
#[derive(Debug)]
pub struct Locale {
    /// Its name, for people.
    pub name: &'static str,
    /// The decimal mark.
    pub decimal: char,
    is_group: fn(char) -> bool,
    order: Order,
    /// Between the parts of a date.
    separator: char,
    /// How the names of the months begin, as far as they are shown.
    months: [&'static str; 12],
}

/// What a cell may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A number.
    Number(Shown),
    /// A day, and the time of that day if there is one.
    Day {
        /// Year, month, day.
        day: (u16, u8, u8),
        /// Hour, minute, and the second if it is shown.
        time: Option<Time>,
    },
    /// A time of day.
    Time(Time),
    /// A day of a month of a year that is not shown: month, day.
    DayOfMonth(u8, u8),
    /// A month of a year of which two digits are shown, or four: month, year.
    MonthOfYear(u8, u16),
    /// A truth value.
    Truth(bool),
}

/// Hour, minute, and the second if it is shown.
pub type Time = (u8, u8, Option<u8>);

const ENGLISH: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const GERMAN: [&str; 12] =
    ["jan", "feb", "mrz", "apr", "mai", "jun", "jul", "aug", "sep", "okt", "nov", "dez"];
const FRENCH: [&str; 12] =
    ["janv", "févr", "mars", "avr", "mai", "juin", "juil", "août", "sept", "oct", "nov", "déc"];
const DUTCH: [&str; 12] =
    ["jan", "feb", "mrt", "apr", "mei", "jun", "jul", "aug", "sep", "okt", "nov", "dec"];
const ITALIAN: [&str; 12] =
    ["gen", "feb", "mar", "apr", "mag", "giu", "lug", "ago", "set", "ott", "nov", "dic"];
const SPANISH: [&str; 12] =
    ["ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sep", "oct", "nov", "dic"];

fn comma(c: char) -> bool {
    c == ','
}

fn point(c: char) -> bool {
    c == '.'
}

fn space(c: char) -> bool {
    matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\u{2009}')
}

fn apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2019}')
}

/// The countries told apart, the likelier ones first; others write as one of these does.
pub static LOCALES: &[Locale] = &[
    Locale {
        name: "en-US",
        decimal: '.',
        is_group: comma,
        order: Order::MonthDayYear,
        separator: '/',
        months: ENGLISH,
    },
    Locale {
        name: "de",
        decimal: ',',
        is_group: point,
        order: Order::DayMonthYear,
        separator: '.',
        months: GERMAN,
    },
    Locale {
        name: "en-GB",
        decimal: '.',
        is_group: comma,
        order: Order::DayMonthYear,
        separator: '/',
        months: ENGLISH,
    },
    Locale {
        name: "fr",
        decimal: ',',
        is_group: space,
        order: Order::DayMonthYear,
        separator: '/',
        months: FRENCH,
    },
    Locale {
        name: "nl",
        decimal: ',',
        is_group: point,
        order: Order::DayMonthYear,
        separator: '-',
        months: DUTCH,
    },
    Locale {
        name: "it",
        decimal: ',',
        is_group: point,
        order: Order::DayMonthYear,
        separator: '/',
        months: ITALIAN,
    },
    Locale {
        name: "es",
        decimal: ',',
        is_group: point,
        order: Order::DayMonthYear,
        separator: '/',
        months: SPANISH,
    },
    Locale {
        name: "pl",
        decimal: ',',
        is_group: space,
        order: Order::DayMonthYear,
        separator: '.',
        months: ENGLISH,
    },
    Locale {
        name: "sv",
        decimal: ',',
        is_group: space,
        order: Order::YearMonthDay,
        separator: '-',
        months: DUTCH,
    },
    Locale {
        name: "de-CH",
        decimal: '.',
        is_group: apostrophe,
        order: Order::DayMonthYear,
        separator: '.',
        months: GERMAN,
    },
    Locale {
        name: "en-CA",
        decimal: '.',
        is_group: comma,
        order: Order::YearMonthDay,
        separator: '-',
        months: ENGLISH,
    },
    Locale {
        name: "zh",
        decimal: '.',
        is_group: comma,
        order: Order::YearMonthDay,
        separator: '/',
        months: ENGLISH,
    },
];

/// Words for true and false.
const TRUE: [&str; 9] = ["true", "wahr", "vrai", "waar", "vero", "verdadero", "verdadeiro", "prawda", "sant"];
const FALSE: [&str; 9] = ["false", "falsch", "faux", "onwaar", "falso", "falso", "falso", "fałsz", "falskt"];

/// Two digits up to this one are a year of this century, as in Excel.
const LAST_OF_THIS_CENTURY: u16 = 29;

/// Longer texts are no number, date or word.
const MOST_CHARACTERS: usize = 64;

impl Locale {
    /// What a spreadsheet takes a text for that it reads from a file; empty for ordinary text.
    #[must_use]
    pub fn reads(&self, text: &str) -> Vec<Meaning> {
        self.meanings(text, &['.', '/', '-'])
    }

    /// What a text means that a spreadsheet shows.
    #[must_use]
    pub fn shows(&self, text: &str) -> Vec<Meaning> {
        self.meanings(text, &[self.separator])
    }

    fn meanings(&self, text: &str, separators: &[char]) -> Vec<Meaning> {
        let text = text.trim();
        if text.is_empty() || text.len() > MOST_CHARACTERS {
            return Vec::new();
        }
        let lower = text.to_lowercase();
        let mut found = Vec::new();
        if TRUE.contains(&&*lower) {
            found.push(Meaning::Truth(true));
        }
        if FALSE.contains(&&*lower) {
            found.push(Meaning::Truth(false));
        }
        found.extend(number::read(text, self.decimal, self.is_group).map(Meaning::Number));
        found.extend(time(&lower).map(Meaning::Time));
        let (date, clock) = match lower.split_once(['t', ' ']) {
            Some((date, clock)) if clock.contains(':') => (date, time(clock)),
            _ => (&*lower, None),
        };
        if let Some(day) = self.day(date, separators) {
            found.push(Meaning::Day { day, time: clock });
        }
        if clock.is_none() {
            self.parts_of_dates(&lower, separators, &mut found);
        }
        found
    }

    /// A date with all its parts.
    fn day(&self, text: &str, separators: &[char]) -> Option<(u16, u8, u8)> {
        let parts = date_parts(text, separators);
        let [first, second, third] = parts.as_slice() else { return None };
        if first.len() == 4 {
            return day_of(first, second.parse().ok()?, third);
        }
        let (day, month, year) = match self.order {
            _ if self.month(second).is_some() => (first, self.month(second)?, third),
            _ if self.month(first).is_some() => (second, self.month(first)?, third),
            Order::DayMonthYear => (first, small(second)?, third),
            Order::MonthDayYear => (second, small(first)?, third),
            Order::YearMonthDay => (third, small(second)?, first),
        };
        day_of(year, month, day)
    }

    /// A day of a month, or a month of a year: what spreadsheets make of `1.10` and `12.50`.
    fn parts_of_dates(&self, text: &str, separators: &[char], found: &mut Vec<Meaning>) {
        // What stands for a part of a date is shown with other separators than dates are: `01. Okt`, `4-Mar`, `Okt 26`.
        let parts = date_parts(text, &[separators, &['-', '.', ' ', '/']].concat());
        let [first, second] = parts.as_slice() else { return };
        match (self.month(first), self.month(second)) {
            (None, Some(month)) => found.extend(day_of_month(month, small(first))),
            (Some(month), None) => {
                let year = year_of(second);
                found.extend(year.map(|year| Meaning::MonthOfYear(month, year)));
            }
            (None, None) => {
                let (Some(one), Some(two)) = (small(first), small(second)) else { return };
                let (day, month) = if self.order == Order::DayMonthYear { (one, two) } else { (two, one) };
                match day_of_month(month, Some(day)) {
                    Some(meaning) => found.push(meaning),
                    None if (1..=12).contains(&one) && second.len() == 2 => {
                        found.extend(year_of(second).map(|year| Meaning::MonthOfYear(one, year)));
                    }
                    None => {}
                }
            }
            (Some(_), Some(_)) => {}
        }
    }

    fn month(&self, part: &str) -> Option<u8> {
        let name = part.trim_end_matches('.');
        if name.chars().count() < 3 || name.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        // March is written in two ways.
        let name = if name.starts_with("mär") { "mrz" } else { name };
        let at = self.months.iter().position(|month| name == *month || name.starts_with(month))?;
        u8::try_from(at + 1).ok()
    }
}

/// The parts of a date between its separators, of which white space behind one is a part.
fn date_parts<'a>(text: &'a str, separators: &[char]) -> Vec<&'a str> {
    let letters = |c: char| c.is_alphabetic();
    let also_spaces = text.contains(letters);
    let between = |c: char| separators.contains(&c) || (also_spaces && matches!(c, ' ' | '-' | '.' | ','));
    text.split(between).map(str::trim).filter(|part| !part.is_empty()).take(4).collect()
}

fn small(part: &str) -> Option<u8> {
    let is_number = (1..=2).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { part.parse().ok() } else { None }
}

fn day_of_month(month: u8, day: Option<u8>) -> Option<Meaning> {
    let day = day?;
    is_day(2024, month, day).then_some(Meaning::DayOfMonth(month, day))
}

fn day_of(year: &str, month: u8, day: &str) -> Option<(u16, u8, u8)> {
    let (year, day) = (year_of(year)?, small(day)?);
    is_day(year, month, day).then_some((year, month, day))
}

fn is_day(year: u16, month: u8, day: u8) -> bool {
    let part = |part: u8| i8::try_from(part).unwrap_or(-1);
    jiff::civil::Date::new(i16::try_from(year).unwrap_or(-1), part(month), part(day)).is_ok()
}

fn year_of(part: &str) -> Option<u16> {
    if !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let year: u16 = part.parse().ok()?;
    match part.len() {
        4 => Some(year),
        2 if year <= LAST_OF_THIS_CENTURY => Some(2000 + year),
        2 => Some(1900 + year),
        _ => None,
    }
}

/// A time of day: `8:05`, `08:05:00`, `8:05 pm`.
fn time(text: &str) -> Option<Time> {
    let text = text.trim().trim_end_matches('z');
    let (clock, half) = match (text.strip_suffix("am"), text.strip_suffix("pm")) {
        (Some(clock), _) => (clock.trim_end(), Some(false)),
        (_, Some(clock)) => (clock.trim_end(), Some(true)),
        _ => (text, None),
    };
    let parts: Vec<&str> = clock.split(':').take(4).collect();
    let (hour, minute, second) = match parts.as_slice() {
        [hour, minute] => (small(hour)?, small(minute)?, None),
        [hour, minute, second] => {
            let whole = second.split(['.', ',']).next()?;
            (small(hour)?, small(minute)?, Some(small(whole)?))
        }
        _ => return None,
    };
    let hour = match half {
        Some(later) if (1..=12).contains(&hour) => hour % 12 + if later { 12 } else { 0 },
        Some(_) => return None,
        None => hour,
    };
    (hour < 24 && minute < 60 && second.is_none_or(|second| second < 60)).then_some((hour, minute, second))
}
