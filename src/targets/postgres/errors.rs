//! What PostgreSQL says, told apart by its codes (SQLSTATE): about itself or the connection (a fault, with what to do about
//! it), or about a row (a refusal, see [`super::refusals`]).
//!
//! Messages are made from code and names. The server's own words are repeated only where they can hold names and no values.

use std::{error::Error as _, io};

use tokio_postgres::error::{DbError, SqlState};

use super::options::PostgresOptions;
use crate::{model::printable, targets::TargetError};

/// Why there is no answer, or not the one that was wanted.
#[derive(Debug)]
pub(super) enum Failure {
    /// The driver, or the server through it.
    Driver(tokio_postgres::Error),
    /// Nothing came back in time.
    Silent,
    /// This machine gives no thread or no sockets.
    Machine(io::Error),
    /// Others have left statements behind under every name that was tried.
    NamesTaken,
    /// Rows that are to be remembered here cannot be.
    Memory(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Memory(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Driver(error)
    }
}

impl Failure {
    /// What the server said.
    pub(super) fn db(&self) -> Option<&DbError> {
        match self {
            Self::Driver(error) => error.as_db_error(),
            Self::Silent | Self::Machine(_) | Self::NamesTaken | Self::Memory(_) => None,
        }
    }

    /// The server's code.
    pub(super) fn code(&self) -> Option<&SqlState> {
        self.db().map(DbError::code)
    }

    /// What the TLS library said.
    fn tls(&self) -> Option<&rustls::Error> {
        let Self::Driver(error) = self else { return None };
        let cause = error.source()?.downcast_ref::<io::Error>()?;
        cause.get_ref()?.downcast_ref::<rustls::Error>()
    }

    /// True when connecting with another kind of encryption may go better.
    pub(super) fn is_about_encryption(&self) -> bool {
        self.tls().is_some() || self.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
    }
}

/// Makes errors for one database.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    /// The database, as messages name it.
    name: String,
    user: Option<String>,
    lock_seconds: u64,
    statement_seconds: u64,
}

impl Faults {
    /// For the database that is reached so.
    pub(super) fn new(options: &PostgresOptions) -> Self {
        Self {
            name: options.shown(),
            user: options.user.clone(),
            lock_seconds: options.lock_timeout.as_secs(),
            statement_seconds: options.statement_timeout.as_secs(),
        }
    }

    /// The database, as messages name it.
    pub(super) fn database(&self) -> String {
        format!("database `{}`", self.name)
    }

    /// The user, for statements that grant something; the one Wharf runs as has no name here.
    pub(super) fn grantee(&self) -> String {
        self.user.as_deref().map_or_else(|| "CURRENT_USER".to_owned(), crate::targets::identifier::quoted)
    }

    /// The connection has gone.
    pub(super) fn lost(&self) -> TargetError {
        TargetError::Passing(format!(
            "the connection to {} was lost, so that it undoes what was not committed: try again when it can be reached",
            self.database()
        ))
    }

    /// A constraint that is checked at the end does not hold, and nobody can tell for which row.
    pub(super) fn deferred(&self, what: &str, by_batch: bool) -> TargetError {
        let (end, nothing) = if by_batch {
            ("each batch", "this batch was not loaded")
        } else {
            ("the load", "nothing was loaded")
        };
        TargetError::Lasting(format!(
            "{}: a rule of the table that is checked at the end of {end} (DEFERRED) does not hold, as a row {what}, so \
             {nothing}; PostgreSQL does not say which: load what the rows refer to first, or declare the rule \
             without DEFERRED to have those rows rejected",
            self.database()
        ))
    }

    /// A table that others changed between two batches.
    pub(super) fn changed(&self) -> TargetError {
        TargetError::Passing(format!(
            "{} was changed while rows were loaded, so its table has to be looked at again",
            self.database()
        ))
    }

    /// What an error of having a row vanish means.
    pub(super) fn kept(&self, failure: &Failure) -> TargetError {
        let why = match failure.code().map(SqlState::code) {
            Some("23503" | "23001") => "other rows refer to it (a foreign key)".to_owned(),
            Some("P0001") => "a trigger of the table refuses it".to_owned(),
            Some(code) if code.starts_with("23") || code.starts_with("P0") => {
                format!("it breaks a rule of the table (SQLSTATE {code})")
            }
            _ => return self.fault(failure),
        };
        TargetError::Lasting(format!(
            "{}: a row that the file no longer has cannot be deleted or marked, as {why}, so nothing was loaded: see to \
             that row and run retry, or have rows marked instead of deleted (`vanished`)",
            self.database()
        ))
    }

    /// What a failure to connect means.
    pub(super) fn connecting(&self, failure: &Failure) -> TargetError {
        let database = self.database();
        if let Some(said) = failure.tls() {
            return TargetError::Lasting(format!(
                "no encrypted connection to {database} can be made ({}): see `sslmode` and `sslrootcert` in its URL, and \
                 the server's certificate",
                printable::short(&said.to_string(), 300)
            ));
        }
        if let Failure::Machine(error) = failure {
            return TargetError::Passing(format!("{database} cannot be reached: {error}"));
        }
        let Failure::Driver(error) = failure else {
            return TargetError::Passing(format!(
                "{database} did not answer in time (`connect_seconds`): see whether its server can be reached"
            ));
        };
        if let Some(said) = error.as_db_error() {
            return self.said(said);
        }
        if error.is_closed() {
            return TargetError::Passing(format!("{database} closed the connection while it was being made"));
        }
        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
        match cause {
            Some(cause) => TargetError::Passing(format!(
                "{database} cannot be reached ({cause}): see whether its server runs and its address is right"
            )),
            // Of the driver's own making: no password where one is asked for, no TLS, an unknown way to log in.
            None => TargetError::Lasting(match full(error).as_str() {
                said if said.ends_with("password missing") => format!(
                    "{database} asks for a password: write `password = {{ env = \"NAME\" }}` or `password = {{ file = \
                     \"PATH\" }}` under its connection"
                ),
                said => format!("no connection to {database} can be made: {said}"),
            }),
        }
    }

    /// What an error outside a row means.
    pub(super) fn fault(&self, failure: &Failure) -> TargetError {
        match failure {
            Failure::Silent => TargetError::Passing(format!(
                "{} gave no answer for longer than a statement may take ({} s), so the connection was given up",
                self.database(),
                self.statement_seconds
            )),
            Failure::Machine(_) => self.connecting(failure),
            Failure::NamesTaken => TargetError::Passing(format!(
                "the connections that a pooler gives out for {} hold statements of other programs: let it reset them \
                 (DEALLOCATE ALL)",
                self.database()
            )),
            Failure::Memory(error) => TargetError::Lasting(format!(
                "rows cannot be remembered in a temporary file: {}",
                printable::short(&error.to_string(), 300)
            )),
            Failure::Driver(error) => match error.as_db_error() {
                Some(said) => self.said(said),
                None if error.is_closed() => self.lost(),
                None => match error.source().and_then(|cause| cause.downcast_ref::<io::Error>()) {
                    Some(_) => self.lost(),
                    None => TargetError::Lasting(format!(
                        "{} answered in a way that is not understood: {}",
                        self.database(),
                        full(error)
                    )),
                },
            },
        }
    }

    /// What a failure to commit means. Only what the server says of the transaction tells that it did not happen.
    pub(super) fn committing(&self, failure: &Failure) -> TargetError {
        let ended = |code: &SqlState| ["08", "57"].iter().any(|class| code.code().starts_with(class));
        match failure.code() {
            Some(code) if !ended(code) => self.fault(failure),
            _ => TargetError::Unsettled(format!(
                "the connection to {} was lost at the commit, before it said whether that happened",
                self.database()
            )),
        }
    }

    /// What the server says about itself.
    fn said(&self, said: &DbError) -> TargetError {
        let code = said.code().code();
        let database = self.database();
        let words = self.words(said);
        let passing = |what: &str| TargetError::Passing(format!("{database} {what} (SQLSTATE {code})"));
        let lasting = |what: &str| TargetError::Lasting(format!("{database} {what} (SQLSTATE {code})"));
        match (code.get(..2).unwrap_or_default(), code) {
            (_, "55P03") => passing(&format!(
                "has what is needed locked by somebody else for more than {} s (`lock_seconds`): try again when that is done",
                self.lock_seconds
            )),
            (_, "57014") => passing(&format!(
                "ended a statement that took more than {} s (`statement_seconds`), or somebody cancelled it",
                self.statement_seconds
            )),
            (_, "53100") => passing("has no room left on its disk: free space and run retry"),
            (_, "53300") => passing("takes no more connections: try again later, or allow more"),
            (_, "25006") => passing("can only be read: it is a standby, or set so"),
            ("40", _) => passing("ended the transaction because of others at work at the same time"),
            ("08" | "57", "57P04") => lasting("has been dropped"),
            ("08" | "57", _) => passing(&format!("is not at work: {words}")),
            (_, "25P03" | "25P04") => passing("ended a transaction that waited or took too long"),
            ("53", _) | (_, "55006") => passing(&format!("lacks something: {words}")),
            ("28", _) => {
                lasting(&format!("does not let this user in: {words}; see user, password and pg_hba.conf"))
            }
            ("3D", _) => lasting("does not exist: create it, or correct the name in the URL"),
            ("42" | "0A" | "3F" | "55" | "25" | "2F", _) => lasting(&format!("refuses: {words}")),
            ("58" | "XX", _) => {
                lasting("has trouble with its disk or its files: see the server's log before anything else")
            }
            // The words for these may quote values.
            _ => lasting("refuses what was asked of it"),
        }
    }

    /// The server's own words for codes whose messages hold names only.
    fn words(&self, said: &DbError) -> String {
        printable::short(said.message(), 300)
    }
}

/// What the driver itself says, with its reason. Never for what the server says.
fn full(error: &tokio_postgres::Error) -> String {
    let cause = error.source().map_or_else(String::new, |cause| format!(": {cause}"));
    printable::short(&format!("{error}{cause}"), 300)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_is_named_and_nothing_of_a_secret() {
        let options = PostgresOptions::parse("postgres://me@db:6000/w", std::path::Path::new("")).unwrap();
        let faults = Faults::new(&options);
        assert_eq!(faults.database(), "database `w` on `db:6000`");
        assert!(
            matches!(faults.fault(&Failure::Silent), TargetError::Passing(text) if text.contains("3600 s"))
        );
        assert!(matches!(faults.connecting(&Failure::Silent), TargetError::Passing(_)));
        assert_eq!(faults.grantee(), "\"me\"");
    }
}
