//! Dates, times and timestamps back to ISO 8601 text.

use std::fmt::Write;

use super::{calendar, reading::DAY_MICROSECONDS};

/// Writes a day (days since 1970-01-01) as `2025-12-31` behind `out`.
pub fn date_text(days: i32, out: &mut String) {
    let (year, month, day) = calendar::date_of(days);
    let Some(year) = u16::try_from(year).ok().filter(|year| *year <= 9999) else {
        // No reader of ours gives such a day; it is written all the same, as an expanded year of ISO 8601.
        let _ = write!(out, "{year:+07}-{month:02}-{day:02}"); // a String takes everything
        return;
    };
    let ([a, b], [c, d]) = (two_digits(u32::from(year) / 100), two_digits(u32::from(year) % 100));
    let ([e, f], [g, h]) = (two_digits(month.into()), two_digits(day.into()));
    push(&[a, b, c, d, b'-', e, f, b'-', g, h], out);
}

/// Writes a time of day (microseconds since midnight) as `17:45:30` behind `out`, with six digits of a fraction when
/// it is not zero. What is beyond a day wraps around.
pub fn time_text(microseconds: i64, out: &mut String) {
    let microseconds = microseconds.rem_euclid(DAY_MICROSECONDS);
    // Below 86,400 and below 1,000,000.
    let (seconds, fraction) = ((microseconds / 1_000_000) as u32, (microseconds % 1_000_000) as u32);
    let [a, b] = two_digits(seconds / 3600);
    let [c, d] = two_digits(seconds / 60 % 60);
    let [e, f] = two_digits(seconds % 60);
    push(&[a, b, b':', c, d, b':', e, f], out);
    if fraction > 0 {
        let [a, b] = two_digits(fraction / 10_000);
        let [c, d] = two_digits(fraction / 100 % 100);
        let [e, f] = two_digits(fraction % 100);
        push(&[b'.', a, b, c, d, e, f], out);
    }
}

/// Writes an instant (microseconds since 1970-01-01, UTC) as `2025-12-31T17:45:30Z` behind `out`, with six digits of a
/// fraction when it is not zero.
pub fn timestamp_text(microseconds: i64, out: &mut String) {
    // An i64 of microseconds is 107 million days: it fits.
    date_text(microseconds.div_euclid(DAY_MICROSECONDS) as i32, out);
    out.push('T');
    time_text(microseconds, out);
    out.push('Z');
}

/// For numbers below 100.
#[inline]
fn two_digits(number: u32) -> [u8; 2] {
    [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]
}

#[inline]
fn push(ascii: &[u8], out: &mut String) {
    out.push_str(std::str::from_utf8(ascii).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::value::temporal::{Ambiguous, DateParser, TimeParser, TimestampParser};

    fn written<T>(write: fn(T, &mut String), value: T) -> String {
        let mut out = String::new();
        write(value, &mut out);
        out
    }

    #[test]
    fn iso_texts_are_written() {
        assert_eq!(written(date_text, 0), "1970-01-01");
        assert_eq!(written(date_text, 20_453), "2025-12-31");
        assert_eq!(written(date_text, calendar::FIRST_DAY), "0001-01-01");
        assert_eq!(written(date_text, calendar::LAST_DAY), "9999-12-31");
        assert_eq!(written(date_text, calendar::LAST_DAY + 1), "+010000-01-01");
        assert_eq!(written(time_text, 0), "00:00:00");
        assert_eq!(written(time_text, 63_930_000_000), "17:45:30");
        assert_eq!(written(time_text, 63_930_000_001), "17:45:30.000001");
        assert_eq!(written(time_text, DAY_MICROSECONDS - 1), "23:59:59.999999");
        assert_eq!(written(timestamp_text, -1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(written(timestamp_text, 1_767_203_130_000_000), "2025-12-31T17:45:30Z");
        assert_eq!(written(timestamp_text, 1_767_203_130_120_000), "2025-12-31T17:45:30.120000Z");
    }

    proptest! {
        #[test]
        fn dates_survive_the_way_to_text_and_back(day in calendar::FIRST_DAY..=calendar::LAST_DAY) {
            let parser = DateParser::new(&[], None).expect("the default");
            prop_assert_eq!(parser.parse(&written(date_text, day)), Ok(day));
        }

        #[test]
        fn times_survive_the_way_to_text_and_back(time in 0..DAY_MICROSECONDS) {
            let parser = TimeParser::new(&[]).expect("the default");
            prop_assert_eq!(parser.parse(&written(time_text, time)), Ok(time));
        }

        #[test]
        fn timestamps_survive_the_way_to_text_and_back(seconds in -62_135_596_800_i64..253_402_300_800, micros in 0..1_000_000_i64) {
            let parser = TimestampParser::new(&[], None, Some("Asia/Tokyo"), Ambiguous::Reject).expect("the default");
            let instant = seconds * 1_000_000 + micros;
            prop_assert_eq!(parser.parse(&written(timestamp_text, instant)), Ok(instant));
        }

        #[test]
        fn no_number_makes_a_writer_panic(days in any::<i32>(), microseconds in any::<i64>()) {
            let _ = (written(date_text, days), written(time_text, microseconds), written(timestamp_text, microseconds));
        }
    }
}
