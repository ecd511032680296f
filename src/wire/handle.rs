//! A folder held open, so that what is done in it is done in that very folder, whatever its path has become. Names are
//! taken one at a time and symbolic links below it are refused, so nothing outside it can be reached.

use std::{
    ffi::OsStr,
    fs::File,
    io::{Error, ErrorKind},
    os::fd::OwnedFd,
    path::{Component, Path, PathBuf},
};

use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::{error::WireError, stamp::FileStamp};

const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// An open folder.
#[derive(Debug)]
pub struct FolderHandle {
    handle: OwnedFd,
    path: PathBuf,
}

impl FolderHandle {
    /// Makes the names in it durable.
    ///
    /// # Errors
    /// When the disk fails, or the file system cannot do it.
    pub fn sync(&self) -> Result<(), WireError> {
        let synced = fs::fsync(&self.handle);
        synced.map_err(|cause| WireError::io("make durable the folder", &self.path, cause.into()))
    }

    /// Opens a folder that a person has named; links on the way to it are followed.
    ///
    /// # Errors
    /// When it is missing, no folder, or may not be read.
    pub fn open(path: &Path) -> Result<Self, WireError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match fs::open(path, flags, Mode::empty()) {
            Ok(handle) => Ok(Self { handle, path: path.to_path_buf() }),
            Err(cause) => Err(WireError::io("open the folder", path, cause.into())),
        }
    }

    /// Opens a folder in this one; a link is no folder.
    ///
    /// # Errors
    /// As [`FolderHandle::open`].
    pub fn below(&self, name: &OsStr) -> Result<Self, WireError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = self.plain(name)?;
        match fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => Ok(Self { handle, path }),
            Err(cause) => Err(WireError::io("open the folder", &path, cause.into())),
        }
    }

    /// Opens a folder further down, name by name.
    ///
    /// # Errors
    /// As [`FolderHandle::open`]; also when `relative` leads anywhere but down.
    pub fn descend(self, relative: &Path) -> Result<Self, WireError> {
        let mut folder = self;
        for part in relative.components() {
            let Component::Normal(name) = part else {
                return Err(WireError::io("open the folder", relative, ErrorKind::InvalidFilename.into()));
            };
            folder = folder.below(name)?;
        }
        Ok(folder)
    }

    /// Opens a folder in this one, and makes it if it is missing: durably, as a file that is moved into a folder is lost with
    /// it.
    ///
    /// # Errors
    /// As [`FolderHandle::below`], and when it cannot be made.
    pub fn make_below(&self, name: &OsStr) -> Result<Self, WireError> {
        let path = self.plain(name)?;
        match fs::mkdirat(&self.handle, name, Mode::RWXU | Mode::RWXG) {
            Ok(()) => self.secure()?,
            Err(Errno::EXIST) => {}
            Err(cause) => return Err(WireError::io("make the folder", &path, cause.into())),
        }
        self.below(name)
    }

    /// Makes the names in this folder durable as far as the file system can: some shares cannot, and there the server's own
    /// promises have to do.
    ///
    /// # Errors
    /// As [`FolderHandle::sync`].
    pub fn secure(&self) -> Result<(), WireError> {
        match self.sync() {
            Err(WireError::Io { cause, .. }) if cannot_sync(&cause) => Ok(()),
            synced => synced,
        }
    }

    /// The stamp of what has this name now; a link is not followed.
    ///
    /// # Errors
    /// When nothing has it, or it may not be looked at.
    pub fn stamp(&self, name: &OsStr) -> Result<FileStamp, WireError> {
        let path = self.plain(name)?;
        let found = fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|cause| WireError::io("look at", &path, cause.into()))?;
        let nanos = |seconds: i128, rest: i128| seconds * NANOS_PER_SECOND + rest;
        Ok(FileStamp {
            length: u64::try_from(found.st_size).unwrap_or(0),
            modified_nanos: nanos(i128::from(found.st_mtime), i128::from(found.st_mtime_nsec)),
            changed_nanos: nanos(i128::from(found.st_ctime), i128::from(found.st_ctime_nsec)),
            device: found.st_dev,
            inode: found.st_ino,
        })
    }

    /// Opens an ordinary file in this folder for reading, and nothing else: no link, folder, pipe or device.
    ///
    /// # Errors
    /// When it is missing, not ordinary or not readable.
    pub fn open_file(&self, name: &OsStr) -> Result<File, WireError> {
        let path = self.plain(name)?;
        let failed = |cause: Error| WireError::io("open", &path, cause);
        let odd = || failed(Error::new(ErrorKind::InvalidInput, "it is not an ordinary file"));
        // Opening a device can do something by itself, so it is looked at first.
        let found = fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW);
        let found = found.map_err(|cause| failed(cause.into()))?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(odd());
        }
        // If a pipe has taken its place meanwhile, opening must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => File::from(handle),
            Err(Errno::LOOP) => return Err(odd()),
            Err(cause) => return Err(failed(cause.into())),
        };
        if file.metadata().map_err(failed)?.is_file() { Ok(file) } else { Err(odd()) }
    }

    /// Gives a file another name, in this folder or another of the same file system, if nothing has that name.
    ///
    /// # Errors
    /// [`WireError::is_taken`] when something has it. Otherwise what the file system says. Nothing is changed then.
    pub fn rename_new(&self, name: &OsStr, to: &Self, new_name: &OsStr) -> Result<(), WireError> {
        let (path, _) = (self.plain(name)?, to.plain(new_name)?);
        let renamed =
            match fs::renameat_with(&self.handle, name, &to.handle, new_name, RenameFlags::NOREPLACE) {
                // Network and older file systems cannot do it in one step.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    self.link_and_remove(name, to, new_name)
                }
                done => done,
            };
        renamed.map_err(|cause| WireError::io("rename", &path, cause.into()))
    }

    /// The file has both names for a moment; whoever is killed then leaves both, and never none.
    fn link_and_remove(&self, name: &OsStr, to: &Self, new_name: &OsStr) -> Result<(), Errno> {
        match fs::linkat(&self.handle, name, &to.handle, new_name, AtFlags::empty()) {
            Ok(()) => {}
            // A file system without hard links.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                return self.look_and_rename(name, to, new_name);
            }
            Err(cause) => return Err(cause),
        }
        fs::unlinkat(&self.handle, name, AtFlags::empty()).inspect_err(|_| {
            let _ = fs::unlinkat(&to.handle, new_name, AtFlags::empty());
        })
    }

    /// The last resort: somebody who takes the name between the look and the rename is overwritten.
    fn look_and_rename(&self, name: &OsStr, to: &Self, new_name: &OsStr) -> Result<(), Errno> {
        match fs::statat(&to.handle, new_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(Errno::NOENT) => fs::renameat(&self.handle, name, &to.handle, new_name),
            Err(cause) => Err(cause),
        }
    }

    /// Removes a file's name.
    ///
    /// # Errors
    /// When nothing has it, or it may not be removed.
    pub fn remove(&self, name: &OsStr) -> Result<(), WireError> {
        let path = self.plain(name)?;
        fs::unlinkat(&self.handle, name, AtFlags::empty())
            .map_err(|cause| WireError::io("remove", &path, cause.into()))
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// When something is in it, it is missing, or it may not be removed.
    pub fn remove_folder(&self, name: &OsStr) -> Result<(), WireError> {
        let path = self.plain(name)?;
        fs::unlinkat(&self.handle, name, AtFlags::REMOVEDIR)
            .map_err(|cause| WireError::io("remove the folder", &path, cause.into()))
    }

    /// The path of a name in this folder, if it is one name and nothing else.
    fn plain(&self, name: &OsStr) -> Result<PathBuf, WireError> {
        let path = self.path.join(name);
        let mut parts = Path::new(name).components();
        match (parts.next(), parts.next()) {
            (Some(Component::Normal(only)), None) if only == name => Ok(path),
            _ => Err(WireError::io("use the name", &path, ErrorKind::InvalidFilename.into())),
        }
    }
}

/// The file system has no fsync of folders.
fn cannot_sync(cause: &Error) -> bool {
    let refused = cause.raw_os_error().map(Errno::from_raw_os_error);
    matches!(refused, Some(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::BADF | Errno::ACCESS))
}

#[cfg(test)]
mod tests {
    use std::{fs as std_fs, os::unix::fs::symlink};

    use super::*;

    fn name(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    #[test]
    fn a_rename_never_replaces_by_whichever_way() {
        type Way = fn(&FolderHandle, &OsStr, &FolderHandle, &OsStr) -> bool;
        let ways: [Way; 3] = [
            |from, a, to, b| from.rename_new(a, to, b).is_ok(),
            |from, a, to, b| from.link_and_remove(a, to, b).is_ok(),
            |from, a, to, b| from.look_and_rename(a, to, b).is_ok(),
        ];
        for way in ways {
            let scratch = tempfile::tempdir().unwrap();
            let path = scratch.path();
            std_fs::write(path.join("a"), "new").unwrap();
            std_fs::write(path.join("b"), "precious").unwrap();
            let folder = FolderHandle::open(path).unwrap();
            let other = folder.make_below(name("other")).unwrap();
            assert!(!way(&folder, name("a"), &folder, name("b")));
            assert_eq!(std_fs::read(path.join("a")).unwrap(), b"new");
            assert_eq!(std_fs::read(path.join("b")).unwrap(), b"precious");
            assert!(way(&folder, name("a"), &other, name("b")));
            assert!(!path.join("a").exists());
            assert_eq!(std_fs::read(path.join("other/b")).unwrap(), b"new");
        }
    }

    #[test]
    fn nothing_outside_is_reached_by_name_or_link() {
        let scratch = tempfile::tempdir().unwrap();
        let (inside, outside) = (scratch.path().join("in"), scratch.path().join("out"));
        std_fs::create_dir_all(&inside).unwrap();
        std_fs::create_dir_all(&outside).unwrap();
        std_fs::write(outside.join("secret"), "x").unwrap();
        symlink(&outside, inside.join("link")).unwrap();
        symlink(outside.join("secret"), inside.join("file")).unwrap();
        let folder = FolderHandle::open(&inside).unwrap();
        assert!(folder.below(name("link")).is_err());
        assert!(folder.make_below(name("link")).is_err());
        assert!(folder.below(name("..")).is_err());
        assert!(folder.open_file(name("file")).is_err());
        assert!(folder.open_file(name("../out/secret")).is_err());
        assert!(folder.remove(name("link/secret")).is_err());
        assert!(folder.descend(Path::new("link/deeper")).is_err());
        assert!(outside.join("secret").exists());
    }

    #[test]
    fn a_pipe_is_not_opened() {
        let scratch = tempfile::tempdir().unwrap();
        fs::mknodat(fs::CWD, scratch.path().join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .unwrap();
        let folder = FolderHandle::open(scratch.path()).unwrap();
        let error = folder.open_file(name("pipe")).unwrap_err();
        assert!(error.to_string().contains("not an ordinary file"), "{error}");
    }

    #[test]
    fn the_stamp_by_name_is_the_stamp_by_handle() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a");
        std_fs::write(&path, "abc").unwrap();
        let folder = FolderHandle::open(scratch.path()).unwrap();
        assert_eq!(folder.stamp(name("a")).unwrap(), FileStamp::at(&path).unwrap());
        assert!(folder.stamp(name("b")).unwrap_err().is_missing());
    }
}
