//! Whether a folder is on a disk of this machine or comes over a network, where changes of others raise no events, numbers
//! of files cannot be trusted, and writers pause for longer.

use std::{io::ErrorKind, path::Path, time::Duration};

use rustix::fs;

use super::SourceError;
use crate::wire::WireError;

/// Where a folder's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// On this machine, or of a kind that is not known to be elsewhere.
    Local,
    /// Elsewhere, or with another program in between; the name is its usual one.
    Network(&'static str),
}

/// `f_type` of statfs(2), as in `linux/magic.h` and the manual page.
const NETWORK: [(u64, &str); 18] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x786f_4256, "VirtualBox"),
    (0xbacb_acbc, "VMware"),
    (0x564c, "NCP"),
    (0x7375_7245, "Coda"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0xaad7_aaea, "PanFS"),
];

impl FileSystem {
    /// True when a file keeps its inode number as long as it exists.
    #[must_use]
    pub fn has_stable_inodes(self) -> bool {
        self == Self::Local
    }

    fn of_type(magic: u64) -> Self {
        NETWORK
            .iter()
            .find(|(network, _)| *network == magic)
            .map_or(Self::Local, |(_, name)| Self::Network(name))
    }
}

/// How long a file must stay unchanged to be whole, unless the configuration says otherwise.
#[must_use]
pub fn quiet_period(kind: FileSystem) -> Duration {
    Duration::from_secs(if kind == FileSystem::Local { 2 } else { 60 })
}

/// How often a folder is listed when no events tell of changes, unless the configuration says otherwise.
#[must_use]
pub fn poll_interval(kind: FileSystem) -> Duration {
    Duration::from_secs(if kind == FileSystem::Local { 5 } else { 30 })
}

/// The kind of file system that a folder is on.
///
/// # Errors
/// [`SourceError::Away`] when the folder is not there; otherwise what the file system says.
pub fn kind(folder: &Path) -> Result<FileSystem, SourceError> {
    match fs::statfs(folder) {
        Ok(_) if is_disk_of_a_test() => Ok(FileSystem::Local),
        // The field is signed, and narrower on some machines; the numbers have 32 bits everywhere.
        Ok(found) => Ok(FileSystem::of_type(found.f_type as u64 & 0xffff_ffff)),
        Err(cause) if std::io::Error::from(cause).kind() == ErrorKind::NotFound => {
            Err(SourceError::Away(folder.to_path_buf()))
        }
        Err(cause) => Err(WireError::io("look at", folder, cause.into()).into()),
    }
}

/// In debug builds, the tests can serve a disk of their own through FUSE, which forgets what was not fsynced and fails when
/// it is told to. In all else it is one.
fn is_disk_of_a_test() -> bool {
    cfg!(debug_assertions) && std::env::var_os("WHARF_TEST_DISK").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_from_disks() {
        const EXT4: u64 = 0xef53;
        const XFS: u64 = 0x5846_5342;
        const TMPFS: u64 = 0x0102_1994;
        for local in [EXT4, XFS, TMPFS, 0] {
            assert_eq!(FileSystem::of_type(local), FileSystem::Local);
        }
        assert_eq!(FileSystem::of_type(0x6969), FileSystem::Network("NFS"));
        assert_eq!(FileSystem::of_type(0xff53_4d42), FileSystem::Network("CIFS"));
    }

    #[test]
    fn a_share_is_given_more_time() {
        let (local, share) = (FileSystem::Local, FileSystem::Network("NFS"));
        assert_eq!((quiet_period(local).as_secs(), quiet_period(share).as_secs()), (2, 60));
        assert_eq!((poll_interval(local).as_secs(), poll_interval(share).as_secs()), (5, 30));
        assert!(local.has_stable_inodes() && !share.has_stable_inodes());
    }

    #[test]
    fn proc_is_local_and_a_missing_folder_is_away() {
        assert_eq!(kind(Path::new("/proc")).unwrap(), FileSystem::Local);
        assert!(matches!(kind(Path::new("/proc/none")), Err(SourceError::Away(_))));
    }
}
