//! Taking hold of a file, giving it back, and telling its folder that it is safe. Everything is done below a handle of the
//! folder, and on the very file that was listed.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLockReadGuard, RwLockWriteGuard},
};

use super::{After, Shared};
use crate::{
    sources::{
        Claimed, Ready, SourceError,
        names::CLAIMED_FOLDER,
        settling::{counts_inode, stamp_text},
    },
    wire::{
        self, AtomicFile, FileStamp, FolderHandle, WireError,
        fail::{self, Point},
    },
};

/// The folder of claimed files is removed when it is empty; somebody who does so at the wrong moment is put up with.
const MOST_TRIES: usize = 3;
/// So many files of one name are not moved into one folder; each is tried in turn.
const MOST_NAMESAKES: u32 = 100_000;

/// A file as the file system has it: the folder it lies in, held open, and its name there.
struct Place<'path> {
    folder: FolderHandle,
    name: &'path OsStr,
}

impl Shared {
    pub(super) fn claim(&self, ready: &Ready) -> Result<Claimed, SourceError> {
        let gone = || SourceError::Gone(ready.path.clone());
        let changed = || SourceError::Changed(ready.path.clone());
        let place = self.place(&ready.at)?;
        let mut file = match place.folder.open_file(place.name) {
            Ok(file) => file,
            Err(error) if error.is_missing() => return Err(gone()),
            Err(error) if is_odd(&error) => return Err(changed()),
            Err(error) => return Err(error.into()),
        };
        let is_listed = |stamp: &FileStamp| stamp_text(stamp, counts_inode(&ready.stamp)) == ready.stamp;
        if !is_listed(&FileStamp::of(&file, &ready.at)?) {
            return Err(changed());
        }
        let stays = self.options.after == After::Keep || ready.at != ready.path;
        let at = if stays { ready.at.clone() } else { claimed_path(&ready.path) };
        let marker = ready.marker.as_ref().and_then(|marker| FileStamp::at(marker).ok());
        // From here on no look meddles with it.
        let hold = self.in_hand.take(&at, marker).ok_or_else(gone)?;
        if !stays {
            match self.move_to_claimed(&place, ready) {
                // Some shares, such as SMB through FUSE, let no open file be renamed, not even by whoever has it open.
                Err(SourceError::Wire(error)) if error.is_busy() => {
                    drop(file);
                    self.move_to_claimed(&place, ready)?;
                    file = self.open_claimed(&place, ready)?;
                }
                moved => moved?,
            }
            fail::moment(Point::ClaimDone);
        }
        let stamp = FileStamp::of(&file, &at)?;
        if !stays {
            let claimed = place.folder.below(OsStr::new(CLAIMED_FOLDER))?;
            if !(is_listed(&stamp) && claimed.stamp(place.name).is_ok_and(|named| is_listed(&named))) {
                drop(file);
                self.give_back(&claimed, &place.folder, place.name)?;
                return Err(changed());
            }
        }
        Ok(Claimed { listed: ready.clone(), at, file, stamp, hold })
    }

    fn move_to_claimed(&self, place: &Place, ready: &Ready) -> Result<(), SourceError> {
        for _ in 0..MOST_TRIES {
            at_point(Point::ClaimFolder, &ready.path)?;
            let claimed = self.claimed_folder(&place.folder)?;
            at_point(Point::ClaimRename, &ready.path)?;
            let moving = self.moving();
            let moved = place.folder.rename_new(place.name, &claimed, place.name);
            drop(moving);
            match moved {
                Err(error) if error.is_missing() => {
                    // Either of the two is not there any more.
                    if place.folder.stamp(place.name).is_err_and(|error| error.is_missing()) {
                        break;
                    }
                }
                done => return Ok(done?),
            }
        }
        Err(SourceError::Gone(ready.path.clone()))
    }

    /// Opens a file that was closed to be claimed. If it cannot be opened any more, it is given back.
    fn open_claimed(&self, place: &Place, ready: &Ready) -> Result<File, SourceError> {
        let claimed = place.folder.below(OsStr::new(CLAIMED_FOLDER))?;
        claimed.open_file(place.name).or_else(|error| {
            self.give_back(&claimed, &place.folder, place.name)?;
            Err(if is_odd(&error) { SourceError::Changed(ready.path.clone()) } else { error.into() })
        })
    }

    /// The folder of claimed files in this one; it is made, durably, if it is not there.
    pub(super) fn claimed_folder(&self, folder: &FolderHandle) -> Result<FolderHandle, WireError> {
        match folder.below(OsStr::new(CLAIMED_FOLDER)) {
            Err(error) if error.is_missing() => {
                let _alone = self.moving_alone();
                folder.make_below(OsStr::new(CLAIMED_FOLDER))
            }
            opened => opened,
        }
    }

    /// Holds off those who make names durable, while a file is moved.
    pub(super) fn moving(&self) -> RwLockReadGuard<'_, ()> {
        self.moves.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds off those who move files, while names are made durable.
    pub(super) fn moving_alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.moves.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn secure(&self, claims: &mut dyn Iterator<Item = &Claimed>) {
        let moved = claims.filter(|claimed| claimed.at != claimed.listed.path);
        let folders: BTreeSet<&Path> =
            moved.flat_map(|claimed| claimed.at.ancestors().skip(1).take(2)).collect();
        let _alone = self.moving_alone();
        // The inner folder first: a file whose name is gone from the outer one must be found in it.
        for folder in folders.into_iter().rev() {
            // Some shares cannot make a folder durable; there, the server's own promises have to do. Opened below the handle of
            // the source, so that nothing that was put in its place is followed or waited for.
            if let Ok(folder) = self.folder(folder)
                && fail::step(Point::ClaimSecure).unwrap_or(false)
            {
                let _ = folder.sync();
            }
        }
    }

    /// Gives a claimed file its own name, durably, and tells whether it could: not when another file has it by now. What others
    /// have claimed meanwhile is made durable among the claimed files first, as its old name goes with the new one of this.
    fn give_back(&self, from: &FolderHandle, to: &FolderHandle, name: &OsStr) -> Result<bool, WireError> {
        let _alone = self.moving_alone();
        from.secure()?;
        let is_back = give_back(from, to, name)?;
        to.secure()?;
        Ok(is_back)
    }

    pub(super) fn put_back(&self, claimed: Claimed) -> Result<(), SourceError> {
        if claimed.at == claimed.listed.path {
            return Ok(());
        }
        drop(claimed.file);
        let from = self.place(&claimed.at)?;
        let to = self.place(&claimed.listed.path)?;
        self.give_back(&from.folder, &to.folder, to.name)?;
        Ok(())
    }

    pub(super) fn settle(&self, claimed: Claimed) -> Result<(), SourceError> {
        let now = FileStamp::of(&claimed.file, &claimed.at)?;
        if (now.length, now.modified_nanos) != (claimed.stamp.length, claimed.stamp.modified_nanos) {
            let path = claimed.listed.path.clone();
            self.put_back(claimed)?;
            return Err(SourceError::Changed(path));
        }
        if self.options.after == After::Keep {
            return self.put_back(claimed);
        }
        let stable_inodes = counts_inode(&claimed.listed.stamp);
        let place = self.place(&claimed.at)?;
        match place.folder.stamp(place.name) {
            Ok(found) if !is_same(&found, &now, stable_inodes) => {
                return Err(SourceError::Changed(claimed.at.clone()));
            }
            Ok(_) => {}
            // Whoever removed it did what was to be done.
            Err(error) if error.is_missing() => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        at_point(Point::SettleBegin, &claimed.at)?;
        // The marker goes first: left alone, it would vouch for the next file of that name.
        if let (Some(path), Some(was)) = (&claimed.listed.marker, claimed.hold.marker()) {
            self.settle_marker(path, was, stable_inodes)?;
        }
        drop(claimed.file);
        self.finish(&claimed.listed.path, &place)
    }

    /// A marker that was written anew belongs to a file that is yet to be taken.
    fn settle_marker(&self, path: &Path, was: &FileStamp, stable_inodes: bool) -> Result<(), SourceError> {
        let place = self.place(path)?;
        match place.folder.open_file(place.name) {
            Ok(file) if is_same(&FileStamp::of(&file, path)?, was, stable_inodes) => {
                drop(file);
                at_point(Point::SettleMarker, path)?;
                self.finish(path, &place)
            }
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() || is_odd(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes or moves a manifest whose files are all settled.
    pub(super) fn settle_manifest(&self, path: &Path, at: &Path) -> Result<(), SourceError> {
        self.finish(path, &self.place(at)?)
    }

    /// Removes a file or moves it aside; `path` is where it stood. We may not have it open: see `claim`.
    fn finish(&self, path: &Path, place: &Place) -> Result<(), SourceError> {
        match &self.options.after {
            After::Keep => {}
            After::Delete => {
                at_point(Point::SettleRemove, path)?;
                place.folder.remove(place.name)?;
            }
            After::Move(aside) => {
                let below = path.parent().and_then(|folder| folder.strip_prefix(&self.options.folder).ok());
                // Joining an empty path would add a slash.
                let target = match below.filter(|below| !below.as_os_str().is_empty()) {
                    Some(below) => aside.join(below),
                    None => aside.clone(),
                };
                wire::folder::ensure(&target)?;
                at_point(Point::SettleMove, path)?;
                let _moving = self.moving();
                move_aside(place, path.file_name().unwrap_or(place.name), &target)?;
            }
        }
        fail::moment(Point::SettleDone);
        Ok(())
    }

    /// Opens the folder of a file of this source.
    pub(super) fn place_of(&self, path: &Path) -> Result<FolderHandle, SourceError> {
        Ok(self.place(path)?.folder)
    }

    /// Opens a folder of this source.
    fn folder(&self, path: &Path) -> Result<FolderHandle, SourceError> {
        // Any name in it leads to the folder.
        Ok(self.place(&path.join(CLAIMED_FOLDER))?.folder)
    }

    fn place<'path>(&self, path: &'path Path) -> Result<Place<'path>, SourceError> {
        let root = &self.options.folder;
        let invalid = || WireError::io("use", path, ErrorKind::InvalidFilename.into());
        let below = path.strip_prefix(root).ok().and_then(Path::parent).ok_or_else(invalid)?;
        let name = path.file_name().ok_or_else(invalid)?;
        let folder = FolderHandle::open(root).map_err(|error| match error {
            missing if missing.is_missing() => SourceError::Away(root.clone()),
            other => other.into(),
        })?;
        match folder.descend(below) {
            Ok(folder) => Ok(Place { folder, name }),
            Err(error) if error.is_missing() => Err(SourceError::Gone(path.to_path_buf())),
            Err(error) => Err(error.into()),
        }
    }
}

/// Reaches a point at which a file of the source may fail.
fn at_point(point: Point, path: &Path) -> Result<(), WireError> {
    fail::step(point).map(drop).map_err(|cause| WireError::io("take hold of", path, cause))
}

/// Where a file lies while it is claimed.
pub(super) fn claimed_path(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default();
    path.with_file_name(CLAIMED_FOLDER).join(name)
}

/// True when the file that was taken from `path` with this stamp still stands there, or lies claimed beside it, and has been
/// written to since.
#[must_use]
pub fn was_written_to(path: &Path, stamp: &str) -> bool {
    let inode = |text: &str| text.split(' ').find(|part| part.starts_with("inode=")).map(str::to_owned);
    let known = inode(stamp);
    [claimed_path(path), path.to_owned()].iter().any(|at| {
        let Ok(found) = FileStamp::at(at) else { return false };
        let found = stamp_text(&found, known.is_some());
        // Without a number to go by, only what lies claimed is known to be the same file.
        let is_same = if known.is_some() { inode(&found) == known } else { at != path };
        is_same && found != stamp
    })
}

/// Gives a claimed file its own name, and tells whether it could: not when another file has it by now. Who calls this holds
/// [`Shared::moving_alone`], has made durable what was claimed before, and lets go when the name is durable.
pub(super) fn give_back(from: &FolderHandle, to: &FolderHandle, name: &OsStr) -> Result<bool, WireError> {
    at_point(Point::ClaimBack, Path::new(name))?;
    match from.rename_new(name, to, name) {
        Ok(()) => Ok(true),
        Err(error) if error.is_taken() => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_same(one: &FileStamp, other: &FileStamp, stable_inodes: bool) -> bool {
    stamp_text(one, stable_inodes) == stamp_text(other, stable_inodes)
}

/// Something that is no ordinary file has its name by now.
fn is_odd(error: &WireError) -> bool {
    matches!(error, WireError::Io { cause, .. } if cause.kind() == ErrorKind::InvalidInput)
}

/// Moves a file into a folder under its name, or with a number behind it if that name is taken. Its new name is durable when
/// this returns.
fn move_aside(place: &Place, name: &OsStr, target: &Path) -> Result<(), SourceError> {
    let folder = FolderHandle::open(target)?;
    for number in 1..MOST_NAMESAKES {
        let mut wanted = name.to_os_string();
        if number > 1 {
            wanted.push(format!(".{number}"));
        }
        let moved = match place.folder.rename_new(place.name, &folder, &wanted) {
            Err(WireError::Io { cause, .. }) if cause.kind() == ErrorKind::CrossesDevices => {
                copy_aside(place, &target.join(&wanted)).and_then(|()| place.folder.remove(place.name))
            }
            // Killed in the middle of a rename by a link, or after a power cut: the file has both names.
            Err(error) if error.is_taken() && is_one_file(place, &folder, &wanted) => {
                place.folder.remove(place.name)
            }
            moved => moved,
        };
        match moved {
            Err(error) if error.is_taken() => {}
            moved => {
                moved?;
                return Ok(folder.secure().inspect_err(|_| {
                    // The new name may be lost although a later fsync succeeds: it has to be given once more.
                    let _ = folder.rename_new(&wanted, &place.folder, place.name);
                })?);
            }
        }
    }
    Err(WireError::io("move a file into", target, ErrorKind::AlreadyExists.into()).into())
}

/// True when the file has this name in that folder too.
fn is_one_file(place: &Place, folder: &FolderHandle, name: &OsStr) -> bool {
    let here = place.folder.stamp(place.name);
    here.is_ok_and(|here| folder.stamp(name).is_ok_and(|there| there == here))
}

/// On another file system a move is a copy; it is durable when this returns.
fn copy_aside(place: &Place, target: &Path) -> Result<(), WireError> {
    // Large files are not copied to learn that the name is taken.
    if target.symlink_metadata().is_ok() {
        return Err(WireError::io("create", target, ErrorKind::AlreadyExists.into()));
    }
    let mut file = place.folder.open_file(place.name)?;
    let mut copy = AtomicFile::create(target)?;
    io::copy(&mut file, &mut copy).map_err(|cause| WireError::io("copy a file to", target, cause))?;
    copy.resemble(&file)?;
    copy.commit_new()
}
