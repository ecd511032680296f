//! Folders, durably: a file is only as safe as the entry that names it.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::Path,
};

use super::{
    error::WireError,
    fail::{Point, durable},
};

/// Makes a folder and those above it, each durable before the next is made in it. What exists stays as it is; if nothing is in
/// it yet, whoever made it may have been killed before its name was durable, so that is seen to again.
///
/// # Errors
/// When one of them cannot be made or synced, or a file is in the way.
pub fn ensure(folder: &Path) -> Result<(), WireError> {
    let unused: Vec<&Path> =
        folder.ancestors().take_while(|part| !part.as_os_str().is_empty() && !is_used(part)).collect();
    for part in unused.into_iter().rev() {
        if part.is_dir() {
            sync_beside(part)?;
            continue;
        }
        durable(Point::FolderMake, "make the folder", part, || match fs::create_dir(part) {
            Err(cause) if !(cause.kind() == ErrorKind::AlreadyExists && part.is_dir()) => Err(cause),
            _ => Ok(()),
        })?;
        sync_at(Point::FolderSync, parent(part)).inspect_err(|_| {
            // What is there the next time is taken for durable. If somebody uses it already, it stays.
            let _ = fs::remove_dir(part);
        })?;
    }
    Ok(())
}

/// True for a folder that something is in, which is put there only when the folder's own name is durable. One that cannot be
/// listed is somebody else's.
fn is_used(folder: &Path) -> bool {
    match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => folder.is_dir(),
    }
}

/// Makes the names in a folder durable.
///
/// # Errors
/// When the folder cannot be opened or the disk fails. After that nothing can be said about the last changes.
pub fn sync(folder: &Path) -> Result<(), WireError> {
    sync_at(Point::FolderSync, folder)
}

/// Makes durable the names beside a file, its own among them: for files that SQLite makes, which fsyncs their folder only if
/// it has made them in this very process, and not again after that has failed. A folder that cannot be synced at all, as this
/// user may not read it or its share does not know how, is left to whoever made the file.
///
/// # Errors
/// As [`sync`].
pub fn sync_beside(file: &Path) -> Result<(), WireError> {
    use ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match sync(parent(file)) {
        Err(WireError::Io { cause, .. })
            if matches!(cause.kind(), InvalidInput | PermissionDenied | Unsupported) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

/// The same, at a point of its own.
pub(super) fn sync_at(point: Point, folder: &Path) -> Result<(), WireError> {
    let synced = || File::open(folder).and_then(|handle| handle.sync_all());
    durable(point, "make durable the folder", folder, synced)
}

/// The folder that names `path`; the current one for a bare name.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_all_the_way_down_and_again_without_harm() {
        let site = tempfile::tempdir().unwrap();
        let deep = site.path().join("var/archive/2026");
        ensure(&deep).unwrap();
        ensure(&deep).unwrap();
        assert!(deep.is_dir());
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let site = tempfile::tempdir().unwrap();
        fs::write(site.path().join("var"), "").unwrap();
        let error = ensure(&site.path().join("var/archive")).unwrap_err();
        assert!(error.to_string().contains("/var"), "{error}");
    }
}
