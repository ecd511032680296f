//! Time zones: instants to local times and back.

use std::sync::Arc;

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

use super::{
    moments::{NO_DAY, in_range},
    node::Run,
    time::{DAY, SECOND, day_of},
    types::Type,
    vector::Vector,
};
use crate::model::value::temporal::date_of;

/// The local time of an instant.
pub(super) fn to_local(zone: TimeZone) -> Run {
    shift(move |micros| {
        let offset = zone.to_offset(Timestamp::from_microsecond(micros).ok()?);
        in_range(micros.checked_add(i64::from(offset.seconds()) * SECOND)?)
    })
}

/// The instant of a local time. One that clocks show twice is the second, in standard time; one that they never show is
/// taken as if they had not yet been put forward.
pub(super) fn to_instant(zone: TimeZone) -> Run {
    shift(move |micros| {
        let (year, month, day) = date_of(day_of(micros));
        // Below 86,400; clocks change at whole seconds.
        let second = (micros.rem_euclid(DAY) / SECOND) as i32;
        let [hour, minute, second] = [second / 3600, second / 60 % 60, second % 60].map(|part| part as i8);
        let local = DateTime::new(
            year.try_into().ok()?,
            month.try_into().ok()?,
            day.try_into().ok()?,
            hour,
            minute,
            second,
            0,
        );
        let offset = match zone.to_ambiguous_timestamp(local.ok()?).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } => before,
            AmbiguousOffset::Fold { after, .. } => after,
        };
        in_range(micros.checked_sub(i64::from(offset.seconds()) * SECOND)?)
    })
}

fn shift(to: impl Fn(i64) -> Option<i64> + Send + Sync + 'static) -> Run {
    Arc::new(move |rows, arguments| match arguments {
        [Vector::Timestamp(values)] => {
            Vector::Timestamp(rows.map(arguments, |row| to(values.get(row)).map(Some).ok_or(NO_DAY)))
        }
        _ => Vector::null(Type::Local),
    })
}
