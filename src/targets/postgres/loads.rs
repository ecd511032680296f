//! The loads table: one row a delivery, inserted first and completed last in the transaction that loads it. A row that
//! others can see therefore belongs to a load that happened, or, in state `part`, to one that is committed batch by batch and
//! has come as far as `progress` says. A second attempt waits for the fate of the first.

use tokio_postgres::{error::SqlState, types::Type};

use super::{
    errors::{Failure, Faults},
    name::TableName,
    session::{Parameter, Session},
    shape,
};
use crate::{
    model::{ContentHash, DeliveryId, Tally, printable},
    targets::{Committed, LoadId, Progress, Remembered, TargetError, reach},
    wire::fail::Point,
};

/// The part of a delivery that a row stands for. A delivery has one part, unless it goes to several tables.
const PART: i32 = 0;
/// The state of a delivery of which some is committed.
const PARTLY: &str = "part";

/// Where loads are remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loads<'a>(pub &'a str);

/// How a delivery stands in the table when its load begins.
pub(super) enum Entered {
    /// It did not; its row was inserted.
    New,
    /// Some of it is committed.
    Part(Progress),
    /// It is loaded.
    Done(Committed),
}

impl Loads<'_> {
    fn quoted(self) -> String {
        TableName::of(self.0).quoted()
    }

    /// Its name.
    pub(super) fn name(&self) -> TableName<'_> {
        TableName::of(self.0)
    }

    /// True for the name of the loads table.
    pub(super) fn is(self, table: &str) -> bool {
        self.0 == table
    }

    /// The statement that makes the table.
    pub(super) fn ddl(self) -> String {
        format!(
            "CREATE TABLE {} (site text NOT NULL, delivery text NOT NULL, part integer NOT NULL DEFAULT 0, \
             state text NOT NULL, tally text, rejects text, progress text, PRIMARY KEY (site, delivery, part))",
            self.quoted()
        )
    }

    /// What keeps this user from remembering loads, with the statements that help.
    pub(super) fn lacking(self, session: &Session, faults: &Faults) -> Result<Vec<String>, Failure> {
        let name = TableName::of(self.0);
        let shown = printable::short(self.0, 100);
        let Some(shape) = shape::read(session, name)? else {
            let may = session.rows(
                "SELECT has_schema_privilege(oid, 'CREATE') AND has_schema_privilege(oid, 'USAGE')
                 FROM pg_catalog.pg_namespace WHERE nspname = coalesce($1, current_schema()::text)",
                &[(&name.schema, Type::TEXT)],
            )?;
            if let Some(row) = may.first()
                && row.try_get(0)?
            {
                return Ok(Vec::new());
            }
            return Ok(vec![format!(
                "table `{shown}`, in which loads are remembered, is missing, and this user may not create it: run {}; \
                 GRANT SELECT, INSERT, UPDATE ON {} TO {}",
                self.ddl(),
                self.quoted(),
                faults.grantee()
            )]);
        };
        let mut lines = Vec::new();
        if !shape.may_use_schema {
            let schema = crate::targets::identifier::quoted(&shape.schema);
            lines.push(format!(
                "this user may not use the schema of table `{shown}`, in which loads are remembered: run GRANT USAGE ON \
                 SCHEMA {schema} TO {}",
                faults.grantee()
            ));
        }
        if !shape.columns.iter().all(|c| c.may.select && c.may.insert && c.may.update) {
            lines.push(format!(
                "this user lacks privileges on table `{shown}`, in which loads are remembered: run GRANT SELECT, INSERT, \
                 UPDATE ON {} TO {}",
                shape.quoted(),
                faults.grantee()
            ));
        }
        Ok(lines)
    }

    /// True when the table is there.
    fn exists(self, session: &Session) -> Result<bool, Failure> {
        Ok(shape::read(session, TableName::of(self.0))?.is_some())
    }

    /// Makes the table, if it is missing. Two that make it at once: the second one finds it made.
    pub(super) fn create(self, session: &Session, faults: &Faults) -> Result<(), TargetError> {
        if self.exists(session).map_err(|failure| faults.fault(&failure))? {
            return Ok(());
        }
        session.run("SAVEPOINT wharf_loads").map_err(|failure| faults.fault(&failure))?;
        let made = session.run(&self.ddl());
        let taken = [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE, SqlState::DUPLICATE_OBJECT];
        let end = match made {
            Ok(()) => "RELEASE SAVEPOINT wharf_loads",
            Err(failure) if failure.code().is_some_and(|code| taken.contains(code)) => {
                "ROLLBACK TO SAVEPOINT wharf_loads; RELEASE SAVEPOINT wharf_loads"
            }
            Err(failure) => return Err(faults.fault(&failure)),
        };
        session.run(end).map_err(|failure| faults.fault(&failure))
    }

    /// Inserts the row of a delivery, or says what it was completed with when it is there already. Where another attempt is
    /// still at work, it is waited for.
    pub(super) fn enter(
        self,
        session: &Session,
        load: LoadId<'_>,
        faults: &Faults,
    ) -> Result<Entered, TargetError> {
        if !reach(Point::LoadsEnter)? {
            return Ok(Entered::New);
        }
        let delivery = load.delivery.to_string();
        let of: [Parameter<'_>; 3] = [(&load.site, Type::TEXT), (&delivery, Type::TEXT), (&PART, Type::INT4)];
        let insert = format!(
            "INSERT INTO {} (site, delivery, part, state) VALUES ($1, $2, $3, 'open') ON CONFLICT DO NOTHING",
            self.quoted()
        );
        let fault = |failure| self.fault(&failure, faults);
        if session.execute(&insert, &of).map_err(fault)? == 1 {
            return Ok(Entered::New);
        }
        // Of what is loaded in part, an earlier attempt may still be at the next batch.
        let Some(row) = self.row(session, (load.site, &delivery), " FOR UPDATE", faults)? else {
            return Err(TargetError::Passing(format!(
                "the row of delivery {delivery} in table `{}` of {} went away while it was looked for",
                printable::short(self.0, 100),
                faults.database()
            )));
        };
        if row.state == PARTLY {
            return self.progress(row.progress, &delivery, faults).map(Entered::Part);
        }
        let tally = row.tally.and_then(|text| serde_json::from_str(&text).ok());
        let rejects = row.rejects.and_then(|text| text.parse().ok());
        match (tally, rejects) {
            (Some(tally), Some(rejects)) => Ok(Entered::Done(Committed { tally, rejects })),
            _ => Err(self.changed(&delivery, faults)),
        }
    }

    fn row(
        self,
        session: &Session,
        (site, delivery): (&str, &str),
        lock: &str,
        faults: &Faults,
    ) -> Result<Option<LoadsRow>, TargetError> {
        let select = format!(
            "SELECT state::text, tally::text, rejects::text, progress::text FROM {} WHERE site = $1 AND delivery = $2 AND part = $3{lock}",
            self.quoted()
        );
        let of: [Parameter<'_>; 3] = [(&site, Type::TEXT), (&delivery, Type::TEXT), (&PART, Type::INT4)];
        let found = session.rows(&select, &of).map_err(|failure| self.fault(&failure, faults))?;
        let read = |row: &tokio_postgres::Row| -> Result<LoadsRow, tokio_postgres::Error> {
            Ok(LoadsRow {
                state: row.try_get(0)?,
                tally: row.try_get(1)?,
                rejects: row.try_get(2)?,
                progress: row.try_get(3)?,
            })
        };
        let row = found.first().map(read).transpose();
        row.map_err(|error| self.fault(&error.into(), faults))
    }

    /// The deliveries of a site that are loaded as a whole, in the order of their ids. What is no id was put there by
    /// another hand.
    pub(super) fn of_site(
        self,
        session: &Session,
        (site, after, limit): (&str, Option<DeliveryId>, u32),
        faults: &Faults,
    ) -> Result<Vec<DeliveryId>, TargetError> {
        if !self.exists(session).map_err(|failure| faults.fault(&failure))? {
            return Ok(Vec::new());
        }
        let select = format!(
            "SELECT delivery::text FROM {} WHERE site = $1 AND part = $2 AND delivery COLLATE \"C\" > $3 AND state <> $4
             ORDER BY delivery COLLATE \"C\" LIMIT $5",
            self.quoted()
        );
        let mut after = after.map(|after| after.to_string()).unwrap_or_default();
        let limit = i64::from(limit);
        loop {
            let of: [Parameter<'_>; 5] = [
                (&site, Type::TEXT),
                (&PART, Type::INT4),
                (&after, Type::TEXT),
                (&PARTLY, Type::TEXT),
                (&limit, Type::INT8),
            ];
            let rows = session.rows(&select, &of).map_err(|failure| self.fault(&failure, faults))?;
            let page = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<&str>, _>>();
            let page = page.map_err(|error| self.fault(&error.into(), faults))?;
            let found: Vec<DeliveryId> = page.iter().filter_map(|delivery| delivery.parse().ok()).collect();
            match page.last() {
                // A page of nothing but foreign rows is not the end.
                Some(last) if found.is_empty() => after = (*last).to_owned(),
                _ => return Ok(found),
            }
        }
    }

    /// What is there of this delivery.
    pub(super) fn remembers(
        self,
        session: &Session,
        load: LoadId<'_>,
        faults: &Faults,
    ) -> Result<Remembered, TargetError> {
        if !self.exists(session).map_err(|failure| faults.fault(&failure))? {
            return Ok(Remembered::Nothing);
        }
        let delivery = load.delivery.to_string();
        match self.row(session, (load.site, &delivery), "", faults)? {
            None => Ok(Remembered::Nothing),
            Some(row) if row.state == PARTLY => {
                let progress = self.progress(row.progress, &delivery, faults);
                progress.map(Remembered::Part)
            }
            Some(_) => Ok(Remembered::Whole),
        }
    }

    /// Completes the row of a delivery.
    pub(super) fn complete(
        self,
        session: &Session,
        of: (&str, &str),
        tally: &Tally,
        rejects: ContentHash,
        faults: &Faults,
    ) -> Result<(), TargetError> {
        let tally = serde_json::to_string(tally)
            .map_err(|error| TargetError::Lasting(format!("the tally cannot be written: {error}")))?;
        if !reach(Point::LoadsComplete)? {
            return Ok(());
        }
        let rejects = rejects.to_string();
        let set = "state = 'loaded', tally = $4, rejects = $5, progress = NULL";
        self.update(session, of, set, &[(&tally, Type::TEXT), (&rejects, Type::TEXT)], faults)
    }

    /// Keeps how far a delivery has come.
    pub(super) fn advance(
        self,
        session: &Session,
        of: (&str, &str),
        progress: &Progress,
        faults: &Faults,
    ) -> Result<(), TargetError> {
        let progress = progress.to_text();
        let set = "state = $4, progress = $5";
        self.update(session, of, set, &[(&PARTLY, Type::TEXT), (&progress, Type::TEXT)], faults)
    }

    /// Holds the row of a delivery that has come so far for the next transaction of its load, as another attempt must not go on
    /// with it at the same time.
    pub(super) fn hold(
        self,
        session: &Session,
        (site, delivery): (&str, &str),
        progress: &Progress,
        faults: &Faults,
    ) -> Result<(), TargetError> {
        let row = self.row(session, (site, delivery), " FOR UPDATE", faults)?;
        let found = row.filter(|row| row.state == PARTLY).and_then(|row| row.progress);
        if found.as_deref().and_then(Progress::from_text).as_ref() == Some(progress) {
            return Ok(());
        }
        Err(TargetError::Passing(format!(
            "the row of delivery {delivery} in table `{}` of {} was changed between two batches, by another attempt or another \
             hand",
            printable::short(self.0, 100),
            faults.database()
        )))
    }

    fn update(
        self,
        session: &Session,
        (site, delivery): (&str, &str),
        set: &str,
        values: &[Parameter<'_>],
        faults: &Faults,
    ) -> Result<(), TargetError> {
        let update =
            format!("UPDATE {} SET {set} WHERE site = $1 AND delivery = $2 AND part = $3", self.quoted());
        let mut of: Vec<Parameter<'_>> =
            vec![(&site, Type::TEXT), (&delivery, Type::TEXT), (&PART, Type::INT4)];
        of.extend(values.iter().cloned());
        if session.execute(&update, &of).map_err(|failure| self.fault(&failure, faults))? == 1 {
            return Ok(());
        }
        Err(TargetError::Lasting(format!(
            "the row of delivery {delivery} has gone from table `{}` during its load: look for a trigger that deletes it",
            printable::short(self.0, 100)
        )))
    }

    fn progress(
        self,
        text: Option<String>,
        delivery: &str,
        faults: &Faults,
    ) -> Result<Progress, TargetError> {
        text.as_deref().and_then(Progress::from_text).ok_or_else(|| self.changed(delivery, faults))
    }

    fn changed(self, delivery: &str, faults: &Faults) -> TargetError {
        TargetError::Lasting(format!(
            "the row of delivery {delivery} in table `{}` of {} was changed by another hand and cannot be read: \
             find out whether its rows are loaded, and delete that row if they are not",
            printable::short(self.0, 100),
            faults.database()
        ))
    }

    /// A statement that does not fit the table means a table that something else made.
    fn fault(self, failure: &Failure, faults: &Faults) -> TargetError {
        let other = [
            SqlState::UNDEFINED_COLUMN,
            SqlState::DATATYPE_MISMATCH,
            SqlState::UNDEFINED_FUNCTION,
            SqlState::NOT_NULL_VIOLATION,
            SqlState::CHECK_VIOLATION,
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
        ];
        if !failure.code().is_some_and(|code| other.contains(code)) {
            return faults.fault(failure);
        }
        TargetError::Lasting(format!(
            "`{}` in {} is not the table in which Wharf remembers loads: give the connection another `loads_table`",
            printable::short(self.0, 100),
            faults.database()
        ))
    }
}

/// A row of the table.
struct LoadsRow {
    state: String,
    tally: Option<String>,
    rejects: Option<String>,
    progress: Option<String>,
}
