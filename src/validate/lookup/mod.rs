//! Lookup tables as they stood when a delivery began: which keys they have, and what stands beside them.
//!
//! Keys are known by keyed 128-bit hashes, sorted. A table that fits into its share of the memory is kept there; a larger
//! one stands in files without a name below the work folder and is searched block by block. It never changes, so any
//! number of threads may ask it, in any order, to the same effect.

mod build;
mod key;

use std::{borrow::Cow, fs::File, io, os::unix::fs::FileExt, sync::Arc};

pub use build::{BuildError, Builder};
pub use key::Keys;

use super::keys::KeyHash;

/// Bytes of an entry in a file: the hash, then the place of its values, each word in little endian.
const ENTRY_BYTES: usize = 24;
/// Entries that are read at once: three kilobytes, less than a page of the disk.
const BLOCK_ENTRIES: usize = 128;
/// Stands in place of a text's length for NULL.
const NULL_LENGTH: u32 = u32::MAX;
/// So much is read of a file's values at once: most of them are shorter.
const VALUE_BYTES: usize = 256;

/// The lookup tables of a delivery, in the order of its plan.
#[derive(Clone, Debug, Default)]
pub struct Snapshots(pub Vec<Arc<Snapshot>>);

/// A lookup table as it stood.
#[derive(Debug)]
pub struct Snapshot {
    name: String,
    keys: Keys,
    rows: u64,
    entries: Entries,
    values: Values,
}

/// A key of a snapshot, and where its values stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    key: KeyHash,
    at: u64,
}

/// All keys in order.
#[derive(Debug)]
enum Entries {
    /// The entries, and where those begin whose first bits are a number: `starts` has one more than such numbers.
    Memory { sorted: Vec<Entry>, starts: Vec<u32>, shift: u32 },
    /// The entries, and the first word of the first key of each block.
    Disk { file: File, count: u64, fences: Vec<u64> },
}

/// What stands beside the keys: for each entry the length of all, then its texts one behind the other, each behind its
/// length.
#[derive(Debug)]
enum Values {
    Memory(Vec<u8>),
    Disk(File),
}

impl Snapshot {
    /// The table or file, as messages name it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How its keys are made.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Rows that were read.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of memory that it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let entries = match &self.entries {
            Entries::Memory { sorted, starts, .. } => {
                size_of_val(sorted.as_slice()) + size_of_val(starts.as_slice())
            }
            Entries::Disk { fences, .. } => size_of_val(fences.as_slice()),
        };
        entries + if let Values::Memory(bytes) = &self.values { bytes.len() } else { 0 }
    }

    /// Brings what will be asked about `keys` close to the processor: their places are read one after the other without
    /// waiting for each, which a look-up would have to.
    pub fn warm(&self, keys: impl Iterator<Item = KeyHash>) {
        let Entries::Memory { sorted, starts, shift } = &self.entries else { return };
        let touch = |key: KeyHash| {
            let number = key.0[0].checked_shr(*shift).unwrap_or(0) as usize;
            let start = starts.get(number).map_or(0, |start| *start as usize);
            sorted.get(start).map_or(0, |entry| entry.at)
        };
        std::hint::black_box(keys.fold(0u64, |sum, key| sum.wrapping_add(touch(key))));
    }

    /// True when the table has this key.
    ///
    /// # Errors
    /// What the disk says.
    pub fn contains(&self, key: KeyHash) -> io::Result<bool> {
        Ok(self.entries.find(key)?.is_some())
    }

    /// Looks up the text in the value column of this number and puts it into `text`. None when the table does not have the
    /// key; false when NULL stands there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn value(&self, key: KeyHash, column: usize, text: &mut String) -> io::Result<Option<bool>> {
        text.clear();
        match self.entries.find(key)? {
            Some(at) => self.values.read(at, column, text).map(Some),
            None => Ok(None),
        }
    }
}

impl Entries {
    /// Where the values of a key stand.
    fn find(&self, key: KeyHash) -> io::Result<Option<u64>> {
        let [first, _] = key.0;
        match self {
            Self::Memory { sorted, starts, shift } => {
                let number = first.checked_shr(*shift).unwrap_or(0) as usize;
                let bound = |number: usize| starts.get(number).map_or(sorted.len(), |start| *start as usize);
                let near = sorted.get(bound(number)..bound(number + 1)).unwrap_or_default();
                Ok(near.iter().find(|entry| entry.key == key).map(|entry| entry.at))
            }
            Self::Disk { file, count, fences } => {
                // Keys with one first word may stand on both sides of a border.
                let from = fences.partition_point(|fence| *fence < first).saturating_sub(1);
                let to = fences.partition_point(|fence| *fence <= first);
                let mut bytes = [0u8; BLOCK_ENTRIES * ENTRY_BYTES];
                for block in from..to {
                    let before = (block * BLOCK_ENTRIES) as u64;
                    let entries = (count - before).min(BLOCK_ENTRIES as u64) as usize;
                    let Some(bytes) = bytes.get_mut(..entries * ENTRY_BYTES) else { continue };
                    file.read_exact_at(bytes, before * ENTRY_BYTES as u64)?;
                    let (found, _) = bytes.as_chunks::<ENTRY_BYTES>();
                    if let Ok(at) = found.binary_search_by(|entry| Entry::read(entry).key.cmp(&key)) {
                        return Ok(found.get(at).map(|entry| Entry::read(entry).at));
                    }
                }
                Ok(None)
            }
        }
    }
}

impl Entry {
    fn read(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let word = |at: usize| {
            let bytes = bytes.get(at..at + 8).unwrap_or_default();
            bytes.iter().rev().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte))
        };
        Self { key: KeyHash([word(0), word(8)]), at: word(16) }
    }

    fn bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        let words = [self.key.0[0], self.key.0[1], self.at];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

impl Values {
    /// Adds the text of a column at a place to `text`; false when it is NULL.
    fn read(&self, at: u64, column: usize, text: &mut String) -> io::Result<bool> {
        let mut head = [0u8; VALUE_BYTES];
        let row = self.row(at, &mut head)?;
        let found = text_in(&row, column);
        text.push_str(found.unwrap_or_default());
        Ok(found.is_some())
    }

    /// The values of one row, behind the length of them all. `head` serves for those that are read from a file.
    fn row<'a>(&'a self, at: u64, head: &'a mut [u8; VALUE_BYTES]) -> io::Result<Cow<'a, [u8]>> {
        match self {
            Self::Memory(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                Ok(rest.get(..4 + length(rest)).unwrap_or_default().into())
            }
            Self::Disk(file) => row_of(file, at, head),
        }
    }
}

fn row_of<'a>(file: &File, at: u64, head: &'a mut [u8; VALUE_BYTES]) -> io::Result<Cow<'a, [u8]>> {
    let read = read_at_most(file, head, at)?;
    let known = head.get(..read).unwrap_or_default();
    let whole = 4 + length(known);
    if let Some(row) = known.get(..whole) {
        return Ok(row.into());
    }
    let mut row = vec![0; whole];
    file.read_exact_at(&mut row, at)?;
    Ok(row.into())
}

fn read_at_most(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// The number that the first four bytes are.
fn length(bytes: &[u8]) -> usize {
    bytes.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize)
}

/// The text of a column of a row; none when it is NULL.
fn text_in(row: &[u8], column: usize) -> Option<&str> {
    let mut rest = row.get(4..)?;
    for _ in 0..column {
        let length = if is_null(rest) { 0 } else { length(rest) };
        rest = rest.get(4 + length..)?;
    }
    if is_null(rest) {
        return None;
    }
    str::from_utf8(rest.get(4..4 + length(rest))?).ok()
}

fn is_null(bytes: &[u8]) -> bool {
    bytes.first_chunk::<4>() == Some(&NULL_LENGTH.to_le_bytes())
}

#[cfg(test)]
mod tests;
