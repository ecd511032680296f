//! Batches: a manifest names files that are whole together. None of them is taken before all are there. From then on the
//! manifest lies among the claimed files, so that the rest of the batch stays ready when its first files are gone, until
//! none is left.

use std::{
    collections::HashMap,
    io::Read as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    After, Shared,
    scene::{Candidate, Present, Scene},
};
use crate::{
    model::FileName,
    sources::{
        SourceError,
        manifest::{self, Entry, ManifestError},
        names::{beside, in_progress, name_of},
        settling::State,
    },
    wire::{FileStamp, WireError},
};

/// So many names are remembered from all manifests together, which bounds memory; more wait until others are finished.
const MOST_NAMES: usize = 1_000_000;

/// What a manifest says of a file.
pub(super) enum Naming {
    /// Its batch is there; `alone` when that is evidence enough.
    Whole {
        /// The manifest's name, for people.
        manifest: String,
        alone: bool,
    },
    /// Its batch is there as soon as nothing has changed until then.
    Waits { due: Option<Duration> },
}

/// The manifests of a source, as read.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    read: HashMap<PathBuf, Manifest>,
}

#[derive(Debug)]
struct Manifest {
    state: State,
    entries: Result<Vec<Named>, ManifestError>,
    /// It was complete once; then it stays so, although files may be missing by now.
    was_complete: bool,
    is_there: bool,
}

#[derive(Debug)]
struct Named {
    entry: Entry,
    /// A file of this name is taken; others are only waited for.
    is_ours: bool,
}

/// How a batch stands.
#[derive(Default)]
struct Standing {
    /// What is wrong first, for people.
    first: Option<String>,
    wrong: usize,
    /// When the last of its files has not changed for long enough.
    due: Duration,
}

impl Manifests {
    /// Tells which files are whole because a manifest names them, releases batches that are complete, and finishes the
    /// manifests of which nothing is left.
    pub(super) fn judge(&mut self, shared: &Shared, scene: &mut Scene) -> HashMap<PathBuf, Naming> {
        let mut named = HashMap::new();
        for manifest in std::mem::take(&mut scene.manifests) {
            self.judge_one(shared, scene, &manifest, &mut named);
        }
        for manifest in std::mem::take(&mut scene.released) {
            self.judge_released(shared, scene, &manifest, &mut named);
        }
        self.read.retain(|_, manifest| std::mem::take(&mut manifest.is_there));
        named
    }

    fn judge_one(
        &mut self,
        shared: &Shared,
        scene: &mut Scene,
        file: &Candidate,
        named: &mut HashMap<PathBuf, Naming>,
    ) {
        let keeps = shared.options.after == After::Keep;
        if scene.claimed.contains(&file.path) && !keeps {
            let why = "an earlier manifest of this name still has files to be taken; it waits for those";
            return scene.aside(&file.path, why.to_owned());
        }
        let due = scene.due(file.since);
        let is_quiet = due <= scene.now;
        scene.wait(due);
        let Some(manifest) = self.remember(shared, scene, file, is_quiet) else { return };
        let entries = match &manifest.entries {
            Ok(entries) => entries,
            Err(error) => return scene.aside(&file.path, error.to_string()),
        };
        let name = FileName::new(name_of(&file.path));
        let standing = standing(entries, file, scene);
        if let Some(first) = standing.first.filter(|_| !manifest.was_complete) {
            let more = match standing.wrong {
                0 | 1 => String::new(),
                wrong => format!(", and {} more of its files are not there or have another size", wrong - 1),
            };
            return scene.aside(&file.path, format!("{name} names {first}{more}"));
        }
        if standing.due > scene.now {
            for path in ours(entries, file) {
                named.entry(path).or_insert(Naming::Waits { due: Some(standing.due) });
            }
            return;
        }
        if keeps {
            manifest.was_complete = true;
        } else if let Err(error) = release(shared, &file.path) {
            let why = format!("its files are there, but it cannot be claimed: {error}");
            return scene.aside(&file.path, why);
        } else {
            scene.claimed.insert(file.path.clone());
        }
        name_whole(entries, file, scene, named);
    }

    fn judge_released(
        &mut self,
        shared: &Shared,
        scene: &mut Scene,
        file: &Candidate,
        named: &mut HashMap<PathBuf, Naming>,
    ) {
        let at = file.at.as_ref().unwrap_or(&file.path);
        let Some(manifest) = self.remember(shared, scene, file, true) else { return };
        let entries = match &manifest.entries {
            Ok(entries) => entries,
            Err(error) => return scene.aside(at, error.to_string()),
        };
        let is_left = |path: &PathBuf| scene.present.contains_key(path) || scene.claimed.contains(path);
        if ours(entries, file).any(|path| is_left(&path)) {
            return name_whole(entries, file, scene, named);
        }
        // A file on its way from one folder to the other can be missed in both.
        let nothing_moved = scene.idle.is_some() && scene.idle == shared.in_hand.idle();
        if scene.complete && nothing_moved {
            match shared.settle_manifest(&file.path, at) {
                Ok(()) => {
                    scene.claimed.remove(&file.path);
                }
                Err(error) => scene.aside(at, format!("its files are all taken, but it stays: {error}")),
            }
        }
    }

    /// The manifest as it was read when it was seen in this state; read now if it has not been. Not read while it may still
    /// be written to.
    fn remember(
        &mut self,
        shared: &Shared,
        scene: &mut Scene,
        file: &Candidate,
        is_quiet: bool,
    ) -> Option<&mut Manifest> {
        let at = file.at.as_ref().unwrap_or(&file.path);
        let state = State::of(&file.stamp, scene.stable_inodes);
        if self.read.get(at).is_none_or(|read| read.state != state) {
            self.read.remove(at);
            if !is_quiet {
                return None;
            }
            let entries = match read(shared, at, &file.stamp) {
                Ok(entries) => entries,
                Err(SourceError::Gone(_) | SourceError::Changed(_)) => return None,
                Err(error) => {
                    scene.aside(at, error.to_string());
                    return None;
                }
            };
            let count = |entries: &Result<Vec<Named>, _>| entries.as_ref().map_or(0, Vec::len);
            let remembered: usize = self.read.values().map(|manifest| count(&manifest.entries)).sum();
            if remembered + count(&entries) > MOST_NAMES {
                let why = format!(
                    "all manifests together name more than {MOST_NAMES} files; it waits for the others"
                );
                scene.aside(at, why);
                return None;
            }
            let manifest = Manifest { state, entries, was_complete: false, is_there: false };
            self.read.insert(at.clone(), manifest);
        }
        let manifest = self.read.get_mut(at)?;
        manifest.is_there = true;
        Some(manifest)
    }
}

fn read(
    shared: &Shared,
    at: &Path,
    listed: &FileStamp,
) -> Result<Result<Vec<Named>, ManifestError>, SourceError> {
    if listed.length > manifest::MOST_BYTES {
        return Ok(Err(ManifestError::TooLong));
    }
    let name = at.file_name().unwrap_or_default();
    let file = match shared.place_of(at)?.open_file(name) {
        Ok(file) => file,
        Err(error) if error.is_missing() => return Err(SourceError::Gone(at.to_path_buf())),
        Err(error) => return Err(error.into()),
    };
    let mut text = Vec::new();
    let failed = |cause| WireError::io("read", at, cause);
    (&file).take(manifest::MOST_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
    let now = FileStamp::of(&file, at)?;
    if (now.length, now.modified_nanos) != (listed.length, listed.modified_nanos) {
        return Err(SourceError::Changed(at.to_path_buf()));
    }
    // A list that names itself or another list would wait for itself.
    let is_list = |name: &str| shared.options.manifest.as_ref().is_some_and(|lists| lists(name));
    let takes = |name: &[u8]| {
        let text = String::from_utf8_lossy(name);
        !in_progress(name) && !is_list(&text) && (shared.options.takes)(&text)
    };
    let named = |entry: Entry| Named { is_ours: takes(&entry.name), entry };
    Ok(manifest::parse(&text).map(|entries| entries.into_iter().map(named).collect()))
}

/// Claims a manifest: its files may be taken from now on.
fn release(shared: &Shared, path: &Path) -> Result<(), SourceError> {
    let name = path.file_name().unwrap_or_default();
    let folder = shared.place_of(path)?;
    let claimed = shared.claimed_folder(&folder)?;
    let _moving = shared.moving();
    Ok(folder.rename_new(name, &claimed, name)?)
}

/// The paths of those files that are taken.
fn ours<'manifest>(
    entries: &'manifest [Named],
    manifest: &'manifest Candidate,
) -> impl Iterator<Item = PathBuf> {
    entries.iter().filter(|named| named.is_ours).map(|named| beside(&manifest.path, &named.entry.name))
}

/// What keeps a file that a manifest names from being as it says.
fn wrong(entry: &Entry, found: Option<&Present>) -> Option<String> {
    let name = FileName::new(&*entry.name);
    let Some(found) = found else { return Some(format!("{name}, which is not there")) };
    let wanted = entry.length.filter(|wanted| *wanted != found.length)?;
    Some(format!("{name}, which has {} bytes instead of {wanted}", found.length))
}

/// True when the file has not changed since the manifest came, as far as can be seen.
fn is_older(found: &Present, manifest: &Candidate) -> bool {
    found.since <= manifest.since && found.modified_nanos <= manifest.stamp.modified_nanos
}

fn standing(entries: &[Named], manifest: &Candidate, scene: &Scene) -> Standing {
    let mut standing = Standing::default();
    for Named { entry, .. } in entries {
        let found = scene.present.get(&beside(&manifest.path, &entry.name));
        if let Some(text) = wrong(entry, found) {
            standing.wrong += 1;
            standing.first.get_or_insert(text);
        } else if let Some(found) = found.filter(|found| !is_older(found, manifest)) {
            standing.due = standing.due.max(scene.due(found.since));
        }
    }
    standing
}

/// Notes the files of a batch that was complete.
fn name_whole(
    entries: &[Named],
    manifest: &Candidate,
    scene: &mut Scene,
    named: &mut HashMap<PathBuf, Naming>,
) {
    let by = FileName::new(name_of(&manifest.path)).to_string();
    for Named { entry, .. } in entries.iter().filter(|named| named.is_ours) {
        let path = beside(&manifest.path, &entry.name);
        let Some(found) = scene.present.get(&path) else { continue };
        let alone = is_older(found, manifest);
        if let Some(wrong) = wrong(entry, Some(found)) {
            let at = manifest.at.as_ref().unwrap_or(&manifest.path);
            scene.aside(at, format!("{by} names {wrong}"));
            continue;
        }
        named.insert(path, Naming::Whole { manifest: by.clone(), alone });
    }
}
