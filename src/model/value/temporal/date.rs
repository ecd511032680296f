//! Dates.

use super::{FormatProblem, Patterns, pattern::Purpose};
use crate::model::value::ValueError;

/// Reads the dates of one column.
#[derive(Clone, Debug)]
pub struct DateParser {
    patterns: Patterns,
}

impl DateParser {
    /// Compiles formats; none means ISO 8601, `%Y-%m-%d`.
    ///
    /// A two-digit year up to `pivot` belongs to this century, a later one to the last: with 50, 50 is 2050 and 51 is
    /// 1951. The default is 68.
    ///
    /// # Errors
    /// A format has an unknown directive, lacks year, month or day, or says something that a date does not have.
    pub fn new(formats: &[String], pivot: Option<u8>) -> Result<Self, FormatProblem> {
        Ok(Self { patterns: Patterns::new(formats, &["%Y-%m-%d"], Purpose::Date, pivot)? })
    }

    /// Reads trimmed text, and gives the days since 1970-01-01.
    ///
    /// # Errors
    /// The text has none of the formats, or the calendar does not have that day.
    #[inline]
    pub fn parse(&self, text: &str) -> Result<i32, ValueError> {
        self.patterns
            .first(text, |pattern, fields| pattern.day(fields))
            .map_err(|failure| self.patterns.explain(failure, "date", ""))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::date_text, *};

    fn owned(formats: &[&str]) -> Vec<String> {
        formats.iter().map(ToString::to_string).collect()
    }

    fn date(formats: &[&str], pivot: Option<u8>, text: &str) -> Result<String, String> {
        let parser = DateParser::new(&owned(formats), pivot).map_err(|problem| problem.message)?;
        let mut out = String::new();
        date_text(parser.parse(text).map_err(|error| error.to_string())?, &mut out);
        Ok(out)
    }

    #[test]
    fn dates_of_many_countries_are_read() {
        for (format, text, expected) in [
            ("%Y-%m-%d", "2025-12-31", "2025-12-31"),
            ("%d/%m/%Y", "31/12/2025", "2025-12-31"),
            ("%d/%m/%Y", "1/2/2025", "2025-02-01"),
            ("%d/%m/%Y", "01/2/2025", "2025-02-01"),
            ("%m/%d/%Y", "12/31/2025", "2025-12-31"),
            ("%d.%m.%Y", "29.02.2024", "2024-02-29"),
            ("%d. %m. %Y", "1. 2. 2025", "2025-02-01"),
            ("%Y/%m/%d", "0001/01/01", "0001-01-01"),
            ("%Y%m%d", "99991231", "9999-12-31"),
            ("%d%m%y", "010225", "2025-02-01"),
            ("20%y%m%d", "20250201", "2025-02-01"),
            ("%d %b %Y", "1 feb 2025", "2025-02-01"),
            ("%d %b %Y", "01 FEBRUARY 2025", "2025-02-01"),
            ("%d-%B-%Y", "30-Sept-2025", "2025-09-30"),
            ("%B %d, %Y", "May 9, 2025", "2025-05-09"),
            ("%d%b%Y", "9may2025", "2025-05-09"),
            ("%b %e %Y", "Dec  5 2025", "2025-12-05"),
            ("%b %e %Y", "Dec 15 2025", "2025-12-15"),
            ("%Y%e%m", "2025 512", "2025-12-05"),
            ("%Y%j", "2024366", "2024-12-31"),
            ("%y.%j", "25.1", "2025-01-01"),
            ("%Y年%m月%d日", "2025年2月1日", "2025-02-01"),
            ("%d/%m/%Y 00:00:00", "31/12/2025 00:00:00", "2025-12-31"),
            ("%d%%%m%%%Y", "31%12%2025", "2025-12-31"),
        ] {
            assert_eq!(date(&[format], None, text), Ok(expected.into()), "{format} {text}");
        }
    }

    #[test]
    fn what_does_not_have_the_form_of_a_date_says_which_form_it_needs() {
        for (format, text, example) in [
            ("%d/%m/%Y", "", "31/12/2025"),
            ("%d/%m/%Y", "31/12/25", "31/12/2025"),
            ("%d/%m/%Y", "31/12/20255", "31/12/2025"),
            ("%d/%m/%Y", "31/12/2025 ", "31/12/2025"),
            ("%d/%m/%Y", "031/12/2025", "31/12/2025"),
            ("%d/%m/%Y", "31.12.2025", "31/12/2025"),
            ("%d/%m/%Y", "/12/2025", "31/12/2025"),
            ("%d/%m/%Y", "-1/12/2025", "31/12/2025"),
            ("%d/%m/%Y", "31/12/２０２５", "31/12/2025"),
            ("%d.%m.%y", "31.12.2025", "31.12.25"),
            ("%Y%m%d", "202511", "20251231"),
            ("%Y%m%d", "2025131", "20251231"),
            ("%d %b %Y", "1 Febr 2025", "31 Dec 2025"),
            ("%d %B %Y", "1 Februar 2025", "31 December 2025"),
            ("%Y%e%m", "2025 0512", "20253112"),
        ] {
            assert_eq!(
                date(&[format], None, text),
                Err(format!("is not a date like {example}")),
                "{format} {text}"
            );
        }
        let several = ["%d/%m/%Y", "%d.%m.%y", "%F", "%Y-%m-%d"];
        assert_eq!(
            date(&several, None, "tomorrow"),
            Err("is not a date like 31/12/2025, 31.12.25 or 2025-12-31".into())
        );
        assert_eq!(date(&several[..2], None, "x"), Err("is not a date like 31/12/2025 or 31.12.25".into()));
    }

    #[test]
    fn a_day_that_does_not_exist_is_told_from_a_wrong_form() {
        for text in
            ["31/04/2025", "29/02/2025", "29/02/1900", "00/01/2025", "1/13/2025", "32/1/2025", "1/1/0000"]
        {
            let expected = "is not a day of the calendar (like 31/12/2025)";
            assert_eq!(date(&["%d/%m/%Y"], None, text), Err(expected.into()), "{text}");
        }
        assert_eq!(
            date(&["%F", "%d/%m/%Y"], None, "31/06/2025"),
            Err("is not a day of the calendar (like 2025-12-31 or 31/12/2025)".into())
        );
        assert_eq!(
            date(&["%Y-%j"], None, "2025-366"),
            Err("is not a day of the calendar (like 2025-365)".into())
        );
    }

    #[test]
    fn several_formats_are_tried_in_their_order() {
        let formats = ["%d/%m/%Y", "%m/%d/%Y", "%d.%m.%y"];
        assert_eq!(date(&formats, None, "03/04/2025"), Ok("2025-04-03".into()));
        assert_eq!(date(&formats, None, "03/14/2025"), Ok("2025-03-14".into()));
        assert_eq!(date(&formats, None, "3.4.25"), Ok("2025-04-03".into()));
    }

    #[test]
    fn a_date_with_two_digit_year_turns_at_the_pivot() {
        for (pivot, text, expected) in [
            (None, "01.02.68", "2068-02-01"),
            (None, "01.02.69", "1969-02-01"),
            (Some(50), "01.02.50", "2050-02-01"),
            (Some(50), "01.02.51", "1951-02-01"),
            (Some(0), "01.02.00", "2000-02-01"),
            (Some(0), "01.02.01", "1901-02-01"),
            (Some(99), "01.02.99", "2099-02-01"),
            (None, "29.02.00", "2000-02-29"),
        ] {
            assert_eq!(date(&["%d.%m.%y"], pivot, text), Ok(expected.into()), "{pivot:?} {text}");
        }
        assert!(DateParser::new(&[], Some(100)).is_err_and(|problem| problem.message.contains("0 to 99")));
    }

    proptest! {
        #[test]
        fn dates_read_from_their_places_are_those_read_item_by_item(day in 1_u8..=31, month in 1_u8..=12, year in 1_u16..=9999) {
            let padded = date(&["%d/%m/%Y"], None, &format!("{day:02}/{month:02}/{year:04}"));
            let short = date(&["%d/%m/%Y"], None, &format!("{day}/{month}/{year:04}"));
            prop_assert_eq!(padded, short);
        }
    }
}
