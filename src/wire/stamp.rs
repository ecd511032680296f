//! Telling whether a file is still the one that was seen.

use std::{
    fmt,
    fs::{self, File, Metadata},
    io::{Error, ErrorKind},
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::error::WireError;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// What the file system says about a file. Two equal stamps mean that nobody has written to the file in between, as
/// far as the file system notes it. Its text (`Display`) can be kept and compared later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStamp {
    /// Length in bytes.
    pub length: u64,
    /// Last change of the content, in nanoseconds since 1970; by the clock of whoever wrote it.
    pub modified_nanos: i128,
    /// Last change of content, name count or permissions, in nanoseconds since 1970; by the file system's clock.
    pub changed_nanos: i128,
    /// The file system it is on.
    pub device: u64,
    /// Its number on that file system.
    pub inode: u64,
}

impl FileStamp {
    /// The stamp of an open file.
    ///
    /// # Errors
    /// When the file system cannot tell. `path` is for the message.
    pub fn of(file: &File, path: &Path) -> Result<Self, WireError> {
        file.metadata().map(|meta| Self::from(&meta)).map_err(|cause| WireError::io("look at", path, cause))
    }

    /// The stamp of whatever stands at a path now; a symbolic link is not followed.
    ///
    /// # Errors
    /// When nothing stands there, or it may not be looked at.
    pub fn at(path: &Path) -> Result<Self, WireError> {
        fs::symlink_metadata(path)
            .map(|meta| Self::from(&meta))
            .map_err(|cause| WireError::io("look at", path, cause))
    }
}

impl From<&Metadata> for FileStamp {
    fn from(meta: &Metadata) -> Self {
        let nanos = |seconds: i64, rest: i64| i128::from(seconds) * NANOS_PER_SECOND + i128::from(rest);
        Self {
            length: meta.len(),
            modified_nanos: nanos(meta.mtime(), meta.mtime_nsec()),
            changed_nanos: nanos(meta.ctime(), meta.ctime_nsec()),
            device: meta.dev(),
            inode: meta.ino(),
        }
    }
}

impl fmt::Display for FileStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { length, modified_nanos, changed_nanos, device, inode } = self;
        write!(
            f,
            "length={length} modified={modified_nanos} changed={changed_nanos} device={device} inode={inode}"
        )
    }
}

/// Opens an ordinary file for reading, and nothing else: no symbolic link, folder, pipe or device. A pipe with a
/// file's name would otherwise hang the reader for ever.
///
/// # Errors
/// When it is missing, not ordinary, not readable, or was replaced while it was opened.
pub fn open_regular(path: &Path) -> Result<File, WireError> {
    let failed = |cause| WireError::io("open", path, cause);
    let before = fs::symlink_metadata(path).map_err(failed)?;
    if !before.is_file() {
        let message = match before.file_type() {
            kind if kind.is_dir() => "it is a folder, not an ordinary file; name the files in it",
            kind if kind.is_symlink() => "it is a link, not an ordinary file; name the file it leads to",
            _ => "it is a pipe, socket or device, not an ordinary file; copy what comes from it into one",
        };
        return Err(failed(Error::new(ErrorKind::InvalidInput, message)));
    }
    let file = File::open(path).map_err(failed)?;
    let opened = file.metadata().map_err(failed)?;
    if (opened.dev(), opened.ino()) != (before.dev(), before.ino()) {
        return Err(failed(Error::new(ErrorKind::InvalidInput, "it was replaced while it was opened")));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn appending_or_replacing_changes_the_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "1").unwrap();
        let first = FileStamp::at(&path).unwrap();
        assert_eq!(FileStamp::of(&File::open(&path).unwrap(), &path).unwrap(), first);

        File::options().append(true).open(&path).unwrap().write_all(b"2").unwrap();
        let appended = FileStamp::at(&path).unwrap();
        assert_ne!(appended, first);

        let other = folder.path().join("b");
        fs::write(&other, "12").unwrap();
        fs::rename(&other, &path).unwrap();
        assert_ne!(FileStamp::at(&path).unwrap().inode, appended.inode);
    }

    #[test]
    fn links_and_folders_are_not_opened_as_files() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "").unwrap();
        symlink(&real, &link).unwrap();
        assert!(open_regular(&real).is_ok());
        for path in [link.as_path(), folder.path()] {
            let error = open_regular(path).unwrap_err();
            assert!(error.to_string().contains("not an ordinary file"), "{error}");
        }
        assert!(open_regular(&folder.path().join("none")).unwrap_err().is_missing());
    }
}
