//! What lies in a folder, in no particular order. Links are not followed, hidden folders not entered; what cannot be read
//! is told and the rest goes on.

use std::{
    io::{self, ErrorKind},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use walkdir::{DirEntry, WalkDir};

use crate::{
    sources::{
        Aside, SourceError,
        names::{CLAIMED_FOLDER, in_progress},
    },
    wire::{FileStamp, WireError},
};

/// People nest folders by year, month and customer; deeper ones are a loop of mounts or a mistake, and each level costs an
/// open folder.
const MOST_LEVELS: usize = 16;

/// One thing that was found.
pub(super) enum Found {
    /// An ordinary file.
    File(PathBuf, FileStamp),
    /// An ordinary file among the claimed ones.
    Claimed(PathBuf, FileStamp),
    /// A folder of claimed files, told after what lies in it.
    ClaimedFolder(PathBuf),
    /// No file, though it has a file's name: a link, a pipe, a device.
    NoFile(PathBuf),
    /// What could not be looked at, with the reason. The listing is not complete then.
    Trouble(Aside),
    /// What is not looked at, with the reason.
    Left(Aside),
}

/// Goes through a folder, and those below it if so wanted, then through the claimed files of each. `except` is not
/// entered: settled files are moved there.
///
/// # Errors
/// When the folder itself cannot be listed.
pub(super) fn walk(
    root: &Path,
    recursive: bool,
    except: Option<&Path>,
    each: &mut dyn FnMut(Found),
) -> Result<(), SourceError> {
    let levels = if recursive { MOST_LEVELS } else { 1 };
    let mut claimed = Vec::new();
    let mut entries = WalkDir::new(root).min_depth(1).max_depth(levels).into_iter();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                trouble(root, error, each)?;
                continue;
            }
        };
        let name = entry.file_name().as_bytes();
        if entry.file_type().is_dir() {
            let is_claimed = name == CLAIMED_FOLDER.as_bytes();
            let is_entered = !name.starts_with(b".") && Some(entry.path()) != except;
            if !is_entered {
                entries.skip_current_dir();
            }
            if is_claimed {
                claimed.push(entry.into_path());
            } else if is_entered && recursive && entry.depth() == MOST_LEVELS {
                let why = format!("it is {MOST_LEVELS} folders down, and deeper ones are not entered");
                each(Found::Left(Aside { path: entry.into_path(), why }));
            }
        } else if name == CLAIMED_FOLDER.as_bytes() {
            let why = "files cannot be claimed here, as this is no folder: remove it".to_owned();
            each(Found::Left(Aside { path: entry.into_path(), why }));
        } else if !in_progress(name) {
            file(entry, Found::File, each);
        }
    }
    for folder in claimed {
        for entry in WalkDir::new(&folder).min_depth(1).max_depth(1) {
            match entry {
                Ok(entry) if !entry.file_type().is_dir() => file(entry, Found::Claimed, each),
                Ok(_) => {}
                Err(error) if error.io_error().is_some_and(is_missing) => {}
                Err(error) => each(Found::Trouble(aside(&folder, error))),
            }
        }
        each(Found::ClaimedFolder(folder));
    }
    Ok(())
}

fn file(entry: DirEntry, kind: fn(PathBuf, FileStamp) -> Found, each: &mut dyn FnMut(Found)) {
    if !entry.file_type().is_file() {
        return each(Found::NoFile(entry.into_path()));
    }
    match entry.metadata() {
        // Another thing may have taken its place since the folder was read.
        Ok(meta) if meta.is_file() => each(kind(entry.into_path(), FileStamp::from(&meta))),
        Ok(_) => each(Found::NoFile(entry.into_path())),
        Err(error) if error.io_error().is_some_and(is_missing) => {}
        Err(error) => each(Found::Trouble(aside(entry.path(), error))),
    }
}

/// What vanishes while it is listed is nobody's trouble; what concerns the folder itself ends the look.
fn trouble(root: &Path, error: walkdir::Error, each: &mut dyn FnMut(Found)) -> Result<(), SourceError> {
    let missing = error.io_error().is_some_and(is_missing);
    if error.depth() == 0 {
        if missing {
            return Err(SourceError::Away(root.to_path_buf()));
        }
        return Err(WireError::io("list", root, error.into()).into());
    }
    if !missing {
        let path = error.path().unwrap_or(root).to_path_buf();
        each(Found::Trouble(aside(&path, error)));
    }
    Ok(())
}

fn is_missing(cause: &io::Error) -> bool {
    cause.kind() == ErrorKind::NotFound
}

fn aside(path: &Path, error: walkdir::Error) -> Aside {
    let cause = error.into_io_error().unwrap_or_else(|| ErrorKind::Other.into());
    let error = WireError::io("read", path, cause);
    let why = match error.help() {
        Some(help) => format!("{error}; {help}"),
        None => error.to_string(),
    };
    Aside { path: path.to_path_buf(), why }
}
