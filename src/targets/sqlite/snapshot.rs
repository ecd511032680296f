//! A database to be read only, as it stood at one moment: no lock is taken that keeps anybody from writing.

use std::{
    fs::Metadata,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, Result};

use super::errors::Faults;
use crate::targets::TargetError;

/// A connection whose read transaction is open.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// The connection.
    pub connection: Connection,
    /// What the file looked like, where nothing else tells whether somebody writes to it.
    unlocked: Option<Stamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
    has_log: bool,
}

impl Snapshot {
    /// Of the database behind `writable`, which is a connection to it or says why there is none. Such a connection plays
    /// back what a crash has left in the log. A user who may only read the file gets one that only reads.
    /// It waits as long as `patience` for a writer who lets nobody read meanwhile, as outside WAL mode.
    pub(super) fn new(path: &Path, writable: Result<Connection>, patience: Duration) -> Result<Self> {
        let refused = |error: &rusqlite::Error| {
            matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen)
            )
        };
        match writable {
            Err(error) if refused(&error) => {}
            other => return begin(other?, patience).map(|connection| Self { connection, unlocked: None }),
        }
        match Connection::open_with_flags(path, READ_ONLY).and_then(|found| begin(found, patience)) {
            Err(error) if refused(&error) => Self::unlocked(path, error),
            other => other.map(|connection| Self { connection, unlocked: None }),
        }
    }

    /// Without locks and without the files that SQLite keeps beside a database in WAL mode: where there is no log, the
    /// file has everything. Whether it stayed as it was is looked at in the end.
    fn unlocked(path: &Path, error: rusqlite::Error) -> Result<Self> {
        let stamp = Stamp::of(path).filter(|stamp| !stamp.has_log);
        let Some(stamp) = stamp else { return Err(error) };
        let connection =
            Connection::open_with_flags(immutable(path), READ_ONLY | OpenFlags::SQLITE_OPEN_URI)?;
        Ok(Self { connection: begin(connection, Duration::ZERO)?, unlocked: Some(stamp) })
    }

    /// Ends it.
    pub(super) fn finish(self, faults: &Faults) -> std::result::Result<(), TargetError> {
        match self.unlocked {
            Some(stamp) if Stamp::of(faults.path()) != Some(stamp) => Err(TargetError::Passing(format!(
                "{} was written to while it was read, which this user may do only without a lock: try again",
                faults.database()
            ))),
            _ => Ok(()),
        }
    }
}

const READ_ONLY: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// What is read first decides which state is seen from then on.
fn begin(connection: Connection, patience: Duration) -> Result<Connection> {
    connection.busy_timeout(patience)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA trusted_schema = OFF; BEGIN;")?;
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// The URI (RFC 3986) that has SQLite take a file for one that nobody changes.
fn immutable(path: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri.push_str("?immutable=1");
    uri
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found: Metadata = path.metadata().ok()?;
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Some(Self {
            inode: found.ino(),
            bytes: found.len(),
            changed: (found.mtime(), found.mtime_nsec()),
            has_log: Path::new(&log).metadata().is_ok_and(|log| log.len() > 0),
        })
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::{Error, ffi};

    use super::*;

    fn refused() -> Result<Connection> {
        Err(Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_READONLY), None))
    }

    fn rows(snapshot: &Snapshot) -> i64 {
        snapshot.connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_file_that_may_only_be_read_is_read_as_it_stood() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a ?#%ü.db");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("CREATE TABLE t (k); INSERT INTO t VALUES (1)").unwrap();
        let snapshot = Snapshot::new(&path, refused(), Duration::ZERO).unwrap();
        assert!(snapshot.unlocked.is_none());
        assert_eq!(rows(&snapshot), 1);
        assert!(snapshot.connection.execute("INSERT INTO t VALUES (2)", []).is_err());
        snapshot.finish(&Faults::new(path)).unwrap();
    }

    #[test]
    fn without_a_lock_a_change_is_noticed_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a ?#%ü.db");
        let fill = "PRAGMA journal_mode = WAL; CREATE TABLE t (k); INSERT INTO t VALUES (1)";
        Connection::open(&path).unwrap().execute_batch(fill).unwrap();
        let unlocked = || Snapshot::unlocked(&path, Error::InvalidQuery);
        let snapshot = unlocked().unwrap();
        assert_eq!(rows(&snapshot), 1);
        snapshot.finish(&Faults::new(path.clone())).unwrap();
        let snapshot = unlocked().unwrap();
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        let error = snapshot.finish(&Faults::new(path.clone())).unwrap_err();
        assert!(matches!(&error, TargetError::Passing(text) if text.contains("written to while")), "{error}");
        assert!(unlocked().is_err(), "the file alone has not everything");
    }
}
