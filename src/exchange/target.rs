//! The databases that are loaded into, opened once each, and whose turn it is to write to them.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use super::locked;
use crate::{
    mapping::{Connection, Settings},
    targets::{
        Target, TargetError,
        postgres::PostgresTarget,
        sqlite::{SqliteOptions, SqliteTarget},
    },
};

/// The target behind the connection of this name; none is the site's own database. A quarter of the site's memory is
/// the databases' cache.
///
/// # Errors
/// The connection is not known, or its database cannot be opened.
pub fn open(settings: &Settings, connection: Option<&str>) -> Result<Arc<dyn Target>, TargetError> {
    let Some(found) = settings.connection(connection) else {
        let name = connection.unwrap_or_default();
        return Err(TargetError::Lasting(format!(
            "wharf.toml has no connection `{name}`; run `wharf check`"
        )));
    };
    match found {
        Connection::Sqlite { path, loads_table } => {
            let options = SqliteOptions {
                loads_table: loads_table.clone(),
                cache_bytes: settings.max_memory_bytes / 4 / (1 + settings.connections.len() as u64),
                busy_timeout: settings.busy_timeout,
                // The site's own database lies in its store, which the first engine makes.
                folder_follows: connection.is_none(),
            };
            Ok(Arc::new(SqliteTarget::open(path, options)?))
        }
        Connection::Postgres(options) => Ok(Arc::new(PostgresTarget::new((**options).clone()))),
    }
}

/// The targets of a site.
#[derive(Default)]
pub(super) struct Targets {
    open: Mutex<HashMap<Option<String>, Arc<dyn Target>>>,
    writing: Mutex<HashSet<PathBuf>>,
    written: Condvar,
}

impl Targets {
    /// The target of a connection; opened once.
    pub(super) fn get(
        &self,
        settings: &Settings,
        connection: Option<&str>,
    ) -> Result<Arc<dyn Target>, TargetError> {
        let mut targets = locked(&self.open);
        if let Some(target) = targets.get(&connection.map(str::to_owned)) {
            return Ok(Arc::clone(target));
        }
        let target = open(settings, connection)?;
        targets.insert(connection.map(str::to_owned), Arc::clone(&target));
        Ok(target)
    }

    /// Waits until nobody else of this engine writes to the database, where that has one writer at a time, as an SQLite
    /// file has: waiting for each other in it would count as a fault.
    pub(super) fn turn(&self, database: &Connection) -> Option<WriteTurn<'_>> {
        database.has_one_writer().then(|| self.wait_for(&database.place()))
    }

    fn wait_for(&self, database: &Path) -> WriteTurn<'_> {
        let mut writing = locked(&self.writing);
        while writing.contains(database) {
            writing = self.written.wait(writing).unwrap_or_else(PoisonError::into_inner);
        }
        writing.insert(database.to_owned());
        WriteTurn { targets: self, database: database.to_owned() }
    }
}

/// The right to write to a database, until it is dropped.
pub(super) struct WriteTurn<'a> {
    targets: &'a Targets,
    database: PathBuf,
}

impl Drop for WriteTurn<'_> {
    fn drop(&mut self) {
        locked(&self.targets.writing).remove(&self.database);
        self.targets.written.notify_all();
    }
}
