//! What can happen to a delivery, as the ledger keeps it. Events are written once and never changed; they hold
//! identities, counts and messages, never cell values.
//!
//! In the ledger an event is one JSON object with the key `event`. A later version may add keys and events; it never
//! changes what these mean.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::closing::{Closing, Ranges};
use crate::model::{ContentHash, DeliveryId, FileName, Reason, Tally};

/// One thing that happened to one delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The file was taken: its bytes are in the archive, durably. Always the first.
    Taken(Taken),
    /// It waits for its turn.
    Waiting {
        /// The delivery that it has to wait for, if it is one: held or failed, or of a mapping that its own waits for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blocker: Option<DeliveryId>,
        /// Why, in words for a person.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// A fault that may pass kept this attempt from loading: it waits for the next one.
    Postponed {
        /// What went wrong, in words for a person.
        message: String,
        /// When it may be tried again, in milliseconds since 1970.
        not_before: u64,
        /// How long this attempt worked, in milliseconds.
        worked_millis: u64,
    },
    /// The program was told to end before this attempt had come to anything: it waits for its turn, and the attempt does
    /// not count.
    Interrupted,
    /// An attempt to validate and load it began; also when it begins again after a crash.
    Started {
        /// Number of the attempt, from 1, without gaps.
        attempt: u32,
        /// Fingerprint of the plan from now on in force, if it is not the one before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<String>,
        /// Hash of the files that values are looked up in, as they stand now; none when the plan has no such files.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lookups: Option<String>,
    },
    /// It is validated and its work file sealed; nothing is loaded yet.
    Validated {
        /// Records read.
        read: u64,
        /// Rows that can be loaded.
        good: u64,
        /// Records that the filter leaves out.
        #[serde(default, skip_serializing_if = "is_zero")]
        filtered: u64,
        /// Records that did not pass.
        rejected: u64,
        /// Violations counted by rule code.
        violations: BTreeMap<String, u64>,
        /// An attempt before had done it, and its sealed work file was taken up.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        before: bool,
    },
    /// Its good rows are in the target; or, of a shadow run, were compared with it.
    Loaded {
        /// What became of its records; balances and withholds nothing.
        tally: Tally,
        /// The same for each table; each balances. Empty for a shadow run, which writes to none.
        tables: BTreeMap<String, Tally>,
        /// What a person should know of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// What was written for people.
        reports: Reports,
        /// How long this attempt worked, in milliseconds.
        worked_millis: u64,
    },
    /// Nothing of it was loaded, and nothing will be.
    Refused(Stop),
    /// The same bytes under the same mapping are loaded already.
    Duplicate {
        /// The delivery that loaded them.
        of: DeliveryId,
    },
    /// A later delivery made it void: of the same bytes, or of a newer file that is the whole truth.
    Overtaken {
        /// That delivery.
        by: DeliveryId,
        /// It has other bytes.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        newer: bool,
    },
    /// Nothing was loaded: a person has to look at it first.
    Held(Stop),
    /// A fault kept it from loading.
    Failed {
        /// What went wrong, and how far it had come.
        #[serde(flatten)]
        stop: Stop,
        /// True when the same may go well later without anybody changing anything.
        retryable: bool,
    },
    /// A person let a held delivery go on: it waits for its turn again.
    Approved {
        /// So many rejects were shown and accepted; a run with more holds again.
        rejected: u64,
        /// So many rows were shown that would vanish from the table, and accepted; a run with more holds again.
        #[serde(default, skip_serializing_if = "is_zero")]
        deletes: u64,
        /// Who said so.
        by: String,
    },
    /// A person asked for another attempt: it waits for its turn again.
    Retried {
        /// Who said so.
        by: String,
    },
    /// Reports were written, or written again.
    ReportsWritten {
        /// Where they are now.
        reports: Reports,
    },
    /// Its rejects can be corrected from now on.
    RejectsOpened {
        /// The table that they belong to: its connection, a slash, its name.
        place: String,
        /// Rejects that only lack a row of a table, by that table.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        missing: BTreeMap<String, u64>,
    },
    /// Its rejects that lack a row of another table were tried again; what would load was taken as a correction.
    RejectsTried {
        /// With all that the ledger knew as loaded up to this event.
        seen: u64,
    },
    /// Some of its rejects are open no more.
    RejectsClosed {
        /// Why.
        how: Closing,
        /// Which.
        records: Ranges,
    },
    /// Something that its story should tell, for people only.
    Noted {
        /// The sentence.
        text: String,
    },
}

/// A file that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Its name as it came.
    #[serde(with = "file_name")]
    pub file: FileName,
    /// The source that it came from, by its name in the configuration.
    pub source: String,
    /// Where it stood, so that the source can be settled after a crash.
    #[serde(default, with = "raw_path", skip_serializing_if = "Option::is_none")]
    pub source_path: Option<PathBuf>,
    /// By what the source can tell that the file there is still the one taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<String>,
    /// Why it was held to be complete: "unchanged for 2 s", "orders.csv.done is there".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// Its length in bytes.
    pub size: u64,
    /// Last change of its content by the clock of whoever wrote it, in nanoseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_nanos: Option<i64>,
    /// BLAKE3 of its bytes.
    pub hash: ContentHash,
    /// Its copy, relative to the site's archive.
    pub archive: String,
    /// The mapping it is loaded under, if one fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<String>,
    /// Fingerprint of that mapping's plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The delivery some of whose rejects it brings corrected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<DeliveryId>,
    /// For a correction that came as a file: the copy of that file as it came, relative to the site's archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<String>,
    /// The delivery whose archived file it loads once more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reruns: Option<DeliveryId>,
    /// It stands for that delivery from now on, which the target had forgotten.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restores: bool,
}

/// Why a delivery did not load, and how far it had come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The code.
    pub reason: Reason,
    /// What is wrong, where, and what to do, in words for a person.
    pub message: String,
    /// What became of its records; balances. All zero when none were read.
    pub tally: Tally,
    /// Rows that would vanish from the table, of a delivery that is held.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deletes: u64,
    /// What was written for people.
    #[serde(default)]
    pub reports: Reports,
    /// How long this attempt worked, in milliseconds.
    pub worked_millis: u64,
}

/// Report files, as paths relative to the site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reports {
    /// The rejects, to be corrected and sent back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejects: Option<String>,
    /// The violations, one a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
    /// With what the table differs, of a shadow run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differences: Option<String>,
}

impl Event {
    /// The word that stands for the event in the ledger.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Taken(_) => "taken",
            Self::Waiting { .. } => "waiting",
            Self::Postponed { .. } => "postponed",
            Self::Interrupted => "interrupted",
            Self::Started { .. } => "started",
            Self::Validated { .. } => "validated",
            Self::Loaded { .. } => "loaded",
            Self::Refused(_) => "refused",
            Self::Duplicate { .. } => "duplicate",
            Self::Overtaken { .. } => "overtaken",
            Self::Held(_) => "held",
            Self::Failed { .. } => "failed",
            Self::Approved { .. } => "approved",
            Self::Retried { .. } => "retried",
            Self::ReportsWritten { .. } => "reports_written",
            Self::RejectsOpened { .. } => "rejects_opened",
            Self::RejectsTried { .. } => "rejects_tried",
            Self::RejectsClosed { .. } => "rejects_closed",
            Self::Noted { .. } => "noted",
        }
    }
}

/// What is zero mostly is left out then.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde's form
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Names and paths are bytes, JSON is text: what is UTF-8 stands as it is, anything else as `{"hex": "..."}`, so that
/// nothing is lost.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Raw {
    Text(String),
    Hex { hex: String },
}

impl Raw {
    fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex { hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() },
        }
    }

    fn bytes<E: serde::de::Error>(self) -> Result<Vec<u8>, E> {
        let hex = match self {
            Self::Text(text) => return Ok(text.into_bytes()),
            Self::Hex { hex } => hex,
        };
        let digits: Option<Vec<u8>> =
            hex.chars().map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok())).collect();
        match digits {
            Some(digits) if digits.len() % 2 == 0 => {
                Ok(digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect())
            }
            _ => Err(E::custom("not a row of hexadecimal digit pairs")),
        }
    }
}

mod file_name {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{FileName, Raw};

    pub fn serialize<S: Serializer>(name: &FileName, serializer: S) -> Result<S::Ok, S::Error> {
        Raw::new(name.as_bytes()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FileName, D::Error> {
        Raw::deserialize(deserializer)?.bytes().map(FileName::new)
    }
}

pub(super) mod raw_path {
    use std::{
        ffi::OsString,
        os::unix::ffi::{OsStrExt, OsStringExt},
        path::{Path, PathBuf},
    };

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Raw;

    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_ref().map(|path| Raw::new(path.as_os_str().as_bytes())).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
        let raw = Option::<Raw>::deserialize(deserializer)?;
        raw.map(|raw| raw.bytes().map(|bytes| PathBuf::from(OsString::from_vec(bytes)))).transpose()
    }

    /// The same for a path that is always there.
    pub mod path {
        use super::*;

        pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
            Raw::new(path.as_os_str().as_bytes()).serialize(serializer)
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
            let bytes = Raw::deserialize(deserializer)?.bytes()?;
            Ok(PathBuf::from(OsString::from_vec(bytes)))
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};

    use super::*;

    pub fn taken(file: &[u8]) -> Taken {
        Taken {
            file: FileName::new(file),
            source: "inbox".into(),
            source_path: Some("/site/inbox/orders.csv".into()),
            stamp: Some("length=3 inode=7".into()),
            evidence: None,
            size: 3,
            modified_nanos: Some(1_700_000_000_000_000_000),
            hash: ContentHash([7; 32]),
            archive: "2026/11/20/orders.csv".into(),
            mapping: Some("orders".into()),
            plan: Some("f00d".into()),
            corrects: None,
            returned: None,
            reruns: None,
            restores: false,
        }
    }

    pub fn stop(reason: Reason) -> Stop {
        let tally = Tally { read: 5, withheld: 3, rejected: 2, ..Tally::default() };
        Stop {
            reason,
            message: "a control total disagrees".into(),
            tally,
            deletes: 7,
            reports: Reports::default(),
            worked_millis: 500,
        }
    }

    /// One of each, with a number by which the property tests vary them.
    pub fn every(number: u32) -> Vec<Event> {
        let other = DeliveryId::new(1, &[9; 10]);
        let tally = Tally {
            read: 5,
            inserted: 5 - u64::from(number % 2),
            rejected: u64::from(number % 2),
            ..Tally::default()
        };
        vec![
            Event::Taken(taken(b"orders.csv")),
            Event::Waiting {
                blocker: number.is_multiple_of(2).then_some(other),
                why: Some("it waits for customers".into()),
            },
            Event::Postponed { message: "the database is locked".into(), not_before: 7, worked_millis: 3 },
            Event::Interrupted,
            Event::Started { attempt: number, plan: Some("beef".into()), lookups: Some("cafe".into()) },
            Event::Validated {
                read: 5,
                good: 3,
                filtered: 0,
                rejected: 2,
                violations: BTreeMap::from([("type".into(), 2)]),
                before: number.is_multiple_of(2),
            },
            Event::Loaded {
                message: None,
                tally,
                tables: BTreeMap::from([("orders".into(), tally)]),
                reports: Reports {
                    rejects: Some("outbox/rejects/orders/orders.csv".into()),
                    ..Reports::default()
                },
                worked_millis: 1250,
            },
            Event::Refused(stop(Reason::Controls)),
            Event::Duplicate { of: other },
            Event::Overtaken { by: other, newer: number.is_multiple_of(2) },
            Event::Held(stop(Reason::RejectHold)),
            Event::Failed { stop: stop(Reason::Fault), retryable: number.is_multiple_of(2) },
            Event::Approved { rejected: 2, deletes: 7, by: "ada".into() },
            Event::Retried { by: "ada".into() },
            Event::ReportsWritten { reports: Reports { errors: Some("e.csv".into()), ..Reports::default() } },
            Event::Noted { text: "taken up again after a crash".into() },
            Event::RejectsOpened {
                place: "/orders".into(),
                missing: BTreeMap::from([("customers".into(), 1)]),
            },
            Event::RejectsTried { seen: 3 },
            Event::RejectsClosed {
                how: Closing::Ignored { person: "ada".into(), reason: "a test".into() },
                records: [2].into_iter().collect(),
            },
        ]
    }

    #[test]
    fn every_event_reads_back_and_is_tagged_with_its_name() {
        for event in every(1) {
            let json = serde_json::to_string(&event).unwrap();
            assert!(json.starts_with(&format!("{{\"event\":\"{}\"", event.name())), "{json}");
            assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
        }
    }

    #[test]
    fn what_was_written_before_rows_could_vanish_reads_as_none() {
        let approved: Event =
            serde_json::from_str(r#"{"event":"approved","rejected":2,"by":"ada"}"#).unwrap();
        assert_eq!(approved, Event::Approved { rejected: 2, deletes: 0, by: "ada".into() });
        let json = serde_json::to_string(&approved).unwrap();
        assert!(!json.contains("deletes"), "{json}");
    }

    #[test]
    fn names_that_are_not_text_survive() {
        let mut odd = taken(b"a\xff\x00b");
        odd.source_path = Some(OsString::from_vec(b"/in/\xfe".to_vec()).into());
        let json = serde_json::to_string(&Event::Taken(odd.clone())).unwrap();
        assert!(json.contains(r#""file":{"hex":"61ff0062"}"#), "{json}");
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), Event::Taken(odd));
    }

    #[test]
    fn a_ledger_with_broken_hex_is_an_error_not_another_name() {
        let json = serde_json::to_string(&Event::Taken(taken(b"\xff"))).unwrap();
        for broken in ["f", "fg", "+f"] {
            let json = json.replace(r#""hex":"ff""#, &format!(r#""hex":"{broken}""#));
            assert!(serde_json::from_str::<Event>(&json).is_err(), "{broken}");
        }
    }
}
