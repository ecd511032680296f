//! A place to put bytes aside: in memory while they are few, then in a file without a name, which is gone when the
//! process is, however it ends. Nothing here is durable.

use std::{
    fs::File,
    io::{self, BufWriter, Cursor, Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::fail::{self, Point};

/// Bytes kept in memory before a file is opened: most deliveries are small, and then no disk is touched.
pub const MEMORY_BYTES: usize = 1 << 20;

/// Bytes put aside, and a hash over them.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    place: Place,
    hasher: blake3::Hasher,
    bytes: u64,
}

#[derive(Debug)]
enum Place {
    Memory(Vec<u8>),
    File(BufWriter<File>),
}

/// A spool that is complete.
#[derive(Debug)]
pub struct Spooled {
    place: Done,
    /// How many bytes there are.
    pub bytes: u64,
    /// BLAKE3 over them.
    pub hash: [u8; 32],
}

#[derive(Debug)]
enum Done {
    Memory(Vec<u8>),
    File(File),
}

impl Spool {
    /// An empty spool that overflows into `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            place: Place::Memory(Vec::new()),
            hasher: blake3::Hasher::new(),
            bytes: 0,
        }
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
        Ok(Spooled { place, bytes: self.bytes, hash: *self.hasher.finalize().as_bytes() })
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Place::Memory(held) = &mut self.place
            && held.len() + bytes.len() > MEMORY_BYTES
        {
            fail::step(Point::SpoolOpen)?;
            let mut file = BufWriter::with_capacity(1 << 18, tempfile::tempfile_in(&self.folder)?);
            file.write_all(held)?;
            self.place = Place::File(file);
        }
        match &mut self.place {
            Place::Memory(held) => held.extend_from_slice(bytes),
            Place::File(file) => file.write_all(bytes)?,
        }
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Spooled {
    /// Reads it from the start. One reader at a time.
    ///
    /// # Errors
    /// What the disk says.
    pub fn reader(&self) -> io::Result<Box<dyn Read + Send + '_>> {
        match &self.place {
            Done::Memory(bytes) => Ok(Box::new(Cursor::new(bytes.as_slice()))),
            Done::File(file) => {
                let mut file = file;
                file.seek(SeekFrom::Start(0))?;
                Ok(Box::new(io::BufReader::with_capacity(1 << 18, file)))
            }
        }
    }
}

impl Spooled {
    /// Reads `length` bytes from `at` on. Any number of readers at a time.
    ///
    /// # Errors
    /// What the disk says; also when there are not so many.
    pub fn read_at(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        match &self.place {
            Done::Memory(bytes) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX);
                let part = start.checked_add(length).and_then(|end| bytes.get(start..end));
                part.map(<[u8]>::to_vec).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
            }
            Done::File(file) => {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, at)?;
                Ok(bytes)
            }
        }
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
            std::fs::read_dir(folder.path()).unwrap().count(),
            0,
            "an overflowing spool leaves no name behind"
        );
    }
}
