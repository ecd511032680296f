//! Connections between loads: opening one, and closing the last one, costs more than a small load does.
//!
//! A connection stays with the file it was opened on, whatever bears the file's name later. Where a backup was put in
//! its place, rows written through it would be gone with it, so it is used only while its file is the one at the path.
//! With it stays what was found out about its tables, which also costs more than a small load does.

use std::{
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, Mutex},
};

use rusqlite::Connection;

use super::shape::Shape;
use crate::targets::TableSpec;

/// Tells a file from another one that took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Of the file at `path`; none when there is none to be seen.
    pub(super) fn at(path: &Path) -> Option<Self> {
        let found = path.metadata().ok()?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }
}

/// A connection, and what belongs to it.
#[derive(Debug)]
pub(super) struct Open {
    /// The connection.
    pub connection: Connection,
    /// The file that it was opened on.
    pub file: FileId,
    /// What it found there.
    pub fitting: Fitting,
}

/// Tables that were found to fit. It holds as long as the number that SQLite gives the schema, which every change of
/// it raises; SQLite itself goes by that number too.
#[derive(Debug, Default)]
pub(super) struct Fitting {
    schema_version: i64,
    tables: Vec<(TableSpec, Shape)>,
}

impl Fitting {
    /// The shape of the table, if it is known to fit as it is now.
    pub(super) fn recall(
        &self,
        connection: &Connection,
        spec: &TableSpec,
    ) -> rusqlite::Result<Option<Shape>> {
        let Some((_, shape)) = self.tables.iter().find(|(known, _)| known == spec) else { return Ok(None) };
        Ok((schema_version(connection)? == self.schema_version).then(|| shape.clone()))
    }

    /// The table has this shape and fits.
    pub(super) fn note(
        &mut self,
        connection: &Connection,
        spec: &TableSpec,
        shape: &Shape,
    ) -> rusqlite::Result<()> {
        let now = schema_version(connection)?;
        if now != self.schema_version {
            (self.schema_version, self.tables) = (now, Vec::new());
        }
        self.tables.push((spec.clone(), shape.clone()));
        Ok(())
    }
}

/// The number that SQLite gives the schema; every change of it raises it.
pub(super) fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA schema_version")?.query_row([], |row| row.get(0))
}

/// Room for one connection that waits for the next load.
#[derive(Clone, Debug, Default)]
pub(super) struct Idle(Arc<Mutex<Option<Open>>>);

impl Idle {
    /// Takes the connection that waits, if one does and its file is still the one at `path`.
    pub(super) fn take(&self, path: &Path) -> Option<Open> {
        let waiting = self.0.lock().ok()?.take();
        waiting.filter(|open| FileId::at(path) == Some(open.file))
    }

    /// Lets a connection without a transaction wait; closes it when one waits already.
    pub(super) fn keep(&self, open: Open) {
        if let Ok(mut waiting) = self.0.lock() {
            waiting.get_or_insert(open);
        }
    }
}
