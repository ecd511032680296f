//! The ledger's file: its tables, its version, and how a connection to it is set up.
//!
//! The version stands in `PRAGMA user_version`. There is one way to it from any older one: the steps of
//! [`MIGRATIONS`] that are missing, in one transaction. A newer version is refused.

use std::{fs, io, path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::error::LedgerError;

/// The version of the ledger that this program writes.
pub const SCHEMA_VERSION: u32 = 3;

/// Step `n` leads from version `n` to `n + 1`. A step that has been released is never changed.
const MIGRATIONS: [&str; SCHEMA_VERSION as usize] = [VERSION_1, VERSION_2, VERSION_3];

/// Marks the file as ours ("WHRF"), for `file` and against mistakes.
const APPLICATION_ID: u32 = 0x5748_5246;

/// Nobody writes for longer than a moment; who has to wait for more is told so.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Several processes that make the same ledger at once get in one another's way this often at most.
const MAX_TRIES: u32 = 20;
/// Pages of the write-ahead log before it is worked into the file: some 16 MB, as each time costs two fsyncs.
const CHECKPOINT_PAGES: u32 = 4000;
/// A write-ahead log that grew beyond this in a burst is cut back.
const LOG_BYTES: u32 = 64 << 20;
/// Every statement of this module stays compiled.
const CACHED_STATEMENTS: usize = 64;

/// A site's key, and the random part of its name; from the system's own generator, as SQLite's is not made for keys.
const KEY_BYTES: usize = 32;
const NAME_BYTES: usize = 10;
const RANDOM_BYTES: usize = KEY_BYTES + NAME_BYTES;

const VERSION_1: &str = "
    CREATE TABLE site (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        site_id TEXT NOT NULL,
        site_key BLOB NOT NULL CHECK (length(site_key) = 32)
    ) STRICT;

    -- What happened: the truth. Times are milliseconds since 1970.
    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY,
        delivery BLOB NOT NULL CHECK (length(delivery) = 16),
        at INTEGER NOT NULL,
        event TEXT NOT NULL
    ) STRICT;
    CREATE INDEX events_of_delivery ON events (delivery);

    -- What became of it: derived from the events.
    CREATE TABLE deliveries (
        arrival INTEGER PRIMARY KEY,
        id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
        file BLOB NOT NULL,
        source TEXT NOT NULL,
        source_path BLOB,
        stamp TEXT,
        evidence TEXT,
        size INTEGER NOT NULL,
        hash BLOB NOT NULL CHECK (length(hash) = 32),
        archive TEXT NOT NULL,
        mapping TEXT,
        taken_at INTEGER NOT NULL,
        plan TEXT,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        reason TEXT,
        message TEXT,
        retryable INTEGER NOT NULL,
        other BLOB,
        approved_rejects INTEGER,
        changed_at INTEGER NOT NULL,
        finished_at INTEGER GENERATED ALWAYS AS (CASE WHEN settled IS NOT NULL THEN changed_at END) VIRTUAL,
        settled INTEGER,
        worked_millis INTEGER,
        rejects_report TEXT,
        errors_report TEXT,
        tables TEXT,
        violations TEXT,
        read INTEGER,
        inserted INTEGER,
        updated INTEGER,
        unchanged INTEGER,
        superseded INTEGER,
        filtered INTEGER,
        rejected INTEGER,
        withheld INTEGER,
        deleted INTEGER,
        exact INTEGER
    ) STRICT;
    CREATE INDEX deliveries_by_state ON deliveries (state);
    CREATE INDEX deliveries_by_content ON deliveries (size, hash);
    CREATE INDEX deliveries_loaded ON deliveries (mapping, settled)
        WHERE state IN ('loaded', 'loaded_with_rejects');
    CREATE INDEX deliveries_loaded_content ON deliveries (hash, mapping, plan, settled)
        WHERE state IN ('loaded', 'loaded_with_rejects');

    -- Mappings as they were when they ran.
    CREATE TABLE plans (
        fingerprint TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        toml TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// Sources that are watched, and what commands ask of the engine that works on the site.
const VERSION_2: &str = "
    ALTER TABLE deliveries ADD COLUMN modified INTEGER;
    ALTER TABLE deliveries ADD COLUMN not_before INTEGER;
    ALTER TABLE deliveries ADD COLUMN unended INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN postponed INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX deliveries_by_source_path ON deliveries (source_path);

    -- A request is answered once, in the transaction of the events that answer it.
    CREATE TABLE requests (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        person TEXT NOT NULL,
        request TEXT NOT NULL,
        answered_at INTEGER,
        answer TEXT
    ) STRICT;
    CREATE INDEX requests_open ON requests (number) WHERE answer IS NULL;
";

/// What becomes of rejects, and the deliveries that bring them corrected; rows that vanish from a table.
const VERSION_3: &str = "
    ALTER TABLE deliveries ADD COLUMN corrects BLOB;
    ALTER TABLE deliveries ADD COLUMN returned TEXT;
    ALTER TABLE deliveries ADD COLUMN reruns BLOB;
    ALTER TABLE deliveries ADD COLUMN open INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN corrected INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN overtaken INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN ignored INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN place TEXT;
    ALTER TABLE deliveries ADD COLUMN missing TEXT;
    ALTER TABLE deliveries ADD COLUMN approved_deletes INTEGER;
    ALTER TABLE deliveries ADD COLUMN deletes INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN lookups TEXT;
    ALTER TABLE deliveries ADD COLUMN restores INTEGER NOT NULL DEFAULT 0;
    UPDATE deliveries SET open = rejected WHERE state = 'loaded_with_rejects' AND tables IS NOT NULL;
    CREATE INDEX deliveries_that_correct ON deliveries (corrects) WHERE corrects IS NOT NULL;
    CREATE INDEX deliveries_that_rerun ON deliveries (reruns) WHERE reruns IS NOT NULL;
    CREATE INDEX deliveries_with_open_rejects ON deliveries (place) WHERE open > 0;
    CREATE INDEX deliveries_in_part ON deliveries (mapping, settled)
        WHERE state = 'refused' AND inserted + updated > 0;
    CREATE INDEX deliveries_that_lack ON deliveries (arrival) WHERE missing IS NOT NULL;

    -- Keyed hashes of the keys of open rejects, by the arrival of their delivery.
    CREATE TABLE reject_keys (
        delivery INTEGER NOT NULL,
        record INTEGER NOT NULL,
        hash BLOB NOT NULL CHECK (length(hash) = 16),
        PRIMARY KEY (delivery, record)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX reject_keys_by_hash ON reject_keys (hash);

    -- What engines found unfinished when they began: the last few, for people.
    CREATE TABLE recoveries (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        recovery TEXT NOT NULL
    ) STRICT;
";

/// What a reader of version `n` puts in front of its tables, so that every version is read in the same way. A reader may
/// not bring a ledger up to date, and has to work before the first writer does.
const READ_AS: [&str; SCHEMA_VERSION as usize] = [
    "",
    "
    CREATE TEMP VIEW deliveries AS SELECT *, NULL AS modified, NULL AS not_before, 0 AS unended, 0 AS postponed,
        NULL AS corrects, NULL AS returned, NULL AS reruns, iif(state = 'loaded_with_rejects' AND tables IS NOT NULL, rejected, 0) AS open,
        0 AS corrected, 0 AS overtaken, 0 AS ignored, NULL AS place, NULL AS missing,
        NULL AS approved_deletes, 0 AS deletes, NULL AS lookups, 0 AS restores FROM main.deliveries;
    CREATE TEMP TABLE requests (number INTEGER, at INTEGER, person TEXT, request TEXT, answered_at INTEGER, answer TEXT);
    CREATE TEMP TABLE reject_keys (delivery INTEGER, record INTEGER, hash BLOB);
    CREATE TEMP TABLE recoveries (number INTEGER, at INTEGER, recovery TEXT);
    ",
    "
    CREATE TEMP VIEW deliveries AS SELECT *,
        NULL AS corrects, NULL AS returned, NULL AS reruns, iif(state = 'loaded_with_rejects' AND tables IS NOT NULL, rejected, 0) AS open,
        0 AS corrected, 0 AS overtaken, 0 AS ignored, NULL AS place, NULL AS missing,
        NULL AS approved_deletes, 0 AS deletes, NULL AS lookups, 0 AS restores FROM main.deliveries;
    CREATE TEMP TABLE reject_keys (delivery INTEGER, record INTEGER, hash BLOB);
    CREATE TEMP TABLE recoveries (number INTEGER, at INTEGER, recovery TEXT);
    ",
];

/// Opens the ledger for writing, and makes it, or brings it up to date, where that is needed.
pub(super) fn open_to_write(path: &Path, at_millis: u64) -> Result<Connection, LedgerError> {
    let failed = |cause: &rusqlite::Error| LedgerError::from_sqlite(path, cause);
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|cause| failed(&cause))?;
    // A file that may only be read is opened all the same, and the log that SQLite would put beside it could not be
    // written either, even after somebody has put the file itself right.
    if connection.is_readonly("main").map_err(|cause| failed(&cause))? {
        let said = "it may only be read".to_owned();
        return Err(LedgerError::Access { path: path.to_path_buf(), said });
    }
    prepare(&connection).map_err(|cause| failed(&cause))?;
    let found = version(&connection, path)?;
    write_ahead(&connection).map_err(|cause| failed(&cause))?;
    if found < SCHEMA_VERSION {
        migrate(&mut connection, path, at_millis)?;
    }
    Ok(connection)
}

/// Opens the ledger for reading only. Works beside a writer, and on a medium that cannot be written.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, LedgerError> {
    let missing = || LedgerError::Missing { path: path.to_path_buf() };
    match fs::metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Err(missing()),
        Err(cause) => return Err(LedgerError::Access { path: path.to_path_buf(), said: cause.to_string() }),
        Ok(_) => {}
    }
    let attempt = |name: &Path, flags| {
        let connection = Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(|cause| LedgerError::from_sqlite(path, &cause))?;
        prepare(&connection).map_err(|cause| LedgerError::from_sqlite(path, &cause))?;
        version(&connection, path).map(|version| (connection, version))
    };
    let opened = match attempt(path, OpenFlags::SQLITE_OPEN_READ_ONLY) {
        // SQLite wants to put its index beside the file and may not. Where no log is waiting, the file says it all.
        Err(LedgerError::Access { .. }) if !has_log(path) => attempt(
            Path::new(&immutable(path)),
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI,
        ),
        done => done,
    };
    match opened? {
        (_, 0) => Err(missing()),
        (connection, version) => {
            let older = READ_AS.get(version as usize).copied().unwrap_or_default();
            connection.execute_batch(older).map_err(|cause| LedgerError::from_sqlite(path, &cause))?;
            Ok(connection)
        }
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)
}

fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let mut tries = 1;
    while let Err(cause) = connection.pragma_update(None, "journal_mode", "WAL") {
        // SQLite does not wait here for another process that opens the new file too; a write transaction does.
        if cause.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) || tries == MAX_TRIES {
            return Err(cause);
        }
        tries += 1;
        connection.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_BYTES)
}

/// The version of an opened file as of one moment: 0 when there is nothing in it yet.
fn version(connection: &Connection, path: &Path) -> Result<u32, LedgerError> {
    let failed = |cause| LedgerError::from_sqlite(path, &cause);
    let moment = connection.unchecked_transaction().map_err(failed)?;
    version_within(&moment, path)
}

fn version_within(transaction: &Transaction<'_>, path: &Path) -> Result<u32, LedgerError> {
    let read = |pragma| transaction.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
    let facts = || -> rusqlite::Result<(u32, u32, bool)> {
        let tables = "SELECT EXISTS (SELECT 1 FROM sqlite_schema)";
        Ok((
            read("application_id")?,
            read("user_version")?,
            transaction.query_row(tables, [], |row| row.get(0))?,
        ))
    };
    match facts().map_err(|cause| LedgerError::from_sqlite(path, &cause))? {
        (0, 0, false) => Ok(0),
        (APPLICATION_ID, found, _) if found > SCHEMA_VERSION => {
            Err(LedgerError::Newer { path: path.to_path_buf(), found })
        }
        (APPLICATION_ID, found, _) => Ok(found),
        _ => Err(LedgerError::Foreign { path: path.to_path_buf() }),
    }
}

fn migrate(connection: &mut Connection, path: &Path, at_millis: u64) -> Result<(), LedgerError> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|cause| LedgerError::Io {
        path: path.to_path_buf(),
        said: format!("no random bytes for the site's key: {cause}"),
    })?;
    let mut steps = || -> rusqlite::Result<Result<(), LedgerError>> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Another process may have done it while this one waited.
        let found = match version_within(&transaction, path) {
            Ok(found) => found,
            Err(error) => return Ok(Err(error)),
        };
        for step in MIGRATIONS.iter().skip(found as usize) {
            transaction.execute_batch(step)?;
        }
        if found == 0 {
            name_site(&transaction, at_millis, &random)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        transaction.commit().map(Ok)
    };
    steps().map_err(|cause| LedgerError::from_sqlite(path, &cause))?
}

/// Gives the site its identity, for the loads tables of databases that several sites load into, and its key, from
/// which reject ids are made that nobody can guess.
fn name_site(connection: &Connection, at_millis: u64, random: &[u8; RANDOM_BYTES]) -> rusqlite::Result<()> {
    let (key, tail) = random.split_at(KEY_BYTES);
    let mut name = [0; NAME_BYTES];
    name.copy_from_slice(tail);
    let site_id = uuid::Builder::from_unix_timestamp_millis(at_millis, &name).into_uuid().to_string();
    connection
        .execute("INSERT INTO site (one, site_id, site_key) VALUES (1, ?1, ?2)", (site_id, key))
        .map(|_| ())
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    fs::metadata(log).is_ok_and(|meta| meta.len() > 0)
}

/// The path as a URI that tells SQLite to expect no change and to create nothing.
fn immutable(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let mut uri = String::from("file://");
    for byte in absolute.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                uri.push(char::from(*byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_ledger_is_refused_by_both_kinds_of_opening_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        open_to_write(&path, 1).unwrap().pragma_update(None, "user_version", SCHEMA_VERSION + 1).unwrap();
        for error in [open_to_write(&path, 1).unwrap_err(), open_to_read(&path).unwrap_err()] {
            assert!(
                matches!(error, LedgerError::Newer { found, .. } if found == SCHEMA_VERSION + 1),
                "{error}"
            );
        }
    }

    #[test]
    fn files_that_are_no_ledger_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (text, database) = (folder.path().join("text"), folder.path().join("database"));
        fs::write(
            &text,
            "this is some text, and long enough for a header of SQLite to be looked for in it".repeat(9),
        )
        .unwrap();
        Connection::open(&database).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
        for path in [&text, &database] {
            let before = fs::read(path).unwrap();
            for error in [open_to_write(path, 1).unwrap_err(), open_to_read(path).unwrap_err()] {
                assert!(matches!(error, LedgerError::Foreign { .. }), "{error:?}");
            }
            assert_eq!(fs::read(path).unwrap(), before);
        }
    }

    #[test]
    fn reading_where_nothing_was_loaded_says_so_and_makes_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let error = open_to_read(&path).unwrap_err();
        assert!(matches!(error, LedgerError::Missing { .. }));
        assert!(error.to_string().starts_with("nothing has been loaded here yet"), "{error}");
        assert!(!path.exists());
        fs::write(&path, "").unwrap();
        assert!(matches!(open_to_read(&path), Err(LedgerError::Missing { .. })));
        open_to_write(&path, 1).unwrap();
        open_to_read(&path).unwrap();
    }

    #[test]
    fn commits_are_durable_and_readers_do_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        let connection = open_to_write(&folder.path().join("ledger.db"), 1).unwrap();
        let mode: String = connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        let synchronous: u32 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!((mode.as_str(), synchronous), ("wal", 2));
    }

    #[test]
    fn a_file_on_a_medium_that_cannot_be_written_is_read_whatever_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b?c#d%41 ä.db");
        drop(open_to_write(&path, 1).unwrap());
        assert!(!has_log(&path));
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(immutable(&path), flags).unwrap();
        assert_eq!(version(&connection, &path).unwrap(), SCHEMA_VERSION);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_an_error_of_access_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = open_to_write(&folder.path().join("var/ledger.db"), 1).unwrap_err();
        assert!(matches!(error, LedgerError::Access { .. }));
        assert!(error.to_string().contains("var/ledger.db"), "{error}");
    }
}
