//! Sealed work files that outlive the process that made them: the next one takes them up and validates nothing twice.
//!
//! A work file that is large enough to be on the disk lies there under names, in a folder of its own, and its seal is written
//! last. Nothing of it is made durable: a process that is killed leaves its writes to the system, and after a power cut the
//! hashes in the seal tell whether what is there is what was written. The seal itself bears a hash keyed by the site's
//! secret, so that a work file is of this site, whose hashes of keys it holds. What does not fit is made again from the
//! archive; that is always right, and only slower.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{
    Seal, ValidateError, WorkFile,
    keys::{KeptRun, KeyHash, KeyIndex},
    rejected_keys::RejectedKeys,
    superseded::Superseded,
};
use crate::{
    model::ContentHash,
    wire::{
        fail::{self, Point},
        spool::{self, Kept, Spool, Spooled},
    },
};

/// The seal's file.
const SEAL: &str = "seal";
/// A seal holds some dozens of bytes for each megabyte of rows and for each reject that people are given; more is damage.
const MOST_SEAL_BYTES: u64 = 256 << 20;
/// Bytes of the keyed hash before it.
const HASH_BYTES: usize = 32;

/// Where work files overflow to.
#[derive(Clone, Copy, Debug)]
pub struct Folder<'a> {
    passing: &'a Path,
    own: Option<&'a Path>,
}

impl<'a> Folder<'a> {
    pub(super) const ROWS: &'static str = "rows";
    pub(super) const REJECTS: &'static str = "rejects";
    pub(super) const SUPERSEDED: &'static str = "superseded";
    pub(super) const REJECTED_KEYS: &'static str = "rejected_keys";

    /// Files without names in this folder.
    #[must_use]
    pub fn passing(folder: &'a Path) -> Self {
        Self { passing: folder, own: None }
    }

    /// The same, but what [`WorkFile::keep`] needs lies in a folder of its own.
    #[must_use]
    pub fn keeping(folder: &'a Path, own: &'a Path) -> Self {
        Self { passing: folder, own: Some(own) }
    }

    pub(super) fn spool(&self, name: &str) -> Spool {
        self.own.map_or_else(|| Spool::new(self.passing), |own| Spool::named(own.join(name)))
    }

    pub(super) fn keys(&self, memory_bytes: usize) -> KeyIndex {
        self.own.map_or_else(|| self.unique(memory_bytes), |own| KeyIndex::named(own, memory_bytes))
    }

    /// Of values that nobody asks for once the file is read.
    pub(super) fn unique(&self, memory_bytes: usize) -> KeyIndex {
        KeyIndex::new(self.passing, memory_bytes)
    }
}

/// What a work file was made of; it is taken up only for the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeOf {
    /// The version of the program.
    pub wharf: String,
    /// Fingerprint of the mapping.
    pub plan: String,
    /// BLAKE3 of the file.
    pub file: ContentHash,
    /// Hash of the files that values are looked up in.
    pub lookups: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    of: MadeOf,
    seal: Seal,
    rows: Kept,
    rejects: Kept,
    superseded: Kept,
    rejected_keys: Option<Kept>,
    keys: Vec<KeptRun>,
    reject_keys: Vec<(u64, KeyHash)>,
}

/// Keyed by the secret that keys the hashes of keys too.
fn hash(secret: [u64; 2], text: &[u8]) -> blake3::Hash {
    let key = blake3::derive_key("wharf 2026-11-20 sealed work files", &KeyHash(secret).to_bytes());
    blake3::keyed_hash(&key, text)
}

impl WorkFile {
    /// True when making it again takes longer than taking it up: its rows are more than memory has room for.
    #[must_use]
    pub fn is_worth_keeping(&self) -> bool {
        self.rows.as_ref().is_some_and(Spooled::is_on_disk)
    }

    /// Keeps it in `own`, the folder that it was made for with [`Folder::keeping`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn keep(&mut self, own: &Path, of: MadeOf, secret: [u64; 2]) -> Result<(), ValidateError> {
        let Some(rows) = &self.rows else { return Ok(()) };
        let sealed = Sealed {
            of,
            seal: self.seal.clone(),
            rows: rows.keep()?,
            rejects: self.rejects.keep()?,
            superseded: self.superseded.keep()?,
            rejected_keys: self.rejected_keys.as_ref().map(|keys| keys.0.keep()).transpose()?,
            keys: self.keys.as_mut().map(KeyIndex::keep).transpose()?.unwrap_or_default(),
            reject_keys: self.reject_keys.clone(),
        };
        let text = serde_json::to_vec(&sealed).map_err(io::Error::from)?;
        let part = own.join("seal.part");
        fail::step(Point::WorkKeep)?;
        let mut file = spool::create(&part)?;
        file.write_all(hash(secret, &text).as_bytes())?;
        file.write_all(&text)?;
        Ok(fs::rename(part, own.join(SEAL))?)
    }

    /// Takes up the work file that was kept in `own`, if it was made of this. Its bytes are checked when they are read.
    #[must_use]
    pub fn take_up(own: &Path, of: &MadeOf, secret: [u64; 2], key_memory_bytes: usize) -> Option<Self> {
        let mut bytes = Vec::new();
        File::open(own.join(SEAL)).ok()?.take(MOST_SEAL_BYTES).read_to_end(&mut bytes).ok()?;
        let (found, text) = bytes.split_first_chunk::<HASH_BYTES>()?;
        if hash(secret, text) != *found {
            return None;
        }
        let sealed: Sealed = serde_json::from_slice(text).ok()?;
        if sealed.of != *of {
            return None;
        }
        let open = |name: &str, kept: Kept| Spooled::open(own.join(name), kept).ok();
        let rejected_keys = match sealed.rejected_keys {
            Some(kept) => Some(RejectedKeys(open(Folder::REJECTED_KEYS, kept)?)),
            None => None,
        };
        Some(Self {
            seal: sealed.seal,
            rows: Some(open(Folder::ROWS, sealed.rows)?),
            superseded: Superseded::of(open(Folder::SUPERSEDED, sealed.superseded)?),
            rejected_keys,
            rejects: open(Folder::REJECTS, sealed.rejects)?,
            target_rejects: Vec::new(),
            target_rejected: 0,
            keys: Some(KeyIndex::open(own, key_memory_bytes, &sealed.keys).ok()?),
            reject_keys: sealed.reject_keys,
        })
    }
}

/// True when a work file was sealed in this folder, whatever it is worth.
#[must_use]
pub fn is_sealed(own: &Path) -> bool {
    own.join(SEAL).is_file()
}
