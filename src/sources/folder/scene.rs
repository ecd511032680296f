//! What one look at a folder has found, before it is known which files are whole.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    model::{FileName, natural},
    sources::{Aside, Look, MOST_ASIDES, Ready, names::name_of, settling::Role},
    wire::FileStamp,
};

/// A file that may be taken.
pub(super) struct Candidate {
    /// Where it stands, or stood, under its own name.
    pub(super) path: PathBuf,
    /// Where it lies, if it is claimed.
    pub(super) at: Option<PathBuf>,
    pub(super) stamp: FileStamp,
    /// Since when it has been so.
    pub(super) since: Duration,
}

/// A file in the folder, for markers and manifests to refer to.
pub(super) struct Present {
    pub(super) length: u64,
    pub(super) modified_nanos: i128,
    pub(super) since: Duration,
    pub(super) role: Role,
}

/// All that one look has found.
pub(super) struct Scene {
    pub(super) now: Duration,
    pub(super) quiet: Duration,
    pub(super) stable_inodes: bool,
    pub(super) look: Look,
    pub(super) files: Vec<Candidate>,
    /// Only filled where there are markers or manifests.
    pub(super) present: HashMap<PathBuf, Present>,
    /// Under these names, files are claimed.
    pub(super) claimed: HashSet<PathBuf>,
    pub(super) manifests: Vec<Candidate>,
    /// Manifests that were complete, and some of whose files are yet to be taken.
    pub(super) released: Vec<Candidate>,
    /// Everything could be looked at.
    pub(super) complete: bool,
    /// How often files had been claimed when the look began, if none was then.
    pub(super) idle: Option<u64>,
}

impl Scene {
    /// When a file that does not change will be whole.
    pub(super) fn due(&self, since: Duration) -> Duration {
        since.saturating_add(self.quiet)
    }

    /// Something waits until then, and nothing else will tell.
    pub(super) fn wait(&mut self, due: Duration) {
        if due > self.now {
            self.look.due = Some(self.look.due.map_or(due, |before| before.min(due)));
        }
    }

    pub(super) fn aside(&mut self, path: &Path, why: String) {
        if self.look.asides.len() < MOST_ASIDES {
            self.look.asides.push(Aside { path: path.to_path_buf(), why });
        }
    }

    pub(super) fn unchanged(&self) -> String {
        format!("unchanged for {} s", self.quiet.as_secs_f64())
    }
}

/// The order of names, which is the order in which files are taken; of two that have the same path, the claimed one came
/// first.
pub(super) fn by_name(one: &Candidate, other: &Candidate) -> Ordering {
    by_path(&one.path, &other.path).then_with(|| other.at.is_some().cmp(&one.at.is_some()))
}

/// The same for paths.
pub(super) fn by_path(one: &Path, other: &Path) -> Ordering {
    let text = |path| String::from_utf8_lossy(name_of(path));
    natural(&text(one), &text(other)).then_with(|| one.cmp(other))
}

/// A file that is whole.
pub(super) fn ready(file: Candidate, stamp: String, evidence: String, marker: Option<PathBuf>) -> Ready {
    Ready {
        name: FileName::new(name_of(&file.path)),
        at: file.at.unwrap_or_else(|| file.path.clone()),
        path: file.path,
        length: file.stamp.length,
        modified_nanos: file.stamp.modified_nanos,
        stamp,
        evidence,
        marker,
    }
}
