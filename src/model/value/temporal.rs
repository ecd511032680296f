//! Dates, times and timestamps in the formats of the systems that wrote them.
//!
//! Formats are written with the directives of `strftime`:
//!
//! | directive | reads |
//! |---|---|
//! | `%Y`, `%y` | a year of four digits; of two, placed by the pivot |
//! | `%m`, `%b`, `%B` | a month by number, one digit or two; by its English name, in full or short, in any case |
//! | `%d`, `%e` | a day of the month, one digit or two; `%e` may begin with a space |
//! | `%j` | a day of the year, 1 to 366 |
//! | `%H`, `%I` with `%p` | an hour, 0 to 23; 1 to 12 with AM or PM |
//! | `%M`, `%S` | minutes and seconds, two digits |
//! | `%f`, `%.f` | one to nine digits of a fraction of a second; with its point, or nothing at all |
//! | `%z` | the offset from UTC: `Z`, `+01`, `+0100`, `+01:00` |
//! | `%F`, `%T`, `%%` | `%Y-%m-%d`; `%H:%M:%S`; the sign itself |
//!
//! Everything else, white space included, stands for itself. Numbers that touch other digits (`%Y%m%d`) have all
//! their digits. A parser tries its formats in their order. Years are 1 to 9999, in the Gregorian calendar throughout.

mod calendar;
mod date;
mod front;
mod pattern;
mod reading;
mod text;
mod time;
mod timestamp;
mod zone;

use self::{
    pattern::{Pattern, Purpose},
    reading::Fields,
};
use super::ValueError;

pub use self::{
    calendar::{FIRST_DAY, LAST_DAY, date_of, day_number},
    date::DateParser,
    text::{date_text, time_text, timestamp_text},
    time::TimeParser,
    timestamp::TimestampParser,
    zone::Ambiguous,
};

/// The last two-digit year of this century unless a mapping says otherwise, as in POSIX: 68 is 2068, 69 is 1969.
const DEFAULT_PIVOT: u8 = 68;

/// What is wrong with a format, a pivot or a time zone; a sentence for the admin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FormatProblem {
    /// The sentence.
    pub message: String,
}

/// Why a text could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// It does not look as the format says.
    Form,
    /// The calendar has no such day.
    Day,
    /// The clock has no such time.
    Clock,
    /// Finer than a microsecond.
    Fraction,
    /// Clocks were put forward over it.
    Never,
    /// Clocks were put back over it.
    Twice,
    /// In UTC it is outside the years 1 to 9999.
    Range,
}

/// Formats to try in their order.
#[derive(Clone, Debug)]
struct Patterns {
    patterns: Box<[Pattern]>,
    /// The example instant in each format: "31/12/2025 or 31.12.25".
    examples: Box<str>,
}

impl Patterns {
    fn new(
        formats: &[String],
        defaults: &[&str],
        purpose: Purpose,
        pivot: Option<u8>,
    ) -> Result<Self, FormatProblem> {
        let pivot = checked_pivot(pivot)?;
        let compile = |format: &str| Pattern::new(format, purpose, pivot);
        let patterns: Result<_, _> = if formats.is_empty() {
            defaults.iter().map(|format| compile(format)).collect()
        } else {
            formats.iter().map(|format| compile(format)).collect()
        };
        Ok(Self::of(patterns?))
    }

    fn of(patterns: Vec<Pattern>) -> Self {
        let mut examples: Vec<&str> = Vec::with_capacity(patterns.len());
        for pattern in &patterns {
            if !examples.contains(&&*pattern.example) {
                examples.push(&pattern.example);
            }
        }
        let examples = match examples.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, first)) => format!("{} or {last}", first.join(", ")),
            None => String::new(),
        };
        Self { patterns: patterns.into(), examples: examples.into() }
    }

    /// The value by the first format that gives one; else the failure that says most, which is that of a format whose
    /// form was right.
    #[inline]
    fn first<T>(
        &self,
        text: &str,
        value: impl Fn(&Pattern, &Fields) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut failure = Failure::Form;
        for pattern in &self.patterns {
            let mut fields = Fields::default();
            match pattern.read(text, &mut fields).and_then(|()| value(pattern, &fields)) {
                Ok(value) => return Ok(value),
                Err(found) if failure == Failure::Form => failure = found,
                Err(_) => {}
            }
        }
        Err(failure)
    }

    #[cold]
    fn explain(&self, failure: Failure, what: &str, zone: &str) -> ValueError {
        let examples = &self.examples;
        ValueError(match failure {
            Failure::Form => format!("is not a {what} like {examples}").into(),
            Failure::Day => format!("is not a day of the calendar (like {examples})").into(),
            Failure::Clock => format!("is not a time of the day (like {examples})").into(),
            Failure::Fraction => "has more than 6 digits in its fraction of a second".into(),
            Failure::Never => format!("does not exist in {zone}, as clocks were put forward over it").into(),
            Failure::Twice => {
                format!("happened twice in {zone}, as clocks were put back, and does not say which one it is")
                    .into()
            }
            Failure::Range => "is outside the years 0001 to 9999 in UTC".into(),
        })
    }
}

fn checked_pivot(pivot: Option<u8>) -> Result<u8, FormatProblem> {
    match pivot.unwrap_or(DEFAULT_PIVOT) {
        pivot @ 0..=99 => Ok(pivot),
        pivot => Err(FormatProblem {
            message: format!(
                "{pivot} cannot be the pivot: it is the last two-digit year that belongs to this century, 0 to 99"
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in any::<String>()) {
            read_by_all(&text);
        }

        #[test]
        fn no_text_of_date_characters_makes_a_parser_panic(
            text in "[0-9]{0,5}[-/. ]?([0-9]{0,3}|dec|September)[-/. ]?[0-9]{0,5}[T ]?[0-9]{0,2}:?[0-9:.,]{0,14} ?(pm|A|Z|[-+][0-9:]{0,6})?",
        ) {
            read_by_all(&text);
        }
    }

    fn owned(formats: &[&str]) -> Vec<String> {
        formats.iter().map(ToString::to_string).collect()
    }

    fn read_by_all(text: &str) {
        for formats in [&[][..], &["%d/%m/%Y", "%e %B %y", "%Y%m%d", "%y%j"]] {
            let _ = DateParser::new(&owned(formats), None).expect("good formats").parse(text);
        }
        for formats in [&[][..], &["%H%M%S%f", "%I.%M %p", "%H:%M:%S,%f"]] {
            let _ = TimeParser::new(&owned(formats)).expect("good formats").parse(text);
        }
        for formats in [&[][..], &["%d/%m/%Y %H:%M:%S%.f%z", "%Y%m%d%H%M%S"]] {
            let parser =
                TimestampParser::new(&owned(formats), None, Some("Europe/Berlin"), Ambiguous::Earlier);
            let _ = parser.expect("good formats").parse(text);
        }
    }
}
