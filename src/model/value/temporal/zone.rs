//! Local times as instants: offsets, named time zones, and the hours that happen twice or not at all.

use jiff::{
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};
use serde::{Deserialize, Serialize};

use super::{Failure, FormatProblem, calendar, reading};

/// Which instant is meant by a local time that happens twice, because clocks were put back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ambiguous {
    /// The first time: still in summer time.
    Earlier,
    /// The second time: already in standard time.
    Later,
    /// Neither: the value is a violation.
    #[default]
    Reject,
}

/// Where local times are at home.
#[derive(Clone, Debug)]
pub(super) enum Zone {
    /// Always so many seconds ahead of UTC.
    Fixed(i32),
    /// Follows the rules of an IANA time zone.
    Named(TimeZone, Box<str>),
}

impl Zone {
    /// Finds a zone by its IANA name (in any case) or its offset (`+01:00`); without one, UTC.
    pub(super) fn new(name: Option<&str>) -> Result<Self, FormatProblem> {
        let Some(name) = name else { return Ok(Self::Fixed(0)) };
        let name = name.trim();
        if let Some((seconds, [])) = reading::offset(name.as_bytes()) {
            return Ok(Self::Fixed(seconds));
        }
        let zone = TimeZone::get(name).map_err(|_| unknown(name))?;
        match zone.to_fixed_offset() {
            Ok(offset) => Ok(Self::Fixed(offset.seconds())),
            Err(_) => Ok(Self::Named(zone, name.into())),
        }
    }

    /// The name for messages.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Fixed(_) => "UTC",
            Self::Named(_, name) => name,
        }
    }

    /// How many seconds the local time on a day (since 1970-01-01) at a second of it is ahead of UTC.
    #[inline]
    pub(super) fn offset_seconds(&self, day: i32, second: i64, ambiguous: Ambiguous) -> Result<i32, Failure> {
        match self {
            Self::Fixed(seconds) => Ok(*seconds),
            Self::Named(zone, _) => {
                let local = local_time(day, second).ok_or(Failure::Range)?;
                match (zone.to_ambiguous_timestamp(local).offset(), ambiguous) {
                    (AmbiguousOffset::Unambiguous { offset }, _)
                    | (AmbiguousOffset::Fold { before: offset, .. }, Ambiguous::Earlier)
                    | (AmbiguousOffset::Fold { after: offset, .. }, Ambiguous::Later) => Ok(offset.seconds()),
                    (AmbiguousOffset::Fold { .. }, Ambiguous::Reject) => Err(Failure::Twice),
                    (AmbiguousOffset::Gap { .. }, _) => Err(Failure::Never),
                }
            }
        }
    }
}

/// The same in the words of the time zone library; fractions do not matter, as clocks change at whole seconds.
fn local_time(day: i32, second: i64) -> Option<DateTime> {
    let (year, month, day) = calendar::date_of(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    DateTime::new(
        year.try_into().ok()?,
        month.try_into().ok()?,
        day.try_into().ok()?,
        hour.try_into().ok()?,
        minute.try_into().ok()?,
        second.try_into().ok()?,
        0,
    )
    .ok()
}

fn unknown(name: &str) -> FormatProblem {
    let wanted = name.to_ascii_lowercase();
    let likeness = |known: &String| strsim::jaro_winkler(&known.to_ascii_lowercase(), &wanted);
    let nearest = jiff::tz::db()
        .available()
        .map(|known| known.as_str().to_owned())
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|known| likeness(known) > 0.85);
    let name = name.escape_debug();
    FormatProblem {
        message: match nearest {
            Some(known) => format!("there is no time zone `{name}`; did you mean `{known}`?"),
            None => format!("there is no time zone `{name}`; they have names like `Europe/Berlin`"),
        },
    }
}
