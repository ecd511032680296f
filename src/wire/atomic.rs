//! Files that are whole or absent: written under an in-progress name (`.NAME.xxxxxx.wharf.part`) in the same folder,
//! fsynced, then given their name, then the folder is fsynced. Whoever watches the folder never sees half a file.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use tempfile::{PathPersistError, TempPath};

use super::{
    error::WireError,
    fail::{self, Point, durable},
    folder,
};

const SUFFIX: &str = ".wharf.part";
const BUFFER_BYTES: usize = 64 * 1024;
/// So much of the final name stands in the in-progress one: with four bytes a character it stays below 255.
const NAME_CHARACTERS: usize = 40;

/// A file in the making. Dropped without a commit, it leaves nothing behind.
#[derive(Debug)]
pub struct AtomicFile {
    writer: BufWriter<File>,
    in_progress: TempPath,
    target: PathBuf,
}

impl AtomicFile {
    /// Starts a file that will be called `path`. The folder must exist.
    ///
    /// # Errors
    /// When the in-progress file cannot be created, or `path` has no file name.
    pub fn create(path: &Path) -> Result<Self, WireError> {
        let failed = |cause| WireError::io("create", path, cause);
        let name = path.file_name().ok_or_else(|| failed(ErrorKind::InvalidFilename.into()))?;
        fail::step(Point::FileCreate).map_err(failed)?;
        let head: String = name.to_string_lossy().chars().take(NAME_CHARACTERS).collect();
        let (file, in_progress) = tempfile::Builder::new()
            .prefix(&format!(".{head}."))
            .suffix(SUFFIX)
            .make_in(folder::parent(path), |temporary| File::create_new(temporary))
            .map_err(failed)?
            .into_parts();
        let writer = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self { writer, in_progress, target: path.to_path_buf() })
    }

    /// Gives the file the permissions and the time of change of another one, whose bytes it now has.
    ///
    /// # Errors
    /// When the other one cannot be looked at, or the disk fails.
    pub fn resemble(&mut self, other: &File) -> Result<(), WireError> {
        // What is written later would change the time again.
        let done = self.writer.flush().and_then(|()| {
            let like = other.metadata()?;
            let file = self.writer.get_ref();
            file.set_permissions(like.permissions())?;
            file.set_modified(like.modified()?)
        });
        done.map_err(|cause| WireError::io("write", &self.target, cause))
    }

    /// Makes the file durable and gives it its name, if nothing has that name.
    ///
    /// # Errors
    /// [`WireError::is_taken`] when something has the name: it is untouched, and this file is gone. Otherwise when the
    /// disk fails; if only the folder could not be synced, the file stands but may be lost with the power.
    pub fn commit_new(self) -> Result<(), WireError> {
        self.commit(TempPath::persist_noclobber)
    }

    /// Makes the file durable and gives it its name, in place of what has that name. A symbolic link of that name is
    /// replaced, not followed.
    ///
    /// # Errors
    /// When the disk fails: the former file is then untouched, unless only the folder could not be synced.
    pub fn commit_replace(self) -> Result<(), WireError> {
        self.commit(TempPath::persist)
    }

    fn commit(
        self,
        name: impl FnOnce(TempPath, PathBuf) -> Result<(), PathPersistError>,
    ) -> Result<(), WireError> {
        let Self { writer, in_progress, target } = self;
        fail::step(Point::FileWrite).map_err(|cause| WireError::io("write", &target, cause))?;
        let file =
            writer.into_inner().map_err(|failure| WireError::io("write", &target, failure.into_error()))?;
        durable(Point::FileSync, "make durable", &target, || file.sync_all())?;
        durable(Point::FileRename, "create", &target, || {
            name(in_progress, target.clone()).map_err(|failure| failure.error)
        })?;
        folder::sync_at(Point::FileFolder, folder::parent(&target))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// The name under which the copy that will be called `path` is in the making, if it is the only one of that name.
pub(super) fn in_progress_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let head: String = name.chars().take(NAME_CHARACTERS).collect();
    path.with_file_name(format!(".{head}{SUFFIX}"))
}

/// Removes what a killed process left in the making in a folder, and tells how many files that were. Only for a
/// folder in which no other process of ours can be writing.
///
/// # Errors
/// When the folder cannot be listed or a leftover not removed.
pub fn remove_leftovers(folder: &Path) -> Result<u64, WireError> {
    let list = |cause| WireError::io("list", folder, cause);
    let mut removed = 0;
    for entry in fs::read_dir(folder).map_err(list)? {
        let entry = entry.map_err(list)?;
        if is_leftover(&entry.file_name()) && entry.file_type().map_err(list)?.is_file() {
            let path = entry.path();
            durable(Point::LeftoverRemove, "remove", &path, || fs::remove_file(&path))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn is_leftover(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    bytes.starts_with(b".") && bytes.ends_with(SUFFIX.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_on_commit_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.csv");
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"all of it").unwrap();
        file.flush().unwrap();
        assert!(!path.exists());
        let in_progress = names(folder.path());
        assert!(
            in_progress[0].starts_with(".report.csv.") && in_progress[0].ends_with(".part"),
            "{in_progress:?}"
        );
        file.commit_new().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"all of it");
        assert_eq!(names(folder.path()), ["report.csv"]);
    }

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = AtomicFile::create(&folder.path().join("report.csv")).unwrap();
        file.write_all(&[0; 200_000]).unwrap();
        drop(file);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn commit_new_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "first").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"second").unwrap();
        let error = file.commit_new().unwrap_err();
        assert!(error.is_taken(), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn commit_replace_replaces_a_link_and_leaves_its_target_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, precious) = (folder.path().join("a"), folder.path().join("precious"));
        fs::write(&precious, "untouched").unwrap();
        symlink(&precious, &path).unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.commit_replace().unwrap();
        assert_eq!(fs::read(&precious).unwrap(), b"untouched");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_missing_folder_is_told_with_the_wanted_name() {
        let folder = tempfile::tempdir().unwrap();
        let error = AtomicFile::create(&folder.path().join("none/a.csv")).unwrap_err();
        assert!(error.is_missing());
        assert!(error.to_string().ends_with("none/a.csv: No such file or directory"), "{error}");
    }

    #[test]
    fn the_longest_name_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x".repeat(255), "東".repeat(85), "😀".repeat(63)] {
            let path = folder.path().join(name);
            AtomicFile::create(&path).unwrap().commit_new().unwrap();
            assert!(path.exists());
        }
    }

    #[test]
    fn leftovers_of_a_killed_process_are_removed_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let kept =
            tempfile::Builder::new().prefix(".a.csv.").suffix(SUFFIX).tempfile_in(folder.path()).unwrap();
        kept.keep().unwrap();
        for name in ["a.csv", ".upload.part", "b.wharf.part"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(remove_leftovers(folder.path()).unwrap(), 1);
        assert_eq!(names(folder.path()), [".upload.part", "a.csv", "b.wharf.part"]);
    }
}
