//! Which keys a file has claimed so far, in bounded memory.
//!
//! Keys are known by keyed 128-bit hashes. The newest stand in a table; when it is full, it is sorted and written to a
//! run on disk. A Bloom filter over the runs answers for nearly every new key that no run has it, so the disk is asked
//! only about keys that do stand twice, and a few more.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufWriter, ErrorKind, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde::{Deserialize, Serialize};

use crate::wire::spool;

/// A keyed hash of a key's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeyHash(pub [u64; 2]);

impl KeyHash {
    /// As bytes, which mean the same on every machine.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        for (part, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The hash that these bytes are.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        let (high, low) = bytes.split_at(8);
        Self([word(high), word(low)])
    }
}

/// The table grows shard by shard, so that growing never needs twice its memory.
const SHARDS: usize = 64;

/// What one entry of the table takes: 24 bytes, and its part of the slots that are free.
const BYTES_PER_ENTRY: usize = 48;

/// Bytes of an entry in a run: the hash, then the record, each in little endian.
const RUN_ENTRY_BYTES: usize = 24;

/// Bits of the filter that one key sets.
const FILTER_PROBES: u32 = 6;

/// The keys of one file, or the values of one unique column.
#[derive(Debug)]
pub struct KeyIndex {
    folder: PathBuf,
    /// The runs have names in `folder`, which is the index's own.
    named: bool,
    shards: Vec<Shard>,
    held: usize,
    most_held: usize,
    filter_words: usize,
    /// Over the runs; not there before the first one, and in an index that was opened not before it is asked.
    filter: OnceLock<Vec<u64>>,
    runs: Vec<Run>,
}

#[derive(Debug)]
struct Run {
    file: File,
    entries: u64,
    hash: [u8; 32],
}

/// A run that was kept: how many entries it has, and BLAKE3 over them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRun {
    entries: u64,
    hash: [u8; 32],
}

impl KeyIndex {
    /// An empty index that uses at most `memory_bytes` and spills into `folder`.
    #[must_use]
    pub fn new(folder: &Path, memory_bytes: usize) -> Self {
        let table = memory_bytes / 4 * 3;
        Self {
            folder: folder.to_owned(),
            named: false,
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            held: 0,
            most_held: (table / BYTES_PER_ENTRY).max(SHARDS),
            filter_words: (memory_bytes / 4 / 8).max(8).next_power_of_two() / 2,
            filter: OnceLock::new(),
            runs: Vec::new(),
        }
    }

    /// The same in a folder of its own, where it can be kept.
    #[must_use]
    pub fn named(folder: &Path, memory_bytes: usize) -> Self {
        Self { named: true, ..Self::new(folder, memory_bytes) }
    }

    /// Puts all keys on the disk, for [`KeyIndex::open`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&mut self) -> io::Result<Vec<KeptRun>> {
        if !self.named {
            return Err(ErrorKind::Unsupported.into());
        }
        if self.held > 0 {
            self.put_aside()?;
        }
        Ok(self.runs.iter().map(|run| KeptRun { entries: run.entries, hash: run.hash }).collect())
    }

    /// The index that was kept in `folder`. Its runs are read and checked when it is asked for the first time.
    ///
    /// # Errors
    /// When a run is not there or has another length.
    pub fn open(folder: &Path, memory_bytes: usize, kept: &[KeptRun]) -> io::Result<Self> {
        let mut index = Self::named(folder, memory_bytes);
        for (number, run) in kept.iter().enumerate() {
            let file = File::open(run_path(folder, number))?;
            if Some(file.metadata()?.len()) != run.entries.checked_mul(RUN_ENTRY_BYTES as u64) {
                return Err(damaged());
            }
            index.runs.push(Run { file, entries: run.entries, hash: run.hash });
        }
        let entries: u64 = index.runs.iter().map(|run| run.entries).sum();
        index.filter_words = index.words_for(usize::try_from(entries).unwrap_or(usize::MAX));
        Ok(index)
    }

    /// The words of a filter over so many keys.
    fn words_for(&self, keys: usize) -> usize {
        self.filter_words.min((keys.saturating_mul(FILTER_BITS_A_KEY) / 64).max(8).next_power_of_two())
    }

    /// The filter over the runs; made of them, and the runs checked, where nobody has asked before.
    fn filter(&self) -> io::Result<&[u64]> {
        if let Some(filter) = self.filter.get() {
            return Ok(filter);
        }
        let mut filter = vec![0; self.filter_words];
        for run in &self.runs {
            let mut hasher = blake3::Hasher::new();
            run.pages(&mut |page| {
                hasher.update(page);
                let entries = page.as_chunks::<RUN_ENTRY_BYTES>().0;
                entries.iter().for_each(|entry| set(&mut filter, entry_key(entry)));
            })?;
            if *hasher.finalize().as_bytes() != run.hash {
                return Err(damaged());
            }
        }
        Ok(self.filter.get_or_init(|| filter))
    }

    /// Brings what will be asked about `keys` close to the processor: their places in the table are read one after the
    /// other without waiting for each, which a look-up would have to.
    pub fn warm(&self, keys: &[KeyHash]) {
        let touched = keys.iter().fold(0u64, |sum, key| sum.wrapping_add(self.shard(*key).touch(*key)));
        std::hint::black_box(touched);
    }

    /// The record that claimed `key`, if one did.
    ///
    /// # Errors
    /// What the disk says.
    pub fn find(&self, key: KeyHash) -> io::Result<Option<u64>> {
        match self.shard(key).get(key) {
            Some(record) => Ok(Some(record)),
            None => self.find_in_runs(key),
        }
    }

    /// Claims `key` for `record`, unless another record has it: then that one is given, and keeps it.
    ///
    /// # Errors
    /// What the disk says.
    pub fn claim(&mut self, key: KeyHash, record: u64) -> io::Result<Option<u64>> {
        self.make_room()?;
        if !self.runs.is_empty()
            && self.shard(key).get(key).is_none()
            && let Some(earlier) = self.find_in_runs(key)?
        {
            return Ok(Some(earlier));
        }
        let earlier = self.shard_mut(key).claim(key, record);
        self.held += usize::from(earlier.is_none());
        Ok(earlier)
    }

    /// Claims `key` for `record`, whoever had it: the record that had it before is given.
    ///
    /// # Errors
    /// What the disk says.
    pub fn take_over(&mut self, key: KeyHash, record: u64) -> io::Result<Option<u64>> {
        self.make_room()?;
        let earlier = match self.shard_mut(key).take_over(key, record) {
            Some(earlier) => return Ok(Some(earlier)),
            None => self.find_in_runs(key)?,
        };
        self.held += 1;
        Ok(earlier)
    }

    /// The keys that these records claimed, in no order. Goes through the whole index.
    ///
    /// # Errors
    /// What the disk says.
    pub fn keys_of(&self, records: &BTreeSet<u64>) -> io::Result<Vec<(u64, KeyHash)>> {
        let mut found = Vec::new();
        let mut see = |(key, record): (KeyHash, u64)| {
            if record != 0 && records.contains(&record) {
                found.push((record, key));
            }
        };
        self.shards.iter().flat_map(|shard| shard.slots.iter().copied()).for_each(&mut see);
        if !self.runs.is_empty() {
            // What was opened is checked first.
            self.filter()?;
        }
        for run in &self.runs {
            run.pages(&mut |page| {
                let entries = page.as_chunks::<RUN_ENTRY_BYTES>().0;
                entries.iter().map(|entry| (entry_key(entry), entry_record(entry))).for_each(&mut see);
            })?;
        }
        Ok(found)
    }

    /// All keys, if there are at most so many and they are in memory.
    pub fn few(&self, most: usize) -> Option<Vec<KeyHash>> {
        if self.held > most || !self.runs.is_empty() {
            return None;
        }
        let slots = self.shards.iter().flat_map(|shard| shard.slots.iter());
        Some(slots.filter(|(_, record)| *record != 0).map(|(key, _)| *key).collect())
    }

    fn shard(&self, key: KeyHash) -> &Shard {
        let [_, low] = key.0;
        &self.shards[low as usize % SHARDS]
    }

    fn shard_mut(&mut self, key: KeyHash) -> &mut Shard {
        let [_, low] = key.0;
        &mut self.shards[low as usize % SHARDS]
    }

    /// Puts the keys on the disk, so that their memory serves others; they are found as before. Few keys stay where they are.
    ///
    /// # Errors
    /// What the disk says.
    pub fn set_aside(&mut self) -> io::Result<()> {
        if self.held * BYTES_PER_ENTRY < WORTH_SETTING_ASIDE_BYTES {
            return Ok(());
        }
        self.put_aside()
    }

    /// Nothing is added any more.
    fn put_aside(&mut self) -> io::Result<()> {
        if self.filter.get().is_none() {
            self.filter_words = self.words_for(self.held);
        }
        self.spill()?;
        self.shards.iter_mut().for_each(|shard| *shard = Shard::default());
        Ok(())
    }

    fn make_room(&mut self) -> io::Result<()> {
        if self.held < self.most_held { Ok(()) } else { self.spill() }
    }

    fn spill(&mut self) -> io::Result<()> {
        let mut entries: Vec<(KeyHash, u64)> = Vec::with_capacity(self.held);
        for shard in &mut self.shards {
            entries.extend(shard.drain());
        }
        self.held = 0;
        entries.sort_unstable();
        self.filter()?;
        let mut none = Vec::new();
        let filter = self.filter.get_mut().unwrap_or(&mut none);
        let file = if self.named {
            spool::create(&run_path(&self.folder, self.runs.len()))?
        } else {
            tempfile::tempfile_in(&self.folder)?
        };
        let hashed = Hashed { file, hasher: self.named.then(blake3::Hasher::new) };
        let mut writer = BufWriter::with_capacity(1 << 18, hashed);
        for (key, record) in &entries {
            set(filter, *key);
            for word in [key.0[0], key.0[1], *record] {
                writer.write_all(&word.to_le_bytes())?;
            }
        }
        let Hashed { file, hasher } = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        let hash = hasher.map_or([0; 32], |hasher| *hasher.finalize().as_bytes());
        self.runs.push(Run { file, entries: entries.len() as u64, hash });
        Ok(())
    }

    /// The newest claim that a run holds.
    fn find_in_runs(&self, key: KeyHash) -> io::Result<Option<u64>> {
        if self.runs.is_empty() || !may_hold(self.filter()?, key) {
            return Ok(None);
        }
        for run in self.runs.iter().rev() {
            if let Some(record) = run.find(key)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

/// Part of the table: open addressing with linear probing, as the keys are hashes already. An entry stands in one place
/// of memory, so that looking it up waits for memory once.
#[derive(Debug, Default)]
struct Shard {
    /// Hash and record; record 0 (there is none) marks a free slot. A power of two long, or empty.
    slots: Vec<(KeyHash, u64)>,
    used: usize,
}

/// Less memory than this is not worth a file.
const WORTH_SETTING_ASIDE_BYTES: usize = 4 << 20;
/// With so many bits, one key in a hundred is looked for in vain.
const FILTER_BITS_A_KEY: usize = 16;

/// Slots of a shard that is used for the first time.
const FIRST_SLOTS: usize = 16;

impl Shard {
    /// Where `key` stands, or the free slot where it would. There is always a free slot.
    fn place(&self, key: KeyHash) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (key.0[1] >> 6) as usize & mask;
        while let Some((other, record)) = self.slots.get(at)
            && *record != 0
            && *other != key
        {
            at = (at + 1) & mask;
        }
        at
    }

    fn touch(&self, key: KeyHash) -> u64 {
        let mask = self.slots.len().wrapping_sub(1);
        self.slots.get((key.0[1] >> 6) as usize & mask).map_or(0, |(_, record)| *record)
    }

    fn get(&self, key: KeyHash) -> Option<u64> {
        if self.slots.is_empty() {
            return None;
        }
        self.slots.get(self.place(key)).map(|(_, record)| *record).filter(|record| *record != 0)
    }

    fn claim(&mut self, key: KeyHash, record: u64) -> Option<u64> {
        self.grow();
        let at = self.place(key);
        let slot = self.slots.get_mut(at)?;
        if slot.1 != 0 {
            return Some(slot.1);
        }
        *slot = (key, record);
        self.used += 1;
        None
    }

    fn take_over(&mut self, key: KeyHash, record: u64) -> Option<u64> {
        self.grow();
        let at = self.place(key);
        let slot = self.slots.get_mut(at)?;
        let earlier = std::mem::replace(slot, (key, record)).1;
        self.used += usize::from(earlier == 0);
        Some(earlier).filter(|earlier| *earlier != 0)
    }

    /// Makes sure that a quarter of the slots is free.
    fn grow(&mut self) {
        if (self.used + 1) * 4 <= self.slots.len() * 3 {
            return;
        }
        let larger = vec![(KeyHash::default(), 0); (self.slots.len() * 2).max(FIRST_SLOTS)];
        let old = std::mem::replace(&mut self.slots, larger);
        for (key, record) in old.into_iter().filter(|(_, record)| *record != 0) {
            let at = self.place(key);
            if let Some(slot) = self.slots.get_mut(at) {
                *slot = (key, record);
            }
        }
    }

    fn drain(&mut self) -> impl Iterator<Item = (KeyHash, u64)> + '_ {
        self.used = 0;
        self.slots.iter_mut().filter(|(_, record)| *record != 0).map(std::mem::take)
    }
}

/// Writes, and hashes what is written where that is wanted.
struct Hashed {
    file: File,
    hasher: Option<blake3::Hasher>,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes.get(..written).unwrap_or_default());
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn run_path(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("keys.{number}"))
}

fn damaged() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a set of keys is not as it was written")
}

impl Run {
    /// Reads it from the start, whole entries at a time.
    fn pages(&self, see: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let mut page = vec![0u8; RUN_ENTRY_BYTES << 12];
        let end = self.entries * RUN_ENTRY_BYTES as u64;
        let mut at = 0;
        while at < end {
            let length = page.len().min(usize::try_from(end - at).unwrap_or(page.len()));
            let part = page.get_mut(..length).unwrap_or_default();
            self.file.read_exact_at(part, at)?;
            see(part);
            at += length as u64;
        }
        Ok(())
    }

    /// Hashes are spread evenly, so an entry stands near its share of the run: the search begins there.
    fn find(&self, key: KeyHash) -> io::Result<Option<u64>> {
        /// Entries read at once: one page.
        const PAGE: u64 = 170;
        let [high, _] = key.0;
        let (mut low, mut end) = (0, self.entries);
        let mut guess = ((u128::from(high) * u128::from(self.entries)) >> 64) as u64;
        let mut page = [0u8; PAGE as usize * RUN_ENTRY_BYTES];
        while low < end {
            let first = guess.saturating_sub(PAGE / 2).clamp(low, end - 1);
            let count = PAGE.min(end - first);
            let bytes = &mut page[..count as usize * RUN_ENTRY_BYTES];
            self.file.read_exact_at(bytes, first * RUN_ENTRY_BYTES as u64)?;
            let entries = bytes.as_chunks::<RUN_ENTRY_BYTES>().0;
            match entries.binary_search_by(|entry| entry_key(entry).cmp(&key)) {
                Ok(at) => return Ok(entries.get(at).map(entry_record)),
                Err(0) => end = first,
                Err(at) if at as u64 == count => low = first + count,
                Err(_) => return Ok(None),
            }
            guess = low + (end - low) / 2;
        }
        Ok(None)
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
}

fn entry_key(entry: &[u8; RUN_ENTRY_BYTES]) -> KeyHash {
    KeyHash([word(&entry[..8]), word(&entry[8..16])])
}

fn entry_record(entry: &[u8; RUN_ENTRY_BYTES]) -> u64 {
    word(&entry[16..])
}

/// All bits of one key lie in one word of eight, so that asking costs one cache line.
fn bits(filter_words: usize, key: KeyHash) -> (usize, impl Iterator<Item = (usize, u64)>) {
    let [high, low] = key.0;
    let line = (high as usize % (filter_words / 8).max(1)) * 8;
    let probes = (0..FILTER_PROBES).map(move |probe| {
        let bit = (low >> (probe * 9)) & 511;
        ((bit >> 6) as usize, 1u64 << (bit & 63))
    });
    (line, probes)
}

fn set(filter: &mut [u64], key: KeyHash) {
    let (line, probes) = bits(filter.len(), key);
    for (word, bit) in probes {
        if let Some(slot) = filter.get_mut(line + word) {
            *slot |= bit;
        }
    }
}

fn may_hold(filter: &[u64], key: KeyHash) -> bool {
    let (line, mut probes) = bits(filter.len(), key);
    probes.all(|(word, bit)| filter.get(line + word).is_some_and(|slot| slot & bit != 0))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn key(number: u64) -> KeyHash {
        let hash = blake3::hash(&number.to_le_bytes());
        KeyHash([word(&hash.as_bytes()[..8]), word(&hash.as_bytes()[8..16])])
    }

    proptest! {
        #[test]
        fn an_index_that_spills_answers_as_a_map_would(numbers in prop::collection::vec(0u64..300, 1..900), last: bool) {
            let folder = tempfile::tempdir().unwrap();
            // Room for 64 entries: a few hundred keys spill many times.
            let mut index = KeyIndex::new(folder.path(), 1024);
            let mut naive: HashMap<u64, u64> = HashMap::new();
            for (record, number) in numbers.into_iter().enumerate() {
                let record = record as u64 + 1;
                let expected = naive.get(&number).copied();
                prop_assert_eq!(index.find(key(number)).unwrap(), expected);
                if last {
                    naive.insert(number, record);
                    prop_assert_eq!(index.take_over(key(number), record).unwrap(), expected);
                } else {
                    naive.entry(number).or_insert(record);
                    prop_assert_eq!(index.claim(key(number), record).unwrap(), expected);
                }
            }
        }
    }

    #[test]
    fn an_index_that_was_kept_answers_as_before_and_notices_damage() {
        for (entries, memory) in [(50, 64 << 10), (20_000, 64 << 10)] {
            let folder = tempfile::tempdir().unwrap();
            let own = folder.path().join("own");
            let mut index = KeyIndex::named(&own, memory);
            for number in 0..entries {
                index.claim(key(number), number + 1).unwrap();
            }
            index.take_over(key(7), 777_777).unwrap();
            let kept = index.keep().unwrap();
            let opened = KeyIndex::open(&own, memory, &kept).unwrap();
            for number in 0..entries {
                let expected = if number == 7 { 777_777 } else { number + 1 };
                assert_eq!(opened.find(key(number)).unwrap(), Some(expected), "{number} of {entries}");
                assert_eq!(index.find(key(number)).unwrap(), Some(expected));
            }
            assert_eq!(opened.find(key(entries)).unwrap(), None);
            assert_eq!(opened.keys_of(&BTreeSet::from([777_777])).unwrap(), [(777_777, key(7))]);
            let run = own.join("keys.0");
            let mut bytes = std::fs::read(&run).unwrap();
            bytes[100] ^= 1;
            std::fs::write(&run, &bytes).unwrap();
            let opened = KeyIndex::open(&own, memory, &kept).unwrap();
            assert_eq!(opened.find(key(1)).unwrap_err().kind(), ErrorKind::InvalidData);
            std::fs::write(&run, &bytes[1..]).unwrap();
            assert!(KeyIndex::open(&own, memory, &kept).is_err());
        }
    }

    #[test]
    fn spilled_keys_are_found_again_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut index = KeyIndex::new(folder.path(), 64 << 10);
        for number in 0..20_000 {
            assert_eq!(index.claim(key(number), number + 1).unwrap(), None);
        }
        assert!(index.runs.len() > 5);
        for number in (0..20_000).step_by(7) {
            assert_eq!(index.find(key(number)).unwrap(), Some(number + 1));
        }
        for number in 20_000..22_000 {
            assert_eq!(index.find(key(number)).unwrap(), None);
        }
        let mut found = index.keys_of(&[5, 19_999, 20_001].into()).unwrap();
        found.sort_unstable();
        assert_eq!(found, [(5, key(4)), (19_999, key(19_998))]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
