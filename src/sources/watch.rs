//! Being told that something changed in a folder. Every event only wakes whoever lists it: what is there, a listing tells.
//! File systems that come over a network often tell nothing, which a probe finds out, and one that is unmounted goes
//! silently; whoever watches lists from time to time all the same.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use notify::{
    Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};
use thiserror::Error;

use super::names::{CLAIMED_FOLDER, in_progress, name_of};
use crate::wire::{
    WireError,
    fail::{self, Point},
};

/// The names of files that try out whether events come.
const PROBE: &str = ".wharf-probe-";
/// EMFILE: inotify_init says so when the user has too many instances, or the process too many open files.
const TOO_MANY_OPEN: i32 = 24;

/// What an event means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Something is new or different.
    Changed,
    /// There were too many events to tell: anything may be different.
    Overflow,
    /// A probe was seen: events come.
    Probe,
    /// No more events come, or not from everywhere; the reason, for people.
    Lost(String),
}

/// Why a folder cannot be watched.
#[derive(Debug, Error)]
pub enum WatchError {
    /// The system's limit of watched folders.
    #[error(
        "cannot be told of changes in {}, as too many folders are watched already, so it is polled instead; to change \
         that raise the limit: sysctl fs.inotify.max_user_watches", .0.display()
    )]
    TooManyWatches(PathBuf),
    /// The system's limit of watchers.
    #[error(
        "cannot be told of changes in {}, as too many programs watch folders already, so it is polled instead; to \
         change that raise the limit: sysctl fs.inotify.max_user_instances, or that of open files (ulimit -n)", .0.display()
    )]
    TooManyWatchers(PathBuf),
    /// Anything else.
    #[error("cannot be told of changes in {}, so it is polled instead: {why}", .folder.display())]
    Failed {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        why: String,
    },
}

/// Watches a folder until it is dropped.
pub struct Watch {
    folder: PathBuf,
    /// Only kept.
    _watcher: RecommendedWatcher,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Watch {
    /// Begins to watch a folder, and those below it if so wanted. `wake` is called on a thread of the watcher and must not
    /// wait for anything.
    ///
    /// # Errors
    /// When the folder is not there, or the system's limits are reached.
    pub fn start(
        folder: &Path,
        recursive: bool,
        wake: impl Fn(Wake) + Send + Sync + 'static,
    ) -> Result<Self, WatchError> {
        let root = folder.to_path_buf();
        let on_event = move |event: notify::Result<Event>| {
            if let Some(meaning) = meaning(&root, event) {
                wake(meaning);
            }
        };
        let mode = if recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
        let config = Config::default().with_follow_symlinks(false);
        let started = RecommendedWatcher::new(on_event, config).and_then(|mut watcher| {
            watcher.watch(folder, mode)?;
            Ok(watcher)
        });
        match started {
            Ok(watcher) => Ok(Self { folder: folder.to_path_buf(), _watcher: watcher }),
            Err(error) => Err(explained(folder, error)),
        }
    }
}

/// Writes a file that no source takes into a folder, and removes it again. If events come from there, [`Wake::Probe`]
/// follows. Gives the path it had. `owner` is part of its name, so that one that a killed process left is found again and
/// removed, and nobody else's is.
///
/// # Errors
/// When nothing can be written there; nothing is known about events then.
pub fn probe(folder: &Path, owner: &str) -> Result<PathBuf, WireError> {
    let path = folder.join(format!("{PROBE}{owner}"));
    let removed = || match fs::remove_file(&path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    };
    let text = b"wharf tries out whether this folder tells of changes\n";
    let probed = removed().and_then(|()| match File::create_new(&path) {
        Ok(mut file) => fail::step(Point::ProbeWritten).and(file.write_all(text)).and(removed()),
        // Another source of the site has the same folder: its probe raises the event, and it removes it.
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => Err(cause),
    });
    probed.map(|()| path.clone()).map_err(|cause| WireError::io("try out events in", folder, cause))
}

/// What an event means to whoever lists the folder; none if it means nothing.
fn meaning(root: &Path, event: notify::Result<Event>) -> Option<Wake> {
    let event = match event {
        Ok(event) => event,
        Err(error) => return Some(Wake::Lost(explained(root, error).to_string())),
    };
    if event.need_rescan() {
        return Some(Wake::Overflow);
    }
    if event.paths.iter().any(|path| name_of(path).starts_with(PROBE.as_bytes())) {
        return Some(Wake::Probe);
    }
    let left = matches!(event.kind, EventKind::Remove(_))
        || event.kind == EventKind::Modify(ModifyKind::Name(RenameMode::From));
    if left && event.paths.iter().any(|path| path == root) {
        return Some(Wake::Lost(format!("the folder {} was removed or renamed", root.display())));
    }
    let is_written = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    let concerns = |path: &PathBuf| {
        let below = path.strip_prefix(root).unwrap_or(path);
        !in_progress(name_of(path)) && below.iter().all(|part| part != CLAIMED_FOLDER)
    };
    (is_written && (event.paths.is_empty() || event.paths.iter().any(concerns))).then_some(Wake::Changed)
}

fn explained(folder: &Path, error: notify::Error) -> WatchError {
    let folder = folder.to_path_buf();
    let why = match error.kind {
        ErrorKind::MaxFilesWatch => return WatchError::TooManyWatches(folder),
        ErrorKind::Io(cause) if cause.raw_os_error() == Some(TOO_MANY_OPEN) => {
            return WatchError::TooManyWatchers(folder);
        }
        ErrorKind::Io(cause) => WireError::io("watch", &folder, cause).to_string(),
        ErrorKind::PathNotFound => "it is not there".to_owned(),
        kind => notify::Error::new(kind).to_string(),
    };
    WatchError::Failed { folder, why }
}

#[cfg(test)]
mod tests {
    use std::{
        fs, io,
        sync::mpsc::{self, Receiver},
        time::Duration,
    };

    use notify::event::{CreateKind, DataChange, Flag, RemoveKind};

    use super::*;

    const ROOT: &str = "/in";
    /// Only a test that fails waits so long.
    const PATIENCE: Duration = Duration::from_secs(20);

    fn of(kind: EventKind, paths: &[&str]) -> Option<Wake> {
        let event = paths.iter().fold(Event::new(kind), |event, path| event.add_path(path.into()));
        meaning(Path::new(ROOT), Ok(event))
    }

    #[test]
    fn an_event_about_a_file_is_only_a_wake() {
        let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
        let moved = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
        assert_eq!(of(EventKind::Create(CreateKind::File), &["/in/a.csv"]), Some(Wake::Changed));
        assert_eq!(of(written, &["/in/a.csv"]), Some(Wake::Changed));
        assert_eq!(of(moved, &["/in/a.part", "/in/a.csv"]), Some(Wake::Changed));
        assert_eq!(of(EventKind::Any, &[]), Some(Wake::Changed));
    }

    #[test]
    fn reading_and_our_own_files_wake_nobody() {
        let changed = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert_eq!(of(EventKind::Access(AccessKind::Open(AccessMode::Any)), &["/in/a.csv"]), None);
        assert_eq!(of(EventKind::Access(AccessKind::Close(AccessMode::Read)), &["/in/a.csv"]), None);
        for path in
            ["/in/.wharf", "/in/.wharf/a.csv", "/in/sub/.wharf/a.csv", "/in/.a.wharf.part", "/in/a.tmp"]
        {
            assert_eq!(of(changed, &[path]), None, "{path}");
        }
        // The folder itself may lie in a hidden one.
        let event = Event::new(changed).add_path("/x/.wharf/in/a.csv".into());
        assert_eq!(meaning(Path::new("/x/.wharf/in"), Ok(event)), Some(Wake::Changed));
    }

    #[test]
    fn a_probe_an_overflow_and_a_lost_folder_are_told_apart() {
        let removed = EventKind::Remove(RemoveKind::Folder);
        assert_eq!(of(removed, &["/in/.wharf-probe-x1"]), Some(Wake::Probe));
        assert_eq!(of(removed, &["/in/sub"]), Some(Wake::Changed));
        assert!(matches!(of(removed, &[ROOT]), Some(Wake::Lost(why)) if why.contains("/in was removed")));
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert_eq!(meaning(Path::new(ROOT), Ok(overflow)), Some(Wake::Overflow));
    }

    #[test]
    fn a_reached_limit_is_told_with_the_setting_to_raise() {
        let limits = [
            (notify::Error::new(ErrorKind::MaxFilesWatch), "sysctl fs.inotify.max_user_watches"),
            (notify::Error::io(io::Error::from_raw_os_error(24)), "sysctl fs.inotify.max_user_instances"),
        ];
        for (error, setting) in limits {
            let Some(Wake::Lost(text)) = meaning(Path::new(ROOT), Err(error)) else { panic!("{setting}") };
            assert!(text.contains(setting) && text.contains("polled instead"), "{text}");
        }
    }

    #[test]
    fn a_missing_folder_is_told() {
        let error = Watch::start(Path::new("/in/none"), false, |_| {}).unwrap_err();
        assert!(error.to_string().ends_with("polled instead: it is not there"), "{error}");
    }

    fn wait_for(wakes: &Receiver<Wake>, wanted: impl Fn(&Wake) -> bool) {
        while !wanted(&wakes.recv_timeout(PATIENCE).expect("no such event came")) {}
    }

    #[test]
    fn a_probe_and_a_dropped_file_wake_where_events_come() {
        let folder = tempfile::tempdir().unwrap();
        let (sender, wakes) = mpsc::channel();
        let left = folder.path().join(format!("{PROBE}site"));
        fs::write(&left, "by a killed process").unwrap();
        let watch = Watch::start(folder.path(), true, move |wake| drop(sender.send(wake))).unwrap();
        let path = probe(folder.path(), "site").unwrap();
        assert!(path == left && !path.exists());
        wait_for(&wakes, |wake| *wake == Wake::Probe);
        fs::write(folder.path().join("a.csv"), "x").unwrap();
        wait_for(&wakes, |wake| *wake == Wake::Changed);
        fs::remove_dir_all(folder.path()).unwrap();
        wait_for(&wakes, |wake| matches!(wake, Wake::Lost(_)));
        drop(watch);
    }

    #[test]
    fn a_probe_where_nothing_can_be_written_says_so() {
        let error = probe(Path::new("/proc"), "site").unwrap_err();
        assert!(error.to_string().starts_with("cannot try out events in /proc"), "{error}");
    }
}
