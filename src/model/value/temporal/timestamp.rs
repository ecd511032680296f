//! Instants, written as local times or with their distance from UTC.

use super::{
    Ambiguous, Failure, FormatProblem, Patterns, calendar, checked_pivot,
    pattern::{Pattern, Purpose},
    reading::{DAY_MICROSECONDS, Fields},
    zone::Zone,
};
use crate::model::value::ValueError;

/// Reads the instants of one column.
#[derive(Clone, Debug)]
pub struct TimestampParser {
    patterns: Patterns,
    zone: Zone,
    ambiguous: Ambiguous,
}

impl TimestampParser {
    /// Compiles formats; none means RFC 3339 and its relatives: `T` or a space between date and time, seconds with
    /// or without a fraction or none at all, an offset or none.
    ///
    /// Texts without an offset are local times of `timezone`, an IANA name such as `Europe/Berlin` or an offset such
    /// as `+01:00`, and of UTC when there is none. `ambiguous` decides which of two instants is meant when clocks
    /// were put back; `pivot` is as for [`DateParser::new`](super::DateParser::new).
    ///
    /// # Errors
    /// A format has an unknown directive or lacks year, month, day or hour, or the time zone is not known.
    pub fn new(
        formats: &[String],
        pivot: Option<u8>,
        timezone: Option<&str>,
        ambiguous: Ambiguous,
    ) -> Result<Self, FormatProblem> {
        let patterns = if formats.is_empty() {
            let pivot = checked_pivot(pivot)?;
            let iso = |format| Pattern::iso_timestamp(format, pivot);
            Patterns::of(vec![iso("%Y-%m-%dT%H:%M:%S%.f%z")?, iso("%Y-%m-%dT%H:%M%z")?])
        } else {
            Patterns::new(formats, &[], Purpose::Timestamp, pivot)?
        };
        Ok(Self { patterns, zone: Zone::new(timezone)?, ambiguous })
    }

    /// Reads trimmed text, and gives the microseconds since 1970-01-01 in UTC.
    ///
    /// # Errors
    /// The text has none of the formats, its day or time does not exist, in the time zone neither, happened twice
    /// there, or is outside the years 1 to 9999 in UTC.
    #[inline]
    pub fn parse(&self, text: &str) -> Result<i64, ValueError> {
        self.patterns
            .first(text, |pattern, fields| self.instant(pattern, fields))
            .map_err(|failure| self.patterns.explain(failure, "date and time", self.zone.name()))
    }

    #[inline]
    fn instant(&self, pattern: &Pattern, fields: &Fields) -> Result<i64, Failure> {
        const FIRST: i64 = calendar::FIRST_DAY as i64 * DAY_MICROSECONDS;
        const BEHIND_LAST: i64 = (calendar::LAST_DAY as i64 + 1) * DAY_MICROSECONDS;
        let (day, time) = (pattern.day(fields)?, pattern.time(fields)?);
        let offset_seconds = match fields.offset_seconds {
            Some(seconds) => seconds,
            None => self.zone.offset_seconds(day, time / 1_000_000, self.ambiguous)?,
        };
        let instant = i64::from(day) * DAY_MICROSECONDS + time - i64::from(offset_seconds) * 1_000_000;
        if (FIRST..BEHIND_LAST).contains(&instant) { Ok(instant) } else { Err(Failure::Range) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::timestamp_text, *};

    fn owned(formats: &[&str]) -> Vec<String> {
        formats.iter().map(ToString::to_string).collect()
    }

    fn timestamp(
        formats: &[&str],
        zone: Option<&str>,
        ambiguous: Ambiguous,
        text: &str,
    ) -> Result<String, String> {
        let parser = TimestampParser::new(&owned(formats), None, zone, ambiguous)
            .map_err(|problem| problem.message)?;
        let mut out = String::new();
        timestamp_text(parser.parse(text).map_err(|error| error.to_string())?, &mut out);
        Ok(out)
    }

    #[test]
    fn iso_timestamps_and_their_relatives_are_read() {
        for (text, expected) in [
            ("2025-12-31T17:45:30Z", "2025-12-31T17:45:30Z"),
            ("2025-12-31t17:45:30z", "2025-12-31T17:45:30Z"),
            ("2025-12-31T17:45:30+01:00", "2025-12-31T16:45:30Z"),
            ("2025-12-31 17:45:30.5-0530", "2025-12-31T23:15:30.500000Z"),
            ("2025-12-31 17:45:30 +01", "2025-12-31T16:45:30Z"),
            ("2025-12-31 17:45:30.123456789", ""),
            ("2025-12-31 17:45:30.123456", "2025-12-31T17:45:30.123456Z"),
            ("2025-12-31T17:45", "2025-12-31T17:45:00Z"),
            ("2025-12-31 17:45Z", "2025-12-31T17:45:00Z"),
            ("2025-12-31T00:30+01:00", "2025-12-30T23:30:00Z"),
            ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
            ("2025-12-31", ""),
            ("2025-12-31T", ""),
            ("2025-12-31  17:45", ""),
            ("2025-12-31T17:45:30 ", ""),
            ("2025-12-31T17:45:30+1", ""),
            ("2025-12-31T17:45:30+01:", ""),
            ("2025-12-31T17:45:30+24:00", ""),
            ("2025-12-31T17:45:30UTC", ""),
        ] {
            let read = timestamp(&[], None, Ambiguous::Reject, text);
            if expected.is_empty() {
                assert!(read.is_err(), "{text}");
            } else {
                assert_eq!(read, Ok(expected.into()), "{text}");
            }
        }
        assert_eq!(
            timestamp(&[], None, Ambiguous::Reject, "soon"),
            Err("is not a date and time like 2025-12-31T17:45:30+01:00 or 2025-12-31T17:45+01:00".into())
        );
    }

    #[test]
    fn timestamps_that_leave_the_years_1_to_9999_in_utc_are_refused() {
        let read = |text| timestamp(&[], None, Ambiguous::Reject, text);
        assert_eq!(read("0001-01-01T00:00:00Z"), Ok("0001-01-01T00:00:00Z".into()));
        assert_eq!(read("9999-12-31T23:59:59.999999Z"), Ok("9999-12-31T23:59:59.999999Z".into()));
        for text in ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-01:00"] {
            assert_eq!(read(text), Err("is outside the years 0001 to 9999 in UTC".into()));
        }
        // Far past and far future in a zone with rules: no surprise, only the zone's first and last offsets.
        let berlin = |text| timestamp(&[], Some("Europe/Berlin"), Ambiguous::Reject, text);
        assert_eq!(berlin("9999-12-31 23:59"), Ok("9999-12-31T22:59:00Z".into()));
        assert!(berlin("0001-01-02 00:00").is_ok());
    }

    #[test]
    fn local_times_follow_the_rules_of_their_zone() {
        let gap = |zone| Err(format!("does not exist in {zone}, as clocks were put forward over it"));
        let twice = |zone| {
            Err(format!(
                "happened twice in {zone}, as clocks were put back, and does not say which one it is"
            ))
        };
        let (berlin, york) = ("Europe/Berlin", "America/New_York");
        for (zone, ambiguous, text, expected) in [
            (berlin, Ambiguous::Reject, "2025-01-15 12:00:00", Ok("2025-01-15T11:00:00Z".into())),
            (berlin, Ambiguous::Reject, "2025-07-15 12:00:00", Ok("2025-07-15T10:00:00Z".into())),
            ("europe/berlin", Ambiguous::Reject, "2025-07-15 12:00:00", Ok("2025-07-15T10:00:00Z".into())),
            (
                berlin,
                Ambiguous::Reject,
                "2025-03-30 01:59:59.999999",
                Ok("2025-03-30T00:59:59.999999Z".into()),
            ),
            (berlin, Ambiguous::Reject, "2025-03-30 02:00:00", gap(berlin)),
            (berlin, Ambiguous::Earlier, "2025-03-30 02:30:00", gap(berlin)),
            (berlin, Ambiguous::Later, "2025-03-30 02:59:59.999999", gap(berlin)),
            (berlin, Ambiguous::Reject, "2025-03-30 03:00:00", Ok("2025-03-30T01:00:00Z".into())),
            (berlin, Ambiguous::Reject, "2025-10-26 01:59:59", Ok("2025-10-25T23:59:59Z".into())),
            (berlin, Ambiguous::Reject, "2025-10-26 02:00:00", twice(berlin)),
            (berlin, Ambiguous::Earlier, "2025-10-26 02:30:00", Ok("2025-10-26T00:30:00Z".into())),
            (berlin, Ambiguous::Later, "2025-10-26 02:30:00", Ok("2025-10-26T01:30:00Z".into())),
            (berlin, Ambiguous::Reject, "2025-10-26 02:30:00+02:00", Ok("2025-10-26T00:30:00Z".into())),
            (berlin, Ambiguous::Reject, "2025-10-26 03:00:00", Ok("2025-10-26T02:00:00Z".into())),
            (york, Ambiguous::Reject, "2025-03-09 02:30:00", gap(york)),
            (york, Ambiguous::Reject, "2025-11-02 01:30:00", twice(york)),
            (york, Ambiguous::Earlier, "2025-11-02 01:30:00", Ok("2025-11-02T05:30:00Z".into())),
            (york, Ambiguous::Later, "2025-11-02 01:30:00", Ok("2025-11-02T06:30:00Z".into())),
            (york, Ambiguous::Reject, "2050-07-01 12:00:00", Ok("2050-07-01T16:00:00Z".into())),
            ("+05:30", Ambiguous::Reject, "2025-07-15 12:00", Ok("2025-07-15T06:30:00Z".into())),
            ("UTC", Ambiguous::Reject, "2025-07-15 12:00", Ok("2025-07-15T12:00:00Z".into())),
        ] {
            assert_eq!(timestamp(&[], Some(zone), ambiguous, text), expected, "{zone} {text}");
        }
    }

    #[test]
    fn timestamps_have_formats_too() {
        let read = |format, text| timestamp(&[format], Some("Europe/Paris"), Ambiguous::Reject, text);
        assert_eq!(read("%d/%m/%Y %H:%M", "1/7/2025 9:05"), Ok("2025-07-01T07:05:00Z".into()));
        assert_eq!(read("%Y%m%d%H%M%S", "20250701090530"), Ok("2025-07-01T07:05:30Z".into()));
        assert_eq!(
            read("%d-%b-%y %I.%M.%S%.f %p", "01-JUL-25 09.05.30.250 PM"),
            Ok("2025-07-01T19:05:30.250000Z".into())
        );
        assert_eq!(read("%FT%T%z", "2025-07-01T09:05:30Z"), Ok("2025-07-01T09:05:30Z".into()));
        assert_eq!(
            read("%d/%m/%Y %H:%M", "1/7/2025 25:05"),
            Err("is not a time of the day (like 31/12/2025 17:45)".into())
        );
    }

    #[test]
    fn an_unknown_time_zone_is_reported_with_the_nearest_one() {
        let problem = |zone| timestamp(&[], Some(zone), Ambiguous::Reject, "");
        assert_eq!(
            problem("Europe/Belrin"),
            Err("there is no time zone `Europe/Belrin`; did you mean `Europe/Berlin`?".into())
        );
        assert_eq!(
            problem("our office"),
            Err("there is no time zone `our office`; they have names like `Europe/Berlin`".into())
        );
    }

    proptest! {
        #[test]
        fn instants_in_a_zone_are_those_of_the_library(seconds in -5_000_000_000_i64..5_000_000_000) {
            let instant = jiff::Timestamp::from_second(seconds).expect("in range");
            let local = instant.to_zoned(jiff::tz::TimeZone::get("Europe/Berlin").expect("a zone")).datetime();
            let text = local.strftime("%Y-%m-%d %H:%M:%S").to_string();
            let parser = |ambiguous| TimestampParser::new(&[], None, Some("Europe/Berlin"), ambiguous).expect("a parser");
            let both = [parser(Ambiguous::Earlier).parse(&text), parser(Ambiguous::Later).parse(&text)];
            prop_assert!(both.contains(&Ok(seconds * 1_000_000)), "{} {:?}", text, both);
        }
    }
}
