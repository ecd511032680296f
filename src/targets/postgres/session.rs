//! A connection to the server, used from one thread, whichever it is (see [`super::driving`]): every call waits for its answer, but never for ever.
//!
//! Nothing is left behind on the server that the end of the transaction does not take with it, as the next transaction may run
//! on another connection (PgBouncer in transaction mode): settings are `SET LOCAL`, statements have no name, temporary tables
//! are dropped on commit.

use std::{ops::ControlFlow, time::Duration};

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::{
    Client, Config, CopyInSink, Error, Row,
    config::SslMode as DriverMode,
    error::SqlState,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    driving::{self, Driving},
    errors::{Failure, Faults},
    options::{Host, PostgresOptions, SslMode},
    tls,
};
use crate::targets::TargetError;

/// How much longer than a statement may take its answer is waited for: the server itself ends what takes too long, and only
/// one that has gone silent has to be given up.
const GRACE: Duration = Duration::from_secs(30);
/// A peer that says nothing is asked whether it is still there after this time.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Names that statements of others have left behind on a pooled connection, which are stepped over.
const MOST_NAMES_TAKEN: u32 = 100;

/// A query whose rows are fetched bit by bit.
const CURSOR: &str = "wharf_rows";
/// Rows that are fetched at once: enough that the way to the server and back counts little.
const ROWS_A_FETCH: usize = 1000;

/// A value bound to a statement, and its type.
pub(super) type Parameter<'p> = (&'p (dyn ToSql + Sync), Type);

/// A connection.
pub(super) struct Session {
    client: Client,
    /// Dropped after the client, which says goodbye.
    _driving: Driving,
    patience: Duration,
}

impl Session {
    /// Connects.
    pub(super) fn connect(options: &PostgresOptions, faults: &Faults) -> Result<Self, TargetError> {
        let tls = tls::config(&options.tls)
            .map(MakeRustlsConnect::new)
            .map_err(|why| TargetError::Lasting(format!("{}: {why}", faults.database())))?;
        let mut config = config(options);
        if let Some(password) = &options.password {
            let secret = password.read().map_err(|why| {
                TargetError::Lasting(format!("the password for {} cannot be read: {why}", faults.database()))
            })?;
            config.password(secret.reveal());
        }
        let mut last = None;
        for mode in attempts(options) {
            config.ssl_mode(*mode);
            match Driving::begin(config.clone(), tls.clone(), options.connect_timeout) {
                Ok((client, driving)) => {
                    let patience = options.statement_timeout + GRACE;
                    return Ok(Self { client, _driving: driving, patience });
                }
                // Another way of encryption may be what the server wants.
                Err(failure) if failure.is_about_encryption() => last = Some(failure),
                Err(failure) => return Err(faults.connecting(&failure)),
            }
        }
        Err(last.map_or_else(|| faults.lost(), |failure| faults.connecting(&failure)))
    }

    /// True when the connection is known to be gone.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Runs statements without parameters.
    pub(super) fn run(&self, sql: &str) -> Result<(), Failure> {
        self.wait(self.client.batch_execute(sql))
    }

    /// Runs a statement and gives its rows. Their types must be those of every PostgreSQL: asking for others would leave
    /// statements behind.
    pub(super) fn rows(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Failure> {
        self.wait(self.client.query_typed(sql, parameters))
    }

    /// Runs a statement that gives exactly one row.
    pub(super) fn row(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Row, Failure> {
        self.wait(self.client.query_typed_one(sql, parameters))
    }

    /// Runs a statement and tells how many rows it wrote.
    pub(super) fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64, Failure> {
        self.wait(self.client.execute_typed(sql, parameters))
    }

    /// Runs a query and gives its rows one after the other, until there are no more or enough was seen; few of them are in
    /// memory at a time.
    pub(super) fn each(
        &self,
        query: &str,
        visit: &mut dyn FnMut(&Row) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Failure> {
        self.run(&format!("DECLARE {CURSOR} NO SCROLL CURSOR FOR {query}"))?;
        loop {
            let rows = self.rows(&format!("FETCH {ROWS_A_FETCH} FROM {CURSOR}"), &[])?;
            for row in &rows {
                if visit(row)?.is_break() {
                    return self.run(&format!("CLOSE {CURSOR}"));
                }
            }
            if rows.len() < ROWS_A_FETCH {
                return self.run(&format!("CLOSE {CURSOR}"));
            }
        }
    }

    /// Copies what `next` gives into the server; its buffers are sent as they are. Gives the number of rows that came in.
    ///
    /// The driver gives the statement a name, and takes it away again before anything else is run. Names that others have
    /// left on the connection are stepped over, each by going back to `savepoint`.
    pub(super) fn copy_in(
        &self,
        sql: &str,
        savepoint: &str,
        next: &mut dyn FnMut() -> Option<Bytes>,
    ) -> Result<u64, Failure> {
        for _ in 0..MOST_NAMES_TAKEN {
            match self.wait(self.client.copy_in::<_, Bytes>(sql)) {
                Err(failure) if failure.code() == Some(&SqlState::DUPLICATE_PSTATEMENT) => {
                    self.run(&format!("ROLLBACK TO SAVEPOINT {savepoint}"))?;
                }
                Err(failure) => return Err(failure),
                Ok(sink) => return self.feed(sink, next),
            }
        }
        Err(Failure::NamesTaken)
    }

    fn feed(&self, sink: CopyInSink<Bytes>, next: &mut dyn FnMut() -> Option<Bytes>) -> Result<u64, Failure> {
        let mut sink = Box::pin(sink);
        while let Some(buffer) = next() {
            self.wait(sink.as_mut().feed(buffer))?;
        }
        self.wait(sink.as_mut().finish())
    }

    fn wait<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        driving::wait(answer, self.patience).ok_or(Failure::Silent)?.map_err(Failure::from)
    }
}

fn config(options: &PostgresOptions) -> Config {
    let mut config = Config::new();
    match &options.host {
        Host::Tcp(host) => config.host(host),
        Host::Socket(folder) => config.host_path(folder),
    };
    config
        .port(options.port)
        .application_name(&options.application_name)
        .connect_timeout(options.connect_timeout)
        .tcp_user_timeout(options.statement_timeout.min(KEEPALIVE * 2))
        .keepalives_idle(KEEPALIVE);
    if let Some(user) = &options.user {
        config.user(user);
    }
    if let Some(database) = &options.database {
        config.dbname(database);
    }
    config
}

/// The ways of encryption that are tried, in their order. What libpq calls `prefer` is also a second try without any.
fn attempts(options: &PostgresOptions) -> &'static [DriverMode] {
    if matches!(options.host, Host::Socket(_)) {
        return &[DriverMode::Disable];
    }
    match options.tls.mode {
        SslMode::Disable => &[DriverMode::Disable],
        SslMode::Allow => &[DriverMode::Disable, DriverMode::Require],
        SslMode::Prefer => &[DriverMode::Prefer, DriverMode::Disable],
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[DriverMode::Require],
    }
}
