//! Which records a later record of the same file made void, in bounded memory.
//!
//! They are found in no order and asked for in file order, so they are put aside as numbers and gathered, a stretch of
//! the file at a time, into a bitmap.

use std::io::{self, BufReader, Read, Write};

use crate::wire::spool::{Kept, Spool, Spooled};

/// Records that one bitmap covers: eight megabytes of it, and one pass over the numbers for each 67 million records.
const STRETCH_RECORDS: u64 = 1 << 26;

/// Collects the numbers of void records.
#[derive(Debug)]
pub struct SupersededWriter(Spool);

/// Answers, in ascending order of records, which are void.
#[derive(Debug)]
pub struct Superseded {
    numbers: Spooled,
    bitmap: Vec<u64>,
    from: u64,
}

impl SupersededWriter {
    /// Collects into `spool`.
    #[must_use]
    pub fn new(spool: Spool) -> Self {
        Self(spool)
    }

    /// `record` is void.
    ///
    /// # Errors
    /// What the disk says.
    pub fn push(&mut self, record: u64) -> io::Result<()> {
        self.0.write_all(&record.to_le_bytes())
    }

    /// Ends collecting.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self) -> io::Result<Superseded> {
        self.0.finish().map(Superseded::of)
    }
}

impl Superseded {
    /// Sees to it that the numbers are in their file.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&self) -> io::Result<Kept> {
        self.numbers.keep()
    }

    /// What was kept.
    #[must_use]
    pub fn of(numbers: Spooled) -> Self {
        Self { numbers, bitmap: Vec::new(), from: u64::MAX }
    }

    /// True when no record is void.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.bytes == 0
    }

    /// Hash over the numbers of those that are.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        self.numbers.hash
    }

    /// True when `record` is void.
    ///
    /// # Errors
    /// What the disk says.
    pub fn contains(&mut self, record: u64) -> io::Result<bool> {
        if self.is_empty() {
            return Ok(false);
        }
        let from = record - record % STRETCH_RECORDS;
        if from != self.from {
            self.gather(from)?;
        }
        let at = record - from;
        Ok(self.bitmap.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1))
    }

    fn gather(&mut self, from: u64) -> io::Result<()> {
        self.bitmap.clear();
        let mut input = BufReader::new(self.numbers.reader()?);
        let mut number = [0u8; 8];
        for _ in 0..self.numbers.bytes / 8 {
            input.read_exact(&mut number)?;
            let Some(at) = u64::from_le_bytes(number).checked_sub(from).filter(|at| *at < STRETCH_RECORDS)
            else {
                continue;
            };
            let word = (at / 64) as usize;
            if self.bitmap.len() <= word {
                self.bitmap.resize(word + 1, 0);
            }
            if let Some(slot) = self.bitmap.get_mut(word) {
                *slot |= 1 << (at % 64);
            }
        }
        self.from = from;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn void_records_are_known_across_stretches() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = SupersededWriter::new(Spool::new(folder.path()));
        let void = [7, 3, STRETCH_RECORDS + 1, 64, 3 * STRETCH_RECORDS];
        void.iter().for_each(|record| writer.push(*record).unwrap());
        let mut superseded = writer.finish().unwrap();
        for record in [1, 3, 4, 7, 63, 64, 65, STRETCH_RECORDS, STRETCH_RECORDS + 1, 3 * STRETCH_RECORDS] {
            assert_eq!(superseded.contains(record).unwrap(), void.contains(&record), "{record}");
        }
    }
}
