//! Lengths of time: months, days and microseconds, which are kept apart as a month has no fixed number of days.

use std::{cmp::Ordering, fmt::Write};

use super::time::{DAY, HOUR, MINUTE, SECOND};

/// A length of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) months: i32,
    pub(super) days: i32,
    pub(super) micros: i64,
}

impl Interval {
    /// Puts the three parts into one number, so that intervals are values of a fixed width.
    #[inline]
    pub(super) fn pack(self) -> i128 {
        let (months, days) = (u128::from(self.months.cast_unsigned()), u128::from(self.days.cast_unsigned()));
        ((months << 96) | (days << 64) | u128::from(self.micros.cast_unsigned())).cast_signed()
    }

    /// The way back.
    #[inline]
    pub(super) fn unpack(packed: i128) -> Self {
        let bits = packed.cast_unsigned();
        // Each part is cut out of its own bits.
        Self {
            months: ((bits >> 96) as u32).cast_signed(),
            days: ((bits >> 64) as u32).cast_signed(),
            micros: (bits as u64).cast_signed(),
        }
    }

    /// Microseconds, a month taken for 30 days and a day for 24 hours: how PostgreSQL compares intervals.
    fn length(self) -> i128 {
        let days = i128::from(self.months) * 30 + i128::from(self.days);
        days * i128::from(DAY) + i128::from(self.micros)
    }

    /// Which one is longer.
    #[inline]
    pub(super) fn cmp_length(self, other: Self) -> Ordering {
        self.length().cmp(&other.length())
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_add(other.months)?,
            days: self.days.checked_add(other.days)?,
            micros: self.micros.checked_add(other.micros)?,
        })
    }

    pub(super) fn negate(self) -> Option<Self> {
        Some(Self {
            months: self.months.checked_neg()?,
            days: self.days.checked_neg()?,
            micros: self.micros.checked_neg()?,
        })
    }

    /// Times a number. A fraction of a month becomes days of 30 to the month, one of a day becomes hours.
    pub(super) fn times(self, factor: f64) -> Option<Self> {
        let months = f64::from(self.months) * factor;
        let days = f64::from(self.days) * factor;
        self.spread(months, days, self.micros as f64 * factor)
    }

    /// Divided by a number that is not zero.
    pub(super) fn over(self, divisor: f64) -> Option<Self> {
        let months = f64::from(self.months) / divisor;
        let days = f64::from(self.days) / divisor;
        self.spread(months, days, self.micros as f64 / divisor)
    }

    fn spread(self, months: f64, days: f64, micros: f64) -> Option<Self> {
        // Numbers that are a rounding error away from a microsecond are taken for it.
        let clean = |value: f64| (value * 1e6).round_ties_even() / 1e6;
        let seconds_of_day = 86_400.0;
        let whole_months = integer(months)?;
        let whole_days = integer(days)?;
        let mut month_days = clean((months - f64::from(whole_months)) * 30.0);
        let mut seconds =
            clean((days - f64::from(whole_days) + month_days - month_days.trunc()) * seconds_of_day);
        if seconds.abs() >= seconds_of_day {
            month_days += (seconds / seconds_of_day).trunc();
            seconds -= (seconds / seconds_of_day).trunc() * seconds_of_day;
        }
        let micros = (micros + seconds * SECOND as f64).round_ties_even();
        if micros.is_nan() || micros.abs() >= 9.2e18 {
            return None;
        }
        Some(Self {
            months: whole_months,
            days: whole_days.checked_add(integer(month_days)?)?,
            micros: micros as i64,
        })
    }

    /// Reads `1 year 2 months 3 days 04:05:06`, `-5 minutes`, `1.5 hours`, `2 weeks ago`. A unit may be given apart for a
    /// bare number.
    pub(super) fn read(text: &str, unit: Option<&str>) -> Option<Self> {
        let mut found = Self::default();
        let mut words = text.split_ascii_whitespace().flat_map(split_unit).peekable();
        let mut any = false;
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case("ago") {
                return (any && words.peek().is_none()).then(|| found.negate())?;
            }
            if word.contains(':') {
                found.micros = found.micros.checked_add(clock(word)?)?;
            } else {
                let unit = match words.next() {
                    Some(unit) => unit,
                    None => unit?,
                };
                found = found.add(Self::of(word, unit)?)?;
            }
            any = true;
        }
        any.then_some(found)
    }

    /// So many units.
    fn of(number: &str, unit: &str) -> Option<Self> {
        let unit = unit.to_ascii_lowercase();
        let (months, days, micros) =
            match unit.strip_suffix('s').filter(|unit| unit.len() > 2).unwrap_or(&unit) {
                "century" | "centurie" => (1200, 0, 0),
                "decade" => (120, 0, 0),
                "year" | "yr" | "y" => (12, 0, 0),
                "month" | "mon" => (1, 0, 0),
                "week" | "w" => (0, 7, 0),
                "day" | "d" => (0, 1, 0),
                "hour" | "hr" | "h" => (0, 0, HOUR),
                "minute" | "min" | "m" => (0, 0, MINUTE),
                "second" | "sec" | "s" => (0, 0, SECOND),
                "millisecond" | "msec" | "ms" => (0, 0, 1000),
                "microsecond" | "usec" | "us" => (0, 0, 1),
                _ => return None,
            };
        if let Ok(number) = number.parse::<i32>() {
            return Some(Self {
                months: number.checked_mul(months)?,
                days: number.checked_mul(days)?,
                micros: i64::from(number).checked_mul(micros)?,
            });
        }
        // Fractions: of a time exact to the microsecond, of a day or week in days and hours, of a year in months.
        let (value, _, scale) = super::decimal::read(number.trim_start_matches(['-', '+']))?;
        let value = if number.starts_with('-') { -value } else { value };
        let part = |unit: i64| -> Option<(i64, i128)> {
            let product = value.checked_mul(i128::from(unit))?;
            let one = super::decimal::power(scale);
            Some((i64::try_from(product / one).ok()?, product % one))
        };
        let share = |rest: i128, unit: i64| -> Option<i64> {
            i64::try_from(super::decimal::rescale(rest.checked_mul(i128::from(unit))?, scale, 0)?).ok()
        };
        if months > 0 {
            let (whole, rest) = part(months.into())?;
            // Of a month only whole years and months are read exactly.
            return (rest == 0).then_some(Self { months: i32::try_from(whole).ok()?, ..Self::default() });
        }
        if days > 0 {
            let (whole, rest) = part(days.into())?;
            let days = i32::try_from(whole).ok()?;
            return Some(Self { days, micros: share(rest, DAY)?, ..Self::default() });
        }
        Some(Self { micros: share(value, micros)?, ..Self::default() })
    }

    /// The text that PostgreSQL writes: `1 year 2 mons -3 days 04:05:06.5`.
    pub(super) fn write(self, out: &mut String) {
        let start = out.len();
        let (years, months) = (self.months / 12, self.months % 12);
        let mut negative_before = false;
        for (number, one, many) in
            [(years, "year", "years"), (months, "mon", "mons"), (self.days, "day", "days")]
        {
            if number == 0 {
                continue;
            }
            let gap = if out.len() > start { " " } else { "" };
            // After a negative part a positive one needs its sign.
            let sign = if negative_before && number > 0 { "+" } else { "" };
            let unit = if number == 1 { one } else { many };
            let _ = write!(out, "{gap}{sign}{number} {unit}"); // a String takes everything
            negative_before = number < 0;
        }
        if self.micros != 0 || out.len() == start {
            let gap = if out.len() > start { " " } else { "" };
            let sign = match self.micros {
                ..0 => "-",
                _ if negative_before => "+",
                _ => "",
            };
            let micros = self.micros.unsigned_abs();
            let (hour, minute, second) = (HOUR.unsigned_abs(), MINUTE.unsigned_abs(), SECOND.unsigned_abs());
            let (hours, minutes, seconds) = (micros / hour, micros / minute % 60, micros / second % 60);
            let _ = write!(out, "{gap}{sign}{hours:02}:{minutes:02}:{seconds:02}");
            fraction(micros % second, out);
        }
    }
}

/// Writes the digits of a fraction of a second without the zeros at its end.
pub(super) fn fraction(micros: u64, out: &mut String) {
    if micros > 0 {
        let digits = format!("{micros:06}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

/// The whole part, if an i32 holds it.
fn integer(value: f64) -> Option<i32> {
    (value.abs() < 2_147_483_648.0).then_some(value.trunc() as i32)
}

/// `5days` as `5` and `days`.
fn split_unit(word: &str) -> impl Iterator<Item = &str> {
    let at = word.find(|c: char| c.is_ascii_alphabetic()).filter(|at| *at > 0).unwrap_or(word.len());
    let (number, unit) = word.split_at_checked(at).unwrap_or((word, ""));
    [number, unit].into_iter().filter(|part| !part.is_empty())
}

/// `04:05`, `-04:05:06.5` as microseconds.
fn clock(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut parts = digits.split(':');
    let hours: i64 = parts.next()?.parse::<u32>().ok()?.into();
    let minutes: i64 = parts.next()?.parse::<u8>().ok().filter(|minutes| *minutes < 60)?.into();
    let seconds = match parts.next() {
        Some(seconds) => {
            let (value, _, scale) = super::decimal::read(seconds)?;
            let micros = super::decimal::rescale(value, scale, 6)?;
            i64::try_from(micros).ok().filter(|micros| *micros < MINUTE)?
        }
        None => 0,
    };
    let micros = hours.checked_mul(HOUR)?.checked_add(minutes * MINUTE)?.checked_add(seconds)?;
    parts.next().is_none().then_some(if negative { -micros } else { micros })
}
