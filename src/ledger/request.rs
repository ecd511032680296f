//! What commands ask of the engine that works on the site, and what it answers: a command that finds the site's lock held
//! by a running engine puts its request here and follows it.
//!
//! A request stays until it is answered or withdrawn, whoever asked. The answer is written in the transaction of the
//! events that it speaks of, so that nothing is done twice or not at all.

use std::path::PathBuf;

use rusqlite::{Row, Transaction};
use serde::{Deserialize, Serialize};

use super::{
    closing::Ranges,
    event::raw_path,
    row::{self, Unsigned, integer},
};
use crate::model::{DeliveryId, Reason};

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Wish {
    /// Take this file, which stays where it is, and load it.
    Load {
        /// Its absolute path.
        #[serde(with = "raw_path::path")]
        file: PathBuf,
        /// Fingerprint of a kept plan to use, whatever the file's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<String>,
        /// Load bytes that were loaded before.
        #[serde(default)]
        again: bool,
        /// Only if it is a corrected report.
        #[serde(default)]
        corrected: bool,
    },
    /// Try a held or failed delivery again.
    Retry {
        /// The delivery.
        delivery: DeliveryId,
    },
    /// Let a held delivery go on.
    Approve {
        /// The delivery.
        delivery: DeliveryId,
        /// So many rejects were shown to the person.
        rejected: u64,
        /// So many rows were shown to the person that would vanish from the table.
        #[serde(default, skip_serializing_if = "super::event::is_zero")]
        deletes: u64,
    },
    /// End a held or failed delivery.
    Decline {
        /// The delivery.
        delivery: DeliveryId,
    },
    /// Try the open rejects of a delivery again.
    Replay {
        /// The delivery.
        delivery: DeliveryId,
        /// Fingerprint of the kept plan of its mapping as it is today; left out: as the engine knows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<String>,
    },
    /// Load the archived file of a delivery once more.
    Rerun {
        /// The delivery.
        delivery: DeliveryId,
        /// Fingerprint of the kept plan of its mapping as it is today; left out: as the engine knows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<String>,
        /// Even though later files have been loaded.
        #[serde(default)]
        older: bool,
    },
    /// Nothing has to become of some rejects.
    Ignore {
        /// The delivery that rejected them.
        delivery: DeliveryId,
        /// The records; left out: all that are open.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        records: Option<Ranges>,
        /// Why.
        reason: String,
    },
    /// Something that this version does not understand.
    #[serde(skip)]
    Unknown,
}

impl Wish {
    /// True when carrying it out begins with taking bytes, which takes time and is done one after the other.
    #[must_use]
    pub fn takes(&self) -> bool {
        matches!(self, Self::Load { .. } | Self::Replay { .. } | Self::Rerun { .. })
    }
}

/// Something that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at_millis: u64,
    /// Who asked.
    pub by: String,
    /// What.
    pub wish: Wish,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// It is being done, or is done: these deliveries tell how it goes on.
    Accepted {
        /// The deliveries.
        deliveries: Vec<DeliveryId>,
    },
    /// The file was not taken.
    NotTaken {
        /// Why.
        reason: Reason,
        /// The same in words.
        message: String,
    },
    /// It cannot be done.
    Denied {
        /// Why, and what to do.
        message: String,
    },
}

/// Puts requests down, and gives their numbers.
pub(super) fn write(
    transaction: &Transaction<'_>,
    at_millis: u64,
    by: &str,
    wishes: &[Wish],
) -> rusqlite::Result<Vec<u64>> {
    let sql = "INSERT INTO requests (at, person, request) VALUES (?1, ?2, ?3) RETURNING number";
    let mut insert = transaction.prepare_cached(sql)?;
    let mut write = |wish| {
        insert
            .query_row((integer(at_millis), by, json(wish)?), |row| row.get(0).map(|Unsigned(number)| number))
    };
    wishes.iter().map(&mut write).collect()
}

/// Answers a request.
pub(super) fn answer(
    transaction: &Transaction<'_>,
    at_millis: u64,
    number: u64,
    answer: &Answer,
) -> rusqlite::Result<()> {
    let sql = "UPDATE requests SET answer = ?3, answered_at = ?2 WHERE number = ?1 AND answer IS NULL";
    transaction.prepare_cached(sql)?.execute((integer(number), integer(at_millis), json(answer)?)).map(|_| ())
}

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|cause| rusqlite::Error::ToSqlConversionFailure(cause.into()))
}

/// Reads a row (number, at, person, request).
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Request> {
    let number = |index| row.get(index).map(|Unsigned(value)| value);
    // A newer program may ask for more. That is no reason to do nothing else.
    let wish = serde_json::from_str(row.get_ref(3)?.as_str()?).unwrap_or(Wish::Unknown);
    Ok(Request { number: number(0)?, at_millis: number(1)?, by: row.get(2)?, wish })
}

/// Reads a row (answer).
pub(super) fn read_answer(row: &Row<'_>) -> rusqlite::Result<Answer> {
    serde_json::from_str(row.get_ref(0)?.as_str()?).map_err(|cause| row::unreadable(0, cause))
}
