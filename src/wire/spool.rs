//! A place to put bytes aside: in memory while they are few, then in a file. That has no name, and is gone when the process is,
//! however it ends; or it has one, so that another process can go on with it. Nothing here is durable.
//!
//! What is read back from a file is checked block by block before it is given out: it is what was written, or an error of
//! kind [`io::ErrorKind::InvalidData`].

use std::{
    fs::{self, File},
    io::{self, BufWriter, Cursor, ErrorKind, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::fail::{self, Point};

/// Bytes kept in memory before a file is opened: most deliveries are small, and then no disk is touched.
pub const MEMORY_BYTES: usize = 1 << 20;

/// Bytes that are read and checked at once.
const BLOCK_BYTES: usize = 1 << 20;

/// What is said of bytes that are not those that were written.
const DAMAGED: &str = "its checksum does not match";

/// Bytes put aside, and a hash over them.
#[derive(Debug)]
pub struct Spool {
    home: Home,
    place: Place,
    hasher: blake3::Hasher,
    borders: Vec<[u8; 32]>,
    bytes: u64,
}

/// Where a spool overflows to.
#[derive(Clone, Debug)]
enum Home {
    /// A file without a name in this folder.
    Folder(PathBuf),
    /// This file, whose folder is made for it.
    File(PathBuf),
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File(BufWriter<File>),
}

/// A spool that is complete.
#[derive(Debug)]
pub struct Spooled {
    home: Home,
    place: Done,
    /// How many bytes there are.
    pub bytes: u64,
    /// BLAKE3 over them.
    pub hash: [u8; 32],
    /// BLAKE3 over the first block, the first two, and so on.
    borders: Vec<[u8; 32]>,
}

#[derive(Debug)]
enum Done {
    Memory(Vec<u8>),
    File(File),
}

/// What has to be known of a file to read it as the spool that it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    bytes: u64,
    hash: [u8; 32],
    borders: Vec<[u8; 32]>,
}

impl Spool {
    /// An empty spool that overflows into `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self::at(Home::Folder(folder.to_owned()))
    }

    /// An empty spool that overflows into the file `path`, in place of what has that name.
    #[must_use]
    pub fn named(path: PathBuf) -> Self {
        Self::at(Home::File(path))
    }

    fn at(home: Home) -> Self {
        let place = Place::Memory(Vec::new());
        Self { home, place, hasher: blake3::Hasher::new(), borders: Vec::new(), bytes: 0 }
    }

    /// Ends writing.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self) -> io::Result<Spooled> {
        let place = match self.place {
            Place::Memory(bytes) => Done::Memory(bytes),
            Place::File(file) => Done::File(file.into_inner().map_err(io::IntoInnerError::into_error)?),
        };
        let (home, bytes, borders) = (self.home, self.bytes, self.borders);
        Ok(Spooled { home, place, bytes, hash: *self.hasher.finalize().as_bytes(), borders })
    }
}

impl Home {
    fn open(&self) -> io::Result<File> {
        match self {
            Self::Folder(folder) => tempfile::tempfile_in(folder),
            Self::File(path) => create(path),
        }
    }
}

/// Creates a file that is written and read, in place of what has that name, and its folder.
///
/// # Errors
/// What the disk says.
pub fn create(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause),
        _ => {}
    }
    File::options().read(true).write(true).create_new(true).open(path)
}

impl Write for Spool {
    /// Takes at most what is left of a block.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = BLOCK_BYTES - (self.bytes % BLOCK_BYTES as u64) as usize;
        let bytes = bytes.get(..left).unwrap_or(bytes);
        if let Place::Memory(held) = &mut self.place
            && held.len() + bytes.len() > MEMORY_BYTES
        {
            fail::step(Point::SpoolOpen)?;
            let mut file = BufWriter::with_capacity(1 << 18, self.home.open()?);
            file.write_all(held)?;
            self.place = Place::File(file);
        }
        match &mut self.place {
            Place::Memory(held) => held.extend_from_slice(bytes),
            Place::File(file) => file.write_all(bytes)?,
        }
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        if bytes.len() == left {
            self.borders.push(*self.hasher.finalize().as_bytes());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Spooled {
    /// Reads it from the start. Any number of readers at a time.
    ///
    /// # Errors
    /// What the disk says.
    pub fn reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        Ok(match &self.place {
            Done::Memory(bytes) => Box::new(Cursor::new(bytes.as_slice())),
            Done::File(file) => Box::new(Checking::new(self, file)),
        })
    }

    /// Reads `length` bytes from `at` on, without checking them. Any number of readers at a time.
    ///
    /// # Errors
    /// What the disk says; also when there are not so many.
    pub fn read_at(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        match &self.place {
            Done::Memory(bytes) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX);
                let part = start.checked_add(length).and_then(|end| bytes.get(start..end));
                part.map(<[u8]>::to_vec).ok_or_else(|| ErrorKind::UnexpectedEof.into())
            }
            Done::File(file) => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, at)?;
                Ok(bytes)
            }
        }
    }

    /// True when there were too many bytes for memory.
    #[must_use]
    pub fn is_on_disk(&self) -> bool {
        matches!(self.place, Done::File(_))
    }

    /// Sees to it that a spool with a name is in its file, for [`Spooled::open`]. One without a name cannot be kept.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&self) -> io::Result<Kept> {
        let Home::File(path) = &self.home else { return Err(ErrorKind::Unsupported.into()) };
        if let Done::Memory(bytes) = &self.place {
            create(path)?.write_all(bytes)?;
        }
        Ok(Kept { bytes: self.bytes, hash: self.hash, borders: self.borders.clone() })
    }

    /// The spool that was kept in the file `path`. Its bytes are checked when they are read.
    ///
    /// # Errors
    /// When the file cannot be opened or has another length.
    pub fn open(path: PathBuf, kept: Kept) -> io::Result<Self> {
        let file = File::open(&path)?;
        let Kept { bytes, hash, borders } = kept;
        if file.metadata()?.len() != bytes || borders.len() as u64 != bytes / BLOCK_BYTES as u64 {
            return Err(io::Error::new(ErrorKind::InvalidData, DAMAGED));
        }
        Ok(Self { home: Home::File(path), place: Done::File(file), bytes, hash, borders })
    }
}

/// Reads a file block by block and gives out what is as it was written.
struct Checking<'a> {
    spooled: &'a Spooled,
    file: &'a File,
    hasher: blake3::Hasher,
    /// Bytes read from the file.
    read: u64,
    block: Vec<u8>,
    given: usize,
}

impl<'a> Checking<'a> {
    fn new(spooled: &'a Spooled, file: &'a File) -> Self {
        Self { spooled, file, hasher: blake3::Hasher::new(), read: 0, block: Vec::new(), given: 0 }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let left = self.spooled.bytes - self.read;
        let length = usize::try_from(left).unwrap_or(BLOCK_BYTES).min(BLOCK_BYTES);
        self.block.resize(length, 0);
        self.given = length;
        let damaged = |_| io::Error::new(ErrorKind::InvalidData, DAMAGED);
        self.file.read_exact_at(&mut self.block, self.read).map_err(|cause| match cause.kind() {
            ErrorKind::UnexpectedEof => damaged(()),
            _ => cause,
        })?;
        self.hasher.update(&self.block);
        let border = (self.read / BLOCK_BYTES as u64) as usize;
        let expected = self.spooled.borders.get(border).unwrap_or(&self.spooled.hash);
        if self.hasher.finalize().as_bytes() != expected {
            return Err(damaged(()));
        }
        self.read += length as u64;
        self.given = 0;
        Ok(())
    }
}

impl Read for Checking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.block.len() && self.read < self.spooled.bytes {
            self.next_block()?;
        }
        let ready = self.block.get(self.given..).unwrap_or_default();
        let length = ready.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), ready.get(..length)) {
            to.copy_from_slice(from);
        }
        self.given += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_spools_read_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        for size in [0, 10, MEMORY_BYTES, MEMORY_BYTES + 1, 3 * MEMORY_BYTES] {
            let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let mut spool = Spool::new(folder.path());
            for part in bytes.chunks(300_000) {
                spool.write_all(part).unwrap();
            }
            let spooled = spool.finish().unwrap();
            for _ in 0..2 {
                let mut back = Vec::new();
                spooled.reader().unwrap().read_to_end(&mut back).unwrap();
                assert!(back == bytes, "{size}");
            }
            let end = bytes.len().saturating_sub(3);
            assert_eq!(spooled.read_at(end as u64, bytes.len() - end).unwrap(), bytes[end..], "{size}");
            assert!(spooled.read_at(end as u64, 4).is_err(), "{size}");
            assert_eq!(spooled.hash, *blake3::hash(&bytes).as_bytes());
        }
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            0,
            "an overflowing spool leaves no name behind"
        );
    }

    fn kept(folder: &Path, size: usize) -> (PathBuf, Vec<u8>, Kept) {
        let path = folder.join("some/rows");
        let bytes: Vec<u8> = (0..size).map(|i| (i % 253) as u8).collect();
        let mut spool = Spool::named(path.clone());
        spool.write_all(&bytes).unwrap();
        let kept = spool.finish().unwrap().keep().unwrap();
        (path, bytes, kept)
    }

    #[test]
    fn a_spool_with_a_name_is_read_by_whoever_opens_it() {
        let folder = tempfile::tempdir().unwrap();
        for size in
            [0, 5, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES, 5 * BLOCK_BYTES / 2]
        {
            let (path, bytes, kept) = kept(folder.path(), size);
            let text = serde_json::to_string(&kept).unwrap();
            let opened = Spooled::open(path, serde_json::from_str(&text).unwrap()).unwrap();
            let mut back = Vec::new();
            opened.reader().unwrap().read_to_end(&mut back).unwrap();
            assert!(back == bytes, "{size}");
        }
    }

    #[test]
    fn a_flipped_bit_is_found_before_its_block_is_given_out() {
        let folder = tempfile::tempdir().unwrap();
        for at in [0, BLOCK_BYTES - 1, BLOCK_BYTES + 7, 5 * BLOCK_BYTES / 2 - 1] {
            let (path, bytes, kept) = kept(folder.path(), 5 * BLOCK_BYTES / 2);
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).unwrap();
            let opened = Spooled::open(path, kept).unwrap();
            let mut back = Vec::new();
            let error = opened.reader().unwrap().read_to_end(&mut back).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(back == bytes[..at / BLOCK_BYTES * BLOCK_BYTES], "{at}");
        }
    }

    #[test]
    fn a_file_of_another_length_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes, kept) = kept(folder.path(), 3000);
        fs::write(&path, &bytes[..2999]).unwrap();
        assert!(Spooled::open(path.clone(), kept.clone()).is_err());
        fs::remove_file(&path).unwrap();
        assert!(Spooled::open(path, kept).is_err());
    }
}
