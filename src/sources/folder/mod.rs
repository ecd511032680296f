//! A folder as a source: files are listed, held to be whole by what can be seen of them, claimed by a rename, and
//! removed, moved or left when the ledger has them.

mod batch;
mod claim;
mod list;
mod marker;
mod scene;
#[cfg(test)]
mod tests;
mod walk;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, RwLock},
    time::Duration,
};

pub use claim::was_written_to;
pub use marker::{Marker, MarkerError};

use super::{Claimed, Lister, Ready, Source, SourceError, in_hand::InHand};

/// Tells whether a file of this name, without folders, is meant.
pub type NameFilter = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// How a folder is used.
#[derive(Clone)]
pub struct FolderOptions {
    /// The source's name in the configuration.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// Files of other names are left alone.
    pub takes: NameFilter,
    /// Files in folders below it are taken too.
    pub recursive: bool,
    /// How long a file must stay unchanged; none: 2 s on a local disk, 60 s on a network file system.
    pub settle: Option<Duration>,
    /// The file that says that another one is whole.
    pub marker: Option<Marker>,
    /// The files that say which others are whole; those that none of them names are left alone.
    pub manifest: Option<NameFilter>,
    /// What happens to a file once the ledger has it.
    pub after: After,
    /// How often it is listed where changes are not told by events; none: every 5 s on a local disk, 30 s on a network
    /// file system.
    pub every: Option<Duration>,
}

impl fmt::Debug for FolderOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FolderOptions")
            .field("name", &self.name)
            .field("folder", &self.folder)
            .field("recursive", &self.recursive)
            .field("settle", &self.settle)
            .field("marker", &self.marker)
            .field("manifest", &self.manifest.is_some())
            .field("after", &self.after)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// What happens to a file once the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// It is removed; the archive has its copy.
    Delete,
    /// It is moved into this folder; one of that name there is never replaced.
    Move(PathBuf),
    /// It stays, and is remembered.
    Keep,
}

/// A folder in which files arrive.
#[derive(Debug)]
pub struct FolderSource {
    shared: Arc<Shared>,
}

/// What the source and its listers have in common.
#[derive(Debug)]
struct Shared {
    options: FolderOptions,
    in_hand: InHand,
    /// Held while files are moved into or out of a folder of claimed ones. Where a rename is no single step for the file
    /// system, a file is lost whose old name is made durably gone before its new one is durably there; so the names of these
    /// folders are made durable by who has this alone, the inner folder before the outer one.
    moves: RwLock<()>,
}

impl FolderSource {
    /// A source that uses a folder so. Nothing is done yet, and the folder need not be there.
    #[must_use]
    pub fn new(options: FolderOptions) -> Self {
        Self { shared: Arc::new(Shared { options, in_hand: InHand::default(), moves: RwLock::default() }) }
    }
}

impl Source for FolderSource {
    fn name(&self) -> &str {
        &self.shared.options.name
    }

    fn lister(&self) -> Box<dyn Lister> {
        Box::new(list::FolderLister::new(Arc::clone(&self.shared)))
    }

    fn claim(&self, file: &Ready) -> Result<Claimed, SourceError> {
        self.shared.claim(file)
    }

    fn secure(&self, claims: &mut dyn Iterator<Item = &Claimed>) {
        self.shared.secure(claims);
    }

    fn put_back(&self, claimed: Claimed) -> Result<(), SourceError> {
        self.shared.put_back(claimed)
    }

    fn settle(&self, claimed: Claimed) -> Result<(), SourceError> {
        self.shared.settle(claimed)
    }
}
