//! The one error of this module: what was tried, on which path, what the system said, and what to do about it.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::lock::Holder;

/// Linux and the BSDs agree on these two; the standard library has no stable kind for them.
const TOO_MANY_OPEN_IN_PROCESS: i32 = 24;
const TOO_MANY_OPEN_IN_SYSTEM: i32 = 23;
/// The disk itself failed.
const DEVICE_FAULT: i32 = 5;

/// Why a step on a file failed.
#[derive(Debug, Error)]
pub enum WireError {
    /// The system refused; the text is "cannot write /x/y: No space left on device".
    #[error("cannot {action} {}: {}", shown(path), said(cause))]
    Io {
        /// What was tried, as the rest of a sentence that begins with "cannot": "write", "move a file to".
        action: &'static str,
        /// The file or folder concerned.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process holds the lock.
    #[error("{0}")]
    Held(Holder),
}

impl WireError {
    /// An error of the system, with what was tried and where.
    #[must_use]
    pub fn io(action: &'static str, path: &Path, cause: io::Error) -> Self {
        Self::Io { action, path: path.to_path_buf(), cause }
    }

    /// True when the disk or the user's share of it is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self.kind(), Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
    }

    /// True when the user that runs this process may not do it.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self.kind(), Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem))
    }

    /// True when the file or folder is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.kind() == Some(ErrorKind::NotFound)
    }

    /// True when it was this file or folder that failed.
    #[must_use]
    pub fn is_about(&self, path: &Path) -> bool {
        matches!(self, Self::Io { path: concerned, .. } if concerned == path)
    }

    /// True when the file system lets nobody do it while a program has the file open.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.kind() == Some(ErrorKind::ResourceBusy)
    }

    /// True when the name is taken already.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.kind() == Some(ErrorKind::AlreadyExists)
    }

    /// What a person can do about it, for the common causes.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        let cause = match self {
            Self::Held(_) => return Some("wait until that process is done, or stop it, then try again"),
            Self::Io { cause, .. } => cause,
        };
        match cause.kind() {
            ErrorKind::StorageFull => {
                return Some("free space on that disk and try again; files accepted before are safe");
            }
            ErrorKind::QuotaExceeded => {
                return Some(
                    "free space or raise the disk quota of the user that runs wharf, then try again",
                );
            }
            ErrorKind::PermissionDenied => {
                return Some("let the user that runs wharf read and write there, or run wharf as the owner");
            }
            ErrorKind::NotFound => return Some("check the name, and whether the file has been moved"),
            ErrorKind::ReadOnlyFilesystem => {
                return Some(
                    "that file system is mounted read-only: mount it for writing, or name another folder",
                );
            }
            ErrorKind::ResourceBusy => return Some("another program has it open: close it there"),
            ErrorKind::Unsupported => {
                return Some("that file system cannot do it: keep the folder `var` on a local disk");
            }
            _ => {}
        }
        match cause.raw_os_error() {
            Some(TOO_MANY_OPEN_IN_PROCESS | TOO_MANY_OPEN_IN_SYSTEM) => Some(
                "raise the limit of open files for wharf (ulimit -n, or LimitNOFILE in its service), then try again",
            ),
            Some(DEVICE_FAULT) => {
                Some("the disk reports a fault: look at the system's log and check the disk before going on")
            }
            _ => None,
        }
    }

    fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Io { cause, .. } => Some(cause.kind()),
            Self::Held(_) => None,
        }
    }
}

/// The path with everything escaped that a terminal would obey.
pub(super) fn shown(path: &Path) -> String {
    let quoted = format!("{path:?}");
    quoted.trim_start_matches('"').trim_end_matches('"').to_owned()
}

/// The system's words without the number that the standard library appends.
fn said(cause: &io::Error) -> String {
    let text = cause.to_string();
    match cause.raw_os_error().and_then(|code| text.strip_suffix(&format!(" (os error {code})"))) {
        Some(words) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write};

    use super::*;

    #[test]
    fn a_full_disk_is_told_with_path_and_remedy() {
        let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let cause = full.write_all(b"x").unwrap_err();
        let error = WireError::io("write", Path::new("/x/y"), cause);
        assert_eq!(error.to_string(), "cannot write /x/y: No space left on device");
        assert!(error.is_full() && !error.is_permission());
        assert!(error.help().unwrap().contains("free space"));
    }

    #[test]
    fn common_causes_have_a_remedy_and_rare_ones_do_not_pretend() {
        let of = |code| WireError::io("open", Path::new("/x"), io::Error::from_raw_os_error(code));
        for code in [5, 13, 23, 24, 28, 30, 122] {
            assert!(of(code).help().is_some(), "{code}");
        }
        assert!(of(13).is_permission() && of(30).is_permission());
        assert!(of(122).is_full());
        assert!(of(2).is_missing() && of(17).is_taken());
        assert!(of(20).help().is_none());
    }

    #[test]
    fn a_path_cannot_command_the_terminal() {
        let error = WireError::io("open", Path::new("/in/a\u{1b}[2J\nb"), io::Error::from_raw_os_error(2));
        assert_eq!(error.to_string(), r"cannot open /in/a\u{1b}[2J\nb: No such file or directory");
    }
}
