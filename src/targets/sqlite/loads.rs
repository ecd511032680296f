//! The loads table: one row a delivery, inserted first and completed last in the transaction that loads it. A row that
//! others can see therefore belongs to a load that happened; or, in state `part`, to one that is committed batch by batch
//! and has come as far as `progress` says.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::{
    errors::{self, Faults},
    sql,
};
use crate::{
    model::{ContentHash, DeliveryId, Tally, printable},
    targets::{Committed, LoadId, Progress, Remembered, TargetError, reach},
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

/// How a delivery stands in the table when its load begins.
pub(super) enum Entered {
    /// It did not; its row was inserted.
    New,
    /// Some of it is committed.
    Part(Progress),
    /// It is loaded.
    Done(Committed),
}

/// The state of a delivery of which some is committed.
const PARTLY: &str = "part";

impl Loads<'_> {
    /// Makes the table, if it is missing. One that was made before loads could be committed in batches gets the column for
    /// them.
    pub(super) fn create(&self) -> Result<(), TargetError> {
        let table = sql::quoted(self.table);
        let make = || -> rusqlite::Result<()> {
            self.connection.execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS {table} (site TEXT NOT NULL, delivery TEXT NOT NULL,
                 part INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL, tally TEXT, rejects TEXT, progress TEXT,
                 PRIMARY KEY (site, delivery, part))"
            ))?;
            let columns = "SELECT count(*), total(name = 'progress' COLLATE NOCASE) FROM pragma_table_info(?)
                           WHERE name COLLATE NOCASE IN ('tally', 'progress')";
            let (known, marks): (i64, f64) =
                self.connection.query_row(columns, [self.table], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if known == 1 && marks == 0.0 {
                self.connection.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN progress TEXT"))?;
            }
            Ok(())
        };
        make().map_err(|error| self.fault(&error))
    }

    /// Inserts the row of a delivery, or says how it stands when it is there already.
    pub(super) fn enter(&self, load: LoadId<'_>) -> Result<Entered, TargetError> {
        let table = sql::quoted(self.table);
        let fault = |error| self.fault(&error);
        let delivery = load.delivery.to_string();
        let found: Option<(String, [Option<String>; 3])> = self
            .connection
            .prepare_cached(&format!(
                "SELECT state, tally, rejects, progress FROM {table} WHERE site = ? AND delivery = ? AND part = ?"
            ))
            .and_then(|mut select| {
                let found = |row: &Row<'_>| Ok((row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]));
                select.query_row(params![load.site, delivery, PART], found).optional()
            })
            .map_err(fault)?;
        if let Some((state, [tally, rejects, progress])) = found {
            if state == PARTLY {
                return self.progress(progress, &delivery).map(Entered::Part);
            }
            return self.committed(tally, rejects, &delivery).map(Entered::Done);
        }
        if !reach(Point::LoadsEnter)? {
            return Ok(Entered::New);
        }
        self.connection
            .prepare_cached(&format!(
                "INSERT INTO {table} (site, delivery, part, state) VALUES (?, ?, ?, 'open')"
            ))
            .and_then(|mut insert| insert.execute(params![load.site, delivery, PART]))
            .map_err(fault)?;
        Ok(Entered::New)
    }

    fn is_there(&self) -> Result<bool, TargetError> {
        let exists =
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE)";
        self.connection.query_row(exists, [self.table], |row| row.get(0)).map_err(|error| self.fault(&error))
    }

    /// The deliveries of a site that are loaded as a whole, in the order of their ids. What is no id was put there by another hand.
    pub(super) fn of_site(
        &self,
        site: &str,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryId>, TargetError> {
        if !self.is_there()? {
            return Ok(Vec::new());
        }
        let rows = format!(
            "SELECT delivery FROM {} WHERE site = ? AND part = ? AND delivery > ? AND state <> ?
             ORDER BY delivery LIMIT ?",
            sql::quoted(self.table)
        );
        let mut after = after.map(|after| after.to_string()).unwrap_or_default();
        let mut found: Vec<DeliveryId> = Vec::new();
        loop {
            let page: rusqlite::Result<Vec<String>> =
                self.connection.prepare_cached(&rows).and_then(|mut select| {
                    select.query_map(params![site, PART, after, PARTLY, limit], |row| row.get(0))?.collect()
                });
            let page = page.map_err(|error| self.fault(&error))?;
            found.extend(page.iter().filter_map(|delivery| delivery.parse::<DeliveryId>().ok()));
            match page.last() {
                // A page of nothing but foreign rows is not the end.
                Some(last) if found.is_empty() => after.clone_from(last),
                _ => return Ok(found),
            }
        }
    }

    /// What is there of this delivery.
    pub(super) fn remembers(&self, load: LoadId<'_>) -> Result<Remembered, TargetError> {
        let fault = |error| self.fault(&error);
        if !self.is_there()? {
            return Ok(Remembered::Nothing);
        }
        let delivery = load.delivery.to_string();
        let one = |column: &str| -> Result<Option<String>, TargetError> {
            let select = format!(
                "SELECT {column} FROM {} WHERE site = ? AND delivery = ? AND part = ?",
                sql::quoted(self.table)
            );
            let keys = params![load.site, delivery, PART];
            self.connection.query_row(&select, keys, |row| row.get(0)).optional().map_err(fault)
        };
        match one("state")? {
            None => Ok(Remembered::Nothing),
            // Only a table that has the column has such a row.
            Some(state) if state == PARTLY => {
                self.progress(one("progress")?, &delivery).map(Remembered::Part)
            }
            Some(_) => Ok(Remembered::Whole),
        }
    }

    /// Notes how far the load of a delivery has come.
    pub(super) fn advance(
        &self,
        (site, delivery): (&str, &str),
        progress: &Progress,
    ) -> Result<(), TargetError> {
        let text = progress.to_text();
        self.update("state = ?, progress = ?", params![PARTLY, text, site, delivery, PART], delivery)
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
        let set = "state = 'loaded', tally = ?, rejects = ?, progress = NULL";
        self.update(set, params![tally, rejects.to_string(), site, delivery, PART], delivery)
    }

    fn update(&self, set: &str, values: &[&dyn ToSql], delivery: &str) -> Result<(), TargetError> {
        let updated = self
            .connection
            .prepare_cached(&format!(
                "UPDATE {} SET {set} WHERE site = ? AND delivery = ? AND part = ?",
                sql::quoted(self.table)
            ))
            .and_then(|mut update| update.execute(values))
            .map_err(|error| self.fault(&error))?;
        if updated == 1 {
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
        match (tally, rejects) {
            (Some(tally), Some(rejects)) => Ok(Committed { tally, rejects }),
            _ => Err(self.changed(delivery)),
        }
    }

    fn progress(&self, text: Option<String>, delivery: &str) -> Result<Progress, TargetError> {
        text.as_deref().and_then(Progress::from_text).ok_or_else(|| self.changed(delivery))
    }

    fn changed(&self, delivery: &str) -> TargetError {
        TargetError::Lasting(format!(
            "the row of delivery {delivery} in table `{}` of {} was changed by another hand and cannot be read: \
             find out whether its rows are loaded, and delete that row if they are not",
            printable::short(self.table, 100),
            self.faults.database()
        ))
    }
}
