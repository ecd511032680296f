//! Days of the proleptic Gregorian calendar as numbers, counted from 1970-01-01.

/// 0001-01-01.
pub const FIRST_DAY: i32 = -719_162;
/// 9999-12-31.
pub const LAST_DAY: i32 = 2_932_896;

/// Days from 0000-03-01 to 1970-01-01.
const MARCH_0000_TO_EPOCH: i32 = 719_468;
const DAYS_IN_400_YEARS: i64 = 146_097;

#[inline]
fn is_leap_year(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[inline]
fn days_in_month(year: u16, month: u16) -> u16 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    }
}

/// The number of a day, `None` when the calendar has no such day or the year is not 1 to 9999.
///
/// The year is taken to begin in March, so that the leap day is its last and the months before it have the regular
/// lengths 31, 30, 31, 30, 31, which `(153 * month + 2) / 5` adds up (Howard Hinnant, "chrono-compatible low-level
/// date algorithms").
#[inline]
pub fn day_number(year: u16, month: u16, day: u16) -> Option<i32> {
    // Every month has 28 days, so that most dates need no look at its length.
    let exists = (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && day > 0
        && (day <= 28 || day <= days_in_month(year, month));
    if !exists {
        return None;
    }
    let (year, month, day) = (i32::from(year), i32::from(month), i32::from(day));
    let year_before = i32::from(month < 3);
    let (year, month) = (year - year_before, month + 12 * year_before - 3);
    let before_year = 365 * year + year / 4 - year / 100 + year / 400;
    Some(before_year + (153 * month + 2) / 5 + day - 1 - MARCH_0000_TO_EPOCH)
}

/// The number of the `day_of_year`th day (from 1) of a year of 1 to 9999.
#[inline]
pub(super) fn ordinal_day_number(year: u16, day_of_year: u16) -> Option<i32> {
    let days = if is_leap_year(year) { 366 } else { 365 };
    let first = day_number(year, 1, 1)?;
    (1..=days).contains(&day_of_year).then(|| first + i32::from(day_of_year) - 1)
}

/// Year, month and day of a day number: the way back, for any number.
#[inline]
pub fn date_of(days: i32) -> (i32, u8, u8) {
    let days = i64::from(days) + i64::from(MARCH_0000_TO_EPOCH);
    let cycle = days.div_euclid(DAYS_IN_400_YEARS);
    let day_of_cycle = days.rem_euclid(DAYS_IN_400_YEARS);
    // Takes out the leap days before, so that every year has 365.
    let leap_days = day_of_cycle / 1460 - day_of_cycle / 36_524 + day_of_cycle / 146_096;
    let year_of_cycle = (day_of_cycle - leap_days) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    // An i32 of days is below six million years, months and days are below 32: nothing is cut off.
    ((cycle * 400 + year_of_cycle + next) as i32, month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use jiff::{ToSpan, civil};

    use super::*;

    #[test]
    fn every_day_from_0001_to_9999_has_its_number() {
        let (mut year, mut month, mut day) = (1, 1, 1);
        for number in FIRST_DAY..=LAST_DAY {
            assert_eq!(day_number(year, month, day), Some(number));
            let back = date_of(number);
            assert_eq!((back.0, u16::from(back.1), u16::from(back.2)), (i32::from(year), month, day));
            (year, month, day) = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                _ if day == days_in_month(year, month) => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
        assert_eq!((year, month, day), (10_000, 1, 1));
    }

    #[test]
    fn the_numbers_are_those_of_an_independent_calendar() {
        let epoch = civil::date(1970, 1, 1);
        for number in (-719_162..2_932_896).step_by(997) {
            let date = epoch.checked_add(i64::from(number).days()).expect("a date");
            let (year, month, day) = (date.year().unsigned_abs(), date.month(), date.day());
            assert_eq!(
                day_number(year, u16::from(month.unsigned_abs()), u16::from(day.unsigned_abs())),
                Some(number)
            );
            assert_eq!(ordinal_day_number(year, date.day_of_year().unsigned_abs()), Some(number));
        }
    }

    #[test]
    fn days_that_do_not_exist_have_no_number() {
        for (year, month, day) in [
            (0, 1, 1),
            (10_000, 1, 1),
            (2025, 0, 1),
            (2025, 13, 1),
            (2025, 1, 0),
            (2025, 1, 32),
            (2025, 4, 31),
            (2025, 2, 29),
            (1900, 2, 29),
            (2024, 2, 30),
        ] {
            assert_eq!(day_number(year, month, day), None, "{year}-{month}-{day}");
        }
        assert!(day_number(2000, 2, 29).is_some() && day_number(2024, 2, 29).is_some());
        assert_eq!(ordinal_day_number(2025, 366), None);
        assert_eq!(ordinal_day_number(2024, 366), day_number(2024, 12, 31));
        assert_eq!(ordinal_day_number(2024, 0), None);
        assert_eq!(ordinal_day_number(0, 1), None);
    }

    #[test]
    fn the_way_back_goes_to_the_ends_of_the_numbers() {
        assert_eq!(date_of(i32::MIN), (-5_877_641, 6, 23));
        assert_eq!(date_of(i32::MAX), (5_881_580, 7, 11));
        assert_eq!(date_of(-719_163), (0, 12, 31));
    }
}
