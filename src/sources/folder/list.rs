//! Looks at a folder again and again: which files are whole, which may still be written to, and what is not taken and why.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    After, Shared,
    batch::{Manifests, Naming},
    claim::give_back,
    scene::{Candidate, Present, Scene, by_name, by_path, ready},
    walk::{Found, walk},
};
use crate::{
    model::FileName,
    sources::{
        Lister, Look, MOST_ASIDES, MOST_READY, Settling as StillWritten, SourceError, filesystem,
        names::{beside, in_progress, name_of},
        settling::{Decided, Role, Settling, State, stamp_text},
    },
    wire::{
        FileStamp, WireError,
        fail::{self, Point},
    },
};

/// Looks at a folder.
pub(super) struct FolderLister {
    shared: Arc<Shared>,
    settling: Settling,
    decided: Decided,
    manifests: Manifests,
}

/// Whether a file is whole.
enum Verdict {
    Whole { evidence: String, marker: Option<PathBuf> },
    Waits { due: Option<Duration> },
}

impl FolderLister {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            settling: Settling::default(),
            decided: Decided::new(),
            manifests: Manifests::default(),
        }
    }

    fn keeps(&self) -> bool {
        self.shared.options.after == After::Keep
    }

    /// Notes a file that stands in the folder.
    fn meet(
        &mut self,
        path: PathBuf,
        stamp: FileStamp,
        scene: &mut Scene,
        known: &mut dyn FnMut(&Path, &str) -> Option<bool>,
    ) {
        scene.look.files += 1;
        let state = State::of(&stamp, scene.stable_inodes);
        let (role, since) = if self.decided.recall(&path, state) {
            (Role::Left, Duration::ZERO)
        } else if let Some(seen) = self.settling.recall(&path, state) {
            seen
        } else {
            let role = self.role(name_of(&path));
            let mut is_known = || known(&path, &stamp_text(&stamp, scene.stable_inodes)).unwrap_or_default();
            if role == Role::Left || (role == Role::Data && self.keeps() && is_known()) {
                self.decided.add(&path, state);
                (Role::Left, Duration::ZERO)
            } else {
                self.settling.meet(&path, state, role, scene.now);
                (role, scene.now)
            }
        };
        if self.shared.options.marker.is_some() || self.shared.options.manifest.is_some() {
            let FileStamp { length, modified_nanos, .. } = stamp;
            scene.present.insert(path.clone(), Present { length, modified_nanos, since, role });
        }
        let candidate = Candidate { path, at: None, stamp, since };
        match role {
            Role::Data => scene.files.push(candidate),
            Role::Manifest => scene.manifests.push(candidate),
            Role::Marker | Role::Left => {}
        }
    }

    fn role(&self, name: &[u8]) -> Role {
        let options = &self.shared.options;
        let takes = |name: &[u8]| (options.takes)(&String::from_utf8_lossy(name));
        if options.manifest.as_ref().is_some_and(|names| names(&String::from_utf8_lossy(name))) {
            return Role::Manifest;
        }
        if let Some(marker) = &options.marker
            && let Some(part) = marker.part_in(name)
            && (!marker.tells_name() || (takes(part) && !in_progress(part)))
        {
            return Role::Marker;
        }
        if takes(name) { Role::Data } else { Role::Left }
    }

    /// Deals with a file that an earlier run, or an earlier claim, left among the claimed ones.
    fn meet_claimed(
        &mut self,
        at: PathBuf,
        stamp: FileStamp,
        scene: &mut Scene,
        known: &mut dyn FnMut(&Path, &str) -> Option<bool>,
    ) {
        let Some(path) = at.parent().map(|folder| beside(folder, name_of(&at))) else { return };
        scene.claimed.insert(path.clone());
        if self.shared.in_hand.has(&at) {
            return;
        }
        scene.look.files += 1;
        let is_manifest = self.role(name_of(&at)) == Role::Manifest;
        if !self.keeps() && is_manifest {
            let since = self.since(&at, &stamp, Role::Manifest, scene);
            scene.released.push(Candidate { path, at: Some(at), stamp, since });
            return;
        }
        let text = stamp_text(&stamp, scene.stable_inodes);
        let is_known = if is_manifest { Some(false) } else { known(&path, &text) };
        // To put back a file that was taken would be to take it twice.
        let Some(is_known) = is_known else { return };
        if is_known {
            if scene.look.known.len() < MOST_READY {
                // If a file of that name has come since, the marker is its own.
                let marker = path.symlink_metadata().is_err().then(|| self.marker_path(&path)).flatten();
                let marker = marker.filter(|marker| scene.present.contains_key(marker));
                let candidate = Candidate { path, at: Some(at), stamp, since: scene.now };
                scene.look.known.push(ready(candidate, text, "taken before".to_owned(), marker));
            }
            return;
        }
        match self.restore(&path, &at) {
            Ok(true) => {
                scene.claimed.remove(&path);
                scene.look.files -= 1;
                if scene.look.put_back.len() < MOST_ASIDES {
                    scene.look.put_back.push(path.clone());
                }
                self.meet(path, stamp, scene, known);
            }
            Ok(false) => {
                let since = self.since(&at, &stamp, Role::Data, scene);
                scene.files.push(Candidate { path, at: Some(at), stamp, since });
            }
            // It is under its own name, or nowhere: either way nothing keeps a file of that name from being taken in its turn.
            Err(SourceError::Gone(_)) => {
                scene.claimed.remove(&path);
                scene.look.files -= 1;
            }
            Err(SourceError::Wire(error)) if error.is_missing() => {}
            Err(error) => scene.aside(&at, format!("it was claimed and cannot be put back: {error}")),
        }
    }

    fn since(&mut self, at: &Path, stamp: &FileStamp, role: Role, scene: &Scene) -> Duration {
        let state = State::of(stamp, scene.stable_inodes);
        if let Some((_, since)) = self.settling.recall(at, state) {
            return since;
        }
        self.settling.meet(at, state, role, scene.now);
        scene.now
    }

    /// Gives a claimed file its own name back, and tells whether it has it.
    fn restore(&self, path: &Path, at: &Path) -> Result<bool, SourceError> {
        let (from, to) = (self.shared.place_of(at)?, self.shared.place_of(path)?);
        let name = path.file_name().unwrap_or_default();
        if give_back(&from, &to, name)? {
            return Ok(true);
        }
        // Killed in the middle of a rename by a link: the file has both names. One of them is enough, and the walk has
        // seen the other.
        if from.stamp(name)? == to.stamp(name)? {
            from.remove(name)?;
            return Err(SourceError::Gone(at.to_path_buf()));
        }
        Ok(false)
    }

    fn marker_path(&self, path: &Path) -> Option<PathBuf> {
        let marker = self.shared.options.marker.as_ref()?;
        Some(beside(path, &marker.name_for(name_of(path))))
    }

    fn verdict(&self, file: &Candidate, scene: &Scene, named: &HashMap<PathBuf, Naming>) -> Verdict {
        let due = scene.due(file.since);
        if file.at.is_some() {
            return if due <= scene.now {
                Verdict::Whole { evidence: scene.unchanged(), marker: None }
            } else {
                Verdict::Waits { due: Some(due) }
            };
        }
        if scene.claimed.contains(&file.path) {
            return Verdict::Waits { due: None };
        }
        let mut evidence = Vec::new();
        let mut needs_quiet = true;
        if self.shared.options.manifest.is_some() {
            match named.get(&file.path) {
                Some(Naming::Whole { manifest, alone }) => {
                    evidence.push(format!("named by {manifest}"));
                    needs_quiet = !alone;
                }
                Some(Naming::Waits { due }) => return Verdict::Waits { due: *due },
                None => return Verdict::Waits { due: None },
            }
        }
        let marker = self.marker_path(&file.path);
        if let Some(path) = &marker {
            let Some(found) = scene.present.get(path).filter(|found| found.role == Role::Marker) else {
                return Verdict::Waits { due: None };
            };
            evidence.push(format!("{} is there", FileName::new(name_of(path))));
            // One that was there before the file was as it is now may have been meant for another.
            needs_quiet = found.since < file.since || found.modified_nanos < file.stamp.modified_nanos;
        }
        if needs_quiet && due > scene.now {
            return Verdict::Waits { due: Some(due) };
        }
        if needs_quiet {
            evidence.push(scene.unchanged());
        }
        Verdict::Whole { evidence: evidence.join(", and "), marker }
    }

    fn judge(
        &mut self,
        scene: &mut Scene,
        named: &HashMap<PathBuf, Naming>,
        known: &mut dyn FnMut(&Path, &str) -> Option<bool>,
    ) {
        let mut files = std::mem::take(&mut scene.files);
        files.sort_by(by_name);
        for file in files {
            let mut verdict = self.verdict(&file, scene, named);
            if self.shared.in_hand.has(file.at.as_ref().unwrap_or(&file.path)) {
                // It may be another one of the same name than the one that is being taken.
                verdict = Verdict::Waits { due: None };
            }
            if let Verdict::Waits { due: Some(due) } = verdict {
                scene.wait(due);
            }
            match verdict {
                Verdict::Waits { due } if scene.look.settling.len() < MOST_READY => {
                    scene.look.settling.push(StillWritten {
                        name: FileName::new(name_of(&file.path)),
                        path: file.path,
                        modified_nanos: file.stamp.modified_nanos,
                        since: file.since,
                        due,
                    });
                }
                Verdict::Whole { evidence, marker } if scene.look.ready.len() < MOST_READY => {
                    let text = stamp_text(&file.stamp, scene.stable_inodes);
                    // It may have been taken since it was seen first.
                    if self.keeps() && file.at.is_none() {
                        let Some(is_known) = known(&file.path, &text) else { continue };
                        if is_known {
                            self.decided.add(&file.path, State::of(&file.stamp, scene.stable_inodes));
                            self.settling.forget(&file.path);
                            continue;
                        }
                    }
                    scene.look.ready.push(ready(file, text, evidence, marker));
                }
                Verdict::Whole { .. } => scene.look.more = true,
                Verdict::Waits { .. } => {}
            }
        }
    }

    /// Tells of markers whose files never came.
    fn tell_lonely_markers(&self, scene: &mut Scene) {
        let Some(marker) = &self.shared.options.marker else { return };
        let mut files: HashSet<PathBuf> = HashSet::new();
        let standing = scene.present.iter().filter(|(_, file)| file.role != Role::Marker);
        for path in standing.map(|(path, _)| path).chain(&scene.claimed) {
            files.insert(beside(path, marker.part_of(name_of(path))));
        }
        let mut lonely = Vec::new();
        let mut due = None;
        for (path, found) in &scene.present {
            if found.role != Role::Marker {
                continue;
            }
            let quiet_at = scene.due(found.since);
            if quiet_at > scene.now {
                due = Some(due.map_or(quiet_at, |before: Duration| before.min(quiet_at)));
                continue;
            }
            let Some(part) = marker.part_in(name_of(path)) else { continue };
            if !files.contains(&beside(path, part)) {
                let (name, part) = (FileName::new(name_of(path)), FileName::new(part));
                let ending = if marker.tells_name() { "" } else { ".*" };
                lonely.push((path.clone(), format!("{name} is there, but no {part}{ending}")));
            }
        }
        due.into_iter().for_each(|due| scene.wait(due));
        for (path, why) in lonely {
            scene.aside(&path, why);
        }
    }

    fn scene(&self, now: Duration) -> Result<Scene, SourceError> {
        let options = &self.shared.options;
        let file_system = filesystem::kind(&options.folder)?;
        let meta = fs::metadata(&options.folder);
        let meta = meta.map_err(|cause| match cause.kind() {
            ErrorKind::NotFound => SourceError::Away(options.folder.clone()),
            _ => WireError::io("list", &options.folder, cause).into(),
        })?;
        if !meta.is_dir() {
            return Err(WireError::io("list", &options.folder, ErrorKind::NotADirectory.into()).into());
        }
        Ok(Scene {
            now,
            quiet: options.settle.unwrap_or_else(|| filesystem::quiet_period(file_system)),
            stable_inodes: file_system.has_stable_inodes(),
            look: Look::default(),
            files: Vec::new(),
            present: HashMap::new(),
            claimed: HashSet::new(),
            manifests: Vec::new(),
            released: Vec::new(),
            complete: true,
            idle: self.shared.in_hand.idle(),
        })
    }

    /// Lists the folder, and deals with what was left claimed.
    fn list(
        &mut self,
        scene: &mut Scene,
        known: &mut dyn FnMut(&Path, &str) -> Option<bool>,
    ) -> Result<(), SourceError> {
        let shared = Arc::clone(&self.shared);
        let options = &shared.options;
        let except = if let After::Move(folder) = &options.after { Some(folder.as_path()) } else { None };
        let (mut left, mut claimed_folders) = (Vec::new(), Vec::new());
        walk(&options.folder, options.recursive, except, &mut |found| match found {
            Found::File(path, stamp) => self.meet(path, stamp, scene, known),
            Found::Claimed(at, stamp) => left.push((at, stamp)),
            Found::ClaimedFolder(folder) => claimed_folders.push(folder),
            Found::NoFile(path) => {
                if self.role(name_of(&path)) != Role::Left {
                    let why = "it is a link, pipe or device, and only ordinary files are taken; put the file itself here";
                    scene.aside(&path, why.to_owned());
                }
            }
            Found::Left(aside) => scene.aside(&aside.path, aside.why),
            Found::Trouble(aside) => {
                scene.complete = false;
                scene.aside(&aside.path, aside.why);
            }
        })?;
        if !left.is_empty() {
            // Nobody makes their old names durably gone before their new ones are there. What others have claimed since is made
            // durable first, as its old names go with the new ones of these.
            let _alone = shared.moving_alone();
            for folder in &claimed_folders {
                if let (Ok(place), Some(name)) = (shared.place_of(folder), folder.file_name())
                    && let Ok(claimed) = place.below(name)
                {
                    claimed.secure()?;
                }
            }
            for (at, stamp) in left {
                self.meet_claimed(at, stamp, scene, known);
            }
            for folder in &claimed_folders {
                if let Ok(place) = shared.place_of(folder) {
                    place.secure()?;
                }
            }
        }
        if scene.idle.is_some() {
            remove_empty(&shared, &claimed_folders);
        }
        Ok(())
    }
}

/// Removes the folders of claimed files that are empty. What was moved out of them is safe in its new place first.
fn remove_empty(shared: &Shared, claimed_folders: &[PathBuf]) {
    for folder in claimed_folders {
        let _alone = shared.moving_alone();
        // Not empty, or not ours to remove: no matter.
        if let (Ok(place), Some(name)) = (shared.place_of(folder), folder.file_name())
            && place.below(name).is_ok_and(|claimed| claimed.secure().is_ok())
            && place.secure().is_ok()
        {
            let _ = place.remove_folder(name);
        }
    }
}

impl Lister for FolderLister {
    fn look(
        &mut self,
        now: Duration,
        known: &mut dyn FnMut(&Path, &str) -> Option<bool>,
    ) -> Result<Look, SourceError> {
        let mut scene = self.scene(now)?;
        self.settling.begin_look();
        self.decided.begin_look();
        self.list(&mut scene, known)?;
        let named = self.manifests.judge(&self.shared, &mut scene);
        self.judge(&mut scene, &named, known);
        self.tell_lonely_markers(&mut scene);
        fail::step(Point::SourceLook)
            .map_err(|cause| WireError::io("list", &self.shared.options.folder, cause))?;
        self.settling.end_look();
        self.decided.end_look();
        scene.look.known.sort_by(|a, b| by_path(&a.path, &b.path));
        scene.look.asides.sort_by(|a, b| by_path(&a.path, &b.path));
        Ok(scene.look)
    }
}
