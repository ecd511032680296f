//! What a source's folder is, and whether events come from it: found out away from the thread that decides, as a share may
//! take long to answer, or never do.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use crate::sources::{
    filesystem::{self, FileSystem},
    watch::{self, Wake, Watch},
};

/// What the watching thread tells.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Something in the folder.
    pub(super) changed: AtomicBool,
    /// The file that tried out whether events come.
    pub(super) probed: AtomicBool,
    /// The folder itself is gone.
    pub(super) lost: AtomicBool,
}

/// The file system and the number of a folder.
pub(super) type Identity = (u64, u64);

/// What was found out.
pub(super) struct Survey {
    /// Which folder it is now; none when it is not there.
    pub(super) identity: Option<Identity>,
    /// How it is watched, if it is another one than before.
    pub(super) begun: Option<Begun>,
}

/// A folder that begins to be watched.
pub(super) struct Begun {
    /// Where its bytes are.
    pub(super) kind: FileSystem,
    /// The watch and its probe; else why it has to be listed at intervals.
    pub(super) watch: Result<Watch, String>,
}

/// Looks at what the folder is. If it is not the one `before`, it is watched anew, by an engine of the site `owner`.
pub(super) fn survey(
    folder: &Path,
    recursive: bool,
    (before, owner): (Option<Identity>, &str),
    signals: &Arc<Signals>,
    wake: &Arc<Notify>,
) -> Survey {
    use std::os::unix::fs::MetadataExt;
    // The folder may be a link to where a share is mounted.
    let identity = std::fs::metadata(folder).ok().map(|found| (found.dev(), found.ino()));
    if identity.is_none() || identity == before {
        return Survey { identity, begun: None };
    }
    let kind = filesystem::kind(folder).unwrap_or(FileSystem::Local);
    let watch = match kind {
        // Changes that other machines make raise no event here, although our own would.
        FileSystem::Network(name) => Err(format!("a network file system: {name}")),
        FileSystem::Local => start(folder, recursive, owner, signals, wake),
    };
    Survey { identity, begun: Some(Begun { kind, watch }) }
}

fn start(
    folder: &Path,
    recursive: bool,
    owner: &str,
    signals: &Arc<Signals>,
    wake: &Arc<Notify>,
) -> Result<Watch, String> {
    let (signals, wake) = (Arc::clone(signals), Arc::clone(wake));
    let told = move |event: Wake| {
        match event {
            Wake::Changed | Wake::Overflow => signals.changed.store(true, Ordering::Relaxed),
            Wake::Probe => signals.probed.store(true, Ordering::Relaxed),
            Wake::Lost(_) => signals.lost.store(true, Ordering::Relaxed),
        }
        wake.notify_one();
    };
    let watch = Watch::start(folder, recursive, told).map_err(|error| error.to_string())?;
    // A folder that may only be read cannot be tried out.
    watch::probe(folder, owner).map_err(|error| format!("events could not be tried out: {error}"))?;
    Ok(watch)
}
