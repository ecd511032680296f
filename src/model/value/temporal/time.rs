//! Times of day.

use super::{FormatProblem, Patterns, pattern::Purpose};
use crate::model::value::ValueError;

/// Reads the times of day of one column.
#[derive(Clone, Debug)]
pub struct TimeParser {
    patterns: Patterns,
}

impl TimeParser {
    /// Compiles formats; none means `%H:%M:%S` with or without a fraction, and `%H:%M`.
    ///
    /// # Errors
    /// A format has an unknown directive, lacks the hour, or says something that a time of day does not have.
    pub fn new(formats: &[String]) -> Result<Self, FormatProblem> {
        Ok(Self { patterns: Patterns::new(formats, &["%H:%M:%S%.f", "%H:%M"], Purpose::Time, None)? })
    }

    /// Reads trimmed text, and gives the microseconds since midnight.
    ///
    /// # Errors
    /// The text has none of the formats, or the clock does not show that time: 24:00 and a second of 60 are refused.
    #[inline]
    pub fn parse(&self, text: &str) -> Result<i64, ValueError> {
        self.patterns
            .first(text, |pattern, fields| pattern.time(fields))
            .map_err(|failure| self.patterns.explain(failure, "time", ""))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::time_text, *};

    fn owned(formats: &[&str]) -> Vec<String> {
        formats.iter().map(ToString::to_string).collect()
    }

    fn time(formats: &[&str], text: &str) -> Result<String, String> {
        let parser = TimeParser::new(&owned(formats)).map_err(|problem| problem.message)?;
        let mut out = String::new();
        time_text(parser.parse(text).map_err(|error| error.to_string())?, &mut out);
        Ok(out)
    }

    #[test]
    fn times_are_read_to_the_microsecond() {
        for (formats, text, expected) in [
            (&[][..], "17:45:30", Ok("17:45:30")),
            (&[], "7:45", Ok("07:45:00")),
            (&[], "00:00:00.000001", Ok("00:00:00.000001")),
            (&[], "23:59:59.999999000", Ok("23:59:59.999999")),
            (&[], "12:00:00.5", Ok("12:00:00.500000")),
            (&[], "12:00:00.0000005", Err("has more than 6 digits in its fraction of a second")),
            (&[], "12:00:00.", Err("is not a time like 17:45:30 or 17:45")),
            (&[], "12:00:00.0000000000", Err("is not a time like 17:45:30 or 17:45")),
            (&[], "12:0", Err("is not a time like 17:45:30 or 17:45")),
            (&[], "24:00:00", Err("is not a time of the day (like 17:45:30 or 17:45)")),
            (&[], "23:59:60", Err("is not a time of the day (like 17:45:30 or 17:45)")),
            (&[], "12:60", Err("is not a time of the day (like 17:45:30 or 17:45)")),
            (&["%H%M"], "0745", Ok("07:45:00")),
            (&["%H%M"], "745", Err("is not a time like 1745")),
            (&["%H%M%S%f"], "074530123", Ok("07:45:30.123000")),
            (&["%H:%M:%S,%f"], "07:45:30,25", Ok("07:45:30.250000")),
            (&["%I:%M %p"], "12:05 AM", Ok("00:05:00")),
            (&["%I:%M %p"], "12:05 p.m.", Ok("12:05:00")),
            (&["%I:%M%p"], "5:45pm", Ok("17:45:00")),
            (&["%I %p"], "11 am", Ok("11:00:00")),
            (&["%I %p"], "0 am", Err("is not a time of the day (like 5 PM)")),
            (&["%I %p"], "13 pm", Err("is not a time of the day (like 5 PM)")),
            (&["%I %p"], "5 xm", Err("is not a time like 5 PM")),
        ] {
            assert_eq!(
                time(formats, text),
                expected.map(Into::into).map_err(Into::into),
                "{formats:?} {text}"
            );
        }
    }
}
