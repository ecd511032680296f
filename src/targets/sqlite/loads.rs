//! The loads table: one row a delivery, inserted first and completed last in the transaction that loads it. A row that
//! others can see therefore belongs to a load that happened.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    errors::{self, Faults},
    sql,
};
use crate::{
    model::{ContentHash, Tally, printable},
    targets::{Committed, LoadId, TargetError, reach},
    wire::fail::Point,
};

/// The part of a delivery that a row stands for. A delivery has one part, unless it goes to several tables.
const PART: i64 = 0;

/// Where loads are remembered.
pub(super) struct Loads<'a> {
    /// The database.
    pub connection: &'a Connection,
    /// The table's name.
    pub table: &'a str,
    /// Makes errors of what SQLite says.
    pub faults: &'a Faults,
}

impl Loads<'_> {
    /// Makes the table, if it is missing.
    pub(super) fn create(&self) -> Result<(), TargetError> {
        let table = sql::quoted(self.table);
        self.connection
            .execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS {table} (site TEXT NOT NULL, delivery TEXT NOT NULL,
                 part INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL, tally TEXT, rejects TEXT,
                 PRIMARY KEY (site, delivery, part))"
            ))
            .map_err(|error| self.fault(&error))
    }

    /// Inserts the row of a delivery, or says what it was completed with when it is there already.
    pub(super) fn enter(&self, load: LoadId<'_>) -> Result<Option<Committed>, TargetError> {
        let table = sql::quoted(self.table);
        let fault = |error| self.fault(&error);
        let delivery = load.delivery.to_string();
        let found: Option<(Option<String>, Option<String>)> = self
            .connection
            .prepare_cached(&format!(
                "SELECT tally, rejects FROM {table} WHERE site = ? AND delivery = ? AND part = ?"
            ))
            .and_then(|mut select| {
                let found = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
                select.query_row(params![load.site, delivery, PART], found).optional()
            })
            .map_err(fault)?;
        if let Some((tally, rejects)) = found {
            return self.committed(tally, rejects, &delivery).map(Some);
        }
        if !reach(Point::LoadsEnter)? {
            return Ok(None);
        }
        self.connection
            .prepare_cached(&format!(
                "INSERT INTO {table} (site, delivery, part, state) VALUES (?, ?, ?, 'open')"
            ))
            .and_then(|mut insert| insert.execute(params![load.site, delivery, PART]))
            .map_err(fault)?;
        Ok(None)
    }

    /// True when there is a row of this delivery.
    pub(super) fn knows(&self, load: LoadId<'_>) -> Result<bool, TargetError> {
        let exists =
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE)";
        let fault = |error| self.fault(&error);
        let is_there: bool =
            self.connection.query_row(exists, [self.table], |row| row.get(0)).map_err(fault)?;
        if !is_there {
            return Ok(false);
        }
        let row = format!(
            "SELECT EXISTS (SELECT 1 FROM {} WHERE site = ? AND delivery = ? AND part = ?)",
            sql::quoted(self.table)
        );
        let delivery = load.delivery.to_string();
        self.connection.query_row(&row, params![load.site, delivery, PART], |row| row.get(0)).map_err(fault)
    }

    /// Completes the row of a delivery.
    pub(super) fn complete(
        &self,
        (site, delivery): (&str, &str),
        tally: &Tally,
        rejects: ContentHash,
    ) -> Result<(), TargetError> {
        let tally = serde_json::to_string(tally)
            .map_err(|error| TargetError::Lasting(format!("the tally cannot be written: {error}")))?;
        if !reach(Point::LoadsComplete)? {
            return Ok(());
        }
        let completed = self
            .connection
            .prepare_cached(&format!(
                "UPDATE {} SET state = 'loaded', tally = ?, rejects = ?
                 WHERE site = ? AND delivery = ? AND part = ?",
                sql::quoted(self.table)
            ))
            .and_then(|mut update| update.execute(params![tally, rejects.to_string(), site, delivery, PART]))
            .map_err(|error| self.fault(&error))?;
        if completed == 1 {
            return Ok(());
        }
        Err(TargetError::Lasting(format!(
            "the row of delivery {delivery} has gone from table `{}` during its load: look for a trigger that deletes it",
            printable::short(self.table, 100)
        )))
    }

    /// A statement that SQLite cannot compile means a table that something else made.
    fn fault(&self, error: &rusqlite::Error) -> TargetError {
        if !errors::is_in_statement(error) {
            return self.faults.fault(error);
        }
        TargetError::Lasting(format!(
            "`{}` in {} is not the table in which Wharf remembers loads: give the connection another `loads_table`",
            printable::short(self.table, 100),
            self.faults.database()
        ))
    }

    fn committed(
        &self,
        tally: Option<String>,
        rejects: Option<String>,
        delivery: &str,
    ) -> Result<Committed, TargetError> {
        let tally = tally.and_then(|text| serde_json::from_str(&text).ok());
        let rejects = rejects.and_then(|text| text.parse().ok());
        let (Some(tally), Some(rejects)) = (tally, rejects) else {
            return Err(TargetError::Lasting(format!(
                "the row of delivery {delivery} in table `{}` of {} was changed by another hand and cannot be read: \
                 find out whether its rows are loaded, and delete that row if they are not",
                printable::short(self.table, 100),
                self.faults.database()
            )));
        };
        Ok(Committed { tally, rejects })
    }
}
