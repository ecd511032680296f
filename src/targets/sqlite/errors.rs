//! What SQLite says, told apart: about itself (a fault, with what to do about it) or about a row (a refusal, made from
//! the code and the constraint's name, never from values).

use std::path::{Path, PathBuf};

use rusqlite::{Error, ErrorCode, ffi};

use crate::{
    model::printable,
    targets::{MISSING_PARENT, Mode, Refusal, TargetError},
};

/// Makes errors about one database.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    path: PathBuf,
}

impl Faults {
    /// For the database at `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The database, as messages name it.
    pub(super) fn database(&self) -> String {
        format!("database `{}`", printable::text(&self.path.to_string_lossy()))
    }

    /// Where the database is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder the database is in, as messages name it.
    pub(super) fn folder(&self) -> String {
        let folder = self.path.parent().unwrap_or(&self.path);
        format!("folder `{}`", printable::text(&folder.to_string_lossy()))
    }

    /// What an error outside a row means.
    pub(super) fn fault(&self, error: &Error) -> TargetError {
        let database = self.database();
        let Some(code) = code(error) else {
            return TargetError::Lasting(format!(
                "{database}: {}",
                printable::short(&error.to_string(), 300)
            ));
        };
        // Growing the file of the write-ahead index is the one place where a full disk is not called one.
        if code.extended_code == ffi::SQLITE_IOERR_SHMSIZE {
            return self.full();
        }
        match code.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
                TargetError::Passing(format!(
                    "{database} is locked by another program that writes to it: try again when that is done"
                ))
            }
            ErrorCode::DiskFull => self.full(),
            ErrorCode::OutOfMemory => TargetError::Passing(format!(
                "there is not enough memory to write to {database}: free some and run retry, or set a smaller cache"
            )),
            ErrorCode::CannotOpen => TargetError::Lasting(format!(
                "{database} cannot be opened: see that it is a file and that this user may read and write it and the {}",
                self.folder()
            )),
            ErrorCode::ReadOnly | ErrorCode::PermissionDenied => TargetError::Lasting(format!(
                "{database} cannot be written: let this user write the file and the {}, where SQLite keeps its log beside it",
                self.folder()
            )),
            ErrorCode::SystemIoFailure => TargetError::Lasting(format!(
                "the disk failed to read or write {database} (SQLite code {}): check the disk, then run retry",
                code.extended_code
            )),
            ErrorCode::DatabaseCorrupt => TargetError::Lasting(format!(
                "{database} is damaged: stop writing to it and restore it from a backup (PRAGMA integrity_check says more)"
            )),
            ErrorCode::NotADatabase => TargetError::Lasting(format!(
                "{database} is not an SQLite database, or it is encrypted: correct the path"
            )),
            _ => TargetError::Lasting(format!(
                "{database}: {} (SQLite code {})",
                printable::short(text(error), 300),
                code.extended_code
            )),
        }
    }

    /// What an error of COMMIT means.
    pub(super) fn commit(&self, error: &Error) -> TargetError {
        match code(error) {
            Some(code) if code.code == ErrorCode::ConstraintViolation => TargetError::Lasting(format!(
                "{}: a foreign key that is checked at the end of the load (DEFERRED) does not hold, so nothing was \
                 loaded; SQLite does not say for which row: load what the rows refer to first, or declare the foreign \
                 key without DEFERRED to have those rows rejected",
                self.database()
            )),
            _ => self.fault(error),
        }
    }

    /// What an error of having a row vanish means.
    pub(super) fn kept(&self, error: &Error) -> TargetError {
        let why = match code(error) {
            Some(code) if code.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
                "other rows refer to it (a foreign key)".to_owned()
            }
            Some(code) if code.extended_code == ffi::SQLITE_CONSTRAINT_TRIGGER => {
                "a trigger of the table refuses it".to_owned()
            }
            Some(code) if code.code == ErrorCode::ConstraintViolation => {
                format!("it breaks a rule of the table (SQLite code {})", code.extended_code)
            }
            _ => return self.fault(error),
        };
        TargetError::Lasting(format!(
            "{}: a row that the file no longer has cannot be deleted or marked, as {why}, so nothing was loaded: see to \
             that row and run retry, or have rows marked instead of deleted (`vanished`)",
            self.database()
        ))
    }

    /// A transaction that ended without our doing.
    pub(super) fn lost(&self) -> TargetError {
        TargetError::Lasting(format!(
            "{}: the database ended the load's transaction, so nothing was loaded; a trigger with RAISE(ROLLBACK) does \
             that: RAISE(ABORT) has only the row rejected",
            self.database()
        ))
    }

    /// A file that was moved, deleted or replaced during a load.
    pub(super) fn replaced(&self) -> TargetError {
        TargetError::Passing(format!(
            "{} was moved, deleted or replaced while a load was writing to it, so nothing was loaded: put files in its \
             place only while Wharf is not running, then run retry",
            self.database()
        ))
    }

    fn full(&self) -> TargetError {
        TargetError::Passing(format!("the disk is full: {}, free space and run retry", self.database()))
    }
}

/// Tells refusals of rows of one table.
#[derive(Clone, Debug)]
pub(super) struct Refusals {
    /// The mapping's columns: index in the spec, and `table.column` as SQLite names it.
    columns: Vec<(u16, String)>,
    /// How SQLite names the key.
    key: String,
    mode: Mode,
}

impl Refusals {
    /// For `table`, the spec's columns in their order and those of the key in the order of its index, all by the names
    /// the table has.
    pub(super) fn new(table: &str, columns: &[&str], key: &[&str], mode: Mode) -> Self {
        let full = |name: &&str| format!("{table}.{name}");
        Self {
            columns: (0..).zip(columns.iter().map(full)).collect(),
            key: key.iter().map(full).collect::<Vec<_>>().join(", "),
            mode,
        }
    }

    /// The refusal that an error of writing one row stands for; none when it is a fault.
    pub(super) fn refusal(&self, error: &Error) -> Option<Refusal> {
        let code = code(error)?;
        let text = text(error);
        let named = text.split_once(": ").map_or("", |(_, named)| named);
        let column = self.columns.iter().find(|(_, name)| name == named).map(|(at, _)| *at);
        let target = |column, message: String| Some(Refusal::target(column, message));
        let shown = || printable::short(named, 200);
        match code.extended_code {
            ffi::SQLITE_CONSTRAINT_NOTNULL if column.is_some() => {
                target(column, "has no value, which the table does not allow".to_owned())
            }
            ffi::SQLITE_CONSTRAINT_NOTNULL => {
                target(None, format!("leaves `{}` without a value, which the table does not allow", shown()))
            }
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID => Some(self.not_unique(named, column)),
            ffi::SQLITE_CONSTRAINT_CHECK => {
                target(None, format!("does not pass the table's check `{}`", shown()))
            }
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY => target(None, MISSING_PARENT.to_owned()),
            ffi::SQLITE_CONSTRAINT_TRIGGER => Some(Refusal::by_trigger(text)),
            ffi::SQLITE_CONSTRAINT_DATATYPE => {
                let column = self.columns.iter().find(|(_, name)| text.ends_with(&format!(" {name}")));
                target(column.map(|(at, _)| *at), "is not of the type that the table asks for".to_owned())
            }
            _ => match code.code {
                ErrorCode::ConstraintViolation => {
                    target(None, format!("breaks a rule of the table (SQLite code {})", code.extended_code))
                }
                ErrorCode::TypeMismatch => {
                    target(None, "is not of the type that the table asks for".to_owned())
                }
                ErrorCode::TooBig => target(None, "is larger than SQLite can store".to_owned()),
                // The statement was compiled before: what fails while it runs is an expression over the row's values.
                ErrorCode::Unknown if code.extended_code == ffi::SQLITE_ERROR => target(
                    None,
                    "cannot be computed by a check, a generated column or a trigger of the table".to_owned(),
                ),
                _ => None,
            },
        }
    }

    fn not_unique(&self, named: &str, column: Option<u16>) -> Refusal {
        let is_key = named == self.key;
        match self.mode {
            Mode::Insert if is_key => Refusal { column, ..Refusal::known_key() },
            Mode::Upsert | Mode::Mirror if is_key => Refusal { column, ..Refusal::met_key() },
            _ => Refusal::not_unique(column, named),
        }
    }
}

/// A row that was neither written nor complained about.
pub(super) fn ignored() -> Refusal {
    Refusal::target(None, "was passed over by a trigger of the table (RAISE(IGNORE))")
}

/// True for an error in the statement itself: what it names is not there, or not so.
pub(super) fn is_in_statement(error: &Error) -> bool {
    code(error).is_some_and(|code| code.code == ErrorCode::Unknown)
}

fn code(error: &Error) -> Option<&ffi::Error> {
    match error {
        Error::SqliteFailure(code, _) | Error::SqlInputError { error: code, .. } => Some(code),
        _ => None,
    }
}

/// SQLite's own words.
pub(super) fn text(error: &Error) -> &str {
    match error {
        Error::SqliteFailure(_, Some(text)) | Error::SqlInputError { msg: text, .. } => text,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Rule;

    fn error(code: i32, text: &str) -> Error {
        Error::SqliteFailure(ffi::Error::new(code), Some(text.to_owned()))
    }

    #[test]
    fn faults_say_whether_waiting_helps_and_what_to_do() {
        let passing = [
            (ffi::SQLITE_BUSY, "locked"),
            (ffi::SQLITE_BUSY_RECOVERY, "locked"),
            (ffi::SQLITE_LOCKED, "locked"),
            (ffi::SQLITE_PROTOCOL, "locked"),
            (ffi::SQLITE_FULL, "the disk is full: database `/data/w.db`, free space and run retry"),
            (ffi::SQLITE_IOERR_SHMSIZE, "the disk is full"),
            (ffi::SQLITE_NOMEM, "not enough memory"),
        ];
        let lasting = [
            (ffi::SQLITE_IOERR_READ, "check the disk"),
            (ffi::SQLITE_CORRUPT_INDEX, "is damaged"),
            (ffi::SQLITE_NOTADB, "is not an SQLite database"),
            (ffi::SQLITE_READONLY_DIRECTORY, "the folder `/data`"),
            (ffi::SQLITE_PERM, "cannot be written"),
            (ffi::SQLITE_CANTOPEN, "the folder `/data`"),
            (ffi::SQLITE_ERROR, "database `/data/w.db`: no such table: main.x"),
        ];
        let faults = Faults::new(PathBuf::from("/data/w.db"));
        let refusals = Refusals::new("t", &[], &[], Mode::Upsert);
        for (code, part) in passing {
            let error = error(code, "x");
            assert!(refusals.refusal(&error).is_none(), "{code} makes no reject");
            let fault = faults.fault(&error);
            assert!(matches!(&fault, TargetError::Passing(text) if text.contains(part)), "{code}: {fault}");
        }
        for (code, part) in lasting {
            let fault = faults.fault(&error(code, "no such table: main.x"));
            assert!(matches!(&fault, TargetError::Lasting(text) if text.contains(part)), "{code}: {fault}");
            assert!(code == ffi::SQLITE_ERROR || refusals.refusal(&error(code, "x")).is_none(), "{code}");
        }
    }

    #[test]
    fn columns_are_recognised_by_the_whole_name_that_sqlite_gives_them() {
        let refusals = Refusals::new("a.b", &["x, a.b.y", "x", "y"], &["x", "y"], Mode::Insert);
        let not_null = |named: &str| {
            refusals.refusal(&error(
                ffi::SQLITE_CONSTRAINT_NOTNULL,
                &format!("NOT NULL constraint failed: {named}"),
            ))
        };
        assert_eq!(not_null("a.b.y").unwrap().column, Some(2));
        assert_eq!(not_null("a.b.z").unwrap().column, None);
        assert_eq!(not_null("other.y").unwrap().column, None);
        let key =
            refusals.refusal(&error(ffi::SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: a.b.x, a.b.y"));
        assert_eq!(key.unwrap().rule, Rule::Key);
    }

    #[test]
    fn a_row_too_large_and_a_text_for_the_rowid_are_the_rows_fault() {
        let refusals = Refusals::new("t", &["k"], &["k"], Mode::Upsert);
        for code in [ffi::SQLITE_TOOBIG, ffi::SQLITE_MISMATCH, ffi::SQLITE_CONSTRAINT_VTAB] {
            assert_eq!(refusals.refusal(&error(code, "x")).unwrap().rule, Rule::Target);
        }
    }
}
