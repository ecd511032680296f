//! Days and clocks: what dates and timestamps are made of.

/// Microseconds of a second.
pub(super) const SECOND: i64 = 1_000_000;
/// Microseconds of a minute.
pub(super) const MINUTE: i64 = 60 * SECOND;
/// Microseconds of an hour.
pub(super) const HOUR: i64 = 60 * MINUTE;
/// Microseconds of a day.
pub(super) const DAY: i64 = 24 * HOUR;

use std::fmt::Write;

use super::interval::fraction;

/// The day of an instant, since 1970-01-01.
#[inline]
pub(super) fn day_of(micros: i64) -> i32 {
    // An i64 of microseconds is 107 million days: it fits.
    micros.div_euclid(DAY) as i32
}

/// Writes microseconds of a day as `17:45:30`, with the digits that its fraction needs.
pub(super) fn write_clock(micros: i64, out: &mut String) {
    let micros = micros.clamp(0, DAY).unsigned_abs();
    let (hour, minute, second) = (HOUR.unsigned_abs(), MINUTE.unsigned_abs(), SECOND.unsigned_abs());
    // A String takes everything.
    let _ = write!(out, "{:02}:{:02}:{:02}", micros / hour, micros / minute % 60, micros / second % 60);
    fraction(micros % second, out);
}
