//! Connections between loads: opening one, and closing the last one, costs more than a small load does.
//!
//! A connection stays with the file it was opened on, whatever bears the file's name later. Where a backup was put in
//! its place, rows written through it would be gone with it, so it is used only while its file is the one at the path.

use std::{
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, Mutex},
};

use rusqlite::Connection;

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

/// Room for one connection that waits for the next load.
#[derive(Clone, Debug, Default)]
pub(super) struct Idle(Arc<Mutex<Option<(Connection, FileId)>>>);

impl Idle {
    /// Takes the connection that waits, if one does and its file is still the one at `path`.
    pub(super) fn take(&self, path: &Path) -> Option<(Connection, FileId)> {
        let waiting = self.0.lock().ok()?.take();
        waiting.filter(|(_, file)| FileId::at(path) == Some(*file))
    }

    /// Lets a connection without a transaction wait; closes it when one waits already.
    pub(super) fn keep(&self, connection: Connection, file: FileId) {
        if let Ok(mut waiting) = self.0.lock() {
            waiting.get_or_insert((connection, file));
        }
    }
}
