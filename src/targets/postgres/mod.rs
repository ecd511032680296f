//! PostgreSQL.
//!
//! A load has a connection and one transaction of its own, or one for each batch; its row in the loads table comes first. Rows are sent by COPY in the
//! server's binary form. Into a table that is empty they go straight; where there are rows, they wait in a temporary table
//! until all are there, are held against the table, and only those that are new or differ are written, with the table locked
//! against other writers from then to the end. An unchanged row is never written. A row that the database refuses is found by
//! dividing its batch, and is left out alone.
//!
//! Tables that others made are taken as they are if they fit; [`Target::fit`] names every difference. Values are sent as
//! [`kinds`] says.

mod canonical;
mod comparison;
mod copy;
mod driving;
mod encode;
mod errors;
mod fit;
mod kinds;
mod load;
mod loads;
mod merge;
mod mirror;
mod name;
mod numeric;
mod options;
mod plan;
mod read;
mod refusals;
mod rights;
mod scan;
mod scopes;
mod session;
mod shape;
mod stage;
mod tls;

use arrow_schema::SchemaRef;

pub use self::options::{Host, PostgresOptions, Root, SslMode, TlsOptions, UrlProblem, is_url};
use self::{
    comparison::PostgresComparison,
    errors::{Failure, Faults},
    fit::Purpose,
    load::{Place, PostgresLoad},
    loads::{Entered, Loads},
    session::Session,
};
use super::{
    Begun, Capability, Comparison, Fit, LoadId, ReadSpec, Remembered, RowSink, TableSpec, Target, TargetError,
};
use crate::model::DeliveryId;
pub use crate::wire::SecretSource;

/// Begins a transaction that writes. Whatever the server is set to, what is committed is on its disk.
const WRITING: &str =
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT set_config('synchronous_commit', 'on', true)
     WHERE current_setting('synchronous_commit') IN ('off', 'local')";
/// Memory in which a comparison remembers the rows of a mirror; what is more lies in a temporary file.
const ROWS_MEMORY_BYTES: u64 = 16 << 20;

/// A PostgreSQL database as a target.
#[derive(Clone, Debug)]
pub struct PostgresTarget {
    options: PostgresOptions,
    faults: Faults,
}

impl PostgresTarget {
    /// The database that is reached so. Nothing is connected yet.
    #[must_use]
    pub fn new(options: PostgresOptions) -> Self {
        Self { faults: Faults::new(&options), options }
    }

    fn loads(&self) -> Loads<'_> {
        Loads(&self.options.loads_table)
    }

    fn fault(&self, failure: &Failure) -> TargetError {
        self.faults.fault(failure)
    }

    /// A connection in a transaction that only reads, all of it as the database is at one moment.
    fn reading(&self) -> Result<Session, TargetError> {
        self.begun("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    }

    /// A connection in a transaction that writes.
    fn writing(&self) -> Result<Session, TargetError> {
        self.begun(WRITING)
    }

    /// The statements that begin a transaction, with the limits that hold in it.
    fn begins(&self, begin: &str) -> String {
        format!(
            "{begin}; SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}",
            self.options.lock_timeout.as_millis(),
            self.options.statement_timeout.as_millis()
        )
    }

    fn begun(&self, begin: &str) -> Result<Session, TargetError> {
        let session = Session::connect(&self.options, &self.faults)?;
        session.run(&self.begins(begin)).map_err(|failure| self.fault(&failure))?;
        Ok(session)
    }

    fn looked(
        &self,
        session: &Session,
        spec: &TableSpec,
        purpose: Purpose,
    ) -> Result<fit::Looked, TargetError> {
        fit::look(session, spec, (self.loads(), purpose), &self.faults)
            .map_err(|failure| self.fault(&failure))
    }
}

impl Target for PostgresTarget {
    fn capabilities(&self) -> &'static [Capability] {
        &[Capability::Atomic, Capability::ExactCounts, Capability::Delete, Capability::Resumable]
    }

    fn fit(&self, spec: &TableSpec) -> Result<Fit, TargetError> {
        let session = self.reading()?;
        Ok(self.looked(&session, spec, Purpose::Load)?.fit)
    }

    fn statements(&self, spec: &TableSpec) -> Result<Vec<String>, TargetError> {
        let session = self.reading()?;
        rights::lacking(&session, spec, self.loads(), &self.faults).map_err(|failure| self.fault(&failure))
    }

    fn parents(&self, table: &str) -> Result<Vec<String>, TargetError> {
        read::parents(&self.reading()?, &self.faults, table)
    }

    fn remembers(&self, load: LoadId<'_>) -> Result<Remembered, TargetError> {
        let session = self.reading()?;
        self.loads().remembers(&session, load, &self.faults)
    }

    fn remembered(
        &self,
        site: &str,
        after: Option<DeliveryId>,
        limit: u32,
    ) -> Result<Vec<DeliveryId>, TargetError> {
        let session = self.reading()?;
        self.loads().of_site(&session, (site, after, limit), &self.faults)
    }

    fn begin(&self, load: LoadId<'_>, spec: &TableSpec, schema: SchemaRef) -> Result<Begun, TargetError> {
        let session = self.writing()?;
        let looked = self.looked(&session, spec, Purpose::Load)?;
        if let Fit::Misfit(differences) = looked.fit {
            return Err(TargetError::Misfit(differences));
        }
        self.loads().create(&session, &self.faults)?;
        let resumed = match self.loads().enter(&session, load, &self.faults)? {
            Entered::New => None,
            Entered::Part(progress) => Some(progress),
            Entered::Done(committed) => return Ok(Begun::Already(committed)),
        };
        let is_lost = match (&resumed, &looked.shape) {
            (Some(progress), Some(_)) if progress.is_of_rows() => self.is_empty(&session, spec)?,
            (Some(_), None) => true,
            _ => false,
        };
        let shape = match looked.shape {
            Some(shape) => shape,
            None => self.created(&session, spec)?,
        };
        let at = Place {
            session,
            begin: self.begins(WRITING),
            faults: self.faults.clone(),
            loads_table: self.options.loads_table.clone(),
        };
        let mut load = PostgresLoad::new(at, load, (spec, shape), schema)?;
        Ok(match resumed {
            Some(progress) => {
                load.resume(&progress);
                if is_lost {
                    return Ok(Begun::Lost(Box::new(load), progress));
                }
                Begun::Resumed(Box::new(load), progress)
            }
            None => Begun::Open(Box::new(load)),
        })
    }

    fn compare(&self, spec: &TableSpec, schema: SchemaRef) -> Result<Box<dyn Comparison>, TargetError> {
        let session = self.reading()?;
        let looked = self.looked(&session, spec, Purpose::Comparison)?;
        if let Fit::Misfit(differences) = looked.fit {
            return Err(TargetError::Misfit(differences));
        }
        let table = (spec, looked.shape.as_ref());
        let comparison =
            PostgresComparison::new(session, self.faults.clone(), table, schema, ROWS_MEMORY_BYTES)?;
        Ok(Box::new(comparison))
    }

    fn read(&self, spec: ReadSpec<'_>, sink: &mut dyn RowSink) -> Result<(), TargetError> {
        read::read(&self.reading()?, &self.faults, spec, sink)
    }
}

impl PostgresTarget {
    fn is_empty(&self, session: &Session, spec: &TableSpec) -> Result<bool, TargetError> {
        let table = name::TableName::of(&spec.table).quoted();
        let empty = session
            .row(&format!("SELECT NOT EXISTS (SELECT FROM {table})"), &[])
            .and_then(|row| Ok(row.try_get(0)?));
        empty.map_err(|failure| self.fault(&failure))
    }

    /// Creates the table of a mapping. Where somebody else does so at the same moment, another try finds it there.
    fn created(&self, session: &Session, spec: &TableSpec) -> Result<shape::Shape, TargetError> {
        fit::create(session, spec).map_err(|failure| {
            let taken = ["23505", "42P07", "42710"];
            match failure.code() {
                Some(code) if taken.contains(&code.code()) => TargetError::Passing(format!(
                    "table `{}` of {} was created by somebody else at the same moment",
                    crate::model::printable::short(&spec.table, 100),
                    self.faults.database()
                )),
                _ => self.fault(&failure),
            }
        })?;
        let shape = shape::read(session, name::TableName::of(&spec.table));
        let shape = shape.map_err(|failure| self.fault(&failure))?;
        shape.ok_or_else(|| plan::contract("its table is not there"))
    }
}
