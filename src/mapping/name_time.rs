//! Dates and times in file names: what they are made of, and how two of them compare.

/// What dates and times are made of: the letter after `%`, and what it stands for in a name, each part with the text
/// before it.
pub const PARTS: &[(char, &[(&str, Part)])] = &[
    ('Y', &[("", Part::Year)]),
    ('y', &[("", Part::ShortYear)]),
    ('m', &[("", Part::Month)]),
    ('d', &[("", Part::Day)]),
    ('j', &[("", Part::DayOfYear)]),
    ('H', &[("", Part::Hour)]),
    ('M', &[("", Part::Minute)]),
    ('S', &[("", Part::Second)]),
    ('b', &[("", Part::MonthName)]),
    ('F', &[("", Part::Year), ("-", Part::Month), ("-", Part::Day)]),
];

/// A part of a date or time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Year,
    ShortYear,
    Month,
    MonthName,
    Day,
    DayOfYear,
    Hour,
    Minute,
    Second,
}

impl Part {
    /// The regular expression of its text.
    pub fn expression(self) -> &'static str {
        match self {
            Self::Year => "[0-9]{4}",
            Self::ShortYear => "[0-9]{2}",
            Self::Month => "0[1-9]|1[0-2]",
            Self::MonthName => "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec",
            Self::Day => "0[1-9]|[12][0-9]|3[01]",
            Self::DayOfYear => "00[1-9]|0[1-9][0-9]|[12][0-9]{2}|3[0-5][0-9]|36[0-6]",
            Self::Hour => "[01][0-9]|2[0-3]",
            Self::Minute => "[0-5][0-9]",
            Self::Second => "[0-5][0-9]|60",
        }
    }

    /// Its place among year, month, day, hour, minute and second. A day of the year becomes a month and a day.
    pub fn unit(self) -> usize {
        match self {
            Self::Year | Self::ShortYear => 0,
            Self::Month | Self::MonthName | Self::DayOfYear => 1,
            Self::Day => 2,
            Self::Hour => 3,
            Self::Minute => 4,
            Self::Second => 5,
        }
    }
}

/// The last two-digit year of the 2000s, as in columns without a `pivot`.
const PIVOT: u16 = 68;
/// The months as names have them.
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/// Year, month, day, hour, minute and second of a name's parts; 0 for what it does not say. Of a part that stands there
/// twice, the last one counts.
pub fn time<'t>(parts: impl Iterator<Item = (Part, &'t str)>) -> [u16; 6] {
    let [mut year, mut month, mut day, mut hour, mut minute, mut second] = [0; 6];
    let mut day_of_year = None;
    for (part, text) in parts {
        let number = text.parse::<u16>().unwrap_or_default();
        match part {
            Part::Year => year = number,
            Part::ShortYear => year = number + if number <= PIVOT { 2000 } else { 1900 },
            Part::Month => month = number,
            Part::MonthName => {
                // In upper case, as there the long s is an S, and patterns take it for one.
                let name = text.to_uppercase();
                month = (1..).zip(MONTHS).find(|(_, known)| *known == name).map_or(0, |(month, _)| month);
            }
            Part::Day => day = number,
            Part::DayOfYear => day_of_year = Some(number),
            Part::Hour => hour = number,
            Part::Minute => minute = number,
            Part::Second => second = number,
        }
    }
    if let Some(number) = day_of_year {
        (month, day) = month_and_day(year, number);
    }
    [year, month, day, hour, minute, second]
}

/// The month and the day in it of a day of the year, from 1. Year 0, which stands for none, has a 29 February; a day that a
/// year does not have comes behind its last one.
fn month_and_day(year: u16, day_of_year: u16) -> (u16, u16) {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if is_leap { 29 } else { 28 };
    let mut day = day_of_year;
    for (month, days) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30]) {
        if day <= days {
            return (month, day);
        }
        day -= days;
    }
    (12, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_whatever_the_order_of_its_parts() {
        use Part::{Day, DayOfYear, Hour, Minute, Month, MonthName, Second, ShortYear, Year};
        type Row = (&'static [(Part, &'static str)], [u16; 6]);
        let table: [Row; 10] = [
            (&[(Day, "03"), (Month, "11"), (Year, "2026")], [2026, 11, 3, 0, 0, 0]),
            (&[(Second, "60"), (Minute, "59"), (Hour, "23")], [0, 0, 0, 23, 59, 60]),
            (&[(MonthName, "Nov"), (ShortYear, "68")], [2068, 11, 0, 0, 0, 0]),
            (&[(MonthName, "\u{17f}ep"), (ShortYear, "69")], [1969, 9, 0, 0, 0, 0]),
            (&[(DayOfYear, "060"), (Year, "2026")], [2026, 3, 1, 0, 0, 0]),
            (&[(Year, "2028"), (DayOfYear, "060")], [2028, 2, 29, 0, 0, 0]),
            (&[(Year, "2100"), (DayOfYear, "001")], [2100, 1, 1, 0, 0, 0]),
            (&[(Year, "2028"), (DayOfYear, "366")], [2028, 12, 31, 0, 0, 0]),
            (&[(Year, "2026"), (DayOfYear, "366")], [2026, 12, 32, 0, 0, 0]),
            (&[(DayOfYear, "365")], [0, 12, 30, 0, 0, 0]),
        ];
        for (parts, expected) in table {
            assert_eq!(time(parts.iter().copied()), expected, "{parts:?}");
        }
    }
}
