//! What becomes of rejects: which of them are open no more, and why. Only open ones can load.
//!
//! A reject is open from the moment when the good rows of its file are loaded. The ledger writes down only what closes, as
//! ranges of record numbers.

use serde::{Deserialize, Serialize};

use crate::model::DeliveryId;

/// Why rejects are open no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "closing", rename_all = "snake_case")]
pub enum Closing {
    /// A correction loaded them.
    Corrected {
        /// Its delivery.
        delivery: DeliveryId,
    },
    /// Their key was loaded otherwise: by a later delivery, so that theirs are older values, or by another row of the same
    /// file.
    Overtaken {
        /// The delivery that loaded it.
        delivery: DeliveryId,
        /// It was another row of the same file.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        same_file: bool,
    },
    /// A person said that nothing has to become of them.
    Ignored {
        /// Who.
        person: String,
        /// Why.
        reason: String,
    },
}

impl Closing {
    /// The word that stands in lists and JSON.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Corrected { .. } => "corrected",
            Self::Overtaken { .. } => "overtaken",
            Self::Ignored { .. } => "ignored",
        }
    }

    /// As the rest of a sentence that begins with "the record".
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Corrected { delivery } => format!("is corrected already: {delivery} loaded it"),
            Self::Overtaken { same_file: true, .. } => {
                "is overtaken: another row of the same file was loaded with this key".to_owned()
            }
            Self::Overtaken { delivery, .. } => {
                format!("is overtaken: {delivery} loaded this key later, and its values are newer")
            }
            Self::Ignored { person, reason } => format!("is ignored, says {person}: {reason}"),
        }
    }
}

/// Record numbers as ranges, ascending, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// How many records they are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0u64, |sum, (first, last)| {
            sum.saturating_add(last.saturating_sub(*first).saturating_add(1))
        })
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True when `record` is one of them.
    #[must_use]
    pub fn contains(&self, record: u64) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= record);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|(_, last)| record <= *last)
    }

    /// First and last record of each range.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<u64> for Ranges {
    /// From records in any order; a record that comes twice is one.
    fn from_iter<I: IntoIterator<Item = u64>>(records: I) -> Self {
        let mut records: Vec<u64> = records.into_iter().collect();
        records.sort_unstable();
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for record in records {
            match ranges.last_mut() {
                Some((_, last)) if record <= last.saturating_add(1) => *last = record,
                _ => ranges.push((record, record)),
            }
        }
        Self(ranges)
    }
}

/// Which rejects of a delivery are open no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectStates {
    pub(super) closed: Vec<(Closing, Ranges)>,
}

impl RejectStates {
    /// Why the reject of this record is open no more; none while it is open.
    #[must_use]
    pub fn of(&self, record: u64) -> Option<&Closing> {
        self.closed.iter().find(|(_, records)| records.contains(record)).map(|(closing, _)| closing)
    }

    /// Everything that was closed, in that order.
    pub fn closed(&self) -> impl Iterator<Item = (&Closing, &Ranges)> {
        self.closed.iter().map(|(closing, records)| (closing, records))
    }
}

/// A reject whose key is known: when a later delivery loads that key, it is overtaken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectKey {
    /// The delivery, as the number of its arrival.
    pub arrival: u64,
    /// The same by its name.
    pub delivery: DeliveryId,
    /// The record.
    pub record: u64,
    /// The keyed hash of its key.
    pub hash: [u8; 16],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_what_they_were_made_of() {
        let ranges: Ranges = [5, 1, 2, 3, 9, 9, 7].into_iter().collect();
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(1, 3), (5, 5), (7, 7), (9, 9)]);
        assert_eq!(ranges.count(), 6);
        let held: Vec<u64> = (0..12).filter(|record| ranges.contains(*record)).collect();
        assert_eq!(held, [1, 2, 3, 5, 7, 9]);
        assert!(Ranges::default().is_empty() && !ranges.is_empty());
        assert_eq!(serde_json::to_string(&ranges).unwrap(), "[[1,3],[5,5],[7,7],[9,9]]");
    }
}
