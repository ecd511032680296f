//! Copies that are hashed on the way: the file is read once, written once, and its BLAKE3 is known at the end.

use std::{
    collections::BTreeSet,
    fs::{self, File, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{
    atomic,
    error::WireError,
    fail::{self, Point, durable},
    folder,
    stamp::FileStamp,
};

/// Read, hashed and written at a time: large enough for all cores to hash it together, small enough to stay in cache.
const BLOCK_BYTES: usize = 1 << 20;
/// Smaller blocks are hashed on the spot.
const PARALLEL_HASH_BYTES: usize = 256 * 1024;
/// Copies are read-only for the owner and the group, and nothing to others.
const COPY_MODE: u32 = 0o440;

/// A copy that is complete but not yet durable. Dropped before [`Copied::sync`], it is removed.
#[derive(Debug)]
pub struct Copied {
    /// BLAKE3 of the bytes.
    pub hash: [u8; 32],
    /// Number of bytes.
    pub length: u64,
    /// The source's stamp when the copy began.
    pub source: FileStamp,
    /// True when the source was written to meanwhile: the copy is then worth nothing.
    pub source_changed: bool,
    file: File,
    in_progress: PathBuf,
    path: PathBuf,
    durable: bool,
}

impl Copied {
    /// Makes the copy durable, then gives it its name: a file of that name is always a whole copy.
    ///
    /// # Errors
    /// When the disk fails; the copy is then removed, as nothing can be said about what is on the disk.
    pub fn sync(self) -> Result<(), WireError> {
        sync_all(vec![self])
    }

    fn name(&self) -> Result<(), WireError> {
        durable(Point::CopySync, "make durable", &self.path, || self.file.sync_all())?;
        durable(Point::CopyRename, "create", &self.path, || fs::rename(&self.in_progress, &self.path))
    }
}

/// Makes copies durable as [`Copied::sync`] does one, all or none, with one sync for each folder.
///
/// # Errors
/// When the disk fails; all of them are then removed.
pub fn sync_all(mut copies: Vec<Copied>) -> Result<(), WireError> {
    copies.iter().try_for_each(Copied::name)?;
    let folders: BTreeSet<&Path> = copies.iter().map(|copied| folder::parent(&copied.path)).collect();
    folders.into_iter().try_for_each(|folder| folder::sync_at(Point::CopyFolder, folder))?;
    for copied in &mut copies {
        copied.durable = true;
    }
    Ok(())
}

/// Removes a copy that nobody will ever ask for, as nothing was recorded of it. One that cannot be removed is only in the way.
pub fn discard(path: &Path) {
    if fail::step(Point::CopyDiscard).unwrap_or(false) {
        let _ = fs::remove_file(path);
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if !self.durable {
            // Whichever name it has by now.
            let _ = fs::remove_file(&self.in_progress).or_else(|_| fs::remove_file(&self.path));
        }
    }
}

/// Copies an open file into a new one, from its first byte to the length it has at the start, and hashes it. The new
/// file is read-only in the end and not yet durable. `progress` is told the bytes copied so far.
///
/// A source that grows meanwhile is not chased: [`Copied::source_changed`] tells. `source_path` is for messages.
///
/// # Errors
/// When something stands at `target` already ([`WireError::is_taken`]), the source cannot be read or the target not
/// written; what was written is removed.
pub fn copy_hashed(
    source: &File,
    source_path: &Path,
    target: &Path,
    progress: impl FnMut(u64),
) -> Result<Copied, WireError> {
    let before = FileStamp::of(source, source_path)?;
    if target.symlink_metadata().is_ok() {
        return Err(WireError::io("create", target, ErrorKind::AlreadyExists.into()));
    }
    let in_progress = atomic::in_progress_name(target);
    let file = fail::step(Point::CopyCreate).and_then(|_| File::create_new(&in_progress));
    let file = file.map_err(|cause| WireError::io("create", target, cause))?;
    let mut copied = Copied {
        hash: [0; 32],
        length: 0,
        source: before,
        source_changed: false,
        file,
        in_progress,
        path: target.to_path_buf(),
        durable: false,
    };
    let mut writer = &copied.file;
    let write = |block: &[u8]| durable(Point::CopyWrite, "write", target, || writer.write_all(block));
    (copied.hash, copied.length) = read_hashed(source, source_path, before.length, write, progress)?;
    copied
        .file
        .set_permissions(Permissions::from_mode(COPY_MODE))
        .map_err(|cause| WireError::io("protect", target, cause))?;
    copied.source_changed = copied.length != before.length || FileStamp::of(source, source_path)? != before;
    Ok(copied)
}

/// BLAKE3 of an open file from its first byte to the length it has at the start, and that length. The file's own
/// position is neither used nor moved. `path` is for messages.
///
/// # Errors
/// When the file cannot be read.
pub fn hash_file(file: &File, path: &Path, progress: impl FnMut(u64)) -> Result<([u8; 32], u64), WireError> {
    let length = FileStamp::of(file, path)?.length;
    read_hashed(file, path, length, |_| Ok(()), progress)
}

/// Reads up to `limit` bytes block by block; each block is hashed while it is used.
fn read_hashed(
    file: &File,
    path: &Path,
    limit: u64,
    mut each: impl FnMut(&[u8]) -> Result<(), WireError> + Send,
    mut progress: impl FnMut(u64),
) -> Result<([u8; 32], u64), WireError> {
    let mut hasher = blake3::Hasher::new();
    let block_bytes = usize::try_from(limit).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
    let mut buffer = vec![0; block_bytes];
    let mut offset = 0;
    while offset < limit {
        let wanted = usize::try_from(limit - offset).unwrap_or(block_bytes).min(block_bytes);
        let count =
            fill(file, offset, &mut buffer[..wanted]).map_err(|cause| WireError::io("read", path, cause))?;
        if count == 0 {
            break;
        }
        let block = &buffer[..count];
        if count < PARALLEL_HASH_BYTES {
            hasher.update(block);
            each(block)?;
        } else {
            rayon::join(|| each(block), || hasher.update_rayon(block)).0?;
        }
        offset += count as u64;
        progress(offset);
    }
    Ok((*hasher.finalize().as_bytes(), offset))
}

/// Fills `block` from `offset` on; less only at the end of the file.
fn fill(file: &File, offset: u64, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match file.read_at(&mut block[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(filled)
}
#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(folder: &Path, bytes: &[u8]) -> (PathBuf, File) {
        let path = folder.join("source");
        fs::write(&path, bytes).unwrap();
        let file = File::open(&path).unwrap();
        (path, file)
    }

    #[test]
    fn a_copy_has_the_bytes_and_their_hash_whatever_the_length() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, PARALLEL_HASH_BYTES, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 77] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let (path, file) = file_with(folder.path(), &bytes);
            let target = folder.path().join(format!("copy-{length}"));
            let mut told = Vec::new();
            let copied = copy_hashed(&file, &path, &target, |sum| told.push(sum)).unwrap();
            assert_eq!(copied.hash, *blake3::hash(&bytes).as_bytes());
            assert_eq!(copied.length, length as u64);
            assert!(!copied.source_changed);
            assert_eq!(told.last().copied().unwrap_or(0), length as u64);
            assert_eq!(hash_file(&file, &path, |_| {}).unwrap(), (copied.hash, copied.length));
            copied.sync().unwrap();
            assert_eq!(fs::read(&target).unwrap(), bytes);
            assert_eq!(fs::metadata(&target).unwrap().permissions().mode() & 0o777, COPY_MODE);
        }
    }

    #[test]
    fn a_copy_that_is_not_synced_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = file_with(folder.path(), b"abc");
        let target = folder.path().join("copy");
        drop(copy_hashed(&file, &path, &target, |_| {}).unwrap());
        assert!(!target.exists());
    }

    #[test]
    fn an_existing_file_is_never_overwritten_nor_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = file_with(folder.path(), b"abc");
        let target = folder.path().join("copy");
        fs::write(&target, "precious").unwrap();
        let error = copy_hashed(&file, &path, &target, |_| {}).unwrap_err();
        assert!(error.is_taken(), "{error}");
        assert_eq!(fs::read(&target).unwrap(), b"precious");
    }

    #[test]
    fn a_source_that_grows_while_it_is_read_is_noticed_and_not_chased() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = file_with(folder.path(), &vec![b'x'; BLOCK_BYTES + 1]);
        let mut appender = File::options().append(true).open(&path).unwrap();
        let grow = |_| appender.write_all(&[b'y'; 1000]).unwrap();
        let copied = copy_hashed(&file, &path, &folder.path().join("copy"), grow).unwrap();
        assert!(copied.source_changed);
        assert_eq!(copied.length, BLOCK_BYTES as u64 + 1);
    }

    #[test]
    fn a_source_that_is_cut_while_it_is_read_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = file_with(folder.path(), &vec![b'x'; 3 * BLOCK_BYTES]);
        let cutter = File::options().write(true).open(&path).unwrap();
        let cut = |_| cutter.set_len(10).unwrap();
        let copied = copy_hashed(&file, &path, &folder.path().join("copy"), cut).unwrap();
        assert!(copied.source_changed);
        assert_eq!(copied.length, BLOCK_BYTES as u64);
    }
}
