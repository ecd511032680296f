//! What an engine found when it began: what the one before it had left unfinished. Kept for people, so that whoever looks
//! after a night knows what happened in it. What became of the deliveries themselves, their own stories tell.

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use super::row::{self, Unsigned, integer};
use crate::model::{DeliveryId, State};

/// So many deliveries and files are named of each kind; the others are counted.
pub const NAMED: usize = 20;
/// So many are kept: enough for a night in which a machine starts again and again.
const KEPT: u32 = 20;

/// What an engine found when it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recovery {
    /// When, in milliseconds since 1970.
    pub at_millis: u64,
    /// The command under which the engine works.
    pub command: String,
    /// Deliveries that were begun and had no outcome; the first of them.
    pub deliveries: Vec<Found>,
    /// How many those were, all together.
    pub unfinished: u64,
    /// Deliveries that waited for their turn, and go on waiting.
    pub waiting: u64,
    /// Requests of other commands that nobody had answered.
    pub requests: u64,
    /// Files in the making, and work files, that were removed.
    pub removed: u64,
    /// Files that had been claimed and not taken, and were given back to their source; the first of them.
    pub put_back: Vec<String>,
    /// How many those were.
    pub files_put_back: u64,
    /// Files that had been taken and of which their source had not been told; the first of them.
    pub settled: Vec<String>,
    /// How many those were.
    pub files_settled: u64,
}

/// A delivery that was begun and had no outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Where it stood.
    pub was: State,
    /// The last event that the ledger had then: what came after it was done about it.
    pub seen: u64,
}

impl Recovery {
    /// True when nothing was left to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unfinished + self.requests + self.removed + self.files_put_back + self.files_settled == 0
    }
}

/// Writes one, forgets the oldest, and gives its number.
pub(super) fn write(connection: &Connection, found: &Recovery) -> rusqlite::Result<u64> {
    let number = connection.query_row(
        "INSERT INTO recoveries (at, recovery) VALUES (?1, ?2) RETURNING number",
        (integer(found.at_millis), json(found)?),
        |row| row.get(0).map(|Unsigned(number)| number),
    )?;
    let oldest = integer(number) - i64::from(KEPT);
    connection.execute("DELETE FROM recoveries WHERE number <= ?1", [oldest])?;
    Ok(number)
}

/// Writes it anew.
pub(super) fn amend(connection: &Connection, number: u64, found: &Recovery) -> rusqlite::Result<()> {
    let sql = "UPDATE recoveries SET recovery = ?2 WHERE number = ?1";
    connection.execute(sql, (integer(number), json(found)?)).map(|_| ())
}

/// Reads a row (recovery).
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Recovery> {
    serde_json::from_str(row.get_ref(0)?.as_str()?).map_err(|cause| row::unreadable(0, cause))
}

fn json(found: &Recovery) -> rusqlite::Result<String> {
    serde_json::to_string(found).map_err(|cause| rusqlite::Error::ToSqlConversionFailure(cause.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::store::tests::{id, ledger};

    #[test]
    fn the_last_few_are_kept_and_the_latest_comes_first() {
        let (_folder, mut ledger) = ledger();
        let found = Found { delivery: id(1), was: State::Running, seen: 7 };
        let one = |at_millis| Recovery { at_millis, deliveries: vec![found.clone()], ..Recovery::default() };
        let mut last = 0;
        for at_millis in 0..25 {
            last = ledger.keep_recovery(&one(at_millis)).unwrap();
        }
        let kept: Vec<u64> =
            ledger.view().recoveries(100).unwrap().iter().map(|recovery| recovery.at_millis).collect();
        assert_eq!(kept, (5..25).rev().collect::<Vec<_>>());
        ledger.amend_recovery(last, &Recovery { files_put_back: 2, ..one(24) }).unwrap();
        assert_eq!(ledger.view().recoveries(1).unwrap()[0].files_put_back, 2);
    }

    #[test]
    fn what_a_later_version_adds_is_read_over() {
        let text = r#"{"at_millis": 5, "command": "wharf run", "unfinished": 1, "moon": "full"}"#;
        let read: Recovery = serde_json::from_str(text).unwrap();
        assert_eq!((read.at_millis, read.unfinished, read.is_empty()), (5, 1, false));
        assert!(Recovery::default().is_empty());
    }
}
