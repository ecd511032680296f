//! Sources: where files arrive.
//!
//! A source is looked at through its [`Lister`], which tells which files are whole and by what evidence. A file that is to
//! be taken is claimed, so that nobody else takes it; whoever claimed it copies it, and looks at the file again through
//! the handle that the claim gave.
//!
//! The contract of settling: [`Source::settle`] is called only after the ledger has recorded the file, durably. Until
//! then the source keeps every byte of it: a claim that ends otherwise, by [`Source::put_back`] or by the power failing,
//! leaves a file that the next look finds again.

pub mod filesystem;
pub mod folder;
mod in_hand;
mod manifest;
mod names;
mod settling;
pub mod watch;

pub use in_hand::Hold;

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;

use crate::{
    model::FileName,
    wire::{FileStamp, WireError},
};

/// A place where files arrive.
pub trait Source: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// Begins to look at the source; nothing of an earlier lister is remembered.
    fn lister(&self) -> Box<dyn Lister>;

    /// Takes hold of a file. It is the one that was listed: same length, same time of change, and the same inode where the
    /// file system's numbers can be trusted.
    ///
    /// # Errors
    /// [`SourceError::Changed`] when it is another one by now or was written to, [`SourceError::Gone`] when it is not
    /// there any more; otherwise what the file system says. The file is then where it was.
    fn claim(&self, file: &Ready) -> Result<Claimed, SourceError>;

    /// Makes claims durable as far as the file system can, before the ledger hears of the files: whatever happens then, a
    /// file that the ledger knows is found as a claimed one, and is not taken for a new one of the same name.
    fn secure(&self, claims: &mut dyn Iterator<Item = &Claimed>);

    /// Gives a claimed file back to whoever brought it, under its own name. If there is another file of that name by now,
    /// the claimed one stays where it is and is listed from there.
    ///
    /// # Errors
    /// What the file system says; the file is then still claimed, and the next look finds it.
    fn put_back(&self, claimed: Claimed) -> Result<(), SourceError>;

    /// The file is safe: removes it, moves it aside or leaves it alone, as the configuration wants, and its marker with
    /// it.
    ///
    /// # Errors
    /// [`SourceError::Changed`] when it was written to since it was claimed: it has been put back. Otherwise what the file
    /// system says; the next look finds it among [`Look::known`].
    fn settle(&self, claimed: Claimed) -> Result<(), SourceError>;
}

/// Looks at a source again and again, and remembers what it saw.
pub trait Lister: Send {
    /// Lists the source. `now` is the time on a clock that never goes back. `known` tells whether a file with this path and
    /// stamp has been taken already, or nothing when that cannot be told now: the file is then left as it is until the next
    /// look. It is asked about files that stay where they are (`after = "keep"`) and about those that an earlier run had
    /// claimed.
    ///
    /// # Errors
    /// When the source cannot be listed; what it remembers of the files there stays.
    fn look(
        &mut self,
        now: Duration,
        known: &mut dyn FnMut(&Path, &str) -> Option<bool>,
    ) -> Result<Look, SourceError>;
}

/// What one look at a source showed.
#[derive(Debug, Default)]
pub struct Look {
    /// Files that are whole, in the order of their names; at most [`MOST_READY`], the others follow when these are gone.
    pub ready: Vec<Ready>,
    /// Files that are taken already but not settled: the ledger knows them, the source has yet to be told.
    pub known: Vec<Ready>,
    /// Files that had been claimed and not taken, and have their own names again; at most [`MOST_ASIDES`].
    pub put_back: Vec<PathBuf>,
    /// Files that may still be written to, in the order of their names; at most [`MOST_READY`].
    pub settling: Vec<Settling>,
    /// What lies there and is not taken, with the reason; at most [`MOST_ASIDES`].
    pub asides: Vec<Aside>,
    /// How many files were seen, all together.
    pub files: u64,
    /// When something will be otherwise although nothing changes, by the clock that [`Lister::look`] is given: whatever waits
    /// for time, also what is not named.
    pub due: Option<Duration>,
    /// More files are whole than are named in `ready`.
    pub more: bool,
}

/// More files are not named by one look. It bounds memory; more than can be taken at once would only wait.
pub const MOST_READY: usize = 10_000;
/// More files that are left alone are not named, they are only counted.
pub const MOST_ASIDES: usize = 100;

/// A file that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// Where it stands, or stood when it was claimed, under its own name.
    pub path: PathBuf,
    /// Where it lies now: elsewhere if it was claimed before.
    pub at: PathBuf,
    /// Its name.
    pub name: FileName,
    /// Length in bytes.
    pub length: u64,
    /// Last change of the content by the clock of whoever wrote it, in nanoseconds since 1970.
    pub modified_nanos: i128,
    /// By what this source tells one state of a file from another; kept in the ledger.
    pub stamp: String,
    /// Why it is held to be whole, for people: "unchanged for 2 s".
    pub evidence: String,
    /// Its marker, which goes with it.
    pub marker: Option<PathBuf>,
}

/// A file that may still be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settling {
    /// Where it stands.
    pub path: PathBuf,
    /// Its name.
    pub name: FileName,
    /// Last change of the content by the clock of whoever wrote it, in nanoseconds since 1970.
    pub modified_nanos: i128,
    /// When it was seen first, by the clock that [`Lister::look`] is given.
    pub since: Duration,
    /// When it will be whole, if it does not change; none when that is no matter of time, as its marker or manifest is
    /// missing.
    pub due: Option<Duration>,
}

/// Something in a source that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Where it stands.
    pub path: PathBuf,
    /// Why, and what to do, for people.
    pub why: String,
}

/// A file that nobody else takes.
#[derive(Debug)]
pub struct Claimed {
    /// As it was listed.
    pub listed: Ready,
    /// Where it lies.
    pub at: PathBuf,
    /// Its bytes.
    pub file: File,
    /// What the file system said of it when it was claimed.
    pub stamp: FileStamp,
    /// Lasts as long as the claim; when it is dropped, the next look finds the file again.
    pub hold: Hold,
}

/// Why something cannot be done with a source or a file in it.
#[derive(Debug, Error)]
pub enum SourceError {
    /// It was written to, or another one has its name.
    #[error("{} changed after it was held to be whole", .0.display())]
    Changed(PathBuf),
    /// Somebody took it away.
    #[error("{} is gone", .0.display())]
    Gone(PathBuf),
    /// The folder itself is not there, or not mounted.
    #[error("the folder {} is not there", .0.display())]
    Away(PathBuf),
    /// What the file system says.
    #[error(transparent)]
    Wire(#[from] WireError),
}
