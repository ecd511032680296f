//! The folder source, with the clock in the test's hand.

mod batches;
mod claims;
mod leftovers;
mod listing;
mod markers;

use std::{
    collections::HashSet,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{After, FolderOptions, FolderSource, Marker, NameFilter, was_written_to};
use crate::sources::{Claimed, Lister, Look, Ready, Source, SourceError};

/// A folder, its source, one lister, and what a ledger would know.
struct Site {
    /// Only kept.
    _scratch: tempfile::TempDir,
    folder: PathBuf,
    source: FolderSource,
    lister: Box<dyn Lister>,
    taken: HashSet<(PathBuf, String)>,
    /// How often it was asked whether a file is known.
    asked: usize,
}

fn ending(with: &'static str) -> NameFilter {
    Arc::new(move |name: &str| name.ends_with(with))
}

fn any() -> NameFilter {
    Arc::new(|_: &str| true)
}

impl Site {
    fn new(after: After) -> Self {
        Self::with(|_, options| options.after = after)
    }

    /// With options that are changed from the usual ones; the first argument is a folder beside the source's.
    fn with(change: impl FnOnce(&Path, &mut FolderOptions)) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("in");
        fs::create_dir(&folder).unwrap();
        let mut options = FolderOptions {
            name: "share".to_owned(),
            folder: folder.clone(),
            takes: ending(".csv"),
            recursive: false,
            settle: Some(Duration::from_secs(2)),
            marker: None,
            manifest: None,
            after: After::Delete,
            every: None,
        };
        change(&scratch.path().join("aside"), &mut options);
        let source = FolderSource::new(options);
        let lister = source.lister();
        Self { _scratch: scratch, folder, source, lister, taken: HashSet::new(), asked: 0 }
    }

    fn with_marker(template: &str) -> Self {
        Self::with(|_, options| options.marker = Some(Marker::parse(template).unwrap()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Writes a file; its time of change is `modified_seconds` on the writer's clock.
    fn write(&self, name: &str, text: &str, modified_seconds: u64) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        set_modified(&path, modified_seconds);
    }

    fn try_look(&mut self, second: u64) -> Result<Look, SourceError> {
        let Self { lister, taken, asked, .. } = self;
        lister.look(Duration::from_secs(second), &mut |path, stamp| {
            *asked += 1;
            Some(taken.contains(&(path.to_owned(), stamp.to_owned())))
        })
    }

    fn look(&mut self, second: u64) -> Look {
        self.try_look(second).unwrap()
    }

    /// The files that are ready after the quiet period, with looks at second 0 and 2.
    fn ready(&mut self) -> Vec<Ready> {
        assert!(self.look(0).ready.is_empty());
        self.look(2).ready
    }

    /// The ledger has it.
    fn note(&mut self, ready: &Ready) {
        self.taken.insert((ready.path.clone(), ready.stamp.clone()));
    }

    fn claim(&self, ready: &Ready) -> Claimed {
        self.source.claim(ready).unwrap()
    }

    /// Another program starts with the same folder: nothing of the old one's memory is left.
    fn restart(&mut self) {
        self.source = FolderSource::new(self.source.shared.options.clone());
        self.lister = self.source.lister();
    }
}

fn set_modified(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn append(path: &Path, text: &str) {
    File::options().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

fn names(ready: &[Ready]) -> Vec<String> {
    ready.iter().map(|file| file.name.to_string()).collect()
}

fn settling(look: &Look) -> Vec<(String, Option<u64>)> {
    look.settling.iter().map(|file| (file.name.to_string(), file.due.map(|due| due.as_secs()))).collect()
}

fn asides(look: &Look) -> Vec<String> {
    look.asides.iter().map(|aside| aside.why.clone()).collect()
}
