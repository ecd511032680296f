//! File systems that a test mounts for itself, and the namespace in which any user may.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A file system that is mounted until this is dropped.
pub(super) struct Mount {
    on: PathBuf,
}

impl Mount {
    /// An empty disk in memory, with these options of tmpfs; none when this user may not mount one.
    pub(super) fn disk(on: &Path, options: &str) -> Option<Self> {
        Self::mounted(Command::new("mount").args(["-t", "tmpfs", "-o", options, "wharf-test"]), on)
    }

    /// What lies in a folder, in another place too; none when this user may not mount it.
    pub(super) fn bind(folder: &Path, on: &Path) -> Option<Self> {
        Self::mounted(Command::new("mount").arg("--bind").arg(folder), on)
    }

    fn mounted(command: &mut Command, on: &Path) -> Option<Self> {
        let mounted = command.arg(on).output();
        mounted.is_ok_and(|mounted| mounted.status.success()).then(|| Self { on: on.to_path_buf() })
    }
}

impl Drop for Mount {
    /// Whoever has files of it open keeps them.
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.on).status();
    }
}

/// Runs a test again where any user may mount a disk; `test` is its name with the modules.
pub(super) fn in_a_namespace(test: &str) {
    const INSIDE: &str = "WHARF_TEST_IN_NAMESPACE";
    assert!(
        std::env::var_os(INSIDE).is_none(),
        "a disk cannot be mounted even in a user namespace of our own"
    );
    let ran = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(INSIDE, "1")
        .output()
        .expect("unshare runs");
    assert!(
        ran.status.success() && String::from_utf8_lossy(&ran.stdout).contains("1 passed"),
        "this user may neither mount a disk nor have a namespace of its own (unshare): {}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
}
