//! A connection of somebody else's, which can keep a transaction open while the program works.

use std::path::Path;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// A session in a database. What it has begun and not committed is undone when it is dropped.
pub struct Session {
    // The client goes before the runtime on which its connection is driven.
    client: Client,
    runtime: Runtime,
}

impl Session {
    /// Opens one through the server's socket.
    pub(super) fn open(folder: &Path, port: u16, role: &str, database: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut config = Config::new();
        config.host_path(folder).port(port).user(role).dbname(database).options("-c timezone=UTC");
        let (client, connection) = runtime.block_on(config.connect(NoTls)).expect("the server answers");
        // It ends with the client, or when the server cuts it, which the next statement tells.
        runtime.spawn(async move { drop(connection.await) });
        Self { client, runtime }
    }

    /// Runs statements, which have to succeed.
    #[track_caller]
    pub fn run(&self, sql: &str) {
        let ran = self.runtime.block_on(self.client.batch_execute(sql));
        ran.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
    }

    /// The SQLSTATE by which statements fail; none when they do not.
    pub fn fails(&self, sql: &str) -> Option<String> {
        let error = self.runtime.block_on(self.client.batch_execute(sql)).err()?;
        Some(error.code().map_or_else(|| error.to_string(), |code| code.code().to_owned()))
    }

    /// The rows of a query, each value as PostgreSQL writes it.
    #[track_caller]
    pub fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let messages = self.runtime.block_on(self.client.simple_query(sql));
        let messages = messages.unwrap_or_else(|error| panic!("{error:?}: {sql}"));
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| (0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()).collect()
    }
}
