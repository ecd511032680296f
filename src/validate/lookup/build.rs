//! Makes a snapshot of a lookup table, row by row, in bounded memory: what outgrows its share is sorted run by run into
//! files without a name, and the runs are merged in the end.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{BLOCK_ENTRIES, ENTRY_BYTES, Entries, Entry, Keys, NULL_LENGTH, Snapshot, VALUE_BYTES, Values};
use crate::validate::keys::KeyHash;

/// What is written at once.
const BUFFER_BYTES: usize = 1 << 18;
/// What is read of a run at once: there may be a few hundred.
const RUN_BUFFER_BYTES: usize = 16 << 10;
/// In memory, entries are found by their first bits: about so many share them.
const ENTRIES_A_START: usize = 2;

/// Why there is no snapshot.
#[derive(Debug)]
pub enum BuildError {
    /// The disk of the work folder.
    Disk(io::Error),
    /// This key stands in the table twice, with different values beside it.
    Twice(KeyHash),
}

impl From<io::Error> for BuildError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// Takes the rows of a lookup table.
#[derive(Debug)]
pub struct Builder {
    name: String,
    keys: Keys,
    /// Columns of values beside each key.
    width: usize,
    folder: PathBuf,
    memory_bytes: usize,
    rows: u64,
    buffer: String,
    entries: Vec<Entry>,
    values: Vec<u8>,
    /// What has overflowed: the values, how many bytes of them, and sorted runs of entries.
    overflow: Option<(BufWriter<File>, u64)>,
    runs: Vec<File>,
}

impl Builder {
    /// A builder that takes at most `memory_bytes` and overflows into `folder`. Rows have the columns of `keys`, then
    /// `width` columns of values.
    #[must_use]
    pub fn new(name: &str, keys: Keys, width: usize, folder: &Path, memory_bytes: usize) -> Self {
        Self {
            name: name.to_owned(),
            keys,
            width,
            folder: folder.to_owned(),
            memory_bytes,
            rows: 0,
            buffer: String::new(),
            entries: Vec::new(),
            values: Vec::new(),
            overflow: None,
            runs: Vec::new(),
        }
    }

    /// How keys are made.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The key of a row; none when a part of it is NULL, so that nothing can find it.
    #[must_use]
    pub fn key(&mut self, row: &[Option<&str>]) -> Option<KeyHash> {
        let parts = row.get(..self.keys.width())?;
        if parts.contains(&None) {
            return None;
        }
        Some(self.keys.hash(parts.iter().copied().flatten(), &mut self.buffer))
    }

    /// Takes a row.
    ///
    /// # Errors
    /// What the disk says.
    pub fn push(&mut self, row: &[Option<&str>]) -> io::Result<()> {
        self.rows += 1;
        let Some(key) = self.key(row) else { return Ok(()) };
        let before = self.overflow.as_ref().map_or(0, |(_, bytes)| *bytes);
        // Without values there is nothing to find, and all keys share one place.
        let at = if self.width == 0 { 0 } else { before + self.values.len() as u64 };
        let values = row.iter().skip(self.keys.width()).take(self.width);
        if self.width > 0 {
            let whole: usize = values.clone().map(|value| 4 + value.map_or(0, str::len)).sum();
            self.values.extend_from_slice(&length_of(whole)?);
        }
        for value in values {
            let length = value.map_or(Ok(NULL_LENGTH.to_le_bytes()), |text| length_of(text.len()))?;
            self.values.extend_from_slice(&length);
            self.values.extend_from_slice(value.unwrap_or_default().as_bytes());
        }
        self.entries.push(Entry { key, at });
        if self.held_bytes() > self.memory_bytes {
            self.spill()?;
        }
        Ok(())
    }

    /// What is held: a list that grows is as large as what it holds, and half as much again.
    fn held_bytes(&self) -> usize {
        (self.entries.len() * ENTRY_BYTES + self.values.len()) / 2 * 3
    }

    fn spill(&mut self) -> io::Result<()> {
        let (writer, bytes) = match &mut self.overflow {
            Some(overflow) => overflow,
            None => {
                let file = BufWriter::with_capacity(BUFFER_BYTES, tempfile::tempfile_in(&self.folder)?);
                self.overflow.insert((file, 0))
            }
        };
        writer.write_all(&self.values)?;
        *bytes += self.values.len() as u64;
        self.values.clear();
        self.entries.sort_unstable();
        let mut run = BufWriter::with_capacity(BUFFER_BYTES, tempfile::tempfile_in(&self.folder)?);
        for entry in self.entries.drain(..) {
            run.write_all(&entry.bytes())?;
        }
        let mut run = run.into_inner().map_err(io::IntoInnerError::into_error)?;
        run.seek(SeekFrom::Start(0))?;
        self.runs.push(run);
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// What the disk says, or that a key stands in the table twice.
    pub fn finish(mut self) -> Result<Snapshot, BuildError> {
        let (entries, values) = if self.runs.is_empty() {
            self.values.shrink_to_fit();
            let values = Values::Memory(std::mem::take(&mut self.values));
            (in_memory(std::mem::take(&mut self.entries), &values)?, values)
        } else {
            if !self.entries.is_empty() {
                self.spill()?;
            }
            let Some((writer, _)) = self.overflow.take() else {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            };
            let values = Values::Disk(writer.into_inner().map_err(io::IntoInnerError::into_error)?);
            let entries = merge(&self.folder, std::mem::take(&mut self.runs), &values)?;
            (entries, values)
        };
        Ok(Snapshot { name: self.name, keys: self.keys, rows: self.rows, entries, values })
    }
}

/// A length as it stands before values.
fn length_of(bytes: usize) -> io::Result<[u8; 4]> {
    match u32::try_from(bytes) {
        Ok(length) if length < NULL_LENGTH => Ok(length.to_le_bytes()),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a row of a lookup table has more than four gigabytes",
        )),
    }
}

fn in_memory(mut sorted: Vec<Entry>, values: &Values) -> Result<Entries, BuildError> {
    sorted.sort_unstable();
    let mut twice = None;
    let mut failed = None;
    sorted.dedup_by(|later, kept| {
        if later.key != kept.key {
            return false;
        }
        match same_values(values, later.at, kept.at) {
            Ok(true) => {}
            Ok(false) => twice = twice.or(Some(later.key)),
            Err(error) => failed = Some(error),
        }
        true
    });
    match (failed, twice) {
        (Some(error), _) => return Err(error.into()),
        (None, Some(key)) => return Err(BuildError::Twice(key)),
        (None, None) => sorted.shrink_to_fit(),
    }
    let bits = (sorted.len() / ENTRIES_A_START).max(1).ilog2();
    let shift = u64::BITS - bits;
    let mut starts: Vec<u32> = Vec::with_capacity((1 << bits) + 1);
    for (at, entry) in sorted.iter().enumerate() {
        let number = entry.key.0[0].checked_shr(shift).unwrap_or(0) as usize;
        // More entries than a u32 counts take more memory than anybody gives to them.
        starts.resize((number + 1).max(starts.len()), at as u32);
    }
    Ok(Entries::Memory { sorted, starts, shift })
}

/// Merges sorted runs into one file without doubles.
fn merge(folder: &Path, runs: Vec<File>, values: &Values) -> Result<Entries, BuildError> {
    let mut runs: Vec<BufReader<File>> =
        runs.into_iter().map(|run| BufReader::with_capacity(RUN_BUFFER_BYTES, run)).collect();
    let mut heap = BinaryHeap::with_capacity(runs.len());
    for (number, run) in runs.iter_mut().enumerate() {
        heap.extend(next(run)?.map(|entry| Reverse((entry, number))));
    }
    let mut merged = BufWriter::with_capacity(BUFFER_BYTES, tempfile::tempfile_in(folder)?);
    let (mut count, mut fences, mut last) = (0u64, Vec::new(), None::<Entry>);
    while let Some(Reverse((entry, number))) = heap.pop() {
        if let Some(run) = runs.get_mut(number) {
            heap.extend(next(run)?.map(|entry| Reverse((entry, number))));
        }
        if let Some(kept) = last.filter(|kept| kept.key == entry.key) {
            if !same_values(values, kept.at, entry.at)? {
                return Err(BuildError::Twice(entry.key));
            }
            continue;
        }
        if count.is_multiple_of(BLOCK_ENTRIES as u64) {
            fences.push(entry.key.0[0]);
        }
        merged.write_all(&entry.bytes())?;
        count += 1;
        last = Some(entry);
    }
    let file = merged.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(Entries::Disk { file, count, fences })
}

fn next(run: &mut BufReader<File>) -> io::Result<Option<Entry>> {
    let mut bytes = [0; ENTRY_BYTES];
    match run.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(Entry::read(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// True when the same stands beside both entries.
fn same_values(values: &Values, one: u64, other: u64) -> io::Result<bool> {
    if one == other {
        return Ok(true);
    }
    let mut heads = [[0; VALUE_BYTES]; 2];
    let [first, second] = &mut heads;
    Ok(values.row(one, first)? == values.row(other, second)?)
}
