//! One engine a site. The lock is the system's own on an open file, so it ends with the process that holds it,
//! however that process ends; what stands in the file only tells people who holds it.

use std::{
    fmt,
    fs::{File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use super::{
    error::{WireError, shown},
    stamp::FileStamp,
};

/// More is not read of a lock file, whatever somebody has put there.
const MAX_NOTE_BYTES: u64 = 4096;
/// Who has just taken the lock has yet to write who it is, over the words of one that was killed; and who only asks for the
/// holder has the lock for a moment, too. Both are over after a few pauses.
const MOST_TRIES: u32 = 40;
/// One of these pauses.
const PAUSE: Duration = Duration::from_millis(5);

/// The lock of a site, held until it is dropped.
#[derive(Debug)]
pub struct SiteLock {
    file: File,
    left_behind: bool,
    in_order: bool,
}

/// Who holds a lock, as far as the lock file tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The lock file.
    pub path: PathBuf,
    /// The holder's process.
    pub pid: Option<u32>,
    /// What it was started to do.
    pub command: Option<String>,
    /// When it took the lock, by the file system's clock.
    pub since: Option<SystemTime>,
}

impl SiteLock {
    /// The holder has done what it was started for, and left nothing half made.
    pub fn end_in_order(&mut self) {
        self.in_order = true;
        // Now, as threads that never come back may keep this from being dropped.
        let _ = self.file.set_len(0);
    }

    /// True while the lock file at `path` is the one that is held.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        let number = |stamp: FileStamp| (stamp.device, stamp.inode);
        let held = FileStamp::of(&self.file, path).ok().map(number);
        held.is_some() && FileStamp::at(path).ok().map(number) == held
    }

    /// True when the holder before did not end in order: it was killed, the power failed, or it met an error.
    #[must_use]
    pub fn was_left_behind(&self) -> bool {
        self.left_behind
    }

    /// Who holds the lock now, if somebody does.
    ///
    /// # Errors
    /// When the lock file is there but cannot be opened.
    pub fn holder(path: &Path) -> Result<Option<Holder>, WireError> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(WireError::io("open the lock file", path, cause)),
        };
        // A shared lock, so that two who only ask do not see one another; it ends with the file.
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(Some(Holder::read(&mut file, path))),
            Err(TryLockError::Error(cause)) => Err(WireError::io("lock", path, cause)),
        }
    }

    /// Takes the lock, or tells who holds it; at once, or in the moment that this one needs to say so. `command` is what this process was started to do, for others to
    /// read. The file is created if it is missing; its folder must exist.
    ///
    /// # Errors
    /// [`WireError::Held`] when another process holds it; otherwise when the file cannot be opened, locked or written.
    pub fn acquire(path: &Path, command: &str) -> Result<Self, WireError> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|cause| WireError::io("open the lock file", path, cause))?;
        let mut tries = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {
                    let holder = Holder::read(&mut file, path);
                    tries += 1;
                    if holder.is_known() || tries == MOST_TRIES {
                        return Err(WireError::Held(holder));
                    }
                    thread::sleep(PAUSE);
                }
                Err(TryLockError::Error(cause)) => return Err(WireError::io("lock", path, cause)),
            }
        }
        let left_behind = file.metadata().is_ok_and(|meta| meta.len() > 0);
        let command: String = command.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        // The note has to outlive a power cut too: by it the next holder knows that this one did not end in order.
        file.set_len(0)
            .and_then(|()| file.write_all(format!("{}\n{command}\n", std::process::id()).as_bytes()))
            .and_then(|()| file.sync_data())
            .map_err(|cause| WireError::io("write the lock file", path, cause))?;
        Ok(Self { file, left_behind, in_order: false })
    }
}

impl Drop for SiteLock {
    /// Closing the file ends the lock. It is emptied only after an end in order, so that the next holder knows.
    fn drop(&mut self) {
        if self.in_order {
            let _ = self.file.set_len(0);
        }
    }
}

impl Holder {
    /// True when it has said who it is, and is not one that was killed.
    fn is_known(&self) -> bool {
        let processes = Path::new("/proc");
        let lives = |pid: u32| !processes.join("self").exists() || processes.join(pid.to_string()).exists();
        self.command.is_some() && self.pid.is_some_and(lives)
    }

    fn read(file: &mut File, path: &Path) -> Self {
        let mut note = Vec::new();
        let read = file.rewind().and_then(|()| file.take(MAX_NOTE_BYTES).read_to_end(&mut note));
        let note = if read.is_ok() { String::from_utf8_lossy(&note).into_owned() } else { String::new() };
        let mut lines = note.lines();
        Self {
            path: path.to_path_buf(),
            pid: lines.next().and_then(|line| line.parse().ok()),
            command: lines.next().filter(|line| !line.is_empty()).map(str::to_owned),
            since: file.metadata().and_then(|meta| meta.modified()).ok(),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another process is at work in this site: ")?;
        match (self.pid, &self.command) {
            (Some(pid), Some(command)) => write!(f, "process {pid} ({})", command.escape_debug())?,
            (Some(pid), None) => write!(f, "process {pid}")?,
            _ => f.write_str("it has not said which")?,
        }
        write!(f, " holds {}", shown(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_engine_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = SiteLock::acquire(&path, "wharf run\n\u{1b}[2J").unwrap();
        let WireError::Held(holder) = SiteLock::acquire(&path, "wharf load").unwrap_err() else {
            panic!("not held");
        };
        assert_eq!(holder.pid, Some(std::process::id()));
        assert_eq!(holder.command.as_deref(), Some("wharf run  [2J"));
        assert!(holder.since.is_some());
        assert!(holder.to_string().contains("(wharf run  [2J) holds "), "{holder}");
        let asked = SiteLock::holder(&path).unwrap().unwrap();
        assert_eq!((asked.pid, asked.command), (holder.pid, holder.command));
        drop(held);
        assert_eq!(SiteLock::holder(&path).unwrap(), None);
        assert_eq!(SiteLock::holder(&folder.path().join("none")).unwrap(), None);
        SiteLock::acquire(&path, "wharf load").unwrap();
    }

    #[test]
    fn a_lock_file_left_by_a_killed_process_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(&path, "4711\nwharf run with a long line of arguments\n").unwrap();
        let lock = SiteLock::acquire(&path, "x").unwrap();
        assert!(lock.was_left_behind());
        let note = std::fs::read_to_string(&path).unwrap();
        assert_eq!(note, format!("{}\nx\n", std::process::id()));
    }

    #[test]
    fn who_asks_for_the_holder_keeps_nobody_from_taking_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(&path, format!("{}\na run that was killed\n", u32::MAX)).unwrap();
        let asking = File::open(&path).unwrap();
        asking.lock_shared().unwrap();
        let taken = thread::scope(|scope| {
            let taking = scope.spawn(|| SiteLock::acquire(&path, "wharf run"));
            drop(asking);
            taking.join().unwrap()
        });
        taken.unwrap();
    }

    #[test]
    fn a_folder_that_is_missing_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = SiteLock::acquire(&folder.path().join("var/lock"), "x").unwrap_err();
        assert!(error.is_missing());
        assert!(error.to_string().contains("var/lock"), "{error}");
    }
}
