//! Formats such as `%d/%m/%Y`, compiled and checked once when a mapping is.

use super::{FormatProblem, front::Front};

/// The directives, for messages.
const KNOWN: &str = "%Y %y %m %b %B %d %e %j %H %I %M %S %f %.f %p %z %F %T %%";

/// What a format is for, and so which directives it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Date,
    Time,
    Timestamp,
}

/// A number of a date or time; also its place in [`super::reading::Fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Year,
    Month,
    Day,
    DayOfYear,
    Hour,
    Minute,
    Second,
}

/// One step of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// This byte.
    Byte(u8),
    /// `least` to `most` ASCII digits.
    Number { part: Part, least: u8, most: u8 },
    /// Two digits of a year, placed into a century by the pivot.
    ShortYear,
    /// A day whose first digit may be a space.
    PaddedDay { least: u8 },
    /// An English month, in full or by three letters.
    MonthName,
    /// Digits of a fraction of a second.
    Fraction,
    /// The same with its point, or nothing.
    PointedFraction,
    /// AM or PM.
    HalfDay,
    /// Z, or a distance from UTC.
    Offset,
    /// The same, a space before it, or nothing.
    OffsetIfAny,
    /// `T` or a space.
    DateTimeSeparator,
}

impl Item {
    /// Begins with a digit.
    fn begins_with_digit(self) -> bool {
        match self {
            Self::Byte(byte) => byte.is_ascii_digit(),
            Self::Number { .. } | Self::ShortYear | Self::PaddedDay { .. } | Self::Fraction => true,
            _ => false,
        }
    }

    /// Takes as many digits as there are, so that it cannot tell where a number behind it begins.
    fn ends_open(self) -> bool {
        matches!(self, Self::Fraction | Self::PointedFraction | Self::Offset)
    }

    /// Ends with a digit.
    fn ends_with_digit(self) -> bool {
        self.begins_with_digit() || self.ends_open()
    }
}

/// A compiled format.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) items: Box<[Item]>,
    pub(super) front: Front,
    /// Two-digit years up to this one are of this century, later ones of the last.
    pub(super) pivot: u8,
    /// The day is given by its number in the year.
    pub(super) by_day_of_year: bool,
    /// Hours run from 1 to 12, with AM or PM.
    pub(super) by_half_days: bool,
    /// 2025-12-31 17:45:30 in this format.
    pub(super) example: Box<str>,
}

/// What a directive says, however it is written. No format says anything twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Year,
    Month,
    Day,
    DayOfYear,
    Hour,
    HourOfHalfDay,
    HalfDay,
    Minute,
    Second,
    Fraction,
    Offset,
}

impl Pattern {
    /// Compiles one format; white space around it does not count, as values are trimmed.
    pub(super) fn new(format: &str, purpose: Purpose, pivot: u8) -> Result<Self, FormatProblem> {
        let format = format.trim();
        let mut compiler = Compiler { format, items: Vec::new(), said: Vec::new(), example: String::new() };
        compiler.compile(format)?;
        compiler.check(purpose)?;
        compiler.fix_widths()?;
        let by_day_of_year = compiler.says(Meaning::DayOfYear);
        let by_half_days = compiler.says(Meaning::HalfDay);
        Ok(Self {
            front: Front::of(&compiler.items),
            items: compiler.items.into(),
            pivot,
            by_day_of_year,
            by_half_days,
            example: compiler.example.into(),
        })
    }

    /// The ISO 8601 form of timestamps and its usual relatives: `T` or a space between date and time, and an offset
    /// or none. `format` has both in full.
    pub(super) fn iso_timestamp(format: &str, pivot: u8) -> Result<Self, FormatProblem> {
        let mut pattern = Self::new(format, Purpose::Timestamp, pivot)?;
        for item in &mut pattern.items {
            match item {
                Item::Byte(b'T') => *item = Item::DateTimeSeparator,
                Item::Offset => *item = Item::OffsetIfAny,
                _ => {}
            }
        }
        pattern.front = Front::of(&pattern.items);
        Ok(pattern)
    }
}

struct Compiler<'a> {
    format: &'a str,
    items: Vec<Item>,
    said: Vec<Meaning>,
    example: String,
}

impl Compiler<'_> {
    fn says(&self, meaning: Meaning) -> bool {
        self.said.contains(&meaning)
    }

    fn problem(&self, what: &str) -> FormatProblem {
        FormatProblem { message: format!("the format `{}` {what}", self.format.escape_debug()) }
    }

    fn compile(&mut self, format: &str) -> Result<(), FormatProblem> {
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                self.literal(c);
                continue;
            }
            match rest.next() {
                None => return Err(self.problem("ends in a lone %: write %% for the sign itself")),
                Some('.') if rest.as_str().starts_with('f') => {
                    rest.next();
                    self.directive(".f")?;
                }
                Some(letter) => self.directive(letter.encode_utf8(&mut [0; 4]))?,
            }
        }
        Ok(())
    }

    fn literal(&mut self, c: char) {
        self.items.extend(c.encode_utf8(&mut [0; 4]).bytes().map(Item::Byte));
        self.example.push(c);
    }

    fn directive(&mut self, name: &str) -> Result<(), FormatProblem> {
        let number = |part, least, most| Item::Number { part, least, most };
        let (item, meaning, example) = match name {
            "Y" => (number(Part::Year, 4, 4), Meaning::Year, "2025"),
            "y" => (Item::ShortYear, Meaning::Year, "25"),
            "m" => (number(Part::Month, 1, 2), Meaning::Month, "12"),
            "b" => (Item::MonthName, Meaning::Month, "Dec"),
            "B" => (Item::MonthName, Meaning::Month, "December"),
            "d" => (number(Part::Day, 1, 2), Meaning::Day, "31"),
            "e" => (Item::PaddedDay { least: 1 }, Meaning::Day, "31"),
            "j" => (number(Part::DayOfYear, 1, 3), Meaning::DayOfYear, "365"),
            "H" => (number(Part::Hour, 1, 2), Meaning::Hour, "17"),
            "I" => (number(Part::Hour, 1, 2), Meaning::HourOfHalfDay, "5"),
            "M" => (number(Part::Minute, 2, 2), Meaning::Minute, "45"),
            "S" => (number(Part::Second, 2, 2), Meaning::Second, "30"),
            "f" => (Item::Fraction, Meaning::Fraction, "000"),
            ".f" => (Item::PointedFraction, Meaning::Fraction, ""),
            "p" => (Item::HalfDay, Meaning::HalfDay, "PM"),
            "z" => (Item::Offset, Meaning::Offset, "+01:00"),
            "F" => return self.compile("%Y-%m-%d"),
            "T" => return self.compile("%H:%M:%S"),
            "%" => {
                self.literal('%');
                return Ok(());
            }
            _ => {
                let name = name.escape_debug();
                return Err(self.problem(&format!("has `%{name}`, which is not known; known are {KNOWN}")));
            }
        };
        if self.says(meaning) {
            return Err(self.problem(&format!("says the {} twice", meaning.name())));
        }
        self.said.push(meaning);
        self.items.push(item);
        self.example.push_str(example);
        Ok(())
    }

    /// Checks that the format says all its purpose needs, and nothing that contradicts or is foreign to it.
    fn check(&self, purpose: Purpose) -> Result<(), FormatProblem> {
        use Meaning as M;
        let has_date = [M::Year, M::Month, M::Day, M::DayOfYear].into_iter().find(|part| self.says(*part));
        let time = [M::Hour, M::HourOfHalfDay, M::HalfDay, M::Minute, M::Second, M::Fraction, M::Offset];
        let has_time = time.into_iter().find(|part| self.says(*part));
        match (purpose, has_date, has_time) {
            (Purpose::Date, _, Some(part)) => Err(self.problem(&format!(
                "says the {}, which a date does not have (a part that is always the same, such as 00:00:00, can be \
                 written as it is)",
                part.name()
            ))),
            (Purpose::Time, Some(part), _) => {
                Err(self.problem(&format!("says the {}, which a time of day does not have", part.name())))
            }
            (Purpose::Time, ..) if self.says(M::Offset) => {
                Err(self.problem("says the offset from UTC, which a time of day does not have"))
            }
            (Purpose::Date, ..) => self.check_date(),
            (Purpose::Time, ..) => self.check_time(),
            (Purpose::Timestamp, ..) => self.check_date().and_then(|()| self.check_time()),
        }
    }

    fn check_date(&self) -> Result<(), FormatProblem> {
        use Meaning as M;
        let by_month = self.says(M::Month) || self.says(M::Day);
        if !self.says(M::Year) {
            Err(self.problem("has no year (%Y, or %y for two digits)"))
        } else if self.says(M::DayOfYear) {
            if by_month {
                Err(self.problem("says the day of the year and the month or the day"))
            } else {
                Ok(())
            }
        } else if !self.says(M::Month) {
            Err(self.problem("has no month (%m, or %b for its name)"))
        } else if !self.says(M::Day) {
            Err(self.problem("has no day (%d)"))
        } else {
            Ok(())
        }
    }

    fn check_time(&self) -> Result<(), FormatProblem> {
        use Meaning as M;
        if self.says(M::Hour) && (self.says(M::HourOfHalfDay) || self.says(M::HalfDay)) {
            Err(self.problem("has %H, the hour from 0 to 23, and needs neither %I nor %p"))
        } else if self.says(M::HourOfHalfDay) != self.says(M::HalfDay) {
            Err(self.problem("needs both %I, the hour from 1 to 12, and %p for AM or PM"))
        } else if !self.says(M::Hour) && !self.says(M::HourOfHalfDay) {
            Err(self.problem("has no hour (%H, or %I with %p)"))
        } else if self.says(M::Second) && !self.says(M::Minute) {
            Err(self.problem("has a second but no minute (%M)"))
        } else if self.says(M::Fraction) && !self.says(M::Second) {
            Err(self.problem("has a fraction but no second (%S)"))
        } else {
            Ok(())
        }
    }

    /// Numbers that touch other digits have a fixed width, as nothing else tells where they end.
    fn fix_widths(&mut self) -> Result<(), FormatProblem> {
        let items = &mut self.items;
        let touches: Vec<bool> = items
            .windows(2)
            .map(|pair| matches!(pair, [a, b] if a.ends_with_digit() && b.begins_with_digit()))
            .collect();
        if items.iter().zip(&touches).any(|(item, touches)| *touches && item.ends_open()) {
            return Err(
                self.problem("has a number right behind a fraction or an offset, which can be of any length")
            );
        }
        let before = std::iter::once(&false).chain(&touches);
        let after = touches.iter().chain([&false]);
        for ((item, before), after) in items.iter_mut().zip(before).zip(after) {
            match item {
                Item::Number { least, most, .. } if *before || *after => *least = *most,
                Item::PaddedDay { least } if *before || *after => *least = 2,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Meaning {
    fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::DayOfYear => "day of the year",
            Self::Hour | Self::HourOfHalfDay => "hour",
            Self::HalfDay => "half of the day",
            Self::Minute => "minute",
            Self::Second => "second",
            Self::Fraction => "fraction of a second",
            Self::Offset => "offset from UTC",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problem(format: &str, purpose: Purpose) -> String {
        Pattern::new(format, purpose, 68).expect_err(format).message
    }

    #[test]
    fn formats_that_cannot_work_say_why() {
        use Purpose::{Date, Time, Timestamp};
        for (purpose, format, part) in [
            (Date, "", "has no year"),
            (Date, "%d/%m", "`%d/%m` has no year (%Y, or %y for two digits)"),
            (Date, "%Y", "has no month"),
            (Date, "%Y-%m", "has no day"),
            (Date, "%Y-%d", "has no month"),
            (Date, "%Y%", "ends in a lone %"),
            (Date, "%Q-%m-%d", "has `%Q`, which is not known; known are %Y %y"),
            (Date, "%-d/%m/%Y", "has `%-`"),
            (Date, "%.3f", "has `%.`"),
            (Date, "%Y-%m-%d %y", "says the year twice"),
            (Date, "%b %m %d %Y", "says the month twice"),
            (Date, "%F %F", "says the year twice"),
            (Date, "%Y-%j-%d", "says the day of the year and the month or the day"),
            (Date, "%F %H", "says the hour, which a date does not have"),
            (Date, "%F%z", "says the offset from UTC, which a date does not have"),
            (Time, "%F %T", "says the year, which a time of day does not have"),
            (Time, "%T%z", "says the offset from UTC"),
            (Time, "%M:%S", "has no hour"),
            (Time, "%I:%M", "needs both %I"),
            (Time, "%H:%M %p", "needs neither %I nor %p"),
            (Time, "%H %S", "has a second but no minute"),
            (Time, "%H:%M%.f", "has a fraction but no second"),
            (Timestamp, "%F", "has no hour"),
            (Timestamp, "%T", "has no year"),
            (Timestamp, "%F %H%M%S%f%z", ""),
            (Timestamp, "%H%M%S%f%Y%m%d", "has a number right behind a fraction"),
            (Timestamp, "%T%.f0 %F", "has a number right behind a fraction"),
            (Timestamp, "%T%z%F", "has a number right behind a fraction or an offset"),
        ] {
            if part.is_empty() {
                assert!(Pattern::new(format, purpose, 68).is_ok(), "{format}");
            } else {
                let message = problem(format, purpose);
                assert!(message.contains(part), "{format}: {message}");
            }
        }
    }

    #[test]
    fn the_example_is_the_last_evening_of_2025() {
        for (format, example) in [
            ("%d/%m/%Y %H:%M", "31/12/2025 17:45"),
            ("%e. %B %y, %I:%M %p", "31. December 25, 5:45 PM"),
            ("%FT%T%.f%z", "2025-12-31T17:45:30+01:00"),
            ("%Y%j %T,%f%%", "2025365 17:45:30,000%"),
            (" %Y年%m月%d日 %H時 ", "2025年12月31日 17時"),
        ] {
            assert_eq!(&*Pattern::new(format, Purpose::Timestamp, 68).expect(format).example, example);
        }
    }

    proptest! {
        #[test]
        fn no_format_makes_the_compiler_panic(format in "(%[YymbBdejHIMSfpzFT%.]{0,2}|\\PC){0,12}") {
            for purpose in [Purpose::Date, Purpose::Time, Purpose::Timestamp] {
                let _ = Pattern::new(&format, purpose, 68);
            }
        }
    }
}
