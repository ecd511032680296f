//! Texts read along a compiled format. This runs for every field of a file: one pass over the bytes, no allocation.

use super::{
    Failure, calendar,
    pattern::{Item, Part, Pattern},
};

/// Microseconds in a day.
pub(super) const DAY_MICROSECONDS: i64 = 86_400_000_000;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// What a text said, not yet checked against the calendar and the clock.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// In the order of [`Part`].
    numbers: [u16; 7],
    microseconds: u32,
    afternoon: bool,
    /// Distance from UTC, positive to the east.
    pub(super) offset_seconds: Option<i32>,
}

impl Fields {
    #[inline]
    fn get(&self, part: Part) -> u16 {
        self.numbers[part as usize]
    }

    #[inline]
    pub(super) fn set(&mut self, part: Part, number: u16) {
        self.numbers[part as usize] = number;
    }
}

impl Pattern {
    /// Reads the whole of `text` into `fields`, which are to be new ones.
    ///
    /// They are not given back by value: a copy right after such small stores costs more than the reading.
    #[inline]
    pub(super) fn read(&self, text: &str, fields: &mut Fields) -> Result<(), Failure> {
        let (mut rest, items) = match self.front.read(text.as_bytes(), fields) {
            Some(rest) => (rest, self.items.get(self.front.items..).unwrap_or_default()),
            None => (text.as_bytes(), &*self.items),
        };
        for item in items {
            rest = match *item {
                Item::Byte(byte) => this_byte(rest, byte),
                Item::Number { part, least, most } => number(rest, least, most).map(|(value, rest)| {
                    fields.set(part, value);
                    rest
                }),
                _ => self.read_special(*item, rest, fields)?,
            }
            .ok_or(Failure::Form)?;
        }
        if rest.is_empty() { Ok(()) } else { Err(Failure::Form) }
    }

    fn read_special<'t>(
        &self,
        item: Item,
        text: &'t [u8],
        fields: &mut Fields,
    ) -> Result<Option<&'t [u8]>, Failure> {
        Ok(match item {
            Item::ShortYear => number(text, 2, 2).map(|(year, rest)| {
                let century = if year <= u16::from(self.pivot) { 2000 } else { 1900 };
                fields.set(Part::Year, century + year);
                rest
            }),
            Item::PaddedDay { least } => padded_day(text, least).map(|(day, rest)| {
                fields.set(Part::Day, day);
                rest
            }),
            Item::MonthName => month_name(text).map(|(month, rest)| {
                fields.set(Part::Month, month);
                rest
            }),
            Item::Fraction => fraction(text, fields)?,
            Item::PointedFraction => match text {
                [b'.', rest @ ..] => fraction(rest, fields)?,
                _ => Some(text),
            },
            Item::HalfDay => half_day(text).map(|(afternoon, rest)| {
                fields.afternoon = afternoon;
                rest
            }),
            Item::Offset => offset(text).map(|(seconds, rest)| {
                fields.offset_seconds = Some(seconds);
                rest
            }),
            Item::OffsetIfAny => match text {
                [] => Some(text),
                [b' ', rest @ ..] | rest => offset(rest).map(|(seconds, rest)| {
                    fields.offset_seconds = Some(seconds);
                    rest
                }),
            },
            Item::DateTimeSeparator => match text {
                [b'T' | b't' | b' ', rest @ ..] => Some(rest),
                _ => None,
            },
            Item::Byte(_) | Item::Number { .. } => None,
        })
    }

    /// The day in days since 1970-01-01.
    #[inline]
    pub(super) fn day(&self, fields: &Fields) -> Result<i32, Failure> {
        let year = fields.get(Part::Year);
        let day = if self.by_day_of_year {
            calendar::ordinal_day_number(year, fields.get(Part::DayOfYear))
        } else {
            calendar::day_number(year, fields.get(Part::Month), fields.get(Part::Day))
        };
        day.ok_or(Failure::Day)
    }

    /// The time of day in microseconds since midnight. 24:00 and leap seconds are not times of a day.
    #[inline]
    pub(super) fn time(&self, fields: &Fields) -> Result<i64, Failure> {
        let mut hour = fields.get(Part::Hour);
        if self.by_half_days {
            if !(1..=12).contains(&hour) {
                return Err(Failure::Clock);
            }
            hour = hour % 12 + if fields.afternoon { 12 } else { 0 };
        }
        let (minute, second) = (fields.get(Part::Minute), fields.get(Part::Second));
        if hour > 23 || minute > 59 || second > 59 {
            return Err(Failure::Clock);
        }
        let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
        Ok(seconds * 1_000_000 + i64::from(fields.microseconds))
    }
}

#[inline]
fn this_byte(text: &[u8], byte: u8) -> Option<&[u8]> {
    match text {
        [first, rest @ ..] if *first == byte => Some(rest),
        _ => None,
    }
}

/// `least` to `most` digits, and at most four, so that the value fits.
#[inline]
fn number(text: &[u8], least: u8, most: u8) -> Option<(u16, &[u8])> {
    let mut rest = text;
    let mut value = 0_u16;
    let mut count = 0;
    while count < most
        && let [first, behind @ ..] = rest
        && first.is_ascii_digit()
    {
        value = value * 10 + u16::from(first - b'0');
        rest = behind;
        count += 1;
    }
    (count >= least).then_some((value, rest))
}

fn padded_day(text: &[u8], least: u8) -> Option<(u16, &[u8])> {
    match text {
        [b' ', rest @ ..] => number(rest, 1, if least == 2 { 1 } else { 2 }),
        _ => number(text, least, 2),
    }
}

/// A month in full, by its first three letters, or "Sept", in any case.
fn month_name(text: &[u8]) -> Option<(u16, &[u8])> {
    let begins_with = |name: &str| {
        let (front, rest) = text.split_at_checked(name.len())?;
        front.eq_ignore_ascii_case(name.as_bytes()).then_some(rest)
    };
    (1_u16..).zip(MONTHS).find_map(|(month, name)| {
        let short = begins_with(name.get(..3)?)?;
        let sept = || if month == 9 { begins_with("sept") } else { None };
        Some((month, begins_with(name).or_else(sept).unwrap_or(short)))
    })
}

/// One to nine digits; those beyond the microsecond must be zeros.
fn fraction<'t>(text: &'t [u8], fields: &mut Fields) -> Result<Option<&'t [u8]>, Failure> {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(count);
    if !(1..=9).contains(&count) {
        return Ok(None);
    }
    if digits.iter().skip(6).any(|digit| *digit != b'0') {
        return Err(Failure::Fraction);
    }
    let padded = digits.iter().chain(std::iter::repeat(&b'0')).take(6);
    fields.microseconds = padded.fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    Ok(Some(rest))
}

/// `AM`, `pm`, `a.m.` and so on; true for the afternoon.
fn half_day(text: &[u8]) -> Option<(bool, &[u8])> {
    match text {
        [half @ (b'a' | b'A' | b'p' | b'P'), b'.', b'm' | b'M', b'.', rest @ ..]
        | [half @ (b'a' | b'A' | b'p' | b'P'), b'm' | b'M', rest @ ..] => {
            Some((half.eq_ignore_ascii_case(&b'p'), rest))
        }
        _ => None,
    }
}

/// `Z`, `+01`, `+0100` or `+01:00`; in seconds, positive to the east.
pub(super) fn offset(text: &[u8]) -> Option<(i32, &[u8])> {
    let (sign, rest) = match text {
        [b'Z' | b'z', rest @ ..] => return Some((0, rest)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = number(rest, 2, 2)?;
    let (minutes, rest) = match rest {
        [b':', rest @ ..] => number(rest, 2, 2)?,
        _ => number(rest, 2, 2).unwrap_or((0, rest)),
    };
    let in_range = hours < 24 && minutes < 60;
    in_range.then(|| (sign * (i32::from(hours) * 60 + i32::from(minutes)) * 60, rest))
}
