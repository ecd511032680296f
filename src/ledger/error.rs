//! What can go wrong with the ledger, and what to do about it.

use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};
use thiserror::Error;

use super::{schema::SCHEMA_VERSION, transition::IllegalTransition};
use crate::model::DeliveryId;

/// Why the ledger could not be read or written. Nothing of the step that failed is in the ledger.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// There is no ledger yet.
    #[error("nothing has been loaded here yet: there is no ledger {}", path.display())]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error(
        "the ledger {} has version {found}, but this wharf only knows versions up to {SCHEMA_VERSION}",
        path.display()
    )]
    Newer {
        /// The ledger.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The file is something else.
    #[error("{} is not a ledger of wharf", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Another process has been writing for too long.
    #[error("the ledger {} is busy: another process is writing to it", path.display())]
    Busy {
        /// The ledger.
        path: PathBuf,
    },
    /// The disk is full.
    #[error("the disk of the ledger {} is full", path.display())]
    Full {
        /// The ledger.
        path: PathBuf,
    },
    /// It may not be opened or written.
    #[error("cannot open or write the ledger {}: {said}", path.display())]
    Access {
        /// The ledger.
        path: PathBuf,
        /// What the system said.
        said: String,
    },
    /// Its content makes no sense.
    #[error("the ledger {} is damaged: {said}", path.display())]
    Corrupt {
        /// The ledger.
        path: PathBuf,
        /// What was found.
        said: String,
    },
    /// The disk failed, or SQLite did.
    #[error("the ledger {} cannot be used: {said}", path.display())]
    Io {
        /// The ledger.
        path: PathBuf,
        /// What was said.
        said: String,
    },
    /// An event does not follow from what went before.
    #[error(transparent)]
    IllegalTransition(#[from] IllegalTransition),
    /// No delivery has this name.
    #[error("there is no delivery {wanted}")]
    Unknown {
        /// What was asked for.
        wanted: String,
    },
    /// Several deliveries have names that begin so.
    #[error("{wanted} is the beginning of several deliveries: {}", listed(candidates, *more))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The newest of them, newest first.
        candidates: Vec<DeliveryId>,
        /// True when there are others.
        more: bool,
    },
    /// It cannot be the name of a delivery.
    #[error("{wanted:?} is not the name of a delivery, nor at least its first four digits")]
    NotAnId {
        /// What was asked for.
        wanted: String,
    },
}

impl LedgerError {
    /// What a person can do about it.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Missing { .. } => Some("is this the right site? name another with --site"),
            Self::Newer { .. } => {
                Some("use the newer wharf that wrote it; an older one cannot go on with it")
            }
            Self::Foreign { .. } => Some("move that file out of the way, or name another site with --site"),
            Self::Busy { .. } => Some("wait until the other process is done, then try again"),
            Self::Full { .. } => {
                Some("free space on that disk and try again; what was recorded before is safe")
            }
            Self::Access { .. } => {
                Some("let the user that runs wharf read and write that file and its folder")
            }
            Self::Corrupt { .. } => Some("keep a copy of the file as it is, then restore it from a backup"),
            Self::Io { .. } => Some("look at the system's log and check the disk, then start wharf again"),
            Self::Unknown { .. } | Self::NotAnId { .. } => Some("`wharf deliveries` lists their names"),
            Self::Ambiguous { .. } => Some("give more digits of the name"),
            Self::IllegalTransition(_) => None,
        }
    }

    /// True when the same may go well later without anybody changing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }

    /// True when the disk has no room: it goes well when somebody has freed some.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// What SQLite said, as an error of ours.
    pub(super) fn from_sqlite(path: &Path, cause: &rusqlite::Error) -> Self {
        let (path, said) = (path.to_path_buf(), cause.to_string());
        match cause {
            // Growing the file of the write-ahead index is the one place where a full disk is not called one.
            rusqlite::Error::SqliteFailure(failure, _)
                if failure.extended_code == ffi::SQLITE_IOERR_SHMSIZE =>
            {
                Self::Full { path }
            }
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy { path },
                ErrorCode::DiskFull => Self::Full { path },
                ErrorCode::NotADatabase => Self::Foreign { path },
                ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen => {
                    Self::Access { path, said }
                }
                ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation => Self::Corrupt { path, said },
                _ => Self::Io { path, said },
            },
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => Self::Corrupt { path, said },
            _ => Self::Io { path, said },
        }
    }
}

fn listed(candidates: &[DeliveryId], more: bool) -> String {
    let mut text = candidates.iter().map(DeliveryId::to_string).collect::<Vec<_>>().join(", ");
    if more {
        text.push_str(", ...");
    }
    text
}
